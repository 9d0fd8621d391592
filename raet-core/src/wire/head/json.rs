//! The JSON head: one compact ASCII object, ended by two line ends.
//!
//! ```text
//! {"ri":"RAET","pl":"00000c4","hl":"84","fg":"00","pk":4,"hk":1, .. ,"fk":1,"fl":64}\r\n\r\n
//! ```
//!
//! `pl`, `hl` and `fg` are strings of hex digits, all else are decimal numbers.

use super::{DateTime, Field, Fields, Head, hex};
use crate::wire::WireError;
use crate::wire::json::Cursor;
use crate::wire::writer::Writer;

/// How a JSON head begins, to the byte.
pub(super) const PREFIX: &[u8] = b"{\"ri\":\"RAET\",";
/// How it ends.
pub(super) const END: &[u8; 4] = b"\r\n\r\n";

/// Reads the object.
pub(super) fn parse(text: &[u8]) -> Result<Fields, WireError> {
    let text = core::str::from_utf8(text)
        .ok()
        .filter(|text| text.is_ascii());
    let mut cursor = Cursor::new(text.ok_or(WireError::Malformed)?);
    let mut fields = Fields::new();
    cursor.open_object()?;
    let mut fresh = true;
    while let Some(key) = cursor.key(fresh)? {
        fresh = false;
        // No field's code needs an escape, so an escaped key is an unknown one.
        match key
            .as_plain()
            .map(|code| (code, Field::from_code(code.as_bytes())))
        {
            Some((_, Some(field @ (Field::PacketLen | Field::HeadLen | Field::Flags)))) => {
                let digits = cursor.text()?.as_plain().ok_or(WireError::BadValue)?;
                fields.set(field, hex(digits.as_bytes())?);
            }
            Some((_, Some(Field::Date))) => {
                fields.date = DateTime::new(cursor.number()?).ok_or(WireError::BadValue)?;
            }
            Some((_, Some(field))) => {
                let number = u32::try_from(cursor.unsigned()?);
                fields.set(field, number.map_err(|_| WireError::TooWide)?);
            }
            Some(("ri", None)) => {
                if !cursor.text()?.is("RAET") {
                    return Err(WireError::BadValue);
                }
            }
            _ => cursor.skip()?,
        }
    }
    cursor.end()?;
    Ok(fields)
}

/// Writes a head with zeros for its lengths; tells where those of packet and head stand, and the
/// digits of the former.
pub(super) fn write(head: &Head, out: &mut Writer<'_>) -> (usize, usize, usize) {
    out.put(PREFIX);
    out.put(b"\"pl\":\"");
    let packet_len_at = out.len();
    out.put(b"0000000\",\"hl\":\"");
    let head_len_at = out.len();
    out.put(b"00\",\"fg\":\"");
    out.hex(u32::from(head.flags.to_wire()), 2);
    out.byte(b'"');
    for (field, number) in head.sent() {
        let [first, second] = field.code();
        out.put(&[b',', b'"', first, second, b'"', b':']);
        if field == Field::Date {
            out.put(head.date.as_str().as_bytes());
        } else {
            out.decimal(number);
        }
    }
    out.byte(b'}');
    out.put(END);
    (packet_len_at, head_len_at, 7)
}
