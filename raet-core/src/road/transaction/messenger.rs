//! Messages out (road-transactions: Message, Messenger; hardening: H5).
//!
//! A body lies in one buffer from `send` to its outcome, sealed in place when its first packet is
//! made; what is sent again is cut from the same sealed bytes:
//!
//! ```text
//!   0      16               16 + len         40 + len
//!   ┌──────┬────────────────┬────────────────┬──────────────────────┐
//!   │ tag  │ sealed body    │ nonce          │ asked: 1 bit/segment │
//!   └──────┴────────────────┴────────────────┴──────────────────────┘
//!   └──────────────── coat ─────────────────┘
//! ```
//!
//! The nonce is the message's name: this life of the engine, then the message's number. A message
//! that is open when the session changes is sealed anew and sent again under the same name, so a
//! receiver of this implementation delivers it once.

mod nack;
mod packets;

use core::ops::Range;

use self::nack::Nacked;
use crate::crypto::Crypto;
use crate::error::{Gone, SendError};
use crate::event::{Doubt, Event, Failure, Outcome};
use crate::limits::{Limits, MESSAGE_OVERHEAD};
use crate::road::bits::set_bit;
use crate::road::remote::Remote;
use crate::road::stack::RoadStack;
use crate::road::{BodyId, MessageId, RemoteId, SENDABLE};
use crate::stats::{Reason, Verdict};
use crate::storage::{Bodies, Handle, Index, KeyHash, NoRoom, Storage};
use crate::time::{Instant, Span};
use crate::wire::{
    BodyKind, CoatKind, Flags, Head, Misseds, PacketKind, Plan, TransactionKind, check_mapping,
};

/// Why a receiver of this implementation says no, in the order index of its nack: 0.6.8 neither
/// reads nor writes it there.
pub(crate) mod no {
    /// It will not take this message: not signed, not encrypted, or not to be opened.
    pub(crate) const REFUSED: u32 = 1;
    /// Its window has passed this transaction: it does not know.
    pub(crate) const PASSED: u32 = 2;
}

/// How a message is to be sent.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct SendOptions {
    /// What the body is. One of json or msgpack must be a mapping (road-wire: Body).
    pub body: BodyKind,
    /// Comes back with the outcome.
    pub token: u64,
    /// When to give up: failed if nothing of it was sent by then, else unknown.
    pub deadline: Option<Instant>,
    /// Never send it in a second session: unknown instead, when the session changes while it is
    /// open. A receiver of this implementation delivers a message once in any case; one of 0.6.8
    /// takes what is sent again in a new session for another message.
    pub once: bool,
}

impl Default for SendOptions {
    fn default() -> Self {
        Self {
            body: BodyKind::Raw,
            token: 0,
            deadline: None,
            once: false,
        }
    }
}

/// A message on its way out.
#[derive(Clone, Hash)]
pub(crate) struct Outgoing<C: Crypto> {
    /// Its slot among the remotes, while it is not ended.
    remote: u32,
    remote_id: Handle,
    options: SendOptions,
    pub(crate) body: BodyId,
    len: usize,
    /// Its name, once it was begun.
    number: u64,
    /// The key that the buffer is sealed under now.
    sealed: Option<C::BoxKey>,
    /// Some of it has left, in this session or an earlier one.
    sent: bool,
    /// All of it has left in an earlier session: it may have arrived then.
    sent_whole: bool,
    state: State,
}

impl<C: Crypto> Outgoing<C> {
    /// Every segment has left in this session.
    fn all_sent(&self) -> bool {
        matches!(&self.state, State::Open(flight) if flight.next == flight.plan.count)
    }
}

#[derive(Clone, Hash)]
enum State {
    /// For a session, or for room in the window.
    Waiting,
    Open(Flight),
    Ended(Outcome),
}

/// A message that was begun in this session.
#[derive(Clone, Hash)]
struct Flight {
    ti: u32,
    si: u32,
    plan: Plan,
    /// The segment to send next for the first time.
    next: u32,
    /// All segments before this one have arrived.
    confirmed: u32,
    /// Segments that were asked for again and not sent since: bits behind the coat.
    asked: u32,
    /// The lowest segment that may be asked for.
    asked_from: u32,
    /// An ack or resend has come: the peer has opened the transaction.
    heard: bool,
    /// No answer came: the furthest packet is to be sent again.
    repeat: bool,
    /// A packet has left after all segments had.
    repeated: bool,
    /// The last packet sent, and its signature.
    last: Option<(u32, Flags)>,
    signature: [u8; 64],
    interval: Span,
    redo: Instant,
    /// A packet that was sent once and waits for its answer: when it left.
    probe: Option<Instant>,
    /// It was nacked: nothing of it is sent any more.
    nacked: Option<Nacked>,
}

impl Flight {
    fn in_flight(&self) -> u32 {
        self.next - self.confirmed
    }

    fn sendable(&self, share: u32) -> bool {
        let more = self.next < self.plan.count && self.in_flight() < share;
        self.nacked.is_none() && (self.repeat || self.asked > 0 || more)
    }
}

/// What `transmit` needs to write a packet of a message.
pub(crate) struct MessagePacket {
    pub(crate) head: Head,
    pub(crate) body: BodyId,
    pub(crate) coat: Range<usize>,
    /// The signature, if this very packet was made before.
    pub(crate) signature: Option<[u8; 64]>,
}

impl<S: Storage, C: Crypto> RoadStack<S, C> {
    /// Takes a message of `len` bytes for a remote; `fill` writes its body. It waits for a session
    /// if none is up, which is then made.
    ///
    /// Its outcome comes as an event, exactly one, unless the engine is dropped.
    ///
    /// # Errors
    ///
    /// When the remote is gone, the outbox is full now, or the message can never fit: `fill` was
    /// not called then. When a json or msgpack body is no mapping: no receiver could read it, and
    /// one of 0.6.8 fails at it (road-wire: Body).
    pub fn send(
        &mut self,
        now: Instant,
        to: RemoteId,
        options: SendOptions,
        len: usize,
        fill: impl FnOnce(&mut [u8]),
    ) -> Result<MessageId, SendError> {
        let now = self.clock(now);
        let slot = self.slot(to).map_err(|Gone| SendError::Gone)?;
        if len > self.limits.message {
            return Err(SendError::TooLong);
        }
        let bytes = Limits::budget(len);
        if self.outbox.is_full() || self.outbox_bytes + bytes > self.limits.outbox_bytes {
            return Err(SendError::Full);
        }
        let body = self.bodies.take(bytes).map_err(|full| match full {
            NoRoom::Now => SendError::Full,
            NoRoom::Never => SendError::TooLong,
        })?;
        let room = self.bodies.get_mut(body).get_mut(16..16 + len);
        let room = room.unwrap_or(&mut []);
        fill(room);
        if check_mapping(options.body, room).is_err() {
            self.bodies.give(body);
            return Err(SendError::NotMapping);
        }
        let message = Outgoing {
            remote: slot,
            remote_id: to.0,
            options,
            body,
            len,
            number: 0,
            sealed: None,
            sent: false,
            sent_whole: false,
            state: State::Waiting,
        };
        let (Some(handle), Some(remote)) = (self.outbox.insert(message), self.remotes.at_mut(slot))
        else {
            self.bodies.give(body);
            return Err(SendError::Full);
        };
        if !self.due_out.reserve(handle.slot()) {
            // An allocator's refusal: as full.
            self.outbox.clear(handle.slot());
            self.bodies.give(body);
            return Err(SendError::Full);
        }
        self.outbox_bytes += bytes;
        self.outbox.push_back(&mut remote.waiting, handle.slot());
        self.set_due_out(handle.slot());
        self.plan(now, slot);
        self.settle(slot);
        Ok(MessageId(handle))
    }

    /// Gives a message up: failed if nothing of it was sent, else unknown. The outcome comes as an
    /// event.
    ///
    /// # Errors
    ///
    /// When it has ended already.
    pub fn cancel(&mut self, now: Instant, message: MessageId) -> Result<(), Gone> {
        let now = self.clock(now);
        let held = self.outbox.get(message.0).ok_or(Gone)?;
        if matches!(held.state, State::Ended(_)) {
            return Err(Gone);
        }
        let outcome = if held.sent {
            Outcome::Unknown(Doubt::Cancelled)
        } else {
            Outcome::Failed(Failure::Cancelled)
        };
        let slot = held.remote;
        self.give_up(now, message.0.slot(), outcome);
        self.settle(slot);
        Ok(())
    }

    // ---- answers -------------------------------------------------------------------------------

    /// The open message of this transaction.
    pub(crate) fn outgoing(&self, remote: u32, si: u32, ti: u32) -> Option<u32> {
        self.out_by_id.find(self.hash.of(&(remote, ti)), |out| {
            matches!(self.outbox.at(out), Some(Outgoing { remote: r, state: State::Open(f), .. })
                if *r == remote && f.ti == ti && f.si == si)
        })
    }

    /// An answer to an open message, its signature proven. `misseds` is the opened body of a resend.
    pub(crate) fn on_messenger(
        &mut self,
        now: Instant,
        slot: u32,
        out: u32,
        head: &Head,
        misseds: Option<&Misseds>,
    ) -> Verdict {
        let fresh = match head.packet {
            PacketKind::Done => {
                self.sample(now, slot, out);
                self.stats.messages_out += 1;
                self.end_message(now, out, Outcome::Delivered);
                true
            }
            PacketKind::Nack => self.on_nack(now, slot, out, head.order),
            PacketKind::Ack => {
                let confirmed = head.segment.saturating_add(1);
                // A recording measures nothing (H2).
                if self.confirmed(out).is_some_and(|before| before < confirmed) {
                    self.sample(now, slot, out);
                }
                self.advance(now, slot, out, confirmed, None)
            }
            PacketKind::Resend => {
                let Some(misseds) = misseds else {
                    let session = self.remotes.at(slot).and_then(|r| r.session.as_ref());
                    if head.coat == CoatKind::Nacl && session.is_some_and(|s| !s.pinned) {
                        // It answers what is of this session under the key of another.
                        self.start_allow(now, slot);
                    }
                    return self.stats.drop(Reason::Body);
                };
                let first = misseds.iter().map(u32::from).min().unwrap_or(0);
                self.advance(now, slot, out, first, Some(misseds))
            }
            _ => return self.stats.drop(Reason::Unexpected),
        };
        if fresh {
            self.heard(now, slot);
        }
        Verdict::Taken
    }

    /// All segments before this one are known to have arrived.
    fn confirmed(&self, out: u32) -> Option<u32> {
        match &self.outbox.at(out)?.state {
            State::Open(flight) => Some(flight.confirmed),
            _ => None,
        }
    }

    fn sample(&mut self, now: Instant, slot: u32, out: u32) {
        if let Some(Outgoing {
            state: State::Open(flight),
            ..
        }) = self.outbox.at_mut(out)
            && let Some(left) = flight.probe.take()
            && let Some(remote) = self.remotes.at_mut(slot)
        {
            remote
                .path
                .trip
                .sample(Span::from_micros(now.micros_since(left)));
        }
    }

    /// All segments before `confirmed` have arrived; `misseds` have not. True: that was not known
    /// before, so the answer is no recording of an older one (H2).
    fn advance(
        &mut self,
        now: Instant,
        slot: u32,
        out: u32,
        confirmed: u32,
        misseds: Option<&Misseds>,
    ) -> bool {
        let share = self.share(slot);
        let Some(remote) = self.remotes.at_mut(slot) else {
            return false;
        };
        let Some(message) = self.outbox.at_mut(out) else {
            return false;
        };
        let State::Open(flight) = &mut message.state else {
            return false;
        };
        if flight.nacked.is_some() {
            return false; // older than the nack
        }
        flight.heard = true;
        flight.interval = remote.path.trip.patience(&self.config.timers.messenger);
        let confirmed = confirmed.min(flight.next);
        let fresh = confirmed > flight.confirmed;
        if fresh {
            remote.in_flight = remote
                .in_flight
                .saturating_sub(confirmed - flight.confirmed);
            flight.confirmed = confirmed;
        }
        if let Some(misseds) = misseds
            && let Some(bits) = self
                .bodies
                .get_mut(message.body)
                .get_mut(MESSAGE_OVERHEAD + message.len..)
        {
            for number in misseds.iter().map(u32::from).filter(|n| *n < flight.next) {
                if set_bit(bits, number, true) {
                    flight.asked += 1;
                }
            }
            flight.asked_from = 0;
        }
        if fresh || flight.asked > 0 {
            flight.redo = now + flight.interval;
        }
        if flight.sendable(share) && !self.outbox.is_linked::<SENDABLE>(out) {
            self.outbox.push_back(&mut remote.sendable, out);
        }
        self.set_due_out(out);
        fresh
    }

    // ---- ends ----------------------------------------------------------------------------------

    /// The clock of a message: its own deadline, and the repeat of its last packet.
    pub(crate) fn tick_outgoing(&mut self, now: Instant, out: u32) {
        let Some(message) = self.outbox.at_mut(out) else {
            return;
        };
        let slot = message.remote;
        if message.options.deadline.is_some_and(|at| at <= now) {
            let outcome = if message.sent {
                Outcome::Unknown(Doubt::Deadline)
            } else {
                Outcome::Failed(Failure::Deadline)
            };
            self.give_up(now, out, outcome);
        } else if let State::Open(flight) = &mut message.state
            && flight.redo <= now
        {
            // What is due anyway goes first; only silence makes a packet be sent again.
            flight.interval = self.config.timers.messenger.doubled(flight.interval);
            flight.redo = Instant::NEVER;
            flight.probe = None;
            flight.repeat = flight.next > 0;
            if let Some(remote) = self.remotes.at_mut(slot)
                && !self.outbox.is_linked::<SENDABLE>(out)
            {
                self.outbox.push_back(&mut remote.sendable, out);
            }
            self.set_due_out(out);
        } else {
            self.set_due_out(out);
        }
        self.settle(slot);
    }

    /// Ends a message that the peer may still wait for: a nack tells it (road-transactions:
    /// Messengent, nack).
    fn give_up(&mut self, now: Instant, out: u32, outcome: Outcome) {
        if let Some(message) = self.outbox.at(out)
            && let State::Open(flight) = &message.state
            && let Some(remote) = self.remotes.at(message.remote)
            && message.sent
        {
            let (slot, to) = (message.remote, remote.path.address);
            let mut head = message_head(&self.config, remote, message, flight.ti, flight.si);
            head.packet = PacketKind::Nack;
            head.order = 0;
            self.reply(Some(slot), to, head);
        }
        self.end_message(now, out, outcome);
    }

    /// Ends a message; its outcome waits to be polled.
    fn end_message(&mut self, now: Instant, out: u32, outcome: Outcome) {
        let Some(message) = self.outbox.at_mut(out) else {
            return;
        };
        let (slot, body) = (message.remote, message.body);
        let state = core::mem::replace(&mut message.state, State::Ended(outcome));
        message.sealed = None;
        if let Some(remote) = self.remotes.at_mut(slot) {
            match state {
                State::Waiting => self.outbox.unlink(&mut remote.waiting, out),
                State::Open(flight) => {
                    remote.in_flight = remote.in_flight.saturating_sub(flight.in_flight());
                    self.outbox.unlink(&mut remote.open, out);
                    match flight.nacked {
                        Some(_) => self.outbox.unlink(&mut remote.nacked, out),
                        None => self.outbox.unlink(&mut remote.sendable, out),
                    }
                    self.out_by_id.remove(self.hash.of(&(slot, flight.ti)), out);
                }
                State::Ended(_) => return,
            }
        }
        self.outbox_bytes -= self.give_body(body);
        let cleared = self.due_out.set(out, None);
        debug_assert!(cleared, "clearing a deadline needs no room");
        self.outbox.push_back(&mut self.ended, out);
        self.plan(now, slot);
    }

    /// Ends every message to a remote that goes.
    pub(crate) fn end_messages(
        &mut self,
        now: Instant,
        slot: u32,
        outcome: impl Fn(bool) -> Outcome,
    ) {
        loop {
            let Some(remote) = self.remotes.at(slot) else {
                return;
            };
            let Some(out) = remote.open.head().or(remote.waiting.head()) else {
                return;
            };
            let sent = self.outbox.at(out).is_some_and(|m| m.sent);
            self.end_message(now, out, outcome(sent));
        }
    }

    /// What waits for one remote waits for another from now on, behind what waits there.
    pub(crate) fn redirect_messages(&mut self, from: u32, to: Handle) {
        while let Some(out) = self.remotes.at(from).and_then(|r| r.waiting.head())
            && let Some(remote) = self.remotes.at_mut(from)
        {
            self.outbox.unlink(&mut remote.waiting, out);
            if let (Some(message), Some(remote)) =
                (self.outbox.at_mut(out), self.remotes.at_mut(to.slot()))
            {
                (message.remote, message.remote_id) = (to.slot(), to);
                self.outbox.push_back(&mut remote.waiting, out);
            }
        }
    }

    /// The session has changed: open messages go back to the front of the queue, in their order,
    /// or end as unknown if they are not to be sent twice.
    pub(crate) fn reopen_messages(&mut self, now: Instant, slot: u32) {
        loop {
            let Some(remote) = self.remotes.at_mut(slot) else {
                return;
            };
            let Some(out) = remote.open.tail() else { break };
            let Some(message) = self.outbox.at_mut(out) else {
                break;
            };
            // An empty body has no coat, and so no name by which it would be known again.
            if message.sent && (message.options.once || message.len == 0) {
                self.end_message(now, out, Outcome::Unknown(Doubt::SessionChanged));
                continue;
            }
            message.sent_whole |= message.all_sent();
            if let State::Open(flight) = core::mem::replace(&mut message.state, State::Waiting) {
                remote.in_flight = remote.in_flight.saturating_sub(flight.in_flight());
                self.out_by_id.remove(self.hash.of(&(slot, flight.ti)), out);
                if let Some(bits) = self
                    .bodies
                    .get_mut(message.body)
                    .get_mut(MESSAGE_OVERHEAD + message.len..)
                {
                    bits.fill(0);
                }
                match flight.nacked {
                    Some(_) => self.outbox.unlink(&mut remote.nacked, out),
                    None => self.outbox.unlink(&mut remote.sendable, out),
                }
            }
            self.outbox.unlink(&mut remote.open, out);
            self.outbox.push_front(&mut remote.waiting, out);
            self.set_due_out(out);
        }
        self.settle(slot);
    }

    /// How one message ended, out of turn: no event tells it again. `None`: it has not ended.
    ///
    /// # Errors
    ///
    /// When its outcome was taken already.
    pub fn outcome(&mut self, message: MessageId) -> Result<Option<Outcome>, Gone> {
        let held = self.outbox.get(message.0).ok_or(Gone)?;
        let State::Ended(outcome) = held.state else {
            return Ok(None);
        };
        self.outbox.unlink(&mut self.ended, message.0.slot());
        self.outbox.clear(message.0.slot());
        Ok(Some(outcome))
    }

    pub(crate) fn poll_outcome(&mut self) -> Option<Event> {
        let out = self.outbox.pop_front(&mut self.ended)?;
        let handle = self.outbox.handle_of(out)?;
        let message = self.outbox.remove(handle)?;
        let State::Ended(outcome) = message.state else {
            return None;
        };
        Some(Event::Message {
            message: MessageId(handle),
            remote: RemoteId(message.remote_id),
            token: message.options.token,
            outcome,
        })
    }

    fn set_due_out(&mut self, out: u32) {
        let Some(message) = self.outbox.at(out) else {
            return;
        };
        let redo = match &message.state {
            State::Open(flight) => flight.redo,
            _ => Instant::NEVER,
        };
        let due = message.options.deadline.unwrap_or(Instant::NEVER).min(redo);
        let set = self
            .due_out
            .set(out, (due != Instant::NEVER).then_some(due));
        debug_assert!(
            set,
            "room for its deadline was reserved when the message came"
        );
    }
}

fn coat_len(config: &crate::config::Config, len: usize) -> usize {
    if config.coat == CoatKind::Nacl && len > 0 {
        len + MESSAGE_OVERHEAD
    } else {
        len
    }
}

/// Where the coat lies in a message's buffer.
fn coat_range<C: Crypto>(config: &crate::config::Config, message: &Outgoing<C>) -> Range<usize> {
    let start = if config.coat == CoatKind::Nacl { 0 } else { 16 };
    start..start + coat_len(config, message.len)
}

fn message_head<C: Crypto>(
    config: &crate::config::Config,
    remote: &Remote<C>,
    message: &Outgoing<C>,
    ti: u32,
    si: u32,
) -> Head {
    let mut head = Head::new(PacketKind::Message, TransactionKind::Message);
    head.kind = config.head;
    head.body = message.options.body;
    head.coat = config.coat;
    head.foot = config.foot;
    head.source = remote.near;
    head.destination = remote.far;
    head.session = si;
    head.transaction_id = ti;
    // Marks a named message; 0.6.8 does not look at it.
    head.order = 1;
    head
}
