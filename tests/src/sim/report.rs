//! What happened in worlds, in numbers.

use std::collections::BTreeMap;

use super::plan::{Fault, Full};

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
    /// How often what is full was met, by what it is.
    pub full: BTreeMap<Full, u64>,
    /// Sessions that were made.
    pub sessions: u64,
    /// Calls that somebody answered who was known, and held elsewhere.
    pub found: u64,
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
        self.found += other.found;
        self.curves = self.curves.max(other.curves);
        add(&mut self.outcomes, &other.outcomes);
        add(&mut self.faults, &other.faults);
        add(&mut self.verdicts, &other.verdicts);
        add(&mut self.attacks, &other.attacks);
        add(&mut self.full, &other.full);
        self.digest ^= other.digest;
    }
}
