//! The native head: a field a line, numbers in hex, ended by a blank line.
//!
//! ```text
//! ri RAET\npl 0091\nhl 51\nfg 00\npk 4\nse 15\nde b\nsi 2\nti 3\ntk 4\nbk 1\nck 1\nfk 1\nfl 40\n\n
//! ```

use super::{DateTime, Field, Fields, Head, hex};
use crate::wire::WireError;
use crate::wire::writer::Writer;

/// How a native head begins.
pub(super) const PREFIX: &[u8] = b"ri RAET\n";
/// How it ends.
pub(super) const END: &[u8] = b"\n\n";

/// Reads the lines of a head, without the blank one.
pub(super) fn parse(text: &[u8]) -> Result<Fields, WireError> {
    let text = core::str::from_utf8(text).map_err(|_| WireError::Malformed)?;
    let mut fields = Fields::new();
    for line in text.split('\n') {
        let (code, value) = line.split_once(' ').ok_or(WireError::Malformed)?;
        if value.is_empty() || value.contains(' ') {
            return Err(WireError::Malformed);
        }
        match Field::from_code(code) {
            Some(Field::Date) => {
                fields.date = DateTime::new(value).ok_or(WireError::BadValue)?;
            }
            Some(field) => fields.set(field, hex(value)?),
            None if code == "ri" && value == "RAET" => {}
            None if code == "ri" => return Err(WireError::BadValue),
            None => return Err(WireError::UnknownField),
        }
    }
    Ok(fields)
}

/// Writes a head with zeros for its lengths; tells where those of packet and head stand, and the
/// digits of the former.
pub(super) fn write(head: &Head, out: &mut Writer<'_>) -> (usize, usize, usize) {
    out.put(PREFIX);
    out.put(b"pl ");
    let packet_len_at = out.len();
    out.put(b"0000\nhl ");
    let head_len_at = out.len();
    out.put(b"00\nfg ");
    out.hex(u32::from(head.flags.to_wire()), 2);
    for (field, number) in head.sent() {
        out.byte(b'\n');
        out.put(field.code().as_bytes());
        out.byte(b' ');
        if field == Field::Date {
            out.put(head.date.as_str().as_bytes());
        } else {
            out.hex(number, 1);
        }
    }
    out.put(END);
    (packet_len_at, head_len_at, 4)
}
