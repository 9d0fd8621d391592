//! JSON, as far as heads and bodies need it.
//!
//! Own code, because what it does is not to be had without an allocator: it skips unknown values of
//! any kind without recursion, decodes surrogate pairs while reading, takes what Python takes (`NaN`,
//! lone surrogates in what is skipped), and writes what Python's compact encoder writes without its
//! escaping to ASCII, which makes six bytes of a name's two (H9).

use super::text::Text;
use super::writer::Writer;
use super::{BodyError, WireError};

/// Lists and objects that may stand in one another: as many as Python's own limit allows about.
const MAX_DEPTH: usize = 1024;

/// What is wrong with a JSON text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum JsonError {
    Malformed,
    TooDeep,
    WrongType,
    TooWide,
}

impl From<JsonError> for WireError {
    fn from(error: JsonError) -> Self {
        match error {
            JsonError::Malformed | JsonError::TooDeep => Self::Malformed,
            JsonError::WrongType => Self::BadValue,
            JsonError::TooWide => Self::TooWide,
        }
    }
}

impl From<JsonError> for BodyError {
    fn from(error: JsonError) -> Self {
        match error {
            JsonError::Malformed => Self::Malformed,
            JsonError::TooDeep => Self::TooDeep,
            JsonError::WrongType => Self::WrongType,
            JsonError::TooWide => Self::OutOfRange,
        }
    }
}

/// Reads one JSON text from front to end.
pub(super) struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// Enters the object that is expected next.
    pub(super) fn open_object(&mut self) -> Result<(), JsonError> {
        self.open(b'{')
    }

    /// The next key of an object, or `None` once it is closed; `fresh` right after it was opened.
    /// The value has to be read or skipped before the next call.
    pub(super) fn key(&mut self, fresh: bool) -> Result<Option<Text<'a>>, JsonError> {
        if !self.more(fresh, b'}')? {
            return Ok(None);
        }
        self.member().map(Some)
    }

    /// Enters the list that is expected next.
    pub(super) fn open_list(&mut self) -> Result<(), JsonError> {
        self.open(b'[')
    }

    /// Whether another element follows, which then has to be read; `fresh` as for [`Cursor::key`].
    pub(super) fn element(&mut self, fresh: bool) -> Result<bool, JsonError> {
        self.more(fresh, b']')
    }

    /// A string.
    pub(super) fn text(&mut self) -> Result<Text<'a>, JsonError> {
        if self.peek()? != b'"' {
            return Err(JsonError::WrongType);
        }
        self.string()
    }

    /// A whole number, written without sign, point and exponent.
    pub(super) fn unsigned(&mut self) -> Result<u64, JsonError> {
        let digits = self.number()?;
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(JsonError::WrongType);
        }
        let number = digits.bytes().try_fold(0_u64, |number, digit| {
            number.checked_mul(10)?.checked_add(u64::from(digit & 0xf))
        });
        number.ok_or(JsonError::TooWide)
    }

    /// Any number, as it is written.
    pub(super) fn number(&mut self) -> Result<&'a str, JsonError> {
        if !matches!(self.peek()?, b'-' | b'0'..=b'9') {
            return Err(JsonError::WrongType);
        }
        let (number, _) = split_number(self.rest()).ok_or(JsonError::Malformed)?;
        self.at += number.len();
        Ok(number)
    }

    /// Passes over one value of any type.
    pub(super) fn skip(&mut self) -> Result<(), JsonError> {
        let mut nest = Nest::default();
        loop {
            match self.peek()? {
                b'{' => {
                    self.at += 1;
                    if self.more(true, b'}')? {
                        nest.push(true)?;
                        self.member()?;
                        continue;
                    }
                }
                b'[' => {
                    self.at += 1;
                    if self.more(true, b']')? {
                        nest.push(false)?;
                        continue;
                    }
                }
                b'"' => {
                    self.string()?;
                }
                _ => self.plain()?,
            }
            // A value is complete: go on in, or close, what it stands in.
            loop {
                let Some(object) = nest.top() else {
                    return Ok(());
                };
                if self.more(false, if object { b'}' } else { b']' })? {
                    if object {
                        self.member()?;
                    }
                    break;
                }
                nest.pop();
            }
        }
    }

    /// Makes sure that nothing follows.
    pub(super) fn end(&mut self) -> Result<(), JsonError> {
        match self.peek() {
            Err(_) => Ok(()),
            Ok(_) => Err(JsonError::Malformed),
        }
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// The next byte that is no white space, which is passed.
    fn peek(&mut self) -> Result<u8, JsonError> {
        // Bytes, not a search in the text: this is called for every token. What is passed is ASCII,
        // so `at` stays a boundary of characters.
        let bytes = self.text.as_bytes();
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = bytes.get(self.at) {
            self.at += 1;
        }
        bytes.get(self.at).copied().ok_or(JsonError::Malformed)
    }

    fn eat(&mut self, byte: u8) -> Result<bool, JsonError> {
        let there = self.peek()? == byte;
        self.at += usize::from(there);
        Ok(there)
    }

    fn open(&mut self, bracket: u8) -> Result<(), JsonError> {
        if self.eat(bracket)? {
            Ok(())
        } else {
            Err(JsonError::WrongType)
        }
    }

    /// Whether a member follows; else the closing bracket was there and is passed.
    fn more(&mut self, fresh: bool, close: u8) -> Result<bool, JsonError> {
        if self.eat(close)? {
            Ok(false)
        } else if fresh || self.eat(b',')? {
            Ok(true)
        } else {
            Err(JsonError::Malformed)
        }
    }

    /// A key with its colon.
    fn member(&mut self) -> Result<Text<'a>, JsonError> {
        if self.peek()? != b'"' {
            return Err(JsonError::Malformed);
        }
        let key = self.string()?;
        if self.eat(b':')? {
            Ok(key)
        } else {
            Err(JsonError::Malformed)
        }
    }

    /// A string whose opening quote is next.
    fn string(&mut self) -> Result<Text<'a>, JsonError> {
        let inside = self.rest().get(1..).ok_or(JsonError::Malformed)?;
        let bytes = inside.as_bytes();
        let mut escaped = false;
        let mut at = 0;
        loop {
            match bytes.get(at).ok_or(JsonError::Malformed)? {
                b'"' => break,
                b'\\' => {
                    escaped = true;
                    at += match bytes.get(at + 1) {
                        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => 2,
                        Some(b'u') if is_hex(bytes.get(at + 2..at + 6)) => 6,
                        _ => return Err(JsonError::Malformed),
                    };
                }
                0..0x20 => return Err(JsonError::Malformed),
                _ => at += 1,
            }
        }
        self.at += at + 2;
        // A quote is ASCII, so `at` is a boundary of characters.
        inside
            .get(..at)
            .map(|raw| Text::json(raw, escaped))
            .ok_or(JsonError::Malformed)
    }

    /// A number or a word.
    fn plain(&mut self) -> Result<(), JsonError> {
        let rest = self.rest();
        for word in ["true", "false", "null", "NaN", "Infinity", "-Infinity"] {
            if rest.starts_with(word) {
                self.at += word.len();
                return Ok(());
            }
        }
        self.number().map(drop).map_err(|_| JsonError::Malformed)
    }
}

/// Which of lists and objects are open, a bit each.
struct Nest {
    objects: [u64; MAX_DEPTH / 64],
    depth: usize,
}

impl Default for Nest {
    fn default() -> Self {
        Self {
            objects: [0; MAX_DEPTH / 64],
            depth: 0,
        }
    }
}

impl Nest {
    fn push(&mut self, object: bool) -> Result<(), JsonError> {
        let word = self
            .objects
            .get_mut(self.depth / 64)
            .ok_or(JsonError::TooDeep)?;
        let bit = 1 << (self.depth % 64);
        if object {
            *word |= bit;
        } else {
            *word &= !bit;
        }
        self.depth += 1;
        Ok(())
    }

    /// Whether the innermost is an object; `None` outside of all.
    fn top(&self) -> Option<bool> {
        let last = self.depth.checked_sub(1)?;
        Some(self.objects.get(last / 64)? >> (last % 64) & 1 == 1)
    }

    fn pop(&mut self) {
        self.depth = self.depth.saturating_sub(1);
    }
}

/// The JSON number at the start of `text`, and what follows it.
pub(super) fn split_number(text: &str) -> Option<(&str, &str)> {
    text.split_at_checked(number_end(text.as_bytes())?)
}

fn number_end(bytes: &[u8]) -> Option<usize> {
    let whole = usize::from(bytes.first() == Some(&b'-'));
    let mut at = after_digits(bytes, whole)?;
    if bytes.get(whole) == Some(&b'0') && at - whole > 1 {
        return None;
    }
    if bytes.get(at) == Some(&b'.') {
        at = after_digits(bytes, at + 1)?;
    }
    if let Some(b'e' | b'E') = bytes.get(at) {
        at += 1;
        if let Some(b'+' | b'-') = bytes.get(at) {
            at += 1;
        }
        at = after_digits(bytes, at)?;
    }
    Some(at)
}

/// Where a run of one or more digits ends.
fn after_digits(bytes: &[u8], start: usize) -> Option<usize> {
    let mut end = start;
    while bytes.get(end).is_some_and(u8::is_ascii_digit) {
        end += 1;
    }
    (end > start).then_some(end)
}

fn is_hex(digits: Option<&[u8]>) -> bool {
    digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
}

/// Writes a name as a JSON string. It has no control characters.
pub(super) fn put_text(out: &mut Writer<'_>, text: &str) {
    out.byte(b'"');
    for byte in text.bytes() {
        if let b'"' | b'\\' = byte {
            out.byte(b'\\');
        }
        out.byte(byte);
    }
    out.byte(b'"');
}
