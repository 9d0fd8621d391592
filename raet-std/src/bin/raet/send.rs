//! `raet send`: an estate that sends what it is given, and ends.

use std::fmt::Display;
use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use raet_std::core::RemoteId;
use raet_std::core::event::{JoinFailure, Outcome, RemoteEvent};
use raet_std::core::limits::MAX_MESSAGE;
use raet_std::{Body, BodyError, Event, Road, SendError, SendOptions, Shutdown};
use serde_json::{Map, Value, json};

use crate::options::{Estate, Packing, TICK, deadline, interrupts, resolve, seconds};
use crate::output::{Output, join_failure, note};
use crate::{FAILURE, Problem, SUCCESS};

/// Bytes of a line of stdin: more than any message that can be sent.
const LONGEST_LINE: u64 = 64 << 20;

/// How long a peer may be silent when no other limit is given.
const SILENCE: Duration = Duration::from_secs(30);

/// Open an estate, send messages to another one, and end when they are delivered
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Send {
    #[command(flatten)]
    estate: Estate,

    /// The estate to send to
    #[arg(long, value_name = "HOST:PORT")]
    to: String,

    /// Where to send from; any free port unless given
    #[arg(long, value_name = "ADDR:PORT")]
    bind: Option<String>,

    /// Give up after so many seconds; otherwise when the peer was silent for 30
    #[arg(long, value_name = "SECS", value_parser = seconds)]
    timeout: Option<Duration>,

    /// Send this file as one raw message
    #[arg(long, value_name = "PATH", conflicts_with = "messages")]
    file: Option<PathBuf>,

    /// JSON objects, a message each; none: a JSON object from each line of stdin
    #[arg(value_name = "MESSAGE")]
    messages: Vec<String>,
}

const EXAMPLES: &str = "\
Examples:
  raet send sensor --to 127.0.0.1:7530 '{\"celsius\": 21.5}'
  raet send sensor --to hub.example:7530 --keep ~/.raet/sensor '{\"celsius\": 21.5}'
      The same estate each time: its keys are accepted once, and no further join is needed.
  tail -f readings.jsonl | raet send sensor --to hub.example:7530 --keep ~/.raet/sensor

Exit codes: 0 all was delivered; 1 something was not, or is unknown (which messages is said); 2 wrong
usage.";

impl Send {
    pub(crate) fn run(mut self) -> Result<u8, Problem> {
        let interrupted = interrupts();
        let source = self.source()?;
        let to = resolve(&self.to)?;
        let (bind, to) = self.addresses(&to)?;
        let mut output = Output::new(self.estate.json);
        let opened = self.estate.open(bind, self.bind.is_some())?;
        let road = &opened.road;
        output.listening(&self.estate.name, road);
        let remote = road.connect(to).map_err(Problem::failure)?;
        output.tell(
            "joining",
            json!({ "addr": to.to_string() }),
            &format!("joining {to}"),
        );

        let feed = Arc::new(Feed::default());
        let (bytes, total) = (source.raw_len(), source.len());
        feed.start(source, self.estate.body, road.clone(), remote);

        let mut watch = Watch::new(self.timeout);
        let mut progress = Progress::new(bytes.filter(|_| !self.estate.json));
        let (mut delivered, mut ended) = (0, 0);
        let mut trouble = None;
        let why = loop {
            if feed.sent() == Some(ended) {
                break None;
            }
            if let Some(event) = road.event_for(TICK)? {
                progress.clear();
                output.event(road, &event);
                match event {
                    Event::Ended { outcome, .. } => {
                        ended += 1;
                        delivered += u64::from(outcome == Outcome::Delivered);
                    }
                    Event::Remote {
                        what: RemoteEvent::JoinFailed(why),
                        ..
                    } => {
                        trouble = Some(why);
                        if is_final(why) {
                            break Some(self.refused(to, why));
                        }
                    }
                    Event::Remote {
                        what: RemoteEvent::Joined,
                        ..
                    } => trouble = None,
                    _ => {}
                }
            }
            progress.show(road);
            if interrupted.load(Ordering::Relaxed) {
                break Some("interrupted".to_owned());
            }
            if watch.is_over(road) {
                break Some(silent(to, road, remote, trouble));
            }
        };
        progress.clear();

        // What is still on its way is given up, and its end told; what was delivered meanwhile counts.
        let report = road.shutdown(&Shutdown {
            deliver: Duration::ZERO,
            ..Shutdown::default()
        });
        while let Ok(Some(event)) = road.event_for(Duration::ZERO) {
            output.event(road, &event);
            if let Event::Ended { outcome, .. } = event {
                ended += 1;
                delivered += u64::from(outcome == Outcome::Delivered);
            }
        }
        // What the road had not taken yet has not failed there, but it will not arrive either.
        let given = total.map_or(ended, |total| total.max(ended));
        for number in ended + 1..=given {
            let fields = json!({ "number": number, "addr": to.to_string(), "reason": "not_sent" });
            let words = format!("failed: message {number} was not delivered: it was not sent");
            output.tell("failed", fields, &words);
        }
        let lost = given - delivered;
        output.tell(
            "closed",
            json!({ "delivered": delivered, "undelivered": lost }),
            &format!("closed: {delivered} delivered, {lost} not"),
        );
        if let Some(why) = &why {
            note(&format!("{delivered} delivered, {lost} not: {why}"));
        }
        if let Some(problem) = feed.problem() {
            note(&problem);
            return Ok(if lost == 0 { crate::USAGE } else { FAILURE });
        }
        let all = why.is_none() && lost == 0 && report.is_complete();
        Ok(if all { SUCCESS } else { FAILURE })
    }

    /// What is to be sent, checked as far as it is known: nothing goes out of a wrong command.
    fn source(&mut self) -> Result<Source, Problem> {
        if let Some(path) = &self.file {
            let name = path.display();
            let size = std::fs::metadata(path)
                .map_err(|error| Problem::usage(format!("{name} cannot be read: {error}")))?
                .len();
            if size > MAX_MESSAGE as u64 {
                return Err(Problem::usage(format!(
                    "{name} has {size} bytes, a message at most {MAX_MESSAGE}: send it in parts"
                )));
            }
            let bytes = std::fs::read(path)
                .map_err(|error| Problem::usage(format!("{name} cannot be read: {error}")))?;
            return Ok(Source::Bodies(vec![Body::raw(bytes)]));
        }
        if self.messages.is_empty() {
            return Ok(Source::Stdin);
        }
        let bodies = self
            .messages
            .iter()
            .map(|text| pack(text, self.estate.body));
        bodies
            .collect::<Result<_, _>>()
            .map(Source::Bodies)
            .map_err(Problem::usage)
    }

    /// Where to send from and to: of the host's addresses the first that can be reached.
    fn addresses(&self, to: &[SocketAddr]) -> Result<(SocketAddr, SocketAddr), Problem> {
        let first = to
            .first()
            .copied()
            .ok_or_else(|| Problem::failure("the host has no address"))?;
        let Some(bind) = &self.bind else {
            let any = if first.is_ipv4() {
                Ipv4Addr::UNSPECIFIED.into()
            } else {
                Ipv6Addr::UNSPECIFIED.into()
            };
            return Ok((SocketAddr::new(any, 0), first));
        };
        let bind = resolve(bind)?;
        for bind in &bind {
            let both = bind.is_ipv6() && bind.ip().is_unspecified();
            if let Some(to) = to.iter().find(|to| both || to.is_ipv4() == bind.is_ipv4()) {
                return Ok((*bind, *to));
            }
        }
        Err(Problem::usage(format!(
            "{first} cannot be reached from there: give --bind an address of the same family, or [::]:0 for both"
        )))
    }

    /// What to tell when another try would end the same way.
    fn refused(&self, to: SocketAddr, why: JoinFailure) -> String {
        let (name, why_words) = (&self.estate.name, join_failure(why).1);
        if why == JoinFailure::Rejected {
            if self.estate.keep.is_some() {
                return format!(
                    "{to} rejects {name}: it keeps other keys for it, its people rejected these, or it does not \
                     let strangers join (listen --main). `raet key list` there shows which"
                );
            }
            return format!(
                "{to} rejects {name}. Without --keep each run has new keys, and a peer that keeps those of an \
                 earlier run rejects the new ones: give --keep DIR, choose another NAME, or let that peer take any \
                 (listen --mutable --auto always). A peer without --main rejects strangers, too"
            );
        }
        format!("not joined with {to}: {why_words}")
    }
}

/// What to tell when the time is over.
fn silent(to: SocketAddr, road: &Road, remote: RemoteId, trouble: Option<JoinFailure>) -> String {
    let info = road.remote(remote);
    if info.as_ref().is_some_and(|info| info.allowed) {
        return format!("{to} stopped answering, or takes no messages: is it still running?");
    }
    if road.stats().engine.datagrams_in == 0 {
        return format!(
            "{to} never answered: is `raet listen` running there, and does UDP reach it?"
        );
    }
    match trouble {
        Some(why) => format!("not joined with {to}: {}", join_failure(why).1),
        None => format!(
            "no session with {to} came up in time: does it have to accept this estate's keys?"
        ),
    }
}

/// Whether to try again is useless: another try would end the same way.
fn is_final(why: JoinFailure) -> bool {
    !matches!(why, JoinFailure::Timeout | JoinFailure::Refused)
}

/// A message from a line of JSON.
fn pack(text: &str, packing: Packing) -> Result<Body, String> {
    let object: Map<String, Value> = serde_json::from_str(text).map_err(|error| {
        format!(
            "not a JSON object ({error}): {}; write it like '{{\"key\": \"value\"}}'",
            excerpt(text)
        )
    })?;
    let body = match packing {
        Packing::Json => Body::json(&object),
        Packing::Msgpack => Body::msgpack(&object),
    };
    let body = body.map_err(|error: BodyError| format!("{}: {error}", excerpt(text)))?;
    match body.bytes().len() {
        len if len > MAX_MESSAGE => Err(format!(
            "a message of {len} bytes is longer than the limit of {MAX_MESSAGE}: send it in parts"
        )),
        _ => Ok(body),
    }
}

fn excerpt(text: &str) -> String {
    let mut short: String = text.chars().take(40).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    format!("{short:?}")
}

enum Source {
    Bodies(Vec<Body>),
    Stdin,
}

impl Source {
    /// How many messages it has, if that is known.
    fn len(&self) -> Option<u64> {
        match self {
            Self::Bodies(bodies) => Some(bodies.len() as u64),
            Self::Stdin => None,
        }
    }

    /// Bytes of the one raw message, if that is what it is.
    fn raw_len(&self) -> Option<usize> {
        match self {
            Self::Bodies(bodies) => match bodies.as_slice() {
                [body] if body.kind() == raet_std::core::wire::BodyKind::Raw => {
                    Some(body.bytes().len())
                }
                _ => None,
            },
            Self::Stdin => None,
        }
    }
}

/// The thread that gives messages to the road, as fast as it takes them, and what became of it.
#[derive(Default)]
struct Feed {
    sent: AtomicU64,
    state: Mutex<FeedState>,
}

#[derive(Default)]
struct FeedState {
    finished: bool,
    problem: Option<String>,
}

impl Feed {
    fn start(self: &Arc<Self>, source: Source, packing: Packing, road: Road, remote: RemoteId) {
        let feed = Arc::clone(self);
        thread::spawn(move || {
            let problem = feed.run(source, packing, &road, remote).err();
            let mut state = feed.state.lock().unwrap_or_else(PoisonError::into_inner);
            *state = FeedState {
                finished: true,
                problem,
            };
        });
    }

    fn run(
        &self,
        source: Source,
        packing: Packing,
        road: &Road,
        remote: RemoteId,
    ) -> Result<(), String> {
        match source {
            Source::Bodies(bodies) => bodies
                .iter()
                .try_for_each(|body| self.send(road, remote, body)),
            Source::Stdin => {
                let mut stdin = io::stdin().lock();
                let mut line = String::new();
                for number in 1_u64.. {
                    let at = |error: &dyn Display| {
                        format!("line {number} of stdin: {error}; no later line was sent")
                    };
                    line.clear();
                    let len = (&mut stdin)
                        .take(LONGEST_LINE)
                        .read_line(&mut line)
                        .map_err(|error| at(&error))?;
                    if len == 0 {
                        break;
                    }
                    if len as u64 == LONGEST_LINE && !line.ends_with('\n') {
                        return Err(at(&format!(
                            "longer than {LONGEST_LINE} bytes: send it in parts"
                        )));
                    }
                    if line.trim().is_empty() {
                        continue;
                    }
                    let body = pack(&line, packing).map_err(|error| at(&error))?;
                    self.send(road, remote, &body)?;
                }
                Ok(())
            }
        }
    }

    fn send(&self, road: &Road, remote: RemoteId, body: &Body) -> Result<(), String> {
        let options = SendOptions {
            tell: true,
            ..SendOptions::default()
        };
        // Counted first, so that its end never comes before it is.
        self.sent.fetch_add(1, Ordering::Relaxed);
        match road.send_with(remote, body, &options) {
            Ok(_told_as_event) => Ok(()),
            Err(error) => {
                self.sent.fetch_sub(1, Ordering::Relaxed);
                match error {
                    // The command is ending: it says why itself.
                    SendError::Closed => Ok(()),
                    error => Err(error.to_string()),
                }
            }
        }
    }

    /// How many messages were sent, once there are no more.
    fn sent(&self) -> Option<u64> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.finished.then(|| self.sent.load(Ordering::Relaxed))
    }

    fn problem(&self) -> Option<String> {
        self.state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .problem
            .clone()
    }
}

/// When to give up.
struct Watch {
    end: Option<Instant>,
    heard: u64,
    silent_since: Instant,
}

impl Watch {
    fn new(timeout: Option<Duration>) -> Self {
        Self {
            end: deadline(timeout),
            heard: 0,
            silent_since: Instant::now(),
        }
    }

    fn is_over(&mut self, road: &Road) -> bool {
        if let Some(end) = self.end {
            return end <= Instant::now();
        }
        let heard = road.stats().engine.datagrams_in;
        if heard != self.heard {
            (self.heard, self.silent_since) = (heard, Instant::now());
        }
        self.silent_since.elapsed() > SILENCE
    }
}

/// A line on the terminal that says how far a file has come.
struct Progress {
    bytes: Option<usize>,
    shown: Option<usize>,
}

impl Progress {
    fn new(bytes: Option<usize>) -> Self {
        Self {
            bytes: bytes.filter(|_| io::stderr().is_terminal()),
            shown: None,
        }
    }

    fn show(&mut self, road: &Road) {
        let Some(bytes) = self.bytes else { return };
        // A segment carries some 860 bytes. What is sent twice is counted once.
        let stats = road.stats().engine;
        let fresh = stats.datagrams_out.saturating_sub(stats.repeats_out) * 860;
        let percent = usize::try_from(fresh).unwrap_or(bytes).saturating_mul(100) / bytes.max(1);
        let percent = percent.min(99);
        if self.shown != Some(percent) {
            let _ = write!(io::stderr(), "\r{percent:3} % of {bytes} bytes sent");
            self.shown = Some(percent);
        }
    }

    fn clear(&mut self) {
        if self.shown.take().is_some() {
            let _ = write!(io::stderr(), "\r{:40}\r", "");
        }
    }
}
