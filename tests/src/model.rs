//! What an application may observe, as a model beside the engine.
//!
//! Applications on two or three estates do as generated [`Op`]s say, over a network that is as bad as
//! they say; the model knows nothing but what the applications asked for and were told, and says of each
//! thing that they are told whether it may be. A sequence that breaks a rule shrinks.
//!
//! | rule | |
//! |---|---|
//! | a message that is taken was accepted by `send` for this estate, and has its bytes | |
//! | it is taken once, unless its receiver died or forgot its sender between | H5 |
//! | each accepted message has one outcome, unless its sender died | H5 |
//! | what is *delivered* was taken; what *failed* never is | H5 |
//! | an outcome has the reason that it names: a cancel, a deadline, `forget`, `once` | |
//! | a remote's events come in an order: joined before allowed, came and went in turn, forgotten last | |
//! | `send` is refused for the reason that it names and no other | H9 |
//! | what is queued and open, by a remote's own word, is what was accepted and not ended | |
//! | when the network heals, every message ends, and none by chance | H10 |

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use quickcheck::{Arbitrary, Gen};
use raet_core::config::{Config, Trust};
use raet_core::crypto::Secrets;
use raet_core::error::SendError;
use raet_core::event::{Doubt, Event, Failure, Outcome, RemoteEvent};
use raet_core::keep::MemoryKeep;
use raet_core::limits::Limits;
use raet_core::storage::Storage;
use raet_core::time::Instant;
use raet_core::wire::name;
use raet_core::{MessageId, RemoteId, RoadStack, SendOptions};

use crate::suite::Weak;

/// How many estates there are; the first is a main one.
pub const ESTATES: usize = 3;

const NAMES: [&str; ESTATES] = ["main", "other", "third"];

/// What an application, or the weather, does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Op {
    /// This one reaches for that one.
    Connect(usize, usize),
    /// This one sends that one a message of so many bytes.
    Send(usize, usize, usize, Manner),
    /// The message accepted so many before the last is given up.
    Cancel(usize),
    /// This one forgets that one.
    Forget(usize, usize),
    /// This one begins an allow with that one.
    Allow(usize, usize),
    /// This one asks that one for a sign of life.
    Alive(usize, usize),
    /// This one dies and comes back with what it has stored.
    Restart(usize),
    /// This one takes no messages, or does again.
    Deaf(usize),
    /// Of a hundred datagrams so many are lost from now on, and as many doubled and late.
    Weather(u8),
    /// So many milliseconds pass.
    Wait(u64),
}

/// How a message is sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Manner {
    /// By default.
    Plain,
    /// In one session only.
    Once,
    /// With so many milliseconds to arrive.
    Within(u64),
}

impl Arbitrary for Op {
    fn arbitrary(g: &mut Gen) -> Self {
        let mut below = |end: u64| u64::arbitrary(g) % end;
        let one = below(ESTATES as u64) as usize;
        let two = (one + 1 + below(ESTATES as u64 - 1) as usize) % ESTATES;
        match below(20) {
            0 | 1 => Self::Connect(one, two),
            2..=7 => {
                let manner = match below(6) {
                    0 => Manner::Once,
                    1 => Manner::Within(below(3000)),
                    _ => Manner::Plain,
                };
                let most = [1, 30, 900, 2500][below(4) as usize];
                Self::Send(one, two, below(most) as usize, manner)
            }
            8 => Self::Cancel(below(4) as usize),
            9 => Self::Forget(one, two),
            10 => Self::Allow(one, two),
            11 => Self::Alive(one, two),
            12 => Self::Restart(one),
            13 => Self::Deaf(one),
            14 => Self::Weather([0, 10, 30, 60, 100][below(5) as usize]),
            _ => Self::Wait([10, 300, 2000, 15_000][below(4) as usize]),
        }
    }

    fn shrink(&self) -> Box<dyn Iterator<Item = Self>> {
        let simpler = match *self {
            Self::Send(one, two, len, manner) if len > 0 || manner != Manner::Plain => vec![
                Self::Send(one, two, len / 2, manner),
                Self::Send(one, two, len, Manner::Plain),
            ],
            Self::Wait(time) if time > 1 => vec![Self::Wait(time / 2)],
            Self::Weather(loss) if loss > 0 => vec![Self::Weather(loss / 2)],
            _ => Vec::new(),
        };
        Box::new(simpler.into_iter().filter({
            let same = *self;
            move |op| *op != same
        }))
    }
}

/// A message that `send` has accepted, by the number that is its token and begins its body.
struct Sent {
    handle: MessageId,
    from: usize,
    to: usize,
    remote: RemoteId,
    len: usize,
    manner: Manner,
    expires: Option<Instant>,
    cancelled: bool,
    forgotten: bool,
    /// Its sender has died since: no outcome comes.
    orphan: bool,
    outcome: Option<Outcome>,
    /// How often each memory of its receiver took it.
    taken: BTreeMap<(u64, u64), u32>,
}

/// What was told of a remote.
#[derive(Default)]
struct Told {
    joined: bool,
    allowed: bool,
    up: bool,
    forgotten: bool,
}

struct Estate<S: Storage> {
    stack: RoadStack<S, Weak>,
    keep: MemoryKeep,
    life: u64,
    deaf: bool,
    /// By estate: how often it was forgotten here.
    forgot: [u64; ESTATES],
    told: Vec<(RemoteId, Told)>,
}

/// Estates, the network, and what may be observed.
pub struct World<S: Storage> {
    now: Instant,
    estates: Vec<Estate<S>>,
    sent: Vec<Sent>,
    loss: u8,
    /// Somebody died or was forgotten: a peer may not know what it did before.
    broken: bool,
    chance: u64,
    wire: BTreeMap<(Instant, u64), (usize, usize, Vec<u8>)>,
    packets: u64,
}

fn address(n: usize) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 1], 7530 + n as u16))
}

fn limits() -> Limits {
    // Small on every storage, so that what is full is met.
    Limits {
        remotes: 4,
        roles: 4,
        handshakes: 4,
        outbox: 6,
        inbox: 6,
        remote_inbox: 4,
        message: 2400,
        outbox_bytes: 6000,
        inbox_bytes: 6000,
        remote_inbox_bytes: 4000,
        replies: 8,
    }
}

fn stack<S: Storage>(n: usize, life: u64, now: Instant, keep: &MemoryKeep) -> RoadStack<S, Weak> {
    let number = n as u8 + 1;
    let secrets = Secrets::new(&[number; 32], &[number + 100; 32]);
    let mut config = Config::new(name(NAMES[n]).expect("a name"), secrets);
    config.main = true;
    config.mutable = true;
    config.trust = Trust::Once;
    config.window = 8;
    let mut seed = [number; 32];
    seed[..8].copy_from_slice(&life.to_le_bytes());
    let records: Vec<_> = keep.records().collect();
    RoadStack::new(now, config, limits(), Weak::new(&seed), records)
        .expect("settings and records agree")
}

impl<S: Storage> World<S> {
    /// Estates that have never met. `seed` decides what happens by chance.
    pub fn new(seed: u64) -> Self {
        let now = Instant::from_micros(1_000_000);
        let estate = |n| Estate {
            stack: stack(n, 0, now, &MemoryKeep::default()),
            keep: MemoryKeep::default(),
            life: 0,
            deaf: false,
            forgot: [0; ESTATES],
            told: Vec::new(),
        };
        Self {
            now,
            estates: (0..ESTATES).map(estate).collect(),
            sent: Vec::new(),
            loss: 0,
            broken: false,
            chance: seed,
            wire: BTreeMap::new(),
            packets: 0,
        }
    }

    /// Does what the ops say, then lets the network heal, and judges all that is told.
    ///
    /// # Errors
    ///
    /// The first thing that was told and may not be.
    pub fn run(&mut self, ops: &[Op]) -> Result<(), String> {
        for op in ops {
            self.apply(*op).map_err(|why| format!("{op:?}: {why}"))?;
            self.check_counts()?;
        }
        self.heal()
    }

    fn chance(&mut self, percent: u8) -> bool {
        self.random() % 100 < u64::from(percent)
    }

    /// splitmix64.
    fn random(&mut self) -> u64 {
        self.chance = self.chance.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.chance;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn remote(&self, from: usize, to: usize) -> Option<RemoteId> {
        let mut remotes = self.estates[from].stack.remotes();
        remotes.find(|r| r.address == address(to)).map(|r| r.id)
    }

    fn apply(&mut self, op: Op) -> Result<(), String> {
        let now = self.now;
        match op {
            Op::Connect(from, to) => {
                let connected = self.estates[from].stack.connect(now, address(to), 0);
                connected.map_err(|e| format!("there is room: {e}"))?;
            }
            Op::Send(from, to, len, manner) => self.send(from, to, len, manner)?,
            Op::Cancel(back) => self.cancel(back)?,
            Op::Forget(from, to) => {
                if let Some(remote) = self.remote(from, to) {
                    let estate = &mut self.estates[from];
                    estate.forgot[to] += 1;
                    self.broken = true;
                    let gone = estate.stack.forget(now, remote);
                    gone.map_err(|_| "it was listed")?;
                    for sent in &mut self.sent {
                        sent.forgotten |= sent.from == from && sent.remote == remote;
                    }
                }
            }
            Op::Allow(from, to) => {
                if let Some(remote) = self.remote(from, to) {
                    let allowed = self.estates[from].stack.allow(now, remote);
                    allowed.map_err(|_| "it was listed")?;
                }
            }
            Op::Alive(from, to) => {
                if let Some(remote) = self.remote(from, to) {
                    let asked = self.estates[from].stack.alive(now, remote);
                    asked.map_err(|_| "it was listed")?;
                }
            }
            Op::Restart(n) => {
                self.broken = true;
                let estate = &mut self.estates[n];
                estate.life += 1;
                estate.stack = stack(n, estate.life, now, &estate.keep);
                estate.told.clear();
                let own = self.sent.iter_mut().filter(|sent| sent.from == n);
                own.for_each(|sent| sent.orphan = true);
            }
            Op::Deaf(n) => self.estates[n].deaf = !self.estates[n].deaf,
            Op::Weather(loss) => self.loss = loss,
            Op::Wait(time) => return self.pass(Duration::from_millis(time)),
        }
        (0..ESTATES).try_for_each(|n| self.drive(n))
    }

    /// Accepted, or refused for the reason that is named.
    fn send(&mut self, from: usize, to: usize, len: usize, manner: Manner) -> Result<(), String> {
        let Some(remote) = self.remote(from, to) else {
            return Ok(());
        };
        let len = if len == 0 { 0 } else { len.max(8) }; // room for its number, or nothing
        let token = self.sent.len() as u64;
        let limits = limits();
        let open = |sent: &&Sent| sent.from == from && !sent.orphan && sent.outcome.is_none();
        let count = self.sent.iter().filter(open).count();
        let bytes = self.sent.iter().filter(open).map(|s| Limits::budget(s.len));
        let full = count >= limits.outbox
            || bytes.sum::<usize>() + Limits::budget(len) > limits.outbox_bytes;
        let expires = match manner {
            Manner::Within(time) => Some(self.now + Duration::from_millis(time)),
            _ => None,
        };
        let options = SendOptions {
            token,
            deadline: expires,
            once: manner == Manner::Once,
            ..SendOptions::default()
        };
        let stack = &mut self.estates[from].stack;
        let accepted = stack.send(self.now, remote, options, len, |room| fill(room, token));
        match accepted {
            Err(SendError::TooLong) if len > limits.message => {}
            Err(SendError::Full) if full || S::CAPACITY.body_bytes < 1 << 20 => {}
            Err(why) => return Err(format!("refused: {why:?}")),
            Ok(_) if full || len > limits.message => return Err("accepted beyond a limit".into()),
            Ok(handle) => self.sent.push(Sent {
                handle,
                from,
                to,
                remote,
                len,
                manner,
                expires,
                cancelled: false,
                forgotten: false,
                orphan: false,
                outcome: None,
                taken: BTreeMap::new(),
            }),
        }
        Ok(())
    }

    fn cancel(&mut self, back: usize) -> Result<(), String> {
        let at = self.sent.len().wrapping_sub(back + 1);
        let Some(sent) = self.sent.get_mut(at).filter(|sent| !sent.orphan) else {
            return Ok(());
        };
        let stack = &mut self.estates[sent.from].stack;
        match (stack.cancel(self.now, sent.handle), sent.outcome) {
            (Ok(()), None) => sent.cancelled = true,
            (Err(_), Some(_)) => {}
            (answer, outcome) => return Err(format!("cancel: {answer:?} after {outcome:?}")),
        }
        Ok(())
    }

    fn drive(&mut self, n: usize) -> Result<(), String> {
        let now = self.now;
        self.estates[n].stack.handle_timeout(now);
        let mut any = true;
        while std::mem::take(&mut any) {
            let estate = &mut self.estates[n];
            while let Some(record) = estate.stack.poll_record() {
                estate.stack.handle_stored(now, &record);
                estate.keep.store(record);
                any = true;
            }
            while let Some(event) = self.estates[n].stack.poll_event() {
                self.hear(n, &event)?;
                any = true;
            }
            while !self.estates[n].deaf {
                let stack = &mut self.estates[n].stack;
                let taken = stack.poll_message(|m| (m.name.to_owned(), m.body.to_vec()));
                let Some((name, body)) = taken else { break };
                self.take(n, &name, &body)?;
                any = true;
            }
            let mut out = [0; 1500];
            while let Some(made) = self.estates[n].stack.poll_transmit(now, &mut out) {
                self.carry(n, made.to, &out[..made.len]);
                any = true;
            }
        }
        Ok(())
    }

    /// The network takes a datagram.
    fn carry(&mut self, from: usize, to: SocketAddr, bytes: &[u8]) {
        let Some(to) = (0..ESTATES).find(|n| address(*n) == to) else {
            return;
        };
        let copies = match (self.chance(self.loss), self.chance(self.loss)) {
            (true, _) => 0,
            (_, true) => 2,
            _ => 1,
        };
        for _ in 0..copies {
            let late = if self.chance(self.loss) {
                400_000
            } else {
                20_000
            };
            let delay = Duration::from_micros(1000 + self.random() % late);
            self.packets += 1;
            self.wire
                .insert((self.now + delay, self.packets), (from, to, bytes.to_vec()));
        }
    }

    fn pass(&mut self, time: Duration) -> Result<(), String> {
        let end = self.now + time;
        (0..ESTATES).try_for_each(|n| self.drive(n))?;
        for _ in 0..1_000_000 {
            let wire = self.wire.first_key_value().map(|((at, _), _)| *at);
            let due = (0..ESTATES).filter_map(|n| {
                let timeout = self.estates[n].stack.poll_timeout()?;
                Some((timeout.at, n))
            });
            let due = due.min();
            let next = wire.into_iter().chain(due.map(|(at, _)| at)).min();
            let Some(next) = next.filter(|next| *next < end) else {
                self.now = end;
                return Ok(());
            };
            self.now = self.now.max(next);
            if wire == Some(next) {
                if let Some((_, (from, to, mut bytes))) = self.wire.pop_first() {
                    let stack = &mut self.estates[to].stack;
                    stack.handle_datagram(self.now, address(from), &mut bytes);
                    self.drive(to)?;
                }
            } else if let Some((_, n)) = due {
                self.drive(n)?;
            }
        }
        Err("time stands still".into())
    }

    /// A message is taken.
    fn take(&mut self, n: usize, name: &str, body: &[u8]) -> Result<(), String> {
        let number = match body.first_chunk() {
            Some(number) => u64::from_le_bytes(*number) as usize,
            // One of the empty ones, and of those never a second copy.
            None => {
                let fits = |s: &Sent| {
                    (s.to, NAMES[s.from], s.len) == (n, name, body.len())
                        && s.taken.is_empty()
                        && !matches!(s.outcome, Some(Outcome::Failed(_)))
                };
                match self.sent.iter().position(fits) {
                    Some(found) => found,
                    // Without a coat it bears no proof of its session: a late copy can come in the
                    // first session after its sender lost its memory.
                    None if self.broken => return Ok(()),
                    None => return Err("an empty message too many".into()),
                }
            }
        };
        let sent = self
            .sent
            .get_mut(number)
            .ok_or("a message that nobody sent")?;
        let mut whole = vec![0; sent.len];
        fill(&mut whole, number as u64);
        if sent.to != n || NAMES[sent.from] != name || body != whole {
            return Err(format!("message {number} came changed, or to another"));
        }
        if matches!(sent.outcome, Some(Outcome::Failed(_))) {
            return Err(format!("message {number} failed, and was taken"));
        }
        let memory = (self.estates[n].life, self.estates[n].forgot[sent.from]);
        let times = sent.taken.entry(memory).or_default();
        *times += 1;
        if *times > 1 {
            return Err(format!("message {number} was taken twice"));
        }
        Ok(())
    }

    fn hear(&mut self, n: usize, event: &Event) -> Result<(), String> {
        match event {
            Event::Message { token, outcome, .. } => self.end(n, *token as usize, *outcome),
            Event::Remote { remote, what, .. } => {
                let told = &mut self.estates[n].told;
                if !told.iter().any(|(id, _)| id == remote) {
                    told.push((*remote, Told::default()));
                }
                let restored = self.estates[n].life > 0;
                let held = self.estates[n].told.iter_mut().find(|(id, _)| id == remote);
                let Some((_, told)) = held else {
                    return Ok(());
                };
                let wrong = told.forgotten
                    || match what {
                        RemoteEvent::Allowed => !told.joined && !restored,
                        RemoteEvent::Came => told.up || !told.allowed,
                        RemoteEvent::Went => !told.up,
                        RemoteEvent::Reaped | RemoteEvent::Pending { .. } => true,
                        _ => false,
                    };
                match what {
                    RemoteEvent::Joined => told.joined = true,
                    RemoteEvent::Allowed => told.allowed = true,
                    RemoteEvent::Came => told.up = true,
                    RemoteEvent::Went => told.up = false,
                    RemoteEvent::Forgotten => told.forgotten = true,
                    _ => {}
                }
                if wrong {
                    return Err(format!("{n} is told {what:?} at the wrong moment"));
                }
                Ok(())
            }
            Event::KeysOffered { .. } => Err("nobody changed keys".into()),
        }
    }

    /// An outcome is told.
    fn end(&mut self, n: usize, number: usize, outcome: Outcome) -> Result<(), String> {
        let broken = self.broken;
        let now = self.now;
        let sent = self.sent.get_mut(number).ok_or("of a message never sent")?;
        if sent.from != n || sent.orphan {
            return Err(format!("the outcome of {number} is told to another"));
        }
        if let Some(former) = sent.outcome.replace(outcome) {
            return Err(format!("message {number}: {former:?}, then {outcome:?}"));
        }
        let (to, len) = (sent.to, sent.len);
        // Empty ones cannot be told apart, only counted.
        let alike = self.sent.iter().enumerate().filter(|(at, s)| {
            if len == 0 {
                (s.from, s.to, s.len) == (n, to, 0)
            } else {
                *at == number
            }
        });
        let (mut taken, mut delivered) = (0, 0);
        for (_, sent) in alike {
            taken += u32::from(!sent.taken.is_empty());
            delivered += u32::from(sent.outcome == Some(Outcome::Delivered));
        }
        let sent = &self.sent[number];
        let late = sent.expires.is_some_and(|at| at <= now);
        let may = match outcome {
            Outcome::Delivered => delivered <= taken,
            Outcome::Failed(_) if taken > 0 && len > 0 => false,
            Outcome::Failed(Failure::Cancelled) | Outcome::Unknown(Doubt::Cancelled) => {
                sent.cancelled
            }
            Outcome::Failed(Failure::Deadline) | Outcome::Unknown(Doubt::Deadline) => late,
            Outcome::Failed(Failure::Forgotten) | Outcome::Unknown(Doubt::Forgotten) => {
                sent.forgotten
            }
            Outcome::Failed(Failure::Refused) => false,
            // An empty body has no name by which its receiver would know it again.
            Outcome::Unknown(Doubt::SessionChanged) => sent.manner == Manner::Once || sent.len == 0,
            Outcome::Unknown(Doubt::Nacked) => broken,
        };
        if may {
            Ok(())
        } else {
            Err(format!("message {number} may not end so: {outcome:?}"))
        }
    }

    /// What a remote says of itself is what its messages say.
    fn check_counts(&self) -> Result<(), String> {
        for (n, estate) in self.estates.iter().enumerate() {
            for remote in estate.stack.remotes() {
                let open = |s: &&Sent| {
                    s.from == n && !s.orphan && s.outcome.is_none() && s.remote == remote.id
                };
                let expected = self.sent.iter().filter(open).count();
                if remote.queued + remote.open != expected {
                    return Err(format!("{n} holds {remote:?}, not {expected} messages"));
                }
            }
        }
        Ok(())
    }

    /// Good weather and willing applications: every message ends, and none by chance.
    fn heal(&mut self) -> Result<(), String> {
        self.loss = 0;
        for estate in &mut self.estates {
            estate.deaf = false;
        }
        self.pass(Duration::from_secs(400))?;
        for (number, sent) in self.sent.iter().enumerate() {
            if !sent.orphan && sent.outcome.is_none() {
                return Err(format!("message {number} never ends"));
            }
        }
        Ok(())
    }
}

/// A message's body: its number, then bytes that follow from it.
fn fill(room: &mut [u8], number: u64) {
    for (at, byte) in room.iter_mut().enumerate() {
        *byte = (at as u64 * 7 + number) as u8;
    }
    if let Some(first) = room.first_chunk_mut() {
        *first = number.to_le_bytes();
    }
}
