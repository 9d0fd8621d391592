//! Opening a road: who the estate is, where it listens, what it may hold.

use std::fmt;
use std::io;
use std::net::{Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use raet_core::config::{Config, Trust};
use raet_core::crypto::{NaclSuite, Secrets};
use raet_core::error::SetupError;
use raet_core::keep::Record;
use raet_core::limits::Limits;
use raet_core::storage::{Heap, Storage};
use raet_core::wire::{DEFAULT_PORT, name};
use raet_core::{RoadStack, time};

use crate::engine::Shared;
use crate::error::OpenError;
use crate::keep::{Identity, Keep, Kept, writer};
use crate::road::Road;
use crate::socket::Socket;
use crate::trace::{Trace, Tracer};

type Tune = Box<dyn FnOnce(&mut Config) + Send>;

/// An estate about to be opened; made by [`Road::builder`].
#[must_use = "nothing is opened yet"]
pub struct RoadBuilder {
    name: String,
    role: Option<String>,
    bind: SocketAddr,
    secrets: Option<Secrets>,
    tune: Vec<Tune>,
    limits: Limits,
    keep: Option<Box<dyn Keep>>,
    trace: Option<Tracer>,
}

impl RoadBuilder {
    pub(crate) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            role: None,
            bind: SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), DEFAULT_PORT),
            secrets: None,
            tune: Vec::new(),
            limits: Heap::LIMITS,
            keep: None,
            trace: None,
        }
    }

    /// The role whose keys the estate bears; its name unless set.
    pub fn role(mut self, role: &str) -> Self {
        self.role = Some(role.to_owned());
        self
    }

    /// The address to listen at. `[::]`, the default, is all addresses of both families, `0.0.0.0`
    /// all of IPv4; port 0 is any free one, and the default is the protocol's 7530.
    pub fn bind(mut self, address: impl Into<SocketAddr>) -> Self {
        self.bind = address.into();
        self
    }

    /// The long-term secrets of the role. Without them the estate gets new ones, and peers that
    /// keep its old ones reject it.
    pub fn secrets(mut self, secrets: Secrets) -> Self {
        self.secrets = Some(secrets);
        self
    }

    /// Whether strangers may join here. Off by default.
    pub fn main(self, main: bool) -> Self {
        self.configure(move |config| config.main = main)
    }

    /// How keys that nobody has judged yet are treated. [`Trust::Never`] by default: they wait for
    /// [`Road::accept`].
    pub fn trust(self, trust: Trust) -> Self {
        self.configure(move |config| config.trust = trust)
    }

    /// Changes anything else about how the estate behaves.
    pub fn configure(mut self, tune: impl FnOnce(&mut Config) + Send + 'static) -> Self {
        self.tune.push(Box::new(tune));
        self
    }

    /// How much the road may hold; by default the limits of [`Heap`].
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Takes messages of up to `bytes`, both ways, and makes the shared budgets large enough for
    /// several of them.
    pub fn largest_message(mut self, bytes: usize) -> Self {
        let limits = &mut self.limits;
        limits.message = bytes;
        let few = Limits::budget(bytes).saturating_mul(4);
        limits.outbox_bytes = limits.outbox_bytes.max(few);
        limits.inbox_bytes = limits.inbox_bytes.max(few);
        limits.remote_inbox_bytes = limits.remote_inbox_bytes.max(Limits::budget(bytes) * 2);
        self
    }

    /// Where to store what must survive a restart. An estate that it holds already wins over the
    /// name, role, secrets and address given here.
    pub fn keep(mut self, keep: impl Keep + 'static) -> Self {
        self.keep = Some(Box::new(keep));
        self
    }

    /// Hands every datagram that comes or goes to `trace`, with what became of it: to find out why
    /// a peer is not heard. It is called by whichever thread moves the datagram, so it should be
    /// quick, and must not call the road.
    pub fn trace(mut self, trace: impl Fn(Trace) + Send + Sync + 'static) -> Self {
        self.trace = Some(Box::new(trace));
        self
    }

    /// Opens the road with a thread of its own as driver.
    ///
    /// # Errors
    ///
    /// See [`OpenError`].
    pub fn open(self) -> Result<Road, OpenError> {
        Road::open(self)
    }

    /// Opens the road with a task of the current tokio runtime as driver.
    ///
    /// # Errors
    ///
    /// See [`OpenError`].
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime that has I/O and time enabled.
    #[cfg(feature = "tokio")]
    pub fn open_tokio(self) -> Result<crate::tokio::Road, OpenError> {
        crate::tokio::Road::open(self)
    }

    /// Builds the engine and binds its socket; `wake` is how its driver is woken.
    pub(crate) fn build(
        mut self,
        wake: Box<dyn Fn() + Send + Sync>,
    ) -> Result<Arc<Shared>, OpenError> {
        let Kept { identity, records } = match &mut self.keep {
            Some(keep) => keep.load().map_err(OpenError::Keep)?,
            None => Kept::default(),
        };
        let fresh = identity.is_none();
        let mut identity = match identity {
            Some(kept) => kept,
            None => Identity {
                role: self.role.take().unwrap_or_else(|| self.name.clone()),
                name: self.name,
                address: self.bind,
                bind: self.bind,
                secrets: match self.secrets {
                    Some(secrets) => secrets,
                    None => Secrets::new(&random()?, &random()?),
                },
            },
        };
        let name = |text: &str| name(text).map_err(|_| OpenError::Setup(SetupError::Name));
        let (own_name, role) = (name(&identity.name)?, name(&identity.role)?);
        let socket = Socket::bind(identity.bind).map_err(|source| OpenError::Bind {
            address: identity.bind,
            source,
        })?;
        if fresh && let Some(keep) = &mut self.keep {
            identity.bind = socket.0.local;
            identity.address = socket.0.local;
            identity = keep.create(identity).map_err(OpenError::Keep)?;
        }
        let mut config = Config::new(own_name, identity.secrets);
        config.role = role;
        if !records
            .iter()
            .any(|record| matches!(record, Record::Estate(_)))
        {
            config.first_session = seconds();
        }
        for tune in self.tune {
            tune(&mut config);
        }
        let epoch = Instant::now();
        let mut stack = RoadStack::new(
            time::Instant::ZERO,
            config,
            self.limits,
            NaclSuite::new(&random()?),
            records,
        )
        .map_err(OpenError::Setup)?;
        let mut waiting = None;
        if let Some(keep) = &mut self.keep
            && let Some(record) = stack.poll_record()
        {
            // The first session ids are reserved before anybody asks for one.
            match keep.store(std::slice::from_ref(&record)) {
                Ok(()) => stack.handle_stored(time::Instant::ZERO, &record),
                Err(_) => waiting = Some(record),
            }
        }
        let verifier = NaclSuite::new(&random()?);
        let shared = Arc::new(Shared::new(
            stack,
            verifier,
            socket,
            self.keep.is_some(),
            self.trace,
            epoch,
            wake,
        ));
        if let Some(keep) = self.keep {
            if let Some(record) = waiting {
                shared.enter(|state| state.store(record));
            }
            writer::start(&shared, keep).map_err(OpenError::System)?;
        }
        Ok(shared)
    }
}

impl fmt::Debug for RoadBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RoadBuilder")
            .field("name", &self.name)
            .field("bind", &self.bind)
            .finish_non_exhaustive()
    }
}

fn random() -> Result<[u8; 32], OpenError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| OpenError::System(io::Error::other(error)))?;
    Ok(bytes)
}

/// The wall clock, above every session of an earlier life that was not kept.
fn seconds() -> u32 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u32::try_from(since.as_secs()).unwrap_or(1).max(1)
}
