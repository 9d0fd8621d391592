//! What travels in a datagram: bytes to typed packets and back, nothing more.
//!
//! One datagram carries one packet (road-wire):
//!
//! ```text
//!  0              hl                         pl - fl        pl
//!  +---------------+--------------------------+--------------+
//!  | head          | coat (holds the body)    | foot         |
//!  +---------------+--------------------------+--------------+
//!  : text, <= 255  : body as it is, or boxed: : nothing, or  :
//!  : native | JSON : tag 16 | text | nonce 24 : signature 64 :
//!  '------ what is signed, then 64 zeros -----'
//! ```
//!
//! * [`Frame::parse`] checks a datagram's head and tells where coat and foot lie; [`emit_head`]
//!   writes a head in front of them. Neither opens nor signs anything.
//! * [`JoinBody`] and [`Misseds`] are the mappings that the protocol itself packs, in JSON or msgpack;
//!   [`check_mapping`] judges those of the application.
//! * [`handshake`] holds the fixed layouts of the allow.
//! * [`plan`] cuts a long coat into segments, [`Shape`] judges those that arrive.
//!
//! A receiver is as liberal as RAET 0.6.8: fields in any order after `ri`, digits of any width and
//! case, the last of repeated fields. A sender's bytes equal those of 0.6.8, but that names
//! in JSON are not escaped to ASCII (road-wire: Body).
//!
//! **No panic.** Whatever the bytes, nothing here panics, recurses or allocates, and the time taken
//! is linear in the bytes given; a head is looked for in its first [`MAX_HEAD`] bytes only.

pub mod handshake;

mod body;
mod error;
mod head;
mod json;
mod kind;
mod packet;
mod segment;
mod text;
mod writer;

#[cfg(test)]
mod tests;

pub use body::{JoinBody, MAX_MISSEDS, Misseds, check_mapping, name};
pub use error::{BodyError, NoSpace, ShapeError, TooLong, WireError};
pub use head::{DateTime, Head};
pub use kind::{BodyKind, CoatKind, Flags, FootKind, HeadKind, PacketKind, TransactionKind};
pub use packet::{Frame, emit_head, head_len};
pub use segment::{MAX_COAT, MAX_SEGMENTS, Plan, Shape, plan};

/// Bytes of the longest packet that a classic sender makes (road-wire).
pub const MAX_PACKET: usize = 1024;
/// Bytes of a datagram that a classic receiver reads; of a longer one it loses the rest (road-wire).
pub const MAX_DATAGRAM: usize = 2048;
/// Bytes of the longest head, its terminator included: `hl` is two hex digits (road-wire: Head).
pub const MAX_HEAD: usize = 255;
/// Bytes of a signature, the foot of kind nacl (road-wire: Foot).
pub const SIGNATURE: usize = 64;
/// Bytes of UTF-8 in the longest name or role taken from a join.
pub const NAME_MAX: usize = 128;
/// UDP port of a RAET road unless a deployment chooses another.
pub const DEFAULT_PORT: u16 = 7530;
/// The pair of UDP ports that a Salt deployment uses.
pub const SALT_PORTS: [u16; 2] = [4505, 4510];

/// The name or role of an estate, at most [`NAME_MAX`] bytes of UTF-8.
pub type Name = heapless::String<NAME_MAX>;
