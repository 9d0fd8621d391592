//! What anyone can say of another binds nobody, and keeps nobody away (H4).

use core::num::NonZeroU32;
use std::boxed::Box;

use crate::config::Presence;
use crate::event::RemoteEvent;
use crate::road::tests::both;
use crate::road::tests::forge::{Claim, inject, keys, packet, recorded, stranger};
use crate::road::tests::world::{World, address, config, ms};
use crate::stats::Verdict;
use crate::wire::{Frame, JoinBody, PacketKind, TransactionKind};

both! {
    fn a_stranger_does_not_keep_a_name_from_its_owner<S>() {
        for asked in [false, true] {
            let mut world = World::<S>::new();
            for (text, n) in [("main", 1), ("other", 2)] {
                let mut config = config(text, n);
                config.main = true;
                world.add(config);
            }
            // All that it says is public, but for where it is.
            let claim = Claim { role: "main", ..stranger("main", 1, 1) };
            inject(&mut world, 1, address(5), &claim.request());
            if asked {
                // The host of other has begun something with it.
                let now = world.now;
                world.estates[1].stack.add_remote(now, address(5), 0).unwrap();
            }
            let main = world.connect(1, 0);
            world.run(ms(5000));
            let held = world.estates[1].stack.remote(main).unwrap();
            assert!(held.allowed && held.name == "main", "{held:?}");
        }
    }

    fn a_strangers_claim_binds_nobody_on_an_immutable_road<S>() {
        let mut world = World::<S>::pair_with(|main| main.mutable = false, |_| {});
        let claim = Claim { role: "other", ..stranger("other", 2, 1) };
        inject(&mut world, 0, address(5), &claim.request());
        let main = world.connect(1, 0);
        world.run(ms(5000));
        assert!(world.estates[1].stack.remote(main).unwrap().allowed);
    }

    fn whom_the_host_asked_for_is_where_it_asked<S>() {
        let mut world = World::<S>::new();
        for (text, n) in [("main", 1), ("other", 2)] {
            let mut config = config(text, n);
            config.main = true;
            world.add(config);
        }
        let main = world.connect(1, 0);
        world.lose = Box::new(|p| p.kind().0 == TransactionKind::Allow);
        world.run(ms(1000));
        let held = |world: &World<S>| world.estates[1].stack.remote(main).unwrap();
        assert!(held(&world).name == "main" && !held(&world).proven);
        // What the host has to say to main would go wherever a stranger says that main is.
        let claim = Claim { role: "main", ..stranger("main", 1, 1) };
        inject(&mut world, 1, address(5), &claim.request());
        assert_eq!(held(&world).address, address(0));
    }

    fn who_joined_from_an_address_does_not_keep_us_from_reaching_it<S>() {
        // Two main estates of immutable roads. A stranger joins main in the name of the other's address,
        // before main means to reach it.
        let mut world = World::<S>::new();
        for (text, n) in [("main", 1), ("other", 2)] {
            let mut config = config(text, n);
            config.main = true;
            config.mutable = false;
            world.add(config);
        }
        let evil = stranger("evil", 9, 1);
        inject(&mut world, 0, address(1), &evil.request());
        inject(&mut world, 0, address(1), &evil.ack());
        assert!(world.estates[0].stack.find("evil").is_some());
        let other = world.connect(0, 1);
        world.run(ms(60_000));
        let found = world.estates[0].stack.remote(other).unwrap();
        assert_eq!((found.name.as_str(), found.allowed), ("other", true));
    }

    fn a_forged_join_does_not_stop_the_way_back_to_a_peer<S>() {
        // Main wants a session with other, which is down; a stranger claims to be other, just before
        // main would try again.
        let (mut world, other, _) = World::<S>::allowed();
        world.connect(0, 1);
        let dead = address(1);
        world.lose = Box::new(move |p| p.from == dead || p.to == dead);
        world.restart(0, { let mut c = config("main", 1); c.main = true; c }, world.estates[0].records.clone());
        world.connect(0, 1);
        let _ = other;
        for ti in 0..10 {
            world.run(ms(3500));
            let claim = Claim { role: "other", ..stranger("other", 2, ti) };
            inject(&mut world, 0, address(7), &claim.request());
        }
        world.lose = Box::new(|_| false);
        world.forget_past();
        world.run(ms(90_000));
        let found = world.estates[0].stack.find("other").unwrap();
        assert!(world.estates[0].stack.remote(found).unwrap().allowed);
    }

    fn forged_joins_without_end_do_not_keep_a_peer_away<S>() {
        let (mut world, _, _) = World::<S>::allowed();
        world.restart(0, { let mut c = config("main", 1); c.main = true; c }, world.estates[0].records.clone());
        let other = world.connect(0, 1);
        let mut ti = 0;
        for _ in 0..60 {
            ti += 1;
            let claim = Claim { role: "other", ..stranger("other", 2, ti) };
            inject(&mut world, 0, address(7), &claim.request());
            inject(&mut world, 0, address(7), &claim.ack());
            world.run(ms(100));
        }
        assert!(world.estates[0].stack.remote(other).unwrap().allowed);
    }

    fn a_claim_takes_no_name_from_whom_we_are_just_hearing<S>() {
        let mut world = World::<S>::pair_with(|_| {}, |other| other.main = true);
        world.lose = Box::new(|p| p.kind().0 == TransactionKind::Allow);
        let main = world.connect(1, 0);
        world.run(ms(6000)); // joined, and did not get through once
        world.lose = Box::new(|_| false);
        let failed = |w: &World<S>| w.happened(1).iter().any(|what| matches!(what, RemoteEvent::AllowFailed(_)));
        assert!(failed(&world) && !world.estates[1].stack.remote(main).unwrap().proven);
        world.forget_past();
        world.latency = ms(50);
        let cookie = |w: &World<S>| !recorded(w, 0, TransactionKind::Allow, PacketKind::Cookie).is_empty();
        for _ in 0..1000 {
            if cookie(&world) {
                break;
            }
            world.run(ms(10));
        }
        assert!(cookie(&world));
        let claim = stranger("main", 7, 1);
        inject(&mut world, 1, address(7), &claim.request());
        inject(&mut world, 1, address(7), &claim.ack());
        world.run(ms(1000));
        assert_eq!(world.estates[1].stack.find("main"), Some(main));
        assert!(world.estates[1].stack.remote(main).unwrap().allowed);
        assert!(!failed(&world), "by the session that was being made");
    }

    fn presence_goes_on_under_forged_joins<S>() {
        let mut world = World::<S>::pair_with(|main| main.presence = Some(Presence::default()), |_| {});
        world.connect(1, 0);
        world.run(ms(500));
        let dead = address(1);
        world.lose = Box::new(move |p| p.from == dead || p.to == dead);
        for ti in 1..100 {
            let claim = Claim { role: "other", ..stranger("other", 2, ti) };
            inject(&mut world, 0, address(7), &claim.request());
            inject(&mut world, 0, address(7), &claim.ack());
            world.run(ms(100));
        }
        assert!(world.happened(0).contains(&RemoteEvent::Went), "its silence was noticed");
    }

    fn a_response_does_not_move_who_has_proven_its_keys<S>() {
        // Other asks again, and what main answers is changed on its way.
        let changes: [fn(&mut JoinBody); 5] = [
            |body| body.mode ^= 1,
            |body| (body.verify, body.public) = (keys(9).verify, keys(9).public),
            |body| body.uid = NonZeroU32::new(77),
            |body| body.name = "third".try_into().unwrap(),
            |body| body.role = "third".try_into().unwrap(),
        ];
        for change in changes {
            let (mut world, _, main) = World::<S>::allowed();
            let held = |world: &World<S>| {
                let held = world.estates[1].stack.remote(main).unwrap();
                (held.name, held.role, held.main, held.far, held.keys, held.proven, held.allowed)
            };
            let before = held(&world);
            world.lose = Box::new(|p| p.from == address(0));
            let now = world.now;
            world.estates[1].stack.join(now, main).unwrap();
            world.run(ms(100));
            let said = recorded(&world, 0, TransactionKind::Join, PacketKind::Response).remove(0);
            let frame = Frame::parse(&said.bytes).unwrap();
            let kind = frame.head.body;
            let mut body = JoinBody::parse(kind, &said.bytes[frame.coat()], true).unwrap();
            change(&mut body);
            let mut out = [0; 800];
            let len = body.emit(kind, &mut out).unwrap();
            let verdict = inject(&mut world, 1, address(0), &packet(&frame.head, &out[..len], 0));
            assert_eq!(verdict, Some(Verdict::Taken), "it is an answer to what was asked");
            assert_eq!(held(&world), before);
        }
    }
}
