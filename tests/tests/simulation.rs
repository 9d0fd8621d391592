//! Worlds that live by a seed: every rule of [`raet_tests::sim::law`] holds in each.
//!
//! More seeds, and what happened in one: `cargo run --release -p raet-tests --bin sim -- --help`.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use raet_tests::sim::engine::Kind;
use raet_tests::sim::{Fault, Options, Plan, Profile, Report, Simulation, run};

fn meter(what: &mut dyn FnMut()) -> i64 {
    allocation_counter::measure(what).bytes_current
}

/// Runs so many seeds on all processors.
///
/// # Panics
///
/// If a rule is broken: with the seed, the step, and how to repeat it.
fn seeds(count: u64, profile: Profile) -> Report {
    let next = AtomicU64::new(0);
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let work = || {
        let mut total = Report::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= count {
                return total;
            }
            match run::seed(seed, profile, Some(meter)) {
                Ok(report) => total.add(&report),
                Err(violation) => {
                    next.store(count, Ordering::Relaxed);
                    panic!("{violation}\n  again: {}", run::again(profile, seed));
                }
            }
        }
    };
    thread::scope(|scope| {
        let all: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let mut total = Report::default();
        for one in all {
            match one.join() {
                Ok(report) => total.add(&report),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        total
    })
}

/// Runs a world; gives the hash of everything that was sent and told, and when.
fn digest(plan: Plan, options: Options) -> u64 {
    let mut world = Simulation::new(plan, options);
    if let Err(violation) = run::run(&mut world) {
        panic!("{violation}");
    }
    world.report().digest
}

#[test]
fn calm_worlds_keep_every_rule() {
    let report = seeds(100, Profile::Calm);
    assert!(report.received > 10_000, "{report:?}");
}

#[test]
fn swarms_of_faults_break_no_rule() {
    let report = seeds(500, Profile::Swarm);
    assert!(report.received > 20_000, "{report:?}");
    for fault in Fault::ALL {
        let struck = report.faults.get(fault).copied().unwrap_or(0);
        assert!(struck > 0, "{} never struck", fault.as_str());
    }
}

#[test]
fn the_same_seed_has_the_same_course() {
    for seed in 0..40 {
        let plan = || Plan::draw(seed, Profile::Swarm);
        let first = digest(plan(), Options::default());
        assert_eq!(first, digest(plan(), Options::default()), "seed {seed}");
        let other = digest(Plan::draw(seed + 1000, Profile::Swarm), Options::default());
        assert_ne!(first, other, "seeds {seed} and {}", seed + 1000);
    }
}

#[test]
fn how_and_how_often_engines_are_polled_changes_nothing() {
    for seed in 0..60 {
        let restless = Options {
            restless: Some(seed),
            ..Options::default()
        };
        let plan = || Plan::draw(seed, Profile::Swarm);
        let calm = digest(plan(), Options::default());
        assert_eq!(calm, digest(plan(), restless), "seed {seed}");
    }
}

#[test]
fn both_storages_take_the_same_course_within_the_same_limits() {
    for seed in 0..60 {
        let of = |kind| {
            let plan = Plan::draw(seed, Profile::Swarm).on(kind);
            digest(plan, Options::default())
        };
        assert_eq!(of(Kind::Heap), of(Kind::Roomy), "seed {seed}");
    }
}
