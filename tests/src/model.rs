//! What an application may observe, as a model beside the engine.
//!
//! Applications on three estates do as generated [`Op`]s say, over a network that is as bad as
//! they say; the model knows nothing but what the applications asked for and were told, and says of each
//! thing that they are told whether it may be. A sequence that breaks a rule shrinks.
//!
//! | rule | |
//! |---|---|
//! | a message that is taken was accepted by `send` for this estate, and has its bytes | |
//! | it is taken once, unless its receiver died or forgot its sender between | H5 |
//! | each accepted message has one outcome, unless its sender died | H5 |
//! | what is *delivered* was taken; what *failed* never is | H5 |
//! | an outcome has the reason that it names: a cancel, a deadline, `forget`, `once` | |
//! | a remote's events come in an order: joined before allowed, came and went in turn, forgotten last | |
//! | `send` is refused for the reason that it names and no other | H9 |
//! | what is queued and open, by a remote's own word, is what was accepted and not ended | |
//! | when the network heals, every message ends, and none by chance | H10 |

mod ledger;
mod op;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use raet_core::config::{Config, Trust};
use raet_core::crypto::Secrets;
use raet_core::keep::MemoryKeep;
use raet_core::limits::Limits;
use raet_core::storage::Storage;
use raet_core::time::Instant;
use raet_core::{RemoteId, RoadStack, SendOptions};

use self::ledger::{Asked, Ledger, fill};
pub use self::op::{Manner, Op};
use crate::sim::{Rng, name};
use crate::suite::Weak;

const ESTATES: usize = 3;

const NAMES: [&str; ESTATES] = ["main", "other", "third"];

/// Outputs of an estate after one input, beyond any that [`limits`] explain.
const OUTPUTS: u32 = 500;
/// Times that all outputs are asked for until there are none.
const ROUNDS: u32 = 4;

struct Estate<S: Storage> {
    stack: RoadStack<S, Weak>,
    keep: MemoryKeep,
    deaf: bool,
}

/// Estates, the network, and what may be observed.
pub struct World<S: Storage> {
    now: Instant,
    estates: Vec<Estate<S>>,
    ledger: Ledger,
    loss: u8,
    rng: Rng,
    wire: BTreeMap<(Instant, u64), (usize, usize, Vec<u8>)>,
    packets: u64,
}

fn address(n: usize) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 1], 7530 + n as u16))
}

fn limits() -> Limits {
    // Small on every storage, so that what is full is met.
    Limits {
        remotes: 4,
        roles: 4,
        handshakes: 4,
        outbox: 6,
        inbox: 6,
        remote_inbox: 4,
        message: 2400,
        outbox_bytes: 6000,
        inbox_bytes: 6000,
        remote_inbox_bytes: 4000,
        replies: 8,
    }
}

fn stack<S: Storage>(n: usize, life: u64, now: Instant, keep: &MemoryKeep) -> RoadStack<S, Weak> {
    let number = n as u8 + 1;
    let secrets = Secrets::new(&[number; 32], &[number + 100; 32]);
    let mut config = Config::new(name(NAMES[n]), secrets);
    config.main = true;
    config.mutable = true;
    config.trust = Trust::Once;
    config.window = 8;
    let mut seed = [number; 32];
    seed[..8].copy_from_slice(&life.to_le_bytes());
    let records: Vec<_> = keep.records().collect();
    RoadStack::new(now, config, limits(), Weak::new(&seed), records)
        .expect("settings and records agree")
}

impl<S: Storage> World<S> {
    /// Estates that have never met. `seed` decides what happens by chance.
    pub fn new(seed: u64) -> Self {
        let now = Instant::from_micros(1_000_000);
        let estate = |n| Estate {
            stack: stack(n, 0, now, &MemoryKeep::default()),
            keep: MemoryKeep::default(),
            deaf: false,
        };
        Self {
            now,
            estates: (0..ESTATES).map(estate).collect(),
            ledger: Ledger::default(),
            loss: 0,
            rng: Rng::new(seed),
            wire: BTreeMap::new(),
            packets: 0,
        }
    }

    /// Does what the ops say, then lets the network heal, and judges all that is told.
    ///
    /// # Errors
    ///
    /// The first thing that was told and may not be.
    pub fn run(&mut self, ops: &[Op]) -> Result<(), String> {
        for op in ops {
            self.apply(*op).map_err(|why| format!("{op:?}: {why}"))?;
            self.check_counts()?;
        }
        self.heal()
    }

    fn remote(&self, from: usize, to: usize) -> Option<RemoteId> {
        let mut remotes = self.estates[from].stack.remotes();
        remotes.find(|r| r.address == address(to)).map(|r| r.id)
    }

    fn apply(&mut self, op: Op) -> Result<(), String> {
        let now = self.now;
        match op {
            Op::Connect(from, to) => {
                let connected = self.estates[from].stack.connect(now, address(to), 0);
                connected.map_err(|e| format!("there is room: {e}"))?;
            }
            Op::Send(from, to, len, manner) => self.send(from, to, len, manner)?,
            Op::Cancel(back) => self.cancel(back)?,
            Op::Forget(from, to) => {
                if let Some(remote) = self.remote(from, to) {
                    self.ledger.forgot(from, to, remote);
                    let gone = self.estates[from].stack.forget(now, remote);
                    gone.map_err(|_| "it was listed")?;
                }
            }
            Op::Allow(from, to) => {
                if let Some(remote) = self.remote(from, to) {
                    let allowed = self.estates[from].stack.allow(now, remote);
                    allowed.map_err(|_| "it was listed")?;
                }
            }
            Op::Alive(from, to) => {
                if let Some(remote) = self.remote(from, to) {
                    let asked = self.estates[from].stack.alive(now, remote);
                    asked.map_err(|_| "it was listed")?;
                }
            }
            Op::Restart(n) => {
                let life = self.ledger.restarted(n);
                let estate = &mut self.estates[n];
                estate.stack = stack(n, life, now, &estate.keep);
            }
            Op::Deaf(n) => self.estates[n].deaf = !self.estates[n].deaf,
            Op::Weather(loss) => self.loss = loss,
            Op::Wait(time) => return self.pass(Duration::from_millis(time)),
        }
        (0..ESTATES).try_for_each(|n| self.drive(n))
    }

    fn send(&mut self, from: usize, to: usize, len: usize, manner: Manner) -> Result<(), String> {
        let Some(remote) = self.remote(from, to) else {
            return Ok(());
        };
        let len = if len == 0 { 0 } else { len.max(8) }; // room for its number, or nothing
        let token = self.ledger.next();
        let expires = match manner {
            Manner::Within(time) => Some(self.now + Duration::from_millis(time)),
            _ => None,
        };
        let options = SendOptions {
            token,
            deadline: expires,
            once: manner == Manner::Once,
            ..SendOptions::default()
        };
        let stack = &mut self.estates[from].stack;
        let answer = stack.send(self.now, remote, options, len, |room| fill(room, token));
        let asked = Asked {
            from,
            to,
            remote,
            len,
            manner,
            expires,
        };
        let little = S::CAPACITY.body_bytes < 1 << 20;
        self.ledger.answered(asked, answer, &limits(), little)
    }

    fn cancel(&mut self, back: usize) -> Result<(), String> {
        let Some((number, from, handle)) = self.ledger.before_last(back) else {
            return Ok(());
        };
        let answer = self.estates[from].stack.cancel(self.now, handle);
        self.ledger.cancelled(number, answer)
    }

    fn drive(&mut self, n: usize) -> Result<(), String> {
        let now = self.now;
        self.estates[n].stack.handle_timeout(now);
        let (mut any, mut rounds, mut outputs) = (true, 0, 0);
        let mut output = || {
            outputs += 1;
            let ends = outputs <= OUTPUTS;
            ends.then_some(true).ok_or("there is output without end")
        };
        while std::mem::take(&mut any) {
            rounds += 1;
            if rounds > ROUNDS + 1 {
                return Err("there is something to say, time after time".into());
            }
            let estate = &mut self.estates[n];
            while let Some(record) = estate.stack.poll_record() {
                estate.stack.handle_stored(now, &record);
                estate.keep.store(record);
                any = output()?;
            }
            while let Some(event) = self.estates[n].stack.poll_event() {
                self.ledger.told(now, n, &event)?;
                any = output()?;
            }
            while !self.estates[n].deaf {
                let stack = &mut self.estates[n].stack;
                let taken = stack.poll_message(|m| (m.name.to_owned(), m.body.to_vec()));
                let Some((name, body)) = taken else { break };
                self.ledger.taken(n, &name, &body)?;
                any = output()?;
            }
            let mut out = [0; 1500];
            while let Some(made) = self.estates[n].stack.poll_transmit(now, &mut out) {
                self.carry(n, made.to, &out[..made.len]);
                any = output()?;
            }
        }
        Ok(())
    }

    /// The network takes a datagram.
    fn carry(&mut self, from: usize, to: SocketAddr, bytes: &[u8]) {
        let Some(to) = (0..ESTATES).find(|n| address(*n) == to) else {
            return;
        };
        let loss = u64::from(self.loss);
        let copies = match (self.rng.percent(loss), self.rng.percent(loss)) {
            (true, _) => 0,
            (_, true) => 2,
            _ => 1,
        };
        for _ in 0..copies {
            let late = if self.rng.percent(loss) {
                400_000
            } else {
                20_000
            };
            let delay = Duration::from_micros(1000 + self.rng.bits() % late);
            self.packets += 1;
            self.wire
                .insert((self.now + delay, self.packets), (from, to, bytes.to_vec()));
        }
    }

    fn pass(&mut self, time: Duration) -> Result<(), String> {
        let end = self.now + time;
        (0..ESTATES).try_for_each(|n| self.drive(n))?;
        for _ in 0..1_000_000 {
            let wire = self.wire.first_key_value().map(|((at, _), _)| *at);
            let due = (0..ESTATES).filter_map(|n| {
                let timeout = self.estates[n].stack.poll_timeout()?;
                Some((timeout.at, n))
            });
            let due = due.min();
            let next = wire.into_iter().chain(due.map(|(at, _)| at)).min();
            let Some(next) = next.filter(|next| *next < end) else {
                self.now = end;
                return Ok(());
            };
            self.now = self.now.max(next);
            if wire == Some(next) {
                if let Some((_, (from, to, mut bytes))) = self.wire.pop_first() {
                    let stack = &mut self.estates[to].stack;
                    stack.handle_datagram(self.now, address(from), &mut bytes);
                    self.drive(to)?;
                }
            } else if let Some((_, n)) = due {
                self.drive(n)?;
            }
        }
        Err("time stands still".into())
    }

    fn check_counts(&self) -> Result<(), String> {
        for (n, estate) in self.estates.iter().enumerate() {
            let mut remotes = estate.stack.remotes();
            remotes.try_for_each(|remote| self.ledger.counted(n, &remote))?;
        }
        Ok(())
    }

    /// Good weather and willing applications: every message ends, and none by chance.
    fn heal(&mut self) -> Result<(), String> {
        self.loss = 0;
        for estate in &mut self.estates {
            estate.deaf = false;
        }
        self.pass(Duration::from_secs(400))?;
        self.ledger.settled()
    }
}
