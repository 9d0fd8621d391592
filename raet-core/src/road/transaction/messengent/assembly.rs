//! Putting a message together: segments, gaps, and telling its sender what came.

use super::{AnswerPacket, State, open_coat};
use crate::crypto::Crypto;
use crate::road::ANSWERS;
use crate::road::bits::{has_bit, set_bit};
use crate::road::path::RoundTrip;
use crate::road::stack::RoadStack;
use crate::stats::{Reason, Verdict};
use crate::storage::{Bodies, Storage};
use crate::time::{Instant, Span};
use crate::wire::{Flags, Head, MAX_MISSEDS, Misseds, PacketKind, Shape};

/// What is known of a message whose segments are coming in.
#[derive(Clone, Hash)]
pub(super) struct Assembly {
    pub(super) shape: Shape,
    /// Segments that have come.
    came: u32,
    /// Every segment before this one has come.
    expected: u32,
    /// The highest segment that has come.
    highest: u32,
    /// Gaps before this one were asked for, at that time.
    asked: u32,
    asked_at: Instant,
    heard: Instant,
    interval: Span,
    redo: Instant,
}

/// A gap is asked for at once when this many later segments have come: fewer may be reordering.
const REORDERED: u32 = 3;

impl<S: Storage, C: Crypto> RoadStack<S, C> {
    pub(super) fn put_segment(
        &mut self,
        now: Instant,
        slot: u32,
        incoming: u32,
        head: &Head,
        part: &[u8],
    ) -> Verdict {
        let pace = self.config.timers.messengent;
        let trip = self.remotes.at(slot).map(|r| r.path.trip);
        let Some(held) = self.inbox.at_mut(incoming) else {
            return self.stats.drop(Reason::Segment);
        };
        let same = held.head.segments == head.segments && held.head.coat_len == head.coat_len;
        let State::Partial(assembly) = &mut held.state else {
            return Verdict::Repeated; // it waits for the application; so does the done
        };
        if !same {
            return self.stats.drop(Reason::Segment);
        }
        let buffer = self.bodies.get_mut(held.body);
        let Some(fresh) = assembly.put(now, head.segment, part, buffer) else {
            return self.stats.drop(Reason::Segment);
        };
        if assembly.came == assembly.shape.count() {
            return self.finish_assembly(now, slot, incoming);
        }
        // A mere copy, doubled by the network: an answer to it would have a 0.6.8 sender go back and send
        // its burst again, and each such copy another. If the answer was lost, our clock repeats it.
        if !fresh && !head.flags.contains(Flags::AGAIN) {
            self.set_due_in(incoming);
            return Verdict::Repeated;
        }
        // Silence is told what came; so is a sender that waits, and a gap that is not just reordering.
        let patience = trip.map_or_else(
            || Span::new(pace.redo_min),
            |t: RoundTrip| t.patience(&pace),
        );
        assembly.interval = patience;
        assembly.redo = now + patience;
        if (assembly.has_gap() || head.flags.contains(Flags::WAIT))
            && assembly.has_news(now, patience)
        {
            self.owe_answer(slot, incoming);
        }
        self.set_due_in(incoming);
        if fresh {
            Verdict::Taken
        } else {
            Verdict::Repeated
        }
    }

    pub(super) fn finish_assembly(&mut self, now: Instant, slot: u32, incoming: u32) -> Verdict {
        let Some(held) = self.inbox.at(incoming) else {
            return self.stats.drop(Reason::Segment);
        };
        let State::Partial(assembly) = &held.state else {
            return Verdict::Repeated;
        };
        let (head, body, coat_len) = (held.head, held.body, assembly.shape.coat_len() as usize);
        let session = self.remotes.at(slot).and_then(|r| r.session.as_ref());
        let coat = self
            .bodies
            .get_mut(body)
            .get_mut(..coat_len)
            .unwrap_or(&mut []);
        let Some((range, name)) = open_coat(&self.suite, session, &head, coat) else {
            self.drop_incoming(incoming, false);
            return self.refuse_coat(now, slot, &head);
        };
        self.pin(slot, &head, range.len());
        if let Some(verdict) = self.known_by_name(slot, &head, name) {
            self.remove_incoming(incoming);
            return verdict;
        }
        self.complete(incoming, range, name);
        Verdict::Taken
    }

    pub(super) fn owe_answer(&mut self, slot: u32, incoming: u32) {
        if !self.inbox.is_linked::<ANSWERS>(incoming)
            && let Some(remote) = self.remotes.at_mut(slot)
        {
            self.inbox.push_back(&mut remote.answers, incoming);
        }
    }

    /// The next done, ack or resend that is owed to a remote. At most one packet of gaps at a time (H9).
    pub(crate) fn make_answer(&mut self, now: Instant, slot: u32) -> Option<AnswerPacket> {
        let remote = self.remotes.at_mut(slot)?;
        let patience = remote.path.trip.patience(&self.config.timers.messengent);
        let (near, far) = (remote.near, remote.far);
        let incoming = self.inbox.pop_front(&mut remote.answers)?;
        let held = self.inbox.at_mut(incoming)?;
        let mut head = held.head;
        head.kind = self.config.head;
        head.body = self.config.body;
        head.source = near;
        head.destination = far;
        head.flags = Flags::CORRESPONDENT;
        head.order = 0;
        head.segment = 0;
        head.segments = 1;
        head.coat_len = 0;
        let misseds = match &mut held.state {
            State::Partial(assembly) if assembly.expected <= assembly.highest => {
                head.packet = PacketKind::Resend;
                let coat_len = assembly.shape.coat_len() as usize;
                let seen = self.bodies.get(held.body).get(coat_len..).unwrap_or(&[]);
                Some(assembly.take_gaps(now, patience, seen)?)
            }
            State::Partial(assembly) => {
                head.packet = PacketKind::Ack;
                head.segment = assembly.highest;
                None
            }
            State::Taken => {
                head.packet = PacketKind::Done;
                self.remove_incoming(incoming);
                None
            }
            State::Whole { .. } => return None,
        };
        Some(AnswerPacket { head, misseds })
    }

    /// The clock of a message that is not whole: its sender is told what came, or it is given up.
    pub(crate) fn tick_incoming(&mut self, now: Instant, incoming: u32) {
        let Some(held) = self.inbox.at_mut(incoming) else {
            return;
        };
        let slot = held.remote;
        let State::Partial(assembly) = &mut held.state else {
            return;
        };
        if assembly.heard + self.config.timers.partial <= now {
            self.drop_incoming(incoming, false); // H9
        } else {
            assembly.interval = self.config.timers.messengent.doubled(assembly.interval);
            assembly.redo = now + assembly.interval;
            assembly.asked = 0;
            self.owe_answer(slot, incoming);
            self.set_due_in(incoming);
        }
        self.settle(slot);
    }

    pub(super) fn set_due_in(&mut self, incoming: u32) {
        let Some(State::Partial(assembly)) = self.inbox.at(incoming).map(|held| &held.state) else {
            return;
        };
        let due = assembly
            .redo
            .min(assembly.heard + self.config.timers.partial);
        let set = self.due_in.set(incoming, Some(due));
        debug_assert!(
            set,
            "room for its deadline was reserved when the message came"
        );
    }
}

impl Assembly {
    pub(super) fn new(shape: Shape, now: Instant, interval: Span) -> Self {
        Self {
            shape,
            came: 0,
            expected: 0,
            highest: 0,
            asked: 0,
            asked_at: Instant::ZERO,
            heard: now,
            interval,
            redo: Instant::NEVER,
        }
    }

    /// Puts a segment where it belongs: whether it is new; `None` if it does not fit.
    fn put(&mut self, now: Instant, number: u32, part: &[u8], buffer: &mut [u8]) -> Option<bool> {
        let place = self.shape.place(number, part.len()).ok()?;
        let (coat, seen) = buffer.split_at_mut_checked(self.shape.coat_len() as usize)?;
        let room = coat.get_mut(place)?;
        self.heard = now;
        if !set_bit(seen, number, true) {
            return Some(false);
        }
        room.copy_from_slice(part);
        self.came += 1;
        self.highest = self.highest.max(number);
        while self.expected < self.shape.count() && has_bit(seen, self.expected) {
            self.expected += 1;
        }
        Some(true)
    }

    /// A gap that was not asked for and is not just reordering.
    const fn has_gap(&self) -> bool {
        self.highest >= self.expected.saturating_add(REORDERED) && self.asked <= self.expected
    }

    /// The first gap worth asking for: those asked for within one round trip are on their way.
    fn gaps_from(&self, now: Instant, patience: Span) -> u32 {
        if self.asked_at + patience > now {
            self.expected.max(self.asked)
        } else {
            self.expected
        }
    }

    /// Whether an answer would tell the sender something.
    fn has_news(&self, now: Instant, patience: Span) -> bool {
        self.expected > self.highest || self.gaps_from(now, patience) < self.highest
    }

    /// The gaps to ask for now, which count as asked for; `None` if there are none.
    fn take_gaps(&mut self, now: Instant, patience: Span, seen: &[u8]) -> Option<Misseds> {
        let from = self.gaps_from(now, patience);
        let gaps = (from..self.highest).filter(|n| !has_bit(seen, *n));
        // Segment numbers are below 65,535 (`Shape`).
        let misseds: Misseds = gaps.take(MAX_MISSEDS).map(|n| n as u16).collect();
        self.asked = u32::from(misseds.iter().last()?) + 1;
        self.asked_at = now;
        Some(misseds)
    }
}
