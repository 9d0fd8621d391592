//! A running estate, asked and told things by other processes of its host.
//!
//! A [`Control`] serves a Unix socket that only its owner can reach (mode 0600): what `raet key` and
//! `raet status` speak with while an estate runs, and what a program of yours can, with [`ask`] or by
//! itself. A connection carries one request and one reply, each a line of JSON:
//!
//! ```text
//! {"ask":"status"}
//! {"ask":"roles"}
//! {"ask":"judge","role":"sensor","status":"accepted","keys":{"verhex":"…","pubhex":"…"}}
//! {"ask":"introduce","role":"sensor","status":"accepted","keys":{"verhex":"…","pubhex":"…"}}
//! {"ask":"forget","role":"sensor"}
//!
//! {"status":{"name":"hub", … ,"remotes":[{"name":"sensor","state":"up", … }]}}
//! {"roles":[{"role":"sensor","status":"pending","keys":{"verhex":"…","pubhex":"…","finger":"…"}, … }]}
//! {"done":true}
//! {"refused":"…"}
//! ```
//!
//! Times are seconds since 1970. Requests are short and a connection has a second for all it does; they are
//! served one after the other, on a thread of its own: no packet waits for them.

mod answer;
mod client;
mod server;

use std::net::SocketAddr;

use raet_core::crypto::{PublicKeys, hex::HexError};
use raet_core::keep::Status;
use serde::{Deserialize, Serialize};

pub use client::{AskError, ask};
pub use server::Control;

/// The socket's name in the folder of a keep.
pub const SOCKET: &str = "control";

/// What is asked of a running estate.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Request {
    /// How it is: [`Reply::Status`].
    Status,
    /// All roles: [`Reply::Roles`].
    Roles,
    /// Decides about the keys of a role. Keys that are not accepted have no session: unless they are
    /// accepted, the estates that bear them are forgotten.
    Judge {
        /// The role.
        role: String,
        /// The decision.
        status: Standing,
        /// The keys that the person saw: had others arrived meanwhile, nothing is changed
        /// (hardening: H17). `None`: whatever is held.
        keys: Option<Keys>,
    },
    /// Takes the keys of a role before any estate shows them.
    Introduce {
        /// The role.
        role: String,
        /// What was decided about them.
        status: Standing,
        /// The keys.
        keys: Keys,
    },
    /// Forgets a role and all estates that bear it.
    Forget {
        /// The role.
        role: String,
    },
}

/// What it answers.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Reply {
    /// How it is.
    Status(Report),
    /// All roles, by name.
    Roles(Vec<RoleReport>),
    /// It is done. True: and stored, so that it outlives a crash, or there is no keep. False: the keep
    /// fails or is slow, and tries on.
    Done(bool),
    /// It is not done, and nothing is changed, for this reason.
    Refused(String),
}

/// An estate, as it is now.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Report {
    /// Its name.
    pub name: String,
    /// Its role.
    pub role: String,
    /// Its keys.
    pub keys: Keys,
    /// What its socket is bound to.
    pub addr: SocketAddr,
    /// When it was opened.
    pub since: u64,
    /// Messages that its application has taken.
    pub messages_in: u64,
    /// Messages delivered to others.
    pub messages_out: u64,
    /// Messages that came and were not taken yet.
    pub waiting: usize,
    /// Datagrams that were dropped, for whatever reason.
    pub dropped: u64,
    /// Its remotes, by name.
    pub remotes: Vec<RemoteReport>,
}

/// A remote, as it is now.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct RemoteReport {
    /// Its name; empty until its join told it.
    pub name: String,
    /// Its role; empty until its join told it.
    pub role: String,
    /// Where it is sent to.
    pub addr: SocketAddr,
    /// How it stands.
    pub state: State,
    /// Since when it is up, down or reaped.
    pub since: Option<u64>,
    /// When something proven last came from it in this life.
    pub heard: Option<u64>,
    /// The running estimate of the round trip, in milliseconds.
    pub rtt_ms: Option<f64>,
    /// Messages to it that were not begun.
    pub queued: usize,
    /// Messages to it that were begun and not confirmed.
    pub in_flight: usize,
    /// Whether it is a main estate.
    pub main: bool,
}

/// How a remote stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum State {
    /// A session is up and it answers.
    Up,
    /// It does not answer.
    Down,
    /// It was silent for so long that it is not asked any more.
    Reaped,
    /// Joined; a session is not up yet.
    Joined,
    /// Its keys wait for a person to judge them.
    Pending,
    /// Its keys are rejected.
    Rejected,
    /// It has not joined yet.
    Joining,
}

impl State {
    /// The word for people.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
            Self::Reaped => "reaped",
            Self::Joined => "joined",
            Self::Pending => "pending",
            Self::Rejected => "rejected",
            Self::Joining => "joining",
        }
    }
}

/// A role, and where its keys stand.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RoleReport {
    /// Its name.
    pub role: String,
    /// What was decided about its keys.
    pub status: Standing,
    /// Whether a person decided it, not the trust policy.
    pub judged: bool,
    /// Its keys.
    pub keys: Keys,
    /// Other keys that were offered for it and do not count: the newest.
    pub offered: Option<Keys>,
    /// Names of the estates that bore it; the newest last.
    pub names: Vec<String>,
    /// When it was first seen, if that is known.
    pub first_seen: Option<u64>,
    /// When it was last seen, if that is known.
    pub last_seen: Option<u64>,
}

/// What was decided about keys.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Nothing yet.
    Pending,
    /// Their estates may join.
    Accepted,
    /// Their estates may not join.
    Rejected,
}

impl Standing {
    /// The word for people.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Accepted => "accepted",
            Self::Rejected => "rejected",
        }
    }
}

impl From<Status> for Standing {
    fn from(status: Status) -> Self {
        match status {
            Status::Pending => Self::Pending,
            Status::Accepted => Self::Accepted,
            Status::Rejected => Self::Rejected,
        }
    }
}

impl From<Standing> for Status {
    fn from(standing: Standing) -> Self {
        match standing {
            Standing::Pending => Self::Pending,
            Standing::Accepted => Self::Accepted,
            Standing::Rejected => Self::Rejected,
        }
    }
}

/// The public keys of a role, as text.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Keys {
    /// Ed25519, 64 hex digits.
    pub verhex: String,
    /// X25519, 64 hex digits.
    pub pubhex: String,
    /// Their fingerprint. It follows from the keys: one that is given is not looked at.
    #[serde(default)]
    pub finger: String,
}

impl From<&PublicKeys> for Keys {
    fn from(keys: &PublicKeys) -> Self {
        let text = keys.to_string();
        let (verhex, pubhex) = text.split_once(':').unwrap_or_default();
        Self {
            verhex: verhex.to_owned(),
            pubhex: pubhex.to_owned(),
            finger: keys.fingerprint().to_string(),
        }
    }
}

impl TryFrom<&Keys> for PublicKeys {
    type Error = HexError;

    fn try_from(keys: &Keys) -> Result<Self, HexError> {
        Self::from_hex(&keys.verhex, &keys.pubhex)
    }
}

#[cfg(test)]
mod tests;
