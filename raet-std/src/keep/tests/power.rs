//! Power is lost at every step of every write, with the real engine on top: what is found afterwards is
//! the old state or the new, and no session id comes twice.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use raet_core::RoadStack;
use raet_core::config::{Config, Trust};
use raet_core::crypto::{NaclSuite, Secrets};
use raet_core::keep::{Place, Record, Status};
use raet_core::storage::{Heap, Storage};
use raet_core::time::{Duration, Instant};
use raet_core::wire::{Flags, name};

use super::super::{FileKeep, Identity, KeepError};
use super::{Memory, Random};

type Stack = RoadStack<Heap, NaclSuite>;

const HUB: &str = "10.0.0.1:7530";
const PEERS: [&str; 2] = ["10.0.0.2:7530", "10.0.0.3:7530"];

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

fn identity() -> Identity {
    Identity {
        name: "hub".to_owned(),
        role: "hub".to_owned(),
        address: address(HUB),
        bind: address(HUB),
        secrets: Secrets::new(&[1; 32], &[2; 32]),
    }
}

fn engine(text: &str, secrets: Secrets, life: u8, records: Vec<Record>) -> Stack {
    let mut config = Config::new(name(text).expect("a name"), secrets);
    config.main = text == "hub";
    config.trust = Trust::Once;
    config.mutable = true;
    config.first_session = 1;
    let mut seed = [life; 32];
    seed[..text.len()].copy_from_slice(text.as_bytes());
    let suite = NaclSuite::new(&seed);
    Stack::new(Instant::ZERO, config, Heap::LIMITS, suite, records).expect("good records")
}

/// A hub that keeps, with its peers, who live on whatever becomes of it.
struct World {
    disk: Memory,
    now: Instant,
    peers: [Stack; 2],
    /// The records that the keep has said to have stored, and those that it was given since.
    stored: BTreeMap<Place, Record>,
    given: BTreeMap<Place, Vec<Record>>,
    /// The session ids that the hub's packets bore in this life and in earlier ones.
    used: (Option<u32>, u32),
}

/// Power is off.
struct Off;

impl From<KeepError> for Off {
    fn from(error: KeepError) -> Self {
        assert!(error.to_string().contains("power lost"), "{error}");
        Self
    }
}

impl World {
    fn new() -> Self {
        let peer = |n: u8, text| engine(text, Secrets::new(&[n; 32], &[n + 1; 32]), 0, Vec::new());
        Self {
            disk: Memory::default(),
            now: Instant::ZERO,
            peers: [peer(10, "one"), peer(20, "two")],
            stored: BTreeMap::new(),
            given: BTreeMap::new(),
            used: (None, 0),
        }
    }

    /// A life of the hub: it opens its keep, meets its peers, judges, forgets.
    fn live(&mut self, life: u8) -> Result<(), Off> {
        let mut keep = self.disk.open()?;
        if keep.identity().is_none() {
            assert!(self.stored.is_empty(), "an estate was lost");
            keep.create(identity())?;
        }
        self.check(&keep);
        let kept = keep.identity().expect("made").copy();
        assert_eq!(kept.secrets.sign_seed(), &[1; 32], "it has other keys");
        let mut hub = engine("hub", kept.secrets, life, keep.records());
        let begun = self.used.1.max(self.used.0.take().unwrap_or(0));
        self.used.1 = begun;
        self.store(&mut hub, &mut keep)?;
        let peer = usize::from(life) % 2;
        for (n, stack) in self.peers.iter_mut().enumerate() {
            let remote = stack.connect(self.now, address(HUB), 0).expect("room");
            if n == peer {
                stack.allow(self.now, remote).expect("there");
            }
        }
        // Who was forgotten is met again, after a while.
        for _ in 0..100 {
            self.pump(&mut hub, &mut keep, 300)?;
            // Sessions end and begin again, so that ids advance within a life.
            for remote in hub.remotes().map(|remote| remote.id).collect::<Vec<_>>() {
                hub.allow(self.now, remote).expect("there");
            }
            if self.used.0.is_some() {
                break;
            }
        }
        self.pump(&mut hub, &mut keep, 300)?;
        assert!(self.used.0.is_some(), "nobody was met");
        let status = [Status::Accepted, Status::Rejected][peer];
        if hub.judge_role(self.now, "two", status, None).is_ok() {
            self.store(&mut hub, &mut keep)?;
        }
        if life % 3 == 1
            && let Some(one) = hub.find("one")
        {
            hub.forget(self.now, one).expect("there");
            self.store(&mut hub, &mut keep)?;
        }
        Ok(())
    }

    /// Runs the network, in which nothing is lost, for some milliseconds.
    fn pump(&mut self, hub: &mut Stack, keep: &mut FileKeep, millis: u32) -> Result<(), Off> {
        let mut packet = [0; 1500];
        for _ in 0..millis / 5 {
            self.now = self.now + Duration::from_millis(5);
            let now = self.now;
            hub.handle_timeout(now);
            self.peers.iter_mut().for_each(|p| p.handle_timeout(now));
            loop {
                let mut moved = false;
                self.store(hub, keep)?;
                while let Some(sent) = hub.poll_transmit(now, &mut packet) {
                    moved = true;
                    // An answer bears the id of who asked.
                    if !sent.head.flags.contains(Flags::CORRESPONDENT) {
                        self.note(sent.head.session);
                    }
                    let to = PEERS.iter().position(|peer| address(peer) == sent.to);
                    if let Some(to) = to {
                        let packet = &mut packet[..sent.len];
                        self.peers[to].handle_datagram(now, address(HUB), packet);
                    }
                }
                for (peer, from) in self.peers.iter_mut().zip(PEERS) {
                    while let Some(record) = peer.poll_record() {
                        peer.handle_stored(now, &record);
                    }
                    while peer.poll_event().is_some() {}
                    while let Some(sent) = peer.poll_transmit(now, &mut packet) {
                        moved = true;
                        hub.handle_datagram(now, address(from), &mut packet[..sent.len]);
                    }
                }
                while hub.poll_event().is_some() {}
                if !moved {
                    break;
                }
            }
        }
        Ok(())
    }

    /// A packet of the hub bears this session id.
    fn note(&mut self, session: u32) {
        if session != 0 {
            let before = self.used.1;
            assert!(
                session > before,
                "id {session} after {before} of a life before"
            );
            self.used.0 = Some(self.used.0.unwrap_or(0).max(session));
        }
    }

    fn store(&mut self, hub: &mut Stack, keep: &mut FileKeep) -> Result<(), Off> {
        let mut batch = BTreeMap::new();
        while let Some(record) = hub.poll_record() {
            batch.insert(record.place(), record);
        }
        if batch.is_empty() {
            return Ok(());
        }
        for (place, record) in &batch {
            let given = self.given.entry(place.clone()).or_default();
            given.push(record.clone());
        }
        let batch: Vec<_> = batch.into_values().collect();
        keep.store(&batch)?;
        for record in batch {
            hub.handle_stored(self.now, &record);
            self.given.remove(&record.place());
            self.stored.insert(record.place(), record);
        }
        Ok(())
    }

    /// What was found is of each place what was stored or what was given since; that counts from now.
    fn check(&mut self, keep: &FileKeep) {
        let mut found: BTreeMap<_, _> = keep
            .records()
            .into_iter()
            .map(|record| (record.place(), record))
            .collect();
        let places: BTreeSet<_> = self.stored.keys().chain(self.given.keys()).collect();
        let places: Vec<_> = places.into_iter().cloned().collect();
        for place in places {
            let stored = self.stored.get(&place).filter(|record| !record.is_end());
            let mut may = vec![stored];
            for given in self.given.get(&place).into_iter().flatten() {
                may.push(Some(given).filter(|record| !record.is_end()));
            }
            let held = found.remove(&place);
            assert!(
                may.iter().any(|may| agree(*may, held.as_ref())),
                "{place:?}: found {held:?}, not one of {may:?}; {:?}",
                keep.notices()
            );
            let least = may.iter().filter_map(|may| session(*may)).min();
            let sessions = (session(held.as_ref()), least);
            assert!(
                sessions.0.is_none() || sessions.0 >= least,
                "{place:?}: {sessions:?}"
            );
            match held {
                Some(record) => self.stored.insert(place, record),
                None => self.stored.remove(&place),
            };
        }
        assert!(found.is_empty(), "from nowhere: {found:?}");
        self.given.clear();
        // A 0.6.8 stack goes on from a remote's sid plus one.
        let used = self.used.1.max(self.used.0.unwrap_or(0));
        for (path, bytes) in self.disk.all() {
            if path.starts_with("/keep/remote") && path.extension() == Some("json".as_ref()) {
                let file: serde_json::Value = serde_json::from_slice(&bytes).expect("whole");
                assert!(file["sid"].as_u64().expect("a number") >= u64::from(used));
            }
        }
    }
}

/// Up to which session id a remote has used some, by its record. What is newer is covered by the estate's.
fn session(record: Option<&Record>) -> Option<u32> {
    match record {
        Some(Record::Remote(remote)) => Some(remote.session),
        _ => None,
    }
}

/// Two records say the same, as far as a power cut between files may not come between them: a judgement is
/// remembered rather than not, and what is proven is told after the rest. For session ids see [`session`].
fn agree(expected: Option<&Record>, found: Option<&Record>) -> bool {
    match (expected, found) {
        (None, None) => true,
        (Some(Record::Estate(a)), Some(Record::Estate(b))) => a.sessions <= b.sessions,
        (Some(Record::Role(a)), Some(Record::Role(b))) => {
            (&a.name, a.status, a.keys) == (&b.name, b.status, b.keys) && (b.judged || !a.judged)
        }
        (Some(Record::Remote(a)), Some(Record::Remote(b))) => {
            let mut b = b.clone();
            b.session = a.session; // it lies in a file of its own, see `session`
            b.proven |= a.proven;
            *a == b || {
                b.proven = a.proven;
                *a == b
            }
        }
        _ => false,
    }
}

/// All lives without a cut; the steps that each took.
fn steps_of(lives: u8) -> Vec<usize> {
    let mut world = World::new();
    (0..lives)
        .map(|life| {
            world.disk.with(|p| p.steps = 0);
            assert!(world.live(life).is_ok(), "there was power");
            world.disk.with(|p| p.steps)
        })
        .collect()
}

#[test]
fn power_may_go_at_any_step() {
    let lives = 4;
    let steps = steps_of(lives);
    let mut cuts = 0;
    for (cut_life, &steps) in (0..lives).zip(&steps) {
        assert!(steps > 10, "a life writes something: {steps}");
        for cut in 0..steps {
            for seed in 0..3 {
                let mut world = World::new();
                let mut random = Random::new((cut as u64) << 8 | seed << 4 | u64::from(cut_life));
                for life in 0..cut_life {
                    assert!(world.live(life).is_ok(), "there was power");
                }
                world.disk.with(|p| p.left = Some(cut));
                assert!(world.live(cut_life).is_err(), "it was cut");
                world.disk = world.disk.after_loss(&mut random);
                // And again while it looks at what was left of it.
                world.disk.with(|p| p.left = Some(random.below(40)));
                if world.live(cut_life + 1).is_err() {
                    world.disk = world.disk.after_loss(&mut random);
                }
                world.disk.with(|p| p.left = None);
                assert!(world.live(cut_life + 2).is_ok(), "there was power");
                cuts += 1;
            }
        }
    }
    println!("{cuts} cuts at {steps:?} steps");
}
