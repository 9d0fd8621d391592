//! Every hostile datagram that was recorded, thrown at an engine that holds a proven session: it
//! does not panic, what is proven stays, the datagram is counted under a reason, and the peer's
//! next message still arrives.
//!
//! The cases were made for one estate's ids and keys, so those are scripted: `other`, to which
//! `main` gave near uid 11 and which calls `main` 21, is joined and allowed, and `main` has last
//! heard its session id 2.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;

use raet_core::config::{Config, Trust};
use raet_core::crypto::{Purpose, Secrets};
use raet_core::limits::Limits;
use raet_core::stats::Verdict;
use raet_core::storage::{Fixed, Heap, Storage};
use raet_core::time::Instant;
use raet_core::wire::{BodyKind, name};
use raet_core::{RoadStack, SendOptions};
use raet_tests::scripted::{Script, Scripted};
use raet_tests::vectors::{self, Recording};
use serde_json::Value;

/// Cases that are answered, and why. They change nothing that is proven.
const TAKEN: &[(&str, &str)] = &[
    (
        "json-head-unknown-key",
        "a stranger's join, which this road is open to; the key is ignored",
    ),
    (
        "join-unknown-nuid",
        "H10: a peer that main had lost would come back so",
    ),
    (
        "join-takeover-by-name",
        "H4: it makes a candidate, which nobody can prove",
    ),
];

const MAIN: ([u8; 4], u16) = ([127, 0, 0, 1], 7530);
const OTHER: ([u8; 4], u16) = ([127, 0, 0, 1], 7531);
/// Where the recorded cases came from.
const ELSEWHERE: ([u8; 4], u16) = ([127, 0, 0, 1], 9999);

const MESSAGE: usize = 4000;
type Small = Fixed<4, 8, { 4 * Limits::budget(MESSAGE) }>;

fn limits() -> Limits {
    let bytes = 2 * Limits::budget(MESSAGE);
    Limits {
        remotes: 4,
        roles: 4,
        handshakes: 2,
        outbox: 8,
        inbox: 8,
        remote_inbox: 4,
        message: MESSAGE,
        outbox_bytes: bytes,
        inbox_bytes: bytes,
        remote_inbox_bytes: Limits::budget(MESSAGE),
        replies: 8,
    }
}

/// `main`, `other` and the network between them, which loses nothing.
struct Road<S: Storage> {
    now: u64,
    estates: BTreeMap<SocketAddr, RoadStack<S, Scripted>>,
    /// Datagrams on their way: from, to, bytes.
    under_way: VecDeque<(SocketAddr, SocketAddr, Vec<u8>)>,
    /// What came to `main`'s application.
    delivered: Vec<Vec<u8>>,
}

impl<S: Storage> Road<S> {
    /// The two, which do not know each other yet. `open`: `main` takes messages without a coat.
    fn new(recording: &Recording, open: bool) -> Self {
        let mut road = Self {
            now: 0,
            estates: BTreeMap::new(),
            under_way: VecDeque::new(),
            delivered: Vec::new(),
        };
        for (called, address, near, seed) in [("main", MAIN, 11_u32, 1), ("other", OTHER, 21, 2)] {
            let called = Value::from(called);
            let estate = recording.estates(&called).next().expect("main and other");
            let text = |field: &str| estate[field].as_str().expect("text");
            let secrets = Secrets::from_hex(text("sighex"), text("prihex")).expect("keys");
            let mut config = Config::new(name(text("name")).expect("a name"), secrets);
            config.main = text("name") == "main";
            config.mutable = true;
            config.trust = Trust::Always;
            config.accept_uncoated = open;
            let script = Script::default();
            let near_uid = Purpose::NearUid {
                remote: 0,
                attempt: 0,
            };
            script.push(near_uid, &near.to_le_bytes());
            let suite = Scripted::new(&[seed; 32], script);
            let stack = RoadStack::new(Instant::ZERO, config, limits(), suite, []);
            road.estates
                .insert(address.into(), stack.expect("a good configuration"));
        }
        road
    }

    /// The two after their allow and a sign of life.
    fn allowed(recording: &Recording, open: bool) -> Self {
        let mut road = Self::new(recording, open);
        let main = road
            .other()
            .connect(Instant::ZERO, MAIN.into(), 0)
            .expect("room");
        road.run(1_000_000);
        let now = Instant::from_micros(road.now);
        road.other().alive(now, main).expect("it is there");
        road.run(300_000);
        let known = road.main().remotes().next().expect("other has joined");
        assert!(known.proven && known.allowed, "{known:?}");
        assert_eq!((known.near, known.far), (11, 21));
        road
    }

    fn main(&mut self) -> &mut RoadStack<S, Scripted> {
        self.estates.get_mut(&MAIN.into()).expect("main")
    }

    fn other(&mut self) -> &mut RoadStack<S, Scripted> {
        self.estates.get_mut(&OTHER.into()).expect("other")
    }

    /// Lets so many microseconds pass.
    fn run(&mut self, micros: u64) {
        let until = self.now + micros;
        for _ in 0..100_000 {
            self.carry();
            let due = self.estates.values().filter_map(RoadStack::poll_timeout);
            let due = due.map(|timeout| timeout.at.as_micros()).min();
            let Some(due) = due.filter(|due| *due <= until) else {
                self.now = until;
                return;
            };
            self.now = due;
            let now = Instant::from_micros(self.now);
            self.estates
                .values_mut()
                .for_each(|estate| estate.handle_timeout(now));
        }
        panic!("the estates do not come to rest");
    }

    /// Carries datagrams until none is on its way.
    fn carry(&mut self) {
        while self.carry_one() {}
    }

    /// Carries the next datagram, if there is one.
    fn carry_one(&mut self) -> bool {
        let now = Instant::from_micros(self.now);
        for (from, estate) in &mut self.estates {
            while let Some(record) = estate.poll_record() {
                estate.handle_stored(now, &record);
            }
            while estate.poll_event().is_some() {}
            while let Some(body) = estate.poll_message(|message| message.body.to_vec()) {
                self.delivered.push(body);
            }
            let mut out = [0; 1024];
            while let Some(transmit) = estate.poll_transmit(now, &mut out) {
                let datagram = out[..transmit.len].to_vec();
                self.under_way.push_back((*from, transmit.to, datagram));
            }
        }
        let Some((from, to, mut datagram)) = self.under_way.pop_front() else {
            return false;
        };
        if let Some(estate) = self.estates.get_mut(&to) {
            estate.handle_datagram(now, from, &mut datagram);
        }
        true
    }

    /// `other` sends a message, which must arrive within so many seconds, and nothing else.
    fn next_message_arrives(&mut self, seconds: u64, place: &str) {
        let body = br#"{"after":1}"#;
        let now = Instant::from_micros(self.now);
        let to = self.other().remotes().next().expect("main stays").id;
        let options = SendOptions {
            body: BodyKind::Json,
            ..SendOptions::default()
        };
        self.other()
            .send(now, to, options, body.len(), |out| {
                out.copy_from_slice(body);
            })
            .expect("room for a message");
        self.delivered.clear();
        self.run(seconds * 1_000_000);
        assert_eq!(self.delivered, [body.to_vec()], "{place}: the next message");
    }

    /// Everything about `other` that only its keys may change.
    fn proven(&mut self) -> String {
        let main = self.main();
        let remote = main
            .remotes()
            .find(|remote| remote.name == "other")
            .expect("other stays");
        let role = main
            .roles()
            .find(|role| role.name == "other")
            .expect("its role stays");
        format!(
            "{:?} {:?} {:?} {:?} {:?} {} {} {} {} {} / {:?} {:?}",
            remote.id,
            remote.near,
            remote.far,
            remote.role,
            remote.address,
            remote.main,
            remote.kind,
            remote.joined,
            remote.proven,
            remote.allowed,
            role.status,
            role.keys,
        )
    }
}

#[test]
fn thrown_at_a_session_on_the_heap() {
    at_a_session::<Heap>();
}

#[test]
fn thrown_at_a_session_in_fixed_storage() {
    in_a_thread(at_a_session::<Small>);
}

#[test]
fn thrown_into_a_handshake_on_the_heap() {
    into_a_handshake::<Heap>();
}

#[test]
fn thrown_into_a_handshake_in_fixed_storage() {
    in_a_thread(into_a_handshake::<Small>);
}

/// In a thread with room for an engine that holds all its buffers inside itself.
fn in_a_thread(test: fn()) {
    let thread = std::thread::Builder::new().stack_size(64 << 20).spawn(test);
    thread.expect("a thread").join().expect("no failure");
}

/// Every case with a recording of its estates: `main` and `other` are the same in all of a
/// directory.
fn cases(recordings: &[Recording]) -> Vec<(&Recording, &Value)> {
    let mut estates = None;
    let mut cases = Vec::new();
    for recording in recordings {
        let both = ["main", "other"].map(Value::from);
        if both
            .iter()
            .all(|name| recording.estates(name).next().is_some())
        {
            estates = Some(recording);
        }
        for case in recording
            .of_kind("hostile")
            .filter(|_| recording.name.starts_with("road"))
        {
            cases.push((
                estates.expect("a recording with main and other comes first"),
                case,
            ));
        }
    }
    assert!(!cases.is_empty(), "nothing to throw");
    cases
}

fn at_a_session<S: Storage>() {
    let recordings = vectors::road();
    let mut verdicts = BTreeMap::new();
    for (estates, case) in cases(&recordings) {
        for from in [ELSEWHERE, OTHER] {
            for open in [false, true] {
                throw::<S>(estates, case, from.into(), open, &mut verdicts);
            }
        }
    }
    println!("{verdicts:#?}");
}

fn throw<S: Storage>(
    estates: &Recording,
    case: &Value,
    from: SocketAddr,
    open: bool,
    verdicts: &mut BTreeMap<String, usize>,
) {
    let label = case["case"].as_str().expect("a name");
    let place = format!("{label} from {from}, open {open}");
    let mut road = Road::<S>::allowed(estates, open);
    let before = road.proven();
    let now = Instant::from_micros(road.now);
    for raw in case["raw"].as_array().expect("datagrams") {
        let counted = road.main().stats().clone();
        let verdict = road
            .main()
            .handle_datagram(now, from, &mut vectors::bytes(raw));
        *verdicts.entry(format!("{verdict:?}")).or_default() += 1;
        let stats = road.main().stats().clone();
        assert_eq!(stats.datagrams_in, counted.datagrams_in + 1, "{place}");
        match verdict {
            Verdict::Dropped(reason) => {
                let (was, is) = (counted.dropped(reason), stats.dropped(reason));
                assert_eq!(is, was + 1, "{place}: {reason:?} was not counted");
                assert_eq!(
                    stats.dropped_in_all(),
                    counted.dropped_in_all() + 1,
                    "{place}"
                );
            }
            Verdict::Taken | Verdict::Repeated => {
                // Who bears the peer's key and stands where it does is the peer, to an open road.
                let peer = open && from == OTHER.into() && case["sender"] == "peer";
                let meant = peer || TAKEN.iter().any(|(name, _)| *name == label);
                assert!(meant, "{place}: {verdict:?}");
            }
        }
        assert_eq!(road.proven(), before, "{place}: at once");
    }
    road.carry();
    if case["sender"] != "peer" || !open {
        assert_eq!(road.delivered, Vec::<Vec<u8>>::new(), "{place}: delivered");
    }
    road.run(6_000_000);
    assert_eq!(road.proven(), before, "{place}: later");
    road.next_message_arrives(6, &place);
    assert_eq!(road.proven(), before, "{place}: in the end");
}

/// Every case between any two packets of the way from strangers to a session: nothing panics, and
/// the two come together all the same.
fn into_a_handshake<S: Storage>() {
    let recordings = vectors::road();
    for (estates, case) in cases(&recordings) {
        for from in [ELSEWHERE, OTHER] {
            for stage in 0..8 {
                interrupt::<S>(estates, case, from.into(), stage);
            }
        }
    }
}

fn interrupt<S: Storage>(estates: &Recording, case: &Value, from: SocketAddr, stage: usize) {
    let place = format!("{} from {from} after {stage} packets", case["case"]);
    let mut road = Road::<S>::new(estates, false);
    road.other()
        .connect(Instant::ZERO, MAIN.into(), 0)
        .expect("room");
    for _ in 0..stage {
        assert!(road.carry_one(), "{place}: the handshake has more packets");
    }
    for raw in case["raw"].as_array().expect("datagrams") {
        road.main()
            .handle_datagram(Instant::ZERO, from, &mut vectors::bytes(raw));
    }
    road.run(60_000_000);
    let ours = road.other().public_keys();
    for remote in road.main().remotes().filter(|remote| remote.proven) {
        assert_eq!(
            (remote.name.as_str(), remote.keys),
            ("other", Some(ours)),
            "{place}"
        );
    }
    road.next_message_arrives(6, &place);
}
