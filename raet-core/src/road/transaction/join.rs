//! Join: who are you, and do I trust your keys (road-transactions: Join).
//!
//! Plain and unsigned, for it carries the keys: whatever a join says is a claim. About a remote that
//! never proved its keys the newest claim is taken over; beside one that did it makes a candidate,
//! which counts when an allow has proven the keys over it (H3, H4).
//!
//! ```text
//!   joiner    request ──▶ response ──▶ ack            joined
//!             request ──▶ pend … a person decides … ──▶ response ──▶ ack
//!             request ──▶ reject | refuse | renew     the join is over, nothing proven is lost
//! ```

use core::net::SocketAddr;
use core::num::NonZeroU32;

use crate::config::Timers;
use crate::crypto::{Crypto, PublicKeys, Purpose};
use crate::event::{JoinFailure, RemoteEvent};
use crate::keep::Status;
use crate::road::path::address_bytes;
use crate::road::remote::{Candidate, LastJoin, Target};
use crate::road::roles::NoOffer;
use crate::road::stack::RoadStack;
use crate::road::transaction::clock::{Clock, Tick};
use crate::stats::{Reason, Verdict};
use crate::storage::{Index, Storage};
use crate::time::Instant;
use crate::wire::{Flags, Head, JoinBody, PacketKind, TransactionKind};

/// An open join, either role.
pub(crate) enum Join {
    Joiner(Joiner),
    Joinent(Joinent),
}

/// A join begun here.
pub(crate) struct Joiner {
    pub(crate) ti: u32,
    pub(crate) vacuous: bool,
    /// It follows a renew: the peer's name and keys are already held.
    renewed: bool,
    /// The response came, but its keys wait for a person here: pend is out.
    pended: bool,
    clock: Clock,
}

/// A join begun by a peer.
pub(crate) struct Joinent {
    ti: u32,
    vacuous: bool,
    /// Its `se`, and where it came from: what answers go by.
    pub(crate) far: u32,
    pub(crate) address: SocketAddr,
    /// Its keys wait for a person here: pend is out, not response.
    pended: bool,
    clock: Clock,
}

impl Joinent {
    pub(crate) fn responded(&self) -> bool {
        !self.pended
    }
}

impl Join {
    pub(crate) fn clock(&self) -> &Clock {
        match self {
            Self::Joiner(j) => &j.clock,
            Self::Joinent(j) => &j.clock,
        }
    }

    pub(crate) fn next(&self) -> Instant {
        self.clock().next()
    }
}

/// A packet of a join, ready to be written.
pub(crate) struct JoinPacket {
    pub(crate) to: SocketAddr,
    pub(crate) head: Head,
    pub(crate) body: Option<JoinBody>,
}

impl<S: Storage, C: Crypto> RoadStack<S, C> {
    // ---- joiner --------------------------------------------------------------------------------

    /// Begins a join, unless one is open.
    pub(crate) fn start_join(&mut self, now: Instant, slot: u32, renewed: bool) {
        let Some(remote) = self.remotes.at_mut(slot) else {
            return;
        };
        if remote.join.is_some() {
            return;
        }
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
        let vacuous = remote.far == 0 || renewed;
        remote.join = Some(Join::Joiner(Joiner {
            ti,
            vacuous,
            renewed,
            pended: false,
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
        if from != remote.path.address {
            return self.stats.drop(Reason::Address);
        }
        let (vacuous, pended) = (joiner.vacuous, joiner.pended);
        match head.packet {
            PacketKind::Response => self.on_response(now, slot, head, body),
            PacketKind::Pend => {
                if !pended {
                    self.tell(slot, RemoteEvent::Pending { here: false });
                }
                let wait = self.config.timers.pend_redo;
                if let Some(Join::Joiner(j)) = self.join_mut(slot) {
                    j.clock.wait(now, wait);
                }
                Verdict::Taken
            }
            PacketKind::Refuse | PacketKind::Nack => {
                self.fail_join(now, slot, JoinFailure::Refused);
                Verdict::Taken
            }
            PacketKind::Reject => {
                self.fail_join(now, slot, JoinFailure::Rejected);
                Verdict::Taken
            }
            PacketKind::Renew if !vacuous && self.config.mutable => {
                // The peer does not know our uid any more: join as a stranger, with its answer a
                // candidate if this remote was proven.
                if let Some(remote) = self.remotes.at_mut(slot) {
                    remote.join = None;
                }
                self.start_join(now, slot, true);
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
    fn on_response_again(&mut self, slot: u32, from: SocketAddr, head: &Head) -> Verdict {
        let last = self.remotes.at(slot).and_then(|r| r.last_join);
        match last {
            Some(last)
                if last.ti == head.transaction_id
                    && last.address == from
                    && head.packet == PacketKind::Response =>
            {
                let ack = self.join_head(slot, last.vacuous, last.ti, PacketKind::Ack);
                self.reply(Some(slot), from, ack);
                Verdict::Repeated
            }
            _ => self.stats.drop(Reason::NoTransaction),
        }
    }

    fn on_response(&mut self, now: Instant, slot: u32, head: &Head, body: &[u8]) -> Verdict {
        let Ok(body) = JoinBody::parse(head.body, body, true) else {
            self.fail_join(now, slot, JoinFailure::Malformed);
            return self.stats.drop(Reason::Body);
        };
        match self.take_response(now, slot, &body) {
            Ok(Status::Accepted) => self.complete_joiner(now, slot),
            Ok(_) => {
                let first = match self.join_mut(slot) {
                    Some(Join::Joiner(j)) => {
                        let first = !j.pended;
                        j.pended = true;
                        j.clock.again();
                        first
                    }
                    _ => false,
                };
                if first {
                    self.record(slot);
                    self.tell(slot, RemoteEvent::Pending { here: true });
                }
            }
            Err(why) => {
                // H14: what is rejected is told so.
                self.answer_join(slot, PacketKind::Reject);
                self.fail_join(now, slot, why);
            }
        }
        Verdict::Taken
    }

    /// Judges a response, in the order of road-transactions, and takes it over or makes it a
    /// candidate.
    fn take_response(
        &mut self,
        now: Instant,
        slot: u32,
        body: &JoinBody,
    ) -> Result<Status, JoinFailure> {
        let Some(Join::Joiner(joiner)) = self.remotes.at(slot).and_then(|r| r.join.as_ref()) else {
            return Err(JoinFailure::Malformed);
        };
        let (vacuous, renewed) = (joiner.vacuous, joiner.renewed);
        let far = body.uid.map_or(0, NonZeroU32::get);
        let fresh = vacuous && !renewed && self.remotes.at(slot).is_some_and(|r| r.name.is_empty());
        let claim = Claimed {
            from: None,
            far,
            vacuous,
            body,
        };
        self.check_identity(slot, body)?;
        if !fresh && !self.config.mutable && self.differs(slot, &claim, vacuous) {
            return Err(JoinFailure::Changed);
        }
        self.take_claim(now, slot, &claim)
    }

    fn complete_joiner(&mut self, now: Instant, slot: u32) {
        let Some(remote) = self.remotes.at_mut(slot) else {
            return;
        };
        let Some(Join::Joiner(joiner)) = remote.join.take() else {
            return;
        };
        let address = remote.path.address;
        remote.last_join = Some(LastJoin {
            ti: joiner.ti,
            vacuous: joiner.vacuous,
            address,
        });
        let ack = self.join_head(slot, joiner.vacuous, joiner.ti, PacketKind::Ack);
        self.reply(Some(slot), address, ack);
        self.complete_join(now, slot, joiner.vacuous);
        if self.config.cascade || self.wants(slot) {
            let target = match self.remotes.at(slot).and_then(|r| r.candidate) {
                Some(c) if c.address == address => Target::Candidate,
                _ => Target::Held,
            };
            self.start_allow_with(now, slot, target);
        }
    }

    /// What both roles do when a join is complete.
    fn complete_join(&mut self, now: Instant, slot: u32, vacuous: bool) {
        let Some(remote) = self.remotes.at_mut(slot) else {
            return;
        };
        remote.joined = true;
        if vacuous && !remote.proven {
            remote.rsid = 0;
        }
        self.record(slot);
        self.tell(slot, RemoteEvent::Joined);
        self.plan(now, slot);
    }

    // ---- joinent -------------------------------------------------------------------------------

    /// A packet of a joiner.
    pub(crate) fn on_joinent(
        &mut self,
        now: Instant,
        from: SocketAddr,
        head: &Head,
        body: &[u8],
    ) -> Verdict {
        if head.packet == PacketKind::Request {
            return self.on_request(now, from, head, body);
        }
        let slot = if head.destination == 0 {
            self.joining_from(from, head.source)
        } else {
            self.by_near(head.destination)
        };
        let Some(slot) = slot else {
            return self.stats.drop(Reason::Stranger);
        };
        let joinent = match self.remotes.at(slot).and_then(|r| r.join.as_ref()) {
            Some(Join::Joinent(j))
                if j.ti == head.transaction_id && j.far == head.source && j.address == from =>
            {
                j
            }
            _ => return self.stats.drop(Reason::NoTransaction),
        };
        match head.packet {
            // H12: an ack counts only after a response.
            PacketKind::Ack if joinent.responded() => {
                self.complete_joinent(now, slot);
                Verdict::Taken
            }
            PacketKind::Pend => {
                // Its person decides; it asks again when it can go on.
                let wait = self.config.timers.pend_redo;
                if let Some(Join::Joinent(j)) = self.join_mut(slot) {
                    j.clock.wait(now, wait);
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
        }
    }

    /// The remote with an open vacuous join from this source.
    fn joining_from(&self, from: SocketAddr, far: u32) -> Option<u32> {
        self.by_address(from, |r| {
            matches!(&r.join, Some(Join::Joinent(j)) if j.vacuous && j.far == far)
        })
        .or_else(|| {
            // Beside a proven remote elsewhere: it is found by what its candidate claims.
            let hash = self.hash.hash(&address_bytes(from));
            self.by_candidate.find(hash, |slot| {
                self.remotes.at(slot).is_some_and(|r| {
                    matches!(&r.join, Some(Join::Joinent(j)) if j.vacuous && j.far == far && j.address == from)
                })
            })
        })
    }

    pub(crate) fn complete_joinent(&mut self, now: Instant, slot: u32) {
        let Some(remote) = self.remotes.at_mut(slot) else {
            return;
        };
        let Some(Join::Joinent(joinent)) = remote.join.take() else {
            return;
        };
        // The joiner goes on to its allow; only if it does not, we do.
        remote.life.interval = self.config.timers.retry.redo_min;
        self.complete_join(now, slot, joinent.vacuous);
    }

    fn on_request(&mut self, now: Instant, from: SocketAddr, head: &Head, body: &[u8]) -> Verdict {
        // A repeat of the request draws the answer again, and costs no more (H7, H9).
        if let Some(slot) = self.same_request(from, head) {
            if let Some(Join::Joinent(j)) = self.join_mut(slot) {
                j.clock.again();
            }
            return Verdict::Repeated;
        }
        let Ok(body) = JoinBody::parse(head.body, body, false) else {
            return self.stats.drop(Reason::Body);
        };
        match self.take_request(now, from, head, &body) {
            Ok((slot, status)) => {
                let pended = status == Status::Pending;
                let Some(remote) = self.remotes.at_mut(slot) else {
                    return Verdict::Taken;
                };
                if let Some(session) = &mut remote.session {
                    session.certain = false;
                }
                remote.join = Some(Join::Joinent(Joinent {
                    ti: head.transaction_id,
                    vacuous: head.destination == 0,
                    far: head.source,
                    address: from,
                    pended,
                    clock: Clock::start(now, &self.config.timers.joinent),
                }));
                if pended {
                    self.record(slot);
                    self.tell(slot, RemoteEvent::Pending { here: true });
                }
                self.settle(slot);
                Verdict::Taken
            }
            Err(No::Silent(reason)) => self.stats.drop(reason),
            Err(No::Told(packet, reason)) => {
                self.answer(None, from, head, packet, 0);
                self.stats.drop(reason)
            }
        }
    }

    fn same_request(&self, from: SocketAddr, head: &Head) -> Option<u32> {
        let slot = if head.destination == 0 {
            self.joining_from(from, head.source)?
        } else {
            self.by_near(head.destination)?
        };
        match self.remotes.at(slot)?.join.as_ref()? {
            Join::Joinent(j)
                if j.ti == head.transaction_id && j.far == head.source && j.address == from =>
            {
                Some(slot)
            }
            _ => None,
        }
    }

    /// Judges a request, in the order of road-transactions: the remote it is for and how its keys
    /// stand, or how it is turned down.
    fn take_request(
        &mut self,
        now: Instant,
        from: SocketAddr,
        head: &Head,
        body: &JoinBody,
    ) -> Result<(u32, Status), No> {
        let vacuous = head.destination == 0;
        let reject = |reason| No::Told(PacketKind::Reject, reason);
        if vacuous && !self.config.main {
            return Err(reject(Reason::Unexpected));
        }
        if self.is_self(body) {
            return Err(reject(Reason::Impostor));
        }
        let (slot, new) = self.requested(now, from, head, body)?;
        let outcome = self.take_known_request(now, slot, new, from, head, body);
        if new && outcome.is_err() {
            self.remove_remote(now, slot);
        }
        outcome.map(|status| (slot, status))
    }

    fn take_known_request(
        &mut self,
        now: Instant,
        slot: u32,
        new: bool,
        from: SocketAddr,
        head: &Head,
        body: &JoinBody,
    ) -> Result<Status, No> {
        let vacuous = head.destination == 0;
        self.settle_race(now, slot, vacuous, body)?;
        let claim = Claimed {
            from: Some(from),
            far: head.source,
            vacuous,
            body,
        };
        if !new && !self.config.mutable && self.differs(slot, &claim, false) {
            return Err(No::Told(PacketKind::Reject, Reason::Unexpected));
        }
        self.check_identity(slot, body)
            .map_err(|_| No::Told(PacketKind::Reject, Reason::Impostor))?;
        match self.take_claim(now, slot, &claim) {
            Ok(Status::Rejected) => Err(No::Told(PacketKind::Reject, Reason::Unexpected)),
            Ok(status) => Ok(status),
            Err(JoinFailure::WeakKeys) => Err(No::Told(PacketKind::Reject, Reason::WeakKey)),
            Err(JoinFailure::Refused) => Err(No::Silent(Reason::Full)),
            Err(_) => Err(No::Told(PacketKind::Reject, Reason::Unexpected)),
        }
    }

    /// The remote that a request is about; a new one where there is none. True: it is new.
    fn requested(
        &mut self,
        now: Instant,
        from: SocketAddr,
        head: &Head,
        body: &JoinBody,
    ) -> Result<(u32, bool), No> {
        let full = No::Silent(Reason::Full);
        if head.destination == 0 {
            // Our own vacuous join to that address: the two are one remote.
            let own = self.by_address(from, |r| {
                matches!(&r.join, Some(Join::Joiner(j)) if j.vacuous) && r.name.is_empty()
            });
            if let Some(slot) = self.by_name(&body.name).or(own) {
                return Ok((slot, false));
            }
            return self
                .insert_remote(now, from, None)
                .map(|slot| (slot, true))
                .ok_or(full);
        }
        if let Some(slot) = self.by_near(head.destination) {
            return Ok((slot, false));
        }
        // H10: we lost it. A name that is held under another id cannot be had under this one.
        if self.by_name(&body.name).is_some() {
            return Err(No::Told(PacketKind::Renew, Reason::Stranger));
        }
        self.insert_remote(now, from, Some(head.destination))
            .map(|slot| (slot, true))
            .ok_or(full)
    }

    /// Both sides began a join: a non-vacuous one beats a vacuous one, else the lesser name goes on
    /// (road-transactions: Join).
    fn settle_race(
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
        let (own_vacuous, ti, to) = (own.vacuous, own.ti, remote.path.address);
        let refuse = self.join_head(slot, own_vacuous, ti, PacketKind::Refuse);
        self.reply(Some(slot), to, refuse);
        if let Some(remote) = self.remotes.at_mut(slot) {
            remote.join = None;
        }
        self.plan(now, slot);
        Ok(())
    }

    // ---- shared by both roles ------------------------------------------------------------------

    fn is_self(&self, body: &JoinBody) -> bool {
        body.name == self.config.name
            || body.role == self.config.role
                && body.verify == self.public.verify
                && body.public == self.public.public
    }

    /// Names are unique, and no one is this very estate (H16).
    fn check_identity(&self, slot: u32, body: &JoinBody) -> Result<(), JoinFailure> {
        let taken = self.by_name(&body.name).is_some_and(|other| other != slot);
        if taken || self.is_self(body) {
            Err(JoinFailure::NameTaken)
        } else {
            Ok(())
        }
    }

    /// Whether a claim differs from what is held. The far uid of a vacuous answer is new by nature.
    fn differs(&self, slot: u32, claim: &Claimed<'_>, new_far: bool) -> bool {
        let Some(remote) = self.remotes.at(slot) else {
            return true;
        };
        let body = claim.body;
        let role = self.role_of(slot);
        remote.name != body.name
            || remote.main != (body.mode & 1 == 1)
            || remote.kind != body.kind
            || claim.from.is_some_and(|from| from != remote.path.address)
            || !new_far && remote.far != claim.far
            || role.is_none_or(|r| r.name != body.role || r.keys != claim.keys())
    }

    /// Judges the keys of a claim and takes it over: at once where nothing was proven, else as a
    /// candidate. A known name keeps its role once it was proven (H4).
    fn take_claim(
        &mut self,
        now: Instant,
        slot: u32,
        claim: &Claimed<'_>,
    ) -> Result<Status, JoinFailure> {
        let body = claim.body;
        let keys = claim.keys();
        let Some(remote) = self.remotes.at(slot) else {
            return Err(JoinFailure::Malformed);
        };
        let proven = remote.proven;
        if proven && (remote.name != body.name || self.role_name(slot) != body.role) {
            return Err(JoinFailure::Changed);
        }
        let offer = self.offer(&body.role, &keys).map_err(|no| match no {
            NoOffer::Weak => JoinFailure::WeakKeys,
            NoOffer::Full => JoinFailure::Refused,
        })?;
        if offer.status == Status::Rejected {
            return Err(JoinFailure::RejectedHere);
        }
        let address = claim
            .from
            .or_else(|| self.remotes.at(slot).map(|r| r.path.address));
        let Some(address) = address else {
            return Err(JoinFailure::Malformed);
        };
        if !proven {
            self.set_name(slot, &body.name);
            self.set_role(slot, Some(offer.role));
            let held = self.remotes.at(slot).map(|r| (r.path.address, r.far));
            if held != Some((address, claim.far)) {
                self.close_handshake(slot); // it was begun over what was claimed before
            }
            self.set_address(slot, address);
            if let Some(remote) = self.remotes.at_mut(slot) {
                remote.far = claim.far;
                remote.main = body.mode & 1 == 1;
                remote.kind = body.kind;
            }
            return Ok(offer.status);
        }
        let expires = now + self.config.timers.candidate;
        self.drop_candidate(slot); // the newest counts
        let Some(remote) = self.remotes.at_mut(slot) else {
            return Err(JoinFailure::Malformed);
        };
        let same = remote.far == claim.far
            && remote.path.address == address
            && remote.main == (body.mode & 1 == 1)
            && remote.kind == body.kind
            && !claim.vacuous
            && !offer.unproven_keys;
        if same {
            return Ok(offer.status);
        }
        remote.candidate = Some(Candidate {
            address,
            far: claim.far,
            main: body.mode & 1 == 1,
            kind: body.kind,
            vacuous: claim.vacuous,
            keys: offer.unproven_keys.then_some(keys),
            expires,
        });
        let hash = self.hash.hash(&address_bytes(address));
        let inserted = self.by_candidate.insert(hash, slot);
        debug_assert!(
            inserted,
            "an index holds as many pairs as there are remotes"
        );
        Ok(offer.status)
    }

    /// An allow has proven the candidate: it is held from now on. True: its join was vacuous, so
    /// the peer's sessions begin anew.
    pub(crate) fn install_candidate(&mut self, slot: u32) -> bool {
        let Some(candidate) = self.remotes.at(slot).and_then(|r| r.candidate) else {
            return false;
        };
        self.drop_candidate(slot);
        self.set_address(slot, candidate.address);
        if let Some(keys) = candidate.keys
            && let Ok(key) = self.suite.verify_key(&keys.verify)
            && let Some(role_slot) = self.remotes.at(slot).and_then(|r| r.role)
            && let Some(role) = self.roles.at_mut(role_slot)
        {
            role.keys = keys;
            role.key = Some(key);
            role.status = Status::Accepted;
            role.judged = false;
            role.offered = None;
            self.record_role(role_slot);
        }
        if let Some(remote) = self.remotes.at_mut(slot) {
            remote.far = candidate.far;
            remote.main = candidate.main;
            remote.kind = candidate.kind;
        }
        self.record(slot);
        candidate.vacuous
    }

    pub(crate) fn drop_candidate(&mut self, slot: u32) {
        if let Some(candidate) = self.remotes.at_mut(slot).and_then(|r| r.candidate.take()) {
            // An allow proves the claim that it was begun over, not one that came later.
            if self
                .handshake(slot)
                .is_some_and(|open| open.target == Target::Candidate)
            {
                self.close_handshake(slot);
            }
            self.by_candidate
                .remove(self.hash.hash(&address_bytes(candidate.address)), slot);
        }
    }

    /// A join ends without success. What was held stays; a remote that was made for it goes.
    fn fail_join(&mut self, now: Instant, slot: u32, why: JoinFailure) {
        let Some(remote) = self.remotes.at_mut(slot) else {
            return;
        };
        let own = matches!(remote.join, Some(Join::Joiner(_)));
        remote.join = None;
        let rejected = matches!(why, JoinFailure::Rejected | JoinFailure::RejectedHere);
        let stranger = rejected && !own && !remote.joined && !remote.proven && !remote.life.wanted;
        if own || remote.told {
            self.tell(slot, RemoteEvent::JoinFailed(why));
        }
        if stranger {
            self.remove_remote(now, slot);
        } else if own {
            self.attempt_failed(now, slot);
        }
    }

    /// A person has decided about a role: pending joins of it go on at once. Walks over all remotes,
    /// as often as a person decides.
    pub(crate) fn resume_pended(&mut self, now: Instant, role: u32, status: Status) {
        for slot in 0..self.remotes.slots() {
            let Some(remote) = self.remotes.at(slot) else {
                continue;
            };
            if remote.role != Some(role) {
                continue;
            }
            let (joiner, pended) = match &remote.join {
                Some(Join::Joiner(j)) => (true, j.pended),
                Some(Join::Joinent(j)) => (false, j.pended),
                None => (false, false),
            };
            match (status, pended, joiner) {
                (Status::Accepted, true, true) => self.complete_joiner(now, slot),
                (Status::Accepted, true, false) => {
                    let pace = self.config.timers.joinent;
                    if let Some(Join::Joinent(j)) = self.join_mut(slot) {
                        j.pended = false;
                        j.clock.next_packet(&pace);
                    }
                }
                (Status::Rejected, true, _) => {
                    self.answer_join(slot, PacketKind::Reject);
                    self.fail_join(now, slot, JoinFailure::RejectedHere);
                }
                _ => {}
            }
            self.settle(slot);
        }
    }

    /// The clock of an open join.
    pub(crate) fn tick_join(&mut self, now: Instant, slot: u32) {
        let Timers {
            joiner, joinent, ..
        } = self.config.timers;
        let tick = match self.join_mut(slot) {
            Some(Join::Joiner(j)) => j.clock.tick(now, &joiner),
            Some(Join::Joinent(j)) => j.clock.tick(now, &joinent),
            None => return,
        };
        match tick {
            Tick::Wait => {}
            Tick::Redo => self.stats.repeats_out += 1,
            Tick::Timeout => {
                if matches!(self.join_mut(slot), Some(Join::Joinent(_))) {
                    self.answer_join(slot, PacketKind::Nack);
                }
                self.fail_join(now, slot, JoinFailure::Timeout);
            }
        }
    }

    fn join_mut(&mut self, slot: u32) -> Option<&mut Join> {
        self.remotes.at_mut(slot)?.join.as_mut()
    }

    // ---- packets -------------------------------------------------------------------------------

    /// The head of a packet of our join.
    fn join_head(&self, slot: u32, vacuous: bool, ti: u32, packet: PacketKind) -> Head {
        let mut head = Head::new(packet, TransactionKind::Join);
        head.kind = self.config.head;
        head.body = self.config.body;
        head.transaction_id = ti;
        if let Some(remote) = self.remotes.at(slot) {
            head.source = remote.near;
            head.destination = if vacuous { 0 } else { remote.far };
        }
        head
    }

    /// A word of the open join's own side, without a body.
    fn answer_join(&mut self, slot: u32, packet: PacketKind) {
        if let Some(mut answer) = self.join_packet_of(slot) {
            answer.head.packet = packet;
            // On nobody's share: the remote may go with its join.
            self.reply(None, answer.to, answer.head);
        }
    }

    /// Head and destination of whatever the open join sends next.
    fn join_packet_of(&self, slot: u32) -> Option<JoinPacket> {
        let remote = self.remotes.at(slot)?;
        Some(match remote.join.as_ref()? {
            Join::Joiner(j) => {
                let packet = if j.pended {
                    PacketKind::Pend
                } else {
                    PacketKind::Request
                };
                let head = self.join_head(slot, j.vacuous, j.ti, packet);
                JoinPacket {
                    to: remote.path.address,
                    head,
                    body: None,
                }
            }
            Join::Joinent(j) => {
                let packet = if j.pended {
                    PacketKind::Pend
                } else {
                    PacketKind::Response
                };
                let mut head = self.join_head(slot, false, j.ti, packet);
                head.flags = Flags::CORRESPONDENT;
                head.source = if j.vacuous { 0 } else { remote.near };
                head.destination = j.far;
                JoinPacket {
                    to: j.address,
                    head,
                    body: None,
                }
            }
        })
    }

    /// What a join of ours says of this estate; with the uid, the body of a response.
    pub(crate) fn own_body(&self, uid: Option<NonZeroU32>) -> JoinBody {
        JoinBody {
            name: self.config.name.clone(),
            mode: u8::from(self.config.main),
            kind: self.config.kind,
            uid,
            verify: self.public.verify,
            public: self.public.public,
            role: self.config.role.clone(),
        }
    }

    /// The join packet that is due, if one is.
    pub(crate) fn make_join(&mut self, now: Instant, slot: u32) -> Option<JoinPacket> {
        let mut packet = self.join_packet_of(slot)?;
        if matches!(
            packet.head.packet,
            PacketKind::Request | PacketKind::Response
        ) {
            let near = self.remotes.at(slot).map_or(0, |r| r.near);
            let uid = (packet.head.packet == PacketKind::Response)
                .then(|| NonZeroU32::new(near))
                .flatten();
            packet.body = Some(self.own_body(uid));
        }
        match self.join_mut(slot)? {
            Join::Joiner(j) if j.pended => j.clock.sent_once(),
            Join::Joiner(j) => j.clock.sent(now),
            // H9: a stranger draws one answer for each time it asks.
            Join::Joinent(j) => j.clock.sent_once(),
        }
        Some(packet)
    }
}

/// What a join packet claims about its sender.
struct Claimed<'a> {
    /// Where a request came from; `None`: a response, from the address that was asked.
    from: Option<SocketAddr>,
    far: u32,
    vacuous: bool,
    body: &'a JoinBody,
}

impl Claimed<'_> {
    fn keys(&self) -> PublicKeys {
        PublicKeys {
            verify: self.body.verify,
            public: self.body.public,
        }
    }
}

/// How a request is turned down.
enum No {
    Silent(Reason),
    Told(PacketKind, Reason),
}
