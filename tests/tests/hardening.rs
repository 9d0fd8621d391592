//! The hardening rules, a test each, and where the rest of each rule is tested.
//!
//! | rule | here | elsewhere |
//! |---|---|---|
//! | H1 bytes | `h1_…` | `wire_hostile`, `road_hostile`, `fuzz` |
//! | H2 only the signed counts | `h2_…` | `replay`; core `attack`: a hello, an alive, a nack acted on once |
//! | H3 joins | `h3_…` | core `trust`: a rejection is told |
//! | H4 candidates | `h4_…` | core `trust`: a join moves nothing, a lost keep; core `attack`: forged joins |
//! | H5 done and nack | `h5_…` | core `delivery`: a lost done; core `nack`; core `session` |
//! | H6 coats | `h6_…` | |
//! | H7 repeats | `h7_…` | core `attack`: a repeated request; `road_scenarios` |
//! | H8 restart | `h8_…` | core `delivery`: sessions never go back |
//! | H9 bounds | `h9_…` | `cost`: three times; core `attack`: segments that cannot be; `fuzz` |
//! | H10 recovery | `h10_…` | core `trust`: a main that lost its keep; core `delivery`: presence |
//! | H11 IPv6 | `h11_…` | core `path` |
//! | H12 acks | `h12_…` | |
//! | H13 an open allow | `h13_…` | |
//! | H14 refuse | `h14_…` | core `trust`: allows both ways at once; core `attack`: handshakes |
//! | H15 order of checks | `h15_…` | `cost` |
//! | H16 weak keys | `h16_…` | core `trust`: own name or keys; core `crypto` |
//! | H17 accepting keys | `h17_…` | core `trust`: the key that was shown |
//! | H18 names | | core `names`: a name or role changed under way, for either end and meanwhile |

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use raet_core::config::{Presence, Trust};
use raet_core::crypto::{NaclSuite, PublicKeys};
use raet_core::error::JudgeError;
use raet_core::event::{Outcome, RemoteEvent};
use raet_core::keep::Status;
use raet_core::limits::Limits;
use raet_core::stats::{Reason, Verdict};
use raet_core::storage::{Heap, Storage};
use raet_core::wire::{CoatKind, Flags, Head, PacketKind, TransactionKind};
use raet_core::{RemoteId, SendOptions};
use raet_tests::forge::{head_from, join_head, keys, request, signed, unsigned};
use raet_tests::sim::{Packet, Weather, World, address, config, dead, fair, main_config, secrets};
use raet_tests::suite::Weak;

type Two = World<Heap, Weak>;

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn allowed() -> (Two, RemoteId, RemoteId) {
    let mut world = Two::pair(1, Weak::new);
    let (other, main) = world.allow_pair();
    world.forget_past();
    (world, other, main)
}

/// Loses packets of this kind.
fn without(transaction: TransactionKind, packet: PacketKind) -> Weather {
    Box::new(move |_, sent, _| match sent.kind() {
        Some(kind) if kind == (transaction, packet) => Vec::new(),
        _ => vec![ms(5)],
    })
}

fn count(world: &Two, n: usize, transaction: TransactionKind, packet: PacketKind) -> usize {
    let sent = world
        .sent(n)
        .filter(|p| p.kind() == Some((transaction, packet)));
    sent.count()
}

fn first(world: &Two, n: usize, transaction: TransactionKind, packet: PacketKind) -> Packet {
    let mut sent = world
        .sent(n)
        .filter(|p| p.kind() == Some((transaction, packet)));
    sent.next().expect("it was sent").clone()
}

#[test]
fn h1_every_drop_is_counted_by_reason() {
    let (mut world, ..) = allowed();
    let stats = world.estates[0].stack.stats().clone();
    for bytes in [&b""[..], b"x", &[0xff; 2000]] {
        assert_eq!(
            world.inject(0, address(1), bytes),
            Verdict::Dropped(Reason::Wire)
        );
    }
    let now = world.estates[0].stack.stats();
    assert_eq!(now.dropped(Reason::Wire) - stats.dropped(Reason::Wire), 3);
    assert_eq!(now.datagrams_in - stats.datagrams_in, 3);
}

#[test]
fn h2_what_is_not_signed_does_not_count() {
    let (mut world, other, main) = allowed();
    let before = world.estates[0].stack.remote(other);
    for transaction in [
        TransactionKind::Allow,
        TransactionKind::Alive,
        TransactionKind::Message,
    ] {
        for kind in 0..16 {
            let kind = PacketKind::from_wire(kind).expect("a kind");
            for flags in [Flags::NONE, Flags::CORRESPONDENT] {
                for session in [2, 3, 1000] {
                    let head = Head {
                        flags,
                        session,
                        ..head_from(&world, 1, main, transaction, kind)
                    };
                    let verdict = world.inject(0, address(1), &unsigned(&head, b""));
                    assert!(matches!(verdict, Verdict::Dropped(_)));
                    let verdict = world.inject(0, address(1), &signed(9, &head, b""));
                    assert!(matches!(verdict, Verdict::Dropped(_)));
                }
            }
        }
    }
    assert_eq!(world.estates[0].stack.remote(other), before);
}

#[test]
fn h3_a_joins_answer_counts_only_from_where_it_was_asked_with_its_transaction() {
    let mut world = Two::pair(1, Weak::new);
    world.weather = dead();
    let main = world.connect(1, 0);
    world.run(ms(10));
    let asked = first(&world, 1, TransactionKind::Join, PacketKind::Request)
        .head()
        .expect("ours");
    for kind in [
        PacketKind::Reject,
        PacketKind::Refuse,
        PacketKind::Nack,
        PacketKind::Renew,
        PacketKind::Pend,
    ] {
        let mut answer = join_head(kind, 0, asked.transaction_id ^ 1);
        answer.flags = Flags::CORRESPONDENT;
        answer.destination = asked.source;
        let wrong_ti = world.inject(1, address(0), &unsigned(&answer, b""));
        assert_eq!(wrong_ti, Verdict::Dropped(Reason::NoTransaction));
        answer.transaction_id = asked.transaction_id;
        let wrong_address = world.inject(1, address(5), &unsigned(&answer, b""));
        assert_eq!(wrong_address, Verdict::Dropped(Reason::Address));
    }
    assert_eq!(world.happened(1), []);
    world.weather = fair();
    world.run(ms(3000));
    assert!(
        world.estates[1]
            .stack
            .remote(main)
            .expect("it is there")
            .allowed
    );
}

#[test]
fn h3_a_reject_erases_nothing_that_was_proven() {
    let (mut world, _, main) = allowed();
    world.weather = dead();
    world.estates[1]
        .stack
        .join(world.now, main)
        .expect("it is there");
    world.run(ms(10));
    let asked = first(&world, 1, TransactionKind::Join, PacketKind::Request)
        .head()
        .expect("ours");
    let mut answer = join_head(PacketKind::Reject, asked.destination, asked.transaction_id);
    answer.flags = Flags::CORRESPONDENT;
    answer.destination = asked.source;
    assert_eq!(
        world.inject(1, address(0), &unsigned(&answer, b"")),
        Verdict::Taken
    );
    let held = world.estates[1].stack.remote(main).expect("it stays");
    assert!(held.joined && held.proven && held.allowed);
    assert!(
        matches!(world.happened(1)[..], [RemoteEvent::JoinFailed(_)]),
        "and it is reported"
    );
    world.weather = fair();
    world.send(1, main, 1, b"all the same");
    world.run(ms(500));
    assert_eq!(world.outcomes(1), [(1, Outcome::Delivered)]);
}

#[test]
fn h4_a_claim_beside_a_proven_remote_goes_when_nobody_proves_it() {
    let (mut world, other, _) = allowed();
    let before = world.estates[0].stack.remote(other);
    let from = SocketAddr::from((Ipv4Addr::new(192, 0, 2, 1), 7530));
    let verdict = world.inject(0, from, &request("other", keys(2), 4711, 1));
    assert_eq!(verdict, Verdict::Taken);
    world.inject(
        0,
        from,
        &unsigned(&join_head(PacketKind::Ack, 4711, 1), b""),
    );
    // Far longer than a candidate lives.
    world.run(Duration::from_secs(100));
    assert_eq!(world.estates[0].stack.remote(other), before);
    assert_eq!(world.estates[0].stack.remotes().count(), 1);
}

#[test]
fn h5_a_full_inbox_answers_with_silence_never_a_nack() {
    let mut world = Two::new(1, Weak::new);
    let few = Limits {
        remote_inbox: 4,
        ..Heap::LIMITS
    };
    world.add(few, || main_config("main", 1));
    world.add(Heap::LIMITS, || config("other", 2));
    let (_, main) = world.allow_pair();
    world.estates[0].deaf = true;
    for token in 0..10 {
        world.send(1, main, token, b"x");
    }
    world.run(ms(2000));
    assert_eq!(
        count(&world, 0, TransactionKind::Message, PacketKind::Nack),
        0
    );
    assert!(world.estates[0].stack.stats().dropped(Reason::Full) > 0);
    world.estates[0].deaf = false;
    world.run(ms(5000));
    let outcomes = world.outcomes(1);
    assert!(
        outcomes
            .iter()
            .all(|(_, outcome)| *outcome == Outcome::Delivered)
    );
    assert_eq!((outcomes.len(), world.estates[0].messages.len()), (10, 10));
}

#[test]
fn h6_a_message_in_the_open_is_refused_unless_a_policy_allows_it() {
    for allow in [false, true] {
        let mut world = Two::new(1, Weak::new);
        world.add(Heap::LIMITS, move || {
            let mut config = main_config("main", 1);
            config.accept_uncoated = allow;
            config
        });
        world.add(Heap::LIMITS, || {
            let mut config = config("other", 2);
            config.coat = CoatKind::Nada;
            config
        });
        let (_, main) = world.allow_pair();
        world.send(1, main, 1, b"in the open");
        world.run(ms(1000));
        assert_eq!(world.estates[0].messages.len(), usize::from(allow));
        let delivered = world.outcomes(1) == [(1, Outcome::Delivered)];
        assert_eq!(delivered, allow);
    }
}

#[test]
fn h7_a_repeated_handshake_changes_nothing() {
    let (mut world, _, main) = allowed();
    world.estates[1]
        .stack
        .allow(world.now, main)
        .expect("it is there");
    // Every packet comes twice, the second one late.
    world.weather = Box::new(|_, _, _| vec![ms(5), ms(5), ms(40)]);
    world.run(ms(500));
    let events = [world.happened(0), world.happened(1)];
    assert_eq!(
        events,
        [[RemoteEvent::Allowed], [RemoteEvent::Allowed]],
        "once each"
    );
    world.weather = fair();
    world.send(1, main, 1, b"in the one session");
    world.run(ms(500));
    assert_eq!(world.outcomes(1), [(1, Outcome::Delivered)]);
    let sent = first(&world, 1, TransactionKind::Message, PacketKind::Message);
    let hello = first(&world, 1, TransactionKind::Allow, PacketKind::Hello);
    let (sent, hello) = (sent.head().expect("ours"), hello.head().expect("ours"));
    assert_eq!(sent.session, hello.session + 1, "it advanced once");
}

#[test]
fn h8_no_session_outlives_a_restart() {
    let (mut world, _, main) = allowed();
    world.weather = dead();
    world.send(1, main, 1, b"before");
    world.run(ms(10));
    let sent = first(&world, 1, TransactionKind::Message, PacketKind::Message);
    world.restart(0);
    let verdict = world.deliver(&sent);
    assert_eq!(verdict, Some(Verdict::Dropped(Reason::NoSession)));
    assert!(!world.is_allowed(0, "other"));
    world.weather = fair();
    world.run(ms(5000));
    assert_eq!(world.outcomes(1), [(1, Outcome::Delivered)]);
    assert_eq!(world.estates[0].messages.len(), 1);
}

#[test]
fn h9_a_partial_message_goes_when_its_sender_is_silent() {
    let (mut world, other, main) = allowed();
    let share = world.estates[0].stack.limits().remote_inbox_bytes as u32;
    let head = head_from(
        &world,
        1,
        main,
        TransactionKind::Message,
        PacketKind::Message,
    );
    let head = Head {
        coat: CoatKind::Nacl,
        segments: 16_384,
        coat_len: (share / 2 - 3000) / 16_384 * 16_384,
        ..head
    };
    let size = head.coat_len.div_ceil(head.segments) as usize;
    let part = vec![0; size];
    // Bytes count when they are declared: there is room for two such messages, not for three.
    for (ti, verdict) in [
        (60, Verdict::Taken),
        (61, Verdict::Taken),
        (62, Verdict::Dropped(Reason::Full)),
    ] {
        let bytes = signed(
            2,
            &Head {
                transaction_id: ti,
                ..head
            },
            &part,
        );
        assert_eq!(world.inject(0, address(1), &bytes), verdict);
    }
    world.weather = dead();
    world.run(Duration::from_secs(61));
    let bytes = signed(
        2,
        &Head {
            transaction_id: 62,
            ..head
        },
        &part,
    );
    assert_eq!(
        world.inject(0, address(1), &bytes),
        Verdict::Taken,
        "the room is free again"
    );
    assert!(
        world.estates[0]
            .stack
            .remote(other)
            .expect("it stays")
            .allowed
    );
}

#[test]
fn h9_one_datagram_draws_one_resend_at_most() {
    let (mut world, _, main) = allowed();
    let head = head_from(
        &world,
        1,
        main,
        TransactionKind::Message,
        PacketKind::Message,
    );
    let head = Head {
        coat: CoatKind::Nacl,
        segments: 65_535,
        coat_len: 131_070,
        segment: 65_534,
        flags: Flags::WAIT,
        ..head
    };
    let sent = world.log.len();
    assert_eq!(
        world.inject(0, address(1), &signed(2, &head, &[0; 2])),
        Verdict::Taken
    );
    assert!(world.log.len() - sent <= 1);
}

#[test]
fn h10_a_peer_that_lost_its_remotes_is_found_again() {
    let mut world = Two::new(1, Weak::new);
    world.add(Heap::LIMITS, || main_config("main", 1));
    world.add(Heap::LIMITS, || {
        let mut config = config("other", 2);
        config.presence = Some(Presence::default());
        config
    });
    let (other, main) = world.allow_pair();
    let near = world.estates[0]
        .stack
        .remote(other)
        .expect("it is there")
        .near;
    world.estates[0]
        .stack
        .forget(world.now, other)
        .expect("it is there");
    world.run(Duration::from_secs(30));
    let again = world.estates[0]
        .stack
        .find("other")
        .expect("it joined again");
    let held = world.estates[0].stack.remote(again).expect("it is there");
    assert!(held.allowed);
    assert_eq!(held.near, near, "under the id that it names");
    assert!(
        world.estates[1]
            .stack
            .remote(main)
            .expect("it is there")
            .allowed
    );
}

#[test]
fn h11_a_mapped_address_is_the_same_remote() {
    let (mut world, ..) = allowed();
    let SocketAddr::V4(v4) = address(1) else {
        unreachable!("the world is v4")
    };
    let mapped = SocketAddr::from((v4.ip().to_ipv6_mapped(), v4.port()));
    let main = world.estates[1].stack.find("main").expect("it is there");
    world.weather = dead();
    world.send(1, main, 1, b"from a dual socket");
    world.run(ms(10));
    let sent = first(&world, 1, TransactionKind::Message, PacketKind::Message);
    let sent = Packet {
        from: mapped,
        ..sent
    };
    assert_eq!(world.deliver(&sent), Some(Verdict::Taken));
    assert_eq!(world.estates[0].messages.len(), 1);
    let found = world.estates[0]
        .stack
        .connect(world.now, mapped, 0)
        .expect("it is known");
    assert_eq!(Some(found), world.estates[0].stack.find("other"));
}

#[test]
fn h12_an_ack_counts_only_after_what_it_acknowledges() {
    // A join that waits for a person is not joined by an ack.
    let mut world = Two::new(1, Weak::new);
    world.add(Heap::LIMITS, || {
        let mut config = main_config("main", 1);
        config.trust = Trust::Never;
        config
    });
    let from = address(7);
    world.inject(0, from, &request("guest", keys(7), 9, 1));
    let verdict = world.inject(0, from, &unsigned(&join_head(PacketKind::Ack, 9, 1), b""));
    assert_eq!(verdict, Verdict::Dropped(Reason::Unexpected));
    let guest = world.estates[0].stack.find("guest").expect("it waits");
    assert!(
        !world.estates[0]
            .stack
            .remote(guest)
            .expect("it is there")
            .joined
    );

    // An allow whose hello was not answered is not completed by an ack.
    let (mut world, _, main) = allowed();
    world.weather = dead();
    world.restart(1);
    let main_again = world.connect(1, 0);
    world.run(ms(50));
    let hello = first(&world, 1, TransactionKind::Allow, PacketKind::Hello)
        .head()
        .expect("ours");
    let ack = Head {
        packet: PacketKind::Ack,
        flags: Flags::CORRESPONDENT,
        source: hello.destination,
        destination: hello.source,
        ..hello
    };
    let verdict = world.inject(1, address(0), &signed(1, &ack, b""));
    assert_eq!(verdict, Verdict::Dropped(Reason::Unexpected));
    assert!(
        !world.estates[1]
            .stack
            .remote(main_again)
            .expect("it is there")
            .allowed
    );
    assert!(world.estates[1].stack.remote(main).is_none() || main == main_again);
}

#[test]
fn h13_while_there_is_no_session_messages_get_silence() {
    let (mut world, _, main) = allowed();
    world.restart(0);
    world.weather = without(TransactionKind::Allow, PacketKind::Cookie);
    world.send(1, main, 1, b"sent again later");
    world.run(ms(3000));
    assert_eq!(
        count(&world, 0, TransactionKind::Message, PacketKind::Nack),
        0
    );
    assert!(
        count(&world, 0, TransactionKind::Allow, PacketKind::Hello) > 0,
        "it allows meanwhile"
    );
    assert_eq!(world.outcomes(1), []);
    world.weather = fair();
    world.run(ms(10_000));
    assert_eq!(world.outcomes(1), [(1, Outcome::Delivered)]);
}

#[test]
fn h14_full_is_silence_and_a_newer_hello_replaces_an_older() {
    let mut world = Two::new(1, Weak::new);
    let one = Limits {
        handshakes: 1,
        ..Heap::LIMITS
    };
    world.add(one, || main_config("main", 1));
    world.add(Heap::LIMITS, || config("other", 2));
    world.add(Heap::LIMITS, || config("third", 3));
    world.connect(1, 0);
    world.connect(2, 0);
    world.weather = without(TransactionKind::Allow, PacketKind::Cookie);
    world.run(ms(3000));
    for kind in [PacketKind::Refuse, PacketKind::Reject, PacketKind::Nack] {
        assert_eq!(
            count(&world, 0, TransactionKind::Allow, kind),
            0,
            "{kind:?}"
        );
    }
    assert!(world.estates[0].stack.stats().dropped(Reason::Full) > 0);

    // Other begins anew while its old allow is still open at main: it need not wait for its end.
    let (mut world, _, main) = allowed();
    world.weather = without(TransactionKind::Allow, PacketKind::Cookie);
    world.estates[1]
        .stack
        .allow(world.now, main)
        .expect("it is there");
    world.run(ms(100));
    world.restart(1);
    world.weather = fair();
    world.forget_past();
    world.connect(1, 0);
    world.run(ms(200));
    assert!(world.is_allowed(1, "main") && world.is_allowed(0, "other"));
}

#[test]
fn h15_bad_signatures_are_not_held_against_a_proven_peer() {
    let (mut world, _, main) = allowed();
    let head = head_from(
        &world,
        1,
        main,
        TransactionKind::Message,
        PacketKind::Message,
    );
    let head = Head {
        coat: CoatKind::Nacl,
        ..head
    };
    for n in 0..2000 {
        let forged = signed(
            9,
            &Head {
                transaction_id: 100 + n,
                ..head
            },
            b"coat",
        );
        assert_eq!(
            world.inject(0, address(1), &forged),
            Verdict::Dropped(Reason::Forged)
        );
    }
    world.send(1, main, 1, b"the real one");
    world.run(ms(100));
    assert_eq!(world.outcomes(1), [(1, Outcome::Delivered)]);
}

#[test]
fn h16_weak_keys_are_refused() {
    let mut world = World::<Heap, NaclSuite>::new(1, NaclSuite::new);
    world.add(Heap::LIMITS, || main_config("main", 1));
    let good = secrets(2).public_keys(&NaclSuite::new(&[0; 32]));
    let mut small = [0; 32];
    small[0] = 1;
    let weak = [
        PublicKeys {
            verify: [0; 32],
            ..good
        },
        PublicKeys {
            verify: small,
            ..good
        },
        PublicKeys {
            public: [0; 32],
            ..good
        },
        PublicKeys {
            public: small,
            ..good
        },
        PublicKeys {
            verify: [0xff; 32],
            ..good
        },
    ];
    for (n, keys) in weak.into_iter().enumerate() {
        let asked = request("guest", keys, 9, n as u32 + 1);
        assert_eq!(
            world.inject(0, address(5), &asked),
            Verdict::Dropped(Reason::WeakKey),
            "{n}"
        );
        assert_eq!(world.estates[0].stack.remotes().count(), 0);
        assert_eq!(world.estates[0].stack.roles().count(), 0);
    }
    let asked = request("guest", good, 9, 99);
    assert_eq!(world.inject(0, address(5), &asked), Verdict::Taken);
}

#[test]
fn h17_what_was_seen_is_accepted_and_nothing_else() {
    let mut world = Two::new(1, Weak::new);
    world.add(Heap::LIMITS, || {
        let mut config = main_config("main", 1);
        config.trust = Trust::Never;
        config
    });
    world.inject(0, address(5), &request("guest", keys(5), 9, 1));
    let now = world.now;
    let stack = &mut world.estates[0].stack;
    let judged = stack.judge_role(now, "guest", Status::Accepted, Some(&keys(6)));
    assert_eq!(judged, Err(JudgeError::KeysChanged));
    let role = stack.roles().next().expect("it waits");
    assert_eq!((role.status, role.keys), (Status::Pending, keys(5)));
    let judged = stack.judge_role(now, "guest", Status::Accepted, Some(&keys(5)));
    assert_eq!(judged, Ok(()));
}

#[test]
fn nothing_is_held_when_all_is_done() {
    // Slots, bytes and deadlines: after traffic, cancelled and partial messages and a forgotten remote
    // an engine is as it was made.
    let (mut world, other, main) = allowed();
    for token in 0..20 {
        world.send(1, main, token, &vec![1; 300 * token as usize]);
        world.send(0, other, token, &[2; 50]);
    }
    let now = world.now;
    let options = SendOptions::default();
    let open = world.estates[1]
        .stack
        .send(now, main, options, 5000, |room| room.fill(3));
    world.run(ms(3));
    let _ = world.estates[1]
        .stack
        .cancel(world.now, open.expect("room"));
    world.run(Duration::from_secs(100));
    for (n, remote) in [(0, other), (1, main)] {
        let stack = &mut world.estates[n].stack;
        let held = stack.remote(remote).expect("it is there");
        assert_eq!((held.queued, held.open), (0, 0));
        assert_eq!(stack.poll_timeout(), None);
        stack.forget(world.now, remote).expect("it is there");
    }
    for n in 0..2 {
        world.drive(n);
        let stack = &mut world.estates[n].stack;
        assert_eq!(stack.remotes().count(), 0);
        assert_eq!(stack.poll_timeout(), None);
        // All of its room can be had again.
        let limits = *stack.limits();
        for m in 0..limits.remotes {
            let to = SocketAddr::from((Ipv4Addr::from(m as u32 + 1), 7530));
            assert!(stack.add_remote(world.now, to, 0).is_ok(), "{m}");
        }
    }
}
