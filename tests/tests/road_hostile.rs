//! Every hostile datagram that was recorded, thrown at an engine that holds a proven session: it
//! does not panic, what is proven stays, the datagram is counted under a reason, and the peer's
//! next message still arrives.
//!
//! The cases were made for one estate's ids and keys, so those are scripted: `other`, to which
//! `main` gave near uid 11 and which calls `main` 21, is joined and allowed, and `main` has last
//! heard its session id 2.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use raet_core::config::{Config, Trust};
use raet_core::crypto::{Purpose, Secrets};
use raet_core::limits::Limits;
use raet_core::stats::{Reason, Verdict};
use raet_core::storage::{Fixed, Heap, Storage};
use raet_core::time::Instant;
use raet_core::wire::{BodyKind, name};
use raet_core::{RoadStack, SendOptions};
use raet_tests::scripted::{Script, Scripted};
use raet_tests::vectors::{self, Recording};
use serde_json::Value;

/// Cases that an open road answers. They change nothing that is proven.
const TAKEN: &[(&str, &str)] = &[];

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
    /// What came to `main`'s application.
    delivered: Vec<Vec<u8>>,
}

impl<S: Storage> Road<S> {
    /// The two after their allow and a sign of life.
    fn allowed(recording: &Recording) -> Self {
        let mut road = Self { now: 0, estates: BTreeMap::new(), delivered: Vec::new() };
        for (called, address, near, seed) in [("main", MAIN, 11_u32, 1), ("other", OTHER, 21, 2)] {
            let called = Value::from(called);
            let estate = recording.estates(&called).next().expect("main and other");
            let text = |field: &str| estate[field].as_str().expect("text");
            let secrets = Secrets::from_hex(text("sighex"), text("prihex")).expect("keys");
            let mut config = Config::new(name(text("name")).expect("a name"), secrets);
            config.main = text("name") == "main";
            config.mutable = true;
            config.trust = Trust::Always;
            let script = Script::default();
            script.push(Purpose::NearUid { remote: 0, attempt: 0 }, &near.to_le_bytes());
            let suite = Scripted::new(&[seed; 32], script);
            let stack = RoadStack::new(Instant::ZERO, config, limits(), suite, []);
            road.estates.insert(address.into(), stack.expect("a good configuration"));
        }
        let main = road.other().add_remote(Instant::ZERO, MAIN.into(), 0).expect("room");
        road.other().alive(Instant::ZERO, main).expect("it is there");
        road.run(1_000_000);
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
            match due.map(|timeout| timeout.at.as_micros()).min().filter(|due| *due <= until) {
                Some(due) => self.now = due,
                None => {
                    self.now = until;
                    return;
                }
            }
            let now = Instant::from_micros(self.now);
            self.estates.values_mut().for_each(|estate| estate.handle_timeout(now));
        }
        panic!("the estates do not come to rest");
    }

    /// Carries datagrams until none is on its way.
    fn carry(&mut self) {
        let now = Instant::from_micros(self.now);
        loop {
            let mut sent = Vec::new();
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
                    sent.push((*from, transmit.to, out[..transmit.len].to_vec()));
                }
            }
            if sent.is_empty() {
                return;
            }
            for (from, to, mut datagram) in sent {
                if let Some(estate) = self.estates.get_mut(&to) {
                    estate.handle_datagram(now, from, &mut datagram);
                }
            }
        }
    }

    /// Everything about `other` that only its keys may change.
    fn proven(&mut self) -> String {
        let main = self.main();
        let remote = main.remotes().find(|remote| remote.name == "other").expect("other stays");
        let role = main.roles().find(|role| role.name == "other").expect("its role stays");
        format!(
            "{:?} {:?} {:?} {:?} {:?} {} {} {} {} {} / {:?} {:?}",
            remote.id, remote.near, remote.far, remote.role, remote.address, remote.main, remote.kind,
            remote.joined, remote.proven, remote.allowed, role.status, role.keys,
        )
    }
}

#[test]
fn on_the_heap() {
    throw_all::<Heap>();
}

#[test]
fn in_fixed_storage() {
    // The engine holds all its buffers inside itself.
    let thread = std::thread::Builder::new().stack_size(64 << 20).spawn(throw_all::<Small>);
    thread.expect("a thread").join().expect("no failure");
}

fn throw_all<S: Storage>() {
    let recordings = vectors::road();
    let mut keys = None;
    let (mut cases, mut reasons) = (0, BTreeMap::new());
    for recording in &recordings {
        let both = ["main", "other"].map(Value::from);
        if both.iter().all(|name| recording.estates(name).next().is_some()) {
            // All recordings of a directory have the same estates.
            keys = Some(recording);
        }
        for case in recording.of_kind("hostile") {
            let estates = keys.expect("a recording with main and other comes first");
            for from in [ELSEWHERE, OTHER] {
                throw::<S>(estates, case, from.into(), &mut reasons);
                cases += 1;
            }
        }
    }
    println!("{cases} cases: {reasons:#?}");
    assert!(cases > 0, "nothing was thrown");
}

fn throw<S: Storage>(
    estates: &Recording,
    case: &Value,
    from: SocketAddr,
    reasons: &mut BTreeMap<String, usize>,
) {
    let label = case["case"].as_str().expect("a name");
    let place = format!("{label} from {from}");
    let mut road = Road::<S>::allowed(estates);
    road.run(300_000);
    let before = road.proven();
    let now = Instant::from_micros(road.now);
    for raw in case["raw"].as_array().expect("datagrams") {
        let counted = road.main().stats().clone();
        let verdict = road.main().handle_datagram(now, from, &mut vectors::bytes(raw));
        *reasons.entry(format!("{verdict:?}")).or_default() += 1;
        let stats = road.main().stats().clone();
        assert_eq!(stats.datagrams_in, counted.datagrams_in + 1, "{place}");
        match verdict {
            Verdict::Dropped(reason) => {
                let (was, is) = (counted.dropped(reason), stats.dropped(reason));
                assert_eq!(is, was + 1, "{place}: {reason:?} was not counted");
                assert_eq!(stats.dropped_in_all(), counted.dropped_in_all() + 1, "{place}");
            }
            Verdict::Taken | Verdict::Repeated => {
                assert!(TAKEN.iter().any(|(name, _)| *name == label), "{place}: {verdict:?}");
            }
        }
        assert_eq!(road.proven(), before, "{place}: at once");
        assert!(Reason::ALL.iter().all(|r| stats.dropped(*r) >= counted.dropped(*r)), "{place}");
    }
    road.carry();
    assert_eq!(road.delivered, Vec::<Vec<u8>>::new(), "{place}: delivered");
    road.run(6_000_000);
    assert_eq!(road.proven(), before, "{place}: later");

    let body = br#"{"after":1}"#;
    let now = Instant::from_micros(road.now);
    let to = road.other().find("main").expect("main stays");
    let options = SendOptions { body: BodyKind::Json, token: 0, deadline: None, once: false };
    road.other()
        .send(now, to, options, body.len(), |out| out.copy_from_slice(body))
        .expect("room for a message");
    road.run(Duration::from_secs(6).as_micros() as u64);
    assert_eq!(road.delivered, [body.to_vec()], "{place}: the next message");
}
