//! What a host can see of remotes and roles.

use core::net::SocketAddr;

use super::RemoteId;
use super::roles::Role;
use super::stack::RoadStack;
use crate::crypto::{Crypto, PublicKeys};
use crate::keep::Status;
use crate::storage::Storage;
use crate::time::{Duration, Instant};
use crate::wire::Name;

/// A remote, as it is now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RemoteInfo {
    /// Its handle.
    pub id: RemoteId,
    /// The number that the host gave it, or 0.
    pub token: u64,
    /// Its name; empty until its join told it.
    pub name: Name,
    /// Its role; empty until its join told it.
    pub role: Name,
    /// Where it is sent to.
    pub address: SocketAddr,
    /// Whether it is a main estate.
    pub main: bool,
    /// Its application's number.
    pub kind: u8,
    /// Near uid: the id that this estate gave it.
    pub near: u32,
    /// Far uid: the id that it gave this estate; 0 not known.
    pub far: u32,
    /// Session id of what is begun here now.
    pub session: u32,
    /// The newest session id accepted in what it begins; 0 none yet.
    pub far_session: u32,
    /// A join with it is complete.
    pub joined: bool,
    /// An allow has proven its keys, in this life or an earlier one.
    pub proven: bool,
    /// A session is up.
    pub allowed: bool,
    /// Whether it answers; `None`: not known.
    pub alive: Option<bool>,
    /// It was silent for so long that it is not asked any more.
    pub reaped: bool,
    /// When `alive` last changed; `None` while it is not known.
    pub since: Option<Instant>,
    /// When a proven packet of it last came; before the first one, when it was made.
    pub heard: Instant,
    /// The running estimate of the round trip; `None`: not measured.
    pub round_trip: Option<Duration>,
    /// Messages to it that were not begun.
    pub queued: usize,
    /// Messages to it that were begun.
    pub open: usize,
    /// The keys of its role; `None` until its join told them.
    pub keys: Option<PublicKeys>,
}

/// A role, as it is now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RoleInfo {
    /// Its name.
    pub name: Name,
    /// What was decided about its keys.
    pub status: Status,
    /// Whether a person decided it.
    pub judged: bool,
    /// Whether an allow has proven the keys in this life.
    pub proven: bool,
    /// Its keys.
    pub keys: PublicKeys,
    /// Other keys that were offered for it and not accepted: the newest.
    pub offered: Option<PublicKeys>,
    /// How many remotes bear it.
    pub remotes: u32,
}

impl<S: Storage, C: Crypto> RoadStack<S, C> {
    /// Messages that came and wait for [`poll_message`](Self::poll_message).
    pub fn messages_waiting(&self) -> usize {
        self.arrived.len()
    }

    /// All remotes, in an order without meaning.
    pub fn remotes(&self) -> impl Iterator<Item = RemoteInfo> {
        (0..self.remotes.slots()).filter_map(|slot| self.remote_info(slot))
    }

    /// One remote; `None`: it is gone.
    pub fn remote(&self, remote: RemoteId) -> Option<RemoteInfo> {
        self.remote_info(self.slot(remote).ok()?)
    }

    /// All roles whose keys are known, in an order without meaning.
    pub fn roles(&self) -> impl Iterator<Item = RoleInfo> {
        (0..self.roles.slots()).filter_map(|slot| {
            let role = self.roles.at(slot).filter(|r| !r.gone && r.key.is_some())?;
            Some(RoleInfo {
                name: role.name.clone(),
                status: role.status,
                judged: role.judged,
                proven: role.proven,
                keys: role.keys(),
                offered: role.offered,
                remotes: role.remotes,
            })
        })
    }

    fn remote_info(&self, slot: u32) -> Option<RemoteInfo> {
        let id = RemoteId(self.remotes.handle_of(slot)?);
        let remote = self.remotes.at(slot).filter(|r| !r.gone)?;
        let role = remote.role.and_then(|r| self.roles.at(r));
        Some(RemoteInfo {
            id,
            token: remote.token,
            name: remote.name.clone(),
            role: role.map(|r| r.name.clone()).unwrap_or_default(),
            address: remote.path.address,
            main: remote.main,
            kind: remote.kind,
            near: remote.near,
            far: remote.far,
            session: remote.sid,
            far_session: remote.rsid,
            joined: remote.joined,
            proven: remote.proven,
            allowed: remote.session.is_some(),
            alive: remote.life.up,
            reaped: remote.life.reaped,
            since: remote.life.up.map(|_| remote.life.since),
            heard: remote.life.heard,
            round_trip: remote.path.trip.smoothed(),
            queued: remote.waiting.len(),
            open: remote.open.len(),
            keys: role.filter(|r| r.key.is_some()).map(Role::keys),
        })
    }
}
