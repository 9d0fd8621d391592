//! What the engine tells its host.

use crate::crypto::PublicKeys;
use crate::road::{MessageId, RemoteId};
use crate::wire::Name;

/// Something that happened.
///
/// An event waits in the slot of what it is about, so none is lost for want of room. A host that
/// polls late sees, for one remote, each kind once, in the order of this enum.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// Something about a remote.
    Remote {
        /// Which one.
        remote: RemoteId,
        /// The number that the host gave it with `connect`, or 0.
        token: u64,
        /// What happened.
        what: RemoteEvent,
    },
    /// A message came to its end.
    Message {
        /// Which one. The handle is gone with this event.
        message: MessageId,
        /// The remote it was for.
        remote: RemoteId,
        /// The number that the host gave it.
        token: u64,
        /// How it ended.
        outcome: Outcome,
    },
    /// Keys other than the kept ones were offered for a role that somebody has proven or judged.
    /// They count only if a person accepts them (H10, H17).
    KeysOffered {
        /// The role.
        role: Name,
        /// The keys that were offered.
        keys: PublicKeys,
    },
}

/// What happened to a remote.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RemoteEvent {
    /// Its join waits until a person has judged keys: here, or at the peer.
    Pending {
        /// True: the keys of the remote's role are to be judged here.
        here: bool,
    },
    /// The join is complete. It proves nothing yet (H3).
    Joined,
    /// The join ended without success. Nothing that was proven is lost by it.
    JoinFailed(JoinFailure),
    /// An allow has proven its keys: a session is up.
    Allowed,
    /// The allow ended without success; an older session goes on.
    AllowFailed(AllowFailure),
    /// It was heard, after silence or for the first time.
    Came,
    /// It does not answer.
    Went,
    /// It was silent for so long that it is not asked any more.
    Reaped,
    /// Who was asked for at this address is a remote that was known already, and has proven to be there now.
    /// This handle is gone; what was to be sent by it goes to that one, which is wanted if this one was.
    SameAs(RemoteId),
    /// It was forgotten, by the host or because a limit was reached. The handle is gone.
    Forgotten,
}

/// Why a join did not succeed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum JoinFailure {
    /// No answer in time, or still pending then.
    Timeout,
    /// The peer ended it: it was not ready, or settled a race.
    Refused,
    /// The peer rejects this estate: its keys, name or kind are not what it keeps.
    Rejected,
    /// The peer no longer knows this estate, and this road is not mutable.
    Renewed,
    /// The peer's keys are rejected here.
    RejectedHere,
    /// What the peer says of itself differs from what is kept, and this road is not mutable.
    Changed,
    /// The peer bears the name of another remote, with another role, or the name of this estate, or its keys.
    NameTaken,
    /// The peer's keys are weak (H16).
    WeakKeys,
    /// The peer's answer could not be read.
    Malformed,
}

/// Why an allow did not succeed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum AllowFailure {
    /// No answer in time.
    Timeout,
    /// The peer ended it: it was not ready, or settled a race.
    Refused,
    /// The peer rejects what was sent to it.
    Rejected,
    /// The peer says that it does not know this estate as joined.
    Unjoined,
    /// What the peer sent does not prove its keys.
    Unproven,
}

/// How a message ended, seen from its sender.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Outcome {
    /// The far application has taken it.
    Delivered,
    /// It was not delivered and will not be.
    Failed(Failure),
    /// Nobody knows.
    Unknown(Doubt),
}

/// Why a message was not delivered.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Failure {
    /// Cancelled before any of it was sent.
    Cancelled,
    /// Its deadline passed before any of it was sent.
    Deadline,
    /// The remote was forgotten before any of it was sent.
    Forgotten,
    /// The peer refused it.
    Refused,
}

/// Why the fate of a message is not known.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Doubt {
    /// Cancelled when some of it had been sent.
    Cancelled,
    /// Its deadline passed when some of it had been sent.
    Deadline,
    /// The remote was forgotten when some of it had been sent.
    Forgotten,
    /// The session changed, and the message was not to be sent again.
    SessionChanged,
    /// The peer said no, which may mean that it had it already.
    Nacked,
}
