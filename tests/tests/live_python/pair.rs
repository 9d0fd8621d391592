//! An engine and a peer of 0.6.8, and what a test asks of the two.

use std::time::{Duration, Instant};

use raet_core::config::{Config, Trust};
use raet_core::crypto::Secrets;
use raet_core::event::Outcome;
use raet_core::storage::{Heap, Storage};
use raet_core::wire::{BodyKind, HeadKind};
use raet_core::{RemoteId, SendOptions};
use raet_tests::interop::{Peer, Python, Road, is, is_alive};
use raet_tests::live::{Estate, Taken};
use serde_json::{Value, json};

pub(crate) const BOUND: Duration = Duration::from_secs(30);
pub(crate) const LARGE: usize = 300_000;

/// Which side is the main estate. The other one begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Main {
    Rust,
    Python,
}

/// The kinds that both sides send.
pub(crate) type Kinds = (HeadKind, BodyKind);

pub(crate) const KINDS: [Kinds; 4] = [
    (HeadKind::Native, BodyKind::Json),
    (HeadKind::Native, BodyKind::Msgpack),
    (HeadKind::Json, BodyKind::Json),
    (HeadKind::Json, BodyKind::Msgpack),
];

/// An engine and a peer that know of each other or are about to.
pub(crate) struct Pair<S: Storage> {
    pub(crate) estate: Estate<S>,
    pub(crate) peer: Peer,
    pub(crate) road: Road,
    pub(crate) main: Main,
    pub(crate) body: BodyKind,
    /// The number of the last message.
    pub(crate) last: u64,
    /// Messages that the peer has taken, and must not take again.
    pub(crate) told: u64,
}

pub(crate) fn config(main: Main, (head, body): Kinds) -> Config {
    let secrets = Secrets::new(&[0x51; 32], &[0x52; 32]);
    let mut config = Config::new("rust".try_into().expect("a short name"), secrets);
    config.main = main == Main::Rust;
    config.trust = Trust::Once;
    config.mutable = true;
    config.head = head;
    config.body = body;
    config
}

pub(crate) fn options(main: Main, (head, body): Kinds) -> Value {
    let head = match head {
        HeadKind::Native => "raet",
        HeadKind::Json => "json",
    };
    let body = match body {
        BodyKind::Msgpack => "msgpack",
        _ => "json",
    };
    json!({
        "name": "python", "main": main == Main::Python, "mutable": true, "auto": "once",
        "hk": head, "bk": body,
    })
}

pub(crate) fn with(mut options: Value, more: &Value) -> Value {
    for (key, value) in more.as_object().expect("an object") {
        options[key] = value.clone();
    }
    options
}

pub(crate) fn ha(address: std::net::SocketAddr) -> Value {
    json!([address.ip().to_string(), address.port()])
}

pub(crate) fn pack(body: BodyKind, value: &Value) -> Vec<u8> {
    match body {
        BodyKind::Msgpack => rmp_serde::to_vec(value).expect("plain values pack"),
        _ => serde_json::to_vec(value).expect("plain values pack"),
    }
}

pub(crate) fn unpack(body: BodyKind, bytes: &[u8]) -> Value {
    match body {
        BodyKind::Msgpack => rmp_serde::from_slice(bytes).expect("a msgpack body"),
        _ => serde_json::from_slice(bytes).expect("a json body"),
    }
}

impl Pair<Heap> {
    pub(crate) fn start(python: &Python, main: Main, kinds: Kinds, more: &Value) -> Self {
        Self::start_with(python, main, kinds, more, config(main, kinds))
    }
}

impl<S: Storage> Pair<S> {
    pub(crate) fn start_with(
        python: &Python,
        main: Main,
        kinds: Kinds,
        more: &Value,
        config: Config,
    ) -> Self {
        let mut peer = python.spawn("python");
        let road = peer.start_road(with(options(main, kinds), more));
        Self {
            estate: Estate::new(config, S::LIMITS, [1; 32]),
            peer,
            road,
            main,
            body: kinds.1,
            last: 0,
            told: 0,
        }
    }

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
            self.estate.step(Duration::from_millis(2));
        }
        let stats = self.peer.command(json!({"cmd": "stats"}));
        let far = self.peer.command(json!({"cmd": "remotes"}));
        panic!(
            "no {what} in {BOUND:?}\n  events {:?}\n  remotes {:?}\n  {:?}\n  peer: {stats}\n  {far}",
            self.estate.events,
            self.estate.stack.remotes().collect::<Vec<_>>(),
            self.estate.stack.stats(),
        );
    }

    pub(crate) fn run(&mut self, time: Duration) {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.estate.step(Duration::from_millis(2));
        }
    }

    /// Who is not main joins and allows.
    #[track_caller]
    pub(crate) fn begin(&mut self) {
        match self.main {
            Main::Rust => {
                let ha = ha(self.estate.address());
                let uid = self.peer.command(json!({"cmd": "add_remote", "ha": ha}))["uid"].clone();
                // Without a timeout, as deployments do: the other side of a bad network may need long.
                let join = json!({"cmd": "join", "uid": uid, "cascade": true, "timeout": 0});
                self.peer.command(join);
            }
            Main::Python => {
                self.estate.connect(self.road.address);
            }
        }
    }

    #[track_caller]
    pub(crate) fn up(&mut self) {
        let mut asked = Instant::now();
        self.until("session", |pair| {
            if pair.main == Main::Rust && asked.elapsed() > Duration::from_secs(1) {
                asked = Instant::now();
                pair.ask_again();
            }
            let id = pair.estate.stack.find("python")?;
            let near = pair.estate.stack.remote(id)?;
            (near.joined && near.proven && near.allowed).then_some(())
        });
        self.until("session at the peer", |pair| pair.peer.poll_for(is_alive));
    }

    /// 0.6.8 tries a join or allow once; a host that wants more asks again.
    #[track_caller]
    pub(crate) fn ask_again(&mut self) {
        let far = self.peer.command(json!({"cmd": "remotes"}));
        let Some(remote) = far["remotes"].get(0) else {
            return;
        };
        if remote["transactions"].as_array().is_some_and(Vec::is_empty) {
            let uid = remote["uid"].clone();
            // Which begins with a join where there was none.
            let ask = json!({"cmd": "allow", "uid": uid, "cascade": true, "timeout": 0});
            self.peer.command(ask);
        }
    }

    /// Another process takes the peer's place, which yet has no stack. Returns the old one.
    pub(crate) fn next_peer(&mut self, python: &Python) -> Peer {
        std::mem::replace(&mut self.peer, python.spawn("python again"))
    }

    pub(crate) fn id(&self) -> RemoteId {
        self.estate.stack.find("python").expect("joined by name")
    }

    pub(crate) fn value(&mut self, pad: usize) -> Value {
        self.last += 1;
        json!({"n": self.last, "pad": "x".repeat(pad)})
    }

    /// Sends a message of ours, its number the token.
    pub(crate) fn tell(&mut self, pad: usize) -> Value {
        let value = self.value(pad);
        let options = SendOptions {
            body: self.body,
            token: self.last,
            ..SendOptions::default()
        };
        let body = pack(self.body, &value);
        let id = self.id();
        self.estate.send(id, options, &body);
        value
    }

    /// Has the peer send a message.
    #[track_caller]
    pub(crate) fn ask(&mut self, pad: usize) -> Value {
        let value = self.value(pad);
        self.peer
            .command(json!({"cmd": "transmit", "msg": value, "name": "rust"}));
        value
    }

    /// Waits until the peer has taken a message of ours.
    #[track_caller]
    pub(crate) fn told(&mut self, value: &Value) {
        let n = value["n"].clone();
        let got = self.until("message at the peer", |pair| {
            pair.peer.poll_for(|e| is("msg")(e) && e["body"]["n"] == n)
        });
        assert_eq!(got["from"], "rust");
        assert_eq!(got["body"], *value);
        self.told += 1;
    }

    #[track_caller]
    pub(crate) fn outcome(&mut self, value: &Value) -> Outcome {
        let n = value["n"].as_u64().expect("a number");
        self.until("outcome", |pair| pair.estate.outcome(n))
    }

    /// Waits until a message of the peer was handed over.
    #[track_caller]
    pub(crate) fn asked(&mut self, value: &Value) {
        let body = self.body;
        let came = self.until("message of the peer", |pair| {
            let hit = |m: &Taken| unpack(body, &m.body)["n"] == value["n"];
            let at = pair.estate.messages.iter().position(hit)?;
            Some(pair.estate.messages.remove(at))
        });
        assert_eq!((came.from.as_str(), came.kind), ("python", body));
        assert_eq!(unpack(body, &came.body), *value);
    }

    #[track_caller]
    pub(crate) fn stat(&mut self, name: &str) -> u64 {
        self.peer.command(json!({"cmd": "stats"}))["stats"][name]
            .as_u64()
            .unwrap_or(0)
    }

    /// Small and large, both ways at once.
    #[track_caller]
    pub(crate) fn exchange(&mut self, large: usize) {
        for outcome in self.exchange_all(large) {
            assert_eq!(outcome, Outcome::Delivered);
        }
    }

    /// As [`Pair::exchange`]: all messages arrive; how ours ended for their sender.
    #[track_caller]
    pub(crate) fn exchange_all(&mut self, large: usize) -> [Outcome; 2] {
        let ours = [self.tell(20), self.tell(large)];
        let theirs = [self.ask(20), self.ask(large)];
        for value in &ours {
            self.told(value);
        }
        for value in &theirs {
            self.asked(value);
        }
        ours.map(|value| self.outcome(&value))
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
        self.peer.command(json!({"cmd": "alive", "name": "rust"}));
        self.until("answer to the peer's request", |pair| {
            (pair.stat("alive_complete") > answered).then_some(())
        });
    }

    /// Nothing came twice, and nothing that was not sent.
    #[track_caller]
    pub(crate) fn settle(&mut self) {
        self.until("end of the peer's messages", |pair| {
            let far = pair.peer.command(json!({"cmd": "remotes"}));
            let open = &far["remotes"][0]["transactions"];
            open.as_array().is_none_or(Vec::is_empty).then_some(())
        });
        assert_eq!(self.estate.messages, vec![]);
        assert_eq!(self.peer.poll_for(is("msg")), None);
        assert_eq!(self.stat("messengent_correspond_complete"), self.told);
    }

    /// Both forget each other, and meet again as strangers.
    pub(crate) fn part(&mut self) {
        let id = self.id();
        let now = self.estate.now();
        self.estate.stack.forget(now, id).expect("it is there");
        self.peer
            .command(json!({"cmd": "remove_remote", "name": "rust"}));
        self.run(Duration::from_millis(5));
        self.estate.events.clear();
        self.peer.drain();
    }
}
