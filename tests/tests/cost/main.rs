//! What a datagram costs, counted: a forged one no curve operation where a cheap check tells, a flood
//! of them no peer that was proven, and any of them no more for the remotes that are idle.

#![allow(
    clippy::too_many_lines,
    clippy::many_single_char_names,
    reason = "a table of cases, and the parts of an address"
)]

mod flood;
mod idle;

use std::net::SocketAddr;
use std::time::Duration;

use raet_core::RemoteId;
use raet_core::crypto::NaclSuite;
use raet_core::stats::{Reason, Verdict};
use raet_core::storage::{Heap, Storage};
use raet_core::wire::{BodyKind, CoatKind, Flags, FootKind, Head, PacketKind, TransactionKind};
use raet_tests::forge::{head_from, packet_of, request};
use raet_tests::sim::{Packet, Rng, World, address, config, main_config, secrets};
use raet_tests::suite::{Counting, Counts, Weak};

type Suite = Counting<Weak>;

/// A pair with a session, and the counts of main's suite and other's together.
fn allowed<S: Storage>() -> (World<S, Suite>, Counts, RemoteId, RemoteId) {
    let counts = Counts::default();
    let shared = counts.clone();
    let mut world = World::pair(1, move |seed| {
        Counting::new(Weak::new(seed), shared.clone())
    });
    let (other, main) = world.allow_pair();
    world.forget_past();
    (world, counts, other, main)
}

fn stranger(n: u32) -> SocketAddr {
    let [a, b, c, d] = n.to_be_bytes();
    SocketAddr::from(([10 + a, b, c, d], 7530))
}

/// The head of a message as other would write it to main.
fn from_other<S: Storage>(world: &World<S, Suite>, main: RemoteId) -> Head {
    let (transaction, packet) = (TransactionKind::Message, PacketKind::Message);
    Head {
        foot: FootKind::Nacl,
        coat: CoatKind::Nacl,
        ..head_from(world, 1, main, transaction, packet)
    }
}

/// A packet whose foot, if its head says that there is one, is no signature of anybody here.
fn forged(head: &Head, coat: &[u8]) -> Vec<u8> {
    packet_of(99, head, coat)
}

#[test]
fn what_fails_a_cheap_check_costs_no_curve_operation() {
    let (mut world, counts, _, main) = allowed::<Heap>();
    let good = from_other(&world, main);
    let join = Head {
        transaction: TransactionKind::Join,
        foot: FootKind::Nada,
        coat: CoatKind::Nada,
        ..good
    };
    let (here, there) = (address(1), stranger(5));
    let flags = Flags::CORRESPONDENT;
    let cut = forged(&good, b"coat");
    let cases: Vec<(&str, SocketAddr, Vec<u8>, Reason)> = vec![
        ("nothing", here, Vec::new(), Reason::Wire),
        ("garbage", here, vec![0x52; 900], Reason::Wire),
        ("cut off", here, cut[..cut.len() - 1].to_vec(), Reason::Wire),
        (
            "broadcast",
            here,
            forged(
                &Head {
                    flags: Flags::BROADCAST,
                    ..good
                },
                b"",
            ),
            Reason::Broadcast,
        ),
        (
            "no session id",
            here,
            forged(&Head { session: 0, ..good }, b""),
            Reason::Ids,
        ),
        (
            "no source",
            here,
            forged(&Head { source: 0, ..good }, b""),
            Reason::Ids,
        ),
        (
            "no destination",
            here,
            forged(
                &Head {
                    destination: 0,
                    ..good
                },
                b"",
            ),
            Reason::Ids,
        ),
        (
            "a join with a session",
            here,
            forged(&Head { session: 3, ..join }, b""),
            Reason::Ids,
        ),
        (
            "a signed join",
            here,
            forged(
                &Head {
                    foot: FootKind::Nacl,
                    session: 0,
                    ..join
                },
                b"",
            ),
            Reason::Unexpected,
        ),
        (
            "no such remote",
            here,
            forged(
                &Head {
                    destination: good.destination ^ 1,
                    ..good
                },
                b"",
            ),
            Reason::Stranger,
        ),
        (
            "another address",
            there,
            forged(&good, b"coat"),
            Reason::Address,
        ),
        (
            "another source id",
            here,
            forged(
                &Head {
                    source: good.source ^ 1,
                    ..good
                },
                b"",
            ),
            Reason::Address,
        ),
        (
            "unsigned",
            here,
            forged(
                &Head {
                    foot: FootKind::Nada,
                    ..good
                },
                b"coat",
            ),
            Reason::Unsigned,
        ),
        (
            "an older session",
            here,
            forged(&Head { session: 1, ..good }, b""),
            Reason::StaleSession,
        ),
        (
            "an alive of an older session",
            here,
            forged(
                &Head {
                    transaction: TransactionKind::Alive,
                    packet: PacketKind::Request,
                    session: 1,
                    ..good
                },
                b"",
            ),
            Reason::StaleSession,
        ),
        (
            "a done of no message",
            here,
            forged(
                &Head {
                    packet: PacketKind::Done,
                    flags,
                    ..good
                },
                b"",
            ),
            Reason::NoTransaction,
        ),
        (
            "a nack of no message",
            here,
            forged(
                &Head {
                    packet: PacketKind::Nack,
                    ..good
                },
                b"",
            ),
            Reason::NoTransaction,
        ),
        (
            "an alive's ack of nothing",
            here,
            forged(
                &Head {
                    transaction: TransactionKind::Alive,
                    packet: PacketKind::Ack,
                    flags,
                    ..good
                },
                b"",
            ),
            Reason::NoTransaction,
        ),
        (
            "a cookie of nothing",
            here,
            forged(
                &Head {
                    transaction: TransactionKind::Allow,
                    coat: CoatKind::Nada,
                    packet: PacketKind::Cookie,
                    flags,
                    ..good
                },
                b"",
            ),
            Reason::NoTransaction,
        ),
        (
            "an initiate of nothing",
            here,
            forged(
                &Head {
                    transaction: TransactionKind::Allow,
                    coat: CoatKind::Nada,
                    packet: PacketKind::Initiate,
                    ..good
                },
                b"",
            ),
            Reason::NoTransaction,
        ),
        (
            "a coated allow",
            here,
            forged(
                &Head {
                    transaction: TransactionKind::Allow,
                    packet: PacketKind::Hello,
                    ..good
                },
                b"",
            ),
            Reason::Unexpected,
        ),
        (
            "a hello of the session before",
            here,
            forged(
                &Head {
                    transaction: TransactionKind::Allow,
                    coat: CoatKind::Nada,
                    packet: PacketKind::Hello,
                    session: 1,
                    transaction_id: 1,
                    ..good
                },
                b"",
            ),
            Reason::Replayed,
        ),
        (
            "a join's ack of nothing",
            there,
            forged(
                &Head {
                    session: 0,
                    packet: PacketKind::Ack,
                    ..join
                },
                b"",
            ),
            Reason::NoTransaction,
        ),
        (
            "a join's response to nothing",
            there,
            forged(
                &Head {
                    session: 0,
                    packet: PacketKind::Response,
                    flags,
                    ..join
                },
                b"{}",
            ),
            Reason::NoTransaction,
        ),
        (
            "a join without a body",
            there,
            forged(
                &Head {
                    session: 0,
                    packet: PacketKind::Request,
                    destination: 0,
                    body: BodyKind::Json,
                    ..join
                },
                b"{}",
            ),
            Reason::Body,
        ),
    ];
    let (before, boxes) = (counts.curve(), counts.boxes());
    for (what, from, bytes, reason) in cases {
        assert_eq!(
            world.inject(0, from, &bytes),
            Verdict::Dropped(reason),
            "{what}"
        );
        assert_eq!(counts.curve(), before, "{what}");
    }
    // What passes them all costs one verification, and nothing else.
    let verdict = world.inject(0, here, &forged(&good, b"coat"));
    assert_eq!(verdict, Verdict::Dropped(Reason::Forged));
    assert_eq!((counts.curve() - before, counts.boxes()), (1, boxes));
}

#[test]
fn a_repeated_packet_costs_one_verification_and_no_box() {
    let (mut world, counts, _, main) = allowed::<Heap>();
    world.send(1, main, 1, b"once");
    world.run(Duration::from_secs(1));
    let sent = world
        .sent(1)
        .find(|p| p.kind() == Some((TransactionKind::Message, PacketKind::Message)));
    let sent = sent.expect("it was sent").clone();
    let before = (counts.verified(), counts.boxes(), counts.signed());
    for _ in 0..10 {
        assert_eq!(world.deliver(&sent), Some(Verdict::Repeated));
    }
    // Each repeat has its done again (H5).
    assert_eq!(
        (counts.verified(), counts.boxes(), counts.signed()),
        (before.0 + 10, before.1, before.2 + 10)
    );
    assert_eq!(world.estates[0].messages.len(), 1);
}

#[test]
fn no_answer_to_the_unproven_is_larger_than_three_times_what_drew_it() {
    // Against one estate that takes strangers and one that does not, with the real suite.
    let mut world = World::<Heap, NaclSuite>::new(1, NaclSuite::new);
    world.add(Heap::LIMITS, || main_config("main", 1));
    world.add(Heap::LIMITS, || config("other", 2));
    world.allow_pair();
    let mut rng = Rng::new(7);
    let mut questions = Vec::new();
    for (_, recorded) in &world.log {
        questions.push(recorded.bytes.clone());
    }
    for packet in 0..16 {
        for transaction in 0..5 {
            let (Some(packet), Some(transaction)) = (
                PacketKind::from_wire(packet),
                TransactionKind::from_wire(transaction),
            ) else {
                continue;
            };
            let mut head = Head::new(packet, transaction);
            head.foot = if rng.percent(50) {
                FootKind::Nacl
            } else {
                FootKind::Nada
            };
            (head.source, head.destination, head.session) = (3, rng.bits() as u32, 5);
            questions.push(forged(&head, b""));
        }
    }
    for n in 0..20 {
        let keys = secrets(n).public_keys(&NaclSuite::new(&[0; 32]));
        questions.push(request("g", keys, u32::from(n | 1), n.into()));
    }
    for to in 0..2 {
        for (n, question) in questions.iter().enumerate() {
            let from = stranger(n as u32);
            let before = world.log.len();
            world.inject(to, from, question);
            world.run(Duration::from_secs(30));
            let drawn = world.log[before..].iter().map(|(_, p)| p);
            let drawn: Vec<&Packet> = drawn.filter(|p| p.to == from).collect();
            let bytes: usize = drawn.iter().map(|p| p.bytes.len()).sum();
            assert!(
                bytes <= 3 * question.len(),
                "{bytes} bytes for {} to {to}",
                question.len()
            );
        }
    }
}
