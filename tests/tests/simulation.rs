//! Worlds that live by a seed: every rule of [`raet_tests::sim::law`] holds in each.
//!
//! More seeds, and what happened in one: `cargo run --release -p raet-tests --bin sim -- --help`.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::ops::ControlFlow;

use raet_core::stats::Reason;
use raet_tests::sim::engine::Growth;
use raet_tests::sim::run::How;
use raet_tests::sim::{Fault, Full, Plan, Profile, Report, run};

/// How many worlds of faults, and how many with attackers.
const SWARM: u64 = 2000;
const HOSTILE: u64 = 800;

fn meter(what: &mut dyn FnMut()) -> Growth {
    let grown = allocation_counter::measure(what);
    Growth {
        held: grown.bytes_current,
        peak: grown.bytes_max,
    }
}

/// Runs so many seeds on all processors.
///
/// # Panics
///
/// If a rule is broken: with the seed, the step, and how to repeat it.
fn seeds(count: u64, profile: Profile) -> Report {
    let (mut total, mut broken) = (Report::default(), None);
    let one = |seed| run::seed(seed, profile, Some(meter));
    run::many(0..count, run::processors(), one, |end| match end {
        Ok(report) => {
            total.add(&report);
            ControlFlow::Continue(())
        }
        Err(violation) => {
            broken.get_or_insert(violation);
            ControlFlow::Break(())
        }
    });
    if let Some(violation) = broken {
        let again = run::again(profile, violation.seed, How::AS_IS);
        panic!("{violation}\n  again: {again}");
    }
    total
}

#[test]
fn calm_worlds_keep_every_rule() {
    let report = seeds(100, Profile::Calm);
    assert!(report.received > 10_000, "{report:?}");
}

fn assert_all<K: Ord + Debug>(what: &str, met: &BTreeMap<K, u64>, all: &[K]) {
    for one in all {
        let count = met.get(one).copied().unwrap_or(0);
        assert!(count > 0, "never met: {what}: {one:?}");
    }
}

#[test]
fn swarms_of_faults_break_no_rule() {
    let report = seeds(SWARM, Profile::Swarm);
    assert!(report.received > 80_000, "{report:?}");
    assert_all("fault", &report.faults, Fault::ALL);
    assert!(report.found > 100, "{report:?}");
    // There are places for all; only strangers fill them.
    assert_all("full", &report.full, &[Full::Outbox, Full::Inbox]);
}

#[test]
fn attackers_break_no_rule() {
    let sieges = (0..HOSTILE).filter(|seed| Plan::draw(*seed, Profile::Hostile).menace.siege);
    assert!(sieges.count() >= 50);
    let mut report = seeds(HOSTILE, Profile::Hostile);
    assert!(report.received > 40_000, "{report:?}");
    let attacks: u64 = report.attacks.values().sum();
    assert!(attacks > 200_000, "{report:?}");
    assert_all("full", &report.full, Full::ALL);
    // Every reason to drop something was one.
    for (word, count) in report.verdicts {
        *report.attacks.entry(word).or_default() += count;
    }
    let reasons: Vec<_> = Reason::ALL.iter().map(|why| why.as_str()).collect();
    assert_all("drop", &report.attacks, &reasons);
}

#[test]
fn the_same_seed_has_the_same_course_and_another_has_another() {
    let course = |seed| match run::seed(seed, Profile::Swarm, None) {
        Ok(report) => report.digest,
        Err(violation) => panic!("{violation}"),
    };
    for seed in 0..20 {
        assert_eq!(course(seed), course(seed), "seed {seed}");
        assert_ne!(course(seed), course(seed + 1000), "seed {seed}");
    }
}

#[test]
fn neither_how_it_is_polled_nor_its_storage_changes_a_course() {
    for profile in [Profile::Swarm, Profile::Hostile] {
        for seed in 0..100 {
            if let Err(violation) = run::steady(seed, profile) {
                let again = run::again(profile, seed, How::Steady);
                panic!("{violation}\n  again: {again}");
            }
        }
    }
}
