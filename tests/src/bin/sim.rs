//! Runs simulated worlds by their seeds and tells what they show.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write, stderr};
use std::ops::{ControlFlow, Range};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::error::ErrorKind;
use clap::{ArgGroup, CommandFactory, Parser, ValueEnum};
use raet_core::crypto::NaclSuite;
use raet_tests::bench::Cheap;
use raet_tests::scale::{self, Figures};
use raet_tests::sim::engine::{Growth, Kind};
use raet_tests::sim::run::How;
use raet_tests::sim::tape::Line;
use raet_tests::sim::{Options, Plan, Profile, Report, Simulation, Violation, run, svg};

const EXAMPLES: &str = "Examples, after `cargo run --release -p raet-tests --bin sim --`:
  (nothing)                                     the first 1,000 worlds with faults
  --profile hostile --seeds 0..100              a hundred with attackers
  --minutes 10 --seeds 0..1000000 --go-on       as many as ten minutes allow, and all that fail
  --seed 7 --trace                              what happens in world 7, datagram for datagram
  --seed 7 --trace --during 1.5..1.6            a tenth of a second of it
  --seed 7 --svg seven.svg --during 0..2        two seconds of it as a picture
  --seed 7 --steady                             whether it is the same however it is polled and stored
  --profile scale                               what 1,000 to 100,000 remotes cost

A world that breaks a rule is told with the rule and the command that repeats it, and the exit status is 1.";

/// Estates, networks, crashes and applications in one process, faster than time; every failure repeats from its seed.
#[derive(Parser)]
#[command(name = "sim", after_help = EXAMPLES)]
#[command(group(ArgGroup::new("shown").args(["trace", "svg"]).multiple(true)))]
struct Arguments {
    /// How rough the worlds are.
    #[arg(long, value_enum, default_value = "swarm")]
    profile: Roughness,
    /// Seeds to run, as FIRST..END, the end not included [default: 0..1000].
    #[arg(long, value_parser = range, conflicts_with = "seed", value_name = "FIRST..END")]
    seeds: Option<Range<u64>>,
    /// Begin no other seed after so many minutes.
    #[arg(long, value_parser = minutes, conflicts_with = "seed")]
    minutes: Option<Duration>,
    /// Go on after a seed that breaks a rule, and tell of all of them.
    #[arg(long, conflicts_with = "seed")]
    go_on: bool,
    /// Threads to run on; all processors unless given.
    #[arg(long, value_parser = threads, conflicts_with = "seed")]
    threads: Option<usize>,
    /// Run each seed also on either storage, and, unless hostile, polled otherwise: the course must be the same.
    #[arg(long)]
    steady: bool,
    /// Run this seed alone.
    #[arg(long)]
    seed: Option<u64>,
    /// Print what happens, a line for each datagram. For one seed.
    #[arg(long, requires = "seed", conflicts_with = "steady")]
    trace: bool,
    /// Draw what happens as a sequence diagram into this file. For one seed.
    #[arg(
        long,
        value_name = "FILE",
        requires = "seed",
        conflicts_with = "steady"
    )]
    svg: Option<PathBuf>,
    /// What of it to print and draw, in seconds; all unless given.
    #[arg(long, value_parser = seconds, requires = "shown", value_name = "FROM..TO")]
    during: Option<Range<u64>>,
    /// Poll engines in any order and more often than need be, by this seed. For one seed.
    #[arg(long, requires = "seed", conflicts_with = "steady")]
    restless: Option<u64>,
    /// Put all estates on this storage. For one seed.
    #[arg(long, value_enum, requires = "seed", conflicts_with = "steady")]
    storage: Option<Holder>,
}

impl Arguments {
    /// Whether anything but a profile was asked for.
    fn asks(&self) -> bool {
        self.seeds.is_some()
            || self.minutes.is_some()
            || self.go_on
            || self.threads.is_some()
            || self.steady
            || self.seed.is_some()
    }

    /// How one seed is run.
    fn how(&self) -> How {
        How::Once {
            restless: self.restless,
            storage: self.storage.map(Holder::kind),
        }
    }
}

#[derive(Clone, Copy, ValueEnum)]
enum Holder {
    /// An allocator.
    Heap,
    /// The engine itself.
    Fixed,
}

impl Holder {
    fn kind(self) -> Kind {
        match self {
            Self::Heap => Kind::Heap,
            Self::Fixed => Kind::Roomy,
        }
    }
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
    let wrong = || "give seeds as FIRST..END, for example 0..1000".to_owned();
    let (first, end) = text.split_once("..").ok_or_else(wrong)?;
    let number = |text: &str| text.parse().map_err(|_| wrong());
    let range = number(first)?..number(end)?;
    if range.is_empty() {
        return Err(wrong());
    }
    Ok(range)
}

fn minutes(text: &str) -> Result<Duration, String> {
    let number = text.parse::<f64>().ok();
    let limit = number.and_then(|n| Duration::try_from_secs_f64(n * 60.0).ok());
    limit
        .filter(|limit| !limit.is_zero())
        .ok_or_else(|| "give a number above 0, for example 2.5".to_owned())
}

fn threads(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|n| (1..=1024).contains(n));
    number.ok_or_else(|| "give 1 to 1024, or leave it out for all processors".to_owned())
}

/// A span of time in seconds, in microseconds.
fn seconds(text: &str) -> Result<Range<u64>, String> {
    let wrong = || "give seconds as FROM..TO, for example 0..2.5".to_owned();
    let (from, to) = text.split_once("..").ok_or_else(wrong)?;
    let number = |text: &str| match text.parse::<f64>() {
        Ok(seconds) => {
            let span = Duration::try_from_secs_f64(seconds).map_err(|_| wrong())?;
            Ok(u64::try_from(span.as_micros()).unwrap_or(u64::MAX))
        }
        Err(_) => Err(wrong()),
    };
    let span = number(from)?..number(to)?;
    if span.is_empty() {
        return Err(wrong());
    }
    Ok(span)
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
        (None, _) if arguments.asks() => Arguments::command()
            .error(
                ErrorKind::ArgumentConflict,
                "the scale profile has no seeds; give --profile scale alone, or another profile",
            )
            .exit(),
        (None, _) => scale(),
        (Some(profile), Some(seed)) => one(&arguments, profile, seed),
        (Some(profile), None) => many(&arguments, profile),
    }
}

fn fail(profile: Profile, how: How, violation: &Violation) -> ExitCode {
    let again = run::again(profile, violation.seed, how);
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
    if arguments.steady
        && let Err(violation) = run::steady(seed, profile)
    {
        return fail(profile, How::Steady, &violation);
    }
    let options = Options {
        trace: arguments.trace || arguments.svg.is_some(),
        meter: Some(meter),
        restless: arguments.restless,
    };
    let plan = Plan::draw(seed, profile);
    let plan = match arguments.storage {
        Some(holder) => plan.on(holder.kind()),
        None => plan,
    };
    let mut world = Simulation::new(plan, options);
    let end = run::run(&mut world);
    let shown = show(arguments, profile, &world);
    match end {
        Ok(()) => {
            summary(&world.report(), 1, Duration::ZERO);
            shown
        }
        Err(violation) => fail(profile, arguments.how(), &violation),
    }
}

/// Prints and draws what was asked for.
fn show(arguments: &Arguments, profile: Profile, world: &Simulation) -> ExitCode {
    let tape = world.tape();
    let during = arguments.during.clone().unwrap_or(0..u64::MAX);
    let within = |line: &&Line| during.contains(&line.at);
    if arguments.during.is_some() && !tape.lines().iter().any(|line| within(&line)) {
        let end = tape.lines().last().map_or(0, |line| line.at);
        let end = Duration::from_micros(end).as_secs_f64();
        eprintln!("nothing happens in that time; the last thing does at {end:.6} s");
    }
    if arguments.trace {
        let mut out = std::io::stdout().lock();
        for line in tape.lines().iter().filter(within) {
            // Whoever reads may stop reading.
            if writeln!(out, "{}", tape.text(line)).is_err() {
                break;
            }
        }
    }
    if let Some(file) = &arguments.svg {
        let seed = arguments.seed.unwrap_or_default();
        let title = format!("seed {seed}, {}", profile.as_str());
        let picture = svg::draw(tape, &title, during.start, during.end);
        if let Err(why) = std::fs::write(file, picture) {
            eprintln!(
                "{}: {why}; give --svg a file that can be written",
                file.display()
            );
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn many(arguments: &Arguments, profile: Profile) -> ExitCode {
    let begun = Instant::now();
    let seeds = arguments.seeds.clone().unwrap_or(0..1000);
    let (mut total, mut done) = (Report::default(), 0_u64);
    let mut failed: Vec<(How, Box<Violation>)> = Vec::new();
    let one = |seed| {
        if arguments.steady {
            run::steady(seed, profile).map_err(|violation| (How::Steady, violation))?;
        }
        run::seed(seed, profile, Some(meter)).map_err(|violation| (How::AS_IS, violation))
    };
    let threads = arguments.threads.unwrap_or_else(run::processors);
    run::many(seeds, threads, one, |end| {
        match end {
            Ok(report) => {
                total.add(&report);
                done += 1;
                progress(done, &total, begun);
            }
            Err(broken) => failed.push(broken),
        }
        let late = arguments
            .minutes
            .is_some_and(|limit| begun.elapsed() > limit);
        if late || !failed.is_empty() && !arguments.go_on {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    });
    if stderr().is_terminal() {
        eprintln!();
    }
    summary(&total, done, begun.elapsed());
    failed.sort_by_key(|(_, violation)| violation.seed);
    if !arguments.go_on {
        failed.truncate(1);
    }
    let tell = |_, (how, violation): (How, Box<Violation>)| fail(profile, how, &violation);
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
    let faults = report.faults.iter().map(|(k, n)| (k.as_str(), *n));
    let full = report.full.iter().map(|(k, n)| (k.as_str(), *n));
    rows.extend([
        (
            "simulated",
            format!("{hours:.1} hours, {} steps", report.steps),
        ),
        (
            "sessions",
            format!(
                "{}, and {} calls answered by somebody known elsewhere",
                report.sessions, report.found
            ),
        ),
        ("datagrams", report.datagrams.to_string()),
        (
            "messages",
            format!("{} sent, {} taken", report.sent, report.received),
        ),
        ("outcomes", words(&report.outcomes)),
        ("survived", list(faults.collect())),
        ("full", list(full.filter(|(_, n)| *n > 0).collect())),
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
