//! The two forms of 0.6.8's files, byte for byte: JSON, and msgpack of the old raw family.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// How a keep's files are written. Both forms are read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Form {
    /// `.json`: indented by 2, ASCII, no final newline.
    #[default]
    Json,
    /// `.msgpack`: a map, texts in the raw family.
    Msgpack,
}

impl Form {
    pub(super) const ALL: [Self; 2] = [Self::Json, Self::Msgpack];

    pub(super) const fn other(self) -> Self {
        match self {
            Self::Json => Self::Msgpack,
            Self::Msgpack => Self::Json,
        }
    }

    /// How the names of its files end, without the dot.
    pub(super) const fn ending(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Msgpack => "msgpack",
        }
    }

    /// A struct of texts, numbers, bools, nulls and tuples of them.
    pub(super) fn write<T: Serialize>(self, content: &T) -> Result<Vec<u8>, serde_json::Error> {
        match self {
            Self::Json => Ok(ascii(&serde_json::to_string_pretty(content)?)),
            Self::Msgpack => {
                let mut bytes = Vec::new();
                pack(&serde_json::to_value(content)?, &mut bytes);
                Ok(bytes)
            }
        }
    }

    pub(super) fn read<T: DeserializeOwned>(self, bytes: &[u8]) -> Result<T, String> {
        match self {
            Self::Json => serde_json::from_slice(bytes).map_err(|error| error.to_string()),
            Self::Msgpack => {
                let mut rest = bytes;
                let content = T::deserialize(&mut rmp_serde::Deserializer::new(&mut rest))
                    .map_err(|error| error.to_string())?;
                if rest.is_empty() {
                    Ok(content)
                } else {
                    Err("bytes after its end".to_owned())
                }
            }
        }
    }
}

/// Escapes what is not printable ASCII. All of it stands inside of texts.
fn ascii(json: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(json.len());
    for c in json.chars() {
        if c <= '~' {
            bytes.push(c as u8);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                bytes.extend(format!("\\u{unit:04x}").into_bytes());
            }
        }
    }
    bytes
}

/// Lengths are of a name, a key or a handful of fields: none needs 32 bits.
fn pack(value: &Value, to: &mut Vec<u8>) {
    match value {
        Value::Null => to.push(0xc0),
        Value::Bool(bit) => to.push(0xc2 + u8::from(*bit)),
        Value::Number(number) => pack_number(number.as_u64().unwrap_or(0), to),
        Value::String(text) => {
            pack_length(text.len(), (0xa0, 32), 0xda, to);
            to.extend_from_slice(text.as_bytes());
        }
        Value::Array(items) => {
            pack_length(items.len(), (0x90, 16), 0xdc, to);
            for item in items {
                pack(item, to);
            }
        }
        Value::Object(fields) => {
            pack_length(fields.len(), (0x80, 16), 0xde, to);
            for (name, value) in fields {
                pack_length(name.len(), (0xa0, 32), 0xda, to);
                to.extend_from_slice(name.as_bytes());
                pack(value, to);
            }
        }
    }
}

fn pack_length(len: usize, (small, below): (u8, usize), wide: u8, to: &mut Vec<u8>) {
    if len < below {
        to.push(small | len as u8);
    } else {
        to.push(wide);
        to.extend_from_slice(&(len as u16).to_be_bytes());
    }
}

fn pack_number(number: u64, to: &mut Vec<u8>) {
    match number {
        0..0x80 => to.push(number as u8),
        0x80..0x100 => to.extend([0xcc, number as u8]),
        0x100..0x1_0000 => {
            to.push(0xcd);
            to.extend_from_slice(&(number as u16).to_be_bytes());
        }
        0x1_0000..0x1_0000_0000 => {
            to.push(0xce);
            to.extend_from_slice(&(number as u32).to_be_bytes());
        }
        _ => {
            to.push(0xcf);
            to.extend_from_slice(&number.to_be_bytes());
        }
    }
}
