//! `raet bench`: what messages cost, beside what their cryptography costs in the same run.

use std::hint::black_box;
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use raet_std::core::RemoteId;
use raet_std::core::config::Trust;
use raet_std::core::crypto::{Crypto, NaclSuite};
use raet_std::core::event::Outcome;
use raet_std::{Body, Delivery, Road, Shutdown};
use rustix::time::{ClockId, clock_gettime};
use serde_json::json;

use crate::{FAILURE, Problem, SUCCESS};

/// Bytes of a short message.
const SHORT: usize = 100;
/// Bytes that are signed of a packet with such a message, and of the answer to it.
const SIGNED: [usize; 2] = [286, 139];
/// Bytes that a full packet of a long message carries, and of it that are signed.
const FULL: usize = 863;
const SIGNED_FULL: usize = 1024;
/// Bytes of a long message.
const LONG: usize = 1 << 20;

/// Measure messages over loopback sockets, signed and encrypted as always
///
/// Each cost is shown beside that of the cryptography which the protocol demands, measured in the
/// same run: two signatures made and checked for each message, one box sealed and opened.
#[derive(Args)]
#[command(
    after_help = "Exit codes: 0 measured; 1 a message was lost or came otherwise; 2 wrong usage."
)]
pub(crate) struct Bench {
    /// Print one JSON object
    #[arg(long)]
    json: bool,

    /// Messages in the flood, and a tenth of it round trips
    #[arg(long, default_value_t = 20_000)]
    messages: usize,

    /// Messages of 1 MiB
    #[arg(long, default_value_t = 64)]
    long: usize,
}

impl Bench {
    pub(crate) fn run(&self) -> Result<u8, Problem> {
        // The clock of a machine drifts: primitives are measured before and after each part.
        let before = primitives(&SIGNED, SHORT);
        let flood = flood(self.messages.max(1))?;
        let between = primitives(&SIGNED, SHORT);
        let ping = ping_pong((self.messages / 10).max(1))?;
        let after = primitives(&SIGNED, SHORT);
        let bulk = bulk(self.long.max(1))?;
        let bulk_floor = primitives(&[SIGNED_FULL], FULL);
        let flood_floor = f64::midpoint(before, between);
        let ping_floor = 2.0 * f64::midpoint(between, ping.primitives);
        let result = json!({
            "event": "bench",
            "primitives_us": round(f64::midpoint(before, after)),
            "flood": {
                "messages": self.messages,
                "per_second": flood.per_second.round(),
                "cpu_us": round(flood.cpu),
                "primitives_us": round(flood_floor),
                "ratio": round(flood.cpu / flood_floor),
            },
            "ping_pong": {
                "round_trips": (self.messages / 10).max(1),
                "p50_us": round(ping.p50),
                "p99_us": round(ping.p99),
                "cpu_us": round(ping.cpu),
                "primitives_us": round(ping_floor),
                "ratio": round(ping.p50 / ping_floor),
                "cpu_ratio": round(ping.cpu / ping_floor),
                "one_core": ping.pinned,
            },
            "long": {
                "messages": self.long,
                "mb_per_second": round(bulk.mb_per_second),
                "cpu_us_per_packet": round(bulk.cpu),
                "primitives_us": round(bulk_floor),
                "ratio": round(bulk.cpu / bulk_floor),
            },
        });
        if self.json {
            println!("{result}");
            return Ok(SUCCESS);
        }
        println!("{SHORT}-byte messages, one way, as fast as they go");
        println!("  {:>10.0} messages a second", flood.per_second);
        println!("  {:>10.1} µs of CPU a message, both sides", flood.cpu);
        println!(
            "  {flood_floor:>10.1} µs of that must be cryptography: ratio {:.2}",
            flood.cpu / flood_floor
        );
        println!(
            "{SHORT}-byte ping-pong, one in flight, {}",
            if ping.pinned {
                "both sides on one core"
            } else {
                "not pinned"
            }
        );
        println!(
            "  {:>10.1} µs a round trip (median), {:.1} µs for 99 of 100",
            ping.p50, ping.p99
        );
        println!(
            "  {ping_floor:>10.1} µs of that must be cryptography: ratio {:.2} ({:.2} by CPU time)",
            ping.p50 / ping_floor,
            ping.cpu / ping_floor
        );
        println!("1 MiB messages");
        println!("  {:>10.1} MB a second", bulk.mb_per_second);
        println!("  {:>10.1} µs of CPU a packet, both sides", bulk.cpu);
        println!(
            "  {bulk_floor:>10.1} µs of that must be cryptography: ratio {:.2}",
            bulk.cpu / bulk_floor
        );
        Ok(if flood.per_second > 0.0 {
            SUCCESS
        } else {
            FAILURE
        })
    }
}

fn round(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

/// Two roads with a session between them.
struct Pair {
    from: Road,
    to: Road,
    remote: RemoteId,
}

impl Pair {
    fn open() -> Result<Self, Problem> {
        let open = |name: &str, main| {
            Road::builder(name)
                .bind(([127, 0, 0, 1], 0))
                .main(main)
                .trust(Trust::Always)
                .largest_message(LONG)
                .open()
        };
        let (to, from) = (open("echo", true)?, open("source", false)?);
        let remote = from.connect(to.local_addr()).map_err(Problem::failure)?;
        let pair = Self { from, to, remote };
        let hello = pair.send(&Body::raw(*b"hello"))?;
        pair.to.receive()?;
        delivered(&hello)?;
        Ok(pair)
    }

    fn send(&self, body: &Body) -> Result<Delivery, Problem> {
        self.from.send(self.remote, body).map_err(Problem::failure)
    }

    fn close(&self) {
        self.from.shutdown(&Shutdown::NOW);
        self.to.shutdown(&Shutdown::NOW);
    }

    /// Sends `count` messages and waits until all are delivered.
    fn carry(&self, body: &Body, count: usize) -> Result<(), Problem> {
        let taker = self.to.clone();
        let len = body.bytes().len();
        let taking = thread::spawn(move || {
            (0..count).all(|_| {
                taker
                    .receive()
                    .is_ok_and(|message| message.bytes.len() == len)
            })
        });
        let mut open = std::collections::VecDeque::new();
        for _ in 0..count {
            open.push_back(self.send(body)?);
            while open
                .front()
                .is_some_and(|delivery: &Delivery| delivery.outcome().is_some())
            {
                open.pop_front().as_ref().map_or(Ok(()), delivered)?;
            }
        }
        open.iter().try_for_each(delivered)?;
        match taking.join() {
            Ok(true) => Ok(()),
            _ => Err(Problem::failure("not every message came as it was sent")),
        }
    }
}

fn delivered(delivery: &Delivery) -> Result<(), Problem> {
    match delivery.wait() {
        Outcome::Delivered => Ok(()),
        other => Err(Problem::failure(format!(
            "a message was not delivered: {other:?}"
        ))),
    }
}

struct Flood {
    per_second: f64,
    cpu: f64,
}

fn flood(count: usize) -> Result<Flood, Problem> {
    let pair = Pair::open()?;
    let body = Body::raw([7; SHORT]);
    pair.carry(&body, count / 10)?;
    let (started, cpu) = (Instant::now(), cpu_time());
    pair.carry(&body, count)?;
    let (time, cpu) = (started.elapsed(), cpu_time().saturating_sub(cpu));
    pair.close();
    #[allow(
        clippy::cast_precision_loss,
        reason = "a count of messages is far below 2^52"
    )]
    let count = count as f64;
    Ok(Flood {
        per_second: count / time.as_secs_f64(),
        cpu: micros(cpu) / count,
    })
}

struct PingPong {
    p50: f64,
    p99: f64,
    cpu: f64,
    primitives: f64,
    pinned: bool,
}

fn ping_pong(count: usize) -> Result<PingPong, Problem> {
    // Threads inherit where they may run, so the roads are opened behind the pin.
    let measuring = thread::spawn(move || {
        let pinned = pin();
        let pair = Pair::open()?;
        let echo = pair.to.clone();
        let echoing = thread::spawn(move || {
            while let Ok(message) = echo.receive() {
                // Its end is the other side's receive.
                drop(echo.send(message.from, &Body::raw(message.bytes)));
            }
        });
        let body = Body::raw([9; SHORT]);
        let trip = || -> Result<Duration, Problem> {
            let started = Instant::now();
            drop(pair.send(&body)?);
            pair.from.receive()?;
            Ok(started.elapsed())
        };
        for _ in 0..count / 10 {
            trip()?;
        }
        let cpu = cpu_time();
        let mut times = (0..count).map(|_| trip()).collect::<Result<Vec<_>, _>>()?;
        let cpu = micros(cpu_time().saturating_sub(cpu))
            / f64::from(u32::try_from(count).unwrap_or(u32::MAX));
        let primitives = primitives(&SIGNED, SHORT);
        pair.close();
        let _ = echoing.join();
        times.sort_unstable();
        let at = |percent: usize| {
            times
                .get((times.len() - 1) * percent / 100)
                .copied()
                .map_or(0.0, micros)
        };
        Ok(PingPong {
            p50: at(50),
            p99: at(99),
            cpu,
            primitives,
            pinned,
        })
    });
    measuring
        .join()
        .unwrap_or_else(|_| Err(Problem::failure("the ping-pong broke off")))
}

struct Bulk {
    mb_per_second: f64,
    /// Per full packet.
    cpu: f64,
}

fn bulk(count: usize) -> Result<Bulk, Problem> {
    let pair = Pair::open()?;
    let body = Body::raw(vec![5; LONG]);
    pair.carry(&body, 1)?;
    let (started, cpu) = (Instant::now(), cpu_time());
    pair.carry(&body, count)?;
    let (time, cpu) = (started.elapsed(), cpu_time().saturating_sub(cpu));
    pair.close();
    #[allow(clippy::cast_precision_loss, reason = "bytes far below 2^52")]
    let (bytes, packets) = ((count * LONG) as f64, (count * LONG.div_ceil(FULL)) as f64);
    Ok(Bulk {
        mb_per_second: bytes / 1e6 / time.as_secs_f64(),
        cpu: micros(cpu) / packets,
    })
}

/// µs that packets must cost: a signature made and checked for each of these lengths, and one box
/// sealed and opened. The median of several measurements.
fn primitives(signed: &[usize], boxed: usize) -> f64 {
    const ROUNDS: u32 = 40;
    let suite = NaclSuite::new(&[1; 32]);
    let sign_key = suite.sign_key(&[2; 32]);
    let Ok(verify_key) = suite.verify_key(&suite.sign_key_public(&sign_key)) else {
        return 0.0;
    };
    let secret = suite.secret_key(&[3; 32]);
    let Ok(box_key) = suite.box_key(&secret, &suite.public_key(&suite.secret_key(&[4; 32]))) else {
        return 0.0;
    };
    let packets: Vec<Vec<u8>> = signed.iter().map(|&len| vec![6; len]).collect();
    let mut body = vec![7; boxed];
    let mut once = || {
        for packet in &packets {
            let signature = suite.sign(&sign_key, black_box(packet));
            black_box(suite.verify(&verify_key, packet, &signature));
        }
        let tag = suite.seal(&box_key, &[8; 24], black_box(&mut body));
        black_box(suite.open(&box_key, &[8; 24], &mut body, &tag));
    };
    let mut times: Vec<f64> = (0..15)
        .map(|_| {
            let started = clock(ClockId::ThreadCPUTime);
            (0..ROUNDS).for_each(|_| once());
            micros(clock(ClockId::ThreadCPUTime).saturating_sub(started)) / f64::from(ROUNDS)
        })
        .collect();
    times.sort_unstable_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(0.0)
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// What all threads of this process have used.
fn cpu_time() -> Duration {
    clock(ClockId::ProcessCPUTime)
}

fn clock(id: ClockId) -> Duration {
    Duration::try_from(clock_gettime(id)).unwrap_or_default()
}

/// Binds this thread, and those that it starts, to the core that it runs on.
#[cfg(target_os = "linux")]
fn pin() -> bool {
    let mut one = rustix::thread::CpuSet::new();
    one.set(rustix::thread::sched_getcpu());
    rustix::thread::sched_setaffinity(None, &one).is_ok()
}

#[cfg(not(target_os = "linux"))]
fn pin() -> bool {
    false
}
