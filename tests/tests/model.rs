//! The engine beside a model of what an application may observe: see `raet_tests::model`.
//!
//! What this has found are the named tests at the end.

#![allow(
    clippy::needless_pass_by_value,
    reason = "quickcheck hands values over"
)]

use quickcheck::{Gen, QuickCheck, TestResult};
use raet_core::storage::{Fixed, Heap, Storage};
use raet_tests::model::Manner::Plain;
use raet_tests::model::Op::{self, Allow, Connect, Forget, Send, Wait, Weather};
use raet_tests::model::World;

/// As much as the model's limits want.
type Small = Fixed<4, 6, 12_000>;

fn holds<S: Storage>(ops: Vec<Op>, seed: u64) -> TestResult {
    match World::<S>::new(seed).run(&ops) {
        Ok(()) => TestResult::passed(),
        Err(why) => TestResult::error(why),
    }
}

/// `RAET_MODEL_CASES` sets how many cases, `RAET_MODEL_SEED` which.
fn check<S: Storage>() {
    let setting =
        |name, default| std::env::var(name).map_or(default, |text| text.parse().expect("a number"));
    QuickCheck::new()
        .rng(Gen::from_size_and_seed(60, setting("RAET_MODEL_SEED", 1)))
        .tests(setting("RAET_MODEL_CASES", 500))
        .quickcheck(holds::<S> as fn(Vec<Op>, u64) -> TestResult);
}

#[test]
fn applications_see_what_they_may_on_the_heap() {
    check::<Heap>();
}

#[test]
fn applications_see_what_they_may_in_fixed_storage() {
    check::<Small>();
}

fn found<S: Storage>(seed: u64, ops: &[Op]) {
    World::<S>::new(seed).run(ops).expect("mended");
}

#[test]
fn found_a_message_to_a_remote_made_anew() {
    let ops = [
        Connect(2, 0),
        Wait(75),
        Send(2, 0, 8, Plain),
        Forget(2, 0),
        Connect(2, 0),
        Send(2, 0, 8, Plain),
    ];
    found::<Heap>(0, &ops);
}

#[test]
fn found_a_session_that_only_one_side_has() {
    let ops = [
        Connect(0, 1),
        Connect(1, 2),
        Send(0, 1, 0, Plain),
        Wait(117),
        Connect(1, 2),
        Allow(0, 1),
        Weather(15),
        Send(1, 0, 8, Plain),
        Connect(1, 0),
        Send(2, 1, 0, Plain),
        Connect(0, 2),
        Wait(37),
        Weather(100),
        Wait(3750),
    ];
    found::<Heap>(8_315_857_730_093_403_136, &ops);
}
