//! How a message that was sent ends, and what a shutdown says of those that did not arrive.

use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use raet_core::RemoteId;
use raet_core::event::Outcome;

use crate::engine::Shared;
use crate::wait::block_on;

/// A message on its way: waits for its [`Outcome`], from any thread or task.
///
/// As a future it ends with the outcome; [`wait`](Self::wait) does so for a thread. To drop it
/// changes nothing for the message: if it is not delivered,
/// [`shutdown`](crate::Road::shutdown) will tell.
#[must_use = "the message goes out all the same, but nobody hears how it ends"]
pub struct Delivery {
    pub(crate) number: u64,
    pub(crate) ticket: Arc<Ticket>,
    pub(crate) shared: Weak<Shared>,
}

impl Delivery {
    /// The message's number, counted from 1 on this road, as in [`Undelivered`].
    pub fn number(&self) -> u64 {
        self.number
    }

    /// How it ended; `None` while it is on its way.
    pub fn outcome(&self) -> Option<Outcome> {
        self.ticket.lock().outcome
    }

    /// Waits until it has ended. Without a deadline of its own a message is sent for as long as the
    /// road is open, so this may wait that long.
    pub fn wait(&self) -> Outcome {
        // Without a deadline there is always an answer.
        block_on(None, |cx| self.ticket.poll(cx))
            .unwrap_or(Outcome::Unknown(raet_core::event::Doubt::Cancelled))
    }

    /// Waits until it has ended or the time is over; `None` then, and it stays on its way.
    pub fn wait_for(&self, time: Duration) -> Option<Outcome> {
        block_on(Instant::now().checked_add(time), |cx| self.ticket.poll(cx))
    }

    /// Gives it up. It ends as failed if nothing of it was sent, else as unknown; if it has
    /// ended, this changes nothing.
    pub fn cancel(&self) {
        if let Some(shared) = self.shared.upgrade() {
            shared.cancel(self.number);
        }
    }
}

impl Future for Delivery {
    type Output = Outcome;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        self.ticket.poll(cx)
    }
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery")
            .field("number", &self.number)
            .field("outcome", &self.outcome())
            .finish_non_exhaustive()
    }
}

/// Where an outcome is left for whoever holds the [`Delivery`].
#[derive(Default)]
pub(crate) struct Ticket(Mutex<Slot>);

#[derive(Default)]
struct Slot {
    outcome: Option<Outcome>,
    waker: Option<Waker>,
}

impl Ticket {
    fn lock(&self) -> MutexGuard<'_, Slot> {
        // Two plain assignments cannot leave it half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leaves the outcome and returns who waits for it.
    pub(crate) fn settle(&self, outcome: Outcome) -> Option<Waker> {
        let mut slot = self.lock();
        slot.outcome = Some(outcome);
        slot.waker.take()
    }

    fn poll(&self, cx: &Context<'_>) -> Poll<Outcome> {
        let mut slot = self.lock();
        if let Some(outcome) = slot.outcome {
            return Poll::Ready(outcome);
        }
        slot.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

/// How long a shutdown takes for what.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shutdown {
    /// How long to wait for the messages that are on their way. What is left then is cancelled and
    /// reported. Default 5 s.
    pub deliver: Duration,
    /// How long to go on answering afterwards: a peer whose *done* was lost asks again, after
    /// 0.2 to 0.5 s, and would otherwise never know that its message was taken. Not waited for
    /// when no message was taken. Default 1 s.
    pub linger: Duration,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self {
            deliver: Duration::from_secs(5),
            linger: Duration::from_secs(1),
        }
    }
}

impl Shutdown {
    /// Waits for nothing and answers nothing more.
    pub const NOW: Self = Self {
        deliver: Duration::ZERO,
        linger: Duration::ZERO,
    };
}

/// What a road leaves behind when it is shut down.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Report {
    /// Messages delivered in the road's whole life.
    pub delivered: u64,
    /// Messages that were not, or of which nobody knows: those open when the shutdown began, and
    /// earlier ones whose [`Delivery`] had been dropped. The oldest 1024.
    pub undelivered: Vec<Undelivered>,
    /// How many more of them there are.
    pub unlisted: u64,
}

impl Report {
    /// Whether nothing was lost.
    pub fn is_complete(&self) -> bool {
        self.undelivered.is_empty() && self.unlisted == 0
    }
}

/// A message that was not delivered, or of which nobody knows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Undelivered {
    /// Its number ([`Delivery::number`]).
    pub number: u64,
    /// Whom it was for.
    pub remote: RemoteId,
    /// That remote's name and address, if it is still known.
    pub peer: Option<(String, SocketAddr)>,
    /// How it ended and why.
    pub outcome: Outcome,
}

impl Report {
    const LISTED: usize = 1024;

    pub(crate) fn add(&mut self, message: Undelivered) {
        if self.undelivered.len() < Self::LISTED {
            self.undelivered.push(message);
        } else {
            self.unlisted += 1;
        }
    }
}
