//! An engine and a peer of 0.6.8, and what cells ask of the two.

use std::time::{Duration, Instant};

use raet_core::event::{Doubt, Event, JoinFailure, Outcome, RemoteEvent};
use raet_core::keep::{Record, Status};
use raet_core::storage::Storage;
use raet_core::wire::BodyKind;
use raet_core::{RemoteId, SendOptions};
use raet_tests::interop::{Road, is, is_alive};
use raet_tests::live::{Estate, Taken};
use raet_tests::matrix::table::Counts;
use serde_json::{Value, json};

use crate::lab::{Lab, Lent};
use crate::setup::{BOUND, Setup, Side};

/// How long a wait for a datagram may last before the peer's events are looked at.
const TICK: Duration = Duration::from_millis(2);

/// A message of ours: what is sent, and what the peer shows of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Ours {
    pub(crate) kind: BodyKind,
    pub(crate) bytes: Vec<u8>,
    pub(crate) shown: Value,
}

/// An engine and a peer that know of each other or are about to.
pub(crate) struct Pair<'l, S: Storage> {
    pub(crate) estate: Estate<S>,
    pub(crate) peer: Lent<'l>,
    pub(crate) road: Road,
    pub(crate) main: Side,
    /// The names by which the two know each other.
    pub(crate) names: [String; 2],
    /// The kind of mappings that each side sends: ours, the peer's.
    pub(crate) bodies: [BodyKind; 2],
    /// Somebody sits there who accepts every key.
    pub(crate) accepting: bool,
    /// The number of the last message.
    last: u64,
    /// Messages that each side has taken: the peer, ours. None must be taken again.
    taken: [u64; 2],
    /// What peers of earlier lives had counted.
    before: Counts,
}

impl<'l, S: Storage> Pair<'l, S> {
    #[track_caller]
    pub(crate) fn start(lab: &'l Lab, setup: Setup) -> Self {
        Self::start_from(lab, setup, Vec::new())
    }

    /// As [`Pair::start`], ours with these records of an earlier life.
    #[track_caller]
    pub(crate) fn start_from(lab: &'l Lab, mut setup: Setup, records: Vec<Record>) -> Self {
        setup.theirs["ha"] = json!(["127.0.0.1", lab.port()]);
        let mut peer = lab.peer();
        let names = ["rust", "python"].map(str::to_owned);
        let names = [
            setup.ours.name.as_str().to_owned(),
            setup.theirs["name"]
                .as_str()
                .unwrap_or(&names[1])
                .to_owned(),
        ];
        let their_body = match setup.theirs["bk"].as_str() {
            Some("msgpack") => BodyKind::Msgpack,
            _ => BodyKind::Json,
        };
        let road = peer.start_road(setup.theirs);
        Self {
            bodies: [setup.ours.body, their_body],
            estate: Estate::from_records(setup.ours, S::LIMITS, [1; 32], records),
            peer,
            road,
            main: setup.main,
            names,
            accepting: true,
            last: 0,
            taken: [0; 2],
            before: Counts::default(),
        }
    }

    /// Steps the engine until `done` finds something.
    #[track_caller]
    pub(crate) fn until<R>(
        &mut self,
        what: &str,
        mut done: impl FnMut(&mut Self) -> Option<R>,
    ) -> R {
        let end = Instant::now() + BOUND;
        while Instant::now() < end {
            if let Some(found) = done(self) {
                return found;
            }
            self.estate.step(TICK);
            if self.accepting {
                self.accept_all();
            }
        }
        let stats = self.peer.command(json!({"cmd": "stats"}));
        let far = self.peer.command(json!({"cmd": "remotes"}));
        panic!(
            "no {what} in {BOUND:?}\n  events {:?}\n  remotes {:?}\n  roles {:?}\n  {:?}\n  \
             peer: {stats}\n  {far}",
            self.estate.events,
            self.estate.stack.remotes().collect::<Vec<_>>(),
            self.estate.stack.roles().collect::<Vec<_>>(),
            self.estate.stack.stats(),
        );
    }

    pub(crate) fn run(&mut self, time: Duration) {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.estate.step(TICK);
        }
    }

    /// Whoever waits for a person here or at the peer is accepted.
    pub(crate) fn accept_all(&mut self) {
        self.judge_ours(Status::Pending, Status::Accepted);
        let pended = |e: &Value| is("remote")(e) && e["acceptance"] == 0;
        while let Some(event) = self.peer.poll_for(pended) {
            // It may be gone again.
            let accept = json!({"cmd": "accept", "uid": event["uid"]});
            let _ = self.peer.try_command(accept);
        }
    }

    /// Has a person change what stands here about roles.
    pub(crate) fn judge_ours(&mut self, from: Status, to: Status) -> usize {
        let now = self.estate.now();
        let roles: Vec<_> = self.estate.stack.roles().collect();
        let judged = roles.iter().filter(|role| role.status == from);
        judged
            .map(|role| {
                let keys = Some(&role.keys);
                let done = self.estate.stack.judge_role(now, &role.name, to, keys);
                done.expect("these are its keys");
            })
            .count()
    }

    /// Who is not main joins and allows.
    #[track_caller]
    pub(crate) fn begin(&mut self) {
        match self.main {
            Side::Rust => {
                let uid = self.peer_add_us();
                // Without a timeout, as deployments do: the other side of a bad network may need long.
                let join = json!({"cmd": "join", "uid": uid, "cascade": true, "timeout": 0});
                self.peer.command(join);
            }
            Side::Python => {
                self.estate.connect(self.road.address);
            }
        }
    }

    /// Tells the peer where we are. Returns its uid for us.
    #[track_caller]
    pub(crate) fn peer_add_us(&mut self) -> Value {
        let address = self.estate.address();
        let ha = json!([address.ip().to_string(), address.port()]);
        self.peer.command(json!({"cmd": "add_remote", "ha": ha}))["uid"].clone()
    }

    /// Waits for a session on both sides.
    #[track_caller]
    pub(crate) fn up(&mut self) {
        let mut asked = Instant::now();
        self.until("session", |pair| {
            if pair.main == Side::Rust && asked.elapsed() > Duration::from_millis(500) {
                asked = Instant::now();
                pair.ask_again();
            }
            let near = pair.remote()?;
            (near.joined && near.proven && near.allowed).then_some(())
        });
        self.until("session at the peer", |pair| pair.peer.poll_for(is_alive));
    }

    /// Takes such an event of any remote, if it has come.
    pub(crate) fn happened(&mut self, wanted: RemoteEvent) -> Option<()> {
        let hit = |e: &Event| matches!(e, Event::Remote { what, .. } if *what == wanted);
        let at = self.estate.events.iter().position(hit)?;
        self.estate.events.remove(at);
        Some(())
    }

    pub(crate) fn join_failed(&mut self, why: JoinFailure) -> Option<()> {
        self.happened(RemoteEvent::JoinFailed(why))
    }

    /// Waits until both sides say that a session is up, whatever was said before.
    #[track_caller]
    pub(crate) fn up_again(&mut self) {
        let mut asked = Instant::now();
        self.until("session on both sides", |pair| {
            if pair.main == Side::Rust && asked.elapsed() > Duration::from_millis(500) {
                asked = Instant::now();
                pair.ask_again();
            }
            let near = pair.remote().is_some_and(|r| r.joined && r.allowed);
            let far = pair.far();
            let open = far["transactions"]
                .as_array()
                .is_some_and(|t| !t.is_empty());
            (near && !open && far["joined"] == true && far["allowed"] == true).then_some(())
        });
    }

    /// Ends the peer's stack without a farewell.
    #[track_caller]
    pub(crate) fn stop_peer(&mut self) {
        self.before = self.counts();
        self.peer.close();
    }

    /// Starts the peer's next stack, which takes over the port unless its keep says otherwise.
    #[track_caller]
    pub(crate) fn start_peer(&mut self, mut options: Value) {
        let ha = self.road.address;
        options["ha"] = json!([ha.ip().to_string(), ha.port()]);
        self.road = self.peer.start_road(options);
    }

    #[track_caller]
    pub(crate) fn restart_peer(&mut self, options: Value) {
        self.stop_peer();
        self.start_peer(options);
    }

    /// What is known here of the peer.
    pub(crate) fn remote(&self) -> Option<raet_core::road::RemoteInfo> {
        let id = self.estate.stack.find(&self.names[1])?;
        self.estate.stack.remote(id)
    }

    pub(crate) fn id(&self) -> RemoteId {
        let found = self.estate.stack.find(&self.names[1]);
        found.expect("joined by name")
    }

    /// 0.6.8 tries a join or allow once; a host that wants more asks again.
    #[track_caller]
    pub(crate) fn ask_again(&mut self) {
        let far = self.far();
        let idle = far["transactions"].as_array().is_some_and(Vec::is_empty);
        if idle && far["allowed"] != true {
            // Which begins with a join where there was none.
            let ask = json!({"cmd": "allow", "uid": far["uid"], "cascade": true, "timeout": 0});
            self.peer.command(ask);
        }
    }

    /// What the peer says of its only remote; null without one.
    #[track_caller]
    pub(crate) fn far(&mut self) -> Value {
        self.peer.command(json!({"cmd": "remotes"}))["remotes"][0].clone()
    }

    /// A counter of the peer's.
    #[track_caller]
    pub(crate) fn stat(&mut self, name: &str) -> u64 {
        self.peer.command(json!({"cmd": "stats"}))["stats"][name]
            .as_u64()
            .unwrap_or(0)
    }

    // ---- messages ----------------------------------------------------------------------------

    /// A mapping that no other message equals, with this many characters beside.
    pub(crate) fn value(&mut self, pad: usize) -> Value {
        self.last += 1;
        json!({"n": self.last, "pad": "x".repeat(pad)})
    }

    /// A message of ours that is such a mapping.
    pub(crate) fn mapping(&mut self, pad: usize) -> Ours {
        let shown = self.value(pad);
        let kind = self.bodies[0];
        let bytes = pack(kind, &shown);
        Ours { kind, bytes, shown }
    }

    /// Sends it. Returns its token.
    pub(crate) fn tell(&mut self, message: &Ours) -> u64 {
        self.last += 1;
        let options = SendOptions {
            body: message.kind,
            token: self.last,
            ..SendOptions::default()
        };
        let id = self.id();
        self.estate.send(id, options, &message.bytes);
        self.last
    }

    /// Has the peer send this mapping.
    #[track_caller]
    pub(crate) fn ask(&mut self, value: &Value) {
        let uid = self.far()["uid"].clone();
        self.peer
            .command(json!({"cmd": "transmit", "msg": value, "uid": uid}));
    }

    /// Waits until the peer has taken a message of ours.
    #[track_caller]
    pub(crate) fn told(&mut self, message: &Ours) {
        let got = self.until("message at the peer", |pair| {
            pair.peer
                .poll_for(|e| is("msg")(e) && e["body"] == message.shown)
        });
        assert_eq!(got["from"], self.names[0]);
        self.taken[0] += 1;
    }

    #[track_caller]
    pub(crate) fn outcome(&mut self, token: u64) -> Outcome {
        self.until("outcome", |pair| pair.estate.outcome(token))
    }

    /// Waits until a message of the peer was handed over.
    #[track_caller]
    pub(crate) fn asked(&mut self, value: &Value) {
        let body = self.bodies[1];
        let came = self.until("message of the peer", |pair| {
            let hit = |m: &Taken| unpack(body, &m.body) == *value;
            let at = pair.estate.messages.iter().position(hit)?;
            Some(pair.estate.messages.remove(at))
        });
        assert_eq!((came.from.as_str(), came.kind), (&*self.names[1], body));
        self.taken[1] += 1;
    }

    /// Each side sends these messages at once; all arrive. How ours ended for their sender.
    #[track_caller]
    pub(crate) fn exchange_all(&mut self, ours: &[Ours], theirs: &[Value]) -> Vec<Outcome> {
        let tokens: Vec<u64> = ours.iter().map(|message| self.tell(message)).collect();
        for value in theirs {
            self.ask(value);
        }
        for message in ours {
            self.told(message);
        }
        for value in theirs {
            self.asked(value);
        }
        tokens
            .into_iter()
            .map(|token| self.outcome(token))
            .collect()
    }

    /// Small and larger mappings both ways; all arrive, and ours are known to.
    #[track_caller]
    pub(crate) fn exchange(&mut self, larger: usize) {
        let ours = [self.mapping(20), self.mapping(larger)];
        let theirs = [self.value(20), self.value(larger)];
        let outcomes = self.exchange_all(&ours, &theirs);
        assert_eq!(outcomes, [Outcome::Delivered; 2]);
    }

    /// A sign of life, both ways.
    #[track_caller]
    pub(crate) fn alive(&mut self) {
        let id = self.id();
        let heard = |pair: &Self| pair.estate.stack.remote(id).map(|r| (r.alive, r.heard));
        let (before, count) = (heard(self), self.stat("alive_complete"));
        let now = self.estate.now();
        self.estate.stack.alive(now, id).expect("it is there");
        self.until("answer to our request", |pair| {
            let after = heard(pair);
            (after > before && after.is_some_and(|(up, _)| up == Some(true))).then_some(())
        });
        let answered = self.stat("alive_complete");
        assert!(answered > count, "the peer has answered");
        let uid = self.far()["uid"].clone();
        self.peer.command(json!({"cmd": "alive", "uid": uid}));
        self.until("answer to the peer's request", |pair| {
            (pair.stat("alive_complete") > answered).then_some(())
        });
    }

    /// What was sent has ended, nothing came twice, and nothing that was not sent. Ends the cell.
    #[track_caller]
    pub(crate) fn settle(&mut self) -> Counts {
        self.until("end of the peer's transactions", |pair| {
            let far = pair.far();
            let open = far["transactions"].as_array();
            open.is_none_or(Vec::is_empty).then_some(())
        });
        assert_eq!(self.estate.messages, vec![], "nothing else came");
        assert_eq!(
            self.peer.poll_for(is("msg")),
            None,
            "nothing else came there"
        );
        self.counts()
    }

    /// What was counted so far.
    #[track_caller]
    pub(crate) fn counts(&mut self) -> Counts {
        let said = self.peer.command(json!({"cmd": "stats"}));
        let stat = |name: &str| said["stats"][name].as_u64().unwrap_or(0);
        let fault = |name: &str| {
            let of = |way: &str| said["faults"][way][name].as_u64().unwrap_or(0);
            of("out") + of("in")
        };
        let before = self.before;
        Counts {
            to_python: self.taken[0],
            to_rust: self.taken[1],
            joins: before.joins + stat("join_initiate_complete") + stat("join_correspond_complete"),
            allows: before.allows
                + stat("allow_initiate_complete")
                + stat("allow_correspond_complete"),
            lost: before.lost + fault("dropped"),
            doubled: before.doubled + fault("duplicated"),
            overtaken: before.overtaken + fault("held"),
        }
    }
}

/// How a message may end for its sender on a network that loses: where done and the last ack of the allow
/// are lost, nobody can know.
pub(crate) const TRUTHS: [Outcome; 2] = [Outcome::Delivered, Outcome::Unknown(Doubt::Nacked)];

pub(crate) fn pack(body: BodyKind, value: &Value) -> Vec<u8> {
    if value.as_object().is_some_and(serde_json::Map::is_empty) {
        return Vec::new(); // (road-wire: Body)
    }
    match body {
        BodyKind::Msgpack => rmp_serde::to_vec(value).expect("plain values pack"),
        _ => serde_json::to_vec(value).expect("plain values pack"),
    }
}

fn unpack(body: BodyKind, bytes: &[u8]) -> Value {
    if bytes.is_empty() {
        return json!({});
    }
    match body {
        BodyKind::Msgpack => rmp_serde::from_slice(bytes).expect("a msgpack body"),
        _ => serde_json::from_slice(bytes).expect("a json body"),
    }
}
