//! One main estate with more and more others: what each costs it must not grow with their number.
//!
//! `cargo bench -p raet-tests --bench scale` measures 1,000 and 10,000 with both suites; further counts
//! can be given: `-- 1000 100000`.

use std::alloc::System;

use raet_core::crypto::NaclSuite;
use raet_tests::bench::{Cheap, Suite};
use raet_tests::scale::{Figures, HEADING, measure};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn main() {
    let counts: Vec<usize> = std::env::args()
        .filter_map(|arg| arg.parse().ok())
        .collect();
    let counts = if counts.is_empty() {
        vec![1000, 10_000]
    } else {
        counts
    };
    table::<Cheap>("keyed hashes: the engine's own share", &counts);
    table::<NaclSuite>("the real suite", &counts);
}

fn table<C: Suite>(what: &str, counts: &[usize]) {
    println!("{what}; microseconds of CPU, bytes a remote\n{HEADING}");
    let mut first: Option<Figures> = None;
    for count in counts {
        let figures = measure::<C>(*count, held);
        println!("{figures}");
        let few = first.get_or_insert(figures);
        println!(
            "          {:.2} times the first; one core carries a presence period of {:.1} s",
            figures.growth(few),
            figures.shortest_period().as_secs_f64()
        );
    }
}

fn held() -> usize {
    let stats = ALLOCATOR.stats();
    stats.bytes_allocated - stats.bytes_deallocated
}
