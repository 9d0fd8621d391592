//! What part of each piece of work is the engine's, or the system's, and what part no engine can do
//! without: the primitives are timed inside of the very run that they are compared with.

use std::time::Instant;

use raet_tests::bench::{Cheap, Loopback, Meter, Pair, Suite, Timed};

/// Rounds of each row; the median is shown, with half of the distance between the quartiles.
const ROUNDS: usize = 21;

fn main() {
    // `cargo test --benches` runs this too, without this argument: then once is enough.
    let bench = std::env::args().any(|arg| arg == "--bench");
    let rounds = if bench { ROUNDS } else { 1 };
    println!(
        "{:<34} {:>11} {:>11} {:>9} {:>7} {:>8}",
        "µs, both sides together", "all", "primitives", "rest", "ratio", "± rest"
    );
    let meter = Meter::default();
    let timed = |seed| Timed::new(seed, &meter);
    let big = vec![5; 1 << 20];

    row(rounds, "join and allow, in memory", &meter, 20, || {
        Pair::new(timed);
    });
    let mut pair = Pair::new(timed);
    row(rounds, "100 B and done, in memory", &meter, 200, || {
        pair.message(&[5; 100]);
    });
    row(rounds, "100 of 100 B queued, in memory", &meter, 2, || {
        pair.messages(100, &[5; 100]);
    });
    let before = pair.datagrams();
    pair.message(&big);
    let packets = pair.datagrams() - before;
    row(rounds, "1 MiB, in memory", &meter, 1, || pair.message(&big));

    let mut sockets = Loopback::new(timed);
    row(rounds, "ping-pong of 100 B, loopback", &meter, 100, || {
        sockets.ping_pong(&[5; 100]);
    });
    row(rounds, "1 MiB, loopback", &meter, 1, || {
        sockets.message(&big);
    });

    // Nothing is timed inside of these: all of it is the rest, and no ratio is worth a look.
    let mut cheap = Pair::new(Cheap::from_seed);
    row(rounds, "100 B and done, cheap suite", &meter, 2000, || {
        cheap.message(&[5; 100]);
    });
    row(
        rounds,
        "100 of 100 B queued, cheap suite",
        &meter,
        20,
        || {
            cheap.messages(100, &[5; 100]);
        },
    );
    row(rounds, "1 MiB, cheap suite", &meter, 4, || {
        cheap.message(&big);
    });
    println!("1 MiB travels in {packets} packets, answers among them");
}

/// Times `work`, `count` times a round, after one time that does not count.
fn row(rounds: usize, name: &str, meter: &Meter, count: u32, mut work: impl FnMut()) {
    work();
    let (mut all, mut primitives, mut rest, mut ratio) = (vec![], vec![], vec![], vec![]);
    for _ in 0..rounds {
        meter.take();
        let began = Instant::now();
        (0..count).for_each(|_| work());
        let took = began.elapsed().as_secs_f64() * 1e6 / f64::from(count);
        let inside = meter.take().as_secs_f64() * 1e6 / f64::from(count);
        all.push(took);
        primitives.push(inside);
        rest.push(took - inside);
        ratio.push(took / inside);
    }
    let noise = (quantile(&mut rest, 3) - quantile(&mut rest, 1)) / 2.0;
    println!(
        "{name:<34} {:>11.2} {:>11.2} {:>9.2} {:>7.3} {noise:>8.2}",
        quantile(&mut all, 2),
        quantile(&mut primitives, 2),
        quantile(&mut rest, 2),
        quantile(&mut ratio, 2),
    );
}

/// The value that so many quarters of all are below.
fn quantile(values: &mut [f64], quarters: usize) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() * quarters / 4]
}
