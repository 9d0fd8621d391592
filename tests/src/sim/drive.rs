//! Hosts at work: started and stopped, and driven as a driver drives an engine.

use std::collections::HashSet;

use raet_core::RemoteId;
use raet_core::config::Trust;
use raet_core::event::{Event, RemoteEvent};
use raet_core::keep::{Record, Status};
use raet_core::limits::{Limits, SMALLEST_SEGMENT};
use raet_core::road::RoleInfo;

use super::app::{TO_ATTACKER, to_attacker};
use super::engine::Metered;
use super::law::{self, Law, Rule};
use super::ledger::Peer;
use super::plan::{Fault, S};
use super::simulation::{Happening, Simulation};
use super::tape::{What, seconds};
use super::words;

/// Times that a host may be woken at one moment: what is due by then may make something else due.
const AT_ONCE: u32 = 4;
/// Times in a second that a host may be woken and send nothing then: twice what the busiest are.
const QUIET_WAKES: u32 = 250;
/// Times that all outputs are asked for until there are none.
const ROUNDS: u32 = 4;

/// Outputs that an engine may have after one input: each thing that it holds may have a few things to say, and
/// each body goes in segments. What goes on beyond that never ends.
fn most_outputs(limits: &Limits) -> usize {
    let things = limits.remotes
        + limits.roles
        + limits.handshakes
        + limits.outbox
        + limits.inbox
        + limits.replies;
    let segments = (limits.outbox_bytes + limits.inbox_bytes) / SMALLEST_SEGMENT;
    4 * things + 2 * segments + 300
}

impl Simulation {
    pub(super) fn start(&mut self, n: usize) -> Law {
        if self.hosts[n].engine.is_some() {
            return Ok(());
        }
        let role = self.plan.hosts[self.plan.hosts[n].role].name;
        let (now, meter) = (self.now, self.options.meter);
        let seals = self.seals.clone();
        let started = self.hosts[n].start(now, role, &self.plan, seals, meter);
        if let Err(why) = started {
            let records: Vec<_> = self.hosts[n].keep.records().collect();
            let name = self.name(n);
            let what = format!("{name} cannot start with its own records: {why}: {records:?}");
            return Err((Rule::Whole, what));
        }
        if self.plan.hosts[n].fast != 0 {
            self.fault(Fault::Clock);
        }
        if self.plan.back {
            self.fault(Fault::Back);
        }
        self.note(n, || "starts".to_owned());
        self.call_all(n);
        self.drive(n)
    }

    pub(super) fn name(&self, n: usize) -> &'static str {
        self.plan.hosts[n].name
    }

    pub(super) fn resume(&mut self, n: usize) -> Law {
        if self.hosts[n].is_stalled(self.now) {
            return Ok(());
        }
        while let Some(datagram) = self.hosts[n].socket.pop_front() {
            self.hand_over(n, datagram)?;
        }
        self.wake(n)
    }

    pub(super) fn stored(&mut self, n: usize, life: u32, record: &Record) -> Law {
        let host = &mut self.hosts[n];
        if host.life != life || host.engine.is_none() {
            return Ok(());
        }
        host.unstored -= 1;
        host.keep.store(record.clone());
        let time = host.time(self.now, self.plan.back);
        if let Some(engine) = &mut host.engine {
            engine.call(|e| e.handle_stored(time, record));
        }
        // A host that is stalled looks at it later.
        if self.hosts[n].is_stalled(self.now) {
            return Ok(());
        }
        self.drive(n)
    }

    /// A host's deadline has come, or may have.
    pub(super) fn wake(&mut self, n: usize) -> Law {
        let now = self.now;
        let host = &mut self.hosts[n];
        host.wake = None;
        // Who is woken for a deadline reads the clock right.
        let time = host.time(now, false);
        let latest = host.latest;
        let Some(engine) = &mut host.engine else {
            return Ok(());
        };
        let before = engine.get().poll_timeout();
        engine.call(|e| e.handle_timeout(time));
        let due = before.is_some_and(|t| t.at <= latest);
        let made = self.report.datagrams;
        self.drive(n)?;
        let quiet = due && self.report.datagrams == made;
        let host = &mut self.hosts[n];
        // A deadline that creeps is another each time, and does as little.
        let second = now / S;
        if host.quiet_wakes.0 != second {
            host.quiet_wakes = (second, 0);
        }
        host.quiet_wakes.1 += u32::from(quiet);
        if host.quiet_wakes.1 > QUIET_WAKES {
            let what = format!(
                "{} is woken without rest, last for {before:?}",
                self.name(n)
            );
            return Err((Rule::Busy, what));
        }
        let after = host.engine.as_ref().and_then(|e| e.get().poll_timeout());
        let left = after.filter(|t| t.at <= latest);
        host.left = if left.is_some() { host.left + 1 } else { 0 };
        law::deadline(
            self.plan.hosts[n].name,
            left.filter(|_| host.left > AT_ONCE),
        )
    }

    /// Does what a driver does after every input: all outputs, until there are none.
    pub(super) fn drive(&mut self, n: usize) -> Law {
        if self.hosts[n].is_stalled(self.now) {
            return Ok(());
        }
        self.hosts[n].outputs = 0;
        let mut rounds = 0;
        loop {
            let mut order = [0, 1, 2, 3];
            if self.whims.is_some() {
                self.extra_polls(n);
            }
            if let Some(whims) = &mut self.whims {
                whims.shuffle(&mut order);
                // To take a message is to say something: what is to be sent comes after it.
                let of = |what| order.iter().position(|w| *w == what).unwrap_or(0);
                let (take, send) = (of(2), of(3));
                if take > send {
                    order.swap(take, send);
                }
            }
            let mut any = false;
            for what in order {
                any |= match what {
                    0 => self.poll_records(n)?,
                    1 => self.poll_events(n)?,
                    2 => self.poll_messages(n)?,
                    _ => self.poll_transmits(n)?,
                };
            }
            if !any {
                break;
            }
            rounds += 1;
            if rounds > ROUNDS {
                let what = format!("{} has something to say, time after time", self.name(n));
                return Err((Rule::Busy, what));
            }
        }
        self.drain_seals()?;
        self.still_proven(n)?;
        let (now, name) = (self.now, self.name(n));
        let host = &mut self.hosts[n];
        let Some(engine) = &host.engine else {
            return Ok(());
        };
        law::memory(name, self.plan.real, engine)?;
        let timeout = engine.get().poll_timeout();
        let wake = timeout.map(|t| host.clock.when(t.at).max(now));
        if wake != host.wake {
            host.wake = wake;
            if let Some(at) = wake {
                self.at(at, Happening::Wake(n));
            }
        }
        Ok(())
    }

    /// What was proven is still held, unless its application asked that it be forgotten (H4).
    fn still_proven(&mut self, n: usize) -> Law {
        let host = &mut self.hosts[n];
        let Some(engine) = &host.engine else {
            return Ok(());
        };
        let remotes = engine.get().remotes();
        let held: HashSet<_> = remotes.iter().map(|r| r.id).collect();
        let lost = |id: &&RemoteId| !held.contains(*id) && !host.asked.contains(*id);
        if let Some(id) = host.proven.iter().find(lost) {
            let what = format!("it has forgotten {id:?}, who was proven, and nobody asked it to");
            return Err((Rule::Right, format!("{}: {what}", host.plan.name)));
        }
        let proven = remotes.iter().filter(|r| r.proven).map(|r| r.id);
        host.proven = proven.collect();
        Ok(())
    }

    /// Host `n` has one more output.
    fn count_output(&mut self, n: usize) -> Law {
        let host = &mut self.hosts[n];
        host.outputs += 1;
        if host.outputs > most_outputs(&host.plan.limits) {
            let what = format!("{} has output without end", self.name(n));
            return Err((Rule::Busy, what));
        }
        Ok(())
    }

    /// Calls that must change nothing.
    fn extra_polls(&mut self, n: usize) {
        let host = &mut self.hosts[n];
        let (Some(whims), Some(engine)) = (&mut self.whims, &mut host.engine) else {
            return;
        };
        let latest = host.latest;
        for _ in 0..whims.below(3) {
            match whims.below(4) {
                0 => drop(engine.get().poll_timeout()),
                1 => {
                    let next = engine.get().poll_timeout();
                    if next.is_none_or(|t| t.at > latest) {
                        engine.call(|e| e.handle_timeout(latest));
                    }
                }
                2 => drop(engine.get().remotes()),
                _ => drop(engine.call(|e| e.poll_transmit(latest, &mut [0; 10]))),
            }
        }
    }

    fn poll_records(&mut self, n: usize) -> Result<bool, (Rule, String)> {
        let mut any = false;
        loop {
            let host = &mut self.hosts[n];
            let engine = host.engine.as_mut();
            let Some(record) = engine.and_then(|e| e.call(|e| e.poll_record())) else {
                return Ok(any);
            };
            any = true;
            let at = host.store_at(self.now, record.place());
            let life = host.life;
            self.tape.line(self.now, || What::Kept {
                host: n,
                text: format!(
                    "keeps {}, stored at {:.6}",
                    words::record(&record),
                    seconds(at)
                ),
            });
            self.at(at, Happening::Stored(n, life, Box::new(record)));
            self.count_output(n)?;
            self.output(n);
        }
    }

    fn poll_events(&mut self, n: usize) -> Result<bool, (Rule, String)> {
        let mut any = false;
        loop {
            let engine = self.hosts[n].engine.as_mut();
            let Some(event) = engine.and_then(|e| e.call(|e| e.poll_event())) else {
                return Ok(any);
            };
            any = true;
            let told = self.without_places(n, &event);
            self.tape.hash_told(self.now, n, false, &told);
            self.tell(n, &event);
            self.told(n, &event)?;
            self.count_output(n)?;
            self.output(n);
        }
    }

    /// An event, with remotes told by the ids that this host gave them, and messages by their tokens: the places
    /// in which an engine holds them depend on what was polled first.
    fn without_places(&self, n: usize, event: &Event) -> String {
        let engine = self.hosts[n].engine.as_ref();
        let near = |id| engine.and_then(|e| e.get().remote(id)).map(|r| r.near);
        match event {
            Event::Remote {
                remote,
                token,
                what: RemoteEvent::SameAs(known),
            } => format!("{:?} {token} is {:?}", near(*remote), near(*known)),
            Event::Remote {
                remote,
                token,
                what,
            } => format!("{:?} {token} {what:?}", near(*remote)),
            Event::Message {
                remote,
                token,
                outcome,
                ..
            } => format!("{:?} {token} {outcome:?}", near(*remote)),
            Event::KeysOffered { .. } => format!("{event:?}"),
        }
    }

    fn told(&mut self, n: usize, event: &Event) -> Law {
        match event {
            Event::Message {
                token,
                outcome,
                remote,
                ..
            } if *token != TO_ATTACKER => {
                let number = *token as usize;
                let to = self.ledger.sent.get(number).map_or(0, |s| s.to);
                let host = &self.hosts[n];
                let engine = host.engine.as_ref();
                let info = engine.and_then(|e| e.get().remote(*remote));
                // Who takes any keys lets an insider be whom this was sent to.
                let always = host.plan.trust == Trust::Always;
                let remote = Peer {
                    there: info.is_some(),
                    up: info.as_ref().is_some_and(|i| i.allowed),
                    ill: always && info.is_some_and(|i| self.guard.means_ill(&i)),
                };
                let (now, life) = (host.latest.as_micros(), self.hosts[to].life);
                self.ledger.ended(number, *outcome, now, remote, life)
            }
            Event::Remote { remote, what, .. } => {
                let engine = self.hosts[n].engine.as_ref();
                let info = engine.and_then(|e| e.get().remote(*remote));
                // Of who is forgotten the engine says nothing any more.
                let was = self.hosts[n].allowed.get(remote).copied();
                let whom = info.map_or(was, |i| self.whom(n, &i));
                if self.plan.menace.siege {
                    self.guard.besieged(self.now, n, whom, *what)?;
                }
                match (what, whom) {
                    (RemoteEvent::Joined, _) => self.accepted(n, *remote)?,
                    (RemoteEvent::Allowed, Some(whom)) => {
                        self.report.sessions += 1;
                        let life = self.hosts[whom].life;
                        self.ledger.session(n, whom, life);
                        self.hosts[n].allowed.insert(*remote, whom);
                    }
                    (RemoteEvent::Forgotten, _) => {
                        if let Some(whom) = self.hosts[n].allowed.remove(remote) {
                            self.ledger.forgot(n, whom);
                        }
                    }
                    (RemoteEvent::SameAs(known), _) => {
                        let life = self.hosts[n].life;
                        self.report.found += 1;
                        self.ledger.redirected(n, life, *remote, *known);
                    }
                    (RemoteEvent::JoinFailed(why), _) => {
                        self.give_up(n, *remote, *why);
                    }
                    _ => {}
                }
                Ok(())
            }
            // What was sent to an attacker may end in any way.
            Event::Message { .. } | Event::KeysOffered { .. } => Ok(()),
        }
    }

    /// Who has joined was accepted, by the policy or by a person, who may have taken it back since (H12).
    fn accepted(&self, n: usize, remote: RemoteId) -> Law {
        let Some(engine) = self.hosts[n].engine.as_ref().map(Metered::get) else {
            return Ok(());
        };
        let Some(info) = engine.remote(remote) else {
            return Ok(());
        };
        let waits = |role: &RoleInfo| {
            role.status == Status::Pending && !self.guard.has_accepted(n, &role.name, role.keys)
        };
        let role = engine.roles().into_iter().find(|r| r.name == info.role);
        if role.is_some_and(|role| waits(&role)) {
            let (who, name) = (self.name(n), info.name);
            let what = format!("{who} is joined with {name}, whose keys nobody has accepted");
            return Err((Rule::Right, what));
        }
        Ok(())
    }

    fn poll_messages(&mut self, n: usize) -> Result<bool, (Rule, String)> {
        let host = &self.hosts[n];
        let count = match host.plan.appetite {
            _ if self.healed => usize::MAX,
            None => host.hunger(self.now),
            Some(_) => 0, // when it does something
        };
        self.take(n, count)
    }

    /// An application takes so many messages, if there are.
    pub(super) fn take(&mut self, n: usize, count: usize) -> Result<bool, (Rule, String)> {
        let mut any = false;
        for _ in 0..count {
            let host = &mut self.hosts[n];
            let Some(taken) = host.engine.as_mut().and_then(Metered::poll_message) else {
                break;
            };
            any = true;
            let life = host.life;
            self.count_output(n)?;
            let from = self.plan.hosts.iter().position(|h| h.name == taken.name);
            if self.is_attacker(n, &taken) || to_attacker(&taken.body) {
                self.output(n);
                continue;
            }
            let told = (&taken.name, &taken.body);
            self.tape.hash_told(self.now, n, true, &told);
            self.note(n, || words::taken(&taken));
            self.ledger.took(n, life, from, &taken.body)?;
            self.output(n);
        }
        Ok(any)
    }

    fn poll_transmits(&mut self, n: usize) -> Result<bool, (Rule, String)> {
        let mut any = false;
        let mut buffer = [0; 1200];
        while self.now >= self.hosts[n].blocked_until {
            let host = &mut self.hosts[n];
            let time = host.time(self.now, self.plan.back);
            let engine = host.engine.as_mut();
            let made = engine.and_then(|e| e.call(|e| e.poll_transmit(time, &mut buffer)));
            let Some(made) = made else { break };
            any = true;
            self.transmit(n, made.to, buffer.get(..made.len).unwrap_or(&[]))?;
            self.count_output(n)?;
            self.output(n);
        }
        Ok(any)
    }
}
