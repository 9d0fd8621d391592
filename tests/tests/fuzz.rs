//! Estates under whatever comes (see `raet_tests::fuzz`), and the fuzzers' corpora once more.

#![allow(
    clippy::needless_pass_by_value,
    reason = "quickcheck hands values over"
)]

use std::path::Path;

use quickcheck::{Gen, QuickCheck};
use raet_core::storage::{Heap, Storage};
use raet_tests::fuzz::{TARGETS, engine};

fn survives<S: Storage>(bytes: Vec<u8>, seed: u64) -> bool {
    engine::survive::<S>(&bytes, seed, 150);
    true
}

/// The same cases in each run. `RAET_FUZZ_CASES` sets how many, `RAET_FUZZ_SEED` which.
fn check<S: Storage>() {
    let setting =
        |name, default| std::env::var(name).map_or(default, |text| text.parse().expect("a number"));
    QuickCheck::new()
        .rng(Gen::from_size_and_seed(100, setting("RAET_FUZZ_SEED", 1)))
        .tests(setting("RAET_FUZZ_CASES", 400))
        .quickcheck(survives::<S> as fn(Vec<u8>, u64) -> bool);
}

#[test]
fn estates_survive_whatever_comes_on_the_heap() {
    check::<Heap>();
}

#[test]
fn estates_survive_whatever_comes_in_fixed_storage() {
    check::<engine::Small>();
}

#[test]
fn the_corpora_break_nothing() {
    for (name, target) in TARGETS {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("fuzz/corpus")
            .join(name);
        let mut files = 0;
        for file in std::fs::read_dir(&corpus).expect("each target has a corpus") {
            let path = file.expect("a file").path();
            let bytes = std::fs::read(&path).expect("a file");
            let held = std::panic::catch_unwind(|| target(&bytes));
            assert!(held.is_ok(), "{} breaks a rule", path.display());
            files += 1;
        }
        assert!(files > 0, "{name} has no corpus");
        println!("{name}: {files} files");
    }
}
