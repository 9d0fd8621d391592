//! What a host can ask for that cannot be, and what a peer with real keys can say out of turn.

use std::boxed::Box;
use std::vec;
use std::vec::Vec;

use super::both;
use super::forge::{Claim, inject, keys, packet, recorded, respond, says, stranger};
use super::world::{World, address, config, ms, name};
use crate::config::{Config, Presence, Trust};
use crate::crypto::{NaclSuite, PublicKeys};
use crate::error::{Gone, SetupError};
use crate::event::{Event, Failure, JoinFailure, Outcome, RemoteEvent};
use crate::keep::{EstateRecord, Record, RemoteRecord, RoleRecord, Status};
use crate::limits::{Limits, LimitsError};
use crate::road::{RoadStack, SendOptions};
use crate::stats::{Reason, Verdict};
use crate::storage::Storage;
use crate::time::Duration;
use crate::wire::{
    BodyKind, CoatKind, Flags, FootKind, Frame, Head, JoinBody, Name, PacketKind, TransactionKind,
    WireError,
};

/// What is wrong, and what is said of it.
type Case<T, Error> = (fn(&mut T), Error);

fn made<S: Storage>(
    config: Config,
    limits: Limits,
    records: Vec<Record>,
) -> Result<RoadStack<S, NaclSuite>, SetupError> {
    let now = World::<S>::new().now;
    RoadStack::new(now, config, limits, NaclSuite::new(&[0; 32]), records)
}

fn kept(text: &str, near: u32) -> Record {
    Record::Remote(RemoteRecord {
        name: name(text),
        near,
        far: 7,
        address: address(7),
        main: false,
        kind: 0,
        role: name(text),
        joined: true,
        proven: true,
        session: 0,
    })
}

fn role(text: &str, keys: PublicKeys) -> Record {
    Record::Role(RoleRecord {
        name: name(text),
        status: Status::Accepted,
        judged: true,
        keys,
    })
}

both! {
    fn numbers_that_contradict_each_other_make_no_engine<S>() {
        let cases: [Case<Limits, LimitsError>; 8] = [
            (|l| l.remotes = 0, LimitsError::Remotes),
            (|l| l.roles = l.remotes - 1, LimitsError::Remotes),
            (|l| l.handshakes = 0, LimitsError::Remotes),
            (|l| l.replies = 0, LimitsError::Empty),
            (|l| l.remote_inbox = l.inbox + 1, LimitsError::Share),
            (|l| l.remote_inbox_bytes = l.inbox_bytes + 1, LimitsError::Share),
            (|l| l.outbox_bytes = l.message, LimitsError::Message),
            (|l| l.remotes = usize::MAX / 2, LimitsError::Remotes),
        ];
        for (change, why) in cases {
            let mut limits = S::LIMITS;
            change(&mut limits);
            let refused = made::<S>(config("main", 1), limits, Vec::new()).err();
            assert_eq!(refused, Some(SetupError::Limits(why)));
        }
    }

    fn settings_that_cannot_be_make_no_engine<S>() {
        let cases: [Case<Config, SetupError>; 6] = [
            (|c| c.name = Name::new(), SetupError::Name),
            (|c| c.role = Name::new(), SetupError::Name),
            (|c| c.body = BodyKind::Raw, SetupError::BodyKind),
            (|c| c.window = 1, SetupError::Pace),
            (|c| c.timers.retry.redo_min = Duration::ZERO, SetupError::Pace),
            (|c| c.timers.joiner.redo_max = c.timers.joiner.redo_min / 2, SetupError::Pace),
        ];
        for (change, why) in cases {
            let mut config = config("main", 1);
            change(&mut config);
            assert_eq!(made::<S>(config, S::LIMITS, Vec::new()).err(), Some(why));
        }
    }

    fn records_that_cannot_be_make_no_engine<S>() {
        let weak = PublicKeys { verify: [0; 32], public: [0; 32] };
        for records in [
            vec![kept("other", 0)],
            vec![kept("other", 5), kept("other", 6)],
            vec![kept("main", 5)],
            vec![role("other", weak)],
            (1..2000).map(|n| kept(&std::format!("other-{n}"), n)).collect(),
        ] {
            let mut limits = S::LIMITS;
            limits.remotes = limits.remotes.min(20);
            let refused = made::<S>(config("main", 1), limits, records).err();
            assert_eq!(refused, Some(SetupError::Record));
        }
        // An end of what is not there is none.
        let ends = vec![Record::Forgotten(name("x")), Record::ForgottenRole(name("x"))];
        assert!(made::<S>(config("main", 1), S::LIMITS, ends).is_ok());
    }

    fn an_engine_made_in_its_place_is_as_any_other<S>() {
        let (mut world, _, _) = World::<S>::allowed();
        let records = world.estates[1].records.clone();
        let mut place = None;
        let made = RoadStack::new_in(
            |new| place.insert(new),
            world.now,
            config("other", 2),
            S::LIMITS,
            NaclSuite::new(&[9; 32]),
            records,
        );
        let main = made.unwrap().find("main").expect("from its records");
        world.estates[1].stack = place.unwrap();
        world.run(ms(500));
        world.send(1, main, 1, b"from its next life");
        world.run(ms(1000));
        assert_eq!(world.outcomes(1), vec![(1, Outcome::Delivered)]);
        let bad = vec![Record::Estate(EstateRecord { sessions: 5 }), kept("other", 0)];
        let mut place = None;
        let suite = NaclSuite::new(&[0; 32]);
        let now = world.now;
        let made = RoadStack::<S, _>::new_in(|new| place.insert(new), now, config("main", 1), S::LIMITS, suite, bad);
        assert_eq!(made.err(), Some(SetupError::Record));
    }

    fn a_token_can_be_changed<S>() {
        let mut world = World::<S>::pair();
        let main = world.connect(1, 0);
        assert_eq!(world.estates[1].stack.set_token(main, 42), Ok(()));
        world.run(ms(200));
        let tokens: Vec<u64> = world.estates[1].events.iter().filter_map(|e| match e {
            Event::Remote { token, .. } => Some(*token),
            _ => None,
        }).collect();
        assert!(!tokens.is_empty() && tokens.iter().all(|t| *t == 42), "{tokens:?}");
        let now = world.now;
        world.estates[1].stack.forget(now, main).unwrap();
        assert_eq!(world.estates[1].stack.set_token(main, 43), Err(Gone));
    }

    fn an_outcome_taken_out_of_turn_is_told_once<S>() {
        let (mut world, _, main) = World::<S>::allowed();
        let now = world.now;
        let stack = &mut world.estates[1].stack;
        let message = stack.send(now, main, SendOptions::default(), 1, |_| ()).unwrap();
        assert_eq!(stack.outcome(message), Ok(None));
        stack.cancel(now, message).unwrap();
        assert_eq!(stack.outcome(message), Ok(Some(Outcome::Failed(Failure::Cancelled))));
        assert_eq!(stack.outcome(message), Err(Gone));
        world.run(ms(100));
        assert_eq!(world.outcomes(1), vec![]);
    }

    fn what_is_no_packet_is_counted_by_what_is_wrong<S>() {
        let (mut world, _, _) = World::<S>::allowed();
        let verdict = inject(&mut world, 0, address(1), b"RAET\n");
        assert!(matches!(verdict, Some(Verdict::Dropped(_))), "{verdict:?}");
        let stats = world.estates[0].stack.stats();
        let counts = WireError::ALL.iter().map(|error| stats.malformed(*error));
        assert_eq!(counts.sum::<u64>(), 1);
        assert_eq!(stats.dropped_in_all(), 1);
    }
}

both! {
    fn who_answers_with_our_own_name_is_not_joined<S>() {
        for (text, n) in [("other", 7), ("main", 2)] {
            let mut world = World::<S>::new();
            world.add(config("main", 1)); // takes the first place, and is not asked
            let mut other = config("other", 2);
            other.role = name(if n == 2 { "main" } else { "other" });
            world.add(other);
            world.connect(1, 5);
            world.settle();
            assert_eq!(respond(&mut world, 1, 5, &says(text, n)), Verdict::Taken);
            world.settle();
            assert_eq!(world.happened(1), vec![RemoteEvent::JoinFailed(JoinFailure::NameTaken)]);
            let told = recorded(&world, 1, TransactionKind::Join, PacketKind::Reject);
            assert_eq!(told.len(), 1, "and is told so (H14)");
        }
    }

    fn a_slow_keep_is_waited_for_with_patience<S>() {
        let (mut world, _, main) = World::<S>::allowed();
        let stack = &mut world.estates[1].stack;
        stack.sessions_stored = 0; // no id is stored that a new session could have
        stack.allow(world.now, main).unwrap();
        let (mut wakes, end) = (0, world.now + ms(2000));
        while let Some(due) = stack.poll_timeout().filter(|due| due.at < end) {
            stack.handle_timeout(due.at);
            wakes += 1;
            assert!(wakes < 10, "it wakes again and again");
        }
        assert!(wakes > 4, "it asks sooner at first: {wakes}");
    }

    fn what_waited_for_a_keep_is_over_with_the_next_session<S>() {
        let mut world = World::<S>::pair_with(|_| {}, |c| c.presence = Some(Presence::default()));
        let main = world.connect(1, 0);
        world.run(ms(500));
        let other = world.estates[0].stack.find("other").unwrap();
        world.forget_past();
        let stack = &mut world.estates[1].stack;
        let stored = core::mem::take(&mut stack.sessions_stored);
        stack.allow(world.now, main).unwrap();
        for _ in 0..4 {
            world.now = stack.poll_timeout().unwrap().at;
            stack.handle_timeout(world.now);
        }
        stack.sessions_stored = stored;
        // Before it asks again, main begins the session that it waits for.
        world.estates[0].stack.allow(world.now, other).unwrap();
        world.run(ms(200_000)); // and asks for signs of life in it
        assert!(world.estates[1].stack.remote(main).unwrap().allowed);
        let hello = (TransactionKind::Allow, PacketKind::Hello);
        assert_eq!(world.sent(0).iter().filter(|kind| **kind == hello).count(), 1);
        assert!(!world.sent(1).contains(&hello), "it needs no other one");
        assert!(world.sent(1).contains(&(TransactionKind::Alive, PacketKind::Request)));
    }

    fn who_began_a_session_and_is_gone_is_asked_whether_it_has_the_last_one<S>() {
        let (mut world, other, main) = World::<S>::allowed();
        world.estates[0].stack.allow(world.now, other).unwrap();
        world.settle();
        world.lose = Box::new(|p| p.from == address(1));
        world.run(ms(10));
        let mut again = config("main", 1);
        again.main = true;
        let records = world.estates[0].records.clone();
        world.restart(0, again, records);
        world.lose = Box::new(|_| false);
        // Nobody has anything to say, nor asks for signs of life.
        world.run(ms(20_000));
        for (n, whom) in [(0, world.estates[0].stack.find("other").unwrap()), (1, main)] {
            assert!(world.estates[n].stack.remote(whom).unwrap().allowed, "{n}");
        }
    }

    fn a_name_is_free_once_another_answers_where_it_was_claimed<S>() {
        // Main asks for whoever is at an address. Somebody there says bravo; later alpha answers there, whom
        // main knows from elsewhere.
        let mut world = World::<S>::new();
        for (text, n) in [("main", 1), ("alpha", 2), ("bravo", 3)] {
            let mut config = config(text, n);
            config.main = n == 1;
            world.add(config);
        }
        world.connect(1, 0);
        world.run(ms(200));
        let asked = world.connect(0, 5);
        world.settle();
        assert_eq!(respond(&mut world, 0, 5, &says("bravo", 3)), Verdict::Taken);
        assert_eq!(world.estates[0].stack.find("bravo"), Some(asked));
        let bravos = world.connect(2, 0);
        world.send(2, bravos, 1, b"kept");
        world.run(ms(1000));
        assert_eq!(world.outcomes(2), vec![], "the claim is in the way");
        let answered = (0..200).any(|_| {
            world.run(ms(500));
            respond(&mut world, 0, 5, &says("alpha", 2)) == Verdict::Taken
        });
        assert!(answered);
        let address = world.estates[0].stack.remote(asked).unwrap();
        assert_eq!((address.name.as_str(), address.joined, address.far), ("", false, 0));
        world.run(ms(60_000));
        assert_eq!(world.outcomes(2), vec![(1, Outcome::Delivered)]);
    }

    fn who_answers_with_weak_keys_is_not_joined<S>() {
        let mut world = World::<S>::pair();
        world.connect(1, 5);
        world.settle();
        let body = JoinBody { verify: [0; 32], ..says("guest", 7) };
        assert_eq!(respond(&mut world, 1, 5, &body), Verdict::Taken);
        world.settle();
        assert_eq!(world.happened(1), vec![RemoteEvent::JoinFailed(JoinFailure::WeakKeys)]);
    }

    fn on_an_immutable_road_another_answer_changes_nothing<S>() {
        for change in [(|b| b.kind = 9) as fn(&mut JoinBody), |b| b.mode = 0, |b| b.name = name("new")] {
            let mut world = World::<S>::pair_with(|_| {}, |other| other.mutable = false);
            let main = world.connect(1, 0);
            world.run(ms(200));
            world.forget_past();
            // The real answer is lost; one in the name of main comes from its address.
            world.lose = Box::new(|p| p.kind() == (TransactionKind::Join, PacketKind::Response));
            let now = world.now;
            world.estates[1].stack.join(now, main).unwrap();
            world.settle();
            let mut body = says("main", 1);
            change(&mut body);
            assert_eq!(respond(&mut world, 1, 0, &body), Verdict::Taken);
            world.settle();
            assert_eq!(world.happened(1), vec![RemoteEvent::JoinFailed(JoinFailure::Changed)]);
            let held = world.estates[1].stack.remote(main).unwrap();
            assert!(held.name == "main" && held.main && held.kind == 0 && held.allowed);
        }
    }

    fn claims_at_one_address_share_little_room<S>() {
        // Main takes any keys: whoever claims to be one of its peers makes a candidate.
        let mut world = World::<S>::new();
        let mut main = config("main", 1);
        main.main = true;
        main.trust = Trust::Always;
        world.add(main);
        let names = ["a", "b", "c", "d", "e", "f"];
        for (n, text) in (1..).zip(names) {
            world.add(config(text, n + 1));
            world.connect(usize::from(n), 0);
        }
        world.run(ms(1000));
        for (ti, text) in (1..).zip(names) {
            let claim = Claim { role: text, ..stranger(text, 66, ti) };
            inject(&mut world, 0, address(20), &claim.request());
        }
        let stack = &world.estates[0].stack;
        let claimed = |text: &&&str| {
            let slot = stack.by_name(&name(text)).expect("it joined");
            stack.remotes.at(slot).unwrap().candidate.is_some()
        };
        let claimed: Vec<_> = names.iter().filter(claimed).copied().collect();
        assert_eq!(claimed, ["c", "d", "e", "f"], "the oldest give way");
        world.run(ms(60_000));
        for text in names {
            let remote = world.estates[0].stack.find(text).unwrap();
            assert!(world.estates[0].stack.remote(remote).unwrap().allowed, "{text}");
        }
    }

    fn who_begins_an_allow_may_reject_it<S>() {
        let (mut world, other, main) = World::<S>::allowed();
        world.lose = Box::new(|p| p.kind() == (TransactionKind::Allow, PacketKind::Cookie));
        let now = world.now;
        world.estates[1].stack.allow(now, main).unwrap();
        world.run(ms(20));
        // Other has begun it, and now says that it will have none of it.
        let hello = recorded(&world, 1, TransactionKind::Allow, PacketKind::Hello).remove(0);
        let mut head = Frame::parse(&hello.bytes).unwrap().head;
        head.packet = PacketKind::Reject;
        head.coat = CoatKind::Nada;
        let verdict = inject(&mut world, 0, address(1), &packet(&head, &[], 2));
        assert_eq!(verdict, Some(Verdict::Taken));
        let held = world.estates[0].stack.remotes.get(other.0).unwrap();
        assert!(held.allow.is_none(), "who changed its mind does not hold a place");
        assert_eq!(world.happened(0), vec![], "nothing of ours has failed");
        assert!(world.estates[0].stack.remote(other).unwrap().allowed, "the older session goes on");
    }

    fn a_resend_that_does_not_open_asks_for_a_new_session<S>() {
        let (mut world, _, main) = World::<S>::allowed();
        world.lose = Box::new(|p| p.from == address(1));
        world.send(1, main, 1, &[7; 5000]);
        world.settle();
        let message = recorded(&world, 1, TransactionKind::Message, PacketKind::Message).remove(0);
        let asked = Frame::parse(&message.bytes).unwrap().head;
        world.forget_past();
        let mut head = Head::new(PacketKind::Resend, TransactionKind::Message);
        head.flags = Flags::CORRESPONDENT;
        head.foot = FootKind::Nacl;
        head.coat = CoatKind::Nacl;
        head.body = BodyKind::Json;
        (head.source, head.destination) = (asked.destination, asked.source);
        (head.session, head.transaction_id) = (asked.session, asked.transaction_id);
        let verdict = inject(&mut world, 1, address(0), &packet(&head, &[5; 60], 1));
        assert_eq!(verdict, Some(Verdict::Dropped(Reason::Body)));
        world.settle();
        let hello = (TransactionKind::Allow, PacketKind::Hello);
        assert!(world.sent(1).contains(&hello), "its key is not ours: a new one is made");
        world.lose = Box::new(|_| false);
        world.run(ms(3000));
        assert_eq!(world.outcomes(1), vec![(1, Outcome::Delivered)]);
    }

    fn a_message_older_than_the_window_is_not_called_done<S>() {
        let (mut world, _, main) = World::<S>::allowed();
        world.lose = Box::new(|p| p.from == address(1));
        let now = world.now;
        let stack = &mut world.estates[1].stack;
        let lost = stack.send(now, main, SendOptions::default(), 1, |_| ()).unwrap();
        world.settle();
        let lost_packet = recorded(&world, 1, TransactionKind::Message, PacketKind::Message).remove(0);
        world.estates[1].stack.cancel(now, lost).unwrap();
        world.lose = Box::new(|_| false);
        for token in 0..600 {
            world.send(1, main, token, b"x");
            world.run(ms(150));
        }
        world.forget_past();
        let verdict = world.deliver(lost_packet);
        assert_eq!(verdict, Some(Verdict::Dropped(Reason::Replayed)));
        assert_eq!(world.sent(0), vec![(TransactionKind::Message, PacketKind::Nack)], "nobody knows (H5)");
        assert_eq!(world.estates[0].messages, vec![]);
    }

    fn session_ids_are_asked_for_in_time<S>() {
        let (mut world, _, main) = World::<S>::allowed();
        let used = |world: &World<S>| world.estates[1].stack.remotes.get(main.0).unwrap().sid;
        let reserved = |world: &World<S>| {
            let records = world.estates[1].records.iter();
            records.filter_map(|r| match r {
                Record::Estate(e) => Some(e.sessions),
                _ => None,
            }).next_back().unwrap()
        };
        let (first, began) = (reserved(&world), used(&world));
        while used(&world).wrapping_sub(began) < 300 {
            let now = world.now;
            world.estates[1].stack.allow(now, main).unwrap();
            world.run(ms(30));
            assert!(used(&world).wrapping_sub(reserved(&world)) > 1 << 31, "never above what is stored (H8)");
        }
        assert!(reserved(&world).wrapping_sub(first) > 150, "as many as were used, nearly");
    }
}

#[cfg(feature = "alloc")]
#[test]
fn a_keep_in_memory_holds_the_newest_of_each() {
    let mut keep = crate::keep::MemoryKeep::default();
    assert!(keep.is_empty());
    keep.store(kept("other", 5));
    keep.store(kept("other", 6));
    keep.store(role("other", keys(2)));
    assert_eq!(keep.len(), 2);
    let held: Vec<_> = keep.records().collect();
    assert!(held.contains(&kept("other", 6)) && held.contains(&role("other", keys(2))));
    keep.store(Record::Forgotten(name("other")));
    assert_eq!(keep.records().collect::<Vec<_>>(), [role("other", keys(2))]);
    keep.store(Record::ForgottenRole(name("other")));
    assert!(keep.is_empty());
}
