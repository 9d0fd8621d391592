//! Messages in (road-transactions: Message, Messengent; hardening: H5, H6, H9, H13).
//!
//! A message in segments is put together in one buffer, where it is opened when it is whole:
//!
//! ```text
//!   0                      ml               ml + sc / 8
//!   ┌──────────────────────┬───────────────────────┐
//!   │ coat, as it comes    │ seen: 1 bit a segment │
//!   └──────────────────────┴───────────────────────┘
//! ```
//!
//! It is delivered when the application takes it; only then the peer is told done.

mod assembly;

use core::ops::Range;

use assembly::Assembly;

use crate::crypto::Crypto;
use crate::limits::MESSAGE_OVERHEAD;
use crate::road::session::{Look, MessageName, Session, Window, at_or_after};
use crate::road::stack::RoadStack;
use crate::road::transaction::messenger::no;
use crate::road::{BodyId, RemoteId};
use crate::stats::{Reason, Verdict};
use crate::storage::{Bodies, Index, KeyHash, Storage};
use crate::time::{Instant, Span};
use crate::wire::{BodyKind, CoatKind, Frame, Head, Misseds, PacketKind, Shape};

/// A message as the application takes it.
#[derive(Clone, Copy)]
pub struct Message<'a> {
    /// Who sent it.
    pub remote: RemoteId,
    /// The number that the host gave the remote.
    pub token: u64,
    /// The name of the estate that sent it.
    pub name: &'a str,
    /// What the body is, as its sender says; the engine has not looked into it.
    pub kind: BodyKind,
    /// The body.
    pub body: &'a [u8],
}

/// A message on its way in.
#[derive(Clone, Hash)]
pub(crate) struct Incoming {
    remote: u32,
    /// Of its first packet: what the answers go by.
    head: Head,
    pub(crate) body: BodyId,
    state: State,
}

#[derive(Clone, Hash)]
enum State {
    /// Segments are missing.
    Partial(Assembly),
    /// It waits for the application: where the opened body lies in the buffer, and its sender's
    /// name for it, which only messages of this implementation have.
    Whole {
        range: Range<usize>,
        name: Option<MessageName>,
    },
    /// The application has it; its sender is to be told.
    Taken,
}

impl Incoming {
    fn is_partial(&self) -> bool {
        matches!(self.state, State::Partial(_))
    }

    fn is_whole(&self) -> bool {
        matches!(self.state, State::Whole { .. })
    }

    fn is_whole_under(&self, known: MessageName) -> bool {
        matches!(self.state, State::Whole { name: Some(name), .. } if name == known)
    }
}

/// A done, ack or resend, ready to be written.
pub(crate) struct AnswerPacket {
    pub(crate) head: Head,
    /// The gaps, of a resend.
    pub(crate) misseds: Option<Misseds>,
}

impl<S: Storage, C: Crypto> RoadStack<S, C> {
    /// Hands the next message to the application, with `take`. Its sender is told done after that,
    /// so what is not taken is not lost.
    pub fn poll_message<R>(&mut self, take: impl FnOnce(Message<'_>) -> R) -> Option<R> {
        let incoming = self.inbox.pop_front(&mut self.arrived)?;
        let held = self.inbox.at_mut(incoming)?;
        let (slot, head, body) = (held.remote, held.head, held.body);
        let State::Whole { range, name } = core::mem::replace(&mut held.state, State::Taken) else {
            return None;
        };
        let handle = self.remotes.handle_of(slot)?;
        let remote = self.remotes.at_mut(slot)?;
        let taken = take(Message {
            remote: RemoteId(handle),
            token: remote.token,
            name: &remote.name,
            kind: head.body,
            body: self.bodies.get(body).get(range).unwrap_or(&[]),
        });
        self.stats.messages_in += 1;
        if let Some((life, number)) = name {
            remote.names.add(&life, number);
        }
        // In a new session its sender sends it again, or has given it up.
        if remote.session.is_some() && remote.rsid == head.session {
            remote.window.finish(head.transaction_id);
            self.release_body(incoming);
            self.owe_answer(slot, incoming);
            self.settle(slot);
        } else {
            self.remove_incoming(incoming);
        }
        Some(taken)
    }

    /// A packet of a message, its signature proven.
    pub(crate) fn on_message(
        &mut self,
        now: Instant,
        slot: u32,
        frame: &Frame,
        data: &mut [u8],
    ) -> Verdict {
        let head = &frame.head;
        let Some(remote) = self.remotes.at_mut(slot) else {
            return self.stats.drop(Reason::Stranger);
        };
        let to = remote.path.address;
        let Some(session) = &remote.session else {
            // H13, H14: silence; it sends again when the session that we make now is up.
            self.start_allow(now, slot);
            return self.stats.drop(Reason::NoSession);
        };
        if head.coat == CoatKind::Nada && !self.config.accept_uncoated {
            self.answer(Some(slot), to, head, PacketKind::Nack, no::REFUSED); // H6
            return self.stats.drop(Reason::Uncoated);
        }
        if remote.rsid != head.session {
            // The peer's sessions only go on; `dispatch` let nothing older through.
            if session.pinned {
                return self.stats.drop(Reason::UnknownSession);
            }
            remote.rsid = head.session;
            remote.window = Window::new();
        }
        let look = remote.window.look(head.transaction_id);
        if matches!(look, Look::New | Look::Open | Look::Ahead) {
            remote.window.heard(now, head.transaction_id);
        }
        let verdict = match look {
            // H5; one that was just taken has its done on the way.
            Look::Done
                if self
                    .incoming(slot, head.session, head.transaction_id)
                    .is_some() =>
            {
                Verdict::Repeated
            }
            Look::Done => {
                self.answer(Some(slot), to, head, PacketKind::Done, 0); // H5
                Verdict::Repeated
            }
            Look::Below => {
                self.answer(Some(slot), to, head, PacketKind::Nack, no::PASSED); // H5
                self.stats.drop(Reason::Replayed)
            }
            Look::Over => self.stats.drop(Reason::Replayed),
            Look::Ahead => self.stats.drop(Reason::Ahead),
            Look::New | Look::Open => self.take_segment(now, slot, frame, data),
        };
        // What was not acted on may be a recording: it tells nothing of the peer (H2).
        if verdict == Verdict::Taken {
            self.confirm(now, slot, false);
            self.heard(now, slot);
        }
        verdict
    }

    fn take_segment(&mut self, now: Instant, slot: u32, frame: &Frame, data: &mut [u8]) -> Verdict {
        let head = &frame.head;
        let incoming = match self.incoming(slot, head.session, head.transaction_id) {
            Some(incoming) => incoming,
            None if head.segments == 1 => return self.take_single(now, slot, frame, data),
            None => match self.open_incoming(now, slot, frame) {
                Ok(incoming) => incoming,
                Err(reason) => return self.stats.drop(reason),
            },
        };
        let part = data.get(frame.coat()).unwrap_or(&[]);
        self.put_segment(now, slot, incoming, head, part)
    }

    /// A message in one packet: opened where it lies in the datagram, then copied once.
    fn take_single(&mut self, now: Instant, slot: u32, frame: &Frame, data: &mut [u8]) -> Verdict {
        let head = &frame.head;
        let Some(coat) = data.get_mut(frame.coat()) else {
            return self.stats.drop(Reason::Segment);
        };
        let session = self.remotes.at(slot).and_then(|r| r.session.as_ref());
        let Some((range, name)) = open_coat(&self.suite, session, head, coat) else {
            return self.refuse_coat(now, slot, head);
        };
        let body = coat.get(range).unwrap_or(&[]);
        self.pin(slot, head, body.len());
        if let Some(verdict) = self.known_by_name(slot, head, name) {
            return verdict;
        }
        let len = body.len();
        let incoming = match self.room_for(slot, len) {
            Ok(body_id) => {
                if let Some(room) = self.bodies.get_mut(body_id).get_mut(..len) {
                    room.copy_from_slice(body);
                }
                let range = 0..len;
                self.insert_incoming(slot, head, body_id, State::Whole { range, name })
            }
            Err(reason) => Err(reason),
        };
        match incoming {
            Ok(incoming) => {
                self.inbox.push_back(&mut self.arrived, incoming);
                Verdict::Taken
            }
            Err(reason) => self.stats.drop(reason),
        }
    }

    /// Begins to put a message together. Its bytes are counted as declared (H9).
    fn open_incoming(&mut self, now: Instant, slot: u32, frame: &Frame) -> Result<u32, Reason> {
        let head = &frame.head;
        let mut shape = Shape::new(head.coat_len, head.segments).map_err(|_| Reason::Segment)?;
        // What its own first packet does not fit would wait for nothing.
        shape
            .place(head.segment, frame.coat().len())
            .map_err(|_| Reason::Segment)?;
        let coat_len = head.coat_len as usize;
        if coat_len > self.limits.message + MESSAGE_OVERHEAD {
            return Err(Reason::Segment);
        }
        let body = self.room_for(slot, coat_len + (head.segments as usize).div_ceil(8))?;
        let state = State::Partial(Assembly::new(
            shape,
            now,
            Span::new(self.config.timers.messengent.redo_min),
        ));
        self.insert_incoming(slot, head, body, state)
    }

    /// Bytes for a message of this remote, within its share (H9).
    fn room_for(&mut self, slot: u32, bytes: usize) -> Result<BodyId, Reason> {
        let Some(remote) = self.remotes.at(slot) else {
            return Err(Reason::Stranger);
        };
        let full = self.inbox.is_full()
            || remote.arrivals.len() >= self.limits.remote_inbox
            || remote.arrival_bytes + bytes > self.limits.remote_inbox_bytes
            || self.inbox_bytes + bytes > self.limits.inbox_bytes;
        if full {
            return Err(Reason::Full);
        }
        self.bodies.take(bytes).map_err(|_| Reason::Full)
    }

    fn insert_incoming(
        &mut self,
        slot: u32,
        head: &Head,
        body: BodyId,
        state: State,
    ) -> Result<u32, Reason> {
        let incoming = Incoming {
            remote: slot,
            head: *head,
            body,
            state,
        };
        let Some(handle) = self.inbox.insert(incoming) else {
            self.bodies.give(body);
            return Err(Reason::Full);
        };
        if !self.due_in.reserve(handle.slot()) {
            // An allocator's refusal: as full.
            self.inbox.clear(handle.slot());
            self.bodies.give(body);
            return Err(Reason::Full);
        }
        let bytes = self.bodies.get(body).len();
        self.inbox_bytes += bytes;
        let hash = self.hash.of(&(slot, head.transaction_id));
        let inserted = self.in_by_id.insert(hash, handle.slot());
        debug_assert!(
            inserted,
            "an index holds as many pairs as there are messages"
        );
        if let Some(remote) = self.remotes.at_mut(slot) {
            remote.arrival_bytes += bytes;
            remote.window.open(head.transaction_id);
            self.inbox.push_back(&mut remote.arrivals, handle.slot());
        }
        Ok(handle.slot())
    }

    /// A message of ours that was delivered, or waits to be, under an earlier session: it is not
    /// delivered twice.
    fn known_by_name(
        &mut self,
        slot: u32,
        head: &Head,
        name: Option<MessageName>,
    ) -> Option<Verdict> {
        let name = name?;
        let (life, number) = name;
        let remote = self.remotes.at_mut(slot)?;
        let to = remote.path.address;
        if remote.names.has(&life, number) {
            remote.window.finish(head.transaction_id);
            self.answer(Some(slot), to, head, PacketKind::Done, 0);
            return Some(Verdict::Repeated);
        }
        let mut next = remote.arrivals.head();
        while let Some(other) = next {
            next = self.inbox.next::<{ super::super::ARRIVALS }>(other);
            let held = self.inbox.at_mut(other)?;
            if held.is_whole_under(name) {
                // It waits to be taken; its done goes out under the new transaction.
                let old = core::mem::replace(&mut held.head, *head);
                let hash = self.hash.of(&(slot, old.transaction_id));
                self.in_by_id.remove(hash, other);
                let hash = self.hash.of(&(slot, head.transaction_id));
                let inserted = self.in_by_id.insert(hash, other);
                debug_assert!(inserted, "a pair was just removed");
                remote.window.open(head.transaction_id);
                return Some(Verdict::Repeated);
            }
        }
        None
    }

    /// A message is whole: it waits for the application.
    fn complete(&mut self, incoming: u32, range: Range<usize>, name: Option<MessageName>) {
        let Some(held) = self.inbox.at_mut(incoming) else {
            return;
        };
        held.state = State::Whole { range, name };
        let slot = held.remote;
        if let Some(remote) = self.remotes.at_mut(slot) {
            self.inbox.unlink(&mut remote.answers, incoming);
        }
        self.inbox.push_back(&mut self.arrived, incoming);
        let cleared = self.due_in.set(incoming, None);
        debug_assert!(cleared, "clearing a deadline needs no room");
    }

    /// A coat did not open. Where both surely have the same session it never will, and its sender is
    /// told so. Else the peer may have made another one, whose last packet did not come: both
    /// need a new one, in which the message comes again.
    fn refuse_coat(&mut self, now: Instant, slot: u32, head: &Head) -> Verdict {
        if let Some(remote) = self.remotes.at(slot) {
            let session = remote.session.as_ref();
            if session.is_some_and(|s| s.pinned || s.certain) {
                let to = remote.path.address;
                self.answer(Some(slot), to, head, PacketKind::Nack, no::REFUSED);
            } else {
                self.start_allow(now, slot);
            }
        }
        self.stats.drop(Reason::Coat)
    }

    /// A body was in a coat that opened under the session's key: the session id is the peer's for good.
    /// An empty body has an empty coat, which opens under any key and shows nothing.
    fn pin(&mut self, slot: u32, head: &Head, len: usize) {
        if head.coat == CoatKind::Nacl
            && len > 0
            && let Some(session) = self.remotes.at_mut(slot).and_then(|r| r.session.as_mut())
        {
            session.pinned = true;
        }
    }

    /// The sender gives a message up, its signature proven.
    pub(crate) fn on_nack_of_incoming(
        &mut self,
        now: Instant,
        slot: u32,
        incoming: u32,
    ) -> Verdict {
        if self.inbox.at(incoming).is_some_and(Incoming::is_partial) {
            self.drop_incoming(incoming, true);
            self.heard(now, slot);
            return Verdict::Taken;
        }
        Verdict::Repeated // it is whole already, and will be delivered
    }

    /// The open message of this transaction.
    pub(crate) fn incoming(&self, remote: u32, si: u32, ti: u32) -> Option<u32> {
        self.in_by_id.find(self.hash.of(&(remote, ti)), |slot| {
            self.inbox.at(slot).is_some_and(|held| {
                held.remote == remote && held.head.transaction_id == ti && held.head.session == si
            })
        })
    }

    /// The body of a resend, opened where it lies.
    pub(crate) fn open_misseds(&self, slot: u32, head: &Head, coat: &mut [u8]) -> Option<Misseds> {
        let session = self.remotes.at(slot).and_then(|r| r.session.as_ref());
        let (range, _) = open_coat(&self.suite, session, head, coat)?;
        Misseds::parse(head.body, coat.get(range)?).ok()
    }

    /// Forgets a message that was not whole. `over`: its sender gave it up; else it may send again.
    fn drop_incoming(&mut self, incoming: u32, over: bool) {
        if let Some(held) = self.inbox.at(incoming)
            && let Some(remote) = self.remotes.at_mut(held.remote)
            && remote.rsid == held.head.session
        {
            if over {
                remote.window.end(held.head.transaction_id);
            } else {
                remote.window.clear(held.head.transaction_id);
            }
        }
        self.remove_incoming(incoming);
    }

    fn remove_incoming(&mut self, incoming: u32) {
        self.release_body(incoming);
        let Some(held) = self.inbox.at(incoming) else {
            return;
        };
        let (slot, ti) = (held.remote, held.head.transaction_id);
        let whole = held.is_whole();
        self.in_by_id.remove(self.hash.of(&(slot, ti)), incoming);
        if let Some(remote) = self.remotes.at_mut(slot) {
            self.inbox.unlink(&mut remote.arrivals, incoming);
            if whole {
                self.inbox.unlink(&mut self.arrived, incoming);
            } else {
                self.inbox.unlink(&mut remote.answers, incoming);
            }
        }
        let cleared = self.due_in.set(incoming, None);
        debug_assert!(cleared, "clearing a deadline needs no room");
        self.inbox.clear(incoming);
    }

    /// Gives a message's bytes back to the budget; its slot stays.
    fn release_body(&mut self, incoming: u32) {
        let Some(held) = self.inbox.at(incoming) else {
            return;
        };
        let (slot, body) = (held.remote, held.body);
        let bytes = self.give_body(body);
        self.inbox_bytes -= bytes;
        if let Some(remote) = self.remotes.at_mut(slot) {
            remote.arrival_bytes -= bytes;
        }
    }

    /// The session has changed: what was not whole begins anew. What is whole is still delivered.
    pub(crate) fn drop_partial_arrivals(&mut self, slot: u32) {
        let mut next = self.remotes.at(slot).and_then(|r| r.arrivals.head());
        while let Some(incoming) = next {
            next = self.inbox.next::<{ super::super::ARRIVALS }>(incoming);
            if !self.inbox.at(incoming).is_some_and(Incoming::is_whole) {
                self.remove_incoming(incoming);
            }
        }
    }

    /// The remote goes, and everything from it that was not taken.
    pub(crate) fn drop_arrivals(&mut self, slot: u32) {
        while let Some(incoming) = self.remotes.at(slot).and_then(|r| r.arrivals.head()) {
            self.remove_incoming(incoming);
        }
    }
}

/// Opens a coat in place, `tag ‖ sealed ‖ nonce`: where the body lies then, and the message's name, if it
/// says that it has one. An empty coat is an empty body (road-wire: Coat).
fn open_coat<C: Crypto>(
    suite: &C,
    session: Option<&Session<C::BoxKey>>,
    head: &Head,
    coat: &mut [u8],
) -> Option<(Range<usize>, Option<MessageName>)> {
    if head.coat == CoatKind::Nada || coat.is_empty() {
        return Some((0..coat.len(), None));
    }
    let session = session?;
    let end = coat.len().checked_sub(24)?;
    let (boxed, nonce) = coat.split_at_mut_checked(end)?;
    let nonce = *nonce.first_chunk::<24>()?;
    let (tag, sealed) = boxed.split_first_chunk_mut::<16>()?;
    if !suite.open(&session.key, &nonce, sealed, tag) {
        return None;
    }
    let (life, number) = nonce.split_first_chunk::<16>()?;
    let name = (*life, u64::from_be_bytes(*number.first_chunk::<8>()?));
    Some((16..end, (head.order != 0).then_some(name)))
}

/// Whether a session id of the peer's can be of the session that is up (`Session::least`). It may go on
/// until it is known for good, and never goes back.
pub(crate) fn session_fits(rsid: u32, least: u32, pinned: bool, si: u32) -> Result<(), Reason> {
    if pinned && si != rsid && at_or_after(si, rsid) {
        return Err(Reason::UnknownSession);
    }
    let older = |than: u32| than != 0 && !at_or_after(si, than);
    if older(rsid) || older(least) {
        return Err(Reason::StaleSession);
    }
    Ok(())
}
