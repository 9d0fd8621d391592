//! What a datagram costs, counted: a forged one no curve operation where a cheap check tells, a flood
//! of them no peer that was proven, and any of them no more for the remotes that are idle.

#![allow(
    clippy::too_many_lines,
    clippy::many_single_char_names,
    reason = "a table of cases, and the parts of an address"
)]

use std::net::SocketAddr;
use std::time::Duration;

use raet_core::crypto::{NaclSuite, PublicKeys};
use raet_core::event::Outcome;
use raet_core::keep::{EstateRecord, Record, RemoteRecord, RoleRecord, Status};
use raet_core::limits::Limits;
use raet_core::stats::{Reason, Verdict};
use raet_core::storage::{Fixed, Heap, Storage};
use raet_core::time::Instant;
use raet_core::wire::{
    BodyKind, CoatKind, Flags, FootKind, Head, JoinBody, PacketKind, TransactionKind,
};
use raet_core::{RemoteId, RoadStack, SendOptions};
use raet_tests::sim::{Packet, Rng, World, address, config, main_config, name, packet, secrets};
use raet_tests::suite::{Counting, Counts, Weak};
use raet_tests::touch::{Touch, touched};

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

/// A vacuous join request: all that it says is public or made up.
fn request(text: &str, role: &str, keys: PublicKeys, n: u32) -> Vec<u8> {
    let mut head = Head::new(PacketKind::Request, TransactionKind::Join);
    head.body = BodyKind::Json;
    head.source = n | 1;
    head.transaction_id = n;
    let body = JoinBody {
        name: name(text),
        mode: 0,
        kind: 0,
        uid: None,
        verify: keys.verify,
        public: keys.public,
        role: name(role),
    };
    let mut out = [0; 900];
    let len = body.emit(BodyKind::Json, &mut out).expect("it fits");
    packet(&Weak::new(&[0; 32]), &secrets(0), &head, &out[..len])
}

fn keys(n: u8) -> PublicKeys {
    secrets(n).public_keys(&Weak::new(&[0; 32]))
}

/// A head as other would write it to main.
fn from_other<S: Storage>(world: &World<S, Suite>, main: RemoteId) -> Head {
    let held = world.estates[1].stack.remote(main).expect("it is there");
    let mut head = Head::new(PacketKind::Message, TransactionKind::Message);
    head.foot = FootKind::Nacl;
    head.coat = CoatKind::Nacl;
    head.source = held.near;
    head.destination = held.far;
    head.session = 2;
    head.transaction_id = 77;
    head
}

/// As `packet`, with a foot that is no signature.
fn forged(head: &Head, coat: &[u8]) -> Vec<u8> {
    packet(&Weak::new(&[0; 32]), &secrets(99), head, coat)
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

/// Sends `count` messages from other to main while `flood` hits main before each; all must arrive.
fn served_under<S: Storage>(
    world: &mut World<S, Suite>,
    main: RemoteId,
    count: u64,
    mut flood: impl FnMut(&mut World<S, Suite>, u64),
) {
    for token in 0..count {
        world.send(1, main, token, b"through the flood");
        flood(world, token);
        world.run(Duration::from_millis(20));
        flood(world, token + count);
    }
    world.run(Duration::from_secs(5));
    let delivered: Vec<_> = (0..count)
        .map(|token| (token, Outcome::Delivered))
        .collect();
    let mut outcomes = world.outcomes(1);
    outcomes.sort_by_key(|(token, _)| *token);
    assert_eq!(outcomes, delivered);
    assert_eq!(world.estates[0].messages.len() as u64, count);
    let sessions = world.estates[0].stack.remotes().filter(|r| r.allowed);
    assert_eq!(sessions.count(), 1);
}

fn survives_a_flood_of_joins<S: Storage>() {
    let (mut world, _, other, main) = allowed::<S>();
    let mut n = 0;
    served_under(&mut world, main, 40, |world, round| {
        for _ in 0..50 {
            n += 1;
            let text = format!("guest-{n}");
            // Every other one claims to be other itself.
            let bytes = match n % 2 {
                0 => request("other", "other", keys(2), n),
                _ => request(&text, &text, keys((n % 250) as u8), n),
            };
            world.inject(0, stranger(n % 1000 + round as u32), &bytes);
        }
    });
    assert!(world.estates[0].stack.remotes().count() <= S::LIMITS.remotes);
    let held = world.estates[0].stack.remote(other).expect("it stays");
    assert_eq!((held.address, held.allowed), (address(1), true));
}

#[test]
fn a_flood_of_joins_leaves_proven_peers_served() {
    survives_a_flood_of_joins::<Heap>();
    survives_a_flood_of_joins::<Fixed<4, 16, 32768>>();
}

#[test]
fn a_flood_of_bad_signatures_leaves_proven_peers_served() {
    let (mut world, counts, _, main) = allowed::<Heap>();
    // A stranger joins, which anyone can, and so has an id of ours to send forgeries to.
    let guest = world.add(Heap::LIMITS, || config("guest", 9));
    world.estates[guest]
        .stack
        .connect(world.now, address(0), 0)
        .expect("room");
    world.weather = Box::new(|_, packet, _| match packet.kind() {
        Some((TransactionKind::Allow, _)) => Vec::new(), // it never proves its keys
        _ => vec![Duration::from_millis(5)],
    });
    world.run(Duration::from_millis(100));
    let held = world.estates[0]
        .stack
        .find("guest")
        .and_then(|r| world.estates[0].stack.remote(r));
    let held = held.expect("it joined");
    world.forget_past();
    let mut head = Head::new(PacketKind::Hello, TransactionKind::Allow);
    head.foot = FootKind::Nacl;
    head.body = BodyKind::Raw;
    head.source = held.far;
    head.destination = held.near;
    head.session = 1;
    let (mut ti, before, started) = (100, counts.verified(), world.now);
    served_under(&mut world, main, 40, |world, _| {
        for _ in 0..100 {
            ti += 1;
            let bytes = forged(
                &Head {
                    transaction_id: ti,
                    ..head
                },
                &[0; 200],
            );
            world.inject(0, address(2), &bytes);
        }
    });
    // 8,000 forgeries; the bucket lets 256 through, and one each 4 ms.
    let spent = world.now.since(started).as_millis() as u64 / 4 + 256;
    let stats = world.estates[0].stack.stats();
    assert!(
        stats.dropped(Reason::Forged) <= spent,
        "{}",
        stats.dropped(Reason::Forged)
    );
    assert!(stats.dropped(Reason::Limited) > 5000);
    // Those of the messages, of their dones, and of nothing else.
    assert!(
        counts.verified() - before <= spent + 4 * 40,
        "{}",
        counts.verified() - before
    );
}

#[test]
fn a_flood_in_a_proven_peers_own_name_does_not_cut_it_off() {
    // Someone on the path sees the ids: each forgery costs a verification, and none is held against
    // the peer.
    let (mut world, _, _, main) = allowed::<Heap>();
    let head = from_other(&world, main);
    let mut ti = 1000;
    served_under(&mut world, main, 20, |world, _| {
        for _ in 0..100 {
            ti += 1;
            let bytes = forged(
                &Head {
                    transaction_id: ti,
                    ..head
                },
                b"forged coat",
            );
            assert_eq!(
                world.inject(0, address(1), &bytes),
                Verdict::Dropped(Reason::Forged)
            );
        }
    });
}

/// An engine that knows `count` proven remotes, none of which says a word, and one more that does.
fn crowded(count: usize) -> RoadStack<Touch<Heap>, Weak> {
    let limits = Limits {
        remotes: 16_384,
        roles: 16_384,
        ..Heap::LIMITS
    };
    let mut records = vec![Record::Estate(EstateRecord { sessions: 100 })];
    for n in 0..=count {
        let text = if n == count {
            "other".to_owned()
        } else {
            format!("idle-{n}")
        };
        let keys = if n == count {
            keys(2)
        } else {
            PublicKeys {
                verify: [n as u8 | 1; 32],
                public: [7; 32],
            }
        };
        records.push(Record::Role(RoleRecord {
            name: name(&text),
            status: Status::Accepted,
            judged: false,
            keys,
        }));
        records.push(Record::Remote(RemoteRecord {
            name: name(&text),
            near: n as u32 + 1,
            far: if n == count { 1 } else { n as u32 + 1 },
            address: if n == count {
                address(1)
            } else {
                stranger(n as u32)
            },
            main: false,
            kind: 0,
            role: name(&text),
            joined: true,
            proven: true,
            session: 100,
        }));
    }
    let suite = Weak::new(&[3; 32]);
    RoadStack::new(
        Instant::ZERO,
        main_config("main", 1),
        limits,
        suite,
        records,
    )
    .expect("it fits")
}

/// How many slots each step of a conversation touches: allow, alive, messages both ways, forgeries.
fn conversation(count: usize) -> Vec<u64> {
    let mut main = crowded(count);
    let records = vec![
        Record::Role(RoleRecord {
            name: name("main"),
            status: Status::Accepted,
            judged: false,
            keys: keys(1),
        }),
        Record::Remote(RemoteRecord {
            name: name("main"),
            near: 1,
            far: count as u32 + 1,
            address: address(0),
            main: true,
            kind: 0,
            role: name("main"),
            joined: true,
            proven: true,
            session: 200,
        }),
    ];
    let suite = Weak::new(&[4; 32]);
    let mut other = RoadStack::<Heap, _>::new(
        Instant::ZERO,
        config("other", 2),
        Heap::LIMITS,
        suite,
        records,
    )
    .expect("it fits");
    let to_main = other.find("main").expect("restored");
    let to_other = main.find("other").expect("restored");
    let mut now = Instant::ZERO;
    for stored in [main.poll_record(), main.poll_record()]
        .into_iter()
        .flatten()
    {
        main.handle_stored(now, &stored);
    }
    while let Some(stored) = other.poll_record() {
        other.handle_stored(now, &stored);
    }
    let mut touches = Vec::new();
    let mut buffer = [0; 1500];
    other.connect(now, address(0), 0).expect("it is known");
    for step in 0..400 {
        now = now + Duration::from_millis(5);
        match step {
            100 => drop(other.alive(now, to_main)),
            150 => drop(
                other.send(now, to_main, SendOptions::default(), 3000, |room| {
                    room.fill(1);
                }),
            ),
            200 => touches.push(
                touched(|| {
                    main.send(now, to_other, SendOptions::default(), 3000, |room| {
                        room.fill(2);
                    })
                })
                .0,
            ),
            250 => {
                touches
                    .push(touched(|| main.handle_datagram(now, stranger(3), &mut [b'R'; 100])).0);
            }
            260 => {
                let mut head = Head::new(PacketKind::Request, TransactionKind::Alive);
                head.foot = FootKind::Nacl;
                (head.source, head.destination, head.session) = (4, 4, 300);
                touches.push(
                    touched(|| main.handle_datagram(now, stranger(3), &mut forged(&head, b""))).0,
                );
            }
            270 => {
                let mut bytes = request("new", "new", keys(9), 5);
                touches.push(touched(|| main.handle_datagram(now, stranger(70_000), &mut bytes)).0);
            }
            _ => {}
        }
        other.handle_timeout(now);
        touches.push(touched(|| main.handle_timeout(now)).0);
        while let Some(made) = other.poll_transmit(now, &mut buffer) {
            touches
                .push(touched(|| main.handle_datagram(now, address(1), &mut buffer[..made.len])).0);
        }
        while let (n, Some(made)) = touched(|| main.poll_transmit(now, &mut buffer)) {
            touches.push(n);
            other.handle_datagram(now, address(0), &mut buffer[..made.len]);
        }
        touches.push(touched(|| main.poll_event()).0);
        touches.push(touched(|| main.poll_message(|m| m.body.len())).0);
        touches.push(touched(|| main.poll_timeout()).0);
        while other.poll_message(|_| ()).is_some() {}
        while other.poll_event().is_some() {}
    }
    assert!(main.remote(to_other).expect("it is there").allowed);
    assert_eq!(
        (main.stats().messages_in, main.stats().messages_out),
        (1, 1)
    );
    touches
}

#[test]
fn idle_remotes_cost_nothing() {
    let few = conversation(10);
    let many = conversation(10_000);
    let sum: u64 = few.iter().sum();
    assert!(sum > 300, "the count counts: {sum}");
    assert_eq!(few, many);
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
        questions.push(request(
            "g",
            "g",
            secrets(n).public_keys(&NaclSuite::new(&[0; 32])),
            n.into(),
        ));
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
