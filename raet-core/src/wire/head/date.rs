//! The date-time of a head, kept as the text it came in: the core has no use for floats.

use crate::wire::json::split_number;

/// Bytes of the longest number kept; the longest that Python writes for a float has 24.
const MAX_LEN: usize = 24;

/// `dt`: a number in the text that stands for it, unused by the protocol (road-wire: Head).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct DateTime {
    text: [u8; MAX_LEN],
    len: u8,
}

impl DateTime {
    /// The number 0, which is the default and is not sent.
    pub const ZERO: Self = Self {
        text: [0; MAX_LEN],
        len: 0,
    };

    /// A number of at most 24 bytes in the grammar of JSON, so without `inf` and `nan`; `None` if
    /// `text` is anything else. Each way to write zero becomes [`DateTime::ZERO`].
    pub fn new(text: &str) -> Option<Self> {
        let (number, "") = split_number(text)? else {
            return None;
        };
        let zero = number
            .bytes()
            .take_while(|byte| !matches!(byte, b'e' | b'E'))
            .all(|byte| matches!(byte, b'-' | b'.' | b'0'));
        let mut date = Self::ZERO;
        let room = date.text.get_mut(..number.len())?;
        if !zero {
            room.copy_from_slice(number.as_bytes());
            // At most 24.
            date.len = number.len() as u8;
        }
        Some(date)
    }

    /// The number as it is written, `0` for zero.
    pub fn as_str(&self) -> &str {
        match self.text.get(..usize::from(self.len)) {
            // Always UTF-8: it came from a `str`.
            Some(text @ [_, ..]) => core::str::from_utf8(text).unwrap_or("0"),
            _ => "0",
        }
    }
}

impl Default for DateTime {
    fn default() -> Self {
        Self::ZERO
    }
}

impl core::fmt::Debug for DateTime {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.as_str())
    }
}
