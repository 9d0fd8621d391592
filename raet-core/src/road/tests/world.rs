//! A virtual clock, a network that does what a test says, and estates that are driven as a driver
//! does it.

use std::collections::VecDeque;
use std::string::{String, ToString};
use std::vec::Vec;

use core::net::SocketAddr;

use crate::config::{Config, Trust};
use crate::crypto::{NaclSuite, Secrets};
use crate::event::{Event, Outcome, RemoteEvent};
use crate::keep::Record;
use crate::limits::Limits;
use crate::road::{RemoteId, RoadStack, SendOptions};
use crate::stats::Verdict;
use crate::storage::Storage;
use crate::time::{Duration, Instant};
use crate::wire::{Frame, Name, PacketKind, TransactionKind};

pub(crate) struct Estate<S: Storage> {
    pub(crate) stack: RoadStack<S, NaclSuite>,
    pub(crate) address: SocketAddr,
    pub(crate) events: Vec<Event>,
    pub(crate) messages: Vec<(String, Vec<u8>)>,
    pub(crate) records: Vec<Record>,
    /// Records that were handed out in this life.
    pub(crate) written: usize,
    pub(crate) verdicts: Vec<Verdict>,
    /// Does not take messages.
    pub(crate) deaf: bool,
}

#[derive(Clone)]
pub(crate) struct Packet {
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
    pub(crate) bytes: Vec<u8>,
}

impl Packet {
    pub(crate) fn kind(&self) -> (TransactionKind, PacketKind) {
        let head = Frame::parse(&self.bytes).unwrap().head;
        (head.transaction, head.packet)
    }
}

pub(crate) struct World<S: Storage> {
    pub(crate) now: Instant,
    pub(crate) estates: Vec<Estate<S>>,
    pub(crate) wire: VecDeque<(Instant, Packet)>,
    pub(crate) latency: Duration,
    /// Every packet that was sent, lost ones too.
    pub(crate) log: Vec<(Instant, Packet)>,
    /// Says which packets are lost.
    #[allow(clippy::type_complexity)]
    pub(crate) lose: std::boxed::Box<dyn FnMut(&Packet) -> bool>,
}

/// An in-memory keep: the newest record of each kind and name.
fn keep(records: &mut Vec<Record>, record: Record) {
    let place = record.place();
    records.retain(|held| held.place() != place);
    if !record.is_end() {
        records.push(record);
    }
}

pub(crate) fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

pub(crate) fn name(text: &str) -> Name {
    text.try_into().unwrap()
}

pub(crate) fn secrets(n: u8) -> Secrets {
    Secrets::new(&[n; 32], &[n ^ 0x80; 32])
}

pub(crate) fn address(n: usize) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 7530 + n as u16))
}

/// An estate that takes everyone: tests narrow it.
pub(crate) fn config(text: &str, n: u8) -> Config {
    let mut config = Config::new(name(text), secrets(n));
    config.trust = Trust::Once;
    config.mutable = true;
    config
}

impl<S: Storage> World<S> {
    pub(crate) fn new() -> Self {
        Self {
            now: Instant::from_micros(1_000_000),
            estates: Vec::new(),
            wire: VecDeque::new(),
            latency: Duration::from_millis(5),
            log: Vec::new(),
            lose: std::boxed::Box::new(|_| false),
        }
    }

    /// `main` at index 0, `other` at 1.
    pub(crate) fn pair() -> Self {
        Self::pair_with(|_| {}, |_| {})
    }

    /// The same, each with what a test wants of it.
    pub(crate) fn pair_with(
        of_main: impl FnOnce(&mut Config),
        of_other: impl FnOnce(&mut Config),
    ) -> Self {
        let mut world = Self::new();
        let (mut main, mut other) = (config("main", 1), config("other", 2));
        main.main = true;
        of_main(&mut main);
        of_other(&mut other);
        world.add(main);
        world.add(other);
        world
    }

    /// A pair with a session: the remotes at main and at other.
    pub(crate) fn allowed() -> (Self, RemoteId, RemoteId) {
        let mut world = Self::pair();
        let main = world.connect(1, 0);
        world.run(Duration::from_millis(200));
        let other = world.estates[0].stack.find("other").expect("joined");
        assert!(world.estates[0].stack.remote(other).unwrap().allowed);
        assert!(world.estates[1].stack.remote(main).unwrap().allowed);
        world.forget_past();
        (world, other, main)
    }

    pub(crate) fn add(&mut self, config: Config) -> usize {
        self.add_with(config, S::LIMITS, Vec::new())
    }

    pub(crate) fn add_with(
        &mut self,
        config: Config,
        limits: Limits,
        records: Vec<Record>,
    ) -> usize {
        let n = self.estates.len();
        let estate = self.make(n, config, limits, records);
        self.estates.push(estate);
        n
    }

    fn make(&self, n: usize, config: Config, limits: Limits, records: Vec<Record>) -> Estate<S> {
        let mut seed = [n as u8; 32];
        seed[1] = records.len() as u8;
        let suite = NaclSuite::new(&seed);
        Estate {
            stack: RoadStack::new(self.now, config, limits, suite, records.clone()).unwrap(),
            address: address(n),
            events: Vec::new(),
            messages: Vec::new(),
            records,
            written: 0,
            verdicts: Vec::new(),
            deaf: false,
        }
    }

    /// An estate dies and comes back with what its keep holds.
    pub(crate) fn restart(&mut self, n: usize, config: Config, records: Vec<Record>) {
        self.estates[n] = self.make(n, config, S::LIMITS, records);
    }

    pub(crate) fn forget_past(&mut self) {
        self.log.clear();
        for estate in &mut self.estates {
            estate.events.clear();
            estate.messages.clear();
            estate.verdicts.clear();
        }
    }

    pub(crate) fn connect(&mut self, from: usize, to: usize) -> RemoteId {
        let (now, to) = (self.now, address(to));
        self.estates[from].stack.connect(now, to, 0).unwrap()
    }

    pub(crate) fn send(&mut self, from: usize, to: RemoteId, token: u64, body: &[u8]) {
        let options = SendOptions {
            token,
            ..SendOptions::default()
        };
        let now = self.now;
        self.estates[from]
            .stack
            .send(now, to, options, body.len(), |room| {
                room.copy_from_slice(body);
            })
            .unwrap();
    }

    /// Lets the engines act on everything that is due now.
    pub(crate) fn settle(&mut self) {
        for n in 0..self.estates.len() {
            self.drive(n);
        }
    }

    pub(crate) fn drive(&mut self, n: usize) {
        let now = self.now;
        let estate = &mut self.estates[n];
        estate.stack.handle_timeout(now);
        while let Some(record) = estate.stack.poll_record() {
            estate.stack.handle_stored(now, &record);
            keep(&mut estate.records, record);
            estate.written += 1;
        }
        while !estate.deaf
            && let Some(taken) = estate
                .stack
                .poll_message(|m| (m.name.to_string(), m.body.to_vec()))
        {
            estate.messages.push(taken);
        }
        while let Some(event) = estate.stack.poll_event() {
            estate.events.push(event);
        }
        let mut buffer = [0; 1500];
        let mut made = 0;
        while let Some(transmit) = estate.stack.poll_transmit(now, &mut buffer) {
            made += 1;
            assert!(made < 10_000, "an engine that never stops sending");
            let packet = Packet {
                from: estate.address,
                to: transmit.to,
                bytes: buffer[..transmit.len].to_vec(),
            };
            self.log.push((now, packet.clone()));
            if !(self.lose)(&packet) {
                self.wire.push_back((now + self.latency, packet));
            }
        }
    }

    pub(crate) fn deliver(&mut self, mut packet: Packet) -> Option<Verdict> {
        let n = self.estates.iter().position(|e| e.address == packet.to)?;
        let verdict =
            self.estates[n]
                .stack
                .handle_datagram(self.now, packet.from, &mut packet.bytes);
        self.estates[n].verdicts.push(verdict);
        self.drive(n);
        Some(verdict)
    }

    /// Runs the world for so long.
    pub(crate) fn run(&mut self, time: Duration) {
        let end = self.now + time;
        let mut steps = 0;
        loop {
            steps += 1;
            assert!(steps < 1_000_000, "a busy loop");
            self.settle();
            let wire = self.wire.front().map(|(at, _)| *at);
            let due = self
                .estates
                .iter()
                .filter_map(|e| e.stack.poll_timeout())
                .map(|t| t.at)
                .min();
            let next = [wire, due].into_iter().flatten().min().unwrap_or(end);
            if next > end {
                self.now = end;
                return;
            }
            if next == end && wire != Some(end) && due != Some(end) {
                self.now = end;
                return;
            }
            self.now = self.now.max(next);
            if wire.is_some_and(|at| at <= self.now)
                && let Some((_, packet)) = self.wire.pop_front()
            {
                self.deliver(packet);
            }
        }
    }

    pub(crate) fn outcomes(&self, n: usize) -> Vec<(u64, Outcome)> {
        self.estates[n]
            .events
            .iter()
            .filter_map(|e| match e {
                Event::Message { token, outcome, .. } => Some((*token, *outcome)),
                _ => None,
            })
            .collect()
    }

    pub(crate) fn happened(&self, n: usize) -> Vec<RemoteEvent> {
        self.estates[n]
            .events
            .iter()
            .filter_map(|e| match e {
                Event::Remote { what, .. } => Some(*what),
                _ => None,
            })
            .collect()
    }

    pub(crate) fn sent(&self, n: usize) -> Vec<(TransactionKind, PacketKind)> {
        let from = self.estates[n].address;
        self.log
            .iter()
            .filter(|(_, p)| p.from == from)
            .map(|(_, p)| p.kind())
            .collect()
    }
}

/// Loses a share of all packets, the same ones for the same seed.
pub(crate) fn lossy(seed: u64, percent: u64) -> std::boxed::Box<dyn FnMut(&Packet) -> bool> {
    let mut state = seed;
    std::boxed::Box::new(move |_| {
        // An LCG's high bits: enough for a coin.
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % 100 < percent
    })
}
