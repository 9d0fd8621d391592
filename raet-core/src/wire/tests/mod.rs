#![expect(clippy::needless_pass_by_value, reason = "quickcheck gives values")]

use quickcheck::{Gen, QuickCheck, Testable};

extern crate std;

mod body;
mod handshake;
mod head;
mod segment;

/// Runs a property on the same cases each time.
fn check(seed: u64, property: impl Testable) {
    let cases = Gen::from_size_and_seed(100, seed);
    QuickCheck::new()
        .rng(cases)
        .tests(1_000)
        .quickcheck(property);
}
