//! What a join claims beside what is held: by whom it is found, and how long it counts.

use std::boxed::Box;
use std::vec::Vec;

use core::net::SocketAddr;

use crate::config::{Config, Trust};
use crate::event::RemoteEvent;
use crate::road::RemoteId;
use crate::road::remote::Target;
use crate::road::tests::both;
use crate::road::tests::forge::{Claim, inject, keys, packet, recorded, stranger};
use crate::road::tests::world::{World, address, config, ms, name};
use crate::stats::{Reason, Verdict};
use crate::storage::Storage;
use crate::wire::{Flags, FootKind, Frame, Head, PacketKind, TransactionKind};

fn joining<S: Storage>(world: &World<S>, remote: RemoteId) -> bool {
    world.estates[0]
        .stack
        .remotes
        .get(remote.0)
        .unwrap()
        .join
        .is_some()
}

/// Where the hellos of estate `n` went: address and far uid.
fn hellos<S: Storage>(world: &World<S>, n: usize) -> Vec<(SocketAddr, u32)> {
    recorded(world, n, TransactionKind::Allow, PacketKind::Hello)
        .iter()
        .map(|p| (p.to, Frame::parse(&p.bytes).unwrap().head.destination))
        .collect()
}

both! {
    fn a_join_goes_on_and_ends_only_by_words_from_where_it_was_begun<S>() {
        for vacuous in [true, false] {
            let (mut world, other, _) = World::<S>::allowed();
            let near = world.estates[0].stack.remote(other).unwrap().near;
            let destination = if vacuous { 0 } else { near };
            let claim = Claim { destination, ..stranger("other", 2, 1) };
            let begun = inject(&mut world, 0, address(5), &claim.request());
            assert_eq!(begun, Some(Verdict::Taken));
            // Where it is held, and elsewhere, nobody is known to join, unless by the id.
            let why = if vacuous { Reason::Stranger } else { Reason::NoTransaction };
            for from in [address(1), address(6)] {
                use PacketKind::{Ack, Nack, Pend, Refuse, Reject};
                for word in [Ack, Pend, Nack, Refuse, Reject] {
                    let verdict = inject(&mut world, 0, from, &claim.word(word));
                    assert_eq!(verdict, Some(Verdict::Dropped(why)), "{word:?} from {from}");
                    assert!(joining(&world, other), "{word:?} from {from}");
                }
            }
            world.forget_past();
            let acked = inject(&mut world, 0, address(5), &claim.ack());
            assert_eq!(acked, Some(Verdict::Taken));
            assert!(!joining(&world, other));
            assert!(world.happened(0).contains(&RemoteEvent::Joined));
        }
    }

    fn a_request_from_elsewhere_is_no_repeat<S>() {
        for vacuous in [true, false] {
            let (mut world, other, _) = World::<S>::allowed();
            let near = world.estates[0].stack.remote(other).unwrap().near;
            let destination = if vacuous { 0 } else { near };
            let claim = Claim { destination, ..stranger("other", 2, 1) };
            for from in [address(5), address(1), address(6)] {
                let begun = inject(&mut world, 0, from, &claim.request());
                assert_eq!(begun, Some(Verdict::Taken), "{from}");
                let answers = recorded(&world, 0, TransactionKind::Join, PacketKind::Response);
                assert_eq!(answers.last().unwrap().to, from);
            }
        }
    }

    fn joins_beside_proven_remotes_are_told_apart_by_their_addresses<S>() {
        // Ids are everyone's own: two may have the same. An index that scans asks about both.
        for first in 0..2 {
            let (mut world, other, _) = World::<S>::allowed();
            world.add(config("third", 3));
            world.connect(2, 0);
            world.run(ms(200));
            let third = world.estates[0].stack.find("third").unwrap();
            assert!(world.estates[0].stack.remote(third).unwrap().proven);
            let joins = [
                (other, address(5), Claim { source: 77, ..stranger("other", 2, 1) }),
                (third, address(6), Claim { source: 77, ..stranger("third", 3, 2) }),
            ];
            for wanted in [Verdict::Taken, Verdict::Repeated] {
                for (_, from, claim) in &joins {
                    let verdict = inject(&mut world, 0, *from, &claim.request());
                    assert_eq!(verdict, Some(wanted), "{}", claim.name);
                }
            }
            for n in [first, 1 - first] {
                let (remote, from, claim) = &joins[n];
                assert!(joining(&world, *remote), "{}", claim.name);
                let acked = inject(&mut world, 0, *from, &claim.ack());
                assert_eq!(acked, Some(Verdict::Taken), "{}", claim.name);
                assert!(!joining(&world, *remote), "{}", claim.name);
            }
        }
    }

    fn joins_under_one_id_from_one_address_are_told_apart<S>() {
        // Who sees a stranger's request may say other names under its id, and from where it is.
        for first in 0..2 {
            let mut world = World::<S>::new();
            world.add(Config { main: true, ..config("main", 1) });
            let joins = [
                Claim { source: 77, ..stranger("guest", 9, 1) },
                Claim { source: 77, ..stranger("shadow", 8, 2) },
            ];
            for wanted in [Verdict::Taken, Verdict::Repeated] {
                for claim in &joins {
                    assert_eq!(inject(&mut world, 0, address(5), &claim.request()), Some(wanted));
                }
            }
            for n in [first, 1 - first] {
                let remote = world.estates[0].stack.find(joins[n].name).unwrap();
                assert!(joining(&world, remote));
                assert_eq!(inject(&mut world, 0, address(5), &joins[n].ack()), Some(Verdict::Taken));
                assert!(!joining(&world, remote), "{}", joins[n].name);
            }
        }
    }

    fn a_join_from_where_another_is_held_is_found_though_that_one_is_claimed_elsewhere<S>() {
        let (mut world, other, _) = World::<S>::allowed();
        let claimed = Claim { source: 77, ..stranger("other", 2, 1) };
        assert_eq!(inject(&mut world, 0, address(5), &claimed.request()), Some(Verdict::Taken));
        let third = Claim { source: 77, ..stranger("third", 3, 2) };
        for wanted in [Verdict::Taken, Verdict::Repeated] {
            assert_eq!(inject(&mut world, 0, address(1), &third.request()), Some(wanted));
        }
        let remote = world.estates[0].stack.find("third").unwrap();
        assert!(joining(&world, remote));
        assert_eq!(inject(&mut world, 0, address(1), &third.ack()), Some(Verdict::Taken));
        assert!(!joining(&world, remote) && joining(&world, other));
    }

    fn an_answer_counts_and_no_claim_that_is_older<S>() {
        // In the name of main, and from its address, somebody joins other under an id that main never
        // had. Other asks main again: before its allow over that claim, or during it.
        for open in [false, true] {
            let mut world = World::<S>::new();
            for (text, n) in [("main", 1), ("other", 2)] {
                let mut config = config(text, n);
                config.main = true;
                world.add(config);
            }
            world.lose = Box::new(|p| p.kind().0 == TransactionKind::Allow);
            let main = world.connect(1, 0);
            world.run(ms(4500));
            let held = world.estates[1].stack.remote(main).unwrap();
            assert!(held.joined && !held.proven);
            let real = (address(0), held.far);
            let claim = stranger("main", 1, 1);
            inject(&mut world, 1, address(0), &claim.request());
            inject(&mut world, 1, address(0), &claim.ack());
            assert!(world.estates[1].stack.remotes.get(main.0).unwrap().candidate.is_some());
            world.forget_past();
            if open {
                world.run(ms(1000));
                assert_eq!(hellos(&world, 1).first(), Some(&(address(0), claim.source)));
            }
            world.lose = Box::new(|_| false);
            world.forget_past();
            let now = world.now;
            world.estates[1].stack.join(now, main).unwrap();
            world.run(ms(100));
            assert_eq!(hellos(&world, 1), [real], "open {open}");
            let now = world.estates[1].stack.remote(main).unwrap();
            assert_eq!((now.allowed, now.far), (true, real.1), "open {open}");
        }
    }

    fn an_allow_over_an_older_claim_ends_with_the_next_answer<S>() {
        // Other joined main and moves before its allow; the cookie for it there is late. Main has asked
        // where other was, meanwhile, and other answers: that is newer.
        let mut world = World::<S>::new();
        let mut main = config("main", 1);
        (main.main, main.cascade) = (true, true);
        world.add(main);
        world.add(config("other", 2));
        world.lose = Box::new(|p| p.kind().0 == TransactionKind::Allow);
        world.connect(1, 0);
        world.run(ms(200));
        let other = world.estates[0].stack.find("other").unwrap();
        let near = world.estates[0].stack.remote(other).unwrap().far;
        world.add(config("other", 2));
        let late = |kind| kind == (TransactionKind::Allow, PacketKind::Cookie);
        world.lose = Box::new(move |p| {
            late(p.kind()) || p.kind().0 == TransactionKind::Allow && p.from == address(1)
        });
        world.connect(2, 0);
        world.run(ms(100));
        let cookie = recorded(&world, 0, TransactionKind::Allow, PacketKind::Cookie).remove(0);
        assert_eq!(cookie.to, address(2));
        world.forget_past();
        let now = world.now;
        world.estates[0].stack.join(now, other).unwrap();
        world.run(ms(11));
        assert_eq!(hellos(&world, 0), [(address(1), near)]);
        world.lose = Box::new(|_| false);
        world.deliver(cookie);
        world.run(ms(100));
        let held = world.estates[0].stack.remote(other).unwrap();
        assert_eq!((held.allowed, held.address), (true, address(1)));
    }

    fn a_claim_has_no_say_in_an_allow_over_what_is_held<S>() {
        for word in [PacketKind::Unjoined, PacketKind::Reject, PacketKind::Refuse] {
            // Main takes any keys, so a stranger's make a candidate.
            let mut world = World::<S>::pair_with(|main| main.trust = Trust::Always, |_| {});
            world.connect(1, 0);
            world.run(ms(500));
            world.forget_past();
            let other = world.estates[0].stack.find("other").unwrap();
            let now = world.now;
            world.estates[0].stack.allow(now, other).unwrap();
            world.settle();
            let hello = recorded(&world, 0, TransactionKind::Allow, PacketKind::Hello).remove(0);
            let open = Frame::parse(&hello.bytes).unwrap().head;
            let claim = Claim { role: "other", ..stranger("other", 7, 1) };
            inject(&mut world, 0, address(5), &claim.request());
            let mut head = Head::new(word, TransactionKind::Allow);
            head.flags = Flags::CORRESPONDENT;
            head.foot = FootKind::Nacl;
            (head.source, head.destination) = (claim.source, open.source);
            (head.session, head.transaction_id) = (open.session, open.transaction_id);
            let verdict = inject(&mut world, 0, address(5), &packet(&head, &[], 7));
            assert_eq!(verdict, Some(Verdict::Dropped(Reason::Address)), "{word:?}");
            world.run(ms(100));
            let other = world.estates[0].stack.remote(other).unwrap();
            assert!(other.joined && other.allowed, "{word:?}");
            assert!(!world.happened(0).iter().any(|what| matches!(what, RemoteEvent::AllowFailed(_))));
            assert_eq!(other.keys, Some(keys(2)));
        }
    }

    fn an_allow_over_a_claim_ends_without_a_word<S>() {
        let mut world = World::<S>::pair_with(|_| {}, |c| (c.name, c.role) = (name("a"), name("a")));
        let main = world.connect(1, 0);
        world.run(ms(500));
        let a = world.estates[0].stack.find("a").unwrap();
        let claim = Claim { role: "a", ..stranger("a", 2, 1) };
        inject(&mut world, 0, address(5), &claim.request());
        world.forget_past();
        let now = world.now;
        world.estates[0].stack.start_allow_with(now, a.0.slot(), Target::Candidate);
        world.estates[0].stack.settle(a.0.slot());
        world.settle();
        assert_eq!(hellos(&world, 0), [(address(5), claim.source)]);
        // The true one begins an allow meanwhile, and by their names that one goes on.
        world.estates[1].stack.allow(now, main).unwrap();
        world.run(ms(100));
        assert!(world.estates[0].stack.remote(a).unwrap().allowed);
        let claimed = world.log.iter().filter(|(_, p)| p.to == address(5));
        assert_eq!(claimed.count(), 1);
    }

    fn a_recorded_hello_over_a_forged_join_does_not_hold_up_our_own_allow<S>() {
        // Nor where main has called and a forged request comes instead of an answer.
        for (own, called) in [("a-main", false), ("z-main", false), ("a-main", true), ("z-main", true)] {
            let mut world = World::<S>::new();
            let mut main = config(own, 1);
            main.main = true;
            world.add(main);
            world.add(config("other", 2));
            world.connect(1, 0);
            world.run(ms(500));
            let hello = recorded(&world, 1, TransactionKind::Allow, PacketKind::Hello).remove(0);
            let far = Frame::parse(&hello.bytes).unwrap().head.source;
            // Main is to reach other, which is silent; a stranger plays the recording over and over.
            let mut main = config(own, 1);
            main.main = true;
            let records = world.estates[0].records.clone();
            world.restart(0, main, records);
            world.lose = Box::new(|p| p.from == address(1) || p.to == address(1));
            let other = world.connect(0, 1);
            if called {
                world.connect(0, 7);
            }
            for ti in 1..200 {
                let claim = Claim { role: "other", source: far, ..stranger("other", 2, ti) };
                inject(&mut world, 0, address(7), &claim.request());
                inject(&mut world, 0, address(7), &claim.ack());
                inject(&mut world, 0, address(7), &hello.bytes);
                world.run(ms(100));
            }
            world.forget_past();
            world.lose = Box::new(|_| false);
            let mut ti = 1000;
            while ti < 4000 && !world.estates[0].stack.remote(other).unwrap().allowed {
                ti += 1;
                let claim = Claim { role: "other", source: far, ..stranger("other", 2, ti) };
                inject(&mut world, 0, address(7), &claim.request());
                inject(&mut world, 0, address(7), &hello.bytes);
                world.run(ms(100));
            }
            assert!(world.estates[0].stack.remote(other).unwrap().allowed, "{own} {called}");
        }
    }
}
