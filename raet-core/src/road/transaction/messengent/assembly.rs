//! Putting a message together: segments, gaps, and telling its sender what came.

use super::{AnswerPacket, Incoming, REORDERED, named, open_sealed};
use crate::crypto::Crypto;
use crate::road::ANSWERS;
use crate::road::path::RoundTrip;
use crate::road::stack::RoadStack;
use crate::road::transaction::messenger::{no, set_bit};
use crate::stats::{Reason, Verdict};
use crate::storage::{Bodies, Storage};
use crate::time::{Duration, Instant};
use crate::wire::{CoatKind, Flags, Head, MAX_MISSEDS, Misseds, PacketKind};

impl<S: Storage, C: Crypto> RoadStack<S, C> {
    pub(super) fn put_segment(
        &mut self,
        now: Instant,
        slot: u32,
        incoming: u32,
        head: &Head,
        part: &[u8],
    ) -> Verdict {
        let trip = self.remotes.at(slot).map(|r| r.path.trip);
        let Some(held) = self.inbox.at_mut(incoming) else {
            return self.stats.drop(Reason::Segment);
        };
        if held.whole.is_some() {
            return Verdict::Repeated; // it waits for the application; so does the done
        }
        let same = held.head.segments == head.segments && held.head.coat_len == head.coat_len;
        let place = if same {
            held.shape.place(head.segment, part.len()).ok()
        } else {
            None
        };
        let Some(place) = place else {
            return self.stats.drop(Reason::Segment);
        };
        held.heard = now;
        let coat_len = held.shape.coat_len() as usize;
        let buffer = self.bodies.get_mut(held.body);
        let Some((coat, seen)) = buffer.split_at_mut_checked(coat_len) else {
            return self.stats.drop(Reason::Segment);
        };
        let fresh = set_bit(seen, head.segment, true);
        if fresh {
            if let Some(room) = coat.get_mut(place) {
                room.copy_from_slice(part);
            }
            held.came += 1;
            held.highest = held.highest.max(head.segment);
            while held.expected < held.shape.count() && has_bit(seen, held.expected) {
                held.expected += 1;
            }
            if held.came == held.shape.count() {
                return self.finish_assembly(slot, incoming);
            }
        }
        // Silence is told what came; so is a sender that waits, and a gap that is not just reordering.
        let patience = trip.map_or(held.interval, |t: RoundTrip| {
            t.patience(&self.config.timers.messengent)
        });
        held.interval = patience;
        held.redo = now + patience;
        let gap =
            held.highest >= held.expected.saturating_add(REORDERED) && held.asked <= held.expected;
        let owes = gap || head.flags.contains(Flags::WAIT);
        if owes && held.has_news(now, patience) {
            self.owe_answer(slot, incoming);
        }
        self.set_due_in(incoming);
        if fresh {
            Verdict::Taken
        } else {
            Verdict::Repeated
        }
    }

    pub(super) fn finish_assembly(&mut self, slot: u32, incoming: u32) -> Verdict {
        let Some(held) = self.inbox.at(incoming) else {
            return self.stats.drop(Reason::Segment);
        };
        let (head, body, coat_len) = (held.head, held.body, held.shape.coat_len() as usize);
        let session = self.remotes.at(slot).and_then(|r| r.session.as_ref());
        let coat = self
            .bodies
            .get_mut(body)
            .get_mut(..coat_len)
            .unwrap_or(&mut []);
        let opened = match (head.coat, session) {
            (CoatKind::Nada, _) => Some((0..coat_len, None)),
            (CoatKind::Nacl, Some(session)) => {
                open_sealed(&self.suite, &session.key, coat).map(|(r, n)| (r, named(&head, n)))
            }
            (CoatKind::Nacl, None) => None,
        };
        let Some((range, name)) = opened else {
            if let Some(to) = self.remotes.at(slot).map(|r| r.path.address) {
                self.answer(Some(slot), to, &head, PacketKind::Nack, no::REFUSED);
            }
            self.drop_incoming(incoming, false);
            return self.stats.drop(Reason::Coat);
        };
        self.pin(slot);
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

    /// The next ack or resend that is owed to a remote. At most one packet of gaps at a time (H9).
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
        let misseds = if held.expected <= held.highest {
            let from = held.gaps_from(now, patience);
            let coat_len = held.shape.coat_len() as usize;
            let seen = self.bodies.get(held.body).get(coat_len..).unwrap_or(&[]);
            let gaps = (from..held.highest).filter(|n| !has_bit(seen, *n));
            // Segment numbers are below 65,535 (`Shape`).
            let misseds: Misseds = gaps.take(MAX_MISSEDS).map(|n| n as u16).collect();
            held.asked = misseds
                .iter()
                .last()
                .map_or(held.highest, |n| u32::from(n) + 1);
            held.asked_at = now;
            head.packet = PacketKind::Resend;
            Some(misseds)
        } else {
            head.packet = PacketKind::Ack;
            head.segment = held.highest;
            None
        };
        Some(AnswerPacket { head, misseds })
    }

    /// The clock of a message that is not whole: its sender is told what came, or it is given up.
    pub(crate) fn tick_incoming(&mut self, now: Instant, incoming: u32) {
        let Some(held) = self.inbox.at_mut(incoming) else {
            return;
        };
        let slot = held.remote;
        if held.heard + self.config.timers.partial <= now {
            self.drop_incoming(incoming, false); // H9
        } else {
            held.interval = (held.interval * 2).min(self.config.timers.messengent.redo_max);
            held.redo = now + held.interval;
            held.asked = 0;
            self.owe_answer(slot, incoming);
            self.set_due_in(incoming);
        }
        self.settle(slot);
    }

    pub(super) fn set_due_in(&mut self, incoming: u32) {
        let Some(held) = self.inbox.at(incoming) else {
            return;
        };
        let due = held.redo.min(held.heard + self.config.timers.partial);
        let set = self.due_in.set(incoming, Some(due));
        debug_assert!(
            set,
            "room for its deadline was reserved when the message came"
        );
    }
}

impl Incoming {
    /// The first gap worth asking for: those asked for within one round trip are on their way.
    pub(super) fn gaps_from(&self, now: Instant, patience: Duration) -> u32 {
        if self.asked_at + patience > now {
            self.expected.max(self.asked)
        } else {
            self.expected
        }
    }

    /// Whether an answer would tell the sender something.
    pub(super) fn has_news(&self, now: Instant, patience: Duration) -> bool {
        self.expected > self.highest || self.gaps_from(now, patience) < self.highest
    }
}

pub(super) fn has_bit(bits: &[u8], number: u32) -> bool {
    bits.get(number as usize / 8)
        .is_some_and(|b| b & 1 << (number % 8) != 0)
}
