//! Runs simulated worlds by their seeds and tells what they show.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write, stderr};
use std::ops::Range;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};
use raet_core::crypto::NaclSuite;
use raet_tests::bench::Cheap;
use raet_tests::scale::{self, Figures};
use raet_tests::sim::engine::{Growth, Kind};
use raet_tests::sim::{Options, Plan, Profile, Report, Simulation, Violation, run, svg};

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
    /// Draw what happens as a sequence diagram into this file. For one seed.
    #[arg(long, value_name = "FILE", requires = "seed")]
    svg: Option<PathBuf>,
    /// What of it to print and draw, in seconds, as FROM..TO.
    #[arg(long, value_parser = seconds, default_value = "0..1000000")]
    during: Range<u64>,
    /// Poll engines in any order and more often than need be, by this seed. For one seed.
    #[arg(long, requires = "seed")]
    restless: Option<u64>,
    /// Put all estates on this storage. For one seed.
    #[arg(long, value_enum, requires = "seed")]
    storage: Option<Holder>,
    /// Run each seed also polled otherwise, and on either storage: the course must be the same.
    #[arg(long)]
    steady: bool,
    /// Go on after a seed that breaks a rule, and tell of all of them.
    #[arg(long)]
    go_on: bool,
    /// Threads to run on; all processors unless given.
    #[arg(long)]
    threads: Option<usize>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Holder {
    /// An allocator.
    Heap,
    /// The engine itself.
    Fixed,
}

#[derive(Clone, Copy, ValueEnum)]
enum Roughness {
    /// A fair network.
    Calm,
    /// Faults drawn anew for each seed.
    Swarm,
    /// Attackers drawn anew for each seed.
    Hostile,
    /// One main estate with 1,000, 10,000 and 100,000 others: what they cost it. Takes minutes.
    Scale,
}

impl Roughness {
    /// What its seeds mean; `None`: it has none.
    fn profile(self) -> Option<Profile> {
        match self {
            Self::Calm => Some(Profile::Calm),
            Self::Swarm => Some(Profile::Swarm),
            Self::Hostile => Some(Profile::Hostile),
            Self::Scale => None,
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

/// A span of time in seconds, in microseconds.
fn seconds(text: &str) -> Result<Range<u64>, String> {
    let wrong = || format!("{text}: give seconds as FROM..TO, for example 0..2.5");
    let (from, to) = text.split_once("..").ok_or_else(wrong)?;
    let number = |text: &str| match text.parse::<f64>() {
        Ok(seconds) => {
            let span = Duration::try_from_secs_f64(seconds).map_err(|_| wrong())?;
            Ok(u64::try_from(span.as_micros()).unwrap_or(u64::MAX))
        }
        Err(_) => Err(wrong()),
    };
    Ok(number(from)?..number(to)?)
}

fn meter(what: &mut dyn FnMut()) -> Growth {
    let grown = allocation_counter::measure(what);
    Growth {
        held: grown.bytes_current,
        peak: grown.bytes_max,
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match (arguments.profile.profile(), arguments.seed) {
        (None, _) => scale(),
        (Some(profile), Some(seed)) => one(&arguments, profile, seed),
        (Some(profile), None) => many(&arguments, profile),
    }
}

fn fail(profile: Profile, violation: &Violation) -> ExitCode {
    let again = run::again(profile, violation.seed);
    eprintln!("{violation}\n  again: {again}");
    ExitCode::FAILURE
}

/// Figures, not a judgement: a machine may be busy with other things.
fn scale() -> ExitCode {
    for (suite, measure) in [
        ("keyed hashes", scale::measure::<Cheap> as fn(usize, _) -> _),
        ("the real suite", scale::measure::<NaclSuite>),
    ] {
        println!("{suite}; microseconds of CPU each, bytes of an idle remote");
        println!("{}", scale::HEADING);
        let mut first: Option<Figures> = None;
        for estates in [1000, 10_000, 100_000] {
            let figures: Figures = measure(estates, meter);
            let growth = figures.growth(first.get_or_insert(figures));
            let period = figures.shortest_period().as_secs_f64();
            println!("{figures} | {growth:>5.2} | {period:>8.1}");
        }
    }
    ExitCode::SUCCESS
}

fn one(arguments: &Arguments, profile: Profile, seed: u64) -> ExitCode {
    let options = Options {
        trace: arguments.trace || arguments.svg.is_some(),
        meter: Some(meter),
        restless: arguments.restless,
    };
    let plan = Plan::draw(seed, profile);
    let plan = match arguments.storage {
        Some(Holder::Heap) => plan.on(Kind::Heap),
        Some(Holder::Fixed) => plan.on(Kind::Roomy),
        None => plan,
    };
    let mut world = Simulation::new(plan, options);
    let end = run::run(&mut world);
    if arguments.trace {
        let mut out = std::io::stdout().lock();
        let lines = world.tape().lines().iter();
        for line in lines.filter(|line| arguments.during.contains(&line.at)) {
            // Whoever reads may stop reading.
            if writeln!(out, "{}", world.tape().text(line)).is_err() {
                break;
            }
        }
    }
    if let Some(file) = &arguments.svg {
        let Range { start, end } = arguments.during;
        let title = format!("seed {seed}, {}", profile.as_str());
        let picture = svg::draw(world.tape(), &title, start, end);
        if let Err(why) = std::fs::write(file, picture) {
            eprintln!(
                "{}: {why}; give --svg a file that can be written",
                file.display()
            );
            return ExitCode::FAILURE;
        }
    }
    match end {
        Ok(()) => {
            summary(&world.report(), 1, Duration::ZERO);
            ExitCode::SUCCESS
        }
        Err(violation) => fail(profile, &violation),
    }
}

fn many(arguments: &Arguments, profile: Profile) -> ExitCode {
    let begun = Instant::now();
    let limit = arguments
        .minutes
        .map(|minutes| Duration::from_secs_f64(minutes * 60.0));
    let next = AtomicU64::new(arguments.seeds.start);
    let total = Mutex::new((Report::default(), 0_u64));
    let failed: Mutex<Vec<Box<Violation>>> = Mutex::default();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let note = |violation: Box<Violation>| {
        let mut failed = failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.push(violation);
        if !arguments.go_on {
            next.store(arguments.seeds.end, Ordering::Relaxed);
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
                    let steady = if arguments.steady {
                        run::steady(seed, profile)
                    } else {
                        Ok(())
                    };
                    match steady.and_then(|()| run::seed(seed, profile, Some(meter))) {
                        Ok(report) => {
                            let mut total = total.lock().unwrap_or_else(PoisonError::into_inner);
                            total.0.add(&report);
                            total.1 += 1;
                            progress(total.1, &total.0, begun);
                        }
                        Err(violation) => note(violation),
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
    let mut failed = failed.into_inner().unwrap_or_else(PoisonError::into_inner);
    failed.sort_by_key(|violation| violation.seed);
    if !arguments.go_on {
        failed.truncate(1);
    }
    let tell = |_, violation: Box<Violation>| fail(profile, &violation);
    failed.into_iter().fold(ExitCode::SUCCESS, tell)
}

/// So many in so long, a second.
fn rate(count: u64, took: Duration) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX)) / took.as_secs_f64()
}

fn progress(seeds: u64, report: &Report, begun: Instant) {
    if seeds.is_multiple_of(10) && stderr().is_terminal() {
        let rate = rate(seeds, begun.elapsed());
        eprint!(
            "\r{seeds} seeds, {rate:.0} a second, {} messages taken ",
            report.received
        );
    }
}

fn summary(report: &Report, seeds: u64, took: Duration) {
    let hours = Duration::from_micros(report.simulated).as_secs_f64() / 3600.0;
    let mut rows = vec![("seeds", seeds.to_string())];
    if !took.is_zero() {
        let rate = rate(seeds, took);
        rows.push((
            "a second",
            format!("{rate:.1} in {:.1} s", took.as_secs_f64()),
        ));
    }
    let list = |all: Vec<(&str, u64)>| {
        let all: Vec<_> = all.iter().map(|(what, n)| format!("{what} {n}")).collect();
        all.join(", ")
    };
    let words =
        |all: &BTreeMap<&'static str, u64>| list(all.iter().map(|(k, n)| (*k, *n)).collect());
    let faults = report
        .faults
        .iter()
        .map(|(k, n)| (k.as_str(), *n))
        .collect();
    rows.extend([
        (
            "simulated",
            format!("{hours:.1} hours, {} steps", report.steps),
        ),
        ("sessions", report.sessions.to_string()),
        ("datagrams", report.datagrams.to_string()),
        (
            "messages",
            format!("{} sent, {} taken", report.sent, report.received),
        ),
        ("outcomes", words(&report.outcomes)),
        ("survived", list(faults)),
        ("arrivals", words(&report.verdicts)),
        ("attacks", words(&report.attacks)),
        (
            "curves",
            format!("at most {} operations for a datagram", report.curves),
        ),
        ("digest", format!("{:016x}", report.digest)),
    ]);
    let mut out = std::io::stdout().lock();
    for (name, what) in rows.iter().filter(|(_, what)| !what.is_empty()) {
        // Whoever reads may stop reading.
        if writeln!(out, "{name:12} {what}").is_err() {
            break;
        }
    }
}
