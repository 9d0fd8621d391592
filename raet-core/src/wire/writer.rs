//! Text and numbers into a slice.

use super::NoSpace;

/// Lower-case hex digits.
const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// Writes into a slice and goes on counting past its end, so that only [`Writer::finish`] can fail,
/// and a length is known by writing to nothing.
pub(super) struct Writer<'a> {
    out: &'a mut [u8],
    len: usize,
}

impl<'a> Writer<'a> {
    pub(super) fn new(out: &'a mut [u8]) -> Self {
        Self { out, len: 0 }
    }

    /// Bytes asked for so far, written or not.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The number of bytes written, if all had room.
    pub(super) fn finish(self) -> Result<usize, NoSpace> {
        if self.len <= self.out.len() {
            Ok(self.len)
        } else {
            Err(NoSpace)
        }
    }

    pub(super) fn put(&mut self, bytes: &[u8]) {
        self.put_at(self.len, bytes);
        self.len = self.len.saturating_add(bytes.len());
    }

    pub(super) fn byte(&mut self, byte: u8) {
        self.put(&[byte]);
    }

    /// Writes over what stands at `at`; outside of the slice, nothing.
    pub(super) fn put_at(&mut self, at: usize, bytes: &[u8]) {
        if let Some(room) = self.out.get_mut(at..at.saturating_add(bytes.len())) {
            room.copy_from_slice(bytes);
        }
    }

    /// Lower-case hex without leading zeros, at least `width` digits.
    pub(super) fn hex(&mut self, number: u32, width: usize) {
        let used = number.checked_ilog2().unwrap_or(0) as usize / 4 + 1;
        self.digits::<16>(number, used.max(width));
    }

    /// Decimal without leading zeros.
    pub(super) fn decimal(&mut self, number: u32) {
        self.digits::<10>(number, number.checked_ilog10().unwrap_or(0) as usize + 1);
    }

    /// Writes `number` as exactly `width` hex digits over what stands at `at`; higher ones are lost.
    pub(super) fn hex_at(&mut self, at: usize, number: usize, width: usize) {
        let mut rest = number;
        for place in (0..width).rev() {
            self.put_at(at + place, &[hex_digit(rest)]);
            rest >>= 4;
        }
    }

    /// The lowest `width` digits of a number.
    fn digits<const BASE: u32>(&mut self, number: u32, width: usize) {
        let end = self.len.saturating_add(width);
        if let Some(room) = self.out.get_mut(self.len..end) {
            let mut rest = number;
            for place in room.iter_mut().rev() {
                *place = hex_digit((rest % BASE) as usize);
                rest /= BASE;
            }
        }
        self.len = end;
    }
}

/// The hex digit of the lowest four bits.
fn hex_digit(nibble: usize) -> u8 {
    // The mask keeps the index below 16.
    DIGITS[nibble & 0xf]
}
