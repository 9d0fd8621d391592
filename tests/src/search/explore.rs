//! The search itself: depth first, each state once.

use std::collections::HashMap;
use std::fmt;

use raet_core::storage::Storage;

use super::Scenario;
use super::state::{Act, State};

/// What a search has seen. All of it, or it would have failed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Report {
    /// What was searched.
    pub name: &'static str,
    /// The faults that each run could have.
    pub faults: u8,
    /// The crashes that each run could have.
    pub crashes: u8,
    /// States that differ.
    pub states: usize,
    /// Acts tried.
    pub acts: usize,
    /// States in which nothing more happens.
    pub ends: usize,
    /// Acts of the longest run.
    pub longest: usize,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: k = {}, crashes = {}: {} states, {} acts, {} ends, longest run {}",
            self.name, self.faults, self.crashes, self.states, self.acts, self.ends, self.longest
        )
    }
}

/// A run of more acts than this has no end.
const LONGEST: usize = 300;

/// Tries everything that can happen in a scenario.
///
/// # Errors
///
/// The first run that breaks a rule, act by act.
pub fn explore<S: Storage>(scenario: &Scenario) -> Result<Report, String> {
    let first = State::<S>::first(scenario)?;
    let mut search = Search {
        scenario,
        seen: HashMap::new(),
        run: Vec::new(),
        report: Report {
            name: scenario.name,
            faults: scenario.faults,
            crashes: scenario.crashes,
            ..Report::default()
        },
    };
    match search.visit(&first) {
        Ok(()) => Ok(search.report),
        Err(why) => Err(search.tell(first, &why)),
    }
}

/// Whether a state is part of the run that is being tried.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Seen {
    Now,
    Before,
}

struct Search<'a> {
    scenario: &'a Scenario,
    seen: HashMap<u128, Seen>,
    run: Vec<Act>,
    report: Report,
}

impl Search<'_> {
    fn visit<S: Storage>(&mut self, state: &State<S>) -> Result<(), String> {
        let digest = state.digest();
        match self.seen.insert(digest, Seen::Now) {
            None => {}
            // A fault or a crash is used up for good, so nothing on the way back had a cost.
            Some(Seen::Now) => return Err("a run without faults that never ends".into()),
            Some(Seen::Before) => {
                self.seen.insert(digest, Seen::Before);
                return Ok(());
            }
        }
        // A run that leads to ever new states, as with ids that only grow, does not end either.
        if self.run.len() > LONGEST {
            return Err(format!("more than {LONGEST} acts, and no end"));
        }
        self.report.states += 1;
        self.report.longest = self.report.longest.max(self.run.len());
        let acts = state.acts(self.scenario);
        if !acts.iter().any(|act| state.is_free(self.scenario, *act)) {
            self.report.ends += 1;
            state.check_rest(self.scenario)?;
        }
        for act in acts {
            self.report.acts += 1;
            self.run.push(act);
            let next = state.apply(self.scenario, act)?;
            self.visit(&next)?;
            self.run.pop();
        }
        self.seen.insert(digest, Seen::Before);
        Ok(())
    }

    /// The run that led to a fault, in words.
    fn tell<S: Storage>(&self, first: State<S>, why: &str) -> String {
        let mut state = first;
        let mut lines = vec![format!("{}: {why}. The run:", self.scenario.name)];
        for (n, act) in self.run.iter().enumerate() {
            lines.push(format!("{:3} {}", n + 1, state.describe(*act)));
            match state.apply(self.scenario, *act) {
                Ok(next) => state = next,
                Err(_) => break,
            }
        }
        lines.join("\n")
    }
}
