//! What a keep on files holds in memory.

use std::time::SystemTime;

use raet_core::keep::{RemoteRecord, RoleRecord};

use super::beside::{Line, RoleLine};
use super::form::Form;
use super::layout::{self, RemoteFile};

/// Names that are remembered of a role.
const NAMES: usize = 16;

pub(super) struct HeldRemote {
    pub(super) record: RemoteRecord,
    pub(super) file: RemoteFile,
    /// The form of its file, if it has one.
    pub(super) form: Option<Form>,
    /// It has one in the other form too.
    pub(super) both: bool,
    /// It has none, by its name.
    pub(super) alone: bool,
}

pub(super) struct HeldRole {
    /// `None`: its file has no keys.
    pub(super) record: Option<RoleRecord>,
    pub(super) form: Option<Form>,
    pub(super) both: bool,
    pub(super) alone: bool,
    /// Seconds since 1970; 0 before that was written down.
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) names: Vec<String>,
}

/// A role, as a person asks for it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeptRole {
    /// Its keys and what was decided about them.
    pub record: RoleRecord,
    /// Names of the estates that bore it, the newest last; 16 at most.
    pub names: Vec<String>,
    /// When it was first put down; `None`: before that was written down.
    pub first_seen: Option<SystemTime>,
    /// When it was last put down: at a join, a change or a judgement.
    pub last_seen: Option<SystemTime>,
}

impl HeldRole {
    pub(super) fn new(record: Option<RoleRecord>, form: Option<Form>, both: bool) -> Self {
        Self {
            record,
            form,
            both,
            alone: false,
            first: 0,
            last: 0,
            names: Vec::new(),
        }
    }

    /// What lies beside. A judgement counts only with the keys and the status that it was about.
    pub(super) fn remember(&mut self, line: &RoleLine) {
        self.first = line.first;
        self.last = line.last;
        self.names.clone_from(&line.names);
        if let Some(record) = &mut self.record
            && record.status as u8 == line.acceptance
            && layout::text(&record.keys.verify) == line.verhex
            && layout::text(&record.keys.public) == line.pubhex
        {
            record.judged = line.judged;
        }
    }

    pub(super) fn seen(&mut self, now: u64, name: Option<&str>) {
        if self.first == 0 {
            self.first = now;
        }
        self.last = now;
        if let Some(name) = name {
            self.names.retain(|known| known != name);
            self.names.push(name.to_owned());
            let older = self.names.len().saturating_sub(NAMES);
            self.names.drain(..older);
        }
    }

    pub(super) fn line(&self) -> Option<Line> {
        let record = self.record.as_ref()?;
        Some(Line::Role(RoleLine {
            name: record.name.as_str().to_owned(),
            acceptance: record.status as u8,
            judged: record.judged,
            verhex: layout::text(&record.keys.verify),
            pubhex: layout::text(&record.keys.public),
            first: self.first,
            last: self.last,
            names: self.names.clone(),
            alone: self.alone,
        }))
    }
}
