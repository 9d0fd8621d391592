//! What a message of 100 bytes costs beside Python RAET 0.6.8, both measured in this run: processor
//! time of both sides together, over loopback sockets, signed and encrypted.
//!
//! Needs the reference (`cargo run -p raet-tests --bin interop-setup`), and says so where it lacks.

use std::collections::VecDeque;
use std::thread;

use raet_std::core::config::Trust;
use raet_std::core::event::Outcome;
use raet_std::{Body, Delivery, Road, Shutdown};
use raet_tests::bench::cpu;
use raet_tests::interop;
use rustix::time::ClockId;

/// Messages in each measurement, after a tenth of it to warm up.
const OURS: u32 = 20_000;
const THEIRS: u32 = 2_000;

fn main() {
    let Some(python) = interop::available() else {
        return;
    };
    println!("processor time a message, both sides, µs (three runs each, taking turns)");
    for _ in 0..3 {
        let theirs = python.bench(THEIRS);
        let ours = ours();
        let ratio = theirs / ours;
        println!("  Python 0.6.8 {theirs:8.1}   raet {ours:8.1}   ratio {ratio:5.2}");
    }
}

fn ours() -> f64 {
    let open = |name: &str, main| {
        let builder = Road::builder(name).bind(([127, 0, 0, 1], 0)).main(main);
        builder.trust(Trust::Always).open().expect("a free port")
    };
    let (main, other) = (open("main", true), open("other", false));
    let remote = other.connect(main.local_addr()).expect("an address");
    let carry = |count: u32| {
        let taker = main.clone();
        let taking = thread::spawn(move || {
            for _ in 0..count {
                taker.receive().expect("an open road");
            }
        });
        let body = Body::raw([7; 100]);
        let mut open: VecDeque<Delivery> = VecDeque::new();
        for _ in 0..count {
            open.push_back(other.send(remote, &body).expect("an open road"));
            while open.front().is_some_and(|d| d.outcome().is_some()) {
                open.pop_front();
            }
        }
        assert!(open.iter().all(|d| d.wait() == Outcome::Delivered));
        taking.join().expect("all were taken");
    };
    carry(OURS / 10);
    let before = cpu(ClockId::ProcessCPUTime);
    carry(OURS);
    let spent = cpu(ClockId::ProcessCPUTime).saturating_sub(before);
    other.shutdown(&Shutdown::NOW);
    main.shutdown(&Shutdown::NOW);
    spent.as_secs_f64() * 1e6 / f64::from(OURS)
}
