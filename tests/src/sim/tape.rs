//! What happened in a world, in order: a hash of all of it always, the lines only if asked for.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::time::Duration;

use raet_core::RemoteId;
use raet_core::stats::Verdict;
use raet_core::wire::{Flags, Frame, Head, TransactionKind};

use super::attack::{Datagram, Power, Source};
use super::plan::Fault;

/// Who has a part in it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Party {
    /// The host of this number.
    Host(usize),
    /// An attacker of this power.
    Attacker(Power),
    /// Whoever is at an address that nobody has.
    Nobody,
}

impl From<Source> for Party {
    fn from(source: Source) -> Self {
        match source {
            Source::Host(n) => Self::Host(n),
            Source::Attacker(power) => Self::Attacker(power),
        }
    }
}

/// What a datagram is.
#[derive(Clone, Copy, Debug)]
pub struct Packet {
    /// Its head when it left; `None`: it was no packet.
    pub head: Option<Head>,
    /// The weather has changed bytes of it since.
    pub damaged: bool,
}

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
        /// To whom.
        to: Party,
        /// Its head.
        head: Option<Head>,
        /// Its bytes.
        len: usize,
        /// What goes wrong with it.
        faults: Vec<Fault>,
        /// How many copies arrive.
        copies: usize,
        /// An attacker takes it off the path.
        stopped: bool,
    },
    /// A datagram reaches a host.
    Arrived {
        /// When it had left.
        left: u64,
        /// Who sent it.
        from: Party,
        /// Whom it reaches.
        to: usize,
        /// What it is.
        packet: Packet,
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
    /// An engine gives a record to its keep.
    Kept {
        /// Whose.
        host: usize,
        /// Which.
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
    /// What damaged datagrams were, by when they left, who sent them, and their bytes now.
    damaged: HashMap<(u64, usize, Vec<u8>), Option<Head>>,
    /// Whose the addresses are that are no host's.
    strangers: HashMap<SocketAddr, Power>,
    /// What the remotes of a life of a host are called.
    peers: HashMap<(usize, u32, RemoteId), String>,
    /// Of the longest name.
    width: usize,
}

impl Tape {
    pub(super) fn new(names: Vec<&'static str>, on: bool) -> Self {
        Self {
            width: names.iter().map(|name| name.len()).max().unwrap_or(0),
            names,
            on,
            lines: Vec::new(),
            hashes: BTreeMap::new(),
            damaged: HashMap::new(),
            strangers: HashMap::new(),
            peers: HashMap::new(),
        }
    }

    pub(super) fn line(&mut self, at: u64, what: impl FnOnce() -> What) {
        if self.on {
            let what = what();
            self.lines.push(Line { at, what });
        }
    }

    /// A copy of a datagram arrives otherwise than it left.
    pub(super) fn damages(&mut self, left: u64, from: usize, head: Option<Head>, bytes: &[u8]) {
        if self.on {
            self.damaged.insert((left, from, bytes.to_vec()), head);
        }
    }

    /// Whether it is written down for people.
    pub(super) fn is_on(&self) -> bool {
        self.on
    }

    /// What this datagram is, that arrives.
    pub(super) fn packet(&self, datagram: &Datagram) -> Packet {
        if !self.on {
            return Packet {
                head: None,
                damaged: false,
            };
        }
        let Datagram { left, bytes, .. } = datagram;
        let was = match datagram.source {
            Source::Host(n) => self.damaged.get(&(*left, n, bytes.clone())),
            Source::Attacker(_) => None,
        };
        Packet {
            head: was.copied().unwrap_or_else(|| head(bytes)),
            damaged: was.is_some(),
        }
    }

    /// An attacker sends from an address that is no host's.
    pub(super) fn stranger(&mut self, power: Power, address: SocketAddr) {
        if self.on {
            self.strangers.insert(address, power);
            self.width = self.width.max(power_name(power).len());
        }
    }

    /// Who is at an address, where this host is, if one is.
    pub(super) fn party(&self, host: Option<usize>, address: SocketAddr) -> Party {
        match (host, self.strangers.get(&address)) {
            (Some(host), _) => Party::Host(host),
            (None, Some(power)) => Party::Attacker(*power),
            (None, None) => Party::Nobody,
        }
    }

    /// A remote of this life of a host is called so.
    pub(super) fn call(&mut self, host: usize, life: u32, remote: RemoteId, name: String) {
        self.peers.insert((host, life, remote), name);
    }

    /// What a remote was called last, which may be gone.
    pub(super) fn called(&self, host: usize, life: u32, remote: RemoteId) -> &str {
        let name = self.peers.get(&(host, life, remote));
        name.map_or("somebody unknown", String::as_str)
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

    /// What people call a party.
    pub fn name(&self, party: Party) -> String {
        match party {
            Party::Host(n) => self.names.get(n).copied().unwrap_or_default().to_owned(),
            Party::Attacker(power) => power_name(power),
            Party::Nobody => "nobody".to_owned(),
        }
    }

    /// One line of text for one thing that happened.
    pub fn text(&self, line: &Line) -> String {
        let time = seconds(line.at);
        let width = self.width;
        let way = |from, to| {
            let (from, to) = (self.name(from), self.name(to));
            format!("{from:>width$} → {to:<width$}")
        };
        let at = |host| format!("{:>width$}", self.name(Party::Host(host)));
        match &line.what {
            What::Sent {
                from,
                to,
                head,
                len,
                ..
            } => {
                let way = way(Party::Host(*from), *to);
                let fate = match line.what.loss() {
                    Some(why) => format!("  ✗ {why}"),
                    None => line.what.mishaps(),
                };
                format!("{time:12.6}  {way}  {} {len} B{fate}", Said(*head))
            }
            What::Arrived {
                left,
                from,
                to,
                packet,
                len,
                verdict,
            } => {
                let way = way(*from, Party::Host(*to));
                let after = seconds(line.at - left) * 1e3;
                let verdict = match verdict {
                    Some(Verdict::Taken) => "taken".to_owned(),
                    Some(Verdict::Repeated) => "repeated".to_owned(),
                    Some(Verdict::Dropped(reason)) => format!("dropped: {}", reason.as_str()),
                    None => "not heard".to_owned(),
                };
                let damaged = if packet.damaged { "damaged " } else { "" };
                let said = Said(packet.head);
                format!(
                    "{time:12.6}  {way}  {damaged}{said} {len} B  after {after:.1} ms: {verdict}"
                )
            }
            What::Told { host, text } => format!("{time:12.6}  {} is told  {text}", at(*host)),
            What::Kept { host, text } | What::Note { host, text } => {
                format!("{time:12.6}  {} ──── {text}", at(*host))
            }
        }
    }

    /// Where the course of another world, that should be the same, is another: what happened here, and
    /// there. What happened in it must have been asked for, in both.
    pub fn parting(&self, other: &Self) -> Option<[String; 2]> {
        let (here, there) = (self.lanes(), other.lanes());
        let nothing = Vec::new();
        let mut first: Option<(u64, [String; 2])> = None;
        for lane in here.keys().chain(there.keys()) {
            let mine = here.get(lane).unwrap_or(&nothing);
            let theirs = there.get(lane).unwrap_or(&nothing);
            for n in 0..mine.len().max(theirs.len()) {
                let both = [(self, mine.get(n)), (other, theirs.get(n))];
                let text = both.map(|(tape, line)| {
                    line.map_or_else(|| "nothing".to_owned(), |line| tape.text(line))
                });
                if text[0] == text[1] {
                    continue;
                }
                let at = both
                    .iter()
                    .filter_map(|(_, line)| line.map(|line| line.at))
                    .min();
                let at = at.unwrap_or(u64::MAX);
                if first.as_ref().is_none_or(|(before, _)| at < *before) {
                    first = Some((at, text));
                }
                break;
            }
        }
        first.map(|(_, text)| text)
    }

    /// What happened on each path, and at each host: the things on one of them have an order.
    fn lanes(&self) -> BTreeMap<(usize, Option<Party>), Vec<&Line>> {
        let mut lanes: BTreeMap<_, Vec<&Line>> = BTreeMap::new();
        for line in &self.lines {
            let lane = match &line.what {
                What::Sent { from, to, .. } => (*from, Some(*to)),
                What::Told { host, .. } => (*host, None),
                What::Arrived { .. } | What::Kept { .. } | What::Note { .. } => continue,
            };
            lanes.entry(lane).or_default().push(line);
        }
        lanes
    }
}

impl What {
    /// Why nothing of a datagram arrives; `None`: something does.
    pub fn loss(&self) -> Option<&'static str> {
        match self {
            Self::Sent {
                copies: 0,
                stopped: true,
                ..
            } => Some("taken off the path"),
            Self::Sent {
                copies: 0, faults, ..
            } => Some(
                faults
                    .first()
                    .map_or("nobody is there", |fault| fault.as_str()),
            ),
            _ => None,
        }
    }

    /// What goes wrong with a datagram that arrives all the same.
    fn mishaps(&self) -> String {
        match self {
            Self::Sent { faults, .. } if !faults.is_empty() => {
                let faults: Vec<_> = faults.iter().map(|fault| fault.as_str()).collect();
                format!("  ({})", faults.join(", "))
            }
            _ => String::new(),
        }
    }
}

fn power_name(power: Power) -> String {
    match power {
        Power::OffPath => "off path".to_owned(),
        Power::OnPath => "on path".to_owned(),
        Power::Insider(_) => format!("insider {}", power.name().unwrap_or_default()),
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
