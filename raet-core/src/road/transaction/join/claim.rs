//! What a join claims of its sender, and what becomes of the claim: taken over where nothing was
//! proven, else a candidate (hardening: H4).

use crate::crypto::{Crypto, PublicKeys};
use crate::event::JoinFailure;
use crate::keep::Status;
use crate::road::UNPROVEN;
use crate::road::remote::{Candidate, Remote, Target};
use crate::road::roles::NoOffer;
use crate::road::stack::RoadStack;
use crate::storage::{Index, KeyHash, Storage};
use crate::time::Instant;
use crate::wire::handshake::Hello;
use crate::wire::{Flags, JoinBody, PacketKind, head_len};
use core::net::SocketAddr;

/// Claims about proven remotes that lead to one address and port.
const CANDIDATES_AT_ONE_ADDRESS: u32 = 4;

/// What a join packet claims about its sender.
pub(super) struct Claimed<'a> {
    /// Where it came from; of a response, where it was asked for.
    pub(super) address: SocketAddr,
    pub(super) far: u32,
    pub(super) vacuous: bool,
    pub(super) body: &'a JoinBody,
    /// Bytes of the request; `None`: it is a response.
    pub(super) request: Option<usize>,
}

impl Claimed<'_> {
    pub(super) fn keys(&self) -> PublicKeys {
        PublicKeys {
            verify: self.body.verify,
            public: self.body.public,
        }
    }
}

impl<S: Storage, C: Crypto> RoadStack<S, C> {
    pub(super) fn is_self(&self, body: &JoinBody) -> bool {
        body.name == self.config.name
            || body.role == self.config.role
                && body.verify == self.public.verify
                && body.public == self.public.public
    }

    /// Names are unique, and no one is this very estate (H16). A stranger that only claims a name gives
    /// way (H4); and whoever else never proved it gives the name up when an address that was asked answers:
    /// else anyone could keep a name from its owner. `answered`: the body is such an answer.
    pub(super) fn check_identity(
        &mut self,
        slot: u32,
        body: &JoinBody,
        answered: bool,
    ) -> Result<(), JoinFailure> {
        if self.is_self(body) {
            return Err(JoinFailure::NameTaken);
        }
        let Some(other) = self.by_name(&body.name).filter(|other| *other != slot) else {
            return Ok(());
        };
        let proven = |slot| self.remotes.at(slot).is_none_or(|r| r.proven);
        let stranger = self.remotes.is_linked::<UNPROVEN>(other);
        if proven(slot) || proven(other) || !stranger && !answered {
            return Err(JoinFailure::NameTaken);
        }
        if stranger {
            self.evict(other);
        } else if !self.give_name_up(other) {
            return Err(JoinFailure::Refused); // shortly
        }
        Ok(())
    }

    /// Whether a claim differs from what is held. The far uid of a vacuous answer is new by nature;
    /// of a remote that is only an address yet, everything is.
    pub(super) fn differs(&self, slot: u32, claim: &Claimed<'_>, new_far: bool) -> bool {
        let Some(remote) = self.remotes.at(slot) else {
            return true;
        };
        let body = claim.body;
        let role = self.role_of(slot);
        // Where an answer is from was asked by this host.
        let moved = claim.request.is_some() && claim.address != remote.path.address;
        if remote.name.is_empty() {
            return moved;
        }
        remote.name != body.name
            || remote.main != (body.mode & 1 == 1)
            || remote.kind != body.kind
            || moved
            || !new_far && remote.far != claim.far
            || role.is_none_or(|r| r.name != body.role || r.keys() != claim.keys())
    }

    /// Judges the keys of a claim and takes it over: at once where nothing was proven, else as a
    /// candidate. A known name keeps its role once it was proven (H4).
    pub(super) fn take_claim(
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
        // A join that is complete stands against another one by the same credentials, too, until that
        // is proven: it may fail, and must change nothing then.
        let stands = proven
            || claim.request.is_some()
                && remote.joined
                && remote.name == body.name
                && self
                    .role_of(slot)
                    .is_some_and(|r| r.name == body.role && r.keys() == keys);
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
        if self.remotes.at(slot).is_none_or(|r| r.gone) {
            self.leave_role(offer.role); // it had to make room for the role itself
            return Err(JoinFailure::Refused);
        }
        let address = claim.address;
        if !stands {
            let of = |r: &Remote<C>| (r.role, r.main, r.kind);
            let before = self.remotes.at(slot).map(of);
            let held = self.remotes.at(slot).map(|r| (r.path.address, r.far));
            let named = self.remotes.at(slot).is_some_and(|r| r.name == body.name);
            if !self.rename(slot, &body.name) {
                return Err(JoinFailure::Refused);
            }
            self.drop_candidate(slot); // the newest claim counts
            self.set_role(slot, Some(offer.role));
            let same_role = before.is_some_and(|(role, ..)| role == Some(offer.role));
            if !named || !same_role || held != Some((address, claim.far)) {
                self.close_handshake(slot); // it was begun over what was claimed before
            }
            self.set_address(slot, address);
            if let Some(remote) = self.remotes.at_mut(slot) {
                remote.far = claim.far;
                remote.main = body.mode & 1 == 1;
                remote.kind = body.kind;
                if !named || !same_role {
                    remote.last_hello = None; // another one's
                }
            }
            let recorded = self.remotes.at(slot).filter(|r| r.recorded).map(of);
            if recorded.is_some() && (recorded != before || held != Some((address, claim.far))) {
                self.record(slot);
            }
            return Ok(offer.status);
        }
        let expires = now + self.config.timers.candidate;
        let brought = offer.unproven_keys.then(|| self.keys_hash(&keys));
        let pended = offer.status == Status::Pending;
        let greeted =
            (claim.request).is_some_and(|bytes| !self.may_greet(slot, claim.far, bytes, pended));
        self.drop_candidate(slot);
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
            keys: brought,
            greeted,
            asked: claim.request.is_none(),
            expires,
        });
        self.make_room_for_candidate(address);
        let hash = self.hash.of(&address);
        let inserted = self.by_candidate.insert(hash, slot);
        debug_assert!(
            inserted,
            "an index holds as many pairs as there are remotes"
        );
        Ok(offer.status)
    }

    /// Whether a join of so many bytes may draw a hello of ours beside its response, and beside a pend before
    /// that: all together are at most 3 x as long (H9). `far`: the id that it gave us.
    #[inline(never)] // its frame must not lie under the others' on a small stack
    pub(crate) fn may_greet(&self, slot: u32, far: u32, bytes: usize, pended: bool) -> bool {
        // Numbers that are not known yet are taken for long ones.
        let long = u32::MAX;
        let mut response = self.join_head(slot, false, long, PacketKind::Response);
        response.flags = Flags::CORRESPONDENT;
        response.destination = far;
        let mut hello = self.allow_head(slot, Target::Held, PacketKind::Hello);
        (hello.destination, hello.session, hello.transaction_id) = (far, long, long);
        let head = head_len(&response);
        let pend = if pended { head } else { 0 };
        let response = head + self.longest_join();
        let hello = head_len(&hello) + Hello::LEN + hello.foot.len();
        pend + response + hello <= 3 * bytes
    }

    /// As strangers, candidates at one address share few places: the oldest goes.
    fn make_room_for_candidate(&mut self, address: SocketAddr) {
        let hash = self.hash.of(&address);
        let (mut count, mut oldest) = (0, (Instant::NEVER, 0));
        self.by_candidate.find(hash, |slot| {
            let claimed = self.remotes.at(slot).and_then(|r| r.candidate);
            if let Some(claimed) = claimed.filter(|c| c.address == address) {
                count += 1;
                oldest = oldest.min((claimed.expires, slot));
            }
            false
        });
        if count >= CANDIDATES_AT_ONE_ADDRESS {
            self.drop_candidate(oldest.1);
            self.settle(oldest.1);
        }
    }

    /// An allow has proven the candidate: it is held from now on. True: its join was vacuous, so
    /// the peer's sessions begin anew.
    pub(crate) fn install_candidate(&mut self, slot: u32) -> bool {
        let Some(candidate) = self.remotes.at(slot).and_then(|r| r.candidate) else {
            return false;
        };
        let brought = self.candidate_keys(slot);
        self.drop_candidate(slot);
        self.set_address(slot, candidate.address);
        if let Ok(Some(keys)) = brought
            && let Ok(key) = self.suite.verify_key(&keys.verify)
            && let Some(role_slot) = self.remotes.at(slot).and_then(|r| r.role)
            && let Some(role) = self.roles.at_mut(role_slot)
        {
            role.public = keys.public;
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
            if let Some(open) = self.handshake(slot)
                && open.target == Target::Candidate
            {
                let own = open.is_allower();
                self.close_handshake(slot);
                if own {
                    // The next attempt takes the other way, whatever is claimed meanwhile.
                    self.attempt_failed(self.now, slot);
                }
            }
            self.by_candidate
                .remove(self.hash.of(&candidate.address), slot);
        }
    }
}
