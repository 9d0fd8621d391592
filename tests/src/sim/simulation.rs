//! The world: hosts and the network between them, moved from one happening to the next, with every
//! rule checked after each.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use raet_core::keep::Record;
use raet_core::road::RemoteInfo;
use raet_core::stats::{Reason, Verdict};
use raet_core::wire::{Flags, Head, TransactionKind};

use super::attack::{Attack, Attacker, Datagram, Gang, Pass, Source};
use super::engine::Meter;
use super::guard::Guard;
use super::host::Host;
use super::law::{Law, Laws, Rule, Violation};
use super::report::Report;

use super::ledger::Ledger;
use super::net::{Book, Link, in_six};
use super::plan::{Fault, Full, Incident, Plan, S};
use super::scene::Rng;
use super::tape::{Said, Tape, What, head};
use crate::suite::{Counts, Seals};

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

/// What is going to happen.
pub(super) enum Happening {
    Arrival(Datagram),
    /// A host has a deadline.
    Wake(usize),
    /// An application does something.
    Deed(usize),
    /// A record of this life of a host is stored.
    Stored(usize, u32, Box<Record>),
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
    pub(super) guard: Guard,
    attack_rng: Rng,
    queue: BTreeMap<(u64, u64), Happening>,
    scheduled: u64,
    /// The last datagram that was no sign of life that somebody wants, and when it was sent.
    said: Option<(u64, Head)>,
    over: bool,
}

/// For how long nothing but signs of life that somebody wants may be sent at the end.
const QUIET: u64 = 10 * S;
/// Curve operations that a datagram may cost at once: an initiate's are the most, where it brings other keys.
const CURVES: u64 = 6;
/// And with all that is done when its outputs are taken, where nobody is proven: work that is put off is work.
/// Who is known may draw all the messages that wait for it, each of which is signed.
const CURVES_IN_ALL: u64 = 7;

impl Simulation {
    /// A world as planned; nothing has happened yet.
    pub fn new(plan: Plan, options: Options) -> Self {
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
            book: Book::new(&plan.hosts),
            ledger: Ledger::new(plan.menace.on_path.is_some()),
            laws: Laws::default(),
            seals: Seals::default(),
            tape: Tape::new(names, options.trace),
            report: Report::default(),
            healed: false,
            whims: options.restless.map(Rng::new),
            attacker: Gang::of(&plan).map(|gang| Box::new(gang) as Box<dyn Attacker>),
            guard: Guard::new(plan.real),
            attack_rng: Rng::new(rng.bits()),
            queue: BTreeMap::new(),
            scheduled: 0,
            said: None,
            over: false,
            plan,
            options,
        }
    }

    /// What happened so far.
    pub fn tape(&self) -> &Tape {
        &self.tape
    }

    /// What happened so far, in numbers.
    pub fn report(&self) -> Report {
        let mut report = self.report.clone();
        report.simulated = self.now;
        let engines = self.hosts.iter().filter_map(|host| host.engine.as_ref());
        let left_out = engines.map(|engine| engine.get().stats().replies_left_out);
        report.full.insert(Full::Replies, left_out.sum());
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
        // Looks at moments when nothing is due.
        if let Some(mut whims) = self.whims.clone() {
            for n in 0..40 * self.hosts.len() {
                let at = whims.bits() % self.plan.storm;
                self.at(at, Happening::Over(n % self.hosts.len()));
            }
        }
        self.at(self.plan.storm, Happening::Heal);
        if self.attacker.is_some() {
            self.at(0, Happening::Attack);
        }
        while !self.over
            && let Some(((at, _), what)) = self.queue.pop_first()
        {
            self.now = at;
            self.laws.next();
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

    /// Something was full.
    pub(super) fn full(&mut self, what: Full) {
        *self.report.full.entry(what).or_default() += 1;
    }

    pub(super) fn fault(&mut self, fault: Fault) {
        *self.report.faults.entry(fault).or_default() += 1;
    }

    fn happen(&mut self, what: Happening) -> Law {
        match what {
            Happening::Arrival(datagram) => self.arrive(datagram),
            Happening::Wake(n) => {
                let due = self.hosts[n].wake == Some(self.now);
                if due && !self.hosts[n].is_stalled(self.now) {
                    self.wake(n)
                } else {
                    Ok(())
                }
            }
            Happening::Deed(n) => self.deed(n),
            Happening::Stored(n, life, record) => self.stored(n, life, &record),
            Happening::Incident(incident) => {
                self.incident(incident);
                Ok(())
            }
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

    fn arrive(&mut self, datagram: Datagram) -> Law {
        let (from, to) = (datagram.from, datagram.to);
        let Some(n) = self.book.at(to) else {
            self.attack(|attacker, attack| attacker.gets(attack, from, to, &datagram.bytes));
            return Ok(());
        };
        let now = self.now;
        let receiver = &mut self.hosts[n];
        if receiver.engine.is_some() && receiver.is_stalled(now) {
            if receiver.socket.len() < receiver.plan.socket {
                receiver.socket.push_back(datagram);
                return Ok(());
            }
            self.fault(Fault::Overflow);
        } else if receiver.engine.is_some() {
            let before = receiver.counts.curve();
            self.hand_over(n, datagram)?;
            self.drive(n)?;
            let host = &self.hosts[n];
            // Who is proven by it gets what waited for that, each message signed. Who dies of it trusts nobody.
            let trusted = host.engine.is_none() || host.trusted.contains(&from);
            let curves = host.counts.curve() - before;
            if curves > CURVES_IN_ALL && !trusted {
                let what = format!("a datagram cost {curves} curve operations in all");
                return Err((Rule::Curves, what));
            }
            return Ok(());
        }
        let packet = self.tape.packet(&datagram);
        self.tape.line(now, || What::Arrived {
            left: datagram.left,
            from: datagram.source.into(),
            to: n,
            packet,
            len: datagram.bytes.len(),
            verdict: None,
        });
        Ok(())
    }

    /// An engine gets a datagram.
    pub(super) fn hand_over(&mut self, n: usize, datagram: Datagram) -> Law {
        let now = self.now;
        let packet = self.tape.packet(&datagram);
        let Datagram {
            left,
            source,
            from,
            mut bytes,
            ..
        } = datagram;
        let said = head(&bytes);
        let kind = said.map(|head| head.transaction);
        let len = bytes.len();
        let receiver = &mut self.hosts[n];
        let time = receiver.time(now, self.plan.back);
        let Some(engine) = &mut receiver.engine else {
            return Ok(());
        };
        let trusted = receiver.trusted.contains(&from);
        let life = receiver.life;
        let watch = self.guard.watch(
            (n, life),
            receiver.plan.trust,
            source,
            from,
            &bytes,
            engine.get(),
        );
        let count = |counts: &Counts| (counts.curve(), counts.verified());
        let before = count(&receiver.counts);
        let joins = kind == Some(TransactionKind::Join);
        let known = joins.then(|| engine.get().remotes());
        let shown = if receiver.plan.dual {
            in_six(from)
        } else {
            from
        };
        let verdict = engine.call(|e| e.handle_datagram(time, shown, &mut bytes));
        let answers = said.is_some_and(|head| head.flags.contains(Flags::CORRESPONDENT));
        let taken = verdict == Verdict::Taken;
        self.laws.heard(n, from, len, answers && taken);
        let after = count(&receiver.counts);
        let gone = |of: &RemoteInfo| engine.get().remote(of.id).is_none();
        let evicted = known.is_some_and(|known| known.iter().any(gone));
        let (curves, verified) = (after.0 - before.0, after.1 - before.1);
        let right = self.guard.judge(watch, verdict, engine.get());
        if !trusted && engine.get().proven_at(from) {
            receiver.trusted.insert(from);
        }
        self.report.curves = self.report.curves.max(curves);
        let word = match verdict {
            Verdict::Taken => "taken",
            Verdict::Repeated => "answered again",
            Verdict::Dropped(reason) => Reason::as_str(reason),
        };
        let of = if source.host().is_some() {
            &mut self.report.verdicts
        } else {
            &mut self.report.attacks
        };
        *of.entry(word).or_default() += 1;
        if evicted {
            self.full(Full::MadeRoom);
        }
        if verdict == Verdict::Dropped(Reason::Full) {
            self.full(match kind {
                Some(TransactionKind::Join) => Full::Remotes,
                Some(TransactionKind::Allow) => Full::Handshakes,
                _ => Full::Inbox,
            });
        }
        self.tape.line(now, || What::Arrived {
            left,
            from: source.into(),
            to: n,
            packet,
            len,
            verdict: Some(verdict),
        });
        if curves > CURVES {
            let what = format!("a datagram of {len} bytes cost {curves} curve operations");
            return Err((Rule::Curves, what));
        }
        if verified > 0
            && let Verdict::Dropped(why @ (Reason::Address | Reason::Stranger)) = verdict
        {
            let what = format!("a signature was checked of what was then dropped: {why:?}");
            return Err((Rule::Curves, what));
        }
        right?;
        self.drain_seals()
    }

    pub(super) fn drain_seals(&mut self) -> Law {
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
            .hash_sent(now, n, whose.unwrap_or(usize::MAX - 2), bytes);
        let said = head(bytes);
        if let (Some(_), Some(said)) = (whose, &said) {
            self.laws.sent(n, life, said, bytes)?;
        }
        // Signs of life go on for as long as one of the two wants them. What an attacker left behind may go on
        // for as long as its remote is held.
        let present = |n: usize| self.hosts[n].present;
        if let Some(said) = said
            && !(said.transaction == TransactionKind::Alive
                && (present(n) || whose.is_some_and(present)))
            && self.attacker.is_none()
        {
            self.said = Some((now, said));
        }
        let engine = self.hosts[n].engine.as_ref();
        // What its application has to say it may say, wherever its peer claims to be.
        let asked = engine.is_some_and(|e| e.get().has_messages_for(to));
        if asked {
            self.hosts[n].trusted.insert(to);
        } else if !trusted {
            self.laws.told(n, to, bytes.len())?;
        }
        self.guard.said(bytes);
        // Its peer may still look for it where it was, and cannot tell who makes it seem to be there; nor
        // who brings it what still goes to where it was itself.
        for (address, _) in self.book.all().filter(|(_, whose)| *whose == n) {
            for whom in self.book.owners(to) {
                self.guard.sent(address, whom, bytes);
            }
        }
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
            if copy.bytes != bytes {
                self.tape.damages(now, n, said, &copy.bytes);
            }
            let datagram = Datagram {
                left: now,
                source: Source::Host(n),
                from,
                to,
                bytes: copy.bytes,
            };
            self.at(now + copy.delay, Happening::Arrival(datagram));
        }
        let to = self.tape.party(target, to);
        self.tape.line(now, || What::Sent {
            from: n,
            to,
            head: said,
            len: bytes.len(),
            faults: fate.faults,
            copies,
            stopped: pass == Pass::Off,
        });
        Ok(())
    }

    // ---- the end -----------------------------------------------------------------------------

    /// Whether everything is in order, and nobody has anything left to say; it must be in time.
    fn look(&mut self) -> Law {
        let missing = self.missing();
        let said = self.said.filter(|(at, _)| self.now < at + QUIET);
        if missing.is_none() && said.is_none() {
            self.over = true;
            return Ok(());
        }
        if self.now > self.plan.storm + self.plan.grace {
            let still = said.map(|(_, head)| format!("and {} is still said", Said(Some(head))));
            let what = missing.or(still).unwrap_or_default();
            let grace = self.plan.grace / S;
            return Err((Rule::Progress, format!("after {grace} s of peace {what}")));
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
        for (at, datagram) in datagrams {
            if let Source::Attacker(power) = datagram.source
                && self.book.owner(datagram.from).is_none()
            {
                self.tape.stranger(power, datagram.from);
            }
            self.at(at, Happening::Arrival(datagram));
        }
        if let Some(next) = next {
            self.at(next, Happening::Attack);
        }
    }
}
