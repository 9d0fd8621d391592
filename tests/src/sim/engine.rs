//! Engines of any storage and suite behind one face, so that a simulation can mix them, with what
//! each allocates counted.

use std::net::SocketAddr;

use raet_core::config::{Config, Presence};
use raet_core::crypto::{Crypto, NaclSuite, PublicKeys};
use raet_core::error::{ConnectError, Gone, JudgeError, SendError, SetupError};
use raet_core::event::Event;
use raet_core::keep::{Record, Status};
use raet_core::limits::Limits;
use raet_core::road::{RemoteInfo, RoleInfo, Timeout};
use raet_core::stats::{Stats, Verdict};
use raet_core::storage::{Fixed, Heap, Storage};
use raet_core::time::Instant;
use raet_core::{MessageId, RemoteId, RoadStack, SendOptions, Transmit};

use crate::suite::{Counting, Counts, Seals, Weak};

/// A message that an application has taken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Taken {
    /// The remote that it came from.
    pub remote: RemoteId,
    /// The name of the estate that sent it.
    pub name: String,
    /// Its body.
    pub body: Vec<u8>,
}

/// What a [`RoadStack`] does, whatever it is made of. Each method is the stack's of the same name.
#[allow(
    missing_docs,
    clippy::missing_errors_doc,
    reason = "said at the stack's own methods"
)]
pub trait Engine {
    fn handle_datagram(&mut self, now: Instant, from: SocketAddr, bytes: &mut [u8]) -> Verdict;
    fn handle_timeout(&mut self, now: Instant);
    fn handle_stored(&mut self, now: Instant, record: &Record);
    fn poll_record(&mut self) -> Option<Record>;
    fn poll_event(&mut self) -> Option<Event>;
    fn poll_message(&mut self) -> Option<Taken>;
    fn poll_transmit(&mut self, now: Instant, out: &mut [u8]) -> Option<Transmit>;
    fn poll_timeout(&self) -> Option<Timeout>;
    fn connect(
        &mut self,
        now: Instant,
        to: SocketAddr,
        token: u64,
    ) -> Result<RemoteId, ConnectError>;
    fn join(&mut self, now: Instant, remote: RemoteId) -> Result<(), Gone>;
    fn allow(&mut self, now: Instant, remote: RemoteId) -> Result<(), Gone>;
    fn alive(&mut self, now: Instant, remote: RemoteId) -> Result<(), Gone>;
    fn forget(&mut self, now: Instant, remote: RemoteId) -> Result<(), Gone>;
    fn send(
        &mut self,
        now: Instant,
        to: RemoteId,
        options: SendOptions,
        body: &[u8],
    ) -> Result<MessageId, SendError>;
    fn cancel(&mut self, now: Instant, message: MessageId) -> Result<(), Gone>;
    fn forget_role(&mut self, now: Instant, role: &str) -> Result<(), JudgeError>;
    fn judge_role(
        &mut self,
        now: Instant,
        role: &str,
        status: Status,
        keys: Option<&PublicKeys>,
    ) -> Result<(), JudgeError>;
    fn set_presence(&mut self, now: Instant, presence: Option<Presence>);
    fn remotes(&self) -> Vec<RemoteInfo>;
    fn remote(&self, remote: RemoteId) -> Option<RemoteInfo>;
    fn find(&self, name: &str) -> Option<RemoteId>;
    fn roles(&self) -> Vec<RoleInfo>;
    fn messages_waiting(&self) -> usize;
    fn stats(&self) -> &Stats;
    /// Whether a remote at this address has proven its keys.
    fn proven_at(&self, address: SocketAddr) -> bool;
    /// Whether its application has messages for a remote at this address.
    fn has_messages_for(&self, address: SocketAddr) -> bool;
    /// The most bytes that it may ever hold, itself included, by its limits.
    fn worst_bytes(&self) -> usize;
}

impl<S: Storage, C: Crypto> Engine for RoadStack<S, C> {
    fn handle_datagram(&mut self, now: Instant, from: SocketAddr, bytes: &mut [u8]) -> Verdict {
        self.handle_datagram(now, from, bytes)
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.handle_timeout(now);
    }

    fn handle_stored(&mut self, now: Instant, record: &Record) {
        self.handle_stored(now, record);
    }

    fn poll_record(&mut self) -> Option<Record> {
        self.poll_record()
    }

    fn poll_event(&mut self) -> Option<Event> {
        self.poll_event()
    }

    fn poll_message(&mut self) -> Option<Taken> {
        self.poll_message(|message| Taken {
            remote: message.remote,
            name: message.name.to_owned(),
            body: message.body.to_vec(),
        })
    }

    fn poll_transmit(&mut self, now: Instant, out: &mut [u8]) -> Option<Transmit> {
        self.poll_transmit(now, out)
    }

    fn poll_timeout(&self) -> Option<Timeout> {
        self.poll_timeout()
    }

    fn connect(
        &mut self,
        now: Instant,
        to: SocketAddr,
        token: u64,
    ) -> Result<RemoteId, ConnectError> {
        self.connect(now, to, token)
    }

    fn join(&mut self, now: Instant, remote: RemoteId) -> Result<(), Gone> {
        self.join(now, remote)
    }

    fn allow(&mut self, now: Instant, remote: RemoteId) -> Result<(), Gone> {
        self.allow(now, remote)
    }

    fn alive(&mut self, now: Instant, remote: RemoteId) -> Result<(), Gone> {
        self.alive(now, remote)
    }

    fn forget(&mut self, now: Instant, remote: RemoteId) -> Result<(), Gone> {
        self.forget(now, remote)
    }

    fn send(
        &mut self,
        now: Instant,
        to: RemoteId,
        options: SendOptions,
        body: &[u8],
    ) -> Result<MessageId, SendError> {
        self.send(now, to, options, body.len(), |room| {
            room.copy_from_slice(body);
        })
    }

    fn cancel(&mut self, now: Instant, message: MessageId) -> Result<(), Gone> {
        self.cancel(now, message)
    }

    fn forget_role(&mut self, now: Instant, role: &str) -> Result<(), JudgeError> {
        self.forget_role(now, role)
    }
    fn judge_role(
        &mut self,
        now: Instant,
        role: &str,
        status: Status,
        keys: Option<&PublicKeys>,
    ) -> Result<(), JudgeError> {
        self.judge_role(now, role, status, keys)
    }

    fn set_presence(&mut self, now: Instant, presence: Option<Presence>) {
        self.set_presence(now, presence);
    }

    fn remotes(&self) -> Vec<RemoteInfo> {
        self.remotes().collect()
    }

    fn remote(&self, remote: RemoteId) -> Option<RemoteInfo> {
        self.remote(remote)
    }

    fn find(&self, name: &str) -> Option<RemoteId> {
        self.find(name)
    }

    fn roles(&self) -> Vec<RoleInfo> {
        self.roles().collect()
    }

    fn messages_waiting(&self) -> usize {
        self.messages_waiting()
    }

    fn stats(&self) -> &Stats {
        self.stats()
    }

    fn proven_at(&self, address: SocketAddr) -> bool {
        self.remotes().any(|r| r.proven && r.address == address)
    }

    fn has_messages_for(&self, address: SocketAddr) -> bool {
        self.remotes()
            .any(|r| r.queued + r.open > 0 && r.address == address)
    }

    fn worst_bytes(&self) -> usize {
        Self::worst_bytes(self.limits())
    }
}

/// What holds an engine's records.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// [`Heap`].
    Heap,
    /// [`Fixed`], as small as an embedded estate.
    Small,
    /// [`Fixed`], with room to spare.
    Roomy,
}

/// Storage of kind [`Kind::Small`].
pub type Small = Fixed<8, 16, 32_768>;
/// Storage of kind [`Kind::Roomy`].
pub type Roomy = Fixed<16, 64, 131_072>;

impl Kind {
    /// The limits that this storage has unless it is given others, and can have at most; those of
    /// `Heap` as low as `Roomy`'s.
    pub const fn limits(self) -> Limits {
        match self {
            Self::Small => Small::LIMITS,
            Self::Heap | Self::Roomy => Roomy::LIMITS,
        }
    }
}

/// By how many bytes the allocations of a thread grew while something ran.
#[derive(Clone, Copy, Default, Debug)]
pub struct Growth {
    /// At its end.
    pub held: i64,
    /// At most.
    pub peak: u64,
}

/// Runs what it is given and tells by how much the allocations of this thread grew meanwhile.
/// Whoever gives one must have a global allocator that counts.
pub type Meter = fn(&mut dyn FnMut()) -> Growth;

/// What an engine needs beside its configuration.
pub struct Setup {
    /// What holds its records.
    pub kind: Kind,
    /// Curves rather than hashes.
    pub real: bool,
    /// Its limits.
    pub limits: Limits,
    /// What its randomness comes from.
    pub seed: [u8; 32],
    /// What its suite is asked for.
    pub counts: Counts,
    /// What its suite has sealed.
    pub seals: Seals,
}

impl Setup {
    /// Makes the engine.
    ///
    /// # Errors
    ///
    /// As [`RoadStack::new`].
    pub fn make(
        self,
        now: Instant,
        config: Config,
        records: Vec<Record>,
    ) -> Result<Box<dyn Engine>, SetupError> {
        if self.real {
            let suite = NaclSuite::new(&self.seed);
            let suite = Counting::recording(suite, self.counts, self.seals);
            make(self.kind, now, config, self.limits, suite, records)
        } else {
            let suite = Weak::new(&self.seed);
            let suite = Counting::recording(suite, self.counts, self.seals);
            make(self.kind, now, config, self.limits, suite, records)
        }
    }
}

fn make<C: Crypto + 'static>(
    kind: Kind,
    now: Instant,
    config: Config,
    limits: Limits,
    suite: C,
    records: Vec<Record>,
) -> Result<Box<dyn Engine>, SetupError> {
    Ok(match kind {
        Kind::Heap => Box::new(RoadStack::<Heap, C>::new(
            now, config, limits, suite, records,
        )?),
        Kind::Small => Box::new(RoadStack::<Small, C>::new(
            now, config, limits, suite, records,
        )?),
        Kind::Roomy => Box::new(RoadStack::<Roomy, C>::new(
            now, config, limits, suite, records,
        )?),
    })
}

/// An engine with a count of the bytes that it holds.
pub struct Metered {
    engine: Box<dyn Engine>,
    meter: Option<Meter>,
    /// Bytes that it has allocated and not given back, itself included.
    held: i64,
    /// The most that these ever were, within a call too.
    peak: i64,
}

impl Metered {
    /// Makes an engine, counted from the start.
    ///
    /// # Errors
    ///
    /// As [`Setup::make`].
    pub fn new(
        meter: Option<Meter>,
        make: impl FnOnce() -> Result<Box<dyn Engine>, SetupError>,
    ) -> Result<Self, SetupError> {
        let (Growth { held, .. }, engine) = metered(meter, make);
        Ok(Self {
            engine: engine?,
            meter,
            held,
            peak: held,
        })
    }

    /// Looks at it.
    pub fn get(&self) -> &dyn Engine {
        &*self.engine
    }

    /// Lets it do something whose result holds no memory.
    pub fn call<R>(&mut self, what: impl FnOnce(&mut dyn Engine) -> R) -> R {
        let engine = &mut *self.engine;
        let (grown, result) = metered(self.meter, || what(engine));
        let peak = self.held.saturating_add_unsigned(grown.peak);
        self.peak = self.peak.max(peak);
        self.held += grown.held;
        result
    }

    /// The next message. What is copied for the application is not the engine's.
    pub fn poll_message(&mut self) -> Option<Taken> {
        let engine = &mut *self.engine;
        let (grown, taken) = metered(self.meter, || engine.poll_message());
        self.held += grown.held;
        let taken = taken?;
        if self.meter.is_some() {
            let copied = taken.name.capacity() + taken.body.capacity();
            self.held -= i64::try_from(copied).unwrap_or(i64::MAX);
        }
        Some(taken)
    }

    /// Bytes that it holds; 0 if they are not counted.
    pub fn held(&self) -> i64 {
        self.held
    }

    /// The most bytes that it ever held, within a call too; 0 if they are not counted.
    pub fn peak(&self) -> i64 {
        self.peak.max(self.held)
    }
}

fn metered<R>(meter: Option<Meter>, what: impl FnOnce() -> R) -> (Growth, R) {
    let Some(meter) = meter else {
        return (Growth::default(), what());
    };
    let (mut what, mut result) = (Some(what), None);
    let grown = meter(&mut || result = what.take().map(|what| what()));
    (grown, result.expect("a meter runs what it is given"))
}
