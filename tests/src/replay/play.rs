//! The engine's host and its network: what the recorded ones did, done to our engine.

use std::net::SocketAddr;
use std::time::Duration;

use raet_core::config::{Presence, Timers};
use raet_core::crypto::{Crypto, NaclSuite};
use raet_core::event::{Event, Outcome, RemoteEvent};
use raet_core::keep::{MemoryKeep, Record, Status};
use raet_core::limits::Limits;
use raet_core::road::{RemoteInfo, RoleInfo};
use raet_core::stats::{Stats, Verdict};
use raet_core::storage::Storage;
use raet_core::time::Instant;
use raet_core::wire::{
    BodyKind, Flags, FootKind, Frame, Head, PacketKind, TransactionKind, emit_head,
};
use raet_core::{RemoteId, RoadStack, SendOptions};
use serde_json::Value;

use super::cast::{Cast, Life, Mail, Packet, address, micros, number};
use crate::scripted::Scripted;
use crate::vectors;

/// What a recorded host did that its recording does not show.
#[derive(Default)]
pub struct Host {
    /// Presence runs from this moment on, in seconds.
    pub presence: Option<f64>,
    /// Presence first joins whom it does not know at this moment, in seconds.
    pub joins: Option<f64>,
    /// It forgets its first remote at this moment, in seconds.
    pub forgets: Option<f64>,
    /// Its keep holds these keys of a role as rejected from the start: the estate of that name.
    pub rejects: Option<&'static str>,
}

/// What our engine sent.
pub struct Sent {
    /// When, in microseconds.
    pub at: u64,
    /// Where to.
    pub to: SocketAddr,
    /// Which life of the engine sent it.
    pub life: usize,
    /// The packet.
    pub raw: Vec<u8>,
    /// Its head, and where in `raw` the rest is.
    pub frame: Frame,
}

/// What came of it.
#[derive(Default)]
pub struct Played {
    /// All that the engine sent, in order.
    pub sent: Vec<Sent>,
    /// What it delivered: the sender's name, and the body.
    pub delivered: Vec<(String, BodyKind, Vec<u8>)>,
    /// How its messages ended.
    pub outcomes: Vec<Outcome>,
    /// What it held in the end.
    pub remotes: Vec<RemoteInfo>,
    /// What was decided about roles in the end.
    pub roles: Vec<RoleInfo>,
    /// What it said of each datagram: the recorded step, and the verdict.
    pub verdicts: Vec<(u64, Verdict)>,
    /// Datagrams whose ids had to be ours.
    pub readdressed: usize,
    /// Commands that named a remote which the engine does not have.
    pub lost_calls: Vec<String>,
    /// All events in order.
    pub events: Vec<Event>,
    /// The counters of the last life.
    pub stats: Option<Stats>,
}

impl Played {
    /// What was sent, a line each, and what the engine said of each datagram: for people.
    pub fn trace(&self) -> String {
        let line = |sent: &Sent| {
            let head = &sent.frame.head;
            let (at, flags) = (sent.at, head.flags.to_wire());
            let (tk, pk) = (head.transaction, head.packet);
            let (si, ti, sn) = (head.session, head.transaction_id, head.segment);
            format!("  {at:>9} {tk:?}/{pk:?} fg {flags:02x} si {si} ti {ti} sn {sn}\n")
        };
        let sent: String = self.sent.iter().map(line).collect();
        format!("{sent}  {:?}\n", self.verdicts)
    }
}

/// Something that happens to the estate, at a time.
enum Act<'a> {
    Start(usize),
    Event(&'a Value),
    Presence,
    Joins,
    Forget,
    Arrival(&'a Packet<'a>),
    End,
}

/// Plays the estate at `me` by an engine with storage `S`.
///
/// # Panics
///
/// If the engine refuses what a driver may ask of it, or never comes to rest.
pub fn play<S: Storage>(cast: &Cast<'_>, me: SocketAddr, limits: Limits, host: &Host) -> Played {
    let lives = cast.lives(me);
    let mut player = Player::<S> {
        cast,
        me,
        limits,
        host,
        stack: None,
        now: 0,
        life: 0,
        keep: MemoryKeep::default(),
        cascade: false,
        mail: cast.mail(me),
        mailed: 0,
        played: Played::default(),
    };
    for (at, act) in acts(cast, me, &lives, host) {
        // What comes at a moment is read before that moment's deadlines pass, as in the recorded
        // passes.
        player.pass_time(if matches!(act, Act::End) { at + 1 } else { at });
        match act {
            Act::Start(index) => player.start(&lives[index], index),
            Act::Event(event) => player.event(event),
            Act::Presence => player.presence(lives.last().map(|life| life.estate)),
            Act::Joins => player.joins(),
            Act::Forget => player.forget(),
            Act::Arrival(packet) => player.arrival(packet),
            Act::End => break,
        }
        player.pump();
    }
    let stack = player.stack.as_ref().expect("it was started");
    player.played.remotes = stack.remotes().collect();
    player.played.roles = stack.roles().collect();
    player.played.stats = Some(stack.stats().clone());
    player.played
}

/// All that happens to the estate at `me`, in order: at equal times the host comes first, as in the
/// recorded passes.
fn acts<'a>(
    cast: &'a Cast<'a>,
    me: SocketAddr,
    lives: &[Life<'a>],
    host: &Host,
) -> Vec<(u64, Act<'a>)> {
    let mut acts = Vec::new();
    let records = &cast.recording.records;
    for (place, record) in records.iter().enumerate() {
        let at = micros(&record["t"]);
        if let Some(index) = lives.iter().position(|life| life.begin == place) {
            acts.push((at, 0, Act::Start(index)));
        } else if record["event"] == "replay" {
            let step = &record["raw_of_step"];
            let packet = cast
                .packets
                .iter()
                .find(|p| p.record["step"] == *step && p.to == me);
            acts.extend(packet.map(|packet| (at, 1, Act::Arrival(packet))));
        } else if matches!(record["event"].as_str(), Some("add_remote" | "call")) {
            if cast.concerns(record, me) {
                acts.push((at, 0, Act::Event(record)));
            }
        } else if record["event"] == "state" {
            acts.push((at, 2, Act::End));
        }
        let packet = cast
            .packets
            .iter()
            .find(|p| p.place == place && p.to == me && !p.lost);
        if let Some(packet) = packet {
            acts.push((
                cast.arrival(packet.at, packet.from, me),
                1,
                Act::Arrival(packet),
            ));
        }
    }
    let moment = |seconds: f64| Duration::from_secs_f64(seconds).as_micros() as u64;
    acts.extend(host.presence.map(|at| (moment(at), 0, Act::Presence)));
    acts.extend(host.joins.map(|at| (moment(at), 0, Act::Joins)));
    acts.extend(host.forgets.map(|at| (moment(at), 0, Act::Forget)));
    let last = acts
        .iter()
        .filter(|act| matches!(act.2, Act::End))
        .map(|act| act.0)
        .max();
    acts.retain(|act| !matches!(act.2, Act::End));
    acts.push((last.expect("a state"), 3, Act::End));
    acts.sort_by_key(|act| (act.0, act.1));
    acts.into_iter().map(|(at, _, act)| (at, act)).collect()
}

struct Player<'a, S: Storage> {
    cast: &'a Cast<'a>,
    me: SocketAddr,
    limits: Limits,
    host: &'a Host,
    stack: Option<RoadStack<S, Scripted>>,
    now: u64,
    life: usize,
    keep: MemoryKeep,
    cascade: bool,
    mail: Vec<Mail>,
    mailed: usize,
    played: Played,
}

impl<S: Storage> Player<'_, S> {
    fn stack(&mut self) -> &mut RoadStack<S, Scripted> {
        self.stack.as_mut().expect("it was started")
    }

    fn instant(&self) -> Instant {
        Instant::from_micros(self.now)
    }

    fn start(&mut self, life: &Life<'_>, index: usize) {
        if !life.kept {
            self.keep = MemoryKeep::default();
        }
        if index == 0
            && let Some(rejected) = self.host.rejects
        {
            let role = Record::Role(self.role_of(rejected, Status::Rejected));
            self.keep.store(role);
        }
        let mut config = self.cast.config(life, self.me);
        if self.host.presence.is_some() {
            config.timers.retry = Timers::default().retry;
        }
        let suite = Scripted::new(&[index as u8 + 1; 32], self.cast.script(life, self.me));
        let records: Vec<Record> = self.keep.records().collect();
        let stack = RoadStack::new(self.instant(), config, self.limits, suite, records);
        self.stack = Some(stack.expect("a good configuration"));
        self.life = index;
    }

    /// The role of the estate called `name`, as a person judged it.
    fn role_of(&self, name: &str, status: Status) -> raet_core::keep::RoleRecord {
        let name = Value::from(name);
        let estate = self
            .cast
            .recording
            .estates(&name)
            .next()
            .expect("an estate of that name");
        let role = estate["role"].as_str().expect("a role");
        let keys = raet_core::crypto::PublicKeys {
            verify: vectors::key(&estate["verhex"]).expect("a key"),
            public: vectors::key(&estate["pubhex"]).expect("a key"),
        };
        raet_core::keep::RoleRecord {
            name: raet_core::wire::name(role).expect("a role"),
            status,
            judged: true,
            keys,
        }
    }

    /// Lets the engine's own deadlines before `until` pass.
    fn pass_time(&mut self, until: u64) {
        for _ in 0..100_000 {
            let due = self
                .stack
                .as_ref()
                .and_then(RoadStack::poll_timeout)
                .map(|t| t.at.as_micros());
            let Some(due) = due.filter(|due| *due < until) else {
                self.now = until;
                return;
            };
            assert!(due >= self.now, "a deadline lies in the past");
            self.now = due;
            let now = self.instant();
            self.stack().handle_timeout(now);
            self.pump();
        }
        panic!("the engine does not come to rest before {until}");
    }

    /// Carries out all that the engine asks for.
    fn pump(&mut self) {
        let now = self.instant();
        while let Some(record) = self.stack().poll_record() {
            self.stack().handle_stored(now, &record);
            self.keep.store(record);
        }
        while let Some(event) = self.stack().poll_event() {
            self.on_event(&event);
            self.played.events.push(event);
        }
        let delivered = &mut self.played.delivered;
        let stack = self.stack.as_mut().expect("it was started");
        while let Some(message) =
            stack.poll_message(|m| (m.name.to_owned(), m.kind, m.body.to_vec()))
        {
            delivered.push(message);
        }
        let mut out = [0; 2048];
        while let Some(transmit) = self.stack().poll_transmit(now, &mut out) {
            let raw = out[..transmit.len].to_vec();
            let frame = Frame::parse(&raw).expect("the engine's own packet");
            assert!(
                raw.len() <= 1024,
                "a packet that a classic receiver need not read"
            );
            self.played.sent.push(Sent {
                at: self.now,
                to: transmit.to,
                life: self.life,
                raw,
                frame,
            });
        }
    }

    /// Whether ours began the last transaction of this kind that it took part in.
    fn began(&self, kind: TransactionKind) -> bool {
        let last = self
            .played
            .sent
            .iter()
            .rfind(|sent| sent.frame.head.transaction == kind);
        last.is_some_and(|sent| !sent.frame.head.flags.contains(Flags::CORRESPONDENT))
    }

    /// The cascade of the recorded hosts: a join goes on to an allow, an allow to an alive, where
    /// they began it.
    fn on_event(&mut self, event: &Event) {
        let now = self.instant();
        match event {
            Event::Message { outcome, .. } => self.played.outcomes.push(*outcome),
            Event::Remote {
                remote,
                what: RemoteEvent::Joined,
                ..
            } if self.cascade && self.began(TransactionKind::Join) => {
                self.stack()
                    .allow(now, *remote)
                    .expect("it has just joined");
            }
            Event::Remote {
                remote,
                what: RemoteEvent::Allowed,
                ..
            } if self.cascade && self.began(TransactionKind::Allow) => {
                self.stack()
                    .alive(now, *remote)
                    .expect("it was just allowed");
            }
            _ => {}
        }
    }

    fn presence(&mut self, estate: Option<&Value>) {
        let seconds = |field: &str| {
            Duration::from_secs_f64(estate.and_then(|e| e[field].as_f64()).expect("seconds"))
        };
        let presence = Presence {
            period: seconds("period"),
            interim: seconds("interim"),
        };
        let now = self.instant();
        self.cascade = true;
        self.stack().set_presence(now, Some(presence));
    }

    fn joins(&mut self) {
        let now = self.instant();
        let unknown: Vec<_> = self
            .stack()
            .remotes()
            .filter(|r| !r.joined)
            .map(|r| r.id)
            .collect();
        for remote in unknown {
            self.stack().join(now, remote).expect("it is there");
        }
    }

    fn forget(&mut self) {
        let now = self.instant();
        let first = self.stack().remotes().next().map(|remote| remote.id);
        match first {
            Some(remote) => self.stack().forget(now, remote).expect("it is there"),
            None => self.played.lost_calls.push("forget".into()),
        }
    }

    fn event(&mut self, event: &Value) {
        let now = self.instant();
        if event["event"] == "add_remote" {
            let to = address(&event["ha"]);
            self.stack()
                .add_remote(now, to, 0)
                .expect("room for a remote");
            return;
        }
        self.cascade |= event["cascade"] == true;
        let called = event["do"].as_str().expect("a call");
        match called {
            "keep.acceptRemote" => self.judge(Status::Accepted),
            "keep.rejectRemote" => self.judge(Status::Rejected),
            "removeRemote" => self.forget(),
            "manage each pass" => {} // see `Host::presence`
            "join" | "allow" | "alive" | "transmit" => {
                let near = number(&event["uid"]);
                let remote = self
                    .stack()
                    .remotes()
                    .find(|r| r.near == near)
                    .map(|r| r.id);
                match remote {
                    Some(remote) => self.call(event, called, remote),
                    None => self.played.lost_calls.push(called.into()),
                }
            }
            other => panic!("the recorded host did {other}"),
        }
    }

    fn call(&mut self, event: &Value, called: &str, remote: RemoteId) {
        let now = self.instant();
        let stack = self.stack.as_mut().expect("it was started");
        match called {
            "join" => stack.join(now, remote).expect("it is there"),
            "allow" => stack.allow(now, remote).expect("it is there"),
            "alive" => stack.alive(now, remote).expect("it is there"),
            _ => {
                let at = self.now;
                let rest = &self.mail[self.mailed..];
                let skipped = rest
                    .iter()
                    .position(|mail| mail.at >= at)
                    .expect("it was sent");
                let mail = &rest[skipped];
                self.mailed += skipped + 1;
                let timeout = event["timeout"].as_f64().filter(|seconds| *seconds > 0.0);
                let options = SendOptions {
                    body: mail.kind,
                    token: 0,
                    deadline: timeout.map(|seconds| now + Duration::from_secs_f64(seconds)),
                    once: false,
                };
                stack
                    .send(now, remote, options, mail.body.len(), |out| {
                        out.copy_from_slice(&mail.body);
                    })
                    .expect("room for a message");
            }
        }
    }

    /// A person judges the keys that wait for it.
    fn judge(&mut self, status: Status) {
        let now = self.instant();
        let waiting = self
            .stack()
            .roles()
            .find(|role| role.status == Status::Pending);
        match waiting {
            Some(role) => {
                let judged = self
                    .stack()
                    .judge_role(now, &role.name, status, Some(&role.keys));
                judged.expect("the keys that wait");
            }
            None => self.played.lost_calls.push("judge".into()),
        }
    }

    fn arrival(&mut self, packet: &Packet<'_>) {
        let mut raw = match self.ours(packet) {
            Some(head) => {
                self.played.readdressed += 1;
                self.signed_again(packet, &head)
            }
            None => packet.raw.clone(),
        };
        let now = self.instant();
        let verdict = self.stack().handle_datagram(now, packet.from, &mut raw);
        let step = packet.record["step"].as_u64().unwrap_or(0);
        self.played.verdicts.push((step, verdict));
    }

    /// An engine counts the transactions that it begins, and its sessions, for itself: where a reply
    /// to one of these bears the recorded numbers, the head that it would have had for ours.
    fn ours(&self, packet: &Packet<'_>) -> Option<Head> {
        let mut head = packet.frame.head;
        if !packet.answers() || head.transaction == TransactionKind::Join {
            return None;
        }
        let began = |h: &Head| {
            let own = !h.flags.contains(Flags::CORRESPONDENT) && h.packet != PacketKind::Nack;
            (own && h.transaction == head.transaction).then_some((h.session, h.transaction_id))
        };
        let distinct = |ids: &mut dyn Iterator<Item = (u32, u32)>| {
            let mut seen = Vec::new();
            ids.for_each(|id| {
                if !seen.contains(&id) {
                    seen.push(id);
                }
            });
            seen
        };
        let recorded = self
            .cast
            .packets
            .iter()
            .filter(|p| p.from == self.me && p.to == packet.from);
        let theirs = distinct(&mut recorded.filter_map(|p| began(&p.frame.head)));
        let sent = self.played.sent.iter().filter(|s| s.to == packet.from);
        let ours = distinct(&mut sent.filter_map(|s| began(&s.frame.head)));
        let index = theirs
            .iter()
            .position(|id| *id == (head.session, head.transaction_id))?;
        let (session, transaction) = *ours.get(index)?;
        if (session, transaction) == (head.session, head.transaction_id) {
            return None;
        }
        head.session = session;
        head.transaction_id = transaction;
        Some(head)
    }

    /// The packet under another head, signed by its sender.
    fn signed_again(&self, packet: &Packet<'_>, head: &Head) -> Vec<u8> {
        let coat = &packet.raw[packet.frame.coat()];
        let mut raw = vec![0; 255];
        let len = emit_head(head, coat.len(), &mut raw).expect("a head");
        raw.truncate(len);
        raw.extend(coat);
        if head.foot == FootKind::Nacl {
            let lives = self.cast.lives(packet.from);
            let life = &lives[self.cast.life_at(packet.from, packet.at) - 1];
            let suite = NaclSuite::new(&[0; 32]);
            let key = suite.sign_key(&vectors::key(&life.estate["sighex"]).expect("a seed"));
            let end = raw.len();
            raw.extend([0; 64]);
            let signature = suite.sign(&key, &raw);
            raw[end..].copy_from_slice(&signature);
        }
        raw
    }
}
