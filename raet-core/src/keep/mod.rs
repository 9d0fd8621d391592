//! What must survive a restart: records out, records in.
//!
//! The engine hands out a [`Record`] whenever something changed that a restart must know
//! ([`poll_record`](crate::RoadStack::poll_record)); a keep stores the newest of each kind and
//! name and says so with [`handle_stored`](crate::RoadStack::handle_stored); the records go in
//! again when the next engine is built. Nothing here is secret: the long-term secrets belong to
//! the host and are given with the [`Config`](crate::config::Config).

#[cfg(feature = "compact")]
pub mod compact;
pub mod trust;

use core::net::SocketAddr;

use crate::crypto::PublicKeys;
use crate::wire::Name;

/// Something to keep. A newer record replaces the older one of the same kind and name.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Record {
    /// About this estate.
    Estate(EstateRecord),
    /// A remote.
    Remote(RemoteRecord),
    /// A remote is gone: its record may go.
    Forgotten(Name),
    /// A role.
    Role(RoleRecord),
    /// A role is gone that nobody judged or proved and no remote bears any more: its record may go.
    /// Without this, every stranger that ever asked to join would stay in the keep.
    ForgottenRole(Name),
}

/// What a record is about: a keep holds one record for each place, the newest.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Place {
    /// This estate.
    Estate,
    /// The role of this name. Before remotes, which name their roles.
    Role(Name),
    /// The remote of this name.
    Remote(Name),
}

impl Record {
    /// What it is about.
    pub fn place(&self) -> Place {
        match self {
            Self::Estate(_) => Place::Estate,
            Self::Remote(remote) => Place::Remote(remote.name.clone()),
            Self::Forgotten(name) => Place::Remote(name.clone()),
            Self::Role(role) => Place::Role(role.name.clone()),
            Self::ForgottenRole(name) => Place::Role(name.clone()),
        }
    }

    /// Whether it only says that nothing is to be kept in its place any more.
    pub const fn is_end(&self) -> bool {
        matches!(self, Self::Forgotten(_) | Self::ForgottenRole(_))
    }
}

/// A keep in memory: for tests, and for hosts that store it whole.
#[cfg(feature = "alloc")]
#[derive(Clone, Debug, Default, Hash)]
pub struct MemoryKeep(alloc::collections::BTreeMap<Place, Record>);

#[cfg(feature = "alloc")]
impl MemoryKeep {
    /// Takes a record in place of the older one.
    pub fn store(&mut self, record: Record) {
        if record.is_end() {
            self.0.remove(&record.place());
        } else {
            self.0.insert(record.place(), record);
        }
    }

    /// The newest records, in the order in which an engine takes them.
    pub fn records(&self) -> impl Iterator<Item = Record> {
        self.0.values().cloned()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// What an estate keeps of itself.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct EstateRecord {
    /// Every session id up to here may have been used (H8): the next life begins above it. No id
    /// is used before a stored record covers it; ids are reserved in blocks, so this is written
    /// rarely.
    pub sessions: u32,
}

/// What an estate keeps of a remote (lane-and-keep: Keep).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct RemoteRecord {
    /// Its name.
    pub name: Name,
    /// Its near uid: the id that this estate gave it.
    pub near: u32,
    /// Its far uid: the id that it gave this estate; 0 not known.
    pub far: u32,
    /// Where it is sent to.
    pub address: SocketAddr,
    /// Whether it is a main estate.
    pub main: bool,
    /// Its application's number.
    pub kind: u8,
    /// Its role.
    pub role: Name,
    /// Whether a join with it is complete.
    pub joined: bool,
    /// Whether an allow has ever proven its keys.
    pub proven: bool,
    /// A session id at or above every one used towards it so far.
    pub session: u32,
}

/// What an estate keeps of a role.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct RoleRecord {
    /// Its name.
    pub name: Name,
    /// What was decided about its keys.
    pub status: Status,
    /// Whether a person decided it, not the trust policy.
    pub judged: bool,
    /// Its keys.
    pub keys: PublicKeys,
}

/// Where a role's keys stand (road-transactions: Acceptance).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum Status {
    /// Nobody has decided yet.
    Pending = 0,
    /// Its estates may join.
    Accepted = 1,
    /// Its estates may not join.
    Rejected = 2,
}
