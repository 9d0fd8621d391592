//! The clock of a transaction: when it asks again and when it gives up (road-transactions: Timers).

use crate::config::Pace;
use crate::time::{Duration, Instant, Span};

/// Ends after a timeout that is never extended; repeats its last packet at growing intervals. An
/// interval starts when the packet leaves, so a blocked socket makes nothing pile up.
#[derive(Clone, Hash)]
pub(crate) struct Clock {
    ends: Instant,
    redo: Instant,
    interval: Span,
    /// A packet is to be made.
    pub(crate) send: bool,
}

/// What a clock says when it is looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Tick {
    /// Nothing is due.
    Wait,
    /// The last packet goes out again.
    Redo,
    /// The transaction is over.
    Timeout,
}

impl Clock {
    /// A transaction that begins now, with a packet to send.
    pub(crate) fn start(now: Instant, pace: &Pace) -> Self {
        let ends = if pace.timeout.is_zero() {
            Instant::NEVER
        } else {
            now + pace.timeout
        };
        Self {
            ends,
            redo: Instant::NEVER,
            interval: Span::new(pace.redo_min),
            send: true,
        }
    }

    /// The same end, another first packet.
    pub(crate) fn next_packet(&mut self, pace: &Pace) {
        self.send = true;
        self.redo = Instant::NEVER;
        self.interval = Span::new(pace.redo_min);
    }

    /// The last packet once more, asked for by the peer.
    pub(crate) fn again(&mut self) {
        self.send = true;
        self.redo = Instant::NEVER;
    }

    /// A person here or there has to decide: only after `interval` does the time run again in which
    /// there must be an answer.
    pub(crate) fn extend(&mut self, now: Instant, interval: Duration, pace: &Pace) {
        if self.ends != Instant::NEVER {
            self.ends = now + interval + pace.timeout;
        }
    }

    /// The peer asks for patience: the last packet goes out again after `interval`, not sooner.
    pub(crate) fn wait(&mut self, now: Instant, interval: Duration) {
        self.send = false;
        self.interval = Span::new(interval);
        self.redo = now + interval;
    }

    /// The packet has left; it is repeated unless an answer comes.
    pub(crate) fn sent(&mut self, now: Instant) {
        self.send = false;
        self.redo = now + self.interval;
    }

    /// The packet has left; only the peer makes it be repeated.
    pub(crate) fn sent_once(&mut self) {
        self.send = false;
        self.redo = Instant::NEVER;
    }

    pub(crate) fn tick(&mut self, now: Instant, pace: &Pace) -> Tick {
        if self.ends <= now {
            return Tick::Timeout;
        }
        if self.redo > now {
            return Tick::Wait;
        }
        self.interval = pace.doubled(self.interval);
        self.redo = Instant::NEVER;
        self.send = true;
        Tick::Redo
    }

    pub(crate) fn next(&self) -> Instant {
        self.ends.min(self.redo)
    }
}
