//! From records to files: what a store comes to, and in which order it is done.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{SystemTime, UNIX_EPOCH};

use raet_core::keep::{Record, RemoteRecord};
use raet_core::wire::Name;

use super::beside::{Line, Own, RemoteLine};
use super::error::KeepError;
use super::file::FileKeep;
use super::held::{HeldRemote, HeldRole};
use super::layout::{self, RemoteFile, RoleFile, remote_path, role_path};

/// How far ahead of the session ids in use a remote's `sid` is put down. 0.6.8 goes on from there; we
/// know better from what lies beside. So a file is rewritten for its `sid` once in tens of thousands of
/// restarts, and no id waits for it. It is a 256th of the circle of ids: peers take the jump that a
/// change of hands makes for a step forward.
const AHEAD: u32 = 1 << 24;

impl FileKeep {
    /// Stores these records, each of another place.
    ///
    /// # Errors
    ///
    /// See [`KeepError`]. What is stored then of each place is the old record or the new.
    pub fn store(&mut self, records: &[Record]) -> Result<(), KeepError> {
        let batch = self.plan(records);
        // With 0.6.8 a remote needs its role's file: that comes before it and goes after it.
        let roles = batch.roles.iter().filter(|(_, held)| !held.alone);
        let roles = roles
            .filter_map(|(name, held)| {
                let file = RoleFile::new(held.record.as_ref()?);
                Some(
                    self.bytes(&file)
                        .map(|bytes| (role_path(&self.root, name, self.form), bytes)),
                )
            })
            .collect::<Result<Vec<_>, _>>()?;
        self.replace(roles)?;
        let remotes = batch.remotes.iter().filter(|(_, held)| !held.alone);
        let remotes = remotes
            .map(|(name, held)| {
                let bytes = self.bytes(&held.file)?;
                Ok((remote_path(&self.root, name, self.form), bytes))
            })
            .collect::<Result<Vec<_>, _>>()?;
        self.replace(remotes)?;
        let hidden = batch.remotes.iter().filter(|(_, held)| held.alone);
        let gone = batch
            .gone_remotes
            .iter()
            .chain(hidden.map(|(name, _)| name));
        self.remove_files("remote", gone, remote_path)?;
        self.remove_files("role/remote", batch.gone_roles.iter(), role_path)?;
        self.commit(batch)
    }

    /// What is to be held and written after these records, and changes nothing.
    fn plan(&mut self, records: &[Record]) -> Batch {
        let now = seconds();
        let mut batch = Batch::default();
        for record in records {
            match record {
                Record::Estate(estate) => batch.sessions = Some(estate.sessions),
                Record::Role(role) => {
                    let mut held = HeldRole::new(Some(role.clone()), Some(self.form), false);
                    held.alone = self.is_alone("role", &role.name);
                    if let Some(old) = self.roles.get(&role.name) {
                        held.both = old.both;
                        held.first = old.first;
                        held.names.clone_from(&old.names);
                    }
                    held.seen(now, None);
                    batch.roles.insert(role.name.clone(), held);
                }
                Record::Remote(_) => {}
                Record::Forgotten(name) => batch.gone_remotes.push(name.clone()),
                Record::ForgottenRole(name) => batch.gone_roles.push(name.clone()),
            }
        }
        for record in records {
            if let Record::Remote(remote) = record {
                if let Some(role) = batch.roles.get_mut(&remote.role) {
                    role.seen(now, Some(&remote.name));
                } else {
                    batch
                        .seen
                        .push((remote.role.clone(), remote.name.clone(), now));
                }
                let role_alone = match batch.roles.get(&remote.role) {
                    Some(role) => role.alone,
                    None => self.roles.get(&remote.role).is_some_and(|role| role.alone),
                };
                let alone = self.is_alone("estate", &remote.name) || role_alone;
                let held = self.next_remote(remote, remote.session, alone);
                batch.remotes.insert(remote.name.clone(), held);
            }
        }
        // No id may come into use that a 0.6.8 stack could then use again.
        let Some(sessions) = batch.sessions else {
            return batch;
        };
        for (name, held) in &self.remotes {
            if !at_or_after(held.file.sid, sessions)
                && !batch.remotes.contains_key(name)
                && !batch.gone_remotes.contains(name)
            {
                let next = self.next_remote(&held.record, sessions, held.alone);
                batch.remotes.insert(name.clone(), next);
            }
        }
        for held in batch.remotes.values_mut() {
            if !at_or_after(held.file.sid, sessions) {
                held.file.sid = ahead(sessions);
            }
        }
        batch
    }

    fn next_remote(&self, record: &RemoteRecord, sessions: u32, alone: bool) -> HeldRemote {
        let old = self.remotes.get(&record.name);
        let sid = match old {
            Some(old) if at_or_after(old.file.sid, sessions) => old.file.sid,
            _ => ahead(sessions),
        };
        HeldRemote {
            record: record.clone(),
            file: RemoteFile::update(old.map(|old| &old.file), record, sid),
            form: Some(self.form),
            both: old.is_some_and(|old| old.both),
            alone,
        }
    }

    /// Whether another name that differs only in case has a file already. The first one gets it.
    fn is_alone(&mut self, prefix: &str, name: &Name) -> bool {
        let folded = format!("{prefix}.{}", name.to_lowercase());
        let known = match prefix {
            "role" => self.roles.get(name).map(|held| held.alone),
            _ => self.remotes.get(name).map(|held| held.alone),
        };
        match known {
            Some(false) => false,
            _ => self.taken.entry(folded).or_insert_with(|| name.clone()) != name,
        }
    }

    /// The files are written: this is how it stands now.
    fn commit(&mut self, batch: Batch) -> Result<(), KeepError> {
        let mut touched = BTreeSet::new();
        for (name, held) in batch.roles {
            touched.insert(name.clone());
            self.roles.insert(name, held);
        }
        for (role, name, now) in batch.seen {
            if let Some(held) = self.roles.get_mut(&role) {
                held.seen(now, Some(&name));
                touched.insert(role);
            }
        }
        let mut lines = Vec::new();
        for name in batch.gone_roles {
            self.roles.remove(&name);
            self.release("role", &name);
            lines.push(Line::NoRole(name.as_str().to_owned()));
        }
        let touched = touched.iter().filter_map(|name| self.roles.get(name));
        lines.extend(touched.filter_map(HeldRole::line));
        for (name, held) in batch.remotes {
            lines.push(self.remote_line(&held));
            self.remotes.insert(name, held);
        }
        for name in batch.gone_remotes {
            self.remotes.remove(&name);
            self.release("estate", &name);
            lines.push(Line::NoRemote(name.as_str().to_owned()));
        }
        self.append(&lines)?;
        if let Some(sessions) = batch.sessions {
            self.write_own(Own {
                sessions: Some(sessions),
                ..self.own.clone()
            })?;
        }
        Ok(())
    }

    fn release(&mut self, prefix: &str, name: &Name) {
        let folded = format!("{prefix}.{}", name.to_lowercase());
        if self.taken.get(&folded) == Some(name) {
            self.taken.remove(&folded);
        }
    }

    pub(super) fn remote_line(&self, held: &HeldRemote) -> Line {
        let role = self.roles.get(&held.record.role);
        let keys = role.and_then(|role| role.record.as_ref());
        Line::Remote(RemoteLine {
            name: held.record.name.as_str().to_owned(),
            sid: held.file.sid,
            session: held.record.session,
            proven: keys
                .filter(|_| held.record.proven)
                .map(|role| layout::text(&role.keys.verify)),
            alone: held.alone.then(|| held.file.clone()),
        })
    }
}

/// What a store comes to.
#[derive(Default)]
struct Batch {
    sessions: Option<u32>,
    roles: BTreeMap<Name, HeldRole>,
    remotes: BTreeMap<Name, HeldRemote>,
    gone_roles: Vec<Name>,
    gone_remotes: Vec<Name>,
    /// Role, name and time of remotes whose role is not written.
    seen: Vec<(Name, Name, u64)>,
}

/// In the circle of ids (road-wire: si).
const fn at_or_after(a: u32, b: u32) -> bool {
    a.wrapping_sub(b) < 1 << 31
}

/// 0 is never used.
const fn ahead(sessions: u32) -> u32 {
    match sessions.wrapping_add(AHEAD) {
        0 => 1,
        sid => sid,
    }
}

fn seconds() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}
