//! What an estate is and how it behaves: chosen by the host, fixed for the life of an engine.

use crate::time::{Duration, Span};

use crate::crypto::Secrets;
use crate::wire::{BodyKind, CoatKind, FootKind, HeadKind, Name};

/// Who this estate is and how it treats others.
///
/// [`Config::new`] gives the defaults of the protocol; every field can be changed before the
/// engine is built. There is no `Debug`: it holds the long-term secrets.
pub struct Config {
    /// The estate's name, unique on its road.
    pub name: Name,
    /// The role whose keys it bears; its name unless set. Several estates may share one.
    pub role: Name,
    /// The long-term key pairs of the role.
    pub secrets: Secrets,
    /// Whether strangers may join here (road-transactions: Join).
    pub main: bool,
    /// A number for the application's own use, told to every peer.
    pub kind: u8,
    /// Whether what is known of a remote may change in a later join.
    pub mutable: bool,
    /// How keys that nobody has judged yet are treated.
    pub trust: Trust,
    /// The form of the heads that this estate sends; it reads both.
    pub head: HeadKind,
    /// The form of the bodies that the engine itself writes: [`BodyKind::Json`] or
    /// [`BodyKind::Msgpack`]. It reads both.
    pub body: BodyKind,
    /// Whether messages are encrypted. Only a test or a peer without keys wants `Nada`.
    pub coat: CoatKind,
    /// Whether packets are signed. Only a test or a peer without keys wants `Nada`.
    pub foot: FootKind,
    /// Take unsigned packets from joined remotes. Off: whoever can send a datagram could act for
    /// a peer that is set to foot kind nada (hardening: What it needs).
    pub accept_unsigned: bool,
    /// Take signed messages that are not encrypted (H6). Off by default.
    pub accept_uncoated: bool,
    /// Whether a finished join goes on to an allow.
    pub cascade: bool,
    /// Whether remotes are asked for a sign of life, and how often.
    pub presence: Option<Presence>,
    /// Time limits and intervals of the transactions.
    pub timers: Timers,
    /// Packets that may be on their way to one remote, unconfirmed. At least 2.
    pub window: u16,
    /// The lowest session id that this estate uses where no record says more. An estate that
    /// may lose its records does well to give the wall clock in seconds: its sessions then stay
    /// above what its peers remember.
    pub first_session: u32,
}

impl Config {
    /// An estate of this name and these keys, with the protocol's defaults.
    pub fn new(name: Name, secrets: Secrets) -> Self {
        Self {
            role: name.clone(),
            name,
            secrets,
            main: false,
            kind: 0,
            mutable: false,
            trust: Trust::Never,
            head: HeadKind::Native,
            body: BodyKind::Json,
            coat: CoatKind::Nacl,
            foot: FootKind::Nacl,
            accept_unsigned: false,
            accept_uncoated: false,
            cascade: true,
            presence: None,
            timers: Timers::default(),
            window: 64,
            first_session: 1,
        }
    }
}

impl Config {
    /// For a copy of an engine; see `Secrets::copy`.
    pub(crate) fn copy(&self) -> Self {
        Self {
            name: self.name.clone(),
            role: self.role.clone(),
            secrets: self.secrets.copy(),
            ..*self
        }
    }
}

/// What a join with keys that no person has judged gets (road-transactions: Acceptance).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Trust {
    /// A person decides: they stay pending until then.
    #[default]
    Never,
    /// The first keys of a role are accepted, others are not.
    Once,
    /// Any keys are accepted, changed ones too.
    Always,
}

/// Asking remotes for a sign of life (road-transactions: Presence).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Presence {
    /// How long a remote may be silent before it is asked. Default 1 s.
    pub period: Duration,
    /// How long a remote may be silent before a main estate no longer asks it; zero: for ever.
    /// Default one hour.
    pub interim: Duration,
}

impl Default for Presence {
    fn default() -> Self {
        Self {
            period: Duration::from_secs(1),
            interim: Duration::from_secs(3600),
        }
    }
}

/// How long a transaction waits and how often it asks again.
///
/// A redo interval starts at `redo_min` and doubles up to `redo_max`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pace {
    /// From the transaction's start to its end without an answer; zero: no limit.
    pub timeout: Duration,
    /// The first interval between two sendings of the same packet. Above zero.
    pub redo_min: Duration,
    /// The longest such interval. At least `redo_min`.
    pub redo_max: Duration,
}

impl Pace {
    const fn millis(timeout: u64, redo_min: u64, redo_max: u64) -> Self {
        Self {
            timeout: Duration::from_millis(timeout),
            redo_min: Duration::from_millis(redo_min),
            redo_max: Duration::from_millis(redo_max),
        }
    }

    /// An interval, within the limits of a redo.
    pub(crate) fn bound(&self, interval: Span) -> Span {
        interval
            .max(Span::new(self.redo_min))
            .min(Span::new(self.redo_max))
    }

    /// The interval after this one.
    pub(crate) fn doubled(&self, interval: Span) -> Span {
        self.bound(Span::from_micros(u64::from(interval.as_micros()) * 2))
    }
}

/// The pace of each transaction; defaults of the protocol (road-transactions: Timers).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Timers {
    /// A join begun here.
    pub joiner: Pace,
    /// A join begun by a peer. It repeats its response only when asked again (H9).
    pub joinent: Pace,
    /// How long a joiner that was told to wait does so before it asks again; so much later a join ends
    /// for which a person has to decide, on either side. Default 60 s.
    pub pend_redo: Duration,
    /// An allow begun here.
    pub allower: Pace,
    /// An allow begun by a peer.
    pub allowent: Pace,
    /// A sign of life asked for here.
    pub aliver: Pace,
    /// A message sent. Between its two redo limits the interval follows the round trip.
    pub messenger: Pace,
    /// A message received in segments: the intervals at which a silent sender is told what came.
    pub messengent: Pace,
    /// How long a message of which segments are missing may stay silent. Default 60 s (H9).
    pub partial: Duration,
    /// How long a claim of a new address may wait for its proof. Default 65 s (H4).
    pub candidate: Duration,
    /// Between two attempts to reach a remote that does not answer: first and longest. The
    /// `timeout` has no meaning here.
    pub retry: Pace,
}

impl Default for Timers {
    fn default() -> Self {
        Self {
            joiner: Pace::millis(5000, 1000, 4000),
            joinent: Pace::millis(5000, 100, 2000),
            pend_redo: Duration::from_secs(60),
            allower: Pace::millis(4000, 250, 1000),
            allowent: Pace::millis(4000, 250, 1000),
            aliver: Pace::millis(2000, 250, 1000),
            messenger: Pace::millis(0, 200, 500),
            messengent: Pace::millis(0, 200, 500),
            partial: Duration::from_secs(60),
            candidate: Duration::from_secs(65),
            retry: Pace::millis(0, 1000, 60_000),
        }
    }
}
