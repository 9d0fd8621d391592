//! Worlds that live by a seed: every rule of [`raet_tests::sim::law`] holds in each.
//!
//! More seeds, and what happened in one: `cargo run --release -p raet-tests --bin sim -- --help`.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use raet_core::stats::Reason;
use raet_tests::sim::engine::Growth;
use raet_tests::sim::run::How;
use raet_tests::sim::{Fault, Plan, Profile, Report, run};

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
                    panic!(
                        "{violation}\n  again: {}",
                        run::again(profile, seed, How::AS_IS)
                    );
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

#[test]
fn calm_worlds_keep_every_rule() {
    let report = seeds(100, Profile::Calm);
    assert!(report.received > 10_000, "{report:?}");
}

/// What can be full in a world, by the words of [`Report::full`].
const FULL: [&str; 7] = [
    "outbox",
    "connect",
    "inbox",
    "no handshake left",
    "no room for a remote or role",
    "a remote made room",
    "a reply was left out",
];

fn assert_all(what: &str, met: &BTreeMap<&'static str, u64>, all: &[&'static str]) {
    for one in all {
        let count = met.get(one).copied().unwrap_or(0);
        assert!(count > 0, "never met: {what}: {one}");
    }
}

#[test]
fn swarms_of_faults_break_no_rule() {
    let report = seeds(SWARM, Profile::Swarm);
    assert!(report.received > 80_000, "{report:?}");
    for fault in Fault::ALL {
        let struck = report.faults.get(fault).copied().unwrap_or(0);
        assert!(struck > 0, "{} never struck", fault.as_str());
    }
    assert!(report.found > 100, "{report:?}");
    // There are places for all; only strangers fill them.
    assert_all("full", &report.full, &["outbox", "inbox"]);
}

#[test]
fn attackers_break_no_rule() {
    let sieges = (0..HOSTILE).filter(|seed| Plan::draw(*seed, Profile::Hostile).menace.siege);
    assert!(sieges.count() >= 50);
    let mut report = seeds(HOSTILE, Profile::Hostile);
    assert!(report.received > 40_000, "{report:?}");
    let attacks: u64 = report.attacks.values().sum();
    assert!(attacks > 200_000, "{report:?}");
    assert_all("full", &report.full, &FULL);
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
    for seed in 0..100 {
        if let Err(violation) = run::steady(seed, Profile::Swarm) {
            let again = run::again(Profile::Swarm, seed, How::Steady);
            panic!("{violation}\n  again: {again}");
        }
    }
}
