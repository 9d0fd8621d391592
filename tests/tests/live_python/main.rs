//! An engine of ours against Python RAET 0.6.8, over loopback, in real time.
//!
//! Both are black boxes here: what counts is which messages arrive, how often, and what their senders
//! are told. Bounds are there against hanging only.

mod pair;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use pair::{BOUND, KINDS, Kinds, LARGE, Main, Pair, config, options, pack, unpack, with};
use raet_core::SendOptions;
use raet_core::config::Presence;
use raet_core::event::{Doubt, Outcome, RemoteEvent};
use raet_core::storage::{Fixed, Heap, Storage};
use raet_core::wire::{MAX_PACKET, PacketKind, TransactionKind};
use raet_tests::interop::{self, Python, is, is_alive};
use raet_tests::live::{Way, kind_of, lose_first, lossy};
use serde_json::{Value, json};

const MESSAGE: TransactionKind = TransactionKind::Message;

/// All of it once on a good network, and again on a bad one.
fn whole<S: Storage>(main: Main, kinds: Kinds, own: Kinds, more: &Value) {
    let Some(python) = interop::available() else {
        return;
    };
    let mut pair = Pair::<S>::start_with(&python, main, kinds, more, config(main, own));
    pair.body = own.1;
    let began = Instant::now();
    pair.begin();
    pair.up();
    pair.exchange(LARGE);
    pair.alive();
    pair.settle();
    let good = began.elapsed();

    pair.part();
    let began = Instant::now();
    let seed = seed();
    // In bursts of a few the peer stops for 200 ms at every loss.
    let large = if more["burst"].is_null() {
        LARGE
    } else {
        LARGE / 10
    };
    pair.estate.lose = lossy(seed, 10);
    pair.begin();
    pair.up();
    let up = began.elapsed();
    for outcome in pair.exchange_all(large) {
        // Where done and the last ack of the allow are lost, nobody can know.
        let truths = [Outcome::Delivered, Outcome::Unknown(Doubt::Nacked)];
        assert!(truths.contains(&outcome), "{outcome:?}");
    }
    let exchanged = began.elapsed();
    pair.alive();
    pair.settle();
    let bad = (up, exchanged, began.elapsed());
    println!(
        "{main:?} is main, {own:?} meets {kinds:?} {more}: {good:.1?}, with loss (seed {seed}) {bad:.1?}"
    );
    pair.peer.stop();
}

/// What is lost is drawn from this. Time is real, so a seed repeats a run only roughly.
fn seed() -> u64 {
    let given = std::env::var("RAET_LIVE_SEED").ok();
    given.and_then(|s| s.parse().ok()).unwrap_or(5)
}

fn whole_alike(main: Main, kinds: Kinds) {
    whole::<Heap>(main, kinds, kinds, &json!({}));
}

#[test]
fn rust_is_main_native_heads_json_bodies() {
    whole_alike(Main::Rust, KINDS[0]);
}

#[test]
fn rust_is_main_native_heads_msgpack_bodies() {
    whole_alike(Main::Rust, KINDS[1]);
}

#[test]
fn rust_is_main_json_heads_json_bodies() {
    whole_alike(Main::Rust, KINDS[2]);
}

#[test]
fn rust_is_main_json_heads_msgpack_bodies() {
    whole_alike(Main::Rust, KINDS[3]);
}

#[test]
fn python_is_main_native_heads_json_bodies() {
    whole_alike(Main::Python, KINDS[0]);
}

#[test]
fn python_is_main_native_heads_msgpack_bodies() {
    whole_alike(Main::Python, KINDS[1]);
}

#[test]
fn python_is_main_json_heads_json_bodies() {
    whole_alike(Main::Python, KINDS[2]);
}

#[test]
fn python_is_main_json_heads_msgpack_bodies() {
    whole_alike(Main::Python, KINDS[3]);
}

#[test]
fn each_side_has_its_own_kind_of_head_and_the_peer_bursts_of_one() {
    let burst = json!({"burst": 1});
    whole::<Heap>(Main::Rust, KINDS[0], KINDS[2], &burst);
}

#[test]
fn each_side_has_its_own_kind_of_head_and_the_peer_bursts_of_four() {
    let burst = json!({"burst": 4});
    whole::<Heap>(Main::Python, KINDS[3], KINDS[1], &burst);
}

#[test]
fn all_of_it_without_an_allocator() {
    // The engine holds its all inside itself, more than a test's stack.
    let thread = std::thread::Builder::new()
        .name("all_of_it_without_an_allocator".to_owned())
        .stack_size(64 << 20)
        .spawn(|| whole::<Fixed<4, 8, { 2 << 20 }>>(Main::Rust, KINDS[0], KINDS[0], &json!({})))
        .expect("a thread");
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

/// Joined and allowed, on a good network.
fn pair(python: &Python, main: Main, more: &Value) -> Pair<Heap> {
    let mut pair = Pair::start(python, main, KINDS[0], more);
    pair.begin();
    pair.up();
    pair.estate.events.clear();
    pair
}

#[test]
fn what_is_doubled_and_overtaken_arrives_once() {
    let Some(python) = interop::available() else {
        return;
    };
    for main in [Main::Rust, Main::Python] {
        let mut pair = pair(&python, main, &json!({"burst": 16}));
        let net = json!({"cmd": "net", "seed": 9, "dup": 0.2, "reorder": 0.2, "drop": 0.02});
        pair.peer.command(net);
        pair.exchange(LARGE / 3);
        pair.settle();
        pair.peer.stop();
    }
}

/// The lengths of the message packets that go one way from now on.
fn lengths(pair: &mut Pair<Heap>, way: Way) -> Rc<RefCell<Vec<usize>>> {
    let lengths = Rc::new(RefCell::new(Vec::new()));
    let seen = Rc::clone(&lengths);
    pair.estate.lose = Box::new(move |going, datagram| {
        if going == way && kind_of(datagram) == Some((MESSAGE, PacketKind::Message)) {
            seen.borrow_mut().push(datagram.len());
        }
        false
    });
    lengths
}

#[test]
fn a_packet_is_filled_to_the_last_byte_and_not_beyond() {
    let Some(python) = interop::available() else {
        return;
    };
    let mut pair = pair(&python, Main::Rust, &json!({}));
    for way in [Way::Out, Way::In] {
        let lengths = lengths(&mut pair, way);
        let send = |pair: &mut Pair<Heap>, pad| {
            lengths.borrow_mut().clear();
            match way {
                Way::Out => {
                    let value = pair.tell(pad);
                    pair.told(&value);
                    assert_eq!(pair.outcome(&value), Outcome::Delivered);
                }
                Way::In => {
                    let value = pair.ask(pad);
                    pair.asked(&value);
                }
            }
            lengths.borrow().clone()
        };
        let one = send(&mut pair, 700);
        let [len] = one[..] else {
            panic!("one packet, not {one:?}")
        };
        let full = 700 + MAX_PACKET - len;
        assert_eq!(send(&mut pair, full - 1), [MAX_PACKET - 1]);
        assert_eq!(send(&mut pair, full), [MAX_PACKET]);
        let two = send(&mut pair, full + 1);
        assert_eq!(two.len(), 2, "{way:?} {two:?}");
        assert!(two.iter().all(|len| *len <= MAX_PACKET), "{way:?} {two:?}");
    }
    pair.settle();
    pair.peer.stop();
}

#[test]
fn presence_on_both_sides_sees_the_other_come_go_and_come_back() {
    let Some(python) = interop::available() else {
        return;
    };
    for main in [Main::Rust, Main::Python] {
        let folder = tempfile::tempdir().expect("a folder");
        let more = json!({"period": 0.2, "offset": 0.05, "dirpath": folder.path().join("keep")});
        let mut pair = pair(&python, main, &more);
        let presence = Presence {
            period: Duration::from_millis(200),
            ..Presence::default()
        };
        let now = pair.estate.now();
        pair.estate.stack.set_presence(now, Some(presence));
        pair.peer.command(json!({"cmd": "manage", "cascade": true}));
        let before = pair.stat("alive_complete");
        pair.run(Duration::from_secs(1));
        let asked = pair.stat("alive_complete") - before;
        assert!(
            (3..=12).contains(&asked),
            "{main:?}: {asked} signs of life in a second"
        );
        assert_eq!(pair.estate.happened(RemoteEvent::Went), 0);
        assert_eq!(
            pair.peer.command(json!({"cmd": "remotes"}))["availables"],
            json!(["rust"])
        );

        pair.next_peer(&python).kill();
        let id = pair.estate.stack.find("python").expect("joined");
        let end = Instant::now() + BOUND;
        while pair.estate.happened(RemoteEvent::Went) == 0 {
            assert!(Instant::now() < end, "{main:?}: nobody noticed");
            pair.estate.step(Duration::from_millis(2));
        }
        assert_eq!(
            pair.estate.stack.remote(id).and_then(|r| r.alive),
            Some(false)
        );
        pair.estate.events.clear();
        pair.peer.start_road(with(options(main, KINDS[0]), &more));
        pair.peer
            .command(json!({"cmd": "manage", "cascade": true, "immediate": true}));
        pair.until("the peer's return", |pair| {
            (pair.estate.happened(RemoteEvent::Came) > 0).then_some(())
        });
        pair.up();
        assert_eq!(
            pair.estate.happened(RemoteEvent::Joined),
            0,
            "{main:?}: a new join"
        );
        pair.told = 0;
        pair.exchange(LARGE);
        pair.settle();
        pair.peer.stop();
    }
}

#[test]
fn a_lost_done_never_makes_a_sender_wrong() {
    let Some(python) = interop::available() else {
        return;
    };
    for main in [Main::Rust, Main::Python] {
        let mut pair = pair(&python, main, &json!({}));
        for pad in [10, 5000] {
            // The peer's done: 0.6.8 says nack to the repeat of what it has.
            let lose = json!({"cmd": "net", "dir": "out", "rules": [
                {"action": "drop", "match": {"tk": 0, "pk": 15}, "times": 1}]});
            pair.peer.command(lose);
            let value = pair.tell(pad);
            pair.told(&value);
            assert_eq!(pair.outcome(&value), Outcome::Delivered, "{main:?} {pad}");
            pair.peer.command(json!({"cmd": "net"}));

            // Ours: we say done again.
            pair.estate.lose = lose_first(Way::Out, (MESSAGE, PacketKind::Done), 3);
            let complete = pair.stat("message_initiate_complete");
            let value = pair.ask(pad);
            pair.asked(&value);
            pair.until("done at the peer", |pair| {
                (pair.stat("message_initiate_complete") > complete).then_some(())
            });
            pair.estate.lose = Box::new(|_, _| false);
        }
        pair.settle();
        pair.peer.stop();
    }
}

#[test]
fn a_peer_that_comes_back_from_its_keep_needs_no_join() {
    let Some(python) = interop::available() else {
        return;
    };
    for main in [Main::Rust, Main::Python] {
        let folder = tempfile::tempdir().expect("a folder");
        let more = json!({"dirpath": folder.path().join("keep")});
        let mut pair = pair(&python, main, &more);
        pair.next_peer(&python).stop();
        pair.peer.start_road(with(options(main, KINDS[0]), &more));
        match main {
            Main::Rust => {
                let allow = json!({"cmd": "allow", "name": "rust", "cascade": true});
                pair.peer.command(allow);
            }
            Main::Python => {
                let (now, id) = (pair.estate.now(), pair.id());
                pair.estate.stack.alive(now, id).expect("it is there");
            }
        }
        pair.until("new session", |pair| pair.peer.poll_for(is_alive));
        pair.exchange(LARGE);
        pair.settle();
        assert_eq!(pair.estate.happened(RemoteEvent::Joined), 0, "{main:?}");
        assert_eq!(pair.stat("join_initiate_complete"), 0, "{main:?}");
        assert_eq!(pair.stat("join_correspond_complete"), 0, "{main:?}");
        pair.peer.stop();
    }
}

#[test]
fn what_a_peer_without_a_session_nacks_is_called_delivered_only_if_it_was() {
    let Some(python) = interop::available() else {
        return;
    };
    for main in [Main::Rust, Main::Python] {
        let folder = tempfile::tempdir().expect("a folder");
        let more = json!({"dirpath": folder.path().join("keep")});
        let mut pair = pair(&python, main, &more);
        pair.next_peer(&python).stop();
        // The first copies meet nobody, the later ones a peer that has lost the session.
        let small = pair.tell(10);
        let large = pair.tell(LARGE);
        let id = pair.id();
        let once = SendOptions {
            body: pair.body,
            token: 99,
            once: true,
            ..SendOptions::default()
        };
        pair.estate
            .send(id, once, &pack(pair.body, &json!({"n": 99})));
        pair.run(Duration::from_millis(250));
        pair.peer.start_road(with(options(main, KINDS[0]), &more));
        for value in [&small, &large] {
            pair.told(value);
            assert_eq!(pair.outcome(value), Outcome::Delivered, "{main:?}");
        }
        let outcome = pair.outcome(&json!({"n": 99}));
        assert_eq!(outcome, Outcome::Unknown(Doubt::SessionChanged), "{main:?}");
        pair.settle();
        assert_eq!(pair.estate.happened(RemoteEvent::Joined), 0, "{main:?}");
        pair.peer.stop();
    }
}

#[test]
fn an_engine_that_comes_back_from_its_records_needs_no_join() {
    let Some(python) = interop::available() else {
        return;
    };
    for main in [Main::Rust, Main::Python] {
        let mut pair = pair(&python, main, &json!({}));
        let joins = pair.stat("join_initiate_complete") + pair.stat("join_correspond_complete");
        for life in [2, 3] {
            pair.peer.drain();
            pair.estate = pair.estate.restart(config(main, KINDS[0]), [life; 32]);
            assert!(
                pair.estate
                    .stack
                    .remote(pair.id())
                    .is_some_and(|r| r.joined && !r.allowed)
            );
            if life == 2 {
                // A message of ours makes the session by itself …
                let value = pair.tell(10);
                pair.told(&value);
                assert_eq!(pair.outcome(&value), Outcome::Delivered);
            } else {
                // … and so does one of the peer, which knows nothing of the restart.
                let value = pair.ask(5000);
                pair.asked(&value);
            }
            pair.exchange(LARGE);
            pair.settle();
            assert_eq!(pair.estate.happened(RemoteEvent::Joined), 0, "{main:?}");
        }
        let after = pair.stat("join_initiate_complete") + pair.stat("join_correspond_complete");
        assert_eq!(after, joins, "{main:?}");
        pair.peer.stop();
    }
}

#[test]
fn both_begin_at_once() {
    let Some(python) = interop::available() else {
        return;
    };
    for name in ["alpha", "zeta"] {
        // The lesser name goes on: once the peer's, once ours.
        let more = json!({"name": name, "main": true});
        let mut own = config(Main::Rust, KINDS[0]);
        own.name = "middle".try_into().expect("a short name");
        own.role = own.name.clone();
        let mut pair = Pair::<Heap>::start_with(&python, Main::Rust, KINDS[0], &more, own);
        pair.begin();
        pair.estate.connect(pair.road.address);
        let up = |pair: &mut Pair<Heap>| {
            let id = pair.estate.stack.find(name)?;
            pair.estate
                .stack
                .remote(id)
                .filter(|r| r.allowed)
                .map(|_| id)
        };
        let id = pair.until("session", up);
        pair.until("session at the peer", |pair| pair.peer.poll_for(is_alive));
        pair.run(Duration::from_millis(300));
        assert_eq!(
            pair.estate.stack.remotes().count(),
            1,
            "{name}: one remote, not two"
        );

        for round in 0..3 {
            pair.peer.drain();
            // By its uid: 0.6.8 loses the name of a remote whose join it gave up in a race.
            let uid = pair.peer.command(json!({"cmd": "remotes"}))["remotes"][0]["uid"].clone();
            pair.peer
                .command(json!({"cmd": "allow", "uid": uid, "cascade": true}));
            let now = pair.estate.now();
            pair.estate.stack.allow(now, id).expect("it is there");
            pair.until("session at the peer", |pair| pair.peer.poll_for(is_alive));
            pair.peer
                .command(json!({"cmd": "transmit", "msg": {"n": round}, "uid": uid}));
            let body = pack(pair.body, &json!({"n": round}));
            pair.estate.send(
                id,
                SendOptions {
                    body: pair.body,
                    token: round,
                    ..SendOptions::default()
                },
                &body,
            );
            let got = pair.until("message at the peer", |pair| pair.peer.poll_for(is("msg")));
            assert_eq!(got["body"]["n"], round);
            let came = pair.until("message", |pair| pair.estate.messages.pop());
            assert_eq!(unpack(pair.body, &came.body)["n"], round);
            let outcome = pair.until("outcome", |pair| pair.estate.outcome(round));
            assert_eq!(outcome, Outcome::Delivered);
        }
        pair.peer.stop();
    }
}
