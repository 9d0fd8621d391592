//! What strangers and misbehaving peers say: packets made by hand, and put on the wire.

use std::vec::Vec;

use core::net::SocketAddr;
use core::num::NonZeroU32;

use super::world::{Packet, World, address, name, secrets};
use crate::crypto::{Crypto, NaclSuite, PublicKeys};
use crate::road::RemoteId;
use crate::stats::Verdict;
use crate::storage::Storage;
use crate::wire::{
    BodyKind, Flags, FootKind, Frame, Head, JoinBody, PacketKind, TransactionKind, emit_head,
};

pub(crate) fn keys(n: u8) -> PublicKeys {
    secrets(n).public_keys(&NaclSuite::new(&[0; 32]))
}

/// A packet with this head and body, signed with the keys `n` where its foot says so.
pub(crate) fn packet(head: &Head, body: &[u8], n: u8) -> Vec<u8> {
    let mut out = [0; 1500];
    let start = emit_head(head, body.len(), &mut out).unwrap();
    let end = start + body.len();
    out[start..end].copy_from_slice(body);
    if head.foot == FootKind::Nada {
        return out[..end].to_vec();
    }
    let suite = NaclSuite::new(&[0; 32]);
    let signature = suite.sign(&suite.sign_key(secrets(n).sign_seed()), &out[..end + 64]);
    out[end..end + 64].copy_from_slice(&signature);
    out[..end + 64].to_vec()
}

/// What anyone can say: a join request for a name and keys that are public.
pub(crate) struct Claim<'a> {
    pub(crate) name: &'a str,
    pub(crate) role: &'a str,
    pub(crate) keys: u8,
    pub(crate) source: u32,
    pub(crate) destination: u32,
    pub(crate) ti: u32,
}

impl Claim<'_> {
    fn head(&self, packet: PacketKind) -> Head {
        let mut head = Head::new(packet, TransactionKind::Join);
        head.body = BodyKind::Json;
        head.source = self.source;
        head.destination = self.destination;
        head.transaction_id = self.ti;
        head
    }

    pub(crate) fn request(&self) -> Vec<u8> {
        let keys = keys(self.keys);
        let body = JoinBody {
            name: name(self.name),
            mode: 0,
            kind: 0,
            uid: None,
            verify: keys.verify,
            public: keys.public,
            role: name(self.role),
        };
        let mut out = [0; 800];
        let len = body.emit(BodyKind::Json, &mut out).unwrap();
        packet(&self.head(PacketKind::Request), &out[..len], 0)
    }

    /// A word about the join that this began.
    pub(crate) fn word(&self, word: PacketKind) -> Vec<u8> {
        packet(&self.head(word), &[], 0)
    }

    pub(crate) fn ack(&self) -> Vec<u8> {
        self.word(PacketKind::Ack)
    }
}

/// A request of a stranger of this name, with keys and role of its own.
pub(crate) fn stranger(name: &str, keys: u8, ti: u32) -> Claim<'_> {
    Claim {
        name,
        role: name,
        keys,
        source: 1000 + ti,
        destination: 0,
        ti,
    }
}

pub(crate) fn inject<S: Storage>(
    world: &mut World<S>,
    to: usize,
    from: SocketAddr,
    bytes: &[u8],
) -> Option<Verdict> {
    world.deliver(Packet {
        from,
        to: address(to),
        bytes: bytes.to_vec(),
    })
}

/// The packets that estate `n` has sent of this kind.
pub(crate) fn recorded<S: Storage>(
    world: &World<S>,
    n: usize,
    transaction: TransactionKind,
    packet: PacketKind,
) -> Vec<Packet> {
    let from = address(n);
    world
        .log
        .iter()
        .map(|(_, p)| p.clone())
        .filter(|p| p.from == from && p.kind() == (transaction, packet))
        .collect()
}

/// The head of what `from` begins towards its remote `to`, by what its engine holds.
pub(crate) fn own_head<S: Storage>(
    world: &World<S>,
    from: usize,
    to: RemoteId,
    packet: PacketKind,
    transaction: TransactionKind,
) -> Head {
    let stack = &world.estates[from].stack;
    let remote = stack.remotes.get(to.0).unwrap();
    let mut head = Head::new(packet, transaction);
    head.foot = FootKind::Nacl;
    head.body = BodyKind::Json;
    head.source = remote.near;
    head.destination = remote.far;
    head.session = remote.sid;
    head.transaction_id = remote.next_ti;
    head
}

/// What the peer at `from` says to the newest join request that `n` sent there.
pub(crate) fn answer<S: Storage>(
    world: &mut World<S>,
    n: usize,
    from: usize,
    kind: PacketKind,
    body: &[u8],
) -> Verdict {
    let requests = recorded(world, n, TransactionKind::Join, PacketKind::Request);
    let mut there = requests.iter().filter(|p| p.to == address(from));
    let asked = Frame::parse(&there.next_back().unwrap().bytes)
        .unwrap()
        .head;
    let mut head = Head::new(kind, TransactionKind::Join);
    head.flags = Flags::CORRESPONDENT;
    head.body = BodyKind::Json;
    (head.source, head.destination) = (77, asked.source);
    head.transaction_id = asked.transaction_id;
    inject(world, n, address(from), &packet(&head, body, 0)).unwrap()
}

/// The same, of a peer that says this of itself.
pub(crate) fn respond<S: Storage>(
    world: &mut World<S>,
    n: usize,
    from: usize,
    body: &JoinBody,
) -> Verdict {
    let mut out = [0; 800];
    let len = body.emit(BodyKind::Json, &mut out).unwrap();
    answer(world, n, from, PacketKind::Response, &out[..len])
}

/// What an estate of this name says of itself in a response.
pub(crate) fn says(text: &str, n: u8) -> JoinBody {
    let keys = keys(n);
    JoinBody {
        name: name(text),
        mode: 1,
        kind: 0,
        uid: NonZeroU32::new(77),
        verify: keys.verify,
        public: keys.public,
        role: name(text),
    }
}
