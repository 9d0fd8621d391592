//! An async driver over a UDP socket of embassy-net: a task that drives, and a [`Road`] that the
//! other tasks of the same executor share by reference.
//!
//! ```text
//! static MEMORY: ConstStaticCell<Memory<Sizes>> = ConstStaticCell::new(Memory::new());
//! static ROAD: StaticCell<Road<'static, Sizes, Flash>> = StaticCell::new();
//!
//! #[embassy_executor::task]
//! async fn drive(road: &'static Road<'static, Sizes, Flash>, stack: Stack<'static>) -> ! {
//!     static BUFFERS: ConstStaticCell<Buffers<2>> = ConstStaticCell::new(Buffers::new());
//!     let mut socket = BUFFERS.take().socket(stack);
//!     socket.bind(DEFAULT_PORT).expect("the port is free");
//!     road.drive(&mut socket).await
//! }
//!
//! // In main:
//! let node = Node::start(MEMORY.take(), clock.now(), config, flash, trng)?;
//! let road = ROAD.init(Road::new(node));
//! spawner.spawn(drive(road, stack)?);
//! let main = road.with(|engine, now| engine.connect(now, address, 0))?;
//! let outcome = road.deliver(main, SendOptions::default(), b"reading").await?;
//! ```
//!
//! A road belongs to one executor: it is not `Sync`, for a signature takes longer than interrupts
//! may be off. Between two packets the other tasks have their turn.

use core::cell::RefCell;
use core::convert::Infallible;
use core::future::{Future, poll_fn};
use core::net::SocketAddr;
use core::pin::pin;
use core::task::{Context, Poll, Waker};

use embassy_net::udp::{PacketMetadata, RecvError, UdpSocket};
use embassy_net::{IpEndpoint, Stack};
use embassy_sync::waitqueue::WakerRegistration;
use embassy_time::Timer;
use raet_core::crypto::{Crypto, NaclSuite};
use raet_core::error::SendError;
use raet_core::event::{Event, Outcome};
use raet_core::storage::Storage;
use raet_core::time::{Duration, Instant};
use raet_core::wire::MAX_PACKET;
use raet_core::{Message, MessageId, RemoteId, RoadStack, SendOptions};

use crate::clock::Clock;
use crate::keep::Keep;
use crate::node::{Datagrams, Node};

/// Tasks that a road wakes when something happens. One more looks for itself, every [`LOOK`].
const TASKS: usize = 16;
const LOOK: embassy_time::Duration = embassy_time::Duration::from_millis(10);

/// [`Road::deliver`]s at a time; one more waits.
const DELIVERIES: usize = 8;

/// For a node without a deadline.
const LONGEST_SLEEP: Duration = Duration::from_hours(1);

/// A node that is driven by one task and used by others.
pub struct Road<'m, S: Storage, K: Keep, C: Crypto = NaclSuite> {
    shared: RefCell<Shared<'m, S, K, C>>,
}

struct Shared<'m, S: Storage, K: Keep, C: Crypto> {
    node: Node<'m, S, K, C>,
    driver: WakerRegistration,
    waiting: heapless::Vec<Waker, TASKS>,
    /// The messages that a task delivers, and the outcome if `event` came across it.
    deliveries: heapless::Vec<(MessageId, Option<Outcome>), DELIVERIES>,
}

impl<'m, S: Storage, K: Keep, C: Crypto> Road<'m, S, K, C> {
    /// A road for a node that was started with [`EmbassyClock`]'s time.
    pub fn new(node: Node<'m, S, K, C>) -> Self {
        Self {
            shared: RefCell::new(Shared {
                node,
                driver: WakerRegistration::new(),
                waiting: heapless::Vec::new(),
                deliveries: heapless::Vec::new(),
            }),
        }
    }

    /// Drives the node over a socket that is bound, and of [`Buffers`]. Never ends; whoever drops
    /// it can drive on later.
    pub async fn drive(&self, socket: &mut UdpSocket<'_>) -> Infallible {
        poll_fn(|context| {
            let due = {
                let shared = &mut *self.shared.borrow_mut();
                shared.driver.register(context.waker());
                let mut socket = Socket {
                    socket: &mut *socket,
                    context: &mut *context,
                };
                let due = shared.node.turn(&mut EmbassyClock, &mut socket);
                shared.wake_waiting();
                due
            };
            let now = EmbassyClock.now();
            let due = due.min(now + LONGEST_SLEEP);
            let timer = Timer::at(embassy_time::Instant::from_micros(due.as_micros()));
            if due <= now || pin!(timer).poll(context).is_ready() {
                context.waker().wake_by_ref();
            }
            Poll::Pending
        })
        .await
    }

    /// Asks the engine, or gives it a command. Not to be called from inside of itself.
    pub fn with<R>(&self, act: impl FnOnce(&mut RoadStack<S, C>, Instant) -> R) -> R {
        let shared = &mut *self.shared.borrow_mut();
        let result = act(shared.node.engine(), EmbassyClock.now());
        shared.driver.wake();
        result
    }

    /// Whether the keep fails to take what is to be kept. New sessions wait for it.
    pub fn keep_fails(&self) -> bool {
        self.shared.borrow().node.keep_error().is_some()
    }

    /// Waits until `look` finds what it looks for in the engine. It looks again whenever something
    /// may have happened.
    pub async fn until<R>(
        &self,
        mut look: impl FnMut(&mut RoadStack<S, C>, Instant) -> Option<R>,
    ) -> R {
        self.wait(|shared, now| look(shared.node.engine(), now))
            .await
    }

    fn wait<R>(
        &self,
        mut look: impl FnMut(&mut Shared<'m, S, K, C>, Instant) -> Option<R>,
    ) -> impl Future<Output = R> {
        poll_fn(move |context| {
            let shared = &mut *self.shared.borrow_mut();
            if let Some(found) = look(shared, EmbassyClock.now()) {
                shared.driver.wake();
                return Poll::Ready(found);
            }
            shared.register(context);
            Poll::Pending
        })
    }

    /// The next event. One task takes them; those of messages that a task [delivers](Self::deliver)
    /// do not come here.
    pub async fn event(&self) -> Event {
        self.wait(|shared, _| {
            loop {
                let event = shared.node.engine().poll_event()?;
                if let Event::Message {
                    message, outcome, ..
                } = &event
                    && let Some(delivery) = shared.delivery(*message)
                {
                    delivery.1 = Some(*outcome);
                    shared.wake_waiting();
                    continue;
                }
                return Some(event);
            }
        })
        .await
    }

    /// Hands the next message to `take`. Its sender hears that it was delivered after that.
    pub async fn receive<R>(&self, take: impl FnOnce(Message<'_>) -> R) -> R {
        let mut take = Some(take);
        self.wait(|shared, _| {
            let engine = shared.node.engine();
            engine.poll_message(|message| Some(take.take()?(message)))?
        })
        .await
    }

    /// Sends a message when there is room for it. Its outcome comes as an [event](Self::event).
    ///
    /// # Errors
    ///
    /// As for [`RoadStack::send`], but not for want of room now.
    pub async fn send(
        &self,
        to: RemoteId,
        options: SendOptions,
        body: &[u8],
    ) -> Result<MessageId, SendError> {
        self.wait(|shared, now| shared.try_send(now, to, options, body))
            .await
    }

    /// Sends a message when there is room for it, and waits for its outcome: for ever if the
    /// remote is never reached and the options set no deadline. Dropped, it cancels the message.
    ///
    /// # Errors
    ///
    /// As for [`send`](Self::send).
    pub async fn deliver(
        &self,
        to: RemoteId,
        options: SendOptions,
        body: &[u8],
    ) -> Result<Outcome, SendError> {
        let delivery = self
            .wait(|shared, now| {
                if shared.deliveries.is_full() {
                    return None;
                }
                let sent = shared.try_send(now, to, options, body)?;
                Some(sent.map(|message| {
                    // There is room, see above.
                    let _ = shared.deliveries.push((message, None));
                    Delivery {
                        road: self,
                        message,
                    }
                }))
            })
            .await?;
        self.wait(|shared, _| shared.ended(delivery.message)).await
    }
}

impl<S: Storage, K: Keep, C: Crypto> Shared<'_, S, K, C> {
    /// `None`: there is no room now.
    fn try_send(
        &mut self,
        now: Instant,
        to: RemoteId,
        options: SendOptions,
        body: &[u8],
    ) -> Option<Result<MessageId, SendError>> {
        let fill = |room: &mut [u8]| room.copy_from_slice(body);
        match self.node.engine().send(now, to, options, body.len(), fill) {
            Err(SendError::Full) => None,
            other => Some(other),
        }
    }

    /// Wakes the task when something happens.
    fn register(&mut self, context: &mut Context<'_>) {
        let waker = context.waker();
        let known = self.waiting.iter().any(|known| known.will_wake(waker));
        if !known && self.waiting.push(waker.clone()).is_err() {
            let _ = pin!(Timer::after(LOOK)).poll(context);
        }
    }

    fn wake_waiting(&mut self) {
        for waker in core::mem::take(&mut self.waiting) {
            waker.wake();
        }
    }

    fn delivery(&mut self, message: MessageId) -> Option<&mut (MessageId, Option<Outcome>)> {
        self.deliveries.iter_mut().find(|(id, _)| *id == message)
    }

    fn ended(&mut self, message: MessageId) -> Option<Result<Outcome, SendError>> {
        if let Some((_, Some(outcome))) = self.delivery(message) {
            return Some(Ok(*outcome));
        }
        // Gone: somebody polled the engine's events past `event`.
        let outcome = self.node.engine().outcome(message);
        outcome.map_err(|_| SendError::Gone).transpose()
    }
}

/// A message that a task waits for.
struct Delivery<'a, 'm, S: Storage, K: Keep, C: Crypto> {
    road: &'a Road<'m, S, K, C>,
    message: MessageId,
}

impl<S: Storage, K: Keep, C: Crypto> Drop for Delivery<'_, '_, S, K, C> {
    fn drop(&mut self) {
        let shared = &mut *self.road.shared.borrow_mut();
        shared.deliveries.retain(|(id, _)| *id != self.message);
        let engine = shared.node.engine();
        // It has ended already, most times.
        if engine.cancel(EmbassyClock.now(), self.message).is_ok() {
            let _ = engine.outcome(self.message);
        }
        shared.wake_waiting();
        shared.driver.wake();
    }
}

/// The time of embassy.
#[derive(Clone, Copy, Debug)]
pub struct EmbassyClock;

impl Clock for EmbassyClock {
    fn now(&mut self) -> Instant {
        Instant::from_micros(embassy_time::Instant::now().as_micros())
    }
}

/// The buffers of a UDP socket: room for `IN` datagrams that came and for one that goes.
pub struct Buffers<const IN: usize> {
    meta_in: [PacketMetadata; IN],
    meta_out: [PacketMetadata; 1],
    bytes_in: [[u8; MAX_PACKET]; IN],
    bytes_out: [u8; MAX_PACKET],
}

impl<const IN: usize> Buffers<IN> {
    /// The bytes of RAM that they take.
    pub const RAM: usize = size_of::<Self>();

    /// Empty buffers.
    pub const fn new() -> Self {
        const {
            assert!(IN > 0, "room for one datagram that came, at least");
        }
        Self {
            meta_in: [PacketMetadata::EMPTY; IN],
            meta_out: [PacketMetadata::EMPTY],
            bytes_in: [[0; MAX_PACKET]; IN],
            bytes_out: [0; MAX_PACKET],
        }
    }

    /// A socket on these buffers, to be bound.
    pub fn socket<'b>(&'b mut self, stack: Stack<'b>) -> UdpSocket<'b> {
        UdpSocket::new(
            stack,
            &mut self.meta_in,
            self.bytes_in.as_flattened_mut(),
            &mut self.meta_out,
            &mut self.bytes_out,
        )
    }
}

impl<const IN: usize> Default for Buffers<IN> {
    fn default() -> Self {
        Self::new()
    }
}

/// embassy's socket as a node sees it. What it has not got now wakes the driver when it has.
struct Socket<'a, 'b, 'c> {
    socket: &'a mut UdpSocket<'b>,
    context: &'a mut Context<'c>,
}

impl Datagrams for Socket<'_, '_, '_> {
    fn receive(&mut self, into: &mut [u8]) -> Option<(SocketAddr, usize)> {
        loop {
            match self.socket.poll_recv_from(into, self.context) {
                Poll::Ready(Ok((len, meta))) => return Some((meta.endpoint.into(), len)),
                Poll::Ready(Err(RecvError::Truncated)) => {}
                Poll::Pending => return None,
            }
        }
    }

    fn has_room(&mut self) -> bool {
        self.socket.poll_send_ready(self.context).is_ready()
    }

    fn send(&mut self, to: SocketAddr, datagram: &[u8]) {
        #[cfg(not(feature = "ipv6"))]
        let SocketAddr::V4(to) = to else { return };
        // An address that nothing can be sent to loses it.
        let _ = self
            .socket
            .poll_send_to(datagram, IpEndpoint::from(to), self.context);
    }

    fn drop_unsent(&mut self) {
        // The one way to empty it. What came is dropped too, and comes again.
        let endpoint = self.socket.endpoint();
        self.socket.close();
        // It was bound to this very endpoint.
        let _ = self.socket.bind(endpoint);
    }
}
