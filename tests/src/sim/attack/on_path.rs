//! On the path: it sees every datagram, stops, delays and changes them, and sends what it has recorded
//! again, whenever it likes, to whom it likes.

use std::net::SocketAddr;

use raet_core::wire::{Frame, TransactionKind};

use super::{Attack, Attacker, Pass};
use crate::sim::Rng;
use crate::sim::plan::S;

/// A router that has fallen into the wrong hands.
pub(super) struct OnPath {
    pace: u64,
    /// Of a hundred datagrams, how many it stops, holds back, and changes.
    stops: u64,
    delays: u64,
    changes: u64,
    recorded: Vec<(SocketAddr, SocketAddr, Vec<u8>)>,
}

/// Datagrams that it remembers: across sessions and restarts.
const RECORDED: usize = 2000;

impl OnPath {
    pub(super) fn new(rng: &mut Rng, pace: u64) -> Self {
        Self {
            pace,
            stops: rng.bits() % 15,
            delays: rng.bits() % 15,
            changes: rng.bits() % 15,
            recorded: Vec::new(),
        }
    }

    /// Changes a datagram. What a join's body says is protected by nothing (H3): keys that are
    /// exchanged there at a first meeting would be for people to compare, so it is left as it is.
    fn change(rng: &mut Rng, bytes: &mut [u8]) {
        let end = match Frame::parse(bytes) {
            Ok(frame) if frame.head.transaction == TransactionKind::Join => frame.head_len(),
            _ => bytes.len(),
        };
        for _ in 0..=rng.below(2) {
            if let Some(byte) = bytes.get_mut(rng.below(end)) {
                *byte ^= 1 << rng.below(8);
            }
        }
    }
}

impl Attacker for OnPath {
    fn sees(
        &mut self,
        attack: &mut Attack<'_>,
        from: SocketAddr,
        to: SocketAddr,
        bytes: &[u8],
    ) -> Pass {
        if attack.over {
            return Pass::On;
        }
        let datagram = (from, to, bytes.to_vec());
        if self.recorded.len() < RECORDED {
            self.recorded.push(datagram);
        } else {
            let at = attack.rng.below(RECORDED);
            self.recorded[at] = datagram;
        }
        if attack.rng.percent(self.stops) {
            return Pass::Off;
        }
        if attack.rng.percent(self.delays) {
            let wait = attack.rng.bits() % (3 * S);
            attack.inject(wait, from, to, bytes.to_vec());
            return Pass::Off;
        }
        if attack.rng.percent(self.changes) {
            let mut bytes = bytes.to_vec();
            Self::change(attack.rng, &mut bytes);
            attack.inject(1, from, to, bytes);
            return Pass::Off;
        }
        Pass::On
    }

    fn gets(&mut self, _: &mut Attack<'_>, _: SocketAddr, _: SocketAddr, _: &[u8]) {}

    fn acts(&mut self, attack: &mut Attack<'_>) {
        if attack.over {
            return;
        }
        if !self.recorded.is_empty() {
            // Something recent, or something old.
            let count = self.recorded.len();
            let recent = attack.rng.percent(50);
            let back = attack.rng.below(if recent { 20 } else { count });
            let (mut from, mut to, mut bytes) =
                self.recorded[count.saturating_sub(1 + back)].clone();
            match attack.rng.below(10) {
                // To its own sender.
                0 => std::mem::swap(&mut from, &mut to),
                // From elsewhere.
                1 => from = attack.addresses[attack.rng.below(attack.addresses.len())],
                2 => from = SocketAddr::from(([10, 8, 8, 8], 7530)),
                // To somebody else.
                3 => to = attack.addresses[attack.rng.below(attack.addresses.len())],
                4 => Self::change(attack.rng, &mut bytes),
                _ => {}
            }
            attack.inject(1, from, to, bytes);
        }
        let wait = attack.rng.bits() % (2 * self.pace);
        attack.again(wait);
    }
}
