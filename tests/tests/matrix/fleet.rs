//! Estates as processes, Rust and Python alike, which start, stop and are killed.

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use raet_tests::interop::{self, is};
use serde_json::{Value, json};

use crate::lab::{Lab, Lent};
use crate::setup::{self, BOUND, Side};

/// How often something is asked for that a process does not tell by itself.
const LOOK: Duration = Duration::from_millis(10);

/// One estate of a fleet.
pub(crate) struct Member<'l> {
    pub(crate) side: Side,
    pub(crate) name: String,
    pub(crate) address: SocketAddr,
    peer: Lent<'l>,
}

impl<'l> Member<'l> {
    /// A member that asks for signs of life and, as 0.6.8 deployments do, mends what it finds broken.
    /// `more` is added to what it is started with.
    #[track_caller]
    pub(crate) fn start(lab: &'l Lab, side: Side, name: &str, main: bool, more: &Value) -> Self {
        let mut peer = match side {
            Side::Rust => lab.rust_peer(),
            Side::Python => lab.peer(),
        };
        let mut options = json!({
            "cmd": "start", "kind": "road", "name": name, "main": main, "mutable": true,
            "auto": "once", "ha": ["127.0.0.1", 0], "period": 0.2, "offset": 0.05,
            "timeouts": setup::short_timeouts(), "joinent_timeout": 0,
        });
        for (class, limit) in setup::PATIENT {
            options["timeouts"][class] = json!({"Timeout": limit});
        }
        for (field, value) in more.as_object().expect("an object") {
            options[field] = value.clone();
        }
        let reply = peer.command(options);
        let address = interop::address(&reply["ha"]).expect("a road has an address");
        if side == Side::Python {
            peer.command(json!({"cmd": "manage", "cascade": true}));
        }
        Self {
            side,
            name: name.to_owned(),
            address,
            peer,
        }
    }

    /// Joins the estate at an address.
    #[track_caller]
    pub(crate) fn connect(&mut self, to: SocketAddr) {
        let ha = json!([to.ip().to_string(), to.port()]);
        match self.side {
            Side::Rust => {
                self.peer.command(json!({"cmd": "connect", "ha": ha}));
            }
            Side::Python => {
                let added = self.peer.command(json!({"cmd": "add_remote", "ha": ha}));
                let join = json!({
                    "cmd": "join", "uid": added["uid"], "cascade": true, "timeout": 0,
                });
                self.peer.command(join);
            }
        }
    }

    /// What it says of a remote; null if it knows none of this name.
    #[track_caller]
    pub(crate) fn remote(&mut self, name: &str) -> Value {
        let far = self.peer.command(json!({"cmd": "remotes"}));
        let known = far["remotes"].as_array();
        let found = known.and_then(|known| known.iter().find(|r| r["name"] == name));
        found.cloned().unwrap_or_default()
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
            thread::sleep(LOOK);
        }
        let far = self.peer.command(json!({"cmd": "remotes"}));
        let events = self.peer.drain();
        panic!(
            "{}: no {what} in {BOUND:?}\n  {far}\n  {events:?}",
            self.name
        );
    }

    /// Waits for a session with a remote.
    #[track_caller]
    pub(crate) fn up(&mut self, name: &str) {
        self.until(&format!("session with {name}"), |member| {
            let far = member.remote(name);
            (far["joined"] == true && far["allowed"] == true).then_some(())
        });
    }

    /// Has it send a message.
    #[track_caller]
    pub(crate) fn send(&mut self, to: &str, value: &Value) {
        let transmit = json!({"cmd": "transmit", "msg": value, "name": to});
        self.peer.command(transmit);
    }

    /// Waits until it has taken this message from this estate.
    #[track_caller]
    pub(crate) fn taken(&mut self, from: &str, value: &Value) {
        let wanted = |e: &Value| is("msg")(e) && e["from"] == from && e["body"] == *value;
        self.peer.wait_for(wanted, BOUND);
    }

    /// Takes an event that came or comes.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        self.peer.wait_for(wanted, BOUND)
    }

    /// Messages that came and were not asked for yet.
    #[track_caller]
    pub(crate) fn messages(&mut self) -> Vec<Value> {
        let came = self.peer.drain();
        came.into_iter().filter(is("msg")).collect()
    }

    /// Joins complete in this life.
    #[track_caller]
    pub(crate) fn joins(&mut self) -> u64 {
        match self.side {
            Side::Rust => self.peer.count(is_joined),
            Side::Python => {
                let stats = self.peer.command(json!({"cmd": "stats"}));
                let stat = |name: &str| stats["stats"][name].as_u64().unwrap_or(0);
                stat("join_initiate_complete") + stat("join_correspond_complete")
            }
        }
    }

    /// Ends it as an operator would.
    #[track_caller]
    pub(crate) fn stop(self) {
        self.peer.end();
    }

    /// Ends it as a power cut would. Returns the events that it had told and nobody asked for.
    #[track_caller]
    pub(crate) fn kill(self) -> Vec<Value> {
        self.peer.kill()
    }
}

fn is_joined(event: &Value) -> bool {
    is("happened")(event) && event["what"] == "Joined"
}
