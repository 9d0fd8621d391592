//! The time, as the board counts it.

use raet_core::time::Instant;

/// A clock that the drivers read.
///
/// What it must do:
///
/// - Never go back. It may stand still between two readings.
/// - Go on while the processor sleeps: timers that a sleep stops make peers repeat, and give up.
/// - Count seconds to within a few percent: the intervals of the protocol need no more.
///
/// It may begin anywhere at each start; nothing that is kept holds a reading of it.
pub trait Clock {
    /// The time since a moment of the clock's choosing, the same as long as the node runs.
    fn now(&mut self) -> Instant;
}

/// A clock made of a counter that counts up and wraps around after 2³² ticks, as most timers do.
///
/// It must be read at least once in each round of the counter: one of 1 MHz comes round in 71 minutes.
/// A driver reads it whenever it is polled.
///
/// ```
/// use raet_embedded::clock::{Clock, Ticks};
///
/// let mut counter = 0xffff_fff0_u32;
/// let mut clock = Ticks::new(1000, move || {
///     counter = counter.wrapping_add(16);
///     counter
/// });
/// let first = clock.now();
/// assert_eq!(clock.now().since(first).as_millis(), 16);
/// ```
pub struct Ticks<F> {
    read: F,
    hertz: u32,
    last: u32,
    total: u64,
}

impl<F: FnMut() -> u32> Ticks<F> {
    /// A clock on a counter of `hertz` ticks a second, which `read` reads. Zero counts as one.
    pub fn new(hertz: u32, mut read: F) -> Self {
        Self {
            last: read(),
            read,
            hertz: hertz.max(1),
            total: 0,
        }
    }
}

impl<F: FnMut() -> u32> Clock for Ticks<F> {
    fn now(&mut self) -> Instant {
        let counter = (self.read)();
        self.total += u64::from(counter.wrapping_sub(self.last));
        self.last = counter;
        let hertz = u64::from(self.hertz);
        let (seconds, rest) = (self.total / hertz, self.total % hertz);
        Instant::from_micros(seconds * 1_000_000 + rest * 1_000_000 / hertz)
    }
}
