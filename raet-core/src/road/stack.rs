//! The engine itself: what it holds, how it is built, and what a host asks of it.

use core::net::SocketAddr;

use super::bucket::Bucket;
use super::handshake::Handshake;
use super::path::plain;
use super::remote::Remote;
use super::roles::Role;
use super::transaction::messengent::Incoming;
use super::transaction::messenger::Outgoing;
use super::{
    ANSWERS, ENDED, NEWS, READY, RECORDS, REPLIES, ROLE_NEWS, ROLE_RECORDS, RemoteId, Reply,
    UNPROVEN,
};
use crate::config::{Config, Presence};
use crate::crypto::{Crypto, PublicKeys, Purpose};
use crate::error::{ConnectError, Gone, SetupError};
use crate::event::{Event, RemoteEvent};
use crate::keep::Record;
use crate::limits::{Limits, LimitsError};
use crate::stats::Stats;
use crate::storage::{Bodies, BodyLimits, Deadlines, Index, KeyHash, List, Slot, Storage, Table};
use crate::time::{Instant, Span};
use crate::wire::{BodyKind, HeadKind, NAME_MAX, Name, name};

pub(crate) type Remotes<S, C> = Table<Remote<C>, <S as Storage>::Remotes<Slot<Remote<C>, 4>>, 4>;
pub(crate) type Roles<S, C> = Table<Role<C>, <S as Storage>::Roles<Slot<Role<C>, 2>>, 2>;
pub(crate) type Handshakes<S, C> =
    Table<Handshake<C>, <S as Storage>::Remotes<Slot<Handshake<C>, 1>>, 1>;
pub(crate) type Outbox<S, C> = Table<Outgoing<C>, <S as Storage>::Outbox<Slot<Outgoing<C>, 2>>, 2>;
pub(crate) type Inbox<S> = Table<Incoming, <S as Storage>::Inbox<Slot<Incoming, 2>>, 2>;
pub(crate) type Replies<S> = Table<Reply, <S as Storage>::Replies<Slot<Reply, 1>>, 1>;
pub(crate) type DueRemotes<S> =
    Deadlines<<S as Storage>::Remotes<(Instant, u32)>, <S as Storage>::Remotes<u32>>;
pub(crate) type DueOut<S> =
    Deadlines<<S as Storage>::Outbox<(Instant, u32)>, <S as Storage>::Outbox<u32>>;
pub(crate) type DueIn<S> =
    Deadlines<<S as Storage>::Inbox<(Instant, u32)>, <S as Storage>::Inbox<u32>>;

/// The road engine of one estate. See the [crate documentation](crate) for how it is driven.
pub struct RoadStack<S: Storage, C: Crypto> {
    pub(crate) now: Instant,
    pub(crate) config: Config,
    pub(crate) limits: Limits,
    pub(crate) suite: C,
    pub(crate) sign_key: C::SignKey,
    pub(crate) box_secret: C::SecretKey,
    pub(crate) public: PublicKeys,
    pub(crate) life: [u8; 16],
    pub(crate) hash: S::Hash,
    pub(crate) stats: Stats,

    pub(crate) remotes: Remotes<S, C>,
    pub(crate) by_near: S::Index,
    pub(crate) by_name: S::Index,
    pub(crate) by_address: S::Index,
    /// Remotes with a candidate, by its address.
    pub(crate) by_candidate: S::Index,
    pub(crate) due_remotes: DueRemotes<S>,
    /// Remotes with a packet to make, taking turns.
    pub(crate) ready: List<READY>,
    /// Remotes with something to tell the host.
    pub(crate) news: List<NEWS>,
    /// Remotes whose record is to be written, those that are gone first.
    pub(crate) records: List<RECORDS>,
    /// Remotes that never proved their keys and that the host did not ask for, oldest first: who
    /// goes where there is no room.
    pub(crate) unproven: List<UNPROVEN>,
    pub(crate) births: u64,
    /// The name that a remote had before: the end of its record is to be handed out.
    pub(crate) former_name: Option<Name>,
    /// Places that remotes have in the keep: taken when a record is handed out, free again when the
    /// end of it is stored.
    pub(crate) kept_remotes: usize,
    /// And roles.
    pub(crate) kept_roles: usize,

    pub(crate) roles: Roles<S, C>,
    pub(crate) role_by_name: S::Index,
    pub(crate) role_records: List<ROLE_RECORDS>,
    pub(crate) role_news: List<ROLE_NEWS>,

    pub(crate) handshakes: Handshakes<S, C>,

    pub(crate) bodies: S::Bodies,
    pub(crate) outbox: Outbox<S, C>,
    pub(crate) outbox_bytes: usize,
    pub(crate) out_by_id: S::MessageIndex,
    pub(crate) due_out: DueOut<S>,
    /// Messages whose outcome the host has not polled.
    pub(crate) ended: List<ENDED>,
    pub(crate) inbox: Inbox<S>,
    pub(crate) inbox_bytes: usize,
    pub(crate) in_by_id: S::MessageIndex,
    pub(crate) due_in: DueIn<S>,
    /// Messages that the host has not taken.
    pub(crate) arrived: List<ANSWERS>,

    pub(crate) replies: Replies<S>,
    pub(crate) reply_queue: List<REPLIES>,
    /// Answers in it to who is no remote.
    pub(crate) stranger_replies: usize,

    /// The lowest session id that this life uses.
    pub(crate) first_session: u32,
    /// A stored record covers the ids up to here.
    pub(crate) sessions_stored: u32,
    /// A record asks for the ids up to here.
    pub(crate) sessions_asked: u32,
    pub(crate) estate_unrecorded: bool,
    /// Signatures that may fail from unproven addresses before they are limited (H15).
    pub(crate) forgeries: Bucket,
    /// Answers to strangers that claim to know us (H10).
    pub(crate) strangers: Bucket,
}

impl<S: Storage, C: Crypto> RoadStack<S, C> {
    /// An engine for the estate of `config`, going on from the records of an earlier life.
    ///
    /// `suite` must be made from a fresh seed: an engine that draws what an earlier one drew
    /// repeats its nonces.
    ///
    /// # Errors
    ///
    /// When the configuration, the limits or the records contradict themselves or each other.
    pub fn new(
        now: Instant,
        config: Config,
        limits: Limits,
        suite: C,
        records: impl IntoIterator<Item = Record>,
    ) -> Result<Self, SetupError> {
        let mut stack = Self::vacant(now, config, limits, suite)?;
        stack.resume(records)?;
        Ok(stack)
    }

    /// [`new`](Self::new) where `put` puts it: built there by an optimising compiler and not moved,
    /// so a small machine needs no second room for it on its stack.
    ///
    /// ```
    /// # use raet_core::{RoadStack, config::Config, crypto::*, storage::*, time::Instant, wire::name};
    /// type Sizes = Fixed<2, 4, 8192>;
    /// # let config = Config::new(name("node").unwrap(), Secrets::new(&[1; 32], &[2; 32]));
    /// # let suite = NaclSuite::new(&[3; 32]);
    /// let mut place = None;
    /// let engine = RoadStack::<Sizes, _>::new_in(
    ///     |new| place.insert(new),
    ///     Instant::ZERO, config, Sizes::LIMITS, suite, None,
    /// )?;
    /// assert!(engine.poll_timeout().is_none());
    /// # Ok::<(), raet_core::error::SetupError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for `new`. What was put then is of no use.
    pub fn new_in<'p>(
        put: impl FnOnce(Self) -> &'p mut Self,
        now: Instant,
        config: Config,
        limits: Limits,
        suite: C,
        records: impl IntoIterator<Item = Record>,
    ) -> Result<&'p mut Self, SetupError>
    where
        Self: 'p,
    {
        let stack = put(Self::vacant(now, config, limits, suite)?);
        stack.resume(records)?;
        Ok(stack)
    }

    /// An engine without a past.
    #[allow(
        clippy::inline_always,
        reason = "built in place only where the optimiser sees the place and all the parts"
    )]
    #[inline(always)]
    fn vacant(now: Instant, config: Config, limits: Limits, suite: C) -> Result<Self, SetupError> {
        check_config(&config)?;
        limits.check().map_err(SetupError::Limits)?;
        let messages = limits.outbox + limits.inbox;
        let body_limits = BodyLimits {
            total: limits.outbox_bytes.saturating_add(limits.inbox_bytes),
            largest: Limits::budget(limits.message),
            count: messages,
        };
        let full = |_| SetupError::Limits(LimitsError::Capacity);
        let mut hash_key = [0; 16];
        hash_key.copy_from_slice(&suite.draw(Purpose::HashKey)[..16]);
        let mut life = [0; 16];
        life.copy_from_slice(&suite.draw(Purpose::Life)[..16]);
        Ok(Self {
            now,
            sign_key: suite.sign_key(config.secrets.sign_seed()),
            box_secret: suite.secret_key(config.secrets.box_secret()),
            public: config.secrets.public_keys(&suite),
            life,
            hash: S::Hash::new(hash_key),
            stats: Stats::new(),
            remotes: Table::with_limit(limits.remotes).map_err(full)?,
            by_near: S::Index::with_limit(limits.remotes).map_err(full)?,
            by_name: S::Index::with_limit(limits.remotes).map_err(full)?,
            by_address: S::Index::with_limit(limits.remotes).map_err(full)?,
            by_candidate: S::Index::with_limit(limits.remotes).map_err(full)?,
            due_remotes: Deadlines::with_limit(limits.remotes).map_err(full)?,
            ready: List::new(),
            news: List::new(),
            records: List::new(),
            unproven: List::new(),
            births: 0,
            former_name: None,
            kept_remotes: 0,
            kept_roles: 0,
            roles: Table::with_limit(limits.roles).map_err(full)?,
            role_by_name: S::Index::with_limit(limits.roles).map_err(full)?,
            role_records: List::new(),
            role_news: List::new(),
            handshakes: Table::with_limit(limits.handshakes).map_err(full)?,
            bodies: S::Bodies::with_limits(body_limits).map_err(full)?,
            outbox: Table::with_limit(limits.outbox).map_err(full)?,
            outbox_bytes: 0,
            out_by_id: S::MessageIndex::with_limit(limits.outbox).map_err(full)?,
            due_out: Deadlines::with_limit(limits.outbox).map_err(full)?,
            ended: List::new(),
            inbox: Table::with_limit(limits.inbox).map_err(full)?,
            inbox_bytes: 0,
            in_by_id: S::MessageIndex::with_limit(limits.inbox).map_err(full)?,
            due_in: Deadlines::with_limit(limits.inbox).map_err(full)?,
            arrived: List::new(),
            replies: Table::with_limit(limits.replies).map_err(full)?,
            reply_queue: List::new(),
            stranger_replies: 0,
            first_session: config.first_session.max(1),
            sessions_stored: 0,
            sessions_asked: 0,
            estate_unrecorded: true,
            forgeries: Bucket::new(256, Span::from_micros(4_000)),
            strangers: Bucket::new(32, Span::from_micros(50_000)),
            config,
            limits,
            suite,
        })
    }

    /// Goes on from the records of an earlier life.
    fn resume(&mut self, records: impl IntoIterator<Item = Record>) -> Result<(), SetupError> {
        if !self.can_join() {
            return Err(SetupError::Name);
        }
        for record in records {
            self.restore(self.now, record)?;
        }
        self.begin_life();
        Ok(())
    }

    /// Whether a join of this estate is as short as it must be: response and nack are at most 3 x the
    /// shortest request (H9).
    fn can_join(&self) -> bool {
        self.longest_join() <= LONGEST_JOIN
    }

    /// Bytes of the longest join body of this estate.
    #[inline(never)] // its frame must not lie under the others' on a small stack
    pub(crate) fn longest_join(&self) -> usize {
        let body = self.own_body(core::num::NonZeroU32::new(u32::MAX));
        body.len(self.config.body)
    }

    // ---- getters ---------------------------------------------------------------------------

    /// What was counted so far.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// The bounds that this engine was built with.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// This estate's name.
    pub fn name(&self) -> &Name {
        &self.config.name
    }

    /// The role whose keys this estate bears.
    pub fn role(&self) -> &Name {
        &self.config.role
    }

    /// This estate's public keys, as its peers see them.
    pub fn public_keys(&self) -> PublicKeys {
        self.public
    }

    /// The most bytes that an engine with these limits ever holds, itself included. Under `Fixed`
    /// that is its size, whatever the limits.
    pub fn worst_bytes(limits: &Limits) -> usize {
        let index = |n| <S::Index as Index>::worst_bytes(n);
        let message_index = |n| <S::MessageIndex as Index>::worst_bytes(n);
        size_of::<Self>()
            + Remotes::<S, C>::worst_bytes(limits.remotes)
            + Roles::<S, C>::worst_bytes(limits.roles)
            + Handshakes::<S, C>::worst_bytes(limits.handshakes)
            + Outbox::<S, C>::worst_bytes(limits.outbox)
            + Inbox::<S>::worst_bytes(limits.inbox)
            + Replies::<S>::worst_bytes(limits.replies)
            + DueRemotes::<S>::worst_bytes(limits.remotes)
            + DueOut::<S>::worst_bytes(limits.outbox)
            + DueIn::<S>::worst_bytes(limits.inbox)
            + 4 * index(limits.remotes)
            + index(limits.roles)
            + message_index(limits.outbox)
            + message_index(limits.inbox)
            + S::Bodies::worst_bytes(BodyLimits {
                total: limits.outbox_bytes.saturating_add(limits.inbox_bytes),
                largest: Limits::budget(limits.message),
                count: limits.outbox + limits.inbox,
            })
    }

    /// The remote of this name.
    pub fn find(&self, name: &str) -> Option<RemoteId> {
        let slot = self.by_name(name)?;
        self.remotes.handle_of(slot).map(RemoteId)
    }

    // ---- commands --------------------------------------------------------------------------

    /// Makes a remote for the estate at `address`, or finds the one kept there, and sends nothing: for
    /// a host that begins each transaction itself, with [`join`](Self::join),
    /// [`allow`](Self::allow) and [`alive`](Self::alive). `token` comes back with every event of it.
    ///
    /// # Errors
    ///
    /// When there is no room for another remote, or nothing can be at that address.
    pub fn add_remote(
        &mut self,
        now: Instant,
        address: SocketAddr,
        token: u64,
    ) -> Result<RemoteId, ConnectError> {
        let now = self.clock(now);
        let address = plain(address);
        if address.ip().is_unspecified() || address.port() == 0 {
            return Err(ConnectError::Address);
        }
        let known = self
            .by_address(address, |r| r.proven)
            .or_else(|| self.by_address(address, |_| true));
        let slot = match known {
            Some(slot) => slot,
            None => self
                .insert_remote(now, address, None)
                .ok_or(ConnectError::Full)?,
        };
        if let Some(remote) = self.remotes.at_mut(slot) {
            remote.token = token;
            remote.told = true;
        }
        self.remotes.unlink(&mut self.unproven, slot); // no stranger displaces it
        self.remotes
            .handle_of(slot)
            .map(RemoteId)
            .ok_or(ConnectError::Full)
    }

    /// Reaches for the estate at `address`: the remote that is kept there, or a new one. It is
    /// joined and allowed, and tried again until that succeeds or it is forgotten. `token` comes
    /// back with every event of it.
    ///
    /// Who answers a new one may be a remote that is known already and has moved: then that one goes on
    /// in its place, as [`SameAs`](RemoteEvent::SameAs) tells.
    ///
    /// # Errors
    ///
    /// When there is no room for another remote, or nothing can be at that address.
    pub fn connect(
        &mut self,
        now: Instant,
        address: SocketAddr,
        token: u64,
    ) -> Result<RemoteId, ConnectError> {
        let remote = self.add_remote(now, address, token)?;
        let slot = remote.0.slot();
        if let Some(remote) = self.remotes.at_mut(slot) {
            remote.life.wanted = true;
        }
        self.pursue(self.now, slot);
        self.settle(slot);
        Ok(remote)
    }

    /// Begins a join. Nothing happens if one is open.
    ///
    /// # Errors
    ///
    /// When the remote is gone.
    pub fn join(&mut self, now: Instant, remote: RemoteId) -> Result<(), Gone> {
        let (now, slot) = (self.clock(now), self.slot(remote)?);
        self.start_join(now, slot);
        self.settle(slot);
        Ok(())
    }

    /// Begins an allow; a join first, if there was none. Nothing happens if either is open.
    ///
    /// # Errors
    ///
    /// When the remote is gone.
    pub fn allow(&mut self, now: Instant, remote: RemoteId) -> Result<(), Gone> {
        let (now, slot) = (self.clock(now), self.slot(remote)?);
        self.start_allow(now, slot);
        self.settle(slot);
        Ok(())
    }

    /// Asks for a sign of life; begins an allow or a join first, if there was none.
    ///
    /// # Errors
    ///
    /// When the remote is gone.
    pub fn alive(&mut self, now: Instant, remote: RemoteId) -> Result<(), Gone> {
        let (now, slot) = (self.clock(now), self.slot(remote)?);
        self.start_alive(now, slot);
        self.settle(slot);
        Ok(())
    }

    /// Forgets a remote, its session, and every message to and from it: those to it end as failed
    /// or unknown. Its role stays.
    ///
    /// # Errors
    ///
    /// When it is gone already.
    pub fn forget(&mut self, now: Instant, remote: RemoteId) -> Result<(), Gone> {
        let (now, slot) = (self.clock(now), self.slot(remote)?);
        self.remove_remote(now, slot);
        Ok(())
    }

    /// Sets the number that comes back with every event of the remote.
    ///
    /// # Errors
    ///
    /// When it is gone.
    pub fn set_token(&mut self, remote: RemoteId, token: u64) -> Result<(), Gone> {
        let slot = self.slot(remote)?;
        let remote = self.remotes.at_mut(slot).ok_or(Gone)?;
        remote.token = token;
        Ok(())
    }

    /// Asks remotes for a sign of life from now on, or no more. Walks over all remotes.
    pub fn set_presence(&mut self, now: Instant, presence: Option<Presence>) {
        let now = self.clock(now);
        self.config.presence = presence;
        for slot in 0..self.remotes.slots() {
            self.plan(now, slot);
            self.settle(slot);
        }
    }

    // ---- outputs ---------------------------------------------------------------------------

    /// The next thing to tell the host.
    pub fn poll_event(&mut self) -> Option<Event> {
        if let Some(event) = self.poll_role_news() {
            return Some(event);
        }
        while let Some(slot) = self.news.head() {
            let handle = self.remotes.handle_of(slot);
            let what = self.remotes.at_mut(slot).and_then(|remote| {
                let what = remote.news.take()?;
                remote.told = true;
                Some((remote.token, what))
            });
            if let (Some((token, what)), Some(handle)) = (what, handle) {
                return Some(Event::Remote {
                    remote: RemoteId(handle),
                    token,
                    what,
                });
            }
            self.remotes.unlink(&mut self.news, slot);
            self.release(slot);
        }
        self.poll_outcome()
    }

    // ---- shared by all rooms ---------------------------------------------------------------

    /// Takes in a moment. One that goes back counts as the last.
    #[inline(never)] // called from many places, and longer than a call
    pub(crate) fn clock(&mut self, now: Instant) -> Instant {
        self.now = self.now.max(now);
        self.now
    }

    pub(crate) fn slot(&self, remote: RemoteId) -> Result<u32, Gone> {
        match self.remotes.get(remote.0) {
            Some(held) if !held.gone => Ok(remote.0.slot()),
            _ => Err(Gone),
        }
    }

    pub(crate) fn tell(&mut self, slot: u32, event: RemoteEvent) {
        if let Some(remote) = self.remotes.at_mut(slot) {
            remote.news.add(event);
            if !self.remotes.is_linked::<NEWS>(slot) {
                self.remotes.push_back(&mut self.news, slot);
            }
        }
    }

    /// A body was taken from, or given back to, the budget of the outbox or the inbox.
    pub(crate) fn give_body(&mut self, id: super::BodyId) -> usize {
        let bytes = self.bodies.get(id).len();
        self.bodies.give(id);
        bytes
    }
}

/// Bytes that the body of a join of ours may have: a name and a role as long as names are, in JSON. With
/// many quotes or backslashes, which are escaped there, they must be shorter.
const LONGEST_JOIN: usize = 208 + 2 * NAME_MAX;

fn check_config(config: &Config) -> Result<(), SetupError> {
    if name(&config.name).is_err() || name(&config.role).is_err() {
        return Err(SetupError::Name);
    }
    if !matches!(config.body, BodyKind::Json | BodyKind::Msgpack) {
        return Err(SetupError::BodyKind);
    }
    if config.main && !cfg!(feature = "joinent")
        || config.head == HeadKind::Json && !cfg!(feature = "json-head")
        || config.body == BodyKind::Msgpack && !cfg!(feature = "msgpack")
    {
        return Err(SetupError::Feature);
    }
    let t = &config.timers;
    let paces = [
        &t.joiner,
        &t.joinent,
        &t.allower,
        &t.allowent,
        &t.aliver,
        &t.messenger,
        &t.messengent,
        &t.retry,
    ];
    if config.window < 2
        || paces
            .iter()
            .any(|p| p.redo_min.is_zero() || p.redo_min > p.redo_max)
    {
        return Err(SetupError::Pace);
    }
    Ok(())
}
