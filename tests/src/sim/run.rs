//! Running a seed, or many.

use std::ops::{ControlFlow, Range};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use super::engine::{Kind, Meter};
use super::law::{Rule, Violation};
use super::plan::{Plan, Profile};
use super::report::Report;
use super::simulation::{Options, Simulation};

/// Runs one seed, with every rule checked. An engine's panic is a violation, too.
///
/// # Errors
///
/// The first rule that is broken.
pub fn seed(seed: u64, profile: Profile, meter: Option<Meter>) -> Result<Report, Box<Violation>> {
    let options = Options {
        meter,
        ..Options::default()
    };
    let mut world = Simulation::new(Plan::draw(seed, profile), options);
    run(&mut world)?;
    Ok(world.report())
}

/// Runs one seed again and again: as it is, on the other storage, and polled in any order and more often than
/// need be. The course must be the same.
///
/// Hostile worlds are not polled otherwise. There strangers come and go, and whose place in an engine is free
/// first depends on what was polled first; and with the places the order of things that are due at one moment.
///
/// # Errors
///
/// The first rule that is broken.
pub fn steady(seed: u64, profile: Profile) -> Result<(), Box<Violation>> {
    let plan = || Plan::draw(seed, profile).steady();
    let restless = Options {
        restless: Some(seed),
        ..Options::default()
    };
    let (heap, fixed) = (plan().on(Kind::Heap), plan().on(Kind::Roomy));
    same(heap, fixed, Options::default(), "on the other storage")?;
    match profile {
        Profile::Hostile => Ok(()),
        Profile::Calm | Profile::Swarm => same(plan(), plan(), restless, "polled otherwise"),
    }
}

/// Runs two worlds, the second with these options, whose courses must be the same.
fn same(one: Plan, other: Plan, options: Options, how: &str) -> Result<(), Box<Violation>> {
    let plans = [one, other];
    let worlds = |trace| -> Result<[Simulation; 2], Box<Violation>> {
        let [one, other] = plans.clone();
        let asked = [Options::default(), options];
        let [first, second] = asked.map(|options| Options { trace, ..options });
        let mut worlds = [Simulation::new(one, first), Simulation::new(other, second)];
        for world in &mut worlds {
            run(world)?;
        }
        Ok(worlds)
    };
    let [one, other] = worlds(false)?;
    if one.report().digest == other.report().digest {
        return Ok(());
    }
    // Once more, to see where they part.
    let [one, other] = worlds(true)?;
    let parting = one.tape().parting(other.tape());
    let parting = parting.map_or_else(
        || "in the bytes of a datagram".to_owned(),
        |[as_is, otherwise]| format!("where otherwise\n  {as_is}\n  it is now\n  {otherwise}"),
    );
    let what = format!("it takes another course {how}, {parting}");
    Err(Box::new(one.violation(Rule::Steady, what)))
}

/// Runs a world to its end.
///
/// # Errors
///
/// The first rule that is broken.
pub fn run(world: &mut Simulation) -> Result<(), Box<Violation>> {
    match catch_unwind(AssertUnwindSafe(|| world.run())) {
        Ok(end) => end,
        Err(panic) => {
            let what = panic.downcast_ref::<String>().map(String::as_str);
            let what = what.or_else(|| panic.downcast_ref::<&str>().copied());
            let what = format!("panic: {}", what.unwrap_or("without a word"));
            Err(Box::new(world.violation(Rule::Whole, what)))
        }
    }
}

/// Runs what is to be done for each of these seeds on so many threads, and hands on what comes of it, until
/// that says to break: then no other seed is begun.
///
/// # Panics
///
/// If either does.
pub fn many<T>(
    seeds: Range<u64>,
    threads: usize,
    one: impl Fn(u64) -> T + Sync,
    each: impl FnMut(T) -> ControlFlow<()> + Send,
) {
    let next = AtomicU64::new(seeds.start);
    let each = Mutex::new(each);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        return;
                    }
                    let what = one(seed);
                    let mut each = each.lock().unwrap_or_else(PoisonError::into_inner);
                    if each(what).is_break() {
                        next.store(seeds.end, Ordering::Relaxed);
                    }
                }
            });
        }
    });
}

/// As many threads as there are processors.
pub fn processors() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// How a seed was run, beside its profile.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum How {
    /// Once, as it is unless these say otherwise.
    Once {
        /// [`Options::restless`].
        restless: Option<u64>,
        /// What all its estates are put on: `Heap` or `Roomy`.
        storage: Option<Kind>,
    },
    /// By [`steady`].
    Steady,
}

impl How {
    /// By [`seed`].
    pub const AS_IS: Self = Self::Once {
        restless: None,
        storage: None,
    };
}

/// The command that runs a seed again so, and shows what happens.
pub fn again(profile: Profile, seed: u64, how: How) -> String {
    let profile = profile.as_str();
    let mut command =
        format!("cargo run --release -p raet-tests --bin sim -- --profile {profile} --seed {seed}");
    match how {
        How::Steady => command += " --steady",
        How::Once { restless, storage } => {
            if let Some(seed) = restless {
                command += " --restless ";
                command += &seed.to_string();
            }
            command += match storage {
                None => "",
                Some(Kind::Heap) => " --storage heap",
                Some(Kind::Small | Kind::Roomy) => " --storage fixed",
            };
            command += " --trace";
        }
    }
    command
}
