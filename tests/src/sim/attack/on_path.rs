//! On the path: it sees every datagram, stops, delays and changes them, and sends what it has recorded
//! again, whenever it likes, to whom it likes.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::num::NonZeroU32;

use raet_core::wire::{Frame, Head, JoinBody, PacketKind, TransactionKind, emit_head};

use super::{Attack, Attacker, Pass};
use crate::sim::plan::S;
use crate::sim::{Rng, name};

/// A router that has fallen into the wrong hands.
pub(super) struct OnPath {
    pace: u64,
    /// Of a hundred datagrams, how many it stops, holds back, and changes.
    stops: u64,
    delays: u64,
    changes: u64,
    recorded: Vec<(SocketAddr, SocketAddr, Vec<u8>)>,
    /// Who has proven whom, by their addresses.
    proven: HashSet<(SocketAddr, SocketAddr)>,
}

/// Datagrams that it remembers: across sessions and restarts.
const RECORDED: usize = 2000;

/// Whether a join bears the ids of both ends: they have met before.
fn names_both(head: &Head) -> bool {
    head.source != 0 && head.destination != 0
}

impl OnPath {
    pub(super) fn new(rng: &mut Rng, pace: u64) -> Self {
        Self {
            pace,
            stops: rng.bits() % 15,
            delays: rng.bits() % 15,
            changes: rng.bits() % 15,
            recorded: Vec::new(),
            proven: HashSet::new(),
        }
    }

    /// Takes note of who has proven whom: only they have signs of life and messages for each other. A
    /// join that names no ids of both begins a first meeting anew.
    fn notes(&mut self, from: SocketAddr, to: SocketAddr, frame: &Frame) {
        let head = &frame.head;
        match head.transaction {
            TransactionKind::Alive | TransactionKind::Message => {
                self.proven.insert((from, to));
            }
            TransactionKind::Join if head.packet == PacketKind::Request && !names_both(head) => {
                self.proven.remove(&(from, to));
                self.proven.remove(&(to, from));
            }
            _ => {}
        }
    }

    /// Changes a datagram: a few of its bits, or what a join claims. Nothing protects that (H3); between
    /// estates that have proven each other it moves nothing (H4). At a first meeting it would be for people
    /// to compare what they are told, so there it is left as it is.
    fn change(&self, rng: &mut Rng, from: SocketAddr, to: SocketAddr, bytes: &mut Vec<u8>) {
        let mut end = bytes.len();
        if let Ok(frame) = Frame::parse(bytes)
            && frame.head.transaction == TransactionKind::Join
        {
            let known = self.proven.contains(&(from, to)) && self.proven.contains(&(to, from));
            if !known || !names_both(&frame.head) {
                end = frame.head_len();
            } else if rng.percent(70)
                && let Some(claim) = Self::other_claim(rng, bytes)
            {
                *bytes = claim;
                return;
            }
        }
        for _ in 0..=rng.below(2) {
            if let Some(byte) = bytes.get_mut(rng.below(end)) {
                *byte ^= 1 << rng.below(8);
            }
        }
    }

    /// A join that claims something else than this one: a sound packet, as its sender could have written it.
    fn other_claim(rng: &mut Rng, bytes: &[u8]) -> Option<Vec<u8>> {
        let frame = Frame::parse(bytes).ok()?;
        let head = frame.head;
        let response = head.packet == PacketKind::Response;
        let mut body = JoinBody::parse(head.body, bytes.get(frame.coat())?, response).ok()?;
        match rng.below(6) {
            0 => body.name = name("nobody-0"),
            1 => body.role = name("nobody-0"),
            2 => body.mode ^= 1,
            3 => body.uid = NonZeroU32::new(rng.bits() as u32).filter(|_| response),
            4 => body.verify = rng.seed(),
            _ => (body.verify, body.public) = (rng.seed(), rng.seed()),
        }
        let (mut out, mut coat) = (vec![0; 256], [0; 900]);
        let len = body.emit(head.body, &mut coat).ok()?;
        let start = emit_head(&head, len, &mut out).ok()?;
        out.truncate(start);
        out.extend_from_slice(coat.get(..len)?);
        Some(out)
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
        if let Ok(frame) = Frame::parse(bytes) {
            self.notes(from, to, &frame);
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
            self.change(attack.rng, from, to, &mut bytes);
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
                4 => self.change(attack.rng, from, to, &mut bytes),
                _ => {}
            }
            attack.inject(1, from, to, bytes);
        }
        let wait = attack.rng.bits() % (2 * self.pace);
        attack.again(wait);
    }
}
