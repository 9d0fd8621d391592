//! A token bucket: what anyone can make us do without proof is limited (hardening: H10, H15).

use core::hash::{Hash, Hasher};

use crate::time::{Instant, Span};

/// A token bucket: so many at once, then one in each interval.
#[derive(Clone)]
pub(crate) struct Bucket {
    full: u32,
    tokens: u32,
    interval: Span,
    filled: Instant,
}

impl Bucket {
    pub(crate) const fn new(full: u32, interval: Span) -> Self {
        Self {
            full,
            tokens: full,
            interval,
            filled: Instant::ZERO,
        }
    }

    /// Whether one is left now.
    pub(crate) fn has(&mut self, now: Instant) -> bool {
        let interval = self.interval.as_micros().max(1);
        // An hour is as good as for ever: it fills any.
        let passed = Span::from_micros(now.micros_since(self.filled)).as_micros() / interval;
        if passed > 0 {
            self.tokens = self.tokens.saturating_add(passed).min(self.full);
            self.filled = if self.tokens == self.full {
                now
            } else {
                self.filled.later((interval * passed).into())
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
