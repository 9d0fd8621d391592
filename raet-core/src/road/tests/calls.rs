//! Who answers where the host calls may be known already, and held elsewhere (H4).

use std::boxed::Box;
use std::vec::Vec;

use core::num::NonZeroU32;

use super::both;
use super::forge::{answer, inject, recorded, respond, says};
use super::world::{Packet, World, address, config, lossy, ms, name, secrets};
use crate::config::Config;
use crate::error::SendError;
use crate::event::{AllowFailure, Event, JoinFailure, Outcome, RemoteEvent};
use crate::keep::Record;
use crate::road::{RemoteId, RemoteInfo, SendOptions};
use crate::stats::{Reason, Verdict};
use crate::storage::Storage;
use crate::wire::{Frame, PacketKind, TransactionKind};

fn main_config(mutable: bool) -> Config {
    let mut main = config("main", 1);
    (main.main, main.mutable) = (true, mutable);
    main
}

/// A pair with a session, whose main moves then: it is estate 2, with the records that `keep` leaves it.
fn moved<S: Storage>(
    mutable: bool,
    keep: impl FnOnce(Vec<Record>) -> Vec<Record>,
) -> (World<S>, RemoteId) {
    let change = move |c: &mut Config| c.mutable = mutable;
    let mut world = World::<S>::pair_with(change, change);
    let known = world.connect(1, 0);
    world.run(ms(500));
    assert!(world.estates[1].stack.remote(known).unwrap().allowed);
    let records = keep(world.estates[0].records.clone());
    world.add_with(main_config(mutable), S::LIMITS, records);
    world.lose = Box::new(|p| p.to == address(0) || p.from == address(0));
    world.forget_past();
    (world, known)
}

fn same_as<S: Storage>(world: &World<S>, n: usize) -> Vec<(RemoteId, RemoteId)> {
    let same = told(world, n)
        .into_iter()
        .filter_map(|(remote, what)| match what {
            RemoteEvent::SameAs(known) => Some((remote, known)),
            _ => None,
        });
    same.collect()
}

/// What estate `n` was told, and of whom.
fn told<S: Storage>(world: &World<S>, n: usize) -> Vec<(RemoteId, RemoteEvent)> {
    let events = world.estates[n].events.iter();
    let told = events.filter_map(|event| match event {
        Event::Remote { remote, what, .. } => Some((*remote, *what)),
        _ => None,
    });
    told.collect()
}

both! {
    fn a_main_that_moved_is_found_where_it_is_called<S>() {
        for (mutable, keeps) in [(true, true), (true, false), (false, true), (false, false)] {
            let keep = |records| if keeps { records } else { Vec::new() };
            let (mut world, known) = moved::<S>(mutable, keep);
            world.send(1, known, 7, b"to where it was");
            let call = world.connect(1, 2);
            assert_ne!(call, known);
            world.send(1, call, 8, b"to where it is");
            world.run(ms(1000));
            assert_eq!(same_as(&world, 1), [(call, known)], "mutable {mutable}, keeps {keeps}");
            let held = world.estates[1].stack.remote(known).unwrap();
            assert_eq!((held.allowed, held.address), (true, address(2)));
            assert!(world.estates[1].stack.remote(call).is_none());
            let sent = world.estates[1].stack.send(world.now, call, SendOptions::default(), 0, |_| {});
            assert_eq!(sent, Err(SendError::Gone));
            let bodies: Vec<_> = world.estates[2].messages.iter().map(|(_, body)| &body[..]).collect();
            assert_eq!(bodies, [&b"to where it was"[..], b"to where it is"]);
            assert_eq!(world.outcomes(1), [(7, Outcome::Delivered), (8, Outcome::Delivered)]);
            assert!(!world.happened(1).iter().any(|what| matches!(what, RemoteEvent::JoinFailed(_))));
            // And back again, by the same number.
            let other = world.estates[2].stack.find("other").unwrap();
            world.send(2, other, 9, b"heard");
            world.run(ms(100));
            assert_eq!(world.estates[1].messages, [("main".into(), b"heard".to_vec())]);
        }
    }

    fn two_that_moved_before_they_had_met_find_each_other<S>() {
        // Each has heard the other's name where it was: in a request, or in a join that no allow followed.
        for lost in [PacketKind::Response, PacketKind::Hello] {
            let mut world = World::<S>::pair_with(|_| {}, |other| other.main = true);
            world.lose = Box::new(move |p| p.kind().1 == lost);
            let old = [world.connect(0, 1), world.connect(1, 0)];
            world.run(ms(2000));
            let names = ["other", "main"];
            let heard = (0..2).filter(|n| world.estates[*n].stack.find(names[*n]) == Some(old[*n]));
            // Of two requests that cross one is refused.
            let both = if lost == PacketKind::Response { 1 } else { 2 };
            assert_eq!(heard.count(), both, "{lost:?}");
            for (n, old) in old.into_iter().enumerate() {
                world.send(n, old, 1, b"to whoever is there");
            }
            world.estates[0].address = address(4);
            world.estates[1].address = address(5);
            world.run(ms(20_000));
            world.lose = Box::new(|_| false);
            let new = [world.connect(0, 5), world.connect(1, 4)];
            world.run(ms(60_000));
            for (n, name) in names.into_iter().enumerate() {
                let found = world.estates[n].stack.find(name).unwrap();
                assert!(world.estates[n].stack.remote(found).unwrap().allowed, "{lost:?}");
                assert_eq!(found, new[n]);
                // What was for whoever is at the old address waits for them.
                let old = world.estates[n].stack.remote(old[n]).unwrap();
                assert_eq!((old.name.as_str(), old.queued), ("", 1));
            }
        }
    }

    fn it_is_found_while_it_begins_a_session_itself<S>() {
        for names in [["main", "other"], ["main", "a-client"]] {
            let mut world = World::<S>::pair_with(|_| {}, |c| (c.name, c.role) = (name(names[1]), name(names[1])));
            world.connect(1, 0);
            world.run(ms(500));
            let records = world.estates[0].records.clone();
            world.add_with(main_config(true), S::LIMITS, records);
            let (again, records) = (config(names[1], 2), world.estates[1].records.clone());
            world.restart(1, again, records);
            let known = world.estates[1].stack.find("main").unwrap();
            let client = world.estates[2].stack.find(names[1]).unwrap();
            // Meanwhile the client misses it where it was, and is not heard.
            world.lose = Box::new(|_| true);
            world.send(1, known, 7, b"waits");
            world.estates[2].stack.allow(world.now, client).unwrap();
            world.run(ms(100));
            world.lose = Box::new(|p| p.to == address(0) || p.from == address(0));
            let call = world.connect(1, 2);
            world.send(1, call, 8, b"found");
            world.run(ms(1500));
            assert_eq!(world.outcomes(1).len(), 2, "{names:?}");
        }
    }

    fn it_is_found_through_loss<S>() {
        for seed in 0..20 {
            let (mut world, known) = moved::<S>(true, |records| records);
            let mut loses = lossy(seed, 20);
            world.lose = Box::new(move |p| p.to == address(0) || p.from == address(0) || loses(p));
            let call = world.connect(1, 2);
            world.send(1, call, 8, b"found");
            world.run(ms(180_000));
            assert_eq!(world.outcomes(1), [(8, Outcome::Delivered)], "seed {seed}");
            assert_eq!(same_as(&world, 1), [(call, known)], "seed {seed}");
        }
    }

    fn who_is_found_keeps_its_own_token<S>() {
        let of = |world: &World<S>, id| world.estates[1].stack.remote(id).unwrap().token;
        let (mut world, known) = moved::<S>(true, |records| records);
        world.estates[1].stack.set_token(known, 5).unwrap();
        world.estates[1].stack.connect(world.now, address(2), 6).unwrap();
        world.run(ms(1000));
        assert_eq!(of(&world, known), 5);
        // One that the host knew nothing of, since the keep knows it, has none.
        let (mut world, _) = moved::<S>(true, |records| records);
        let records = world.estates[1].records.clone();
        world.restart(1, config("other", 2), records);
        world.estates[1].stack.connect(world.now, address(2), 6).unwrap();
        world.run(ms(1000));
        let known = world.estates[1].stack.find("main").unwrap();
        assert_eq!(of(&world, known), 6);
        let told = |e: &Event| matches!(e, Event::Remote { token: 6, what: RemoteEvent::Allowed, .. });
        assert!(world.estates[1].events.iter().any(told));
    }

    fn whoever_only_says_that_it_is_known_changes_nothing<S>() {
        // With keys of its own, or with those that everyone knows: it cannot sign by them, or says no more.
        let cases = [
            (9, PacketKind::Hello, RemoteEvent::JoinFailed(JoinFailure::RejectedHere)),
            (1, PacketKind::Cookie, RemoteEvent::AllowFailed(AllowFailure::Timeout)),
            (1, PacketKind::Response, RemoteEvent::JoinFailed(JoinFailure::Timeout)),
        ];
        for (keys, silent, why) in cases {
            let mut world = World::<S>::pair();
            let known = world.connect(1, 0);
            world.run(ms(500));
            let mut mallory = main_config(true);
            mallory.secrets = secrets(keys);
            world.add(mallory);
            let call = world.connect(1, 2);
            let calls = world.estates[1].stack.remote(call).unwrap().near;
            world.lose = Box::new(move |p| {
                let to_call = Frame::parse(&p.bytes).unwrap().head.destination == calls;
                p.from == address(2) && p.kind().1 == silent && !to_call
            });
            world.forget_past();
            let before = world.estates[1].stack.remote(known).unwrap();
            for n in 0..60 {
                world.send(1, known, n, b"for main alone");
                world.run(ms(500));
            }
            let mut told = told(&world, 1);
            told.retain(|(remote, _)| *remote == call);
            assert!(told.len() > 1 && told.iter().all(|(_, what)| *what == why), "{why:?}: {told:?}");
            let after = world.estates[1].stack.remote(known).unwrap();
            let of = |r: &RemoteInfo| (r.address, r.keys, r.session, r.allowed);
            assert_eq!(of(&after), of(&before), "{why:?}");
            assert!(world.estates[1].stack.remote(call).is_some());
            assert_eq!(world.outcomes(1).len(), 60, "{why:?}");
            assert_eq!((world.estates[0].messages.len(), world.estates[2].messages.len()), (60, 0));
        }
    }

    fn a_call_that_is_put_off_leaves_the_known_one_alone<S>() {
        let (mut world, _, known) = World::<S>::allowed();
        let call = world.connect(1, 5);
        world.settle();
        respond(&mut world, 1, 5, &says("main", 1));
        world.settle();
        // By its known number it asks there, and is told that a person is to decide.
        assert_eq!(answer(&mut world, 1, 5, PacketKind::Pend, &[]), Verdict::Taken);
        world.settle();
        let timeout = RemoteEvent::JoinFailed(JoinFailure::Timeout);
        assert_eq!(told(&world, 1), [(call, timeout)]);
        // Meanwhile main was started anew, and what is for it must not wait for that person.
        let records = world.estates[0].records.clone();
        world.restart(0, main_config(true), records);
        let begins = [PacketKind::Request, PacketKind::Hello];
        world.lose = Box::new(move |p| p.from == address(0) && begins.contains(&p.kind().1));
        world.send(1, known, 7, b"for main");
        world.run(ms(20_000));
        assert_eq!(world.outcomes(1), [(7, Outcome::Delivered)]);
    }

    fn an_answer_that_proved_nothing_is_good_for_one_attempt<S>() {
        let (mut world, other, known) = World::<S>::allowed();
        world.estates[0].stack.allow(world.now, other).unwrap();
        world.run(ms(100));
        let hello = recorded(&world, 0, TransactionKind::Allow, PacketKind::Hello).remove(0);
        world.forget_past();
        let call = world.connect(1, 5);
        world.settle();
        let mut main = says("main", 1);
        main.uid = NonZeroU32::new(Frame::parse(&hello.bytes).unwrap().head.source);
        for _ in 0..2 {
            respond(&mut world, 1, 5, &main);
            world.settle();
        }
        let tried = recorded(&world, 1, TransactionKind::Allow, PacketKind::Hello);
        assert_eq!(tried.iter().map(|p| p.to).collect::<Vec<_>>(), [address(5)]);
        world.run(ms(5000));
        let failed = RemoteEvent::AllowFailed(AllowFailure::Timeout);
        assert!(told(&world, 1).contains(&(call, failed)), "whoever answered has no keys");
        // Else what is held could be kept waiting with it, over and over.
        let verdict = inject(&mut world, 1, address(5), &hello.bytes);
        assert_eq!(verdict, Some(Verdict::Dropped(Reason::Address)));
        assert!(world.estates[1].stack.remote(known).unwrap().allowed);
    }

    fn who_has_come_to_the_place_of_another_answers_for_it<S>() {
        let (mut world, _, known) = World::<S>::allowed();
        // Somebody else says a name there, and proves nothing.
        let call = world.connect(1, 5);
        world.settle();
        respond(&mut world, 1, 5, &says("third", 3));
        world.run(ms(100));
        assert_eq!(world.estates[1].stack.remote(call).unwrap().name.as_str(), "third");
        let near = world.estates[1].stack.remote(call).unwrap().near;
        world.send(1, call, 8, b"to whoever is there");
        // Main moves there, and is held there; then the call is asked again.
        world.estates[0].address = address(5);
        let other = world.estates[0].stack.find("other").unwrap();
        world.estates[0].stack.join(world.now, other).unwrap();
        world.run(ms(200));
        assert_eq!(world.estates[1].stack.remote(known).unwrap().address, address(5));
        world.forget_past();
        world.run(ms(60_000));
        assert_eq!(same_as(&world, 1), [(call, known)]);
        assert_eq!(world.outcomes(1), [(8, Outcome::Delivered)]);
        let requests = recorded(&world, 1, TransactionKind::Join, PacketKind::Request);
        let asked = |p: &Packet| Frame::parse(&p.bytes).unwrap().head.source;
        assert!(!requests.is_empty());
        assert!(requests.iter().all(|p| asked(p) == near), "it is not asked where it is held");
    }

    fn an_answered_call_goes_first_when_the_keep_is_slow<S>() {
        let (mut world, known) = moved::<S>(true, |records| records);
        let stored = core::mem::take(&mut world.estates[1].stack.sessions_stored);
        let call = world.connect(1, 2);
        world.run(ms(100));
        assert_eq!(same_as(&world, 1), []);
        world.estates[1].stack.sessions_stored = stored;
        world.run(ms(1000));
        assert_eq!(same_as(&world, 1), [(call, known)]);
    }
}
