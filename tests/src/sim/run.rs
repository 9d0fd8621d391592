//! Running a seed, or many.

use std::panic::{AssertUnwindSafe, catch_unwind};

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

/// Runs one seed again and again: as it is, polled in any order and more often than need be, and on the
/// other storage. The course must be the same.
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
    same(plan(), plan(), restless, "polled otherwise")?;
    let (heap, fixed) = (plan().on(Kind::Heap), plan().on(Kind::Roomy));
    same(heap, fixed, Options::default(), "on the other storage")
}

/// Runs two worlds, the second with these options, whose courses must be the same.
fn same(one: Plan, other: Plan, options: Options, how: &str) -> Result<(), Box<Violation>> {
    let mut one = Simulation::new(one, Options::default());
    let mut other = Simulation::new(other, options);
    run(&mut one)?;
    run(&mut other)?;
    if one.report().digest == other.report().digest {
        return Ok(());
    }
    Err(Box::new(one.violation(
        Rule::Steady,
        format!("it takes another course {how}"),
    )))
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

/// The command that runs a seed again and shows what happens.
pub fn again(profile: Profile, seed: u64) -> String {
    let profile = profile.as_str();
    format!(
        "cargo run --release -p raet-tests --bin sim -- --profile {profile} --seed {seed} --trace"
    )
}
