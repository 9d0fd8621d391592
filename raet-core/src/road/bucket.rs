//! A token bucket: what anyone can make us do without proof is limited (hardening: H10, H15).

use core::hash::{Hash, Hasher};

use crate::time::{Duration, Instant};

/// A token bucket: so many at once, then one in each interval.
#[derive(Clone)]
pub(crate) struct Bucket {
    full: u32,
    tokens: u32,
    interval: Duration,
    filled: Instant,
}

impl Bucket {
    pub(crate) const fn new(full: u32, interval: Duration) -> Self {
        Self {
            full,
            tokens: full,
            interval,
            filled: Instant::ZERO,
        }
    }

    /// Whether one is left now.
    pub(crate) fn has(&mut self, now: Instant) -> bool {
        let passed = now.since(self.filled).as_micros() / self.interval.as_micros().max(1);
        if passed > 0 {
            let passed = u32::try_from(passed).unwrap_or(u32::MAX);
            self.tokens = self.tokens.saturating_add(passed).min(self.full);
            self.filled = if self.tokens == self.full {
                now
            } else {
                self.filled + self.interval * passed
            };
        }
        self.tokens > 0
    }

    /// What decides the answers to come: a full one forgets when it was filled.
    pub(crate) fn hash<H: Hasher>(&self, state: &mut H) {
        self.tokens.hash(state);
        if self.tokens < self.full {
            self.filled.hash(state);
        }
    }

    /// Takes one; false if none was left.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        let has = self.has(now);
        self.tokens = self.tokens.saturating_sub(1);
        has
    }
}
