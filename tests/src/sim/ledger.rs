//! What became of every message, as somebody knows who sees both ends.

use std::collections::{BTreeMap, HashMap, HashSet};

use raet_core::event::{Doubt, Failure, Outcome};
use raet_core::{MessageId, RemoteId};

use super::law::Rule;

/// A message that an engine has taken from its application.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) from: usize,
    pub(super) to: usize,
    /// Its sender had proof of who it is for; else it is for whoever proves to be at that address, and an
    /// attacker on the path decides who that is.
    pub(super) proven: bool,
    /// Which life of its sender.
    pub(super) life: u32,
    pub(super) remote: RemoteId,
    pub(super) message: MessageId,
    pub(super) body: Vec<u8>,
    pub(super) deadline: Option<u64>,
    pub(super) once: bool,
    pub(super) cancelled: bool,
    pub(super) outcome: Option<Outcome>,
    /// Sessions of the sender with the receiver, and of the receiver with the sender, when it was sent.
    pub(super) sessions: [u32; 2],
    /// The receiver's memory of the sender, when it was sent.
    pub(super) memory: Memory,
}

/// What a receiver remembers of a sender is one memory: a restart ends it, and so does forgetting.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub(super) struct Memory {
    /// Which life of the receiver, from 1; 0: it never lived.
    life: u32,
    /// How often it has forgotten the sender, in all its lives.
    forgets: u32,
}

impl Memory {
    /// Nothing that it ever knew of the sender is lost.
    fn is_first(self) -> bool {
        self.life <= 1 && self.forgets == 0
    }
}

/// Which end of a message breaks which rule, told for people.
pub(super) type Breach = (Rule, String);

/// Every message of a world.
#[derive(Default, Debug)]
pub(super) struct Ledger {
    /// Somebody who means ill is on the paths.
    on_path: bool,
    pub(super) sent: Vec<Sent>,
    by_body: HashMap<Vec<u8>, usize>,
    /// Messages taken, by receiver, its memory of the sender, and the message.
    taken_by: HashSet<(usize, Memory, usize)>,
    /// How often a message was taken.
    taken: HashMap<usize, u32>,
    /// Of bodies too short to be told apart, by sender, receiver and body: sent, taken, delivered, failed.
    short: BTreeMap<(usize, usize, Vec<u8>), [u32; 4]>,
    /// Sessions that a host was told of, with each other host, and the other's memory at the last.
    sessions: BTreeMap<(usize, usize), (u32, Memory)>,
    /// How often a host has forgotten another.
    forgets: BTreeMap<(usize, usize), u32>,
    /// Outcomes that were told.
    pub(super) outcomes: BTreeMap<&'static str, u64>,
    /// Messages that applications have taken.
    pub(super) received: u64,
}

/// Bodies at least this long are each different.
pub(super) const DISTINCT: usize = 8;

/// The body of message `number`, of `len` bytes.
pub(super) fn body(number: usize, len: usize) -> Vec<u8> {
    let mut rng = super::scene::Rng::new(number as u64);
    let mut body = (number as u64).to_le_bytes().to_vec();
    while body.len() < len {
        body.extend(rng.bits().to_le_bytes());
    }
    body.truncate(len);
    if len < DISTINCT {
        body.fill(7);
    }
    body
}

/// Whom a message was for, when its sender is told of it.
#[derive(Clone, Copy)]
pub(super) struct Peer {
    /// Its remote is there.
    pub(super) there: bool,
    /// And has a session.
    pub(super) up: bool,
    /// It bears an attacker's keys by now, which may say of a message what it likes.
    pub(super) ill: bool,
}

impl Ledger {
    /// Nothing was sent yet.
    pub(super) fn new(on_path: bool) -> Self {
        Self {
            on_path,
            ..Self::default()
        }
    }

    /// A message was accepted; the next one's number is `self.sent.len()`.
    pub(super) fn accepted(&mut self, mut sent: Sent, life_of_receiver: u32) {
        let number = self.sent.len();
        sent.sessions = self.sessions_between(sent.from, sent.to);
        sent.memory = self.memory(sent.to, life_of_receiver, sent.from);
        if sent.body.len() < DISTINCT {
            self.short_of(&sent)[0] += 1;
        } else {
            self.by_body.insert(sent.body.clone(), number);
        }
        self.sent.push(sent);
    }

    fn short_of(&mut self, sent: &Sent) -> &mut [u32; 4] {
        let key = (sent.from, sent.to, sent.body.clone());
        self.short.entry(key).or_default()
    }

    fn sessions_between(&self, a: usize, b: usize) -> [u32; 2] {
        let of = |key| self.sessions.get(&key).map_or(0, |(count, _)| *count);
        [of((a, b)), of((b, a))]
    }

    fn memory(&self, of: usize, life: u32, about: usize) -> Memory {
        let forgets = self.forgets.get(&(of, about)).copied().unwrap_or(0);
        Memory { life, forgets }
    }

    /// A host was told of a new session with another, in this life of the other.
    pub(super) fn session(&mut self, host: usize, with: usize, life: u32) {
        let memory = self.memory(with, life, host);
        let session = self.sessions.entry((host, with)).or_default();
        *session = (session.0 + 1, memory);
    }

    /// A host has forgotten another.
    pub(super) fn forgot(&mut self, host: usize, whom: usize) {
        *self.forgets.entry((host, whom)).or_default() += 1;
    }

    /// What a host has to say goes by another of its remotes.
    pub(super) fn redirected(&mut self, host: usize, life: u32, from: RemoteId, to: RemoteId) {
        let sent = self.sent.iter_mut();
        for sent in sent.filter(|s| (s.from, s.life, s.remote) == (host, life, from)) {
            sent.remote = to;
        }
    }

    /// An application has taken a message.
    pub(super) fn took(
        &mut self,
        host: usize,
        life: u32,
        from: Option<usize>,
        body: &[u8],
    ) -> Result<(), Breach> {
        self.received += 1;
        let Some(from) = from else {
            return Err((Rule::Content, "a message of nobody was delivered".into()));
        };
        if body.len() < DISTINCT {
            let Some(counts) = self.short.get_mut(&(from, host, body.to_vec())) else {
                return Err((
                    Rule::Content,
                    format!("a body that was never sent: {body:?}"),
                ));
            };
            counts[1] += 1;
            let [sent, taken, _, failed] = *counts;
            let failed_too = taken + failed > sent;
            // Twice only where the receiver's memory has ended; these are few, and not told apart. An empty
            // one has no coat that shows its session: until the first message that opens shows in which
            // one its sender is, who is on the path can have it heard again (H8).
            let again = body.is_empty() && self.on_path;
            if failed_too && self.memory(host, life, from).is_first() && !again {
                let what = format!("{sent} sent, {failed} failed, and {taken} of them taken");
                return Err((Rule::Once, what));
            }
            return Ok(());
        }
        let number = self.by_body.get(body).copied();
        let known = number.and_then(|n| self.sent.get(n));
        let (Some(number), Some(sent)) = (number, known) else {
            let what = format!("{} bytes that nobody has sent", body.len());
            return Err((Rule::Content, what));
        };
        if sent.from != from || sent.proven && sent.to != host {
            let what = format!("message {number} is from {} to {}", sent.from, sent.to);
            return Err((Rule::Content, what));
        }
        if let Some(Outcome::Failed(why)) = sent.outcome {
            let what = format!("message {number} was said to have failed ({why:?}) and was taken");
            return Err((Rule::Verdict, what));
        }
        let memory = self.memory(host, life, from);
        let taken = (host, memory, number);
        if !self.taken_by.insert(taken) {
            return Err((Rule::Once, format!("message {number} was taken twice")));
        }
        let times = self.taken.entry(number).or_default();
        *times += 1;
        if sent.once && *times > 1 {
            let what = format!("message {number}, for one session only, was taken twice");
            return Err((Rule::Once, what));
        }
        Ok(())
    }

    /// A sender was told how its message ended. `now` is its own time; `life` the receiver's.
    pub(super) fn ended(
        &mut self,
        number: usize,
        outcome: Outcome,
        now: u64,
        remote: Peer,
        life: u32,
    ) -> Result<(), Breach> {
        let verdict = |what: &str| {
            Err((
                Rule::Verdict,
                format!("message {number} {what}: {outcome:?}"),
            ))
        };
        let Some(sent) = self.sent.get(number) else {
            return verdict("was never sent");
        };
        if let Some(before) = sent.outcome {
            return verdict(&format!("ended before as {before:?}"));
        }
        let (from, to) = (sent.from, sent.to);
        let taken = self.taken.get(&number).copied().unwrap_or(0) > 0;
        let sessions = self.sessions_between(from, to) != sent.sessions;
        // The receiver no longer has what the sender's session was made with.
        let memory = self.memory(to, life, from);
        let held = self.sessions.get(&(from, to)).map(|(_, memory)| *memory);
        let forgot = memory != sent.memory || held.is_some_and(|held| held != memory);
        let short = sent.body.len() < DISTINCT;
        let Peer { there, up, ill } = remote;
        let passed = sent.deadline.is_some_and(|at| at <= now);
        let fits = match outcome {
            Outcome::Delivered | Outcome::Unknown(Doubt::SessionChanged | Doubt::Nacked) if ill => {
                true
            }
            Outcome::Delivered => taken || short,
            Outcome::Failed(_) if taken => false,
            Outcome::Failed(Failure::Refused) => false,
            Outcome::Failed(Failure::Cancelled) | Outcome::Unknown(Doubt::Cancelled) => {
                sent.cancelled
            }
            Outcome::Failed(Failure::Deadline) | Outcome::Unknown(Doubt::Deadline) => passed,
            Outcome::Failed(Failure::Forgotten) | Outcome::Unknown(Doubt::Forgotten) => !there,
            Outcome::Unknown(Doubt::SessionChanged) => {
                (sessions || forgot || !up) && (sent.once || sent.body.is_empty())
            }
            // Who remembers its sender has no reason to refuse it.
            Outcome::Unknown(Doubt::Nacked) => forgot,
        };
        if !fits {
            return verdict(if taken { "was taken" } else { "was not taken" });
        }
        *self.outcomes.entry(word(outcome)).or_default() += 1;
        if short && !ill {
            let key = (from, to, sent.body.clone());
            let counts = self.short.entry(key).or_default();
            match outcome {
                Outcome::Delivered => counts[2] += 1,
                Outcome::Failed(_) => counts[3] += 1,
                Outcome::Unknown(_) => {}
            }
            if counts[2] > counts[1] {
                return verdict("is short, and more are said to be delivered than were taken");
            }
        }
        if let Some(sent) = self.sent.get_mut(number) {
            sent.outcome = Some(outcome);
        }
        Ok(())
    }

    /// Messages whose sender lives and has not been told yet.
    pub(super) fn open(
        &self,
        lives: impl Fn(usize) -> u32,
    ) -> impl Iterator<Item = (usize, &Sent)> {
        let all = self.sent.iter().enumerate();
        all.filter(move |(_, s)| s.outcome.is_none() && s.life == lives(s.from))
    }
}

fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Delivered => "delivered",
        Outcome::Failed(_) => "failed",
        Outcome::Unknown(_) => "unknown",
    }
}
