//! Off the path: it sees nothing, but knows all that is public, sends from any address, and sometimes
//! guesses right what it cannot know.

use std::net::SocketAddr;

use raet_core::crypto::{Crypto, PublicKeys, Secrets};
use raet_core::wire::{
    BodyKind, CoatKind, Flags, FootKind, Frame, Head, HeadKind, JoinBody, Misseds, PacketKind,
    TransactionKind,
};

use super::{Attack, Attacker, Pass};
use crate::sim::plan::{MS, Plan};
use crate::sim::{Rng, name, packet};

/// What everyone may know of an estate.
struct Known {
    name: String,
    role: String,
    keys: PublicKeys,
}

/// What a packet between two estates bears, for a lucky guess.
#[derive(Clone, Copy)]
struct Ids {
    from: SocketAddr,
    to: SocketAddr,
    near: u32,
    far: u32,
    session: u32,
    ti: u32,
}

/// Somebody anywhere on the network.
pub(super) struct OffPath<C: Crypto> {
    suite: C,
    secrets: Secrets,
    own: PublicKeys,
    known: Vec<Known>,
    guesses: Vec<Ids>,
    pace: u64,
    /// What it has sent, to send it again.
    sent: Vec<(SocketAddr, SocketAddr, Vec<u8>)>,
}

/// Ids that may be guessed, and packets that may be sent again.
const REMEMBERED: usize = 64;

const JOIN: [PacketKind; 8] = [
    PacketKind::Request,
    PacketKind::Response,
    PacketKind::Ack,
    PacketKind::Nack,
    PacketKind::Refuse,
    PacketKind::Reject,
    PacketKind::Renew,
    PacketKind::Pend,
];
const ALLOW: [PacketKind; 8] = [
    PacketKind::Hello,
    PacketKind::Cookie,
    PacketKind::Initiate,
    PacketKind::Ack,
    PacketKind::Nack,
    PacketKind::Refuse,
    PacketKind::Reject,
    PacketKind::Unjoined,
];
const ALIVE: [PacketKind; 7] = [
    PacketKind::Request,
    PacketKind::Ack,
    PacketKind::Nack,
    PacketKind::Refuse,
    PacketKind::Reject,
    PacketKind::Unjoined,
    PacketKind::Unallowed,
];
const MESSAGE: [PacketKind; 5] = [
    PacketKind::Message,
    PacketKind::Ack,
    PacketKind::Resend,
    PacketKind::Nack,
    PacketKind::Done,
];

impl<C: Crypto> OffPath<C> {
    pub(super) fn new(suite: C, plan: &Plan, pace: u64) -> Self {
        let secrets = Secrets::new(&[0xA1; 32], &[0xA2; 32]);
        let known = plan.hosts.iter().map(|host| Known {
            name: host.name.to_owned(),
            role: plan.hosts[host.role].name.to_owned(),
            keys: crate::sim::host_secrets(host.role).public_keys(&suite),
        });
        Self {
            own: secrets.public_keys(&suite),
            known: known.collect(),
            secrets,
            suite,
            guesses: Vec::new(),
            pace,
            sent: Vec::new(),
        }
    }

    /// Where nobody is, or where somebody else is.
    fn source(rng: &mut Rng, addresses: &[SocketAddr]) -> SocketAddr {
        match rng.below(3) {
            0 => addresses[rng.below(addresses.len())],
            1 => SocketAddr::from(([10, 7, 7, 7], 7530)),
            _ => SocketAddr::from(([10, 7, rng.bits() as u8, rng.bits() as u8], 7530)),
        }
    }

    /// Ids that are made up, unless it is lucky; and between whom.
    fn guess(&self, rng: &mut Rng, addresses: &[SocketAddr]) -> Ids {
        if !self.guesses.is_empty() && rng.percent(70) {
            let mut ids = self.guesses[rng.below(self.guesses.len())];
            // Somebody else's answer, now and then.
            if rng.percent(10) {
                std::mem::swap(&mut ids.near, &mut ids.far);
            }
            if rng.percent(50) {
                ids.session = ids.session.wrapping_add(rng.below(4) as u32);
                ids.ti = ids.ti.wrapping_add(rng.below(4) as u32);
            }
            return ids;
        }
        let from = Self::source(rng, addresses);
        Ids {
            from,
            to: addresses[rng.below(addresses.len())],
            near: rng.bits() as u32,
            far: [rng.bits() as u32, 0][rng.below(2)],
            session: rng.below(5) as u32,
            ti: rng.below(20) as u32,
        }
    }

    fn head(rng: &mut Rng, ids: Ids, transaction: TransactionKind) -> Head {
        let kinds: &[PacketKind] = match transaction {
            TransactionKind::Join => &JOIN,
            TransactionKind::Allow => &ALLOW,
            TransactionKind::Alive => &ALIVE,
            _ => &MESSAGE,
        };
        let mut head = Head::new(kinds[rng.below(kinds.len())], transaction);
        head.kind = [HeadKind::Native, HeadKind::Json][rng.below(2)];
        head.body = [BodyKind::Json, BodyKind::Msgpack, BodyKind::Raw][rng.below(3)];
        head.source = ids.near;
        head.destination = ids.far;
        head.session = ids.session;
        head.transaction_id = ids.ti;
        head.flags = Flags::from_wire(rng.bits() as u8 & 0b1_1101);
        if rng.percent(80) {
            head.foot = FootKind::Nacl;
        }
        if rng.percent(60) && transaction != TransactionKind::Allow {
            head.coat = CoatKind::Nacl;
        }
        head
    }

    /// What a packet of this head carries; most of it makes no sense.
    fn coat(rng: &mut Rng, head: &mut Head) -> Vec<u8> {
        let len = match head.packet {
            PacketKind::Hello => 200,
            PacketKind::Cookie => 104,
            PacketKind::Initiate => 328,
            PacketKind::Message => rng.below(600),
            PacketKind::Resend => {
                let misseds: Misseds = (0..rng.below(64) as u16).collect();
                let mut out = [0; Misseds::MAX_LEN];
                let len = misseds.emit(BodyKind::Json, &mut out).unwrap_or(0);
                return out[..len].to_vec();
            }
            _ => 0,
        };
        if head.packet == PacketKind::Message && rng.percent(50) {
            head.segments = 1 + rng.bits() as u32 % 70_000;
            head.segment = rng.bits() as u32 % head.segments;
            head.coat_len = head.segments.wrapping_mul(len as u32);
        }
        let mut coat: Vec<u8> = (0..len).map(|_| rng.bits() as u8).collect();
        if head.packet == PacketKind::Hello {
            coat[..64].fill(b'0');
        }
        coat
    }

    /// Signed by itself, in somebody else's name.
    fn forged(&self, rng: &mut Rng, ids: Ids, transaction: TransactionKind) -> Vec<u8> {
        let mut head = Self::head(rng, ids, transaction);
        let coat = Self::coat(rng, &mut head);
        packet(&self.suite, &self.secrets, &head, &coat)
    }

    /// A join: a stranger's, or in the name of somebody known, with its keys or others.
    fn join(&self, rng: &mut Rng, ids: Ids) -> Vec<u8> {
        let mut head = Self::head(rng, ids, TransactionKind::Join);
        head.foot = FootKind::Nada;
        head.coat = CoatKind::Nada;
        head.body = [BodyKind::Json, BodyKind::Msgpack][rng.below(2)];
        head.session = 0;
        // Only who has seen a request knows its transaction (H3).
        head.transaction_id = rng.bits() as u32;
        head.packet = if rng.percent(60) {
            PacketKind::Request
        } else {
            JOIN[rng.below(JOIN.len())]
        };
        head.flags = Flags::NONE.with(
            Flags::CORRESPONDENT,
            !matches!(head.packet, PacketKind::Request | PacketKind::Ack) && rng.percent(80),
        );
        // Nor the uid that a stranger has here: they are random
        // (H3), and who has it may say anything in the stranger's place.
        if head.packet == PacketKind::Request {
            head.destination = [0, rng.bits() as u32][rng.below(2)];
        }
        if !matches!(head.packet, PacketKind::Request | PacketKind::Response) {
            return packet(&self.suite, &self.secrets, &head, &[]);
        }
        let victim = &self.known[rng.below(self.known.len())];
        let stranger = format!("nobody-{}", rng.below(40));
        let weak = PublicKeys {
            verify: [0; 32],
            public: [0; 32],
        };
        let (called, role, keys) = match rng.below(20) {
            0..5 => (victim.name.clone(), victim.role.clone(), self.own),
            5..10 => (stranger, victim.role.clone(), victim.keys),
            10..14 => (stranger.clone(), stranger, self.own),
            14 => (stranger.clone(), stranger, weak),
            _ => (victim.name.clone(), victim.role.clone(), victim.keys),
        };
        let response = head.packet == PacketKind::Response;
        let body = JoinBody {
            name: name(&called),
            mode: rng.below(2) as u8,
            kind: 0,
            uid: std::num::NonZeroU32::new(rng.bits() as u32).filter(|_| response),
            verify: keys.verify,
            public: keys.public,
            role: name(&role),
        };
        let mut out = [0; 900];
        let len = body.emit(head.body, &mut out).unwrap_or(0);
        packet(&self.suite, &self.secrets, &head, &out[..len])
    }

    /// The ack that would end a join begun by this request, sent without having seen an answer.
    fn blind_ack(&self, request: &[u8]) -> Option<Vec<u8>> {
        let mut head = Frame::parse(request).ok()?.head;
        if (head.transaction, head.packet) != (TransactionKind::Join, PacketKind::Request) {
            return None;
        }
        head.packet = PacketKind::Ack;
        Some(packet(&self.suite, &self.secrets, &head, &[]))
    }

    fn garbage(rng: &mut Rng) -> Vec<u8> {
        let starts: [&[u8]; 4] = [b"", b"ri RAET\n", b"{\"ri\":\"RAET\",", b"ri RAET\npl "];
        let mut bytes = starts[rng.below(4)].to_vec();
        let len = rng.below(1100);
        bytes.extend((0..len).map(|_| rng.bits() as u8));
        bytes
    }

    fn shot(&self, rng: &mut Rng, addresses: &[SocketAddr]) -> (SocketAddr, SocketAddr, Vec<u8>) {
        if !self.sent.is_empty() && rng.percent(10) {
            return self.sent[rng.below(self.sent.len())].clone();
        }
        let mut ids = self.guess(rng, addresses);
        if rng.percent(30) {
            ids.from = Self::source(rng, addresses);
        }
        let mut bytes = match rng.below(10) {
            0 => Self::garbage(rng),
            1..=4 => self.join(rng, ids),
            5 | 6 => self.forged(rng, ids, TransactionKind::Allow),
            7 => self.forged(rng, ids, TransactionKind::Alive),
            _ => self.forged(rng, ids, TransactionKind::Message),
        };
        if rng.percent(10) && !bytes.is_empty() {
            let at = rng.below(bytes.len());
            bytes[at] ^= 1 << rng.below(8);
        }
        (ids.from, ids.to, bytes)
    }
}

impl<C: Crypto> Attacker for OffPath<C> {
    /// It does not see this; it is where its lucky guesses come from.
    fn sees(
        &mut self,
        attack: &mut Attack<'_>,
        from: SocketAddr,
        to: SocketAddr,
        bytes: &[u8],
    ) -> Pass {
        if let Ok(frame) = Frame::parse(bytes) {
            let ids = Ids {
                from,
                to,
                near: frame.head.source,
                far: frame.head.destination,
                session: frame.head.session,
                ti: frame.head.transaction_id,
            };
            if self.guesses.len() < REMEMBERED {
                self.guesses.push(ids);
            } else {
                self.guesses[attack.rng.below(REMEMBERED)] = ids;
            }
        }
        Pass::On
    }

    fn gets(&mut self, _: &mut Attack<'_>, _: SocketAddr, _: SocketAddr, _: &[u8]) {}

    fn acts(&mut self, attack: &mut Attack<'_>) {
        if attack.over {
            return;
        }
        for _ in 0..=attack.rng.below(3) {
            let (from, to, bytes) = self.shot(attack.rng, attack.addresses);
            if let Some(ack) = self.blind_ack(&bytes).filter(|_| attack.rng.percent(50)) {
                attack.inject(100 * MS, from, to, ack);
            }
            if self.sent.len() < REMEMBERED {
                self.sent.push((from, to, bytes.clone()));
            } else {
                self.sent[attack.rng.below(REMEMBERED)] = (from, to, bytes.clone());
            }
            let after = 1 + attack.rng.bits() % (20 * MS);
            attack.inject(after, from, to, bytes);
        }
        let wait = attack.rng.bits() % (2 * self.pace);
        attack.again(wait);
    }
}
