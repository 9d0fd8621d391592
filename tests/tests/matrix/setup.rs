//! What two estates are before they meet: which of them is main, which kinds they send, how long they wait.

use std::time::Duration;

use raet_core::config::{Config, Pace, Timers, Trust};
use raet_core::crypto::Secrets;
use raet_core::wire::{BodyKind, CoatKind, FootKind, HeadKind};
use raet_tests::sim::name;
use serde_json::{Value, json};

/// Against hanging only: nothing is measured by it.
pub(crate) const BOUND: Duration = Duration::from_secs(120);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Side {
    Rust,
    Python,
}

impl Side {
    pub(crate) const BOTH: [Self; 2] = [Self::Rust, Self::Python];

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Rust => "Rust",
            Self::Python => "Python",
        }
    }

    pub(crate) fn other(self) -> Self {
        match self {
            Self::Rust => Self::Python,
            Self::Python => Self::Rust,
        }
    }
}

/// Two estates that yet know nothing of each other.
pub(crate) struct Setup {
    /// Which of them is main. The other one begins.
    pub(crate) main: Side,
    pub(crate) ours: Config,
    /// What the peer's stack is started with.
    pub(crate) theirs: Value,
}

impl Setup {
    pub(crate) fn new(main: Side) -> Self {
        let mut ours = Config::new(name("rust"), Secrets::new(&[0x51; 32], &[0x52; 32]));
        ours.main = main == Side::Rust;
        ours.trust = Trust::Once;
        ours.mutable = true;
        ours.timers = timers();
        let theirs = json!({
            "name": "python", "main": main == Side::Python, "mutable": true, "auto": "once",
            "timeouts": short_timeouts(),
        });
        Self { main, ours, theirs }
    }

    /// Sets a field of the peer's start.
    pub(crate) fn peer(mut self, field: &str, value: impl Into<Value>) -> Self {
        self.theirs[field] = value.into();
        self
    }

    /// No transaction is given up while a busy machine is slow: what would be done then instead, is a
    /// join where the cell wants none.
    pub(crate) fn patient(mut self) -> Self {
        be_patient(&mut self.ours.timers, BOUND);
        for (class, limit) in PATIENT {
            self.theirs["timeouts"][class]["Timeout"] = limit.into();
        }
        self
    }

    /// What each side sends, and is told to take. A message is answered in its own kinds, so a side must
    /// take what it sends itself, too.
    pub(crate) fn kinds(mut self, ours: Kinds, theirs: Kinds) -> Self {
        self.ours.head = ours.head;
        self.ours.body = ours.body;
        self.ours.coat = ours.coat;
        self.ours.foot = ours.foot;
        for (field, word) in ["hk", "bk", "ck", "fk"].into_iter().zip(theirs.words()) {
            self.theirs[field] = match word {
                "native" => "raet".into(),
                word => word.into(),
            };
        }
        let both = [ours, theirs];
        self.ours.accept_uncoated = both.iter().any(|kinds| kinds.coat == CoatKind::Nada);
        self.ours.accept_unsigned = both.iter().any(|kinds| kinds.foot == FootKind::Nada);
        let signed = !self.ours.accept_unsigned;
        self.peer("veritive", signed)
    }
}

/// The long waits of a deployment, made short: the peer's.
pub(crate) fn short_timeouts() -> Value {
    json!({
        "Joiner": {"RedoTimeoutMin": 0.2, "RedoTimeoutMax": 0.4, "PendRedoTimeout": 0.1},
        "Joinent": {"PendRedoTimeout": 0.1},
        "Messenger": {"RedoTimeoutMin": 0.05, "RedoTimeoutMax": 0.2},
        "Messengent": {"RedoTimeoutMin": 0.05, "RedoTimeoutMax": 0.2},
    })
}

/// The peer's allows with limits, in seconds, that only hanging reaches.
pub(crate) const PATIENT: [(&str, f64); 2] = [("Allower", 120.0), ("Allowent", 120.0)];

/// Has no transaction of ours give up earlier.
pub(crate) fn be_patient(timers: &mut Timers, limit: Duration) {
    let Timers {
        joiner,
        joinent,
        allower,
        allowent,
        aliver,
        ..
    } = timers;
    for pace in [joiner, joinent, allower, allowent, aliver] {
        pace.timeout = limit;
    }
}

/// The long waits of a deployment, made short: ours.
pub(crate) fn timers() -> Timers {
    let pace = |timeout, min, max| Pace {
        timeout: Duration::from_millis(timeout),
        redo_min: Duration::from_millis(min),
        redo_max: Duration::from_millis(max),
    };
    Timers {
        joiner: pace(5000, 200, 400),
        messenger: pace(0, 50, 200),
        messengent: pace(0, 50, 200),
        pend_redo: Duration::from_millis(100),
        retry: pace(0, 100, 1000),
        ..Timers::default()
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Kinds {
    pub(crate) head: HeadKind,
    pub(crate) body: BodyKind,
    pub(crate) coat: CoatKind,
    pub(crate) foot: FootKind,
}

impl Kinds {
    /// All that both sides can send.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        (0..16).map(|n: u8| Self {
            head: [HeadKind::Native, HeadKind::Json][usize::from(n >> 3 & 1)],
            body: [BodyKind::Json, BodyKind::Msgpack][usize::from(n >> 2 & 1)],
            coat: [CoatKind::Nacl, CoatKind::Nada][usize::from(n >> 1 & 1)],
            foot: [FootKind::Nacl, FootKind::Nada][usize::from(n & 1)],
        })
    }

    /// Head, body, coat and foot in the protocol's words.
    pub(crate) fn words(self) -> [&'static str; 4] {
        let head = match self.head {
            HeadKind::Native => "native",
            HeadKind::Json => "json",
        };
        let coat = if self.coat == CoatKind::Nacl {
            "nacl"
        } else {
            "nada"
        };
        let foot = if self.foot == FootKind::Nacl {
            "nacl"
        } else {
            "nada"
        };
        [head, body_word(self.body), coat, foot]
    }
}

fn body_word(body: BodyKind) -> &'static str {
    match body {
        BodyKind::Msgpack => "msgpack",
        _ => "json",
    }
}
