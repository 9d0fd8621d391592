//! A join begun by a peer.

use super::claim::Claimed;
use super::{Join, Joinent, Standing};
use crate::crypto::Crypto;
use crate::event::{JoinFailure, RemoteEvent};
use crate::keep::Status;
use crate::road::UNPROVEN;
use crate::road::answered::Joins;
use crate::road::remote::{Remote, Target};
use crate::road::stack::RoadStack;
use crate::road::transaction::clock::Clock;
use crate::stats::{Reason, Verdict};
use crate::storage::{Index, KeyHash, Storage};
use crate::time::{Instant, Span};
use crate::wire::{Frame, Head, JoinBody, PacketKind};
use core::net::SocketAddr;

impl<S: Storage, C: Crypto> RoadStack<S, C> {
    /// A packet of a joiner.
    pub(crate) fn on_joinent(
        &mut self,
        now: Instant,
        from: SocketAddr,
        frame: &Frame,
        body: &[u8],
    ) -> Verdict {
        let head = &frame.head;
        let Some(answered) = Joins::TOKEN else {
            return self.stats.drop(Reason::Unexpected);
        };
        if head.packet == PacketKind::Request {
            let (slot, verdict) = self.on_request(now, from, frame, body, answered);
            if let Some(slot) = slot {
                self.settle(slot);
            }
            return verdict;
        }
        let slot = if head.destination == 0 {
            self.joining_from(from, head)
        } else {
            self.by_near(head.destination)
        };
        let Some(slot) = slot else {
            return self.stats.drop(Reason::Stranger);
        };
        let joinent = match self.remotes.at(slot).and_then(|r| r.join.as_ref()) {
            Some(Join::Joinent(j)) if j.is(from, head) => j,
            _ => return self.stats.drop(Reason::NoTransaction),
        };
        let verdict = match head.packet {
            // H12: an ack counts only after a response.
            PacketKind::Ack if joinent.responded() => {
                self.complete_joinent(now, slot);
                Verdict::Taken
            }
            PacketKind::Pend => {
                // Its person decides; it acks when it can go on.
                self.tell(slot, RemoteEvent::Pending { here: false });
                let (wait, pace) = (self.config.timers.pend_redo, self.config.timers.joinent);
                if let Some(Join::Joinent(j)) = self.join_mut(slot) {
                    j.clock.extend(now, wait, &pace);
                }
                Verdict::Taken
            }
            PacketKind::Nack | PacketKind::Refuse => {
                self.fail_join(now, slot, JoinFailure::Refused);
                Verdict::Taken
            }
            PacketKind::Reject => {
                self.fail_join(now, slot, JoinFailure::Rejected);
                Verdict::Taken
            }
            _ => self.stats.drop(Reason::Unexpected),
        };
        self.settle(slot);
        verdict
    }

    /// The remote with this vacuous join open. Of one source there may be several: who knows its id may say
    /// other names under it.
    pub(super) fn joining_from(&self, from: SocketAddr, head: &Head) -> Option<u32> {
        let joins = |r: &Remote<C>| matches!(&r.join, Some(Join::Joinent(j)) if j.vacuous && j.is(from, head));
        self.by_address(from, joins).or_else(|| {
            // Beside a proven remote elsewhere: it is found by where its candidate claims to be.
            let hash = self.hash.of(&from);
            self.by_candidate
                .find(hash, |slot| self.remotes.at(slot).is_some_and(joins))
        })
    }

    pub(crate) fn complete_joinent(&mut self, now: Instant, slot: u32) {
        let Some(remote) = self.remotes.at_mut(slot) else {
            return;
        };
        let Some(Join::Joinent(joinent)) = remote.join.take() else {
            return;
        };
        // What was proven is pursued as before: whoever joined may be anyone (H4).
        let proven = remote.proven;
        if !proven {
            // The joiner goes on to its allow; only if it does not, we do.
            remote.life.interval = Span::new(self.config.timers.retry.redo_min);
        }
        self.complete_join(slot, joinent.vacuous);
        if !proven {
            self.plan(now, slot);
        }
    }

    /// What became of a request, and the remote that it is about.
    fn on_request(
        &mut self,
        now: Instant,
        from: SocketAddr,
        frame: &Frame,
        body: &[u8],
        answered: Joins,
    ) -> (Option<u32>, Verdict) {
        let head = &frame.head;
        // A repeat of the request draws the answer again, and costs no more (H7, H9).
        if let Some(slot) = self.same_request(from, head) {
            let (wait, pace) = (self.config.timers.pend_redo, self.config.timers.joinent);
            if let Some(Join::Joinent(j)) = self.join_mut(slot) {
                j.clock.again();
                if !j.responded() {
                    j.clock.extend(now, wait, &pace);
                }
            }
            return (Some(slot), Verdict::Repeated);
        }
        let Ok(body) = JoinBody::parse(head.body, body, false) else {
            return (None, self.stats.drop(Reason::Body));
        };
        let (slot, judged) = self.take_request(now, from, frame, &body);
        let verdict = match (slot, judged) {
            (Some(slot), Ok(status)) => {
                let pended = status == Status::Pending;
                let pace = self.config.timers.joinent;
                let mut clock = Clock::start(now, &pace);
                if pended {
                    clock.extend(now, self.config.timers.pend_redo, &pace);
                }
                let standing = if pended {
                    Standing::Pended
                } else {
                    Standing::Taken
                };
                let Some(remote) = self.remotes.at_mut(slot) else {
                    return (None, Verdict::Taken);
                };
                if let Some(session) = &mut remote.session {
                    session.certain = false;
                }
                remote.join = Some(Join::Joinent(Joinent {
                    ti: head.transaction_id,
                    vacuous: head.destination == 0,
                    far: head.source,
                    address: from,
                    standing,
                    clock,
                    answered,
                }));
                if pended {
                    // Asked again and again, it is recorded once.
                    if self.remotes.at(slot).is_some_and(|r| !r.recorded) {
                        self.record(slot);
                    }
                    self.tell(slot, RemoteEvent::Pending { here: true });
                }
                Verdict::Taken
            }
            (None, Ok(_)) => self.stats.drop(Reason::Full),
            (_, Err(No::Silent(reason))) => self.stats.drop(reason),
            (_, Err(No::Told(packet, reason))) => {
                self.answer(None, from, head, packet, 0);
                self.stats.drop(reason)
            }
        };
        (slot, verdict)
    }

    pub(super) fn same_request(&self, from: SocketAddr, head: &Head) -> Option<u32> {
        let slot = if head.destination == 0 {
            self.joining_from(from, head)?
        } else {
            self.by_near(head.destination)?
        };
        match self.remotes.at(slot)?.join.as_ref()? {
            Join::Joinent(j) if j.is(from, head) => Some(slot),
            _ => None,
        }
    }

    /// Judges a request, in the order of road-transactions, Joinent: the remote it is for and how its
    /// keys stand, or how it is turned down.
    pub(super) fn take_request(
        &mut self,
        now: Instant,
        from: SocketAddr,
        frame: &Frame,
        body: &JoinBody,
    ) -> (Option<u32>, Result<Status, No>) {
        let head = &frame.head;
        let vacuous = head.destination == 0;
        let reject = |reason| (None, Err(No::Told(PacketKind::Reject, reason)));
        if vacuous && !self.config.main {
            return reject(Reason::Unexpected);
        }
        if self.is_self(body) {
            return reject(Reason::Impostor);
        }
        let (slot, new) = match self.requested(now, from, head, body) {
            Ok(found) => found,
            Err(no) => return (None, Err(no)),
        };
        let outcome = self.take_known_request(now, slot, from, frame, body);
        if new && outcome.is_err() {
            self.remove_remote(now, slot);
        }
        (Some(slot), outcome)
    }

    pub(super) fn take_known_request(
        &mut self,
        now: Instant,
        slot: u32,
        from: SocketAddr,
        frame: &Frame,
        body: &JoinBody,
    ) -> Result<Status, No> {
        let head = &frame.head;
        let vacuous = head.destination == 0;
        // Whom the host asked for is where it asked: a claim from elsewhere would take along what the
        // host has to say to it.
        let asked = !self.remotes.is_linked::<UNPROVEN>(slot);
        let elsewhere = |r: &Remote<C>| !r.proven && r.path.address != from;
        if asked && self.remotes.at(slot).is_some_and(elsewhere) {
            return Err(No::Silent(Reason::Address));
        }
        // H10: this id was proven to be another's, who bears another name. Whoever was given it for what
        // nobody proved is to ask anew, without it, and finds its own remote. Only that other itself, where
        // it is, has changed its name, to one that nobody here has.
        let taken = self.by_name(&body.name).is_some();
        let another = |r: &Remote<C>| {
            let itself = r.way(Target::Held) == (from, head.source);
            r.proven && r.name != body.name && (taken || !itself)
        };
        if !vacuous && self.remotes.at(slot).is_some_and(another) {
            return Err(No::Told(PacketKind::Renew, Reason::Stranger));
        }
        self.settle_race(now, slot, vacuous, body)?;
        if !vacuous {
            self.set_near(slot, head.destination);
        }
        let claim = Claimed {
            address: from,
            far: head.source,
            vacuous,
            body,
            request: Some(frame.packet_len()),
        };
        // What nobody ever proved may be anyone's word: it binds nobody (H4).
        let proven = self.remotes.at(slot).is_some_and(|r| r.proven);
        // The number that a stranger gives us is new by nature, and who it is an allow will show.
        if proven && !self.config.mutable && self.differs(slot, &claim, vacuous) {
            return Err(No::Told(PacketKind::Reject, Reason::Unexpected));
        }
        if self.check_identity(slot, body, false).is_err() {
            // H10: the same where nobody proved whose this id is, and another remote bears the name.
            return Err(No::Told(PacketKind::Renew, Reason::Stranger));
        }
        self.take_claim(now, slot, &claim).map_err(|why| match why {
            JoinFailure::WeakKeys => No::Told(PacketKind::Reject, Reason::WeakKey),
            JoinFailure::Refused => No::Silent(Reason::Full),
            _ => No::Told(PacketKind::Reject, Reason::Unexpected),
        })
    }

    /// The remote that a request is about; a new one where there is none. True: it is new.
    pub(super) fn requested(
        &mut self,
        now: Instant,
        from: SocketAddr,
        head: &Head,
        body: &JoinBody,
    ) -> Result<(u32, bool), No> {
        let full = No::Silent(Reason::Full);
        if head.destination == 0 {
            let mut named = self.by_name(&body.name);
            // Where nobody answers, a name that was claimed there is no longer held against others.
            let silent = |r: &Remote<C>| r.path.address != from && r.life.failures > 0 && !r.busy();
            if let Some(slot) = named
                && self.remotes.at(slot).is_some_and(silent)
                && self.give_name_up(slot)
            {
                named = None;
            }
            if let Some(slot) = named.or_else(|| self.asked_for_at(from)) {
                let moves = |r: &Remote<C>| !r.proven && r.path.address != from;
                if self.remotes.at(slot).is_some_and(moves) {
                    self.make_room_at(from);
                }
                return Ok((slot, false));
            }
            self.make_room_at(from);
            return self
                .insert_remote(now, from, None)
                .map(|slot| (slot, true))
                .ok_or(full);
        }
        if let Some(slot) = self.by_near(head.destination) {
            return Ok((slot, false));
        }
        // H10: we lost it. A name that is held under another id cannot be had under this one; and a
        // stranger that makes an id up is no less a stranger, whom only a main estate takes.
        let stranger = !self.config.main && !self.is_accepted(body);
        if stranger || self.by_name(&body.name).is_some() {
            return Err(No::Told(PacketKind::Renew, Reason::Stranger));
        }
        if let Some(slot) = self.asked_for_at(from) {
            return Ok((slot, false));
        }
        self.make_room_at(from);
        self.insert_remote(now, from, Some(head.destination))
            .map(|slot| (slot, true))
            .ok_or(full)
    }

    /// The remote that the host asked for at this address and that has never said who it is. Who joins
    /// from there is it: beside another remote of its name it could never join any more.
    #[inline(never)] // called from many places, and longer than a call
    pub(crate) fn asked_for_at(&self, address: SocketAddr) -> Option<u32> {
        self.by_address(address, |r| r.name.is_empty())
    }

    /// Whether these keys are accepted for this role already.
    fn is_accepted(&self, body: &JoinBody) -> bool {
        let role = self.role_by_name(&body.role).and_then(|r| self.roles.at(r));
        role.is_some_and(|r| {
            r.status == Status::Accepted && r.verify() == body.verify && r.public == body.public
        })
    }

    /// Both sides began a join: a non-vacuous one beats a vacuous one, else the lesser name goes on
    /// (road-transactions: Join).
    pub(super) fn settle_race(
        &mut self,
        now: Instant,
        slot: u32,
        vacuous: bool,
        body: &JoinBody,
    ) -> Result<(), No> {
        let Some(remote) = self.remotes.at(slot) else {
            return Ok(());
        };
        let Some(Join::Joiner(own)) = &remote.join else {
            return Ok(());
        };
        let ours_goes_on = if own.vacuous == vacuous {
            self.config.name < body.name
        } else {
            vacuous
        };
        if ours_goes_on {
            return Err(No::Told(PacketKind::Refuse, Reason::Unexpected));
        }
        let (own_vacuous, ti, to) = (own.vacuous, own.ti, own.address);
        let refuse = self.join_head(slot, own_vacuous, ti, PacketKind::Refuse);
        self.reply(Some(slot), to, refuse);
        if let Some(remote) = self.remotes.at_mut(slot) {
            remote.join = None;
        }
        self.plan(now, slot);
        Ok(())
    }
}

/// How a request is turned down.
pub(super) enum No {
    Silent(Reason),
    Told(PacketKind, Reason),
}
