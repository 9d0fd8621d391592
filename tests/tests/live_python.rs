//! An engine of ours against Python RAET 0.6.8, over loopback, in real time.
//!
//! Both are black boxes here: what counts is which messages arrive, how often, and what their senders
//! are told. Bounds are there against hanging only.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use raet_core::config::{Config, Presence, Trust};
use raet_core::crypto::Secrets;
use raet_core::event::{Doubt, Outcome, RemoteEvent};
use raet_core::storage::{Fixed, Heap, Storage};
use raet_core::wire::{BodyKind, HeadKind, MAX_PACKET, PacketKind, TransactionKind};
use raet_core::{RemoteId, SendOptions};
use raet_tests::interop::{self, Peer, Python, Road, is, is_alive};
use raet_tests::live::{Estate, Way, kind_of, lose_first, lossy};
use serde_json::{Value, json};

const BOUND: Duration = Duration::from_secs(30);
const LARGE: usize = 300_000;
const MESSAGE: TransactionKind = TransactionKind::Message;

/// Which side is the main estate. The other one begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Main {
    Rust,
    Python,
}

/// The kinds that both sides send.
type Kinds = (HeadKind, BodyKind);

const KINDS: [Kinds; 4] = [
    (HeadKind::Native, BodyKind::Json),
    (HeadKind::Native, BodyKind::Msgpack),
    (HeadKind::Json, BodyKind::Json),
    (HeadKind::Json, BodyKind::Msgpack),
];

/// An engine and a peer that know of each other or are about to.
struct Pair<S: Storage> {
    estate: Estate<S>,
    peer: Peer,
    road: Road,
    main: Main,
    body: BodyKind,
    /// The number of the last message.
    last: u64,
    /// Messages that the peer has taken, and must not take again.
    told: u64,
}

fn config(main: Main, (head, body): Kinds) -> Config {
    let secrets = Secrets::new(&[0x51; 32], &[0x52; 32]);
    let mut config = Config::new("rust".try_into().expect("a short name"), secrets);
    config.main = main == Main::Rust;
    config.trust = Trust::Once;
    config.mutable = true;
    config.head = head;
    config.body = body;
    config
}

fn options(main: Main, (head, body): Kinds) -> Value {
    let head = match head {
        HeadKind::Native => "raet",
        HeadKind::Json => "json",
    };
    let body = match body {
        BodyKind::Msgpack => "msgpack",
        _ => "json",
    };
    json!({
        "name": "python", "main": main == Main::Python, "mutable": true, "auto": "once",
        "hk": head, "bk": body,
    })
}

fn with(mut options: Value, more: &Value) -> Value {
    for (key, value) in more.as_object().expect("an object") {
        options[key] = value.clone();
    }
    options
}

fn ha(address: std::net::SocketAddr) -> Value {
    json!([address.ip().to_string(), address.port()])
}

fn pack(body: BodyKind, value: &Value) -> Vec<u8> {
    match body {
        BodyKind::Msgpack => rmp_serde::to_vec(value).expect("plain values pack"),
        _ => serde_json::to_vec(value).expect("plain values pack"),
    }
}

fn unpack(body: BodyKind, bytes: &[u8]) -> Value {
    match body {
        BodyKind::Msgpack => rmp_serde::from_slice(bytes).expect("a msgpack body"),
        _ => serde_json::from_slice(bytes).expect("a json body"),
    }
}

impl Pair<Heap> {
    fn start(python: &Python, main: Main, kinds: Kinds, more: &Value) -> Self {
        Self::start_with(python, main, kinds, more, config(main, kinds))
    }
}

impl<S: Storage> Pair<S> {
    fn start_with(python: &Python, main: Main, kinds: Kinds, more: &Value, config: Config) -> Self {
        let mut peer = python.spawn("python");
        let road = peer.start_road(with(options(main, kinds), more));
        Self {
            estate: Estate::new(config, S::LIMITS, [1; 32]),
            peer,
            road,
            main,
            body: kinds.1,
            last: 0,
            told: 0,
        }
    }

    #[track_caller]
    fn until<R>(&mut self, what: &str, mut done: impl FnMut(&mut Self) -> Option<R>) -> R {
        let end = Instant::now() + BOUND;
        while Instant::now() < end {
            if let Some(found) = done(self) {
                return found;
            }
            self.estate.step(Duration::from_millis(2));
        }
        let stats = self.peer.command(json!({"cmd": "stats"}));
        let far = self.peer.command(json!({"cmd": "remotes"}));
        panic!(
            "no {what} in {BOUND:?}\n  events {:?}\n  remotes {:?}\n  {:?}\n  peer: {stats}\n  {far}",
            self.estate.events,
            self.estate.stack.remotes().collect::<Vec<_>>(),
            self.estate.stack.stats(),
        );
    }

    fn run(&mut self, time: Duration) {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.estate.step(Duration::from_millis(2));
        }
    }

    /// Who is not main joins and allows.
    #[track_caller]
    fn begin(&mut self) {
        match self.main {
            Main::Rust => {
                let ha = ha(self.estate.address());
                let uid = self.peer.command(json!({"cmd": "add_remote", "ha": ha}))["uid"].clone();
                // Without a timeout, as deployments do: the other side of a bad network may need long.
                let join = json!({"cmd": "join", "uid": uid, "cascade": true, "timeout": 0});
                self.peer.command(join);
            }
            Main::Python => {
                self.estate.connect(self.road.address);
            }
        }
    }

    #[track_caller]
    fn up(&mut self) {
        self.until("session", |pair| {
            let id = pair.estate.stack.find("python")?;
            let near = pair.estate.stack.remote(id)?;
            (near.joined && near.proven && near.allowed).then_some(())
        });
        self.until("session at the peer", |pair| pair.peer.poll_for(is_alive));
    }

    /// Another process takes the peer's place, which yet has no stack. Returns the old one.
    fn next_peer(&mut self, python: &Python) -> Peer {
        std::mem::replace(&mut self.peer, python.spawn("python again"))
    }

    fn id(&self) -> RemoteId {
        self.estate.stack.find("python").expect("joined by name")
    }

    fn value(&mut self, pad: usize) -> Value {
        self.last += 1;
        json!({"n": self.last, "pad": "x".repeat(pad)})
    }

    /// Sends a message of ours, its number the token.
    fn tell(&mut self, pad: usize) -> Value {
        let value = self.value(pad);
        let options = SendOptions {
            body: self.body,
            token: self.last,
            ..SendOptions::default()
        };
        let body = pack(self.body, &value);
        let id = self.id();
        self.estate.send(id, options, &body);
        value
    }

    /// Has the peer send a message.
    #[track_caller]
    fn ask(&mut self, pad: usize) -> Value {
        let value = self.value(pad);
        self.peer
            .command(json!({"cmd": "transmit", "msg": value, "name": "rust"}));
        value
    }

    /// Waits until the peer has taken a message of ours.
    #[track_caller]
    fn told(&mut self, value: &Value) {
        let n = value["n"].clone();
        let got = self.until("message at the peer", |pair| {
            pair.peer.poll_for(|e| is("msg")(e) && e["body"]["n"] == n)
        });
        assert_eq!(got["from"], "rust");
        assert_eq!(got["body"], *value);
        self.told += 1;
    }

    #[track_caller]
    fn outcome(&mut self, value: &Value) -> Outcome {
        let n = value["n"].as_u64().expect("a number");
        self.until("outcome", |pair| pair.estate.outcome(n))
    }

    /// Waits until a message of the peer was handed over.
    #[track_caller]
    fn asked(&mut self, value: &Value) {
        let body = self.body;
        let came = self.until("message of the peer", |pair| {
            let hit = |m: &raet_tests::live::Taken| unpack(body, &m.body)["n"] == value["n"];
            let at = pair.estate.messages.iter().position(hit)?;
            Some(pair.estate.messages.remove(at))
        });
        assert_eq!((came.from.as_str(), came.kind), ("python", body));
        assert_eq!(unpack(body, &came.body), *value);
    }

    #[track_caller]
    fn stat(&mut self, name: &str) -> u64 {
        self.peer.command(json!({"cmd": "stats"}))["stats"][name]
            .as_u64()
            .unwrap_or(0)
    }

    /// Small and large, both ways at once.
    #[track_caller]
    fn exchange(&mut self, large: usize) {
        let ours = [self.tell(20), self.tell(large)];
        let theirs = [self.ask(20), self.ask(large)];
        for value in &ours {
            self.told(value);
        }
        for value in &theirs {
            self.asked(value);
        }
        for value in &ours {
            assert_eq!(self.outcome(value), Outcome::Delivered);
        }
    }

    /// A sign of life, both ways.
    #[track_caller]
    fn alive(&mut self) {
        let id = self.id();
        let heard = |pair: &Self| pair.estate.stack.remote(id).map(|r| (r.alive, r.heard));
        let (before, count) = (heard(self), self.stat("alive_complete"));
        let now = self.estate.now();
        self.estate.stack.alive(now, id).expect("it is there");
        self.until("answer to our request", |pair| {
            let after = heard(pair);
            (after > before && after.is_some_and(|(up, _)| up == Some(true))).then_some(())
        });
        let answered = self.stat("alive_complete");
        assert!(answered > count, "the peer has answered");
        self.peer.command(json!({"cmd": "alive", "name": "rust"}));
        self.until("answer to the peer's request", |pair| {
            (pair.stat("alive_complete") > answered).then_some(())
        });
    }

    /// Nothing came twice, and nothing that was not sent.
    #[track_caller]
    fn settle(&mut self) {
        self.until("end of the peer's messages", |pair| {
            let far = pair.peer.command(json!({"cmd": "remotes"}));
            let open = &far["remotes"][0]["transactions"];
            open.as_array().is_none_or(Vec::is_empty).then_some(())
        });
        assert_eq!(self.estate.messages, vec![]);
        assert_eq!(self.peer.poll_for(is("msg")), None);
        assert_eq!(self.stat("messengent_correspond_complete"), self.told);
    }

    /// Both forget each other, and meet again as strangers.
    fn part(&mut self) {
        let id = self.id();
        let now = self.estate.now();
        self.estate.stack.forget(now, id).expect("it is there");
        self.peer
            .command(json!({"cmd": "remove_remote", "name": "rust"}));
        self.run(Duration::from_millis(5));
        self.estate.events.clear();
        self.peer.drain();
    }
}

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
    pair.exchange(large);
    pair.alive();
    pair.settle();
    let bad = began.elapsed();
    println!(
        "{main:?} is main, {own:?} meets {kinds:?} {more}: {good:?}, with loss (seed {seed}) {bad:?}"
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
