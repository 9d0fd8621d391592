//! A world without sockets: a virtual clock, a network that does what a test says, and estates that
//! are driven as a driver does it. Any storage, any suite; everything random comes from a seed.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use raet_core::config::{Config, Trust};
use raet_core::crypto::{Crypto, Secrets};
use raet_core::event::{Event, Outcome, RemoteEvent};
use raet_core::keep::MemoryKeep;
use raet_core::limits::Limits;
use raet_core::stats::Verdict;
use raet_core::storage::Storage;
use raet_core::time::Instant;
use raet_core::wire::{FootKind, Frame, Head, Name, PacketKind, TransactionKind, emit_head};
use raet_core::{RemoteId, RoadStack, SendOptions};

/// A small generator (splitmix64): one seed, one world.
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// The generator of this seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `end`; 0 if that is 0.
    pub fn below(&mut self, end: usize) -> usize {
        (self.bits() % (end.max(1) as u64)) as usize
    }

    /// True in so many of a hundred cases.
    pub fn percent(&mut self, chance: u64) -> bool {
        self.bits() % 100 < chance
    }

    /// Puts `items` in a random order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for n in (1..items.len()).rev() {
            items.swap(n, self.below(n + 1));
        }
    }

    /// 32 random bytes.
    pub fn seed(&mut self) -> [u8; 32] {
        let mut seed = [0; 32];
        for chunk in seed.chunks_exact_mut(8) {
            chunk.copy_from_slice(&self.bits().to_le_bytes());
        }
        seed
    }
}

/// A datagram on its way.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Packet {
    /// Who sent it, by the network's word.
    pub from: SocketAddr,
    /// Whom it goes to.
    pub to: SocketAddr,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

impl Packet {
    /// Its head, if it is a packet.
    pub fn head(&self) -> Option<Head> {
        Frame::parse(&self.bytes).ok().map(|frame| frame.head)
    }

    /// What it is; `None` if it is no packet.
    pub fn kind(&self) -> Option<(TransactionKind, PacketKind)> {
        self.head().map(|head| (head.transaction, head.packet))
    }
}

/// What the network does with a datagram: one delay for each copy that arrives, none if it is lost.
pub type Fate = Vec<Duration>;

/// Decides the fate of each datagram.
pub type Weather = Box<dyn FnMut(Instant, &Packet, &mut Rng) -> Fate>;

/// Everything arrives once, after 5 ms, in order.
pub fn fair() -> Weather {
    Box::new(|_, _, _| vec![Duration::from_millis(5)])
}

/// Nothing arrives.
pub fn dead() -> Weather {
    Box::new(|_, _, _| Vec::new())
}

/// Loses `percent` of all datagrams, doubles as many, and delays each by up to 50 ms.
pub fn rough(percent: u64) -> Weather {
    Box::new(move |_, _, rng| {
        let copies = match (rng.percent(percent), rng.percent(percent)) {
            (true, _) => 0,
            (_, true) => 2,
            _ => 1,
        };
        (0..copies)
            .map(|_| Duration::from_millis(1 + rng.bits() % 50))
            .collect()
    })
}

/// An estate with its application, its driver and its keep.
pub struct Estate<S: Storage, C: Crypto> {
    /// Its engine.
    pub stack: RoadStack<S, C>,
    /// Where it is.
    pub address: SocketAddr,
    /// Every event so far.
    pub events: Vec<Event>,
    /// Every message taken so far: whose, and its body.
    pub messages: Vec<(String, Vec<u8>)>,
    /// What became of every datagram.
    pub verdicts: Vec<Verdict>,
    /// What it has stored.
    pub keep: MemoryKeep,
    /// Takes no messages for now.
    pub deaf: bool,
    limits: Limits,
    config: Box<dyn Fn() -> Config>,
}

/// Makes an estate's suite from its seed.
type MakeSuite<C> = Box<dyn Fn(&[u8; 32]) -> C>;

/// Estates, the network between them, and the time.
pub struct World<S: Storage, C: Crypto> {
    /// The time. Begins at one second, so that there is a past.
    pub now: Instant,
    /// The estates; estate `n` is at [`address`]`(n)`.
    pub estates: Vec<Estate<S, C>>,
    /// What the network does.
    pub weather: Weather,
    /// Every datagram that was sent, lost ones too.
    pub log: Vec<(Instant, Packet)>,
    rng: Rng,
    suite: MakeSuite<C>,
    wire: BTreeMap<(Instant, u64), Packet>,
    sent: u64,
}

/// A name, of text that is one.
///
/// # Panics
///
/// If it is none.
pub fn name(text: &str) -> Name {
    raet_core::wire::name(text).expect("a name")
}

/// The long-term secrets of number `n`.
pub fn secrets(n: u8) -> Secrets {
    Secrets::new(&[n; 32], &[n ^ 0x80; 32])
}

/// Where estate `n` is.
pub fn address(n: usize) -> SocketAddr {
    let port = 7530 + u16::try_from(n).expect("a small number");
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// An estate that takes everyone, with the secrets of number `n`.
pub fn config(text: &str, n: u8) -> Config {
    let mut config = Config::new(name(text), secrets(n));
    config.trust = Trust::Once;
    config.mutable = true;
    config
}

/// As [`config`], and strangers may join it.
pub fn main_config(text: &str, n: u8) -> Config {
    let mut config = config(text, n);
    config.main = true;
    config
}

/// The bytes of a packet with this head and coat, signed with `suite` by the owner of `secrets` if its
/// head says that it is signed.
///
/// # Panics
///
/// If it is longer than 2,000 bytes.
pub fn packet<C: Crypto>(suite: &C, secrets: &Secrets, head: &Head, coat: &[u8]) -> Vec<u8> {
    let mut out = vec![0; 2000];
    let start = emit_head(head, coat.len(), &mut out).expect("it fits");
    let end = start + coat.len();
    out[start..end].copy_from_slice(coat);
    if head.foot == FootKind::Nacl {
        let signature = suite.sign(&suite.sign_key(secrets.sign_seed()), &out[..end + 64]);
        out[end..end + 64].copy_from_slice(&signature);
    }
    out.truncate(end + head.foot.len());
    out
}

impl<S: Storage, C: Crypto> World<S, C> {
    /// An empty world. `suite` makes the suite of an engine from its seed.
    pub fn new(seed: u64, suite: impl Fn(&[u8; 32]) -> C + 'static) -> Self {
        Self {
            now: Instant::from_micros(1_000_000),
            estates: Vec::new(),
            weather: fair(),
            log: Vec::new(),
            rng: Rng::new(seed),
            suite: Box::new(suite),
            wire: BTreeMap::new(),
            sent: 0,
        }
    }

    /// A world of `main`, at 0, and `other`, at 1.
    pub fn pair(seed: u64, suite: impl Fn(&[u8; 32]) -> C + 'static) -> Self {
        let mut world = Self::new(seed, suite);
        world.add(S::LIMITS, || main_config("main", 1));
        world.add(S::LIMITS, || config("other", 2));
        world
    }

    /// Makes `other` of a [`pair`](Self::pair) connect, and gives the remotes at main and at other
    /// when a session is up.
    ///
    /// # Panics
    ///
    /// If it is not up after ten seconds.
    pub fn allow_pair(&mut self) -> (RemoteId, RemoteId) {
        let main = self.connect(1, 0);
        self.run_until(Duration::from_secs(10), |world| {
            let both = [(0, "other"), (1, "main")];
            both.iter().all(|(n, name)| world.is_allowed(*n, name))
        });
        assert!(self.is_allowed(0, "other") && self.is_allowed(1, "main"));
        // The last ack is on its way.
        self.run(Duration::from_millis(100));
        let other = self.estates[0].stack.find("other").expect("it is allowed");
        (other, main)
    }

    /// Whether estate `n` has a session with the remote of this name.
    pub fn is_allowed(&self, n: usize, name: &str) -> bool {
        let stack = &self.estates[n].stack;
        stack
            .find(name)
            .and_then(|remote| stack.remote(remote))
            .is_some_and(|remote| remote.allowed)
    }

    /// Adds an estate; gives its number.
    ///
    /// # Panics
    ///
    /// If the configuration and the limits contradict each other.
    pub fn add(&mut self, limits: Limits, config: impl Fn() -> Config + 'static) -> usize {
        let n = self.estates.len();
        let seed = self.rng.seed();
        let suite = (self.suite)(&seed);
        let stack = RoadStack::new(self.now, config(), limits, suite, []);
        self.estates.push(Estate {
            stack: stack.expect("configuration and limits agree"),
            address: address(n),
            events: Vec::new(),
            messages: Vec::new(),
            verdicts: Vec::new(),
            keep: MemoryKeep::default(),
            deaf: false,
            limits,
            config: Box::new(config),
        });
        n
    }

    /// Estate `n` dies and comes back with what it has stored.
    ///
    /// # Panics
    ///
    /// If its keep does not let it come back.
    pub fn restart(&mut self, n: usize) {
        let seed = self.rng.seed();
        let suite = (self.suite)(&seed);
        let estate = &mut self.estates[n];
        let records: Vec<_> = estate.keep.records().collect();
        let stack = RoadStack::new(self.now, (estate.config)(), estate.limits, suite, records);
        estate.stack = stack.expect("a keep that was written here");
    }

    /// Begins to reach estate `to` from estate `from`.
    ///
    /// # Panics
    ///
    /// If there is no room for another remote.
    pub fn connect(&mut self, from: usize, to: usize) -> RemoteId {
        let now = self.now;
        let stack = &mut self.estates[from].stack;
        stack
            .connect(now, address(to), 0)
            .expect("room for a remote")
    }

    /// Sends `body`; its outcome bears `token`.
    ///
    /// # Panics
    ///
    /// If it is not taken.
    pub fn send(&mut self, from: usize, to: RemoteId, token: u64, body: &[u8]) {
        let options = SendOptions {
            token,
            ..SendOptions::default()
        };
        let now = self.now;
        let stack = &mut self.estates[from].stack;
        stack
            .send(now, to, options, body.len(), |room| {
                room.copy_from_slice(body);
            })
            .expect("room for a message");
    }

    /// Lets estate `n` act on everything that is due now.
    ///
    /// # Panics
    ///
    /// If it never stops.
    pub fn drive(&mut self, n: usize) {
        let now = self.now;
        self.estates[n].stack.handle_timeout(now);
        // What one poll gives can make another one give something: until nothing gives any more.
        for round in 0.. {
            assert!(round < 10_000, "an engine that never rests");
            let records = self.poll_records(n);
            let events = self.poll_events(n);
            let messages = self.poll_messages(n);
            let transmits = self.poll_transmits(n);
            let any = records || events || messages || transmits;
            if !any {
                break;
            }
        }
    }

    fn poll_records(&mut self, n: usize) -> bool {
        let (now, estate) = (self.now, &mut self.estates[n]);
        let mut any = false;
        while let Some(record) = estate.stack.poll_record() {
            estate.stack.handle_stored(now, &record);
            estate.keep.store(record);
            any = true;
        }
        any
    }

    fn poll_events(&mut self, n: usize) -> bool {
        let estate = &mut self.estates[n];
        let before = estate.events.len();
        while let Some(event) = estate.stack.poll_event() {
            estate.events.push(event);
        }
        estate.events.len() > before
    }

    fn poll_messages(&mut self, n: usize) -> bool {
        let estate = &mut self.estates[n];
        let before = estate.messages.len();
        while !estate.deaf
            && let Some(taken) = estate
                .stack
                .poll_message(|m| (m.name.to_owned(), m.body.to_vec()))
        {
            estate.messages.push(taken);
        }
        estate.messages.len() > before
    }

    fn poll_transmits(&mut self, n: usize) -> bool {
        let mut buffer = [0; 1500];
        let mut made = 0;
        while let Some(transmit) = self.estates[n].stack.poll_transmit(self.now, &mut buffer) {
            made += 1;
            assert!(made < 100_000, "an engine that never stops sending");
            let packet = Packet {
                from: self.estates[n].address,
                to: transmit.to,
                bytes: buffer[..transmit.len].to_vec(),
            };
            self.log.push((self.now, packet.clone()));
            for delay in (self.weather)(self.now, &packet, &mut self.rng) {
                self.sent += 1;
                self.wire
                    .insert((self.now + delay, self.sent), packet.clone());
            }
        }
        made > 0
    }

    /// Hands a datagram to whom it is for, now; `None` if nobody is there.
    pub fn deliver(&mut self, packet: &Packet) -> Option<Verdict> {
        let n = self.estates.iter().position(|e| e.address == packet.to)?;
        let mut bytes = packet.bytes.clone();
        let estate = &mut self.estates[n];
        let verdict = estate
            .stack
            .handle_datagram(self.now, packet.from, &mut bytes);
        estate.verdicts.push(verdict);
        self.drive(n);
        Some(verdict)
    }

    /// Hands these bytes to estate `to`, as if `from` had sent them.
    ///
    /// # Panics
    ///
    /// If there is no such estate.
    pub fn inject(&mut self, to: usize, from: SocketAddr, bytes: &[u8]) -> Verdict {
        let packet = Packet {
            from,
            to: address(to),
            bytes: bytes.to_vec(),
        };
        self.deliver(&packet).expect("an estate of this world")
    }

    /// Runs the world for so long.
    pub fn run(&mut self, time: Duration) {
        self.run_until(time, |_| false);
    }

    /// Runs the world until `done`, or for so long.
    ///
    /// # Panics
    ///
    /// If time stands still.
    pub fn run_until(&mut self, time: Duration, done: impl Fn(&Self) -> bool) {
        let end = self.now + time;
        let mut at_once = 0;
        for n in 0..self.estates.len() {
            self.drive(n);
        }
        while !done(self) {
            let wire = self.wire.first_key_value().map(|((at, _), _)| *at);
            let due = self.estates.iter().enumerate().filter_map(|(n, estate)| {
                let timeout = estate.stack.poll_timeout()?;
                Some((timeout.at, n))
            });
            let due = due.min();
            let next = wire.into_iter().chain(due.map(|(at, _)| at)).min();
            let next = next.unwrap_or(end).max(self.now);
            at_once = if next > self.now { 0 } else { at_once + 1 };
            assert!(at_once < 100_000, "time stands still");
            if next >= end {
                self.now = end;
                return;
            }
            self.now = next;
            if wire.is_some_and(|at| at <= next) {
                if let Some((_, packet)) = self.wire.pop_first() {
                    self.deliver(&packet);
                }
            } else if let Some((_, n)) = due {
                self.drive(n);
            }
        }
    }

    /// Forgets what was logged and told so far.
    pub fn forget_past(&mut self) {
        self.log.clear();
        for estate in &mut self.estates {
            estate.events.clear();
            estate.messages.clear();
            estate.verdicts.clear();
        }
    }

    /// The outcomes that estate `n` was told, by their tokens.
    pub fn outcomes(&self, n: usize) -> Vec<(u64, Outcome)> {
        let outcome = |event: &Event| match event {
            Event::Message { token, outcome, .. } => Some((*token, *outcome)),
            _ => None,
        };
        self.estates[n].events.iter().filter_map(outcome).collect()
    }

    /// What estate `n` was told of remotes.
    pub fn happened(&self, n: usize) -> Vec<RemoteEvent> {
        let what = |event: &Event| match event {
            Event::Remote { what, .. } => Some(*what),
            _ => None,
        };
        self.estates[n].events.iter().filter_map(what).collect()
    }

    /// The datagrams that estate `n` has sent.
    pub fn sent(&self, n: usize) -> impl Iterator<Item = &Packet> {
        let from = address(n);
        let all = self.log.iter().map(|(_, packet)| packet);
        all.filter(move |packet| packet.from == from)
    }
}
