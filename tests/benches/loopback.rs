//! Two engines on two sockets of one machine, in one thread.

mod quick;

use criterion::Throughput;
use raet_core::crypto::NaclSuite;
use raet_tests::bench::{Cheap, Loopback, Suite};

fn main() {
    let mut criterion = quick::criterion();
    let mut group = criterion.benchmark_group("loopback");
    let mut real = Loopback::new(NaclSuite::from_seed);
    let mut cheap = Loopback::new(Cheap::from_seed);
    group.bench_function("ping-pong of 100 B/nacl", |b| {
        b.iter(|| real.ping_pong(&[5; 100]));
    });
    group.bench_function("ping-pong of 100 B/cheap", |b| {
        b.iter(|| cheap.ping_pong(&[5; 100]));
    });
    let body = vec![5; 1 << 20];
    group.throughput(Throughput::Bytes(body.len() as u64));
    group.bench_function("message of 1 MiB/nacl", |b| b.iter(|| real.message(&body)));
    group.bench_function("message of 1 MiB/cheap", |b| {
        b.iter(|| cheap.message(&body));
    });
    group.finish();
    criterion.final_summary();
}
