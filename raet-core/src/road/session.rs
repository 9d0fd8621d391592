//! What two remotes share between one allow and the next: the key of their coats, and the memory of
//! which transactions and messages of the peer were acted on (hardening: H2, H5).

use super::bits::{has_bit, set_bit};
use crate::time::{Instant, Span};

/// `a` is not older than `b` in the circle of 32-bit ids (road-wire: si).
pub(crate) const fn at_or_after(a: u32, b: u32) -> bool {
    a.wrapping_sub(b) < 1 << 31
}

/// The id after `id`; 0 is never used.
pub(crate) const fn next_id(id: u32) -> u32 {
    if id == u32::MAX { 1 } else { id + 1 }
}

/// An allow's result.
#[derive(Clone, Hash)]
pub(crate) struct Session<K> {
    /// Computed once, for both directions.
    pub(crate) key: K,
    /// The peer's own packet has shown that it holds this session: messages may be sent.
    pub(crate) confirmed: bool,
    /// The peer's own ack completed the allow, and no join or allow between the two was begun
    /// since: it surely holds us as allowed (H5).
    pub(crate) certain: bool,
    /// A message of the peer has opened under the key, so its session id is known for good.
    pub(crate) pinned: bool,
    /// The lowest session id that the peer's packets can bear, other than a hello; 0 not known.
    pub(crate) least: u32,
}

/// How many transaction ids of a peer are remembered one by one.
pub(crate) const WINDOW: u32 = 512;
/// How far a sender of ours lets its oldest open message fall behind its newest one.
pub(crate) const SPAN: u32 = WINDOW / 2;
const BYTES: usize = (WINDOW / 8) as usize;
/// How many ids before the first one seen are still taken, since packets overtake each other.
const MARGIN: u32 = WINDOW / 4;
/// An unseen id is given up after this long without it in which the peer was heard (H5).
const SILENCE_MS: u32 = 30_000;
/// Time between two packets that counts as hearing the peer, at most: above the longest interval
/// at which an open message is sent again.
const HEARING_MS: u32 = 1000;

/// What is known of a transaction id.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Look {
    /// Never seen.
    New,
    /// Its transaction is open.
    Open,
    /// It was acted on; a message of this id was delivered.
    Done,
    /// It ended otherwise.
    Over,
    /// Older than the window: nobody knows.
    Below,
    /// Newer than the window reaches: it must wait until older ones have ended or were given up.
    Ahead,
}

/// One replay window over the transaction ids of all kinds that a peer uses in one session.
///
/// ```text
///        sure        base                              base + 512
///   ──────┼───────────┼──────────────────────────────────┼──────────▶ ti
///   Below │ all done  │ two bits each: new open done over │ Ahead
/// ```
///
/// The window moves only when a newer id needs it, and passes an id that was neither finished nor
/// seen only after a long silence of it (`settled`). Ids below the first one seen pass freely.
#[derive(Clone, Hash)]
pub(crate) struct Window {
    begun: bool,
    base: u32,
    sure: u32,
    start: u32,
    newest: u32,
    /// Every unseen id before this one has been silent for long enough.
    settled: u32,
    /// Becomes `settled` when the peer has been heard for long enough.
    mark: u32,
    heard_ms: u32,
    heard_at: Instant,
    low: [u8; BYTES],
    high: [u8; BYTES],
}

impl Window {
    pub(crate) const fn new() -> Self {
        Self {
            begun: false,
            base: 0,
            sure: 0,
            start: 0,
            newest: 0,
            settled: 0,
            mark: 0,
            heard_ms: 0,
            heard_at: Instant::ZERO,
            low: [0; BYTES],
            high: [0; BYTES],
        }
    }

    /// What is known of `ti`; whether the window could move to take it in is part of the answer.
    pub(crate) fn look(&self, ti: u32) -> Look {
        if !self.begun {
            return Look::New;
        }
        let ahead = ti.wrapping_sub(self.base);
        if ahead < WINDOW {
            self.bits(ti)
        } else if ahead < 1 << 31 {
            let target = ti.wrapping_sub(WINDOW - 1);
            if self.can_move_to(target) {
                Look::New
            } else {
                Look::Ahead
            }
        } else if self.base.wrapping_sub(ti) <= self.base.wrapping_sub(self.sure) {
            Look::Done
        } else {
            Look::Below
        }
    }

    /// A packet with this id was proven to come from the peer.
    pub(crate) fn heard(&mut self, now: Instant, ti: u32) {
        if !self.begun {
            let base = ti.wrapping_sub(MARGIN);
            *self = Self {
                begun: true,
                base,
                sure: base,
                start: ti,
                newest: ti,
                settled: base,
                mark: ti,
                heard_at: now,
                ..Self::new()
            };
        }
        if at_or_after(ti, self.newest) {
            self.newest = ti;
        }
        let since = Span::from_micros(now.micros_since(self.heard_at)).as_micros() / 1000;
        self.heard_at = now;
        self.heard_ms = self.heard_ms.saturating_add(since.min(HEARING_MS));
        if self.heard_ms >= SILENCE_MS {
            self.heard_ms = 0;
            self.settled = self.mark;
            self.mark = self.newest;
        }
    }

    /// Its transaction begins. Only for an id that [`look`](Self::look) called new.
    pub(crate) fn open(&mut self, ti: u32) {
        self.set(ti, true, false);
    }

    /// It was acted on, and a message of this id was delivered.
    pub(crate) fn finish(&mut self, ti: u32) {
        self.set(ti, false, true);
    }

    /// It ended otherwise, and will not be taken again.
    pub(crate) fn end(&mut self, ti: u32) {
        self.set(ti, true, true);
    }

    /// It was given up here; the peer may begin it anew.
    pub(crate) fn clear(&mut self, ti: u32) {
        self.set(ti, false, false);
    }

    fn set(&mut self, ti: u32, low: bool, high: bool) {
        if ti.wrapping_sub(self.base) >= WINDOW {
            let target = ti.wrapping_sub(WINDOW - 1);
            if ti.wrapping_sub(self.base) >= 1 << 31 || !self.can_move_to(target) {
                return; // passed meanwhile: nobody knows
            }
            self.move_to(target);
        }
        set_bit(&mut self.low, ti % WINDOW, low);
        set_bit(&mut self.high, ti % WINDOW, high);
    }

    fn bits(&self, ti: u32) -> Look {
        let place = ti % WINDOW;
        match (has_bit(&self.low, place), has_bit(&self.high, place)) {
            (false, false) => Look::New,
            (true, false) => Look::Open,
            (false, true) => Look::Done,
            (true, true) => Look::Over,
        }
    }

    /// Whether every id before `target` may be passed.
    fn can_move_to(&self, target: u32) -> bool {
        let distance = target.wrapping_sub(self.base);
        let inside = distance.min(WINDOW);
        for step in 0..inside {
            let ti = self.base.wrapping_add(step);
            match self.bits(ti) {
                Look::Open => return false,
                Look::New if !self.is_free(ti) => return false,
                _ => {}
            }
        }
        // Beyond the window nothing was seen: all of it must be free.
        distance <= WINDOW || self.is_free(target.wrapping_sub(1))
    }

    /// An unseen id that may be passed.
    fn is_free(&self, ti: u32) -> bool {
        !at_or_after(ti, self.start) || !at_or_after(ti, self.settled)
    }

    fn move_to(&mut self, target: u32) {
        let distance = target.wrapping_sub(self.base);
        for step in 0..distance.min(WINDOW) {
            let ti = self.base.wrapping_add(step);
            if self.bits(ti) != Look::Done {
                self.sure = ti.wrapping_add(1);
            }
            set_bit(&mut self.low, ti % WINDOW, false);
            set_bit(&mut self.high, ti % WINDOW, false);
        }
        if distance > WINDOW {
            self.sure = target;
        }
        self.base = target;
        if target.wrapping_sub(self.sure) >= 1 << 30 {
            self.sure = target.wrapping_sub(1 << 30); // the circle is finite
        }
    }
}

/// A message's own name: its sender's life, and its number in it.
pub(crate) type MessageName = ([u8; 16], u64);

/// Which named messages of a peer were delivered, over all sessions of one life of it.
///
/// A message of ours bears its name in the nonce of its coat (which the box and the signature
/// protect): the sender's life, 16 bytes, and the message's number, 8 bytes. So a message that is
/// sent again in a new session is known again. The sender keeps its open messages within [`SPAN`].
#[derive(Clone, Hash)]
pub(crate) struct Names {
    life: [u8; 16],
    base: u64,
    done: [u8; BYTES],
}

impl Names {
    pub(crate) const fn new() -> Self {
        Self {
            life: [0; 16],
            base: 0,
            done: [0; BYTES],
        }
    }

    /// Whether this message was delivered before.
    pub(crate) fn has(&self, life: &[u8; 16], number: u64) -> bool {
        self.life == *life
            && (number < self.base
                || number - self.base < u64::from(WINDOW) && has_bit(&self.done, place(number)))
    }

    /// It is delivered now.
    pub(crate) fn add(&mut self, life: &[u8; 16], number: u64) {
        if self.life != *life {
            let base = number.saturating_sub(u64::from(SPAN));
            *self = Self {
                life: *life,
                base,
                done: [0; BYTES],
            };
        }
        if number < self.base {
            return;
        }
        let end = self.base.saturating_add(u64::from(WINDOW));
        if number >= end {
            let moved = number - end + 1;
            for step in 0..moved.min(u64::from(WINDOW)) {
                set_bit(&mut self.done, place(self.base + step), false);
            }
            self.base += moved;
        }
        set_bit(&mut self.done, place(number), true);
    }
}

/// The place of a message's number in the window.
const fn place(number: u64) -> u32 {
    number as u32 % WINDOW // which divides 2³²
}

#[cfg(test)]
mod tests;
