//! Ids that another was given by a forged join, and session ids of a peer that was forgotten (H8, H10).

use std::boxed::Box;
use std::vec;
use std::vec::Vec;

use crate::event::Outcome;
use crate::keep::Record;
use crate::road::tests::both;
use crate::road::tests::forge::{Claim, inject, stranger};
use crate::road::tests::world::{World, address, config, ms};
use crate::wire::{Frame, PacketKind, TransactionKind};

both! {
    fn a_peer_that_was_given_the_id_of_a_stranger_finds_its_own_remote<S>() {
        // Somebody claims to be at the other's address, and main asks there who it is. The other has lost
        // its remotes but not whom it trusts, and means to reach main: it goes by the id of that claim.
        let (mut world, _, _) = World::<S>::allowed();
        let claim = stranger("evil", 9, 1);
        inject(&mut world, 0, address(1), &claim.request());
        inject(&mut world, 0, address(1), &claim.ack());
        let evil = world.estates[0].stack.find("evil").unwrap();
        let mut records = world.estates[1].records.clone();
        records.retain(|record| !matches!(record, Record::Remote(_)));
        world.restart(1, config("other", 2), records);
        world.lose = Box::new(|p| p.from == address(1));
        let main = world.connect(1, 0);
        world.estates[0].stack.join(world.now, evil).unwrap();
        world.run(ms(20));
        world.lose = Box::new(|_| false);
        let held = world.estates[1].stack.remote(main).unwrap();
        let claimed = world.estates[0].stack.remote(evil).unwrap();
        assert_eq!(held.far, claimed.near);
        world.send(1, main, 1, b"kept");
        world.run(ms(120_000));
        assert_eq!(world.outcomes(1), vec![(1, Outcome::Delivered)]);
    }

    fn a_peer_that_was_given_the_id_of_a_proven_remote_finds_its_own<S>() {
        // Main knows bravo under an id. Somebody who can see it tells alpha, in main's name, that this is
        // alpha's.
        for mutable in [true, false] {
            let mut world = World::<S>::new();
            for (text, n) in [("main", 1), ("alpha", 2), ("bravo", 3)] {
                let mut config = config(text, n);
                config.main = n == 1;
                config.mutable = mutable;
                world.add(config);
            }
            let bravos = world.connect(2, 0);
            world.run(ms(200));
            let bravo = world.estates[0].stack.find("bravo").unwrap();
            let bravo = world.estates[0].stack.remote(bravo).unwrap();
            assert!(bravo.proven);
            let main = world.connect(1, 0);
            let request = Claim {
                source: bravo.near,
                destination: world.estates[1].stack.remote(main).unwrap().near,
                keys: 1,
                ..stranger("main", 1, 1)
            };
            inject(&mut world, 1, address(0), &request.request());
            assert_eq!(world.estates[1].stack.remote(main).unwrap().far, bravo.near);
            world.send(1, main, 1, b"kept");
            world.run(ms(60_000));
            assert_eq!(world.outcomes(1), vec![(1, Outcome::Delivered)], "mutable {mutable}");
            let kept = world.estates[0].stack.find("bravo").unwrap();
            let kept = world.estates[0].stack.remote(kept).unwrap();
            assert_eq!((kept.near, kept.address, kept.session), (bravo.near, bravo.address, bravo.session));
            assert!(world.estates[2].stack.remote(bravos).unwrap().allowed);
        }
    }

    fn a_peer_that_was_given_the_id_of_a_stranger_is_heard_though_that_one_was_ahead<S>() {
        // Evil has said hello in a session far ahead, and proves nothing; then alpha is told its id.
        let mut world = World::<S>::new();
        for (text, n) in [("main", 1), ("alpha", 2), ("evil", 9)] {
            let mut config = config(text, n);
            config.main = n == 1;
            config.first_session = if n == 9 { 1000 } else { 1 };
            world.add(config);
        }
        world.lose = Box::new(|p| p.to == address(2) && p.kind().0 == TransactionKind::Allow);
        world.connect(2, 0);
        world.run(ms(100));
        let evil = world.estates[0].stack.find("evil").unwrap();
        let held = world.estates[0].stack.remotes.get(evil.0).unwrap();
        assert_eq!((held.proven, held.last_hello.map(|(si, _)| si)), (false, Some(1000)));
        let source = held.near;
        world.lose = Box::new(|p| p.from == address(2));
        let main = world.connect(1, 0);
        let destination = world.estates[1].stack.remote(main).unwrap().near;
        let lie = Claim { source, destination, ..stranger("main", 1, 1) };
        inject(&mut world, 1, address(0), &lie.request());
        assert_eq!(world.estates[1].stack.remote(main).unwrap().far, source);
        world.send(1, main, 1, b"kept");
        world.run(ms(60_000));
        assert_eq!(world.outcomes(1), vec![(1, Outcome::Delivered)]);
    }

    fn a_second_remote_of_a_peer_goes_on_above_the_first<S>() {
        let mut world = World::<S>::new();
        for (text, n) in [("main", 1), ("other", 2)] {
            let mut config = config(text, n);
            config.main = true;
            world.add(config);
        }
        let first = world.connect(1, 0);
        world.run(ms(1000));
        // A stranger claims to be where main is; then the host begins anew with whoever is there.
        let main = &world.estates[0].stack;
        let source = main.remote(main.find("other").unwrap()).unwrap().near;
        let claim = Claim { source, ..stranger("guest", 9, 1) };
        inject(&mut world, 1, address(0), &claim.request());
        let now = world.now;
        world.estates[1].stack.forget(now, first).unwrap();
        let second = world.connect(1, 0);
        world.run(ms(10_000));
        let held = world.estates[1].stack.remote(second).unwrap();
        assert!(held.allowed && held.name == "main", "{held:?}");
    }

    fn who_was_forgotten_before_it_proved_anything_gets_another_session_id<S>() {
        let mut world = World::<S>::pair();
        world.lose = Box::new(|p| p.kind() == (TransactionKind::Allow, PacketKind::Cookie));
        let mut hellos = Vec::new();
        for _ in 0..2 {
            let main = world.connect(1, 0);
            world.run(ms(100));
            let hello = (TransactionKind::Allow, PacketKind::Hello);
            let sent = world.log.iter().find(|(_, p)| p.kind() == hello).expect("it is sent");
            hellos.push(Frame::parse(&sent.1.bytes).unwrap().head.session);
            let now = world.now;
            world.estates[1].stack.forget(now, main).unwrap();
            world.settle();
            world.forget_past();
        }
        assert!(hellos[0] < hellos[1], "{hellos:?}");
    }
}
