//! An engine on a real socket with the real clock, for tests against a live peer.
//!
//! This is the smallest driver that keeps the engine's contract; what a deployment wants (batches,
//! threads, files) lives elsewhere. Datagrams are lost here on demand, on their way out and in, so that
//! an engine and a peer that nobody patched meet on a bad network.

use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use raet_core::config::Config;
use raet_core::crypto::NaclSuite;
use raet_core::event::{Event, Outcome, RemoteEvent};
use raet_core::keep::{MemoryKeep, Record};
use raet_core::limits::Limits;
use raet_core::storage::Storage;
use raet_core::time::Instant;
use raet_core::wire::{BodyKind, Frame, MAX_DATAGRAM, MAX_PACKET, PacketKind, TransactionKind};
use raet_core::{RemoteId, RoadStack, SendOptions};

/// Which way a datagram goes, seen from the engine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    /// To the peer.
    Out,
    /// From the peer.
    In,
}

/// Says which datagrams are lost.
pub type Lose = Box<dyn FnMut(Way, &[u8]) -> bool>;

/// A message that the engine handed over.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Taken {
    /// The name of the estate that sent it.
    pub from: String,
    /// What the body is.
    pub kind: BodyKind,
    /// The body.
    pub body: Vec<u8>,
}

/// An engine, its socket, and everything that came out of it.
pub struct Estate<S: Storage> {
    /// The engine.
    pub stack: RoadStack<S, NaclSuite>,
    /// Events not taken by the test, oldest first.
    pub events: Vec<Event>,
    /// Messages not taken by the test, oldest first.
    pub messages: Vec<Taken>,
    /// Which datagrams are lost.
    pub lose: Lose,
    socket: UdpSocket,
    epoch: std::time::Instant,
    kept: MemoryKeep,
    /// The one packet that a full socket did not take.
    blocked: Option<(SocketAddr, Vec<u8>)>,
}

impl<S: Storage> Estate<S> {
    /// An estate on a free loopback port.
    pub fn new(config: Config, limits: Limits, seed: [u8; 32]) -> Self {
        Self::from_records(config, limits, seed, [])
    }

    /// An estate on a free loopback port, that goes on from what an earlier life kept.
    pub fn from_records(
        config: Config,
        limits: Limits,
        seed: [u8; 32],
        records: impl IntoIterator<Item = Record>,
    ) -> Self {
        let mut kept = MemoryKeep::default();
        for record in records {
            kept.store(record);
        }
        Self::on(free_port(), config, limits, seed, kept)
    }

    fn on(
        socket: UdpSocket,
        config: Config,
        limits: Limits,
        seed: [u8; 32],
        kept: MemoryKeep,
    ) -> Self {
        let suite = NaclSuite::new(&seed);
        let records: Vec<Record> = kept.records().collect();
        let stack = RoadStack::new(Instant::ZERO, config, limits, suite, records)
            .expect("config, limits and records agree");
        Self {
            stack,
            events: Vec::new(),
            messages: Vec::new(),
            lose: Box::new(|_, _| false),
            socket,
            epoch: std::time::Instant::now(),
            kept,
            blocked: None,
        }
    }

    /// Ends this engine's life and begins the next on the same socket, from what its keep holds.
    /// `seed` must differ from all earlier ones.
    #[must_use]
    pub fn restart(self, config: Config, seed: [u8; 32]) -> Self {
        let limits = *self.stack.limits();
        Self::on(self.socket, config, limits, seed, self.kept)
    }

    /// As [`Estate::restart`], on another port.
    #[must_use]
    pub fn move_away(self, config: Config, seed: [u8; 32]) -> Self {
        let limits = *self.stack.limits();
        Self::on(free_port(), config, limits, seed, self.kept)
    }

    /// As [`Estate::restart`], but what was kept is lost.
    #[must_use]
    pub fn lose_keep(self, config: Config, seed: [u8; 32]) -> Self {
        let limits = *self.stack.limits();
        Self::on(self.socket, config, limits, seed, MemoryKeep::default())
    }

    /// Where the engine's peers send to.
    pub fn address(&self) -> SocketAddr {
        self.socket
            .local_addr()
            .expect("a bound socket has an address")
    }

    /// The engine's clock.
    pub fn now(&self) -> Instant {
        let micros = self.epoch.elapsed().as_micros();
        Instant::from_micros(
            u64::try_from(micros).expect("a test ends before half a million years"),
        )
    }

    /// Reaches for the estate at an address.
    #[track_caller]
    pub fn connect(&mut self, to: SocketAddr) -> RemoteId {
        let now = self.now();
        self.stack
            .connect(now, to, 0)
            .expect("room for one more remote")
    }

    /// Sends a message.
    #[track_caller]
    pub fn send(&mut self, to: RemoteId, options: SendOptions, body: &[u8]) {
        let now = self.now();
        self.stack
            .send(now, to, options, body.len(), |room| {
                room.copy_from_slice(body);
            })
            .expect("room in the outbox");
    }

    /// Takes the outcome of the message with this token, if it has come.
    pub fn outcome(&mut self, wanted: u64) -> Option<Outcome> {
        let found = |e: &Event| matches!(e, Event::Message { token, .. } if *token == wanted);
        let at = self.events.iter().position(found)?;
        match self.events.remove(at) {
            Event::Message { outcome, .. } => Some(outcome),
            _ => None,
        }
    }

    /// How often this happened to any remote, since the events were last cleared.
    pub fn happened(&self, wanted: RemoteEvent) -> usize {
        let hit = |e: &&Event| matches!(e, Event::Remote { what, .. } if *what == wanted);
        self.events.iter().filter(hit).count()
    }

    /// One round of the driving loop: carries out what the engine wants, then waits for a datagram or
    /// for what is due, at most `patience`, and takes in what came.
    pub fn step(&mut self, patience: Duration) {
        self.carry_out();
        let now = self.now();
        let due = self
            .stack
            .poll_timeout()
            .map_or(patience, |t| t.at.since(now));
        // Zero would mean for ever to the socket.
        let wait = due.clamp(Duration::from_millis(1), patience);
        self.socket
            .set_read_timeout(Some(wait))
            .expect("the wait is not zero");
        let mut buffer = [0; MAX_DATAGRAM];
        while let Ok((len, from)) = self.socket.recv_from(&mut buffer) {
            let datagram = buffer.get_mut(..len).expect("what came fits the buffer");
            if !(self.lose)(Way::In, datagram) {
                self.stack.handle_datagram(self.now(), from, datagram);
            }
            self.carry_out();
            // What is here already is taken at once.
            self.socket
                .set_nonblocking(true)
                .expect("a socket can be told not to wait");
        }
        self.socket
            .set_nonblocking(false)
            .expect("a socket can be told to wait");
    }

    fn carry_out(&mut self) {
        let now = self.now();
        self.stack.handle_timeout(now);
        while let Some(record) = self.stack.poll_record() {
            self.stack.handle_stored(now, &record);
            self.kept.store(record);
        }
        while let Some(event) = self.stack.poll_event() {
            self.events.push(event);
        }
        let taken = |m: raet_core::Message<'_>| Taken {
            from: m.name.to_owned(),
            kind: m.kind,
            body: m.body.to_vec(),
        };
        while let Some(message) = self.stack.poll_message(taken) {
            self.messages.push(message);
        }
        if let Some((to, packet)) = self.blocked.take() {
            self.put(to, packet);
        }
        let mut room = [0; MAX_PACKET];
        while self.blocked.is_none()
            && let Some(transmit) = self.stack.poll_transmit(now, &mut room)
        {
            let packet = room
                .get(..transmit.len)
                .expect("what was made fits its room")
                .to_vec();
            if !(self.lose)(Way::Out, &packet) {
                self.put(transmit.to, packet);
            }
        }
    }

    fn put(&mut self, to: SocketAddr, packet: Vec<u8>) {
        match self.socket.send_to(&packet, to) {
            Err(e) if e.kind() == ErrorKind::WouldBlock => self.blocked = Some((to, packet)),
            // A peer that is down may answer with an ICMP error: no more than a lost datagram.
            _ => {}
        }
    }
}

fn free_port() -> UdpSocket {
    UdpSocket::bind("127.0.0.1:0").expect("loopback has a free port")
}

/// Loses the first `times` packets of one kind that go one way.
pub fn lose_first(way: Way, kind: (TransactionKind, PacketKind), times: u32) -> Lose {
    let mut left = times;
    Box::new(move |going, datagram| {
        let hit = going == way && left > 0 && kind_of(datagram) == Some(kind);
        left -= u32::from(hit);
        hit
    })
}

/// What kind of packet a datagram is.
pub fn kind_of(datagram: &[u8]) -> Option<(TransactionKind, PacketKind)> {
    let head = Frame::parse(datagram).ok()?.head;
    Some((head.transaction, head.packet))
}
