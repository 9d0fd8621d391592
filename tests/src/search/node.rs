//! One estate of a search: engine, driver, keep and application.

use std::collections::VecDeque;
use std::hash::{Hash, Hasher};
use std::net::SocketAddr;
use std::time::Duration;

use raet_core::config::{Config, Trust};
use raet_core::crypto::Secrets;
use raet_core::event::{Event, Outcome};
use raet_core::keep::{MemoryKeep, Record, Status};
use raet_core::storage::Storage;
use raet_core::time::Instant;
use raet_core::wire::{Frame, PacketKind, TransactionKind, name};
use raet_core::{RemoteId, RoadStack, SendOptions};

use siphasher::sip128::SipHasher13;

use super::{Command, Scenario};
use crate::suite::Weak;

/// The moment at which all clocks start. So far from zero that a hasher knows a moment by its size.
pub(super) const EPOCH: u64 = 0x5EED << 48;

/// A message's name: who sent it, in which of its lives, and which of that life's it is.
pub(super) type Id = [u8; 3];

/// What an estate did when it was driven.
#[derive(Default)]
pub(super) struct Output {
    pub(super) packets: Vec<Vec<u8>>,
    pub(super) taken: Vec<Id>,
    pub(super) ended: Vec<(Id, Outcome)>,
}

/// An estate.
pub(super) struct Node<S: Storage> {
    pub(super) stack: RoadStack<S, Weak>,
    pub(super) number: u8,
    pub(super) life: u8,
    now: Instant,
    /// Commands carried out in this life.
    done: usize,
    sent: u8,
    /// Whether a person has ever accepted the other's keys.
    accepted: bool,
    keep: MemoryKeep,
    /// Records that the keep has not stored yet.
    unsaved: VecDeque<Record>,
    /// The highest session id seen in a packet that it began, and the highest of its former lives.
    top: u32,
    former: u32,
}

pub(super) fn address(number: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 1 + number], 7530))
}

/// What the two are called, and their roles.
const NAMES: [&str; 2] = ["alpha", "beta"];

fn stack<S: Storage>(
    scenario: &Scenario,
    number: u8,
    life: u8,
    now: Instant,
    records: Vec<Record>,
) -> RoadStack<S, Weak> {
    let text = NAMES[usize::from(number)];
    let secrets = Secrets::new(&[number + 1; 32], &[number + 101; 32]);
    let mut config = Config::new(name(text).expect("a name"), secrets);
    config.main = number == 0 || scenario.both_main;
    config.mutable = scenario.mutable;
    config.trust = if scenario.asks[usize::from(number)] {
        Trust::Never
    } else {
        Trust::Once
    };
    let suite = Weak::new(&[10 * number + life + 1; 32]);
    RoadStack::new(now, config, S::LIMITS, suite, records).expect("settings and records agree")
}

impl<S: Storage> Node<S> {
    pub(super) fn new(scenario: &Scenario, number: u8) -> Self {
        let now = Instant::from_micros(EPOCH);
        Self {
            stack: stack(scenario, number, 0, now, Vec::new()),
            number,
            life: 0,
            now,
            done: 0,
            sent: 0,
            accepted: false,
            keep: MemoryKeep::default(),
            unsaved: VecDeque::new(),
            top: 0,
            former: 0,
        }
    }

    /// It dies and comes back with what was stored.
    pub(super) fn crash(&mut self, scenario: &Scenario) {
        self.life += 1;
        let records = self.keep.records().collect();
        self.stack = stack(scenario, self.number, self.life, self.now, records);
        self.unsaved.clear();
        (self.done, self.sent) = (0, 0);
        self.former = self.top;
    }

    /// What it did so far was the way to where the search begins.
    pub(super) fn begin_script(&mut self) {
        self.done = 0;
    }

    pub(super) fn receive(&mut self, bytes: &[u8]) {
        let mut bytes = bytes.to_vec();
        self.stack
            .handle_datagram(self.now, address(1 - self.number), &mut bytes);
    }

    /// How long it is until its next deadline.
    pub(super) fn wait(&self) -> Option<Duration> {
        let timeout = self.stack.poll_timeout()?;
        Some(timeout.at.since(self.now))
    }

    /// Time passes for it, its next deadline at most.
    pub(super) fn pass(&mut self, time: Duration) {
        self.now = self.now + time;
    }

    /// Its deadline has come.
    pub(super) fn tick(&mut self) {
        self.stack.handle_timeout(self.now);
    }

    /// Whether it would do something at once, were its keep and its application not slow.
    pub(super) fn is_idle(&self, scenario: &Scenario) -> bool {
        !self.has_unsaved() && !self.has_message() && self.next_command(scenario).is_none()
    }

    /// The command that it would carry out next, if it can.
    pub(super) fn next_command(&self, scenario: &Scenario) -> Option<Command> {
        let next = *scenario.script[usize::from(self.number)].get(self.done)?;
        let can = match next {
            Command::Connect => true,
            Command::Accept | Command::Reject => self.stack.roles().any(|r| r.name == self.other()),
            Command::Send | Command::Alive | Command::Allow => self.peer().is_some(),
        };
        can.then_some(next)
    }

    /// The role of the other estate.
    fn other(&self) -> &'static str {
        NAMES[usize::from(1 - self.number)]
    }

    /// A person says something about the other's keys.
    fn judge(&mut self, status: Status) -> Result<(), String> {
        let (now, other) = (self.now, self.other());
        let judged = self.stack.judge_role(now, other, status, None);
        judged.map_err(|e| format!("judge: {e}"))
    }

    /// Whether there is a session that nobody has allowed.
    pub(super) fn is_unasked(&self, scenario: &Scenario) -> bool {
        let peer = self.peer().and_then(|peer| self.stack.remote(peer));
        let asks = scenario.asks[usize::from(self.number)];
        asks && !self.accepted && peer.is_some_and(|r| r.allowed)
    }

    /// The remote that is the other estate.
    pub(super) fn peer(&self) -> Option<RemoteId> {
        let at = address(1 - self.number);
        let mut there = self.stack.remotes().filter(|r| r.address == at);
        there.next().map(|r| r.id)
    }

    /// Carries out its next command: the message that it sent, if it was that.
    pub(super) fn command(&mut self, scenario: &Scenario) -> Result<Option<Id>, String> {
        let next = self.next_command(scenario).ok_or("no command")?;
        self.done += 1;
        let (now, peer) = (self.now, self.peer());
        match (next, peer) {
            (Command::Connect, _) => {
                let at = address(1 - self.number);
                self.stack
                    .connect(now, at, 0)
                    .map_err(|e| format!("connect: {e}"))?;
            }
            (Command::Accept, _) => {
                self.judge(Status::Accepted)?;
                self.accepted = true;
            }
            (Command::Reject, _) => self.judge(Status::Rejected)?,
            (Command::Send, Some(_)) => return self.send(scenario.body).map(Some),
            (Command::Alive, Some(peer)) => drop(self.stack.alive(now, peer)),
            (Command::Allow, Some(peer)) => drop(self.stack.allow(now, peer)),
            (_, None) => {}
        }
        Ok(None)
    }

    /// Sends its next message.
    pub(super) fn send(&mut self, body: usize) -> Result<Id, String> {
        let id = [self.number, self.life, self.sent];
        self.sent += 1;
        let options = SendOptions {
            token: u64::from(u32::from_le_bytes([id[0], id[1], id[2], 0])),
            ..SendOptions::default()
        };
        let peer = self.peer().ok_or("nobody to send to")?;
        let filled = |room: &mut [u8]| {
            room.fill(0xa5);
            room[..3].copy_from_slice(&id);
        };
        self.stack
            .send(self.now, peer, options, body, filled)
            .map_err(|e| format!("send: {e}"))?;
        Ok(id)
    }

    /// Whether a record waits to be stored.
    pub(super) fn has_unsaved(&self) -> bool {
        !self.unsaved.is_empty()
    }

    /// The keep stores the oldest record that waits.
    pub(super) fn store(&mut self) {
        if let Some(record) = self.unsaved.pop_front() {
            self.stack.handle_stored(self.now, &record);
            self.keep.store(record);
        }
    }

    /// Whether a message waits to be taken.
    pub(super) fn has_message(&self) -> bool {
        self.stack.messages_waiting() > 0
    }

    /// The application takes a message.
    pub(super) fn take(&mut self, body: usize, out: &mut Output) -> Result<(), String> {
        let taken = self.stack.poll_message(|m| m.body.to_vec());
        let Some(taken) = taken else { return Ok(()) };
        let id = *taken.first_chunk().ok_or("a body was cut short")?;
        if taken.len() != body || taken[3..].iter().any(|b| *b != 0xa5) {
            return Err("a body was changed".into());
        }
        out.taken.push(id);
        Ok(())
    }

    /// Does what a driver does after each input, until the engine rests.
    pub(super) fn drive(&mut self, scenario: &Scenario, out: &mut Output) -> Result<(), String> {
        let mut buffer = [0; 1500];
        for _ in 0..1000 {
            let mut any = false;
            while let Some(record) = self.stack.poll_record() {
                any = true;
                self.unsaved.push_back(record);
                if !scenario.slow_keep {
                    self.store();
                }
            }
            while let Some(event) = self.stack.poll_event() {
                any = true;
                if let Event::Message { token, outcome, .. } = event {
                    let [a, b, c, ..] = token.to_le_bytes();
                    out.ended.push(([a, b, c], outcome));
                }
            }
            while !scenario.slow_application && self.has_message() {
                any = true;
                self.take(scenario.body, out)?;
            }
            while let Some(transmit) = self.stack.poll_transmit(self.now, &mut buffer) {
                any = true;
                let bytes = buffer[..transmit.len].to_vec();
                self.look_at(&bytes)?;
                out.packets.push(bytes);
                if out.packets.len() > 1000 {
                    return Err("it never stops sending".into());
                }
            }
            if !any {
                return Ok(());
            }
        }
        Err("it never rests".into())
    }

    /// Session ids of what it begins only go on (H8).
    fn look_at(&mut self, bytes: &[u8]) -> Result<(), String> {
        let head = Frame::parse(bytes)
            .map_err(|e| format!("what it sends is no packet: {e:?}"))?
            .head;
        // What begins something bears its session; what goes on or ends, that of its beginning.
        let begins = matches!(
            head.packet,
            PacketKind::Hello | PacketKind::Request | PacketKind::Message
        );
        if head.transaction == TransactionKind::Join || !begins {
            return Ok(());
        }
        if head.session < self.top || self.life > 0 && head.session <= self.former {
            return Err(format!("session {} after {}", head.session, self.top));
        }
        self.top = head.session;
        Ok(())
    }
}

impl<S: Storage> Clone for Node<S> {
    fn clone(&self) -> Self {
        Self {
            stack: self.stack.clone(),
            keep: self.keep.clone(),
            unsaved: self.unsaved.clone(),
            ..*self
        }
    }
}

impl<S: Storage> Node<S> {
    /// What decides its future, with its moments relative to its clock.
    pub(super) fn digest(&self) -> u128 {
        let mut relative = Relative {
            now: self.now.as_micros(),
            bytes: Vec::with_capacity(8192),
        };
        self.stack.hash(&mut relative);
        (&self.keep, &self.unsaved).hash(&mut relative);
        (self.life, self.done, self.sent, self.accepted).hash(&mut relative);
        (self.top, self.former).hash(&mut relative);
        SipHasher13::new().hash(&relative.bytes).as_u128()
    }
}

/// Nothing asks how long ago it was what was longer ago than a minute: round trips are measured up to that,
/// partial messages and buckets last no longer.
const PAST: u64 = 60_000_000;

/// Collects what is hashed, moments relative to one of them: they are told from all other numbers by
/// their size.
struct Relative {
    now: u64,
    bytes: Vec<u8>,
}

impl Hasher for Relative {
    fn write(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    fn write_u64(&mut self, number: u64) {
        let is_moment = number >> 48 == EPOCH >> 48;
        let relative = if is_moment {
            (number + PAST).saturating_sub(self.now)
        } else {
            number
        };
        self.write(&relative.to_le_bytes());
        self.write(&[u8::from(is_moment)]);
    }

    fn finish(&self) -> u64 {
        unreachable!("the bytes are what is asked for")
    }
}
