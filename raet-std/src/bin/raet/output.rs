//! What happens, shown: a line of words for people, an object of JSON for programs.

use std::collections::HashMap;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use raet_std::core::RemoteId;
use raet_std::core::crypto::PublicKeys;
use raet_std::core::event::{AllowFailure, Doubt, Failure, JoinFailure, Outcome, RemoteEvent};
use raet_std::core::wire::BodyKind;
use raet_std::keep::Notice;
use raet_std::{Event, FileKeep, Message, Report, Road};
use serde_json::{Map, Value, json};

use crate::table;

/// Where events go, and what is remembered to name their remotes.
pub(crate) struct Output {
    json: bool,
    started: Instant,
    /// Name and address of each remote: a forgotten one can no longer be asked.
    peers: HashMap<RemoteId, (String, String)>,
    shown: Shown,
}

/// The keys of each role that a person was shown and did not judge since; `None`: different ones.
pub(crate) type Shown = Arc<Mutex<HashMap<String, Option<PublicKeys>>>>;

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        Self {
            json,
            started: Instant::now(),
            peers: HashMap::new(),
            shown: Shown::default(),
        }
    }

    /// The keys that were shown, for what is accepted to be those.
    pub(crate) fn shown(&self) -> Shown {
        Arc::clone(&self.shown)
    }

    fn show_keys(&self, role: &str, keys: PublicKeys) {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        shown
            .entry(role.to_owned())
            .and_modify(|known| *known = known.filter(|known| *known == keys))
            .or_insert(Some(keys));
    }

    /// One event: its key and fields for a program, its words for a person.
    ///
    /// A reader that went away ends the command quietly, as a pipe does.
    pub(crate) fn tell(&self, event: &str, fields: Value, words: &str) {
        let mut out = io::stdout().lock();
        let result = if self.json {
            let mut object = Map::new();
            object.insert("event".to_owned(), event.into());
            if let Value::Object(fields) = fields {
                object.extend(fields);
            }
            writeln!(out, "{}", Value::Object(object))
        } else {
            let time = self.started.elapsed().as_secs_f64();
            writeln!(out, "{time:9.3}  {}", table::line(words))
        };
        if result.and_then(|()| out.flush()).is_err() {
            std::process::exit(i32::from(crate::FAILURE));
        }
    }

    pub(crate) fn listening(&self, name: &str, road: &Road) {
        let (addr, keys) = (road.local_addr(), road.public_keys().fingerprint());
        self.tell(
            "listening",
            json!({ "name": name, "addr": addr.to_string(), "keys": keys.to_string() }),
            &format!("listening at {addr} as {name} (keys {keys})"),
        );
    }

    /// The name and address of a remote, as last known.
    pub(crate) fn peer(&mut self, road: &Road, remote: RemoteId) -> (String, String) {
        if let Some(info) = road.remote(remote) {
            let known = (info.name.as_str().to_owned(), info.address.to_string());
            self.peers.insert(remote, known.clone());
            return known;
        }
        self.peers.get(&remote).cloned().unwrap_or_default()
    }

    pub(crate) fn event(&mut self, road: &Road, event: &Event) {
        match event {
            Event::Remote { remote, what, .. } => self.remote(road, *remote, *what),
            Event::KeysOffered { role, keys } => {
                let shown = keys.fingerprint();
                self.show_keys(role, *keys);
                self.tell(
                    "keys_offered",
                    json!({ "role": role, "keys": shown.to_string() }),
                    &format!("other keys were offered for role {role}: {shown}; they do not count unless you accept them"),
                );
            }
            Event::Ended {
                number,
                remote,
                outcome,
            } => {
                let (name, addr) = self.peer(road, *remote);
                self.ended(*number, &name, &addr, *outcome);
            }
            Event::KeepFailed(why) => note(&format!("a record could not be stored: {why}")),
            Event::Missed(count) => note(&format!("{count} events came too fast to be told")),
            _ => {}
        }
    }

    fn remote(&mut self, road: &Road, remote: RemoteId, what: RemoteEvent) {
        let (name, addr) = self.peer(road, remote);
        let who = if name.is_empty() {
            addr.clone()
        } else {
            format!("{name} at {addr}")
        };
        let mut fields = json!({ "name": name, "addr": addr });
        let (event, words) = match what {
            RemoteEvent::Pending { here } => {
                let role = road
                    .remote(remote)
                    .map(|info| info.role.as_str().to_owned())
                    .unwrap_or_default();
                let mut words =
                    format!("pending: the peer, {who}, has yet to accept this estate's keys");
                if here {
                    let keys = road
                        .roles()
                        .into_iter()
                        .find(|known| known.name.as_str() == role);
                    let keys = keys
                        .map(|known| {
                            self.show_keys(&role, known.keys);
                            known.keys.fingerprint().to_string()
                        })
                        .unwrap_or_default();
                    words = format!(
                        "pending: {who} shows keys {keys} for role {role}; type `accept {role}` or `reject {role}`"
                    );
                    fields["keys"] = keys.into();
                }
                fields["role"] = role.into();
                fields["here"] = here.into();
                ("pending", words)
            }
            RemoteEvent::Joined => ("joined", format!("joined {who}")),
            RemoteEvent::Allowed => (
                "allowed",
                format!("allowed {who}: keys proven, a session is up"),
            ),
            RemoteEvent::Came => ("alive", format!("alive: {who}")),
            RemoteEvent::Went => ("dead", format!("dead: {who} does not answer")),
            RemoteEvent::Reaped => (
                "reaped",
                format!("reaped: {who} was silent for so long that it is not asked any more"),
            ),
            RemoteEvent::SameAs(_) => ("known", format!("known: {who} has moved here")),
            RemoteEvent::Forgotten => ("forgotten", format!("forgotten: {who}")),
            RemoteEvent::JoinFailed(why) => {
                fields["reason"] = join_failure(why).0.into();
                (
                    "join_failed",
                    format!("not joined with {who}: {}", join_failure(why).1),
                )
            }
            RemoteEvent::AllowFailed(why) => {
                fields["reason"] = allow_failure(why).0.into();
                (
                    "allow_failed",
                    format!("not allowed with {who}: {}", allow_failure(why).1),
                )
            }
        };
        self.tell(event, fields, &words);
    }

    pub(crate) fn message(&self, message: &Message) {
        let Message {
            name, kind, bytes, ..
        } = message;
        let text = std::str::from_utf8(bytes).is_ok();
        let body = match kind {
            BodyKind::Raw | BodyKind::Nada => raw(bytes),
            BodyKind::Json | BodyKind::Msgpack => match message.decode::<Value>() {
                Ok(body) => body,
                Err(error) => {
                    note(&format!("a message from {name} cannot be shown: {error}"));
                    Value::Null
                }
            },
        };
        let kind = match kind {
            BodyKind::Nada => "nada",
            BodyKind::Json => "json",
            BodyKind::Raw if !text => "hex",
            BodyKind::Raw => "raw",
            BodyKind::Msgpack => "msgpack",
        };
        let words = match &body {
            Value::String(text) if text.len() > 60 => {
                format!("message from {name}: {} raw bytes", bytes.len())
            }
            body => format!("message from {name}: {body}"),
        };
        self.tell(
            "message",
            json!({ "from": name, "kind": kind, "bytes": bytes.len(), "body": body }),
            &words,
        );
    }

    /// What a shutdown left behind.
    pub(crate) fn undelivered(&mut self, report: &Report) {
        for message in &report.undelivered {
            let (name, addr) = match &message.peer {
                Some((name, addr)) => (name.clone(), addr.to_string()),
                None => self.peers.get(&message.remote).cloned().unwrap_or_default(),
            };
            self.ended(message.number, &name, &addr, message.outcome);
        }
        if report.unlisted > 0 {
            note(&format!(
                "{} more messages were not delivered",
                report.unlisted
            ));
        }
    }

    pub(crate) fn ended(&self, number: u64, name: &str, addr: &str, outcome: Outcome) {
        let mut fields = json!({ "number": number, "to": name, "addr": addr });
        let who = if name.is_empty() { addr } else { name };
        let (event, words) = match outcome {
            Outcome::Delivered => ("delivered", format!("delivered: message {number} to {who}")),
            Outcome::Failed(why) => {
                fields["reason"] = failure(why).0.into();
                (
                    "failed",
                    format!(
                        "failed: message {number} was not delivered: {}",
                        failure(why).1
                    ),
                )
            }
            Outcome::Unknown(why) => {
                fields["reason"] = doubt(why).0.into();
                (
                    "unknown",
                    format!(
                        "unknown whether message {number} was delivered: {}",
                        doubt(why).1
                    ),
                )
            }
        };
        self.tell(event, fields, &words);
    }
}

/// A word on stderr, for people, whatever goes to stdout.
pub(crate) fn note(text: &str) {
    // Without a stderr there is nobody to tell.
    let _ = writeln!(io::stderr(), "raet: {}", table::line(text));
}

/// What a person should know of how a keep was found; folders that were open to others in one line.
pub(crate) fn tell_notices(keep: &FileKeep) {
    let is_open = |notice: &&Notice| matches!(notice, Notice::Tightened(_));
    let (open, rest): (Vec<_>, Vec<_>) = keep.notices().iter().partition(is_open);
    for notice in rest {
        note(&notice.to_string());
    }
    match open.as_slice() {
        [] => {}
        [only] => note(&only.to_string()),
        several => note(&format!(
            "{} folders of {} were open to other users; they no longer are",
            several.len(),
            keep.folder().display()
        )),
    }
}

/// Raw bytes as text if they are (kind `raw`), else as hex digits (kind `hex`).
fn raw(bytes: &[u8]) -> Value {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return text.into();
    }
    let halves = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    let digits: String = halves
        .filter_map(|half| char::from_digit(half.into(), 16))
        .collect();
    digits.into()
}

/// A key for programs and words for people.
pub(crate) fn join_failure(why: JoinFailure) -> (&'static str, &'static str) {
    match why {
        JoinFailure::Timeout => ("timeout", "no answer in time"),
        JoinFailure::Refused => ("refused", "the peer is busy with another join"),
        JoinFailure::Rejected => (
            "rejected",
            "the peer rejects this estate: it keeps other keys for this name or role, or does not let strangers join",
        ),
        JoinFailure::Renewed => (
            "renewed",
            "the peer no longer knows this estate (--mutable lets it join anew)",
        ),
        JoinFailure::RejectedHere => ("rejected_here", "its keys are rejected here"),
        JoinFailure::Changed => (
            "changed",
            "it is not as it was known here (--mutable lets it change)",
        ),
        JoinFailure::NameTaken => ("name_taken", "its name or keys are those of another estate"),
        JoinFailure::WeakKeys => ("weak_keys", "its keys are weak"),
        JoinFailure::Malformed => ("malformed", "its answer could not be read"),
    }
}

fn allow_failure(why: AllowFailure) -> (&'static str, &'static str) {
    match why {
        AllowFailure::Timeout => ("timeout", "no answer in time"),
        AllowFailure::Refused => ("refused", "the peer was not ready"),
        AllowFailure::Rejected => ("rejected", "the peer rejects the proof of keys"),
        AllowFailure::Unjoined => ("unjoined", "the peer asks to join first"),
        AllowFailure::Unproven => ("unproven", "the peer did not prove its keys"),
    }
}

fn failure(why: Failure) -> (&'static str, &'static str) {
    match why {
        Failure::Cancelled => ("cancelled", "it was given up before any of it was sent"),
        Failure::Deadline => ("deadline", "the time was over before any of it was sent"),
        Failure::Forgotten => (
            "forgotten",
            "the peer was forgotten before any of it was sent",
        ),
        Failure::Refused => ("refused", "the peer refused it"),
    }
}

fn doubt(why: Doubt) -> (&'static str, &'static str) {
    match why {
        Doubt::Cancelled => ("cancelled", "it was given up while on its way"),
        Doubt::Deadline => ("deadline", "the time was over while it was on its way"),
        Doubt::Forgotten => (
            "forgotten",
            "the peer was forgotten while it was on its way",
        ),
        Doubt::SessionChanged => (
            "session_changed",
            "the session changed while it was on its way",
        ),
        Doubt::Nacked => (
            "nacked",
            "the peer said no, which may mean that it had it already",
        ),
    }
}
