//! A join begun here.

use super::claim::Claimed;
use super::{Join, Joiner};
use crate::crypto::{Crypto, Purpose};
use crate::event::{JoinFailure, RemoteEvent};
use crate::keep::Status;
use crate::road::handshake::Handshake;
use crate::road::remote::{LastJoin, Remote, Target};
use crate::road::stack::RoadStack;
use crate::road::transaction::clock::Clock;
use crate::stats::{Reason, Verdict};
use crate::storage::Storage;
use crate::time::Instant;
use crate::wire::{Head, JoinBody, PacketKind};
use core::net::SocketAddr;
use core::num::NonZeroU32;

impl<S: Storage, C: Crypto> RoadStack<S, C> {
    /// Begins a join, unless one is open.
    pub(crate) fn start_join(&mut self, now: Instant, slot: u32) {
        let Some(remote) = self.remotes.at(slot) else {
            return;
        };
        // A peer's join gives way where it blocks nothing: it may be anyone's (H4).
        if remote.joining() {
            return;
        }
        self.start_join_at(now, slot, remote.path.address, remote.far == 0);
    }

    /// Begins a join at an address, in place of one that is open.
    pub(super) fn start_join_at(
        &mut self,
        now: Instant,
        slot: u32,
        address: SocketAddr,
        vacuous: bool,
    ) {
        let Some(remote) = self.remotes.at_mut(slot) else {
            return;
        };
        remote.join_attempts = remote.join_attempts.wrapping_add(1);
        let (birth, attempt) = (remote.birth, remote.join_attempts);
        // H3: only who sees the request knows the ti that an answer must bear.
        let drawn = self.suite.draw(Purpose::JoinId {
            remote: birth,
            attempt,
        });
        let ti = u32::from_le_bytes([drawn[0], drawn[1], drawn[2], drawn[3]]).max(1);
        let clock = Clock::start(now, &self.config.timers.joiner);
        let Some(remote) = self.remotes.at_mut(slot) else {
            return;
        };
        if let Some(session) = &mut remote.session {
            session.certain = false;
        }
        remote.join = Some(Join::Joiner(Joiner {
            ti,
            address,
            vacuous,
            pended: false,
            held: false,
            clock,
        }));
    }

    /// A packet of the joinent. Unsigned: it counts only from the address asked, with the ti of the
    /// request (H3).
    pub(crate) fn on_joiner(
        &mut self,
        now: Instant,
        from: SocketAddr,
        head: &Head,
        body: &[u8],
    ) -> Verdict {
        let Some(slot) = self.by_near(head.destination) else {
            return self.stats.drop(Reason::Stranger);
        };
        let Some(remote) = self.remotes.at(slot) else {
            return self.stats.drop(Reason::Stranger);
        };
        let joiner = match &remote.join {
            Some(Join::Joiner(j)) if j.ti == head.transaction_id => j,
            _ => return self.on_response_again(slot, from, head),
        };
        if from != joiner.address {
            return self.stats.drop(Reason::Address);
        }
        let (vacuous, pended, held) = (joiner.vacuous, joiner.pended, joiner.held);
        let held_at = remote.path.address;
        let called = joiner.address != held_at;
        match head.packet {
            PacketKind::Response => self.on_response(now, slot, head, body),
            // The call can wait for a person; the remote has better to do.
            PacketKind::Pend if called => {
                self.fail_join(now, slot, JoinFailure::Timeout);
                Verdict::Taken
            }
            PacketKind::Pend => {
                if !pended && !held {
                    self.tell(slot, RemoteEvent::Pending { here: false });
                }
                let (wait, pace) = (self.config.timers.pend_redo, self.config.timers.joiner);
                if let Some(Join::Joiner(j)) = self.join_mut(slot) {
                    j.held = true;
                    j.clock.wait(now, wait);
                    j.clock.extend(now, wait, &pace);
                }
                Verdict::Taken
            }
            PacketKind::Refuse | PacketKind::Nack => {
                let why = if held {
                    JoinFailure::Timeout // the peer's, while its person had yet to decide
                } else {
                    JoinFailure::Refused
                };
                self.fail_join(now, slot, why);
                Verdict::Taken
            }
            PacketKind::Reject => {
                self.fail_join(now, slot, JoinFailure::Rejected);
                Verdict::Taken
            }
            PacketKind::Renew if !vacuous && self.may_change(slot) => {
                // The peer does not know our uid any more: join as a stranger, with its answer a
                // candidate if this remote was proven.
                self.start_join_at(now, slot, held_at, true);
                Verdict::Taken
            }
            PacketKind::Renew => {
                self.fail_join(now, slot, JoinFailure::Renewed);
                Verdict::Taken
            }
            _ => self.stats.drop(Reason::Unexpected),
        }
    }

    /// A response to a join of ours that is complete: our ack was lost (H7).
    pub(super) fn on_response_again(
        &mut self,
        slot: u32,
        from: SocketAddr,
        head: &Head,
    ) -> Verdict {
        let there = |r: &&Remote<C>| {
            r.path.address == from || r.candidate.is_some_and(|c| c.address == from)
        };
        let remote = self.remotes.at(slot).filter(there);
        match remote.and_then(|r| r.last_join) {
            Some(last) if last.ti == head.transaction_id && head.packet == PacketKind::Response => {
                let ack = self.join_head(slot, last.vacuous, last.ti, PacketKind::Ack);
                self.reply(Some(slot), from, ack);
                Verdict::Repeated
            }
            _ => self.stats.drop(Reason::NoTransaction),
        }
    }

    pub(super) fn on_response(
        &mut self,
        now: Instant,
        slot: u32,
        head: &Head,
        body: &[u8],
    ) -> Verdict {
        let Ok(body) = JoinBody::parse(head.body, body, true) else {
            self.fail_join(now, slot, JoinFailure::Malformed);
            return self.stats.drop(Reason::Body);
        };
        match self.take_response(now, slot, &body) {
            Ok(Status::Accepted) => self.complete_joiner(now, slot),
            Ok(_) => {
                let (wait, pace) = (self.config.timers.pend_redo, self.config.timers.joiner);
                let first = match self.join_mut(slot) {
                    Some(Join::Joiner(j)) => {
                        let first = !j.pended;
                        j.pended = true;
                        j.clock.again();
                        j.clock.extend(now, wait, &pace);
                        first
                    }
                    _ => false,
                };
                if first {
                    if self.remotes.at(slot).is_some_and(|r| !r.recorded) {
                        self.record(slot);
                    }
                    self.tell(slot, RemoteEvent::Pending { here: true });
                }
            }
            Err(why) => match self.known_by_another(slot, &body) {
                Some(known) => self.hand_over(now, slot, known),
                None => {
                    // H14: what is rejected is told so.
                    self.answer_join(slot, PacketKind::Reject);
                    self.fail_join(now, slot, why);
                }
            },
        }
        Verdict::Taken
    }

    /// Judges a response, in the order of road-transactions, and takes it over or makes it a
    /// candidate.
    pub(super) fn take_response(
        &mut self,
        now: Instant,
        slot: u32,
        body: &JoinBody,
    ) -> Result<Status, JoinFailure> {
        let Some(Join::Joiner(joiner)) = self.remotes.at(slot).and_then(|r| r.join.as_ref()) else {
            return Err(JoinFailure::Malformed);
        };
        let (vacuous, address) = (joiner.vacuous, joiner.address);
        let far = body.uid.map_or(0, NonZeroU32::get);
        let claim = Claimed {
            address,
            far,
            vacuous,
            body,
            request: None,
        };
        self.check_identity(slot, body, true).inspect_err(|_| {
            self.disclaim(slot);
        })?;
        if !self.may_change(slot) && self.differs(slot, &claim, vacuous) {
            return Err(JoinFailure::Changed);
        }
        self.take_claim(now, slot, &claim)
    }

    /// Whether an answer may change what is held of a remote. On an immutable road, too, if nothing of
    /// it was proven and the host wants whoever is at its address: a stranger may have claimed to be
    /// there before.
    fn may_change(&self, slot: u32) -> bool {
        let reached_for = |r: &Remote<C>| !r.proven && r.life.wanted;
        self.config.mutable || self.remotes.at(slot).is_some_and(reached_for)
    }

    pub(super) fn complete_joiner(&mut self, now: Instant, slot: u32) {
        let Some(remote) = self.remotes.at_mut(slot) else {
            return;
        };
        let Some(Join::Joiner(joiner)) = remote.join.take() else {
            return;
        };
        let address = joiner.address;
        let called = address != remote.path.address;
        remote.last_join = Some(LastJoin {
            ti: joiner.ti,
            vacuous: joiner.vacuous,
        });
        let ack = self.join_head(slot, joiner.vacuous, joiner.ti, PacketKind::Ack);
        self.reply(Some(slot), address, ack);
        self.complete_join(slot, joiner.vacuous);
        self.plan(now, slot);
        let unanswered = |open: &Handshake<C>| open.packet() == PacketKind::Hello;
        if called && self.handshake(slot).is_some_and(unanswered) {
            self.close_handshake(slot); // it has answered there, not where it is held
        }
        if called || self.config.cascade || self.wants(slot) {
            let target = match self.remotes.at(slot).and_then(|r| r.candidate) {
                Some(c) if c.address == address => Target::Candidate,
                _ => Target::Held,
            };
            self.start_allow_with(now, slot, target);
        }
    }
}
