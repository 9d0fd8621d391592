//! The asynchronous handle, and the task that drives its road. Feature `tokio`.

use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use quinn_udp::UdpSockRef;
use raet_core::RemoteId;
use raet_core::config::Presence;
use raet_core::crypto::PublicKeys;
use raet_core::error::{Gone, IntroduceError, JudgeError};
use raet_core::keep::Status;
use raet_core::road::{RemoteInfo, RoleInfo};
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::sync::Notify;
use tokio::time::{sleep_until, timeout};

use crate::body::{Body, Message};
use crate::builder::RoadBuilder;
use crate::delivery::{Delivery, Report, Shutdown};
use crate::engine::{Next, Shared};
use crate::error::{Closed, ConnectError, OpenError, SendError};
use crate::event::{Event, Incoming};
use crate::road::{RoadStats, SendOptions, handle_methods};
use crate::socket::Batch;

/// An open road driven by a task: what [`Road`](crate::Road) is for threads.
///
/// Opened by [`RoadBuilder::open_tokio`]. A handle is cheap to clone and can be used from any task
/// or thread. All futures here may be dropped at any time without loss: what they did not return
/// was not taken. When the last handle is dropped, or the runtime ends, the road ends at once.
///
/// What a call sends it signs on the caller's own thread (some 20 µs a datagram, 64 datagrams at
/// most), the driver does the rest.
#[derive(Clone)]
pub struct Road {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
}

impl Road {
    pub(crate) fn open(builder: RoadBuilder) -> Result<Self, OpenError> {
        let notify = Arc::new(Notify::new());
        let wake = Arc::clone(&notify);
        let shared = builder.build(Box::new(move || wake.notify_one()))?;
        let ends = Ends(Arc::clone(&shared));
        let socket = UdpSocket::from_std(shared.for_driver().map_err(OpenError::System)?)
            .map_err(OpenError::System)?;
        tokio::spawn(drive(ends, socket, notify));
        Ok(Self {
            inner: Arc::new(Inner { shared }),
        })
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.inner.shared
    }

    /// Sends a message, waiting for room as long as it takes. The [`Delivery`] that comes back is
    /// a future too: of the message's end.
    ///
    /// # Errors
    ///
    /// See [`SendError`]; never [`SendError::Full`].
    pub async fn send(&self, to: RemoteId, body: &Body) -> Result<Delivery, SendError> {
        self.send_with(to, body, &SendOptions::default()).await
    }

    /// Sends a message in a way of its own.
    ///
    /// # Errors
    ///
    /// See [`SendError`]; [`SendError::Full`] when there was no room in the time given.
    pub async fn send_with(
        &self,
        to: RemoteId,
        body: &Body,
        options: &SendOptions,
    ) -> Result<Delivery, SendError> {
        let sent = poll_fn(|cx| match self.shared().send(to, body, options, Some(cx)) {
            Err(SendError::Full) => Poll::Pending,
            result => Poll::Ready(result),
        });
        match options.wait {
            None => sent.await,
            Some(wait) => timeout(wait, sent).await.unwrap_or(Err(SendError::Full)),
        }
    }

    /// Takes the next message. It counts as delivered when this future ends.
    ///
    /// # Errors
    ///
    /// [`Closed`] once the road is shut down.
    pub async fn receive(&self) -> Result<Message, Closed> {
        poll_fn(|cx| self.shared().poll_message(Some(cx))).await
    }

    /// The next event.
    ///
    /// # Errors
    ///
    /// [`Closed`] once the road is shut down and all its events were taken.
    pub async fn event(&self) -> Result<Event, Closed> {
        poll_fn(|cx| self.shared().poll_event(Some(cx))).await
    }

    /// The next event, or else the next message.
    ///
    /// # Errors
    ///
    /// [`Closed`] once the road is shut down and all its events were taken.
    pub async fn next(&self) -> Result<Incoming, Closed> {
        poll_fn(|cx| self.shared().poll_next(cx)).await
    }

    /// Shuts the road down as [`Road::shutdown`](crate::Road::shutdown) does.
    pub async fn shutdown(&self, how: &Shutdown) -> Report {
        let shared = self.shared();
        shared.drain();
        // What is left after that time is given up below.
        let _ = timeout(how.deliver, poll_fn(|cx| shared.poll_drained(cx))).await;
        shared.finish(how.linger);
        poll_fn(|cx| shared.poll_closed(cx)).await;
        shared.report()
    }
}

impl Road {
    handle_methods!();
}

impl fmt::Debug for Road {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Road")
            .field("local_addr", &self.local_addr())
            .finish_non_exhaustive()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shared.finish(Duration::ZERO);
    }
}

async fn drive(driven: Ends, socket: UdpSocket, notify: Arc<Notify>) {
    let shared = &*driven.0;
    let mut batch = Batch::new();
    let mut readable = true;
    loop {
        if readable {
            // The runtime learns from a blocked call that the socket is to be waited for again.
            let read = socket.try_io(Interest::READABLE, || {
                if shared.receive(UdpSockRef::from(&socket), &mut batch) {
                    Ok(())
                } else {
                    Err(io::ErrorKind::WouldBlock.into())
                }
            });
            readable = read.is_ok();
        }
        let until = match shared.turn() {
            Next::End => return,
            Next::Again => Instant::now(),
            Next::Sleep(until) => batch.next_try(until),
        };
        if readable || until <= Instant::now() {
            // Others of the runtime have their turn too.
            tokio::task::yield_now().await;
        } else {
            let mut woken = pin!(notify.notified());
            let mut slept = pin!(sleep_until(until.into()));
            readable = poll_fn(|cx| {
                if let Poll::Ready(result) = socket.poll_recv_ready(cx) {
                    return Poll::Ready(result.is_ok());
                }
                if woken.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(false);
                }
                slept.as_mut().poll(cx).map(|()| batch.is_failing())
            })
            .await;
        }
        shared.awake();
    }
}

/// Tells all that wait when the driver ends, however it ends: with its runtime, too, and before it
/// ran at all.
struct Ends(Arc<Shared>);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.end();
    }
}
