//! The states of a search and what leads from one to the next.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::hash::{Hash, Hasher};
use std::rc::Rc;

use raet_core::event::Outcome;
use raet_core::storage::Storage;
use raet_core::wire::Frame;
use siphasher::sip128::{Hasher128, SipHasher13};

use super::node::{Id, Node, Output};
use super::{Scenario, Start};

/// What can happen in a state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Act {
    /// The datagram of this number arrives.
    Deliver(usize),
    /// The datagram of this number arrives, and a copy of it stays on its way.
    Double(usize),
    /// The datagram of this number is lost.
    Lose(usize),
    /// This estate's next deadline comes.
    Tick(usize),
    /// This estate carries out its next command.
    Command(usize),
    /// This estate's keep stores a record.
    Store(usize),
    /// This estate's application takes a message.
    Take(usize),
    /// This estate dies and comes back.
    Crash(usize),
}

/// What is known of a message: its outcome, and how often each life of its receiver took it.
#[derive(Clone, Default, PartialEq, Eq, Hash, Debug)]
struct Fate {
    outcome: Option<Outcome>,
    taken: BTreeMap<u8, u8>,
}

/// Two estates and what is on its way between them.
pub struct State<S: Storage> {
    nodes: [Rc<Node<S>>; 2],
    digests: [u128; 2],
    /// Datagrams on their way, by the number of whom they are for, in no other order that matters.
    air: Vec<(usize, Rc<[u8]>)>,
    fates: BTreeMap<Id, Fate>,
    faults: u8,
    crashes: u8,
}

impl<S: Storage> Clone for State<S> {
    fn clone(&self) -> Self {
        Self {
            nodes: self.nodes.clone(),
            digests: self.digests,
            air: self.air.clone(),
            fates: self.fates.clone(),
            faults: self.faults,
            crashes: self.crashes,
        }
    }
}

impl<S: Storage> State<S> {
    /// Where the search of a scenario begins.
    ///
    /// # Errors
    ///
    /// When the way there breaks a rule.
    pub fn first(scenario: &Scenario) -> Result<Self, String> {
        let nodes = [0, 1].map(|n| Node::new(scenario, n));
        let mut state = Self {
            digests: [0, 1].map(|n: usize| nodes[n].digest()),
            nodes: nodes.map(Rc::new),
            air: Vec::new(),
            fates: BTreeMap::new(),
            faults: scenario.faults,
            crashes: scenario.crashes,
        };
        if scenario.start == Start::Session {
            let begun = Scenario {
                script: [&[], &[super::Command::Connect]],
                slow_keep: false,
                slow_application: false,
                ..*scenario
            };
            state = state.apply(&begun, Act::Command(1))?.settle(&begun)?;
            for n in 0..2 {
                state.change(n, Node::begin_script);
            }
        }
        Ok(state)
    }

    /// Everything that can happen now. What costs nothing comes first.
    pub fn acts(&self, scenario: &Scenario) -> Vec<Act> {
        let mut acts = Vec::new();
        // Datagrams are in order, so those that are the same are neighbours.
        let different = (0..self.air.len()).filter(|i| *i == 0 || self.air[*i] != self.air[*i - 1]);
        acts.extend(different.clone().map(Act::Deliver));
        for n in 0..2 {
            let node = &self.nodes[n];
            if node.next_command(scenario).is_some() {
                acts.push(Act::Command(n));
            }
            if node.has_unsaved() {
                acts.push(Act::Store(n));
            }
            if node.has_message() {
                acts.push(Act::Take(n));
            }
            if node.wait().is_some() && (self.faults > 0 || self.is_time(scenario, n)) {
                acts.push(Act::Tick(n));
            }
            if self.crashes > 0 {
                acts.push(Act::Crash(n));
            }
        }
        if self.faults > 0 {
            acts.extend(different.clone().map(Act::Double));
            acts.extend(different.map(Act::Lose));
        }
        acts
    }

    /// Whether nothing else can happen before the next deadline of this estate.
    fn is_time(&self, scenario: &Scenario, n: usize) -> bool {
        let [own, other] = [n, 1 - n].map(|n| self.nodes[n].wait());
        let first = other.is_none_or(|other| own.is_some_and(|own| own <= other));
        first && self.air.is_empty() && self.nodes.iter().all(|node| node.is_idle(scenario))
    }

    /// Whether an act costs nothing here.
    pub fn is_free(&self, scenario: &Scenario, act: Act) -> bool {
        match act {
            Act::Tick(n) => self.is_time(scenario, n),
            Act::Double(_) | Act::Lose(_) | Act::Crash(_) => false,
            _ => true,
        }
    }

    /// What comes of an act.
    ///
    /// # Errors
    ///
    /// When it breaks a rule.
    pub fn apply(&self, scenario: &Scenario, act: Act) -> Result<Self, String> {
        let mut next = self.clone();
        let free = self.is_free(scenario, act);
        if !free {
            match act {
                Act::Crash(_) => next.crashes -= 1,
                _ => next.faults -= 1,
            }
        }
        match act {
            Act::Lose(i) => drop(next.air.remove(i)),
            Act::Deliver(i) => {
                let (to, bytes) = next.air.remove(i);
                next.step(scenario, to, |node, _| {
                    node.receive(&bytes);
                    Ok(())
                })?;
            }
            Act::Double(i) => {
                let (to, bytes) = next.air[i].clone();
                next.step(scenario, to, |node, _| {
                    node.receive(&bytes);
                    Ok(())
                })?;
            }
            Act::Tick(n) => {
                let wait = self.nodes[n].wait().unwrap_or_default();
                if free {
                    next.change(1 - n, |node| node.pass(wait));
                }
                next.step(scenario, n, |node, _| {
                    node.pass(wait);
                    node.tick();
                    Ok(())
                })?;
            }
            Act::Command(n) => {
                let mut sent = None;
                next.step(scenario, n, |node, _| {
                    sent = node.command(scenario)?;
                    Ok(())
                })?;
                if let Some(id) = sent {
                    next.fates.entry(id).or_default();
                }
            }
            Act::Store(n) => next.step(scenario, n, |node, _| {
                node.store();
                Ok(())
            })?,
            Act::Take(n) => next.step(scenario, n, |node, out| node.take(scenario.body, out))?,
            Act::Crash(n) => next.step(scenario, n, |node, _| {
                node.crash(scenario);
                Ok(())
            })?,
        }
        next.check(scenario)?;
        Ok(next)
    }

    fn change(&mut self, n: usize, change: impl FnOnce(&mut Node<S>)) {
        let node = Rc::make_mut(&mut self.nodes[n]);
        change(node);
        self.digests[n] = node.digest();
    }

    /// Lets an estate do something, and then all that follows from it at once.
    fn step(
        &mut self,
        scenario: &Scenario,
        n: usize,
        what: impl FnOnce(&mut Node<S>, &mut Output) -> Result<(), String>,
    ) -> Result<(), String> {
        let mut out = Output::default();
        let mut done = Ok(());
        let mut life = 0;
        self.change(n, |node| {
            done = what(node, &mut out).and_then(|()| node.drive(scenario, &mut out));
            life = node.life;
        });
        done?;
        let packets = out.packets.into_iter();
        self.air
            .extend(packets.map(|bytes| (1 - n, Rc::from(bytes))));
        self.air.sort_unstable();
        for id in out.taken {
            let fate = self.fates.entry(id).or_default();
            *fate.taken.entry(life).or_default() += 1;
        }
        for (id, outcome) in out.ended {
            let fate = self.fates.entry(id).or_default();
            if let Some(former) = fate.outcome.replace(outcome) {
                return Err(format!("message {id:?}: told {former:?} and {outcome:?}"));
            }
        }
        Ok(())
    }

    /// What must hold in every state.
    fn check(&self, scenario: &Scenario) -> Result<(), String> {
        if self.nodes.iter().any(|node| node.is_unasked(scenario)) {
            return Err("a session, though nobody accepted the other's keys".into());
        }
        let crashed = self.nodes.iter().any(|node| node.life > 0);
        for (id, fate) in &self.fates {
            let taken: u8 = fate.taken.values().sum();
            let wrong = match fate.outcome {
                _ if fate.taken.values().any(|times| *times > 1) => "taken twice",
                Some(Outcome::Delivered) if taken == 0 => "delivered, says its sender; it was not",
                Some(Outcome::Failed(_)) if taken > 0 => "failed, says its sender; it was taken",
                Some(Outcome::Failed(_)) => "failed without a reason",
                Some(Outcome::Unknown(_)) if !crashed => "unknown without a crash",
                _ => continue,
            };
            return Err(format!("message {id:?}: {wrong} ({fate:?})"));
        }
        Ok(())
    }

    /// What must hold where nothing more happens.
    ///
    /// # Errors
    ///
    /// What does not.
    pub fn check_rest(&self, scenario: &Scenario) -> Result<(), String> {
        for (id, fate) in &self.fates {
            let sender = &self.nodes[usize::from(id[0])];
            if sender.life == id[1] && fate.outcome.is_none() {
                return Err(format!("message {id:?} has no outcome ({fate:?})"));
            }
        }
        // Who died may not have been missed yet: a message of the other finds out.
        let crashed = self.nodes.iter().any(|node| node.life > 0);
        if !crashed {
            self.check_session()?;
        }
        let idle = Scenario {
            script: [&[], &[]],
            slow_application: false,
            slow_keep: false,
            ..*scenario
        };
        // They agree on keys and sessions: later messages arrive.
        let state = self.clone().probe(&idle, 1)?;
        state.check_session()?;
        state.probe(&idle, 0)?.check_session()
    }

    /// Both hold a session with each other, and know each other by the same ids.
    fn check_session(&self) -> Result<(), String> {
        let seen = [0, 1].map(|n: usize| {
            let node = &self.nodes[n];
            node.peer().and_then(|peer| node.stack.remote(peer))
        });
        let [Some(a), Some(b)] = seen else {
            return Err("one does not know the other".into());
        };
        let joined = a.joined && b.joined && a.proven && b.proven;
        if !joined || !a.allowed || !b.allowed {
            return Err(format!("no session: {a:?} and {b:?}"));
        }
        if a.near != b.far || a.far != b.near {
            return Err(format!("they differ about their ids: {a:?} and {b:?}"));
        }
        Ok(())
    }

    /// A message of this estate arrives, with no fault.
    fn probe(mut self, idle: &Scenario, n: usize) -> Result<Self, String> {
        let mut sent = None;
        self.step(idle, n, |node, _| {
            sent = Some(node.send(idle.body)?);
            Ok(())
        })?;
        let state = self.settle(idle)?;
        let fate = sent.and_then(|id| state.fates.get(&id));
        if fate.and_then(|f| f.outcome) != Some(Outcome::Delivered) {
            return Err(format!("a later message of {n} did not arrive: {fate:?}"));
        }
        Ok(state)
    }

    /// Lets happen what costs nothing, the first of it each time, until nothing does.
    fn settle(mut self, scenario: &Scenario) -> Result<Self, String> {
        for _ in 0..1000 {
            let acts = self.acts(scenario);
            let Some(act) = acts.into_iter().find(|act| self.is_free(scenario, *act)) else {
                return Ok(self);
            };
            self = self.apply(scenario, act)?;
        }
        Err("they never rest".into())
    }

    /// What tells states apart that have another future.
    pub fn digest(&self) -> u128 {
        let mut hasher = SipHasher13::new();
        (self.digests, self.faults, self.crashes).hash(&mut hasher);
        (&self.air, &self.fates).hash(&mut hasher);
        hasher.write_u8(0);
        hasher.finish128().as_u128()
    }

    /// What an act is, in words.
    pub fn describe(&self, act: Act) -> String {
        let mut words = format!("{act:?}");
        if let Act::Deliver(i) | Act::Double(i) | Act::Lose(i) = act {
            let (to, bytes) = &self.air[i];
            let kind = Frame::parse(bytes).map(|f| (f.head.transaction, f.head.packet, f.head));
            if let Ok((transaction, packet, head)) = kind {
                // Writing to a string does not fail.
                let _ = write!(
                    words,
                    " to {to}: {transaction:?} {packet:?} si {} ti {}",
                    head.session, head.transaction_id
                );
            }
        }
        words
    }
}
