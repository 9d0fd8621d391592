//! Keys as 64 lower-case hex digits, as joins and keep files carry them (road-transactions: Join).
//!
//! No table and no branch depends on a digit's value, so secrets may pass through here.

/// Why digits are no key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HexError {
    /// Not 64 of them.
    Length,
    /// One is none of `0-9a-f`.
    Digit,
}

impl core::fmt::Display for HexError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Length => "a key has 64 hex digits",
            Self::Digit => "a key's digits are 0-9 and a-f",
        })
    }
}

impl core::error::Error for HexError {}

/// The 64 ASCII digits of `bytes`.
pub fn encode(bytes: &[u8; 32]) -> [u8; 64] {
    let mut digits = [0; 64];
    for ([high, low], byte) in digits.as_chunks_mut().0.iter_mut().zip(bytes) {
        *high = digit(byte >> 4);
        *low = digit(byte & 15);
    }
    digits
}

/// The 32 bytes that 64 ASCII digits stand for; the opposite of [`encode`], and so strict: one key has one
/// form.
///
/// # Errors
///
/// [`HexError`] when there are not 64 digits, or not all are lower-case hex.
pub fn decode(digits: &[u8]) -> Result<[u8; 32], HexError> {
    let digits: &[u8; 64] = digits.try_into().map_err(|_| HexError::Length)?;
    let mut bytes = [0; 32];
    let mut bad = 0;
    for (byte, &[high, low]) in bytes.iter_mut().zip(digits.as_chunks().0) {
        let ((high, wrong_high), (low, wrong_low)) = (nibble(high), nibble(low));
        *byte = high << 4 | low;
        bad |= wrong_high | wrong_low;
    }
    if bad == 0 {
        Ok(bytes)
    } else {
        Err(HexError::Digit)
    }
}

/// `nibble` is below 16. Past 9 the gap between the digits and the letters is stepped over.
fn digit(nibble: u8) -> u8 {
    b'0' + nibble + (below(9, nibble) & (b'a' - b'9' - 1))
}

/// The value of a digit, and 0 or 0xff: whether it is none.
fn nibble(digit: u8) -> (u8, u8) {
    let (decimal, letter) = (digit.wrapping_sub(b'0'), digit.wrapping_sub(b'a'));
    let (is_decimal, is_letter) = (below(decimal, 10), below(letter, 6));
    (
        decimal & is_decimal | letter.wrapping_add(10) & is_letter,
        !(is_decimal | is_letter),
    )
}

/// 0xff if `a` < `b`, else 0: the borrow of their difference.
fn below(a: u8, b: u8) -> u8 {
    (u16::from(a).wrapping_sub(u16::from(b)) >> 8) as u8
}
