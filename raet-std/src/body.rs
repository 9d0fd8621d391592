//! Typed messages: values of the application to bodies and back (road-wire: Body).

use std::fmt;
use std::io;

use raet_core::RemoteId;
use raet_core::wire::BodyKind;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// What a message carries: a mapping in JSON or msgpack, or bytes as they are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Body {
    kind: BodyKind,
    bytes: Vec<u8>,
}

impl Body {
    /// A value as compact JSON with only ASCII in it, as RAET 0.6.8 writes it.
    ///
    /// # Errors
    ///
    /// [`BodyError::NotAMapping`] when the value is no struct or map, [`BodyError::Encode`] when
    /// it cannot be JSON at all (a map whose keys are no strings).
    pub fn json<T: Serialize + ?Sized>(value: &T) -> Result<Self, BodyError> {
        let mut bytes = Vec::with_capacity(128);
        let mut writer = serde_json::Serializer::with_formatter(&mut bytes, Ascii);
        value
            .serialize(&mut writer)
            .map_err(|e| BodyError::Encode(e.to_string()))?;
        match bytes.as_slice() {
            // An empty mapping is an empty body (road-wire: Body).
            b"{}" => bytes.clear(),
            [b'{', ..] => {}
            _ => return Err(BodyError::NotAMapping),
        }
        Ok(Self {
            kind: BodyKind::Json,
            bytes,
        })
    }

    /// A value as msgpack, structs as maps of names.
    ///
    /// # Errors
    ///
    /// [`BodyError::NotAMapping`] when the value is no struct or map, [`BodyError::Encode`] when
    /// serde cannot write it.
    pub fn msgpack<T: Serialize + ?Sized>(value: &T) -> Result<Self, BodyError> {
        let mut bytes =
            rmp_serde::to_vec_named(value).map_err(|e| BodyError::Encode(e.to_string()))?;
        match bytes.first() {
            Some(0x80) => bytes.clear(),
            Some(0x81..=0x8f | 0xde | 0xdf) => {}
            _ => return Err(BodyError::NotAMapping),
        }
        Ok(Self {
            kind: BodyKind::Msgpack,
            bytes,
        })
    }

    /// Bytes as they are. The sending call of RAET 0.6.8 has none of these, but it receives them.
    pub fn raw(bytes: impl Into<Vec<u8>>) -> Self {
        Self {
            kind: BodyKind::Raw,
            bytes: bytes.into(),
        }
    }

    /// How it is packed.
    pub fn kind(&self) -> BodyKind {
        self.kind
    }

    /// The packed bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// A message that came. Whoever holds it has taken it: its sender is told that it was delivered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    /// The remote that sent it.
    pub from: RemoteId,
    /// The name of the sender's estate.
    pub name: String,
    /// How the body is packed.
    pub kind: BodyKind,
    /// The packed body.
    pub bytes: Vec<u8>,
}

impl Message {
    /// The body as a value, from JSON or msgpack as it came.
    ///
    /// # Errors
    ///
    /// [`BodyError::Raw`] for a raw body, [`BodyError::Decode`] when it is not what the type
    /// expects.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, BodyError> {
        unpack(self.kind, &self.bytes)
    }
}

fn unpack<T: DeserializeOwned>(kind: BodyKind, bytes: &[u8]) -> Result<T, BodyError> {
    let or_empty = |empty: &'static [u8]| if bytes.is_empty() { empty } else { bytes };
    match kind {
        BodyKind::Json => {
            serde_json::from_slice(or_empty(b"{}")).map_err(|e| BodyError::Decode(e.to_string()))
        }
        BodyKind::Msgpack => {
            rmp_serde::from_slice(or_empty(&[0x80])).map_err(|e| BodyError::Decode(e.to_string()))
        }
        BodyKind::Raw | BodyKind::Nada => Err(BodyError::Raw),
    }
}

/// Why a value and a body do not go together.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum BodyError {
    /// The top level of a JSON or msgpack body must be a map or a struct with names.
    NotAMapping,
    /// The value cannot be written in this packing.
    Encode(String),
    /// The body is not what the type expects.
    Decode(String),
    /// The body is bytes without a packing: read [`Message::bytes`].
    Raw,
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAMapping => {
                f.write_str("a message is a mapping: give a struct or a map at the top level")
            }
            Self::Encode(why) => write!(f, "the value cannot be packed: {why}"),
            Self::Decode(why) => write!(f, "the body is not what was expected: {why}"),
            Self::Raw => f.write_str("the body is raw bytes, not a packed value"),
        }
    }
}

impl std::error::Error for BodyError {}

/// Compact JSON whose strings are ASCII: everything else as `\u` and four digits.
struct Ascii;

impl serde_json::ser::Formatter for Ascii {
    fn write_string_fragment<W: io::Write + ?Sized>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut rest = fragment;
        while let Some(at) = rest.find(|c: char| !c.is_ascii()) {
            let (plain, foreign) = rest.split_at(at);
            writer.write_all(plain.as_bytes())?;
            let mut letters = foreign.chars();
            if let Some(letter) = letters.next() {
                for unit in letter.encode_utf16(&mut [0; 2]) {
                    write!(writer, "\\u{unit:04x}")?;
                }
            }
            rest = letters.as_str();
        }
        writer.write_all(rest.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;

    #[derive(Serialize, Deserialize, PartialEq, Debug)]
    struct Reading {
        place: String,
        value: f64,
        tags: Vec<u8>,
    }

    fn reading() -> Reading {
        Reading {
            place: "Gr\u{fc}n \u{1f409} \"x\"".into(),
            value: -1.5,
            tags: vec![1, 200],
        }
    }

    fn reread<T: DeserializeOwned>(body: &Body) -> Result<T, BodyError> {
        unpack(body.kind(), body.bytes())
    }

    #[test]
    fn json_is_ascii_and_comes_back() {
        let body = Body::json(&reading()).expect("a struct is a mapping");
        assert_eq!(
            std::str::from_utf8(body.bytes()).expect("JSON is text"),
            r#"{"place":"Gr\u00fcn \ud83d\udc09 \"x\"","value":-1.5,"tags":[1,200]}"#
        );
        assert_eq!(reread::<Reading>(&body), Ok(reading()));
    }

    #[test]
    fn msgpack_has_names_and_comes_back() {
        let body = Body::msgpack(&reading()).expect("a struct is a mapping");
        assert_eq!(body.bytes().first(), Some(&0x83));
        assert_eq!(reread::<Reading>(&body), Ok(reading()));
    }

    #[test]
    fn an_empty_mapping_is_an_empty_body() {
        let empty = BTreeMap::<String, u8>::new();
        for body in [Body::json(&empty), Body::msgpack(&empty)] {
            let body = body.expect("an empty map is a mapping");
            assert!(body.bytes().is_empty());
            assert_eq!(reread::<BTreeMap<String, u8>>(&body), Ok(empty.clone()));
        }
    }

    #[test]
    fn only_mappings_are_packed() {
        assert_eq!(Body::json(&[1, 2]), Err(BodyError::NotAMapping));
        assert_eq!(Body::json("text"), Err(BodyError::NotAMapping));
        assert_eq!(Body::msgpack(&(1, 2)), Err(BodyError::NotAMapping));
        assert_eq!(Body::msgpack(&7), Err(BodyError::NotAMapping));
    }

    #[test]
    fn raw_stays_raw() {
        let body = Body::raw(*b"\x00\xff");
        assert_eq!(body.bytes(), b"\x00\xff");
        assert_eq!(reread::<Reading>(&body), Err(BodyError::Raw));
    }
}
