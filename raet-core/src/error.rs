//! What a caller can do wrong, an enum for each operation. A peer cannot cause any of these: what
//! comes from the network is counted in [`Stats`](crate::stats::Stats), not returned.

use core::fmt;

use crate::limits::LimitsError;

/// Why an engine could not be built.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SetupError {
    /// The limits contradict each other or the storage.
    Limits(LimitsError),
    /// A name or role that the protocol cannot carry: empty, or with a space, a slash or a control
    /// character; or both together are too long for a join that is no more than it may be (H9): 256 bytes
    /// in JSON, in which quotes and backslashes count twice.
    Name,
    /// `body` is neither JSON nor msgpack.
    BodyKind,
    /// `main`, `head` or `body` needs a feature of this crate that is off.
    Feature,
    /// `window` is below 2, or a redo interval is zero or larger than its maximum.
    Pace,
    /// A kept record does not fit: two of one name, an id of 0, a weak key, or more than the limits.
    Record,
}

impl fmt::Display for SetupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Limits(e) => e.fmt(f),
            Self::Name => f.write_str(
                "a name or role is empty, too long (escapes count), or has a space, slash or control character",
            ),
            Self::Feature => f.write_str(
                "this build lacks the feature `joinent`, `json-head` or `msgpack` that is asked for",
            ),
            Self::BodyKind => f.write_str("join bodies are json or msgpack"),
            Self::Pace => f.write_str(
                "the window is below 2, or a redo interval is zero or above its maximum",
            ),
            Self::Record => f.write_str(
                "a kept record repeats a name, has no id or a weak key, or exceeds the limits",
            ),
        }
    }
}

impl core::error::Error for SetupError {}

/// The handle names something that is gone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Gone;

impl fmt::Display for Gone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no such remote or message any more")
    }
}

impl core::error::Error for Gone {}

/// Why no remote was made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ConnectError {
    /// No room among [`Limits::remotes`](crate::limits::Limits::remotes) now.
    Full,
    /// The address is unspecified or has port 0: nothing can be sent there.
    Address,
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "no room for another remote now",
            Self::Address => "an unspecified address or port 0 cannot be reached",
        })
    }
}

impl core::error::Error for ConnectError {}

/// Why a message was not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SendError {
    /// The remote is gone.
    Gone,
    /// No room in the outbox now: send again when an outcome has come.
    Full,
    /// Longer than [`Limits::message`](crate::limits::Limits::message): it never fits.
    TooLong,
    /// Called json or msgpack, and no mapping of that form: receivers could not read it.
    NotMapping,
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gone => "no such remote any more",
            Self::Full => "the outbox is full now",
            Self::TooLong => "the message is longer than the limit",
            Self::NotMapping => "a json or msgpack message must be a mapping",
        })
    }
}

impl core::error::Error for SendError {}

/// Why a judgement of a role's keys was not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum JudgeError {
    /// No such role is known, or its keys are not.
    Unknown,
    /// Its keys are not the ones that were judged: another key arrived meanwhile (H17).
    KeysChanged,
}

impl fmt::Display for JudgeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unknown => "no such role",
            Self::KeysChanged => "the keys of this role are not the ones that were judged",
        })
    }
}

impl core::error::Error for JudgeError {}

/// Why the keys of a role were not taken in advance.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum IntroduceError {
    /// A name that the protocol cannot carry.
    Name,
    /// The keys are weak: anyone could claim them (H16).
    WeakKeys,
    /// Other keys are held for this role (H17): forget it first, or judge those.
    OtherKeys,
    /// No room among [`Limits::roles`](crate::limits::Limits::roles) now.
    Full,
}

impl fmt::Display for IntroduceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Name => "a role is empty, too long, or has a space, slash or control character",
            Self::WeakKeys => "the keys are weak: anyone could claim them",
            Self::OtherKeys => "other keys are held for this role",
            Self::Full => "no room for another role now",
        })
    }
}

impl core::error::Error for IntroduceError {}

#[cfg(test)]
mod tests;
