//! The world: hosts and the network between them, moved from one happening to the next, with every
//! rule checked after each.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use raet_core::event::{Event, RemoteEvent};
use raet_core::keep::{MemoryKeep, Record};
use raet_core::stats::{Reason, Verdict};

use super::app::TO_ATTACKER;
use super::attack::{Attack, Attacker, Gang, Pass, Source};
use super::engine::Meter;
use super::guard::Guard;
use super::host::Host;
use super::law::{self, Law, Laws, Rule, Violation};
use super::ledger::Ledger;
use super::net::{Book, Link};
use super::plan::{Fault, Incident, Plan, S};
use super::scene::Rng;
use super::tape::{Tape, What, head};
use crate::suite::Seals;

/// How a world is run.
#[derive(Clone, Copy, Default)]
pub struct Options {
    /// Write down what happens.
    pub trace: bool,
    /// Counts what engines allocate.
    pub meter: Option<Meter>,
    /// Poll in an order drawn from this, more often than need be, and when nothing is due.
    pub restless: Option<u64>,
}

/// What happened in a world, in numbers.
#[derive(Clone, Default, Debug)]
pub struct Report {
    /// Steps.
    pub steps: u64,
    /// Microseconds of its time.
    pub simulated: u64,
    /// Datagrams that engines made.
    pub datagrams: u64,
    /// Messages that engines took to send.
    pub sent: u64,
    /// Messages that applications took.
    pub received: u64,
    /// How messages ended.
    pub outcomes: BTreeMap<&'static str, u64>,
    /// How often each fault struck.
    pub faults: BTreeMap<Fault, u64>,
    /// What became of datagrams.
    pub verdicts: BTreeMap<&'static str, u64>,
    /// What became of an attacker's datagrams.
    pub attacks: BTreeMap<&'static str, u64>,
    /// Sessions that were made.
    pub sessions: u64,
    /// Most curve operations that a datagram cost.
    pub curves: u64,
    /// A hash of everything that was sent and told, and when.
    pub digest: u64,
}

impl Report {
    /// Adds another world's.
    pub fn add(&mut self, other: &Self) {
        fn add<K: Ord + Copy>(to: &mut BTreeMap<K, u64>, from: &BTreeMap<K, u64>) {
            for (key, count) in from {
                *to.entry(*key).or_default() += count;
            }
        }
        self.steps += other.steps;
        self.simulated += other.simulated;
        self.datagrams += other.datagrams;
        self.sent += other.sent;
        self.received += other.received;
        self.sessions += other.sessions;
        self.curves = self.curves.max(other.curves);
        add(&mut self.outcomes, &other.outcomes);
        add(&mut self.faults, &other.faults);
        add(&mut self.verdicts, &other.verdicts);
        add(&mut self.attacks, &other.attacks);
        self.digest ^= other.digest;
    }
}

/// What is going to happen.
pub(super) enum Happening {
    /// A datagram arrives: when it left, whose it is, and between which addresses.
    Arrival(u64, Source, SocketAddr, SocketAddr, Vec<u8>),
    /// A host has a deadline.
    Wake(usize),
    /// An application does something.
    Deed(usize),
    /// A record of this life of a host is stored.
    Stored(usize, u32, Record),
    Incident(Incident),
    /// A host starts.
    Start(usize),
    /// A stall or block may be over.
    Over(usize),
    /// Nothing goes wrong from here on.
    Heal,
    /// Is everything in order?
    Look,
    /// The attacker's turn.
    Attack,
}

/// A world.
pub struct Simulation {
    pub(super) plan: Plan,
    pub(super) options: Options,
    pub(super) now: u64,
    pub(super) hosts: Vec<Host>,
    pub(super) links: Vec<Vec<Link>>,
    pub(super) book: Book,
    pub(super) ledger: Ledger,
    pub(super) laws: Laws,
    pub(super) seals: Seals,
    pub(super) tape: Tape,
    pub(super) report: Report,
    pub(super) healed: bool,
    pub(super) whims: Option<Rng>,
    attacker: Option<Box<dyn Attacker>>,
    guard: Guard,
    attack_rng: Rng,
    queue: BTreeMap<(u64, u64), Happening>,
    scheduled: u64,
    /// Since when everything is in order.
    settled: Option<u64>,
    over: bool,
}

/// For how long the world is watched once everything is in order.
const QUIET: u64 = 10 * S;
/// Curve operations that a datagram may cost: an initiate's are the most.
const CURVES: u64 = 8;
/// Times in a row that a host may be woken for nothing.
const IDLE: u32 = 4;

impl Simulation {
    /// A world as planned; nothing has happened yet.
    pub fn new(plan: Plan, options: Options) -> Self {
        let count = plan.hosts.len();
        let mut rng = Rng::new(plan.seed);
        let hosts = plan.hosts.iter();
        let hosts = hosts.map(|h| Host::new(h.clone(), rng.bits())).collect();
        let links = plan.links.iter();
        let links = links
            .map(|row| row.iter().map(|p| Link::new(*p, rng.bits())).collect())
            .collect();
        let names = plan.hosts.iter().map(|h| h.name).collect();
        Self {
            now: 0,
            hosts,
            links,
            book: Book::new(count),
            ledger: Ledger::default(),
            laws: Laws::default(),
            seals: Seals::default(),
            tape: Tape::new(names, options.trace),
            report: Report::default(),
            healed: false,
            whims: options.restless.map(Rng::new),
            attacker: Gang::of(&plan).map(|gang| Box::new(gang) as Box<dyn Attacker>),
            guard: Guard::default(),
            attack_rng: Rng::new(rng.bits()),
            queue: BTreeMap::new(),
            scheduled: 0,
            settled: None,
            over: false,
            plan,
            options,
        }
    }

    /// Somebody means ill.
    #[must_use]
    pub fn with_attacker(mut self, attacker: Box<dyn Attacker>) -> Self {
        self.attacker = Some(attacker);
        self
    }

    /// What happened so far.
    pub fn tape(&self) -> &Tape {
        &self.tape
    }

    /// What happened so far, in numbers.
    pub fn report(&self) -> Report {
        let mut report = self.report.clone();
        report.simulated = self.now;
        report.sent = self.ledger.sent.len() as u64;
        report.received = self.ledger.received;
        report.outcomes = self.ledger.outcomes.clone();
        report.digest = self.tape.digest();
        report
    }

    /// Lets everything happen.
    ///
    /// # Errors
    ///
    /// The first rule that is broken.
    pub fn run(&mut self) -> Result<(), Box<Violation>> {
        for n in 0..self.hosts.len() {
            self.at(0, Happening::Start(n));
            self.at(0, Happening::Deed(n));
        }
        for (at, incident) in self.plan.incidents.clone() {
            self.at(at, Happening::Incident(incident));
        }
        self.at(self.plan.storm, Happening::Heal);
        if self.attacker.is_some() {
            self.at(0, Happening::Attack);
        }
        while !self.over
            && let Some(((at, _), what)) = self.queue.pop_first()
        {
            self.now = at;
            self.report.steps += 1;
            if let Err((rule, what)) = self.happen(what) {
                return Err(Box::new(self.violation(rule, what)));
            }
        }
        Ok(())
    }

    /// A breach, with when and where.
    pub fn violation(&self, rule: Rule, what: String) -> Violation {
        Violation {
            seed: self.plan.seed,
            step: self.report.steps,
            at: self.now,
            rule,
            what,
        }
    }

    pub(super) fn at(&mut self, at: u64, what: Happening) {
        self.scheduled += 1;
        self.queue.insert((at.max(self.now), self.scheduled), what);
    }

    pub(super) fn note(&mut self, host: usize, text: impl FnOnce() -> String) {
        self.tape
            .line(self.now, || What::Note { host, text: text() });
    }

    pub(super) fn fault(&mut self, fault: Fault) {
        *self.report.faults.entry(fault).or_default() += 1;
    }

    fn happen(&mut self, what: Happening) -> Law {
        match what {
            Happening::Arrival(left, source, from, to, bytes) => {
                self.arrive(left, source, from, to, bytes)
            }
            Happening::Wake(n) => {
                let due = self.hosts[n].wake == Some(self.now);
                if due && !self.hosts[n].is_stalled(self.now) {
                    self.wake(n)
                } else {
                    Ok(())
                }
            }
            Happening::Deed(n) => self.deed(n),
            Happening::Stored(n, life, record) => self.stored(n, life, record),
            Happening::Incident(incident) => self.incident(incident),
            Happening::Start(n) => self.start(n),
            Happening::Over(n) => self.resume(n),
            Happening::Heal => self.heal(),
            Happening::Look => self.look(),
            Happening::Attack => {
                self.attack(|attacker, attack| attacker.acts(attack));
                Ok(())
            }
        }
    }

    // ---- datagrams ---------------------------------------------------------------------------

    fn arrive(
        &mut self,
        left: u64,
        source: Source,
        from: SocketAddr,
        to: SocketAddr,
        bytes: Vec<u8>,
    ) -> Law {
        let Some(n) = self.book.at(to) else {
            self.attack(|attacker, attack| attacker.gets(attack, from, to, &bytes));
            return Ok(());
        };
        let now = self.now;
        let receiver = &mut self.hosts[n];
        if receiver.engine.is_some() && receiver.is_stalled(now) {
            if receiver.socket.len() < receiver.plan.socket {
                receiver.socket.push_back((left, source, from, bytes));
                return Ok(());
            }
            self.fault(Fault::Overflow);
        } else if receiver.engine.is_some() {
            self.hand_over(n, left, source, from, bytes)?;
            return self.drive(n);
        }
        self.tape.line(now, || What::Arrived {
            left,
            from: source.host(),
            to: n,
            head: head(&bytes),
            len: bytes.len(),
            verdict: None,
        });
        Ok(())
    }

    /// An engine gets a datagram.
    fn hand_over(
        &mut self,
        n: usize,
        left: u64,
        source: Source,
        from: SocketAddr,
        mut bytes: Vec<u8>,
    ) -> Law {
        let now = self.now;
        let said = self.tape.is_on().then(|| head(&bytes)).flatten();
        let len = bytes.len();
        let receiver = &mut self.hosts[n];
        let time = receiver.time(now, self.plan.back);
        let Some(engine) = &mut receiver.engine else {
            return Ok(());
        };
        let trusted = receiver.trusted.contains(&from);
        if !trusted {
            self.laws.heard(n, from, len);
        }
        let (life, here) = (receiver.life, self.book.address(n));
        let watch = self.guard.watch(
            (n, life),
            receiver.plan.trust,
            source,
            (from, here),
            &bytes,
            engine.get(),
        );
        let before = receiver.counts.curve();
        let verdict = engine.call(|e| e.handle_datagram(time, from, &mut bytes));
        let curves = receiver.counts.curve() - before;
        let right = self.guard.judge(watch, verdict, engine.get());
        if !trusted && engine.get().proven_at(from) {
            receiver.trusted.insert(from);
            self.laws.proven(n, from);
        }
        self.report.curves = self.report.curves.max(curves);
        let word = match verdict {
            Verdict::Taken => "taken",
            Verdict::Repeated => "repeated",
            Verdict::Dropped(reason) => Reason::as_str(reason),
        };
        let of = if source.host().is_some() {
            &mut self.report.verdicts
        } else {
            &mut self.report.attacks
        };
        *of.entry(word).or_default() += 1;
        self.tape.line(now, || What::Arrived {
            left,
            from: source.host(),
            to: n,
            head: said,
            len,
            verdict: Some(verdict),
        });
        if curves > CURVES {
            let what = format!("a datagram of {len} bytes cost {curves} curve operations");
            return Err((Rule::Curves, what));
        }
        right?;
        self.drain_seals()
    }

    fn drain_seals(&mut self) -> Law {
        let mut law = Ok(());
        let laws = &mut self.laws;
        self.seals.take(|seal| {
            if law.is_ok() {
                law = laws.sealed(seal);
            }
        });
        law
    }

    /// A host sends a datagram.
    pub(super) fn transmit(&mut self, n: usize, to: SocketAddr, bytes: &[u8]) -> Law {
        let now = self.now;
        self.report.datagrams += 1;
        self.drain_seals()?;
        let (life, trusted) = (self.hosts[n].life, self.hosts[n].trusted.contains(&to));
        let from = self.book.address(n);
        let whose = self.book.owner(to);
        let target = self.book.at(to);
        self.tape
            .hash_sent(now, n, whose.unwrap_or(usize::MAX - 1), bytes);
        let said = head(bytes);
        if let (Some(_), Some(said)) = (whose, &said) {
            self.laws.sent(n, life, said, bytes)?;
        }
        if !trusted {
            self.laws.told(n, to, bytes.len())?;
        }
        self.guard.sent(from, to, bytes);
        let mut pass = Pass::On;
        self.attack(|attacker, attack| pass = attacker.sees(attack, from, to, bytes));
        let mut fate = match (target, pass) {
            (Some(target), Pass::On) => self.links[n][target].fate(now, bytes),
            _ => super::net::Fate::default(),
        };
        if target.is_none() && whose.is_none() && matches!(pass, Pass::On) {
            // An attacker's own address: no weather there.
            fate.copies.push(super::net::Copy {
                delay: 1,
                bytes: bytes.to_vec(),
            });
        }
        for fault in &fate.faults {
            *self.report.faults.entry(*fault).or_default() += 1;
        }
        let copies = fate.copies.len();
        for copy in fate.copies {
            let arrival = Happening::Arrival(now, Source::Host(n), from, to, copy.bytes);
            self.at(now + copy.delay, arrival);
        }
        self.tape.line(now, || What::Sent {
            from: n,
            to: target,
            head: said,
            len: bytes.len(),
            faults: fate.faults,
            copies,
        });
        Ok(())
    }

    // ---- hosts -------------------------------------------------------------------------------

    fn start(&mut self, n: usize) -> Law {
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
        self.note(n, || "starts".to_owned());
        self.call_all(n);
        self.drive(n)
    }

    pub(super) fn name(&self, n: usize) -> &'static str {
        self.plan.hosts[n].name
    }

    fn resume(&mut self, n: usize) -> Law {
        if self.hosts[n].is_stalled(self.now) {
            return Ok(());
        }
        while let Some((left, source, from, bytes)) = self.hosts[n].socket.pop_front() {
            self.hand_over(n, left, source, from, bytes)?;
        }
        self.wake(n)
    }

    fn stored(&mut self, n: usize, life: u32, record: Record) -> Law {
        let host = &mut self.hosts[n];
        if host.life != life || host.engine.is_none() {
            return Ok(());
        }
        host.unstored -= 1;
        host.keep.store(record.clone());
        let time = host.time(self.now, self.plan.back);
        if let Some(engine) = &mut host.engine {
            engine.call(|e| e.handle_stored(time, &record));
        }
        // A host that is stalled looks at it later.
        if self.hosts[n].is_stalled(self.now) {
            return Ok(());
        }
        self.drive(n)
    }

    fn incident(&mut self, incident: Incident) -> Law {
        let (now, storm) = (self.now, self.plan.storm);
        let end = |span: u64| (now + span).min(storm);
        match incident {
            Incident::Crash(n, down, keepless) => {
                if self.hosts[n].engine.is_none() {
                    return Ok(());
                }
                let back = end(down);
                self.fault(Fault::Crash);
                if self.hosts[n].unstored > 0 {
                    self.fault(Fault::LostRecord);
                }
                self.hosts[n].crash();
                if keepless {
                    self.fault(Fault::LostKeep);
                    self.hosts[n].keep = MemoryKeep::default();
                    // By the clock on the wall, as an estate does that may lose its keep.
                    let lives = self.hosts[n].life + 1;
                    let first = self.plan.hosts[n].first_session;
                    self.hosts[n].plan.first_session = first.wrapping_add(lives * 100_000).max(1);
                }
                self.note(n, || {
                    if keepless {
                        "dies, keep and all"
                    } else {
                        "dies"
                    }
                    .to_owned()
                });
                self.at(back, Happening::Start(n));
            }
            Incident::Stall(n, span) => {
                let until = end(span);
                self.hosts[n].stalled_until = until;
                self.fault(Fault::Stall);
                self.note(n, || "stalls".to_owned());
                self.at(until, Happening::Over(n));
            }
            Incident::Block(n, span) => {
                let until = end(span);
                self.hosts[n].blocked_until = until;
                self.fault(Fault::Block);
                self.note(n, || "its socket is blocked".to_owned());
                self.at(until, Happening::Over(n));
            }
            Incident::Partition(from, to, span) => {
                let until = end(span);
                self.links[from][to].part(until);
            }
            Incident::Rebind(n) => {
                let address = self.book.rebind(n);
                self.fault(Fault::Rebind);
                self.note(n, || format!("is at {address} now"));
            }
            Incident::Deaf(n, span) => {
                let until = end(span);
                self.hosts[n].deaf_until = until;
                self.fault(Fault::Deaf);
                self.note(n, || "takes no messages".to_owned());
                self.at(until, Happening::Over(n));
            }
        }
        Ok(())
    }

    /// A host's deadline has come, or may have.
    fn wake(&mut self, n: usize) -> Law {
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
        let after = engine.get().poll_timeout();
        let due = before.is_some_and(|t| t.at <= latest);
        let idle = due && after == before;
        let made = self.report.datagrams;
        self.drive(n)?;
        let host = &mut self.hosts[n];
        host.idle_wakes = if idle && self.report.datagrams == made {
            host.idle_wakes + 1
        } else {
            0
        };
        if host.idle_wakes > IDLE {
            let what = format!("{} is woken again and again for {after:?}", self.name(n));
            return Err((Rule::Busy, what));
        }
        Ok(())
    }

    /// Does what a driver does after every input: all outputs, until there are none.
    pub(super) fn drive(&mut self, n: usize) -> Law {
        if self.hosts[n].is_stalled(self.now) {
            return Ok(());
        }
        let mut rounds = 0;
        loop {
            let mut order = [0, 1, 2, 3];
            if self.whims.is_some() {
                self.extra_polls(n);
                if let Some(whims) = &mut self.whims {
                    whims.shuffle(&mut order);
                }
            }
            let mut any = false;
            for what in order {
                any |= match what {
                    0 => self.poll_records(n),
                    1 => self.poll_events(n)?,
                    2 => self.poll_messages(n)?,
                    _ => self.poll_transmits(n)?,
                };
            }
            if !any {
                break;
            }
            rounds += 1;
            if rounds > 1000 {
                let what = format!("{} has more and more to say", self.name(n));
                return Err((Rule::Busy, what));
            }
        }
        self.drain_seals()?;
        let (now, name) = (self.now, self.name(n));
        let host = &mut self.hosts[n];
        let Some(engine) = &host.engine else {
            return Ok(());
        };
        law::memory(name, engine)?;
        let timeout = engine.get().poll_timeout();
        law::deadline(name, host.latest, timeout)?;
        let wake = timeout.map(|t| host.clock.when(t.at).max(now));
        if wake != host.wake {
            host.wake = wake;
            if let Some(at) = wake {
                self.at(at, Happening::Wake(n));
            }
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

    fn poll_records(&mut self, n: usize) -> bool {
        let mut any = false;
        loop {
            let host = &mut self.hosts[n];
            let engine = host.engine.as_mut();
            let Some(record) = engine.and_then(|e| e.call(|e| e.poll_record())) else {
                return any;
            };
            any = true;
            let at = host.store_at(self.now, record.place());
            let life = host.life;
            self.tape.line(self.now, || What::Note {
                host: n,
                text: format!("keeps, at {:.6}: {record:?}", at as f64 / 1e6),
            });
            self.at(at, Happening::Stored(n, life, record));
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
            self.tape.hash_told(self.now, n, &format!("{event:?}"));
            let text = || format!("{event:?}");
            self.tape.line(self.now, || What::Told {
                host: n,
                text: text(),
            });
            self.told(n, &event)?;
        }
    }

    fn told(&mut self, n: usize, event: &Event) -> Law {
        match event {
            // What was sent to an attacker may end in any way.
            Event::Message {
                token: TO_ATTACKER, ..
            } => Ok(()),
            Event::Message {
                token,
                outcome,
                remote,
                ..
            } => {
                let number = *token as usize;
                let to = self.ledger.sent.get(number).map_or(0, |s| s.to);
                let host = &self.hosts[n];
                let engine = host.engine.as_ref();
                let info = engine.and_then(|e| e.get().remote(*remote));
                let remote = (info.is_some(), info.is_some_and(|i| i.allowed));
                let (now, life) = (host.latest.as_micros(), self.hosts[to].life);
                self.ledger.ended(number, *outcome, now, remote, life)
            }
            Event::Remote { remote, what, .. } => {
                let engine = self.hosts[n].engine.as_ref();
                let info = engine.and_then(|e| e.get().remote(*remote));
                let whom = info.and_then(|i| self.book.owner(i.address));
                if self.plan.menace.siege {
                    self.guard.besieged(self.now, n, whom, *what)?;
                }
                match (what, whom) {
                    (RemoteEvent::Allowed, Some(whom)) => {
                        self.report.sessions += 1;
                        let life = self.hosts[whom].life;
                        self.ledger.session(n, whom, life);
                    }
                    // Who it was cannot be asked any more: all may be meant.
                    (RemoteEvent::Forgotten, _) => {
                        for other in 0..self.hosts.len() {
                            self.ledger.forgot(n, other);
                        }
                    }
                    _ => {}
                }
                Ok(())
            }
            Event::KeysOffered { .. } => Ok(()),
        }
    }

    fn poll_messages(&mut self, n: usize) -> Result<bool, (Rule, String)> {
        let hunger = if self.healed || self.hosts[n].plan.appetite >= 1000 {
            self.hosts[n]
                .hunger(self.now)
                .max(usize::from(self.healed) * 1000)
        } else {
            0
        };
        self.take(n, hunger)
    }

    /// An application takes so many messages, if there are.
    pub(super) fn take(&mut self, n: usize, count: usize) -> Result<bool, (Rule, String)> {
        let mut any = false;
        for _ in 0..count {
            let host = &mut self.hosts[n];
            let Some(taken) = host.engine.as_mut().and_then(|e| e.poll_message()) else {
                break;
            };
            any = true;
            let life = host.life;
            let from = self.plan.hosts.iter().position(|h| h.name == taken.name);
            if from.is_none() && Guard::is_attacker(&taken.name) {
                continue;
            }
            let told = (&taken.name, &taken.body);
            self.tape.hash_told(self.now, n, &told);
            self.tape.line(self.now, || What::Told {
                host: n,
                text: format!("a message of {}, {} bytes", taken.name, taken.body.len()),
            });
            self.ledger.took(n, life, from, &taken.body)?;
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
        }
        Ok(any)
    }

    // ---- the end -----------------------------------------------------------------------------

    fn heal(&mut self) -> Law {
        self.healed = true;
        for link in self.links.iter_mut().flatten() {
            link.heal();
        }
        for n in 0..self.hosts.len() {
            let host = &mut self.hosts[n];
            (host.stalled_until, host.blocked_until, host.deaf_until) = (0, 0, 0);
            self.note(n, || "nothing goes wrong any more".to_owned());
            self.start(n)?;
            self.resume(n)?;
        }
        self.at(self.now + S / 2, Happening::Look);
        Ok(())
    }

    /// Whether everything is in order; it must be in time, and stay so.
    fn look(&mut self) -> Law {
        let missing = self.missing();
        match (&missing, self.settled) {
            (None, Some(since)) if self.now >= since + QUIET => {
                self.over = true;
                return Ok(());
            }
            (None, None) => self.settled = Some(self.now),
            (None, _) => {}
            (Some(_), _) => self.settled = None,
        }
        if let Some(missing) = missing
            && self.now > self.plan.storm + self.plan.grace
        {
            let grace = self.plan.grace / S;
            return Err((
                Rule::Progress,
                format!("after {grace} s of peace, {missing}"),
            ));
        }
        self.at(self.now + S / 2, Happening::Look);
        Ok(())
    }

    // ---- attackers ---------------------------------------------------------------------------

    fn attack(&mut self, what: impl FnOnce(&mut dyn Attacker, &mut Attack<'_>)) {
        let Some(mut attacker) = self.attacker.take() else {
            return;
        };
        let addresses: Vec<_> = (0..self.hosts.len())
            .map(|n| self.book.address(n))
            .collect();
        let mut attack = Attack::new(self.now, self.healed, &mut self.attack_rng, &addresses);
        what(&mut *attacker, &mut attack);
        let (datagrams, next) = attack.done();
        self.attacker = Some(attacker);
        for (at, power, from, to, bytes) in datagrams {
            let source = Source::Attacker(power);
            self.at(at, Happening::Arrival(self.now, source, from, to, bytes));
        }
        if let Some(next) = next {
            self.at(next, Happening::Attack);
        }
    }
}
