//! Runs simulated worlds by their seeds and tells what they show.

use std::io::{IsTerminal, Write, stderr};
use std::ops::Range;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};
use raet_tests::sim::{Options, Plan, Profile, Report, Simulation, Violation, run};

/// Estates, networks, crashes and applications in one process, faster than time; every failure repeats from its seed.
#[derive(Parser)]
#[command(name = "sim")]
struct Arguments {
    /// Seeds to run, as FIRST..END.
    #[arg(long, default_value = "0..1000", value_parser = range)]
    seeds: Range<u64>,
    /// Stop after so many minutes.
    #[arg(long)]
    minutes: Option<f64>,
    /// How rough the worlds are.
    #[arg(long, value_enum, default_value = "swarm")]
    profile: Roughness,
    /// Run this seed alone.
    #[arg(long)]
    seed: Option<u64>,
    /// Print what happens, a line for each datagram. For one seed.
    #[arg(long, requires = "seed")]
    trace: bool,
    /// Threads to run on; all processors unless given.
    #[arg(long)]
    threads: Option<usize>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Roughness {
    /// A fair network.
    Calm,
    /// Faults drawn anew for each seed.
    Swarm,
    /// Attackers drawn anew for each seed.
    Hostile,
}

impl Roughness {
    fn profile(self) -> Profile {
        match self {
            Self::Calm => Profile::Calm,
            Self::Swarm => Profile::Swarm,
            Self::Hostile => Profile::Hostile,
        }
    }
}

fn range(text: &str) -> Result<Range<u64>, String> {
    let wrong = || format!("{text}: give seeds as FIRST..END, for example 0..1000");
    let (first, end) = text.split_once("..").ok_or_else(wrong)?;
    let number = |text: &str| text.parse().map_err(|_| wrong());
    let range = number(first)?..number(end)?;
    if range.is_empty() {
        return Err(wrong());
    }
    Ok(range)
}

fn meter(what: &mut dyn FnMut()) -> i64 {
    allocation_counter::measure(what).bytes_current
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match arguments.seed {
        Some(seed) => one(&arguments, seed),
        None => many(&arguments),
    }
}

fn fail(arguments: &Arguments, violation: &Violation) -> ExitCode {
    let again = run::again(arguments.profile.profile(), violation.seed);
    eprintln!("{violation}\n  again: {again}");
    ExitCode::FAILURE
}

fn one(arguments: &Arguments, seed: u64) -> ExitCode {
    let options = Options {
        trace: arguments.trace,
        meter: Some(meter),
        ..Options::default()
    };
    let plan = Plan::draw(seed, arguments.profile.profile());
    let mut world = Simulation::new(plan, options);
    let end = run::run(&mut world);
    let mut out = std::io::stdout().lock();
    for line in world.tape().lines() {
        // Whoever reads may stop reading.
        if writeln!(out, "{}", world.tape().text(line)).is_err() {
            break;
        }
    }
    match end {
        Ok(()) => {
            summary(&world.report(), 1, Duration::ZERO);
            ExitCode::SUCCESS
        }
        Err(violation) => fail(arguments, &violation),
    }
}

fn many(arguments: &Arguments) -> ExitCode {
    let begun = Instant::now();
    let limit = arguments
        .minutes
        .map(|minutes| Duration::from_secs_f64(minutes * 60.0));
    let next = AtomicU64::new(arguments.seeds.start);
    let total = Mutex::new((Report::default(), 0_u64));
    let failed: Mutex<Option<Box<Violation>>> = Mutex::new(None);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let lock = |violation| {
        let mut failed = failed.lock().unwrap_or_else(PoisonError::into_inner);
        if failed
            .as_ref()
            .is_none_or(|f: &Box<Violation>| f.seed > u64::MAX)
        {
            *failed = Some(violation);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..arguments.threads.unwrap_or(threads) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    let late = limit.is_some_and(|limit| begun.elapsed() > limit);
                    if seed >= arguments.seeds.end || late {
                        return;
                    }
                    match run::seed(seed, arguments.profile.profile(), Some(meter)) {
                        Ok(report) => {
                            let mut total = total.lock().unwrap_or_else(PoisonError::into_inner);
                            total.0.add(&report);
                            total.1 += 1;
                            progress(total.1, &total.0, begun);
                        }
                        Err(violation) => {
                            lock(violation);
                            next.store(arguments.seeds.end, Ordering::Relaxed);
                            return;
                        }
                    }
                }
            });
        }
    });
    if stderr().is_terminal() {
        eprintln!();
    }
    let (report, seeds) = total.into_inner().unwrap_or_else(PoisonError::into_inner);
    summary(&report, seeds, begun.elapsed());
    match failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(violation) => fail(arguments, &violation),
        None => ExitCode::SUCCESS,
    }
}

fn progress(seeds: u64, report: &Report, begun: Instant) {
    if seeds % 10 == 0 && stderr().is_terminal() {
        let rate = seeds as f64 / begun.elapsed().as_secs_f64();
        eprint!(
            "\r{seeds} seeds, {rate:.0} a second, {} messages taken ",
            report.received
        );
    }
}

fn summary(report: &Report, seeds: u64, took: Duration) {
    let hours = report.simulated as f64 / 3.6e9;
    println!("seeds        {seeds}");
    if !took.is_zero() {
        let rate = seeds as f64 / took.as_secs_f64();
        println!("a second     {rate:.1} in {:.1} s", took.as_secs_f64());
    }
    println!("simulated    {hours:.1} hours, {} steps", report.steps);
    println!("sessions     {}", report.sessions);
    println!("datagrams    {}", report.datagrams);
    println!(
        "messages     {} sent, {} taken",
        report.sent, report.received
    );
    let list = |name: &str, all: Vec<(&str, u64)>| {
        let all: Vec<_> = all.iter().map(|(what, n)| format!("{what} {n}")).collect();
        println!("{name:12} {}", all.join(", "));
    };
    list(
        "outcomes",
        report.outcomes.iter().map(|(k, n)| (*k, *n)).collect(),
    );
    list(
        "survived",
        report
            .faults
            .iter()
            .map(|(k, n)| (k.as_str(), *n))
            .collect(),
    );
    list(
        "datagrams",
        report.verdicts.iter().map(|(k, n)| (*k, *n)).collect(),
    );
    if !report.attacks.is_empty() {
        list(
            "attacks",
            report.attacks.iter().map(|(k, n)| (*k, *n)).collect(),
        );
    }
    println!(
        "curves       at most {} operations for a datagram",
        report.curves
    );
    println!("digest       {:016x}", report.digest);
}
