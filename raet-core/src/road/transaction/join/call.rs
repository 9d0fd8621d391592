//! A call: a remote that the host asked for at an address, and that has not said who it is. Who answers may be
//! somebody that is known by another remote, and has moved (hardening: H4).
//!
//! ```text
//!   call at B      request ──▶ response: its name is that of a proven remote, held at A
//!                  refuse  ──▶                            what was asked as a stranger is over
//!   that remote    request ──▶ response ──▶ ack           B is its candidate now
//!                  hello … ──▶                            B is where it is held: the call is answered
//! ```
//!
//! Until the allow has proven it, the remote is held where it was, and the call stands: it asks again.

use crate::crypto::Crypto;
use crate::event::RemoteEvent;
use crate::road::RemoteId;
use crate::road::remote::{Candidate, Target};
use crate::road::stack::RoadStack;
use crate::storage::Storage;
use crate::time::{Instant, Span};
use crate::wire::{JoinBody, PacketKind};

use core::net::SocketAddr;

impl<S: Storage, C: Crypto> RoadStack<S, C> {
    /// Who answers this call, if that is a remote that has proven itself under this name and role.
    pub(super) fn known_by_another(&self, call: u32, body: &JoinBody) -> Option<u32> {
        let nameless = self.remotes.at(call)?.name.is_empty();
        let known = self.by_name(&body.name).filter(|_| nameless)?;
        let proven = self.remotes.at(known)?.proven;
        (proven && self.role_name(known) == body.role).then_some(known)
    }

    /// A known remote goes on for the call that it has answered: it joins there by the number that it was given
    /// when it proved itself, so that its peer knows it again.
    pub(super) fn hand_over(&mut self, now: Instant, call: u32, known: u32) {
        self.answer_join(call, PacketKind::Refuse);
        let timers = self.config.timers;
        let patience = timers.joiner.timeout.saturating_add(timers.allower.timeout);
        let Some(remote) = self.remotes.at_mut(call) else {
            return;
        };
        remote.join = None;
        // Somebody is there: it is asked again as soon as that has come to nothing.
        remote.life.interval = Span::new(patience.max(timers.retry.redo_min));
        let address = remote.path.address;
        self.plan(now, call);
        let there = self.remotes.at(known);
        if there.is_some_and(|r| r.ready() && r.path.address == address) {
            self.answer_calls(now, known);
            self.plan(now, known);
        } else {
            self.start_join_at(now, known, address, true);
        }
        self.settle(known);
    }

    /// Whether this way leads to where the host calls, and a known remote has answered.
    pub(crate) fn is_call(&self, slot: u32, target: Target) -> bool {
        let candidate = self.remotes.at(slot).and_then(|r| r.candidate);
        let answered = |c: Candidate| c.asked && self.asked_for_at(c.address).is_some();
        target == Target::Candidate && candidate.is_some_and(answered)
    }

    /// What a known remote tried for the call at this address has failed. False: there is none.
    pub(crate) fn call_failed(&mut self, now: Instant, at: SocketAddr, why: RemoteEvent) -> bool {
        let Some(call) = self.asked_for_at(at) else {
            return false;
        };
        self.tell(call, why);
        self.attempt_failed(now, call);
        self.settle(call);
        true
    }

    /// A remote has proven itself at its address: it is whoever the host asked for there, and what waits for
    /// that one is sent to it.
    pub(crate) fn answer_calls(&mut self, now: Instant, slot: u32) {
        while let Some(remote) = self.remotes.at(slot)
            && let Some(call) = self.asked_for_at(remote.path.address)
            && let Some(known) = self.remotes.handle_of(slot)
            && let Some((wanted, token)) =
                (self.remotes.at(call)).map(|call| (call.life.wanted, call.token))
        {
            self.redirect_messages(call, known);
            if let Some(remote) = self.remotes.at_mut(slot) {
                remote.life.wanted |= wanted;
                remote.told = true;
                if remote.token == 0 {
                    remote.token = token; // the host has given it none
                }
            }
            self.remove_remote(now, call);
            self.tell(call, RemoteEvent::SameAs(RemoteId(known)));
        }
    }
}
