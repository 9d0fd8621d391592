//! The bodies that the protocol packs itself, and a check of those that the application packs
//! (road-wire: Body).
//!
//! A body is a mapping in JSON or msgpack; an empty mapping has no bytes, so acks, nacks and pends
//! need nothing from here. What is written equals the reference's bytes. What is read may have other
//! orders, unknown keys with values of any type, and repeated keys, of which the last counts.

mod entries;
mod join;
mod misseds;
#[cfg(feature = "msgpack")]
mod msgpack;

pub use join::{JoinBody, name};
pub use misseds::{MAX_MISSEDS, Misseds};

use super::{BodyError, BodyKind};
use entries::Entries;

/// Checks that `body` is one whole mapping, or empty, as a message's body in JSON or msgpack has to
/// be. What is in the mapping is the application's, and read past only. A raw body is always good, a
/// nada one if empty.
///
/// # Errors
///
/// What is wrong with it.
pub fn check_mapping(kind: BodyKind, body: &[u8]) -> Result<(), BodyError> {
    match kind {
        BodyKind::Raw => Ok(()),
        BodyKind::Nada if body.is_empty() => Ok(()),
        _ => {
            let mut entries = Entries::open(kind, body)?;
            while entries.next_key()?.is_some() {
                entries.skip()?;
            }
            Ok(())
        }
    }
}
