//! The table of remotes and its indexes: how one comes, changes its name, address or role, and goes.

use core::net::SocketAddr;

use super::remote::{Kept, Remote};
use super::stack::RoadStack;
use super::{NEWS, READY, RECORDS, UNPROVEN};
use crate::crypto::{Crypto, Purpose};
use crate::event::{Doubt, Failure, Outcome, RemoteEvent};
use crate::storage::{Index, KeyHash, Storage};
use crate::time::Instant;
use crate::wire::Name;

/// Remotes at one address and port that never proved their keys and that the host did not ask for.
const STRANGERS_AT_ONE_ADDRESS: u32 = 4;

impl<S: Storage, C: Crypto> RoadStack<S, C> {
    pub(crate) fn by_near(&self, near: u32) -> Option<u32> {
        let hash = self.hash.of(&near);
        self.by_near.find(hash, |slot| {
            self.remotes.at(slot).is_some_and(|r| r.near == near)
        })
    }

    pub(crate) fn by_name(&self, name: &str) -> Option<u32> {
        let hash = self.hash.of(name);
        self.by_name.find(hash, |slot| {
            self.remotes.at(slot).is_some_and(|r| r.name == name)
        })
    }

    pub(crate) fn by_address(
        &self,
        address: SocketAddr,
        which: impl Fn(&Remote<C>) -> bool,
    ) -> Option<u32> {
        self.all_at(address, |_, remote| which(remote)).1
    }

    /// How many remotes at an address are such, and the oldest of them, wherever an index has it.
    fn all_at(
        &self,
        address: SocketAddr,
        which: impl Fn(u32, &Remote<C>) -> bool,
    ) -> (u32, Option<u32>) {
        let mut count = 0;
        let mut oldest = None;
        self.by_address.find(self.hash.of(&address), |slot| {
            if let Some(remote) = self.remotes.at(slot)
                && remote.path.address == address
                && which(slot, remote)
            {
                count += 1;
                if oldest.is_none_or(|(birth, _)| remote.birth < birth) {
                    oldest = Some((remote.birth, slot));
                }
            }
            false
        });
        (count, oldest.map(|(_, slot)| slot))
    }

    /// Makes a remote, unproven and without a name. Where there is no room the oldest unproven one
    /// goes. `near` is the id that it is to have; a random one that is free, unless given.
    pub(crate) fn insert_remote(
        &mut self,
        now: Instant,
        address: SocketAddr,
        near: Option<u32>,
    ) -> Option<u32> {
        if self.remotes.is_full() {
            let victim = self.unproven.head()?;
            self.evict(victim);
        }
        self.births += 1;
        let birth = self.births;
        let near = match near {
            Some(near) => near,
            None => self.free_near(birth)?,
        };
        let mut remote = Remote::new(birth, near, address, self.first_session, now);
        remote.life.spread = self.suite.draw(Purpose::Spread { remote: birth })[0];
        let handle = self.remotes.insert(remote)?;
        let slot = handle.slot();
        let by_near = self.hash.of(&near);
        let by_address = self.hash.of(&address);
        let done = self.due_remotes.reserve(slot)
            && self.by_near.insert(by_near, slot)
            && self.by_address.insert(by_address, slot);
        if !done {
            // An allocator's refusal: as full.
            self.by_near.remove(by_near, slot);
            self.remotes.clear(slot);
            return None;
        }
        self.remotes.push_back(&mut self.unproven, slot);
        Some(slot)
    }

    /// Strangers at one address share few places: the oldest of them goes for a new one. So nobody
    /// fills the table from one socket, and a look-up by address meets few that are no match.
    pub(crate) fn make_room_at(&mut self, address: SocketAddr) {
        let stranger = |slot, _: &Remote<C>| self.remotes.is_linked::<UNPROVEN>(slot);
        if let (STRANGERS_AT_ONE_ADDRESS.., Some(oldest)) = self.all_at(address, stranger) {
            self.evict(oldest);
        }
    }

    /// A near uid that no remote has: random, so that a stranger cannot guess it (H3).
    pub(super) fn free_near(&self, birth: u64) -> Option<u32> {
        (0..64).find_map(|attempt| {
            let drawn = self.suite.draw(Purpose::NearUid {
                remote: birth,
                attempt,
            });
            let near = u32::from_le_bytes([drawn[0], drawn[1], drawn[2], drawn[3]]);
            (near != 0 && self.by_near(near).is_none()).then_some(near)
        })
    }

    /// Gives a remote the id that its peer knows it by; no other remote may have it.
    pub(crate) fn set_near(&mut self, slot: u32, near: u32) {
        let Some(remote) = self.remotes.at_mut(slot) else {
            return;
        };
        let old = core::mem::replace(&mut remote.near, near);
        if old == near {
            return;
        }
        self.by_near.remove(self.hash.of(&old), slot);
        let inserted = self.by_near.insert(self.hash.of(&near), slot);
        debug_assert!(
            inserted,
            "an index holds as many pairs as there are remotes"
        );
    }

    /// The name must belong to no other remote.
    pub(crate) fn set_name(&mut self, slot: u32, name: &Name) {
        let Some(remote) = self.remotes.at_mut(slot) else {
            return;
        };
        if remote.name == *name {
            return;
        }
        let old = core::mem::replace(&mut remote.name, name.clone());
        if !old.is_empty() {
            self.by_name.remove(self.hash.of(old.as_str()), slot);
        }
        if name.is_empty() {
            return;
        }
        // One pair a remote at most, so there is room for it.
        let inserted = self.by_name.insert(self.hash.of(name.as_str()), slot);
        debug_assert!(
            inserted,
            "an index holds as many pairs as there are remotes"
        );
    }

    /// Gives a remote another name. The record of the old one goes: false, and nothing changes, while
    /// the host has not polled that of another.
    pub(crate) fn rename(&mut self, slot: u32, name: &Name) -> bool {
        if let Some(remote) = self.remotes.at_mut(slot)
            && remote.recorded
            && remote.name != *name
        {
            if self.former_name.is_some() {
                return false;
            }
            self.former_name = Some(remote.name.clone());
            remote.recorded = false;
        }
        self.set_name(slot, name);
        true
    }

    /// What the remote that the host asked for at an address said of itself was never proven, and another one
    /// says otherwise: it is an address again, and whoever bears the name is heard (H10). False: nothing has
    /// changed, for it was proven, or not asked for, or the end of its record cannot be handed out now.
    pub(crate) fn disclaim(&mut self, slot: u32) -> bool {
        let asked = !self.remotes.is_linked::<UNPROVEN>(slot);
        let claimed = |r: &Remote<C>| !r.proven && !r.name.is_empty();
        if !asked || !self.remotes.at(slot).is_some_and(claimed) || !self.rename(slot, &Name::new())
        {
            return false;
        }
        self.remotes.unlink(&mut self.records, slot);
        self.close_handshake(slot);
        self.set_role(slot, None);
        if let Some(remote) = self.remotes.at_mut(slot) {
            (remote.far, remote.main, remote.kind) = (0, false, 0);
            (remote.joined, remote.last_join, remote.last_hello) = (false, None, None);
        }
        true
    }

    /// The same for the sake of another remote, which is to have the name. This one is asked anew.
    pub(crate) fn give_name_up(&mut self, slot: u32) -> bool {
        if !self.disclaim(slot) {
            return false;
        }
        if let Some(remote) = self.remotes.at_mut(slot) {
            remote.join = None;
        }
        self.plan(self.now, slot);
        self.settle(slot);
        true
    }

    pub(crate) fn set_address(&mut self, slot: u32, address: SocketAddr) {
        let Some(remote) = self.remotes.at_mut(slot) else {
            return;
        };
        let old = remote.path.address;
        if old == address {
            return;
        }
        remote.path = super::path::Path::new(address);
        self.by_address.remove(self.hash.of(&old), slot);
        let inserted = self.by_address.insert(self.hash.of(&address), slot);
        debug_assert!(
            inserted,
            "an index holds as many pairs as there are remotes"
        );
    }

    pub(crate) fn set_role(&mut self, slot: u32, role: Option<u32>) {
        let Some(remote) = self.remotes.at_mut(slot) else {
            return;
        };
        if remote.role == role {
            return;
        }
        let old = core::mem::replace(&mut remote.role, role);
        if let Some(role) = role.and_then(|r| self.roles.at_mut(r)) {
            role.remotes += 1;
        }
        if let Some(old) = old {
            self.leave_role(old);
        }
    }

    /// An allow has proven the remote's keys: it can no longer be displaced.
    pub(crate) fn set_proven(&mut self, slot: u32) {
        let Some(remote) = self.remotes.at_mut(slot) else {
            return;
        };
        remote.proven = true;
        remote.life.kept = Kept::No;
        if let Some(role) = remote.role.and_then(|r| self.roles.at_mut(r)) {
            role.proven = true;
        }
        self.remotes.unlink(&mut self.unproven, slot);
    }

    /// Drops a remote that never proved its keys, for another one or because its join failed. The
    /// host hears of it only if it knew of it.
    pub(crate) fn evict(&mut self, slot: u32) {
        self.remove_remote(self.now, slot);
    }

    /// Ends everything about a remote. Its slot stays until the host has polled what it is to know.
    pub(crate) fn remove_remote(&mut self, now: Instant, slot: u32) {
        let Some(remote) = self.remotes.at_mut(slot) else {
            return;
        };
        if remote.gone {
            return;
        }
        remote.gone = true;
        remote.join = None;
        remote.alive = None;
        remote.session = None;
        let (told, known) = (remote.told, !remote.name.is_empty());
        let (near, address) = (remote.near, remote.path.address);
        if remote.proven || remote.next_ti != 1 {
            // It may come back and remember: no session id is used twice (H8).
            let sid = remote.sid;
            self.raise_first_session(sid);
        }
        self.drop_candidate(slot);
        self.close_handshake(slot);
        self.end_messages(now, slot, |sent| {
            if sent {
                Outcome::Unknown(Doubt::Forgotten)
            } else {
                Outcome::Failed(Failure::Forgotten)
            }
        });
        self.drop_arrivals(slot);
        self.drop_replies(slot);
        self.by_near.remove(self.hash.of(&near), slot);
        self.by_address.remove(self.hash.of(&address), slot);
        if known && let Some(remote) = self.remotes.at(slot) {
            let hash = self.hash.of(remote.name.as_str());
            self.by_name.remove(hash, slot);
        }
        self.set_role(slot, None);
        self.remotes.unlink(&mut self.unproven, slot);
        self.remotes.unlink(&mut self.ready, slot);
        let cleared = self.due_remotes.set(slot, None);
        debug_assert!(cleared, "clearing a deadline needs no room");
        if told {
            self.tell(slot, RemoteEvent::Forgotten);
        } else {
            self.remotes.unlink(&mut self.news, slot);
        }
        self.remotes.unlink(&mut self.records, slot);
        if self.remotes.at(slot).is_some_and(|r| r.recorded) {
            self.remotes.push_front(&mut self.records, slot);
        }
        self.release(slot);
    }

    /// Frees the slot of a forgotten remote that has nothing left to tell.
    pub(crate) fn release(&mut self, slot: u32) {
        let gone = self.remotes.at(slot).is_some_and(|r| r.gone);
        if gone && !self.remotes.is_linked::<NEWS>(slot) && !self.remotes.is_linked::<RECORDS>(slot)
        {
            self.remotes.clear(slot);
        }
    }

    /// Puts a remote where its state belongs: its next deadline, and the queue of those with a
    /// packet to make. To be called after every change of one.
    pub(crate) fn settle(&mut self, slot: u32) {
        // Whatever has just ended: a remote that somebody wants is never left without a next step.
        if self
            .remotes
            .at(slot)
            .is_some_and(|r| !r.gone && !r.busy() && r.life.next == Instant::NEVER)
        {
            self.plan(self.now, slot);
        }
        let Some(remote) = self.remotes.at(slot).filter(|r| !r.gone) else {
            return;
        };
        let handshake = remote.allow.and_then(|h| self.handshakes.at(h));
        let due = remote.deadline(handshake.map(|h| h.clock.next()));
        let ready = remote.join.as_ref().is_some_and(|j| j.clock().send)
            || handshake.is_some_and(|h| h.clock.send)
            || remote.alive.as_ref().is_some_and(|a| a.clock.send)
            || !remote.sendable.is_empty()
            || !remote.answers.is_empty()
            || self.can_begin(remote);
        let set = self
            .due_remotes
            .set(slot, (due != Instant::NEVER).then_some(due));
        debug_assert!(
            set,
            "room for its deadline was reserved when the remote came"
        );
        match (ready, self.remotes.is_linked::<READY>(slot)) {
            (true, false) => self.remotes.push_back(&mut self.ready, slot),
            (false, true) => self.remotes.unlink(&mut self.ready, slot),
            _ => {}
        }
    }
}
