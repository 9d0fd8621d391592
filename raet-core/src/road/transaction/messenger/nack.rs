//! What a nack means (hardening: H5).
//!
//! A receiver of ours says it. One of 0.6.8 nacks what it has already and what it cannot take for want
//! of a session with the same bytes. So its word is held until a sign of life, asked for after the nack,
//! tells which: who still answers ack has held this session all along, restarts included.
//!
//! ```text
//!   message ──▶ nack
//!     request ──▶ ack          it held the session: it had the message, or refused it
//!     request ──▶ unallowed    it lost the session: the message waits for the next one
//! ```

use super::{Outgoing, State, no};
use crate::crypto::Crypto;
use crate::event::{Doubt, Failure, Outcome};
use crate::road::session::at_or_after;
use crate::road::stack::RoadStack;
use crate::storage::Storage;
use crate::time::Instant;

/// A nack that waits for a sign of life to tell what it meant.
#[derive(Clone, Copy, Hash)]
pub(super) struct Nacked {
    /// A request with this transaction id or a later one was begun after the nack came.
    since: u32,
    /// How the message ends if the peer has held the session all along.
    held: Outcome,
}

impl<S: Storage, C: Crypto> RoadStack<S, C> {
    /// A nack for an open message, its signature proven. False: nothing new is learnt of it.
    pub(super) fn on_nack(&mut self, now: Instant, slot: u32, out: u32, reason: u32) -> bool {
        // It may have arrived in an earlier session.
        let refused = match self.outbox.at(out) {
            Some(message) if !message.sent_whole => Outcome::Failed(Failure::Refused),
            _ => Outcome::Unknown(Doubt::Nacked),
        };
        match reason {
            no::REFUSED => self.end_message(now, out, refused),
            no::PASSED => self.end_message(now, out, Outcome::Unknown(Doubt::Nacked)),
            _ => return self.hold(slot, out, refused),
        }
        true
    }

    /// Nothing more of the message is sent until it is known what the nack meant.
    fn hold(&mut self, slot: u32, out: u32, refused: Outcome) -> bool {
        let Some(remote) = self.remotes.at_mut(slot) else {
            return false;
        };
        let Some(Outgoing {
            state: State::Open(flight),
            ..
        }) = self.outbox.at_mut(out)
        else {
            return false;
        };
        if flight.nacked.is_some() {
            return false; // the copies that were on their way are nacked too
        }
        // A copy that came after all the others was nacked because they were taken; a segment that
        // never left was surely not.
        let held = if flight.next < flight.plan.count {
            refused
        } else if flight.repeated {
            Outcome::Delivered
        } else {
            Outcome::Unknown(Doubt::Nacked)
        };
        flight.nacked = Some(Nacked {
            since: remote.next_ti,
            held,
        });
        remote.in_flight = remote.in_flight.saturating_sub(flight.in_flight());
        flight.confirmed = flight.next;
        flight.repeat = false;
        flight.asked = 0;
        flight.redo = Instant::NEVER;
        self.outbox.unlink(&mut remote.sendable, out);
        self.outbox.push_back(&mut remote.nacked, out);
        self.set_due_out(out);
        true
    }

    /// A request for a sign of life was answered: what was nacked before it began has its meaning.
    /// `holds`: the peer says that the session is up.
    pub(crate) fn explain_nacks(&mut self, now: Instant, slot: u32, request: u32, holds: bool) {
        loop {
            let Some(remote) = self.remotes.at(slot) else {
                return;
            };
            let Some(out) = remote.nacked.head() else {
                return;
            };
            // Nor can it be told while one side may have begun the session anew.
            let certain = holds && remote.session.as_ref().is_some_and(|s| s.certain);
            let Some(State::Open(flight)) = self.outbox.at(out).map(|m| &m.state) else {
                return;
            };
            let Some(nacked) = flight.nacked.filter(|n| at_or_after(request, n.since)) else {
                return; // those behind it are younger still
            };
            let outcome = match nacked.held {
                Outcome::Delivered if certain => Outcome::Delivered,
                Outcome::Failed(failure) => Outcome::Failed(failure),
                _ => Outcome::Unknown(Doubt::Nacked),
            };
            if outcome == Outcome::Delivered {
                self.stats.messages_out += 1;
            }
            self.end_message(now, out, outcome);
        }
    }
}
