//! The engine with its keep in memory of a fixed size, driven over any datagram socket: all that the drivers have in common.

use core::net::SocketAddr;

use raet_core::RoadStack;
use raet_core::config::Config;
use raet_core::crypto::{Crypto, NaclSuite};
use raet_core::error::SetupError;
use raet_core::keep::Record;
use raet_core::storage::Storage;
use raet_core::time::{Duration, Instant};
use raet_core::wire::MAX_PACKET;

use crate::clock::Clock;
use crate::entropy::{Entropy, fresh};
use crate::keep::Keep;

/// A socket that datagrams come from and go to, without waiting for either.
///
/// The drivers of this crate bring theirs; another one needs no more than this.
pub trait Datagrams {
    /// Copies the next datagram to the start of `into`: where it came from and its length. One
    /// that is longer than `into` is left out.
    fn receive(&mut self, into: &mut [u8]) -> Option<(SocketAddr, usize)>;

    /// Whether a datagram of [`MAX_PACKET`] bytes would be taken now. A packet is made only then:
    /// a socket that is full piles up nothing.
    fn has_room(&mut self) -> bool;

    /// Takes a datagram. One that cannot be sent is lost, as on any network.
    fn send(&mut self, to: SocketAddr, datagram: &[u8]);

    /// Drops what it took and has not sent.
    fn drop_unsent(&mut self);
}

/// How long a socket may be full before what is in it is dropped. A network stack keeps a datagram
/// for whom it finds no neighbour, and all that lie behind it. The engine sends again what matters.
const STUCK: Duration = Duration::from_secs(1);

/// After a keep has failed.
const KEEP_RETRY: Duration = Duration::from_secs(1);

/// The place of an engine and of the one packet it works on: nearly all the RAM that a node takes.
///
/// Meant for a `static`, which a crate like `static_cell` lends out safely. The engine is built in
/// it and never moved.
///
/// ```
/// use raet_core::storage::Fixed;
/// use raet_embedded::Memory;
/// use static_cell::ConstStaticCell;
///
/// /// Two remotes, four messages each way, 8 KiB for their bodies.
/// type Sizes = Fixed<2, 4, 8192>;
///
/// static MEMORY: ConstStaticCell<Memory<Sizes>> = ConstStaticCell::new(Memory::new());
///
/// const { assert!(Memory::<Sizes>::RAM < 20 * 1024) };
/// ```
pub struct Memory<S: Storage, C: Crypto = NaclSuite> {
    engine: Place<RoadStack<S, C>>,
    packet: [u8; MAX_PACKET],
}

/// An `Option` whose `None` is zero in memory: as a `static` it takes no room in flash.
#[repr(u8)]
enum Place<T> {
    Empty = 0,
    Full(T),
}

impl<T> Place<T> {
    /// Fills one that is empty, so that no code is needed that drops what was there.
    fn fill(&mut self, value: T) -> &mut T {
        if let Self::Empty = self {
            *self = Self::Full(value);
            if let Self::Full(value) = self {
                return value;
            }
        }
        unreachable!("a node starts in an empty place only")
    }
}

impl<S: Storage, C: Crypto> Memory<S, C> {
    /// The bytes of RAM that it takes, known to the compiler: what a board has no room for need
    /// not build.
    pub const RAM: usize = size_of::<Self>();

    /// A place with nothing in it.
    pub const fn new() -> Self {
        Self {
            engine: Place::Empty,
            packet: [0; MAX_PACKET],
        }
    }

    /// Drops the engine that is in it, in its place.
    pub fn clear(&mut self) {
        self.engine = Place::Empty;
    }
}

impl<S: Storage, C: Crypto> Default for Memory<S, C> {
    fn default() -> Self {
        Self::new()
    }
}

/// An estate: an engine and its keep, in a [`Memory`].
pub struct Node<'m, S: Storage, K: Keep, C: Crypto = NaclSuite> {
    stack: &'m mut RoadStack<S, C>,
    packet: &'m mut [u8; MAX_PACKET],
    keep: K,
    /// A record that the keep has not taken, and when it is to be tried again.
    unstored: Option<(Record, Instant)>,
    keep_error: Option<K::Error>,
    /// Since when the socket has been full.
    full_since: Option<Instant>,
}

/// Why a node did not start.
#[derive(Debug)]
pub enum StartError<K, E> {
    /// There is no entropy.
    Entropy(E),
    /// What the source of entropy gave is not random: one byte over and over, or the same bytes
    /// twice.
    NotRandom,
    /// The keep cannot be read.
    Keep(K),
    /// The configuration contradicts itself, or the kept records do not fit it.
    Setup(SetupError),
    /// The memory holds an engine already, if only of a start that failed: [clear](Memory::clear) it.
    InUse,
}

impl<K: core::fmt::Debug, E: core::fmt::Debug> core::fmt::Display for StartError<K, E> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Entropy(error) => write!(f, "no entropy: {error:?}"),
            Self::NotRandom => f.write_str("the source of entropy repeats itself"),
            Self::Keep(error) => write!(f, "the keep cannot be read: {error:?}"),
            Self::Setup(error) => error.fmt(f),
            Self::InUse => f.write_str("the memory holds an engine already: clear it first"),
        }
    }
}

impl<K: core::fmt::Debug, E: core::fmt::Debug> core::error::Error for StartError<K, E> {}

impl<'m, S: Storage, K: Keep> Node<'m, S, K> {
    /// Starts an estate that goes on from what its keep has.
    ///
    /// # Errors
    ///
    /// Without fresh entropy, when the keep cannot be read, or when the configuration is wrong: no
    /// node is better than one that gives its keys away. When there is an engine in `memory` already.
    pub fn start<E: Entropy>(
        memory: &'m mut Memory<S>,
        now: Instant,
        config: Config,
        keep: K,
        entropy: E,
    ) -> Result<Self, StartError<K::Error, E::Error>> {
        Self::start_with(memory, now, config, keep, entropy, NaclSuite::new)
    }
}

impl<'m, S: Storage, K: Keep, C: Crypto> Node<'m, S, K, C> {
    /// [`start`](Node::start) with a suite of one's own, made from the fresh seed.
    ///
    /// # Errors
    ///
    /// As for `start`.
    pub fn start_with<E: Entropy>(
        memory: &'m mut Memory<S, C>,
        now: Instant,
        config: Config,
        mut keep: K,
        mut entropy: E,
        suite: impl FnOnce(&[u8; 32]) -> C,
    ) -> Result<Self, StartError<K::Error, E::Error>> {
        if let Place::Full(_) = memory.engine {
            return Err(StartError::InUse);
        }
        let suite = suite(&*fresh(&mut entropy)?);
        let mut failed = None;
        let records = keep
            .records()
            .map_while(|record| record.map_err(|error| failed = Some(error)).ok());
        let Memory { engine, packet } = memory;
        let stack = RoadStack::new_in(
            |new| engine.fill(new),
            now,
            config,
            S::LIMITS,
            suite,
            records,
        );
        if let Some(error) = failed {
            return Err(StartError::Keep(error));
        }
        Ok(Self {
            stack: stack.map_err(StartError::Setup)?,
            packet,
            keep,
            unstored: None,
            keep_error: None,
            full_since: None,
        })
    }

    /// The engine: to connect, send, take messages, hear events. What that causes leaves with the
    /// next poll of the driver, so poll it after.
    pub fn engine(&mut self) -> &mut RoadStack<S, C> {
        self.stack
    }

    /// Why the keep did not take the newest record, as long as it does not. New sessions wait for it.
    pub fn keep_error(&self) -> Option<&K::Error> {
        self.keep_error.as_ref()
    }

    /// Takes in a datagram, does what is due, stores what is to be kept and sends a datagram.
    ///
    /// Returns when it wants to be called again, if nothing happens before. A moment that has
    /// passed: at once, after the network stack has had its turn.
    pub fn turn(&mut self, clock: &mut impl Clock, socket: &mut impl Datagrams) -> Instant {
        let came = self.receive(clock, socket);
        self.stack.handle_timeout(clock.now());
        let stored = self.store(clock);
        let sent = self.send(clock, socket);
        if came || sent == Some(Instant::ZERO) {
            return Instant::ZERO;
        }
        let due = self.stack.poll_timeout().map(|timeout| timeout.at);
        let due = [due, stored, sent].into_iter().flatten().min();
        due.unwrap_or(Instant::NEVER)
    }

    fn receive(&mut self, clock: &mut impl Clock, socket: &mut impl Datagrams) -> bool {
        let Some((from, len)) = socket.receive(self.packet) else {
            return false;
        };
        if let Some(datagram) = self.packet.get_mut(..len) {
            self.stack.handle_datagram(clock.now(), from, datagram);
        }
        true
    }

    /// When to try again: at once if a datagram was made, for there may be more.
    fn send(&mut self, clock: &mut impl Clock, socket: &mut impl Datagrams) -> Option<Instant> {
        if !socket.has_room() {
            let now = clock.now();
            let since = *self.full_since.get_or_insert(now);
            if now < since + STUCK {
                return Some(since + STUCK);
            }
            socket.drop_unsent();
        }
        self.full_since = None;
        let made = self.stack.poll_transmit(clock.now(), self.packet)?;
        if let Some(datagram) = self.packet.get(..made.len) {
            socket.send(made.to, datagram);
        }
        Some(Instant::ZERO)
    }

    /// Stores the records that wait; when to try again, if the keep fails.
    #[inline(never)] // its frame must not lie under the others' on a small stack
    fn store(&mut self, clock: &mut impl Clock) -> Option<Instant> {
        loop {
            let now = clock.now();
            let record = match self.unstored.take() {
                Some((record, at)) if at > now => {
                    self.unstored = Some((record, at));
                    return Some(at);
                }
                Some((record, _)) => record,
                None => self.stack.poll_record()?,
            };
            match self.keep.store(&record) {
                Ok(()) => {
                    self.keep_error = None;
                    self.stack.handle_stored(clock.now(), &record);
                }
                Err(error) => {
                    let at = now + KEEP_RETRY;
                    self.keep_error = Some(error);
                    self.unstored = Some((record, at));
                    return Some(at);
                }
            }
        }
    }
}
