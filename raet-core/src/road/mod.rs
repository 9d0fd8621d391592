//! The road: estates that talk over UDP.
//!
//! # Rooms
//!
//! | file | what lives there |
//! |---|---|
//! | `stack` | the engine: its parts, how it is built, commands, events and records |
//! | `dispatch`, `claim` | from a datagram to its transaction: cheap checks, signature, acting |
//! | `transmit` | from what is to be sent to a datagram, remotes taking turns |
//! | `presence` | deadlines; who is asked for a sign of life, who is reached again and when |
//! | `remotes`, `remote` | the table of remotes; what is known of one |
//! | `roles` | keys of roles and what was decided about them |
//! | `answered` | which transactions of others this build answers |
//! | `bits` | sets of small numbers |
//! | `session`, `path` | replay window, ids; address and round trip |
//! | `copy` | a copy of an engine and what tells two apart, for a search of what can happen |
//! | `reply` | short answers that wait for the socket |
//! | `transaction` | join, allow, alive, message: both roles of each |
//!
//! # From strangers to a message
//!
//! ```text
//!   other                                       main
//!     │ ── join: request (name, role, keys) ───▶ │  unsigned: a claim
//!     │ ◀─ join: response (uid, name, keys) ──── │
//!     │ ── join: ack ──────────────────────────▶ │  joined
//!     │ ── allow: hello   (short key) ─────────▶ │  signed from here on
//!     │ ◀─ allow: cookie  (short key, cookie) ── │
//!     │ ── allow: initiate (cookie, vouch) ────▶ │  keys proven: a session
//!     │ ◀─ allow: ack ────────────────────────── │  keys proven: a session
//!     │ ── allow: ack ─────────────────────────▶ │  messages may go both ways
//!     │ ── message (sealed, signed) ───────────▶ │
//!     │ ◀─ done ──────────────────────────────── │  when the application took it
//! ```

mod answered;
mod bits;
mod bucket;
mod claim;
mod copy;
mod dispatch;
mod info;
mod path;
mod presence;
mod records;
mod remote;
mod remotes;
mod reply;
mod roles;
mod session;
mod stack;
mod transaction;
mod transmit;

pub use claim::{Checked, Claim, Claims};
pub use info::{RemoteInfo, RoleInfo};
pub use presence::{Timeout, Why};
pub use stack::RoadStack;
pub use transaction::messengent::Message;
pub use transaction::messenger::SendOptions;
pub use transmit::Transmit;

pub(crate) use crate::storage::BodyId;
pub(crate) use reply::Reply;
pub(crate) use transaction::allow as handshake;

use crate::storage::Handle;

#[cfg(test)]
mod tests;

/// Names a remote. It goes stale when the remote is forgotten, and then finds nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct RemoteId(pub(crate) Handle);

/// Names a message on its way out. It goes stale when its outcome is polled.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct MessageId(pub(crate) Handle);

// The lists that run through the tables, by the link they use. A remote may be in all of its lists
// at once.
pub(crate) const READY: usize = 0;
pub(crate) const NEWS: usize = 1;
pub(crate) const RECORDS: usize = 2;
pub(crate) const UNPROVEN: usize = 3;
pub(crate) const ROLE_RECORDS: usize = 0;
pub(crate) const ROLE_NEWS: usize = 1;
/// A message is waiting, open, or ended: one link serves all three.
pub(crate) const MESSAGES: usize = 0;
pub(crate) const ENDED: usize = MESSAGES;
pub(crate) const SENDABLE: usize = 1;
pub(crate) const ARRIVALS: usize = 0;
/// A message coming in owes an answer or is complete, never both.
pub(crate) const ANSWERS: usize = 1;
pub(crate) const REPLIES: usize = 0;
