//! What can go wrong, an enum for each operation. Each says what happened and what to do.

use std::fmt;
use std::io;
use std::net::SocketAddr;

use raet_core::error::SetupError;

/// Why a road was not opened.
#[derive(Debug)]
#[non_exhaustive]
pub enum OpenError {
    /// The socket could not be bound.
    Bind {
        /// The address asked for.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The engine does not take this configuration, or these records.
    Setup(SetupError),
    /// The keep could not be read.
    Keep(io::Error),
    /// The system gives no randomness, thread or poll.
    System(io::Error),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bind { address, source } => match source.kind() {
                io::ErrorKind::AddrInUse => write!(
                    f,
                    "{address} is in use by another program: stop that one, or bind to another port (0 takes any free one)"
                ),
                io::ErrorKind::AddrNotAvailable => write!(
                    f,
                    "{} is no address of this machine: bind to one of its own, or to 0.0.0.0 or [::] for all",
                    address.ip()
                ),
                io::ErrorKind::PermissionDenied => write!(
                    f,
                    "no permission to bind to {address}: choose a port from 1024 up"
                ),
                _ => write!(f, "cannot bind to {address}: {source}"),
            },
            Self::Setup(error) => error.fmt(f),
            Self::Keep(error) => write!(f, "the keep cannot be read: {error}"),
            Self::System(error) => write!(f, "the system refuses what a road needs: {error}"),
        }
    }
}

impl std::error::Error for OpenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Bind { source, .. } => Some(source),
            Self::Setup(error) => Some(error),
            Self::Keep(error) | Self::System(error) => Some(error),
        }
    }
}

/// The road was shut down.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Closed;

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the road is shut down")
    }
}

impl std::error::Error for Closed {}

/// Why a message was not taken. Nothing of it was sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum SendError {
    /// The road is shut down or about to be.
    Closed,
    /// The remote is gone.
    Gone,
    /// It never fits.
    TooLong {
        /// Bytes of its body.
        len: usize,
        /// The most that this road takes ([`Limits::message`](raet_core::limits::Limits::message)).
        limit: usize,
    },
    /// Called json or msgpack, and no mapping of that form.
    NotMapping,
    /// No room now: not at once, or not in the time given.
    Full,
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the road is shut down"),
            Self::Gone => f.write_str("no such remote any more: connect to it again"),
            Self::TooLong { len, limit } => write!(
                f,
                "a message of {len} bytes is longer than the limit of {limit}: send it in parts, or open the road with a higher limit"
            ),
            Self::NotMapping => f.write_str("a json or msgpack message must be a mapping"),
            Self::Full => f.write_str("no room for another message now: wait for one to end"),
        }
    }
}

impl std::error::Error for SendError {}

/// Why no remote was made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ConnectError {
    /// The road is shut down or about to be.
    Closed,
    /// No room among [`Limits::remotes`](raet_core::limits::Limits::remotes) now.
    Full,
    /// Nothing can be sent to an unspecified address or port 0.
    Address(SocketAddr),
    /// The socket does not reach addresses of this family.
    Family {
        /// The address asked for.
        to: SocketAddr,
        /// What the socket is bound to.
        bound: SocketAddr,
    },
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the road is shut down"),
            Self::Full => f.write_str("no room for another remote now: forget one"),
            Self::Address(to) => write!(f, "{to} cannot be sent to: give a host and a port"),
            Self::Family { to, bound } => write!(
                f,
                "{to} cannot be reached from {bound}: bind to an address of the same family, or to [::] for both"
            ),
        }
    }
}

impl std::error::Error for ConnectError {}
