//! Waiting, alike for threads and tasks: who waits leaves a [`Waker`] and asks again when woken.

use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Instant;

/// Those that wait for one thing. One entry a thread or task, however often it asks.
#[derive(Default)]
pub(crate) struct Waiters(Vec<Waker>);

impl Waiters {
    /// Remembers who asks.
    pub(crate) fn add(&mut self, cx: &Context<'_>) {
        if !self.0.iter().any(|known| known.will_wake(cx.waker())) {
            self.0.push(cx.waker().clone());
        }
    }

    /// Moves all that wait to `ready`, to be woken once no lock is held.
    pub(crate) fn release(&mut self, ready: &mut Vec<Waker>) {
        ready.append(&mut self.0);
    }

    /// Whether nobody waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

struct Parked(Thread);

impl Wake for Parked {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

thread_local! {
    /// The same waker each time a thread waits, so that [`Waiters`] knows it again.
    static PARKED: Waker = parked();
}

fn parked() -> Waker {
    Waker::from(Arc::new(Parked(thread::current())))
}

/// Asks until there is an answer, sleeping in between; `None` when `deadline` passes first.
pub(crate) fn block_on<T>(
    deadline: Option<Instant>,
    mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>,
) -> Option<T> {
    let waker = PARKED.try_with(Waker::clone).unwrap_or_else(|_| parked());
    let mut cx = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(answer) = poll(&mut cx) {
            return Some(answer);
        }
        match deadline {
            None => thread::park(),
            Some(deadline) => {
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return None;
                }
                thread::park_timeout(left);
            }
        }
    }
}
