//! What happened in a world, in order: a hash of all of it always, the lines only if asked for.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use raet_core::stats::Verdict;
use raet_core::wire::{Flags, Frame, Head, TransactionKind};

use super::plan::Fault;

/// One thing that happened.
#[derive(Clone, Debug)]
pub struct Line {
    /// When, in microseconds.
    pub at: u64,
    /// What.
    pub what: What,
}

/// What can happen.
#[derive(Clone, Debug)]
pub enum What {
    /// A host hands a datagram to the network.
    Sent {
        /// Who.
        from: usize,
        /// To whom; `None`: to nobody.
        to: Option<usize>,
        /// Its head.
        head: Option<Head>,
        /// Its bytes.
        len: usize,
        /// What goes wrong with it.
        faults: Vec<Fault>,
        /// How many copies arrive.
        copies: usize,
    },
    /// A datagram reaches a host.
    Arrived {
        /// When it had left.
        left: u64,
        /// Who sent it; `None`: an attacker.
        from: Option<usize>,
        /// Whom it reaches.
        to: usize,
        /// Its head, if it is a packet.
        head: Option<Head>,
        /// Its bytes.
        len: usize,
        /// What became of it; `None`: the host was down, or its socket full.
        verdict: Option<Verdict>,
    },
    /// An engine told its application something.
    Told {
        /// Whose.
        host: usize,
        /// What.
        text: String,
    },
    /// Something went wrong at a host, or somebody did something there.
    Note {
        /// Where.
        host: usize,
        /// What.
        text: String,
    },
}

/// All that happened.
pub struct Tape {
    names: Vec<&'static str>,
    on: bool,
    lines: Vec<Line>,
    /// One for each path and each host: what lies between two of them at one moment has no order.
    hashes: BTreeMap<(usize, usize), DefaultHasher>,
}

impl Tape {
    pub(super) fn new(names: Vec<&'static str>, on: bool) -> Self {
        Self {
            names,
            on,
            lines: Vec::new(),
            hashes: BTreeMap::new(),
        }
    }

    pub(super) fn line(&mut self, at: u64, what: impl FnOnce() -> What) {
        if self.on {
            let what = what();
            self.lines.push(Line { at, what });
        }
    }

    pub(super) fn hash_sent(&mut self, at: u64, from: usize, to: usize, bytes: &[u8]) {
        (at, bytes).hash(self.hashes.entry((from, to + 2)).or_default());
    }

    /// What an application was told, or, apart from that, took.
    pub(super) fn hash_told(&mut self, at: u64, host: usize, took: bool, what: &impl Hash) {
        let lane = usize::from(took);
        (at, what).hash(self.hashes.entry((host, lane)).or_default());
    }

    /// A hash of everything that was sent and told, and when.
    pub fn digest(&self) -> u64 {
        let mut all = DefaultHasher::new();
        for (whose, hasher) in &self.hashes {
            (whose, hasher.finish()).hash(&mut all);
        }
        all.finish()
    }

    /// What happened, in order; nothing if it was not asked for.
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// The names of the hosts.
    pub fn names(&self) -> &[&'static str] {
        &self.names
    }

    fn name(&self, host: Option<usize>) -> &'static str {
        host.and_then(|n| self.names.get(n).copied()).unwrap_or("?")
    }

    /// One line of text for one thing that happened.
    pub fn text(&self, line: &Line) -> String {
        let time = seconds(line.at);
        let way = |from, to| format!("{:>5} → {:<5}", self.name(from), self.name(to));
        match &line.what {
            What::Sent {
                from,
                to,
                head,
                len,
                faults,
                copies,
            } => {
                let way = way(Some(*from), *to);
                let faults: Vec<_> = faults.iter().map(|f| f.as_str()).collect();
                let fate = match (copies, faults.is_empty()) {
                    (0, true) => "  nobody is there".to_owned(),
                    (0, false) => format!("  ✗ {}", faults.join(", ")),
                    (_, true) => String::new(),
                    (_, false) => format!("  ({})", faults.join(", ")),
                };
                format!("{time:12.6}  {way}  {} {len} B{fate}", Said(*head))
            }
            What::Arrived {
                left,
                from,
                to,
                head,
                len,
                verdict,
            } => {
                let way = way(*from, Some(*to));
                let after = seconds(line.at - left) * 1e3;
                let verdict = match verdict {
                    Some(Verdict::Taken) => "taken".to_owned(),
                    Some(Verdict::Repeated) => "repeated".to_owned(),
                    Some(Verdict::Dropped(reason)) => format!("dropped: {}", reason.as_str()),
                    None => "not heard".to_owned(),
                };
                format!(
                    "{time:12.6}  {way}  {} {len} B  after {after:.1} ms: {verdict}",
                    Said(*head)
                )
            }
            What::Told { host, text } => {
                format!("{time:12.6}  {:>5} is told  {text}", self.name(Some(*host)))
            }
            What::Note { host, text } => {
                format!("{time:12.6}  {:>5} ──── {text}", self.name(Some(*host)))
            }
        }
    }
}

/// A head in a few words: what it says, of which transaction.
pub struct Said(pub Option<Head>);

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(head) = self.0 else {
            return f.write_str("no packet");
        };
        let what = format!("{:?} {:?}", head.transaction, head.packet).to_lowercase();
        match head.transaction {
            TransactionKind::Message if what == "message message" => f.write_str("message")?,
            _ => f.write_str(&what)?,
        }
        let whose = if head.flags.contains(Flags::CORRESPONDENT) {
            "their"
        } else {
            "own"
        };
        write!(
            f,
            " ({whose} si {} ti {}",
            head.session, head.transaction_id
        )?;
        if head.segments > 1 || head.segment > 0 {
            write!(f, " sn {}/{}", head.segment, head.segments)?;
        }
        for (flag, name) in [(Flags::AGAIN, " af"), (Flags::WAIT, " wf")] {
            if head.flags.contains(flag) {
                f.write_str(name)?;
            }
        }
        write!(f, ") {:x}→{:x}", head.source, head.destination)
    }
}

/// Microseconds as seconds.
pub(super) fn seconds(micros: u64) -> f64 {
    Duration::from_micros(micros).as_secs_f64()
}

pub(super) fn head(bytes: &[u8]) -> Option<Head> {
    Frame::parse(bytes).ok().map(|frame| frame.head)
}
