//! Packets that no engine has made: what somebody could say to one, by right or not. Keys and signatures are
//! those of the suite [`Weak`], and of the [`secrets`] that have a number.

use raet_core::RemoteId;
use raet_core::crypto::{Crypto, PublicKeys};
use raet_core::storage::Storage;
use raet_core::wire::{BodyKind, FootKind, Head, JoinBody, PacketKind, TransactionKind};

use crate::sim::{World, name, packet, secrets};
use crate::suite::Weak;

/// The keys of number `n`.
pub fn keys(n: u8) -> PublicKeys {
    secrets(n).public_keys(&Weak::new(&[0; 32]))
}

/// A packet with this head and coat, signed by number `n` if the head says that it is signed.
pub fn packet_of(n: u8, head: &Head, coat: &[u8]) -> Vec<u8> {
    packet(&Weak::new(&[0; 32]), &secrets(n), head, coat)
}

/// As [`packet_of`], signed whatever the head says.
pub fn signed(n: u8, head: &Head, coat: &[u8]) -> Vec<u8> {
    let foot = FootKind::Nacl;
    packet_of(n, &Head { foot, ..*head }, coat)
}

/// A packet with this head and coat that nobody has signed, whatever the head says.
pub fn unsigned(head: &Head, coat: &[u8]) -> Vec<u8> {
    let foot = FootKind::Nada;
    packet_of(0, &Head { foot, ..*head }, coat)
}

/// The head of a transaction that estate `from` would begin with its remote `to` in the session of now, under
/// a transaction id that is above those of a few handshakes and messages.
///
/// # Panics
///
/// If there is no such estate or remote.
pub fn head_from<S: Storage, C: Crypto>(
    world: &World<S, C>,
    from: usize,
    to: RemoteId,
    transaction: TransactionKind,
    packet: PacketKind,
) -> Head {
    let held = world.estates[from].stack.remote(to);
    let held = held.expect("it is there");
    let mut head = Head::new(packet, transaction);
    head.source = held.near;
    head.destination = held.far;
    head.session = held.session;
    head.transaction_id = 50;
    head.body = BodyKind::Json;
    head
}

/// The head of what a stranger that calls itself `source` says in a join.
pub fn join_head(packet: PacketKind, source: u32, ti: u32) -> Head {
    let mut head = Head::new(packet, TransactionKind::Join);
    head.body = BodyKind::Json;
    head.source = source;
    head.transaction_id = ti;
    head
}

/// A vacuous join request: all that it says is public or made up. The role is called as the estate is.
///
/// # Panics
///
/// If `text` is no name.
pub fn request(text: &str, keys: PublicKeys, source: u32, ti: u32) -> Vec<u8> {
    let own = name(text);
    let body = JoinBody {
        name: own.clone(),
        mode: 0,
        kind: 0,
        uid: None,
        verify: keys.verify,
        public: keys.public,
        role: own,
    };
    let mut out = [0; 900];
    let len = body.emit(BodyKind::Json, &mut out).expect("it fits");
    unsigned(&join_head(PacketKind::Request, source, ti), &out[..len])
}
