//! More than is looked at: signatures that do not hold, hundreds in a moment, from somebody who has joined and
//! proven nothing. What fails so is limited for all who have proven nothing (H15).

use std::net::SocketAddr;

use raet_core::crypto::{Crypto, Secrets};
use raet_core::wire::{PacketKind, TransactionKind};

use super::{Attack, Attacker, Pass};
use crate::puppet::Puppet;
use crate::sim::plan::{MS, Plan, S};
use crate::sim::{Rng, packet};

/// A stranger that joins one main estate, and then sends nothing but forgeries.
pub(super) struct Flood<C: Crypto> {
    suite: C,
    stranger: Puppet<C>,
    /// Not the stranger's.
    secrets: Secrets,
    /// Which host it joined.
    host: usize,
}

/// Which puppet it is: no insider's number.
const NUMBER: u32 = 1000;

impl<C: Crypto> Flood<C> {
    pub(super) fn new(suite: C, rng: &mut Rng, plan: &Plan) -> Self {
        let mains = plan.mains();
        let address = SocketAddr::from(([10, 8, 8, 8], 7530));
        Self {
            stranger: Puppet::new(&suite, NUMBER, address),
            suite,
            secrets: Secrets::new(&[0xA3; 32], &[0xA4; 32]),
            host: mains[rng.below(mains.len())],
        }
    }

    /// A hello of a new transaction, which only its signature shows to be nobody's.
    fn forged(&mut self) -> Vec<u8> {
        let ti = self.stranger.take_ti();
        let head = (self.stranger).head(PacketKind::Hello, TransactionKind::Allow, ti);
        packet(&self.suite, &self.secrets, &head, &[b'0'; 200])
    }
}

impl<C: Crypto> Attacker for Flood<C> {
    fn sees(&mut self, _: &mut Attack<'_>, _: SocketAddr, _: SocketAddr, _: &[u8]) -> Pass {
        Pass::On
    }

    /// What comes to its own address: an answer to its join has the id that it is known by.
    fn gets(&mut self, attack: &mut Attack<'_>, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        if to != self.stranger.address || from != attack.addresses[self.host] {
            return;
        }
        let answers = self.stranger.handle(&self.suite, &mut bytes.to_vec());
        // It ends its join, but the allow that would prove its keys it leaves.
        if let Some(ack) = answers.into_iter().next() {
            attack.inject(1, to, from, ack);
        }
    }

    fn acts(&mut self, attack: &mut Attack<'_>) {
        if attack.over {
            return;
        }
        let (from, to) = (self.stranger.address, attack.addresses[self.host]);
        if self.stranger.far == 0 || attack.rng.percent(20) {
            self.stranger.forget();
            let request = self.stranger.request();
            attack.inject(1, from, to, request);
        } else {
            for _ in 0..300 + attack.rng.below(300) {
                let bytes = self.forged();
                let after = 1 + attack.rng.bits() % (5 * MS);
                attack.inject(after, from, to, bytes);
            }
        }
        let wait = S + attack.rng.bits() % (4 * S);
        attack.again(wait);
    }
}
