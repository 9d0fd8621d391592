//! Beginning messages and making their packets, which take turns.

use super::{Flight, MessagePacket, Outgoing, State, coat_len, coat_range, message_head};
use crate::crypto::Crypto;
use crate::limits::MESSAGE_OVERHEAD;
use crate::road::bits::{next_bit, set_bit};
use crate::road::remote::Remote;
use crate::road::session::{SPAN, next_id};
use crate::road::stack::RoadStack;
use crate::storage::{Bodies, Index, KeyHash, Storage};
use crate::time::Instant;
use crate::wire::{CoatKind, Flags, MAX_PACKET, Plan, plan};

impl<S: Storage, C: Crypto> RoadStack<S, C> {
    /// Whether the next waiting message of a remote can be begun: a session is up, the window has
    /// room, and its oldest open message is not too far behind (`SPAN`).
    pub(crate) fn can_begin(&self, remote: &Remote<C>) -> bool {
        if !remote.ready() || remote.waiting.is_empty() {
            return false;
        }
        if remote.in_flight >= u32::from(self.config.window) {
            return false;
        }
        let Some(oldest) = remote.open.head().and_then(|slot| self.outbox.at(slot)) else {
            return true;
        };
        let ti_span = match &oldest.state {
            State::Open(flight) => remote.next_ti.wrapping_sub(flight.ti),
            _ => 0,
        };
        ti_span < SPAN
            && remote.next_number.wrapping_sub(self.oldest_number(remote)) < u64::from(SPAN)
    }

    /// The lowest number among open messages: those that were sent again after a session change
    /// come first, in their old order.
    pub(super) fn oldest_number(&self, remote: &Remote<C>) -> u64 {
        let oldest = remote.open.head().and_then(|slot| self.outbox.at(slot));
        oldest.map_or(remote.next_number, |m| m.number)
    }

    /// Begins the next waiting message of a remote, sealing it.
    pub(crate) fn begin_message(&mut self, slot: u32) {
        let Some(remote) = self.remotes.at_mut(slot) else {
            return;
        };
        let Some(session) = &remote.session else {
            return;
        };
        let Some(out) = self.outbox.pop_front(&mut remote.waiting) else {
            return;
        };
        let Some(message) = self.outbox.at_mut(out) else {
            return;
        };
        if message.number == 0 {
            message.number = remote.next_number;
            remote.next_number += 1;
        }
        let coated = self.config.coat == CoatKind::Nacl && message.len > 0;
        if coated {
            seal(
                &self.suite,
                &session.key,
                &remote.names_begin(&self.life),
                message,
                &mut self.bodies,
            );
        }
        let ti = remote.next_ti;
        remote.next_ti = next_id(ti);
        let head = message_head(&self.config, remote, message, ti, remote.sid);
        let coat_len = coat_range(&self.config, message).len();
        // `send` has checked that it fits the protocol.
        let plan = plan(&head, coat_len, MAX_PACKET).unwrap_or(Plan {
            count: 1,
            size: coat_len as u32,
        });
        message.state = State::Open(Flight {
            ti,
            si: remote.sid,
            plan,
            next: 0,
            confirmed: 0,
            asked: 0,
            asked_from: 0,
            heard: false,
            repeat: false,
            repeated: false,
            last: None,
            signature: [0; 64],
            interval: remote.path.trip.patience(&self.config.timers.messenger),
            redo: Instant::NEVER,
            probe: None,
            nacked: None,
        });
        self.outbox.push_back(&mut remote.open, out);
        self.outbox.push_back(&mut remote.sendable, out);
        let hash = self.hash.of(&(slot, ti));
        let inserted = self.out_by_id.insert(hash, out);
        debug_assert!(
            inserted,
            "an index holds as many pairs as there are messages"
        );
    }

    /// The next packet of the remote's messages, which take turns.
    pub(crate) fn make_message(&mut self, now: Instant, slot: u32) -> Option<(u32, MessagePacket)> {
        let share = self.share(slot);
        let remote = self.remotes.at_mut(slot)?;
        let out = self.outbox.pop_front(&mut remote.sendable)?;
        let message = self.outbox.at_mut(out)?;
        let State::Open(flight) = &mut message.state else {
            return None;
        };
        let coat_len = coat_len(&self.config, message.len);
        let burst = (share / 2).max(1);
        let (segment, again, wait, fresh) = if flight.repeat {
            // The furthest that was sent: its answer tells everything that is missing.
            flight.repeat = false;
            self.stats.repeats_out += 1;
            (flight.next.checked_sub(1)?, flight.heard, true, false)
        } else if flight.asked > 0 {
            let bits = self
                .bodies
                .get_mut(message.body)
                .get_mut(MESSAGE_OVERHEAD + message.len..)?;
            let segment = next_bit(bits, flight.asked_from, flight.plan.count)?;
            set_bit(bits, segment, false);
            flight.asked -= 1;
            flight.asked_from = segment + 1;
            self.stats.repeats_out += 1;
            (segment, true, flight.asked == 0, false)
        } else {
            let segment = flight.next;
            flight.next += 1;
            remote.in_flight += 1;
            let last = flight.next == flight.plan.count;
            let full = flight.in_flight() >= share;
            (
                segment,
                false,
                last || full || flight.next % burst == 0,
                true,
            )
        };
        flight.repeated |= !fresh && flight.next == flight.plan.count;
        let segmented = flight.plan.count > 1;
        let flags = Flags::NONE
            .with(Flags::AGAIN, again)
            .with(Flags::SEGMENTED, segmented)
            .with(Flags::WAIT, wait);
        // A segment sent again differs by its flag; the very same packet is not signed twice.
        let known = flight.last == Some((segment, flags));
        let signature = known.then_some(flight.signature);
        // Only what is sent for the first time is measured (Karn).
        flight.probe = match flight.probe {
            None if fresh && wait => Some(now),
            probe if fresh => probe,
            _ => None,
        };
        flight.last = Some((segment, flags));
        flight.redo = now + flight.interval;
        message.sent = true;
        let (ti, si) = (flight.ti, flight.si);
        let range = flight.plan.range(coat_len, segment)?;
        let sendable = flight.sendable(share);
        let count = flight.plan.count;
        let mut head = message_head(&self.config, remote, message, ti, si);
        head.flags = flags;
        if segmented {
            head.segment = segment;
            head.segments = count;
            head.coat_len = coat_len as u32;
        }
        let start = coat_range(&self.config, message).start;
        let packet = MessagePacket {
            head,
            body: message.body,
            coat: start + range.start..start + range.end,
            signature,
        };
        if sendable {
            self.outbox.push_back(&mut remote.sendable, out);
        }
        self.set_due_out(out);
        Some((out, packet))
    }

    /// Keeps the signature of the packet just made, for its repeat.
    pub(crate) fn keep_signature(&mut self, out: u32, signature: [u8; 64]) {
        if let Some(Outgoing {
            state: State::Open(flight),
            ..
        }) = self.outbox.at_mut(out)
        {
            flight.signature = signature;
        }
    }

    /// Unconfirmed packets that one message may have: half of the remote's window while others wait
    /// beside it, so that they take turns.
    pub(super) fn share(&self, slot: u32) -> u32 {
        let window = u32::from(self.config.window);
        let alone = self.remotes.at(slot).is_none_or(|r| r.open.len() <= 1);
        if alone { window } else { window / 2 }
    }
}

/// Seals a message in place under the session's key; one that is sealed under an older key is
/// opened first.
pub(super) fn seal<C: Crypto, B: Bodies>(
    suite: &C,
    key: &C::BoxKey,
    life: &[u8; 16],
    message: &mut Outgoing<C>,
    bodies: &mut B,
) {
    let Some((tag, rest)) = bodies.get_mut(message.body).split_first_chunk_mut::<16>() else {
        return;
    };
    let Some((body, rest)) = rest.split_at_mut_checked(message.len) else {
        return;
    };
    let Some((nonce, _)) = rest.split_first_chunk_mut::<24>() else {
        return;
    };
    if let Some(old) = message.sealed.take() {
        let opened = suite.open(&old, nonce, body, tag);
        debug_assert!(opened, "what was sealed here opens again");
    }
    let (first, number) = nonce.split_at_mut(16);
    first.copy_from_slice(life);
    number.copy_from_slice(&message.number.to_be_bytes());
    *tag = suite.seal(key, nonce, body);
    message.sealed = Some(key.clone());
}
