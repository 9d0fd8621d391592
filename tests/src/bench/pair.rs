//! Two engines in memory: what the one sends the other takes in, at once and without a copy.

use std::net::SocketAddr;

use raet_core::config::{Config, Presence, Trust};
use raet_core::crypto::{Crypto, Secrets};
use raet_core::event::{Event, Outcome};
use raet_core::limits::Limits;
use raet_core::storage::{Heap, Storage};
use raet_core::time::{Duration, Instant};
use raet_core::wire::MAX_PACKET;
use raet_core::{RemoteId, RoadStack, SendOptions};

/// An engine, and what came of it.
pub struct Estate<C: Crypto> {
    /// The engine.
    pub stack: RoadStack<Heap, C>,
    /// Where others reach it.
    pub address: SocketAddr,
    /// Messages that the application took.
    pub taken: u64,
    /// Messages of its own that ended as delivered.
    pub delivered: u64,
}

impl<C: Crypto> Estate<C> {
    /// An engine that takes everyone. `number` is its identity; it keeps nothing.
    pub fn new(now: Instant, number: u32, main: bool, address: SocketAddr, suite: C) -> Self {
        let mut seed = [7; 32];
        seed[..4].copy_from_slice(&number.to_le_bytes());
        let name = format!("estate{number}");
        let name = name.as_str().try_into().expect("short");
        let mut config = Config::new(name, Secrets::new(&seed, &seed.map(|byte| byte ^ 0x80)));
        config.main = main;
        config.trust = Trust::Always;
        config.mutable = true;
        // Every remote has a deadline, far away.
        config.presence = Some(Presence {
            period: Duration::from_secs(3600),
            interim: Duration::ZERO,
        });
        let limits = Limits {
            remotes: 20_000,
            roles: 20_000,
            ..Heap::LIMITS
        };
        let stack = RoadStack::new(now, config, limits, suite, []).expect("sound limits");
        Self {
            stack,
            address,
            taken: 0,
            delivered: 0,
        }
    }

    /// Sends `body` to a remote.
    pub fn send(&mut self, now: Instant, to: RemoteId, body: &[u8]) {
        self.stack
            .send(now, to, SendOptions::default(), body.len(), |room| {
                room.copy_from_slice(body);
            })
            .expect("room in the outbox");
    }

    /// Does for the engine what a host does, short of sending: stores its records, takes its messages
    /// and its events.
    pub fn serve(&mut self, now: Instant) {
        while let Some(record) = self.stack.poll_record() {
            self.stack.handle_stored(now, &record);
        }
        while self.stack.poll_message(|_| ()).is_some() {
            self.taken += 1;
        }
        while let Some(event) = self.stack.poll_event() {
            if let Event::Message { outcome, .. } = event {
                assert_eq!(outcome, Outcome::Delivered);
                self.delivered += 1;
            }
        }
    }

    /// Whether a session with the remote is up.
    pub fn allowed(&self, remote: RemoteId) -> bool {
        self.stack.remote(remote).is_some_and(|r| r.allowed)
    }
}

/// Two estates with a session between them.
pub struct Pair<C: Crypto> {
    /// The clock of both.
    pub now: Instant,
    /// The estate that others join.
    pub main: Estate<C>,
    /// The one that did.
    pub other: Estate<C>,
    /// What `other` is to `main`.
    pub to_other: RemoteId,
    /// What `main` is to `other`.
    pub to_main: RemoteId,
}

impl<C: Crypto> Pair<C> {
    /// Two estates, joined and allowed; `suite` makes a suite from a seed.
    pub fn new(suite: impl Fn([u8; 32]) -> C) -> Self {
        let now = Instant::from_micros(1_000_000);
        let main = Estate::new(now, 0, true, address(0), suite([1; 32]));
        Self::join(now, main, 1, &suite)
    }

    /// The same, where `main` has sessions with `idle` estates more, which are silent.
    pub fn crowded(idle: u32, suite: impl Fn([u8; 32]) -> C) -> Self {
        let now = Instant::from_micros(1_000_000);
        let mut main = Estate::new(now, 0, true, address(0), suite([1; 32]));
        for number in 2..2 + idle {
            main = Self::join(now, main, number, &suite).main;
        }
        Self::join(now, main, 1, &suite)
    }

    fn join(now: Instant, main: Estate<C>, number: u32, suite: &impl Fn([u8; 32]) -> C) -> Self {
        let mut seed = [2; 32];
        seed[..4].copy_from_slice(&number.to_le_bytes());
        let mut other = Estate::new(now, number, false, address(number), suite(seed));
        let to_main = other
            .stack
            .connect(now, main.address, 0)
            .expect("a first remote");
        let mut pair = Self {
            now,
            main,
            other,
            to_other: to_main,
            to_main,
        };
        let name = format!("estate{number}");
        for _ in 0..100 {
            pair.step();
            if let Some(found) = pair.main.stack.find(&name)
                && pair.main.allowed(found)
                && pair.other.allowed(to_main)
            {
                pair.to_other = found;
                // The last ack is on its way: without it the handshake keeps its place.
                pair.step();
                return pair;
            }
        }
        unreachable!("a join and an allow take fewer steps")
    }

    /// A message from `other` to `main`, until its outcome was told.
    pub fn message(&mut self, body: &[u8]) {
        self.messages(1, body);
    }

    /// So many messages queued at once, until all outcomes were told.
    pub fn messages(&mut self, count: u64, body: &[u8]) {
        let (taken, delivered) = (self.main.taken + count, self.other.delivered + count);
        for _ in 0..count {
            self.other.send(self.now, self.to_main, body);
        }
        for _ in 0..1_000_000 {
            self.step();
            if self.other.delivered == delivered {
                assert_eq!(self.main.taken, taken);
                return;
            }
        }
        unreachable!("nothing is lost")
    }

    /// Lets each estate send what it has, and the other take it in.
    pub fn step(&mut self) {
        self.now = self.now + Duration::from_micros(10);
        self.main.stack.handle_timeout(self.now);
        self.other.stack.handle_timeout(self.now);
        self.main.serve(self.now);
        self.other.serve(self.now);
        carry(self.now, &mut self.other, &mut self.main);
        carry(self.now, &mut self.main, &mut self.other);
    }

    /// Datagrams that both have made so far.
    pub fn datagrams(&self) -> u64 {
        self.main.stack.stats().datagrams_out + self.other.stack.stats().datagrams_out
    }
}

fn carry<C: Crypto>(now: Instant, from: &mut Estate<C>, to: &mut Estate<C>) {
    let mut buffer = [0; MAX_PACKET];
    while let Some(made) = from.stack.poll_transmit(now, &mut buffer) {
        // An estate of the crowd is gone; its packets go nowhere.
        if made.to == to.address {
            to.stack
                .handle_datagram(now, from.address, &mut buffer[..made.len]);
        }
    }
}

/// An address of its own for each number.
fn address(number: u32) -> SocketAddr {
    SocketAddr::from(((0x7f00_0001 + number).to_be_bytes(), 7530))
}
