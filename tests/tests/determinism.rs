//! The same seed and inputs give the same bytes, and polling more often, in another order or at other
//! moments changes nothing.

#![allow(
    clippy::needless_pass_by_value,
    reason = "quickcheck hands values over"
)]

use std::time::Duration;

use quickcheck::{QuickCheck, TestResult};
use raet_core::config::Presence;
use raet_core::crypto::{Crypto, NaclSuite};
use raet_core::event::Event;
use raet_core::storage::{Fixed, Heap, Storage};
use raet_core::time::Instant;
use raet_core::{RemoteId, SendOptions};
use raet_tests::sim::{Packet, Rng, World, config, main_config};
use raet_tests::suite::Weak;

/// Everything that a world shows of its estates.
#[derive(PartialEq, Debug)]
struct Shown {
    /// Time, and what was sent then.
    log: Vec<(Instant, Packet)>,
    events: Vec<Vec<Event>>,
    messages: Vec<Vec<(String, Vec<u8>)>>,
}

/// Loses, doubles and delays a datagram by what it is and when it was sent, so that the fate of one
/// does not depend on the order in which others were sent at the same moment.
fn weather(seed: u64) -> raet_tests::sim::Weather {
    Box::new(move |now, packet, _| {
        let mut rng = Rng::new(seed ^ now.as_micros());
        for byte in &packet.bytes {
            rng = Rng::new(rng.bits() ^ u64::from(*byte));
        }
        let copies = match rng.below(10) {
            0 | 1 => 0,
            2 => 2,
            _ => 1,
        };
        (0..copies)
            .map(|_| Duration::from_micros(1 + rng.bits() % 50_000))
            .collect()
    })
}

/// Plays these inputs on three estates.
fn play<S: Storage, C: Crypto>(
    seed: u64,
    inputs: &[u16],
    restless: Option<Rng>,
    suite: impl Fn(&[u8; 32]) -> C + 'static,
) -> Shown {
    let mut world = World::<S, C>::new(seed, suite);
    world.weather = weather(seed);
    world.restless = restless;
    world.add(S::LIMITS, || main_config("main", 1));
    world.add(S::LIMITS, || config("other", 2));
    world.add(S::LIMITS, || {
        let mut config = config("third", 3);
        config.presence = Some(Presence::default());
        config
    });
    let mut remotes: Vec<(usize, RemoteId)> =
        vec![(1, world.connect(1, 0)), (2, world.connect(2, 0))];
    for (step, input) in inputs.iter().enumerate() {
        let now = world.now;
        let what = input % 16;
        let size = usize::from(input >> 4);
        let (n, remote) = remotes[size % remotes.len()];
        let estate = &mut world.estates[n];
        match what {
            0..=5 => {
                let options = SendOptions {
                    token: step as u64,
                    once: what == 5,
                    deadline: (what == 4).then(|| now + Duration::from_millis(700)),
                    ..SendOptions::default()
                };
                // Full or forgotten is an answer, too.
                let _ = estate
                    .stack
                    .send(now, remote, options, size, |room| room.fill(what as u8));
            }
            6 => drop(estate.stack.alive(now, remote)),
            7 => drop(estate.stack.allow(now, remote)),
            8 => drop(estate.stack.join(now, remote)),
            9 => estate.deaf = !estate.deaf,
            10 if size % 8 == 0 => drop(estate.stack.forget(now, remote)),
            11 if size % 8 == 0 => {
                world.restart(n);
                remotes.retain(|(of, _)| *of != n);
                let to = usize::from(n == 0);
                remotes.push((n, world.connect(n, to)));
            }
            12 => {
                let main = &world.estates[0].stack;
                remotes.extend(main.find("other").map(|remote| (0, remote)));
                remotes.truncate(8);
            }
            _ => world.run(Duration::from_millis(size as u64)),
        }
        // Outputs are polled after every input, as the contract says.
        for n in 0..world.estates.len() {
            world.drive(n);
        }
    }
    for estate in &mut world.estates {
        estate.deaf = false;
    }
    world.run(Duration::from_secs(20));
    // At one moment estates and their packets have no order among each other.
    let mut log = world.log;
    log.sort_by(|a, b| {
        (a.0, a.1.from, a.1.to, &a.1.bytes).cmp(&(b.0, b.1.from, b.1.to, &b.1.bytes))
    });
    Shown {
        log,
        events: world
            .estates
            .iter_mut()
            .map(|e| std::mem::take(&mut e.events))
            .collect(),
        messages: world
            .estates
            .iter_mut()
            .map(|e| std::mem::take(&mut e.messages))
            .collect(),
    }
}

type Small = Fixed<4, 16, 32768>;

fn repeats<S: Storage>(seed: u64, inputs: Vec<u16>) -> bool {
    let play = || play::<S, _>(seed, &inputs, None, Weak::new);
    play() == play()
}

fn rests_or_not<S: Storage>(seed: u64, whims: u64, inputs: Vec<u16>) -> TestResult {
    let calm = play::<S, _>(seed, &inputs, None, Weak::new);
    let restless = play::<S, _>(seed, &inputs, Some(Rng::new(whims)), Weak::new);
    if let Some((a, b)) = calm.log.iter().zip(&restless.log).find(|(a, b)| a != b) {
        return TestResult::error(format!(
            "{:?} and {:?}\n{a:?}\n{b:?}",
            a.1.kind(),
            b.1.kind()
        ));
    }
    TestResult::from_bool(calm == restless)
}

#[test]
fn the_same_seed_and_inputs_give_the_same_bytes() {
    QuickCheck::new()
        .tests(60)
        .quickcheck(repeats::<Heap> as fn(u64, Vec<u16>) -> bool);
    QuickCheck::new()
        .tests(60)
        .quickcheck(repeats::<Small> as fn(u64, Vec<u16>) -> bool);
}

#[test]
fn how_it_is_polled_changes_nothing() {
    let heap: fn(u64, u64, Vec<u16>) -> TestResult = rests_or_not::<Heap>;
    QuickCheck::new().tests(150).quickcheck(heap);
    let small: fn(u64, u64, Vec<u16>) -> TestResult = rests_or_not::<Small>;
    QuickCheck::new().tests(150).quickcheck(small);
}

#[test]
fn both_storages_give_the_same_bytes() {
    fn alike(seed: u64, inputs: Vec<u16>) -> bool {
        // One body at a time is the one thing in which a pool may differ from an allocator: room.
        let inputs: Vec<_> = inputs.into_iter().map(|input| input % 8192).collect();
        let limits = play::<Fixed<4, 64, 131_072>, _>(seed, &inputs, None, Weak::new);
        limits == play::<Heap, _>(seed, &inputs, None, Weak::new)
    }
    let alike: fn(u64, Vec<u16>) -> bool = alike;
    QuickCheck::new().tests(60).quickcheck(alike);
}

#[test]
fn the_real_suite_is_as_steady() {
    let inputs: Vec<u16> = (0..40_u16).map(|n| n.wrapping_mul(40_503)).collect();
    let seeds = || (0..5_u64).map(|seed| play::<Heap, _>(seed, &inputs, None, NaclSuite::new));
    let restless = (0..5_u64).map(|seed| {
        let whims = Some(Rng::new(seed + 100));
        play::<Heap, _>(seed, &inputs, whims, NaclSuite::new)
    });
    let first: Vec<_> = seeds().collect();
    assert!(first.iter().zip(seeds()).all(|(a, b)| *a == b));
    assert!(first.iter().zip(restless).all(|(a, b)| *a == b));
    let taken: usize = first.iter().flat_map(|s| &s.messages).map(Vec::len).sum();
    assert!(taken > 20, "messages got through: {taken}");
    assert_ne!(first[0].log, first[1].log, "another seed, other bytes");
}
