//! The body of a resend: the segments that are missing (road-transactions: Message).

use super::entries::Entries;
#[cfg(feature = "msgpack")]
use super::msgpack;
use crate::wire::writer::Writer;
use crate::wire::{BodyError, BodyKind, NoSpace, json};

/// The most segment numbers in one resend packet; more go into further packets.
pub const MAX_MISSEDS: usize = 64;

/// The key of the list.
const KEY: &str = "misseds";

/// The numbers of missing segments, at most [`MAX_MISSEDS`] of them, in the order of the packet.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Misseds {
    numbers: heapless::Vec<u16, MAX_MISSEDS>,
}

impl Misseds {
    /// Bytes of the longest body: the key, and 64 numbers of five digits with their commas.
    pub const MAX_LEN: usize = 14 + 6 * MAX_MISSEDS;

    /// Reads the body of a resend. Numbers that no segment can have are left out.
    ///
    /// # Errors
    ///
    /// There is no list of numbers, or one of more than [`MAX_MISSEDS`], or the body is no mapping.
    pub fn parse(kind: BodyKind, body: &[u8]) -> Result<Self, BodyError> {
        let mut found = None;
        let mut entries = Entries::open(kind, body)?;
        while let Some(key) = entries.next_key()? {
            if !key.is(KEY) {
                entries.skip()?;
                continue;
            }
            let mut misseds = Self::default();
            let mut seen = 0;
            entries.list(|number| {
                seen += 1;
                match u16::try_from(number) {
                    _ if seen > MAX_MISSEDS => Err(BodyError::TooMany),
                    Ok(number) => misseds.numbers.push(number).map_err(|_| BodyError::TooMany),
                    Err(_) => Ok(()),
                }
            })?;
            found = Some(misseds);
        }
        found.ok_or(BodyError::Missing)
    }

    /// The numbers, as they came.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = u16> + '_ {
        self.numbers.iter().copied()
    }

    /// Writes the body; returns its length.
    ///
    /// # Errors
    ///
    /// `out` is too short. A `kind` that holds no mapping, or that this build has not, writes nothing
    /// and is refused the same way.
    pub fn emit(&self, kind: BodyKind, out: &mut [u8]) -> Result<usize, NoSpace> {
        let mut out = Writer::new(out);
        match kind {
            BodyKind::Json => {
                out.byte(b'{');
                json::put_text(&mut out, KEY);
                out.put(b":[");
                for (place, number) in self.iter().enumerate() {
                    if place > 0 {
                        out.byte(b',');
                    }
                    out.decimal(u32::from(number));
                }
                out.put(b"]}");
            }
            #[cfg(feature = "msgpack")]
            BodyKind::Msgpack => {
                msgpack::put_map(&mut out, 1);
                msgpack::put_text(&mut out, KEY);
                // At most 64.
                msgpack::put_list(&mut out, self.numbers.len() as u16);
                for number in self.iter() {
                    msgpack::put_unsigned(&mut out, u32::from(number));
                }
            }
            _ => return Err(NoSpace),
        }
        out.finish()
    }
}

impl FromIterator<u16> for Misseds {
    /// Takes the first [`MAX_MISSEDS`] numbers; the iterator is not drawn further.
    fn from_iter<I: IntoIterator<Item = u16>>(numbers: I) -> Self {
        Self {
            numbers: numbers.into_iter().take(MAX_MISSEDS).collect(),
        }
    }
}
