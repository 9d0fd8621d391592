//! A recording as estates with lives, packets between them and messages in those.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::time::Duration;

use raet_core::config::{Config, Pace, Timers, Trust};
use raet_core::crypto::{Crypto, NaclSuite, Purpose, Secrets};
use raet_core::wire::{
    BodyKind, CoatKind, Flags, FootKind, Frame, HeadKind, PacketKind, TransactionKind, name,
};
use serde_json::Value;

use crate::scripted::Script;
use crate::vectors::{self, Recording};

/// Seconds between two passes of the recorded hosts.
const PASS: f64 = 0.05;

/// One recorded datagram.
pub struct Packet<'a> {
    /// When it was sent, in microseconds.
    pub at: u64,
    /// Its place among the records.
    pub place: usize,
    /// The sender.
    pub from: SocketAddr,
    /// The receiver.
    pub to: SocketAddr,
    /// Whether it never arrived.
    pub lost: bool,
    /// Its bytes.
    pub raw: Vec<u8>,
    /// Its head, and where in `raw` the rest is.
    pub frame: Frame,
    /// All that was recorded of it.
    pub record: &'a Value,
}

impl Packet<'_> {
    /// Whether it is of this transaction kind and packet kind.
    pub fn is(&self, transaction: TransactionKind, packet: PacketKind) -> bool {
        (self.frame.head.transaction, self.frame.head.packet) == (transaction, packet)
    }

    /// Whether its sender answers.
    pub fn answers(&self) -> bool {
        self.frame.head.flags.contains(Flags::CORRESPONDENT)
    }
}

/// An estate between two of its starts.
pub struct Life<'a> {
    /// What the first line of the recording says of it.
    pub estate: &'a Value,
    /// When it started, in microseconds.
    pub at: u64,
    /// The records of it begin here.
    pub begin: usize,
    /// And end before this one.
    pub end: usize,
    /// Whether it goes on from what the life before had kept.
    pub kept: bool,
}

/// A message that an estate sent.
pub struct Mail {
    /// When its first packet was sent, in microseconds.
    pub at: u64,
    /// What its body is written in.
    pub kind: BodyKind,
    /// The body.
    pub body: Vec<u8>,
}

/// A recording, taken apart.
pub struct Cast<'a> {
    /// The recording itself.
    pub recording: &'a Recording,
    /// All its datagrams in order.
    pub packets: Vec<Packet<'a>>,
    /// The estates, in the order in which the recorded hosts served them.
    pub estates: Vec<SocketAddr>,
    /// An estate that took another one's name for the network: its address and its lowest uid.
    alias: Option<(SocketAddr, u32)>,
}

impl<'a> Cast<'a> {
    /// Takes `recording` apart.
    pub fn new(recording: &'a Recording) -> Self {
        let mut cast = Self {
            recording,
            packets: Vec::new(),
            estates: Vec::new(),
            alias: None,
        };
        let entries = recording.scenario["estates"].as_array().expect("estates");
        let speaks = |name: &Value| {
            recording
                .of_kind("datagram")
                .any(|d| d["from"] == *name || d["to"] == *name)
        };
        let alias = entries.iter().find(|estate| !speaks(&estate["name"]));
        cast.alias = alias.map(|e| (address(&e["ha"]), number(&e["puid"])));
        for start in recording
            .of_kind("event")
            .filter(|event| event["event"] == "start")
        {
            let estate = recording
                .estates(&start["at"])
                .next()
                .expect("an estate of that name");
            let estate = address(&estate["ha"]);
            if !cast.estates.contains(&estate) {
                cast.estates.push(estate);
            }
        }
        for (place, record) in recording.records.iter().enumerate() {
            if record["kind"] != "datagram" {
                continue;
            }
            let raw = vectors::bytes(&record["raw"]);
            let frame = Frame::parse(&raw).expect("an estate's packet");
            cast.packets.push(Packet {
                at: micros(&record["t"]),
                place,
                from: cast.whose(&record["from"], frame.head.source),
                to: cast.whose(&record["to"], frame.head.destination),
                lost: record["lost"] == true,
                raw,
                frame,
                record,
            });
        }
        cast
    }

    /// The name in the recording of the estate at `address`.
    pub fn name(&self, address: SocketAddr) -> &'a str {
        let entry = self
            .entries(address)
            .next()
            .expect("an estate at that address");
        entry["name"].as_str().expect("a name")
    }

    /// The estate called `name` that gave out `uid`.
    pub fn whose(&self, name: &Value, uid: u32) -> SocketAddr {
        match self.alias {
            Some((alias, lowest)) if uid > lowest => alias,
            _ => address(
                &self
                    .recording
                    .estates(name)
                    .next()
                    .expect("an estate of that name")["ha"],
            ),
        }
    }

    /// Whether an event is about the estate at `address`.
    pub fn concerns(&self, event: &Value, address: SocketAddr) -> bool {
        let uid = event
            .get("uid")
            .or_else(|| event["remotes"].get(0).map(|r| &r["uid"]));
        event["at"].is_string() && self.whose(&event["at"], uid.map_or(0, number)) == address
    }

    fn entries(&self, at: SocketAddr) -> impl Iterator<Item = &'a Value> {
        let all = self.recording.scenario["estates"].as_array();
        all.expect("estates")
            .iter()
            .filter(move |estate| address(&estate["ha"]) == at)
    }

    /// The lives of the estate at `address`.
    pub fn lives(&self, address: SocketAddr) -> Vec<Life<'a>> {
        let records = &self.recording.records;
        let starts = records.iter().enumerate().filter(|(_, record)| {
            record["event"] == "start" && self.whose(&record["at"], 0) == address
        });
        let mut lives: Vec<Life<'a>> = starts
            .zip(self.entries(address))
            .map(|((begin, start), estate)| Life {
                estate,
                at: micros(&start["t"]),
                begin,
                end: records.len(),
                kept: false,
            })
            .collect();
        for next in 1..lives.len() {
            lives[next - 1].end = lives[next].begin;
            // A keep shows in that it has remotes before it made any.
            let first = records[lives[next].begin + 1..lives[next].end]
                .iter()
                .find(|record| record["event"] != "start" && self.concerns(record, address));
            lives[next].kept = first.is_some_and(|event| {
                event["event"] != "add_remote"
                    && event["remotes"]
                        .as_array()
                        .is_none_or(|all| !all.is_empty())
            });
        }
        lives
    }

    /// Which life of the estate at `address` a record belongs to.
    pub fn life_at(&self, address: SocketAddr, at: u64) -> usize {
        self.lives(address)
            .iter()
            .filter(|life| life.at <= at)
            .count()
    }

    /// When what one estate sends at `at` is read by the other: in the same pass if its turn comes
    /// later, else in the next.
    pub fn arrival(&self, at: u64, from: SocketAddr, to: SocketAddr) -> u64 {
        let turn = |estate| self.estates.iter().position(|other| *other == estate);
        let pass = Duration::from_secs_f64(PASS).as_micros() as u64;
        if turn(to) < turn(from) { at + pass } else { at }
    }

    /// What the estate is and how it behaves, as our engine's configuration.
    pub fn config(&self, life: &Life<'a>, address: SocketAddr) -> Config {
        let estate = life.estate;
        let settings = &self.recording.scenario["settings"];
        let kind = |field: &str| number(&settings[field]);
        let mut requests = self.packets.iter().filter(|p| {
            p.from == address
                && (life.begin..life.end).contains(&p.place)
                && p.is(TransactionKind::Join, PacketKind::Request)
        });
        let told = requests.find_map(|p| p.record["body"]["name"].as_str());
        let own = told.unwrap_or_else(|| estate["name"].as_str().expect("a name"));
        let secrets = Secrets::from_hex(
            estate["sighex"].as_str().expect("a seed"),
            estate["prihex"].as_str().expect("a secret"),
        );
        let mut config = Config::new(name(own).expect("a name"), secrets.expect("hex"));
        config.role = name(estate["role"].as_str().expect("a role")).expect("a role");
        config.main = estate["main"] == true;
        config.kind = estate["app_kind"].as_u64().unwrap_or(0) as u8;
        config.mutable = estate["mutable"] == true;
        config.trust = match number(&estate["auto"]) {
            0 => Trust::Never,
            1 => Trust::Once,
            _ => Trust::Always,
        };
        config.head = HeadKind::from_wire(kind("hk")).expect("a head kind");
        config.body = BodyKind::from_wire(kind("bk")).expect("a body kind");
        config.coat = CoatKind::from_wire(kind("ck")).expect("a coat kind");
        config.foot = FootKind::from_wire(kind("fk")).expect("a foot kind");
        config.accept_unsigned = estate["veritive"] == false;
        config.accept_uncoated = config.coat == CoatKind::Nada;
        // The harness begins each transaction when the recorded host did.
        config.cascade = false;
        config.window = match number(&estate["burst"]) {
            0 => u16::MAX,
            burst => burst as u16,
        };
        config.timers = self.timers();
        config
    }

    fn timers(&self) -> Timers {
        let recorded = &self.recording.scenario["timers"];
        let pace = |role: &str| {
            let seconds =
                |field| Duration::from_secs_f64(recorded[role][field].as_f64().expect("seconds"));
            Pace {
                timeout: seconds("Timeout"),
                redo_min: seconds("RedoTimeoutMin"),
                redo_max: seconds("RedoTimeoutMax"),
            }
        };
        let mut timers = Timers {
            joiner: pace("Joiner"),
            joinent: pace("Joinent"),
            allower: pace("Allower"),
            allowent: pace("Allowent"),
            aliver: pace("Aliver"),
            messenger: pace("Messenger"),
            messengent: pace("Messengent"),
            ..Timers::default()
        };
        // Nothing is tried again unless the recorded host did.
        let never = Duration::from_secs(3600);
        timers.retry = Pace {
            timeout: Duration::ZERO,
            redo_min: never,
            redo_max: never,
        };
        for call in self
            .recording
            .of_kind("event")
            .filter(|event| event["do"] == "join")
        {
            if let Some(timeout) = call["timeout"].as_f64() {
                timers.joiner.timeout = Duration::from_secs_f64(timeout);
            }
        }
        timers
    }

    /// What the estate drew at random in a life.
    pub fn script(&self, life: &Life<'a>, address: SocketAddr) -> Script {
        let script = Script::default();
        let mut seen = HashSet::new();
        let mut push = |purpose: Purpose, value: &[u8]| {
            if seen.insert((purpose, value.to_vec())) {
                script.push(purpose, value);
            }
        };
        let (remote, attempt) = (0, 0);
        let mut near = |uid: u32| {
            if uid != 0 {
                push(Purpose::NearUid { remote, attempt }, &uid.to_le_bytes());
            }
        };
        let range = life.begin..life.end;
        let of_life = |p: &&Packet<'_>| p.from == address && range.contains(&p.place);
        for (place, record) in self.recording.records.iter().enumerate() {
            if !range.contains(&place) {
                continue;
            }
            if let Some(packet) = self
                .packets
                .iter()
                .filter(of_life)
                .find(|p| p.place == place)
            {
                let joins = packet.frame.head.transaction == TransactionKind::Join;
                near(packet.frame.head.source);
                if joins && packet.answers() {
                    near(record["body"]["uid"].as_u64().unwrap_or(0) as u32);
                }
            } else if self.concerns(record, address) && record["event"] == "add_remote" {
                near(number(&record["uid"]));
            } else if self.concerns(record, address) && record["event"] == "state" {
                let remotes = record["remotes"].as_array().expect("remotes");
                for remote in remotes {
                    near(number(&remote["uid"]));
                }
            }
        }
        for packet in self.packets.iter().filter(of_life) {
            let head = &packet.frame.head;
            let (short, inner) = (
                &packet.record["short"]["from"]["sec"],
                &packet.record["inner"],
            );
            let opened = |field: &str| {
                inner[field]
                    .is_string()
                    .then(|| vectors::bytes(&inner[field]))
            };
            let nonce = opened("nonce");
            match (head.transaction, head.packet) {
                (TransactionKind::Join, PacketKind::Request) => {
                    push(
                        Purpose::JoinId { remote, attempt },
                        &head.transaction_id.to_le_bytes(),
                    );
                }
                (TransactionKind::Allow, PacketKind::Hello) => {
                    push(
                        Purpose::ShortSecret { remote, attempt },
                        &vectors::bytes(short),
                    );
                    push(
                        Purpose::HelloNonce { remote, attempt },
                        &nonce.expect("a nonce"),
                    );
                }
                (TransactionKind::Allow, PacketKind::Cookie) => {
                    push(
                        Purpose::ShortSecret { remote, attempt },
                        &vectors::bytes(short),
                    );
                    push(
                        Purpose::CookieNonce { remote, attempt },
                        &nonce.expect("a nonce"),
                    );
                    if let Some(cookie) = opened("stuff_oreo") {
                        push(Purpose::Cookie { remote, attempt }, &cookie);
                    }
                }
                (TransactionKind::Allow, PacketKind::Initiate) => {
                    push(
                        Purpose::InitiateNonce { remote, attempt },
                        &nonce.expect("a nonce"),
                    );
                    if let Some(nonce) = opened("stuff_vouch_nonce") {
                        push(Purpose::VouchNonce { remote, attempt }, &nonce);
                    }
                }
                _ => {}
            }
        }
        script
    }

    /// The messages that the estate sent, opened, in order; one that is sent again in a new session
    /// comes twice.
    pub fn mail(&self, address: SocketAddr) -> Vec<Mail> {
        let mut mail = Vec::new();
        let mut seen = HashSet::new();
        let sent: Vec<_> = self
            .packets
            .iter()
            .filter(|p| p.from == address && p.is(TransactionKind::Message, PacketKind::Message))
            .collect();
        for first in &sent {
            let id = |p: &Packet<'_>| {
                (
                    p.to,
                    p.frame.head.session,
                    p.frame.head.transaction_id,
                    self.life_at(address, p.at),
                )
            };
            if !seen.insert(id(first)) {
                continue;
            }
            let parts = (0..first.frame.head.segments).map(|sn| {
                let part = sent
                    .iter()
                    .find(|p| id(p) == id(first) && p.frame.head.segment == sn);
                let part = part.expect("every segment was sent");
                &part.raw[part.frame.coat()]
            });
            let coat: Vec<u8> = parts.flatten().copied().collect();
            let body = open(first, coat);
            mail.push(Mail {
                at: first.at,
                kind: first.frame.head.body,
                body,
            });
        }
        mail
    }
}

/// What is in the coat of a message.
fn open(packet: &Packet<'_>, mut coat: Vec<u8>) -> Vec<u8> {
    if packet.frame.head.coat == CoatKind::Nada || coat.is_empty() {
        return coat;
    }
    let suite = NaclSuite::new(&[0; 32]);
    let short = &packet.record["short"]["from"];
    let secret = suite.secret_key(&vectors::key(&short["sec"]).expect("a short-term secret"));
    let public = vectors::key(&short["far_pub"]).expect("a short-term key");
    let key = suite.box_key(&secret, &public).expect("a good key");
    let nonce: [u8; 24] = coat
        .split_off(coat.len() - 24)
        .try_into()
        .expect("24 bytes");
    let mut body = coat.split_off(16);
    let tag: [u8; 16] = coat.try_into().expect("16 bytes");
    assert!(
        suite.open(&key, &nonce, &mut body, &tag),
        "a recorded message opens"
    );
    body
}

/// A recorded number of seconds in microseconds.
pub(super) fn micros(seconds: &Value) -> u64 {
    let seconds = seconds.as_f64().expect("seconds");
    // Recorded to the millisecond.
    Duration::from_secs_f64(seconds + 1e-7).as_millis() as u64 * 1000
}

/// A recorded id or number that fits 32 bits.
pub(super) fn number(value: &Value) -> u32 {
    value
        .as_u64()
        .and_then(|n| u32::try_from(n).ok())
        .expect("a number of 32 bits")
}

/// A recorded `[host, port]`.
pub(super) fn address(ha: &Value) -> SocketAddr {
    let host = ha[0]
        .as_str()
        .expect("a host")
        .parse()
        .expect("an IP address");
    SocketAddr::new(
        host,
        ha[1]
            .as_u64()
            .and_then(|p| u16::try_from(p).ok())
            .expect("a port"),
    )
}
