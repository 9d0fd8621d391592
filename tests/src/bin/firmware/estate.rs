//! The main estate that the node belongs to, of this implementation or of Python RAET, and what it demands of
//! the node.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use raet_core::config::{Presence, Trust};
use raet_core::crypto::Secrets;
use raet_core::event::RemoteEvent;
use raet_core::keep::{MemoryKeep, Record};
use raet_std::keep::Kept;
use raet_std::{Body, Event, Incoming, Keep, Road, Shutdown};
use raet_tests::interop::{Peer, Python, is};
use serde_json::{Value, json};

use crate::{NODE, PATIENCE};

/// Bytes of the longest message, as the firmware has it.
const LONG: usize = 4096;

/// Messages that the node can have under way at once.
const IN_FLIGHT: u32 = 4;

/// How often a command is sent again that stays without its answer.
const AGAIN: Duration = Duration::from_secs(10);

/// The main estate, of either kind.
pub(crate) enum Main {
    Rust(Box<RustMain>),
    Python(Box<PythonMain>),
}

impl Main {
    pub(crate) fn address(&self) -> SocketAddr {
        match self {
            Self::Rust(main) => main.road.local_addr(),
            Self::Python(main) => main.address,
        }
    }

    /// The next message of the node, if one comes soon.
    fn next(&mut self) -> Option<Value> {
        let message = match self {
            Self::Rust(main) => main.next(),
            Self::Python(main) => main.next(),
        };
        if let Some(message) = &message {
            let text = message.to_string();
            match text.get(..72) {
                Some(start) if text.len() > 80 => println!("    main: {start}..."),
                _ => println!("    main: {text}"),
            }
        }
        message
    }

    pub(crate) fn send(&mut self, body: &Value) {
        match self {
            Self::Rust(main) => main.send(body),
            Self::Python(main) => main.send(body),
        }
    }

    pub(crate) fn restart(&mut self) {
        match self {
            Self::Rust(main) => main.restart(),
            Self::Python(main) => main.restart(),
        }
    }

    #[track_caller]
    fn until<R>(
        &mut self,
        what: &str,
        mut wanted: impl FnMut(&mut Self, &Value) -> Option<R>,
    ) -> R {
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            if let Some(message) = self.next()
                && let Some(found) = wanted(self, &message)
            {
                return found;
            }
        }
        panic!("no {what} in {PATIENCE:?}");
    }

    /// Waits for three readings, in any order: from the first that is `first` on, or from any if that is not 0.
    #[track_caller]
    pub(crate) fn reading_from(&mut self, first: u64) {
        let mut seen = Vec::new();
        self.until("readings", |_, message| {
            let number = message["reading"].as_u64()?;
            if first == 0 && seen.is_empty() && number != 0 {
                return None; // of its earlier life
            }
            assert!(!seen.contains(&number), "reading {number} came twice");
            seen.push(number);
            (seen.len() == 3).then_some(())
        });
    }

    /// Sends a command until it is answered.
    #[track_caller]
    pub(crate) fn obeyed(&mut self, command: &Value) {
        let text = command.to_string();
        let sum: u64 = text.bytes().map(u64::from).sum();
        let answer = json!({"took": text.len(), "sum": sum});
        self.send(command);
        let mut sent = Instant::now();
        self.until("answer", |main, message| {
            if *message == answer {
                return Some(());
            }
            if sent.elapsed() > AGAIN {
                sent = Instant::now();
                main.send(command);
            }
            None
        });
    }

    /// A message of the largest size there, and one back.
    #[track_caller]
    pub(crate) fn long(&mut self) {
        let without = json!({"do": "long", "pad": ""}).to_string().len();
        let pad = "x".repeat(LONG - without);
        self.obeyed(&json!({"do": "long", "pad": pad}));
        let letters = self.until("long message", |_, message| {
            message["long"].as_str().map(str::to_owned)
        });
        assert_eq!(letters.len() + json!({"long": ""}).to_string().len(), LONG);
        let right = letters.bytes().zip((b'a'..=b'z').cycle());
        assert!(right.into_iter().all(|(is, must)| is == must));
    }

    /// The node says nothing for a while, and is asked for a sign of life.
    #[track_caller]
    pub(crate) fn presence(&mut self) {
        self.obeyed(&json!({"do": "quiet"}));
        let mut before = self.asked();
        // What it had sent before may come yet: a lost packet is sent again.
        let mut late = IN_FLIGHT;
        let end = Instant::now() + PATIENCE;
        while self.signs() <= before {
            assert!(Instant::now() < end, "no sign of life in {PATIENCE:?}");
            if let Some(message) = self.next() {
                assert_ne!(late, 0, "it is not quiet, and says {message}");
                late -= 1;
                before = self.asked();
            }
        }
        println!("    main: it answers");
    }

    /// Asks the node for a sign of life. Returns how many there were.
    fn asked(&mut self) -> u64 {
        let before = self.signs();
        if let Self::Python(main) = self {
            // It asks of itself only after seconds; ours does so twice a second.
            main.peer.command(json!({"cmd": "alive", "name": NODE}));
        }
        before
    }

    /// What grows with each sign of life, as long as no message comes.
    fn signs(&mut self) -> u64 {
        match self {
            Self::Rust(main) => {
                let node = main.road.find(NODE).and_then(|id| main.road.remote(id));
                node.map_or(0, |node| node.heard.as_micros())
            }
            Self::Python(main) => {
                let stats = main.peer.command(json!({"cmd": "stats"}));
                stats["stats"]["alive_complete"].as_u64().unwrap_or(0)
            }
        }
    }
}

/// A main estate of this implementation, with a keep in memory.
pub(crate) struct RustMain {
    road: Road,
    address: SocketAddr,
    keep: SharedKeep,
}

impl RustMain {
    pub(crate) fn start() -> Self {
        let keep = SharedKeep::default();
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let road = Self::open(any, keep.clone());
        Self {
            address: road.local_addr(),
            road,
            keep,
        }
    }

    fn open(address: SocketAddr, keep: SharedKeep) -> Road {
        Road::builder("main")
            .bind(address)
            .main(true)
            .trust(Trust::Once)
            .secrets(Secrets::new(&[0x51; 32], &[0x52; 32]))
            .keep(keep)
            .configure(|config| {
                config.presence = Some(Presence {
                    period: Duration::from_millis(500),
                    ..Presence::default()
                });
            })
            .open()
            .expect("a road on loopback")
    }

    fn next(&mut self) -> Option<Value> {
        let came = self.road.next_for(Duration::from_millis(50));
        match came.expect("the road is open") {
            Some(Incoming::Message(message)) => Some(message.decode().expect("a JSON body")),
            Some(Incoming::Event(Event::Remote { what, .. })) => {
                println!("    main: {what:?}");
                assert_ne!(what, RemoteEvent::Forgotten);
                None
            }
            _ => None,
        }
    }

    fn send(&mut self, body: &Value) {
        let node = self.road.find(NODE).expect("it has joined");
        let body = Body::json(body).expect("a mapping");
        // What the node does of it is what counts.
        drop(self.road.send(node, &body).expect("room for a message"));
    }

    fn restart(&mut self) {
        self.road.shutdown(&Shutdown::NOW);
        self.road = Self::open(self.address, self.keep.clone());
    }
}

/// A keep that outlives its road.
#[derive(Clone, Default)]
struct SharedKeep(Arc<Mutex<MemoryKeep>>);

impl Keep for SharedKeep {
    fn load(&mut self) -> std::io::Result<Kept> {
        let keep = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Kept {
            identity: None,
            records: keep.records().collect(),
        })
    }

    fn store(&mut self, records: &[Record]) -> std::io::Result<()> {
        let mut keep = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        records
            .iter()
            .cloned()
            .for_each(|record| keep.store(record));
        Ok(())
    }
}

/// Python RAET 0.6.8 as it is installed.
pub(crate) struct PythonMain {
    python: Python,
    peer: Peer,
    address: SocketAddr,
    options: Value,
    waiting: VecDeque<Value>,
}

impl PythonMain {
    pub(crate) fn start(python: &Python, folder: &Path) -> Self {
        let options = json!({
            "name": "main", "main": true, "auto": "once", "dirpath": folder.join("keep"),
            "max_seconds": 300,
        });
        let mut peer = python.spawn("main");
        let address = peer.start_road(options.clone()).address;
        Self {
            python: python.clone(),
            peer,
            address,
            options,
            waiting: VecDeque::new(),
        }
    }

    fn next(&mut self) -> Option<Value> {
        for event in self.peer.drain() {
            if is("msg")(&event) {
                self.waiting.push_back(event["body"].clone());
            } else if is("remote")(&event) {
                let state =
                    ["joined", "allowed", "alived"].map(|name| format!("{name} {}", event[name]));
                println!("    main: {}", state.join(", "));
            }
        }
        if self.waiting.is_empty() {
            thread::sleep(Duration::from_millis(50));
        }
        self.waiting.pop_front()
    }

    fn send(&mut self, body: &Value) {
        self.peer
            .command(json!({"cmd": "transmit", "msg": body, "name": NODE}));
    }

    fn restart(&mut self) {
        let next = self.python.spawn("main again");
        std::mem::replace(&mut self.peer, next).kill();
        let road = self.peer.start_road(self.options.clone());
        assert_eq!(road.address, self.address, "its keep knows its address");
    }
}
