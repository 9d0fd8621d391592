//! The blocking handle, and the thread that drives its road.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll as Poller, Token, Waker};
use quinn_udp::UdpSockRef;
use raet_core::RemoteId;
use raet_core::config::Presence;
use raet_core::crypto::PublicKeys;
use raet_core::error::{Gone, IntroduceError, JudgeError};
use raet_core::keep::Status;
use raet_core::road::{RemoteInfo, RoleInfo};
use raet_core::stats::Stats;

use crate::body::{Body, Message};
use crate::builder::RoadBuilder;
use crate::delivery::{Delivery, Report, Shutdown};
use crate::engine::{Next, Shared};
use crate::error::{Closed, ConnectError, OpenError, SendError};
use crate::event::{Event, Incoming};
use crate::socket::{Batch, SocketStats};
use crate::wait::block_on;

/// An open road: one estate on one UDP socket, driven by a thread of its own.
///
/// A handle is cheap to clone and can be used from any thread. When the last one is dropped the
/// road ends at once, and what was on its way is given up; [`shutdown`](Self::shutdown) ends it in
/// order.
///
/// **Back pressure.** To send: [`send`](Self::send) waits, [`try_send`](Self::try_send) says
/// [`SendError::Full`], while the limits leave no room. To receive: messages stay in the engine until
/// somebody asks for one, and only then is the sender told that it was delivered. What nobody takes
/// fills the inbox up to its limits; beyond them peers get silence, and send again.
#[derive(Clone)]
pub struct Road {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    driver: Mutex<Option<JoinHandle<()>>>,
}

/// How a message is to be sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SendOptions {
    /// After this time it is given up: failed if nothing of it was sent, else unknown. Without it, it
    /// is sent for as long as the road is open.
    pub deadline: Option<Duration>,
    /// Not sent again when the session changes under it: then it ends as unknown. Off, it
    /// is, and a peer that took it just before may get it twice.
    pub once: bool,
    /// How long to wait for room; `None`: as long as it takes.
    pub wait: Option<Duration>,
    /// Its end is told as an [`Event::Ended`] too. Ends that nobody takes count against the room for
    /// further messages like this one (1024).
    pub tell: bool,
}

/// What a road and its socket have counted.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct RoadStats {
    /// The engine's counters.
    pub engine: Stats,
    /// The socket's.
    pub socket: SocketStats,
}

impl Road {
    /// An estate of this name, not yet opened.
    pub fn builder(name: &str) -> RoadBuilder {
        RoadBuilder::new(name)
    }

    pub(crate) fn open(builder: RoadBuilder) -> Result<Self, OpenError> {
        let poller = Poller::new().map_err(OpenError::System)?;
        let waker = Waker::new(poller.registry(), WAKE).map_err(OpenError::System)?;
        let wake = Box::new(move || {
            // It fails only when the driver, which holds the other end, is gone.
            let _ = waker.wake();
        });
        let shared = builder.build(wake)?;
        let driver = start(&shared, poller).map_err(|error| {
            // Its keep is written by a thread already.
            shared.end();
            OpenError::System(error)
        })?;
        Ok(Self {
            inner: Arc::new(Inner {
                shared,
                driver: Mutex::new(Some(driver)),
            }),
        })
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.inner.shared
    }

    /// Sends a message, waiting for room as long as it takes.
    ///
    /// # Errors
    ///
    /// See [`SendError`]; never [`SendError::Full`].
    pub fn send(&self, to: RemoteId, body: &Body) -> Result<Delivery, SendError> {
        self.send_with(to, body, &SendOptions::default())
    }

    /// Sends a message in a way of its own.
    ///
    /// # Errors
    ///
    /// See [`SendError`]; [`SendError::Full`] when there was no room in the time given.
    pub fn send_with(
        &self,
        to: RemoteId,
        body: &Body,
        options: &SendOptions,
    ) -> Result<Delivery, SendError> {
        let deadline = options
            .wait
            .and_then(|time| Instant::now().checked_add(time));
        block_on(deadline, |cx| {
            match self.shared().send(to, body, options, Some(cx)) {
                Err(SendError::Full) => Poll::Pending,
                result => Poll::Ready(result),
            }
        })
        .unwrap_or(Err(SendError::Full))
    }

    /// Takes the next message, waiting for it. It counts as delivered with this call's return.
    ///
    /// # Errors
    ///
    /// [`Closed`] once the road is shut down.
    pub fn receive(&self) -> Result<Message, Closed> {
        block_on(None, |cx| self.shared().poll_message(Some(cx))).unwrap_or(Err(Closed))
    }

    /// Takes the next message if one comes within this time.
    ///
    /// # Errors
    ///
    /// [`Closed`] once the road is shut down.
    pub fn receive_for(&self, time: Duration) -> Result<Option<Message>, Closed> {
        block_on(Instant::now().checked_add(time), |cx| {
            self.shared().poll_message(Some(cx))
        })
        .transpose()
    }

    /// Takes a message that is there already.
    ///
    /// # Errors
    ///
    /// [`Closed`] once the road is shut down.
    pub fn try_receive(&self) -> Result<Option<Message>, Closed> {
        match self.shared().poll_message(None) {
            Poll::Ready(result) => result.map(Some),
            Poll::Pending => Ok(None),
        }
    }

    /// The next event, waiting for it.
    ///
    /// # Errors
    ///
    /// [`Closed`] once the road is shut down and all its events were taken.
    pub fn event(&self) -> Result<Event, Closed> {
        block_on(None, |cx| self.shared().poll_event(Some(cx))).unwrap_or(Err(Closed))
    }

    /// The next event if one comes within this time.
    ///
    /// # Errors
    ///
    /// [`Closed`] once the road is shut down and all its events were taken.
    pub fn event_for(&self, time: Duration) -> Result<Option<Event>, Closed> {
        block_on(Instant::now().checked_add(time), |cx| {
            self.shared().poll_event(Some(cx))
        })
        .transpose()
    }

    /// The next event, or else the next message, if one comes within this time.
    ///
    /// # Errors
    ///
    /// [`Closed`] once the road is shut down and all its events were taken.
    pub fn next_for(&self, time: Duration) -> Result<Option<Incoming>, Closed> {
        block_on(Instant::now().checked_add(time), |cx| {
            self.shared().poll_next(cx)
        })
        .transpose()
    }

    /// Shuts the road down: takes no more messages to send, waits for those on their way, gives up
    /// the rest and says which, then goes on answering for a while. Messages that came and were
    /// not taken by then are not lost: their senders were not told, and send again.
    ///
    /// Other handles get [`Closed`] from then on. Called again, or from two threads, it waits for the
    /// same end.
    pub fn shutdown(&self, how: &Shutdown) -> Report {
        let shared = self.shared();
        shared.drain();
        // What is left after that time is given up below.
        let _ = block_on(Instant::now().checked_add(how.deliver), |cx| {
            shared.poll_drained(cx)
        });
        shared.finish(how.linger);
        let _ = block_on(None, |cx| shared.poll_closed(cx));
        self.inner.join();
        shared.report()
    }
}

macro_rules! handle_methods {
    () => {
        /// This estate's name.
        pub fn name(&self) -> String {
            self.shared()
                .enter(|state| state.stack.name().as_str().to_owned())
        }

        /// The role whose keys it bears.
        pub fn role(&self) -> String {
            self.shared()
                .enter(|state| state.stack.role().as_str().to_owned())
        }

        /// What the road's own clock shows, from its opening on: what the moments in a [`RemoteInfo`] are
        /// to be compared with.
        pub fn now(&self) -> raet_core::time::Instant {
            self.shared().enter(|state| state.now)
        }

        /// The address that the socket is bound to, with the port that it got.
        pub fn local_addr(&self) -> SocketAddr {
            self.shared().socket.local
        }

        /// Finds the remote kept at that address or makes one; the road joins it, allows, and goes on
        /// trying until it is up or forgotten. Messages may be sent at once: they wait.
        ///
        /// Who answers may be known already, and have moved here:
        /// [`SameAs`](raet_core::event::RemoteEvent::SameAs) tells so, and from then on both handles name
        /// that remote. Events about it have its own.
        ///
        /// # Errors
        ///
        /// See [`ConnectError`].
        pub fn connect(&self, to: SocketAddr) -> Result<RemoteId, ConnectError> {
            self.shared().connect(to, 0)
        }

        /// [`connect`](Self::connect), with a number that comes back in each [`Event`] about it.
        ///
        /// # Errors
        ///
        /// See [`ConnectError`].
        pub fn connect_as(&self, to: SocketAddr, token: u64) -> Result<RemoteId, ConnectError> {
            self.shared().connect(to, token)
        }

        /// Ends all dealings with a remote. Its messages end as failed or unknown.
        ///
        /// # Errors
        ///
        /// [`Gone`] when there is none.
        pub fn forget(&self, remote: RemoteId) -> Result<(), Gone> {
            self.shared().forget(remote)
        }

        /// Sends a message if there is room now.
        ///
        /// # Errors
        ///
        /// See [`SendError`].
        pub fn try_send(&self, to: RemoteId, body: &Body) -> Result<Delivery, SendError> {
            self.shared().send(to, body, &SendOptions::default(), None)
        }

        /// Accepts the keys of a role, for good. `keys` pins what the person was shown: had others
        /// arrived meanwhile, nothing is accepted (hardening: H17).
        ///
        /// # Errors
        ///
        /// See [`JudgeError`].
        pub fn accept(&self, role: &str, keys: Option<&PublicKeys>) -> Result<(), JudgeError> {
            self.shared().judge_role(role, Status::Accepted, keys)
        }

        /// Rejects the keys of a role. It takes effect at the role's next join; to end what goes on with
        /// an estate, [`forget`](Self::forget) it too.
        ///
        /// # Errors
        ///
        /// See [`JudgeError`].
        pub fn reject(&self, role: &str, keys: Option<&PublicKeys>) -> Result<(), JudgeError> {
            self.shared().judge_role(role, Status::Rejected, keys)
        }

        /// Leaves the keys of a role to be decided again. It takes effect at the role's next join.
        ///
        /// # Errors
        ///
        /// See [`JudgeError`].
        pub fn pend(&self, role: &str, keys: Option<&PublicKeys>) -> Result<(), JudgeError> {
            self.shared().judge_role(role, Status::Pending, keys)
        }

        /// Takes the keys of a role before any estate shows them, with what was decided about them.
        ///
        /// # Errors
        ///
        /// See [`IntroduceError`].
        pub fn introduce(
            &self,
            role: &str,
            keys: &PublicKeys,
            status: Status,
        ) -> Result<(), IntroduceError> {
            self.shared().introduce_role(role, keys, status)
        }

        /// Forgets a role, whatever was decided about it, and all remotes that bear it. Should one
        /// come back, it is a stranger.
        ///
        /// # Errors
        ///
        /// When no such role is known.
        pub fn forget_role(&self, role: &str) -> Result<(), JudgeError> {
            self.shared().forget_role(role)
        }

        /// Serves a [control socket](crate::control) at `path` for other processes of this host, as long
        /// as what it returns lives. `folder` is that of the [`FileKeep`](crate::keep::FileKeep), if it has
        /// one: names and times of roles that the engine forgets are looked up there.
        ///
        /// # Errors
        ///
        /// When another estate serves that path, or the system refuses it.
        #[cfg(unix)]
        pub fn serve_control(
            &self,
            path: &std::path::Path,
            folder: Option<&std::path::Path>,
        ) -> std::io::Result<crate::control::Control> {
            crate::control::Control::open(self.shared(), path, folder.map(Into::into))
        }

        /// Turns the asking for signs of life on or off.
        pub fn set_presence(&self, presence: Option<Presence>) {
            self.shared().set_presence(presence);
        }

        /// All remotes as they stand now.
        pub fn remotes(&self) -> Vec<RemoteInfo> {
            self.shared().enter(|state| state.stack.remotes().collect())
        }

        /// One remote as it stands now.
        pub fn remote(&self, remote: RemoteId) -> Option<RemoteInfo> {
            self.shared()
                .enter(|state| state.stack.remote(state.known(remote)))
        }

        /// The remote of this name.
        pub fn find(&self, name: &str) -> Option<RemoteId> {
            self.shared().enter(|state| state.stack.find(name))
        }

        /// All roles, and where their keys stand.
        pub fn roles(&self) -> Vec<RoleInfo> {
            self.shared().enter(|state| state.stack.roles().collect())
        }

        /// This estate's public keys, as its peers see them.
        pub fn public_keys(&self) -> PublicKeys {
            self.shared().enter(|state| state.stack.public_keys())
        }

        /// What was counted so far.
        pub fn stats(&self) -> RoadStats {
            let shared = self.shared();
            RoadStats {
                engine: shared.enter(|state| state.stack.stats().clone()),
                socket: shared.socket.counts.read(),
            }
        }
    };
}
#[cfg(feature = "tokio")]
pub(crate) use handle_methods;

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

impl Inner {
    fn join(&self) {
        let driver = self
            .driver
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(driver) = driver {
            // A driver that panicked has told so on stderr.
            let _ = driver.join();
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shared.finish(Duration::ZERO);
        self.join();
        // Its keep is stored and free for the next one.
        let _ = block_on(None, |cx| self.shared.poll_closed(cx));
    }
}

const SOCKET: Token = Token(0);
const WAKE: Token = Token(1);

fn start(shared: &Arc<Shared>, poller: Poller) -> io::Result<JoinHandle<()>> {
    let mut socket = mio::net::UdpSocket::from_std(shared.for_driver()?);
    poller
        .registry()
        .register(&mut socket, SOCKET, Interest::READABLE)?;
    let shared = Arc::clone(shared);
    thread::Builder::new()
        .name("raet".to_owned())
        .spawn(move || drive(&shared, poller, socket))
}

fn drive(shared: &Shared, poller: Poller, socket: mio::net::UdpSocket) {
    let _ends = Ends(shared);
    // Both are gone before that is told: who then binds to the same port finds it free.
    let (mut poller, socket) = (poller, socket);
    let mut batch = Batch::new();
    let mut events = Events::with_capacity(8);
    // The poller tells only of what is new, so the socket is read until it has nothing.
    let mut readable = true;
    loop {
        if readable {
            readable = shared.receive(UdpSockRef::from(&socket), &mut batch);
        }
        let until = match shared.turn() {
            Next::End => return,
            Next::Again => Instant::now(),
            Next::Sleep(until) => batch.next_try(until),
        };
        if !readable {
            let sleep = until.saturating_duration_since(Instant::now());
            match poller.poll(&mut events, Some(sleep)) {
                Ok(()) => {
                    readable = batch.is_failing() || events.iter().any(|e| e.token() == SOCKET);
                }
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                // Without a poller there is nothing to drive; whoever waits is told.
                Err(_) => return,
            }
        }
        shared.awake();
    }
}

/// Tells all that wait when the driver ends, however it ends.
struct Ends<'a>(&'a Shared);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use raet_core::config::Trust;
    use raet_core::event::Outcome;

    use super::*;

    /// What cannot leave is kept, nothing spins, and it goes out when there is room again.
    #[test]
    fn a_full_socket_buffer_is_waited_for() {
        let open = |name, main| {
            let builder = Road::builder(name)
                .bind(([127, 0, 0, 1], 0))
                .trust(Trust::Once);
            builder.main(main).open().expect("a free port")
        };
        let (main, other) = (open("main", true), open("other", false));
        let remote = other.connect(main.local_addr()).expect("room for one");
        let taken = |body: u8| {
            let delivery = other.send(remote, &Body::raw([body])).expect("taken");
            assert_eq!(main.receive().expect("open").bytes, [body]);
            assert_eq!(delivery.wait(), Outcome::Delivered);
        };
        taken(1);
        let jammed = &other.shared().socket.jammed;
        let blocked = || other.stats().socket.blocked;
        jammed.store(true, Ordering::Relaxed);
        let before = blocked();
        let delivery = other.send(remote, &Body::raw([2])).expect("taken");
        assert_eq!(delivery.wait_for(Duration::from_millis(100)), None);
        let tries = blocked() - before;
        assert!((1..=60).contains(&tries), "{tries} tries in 100 ms");
        jammed.store(false, Ordering::Relaxed);
        assert_eq!(main.receive().expect("open").bytes, [2]);
        assert_eq!(delivery.wait(), Outcome::Delivered);
        taken(3);
    }
}
