//! What applications asked for and were told, and whether they may be told it. No engine may enter.

use std::collections::BTreeMap;

use raet_core::error::{Gone, SendError};
use raet_core::event::{Doubt, Event, Failure, Outcome, RemoteEvent};
use raet_core::limits::Limits;
use raet_core::road::RemoteInfo;
use raet_core::time::Instant;
use raet_core::{MessageId, RemoteId};

use super::{ESTATES, Manner, NAMES};

/// What `send` is asked for.
#[derive(Clone, Copy)]
pub(super) struct Asked {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) remote: RemoteId,
    pub(super) len: usize,
    pub(super) manner: Manner,
    pub(super) expires: Option<Instant>,
}

/// A message that `send` has accepted, by the number that is its token and begins its body.
struct Sent {
    asked: Asked,
    handle: MessageId,
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

/// What an estate can remember.
#[derive(Default)]
struct Memory {
    /// How often it died.
    life: u64,
    /// By estate: how often it was forgotten here.
    forgot: [u64; ESTATES],
    told: Vec<(RemoteId, Told)>,
}

/// All of it, by every application.
#[derive(Default)]
pub(super) struct Ledger {
    sent: Vec<Sent>,
    memories: [Memory; ESTATES],
    /// Somebody died or was forgotten: a peer may not know what it did before.
    broken: bool,
}

impl Ledger {
    /// The number of the message that is accepted next.
    pub(super) fn next(&self) -> u64 {
        self.sent.len() as u64
    }

    /// Estate `n` dies and comes back. How often it has.
    pub(super) fn restarted(&mut self, n: usize) -> u64 {
        self.broken = true;
        let own = self.sent.iter_mut().filter(|sent| sent.asked.from == n);
        own.for_each(|sent| sent.orphan = true);
        let memory = &mut self.memories[n];
        memory.told.clear();
        memory.life += 1;
        memory.life
    }

    /// Estate `from` forgets `to`, whom it knew as `remote`.
    pub(super) fn forgot(&mut self, from: usize, to: usize, remote: RemoteId) {
        self.broken = true;
        self.memories[from].forgot[to] += 1;
        for sent in &mut self.sent {
            sent.forgotten |= sent.asked.from == from && sent.asked.remote == remote;
        }
    }

    /// What estate `from` has sent and not been told the end of.
    fn open(&self, from: usize) -> impl Iterator<Item = &Sent> {
        let open = move |s: &&Sent| s.asked.from == from && !s.orphan && s.outcome.is_none();
        self.sent.iter().filter(open)
    }

    /// A message was accepted, or refused for the reason that is named. Of a storage with `little` room for
    /// bodies nobody knows from without when it is full.
    pub(super) fn answered(
        &mut self,
        asked: Asked,
        answer: Result<MessageId, SendError>,
        limits: &Limits,
        little: bool,
    ) -> Result<(), String> {
        let held = self.open(asked.from);
        let bytes: usize = held.map(|sent| Limits::budget(sent.asked.len)).sum();
        let full = self.open(asked.from).count() >= limits.outbox
            || bytes + Limits::budget(asked.len) > limits.outbox_bytes;
        match answer {
            Err(SendError::TooLong) if asked.len > limits.message => {}
            Err(SendError::Full) if full || little => {}
            Err(why) => return Err(format!("refused: {why:?}")),
            Ok(_) if full || asked.len > limits.message => {
                return Err("accepted beyond a limit".into());
            }
            Ok(handle) => self.sent.push(Sent {
                asked,
                handle,
                cancelled: false,
                forgotten: false,
                orphan: false,
                outcome: None,
                taken: BTreeMap::new(),
            }),
        }
        Ok(())
    }

    /// The message accepted so many before the last, if its sender lives: its number, who has sent it, and its
    /// handle.
    pub(super) fn before_last(&self, back: usize) -> Option<(usize, usize, MessageId)> {
        let number = self.sent.len().checked_sub(back + 1)?;
        let sent = self.sent.get(number).filter(|sent| !sent.orphan)?;
        Some((number, sent.asked.from, sent.handle))
    }

    /// A message was cancelled, or could not be.
    pub(super) fn cancelled(
        &mut self,
        number: usize,
        answer: Result<(), Gone>,
    ) -> Result<(), String> {
        let sent = &mut self.sent[number];
        match (answer, sent.outcome) {
            (Ok(()), None) => sent.cancelled = true,
            (Err(_), Some(_)) => {}
            (answer, outcome) => return Err(format!("cancel: {answer:?} after {outcome:?}")),
        }
        Ok(())
    }

    /// A message is taken.
    pub(super) fn taken(&mut self, n: usize, name: &str, body: &[u8]) -> Result<(), String> {
        let number = match body.first_chunk() {
            Some(number) => u64::from_le_bytes(*number) as usize,
            // One of the empty ones, and of those never a second copy.
            None => {
                let fits = |s: &Sent| {
                    (s.asked.to, NAMES[s.asked.from], s.asked.len) == (n, name, body.len())
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
        let mut whole = vec![0; sent.asked.len];
        fill(&mut whole, number as u64);
        if sent.asked.to != n || NAMES[sent.asked.from] != name || body != whole {
            return Err(format!("message {number} came changed, or to another"));
        }
        if matches!(sent.outcome, Some(Outcome::Failed(_))) {
            return Err(format!("message {number} failed, and was taken"));
        }
        let memory = &self.memories[n];
        let memory = (memory.life, memory.forgot[sent.asked.from]);
        let times = sent.taken.entry(memory).or_default();
        *times += 1;
        if *times > 1 {
            return Err(format!("message {number} was taken twice"));
        }
        Ok(())
    }

    /// Estate `n` is told something.
    pub(super) fn told(&mut self, now: Instant, n: usize, event: &Event) -> Result<(), String> {
        match event {
            Event::Message { token, outcome, .. } => self.ended(now, n, *token as usize, *outcome),
            Event::Remote { remote, what, .. } => self.happened(n, *remote, *what),
            Event::KeysOffered { .. } => Err("nobody changed keys".into()),
        }
    }

    fn happened(&mut self, n: usize, remote: RemoteId, what: RemoteEvent) -> Result<(), String> {
        let Memory { life, told, .. } = &mut self.memories[n];
        let at = told.iter().position(|(id, _)| *id == remote);
        let at = at.unwrap_or_else(|| {
            told.push((remote, Told::default()));
            told.len() - 1
        });
        let (told, restored) = (&mut told[at].1, *life > 0);
        let wrong = told.forgotten
            || match what {
                RemoteEvent::Allowed => !told.joined && !restored,
                RemoteEvent::Came => told.up || !told.allowed,
                RemoteEvent::Went => !told.up,
                // They stay where they are, and decide at once.
                RemoteEvent::Reaped | RemoteEvent::Pending { .. } | RemoteEvent::SameAs(_) => true,
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

    /// An outcome is told.
    fn ended(
        &mut self,
        now: Instant,
        n: usize,
        number: usize,
        outcome: Outcome,
    ) -> Result<(), String> {
        let broken = self.broken;
        let sent = self.sent.get_mut(number).ok_or("of a message never sent")?;
        if sent.asked.from != n || sent.orphan {
            return Err(format!("the outcome of {number} is told to another"));
        }
        if let Some(former) = sent.outcome.replace(outcome) {
            return Err(format!("message {number}: {former:?}, then {outcome:?}"));
        }
        let Asked { to, len, .. } = sent.asked;
        // Empty ones cannot be told apart, only counted.
        let alike = self.sent.iter().enumerate().filter(|(at, s)| {
            if len == 0 {
                (s.asked.from, s.asked.to, s.asked.len) == (n, to, 0)
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
        let late = sent.asked.expires.is_some_and(|at| at <= now);
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
            Outcome::Unknown(Doubt::SessionChanged) => {
                sent.asked.manner == Manner::Once || len == 0
            }
            Outcome::Unknown(Doubt::Nacked) => broken,
        };
        if may {
            Ok(())
        } else {
            Err(format!("message {number} may not end so: {outcome:?}"))
        }
    }

    /// What a remote of estate `n` says of itself is what its messages say.
    pub(super) fn counted(&self, n: usize, remote: &RemoteInfo) -> Result<(), String> {
        let to = |sent: &&Sent| sent.asked.remote == remote.id;
        let expected = self.open(n).filter(to).count();
        if remote.queued + remote.open != expected {
            return Err(format!("{n} holds {remote:?}, not {expected} messages"));
        }
        Ok(())
    }

    /// Every message has ended.
    pub(super) fn settled(&self) -> Result<(), String> {
        for (number, sent) in self.sent.iter().enumerate() {
            if !sent.orphan && sent.outcome.is_none() {
                return Err(format!("message {number} never ends"));
            }
        }
        Ok(())
    }
}

/// A message's body: its number, then bytes that follow from it.
pub(super) fn fill(room: &mut [u8], number: u64) {
    for (at, byte) in room.iter_mut().enumerate() {
        *byte = (at as u64 * 7 + number) as u8;
    }
    if let Some(first) = room.first_chunk_mut() {
        *first = number.to_le_bytes();
    }
}
