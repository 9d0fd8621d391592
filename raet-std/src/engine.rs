//! The core loop that both drivers share: one engine behind a lock, its socket, and those who wait.
//!
//! A command runs on the thread that gives it and sends what it caused from there; a driver only
//! receives, minds the deadlines, and sends what is left. Nothing is handed from thread to thread
//! but a wake-up, and that only when the driver would otherwise sleep too long.
//!
//! Two locks, always taken in this order and none held while waiting: the sender's, the state's. A
//! signature is checked and a datagram given to the system while the state is free. Records are stored by
//! a thread of their own (`keep::writer`).

mod commands;

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use quinn_udp::UdpSockRef;
use raet_core::crypto::NaclSuite;
use raet_core::road::{Checked, Claims};
use raet_core::stats::Verdict;
use raet_core::time;
use raet_core::wire::Head;

use crate::body::Message;
use crate::delivery::Report;
use crate::error::Closed;
use crate::event::{Event, Incoming};
use crate::outlet::Outlet;
use crate::socket::{Batch, Socket};
use crate::state::{Phase, Stack, State};
use crate::trace::{self, Trace, Tracer};

/// Datagrams that one call sends before the driver takes over.
const SHARE: usize = 64;

/// Datagrams whose signatures are checked together, and that are acted on before what they caused is
/// told and sent. More would save no more.
const BURST: usize = 16;

/// A driver that was to wake this soon is left to do so, even if nothing is due then: cheaper than
/// to set its clock back and forth with each message.
const LAZY: Duration = Duration::from_millis(250);

/// For a driver without a deadline. That it wakes then costs nothing.
const LONGEST_SLEEP: Duration = Duration::from_secs(3600);

/// Between two tries of a socket whose buffer is full.
const BLOCKED_RETRY: Duration = Duration::from_millis(2);

/// What all handles and the driver of one road share.
pub(crate) struct Shared {
    state: Mutex<State>,
    sender: Mutex<Sender>,
    pub(crate) socket: Socket,
    /// Checks signatures beside the engine's lock. It draws nothing.
    verifier: NaclSuite,
    trace: Option<Tracer>,
    epoch: Instant,
    wake: Box<dyn Fn() + Send + Sync>,
}

/// What sends. Whoever sends has it to himself.
struct Sender {
    /// `None` once the driver has ended.
    udp: Option<UdpSocket>,
    outlet: Outlet,
}

/// A datagram, its source, and the address of ours that it was sent to.
type Arrival<'d> = (SocketAddr, Option<IpAddr>, &'d mut [u8]);

/// What is remembered of a datagram while it is acted on.
struct Came {
    from: SocketAddr,
    ours: Option<IpAddr>,
    seen: Option<(usize, Option<Head>)>,
    verdict: Option<Verdict>,
}

/// What a driver does next.
pub(crate) enum Next {
    /// Look at the socket, then come back at once.
    Again,
    /// Sleep until the socket has something, it is woken, or then.
    Sleep(Instant),
    /// End.
    End,
}

impl Shared {
    pub(crate) fn new(
        stack: Stack,
        verifier: NaclSuite,
        (socket, udp): (Socket, UdpSocket),
        writes: bool,
        trace: Option<Tracer>,
        epoch: Instant,
        wake: Box<dyn Fn() + Send + Sync>,
    ) -> Self {
        let state = State::new(stack, writes);
        Self {
            state: Mutex::new(state),
            sender: Mutex::new(Sender {
                udp: Some(udp),
                outlet: Outlet::new(),
            }),
            socket,
            verifier,
            trace,
            epoch,
            wake,
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        // A panic inside the engine would be a bug of its own; the road goes on as well as it can.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.now = self.engine_time(Instant::now());
        state
    }

    fn engine_time(&self, at: Instant) -> time::Instant {
        time::Instant::ZERO + at.saturating_duration_since(self.epoch)
    }

    fn system_time(&self, at: time::Instant) -> Option<Instant> {
        self.epoch
            .checked_add(Duration::from_micros(at.as_micros()))
    }

    /// A second handle of the socket, for a driver to wait on and receive from.
    pub(crate) fn for_driver(&self) -> io::Result<UdpSocket> {
        let sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner);
        sender
            .udp
            .as_ref()
            .ok_or(io::ErrorKind::NotConnected)?
            .try_clone()
    }

    /// Asks or tells the engine something, and passes on what came of it.
    pub(crate) fn enter<R>(&self, act: impl FnOnce(&mut State) -> R) -> R {
        let mut state = self.lock();
        let result = act(&mut state);
        state.settle();
        wake(state);
        result
    }

    /// [`enter`](Self::enter) for what may cause datagrams: sends them.
    pub(crate) fn command<R>(&self, act: impl FnOnce(&mut State) -> R) -> R {
        let result = self.enter(act);
        self.flush(SHARE);
        result
    }

    /// Sends what the engine has, `share` datagrams at most; the driver goes on from there.
    /// True when there may be more.
    fn flush(&self, share: usize) -> bool {
        {
            let mut state = self.lock();
            if state.flushing || state.blocked {
                // Whoever sends has not seen its end yet, and so will send this too.
                self.rouse(state, false);
                return false;
            }
            state.flushing = true;
        }
        let mut sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner);
        let Sender { udp, outlet } = &mut *sender;
        let Some(udp) = udp else {
            self.lock().flushing = false;
            return false;
        };
        let longest = self.socket.longest_run();
        let mut left = share;
        loop {
            while left > 0
                && let Some(room) = outlet.room(longest)
            {
                let mut state = self.lock();
                let now = state.now;
                let Some(transmit) = state.stack.poll_transmit(now, room) else {
                    if outlet.is_empty() {
                        state.flushing = false;
                        self.rouse(state, false);
                        return false;
                    }
                    break;
                };
                let source = if self.socket.wildcard {
                    state.sources.of(&transmit.to)
                } else {
                    None
                };
                drop(state);
                if let Some(trace) = &self.trace {
                    trace(Trace::Goes {
                        to: transmit.to,
                        len: transmit.len,
                        head: transmit.head,
                    });
                }
                outlet.add(transmit.to, source, transmit.len);
                left -= 1;
            }
            let blocked = match outlet.run() {
                Some(run) => !self.socket.send(udp, &run),
                None => false,
            };
            if !blocked {
                outlet.sent();
            }
            if blocked || (left == 0 && outlet.is_empty()) {
                let mut state = self.lock();
                state.flushing = false;
                state.blocked = blocked;
                self.rouse(state, true);
                return !blocked;
            }
        }
    }

    /// Wakes the driver if it sleeps and something is due before it would wake.
    fn rouse(&self, mut state: MutexGuard<'_, State>, busy: bool) {
        let Some(until) = state.asleep else { return };
        let due = busy
            || state
                .stack
                .poll_timeout()
                .is_some_and(|timeout| timeout.at < self.engine_time(until));
        if due {
            state.asleep = None;
            drop(state);
            (self.wake)();
        }
    }

    /// What a driver does whenever it is awake, then what it does next.
    pub(crate) fn turn(&self) -> Next {
        self.enter(|state| {
            let now = state.now;
            state.stack.handle_timeout(now);
            state.blocked = false;
        });
        if self.flush(SHARE) {
            return Next::Again;
        }
        let mut state = self.lock();
        let now = Instant::now();
        if let Phase::Lingering(until) = state.phase
            && until <= now
        {
            return Next::End;
        }
        let due = state
            .stack
            .poll_timeout()
            .and_then(|timeout| self.system_time(timeout.at));
        let linger = match state.phase {
            Phase::Lingering(until) => Some(until),
            _ => None,
        };
        let next = [due, linger].into_iter().flatten().min();
        let next = match next {
            _ if state.blocked => Some(now + BLOCKED_RETRY),
            // Whoever sends just now wakes the driver for what is left.
            Some(at) if at <= now && state.flushing => None,
            Some(at) if at <= now => return Next::Again,
            next => next,
        };
        // Not later than it last meant to, if that is soon.
        let planned = state.planned.filter(|&at| at > now && at <= now + LAZY);
        let until = match (next, planned) {
            (Some(next), Some(planned)) => Some(next.min(planned)),
            (next, planned) => next.or(planned),
        };
        let until = until.map_or(now + LONGEST_SLEEP, |until| until.min(now + LONGEST_SLEEP));
        state.planned = Some(until);
        state.asleep = Some(until);
        Next::Sleep(until)
    }

    /// The driver is awake again, or did not go to sleep.
    pub(crate) fn awake(&self) {
        self.lock().asleep = None;
    }

    /// Takes what the socket has and acts on it; true if there may be more.
    pub(crate) fn receive(&self, udp: UdpSockRef<'_>, batch: &mut Batch) -> bool {
        match self.socket.receive(udp, batch) {
            Ok(_) => {}
            Err(e) => return e.kind() != io::ErrorKind::WouldBlock && !batch.is_failing(),
        }
        let mut datagrams = batch.datagrams(&self.socket.counts).peekable();
        while datagrams.peek().is_some() {
            self.burst(&mut datagrams);
            self.command(|_| ());
        }
        true
    }

    /// Judges the next datagrams, checks the signatures of all that are left in one go while the
    /// engine is free, and acts on them in their order.
    ///
    /// Who waits for what came of it is woken after the burst, so that a crowd of messages does not
    /// wake its taker for each.
    fn burst<'d>(&self, datagrams: &mut impl Iterator<Item = Arrival<'d>>) {
        let mut claims = Claims::<'_, _, BURST>::new();
        let mut came: heapless::Vec<Came, BURST> = heapless::Vec::new();
        let mut last = None;
        let mut state = self.lock();
        while !came.is_full() && last.is_none() {
            let Some((from, ours, datagram)) = datagrams.next() else {
                break;
            };
            // It is opened in place: what it was is seen before.
            let seen = self.trace.as_ref().map(|_| trace::look(datagram));
            let now = state.now;
            let verdict = match state.stack.judge(now, from, datagram) {
                Ok(claim) => {
                    last = claims.push(claim).err();
                    None
                }
                Err(verdict) => Some(verdict),
            };
            let _ = came.push(Came {
                from,
                ours,
                seen,
                verdict,
            });
        }
        drop(state);
        let mut checked: heapless::Vec<Checked<'_>, BURST> = heapless::Vec::new();
        claims.verify(&self.verifier, |claim| {
            let _ = checked.push(claim);
        });
        if let Some(last) = last {
            let _ = checked.push(last.verify(&self.verifier));
        }
        let mut state = self.lock();
        let now = state.now;
        let mut checked = checked.into_iter();
        for came in &mut came {
            if came.verdict.is_none()
                && let Some(checked) = checked.next()
            {
                let verdict = state.stack.accept(now, checked);
                if let (true, Some(ours), Verdict::Taken | Verdict::Repeated) =
                    (self.socket.wildcard, came.ours, verdict)
                {
                    state.sources.remember(came.from, ours);
                }
                came.verdict = Some(verdict);
            }
        }
        drop(state);
        let Some(trace) = &self.trace else { return };
        for came in came {
            if let (Some((len, head)), Some(verdict)) = (came.seen, came.verdict) {
                trace(Trace::Came {
                    from: came.from,
                    len,
                    head,
                    verdict,
                });
            }
        }
    }

    pub(crate) fn poll_message(&self, cx: Option<&Context<'_>>) -> Poll<Result<Message, Closed>> {
        let answer = self.enter(|state| {
            if matches!(state.phase, Phase::Lingering(_) | Phase::Closed) {
                return Poll::Ready(Err(Closed));
            }
            let taken = state.stack.poll_message(|message| Message {
                from: message.remote,
                name: message.name.to_owned(),
                kind: message.kind,
                bytes: message.body.to_vec(),
            });
            match (taken, cx) {
                (Some(message), _) => Poll::Ready(Ok(message)),
                (None, Some(cx)) => {
                    state.for_message.add(cx);
                    Poll::Pending
                }
                (None, None) => Poll::Pending,
            }
        });
        if let Poll::Ready(Ok(_)) = answer {
            // Its done goes out.
            self.flush(SHARE);
        }
        answer
    }

    pub(crate) fn poll_event(&self, cx: Option<&Context<'_>>) -> Poll<Result<Event, Closed>> {
        self.enter(|state| {
            if let Some(event) = state.next_event() {
                return Poll::Ready(Ok(event));
            }
            if state.phase == Phase::Closed {
                return Poll::Ready(Err(Closed));
            }
            if let Some(cx) = cx {
                state.for_event.add(cx);
            }
            Poll::Pending
        })
    }

    /// An event or else a message, whichever comes.
    pub(crate) fn poll_next(&self, cx: &Context<'_>) -> Poll<Result<Incoming, Closed>> {
        match self.poll_event(Some(cx)) {
            Poll::Ready(event) => Poll::Ready(event.map(Incoming::Event)),
            Poll::Pending => match self.poll_message(Some(cx)) {
                Poll::Ready(Ok(message)) => Poll::Ready(Ok(Incoming::Message(message))),
                // Its last events are still to come.
                Poll::Ready(Err(Closed)) | Poll::Pending => Poll::Pending,
            },
        }
    }

    /// No more messages are taken from here on.
    pub(crate) fn drain(&self) {
        self.enter(|state| {
            if state.phase == Phase::Open {
                state.phase = Phase::Draining;
                state.for_room.release(&mut state.ready);
            }
        });
    }

    /// Ready when nothing is on its way any more.
    pub(crate) fn poll_drained(&self, cx: &Context<'_>) -> Poll<()> {
        self.enter(|state| {
            if state.open.is_empty() || matches!(state.phase, Phase::Lingering(_) | Phase::Closed) {
                return Poll::Ready(());
            }
            state.for_end.add(cx);
            Poll::Pending
        })
    }

    /// Gives up what is on its way, and lets the driver end after `linger`.
    pub(crate) fn finish(&self, linger: Duration) {
        self.command(|state| {
            if matches!(state.phase, Phase::Lingering(_) | Phase::Closed) {
                return;
            }
            for open in state.open.values() {
                // Gone means that its end is about to be told.
                let _ = state.stack.cancel(state.now, open.id);
            }
            state.settle();
            // The engine tells the end of each; should it not, nobody is left waiting.
            state.give_up();
            let answers = if state.stack.stats().messages_in == 0 {
                Duration::ZERO
            } else {
                linger
            };
            let now = Instant::now();
            state.phase = Phase::Lingering(now.checked_add(answers).unwrap_or(now));
            state.release_all();
        });
        let state = self.lock();
        self.rouse(state, true);
    }

    /// Ready when the driver has ended.
    pub(crate) fn poll_closed(&self, cx: &Context<'_>) -> Poll<()> {
        self.enter(|state| {
            if state.phase == Phase::Closed {
                return Poll::Ready(());
            }
            state.for_end.add(cx);
            Poll::Pending
        })
    }

    /// The driver has ended, perhaps without having been told to: whoever waits must know.
    pub(crate) fn end(&self) {
        if !std::thread::panicking() {
            self.finish(Duration::ZERO);
        }
        self.sender
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .udp = None;
        self.close(|state| {
            // After a panic the engine is not asked any more.
            state.give_up();
            state.driven_out = true;
        });
    }

    /// Notes the end of the driver or of the keep's thread. With the later one the road is closed.
    pub(crate) fn close(&self, ended: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        ended(&mut state);
        if state.driven_out && !state.writes {
            state.phase = Phase::Closed;
            state.release_all();
        }
        state.keep_work.notify_one();
        wake(state);
    }

    pub(crate) fn report(&self) -> Report {
        let state = self.lock();
        Report {
            delivered: state.stack.stats().messages_out,
            ..state.report.clone()
        }
    }
}

/// Frees the state, then wakes those whose wait is over.
fn wake(mut state: MutexGuard<'_, State>) {
    let ready = std::mem::take(&mut state.ready);
    drop(state);
    ready.into_iter().for_each(Waker::wake);
}
