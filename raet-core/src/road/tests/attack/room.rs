//! Who has proven nothing takes little room and leaves none taken; what cannot be takes none (H9).

use std::boxed::Box;
use std::vec::Vec;

use crate::config::Trust;
use crate::event::RemoteEvent;
use crate::keep::Record;
use crate::limits::Limits;
use crate::road::tests::both;
use crate::road::tests::forge::{Claim, inject, keys, own_head, packet, stranger};
use crate::road::tests::world::{World, address, config, ms};
use crate::stats::{Reason, Verdict};
use crate::storage::{Fixed, Storage};
use crate::wire::{CoatKind, Head, PacketKind, TransactionKind};

both! {
    fn strangers_at_one_address_share_little_room<S>() {
        let mut world = World::<S>::pair();
        for n in 1..40_u8 {
            let text = std::format!("guest-{n}");
            let claim = stranger(&text, n, n.into());
            inject(&mut world, 0, address(5), &claim.request());
            inject(&mut world, 0, address(5), &claim.ack());
        }
        let guests = world.estates[0].stack.remotes().filter(|r| r.address == address(5)).count();
        assert!(guests > 0 && guests <= 4, "{guests}");
    }

    fn strangers_cannot_fill_the_queue_of_answers<S>() {
        let mut world = World::<S>::pair();
        let limits = Fixed::<8, 16, { 64 * 1024 }>::LIMITS;
        let n = world.add_with(config("small", 3), limits, Vec::new());
        let now = world.now;
        let stack = &mut world.estates[n].stack;
        for ti in 0..100 {
            // It is not main: each is rejected.
            stack.handle_datagram(now, address(9), &mut stranger("guest", 9, ti).request());
        }
        assert!(stack.replies.len() <= limits.replies / 2);
        assert!(stack.stats().replies_left_out > 0);
    }

    fn strangers_cannot_take_all_room_for_handshakes<S>() {
        let mut world = World::<S>::new();
        let mut main = config("main", 1);
        main.main = true;
        let limits = Fixed::<8, 16, { 64 * 1024 }>::LIMITS;
        world.add_with(main, Limits { handshakes: 2, ..limits }, Vec::new());
        for n in 1..6 {
            world.add(config(&std::format!("estate-{n}"), n));
        }
        let main = world.connect(1, 0);
        world.run(ms(500));
        // The others get no cookie, and so begin again and again.
        world.lose = Box::new(|p| p.kind().1 == PacketKind::Cookie && p.to != address(1));
        for n in 2..6 {
            world.connect(n, 0);
        }
        world.run(ms(3000));
        assert_eq!(world.estates[0].stack.handshakes.len(), 1);
        world.estates[1].events.clear();
        world.estates[1].stack.allow(world.now, main).unwrap();
        world.run(ms(300));
        assert!(world.happened(1).contains(&RemoteEvent::Allowed));
    }

    fn strangers_leave_no_role_behind<S>() {
        let mut world = World::<S>::new();
        let limits = Fixed::<8, 16, { 64 * 1024 }>::LIMITS;
        let mut main = config("main", 1);
        main.main = true;
        world.add_with(main, limits, Vec::new());
        for n in 1..60_u8 {
            let text = std::format!("guest-{n}");
            inject(&mut world, 0, address(n.into()), &stranger(&text, n, n.into()).request());
        }
        world.run(ms(10_000));
        let roles = |records: &[Record]| records.iter().filter(|r| matches!(r, Record::Role(_))).count();
        assert!(roles(&world.estates[0].records) <= limits.roles);
        assert!(world.estates[0].stack.roles().count() <= limits.roles);
        // What they left in the keep lets the next life begin.
        let mut main = config("main", 1);
        main.main = true;
        let records = world.estates[0].records.clone();
        world.add_with(main, limits, records);
    }

    fn a_remote_that_goes_to_make_room_leaves_no_role<S>() {
        let mut world = World::<S>::new();
        let mut main = config("main", 1);
        main.main = true;
        let small = Fixed::<8, 16, { 64 * 1024 }>::LIMITS;
        world.add_with(main, Limits { remotes: 1, roles: 1, handshakes: 1, ..small }, Vec::new());
        let first = stranger("guest", 9, 1);
        let now = world.now;
        let stack = &mut world.estates[0].stack;
        stack.handle_datagram(now, address(5), &mut first.request());
        let near = stack.remotes().next().unwrap().near;
        let again = Claim { role: "another", destination: near, ..stranger("guest", 9, 2) };
        let again = Claim { source: first.source, ..again };
        stack.handle_datagram(now, address(5), &mut again.request());
        assert_eq!(stack.remotes().count(), 0);
        assert_eq!(stack.roles().count(), 0);
        world.settle();
        inject(&mut world, 0, address(6), &stranger("visitor", 8, 3).request());
        assert!(world.estates[0].stack.find("visitor").is_some());
    }

    fn keys_that_nobody_proved_take_no_place<S>() {
        // Main takes any keys. While other comes back with new ones, a stranger offers its own for the
        // same role, again and again.
        let mut world = World::<S>::pair_with(|main| main.trust = Trust::Always, |_| {});
        world.connect(1, 0);
        world.run(ms(500));
        world.restart(1, config("other", 9), Vec::new());
        world.connect(1, 0);
        for ti in 1..200_u32 {
            world.run(ms(3));
            let text = std::format!("guest-{}", ti % 3);
            let claim = Claim { role: "other", ..stranger(&text, 7, ti) };
            inject(&mut world, 0, address(5), &claim.request());
            let held = world.estates[0].stack.roles().find(|r| r.name == "other").unwrap();
            assert!(held.keys == keys(2) || held.keys == keys(9));
        }
        world.run(ms(120_000));
        let held = world.estates[0].stack.roles().find(|r| r.name == "other").unwrap();
        assert_eq!(held.keys, keys(9), "who proves its keys has them taken");
        let other = world.estates[0].stack.find("other").unwrap();
        assert!(world.estates[0].stack.remote(other).unwrap().allowed);
    }

    fn a_segment_that_cannot_be_takes_no_room<S>() {
        let (mut world, _, main) = World::<S>::allowed();
        let id = own_head(&world, 1, main, PacketKind::Message, TransactionKind::Message);
        for n in 0..4 {
            let head = Head {
                segment: 9,
                segments: 3,
                coat_len: 2000,
                coat: CoatKind::Nacl,
                transaction_id: id.transaction_id + n,
                ..id
            };
            let verdict = inject(&mut world, 0, address(1), &packet(&head, &[0; 800], 2));
            assert_eq!(verdict, Some(Verdict::Dropped(Reason::Segment)));
        }
        assert_eq!(world.estates[0].stack.inbox.len(), 0);
        assert_eq!(world.estates[0].stack.inbox_bytes, 0);
    }
}
