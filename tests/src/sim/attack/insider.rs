//! A peer that has joined with keys of its own, and keeps to no rule.

use std::net::SocketAddr;

use raet_core::crypto::Crypto;
use raet_core::wire::{
    BodyKind, CoatKind, Flags, Frame, Head, JoinBody, Misseds, PacketKind, TransactionKind,
};

use super::{Attack, Attacker, Pass};
use crate::forge::{join_head, unsigned};
use crate::puppet::Puppet;
use crate::sim::plan::{MS, Plan, S};
use crate::sim::{Rng, name};

/// Somebody whom a main estate took in.
pub(super) struct Insider<C: Crypto> {
    suite: C,
    puppet: Puppet<C>,
    /// Its name, and its role's.
    name: String,
    /// Which host it joined.
    host: usize,
    pace: u64,
    /// How often of a hundred it answers as it should.
    honest: u64,
    joined_at: Option<u64>,
    /// A segmented message that it never ends: transaction, segments, length of the coat.
    endless: Option<(u32, u32, u32)>,
    /// What it last had to answer.
    asked: Vec<Head>,
    /// Names and roles that others bear.
    known: Vec<(&'static str, &'static str)>,
    /// Of packets of others to its host, with their senders: what it may know of their ids.
    others: Vec<(SocketAddr, Head)>,
    seals: u64,
}

/// Heads that it knows of, of each kind.
const REMEMBERED: usize = 16;

/// Keeps one more; if there are many, in the place of any of them.
fn remember<T>(all: &mut Vec<T>, one: T, rng: &mut Rng) {
    if all.len() < REMEMBERED {
        all.push(one);
    } else {
        all[rng.below(REMEMBERED)] = one;
    }
}

/// Where the insider of this number is.
fn address(number: u32) -> SocketAddr {
    SocketAddr::from(([10, 9, 0, number as u8], 7530))
}

impl<C: Crypto> Insider<C> {
    pub(super) fn new(suite: C, rng: &mut Rng, plan: &Plan, number: u32, host: usize) -> Self {
        let hosts = plan.hosts.iter();
        Self {
            puppet: Puppet::new(&suite, number, address(number)),
            name: Puppet::<C>::name_of(number),
            suite,
            host,
            known: hosts.map(|h| (h.name, plan.hosts[h.role].name)).collect(),
            others: Vec::new(),
            pace: MS * (5 + rng.bits() % 200),
            honest: [0, 30, 90][rng.below(3)],
            joined_at: None,
            endless: None,
            asked: Vec::new(),
            seals: 0,
        }
    }

    /// A coat that opens, of nonsense.
    fn coat(&mut self, rng: &mut Rng, len: usize) -> Vec<u8> {
        self.seals += 1;
        let body: Vec<u8> = (0..len).map(|_| rng.bits() as u8).collect();
        self.puppet.coat(&self.suite, self.seals, &body)
    }

    fn ti(&mut self, rng: &mut Rng) -> u32 {
        match rng.below(6) {
            0 => rng.bits() as u32,
            1 => self.puppet.next_ti.wrapping_add(rng.below(2000) as u32),
            2 => self.puppet.next_ti.wrapping_sub(rng.below(600) as u32),
            _ => self.puppet.take_ti(),
        }
    }

    fn message_head(&mut self, rng: &mut Rng) -> Head {
        let ti = self.ti(rng);
        let mut head = self
            .puppet
            .head(PacketKind::Message, TransactionKind::Message, ti);
        head.coat = CoatKind::Nacl;
        head.order = rng.below(2) as u32;
        if rng.percent(50) {
            head.flags = Flags::WAIT;
        }
        head
    }

    /// In the session of somebody else, whose ids it may have found out, but with its own keys.
    fn as_another(&mut self, rng: &mut Rng) -> Option<(SocketAddr, Vec<u8>)> {
        if self.others.is_empty() {
            return None;
        }
        let (from, theirs) = self.others[rng.below(self.others.len())];
        let mut head = self.message_head(rng);
        if rng.percent(30) {
            (head.packet, head.transaction) = (theirs.packet, theirs.transaction);
            head.flags = theirs.flags;
        }
        (head.source, head.destination) = (theirs.source, theirs.destination);
        head.session = theirs.session.wrapping_add(rng.below(3) as u32);
        head.transaction_id = theirs.transaction_id.wrapping_add(rng.below(4) as u32);
        let from = [from, self.puppet.address][rng.below(2)];
        let coat = self.coat(rng, 20);
        Some((from, self.puppet.signed(&self.suite, &head, &coat)))
    }

    /// A join with its own keys under another's name, another's role, or both; with its end, whatever is
    /// answered. It does not go on to an allow: who is first to prove itself under a free name keeps it,
    /// whoever else might want to be called so (road-transactions: Acceptance).
    fn join_as_another(&mut self, rng: &mut Rng) -> [Vec<u8>; 2] {
        let (other, role) = self.known[rng.below(self.known.len())];
        let (called, role) = match rng.below(3) {
            0 => (other, &*self.name),
            1 => (&*self.name, role),
            _ => (other, role),
        };
        let keys = self.puppet.keys();
        let body = JoinBody {
            name: name(called),
            mode: 0,
            kind: 0,
            uid: None,
            verify: keys.verify,
            public: keys.public,
            role: name(role),
        };
        let mut out = [0; 900];
        let len = body.emit(BodyKind::Json, &mut out).unwrap_or(0);
        let mut head = join_head(PacketKind::Request, self.puppet.near, rng.bits() as u32);
        head.destination = [0, self.puppet.far][rng.below(2)];
        let request = unsigned(&head, &out[..len]);
        head.packet = PacketKind::Ack;
        [request, unsigned(&head, &[])]
    }

    /// One thing that no honest peer does, or does so often.
    fn misdeed(&mut self, rng: &mut Rng) -> Vec<u8> {
        match rng.below(12) {
            0 | 1 => {
                let len = rng.below(700);
                let coat = self.coat(rng, len);
                let head = self.message_head(rng);
                self.puppet.signed(&self.suite, &head, &coat)
            }
            // A first segment, and no more.
            2 | 3 => {
                let mut head = self.message_head(rng);
                head.segments = 2 + rng.bits() as u32 % 40;
                head.segment = rng.bits() as u32 % head.segments;
                let part = vec![7; 1 + rng.below(700)];
                head.coat_len = part.len() as u32 * head.segments - rng.below(part.len()) as u32;
                self.puppet.signed(&self.suite, &head, &part)
            }
            // More and more of one that never ends.
            4 | 5 => {
                let (ti, segments, len) = match self.endless {
                    Some(open) => open,
                    None => {
                        let segments = 100 + rng.bits() as u32 % 65_000;
                        (self.puppet.take_ti(), segments, segments * 4)
                    }
                };
                self.endless = Some((ti, segments, len)).filter(|_| rng.percent(98));
                let mut head = self.message_head(rng);
                head.transaction_id = ti;
                head.segments = segments;
                head.segment = rng.bits() as u32 % segments;
                head.coat_len = len;
                self.puppet.signed(&self.suite, &head, &[1, 2, 3, 4])
            }
            // Numbers that contradict each other.
            6 => {
                let mut head = self.message_head(rng);
                head.segments = rng.bits() as u32 % 70_000;
                head.segment = rng.bits() as u32 % 70_000;
                head.coat_len = rng.bits() as u32;
                let part = vec![7; rng.below(800)];
                self.puppet.signed(&self.suite, &head, &part)
            }
            // In the open, or a coat that does not open.
            7 => {
                let mut head = self.message_head(rng);
                if rng.percent(50) {
                    head.coat = CoatKind::Nada;
                }
                let coat = vec![9; rng.below(300)];
                self.puppet.signed(&self.suite, &head, &coat)
            }
            8 => {
                let ti = self.ti(rng);
                let head = self
                    .puppet
                    .head(PacketKind::Request, TransactionKind::Alive, ti);
                self.puppet.signed(&self.suite, &head, &[])
            }
            // Another session than the one that is up.
            9 => {
                let mut head = self.message_head(rng);
                head.session = head.session.wrapping_add(rng.bits() as u32 % 3);
                let coat = self.coat(rng, 20);
                self.puppet.signed(&self.suite, &head, &coat)
            }
            10 => self.lie(rng),
            _ => {
                let packets = [
                    PacketKind::Hello,
                    PacketKind::Initiate,
                    PacketKind::Ack,
                    PacketKind::Nack,
                ];
                let ti = self.ti(rng);
                let packet = packets[rng.below(packets.len())];
                let head = self.puppet.head(packet, TransactionKind::Allow, ti);
                self.puppet
                    .signed(&self.suite, &head, &vec![b'0'; [0, 200, 328][rng.below(3)]])
            }
        }
    }

    /// An answer that is not true, to something that it was asked.
    fn lie(&mut self, rng: &mut Rng) -> Vec<u8> {
        let Some(asked) = (!self.asked.is_empty()).then(|| self.asked[rng.below(self.asked.len())])
        else {
            return Vec::new();
        };
        let packets = [
            PacketKind::Done,
            PacketKind::Nack,
            PacketKind::Ack,
            PacketKind::Resend,
            PacketKind::Reject,
            PacketKind::Refuse,
            PacketKind::Unjoined,
            PacketKind::Unallowed,
            PacketKind::Cookie,
        ];
        let mut head = asked;
        head.packet = packets[rng.below(packets.len())];
        head.flags = Flags::CORRESPONDENT;
        head.source = self.puppet.near;
        head.destination = self.puppet.far;
        head.order = rng.below(4) as u32;
        head.segment = [0, 1, rng.bits() as u32][rng.below(3)];
        head.segments = 1;
        head.coat_len = 0;
        let mut coat = Vec::new();
        if head.packet == PacketKind::Resend && self.puppet.key.is_some() {
            let misseds: Misseds = (0..64).map(|_| rng.bits() as u16 % 80).collect();
            let mut out = [0; Misseds::MAX_LEN];
            let len = misseds.emit(BodyKind::Json, &mut out).unwrap_or(0);
            head.body = BodyKind::Json;
            self.seals += 1;
            coat = self.puppet.coat(&self.suite, self.seals, &out[..len]);
        }
        self.puppet.signed(&self.suite, &head, &coat)
    }
}

impl<C: Crypto> Attacker for Insider<C> {
    /// It does not see this; it is where its lucky guesses come from.
    fn sees(
        &mut self,
        attack: &mut Attack<'_>,
        from: SocketAddr,
        to: SocketAddr,
        bytes: &[u8],
    ) -> Pass {
        if to == attack.addresses[self.host]
            && let Ok(frame) = Frame::parse(bytes)
            && frame.head.transaction != TransactionKind::Join
        {
            remember(&mut self.others, (from, frame.head), attack.rng);
        }
        Pass::On
    }

    fn gets(&mut self, attack: &mut Attack<'_>, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        let mine = to == self.puppet.address && from == attack.addresses[self.host];
        if !mine || attack.over {
            return;
        }
        let mut bytes = bytes.to_vec();
        let Ok(frame) = Frame::parse(&bytes) else {
            return;
        };
        let head = frame.head;
        let asks = !head.flags.contains(Flags::CORRESPONDENT)
            && matches!(
                head.transaction,
                TransactionKind::Message | TransactionKind::Alive
            );
        if asks {
            remember(&mut self.asked, head, attack.rng);
            if !attack.rng.percent(self.honest) {
                return;
            }
        }
        for answer in self.puppet.handle(&self.suite, &mut bytes) {
            let after = 1 + attack.rng.bits() % (5 * MS);
            attack.inject(after, to, from, answer);
        }
    }

    fn acts(&mut self, attack: &mut Attack<'_>) {
        if attack.over {
            return;
        }
        let to = attack.addresses[self.host];
        let from = self.puppet.address;
        let patient = self.joined_at.is_some_and(|at| attack.now < at + 3 * S);
        if !self.puppet.allowed() {
            if !patient {
                let request = self.puppet.request();
                self.joined_at = Some(attack.now);
                attack.inject(1, from, to, request.clone());
                if attack.rng.percent(50) {
                    // As if it had been accepted (H12).
                    let ack = self.puppet.join_ack();
                    attack.inject(200 * MS, from, to, ack);
                }
            }
            attack.again(200 * MS);
            return;
        }
        for _ in 0..=attack.rng.below(4) {
            let bytes = self.misdeed(attack.rng);
            if !bytes.is_empty() {
                let after = 1 + attack.rng.bits() % (5 * MS);
                attack.inject(after, from, to, bytes);
            }
        }
        if attack.rng.percent(10)
            && let Some((from, bytes)) = self.as_another(attack.rng)
        {
            attack.inject(1, from, to, bytes);
        }
        if attack.rng.percent(3) {
            let [request, ack] = self.join_as_another(attack.rng);
            attack.inject(1, from, to, request);
            attack.inject(100 * MS, from, to, ack);
        }
        // Its host has forgotten it, or it wants to begin anew.
        if attack.rng.percent(1) {
            self.puppet.forget();
            self.joined_at = None;
        }
        let wait = attack.rng.bits() % (2 * self.pace);
        attack.again(wait);
    }
}
