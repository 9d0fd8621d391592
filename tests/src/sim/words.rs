//! What engines tell, keep and know, in words for people.

use std::fmt::Write as _;

use raet_core::crypto::PublicKeys;
use raet_core::event::{AllowFailure, Doubt, Event, Failure, JoinFailure, Outcome, RemoteEvent};
use raet_core::keep::{Record, Status};
use raet_core::road::RemoteInfo;

use super::app::TO_ATTACKER;
use super::engine::Taken;
use super::ledger;
use super::simulation::Simulation;
use super::tape::What;

/// Remotes of each of two hosts that a message for people has room for.
const REMOTES: usize = 6;

impl Simulation {
    /// Writes down what an application is told.
    pub(super) fn tell(&mut self, n: usize, event: &Event) {
        if !self.tape.is_on() {
            return;
        }
        let life = self.hosts[n].life;
        let engine = self.hosts[n].engine.as_ref();
        // Who is forgotten with the next event is still known with this one.
        for remote in engine.map_or(Vec::new(), |e| e.get().remotes()) {
            let name = self.peer(&remote);
            self.tape.call(n, life, remote.id, name);
        }
        let text = match event {
            Event::Remote { remote, what, .. } => about(self.tape.called(n, life, *remote), *what),
            Event::Message {
                token,
                remote,
                outcome,
                ..
            } => {
                let whom = self.tape.called(n, life, *remote);
                let which = match *token {
                    TO_ATTACKER => "a message".to_owned(),
                    number => format!("message {number}"),
                };
                format!("{which} to {whom} {}", ending(*outcome))
            }
            Event::KeysOffered { role, keys } => {
                format!(
                    "other keys are offered for the role {role}: {}",
                    short(keys)
                )
            }
        };
        self.tape.line(self.now, || What::Told { host: n, text });
    }

    /// What people call a remote: its name, with the address if the host of this name was never there;
    /// until a join has told the name, that of the host at its address.
    pub(super) fn peer(&self, remote: &RemoteInfo) -> String {
        let owner = self.book.owner(remote.address).map(|n| self.name(n));
        match (&*remote.name, owner) {
            ("", Some(owner)) => format!("{owner} (unnamed)"),
            ("", None) => format!("{} (unnamed)", remote.address),
            (name, Some(owner)) if name == owner => name.to_owned(),
            (name, _) => format!("{name} at {}", remote.address),
        }
    }

    /// What two hosts have of each other, and of some others, a line for each.
    pub(super) fn situation(&self, a: usize, b: usize) -> String {
        let mut text = String::new();
        for (n, other) in [(a, b), (b, a)] {
            let Some(engine) = &self.hosts[n].engine else {
                let _ = write!(text, "\n  {} is down", self.name(n));
                continue;
            };
            let mut remotes = engine.get().remotes();
            // Those that it is about come first.
            let is_other = |r: &RemoteInfo| {
                *r.name == *self.name(other) || self.book.owner(r.address) == Some(other)
            };
            remotes.sort_by_key(|remote| !is_other(remote));
            if remotes.is_empty() {
                let _ = write!(text, "\n  {} has no remote", self.name(n));
            }
            for remote in remotes.iter().take(REMOTES) {
                let _ = write!(text, "\n  {} has {}", self.name(n), standing(remote));
            }
            if let Some(more) = remotes.len().checked_sub(REMOTES).filter(|n| *n > 0) {
                let _ = write!(text, "\n  {} has {more} more", self.name(n));
            }
        }
        text
    }
}

fn standing(remote: &RemoteInfo) -> String {
    let name = match &*remote.name {
        "" => "somebody without a name",
        name => name,
    };
    let is = |what: bool, yes, no| if what { yes } else { no };
    format!(
        "{name} at {}: {}, {}, {}; {} queued, {} open",
        remote.address,
        is(remote.joined, "joined", "not joined"),
        is(remote.proven, "proven", "not proven"),
        is(remote.allowed, "with a session", "without a session"),
        remote.queued,
        remote.open,
    )
}

/// The start of a fingerprint.
fn short(keys: &PublicKeys) -> String {
    keys.fingerprint().to_string().chars().take(9).collect()
}

/// A status, for people.
pub(super) fn status(status: Status) -> &'static str {
    match status {
        Status::Accepted => "accepted",
        Status::Pending => "pending",
        Status::Rejected => "rejected",
    }
}

/// A record by its place.
pub(super) fn record(record: &Record) -> String {
    match record {
        Record::Estate(estate) => format!("the estate (sessions up to {})", estate.sessions),
        Record::Remote(remote) => {
            let how = match (remote.joined, remote.proven) {
                (_, true) => "proven",
                (true, false) => "joined",
                (false, false) => "not joined",
            };
            format!("the remote {} ({how}, at {})", remote.name, remote.address)
        }
        Record::Forgotten(name) => format!("no remote {name} any more"),
        Record::Role(role) => {
            let (said, keys) = (status(role.status), short(&role.keys));
            let by = if role.judged { " by a person" } else { "" };
            format!("the role {} ({said}{by}, keys {keys})", role.name)
        }
        Record::ForgottenRole(name) => format!("no role {name} any more"),
    }
}

/// A message that an application takes.
pub(super) fn taken(taken: &Taken) -> String {
    let len = taken.body.len();
    match taken.body.first_chunk() {
        Some(number) if len >= ledger::DISTINCT => {
            let number = u64::from_le_bytes(*number);
            format!("takes message {number} of {}, {len} bytes", taken.name)
        }
        _ => format!("takes a message of {}, {len} bytes", taken.name),
    }
}

fn about(peer: &str, what: RemoteEvent) -> String {
    match what {
        RemoteEvent::Pending { here: true } => format!("the keys of {peer} are to be judged"),
        RemoteEvent::Pending { here: false } => format!("{peer} has yet to judge its keys"),
        RemoteEvent::Joined => format!("joined with {peer}"),
        RemoteEvent::JoinFailed(why) => format!("no join with {peer}: {}", join_failure(why)),
        RemoteEvent::Allowed => format!("a session with {peer} is up"),
        RemoteEvent::AllowFailed(why) => {
            format!("no session with {peer}: {}", allow_failure(why))
        }
        RemoteEvent::Came => format!("{peer} is heard"),
        RemoteEvent::Went => format!("{peer} does not answer"),
        RemoteEvent::Reaped => format!("{peer} was silent for long and is not asked any more"),
        RemoteEvent::SameAs(_) => format!("{peer} is somebody known"),
        RemoteEvent::Forgotten => format!("{peer} is forgotten"),
    }
}

fn join_failure(why: JoinFailure) -> &'static str {
    match why {
        JoinFailure::Timeout => "no answer in time",
        JoinFailure::Refused => "it refuses",
        JoinFailure::Rejected => "it rejects this estate",
        JoinFailure::Renewed => "it knows this estate no more, and the road is not mutable",
        JoinFailure::RejectedHere => "its keys are rejected here",
        JoinFailure::Changed => "it has changed, and the road is not mutable",
        JoinFailure::NameTaken => "its name or keys are somebody else's",
        JoinFailure::WeakKeys => "its keys are weak",
        JoinFailure::Malformed => "its answer cannot be read",
    }
}

fn allow_failure(why: AllowFailure) -> &'static str {
    match why {
        AllowFailure::Timeout => "no answer in time",
        AllowFailure::Refused => "it refuses",
        AllowFailure::Rejected => "it rejects what was sent",
        AllowFailure::Unjoined => "it does not know this estate as joined",
        AllowFailure::Unproven => "it does not prove its keys",
    }
}

fn ending(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Delivered => "is delivered",
        Outcome::Failed(Failure::Cancelled) => "failed: cancelled unsent",
        Outcome::Failed(Failure::Deadline) => "failed: its deadline passed, unsent",
        Outcome::Failed(Failure::Forgotten) => "failed: its remote was forgotten, unsent",
        Outcome::Failed(Failure::Refused) => "failed: refused",
        Outcome::Unknown(Doubt::Cancelled) => "may have arrived: cancelled when partly sent",
        Outcome::Unknown(Doubt::Deadline) => "may have arrived: its deadline passed",
        Outcome::Unknown(Doubt::Forgotten) => "may have arrived: its remote was forgotten",
        Outcome::Unknown(Doubt::SessionChanged) => "may have arrived: the session changed",
        Outcome::Unknown(Doubt::Nacked) => "may have arrived: the peer said no",
    }
}
