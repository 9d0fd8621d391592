//! Two engines in memory, with the real suite and with one that costs next to nothing, which shows
//! the engine's own share.

mod quick;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput};
use raet_core::crypto::NaclSuite;
use raet_tests::bench::{Cheap, Pair, Suite};

/// A window's worth many times over: each message must cost what a lonely one does.
const QUEUED: u64 = 1000;

fn main() {
    let mut criterion = quick::criterion();
    traffic::<NaclSuite>(&mut criterion, "nacl");
    traffic::<Cheap>(&mut criterion, "cheap");
    crowds(&mut criterion);
    criterion.final_summary();
}

fn traffic<C: Suite>(criterion: &mut Criterion, suite: &str) {
    let mut group = criterion.benchmark_group(format!("engine/{suite}"));
    group.bench_function("join and allow", |b| b.iter(|| Pair::new(C::from_seed)));
    let mut pair = Pair::new(C::from_seed);
    group.bench_function("message of 100 B", |b| b.iter(|| pair.message(&[5; 100])));
    group.throughput(Throughput::Elements(QUEUED));
    group.bench_function("100 B, 1000 queued", |b| {
        b.iter(|| pair.messages(QUEUED, &[5; 100]));
    });
    let body = vec![5; 1 << 20];
    group.throughput(Throughput::Bytes(body.len() as u64));
    group.bench_function("message of 1 MiB", |b| b.iter(|| pair.message(&body)));
    group.finish();
}

/// The cost of a message must not grow with the number of remotes that are silent.
fn crowds(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("engine/idle remotes");
    for idle in [10, 10_000] {
        crowd(&mut group, idle);
    }
    group.finish();
}

fn crowd(group: &mut BenchmarkGroup<'_, WallTime>, idle: u32) {
    let mut pair = Pair::crowded(idle, Cheap::from_seed);
    group.bench_function(idle.to_string(), |b| b.iter(|| pair.message(&[5; 100])));
}
