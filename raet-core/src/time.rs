//! The engine's own clock reading. The engine never asks for the time: every call brings it.

pub use core::time::Duration;

/// A moment in microseconds since an epoch of the driver's choosing.
///
/// Only differences matter. A `now` earlier than one the engine has seen counts as the latest one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Instant(u64);

impl Instant {
    /// The epoch itself.
    pub const ZERO: Self = Self(0);
    /// A moment that never comes.
    pub const NEVER: Self = Self(u64::MAX);

    /// A moment given in microseconds since the epoch.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// Microseconds since the epoch.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// The time from `earlier` to `self`; zero if `earlier` is later.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.micros_since(earlier))
    }

    /// The same in microseconds: [`Duration`] divides, which a small machine does in software.
    pub(crate) const fn micros_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// So many microseconds later, or never.
    #[inline(never)] // called from many places, and longer than a call
    pub(crate) const fn later(self, micros: u64) -> Self {
        Self(self.0.saturating_add(micros))
    }
}

impl core::ops::Add<Duration> for Instant {
    type Output = Self;

    /// Saturates at [`Instant::NEVER`].
    fn add(self, later: Duration) -> Self {
        self.later(micros(later))
    }
}

impl core::ops::Add<Span> for Instant {
    type Output = Self;

    fn add(self, later: Span) -> Self {
        self.later(later.0.into())
    }
}

/// An interval of up to 71 minutes, in a quarter of the room: every remote has some.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Span(u32);

impl Span {
    pub(crate) const ZERO: Self = Self(0);

    /// The longest, if it is longer.
    pub(crate) const fn new(time: Duration) -> Self {
        Self::from_micros(micros(time))
    }

    pub(crate) const fn from_micros(micros: u64) -> Self {
        Self(if micros < u32::MAX as u64 {
            micros as u32
        } else {
            u32::MAX
        })
    }

    pub(crate) const fn as_micros(self) -> u32 {
        self.0
    }
}

/// A time in microseconds, saturating: half a million years. In 64 bits, which a small machine has, unlike
/// the 128 of [`Duration::as_micros`].
#[inline(never)] // called from many places, and longer than a call
pub(crate) const fn micros(time: Duration) -> u64 {
    time.as_secs()
        .saturating_mul(1_000_000)
        .saturating_add(time.subsec_micros() as u64)
}
