//! The engine beside a model of what an application may observe: see `raet_tests::model`.
//!
//! What this has found are the named tests at the end.

#![allow(
    clippy::needless_pass_by_value,
    reason = "quickcheck hands values over"
)]

use quickcheck::{Gen, QuickCheck, TestResult};
use raet_core::storage::{Fixed, Heap, Storage};
use raet_tests::model::{Op, World};

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
