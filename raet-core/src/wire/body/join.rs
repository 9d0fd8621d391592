//! The body of a join's request and response (road-transactions: Join).

use core::num::NonZeroU32;

use super::entries::Entries;
#[cfg(feature = "msgpack")]
use super::msgpack;
use crate::crypto::hex;
use crate::wire::text::Text;
use crate::wire::writer::Writer;
use crate::wire::{BodyError, BodyKind, Name, NoSpace, json};

/// Who an estate says that it is. All of it is public and unproven.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JoinBody {
    /// The estate's name, unique on its road.
    pub name: Name,
    /// Bit 0: a main estate. The others were never used.
    pub mode: u8,
    /// The application's kind of estate.
    pub kind: u8,
    /// In a response, the uid that the joinent gives the joiner; `None` in a request.
    pub uid: Option<NonZeroU32>,
    /// The Ed25519 key that verifies the estate's packets (`verhex`).
    pub verify: [u8; 32],
    /// The long-term X25519 key (`pubhex`).
    pub public: [u8; 32],
    /// The role, which owns the keys.
    pub role: Name,
}

/// What a mapping may say of an estate.
#[derive(Clone, Copy)]
enum Field {
    Name,
    Role,
    Verify,
    Public,
    Mode,
    Kind,
    Uid,
}

const FIELDS: [(&str, Field); 7] = [
    ("name", Field::Name),
    ("role", Field::Role),
    ("verhex", Field::Verify),
    ("pubhex", Field::Public),
    ("mode", Field::Mode),
    ("kind", Field::Kind),
    ("uid", Field::Uid),
];

impl JoinBody {
    /// Reads the body of a response or else of a request, in which `uid` is unknown. Unknown keys are
    /// passed over.
    ///
    /// # Errors
    ///
    /// A field is missing or invalid, or the body is no mapping.
    pub fn parse(kind: BodyKind, body: &[u8], response: bool) -> Result<Self, BodyError> {
        let mut join = Self {
            name: Name::new(),
            mode: 0,
            kind: 0,
            uid: None,
            verify: [0; 32],
            public: [0; 32],
            role: Name::new(),
        };
        let fields = FIELDS
            .get(..if response { 7 } else { 6 })
            .unwrap_or(&FIELDS);
        let mut missing = (1_u32 << fields.len()) - 1;
        let mut entries = Entries::open(kind, body)?;
        while let Some(key) = entries.next_key()? {
            let Some((_, field)) = fields.iter().find(|(code, _)| key.is(code)) else {
                entries.skip()?;
                continue;
            };
            match field {
                Field::Name => set_name(&mut join.name, entries.text()?)?,
                Field::Role => set_name(&mut join.role, entries.text()?)?,
                Field::Verify => join.verify = key_of(entries.text()?)?,
                Field::Public => join.public = key_of(entries.text()?)?,
                Field::Mode => join.mode = byte_of(entries.unsigned()?)?,
                Field::Kind => join.kind = byte_of(entries.unsigned()?)?,
                Field::Uid => {
                    let uid = u32::try_from(entries.unsigned()?);
                    let uid = uid.map_err(|_| BodyError::OutOfRange)?;
                    join.uid = Some(NonZeroU32::new(uid).ok_or(BodyError::ZeroUid)?);
                }
            }
            missing &= !(1 << *field as u32);
        }
        if missing == 0 {
            Ok(join)
        } else {
            Err(BodyError::Missing)
        }
    }

    /// Writes the body of a response if there is a uid, else of a request; returns its length.
    ///
    /// # Errors
    ///
    /// `out` is too short. A `kind` that holds no mapping, or that this build has not, writes nothing
    /// and is refused the same way.
    pub fn emit(&self, kind: BodyKind, out: &mut [u8]) -> Result<usize, NoSpace> {
        let mut out = Writer::new(out);
        self.write(kind, &mut out)?;
        out.finish()
    }

    /// Bytes that [`emit`](Self::emit) takes; 0 where it refuses.
    pub(crate) fn len(&self, kind: BodyKind) -> usize {
        let mut out = Writer::new(&mut []);
        self.write(kind, &mut out).map_or(0, |()| out.len())
    }

    fn write(&self, kind: BodyKind, out: &mut Writer<'_>) -> Result<(), NoSpace> {
        match kind {
            BodyKind::Json => self.write_json(out),
            #[cfg(feature = "msgpack")]
            BodyKind::Msgpack => self.write_msgpack(out),
            _ => return Err(NoSpace),
        }
        Ok(())
    }

    fn write_json(&self, out: &mut Writer<'_>) {
        out.put(b"{\"name\":");
        json::put_text(out, &self.name);
        out.put(b",\"mode\":");
        out.decimal(u32::from(self.mode));
        out.put(b",\"kind\":");
        out.decimal(u32::from(self.kind));
        if let Some(uid) = self.uid {
            out.put(b",\"uid\":");
            out.decimal(uid.get());
        }
        out.put(b",\"verhex\":\"");
        out.put(&hex::encode(&self.verify));
        out.put(b"\",\"pubhex\":\"");
        out.put(&hex::encode(&self.public));
        out.put(b"\",\"role\":");
        json::put_text(out, &self.role);
        out.byte(b'}');
    }

    #[cfg(feature = "msgpack")]
    fn write_msgpack(&self, out: &mut Writer<'_>) {
        msgpack::put_map(out, if self.uid.is_some() { 7 } else { 6 });
        msgpack::put_text(out, "name");
        msgpack::put_text(out, &self.name);
        msgpack::put_text(out, "mode");
        msgpack::put_unsigned(out, u32::from(self.mode));
        msgpack::put_text(out, "kind");
        msgpack::put_unsigned(out, u32::from(self.kind));
        if let Some(uid) = self.uid {
            msgpack::put_text(out, "uid");
            msgpack::put_unsigned(out, uid.get());
        }
        for (key, bytes) in [("verhex", &self.verify), ("pubhex", &self.public)] {
            msgpack::put_text(out, key);
            msgpack::put_text_len(out, 64);
            out.put(&hex::encode(bytes));
        }
        msgpack::put_text(out, "role");
        msgpack::put_text(out, &self.role);
    }
}

/// Makes a name or role of `text`, by the rule that a join's have to keep: 1 to
/// [`NAME_MAX`](crate::wire::NAME_MAX) bytes without white space, control characters and slashes, as a
/// keep may make a file name of it.
///
/// # Errors
///
/// [`BodyError::NameEmpty`], [`BodyError::NameTooLong`] or [`BodyError::NameCharacter`].
pub fn name(text: &str) -> Result<Name, BodyError> {
    let mut name = Name::new();
    set_name(&mut name, Text::plain(text))?;
    Ok(name)
}

fn set_name(name: &mut Name, text: Text<'_>) -> Result<(), BodyError> {
    name.clear();
    for c in text.chars() {
        let c = c?;
        if c.is_whitespace() || c.is_control() || c == '/' {
            return Err(BodyError::NameCharacter);
        }
        name.push(c).map_err(|_| BodyError::NameTooLong)?;
    }
    if name.is_empty() {
        Err(BodyError::NameEmpty)
    } else {
        Ok(())
    }
}

fn byte_of(number: u64) -> Result<u8, BodyError> {
    u8::try_from(number).map_err(|_| BodyError::OutOfRange)
}

/// A key of 64 hex digits; upper case is taken too, as the reference does.
fn key_of(text: Text<'_>) -> Result<[u8; 32], BodyError> {
    let mut chars = text.chars();
    let mut digits = [0; 64];
    for digit in &mut digits {
        let c = chars.next().ok_or(BodyError::BadKey)??;
        *digit = u8::try_from(c)
            .map_err(|_| BodyError::BadKey)?
            .to_ascii_lowercase();
    }
    if chars.next().is_some() {
        return Err(BodyError::BadKey);
    }
    hex::decode(&digits).map_err(|_| BodyError::BadKey)
}
