//! The rules that are checked after every step, and those of them that a look at engines and
//! datagrams decides. What messages say of each other is the ledger's.

use std::collections::hash_map::{Entry, HashMap};
use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use raet_core::road::Timeout;
use raet_core::wire::{Flags, Frame, Head, PacketKind, TransactionKind};

use super::engine::Metered;
use super::tape::seconds;

macro_rules! rules {
    ($($(#[$doc:meta])* $name:ident => $text:literal, $cite:literal;)*) => {
        /// What must hold, always. What each means stands in the table of [the module](super).
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum Rule { $($(#[$doc])* $name,)* }

        impl Rule {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The rule in a few words.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// Where the protocol says so.
            pub const fn cite(self) -> &'static str {
                match self { $(Self::$name => $cite,)* }
            }
        }
    };
}

rules! {
    /// A message is taken at most once.
    Once => "a message is taken at most once", "outcomes: Exactly once in a session";
    /// What is taken was sent, unaltered, by whom it is said to be from.
    Content => "what is taken is what was sent", "H2, H6";
    /// What a sender is told of a message is true.
    Verdict => "what a sender is told is true", "outcomes: What becomes of a message";
    /// Once nothing goes wrong any more, all that is owed is done.
    Progress => "when all is well, all that is owed is done in time", "H10";
    /// Session ids never go back, over a crash too.
    Session => "session ids never go back", "H8";
    /// A transaction id stands for one transaction.
    Transaction => "a transaction id is used once in a session", "road-wire: ti";
    /// An engine holds no more than its limits say.
    Memory => "an engine keeps to its limits", "limits: Memory";
    /// A deadline that has come is done with.
    Deadline => "who is woken does what is due", "H9";
    /// An engine comes to rest.
    Busy => "outputs end, and so do wakes", "H9";
    /// Who has not shown where it is draws little.
    Amplification => "an address that is not proven draws at most 3 x its bytes", "H9";
    /// A datagram costs a bounded number of curve operations.
    Curves => "a datagram costs few curve operations", "H15";
    /// No key seals twice with one nonce.
    Nonce => "no key and nonce twice", "road-wire: Coat";
    /// Nobody changes what it has no right to.
    Right => "nobody changes what it has no right to", "H1, H2, H4";
    /// An engine never panics, and takes its own records back.
    Whole => "an engine neither panics nor refuses its own records", "H1";
    /// How and how often it is polled changes nothing.
    Steady => "the same inputs give the same outputs, however it is polled", "H1";
}

/// A rule that was broken.
#[derive(Clone, Debug)]
pub struct Violation {
    /// The seed of the world.
    pub seed: u64,
    /// The step at which it showed.
    pub step: u64,
    /// The time then, in microseconds.
    pub at: u64,
    /// Which rule.
    pub rule: Rule,
    /// What happened instead.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (rule, cite) = (self.rule.as_str(), self.rule.cite());
        let seconds = seconds(self.at);
        write!(
            f,
            "seed {}, step {}, {seconds:.6} s: {}\n  the rule: {rule} ({cite})",
            self.seed, self.step, self.what
        )
    }
}

/// A breach, before it is known of which world.
pub(super) type Law = Result<(), (Rule, String)>;

/// What is remembered of all datagrams and seals of a world.
#[derive(Default)]
pub(super) struct Laws {
    /// By sender and its uid for the receiver: the newest session id, and the life of the sender that used it.
    sessions: HashMap<(usize, u32), (u32, u32)>,
    /// By sender: its session ids, towards whoever.
    lives: HashMap<usize, Ids>,
    /// By sender, uid, session and transaction: its kind, and the life of the sender that began it.
    transactions: HashMap<(usize, u32, u32, u32), (TransactionKind, u32)>,
    /// By sender, uid and session: the newest transaction of each kind. Those of one kind begin in order.
    newest: HashMap<(usize, u32, u32, TransactionKind), u32>,
    /// And by segment or kind of packet: a hash of what was in it.
    contents: HashMap<(usize, u32, u32, u32, u32), u64>,
    seals: HashSet<[u8; 32]>,
    /// By host and address: bytes that came from it, and went to it while nobody was trusted there.
    traffic: BTreeMap<(usize, SocketAddr), (u64, u64)>,
    /// The same of what comes in one step, so that what was saved up before counts for nothing.
    at_once: BTreeMap<(usize, SocketAddr), (u64, u64)>,
}

/// Bytes of a long request to join.
const JOIN: u64 = 400;
/// The least of all addresses.
const FIRST: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// Session ids of a host, over its lives. A remote that was lost in a crash has a new uid after it, so that
/// only this shows that sessions with it went on.
struct Ids {
    life: u32,
    /// The newest of this life.
    newest: u32,
    /// The newest of the lives before.
    before: Option<u32>,
}

/// Whether session `si` comes after `other`, as serial numbers do.
fn after(si: u32, other: u32) -> bool {
    si != other && si.wrapping_sub(other) < 1 << 31
}

fn digest(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}

impl Laws {
    /// A host sends this to another, or to an address of it. A remote is known by the uid that the
    /// host gave it: at one address there may be several, if strangers claim to be there.
    pub(super) fn sent(&mut self, from: usize, life: u32, head: &Head, bytes: &[u8]) -> Law {
        let correspondent = head.flags.contains(Flags::CORRESPONDENT);
        // A nack may answer what a peer claims to be ours.
        let nack = head.packet == PacketKind::Nack;
        if correspondent || nack || head.transaction == TransactionKind::Join {
            return Ok(());
        }
        let to = head.source;
        let (si, ti) = (head.session, head.transaction_id);
        match self.transactions.entry((from, to, si, ti)) {
            Entry::Occupied(known) => {
                let (kind, of_life) = *known.get();
                if kind != head.transaction {
                    let other = head.transaction;
                    let what = format!("{from} uses si {si} ti {ti} for {kind:?} and {other:?}");
                    return Err((Rule::Transaction, what));
                }
                if of_life != life {
                    let what = format!("{from} was in session {si} in a life before, with ti {ti}");
                    return Err((Rule::Session, what));
                }
                let newest = self.newest.get(&(from, to, si, kind)).copied();
                // Of other kinds than messages one is open at a time.
                if kind != TransactionKind::Message && newest != Some(ti) {
                    let what =
                        format!("{from} sends {kind:?} si {si} ti {ti} again after {newest:?}");
                    return Err((Rule::Transaction, what));
                }
            }
            Entry::Vacant(free) => {
                free.insert((head.transaction, life));
                let begun = self.newest.entry((from, to, si, head.transaction));
                let newest = begun.or_insert(ti);
                if *newest != ti && !after(ti, *newest) {
                    let kind = head.transaction;
                    let what = format!("{from} begins {kind:?} si {si} ti {ti} after {newest}");
                    return Err((Rule::Transaction, what));
                }
                *newest = ti;
                let newest = self.sessions.entry((from, to)).or_insert((si, life));
                let again = si == newest.0 && life == newest.1;
                if !again && !after(si, newest.0) {
                    let what = format!("{from} begins in session {si} after {}", newest.0);
                    return Err((Rule::Session, what));
                }
                *newest = (si, life);
                self.of_life(from, life, si)?;
            }
        }
        let part = match head.packet {
            PacketKind::Message => head.segment,
            PacketKind::Initiate | PacketKind::Hello => 1 << 31 | u32::from(head.packet.to_wire()),
            _ => return Ok(()),
        };
        let coat = Frame::parse(bytes).ok().and_then(|f| bytes.get(f.coat()));
        let content = digest(coat.unwrap_or(&[]));
        let first = *self
            .contents
            .entry((from, to, si, ti, part))
            .or_insert(content);
        if first != content {
            let what = format!("{from} sends other content under si {si} ti {ti} again");
            return Err((Rule::Transaction, what));
        }
        Ok(())
    }

    /// A host begins something in this session, with whoever.
    fn of_life(&mut self, host: usize, life: u32, si: u32) -> Law {
        let known = self.lives.entry(host).or_insert(Ids {
            life,
            newest: si,
            before: None,
        });
        if life != known.life {
            let before = match known.before {
                Some(before) if after(before, known.newest) => before,
                _ => known.newest,
            };
            *known = Ids {
                life,
                newest: si,
                before: Some(before),
            };
        }
        if let Some(before) = known.before.filter(|before| !after(si, *before)) {
            let what =
                format!("{host} begins in session {si}, and was in {before} in a life before");
            return Err((Rule::Session, what));
        }
        if after(si, known.newest) {
            known.newest = si;
        }
        Ok(())
    }

    /// A suite has sealed under this key and nonce.
    pub(super) fn sealed(&mut self, key_and_nonce: [u8; 32]) -> Law {
        if self.seals.insert(key_and_nonce) {
            return Ok(());
        }
        Err((Rule::Nonce, "a key has sealed twice with one nonce".into()))
    }

    /// So many bytes came from an address; they were an answer that was taken, or not.
    pub(super) fn heard(&mut self, host: usize, from: SocketAddr, len: usize, answer: bool) {
        let len = len as u64;
        self.traffic.entry((host, from)).or_default().0 += len;
        let at_once = &mut self.at_once.entry((host, from)).or_default().0;
        // Who answers names a transaction of ours, and that was drawn and sent there: it is no stranger's
        // doing that something goes there. In all it draws no more than others do.
        *at_once = if answer {
            u64::MAX / 3
        } else {
            at_once.saturating_add(len).min(u64::MAX / 3)
        };
    }

    /// So many bytes went to an address that is not proven, and that the host does not itself call.
    pub(super) fn told(&mut self, host: usize, to: SocketAddr, bytes: usize) -> Law {
        let (heard, told) = self.traffic.entry((host, to)).or_default();
        *told += bytes as u64;
        if *told > 3 * *heard {
            let what = format!("{host} sends {told} bytes to {to}, from where {heard} came");
            return Err((Rule::Amplification, what));
        }
        if let Some((heard, told)) = self.at_once.get_mut(&(host, to)) {
            *told += bytes as u64;
            if *told > 3 * *heard {
                let what =
                    format!("{host} sends {told} bytes to {to}, from where {heard} just came");
                return Err((Rule::Amplification, what));
            }
        }
        Ok(())
    }

    /// A host died. Whom it trusted it may know as a stranger in its next life, who draws what a join does, and not
    /// three times all that was ever said.
    pub(super) fn died(&mut self, host: usize) {
        for (_, (heard, told)) in self.traffic.range_mut((host, FIRST)..(host + 1, FIRST)) {
            *heard = (*heard).min(*told / 3 + JOIN);
        }
    }

    /// Something else happens from here on.
    pub(super) fn next(&mut self) {
        self.at_once.clear();
    }
}

/// Bytes that the real suite takes within a call beside the engine's: a signature that does not fit is an error in
/// a box to its library, which is gone again at once.
const SCRATCH: i64 = 128;

/// What an engine holds is within its limits, and was in each call.
pub(super) fn memory(host: &str, real: bool, engine: &Metered) -> Law {
    let (peak, most) = (
        engine.peak(),
        i64::try_from(engine.get().worst_bytes()).unwrap_or(i64::MAX),
    );
    let scratch = if real { SCRATCH } else { 0 };
    if engine.held() > most || peak > most.saturating_add(scratch) {
        let what = format!("{host} held {peak} bytes, and by its limits {most} at most");
        return Err((Rule::Memory, what));
    }
    Ok(())
}

/// Who was woken again and again at one moment has done what was due by then.
pub(super) fn deadline(host: &str, left: Option<Timeout>) -> Law {
    match left {
        Some(left) => {
            let what = format!("{host} was woken again and again, and leaves {left:?}");
            Err((Rule::Deadline, what))
        }
        None => Ok(()),
    }
}
