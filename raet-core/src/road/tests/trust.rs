//! Joins: who is let in, who decides, and what a claim can do to what was proven.

use std::vec;
use std::vec::Vec;

use super::both;
use super::forge::keys;
use super::world::{Packet, World, address, config, ms, name};
use crate::config::{Presence, Trust};
use crate::crypto::{NaclSuite, PublicKeys};
use crate::error::{IntroduceError, JudgeError};
use crate::event::{Event, JoinFailure, Outcome, RemoteEvent};
use crate::keep::{Record, Status};
use crate::road::{RemoteId, RoadStack};
use crate::storage::Storage;
use crate::time::Duration;
use crate::wire::{PacketKind, TransactionKind};

/// `main` leaves keys to a person.
fn careful<S: Storage>() -> World<S> {
    let mut world = World::new();
    let mut main = config("main", 1);
    main.main = true;
    main.trust = Trust::Never;
    world.add(main);
    world.add(config("other", 2));
    world
}

fn judge<S: Storage>(world: &mut World<S>, n: usize, role: &str, status: Status) {
    let now = world.now;
    world.estates[n]
        .stack
        .judge_role(now, role, status, None)
        .unwrap();
}

fn role_status<S: Storage>(stack: &RoadStack<S, NaclSuite>, role: &str) -> Option<Status> {
    stack.roles().find(|r| r.name == role).map(|r| r.status)
}

both! {
    fn a_pending_join_goes_on_as_soon_as_a_person_accepts<S>() {
        let mut world = careful::<S>();
        let main = world.connect(1, 0);
        world.send(1, main, 1, b"kept");
        world.run(ms(2000));
        assert_eq!(world.happened(0), vec![RemoteEvent::Pending { here: true }]);
        assert_eq!(world.happened(1), vec![RemoteEvent::Pending { here: false }]);
        assert_eq!(role_status(&world.estates[0].stack, "other"), Some(Status::Pending));
        judge(&mut world, 0, "other", Status::Accepted);
        world.run(ms(100));
        assert_eq!(world.outcomes(1), vec![(1, Outcome::Delivered)]);
    }

    fn a_pended_join_is_tried_again_until_it_is_accepted<S>() {
        let mut world = careful::<S>();
        let main = world.connect(1, 0);
        world.send(1, main, 1, b"kept");
        world.run(ms(150_000));
        assert_eq!(world.happened(1), vec![RemoteEvent::Pending { here: false }]);
        judge(&mut world, 0, "other", Status::Accepted);
        world.run(ms(2000));
        assert_eq!(world.outcomes(1), vec![(1, Outcome::Delivered)]);
    }

    /// Whatever the joins of both sides are at, and whichever side a person accepts on.
    fn a_pending_peer_is_in_soon_after_it_is_accepted<S>() {
        for (here, mutable) in [(0, false), (0, true), (1, false), (1, true)] {
            for wait in (20..8000).step_by(487).chain((60_000..140_000).step_by(973)) {
                let mut world = World::<S>::new();
                for n in 0..2 {
                    let mut config = config(["main", "other"][n], n as u8 + 1);
                    config.main = n == 0;
                    config.mutable = mutable;
                    config.trust = if n == here { Trust::Never } else { Trust::Once };
                    world.add(config);
                }
                let main = world.connect(1, 0);
                world.send(1, main, 1, b"kept");
                world.run(ms(wait));
                judge(&mut world, here, ["other", "main"][here], Status::Accepted);
                world.run(ms(2000));
                let case = (here, mutable, wait);
                assert_eq!(world.outcomes(1), vec![(1, Outcome::Delivered)], "{case:?}");
            }
        }
    }

    /// A main that forgot the open join reaches for the peer itself, which still waits for an answer.
    fn a_pending_peer_is_in_soon_after_a_restart_and_its_acceptance<S>() {
        for wait in [100, 3000, 61_000] {
            let mut world = careful::<S>();
            let main = world.connect(1, 0);
            world.send(1, main, 1, b"kept");
            world.run(ms(wait));
            let records = world.estates[0].records.clone();
            let mut again = config("main", 1);
            (again.main, again.trust) = (true, Trust::Never);
            world.restart(0, again, records);
            judge(&mut world, 0, "other", Status::Accepted);
            world.run(ms(2000));
            assert_eq!(world.outcomes(1), vec![(1, Outcome::Delivered)], "{wait}");
        }
    }

    /// A keep on files would pay for each time with a write.
    fn a_peer_that_asks_again_and_again_is_recorded_once<S>() {
        let mut world = careful::<S>();
        world.connect(1, 0);
        world.run(ms(1000));
        let estate = &world.estates[0];
        assert!(estate.records.iter().any(|record| matches!(record, Record::Remote(_))));
        let written = estate.written;
        world.run(ms(300_000));
        let asked = world.estates[1].stack.stats().datagrams_out;
        assert!(asked > 4, "{asked}");
        assert_eq!(world.estates[0].written, written);
    }

    /// The first answer after the acceptance is lost.
    fn an_acceptance_is_told_until_it_is_heard<S>() {
        let mut world = careful::<S>();
        let main = world.connect(1, 0);
        world.send(1, main, 1, b"kept");
        world.run(ms(1000));
        judge(&mut world, 0, "other", Status::Accepted);
        let mut lost = 0;
        world.lose = std::boxed::Box::new(move |_| {
            lost += 1;
            lost <= 1
        });
        world.run(ms(2000));
        assert_eq!(world.outcomes(1), vec![(1, Outcome::Delivered)]);
    }

    /// One that set no limits of time (as 0.6.8 is deployed where people judge keys) goes on with the
    /// very join that it pended: ours must still be open then.
    fn a_join_that_waits_for_a_person_over_there_stays_open<S>() {
        let mut world = World::<S>::new();
        let mut main = config("main", 1);
        (main.main, main.trust) = (true, Trust::Never);
        main.timers.joinent.timeout = Duration::ZERO;
        world.add(main);
        world.add(config("other", 2));
        world.connect(1, 0);
        world.run(ms(200_000));
        assert_eq!(world.happened(1), vec![RemoteEvent::Pending { here: false }]);
        let requests = world.sent(1);
        assert!(requests.len() <= 5, "{requests:?}");
        judge(&mut world, 0, "other", Status::Accepted);
        world.run(ms(100));
        assert!(world.happened(1).contains(&RemoteEvent::Allowed));
    }

    /// Who told us to wait and then vanished is not waited for in vain.
    fn a_held_join_ends_when_nobody_answers_any_more<S>() {
        let mut world = careful::<S>();
        world.connect(1, 0);
        world.run(ms(1000));
        world.forget_past();
        world.lose = std::boxed::Box::new(|_| true);
        world.run(ms(70_000));
        assert!(world.happened(1).contains(&RemoteEvent::JoinFailed(JoinFailure::Timeout)));
    }

    fn a_rejection_is_told_and_accepting_later_lets_it_in<S>() {
        let mut world = careful::<S>();
        world.connect(1, 0);
        world.run(ms(1000));
        judge(&mut world, 0, "other", Status::Rejected);
        world.run(ms(500));
        assert!(world.happened(1).contains(&RemoteEvent::JoinFailed(JoinFailure::Rejected)));
        assert_eq!(role_status(&world.estates[0].stack, "other"), Some(Status::Rejected));
        judge(&mut world, 0, "other", Status::Accepted);
        world.run(ms(120_000));
        assert!(world.happened(1).contains(&RemoteEvent::Allowed));
    }

    fn keys_can_be_accepted_before_anyone_shows_them<S>() {
        let mut world = careful::<S>();
        let now = world.now;
        let stack = &mut world.estates[0].stack;
        stack.introduce_role(now, "other", &keys(2), Status::Accepted).unwrap();
        stack.introduce_role(now, "third", &keys(3), Status::Accepted).unwrap();
        let again = stack.introduce_role(now, "third", &keys(4), Status::Accepted);
        assert_eq!(again, Err(IntroduceError::OtherKeys));
        let weak = PublicKeys { verify: [0; 32], public: [0; 32] };
        assert_eq!(stack.introduce_role(now, "weak", &weak, Status::Accepted), Err(IntroduceError::WeakKeys));
        assert_eq!(stack.introduce_role(now, "a b", &keys(5), Status::Accepted), Err(IntroduceError::Name));
        world.connect(1, 0);
        world.run(ms(200));
        assert!(!world.happened(0).contains(&RemoteEvent::Pending { here: true }));
        assert!(world.happened(0).contains(&RemoteEvent::Allowed));
        // What nobody has shown yet survives a restart, too.
        let records = world.estates[0].records.clone();
        let mut again = config("main", 1);
        (again.main, again.trust) = (true, Trust::Never);
        world.restart(0, again, records);
        assert_eq!(role_status(&world.estates[0].stack, "third"), Some(Status::Accepted));
    }

    fn a_forgotten_role_leaves_nothing_behind<S>() {
        let mut world = careful::<S>();
        let main = world.connect(1, 0);
        world.run(ms(100));
        judge(&mut world, 0, "other", Status::Accepted);
        world.run(ms(200));
        let now = world.now;
        let stack = &mut world.estates[0].stack;
        stack.introduce_role(now, "third", &keys(3), Status::Rejected).unwrap();
        world.run(ms(100));
        let now = world.now;
        let stack = &mut world.estates[0].stack;
        stack.forget_role(now, "other").unwrap();
        stack.forget_role(now, "third").unwrap();
        assert_eq!(stack.forget_role(now, "third"), Err(JudgeError::Unknown));
        assert_eq!(stack.roles().count() + stack.remotes().count(), 0);
        world.forget_past();
        world.settle();
        assert_eq!(world.happened(0), vec![RemoteEvent::Forgotten]);
        let kept = |record: &Record| matches!(record, Record::Remote(_) | Record::Role(_));
        assert!(!world.estates[0].records.iter().any(kept));
        // Whoever comes back is a stranger.
        world.send(1, main, 1, b"kept");
        world.run(ms(60_000));
        assert_eq!(role_status(&world.estates[0].stack, "other"), Some(Status::Pending));
        assert_eq!(world.outcomes(1), vec![]);
    }

    fn a_join_that_fails_changes_nothing_of_one_that_is_complete<S>() {
        let mut world = World::<S>::pair();
        let allow = |p: &Packet| p.kind().0 == TransactionKind::Allow;
        world.lose = std::boxed::Box::new(move |p| allow(p));
        world.connect(1, 0);
        world.run(ms(200));
        let id = world.estates[0].stack.find("other").unwrap();
        let held = world.estates[0].stack.remote(id).unwrap();
        assert!(held.joined && !held.proven);
        // Somebody else with the same public credentials asks, and never acks.
        world.add(config("other", 2));
        world.lose = std::boxed::Box::new(move |p| allow(p) || p.to == address(2));
        world.connect(2, 0);
        world.run(ms(100));
        let now = world.estates[0].stack.remote(id).unwrap();
        assert_eq!((now.address, now.far), (address(1), held.far));
        world.lose = std::boxed::Box::new(|p| p.from == address(2) || p.to == address(2));
        world.run(ms(3000));
        let now = world.estates[0].stack.remote(id).unwrap();
        assert!(now.allowed && now.address == address(1) && now.far == held.far);
    }

    fn who_moves_between_its_join_and_its_allow_is_followed<S>() {
        let mut world = World::<S>::pair();
        world.lose = std::boxed::Box::new(|p| p.kind().0 == TransactionKind::Allow);
        world.connect(1, 0);
        world.run(ms(200));
        // The same estate, elsewhere.
        world.add(config("other", 2));
        world.lose = std::boxed::Box::new(|p| p.from == address(1) || p.to == address(1));
        world.connect(2, 0);
        world.run(ms(3000));
        let id = world.estates[0].stack.find("other").unwrap();
        let now = world.estates[0].stack.remote(id).unwrap();
        assert!(now.allowed && now.address == address(2));
    }

    fn a_joiner_may_wait_for_a_person_too<S>() {
        let mut world = World::<S>::pair_with(|_| {}, |other| other.trust = Trust::Never);
        world.connect(1, 0);
        world.run(ms(1000));
        assert_eq!(world.happened(0), vec![RemoteEvent::Pending { here: false }]);
        assert_eq!(world.happened(1), vec![RemoteEvent::Pending { here: true }]);
        judge(&mut world, 1, "main", Status::Accepted);
        world.run(ms(100));
        assert!(world.happened(1).contains(&RemoteEvent::Allowed));
    }

    fn what_is_accepted_is_the_key_that_was_shown<S>() {
        let mut world = careful::<S>();
        world.connect(1, 0);
        world.run(ms(100));
        let now = world.now;
        let stack = &mut world.estates[0].stack;
        let refused = stack.judge_role(now, "other", Status::Accepted, Some(&keys(9)));
        assert_eq!(refused, Err(JudgeError::KeysChanged));
        assert_eq!(role_status(stack, "other"), Some(Status::Pending));
        stack.judge_role(now, "other", Status::Accepted, Some(&keys(2))).unwrap();
        assert_eq!(stack.judge_role(now, "nobody", Status::Accepted, None), Err(JudgeError::Unknown));
    }

    fn other_keys_for_a_proven_role_are_offered_to_a_person<S>() {
        let (mut world, other, _) = World::<S>::allowed();
        let records = world.estates[1].records.clone();
        world.restart(1, config("other", 3), records);
        let main = world.estates[1].stack.find("main").unwrap();
        let now = world.now;
        world.estates[1].stack.join(now, main).unwrap();
        world.run(ms(500));
        assert!(world.happened(1).contains(&RemoteEvent::JoinFailed(JoinFailure::Rejected)));
        assert!(world.estates[0].stack.remote(other).unwrap().allowed, "the old session goes on");
        let offered = Event::KeysOffered { role: name("other"), keys: keys(3) };
        assert!(world.estates[0].events.contains(&offered));
        let now = world.now;
        let stack = &mut world.estates[0].stack;
        stack.judge_role(now, "other", Status::Accepted, Some(&keys(3))).unwrap();
        world.estates[1].stack.join(now, main).unwrap();
        world.run(ms(500));
        assert!(world.happened(1).contains(&RemoteEvent::Allowed));
    }

    fn only_a_main_estate_takes_strangers<S>() {
        let mut world = World::<S>::new();
        world.add(config("a", 1));
        world.add(config("b", 2));
        world.connect(0, 1);
        world.run(ms(500));
        assert_eq!(world.happened(0), vec![RemoteEvent::JoinFailed(JoinFailure::Rejected)]);
        assert_eq!(world.estates[1].stack.remotes().count(), 0);
    }

    fn strangers_join_both_ways_at_once<S>() {
        for (reversed, mutable) in [(false, true), (true, true), (false, false), (true, false)] {
            let mut world = World::<S>::new();
            for n in 1..=2 {
                let mut main = config(if (n == 1) == reversed { "zoe" } else { "ann" }, n);
                main.main = true;
                main.mutable = mutable;
                world.add(main);
            }
            world.connect(0, 1);
            world.connect(1, 0);
            world.run(ms(3000));
            for n in 0..2 {
                let remotes: Vec<_> = world.estates[n].stack.remotes().collect();
                assert_eq!(remotes.len(), 1, "one remote for one estate");
                assert!(remotes[0].joined && remotes[0].allowed, "{reversed} {mutable} {n}");
            }
        }
    }

    fn a_role_whose_record_was_lost_cannot_be_judged_without_its_keys<S>() {
        let (mut world, _, _) = World::<S>::allowed();
        let kept = world.estates[1].records.iter().filter(|r| !matches!(r, Record::Role(_)));
        let kept = kept.cloned().collect();
        world.restart(1, config("other", 2), kept);
        let now = world.now;
        let stack = &mut world.estates[1].stack;
        let judged = stack.judge_role(now, "main", Status::Accepted, None);
        assert_eq!(judged, Err(JudgeError::Unknown));
        assert_eq!(stack.roles().count(), 0, "there is nothing to be judged");
        world.settle();
        let records = world.estates[1].records.clone();
        world.restart(1, config("other", 2), records);
    }

    fn who_is_asked_for_and_joins_meanwhile_is_one_remote<S>() {
        let (mut world, other, main) = World::<S>::allowed();
        let now = world.now;
        world.estates[1].stack.forget(now, main).unwrap();
        // Both begin: other as a stranger, main under the number that other had for it.
        let main = world.connect(1, 0);
        world.estates[0].stack.join(now, other).unwrap();
        world.send(1, main, 5, b"by the handle that the host holds");
        world.run(ms(10_000));
        assert_eq!(world.estates[1].stack.remotes().count(), 1);
        assert_eq!(world.outcomes(1), vec![(5, Outcome::Delivered)]);
    }

    fn allows_both_ways_at_once_make_one_session<S>() {
        let (mut world, other, main) = World::<S>::allowed();
        let now = world.now;
        world.estates[0].stack.allow(now, other).unwrap();
        world.estates[1].stack.allow(now, main).unwrap();
        world.run(ms(1000));
        world.send(0, other, 1, b"a");
        world.send(1, main, 2, b"b");
        world.run(ms(1000));
        assert_eq!(world.outcomes(0), vec![(1, Outcome::Delivered)]);
        assert_eq!(world.outcomes(1), vec![(2, Outcome::Delivered)]);
        let hellos = world.log.iter().filter(|(_, p)| p.kind() == (TransactionKind::Allow, PacketKind::Initiate));
        assert_eq!(hellos.count(), 1, "the lesser name went on, the other gave way");
    }

    fn a_join_moves_nothing_that_was_proven<S>() {
        // A stranger with other's name, role and public keys, from elsewhere: all of that is public.
        let (mut world, other, _) = World::<S>::allowed();
        let before = world.estates[0].stack.remote(other).unwrap();
        let thief = config("other", 2);
        world.add(thief);
        world.estates[2].stack.connect(world.now, address(0), 0).unwrap();
        let lost = world.estates[1].address;
        world.lose = std::boxed::Box::new(move |p| p.from == lost || p.to == lost || p.kind().0 == TransactionKind::Allow);
        world.run(ms(10_000));
        let after = world.estates[0].stack.remote(other).unwrap();
        assert_eq!((before.address, before.far, before.joined, before.allowed),
                   (after.address, after.far, after.joined, after.allowed));
        world.lose = std::boxed::Box::new(|_| false);
        world.run(ms(100_000));
        let now = world.estates[0].stack.remote(other).unwrap();
        assert_eq!(now.address, world.estates[2].address, "who proves the keys is followed");
        assert_eq!(now.id, other);
    }

    fn an_estate_that_lost_its_keep_comes_back_as_a_stranger<S>() {
        let (mut world, other, _) = World::<S>::allowed();
        world.restart(1, config("other", 2), Vec::new());
        let main = world.connect(1, 0);
        world.send(1, main, 1, b"back");
        world.run(ms(2000));
        assert_eq!(world.outcomes(1), vec![(1, Outcome::Delivered)]);
        assert_eq!(world.estates[0].stack.remotes().count(), 1);
        world.send(0, other, 2, b"welcome");
        world.run(ms(2000));
        assert_eq!(world.outcomes(0), vec![(2, Outcome::Delivered)]);
    }

    fn a_main_that_lost_its_keep_is_found_again<S>() {
        for mutable in [true, false] {
            let mut world = World::<S>::pair_with(|_| {}, |other| { other.mutable = mutable; other.presence = Some(Presence::default()); });
            world.connect(1, 0);
            world.run(ms(3000));
            let mut main = config("main", 1);
            main.main = true;
            main.first_session = 1000;
            world.forget_past();
            world.restart(0, main, Vec::new());
            world.run(ms(60_000));
            let other = world.estates[0].stack.find("other").expect("it joined again");
            assert!(world.estates[0].stack.remote(other).unwrap().allowed, "mutable {mutable}");
            world.send(0, other, 1, b"hello again");
            world.run(ms(2000));
            assert_eq!(world.outcomes(0), vec![(1, Outcome::Delivered)]);
        }
    }

    fn an_estate_of_our_own_name_or_keys_is_refused<S>() {
        for twin in [config("main", 7), config("other", 1)] {
            let mut world = World::<S>::new();
            let mut main = config("main", 1);
            main.main = true;
            main.role = name("shared");
            world.add(main);
            let mut twin = twin;
            twin.role = name("shared");
            world.add(twin);
            world.connect(1, 0);
            world.run(ms(500));
            assert_eq!(world.happened(1), vec![RemoteEvent::JoinFailed(JoinFailure::Rejected)]);
            assert_eq!(world.estates[0].stack.remotes().count(), 0);
        }
    }

    fn one_role_serves_several_estates<S>() {
        let mut world = World::<S>::pair();
        let mut third = config("third", 2);
        third.role = name("other");
        world.add(third);
        world.connect(1, 0);
        world.connect(2, 0);
        world.run(ms(1000));
        let allowed = world.estates[0].stack.remotes().filter(|r| r.allowed).count();
        assert_eq!(allowed, 2);
        assert_eq!(world.estates[0].stack.roles().count(), 1);
    }

    fn a_full_table_displaces_only_who_never_proved_anything<S>() {
        let mut world = World::<S>::new();
        let mut main = config("main", 1);
        main.main = true;
        let mut limits = S::LIMITS;
        limits.remotes = 2;
        limits.roles = 2;
        world.add_with(main, limits, Vec::new());
        for n in 1..5u8 {
            world.add(config(["", "one", "two", "three", "four"][usize::from(n)], n + 1));
        }
        world.connect(1, 0);
        world.run(ms(1000));
        // Two joins that are never proven: what they send after the join is lost.
        let main_at = world.estates[0].address;
        world.lose = std::boxed::Box::new(move |p| p.to == main_at && p.kind().0 == TransactionKind::Allow);
        world.connect(2, 0);
        world.run(ms(1000));
        world.connect(3, 0);
        world.run(ms(2500));
        world.lose = std::boxed::Box::new(|_| false);
        let names: Vec<_> = world.estates[0].stack.remotes().map(|r| r.name).collect();
        assert!(names.contains(&name("one")) && names.contains(&name("three")), "{names:?}");
        world.run(ms(20_000));
        let proven = world.estates[0].stack.remotes().filter(|r| r.proven).count();
        assert_eq!(proven, 2);
        world.connect(4, 0);
        world.run(ms(3000));
        assert!(world.happened(4).is_empty(), "silence when all are proven");
    }

    fn forgetting_ends_everything_about_a_remote<S>() {
        let (mut world, other, main) = World::<S>::allowed();
        world.send(0, other, 5, b"never leaves");
        let now = world.now;
        world.estates[0].stack.forget(now, other).unwrap();
        assert!(world.estates[0].stack.forget(now, other).is_err());
        world.settle();
        assert_eq!(world.outcomes(0), vec![(5, Outcome::Failed(crate::event::Failure::Forgotten))]);
        assert_eq!(world.happened(0), vec![RemoteEvent::Forgotten]);
        assert_eq!(world.estates[0].stack.remotes().count(), 0);
        let _: RemoteId = main;
    }
}
