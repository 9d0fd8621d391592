//! What a road tells its application.

use raet_core::RemoteId;
use raet_core::crypto::PublicKeys;
use raet_core::event::{Outcome, RemoteEvent};

use crate::body::Message;

/// Something that happened.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Event {
    /// Something about a remote.
    Remote {
        /// Which one.
        remote: RemoteId,
        /// The number that the application gave it with `connect`, or 0.
        token: u64,
        /// What happened.
        what: RemoteEvent,
    },
    /// Keys other than the kept ones were offered for a role. They count only if a person
    /// accepts them (hardening: H10, H17).
    KeysOffered {
        /// The role.
        role: String,
        /// The keys that were offered.
        keys: PublicKeys,
    },
    /// A message ended that was sent with [`SendOptions::tell`](crate::SendOptions::tell).
    Ended {
        /// Its number ([`Delivery::number`](crate::Delivery::number)).
        number: u64,
        /// Whom it was for.
        remote: RemoteId,
        /// How it ended.
        outcome: Outcome,
    },
    /// A record could not be stored, for this reason. It is tried again each second; until it
    /// succeeds, no new session comes up.
    KeepFailed(String),
    /// So many events about remotes were left out, because nobody asked for them in time. What stands now is
    /// in the list of remotes.
    Missed(u64),
}

/// What an application that does one thing after the other waits for. Events come first, so that what
/// led to a message is told before it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Incoming {
    /// Something happened.
    Event(Event),
    /// A message came; it counts as delivered.
    Message(Message),
}
