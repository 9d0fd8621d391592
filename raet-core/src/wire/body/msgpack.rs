//! Msgpack, as far as the bodies need it.
//!
//! Own code: the reference writes the old raw family (no `str8`), which the crates at hand do not,
//! and unknown values have to be skipped without recursion or an allocator.

use crate::wire::BodyError;
use crate::wire::text::Text;
use crate::wire::writer::Writer;

/// One value, or the beginning of one that holds others.
enum Item<'a> {
    Unsigned(u64),
    Text(&'a [u8]),
    List(u32),
    Map(u32),
    Other,
}

/// Reads values one after the other.
pub(super) struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Enters a map; gives the number of its entries.
    pub(super) fn map(&mut self) -> Result<u32, BodyError> {
        match self.item()? {
            Item::Map(entries) => Ok(entries),
            _ => Err(BodyError::NotMapping),
        }
    }

    /// Enters a list; gives the number of its elements.
    pub(super) fn list(&mut self) -> Result<u32, BodyError> {
        match self.item()? {
            Item::List(elements) => Ok(elements),
            _ => Err(BodyError::WrongType),
        }
    }

    /// A key, `None` if it was no text.
    pub(super) fn key(&mut self) -> Result<Option<Text<'a>>, BodyError> {
        match self.item()? {
            Item::Text(bytes) => Ok(core::str::from_utf8(bytes).ok().map(Text::plain)),
            Item::List(_) | Item::Map(_) => Err(BodyError::Malformed),
            Item::Unsigned(_) | Item::Other => Ok(None),
        }
    }

    /// Text; bytes of the `bin` family are none.
    pub(super) fn text(&mut self) -> Result<Text<'a>, BodyError> {
        match self.item()? {
            Item::Text(bytes) => core::str::from_utf8(bytes)
                .map(Text::plain)
                .map_err(|_| BodyError::NotText),
            _ => Err(BodyError::WrongType),
        }
    }

    /// A number that is whole and not negative.
    pub(super) fn unsigned(&mut self) -> Result<u64, BodyError> {
        match self.item()? {
            Item::Unsigned(number) => Ok(number),
            _ => Err(BodyError::WrongType),
        }
    }

    /// Passes over one value of any type.
    pub(super) fn skip(&mut self) -> Result<(), BodyError> {
        let mut open = 1_u64;
        while open > 0 {
            open -= 1;
            open += match self.item()? {
                Item::List(elements) => u64::from(elements),
                Item::Map(entries) => 2 * u64::from(entries),
                _ => 0,
            };
            // Each value has a byte at least.
            if open > self.rest.len() as u64 {
                return Err(BodyError::Malformed);
            }
        }
        Ok(())
    }

    /// Makes sure that nothing follows.
    pub(super) fn end(&self) -> Result<(), BodyError> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(BodyError::Malformed)
        }
    }

    fn item(&mut self) -> Result<Item<'a>, BodyError> {
        let [kind] = self.array()?;
        Ok(match kind {
            0x00..=0x7f => Item::Unsigned(u64::from(kind)),
            0x80..=0x8f => Item::Map(u32::from(kind & 0x0f)),
            0x90..=0x9f => Item::List(u32::from(kind & 0x0f)),
            0xa0..=0xbf => Item::Text(self.bytes(u32::from(kind & 0x1f))?),
            0xc1 => return Err(BodyError::Malformed),
            0xc0 | 0xc2 | 0xc3 | 0xe0..=0xff => Item::Other,
            0xc4..=0xc6 => {
                let len = self.width(kind - 0xc4)?;
                self.other(len)?
            }
            0xc7..=0xc9 => {
                let len = self.width(kind - 0xc7)?;
                self.other(1)?;
                self.other(len)?
            }
            0xca => self.other(4)?,
            0xcb => self.other(8)?,
            0xcc..=0xce => Item::Unsigned(u64::from(self.width(kind - 0xcc)?)),
            0xcf => Item::Unsigned(u64::from_be_bytes(self.array()?)),
            0xd0 => Self::signed(i64::from(i8::from_be_bytes(self.array()?))),
            0xd1 => Self::signed(i64::from(i16::from_be_bytes(self.array()?))),
            0xd2 => Self::signed(i64::from(i32::from_be_bytes(self.array()?))),
            0xd3 => Self::signed(i64::from_be_bytes(self.array()?)),
            0xd4..=0xd8 => self.other(1 + (1 << (kind - 0xd4)))?,
            0xd9..=0xdb => {
                let len = self.width(kind - 0xd9)?;
                Item::Text(self.bytes(len)?)
            }
            0xdc | 0xdd => Item::List(self.width(kind - 0xdc + 1)?),
            0xde | 0xdf => Item::Map(self.width(kind - 0xde + 1)?),
        })
    }

    fn signed(number: i64) -> Item<'a> {
        u64::try_from(number).map_or(Item::Other, Item::Unsigned)
    }

    fn other(&mut self, len: u32) -> Result<Item<'a>, BodyError> {
        self.bytes(len)?;
        Ok(Item::Other)
    }

    /// A big-endian number of 1, 2 or 4 bytes, by the power of two.
    fn width(&mut self, power: u8) -> Result<u32, BodyError> {
        Ok(match power {
            0 => u32::from(u8::from_be_bytes(self.array()?)),
            1 => u32::from(u16::from_be_bytes(self.array()?)),
            _ => u32::from_be_bytes(self.array()?),
        })
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], BodyError> {
        let (array, rest) = self.rest.split_first_chunk().ok_or(BodyError::Malformed)?;
        self.rest = rest;
        Ok(*array)
    }

    fn bytes(&mut self, len: u32) -> Result<&'a [u8], BodyError> {
        let cut = self.rest.split_at_checked(len as usize);
        let (bytes, rest) = cut.ok_or(BodyError::Malformed)?;
        self.rest = rest;
        Ok(bytes)
    }
}

/// Begins a map of at most 15 entries.
pub(super) fn put_map(out: &mut Writer<'_>, entries: u8) {
    out.byte(0x80 | entries & 0x0f);
}

/// Begins a list.
pub(super) fn put_list(out: &mut Writer<'_>, elements: u16) {
    if elements <= 15 {
        out.byte(0x90 | elements as u8);
    } else {
        out.byte(0xdc);
        out.put(&elements.to_be_bytes());
    }
}

/// Writes a number in the fewest bytes.
pub(super) fn put_unsigned(out: &mut Writer<'_>, number: u32) {
    match number {
        0..=0x7f => out.byte(number as u8),
        0x80..=0xff => out.put(&[0xcc, number as u8]),
        0x100..=0xffff => {
            out.byte(0xcd);
            out.put(&(number as u16).to_be_bytes());
        }
        _ => {
            out.byte(0xce);
            out.put(&number.to_be_bytes());
        }
    }
}

/// Begins a text of `len` bytes, in the raw family of before 2013: no `str8`.
pub(super) fn put_text_len(out: &mut Writer<'_>, len: u16) {
    if len <= 31 {
        out.byte(0xa0 | len as u8);
    } else {
        out.byte(0xda);
        out.put(&len.to_be_bytes());
    }
}

/// Writes a text of at most 65535 bytes.
pub(super) fn put_text(out: &mut Writer<'_>, text: &str) {
    put_text_len(out, text.len() as u16);
    out.put(text.as_bytes());
}
