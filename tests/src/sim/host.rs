//! A host: an engine with its driver, its socket, its clock, its keep and its application.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::time::Duration;

use raet_core::RemoteId;
use raet_core::config::Config;
use raet_core::crypto::Secrets;
use raet_core::error::SetupError;
use raet_core::keep::{MemoryKeep, Place};
use raet_core::road::RemoteInfo;
use raet_core::time::Instant;

use super::attack::Datagram;
use super::engine::{Meter, Metered, Setup};
use super::plan::{HostPlan, Incident, Plan};
use super::scene::{Rng, name};
use crate::suite::{Counts, Seals};

/// A clock beside the world's: it began elsewhere, and runs at its own rate.
#[derive(Clone, std::marker::Copy, Debug)]
pub(super) struct Clock {
    offset: u64,
    fast: i64,
}

const MILLION: i128 = 1_000_000;

impl Clock {
    pub(super) fn new(offset: u64, fast: i64) -> Self {
        Self { offset, fast }
    }

    pub(super) fn read(self, world: u64) -> Instant {
        let run = i128::from(world) * (MILLION + i128::from(self.fast)) / MILLION;
        Instant::from_micros(self.offset + u64::try_from(run).unwrap_or(0))
    }

    /// The first moment of the world at which it shows `at`.
    pub(super) fn when(self, at: Instant) -> u64 {
        let run = i128::from(at.as_micros().saturating_sub(self.offset));
        let rate = MILLION + i128::from(self.fast);
        u64::try_from((run * MILLION + rate - 1) / rate).unwrap_or(u64::MAX)
    }
}

pub(super) struct Host {
    pub(super) plan: HostPlan,
    /// `None` while it is down.
    pub(super) engine: Option<Metered>,
    /// How often it was started.
    pub(super) life: u32,
    pub(super) clock: Clock,
    /// The latest time that its engine was told.
    pub(super) latest: Instant,
    pub(super) keep: MemoryKeep,
    /// When the last record of each place is stored: the next one comes after it.
    pub(super) storing: BTreeMap<Place, u64>,
    /// What is drawn without a generator comes from this.
    whim: u64,
    /// Records that are on their way to the keep.
    pub(super) unstored: u32,
    pub(super) socket: VecDeque<Datagram>,
    pub(super) stalled_until: u64,
    pub(super) blocked_until: u64,
    pub(super) deaf_until: u64,
    /// After so many more outputs of its engine it dies.
    pub(super) crash_after: Option<(u32, Incident)>,
    /// When it is to be looked at next.
    pub(super) wake: Option<u64>,
    /// How often in a row it was woken and left a deadline that had come.
    pub(super) left: u32,
    /// A second of the world, and how often in it it was woken and sent nothing.
    pub(super) quiet_wakes: (u64, u32),
    /// Outputs since its last input.
    pub(super) outputs: usize,
    /// It asks its remotes for signs of life now.
    pub(super) present: bool,
    pub(super) rng: Rng,
    pub(super) counts: Counts,
    /// Addresses where somebody is proven, or that its application had to do with in this life: it called
    /// them, sent there, or judged who is there. What goes there no stranger has drawn.
    pub(super) trusted: HashSet<SocketAddr>,
    /// Who its remotes are that had a session in this life.
    pub(super) allowed: HashMap<RemoteId, usize>,
    /// Its remotes that are proven.
    pub(super) proven: HashSet<RemoteId>,
    /// Remotes that its application has asked it to forget in this life.
    pub(super) asked: HashSet<RemoteId>,
}

impl Host {
    pub(super) fn new(plan: HostPlan, seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        Self {
            whim: rng.bits(),
            clock: Clock::new(0, 0),
            plan,
            engine: None,
            life: 0,
            latest: Instant::ZERO,
            keep: MemoryKeep::default(),
            storing: BTreeMap::new(),
            unstored: 0,
            socket: VecDeque::new(),
            stalled_until: 0,
            blocked_until: 0,
            deaf_until: 0,
            crash_after: None,
            wake: None,
            left: 0,
            quiet_wakes: (0, 0),
            outputs: 0,
            present: false,
            rng,
            counts: Counts::default(),
            trusted: HashSet::new(),
            allowed: HashMap::new(),
            proven: HashSet::new(),
            asked: HashSet::new(),
        }
    }

    /// Its configuration, that of its role's keys with it.
    fn config(&self, role: &'static str, mutable: bool) -> Config {
        let plan = &self.plan;
        let mut config = Config::new(name(plan.name), secrets(plan.role));
        config.role = name(role);
        config.main = plan.main;
        config.mutable = mutable;
        config.trust = plan.trust;
        config.head = plan.head;
        config.body = plan.body;
        config.presence = plan.presence;
        config.timers = plan.timers;
        config.window = plan.window;
        config.first_session = plan.first_session;
        config
    }

    /// It starts, with what its keep has.
    pub(super) fn start(
        &mut self,
        world: u64,
        role: &'static str,
        road: &Plan,
        seals: Seals,
        meter: Option<Meter>,
    ) -> Result<(), SetupError> {
        self.life += 1;
        self.clock = Clock::new(self.rng.bits() % (1 << 40), self.plan.fast);
        self.latest = self.clock.read(world);
        let setup = Setup {
            kind: self.plan.kind,
            real: road.real,
            limits: self.plan.limits,
            seed: self.rng.seed(),
            counts: self.counts.clone(),
            seals,
        };
        let config = self.config(role, road.mutable);
        let records = self.keep.records().collect();
        let now = self.latest;
        let engine = Metered::new(meter, || setup.make(now, config, records))?;
        // What its keep says of who is proven, and of whom a person has judged, holds in this life, too.
        let roles = engine.get().roles();
        let judged = |r: &RemoteInfo| roles.iter().any(|role| role.judged && role.name == r.role);
        let before = std::mem::take(&mut self.trusted);
        let remotes = engine.get().remotes().into_iter();
        let trusted = remotes.filter(|r| r.proven || judged(r) && before.contains(&r.address));
        self.trusted = trusted.map(|r| r.address).collect();
        self.engine = Some(engine);
        self.left = 0;
        self.present = self.plan.presence.is_some();
        Ok(())
    }

    /// It dies: what was on its way to the keep is lost.
    pub(super) fn crash(&mut self) {
        self.engine = None;
        self.crash_after = None;
        self.wake = None;
        self.socket.clear();
        self.storing.clear();
        self.allowed.clear();
        self.proven.clear();
        self.asked.clear();
        self.unstored = 0;
    }

    /// What its driver reads on its clock, sometimes a little less than before.
    pub(super) fn time(&mut self, world: u64, back: bool) -> Instant {
        let mut now = self.clock.read(world);
        // Not drawn from a generator: how often it is asked must not matter.
        let whim = Rng::new(world ^ self.whim).bits();
        if back && whim.is_multiple_of(8) {
            now = Instant::from_micros(now.as_micros().saturating_sub(whim % 5_000));
        }
        self.latest = self.latest.max(now);
        now
    }

    /// When a record that is handed out now will have been stored.
    pub(super) fn store_at(&mut self, world: u64, place: Place) -> u64 {
        // Drawn by what and when it is: the order in which records are polled must not matter.
        let mut hasher = DefaultHasher::new();
        (self.whim, world, &place).hash(&mut hasher);
        let due = world + hasher.finish() % (self.plan.store + 1);
        let last = self.storing.entry(place).or_insert(due);
        *last = due.max(*last);
        self.unstored += 1;
        *last
    }

    pub(super) fn is_stalled(&self, world: u64) -> bool {
        self.engine.is_none() || world < self.stalled_until
    }

    /// How many messages its application takes now.
    pub(super) fn hunger(&self, world: u64) -> usize {
        if world < self.deaf_until {
            0
        } else {
            self.plan.appetite.unwrap_or(usize::MAX)
        }
    }

    /// A deadline so far from now, by its own clock.
    pub(super) fn deadline(&self, after: u64) -> Instant {
        self.latest + Duration::from_micros(after)
    }
}

/// The long-term secrets of the role that host `n` owns.
pub fn secrets(n: usize) -> Secrets {
    super::scene::secrets(n as u8 + 1)
}
