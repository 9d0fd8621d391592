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
pub(super) const END: &[u8; 2] = b"\n\n";

/// Reads the lines of a head, without the blank one. Works on bytes: a search in a `str` costs more
/// than all else here.
pub(super) fn parse(text: &[u8]) -> Result<Fields, WireError> {
    let text = core::str::from_utf8(text).map_err(|_| WireError::Malformed)?;
    let mut fields = Fields::new();
    for line in text.as_bytes().split(|byte| *byte == b'\n') {
        let space = line.iter().position(|byte| *byte == b' ');
        let (code, value) = space
            .and_then(|at| Some((line.get(..at)?, line.get(at + 1..)?)))
            .ok_or(WireError::Malformed)?;
        let read = match Field::from_code(code) {
            Some(Field::Date) => {
                let date = core::str::from_utf8(value).ok().and_then(DateTime::new);
                date.map(|date| fields.date = date)
                    .ok_or(WireError::BadValue)
            }
            Some(field) => hex(value).map(|number| fields.set(field, number)),
            None if code == b"ri" && value == b"RAET" => Ok(()),
            None if code == b"ri" => Err(WireError::BadValue),
            None => Err(WireError::UnknownField),
        };
        // No value that was read is empty or has a space; such a line is none, whatever its field.
        read.map_err(|error| {
            if value.is_empty() || value.contains(&b' ') {
                WireError::Malformed
            } else {
                error
            }
        })?;
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
        let [first, second] = field.code();
        out.put(&[b'\n', first, second, b' ']);
        if field == Field::Date {
            out.put(head.date.as_str().as_bytes());
        } else {
            out.hex(number, 1);
        }
    }
    out.put(END);
    (packet_len_at, head_len_at, 4)
}
