//! Running a seed, or many.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::engine::Meter;
use super::law::{Rule, Violation};
use super::plan::{Plan, Profile};
use super::simulation::{Options, Report, Simulation};

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
