//! One way to walk a mapping, whichever of the two formats it is in.

#[cfg(feature = "msgpack")]
use super::msgpack;
use crate::wire::json;
use crate::wire::text::Text;
use crate::wire::{BodyError, BodyKind};

/// The entries of a mapping that is the whole of a body, read from front to end.
pub(super) struct Entries<'a>(Source<'a>);

enum Source<'a> {
    Empty,
    Json {
        cursor: json::Cursor<'a>,
        fresh: bool,
    },
    #[cfg(feature = "msgpack")]
    Msgpack {
        cursor: msgpack::Cursor<'a>,
        left: u32,
    },
}

impl<'a> Entries<'a> {
    pub(super) fn open(kind: BodyKind, body: &'a [u8]) -> Result<Self, BodyError> {
        Ok(Self(match kind {
            BodyKind::Nada | BodyKind::Raw => return Err(BodyError::UnfitKind),
            #[cfg(not(feature = "msgpack"))]
            BodyKind::Msgpack => return Err(BodyError::UnfitKind),
            _ if body.is_empty() => Source::Empty,
            BodyKind::Json => {
                let text = core::str::from_utf8(body).map_err(|_| BodyError::NotText)?;
                let mut cursor = json::Cursor::new(text);
                if cursor.open_object().is_err() {
                    // Another JSON value is told from what is none.
                    cursor.skip()?;
                    cursor.end()?;
                    return Err(BodyError::NotMapping);
                }
                Source::Json {
                    cursor,
                    fresh: true,
                }
            }
            #[cfg(feature = "msgpack")]
            BodyKind::Msgpack => {
                let mut cursor = msgpack::Cursor::new(body);
                let left = cursor.map()?;
                Source::Msgpack { cursor, left }
            }
        }))
    }

    /// The next key, whose value has to be read or skipped before the next call; `None` at the end,
    /// behind which nothing follows. Keys that are no text are passed over with their values.
    pub(super) fn next_key(&mut self) -> Result<Option<Text<'a>>, BodyError> {
        match &mut self.0 {
            Source::Empty => Ok(None),
            Source::Json { cursor, fresh } => {
                let key = cursor.key(core::mem::take(fresh))?;
                if key.is_none() {
                    cursor.end()?;
                }
                Ok(key)
            }
            #[cfg(feature = "msgpack")]
            Source::Msgpack { cursor, left } => {
                while let Some(fewer) = left.checked_sub(1) {
                    *left = fewer;
                    if let Some(key) = cursor.key()? {
                        return Ok(Some(key));
                    }
                    cursor.skip()?;
                }
                cursor.end()?;
                Ok(None)
            }
        }
    }

    /// The value of the last key: text.
    pub(super) fn text(&mut self) -> Result<Text<'a>, BodyError> {
        match &mut self.0 {
            Source::Empty => Err(BodyError::Missing),
            Source::Json { cursor, .. } => Ok(cursor.text()?),
            #[cfg(feature = "msgpack")]
            Source::Msgpack { cursor, .. } => cursor.text(),
        }
    }

    /// The value of the last key: a number that is whole and not negative.
    pub(super) fn unsigned(&mut self) -> Result<u64, BodyError> {
        match &mut self.0 {
            Source::Empty => Err(BodyError::Missing),
            Source::Json { cursor, .. } => Ok(cursor.unsigned()?),
            #[cfg(feature = "msgpack")]
            Source::Msgpack { cursor, .. } => cursor.unsigned(),
        }
    }

    /// The value of the last key: a list of such numbers.
    pub(super) fn list(
        &mut self,
        mut each: impl FnMut(u64) -> Result<(), BodyError>,
    ) -> Result<(), BodyError> {
        match &mut self.0 {
            Source::Empty => return Err(BodyError::Missing),
            Source::Json { cursor, .. } => {
                cursor.open_list()?;
                let mut fresh = true;
                while cursor.element(fresh)? {
                    fresh = false;
                    each(cursor.unsigned()?)?;
                }
            }
            #[cfg(feature = "msgpack")]
            Source::Msgpack { cursor, .. } => {
                for _ in 0..cursor.list()? {
                    each(cursor.unsigned()?)?;
                }
            }
        }
        Ok(())
    }

    /// Passes over the value of the last key.
    pub(super) fn skip(&mut self) -> Result<(), BodyError> {
        match &mut self.0 {
            Source::Empty => Ok(()),
            Source::Json { cursor, .. } => Ok(cursor.skip()?),
            #[cfg(feature = "msgpack")]
            Source::Msgpack { cursor, .. } => cursor.skip(),
        }
    }
}
