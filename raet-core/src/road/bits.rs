//! Sets of small numbers, a bit for each.

/// Sets bit `number`; true if that changed it.
pub(crate) fn set_bit(bits: &mut [u8], number: u32, on: bool) -> bool {
    let Some(byte) = bits.get_mut(number as usize / 8) else {
        return false;
    };
    let mask = 1 << (number % 8);
    let was = *byte & mask != 0;
    if on {
        *byte |= mask;
    } else {
        *byte &= !mask;
    }
    was != on
}

/// Whether bit `number` is set.
pub(crate) fn has_bit(bits: &[u8], number: u32) -> bool {
    bits.get(number as usize / 8)
        .is_some_and(|b| b & 1 << (number % 8) != 0)
}

/// The first set bit from `from` on, below `end`.
pub(crate) fn next_bit(bits: &[u8], from: u32, end: u32) -> Option<u32> {
    (from..end).find(|n| has_bit(bits, *n))
}
