//! Roles: pairs of long-term keys, and what was decided about them. Several remotes may bear one.

use core::num::NonZeroU32;

use super::stack::RoadStack;
use super::{ROLE_NEWS, ROLE_RECORDS};
use crate::crypto::{Crypto, PublicKeys, Purpose};
use crate::error::{IntroduceError, JudgeError, SetupError};
use crate::event::Event;
use crate::keep::{RoleRecord, Status, trust};
use crate::storage::{Index, KeyHash, Storage};
use crate::time::Instant;
use crate::wire::{self, Name};

#[derive(Clone, Hash)]
pub(crate) struct Role<C: Crypto> {
    pub(crate) name: Name,
    pub(crate) status: Status,
    /// A person decided the status.
    pub(crate) judged: bool,
    /// An allow has proven the keys.
    pub(crate) proven: bool,
    /// The X25519 key; see [`keys`](Self::keys).
    pub(crate) public: [u8; 32],
    /// The verify key, expanded once. `None` where a kept role has no keys yet.
    pub(crate) key: Option<C::VerifyKey>,
    /// Other keys that were offered and not accepted.
    pub(crate) offered: Option<PublicKeys>,
    pub(crate) remotes: u32,
    /// A record of it was handed out.
    pub(crate) recorded: bool,
    /// Dropped; only the word to the keep holds the slot.
    pub(crate) gone: bool,
}

impl<C: Crypto> Role<C> {
    /// The verify key's bytes; zeros where there is none yet.
    pub(crate) fn verify(&self) -> [u8; 32] {
        self.key.as_ref().map_or([0; 32], C::verify_key_bytes)
    }

    #[inline(never)] // called from many places, and longer than a call
    pub(crate) fn keys(&self) -> PublicKeys {
        PublicKeys {
            verify: self.verify(),
            public: self.public,
        }
    }
}

/// Other keys were offered since: the candidate that brought the former ones cannot be proven.
pub(crate) struct Displaced;

/// What became of keys that a join brought.
pub(crate) struct Offer {
    pub(crate) status: Status,
    pub(crate) role: u32,
    /// The keys count only when an allow proves them: the role's own are proven (H4).
    pub(crate) unproven_keys: bool,
}

/// Why keys were not even judged.
pub(crate) enum NoOffer {
    Weak,
    Full,
}

impl<S: Storage, C: Crypto> RoadStack<S, C> {
    /// Decides about the keys of a role: accepts, rejects or leaves them to be decided. `keys`
    /// are the ones that the person saw; the kept ones if they are not named. Offered keys can be
    /// accepted by naming them. Pending joins of the role go on at once.
    ///
    /// # Errors
    ///
    /// When no such role or none of its keys are known, or its keys are not the ones that were seen
    /// (H17).
    pub fn judge_role(
        &mut self,
        now: Instant,
        role: &str,
        status: Status,
        keys: Option<&PublicKeys>,
    ) -> Result<(), JudgeError> {
        let now = self.clock(now);
        let slot = self.role_by_name(role).ok_or(JudgeError::Unknown)?;
        // Of a kept remote whose role was lost only the role's name is known.
        let held = self.roles.at(slot).filter(|role| role.key.is_some());
        let held = held.ok_or(JudgeError::Unknown)?;
        let offered = held.offered;
        match keys {
            Some(seen) if *seen == held.keys() => {}
            Some(seen) if status == Status::Accepted && offered == Some(*seen) => {
                let key = self
                    .suite
                    .verify_key(&seen.verify)
                    .map_err(|_| JudgeError::KeysChanged)?;
                if let Some(role) = self.roles.at_mut(slot) {
                    role.public = seen.public;
                    role.key = Some(key);
                    role.proven = false;
                }
            }
            Some(_) => return Err(JudgeError::KeysChanged),
            None => {}
        }
        self.judge_slot(now, slot, status);
        Ok(())
    }

    fn judge_slot(&mut self, now: Instant, slot: u32, status: Status) {
        if let Some(role) = self.roles.at_mut(slot) {
            role.status = status;
            role.judged = status != Status::Pending;
            if role.offered == Some(role.keys()) {
                role.offered = None;
            }
        }
        self.record_role(slot);
        self.resume_pended(now, slot, status);
    }

    /// Takes the keys of a role before any estate shows them, with what a person decided about them:
    /// devices can be accepted before they are ever switched on. Keys that are held already are
    /// judged anew, as by [`judge_role`](Self::judge_role).
    ///
    /// # Errors
    ///
    /// When the name cannot be one, the keys prove nothing (H16), others are held for it (H17), or
    /// there is no room.
    pub fn introduce_role(
        &mut self,
        now: Instant,
        role: &str,
        keys: &PublicKeys,
        status: Status,
    ) -> Result<(), IntroduceError> {
        let now = self.clock(now);
        let name = wire::name(role).map_err(|_| IntroduceError::Name)?;
        let known = self.role_by_name(role);
        let held = known
            .and_then(|slot| self.roles.at(slot))
            .filter(|r| r.key.is_some());
        let same = held.map(|r| r.keys() == *keys);
        if same == Some(false) {
            return Err(IntroduceError::OtherKeys);
        }
        let key = self
            .check_keys(keys)
            .map_err(|_| IntroduceError::WeakKeys)?;
        let slot = match known {
            Some(slot) => slot,
            None => self.room_for_role(name).ok_or(IntroduceError::Full)?,
        };
        if same.is_none()
            && let Some(role) = self.roles.at_mut(slot)
        {
            role.public = keys.public;
            role.key = Some(key);
        }
        self.judge_slot(now, slot, status);
        Ok(())
    }

    /// Forgets a role, whatever was decided about it, and every remote that bears it: their messages end
    /// as failed or unknown. Should one of them come back, it is a stranger. Walks over all remotes.
    ///
    /// # Errors
    ///
    /// When no such role is known.
    pub fn forget_role(&mut self, now: Instant, role: &str) -> Result<(), JudgeError> {
        let now = self.clock(now);
        let slot = self.role_by_name(role).ok_or(JudgeError::Unknown)?;
        if let Some(role) = self.roles.at_mut(slot) {
            role.judged = false;
            role.proven = false;
            role.remotes += 1; // keeps the slot until all of them are gone
        }
        for remote in 0..self.remotes.slots() {
            if self
                .remotes
                .at(remote)
                .is_some_and(|r| r.role == Some(slot))
            {
                self.remove_remote(now, remote);
            }
        }
        self.leave_role(slot);
        Ok(())
    }

    pub(crate) fn role_by_name(&self, name: &str) -> Option<u32> {
        let hash = self.hash.of(name);
        self.role_by_name.find(hash, |slot| {
            self.roles.at(slot).is_some_and(|r| r.name == name)
        })
    }

    pub(crate) fn restore_role(&mut self, kept: RoleRecord) -> Result<(), SetupError> {
        let key = self
            .suite
            .verify_key(&kept.keys.verify)
            .map_err(|_| SetupError::Record)?;
        let slot = match self.role_by_name(&kept.name) {
            Some(slot) => slot,
            None => self.pending_role(kept.name).ok_or(SetupError::Record)?,
        };
        let role = self.roles.at_mut(slot).ok_or(SetupError::Record)?;
        if role.key.is_some() {
            return Err(SetupError::Record);
        }
        role.status = kept.status;
        role.judged = kept.judged;
        role.public = kept.keys.public;
        role.key = Some(key);
        role.recorded = true;
        self.kept_roles += 1;
        Ok(())
    }

    /// A role that is only named, to be filled in. Displaces nothing.
    pub(crate) fn pending_role(&mut self, name: Name) -> Option<u32> {
        let hash = self.hash.of(name.as_str());
        let role = Role {
            name,
            status: Status::Pending,
            judged: false,
            proven: false,
            public: [0; 32],
            key: None,
            offered: None,
            remotes: 0,
            recorded: false,
            gone: false,
        };
        let handle = self.roles.insert(role)?;
        if self.role_by_name.insert(hash, handle.slot()) {
            Some(handle.slot())
        } else {
            self.roles.clear(handle.slot());
            None
        }
    }

    /// Judges the keys that a join brings for a role, and keeps what the table says (`trust`).
    /// Proven keys stay as they are until an allow proves the new ones (H4).
    pub(crate) fn offer(&mut self, name: &Name, keys: &PublicKeys) -> Result<Offer, NoOffer> {
        let known = self.role_by_name(name);
        let held = known
            .and_then(|slot| self.roles.at(slot))
            .filter(|r| r.key.is_some());
        let same = held.is_some_and(|r| r.keys() == *keys);
        let proven = held.is_some_and(|r| r.proven);
        let standing = trust::judge(self.config.trust, held.map(|r| (r.status, same)));
        // A key is looked at once: kept ones were looked at when they came.
        let key = if same {
            None
        } else {
            Some(self.check_keys(keys)?)
        };
        let slot = match known {
            Some(slot) => slot,
            None => self.room_for_role(name.clone()).ok_or(NoOffer::Full)?,
        };
        let Some(role) = self.roles.at_mut(slot) else {
            return Err(NoOffer::Full);
        };
        if standing.kept && (same || !proven) {
            let changed = role.status != standing.status || !same;
            role.status = standing.status;
            if !same {
                role.judged = false;
                role.proven = false;
                role.public = keys.public;
                role.key = key;
            }
            if changed {
                self.record_role(slot);
            }
        } else if !same && role.offered != Some(*keys) {
            role.offered = Some(*keys);
            if !self.roles.is_linked::<ROLE_NEWS>(slot) {
                self.roles.push_back(&mut self.role_news, slot);
            }
        }
        Ok(Offer {
            status: standing.status,
            role: slot,
            unproven_keys: !same && proven,
        })
    }

    /// The keys that the candidate of a remote brought in place of its role's; `None`: the role's.
    pub(crate) fn candidate_keys(&self, remote: u32) -> Result<Option<PublicKeys>, Displaced> {
        let candidate = self.remotes.at(remote).and_then(|r| r.candidate);
        let Some(hash) = candidate.and_then(|c| c.keys) else {
            return Ok(None);
        };
        let offered = self.role_of(remote).and_then(|role| role.offered);
        match offered.filter(|keys| self.keys_hash(keys) == hash) {
            Some(keys) => Ok(Some(keys)),
            None => Err(Displaced),
        }
    }

    pub(crate) fn keys_hash(&self, keys: &PublicKeys) -> NonZeroU32 {
        NonZeroU32::MIN | keys.hash(&self.suite.draw(Purpose::HashKey))
    }

    /// Refuses keys that prove nothing (H16).
    fn check_keys(&self, keys: &PublicKeys) -> Result<C::VerifyKey, NoOffer> {
        let key = self
            .suite
            .verify_key(&keys.verify)
            .map_err(|_| NoOffer::Weak)?;
        if self.suite.is_weak_public(&keys.public) {
            return Err(NoOffer::Weak);
        }
        Ok(key)
    }

    /// Room for a role: where there is none, the oldest remote that never proved its keys goes,
    /// with its role.
    fn room_for_role(&mut self, name: Name) -> Option<u32> {
        if self.roles.is_full() {
            let victim = self.unproven.head()?;
            self.evict(victim);
        }
        self.pending_role(name)
    }

    /// A remote no longer bears this role. One that nobody judged, proved or bears is dropped.
    pub(crate) fn leave_role(&mut self, slot: u32) {
        let Some(role) = self.roles.at_mut(slot) else {
            return;
        };
        role.remotes = role.remotes.saturating_sub(1);
        if role.remotes == 0 && !role.judged && !role.proven {
            let hash = self.hash.of(role.name.as_str());
            role.gone = true;
            let recorded = role.recorded;
            self.role_by_name.remove(hash, slot);
            self.roles.unlink(&mut self.role_news, slot);
            self.roles.unlink(&mut self.role_records, slot);
            if recorded {
                self.roles.push_front(&mut self.role_records, slot);
                return;
            }
            self.roles.clear(slot);
        }
    }

    pub(crate) fn record_role(&mut self, slot: u32) {
        if !self.roles.is_linked::<ROLE_RECORDS>(slot) {
            self.roles.push_back(&mut self.role_records, slot);
        }
    }

    /// The name of the role that a remote bears.
    pub(crate) fn role_name(&self, remote: u32) -> Name {
        let role = self
            .remotes
            .at(remote)
            .and_then(|r| r.role)
            .and_then(|r| self.roles.at(r));
        role.map(|r| r.name.clone()).unwrap_or_default()
    }

    pub(crate) fn role_of(&self, remote: u32) -> Option<&Role<C>> {
        self.roles.at(self.remotes.at(remote)?.role?)
    }

    pub(crate) fn poll_role_news(&mut self) -> Option<Event> {
        while let Some(slot) = self.roles.pop_front(&mut self.role_news) {
            if let Some(role) = self.roles.at(slot)
                && let Some(keys) = role.offered
            {
                return Some(Event::KeysOffered {
                    role: role.name.clone(),
                    keys,
                });
            }
        }
        None
    }
}
