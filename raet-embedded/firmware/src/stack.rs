//! How deep the stack ever was: the start-up code paints all of it, and what is still painted was never used.

use core::ptr::read_volatile;

unsafe extern "C" {
    /// Where the linker put the lowest word of the stack, right after the variables.
    static mut _stack_end: u32;
    /// The word after the highest.
    static mut _stack_start: u32;
}

/// What cortex-m-rt's feature `paint-stack` fills the stack with.
const PAINT: u32 = 0xCCCC_CCCC;

/// Bytes of stack that were used at the deepest, since the start.
pub fn high_water() -> usize {
    let (low, high) = (&raw const _stack_end, &raw const _stack_start);
    let mut at = low;
    // SAFETY: every word from `low` up to `high` is RAM that the linker set apart for the stack.
    while at < high && unsafe { read_volatile(at) } == PAINT {
        at = at.wrapping_add(1);
    }
    high as usize - at as usize
}
