//! Records: how an engine goes on from an earlier life, and what it wants kept for the next.

use super::RECORDS;
use super::path::plain;
use super::remote::Kept;
use super::session::{at_or_after, next_id};
use super::stack::RoadStack;
use crate::crypto::Crypto;
use crate::error::SetupError;
use crate::keep::{EstateRecord, Record, RemoteRecord, RoleRecord};
use crate::storage::Storage;
use crate::time::Instant;

/// Session ids are reserved in blocks of this many, so that a record is written rarely.
const SESSION_BLOCK: u32 = 256;

/// Bytes of the shortest request and ack that complete a join, but for its name and role.
const SHORTEST_JOIN: usize = 212 + 36;

impl<S: Storage, C: Crypto> RoadStack<S, C> {
    /// Session ids go on above everything that an earlier life may have used (H8).
    pub(super) fn begin_life(&mut self) {
        for slot in 0..self.remotes.slots() {
            let first = self.first_session;
            if let Some(remote) = self.remotes.at_mut(slot) {
                if !at_or_after(remote.sid, first) {
                    remote.sid = first;
                }
                remote.recorded_sid = remote.sid.wrapping_sub(1);
                remote.unrecorded = true;
            }
            self.settle(slot);
        }
        self.sessions_stored = self.first_session.wrapping_sub(1);
        self.sessions_asked = self.first_session.wrapping_add(SESSION_BLOCK);
    }

    pub(super) fn restore(&mut self, now: Instant, record: Record) -> Result<(), SetupError> {
        match record {
            Record::Estate(EstateRecord { sessions }) => self.raise_first_session(sessions),
            Record::Role(role) => self.restore_role(role)?,
            Record::Remote(kept) => self.restore_remote(now, &kept)?,
            Record::Forgotten(_) | Record::ForgottenRole(_) => {}
        }
        Ok(())
    }

    pub(crate) fn raise_first_session(&mut self, used: u32) {
        let next = next_id(used);
        if used != 0 && at_or_after(next, self.first_session) {
            self.first_session = next;
        }
    }

    fn restore_remote(&mut self, now: Instant, kept: &RemoteRecord) -> Result<(), SetupError> {
        let taken =
            kept.near == 0 || self.by_name(&kept.name).is_some() || kept.name == self.config.name;
        if taken {
            return Err(SetupError::Record);
        }
        // An earlier life may have died when a remote's new name was stored and the end of its former one
        // was not yet: two bear one id then. Who has proven its keys keeps it, else who comes first.
        let twin = self.by_near(kept.near);
        let near = match twin.filter(|twin| !self.renumber_for(*twin, kept)) {
            Some(_) => None,
            None => Some(kept.near),
        };
        let slot = self
            .insert_remote(now, plain(kept.address), near)
            .ok_or(SetupError::Record)?;
        let role = match self.role_by_name(&kept.role) {
            Some(role) => Some(role),
            None => self.pending_role(kept.role.clone()),
        };
        self.set_name(slot, &kept.name);
        self.set_role(slot, role);
        self.raise_first_session(kept.session);
        if let Some(remote) = self.remotes.at_mut(slot) {
            remote.far = kept.far;
            remote.main = kept.main;
            remote.kind = kept.kind;
            remote.joined = kept.joined && kept.far != 0;
            remote.told = true;
            remote.recorded = true;
        }
        // At least so many bytes have joined it, which may have waited for a person.
        let bytes = SHORTEST_JOIN + kept.name.len() + kept.role.len();
        let pended = self.role_of(slot).is_some_and(|role| role.judged);
        let greet = self.may_greet(slot, kept.far, bytes, pended);
        if let Some(remote) = self.remotes.at_mut(slot)
            && remote.joined
            && !kept.proven
            && greet
        {
            remote.life.kept = Kept::Recorded;
            self.record(slot);
        }
        self.kept_remotes += 1;
        if kept.proven {
            self.set_proven(slot);
        }
        if near.is_none() {
            self.record(slot);
        }
        self.plan(now, slot);
        Ok(())
    }

    /// A kept remote takes its id from one that never proved its keys, which is given another: true.
    fn renumber_for(&mut self, twin: u32, kept: &RemoteRecord) -> bool {
        let strange = self.remotes.at(twin).filter(|r| !r.proven);
        let near = strange
            .filter(|_| kept.proven)
            .and_then(|r| self.free_near(r.birth));
        if let Some(near) = near {
            self.set_near(twin, near);
            self.record(twin);
        }
        near.is_some()
    }

    /// A keep has stored this record: what waited for it goes on. To be told of each one that was handed
    /// out; an end that a newer record of its place replaces before it is stored counts as stored.
    pub fn handle_stored(&mut self, now: Instant, record: &Record) {
        let now = self.clock(now);
        match record {
            Record::Estate(EstateRecord { sessions }) => {
                if at_or_after(*sessions, self.sessions_stored) {
                    self.sessions_stored = *sessions;
                }
            }
            Record::Forgotten(_) => self.kept_remotes = self.kept_remotes.saturating_sub(1),
            Record::ForgottenRole(_) => self.kept_roles = self.kept_roles.saturating_sub(1),
            Record::Remote(RemoteRecord { name, joined, .. }) => {
                if !joined
                    && let Some(slot) = self.by_name(name)
                    && let Some(remote) = self.remotes.at_mut(slot)
                    && remote.life.kept == Kept::Recorded
                {
                    remote.life.kept = Kept::Stored;
                    self.plan(now, slot);
                    self.settle(slot);
                }
            }
            Record::Role(_) => {}
        }
    }

    /// The next record to keep; see [`handle_stored`](Self::handle_stored). What is new waits until the
    /// keep has a place for it, which takes the end of another: however many of them are stored, and in
    /// whatever order, a keep never has to hold more remotes or roles than the limits say.
    pub fn poll_record(&mut self) -> Option<Record> {
        if core::mem::take(&mut self.estate_unrecorded) {
            return Some(Record::Estate(EstateRecord {
                sessions: self.sessions_asked,
            }));
        }
        if let Some(name) = self.former_name.take() {
            return Some(Record::Forgotten(name));
        }
        let gone = self.records.head().and_then(|slot| self.remotes.at(slot));
        if let Some(remote) = gone.filter(|r| r.gone) {
            let end = Record::Forgotten(remote.name.clone());
            if let Some(slot) = self.remotes.pop_front(&mut self.records) {
                self.release(slot);
            }
            return Some(end);
        }
        if let Some(slot) = self.role_records.head() {
            return self.poll_role_record(slot);
        }
        let slot = self.records.head()?;
        let covered = self.sessions_asked;
        let role = self.role_name(slot);
        let room = self.kept_remotes < self.limits.remotes;
        let remote = self.remotes.at_mut(slot)?;
        if !remote.recorded {
            if !room {
                return None;
            }
            self.kept_remotes += 1;
        }
        remote.unrecorded = false;
        remote.recorded_sid = covered;
        remote.recorded = true;
        let record = RemoteRecord {
            name: remote.name.clone(),
            near: remote.near,
            far: remote.far,
            address: remote.path.address,
            main: remote.main,
            kind: remote.kind,
            role,
            joined: remote.joined && remote.life.kept == Kept::No,
            proven: remote.proven,
            session: covered,
        };
        self.remotes.unlink(&mut self.records, slot);
        Some(Record::Remote(record))
    }

    fn poll_role_record(&mut self, slot: u32) -> Option<Record> {
        let room = self.kept_roles < self.limits.roles;
        let role = self.roles.at_mut(slot)?;
        if !role.recorded {
            if !room {
                return None;
            }
            self.kept_roles += 1;
        }
        role.recorded = true;
        self.roles.unlink(&mut self.role_records, slot);
        let role = self.roles.at(slot)?;
        if role.gone {
            let role = self.roles.remove(self.roles.handle_of(slot)?)?;
            return Some(Record::ForgottenRole(role.name));
        }
        Some(Record::Role(RoleRecord {
            name: role.name.clone(),
            status: role.status,
            judged: role.judged,
            keys: role.keys(),
        }))
    }

    pub(crate) fn record(&mut self, slot: u32) {
        if let Some(remote) = self.remotes.at_mut(slot) {
            remote.unrecorded = true;
            if !remote.name.is_empty() && !self.remotes.is_linked::<RECORDS>(slot) {
                self.remotes.push_back(&mut self.records, slot);
            }
        }
    }

    /// Whether a session id may be used: a stored record covers it (H8). Asks for more in time.
    pub(crate) fn covered(&mut self, sid: u32) -> bool {
        if at_or_after(sid.wrapping_add(SESSION_BLOCK / 4), self.sessions_asked) {
            self.sessions_asked = sid.wrapping_add(SESSION_BLOCK);
            self.estate_unrecorded = true;
        }
        at_or_after(self.sessions_stored, sid)
    }
}
