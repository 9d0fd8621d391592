//! Text inside of a head or body: borrowed, with JSON's escapes decoded as it is read.

use super::BodyError;

/// A text as it stands in the bytes. Escapes were found well-formed when it was cut out.
#[derive(Clone, Copy)]
pub(super) struct Text<'a> {
    raw: &'a str,
    escaped: bool,
}

impl<'a> Text<'a> {
    /// Text that stands for itself.
    pub(super) fn plain(raw: &'a str) -> Self {
        Self {
            raw,
            escaped: false,
        }
    }

    /// What stands between the quotes of a JSON string.
    pub(super) fn json(raw: &'a str, escaped: bool) -> Self {
        Self { raw, escaped }
    }

    pub(super) fn chars(self) -> Chars<'a> {
        Chars {
            rest: self.raw.chars(),
            escaped: self.escaped,
        }
    }

    /// Whether the decoded text is `other`.
    pub(super) fn is(self, other: &str) -> bool {
        if self.escaped {
            self.chars().eq(other.chars().map(Ok))
        } else {
            self.raw == other
        }
    }

    /// The text as one slice, unless an escape stands in it.
    pub(super) fn as_plain(self) -> Option<&'a str> {
        (!self.escaped).then_some(self.raw)
    }
}

/// The characters of a [`Text`].
pub(super) struct Chars<'a> {
    rest: core::str::Chars<'a>,
    escaped: bool,
}

impl Chars<'_> {
    /// The 16 bits of a `\u` escape whose first two characters were taken.
    fn unit(&mut self) -> Option<u32> {
        let mut unit = 0;
        for _ in 0..4 {
            unit = unit << 4 | self.rest.next()?.to_digit(16)?;
        }
        Some(unit)
    }

    fn escape(&mut self) -> Option<char> {
        Some(match self.rest.next()? {
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => {
                let unit = self.unit()?;
                if !(0xd800..0xdc00).contains(&unit) {
                    return char::from_u32(unit);
                }
                if self.rest.next()? != '\\' || self.rest.next()? != 'u' {
                    return None;
                }
                let low = self.unit()?;
                if !(0xdc00..0xe000).contains(&low) {
                    return None;
                }
                return char::from_u32(0x1_0000 + ((unit - 0xd800) << 10 | (low - 0xdc00)));
            }
            other => other,
        })
    }
}

impl Iterator for Chars<'_> {
    type Item = Result<char, BodyError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.rest.next()? {
            '\\' if self.escaped => Some(self.escape().ok_or(BodyError::NotText)),
            plain => Some(Ok(plain)),
        }
    }
}
