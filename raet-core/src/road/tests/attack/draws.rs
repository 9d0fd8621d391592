//! What an address that nobody proved draws: one answer for each question, and little in all (H9).

use std::boxed::Box;
use std::vec::Vec;

use crate::config::Presence;
use crate::road::tests::both;
use crate::road::tests::forge::{Claim, inject, recorded, stranger};
use crate::road::tests::world::{World, address, config, ms};
use crate::wire::{Frame, PacketKind, TransactionKind};

both! {
    fn a_repeated_request_draws_the_response_again_at_once<S>() {
        let mut world = World::<S>::pair();
        let request = stranger("guest", 9, 1).request();
        for asked in 1..=3 {
            inject(&mut world, 0, address(5), &request);
            let answered = recorded(&world, 0, TransactionKind::Join, PacketKind::Response);
            assert_eq!(answered.len(), asked);
        }
    }

    fn presence_leaves_a_stranger_alone_until_it_has_proven_itself<S>() {
        let mut world = World::<S>::pair();
        let now = world.now;
        world.estates[0].stack.set_presence(now, Some(Presence::default()));
        let claim = stranger("guest", 9, 9);
        inject(&mut world, 0, address(5), &claim.request());
        inject(&mut world, 0, address(5), &claim.ack());
        world.run(ms(60_000));
        let asked = claim.request().len() + claim.ack().len();
        let told = world.log.iter().filter(|(_, p)| p.to == address(5));
        let told: usize = told.map(|(_, p)| p.bytes.len()).sum();
        assert!(told > 0 && told <= 3 * asked, "{asked} bytes drew {told}");
    }

    fn a_stranger_of_an_earlier_life_is_reached_for_once<S>() {
        let mut world = World::<S>::pair();
        let claim = stranger("guest", 9, 9);
        inject(&mut world, 0, address(5), &claim.request());
        inject(&mut world, 0, address(5), &claim.ack());
        let records = world.estates[0].records.clone();
        let mut main = config("main", 1);
        main.main = true;
        main.presence = Some(Presence::default());
        world.forget_past();
        world.restart(0, main, records);
        world.run(ms(120_000));
        let told: Vec<_> = world.log.iter().map(|(_, p)| p).filter(|p| p.to == address(5)).collect();
        let told: Vec<_> = told.iter().map(|p| p.kind()).collect();
        assert_eq!(told, [(TransactionKind::Allow, PacketKind::Hello)]);
    }

    fn a_claimed_address_draws_little_from_who_is_looking_for_its_peer<S>() {
        let (mut world, other, main) = World::<S>::allowed();
        world.estates[1].stack.allow(world.now, main).unwrap();
        world.run(ms(500));
        let hello = recorded(&world, 1, TransactionKind::Allow, PacketKind::Hello).remove(0);
        world.lose = Box::new(|p| p.from == address(1) || p.to == address(1));
        world.send(0, other, 1, b"where are you?");
        world.run(ms(20_000));
        let far = Frame::parse(&hello.bytes).unwrap().head.source;
        for recording in [false, true] {
            world.forget_past();
            let claim = Claim { source: far, ..stranger("other", 2, 77) };
            inject(&mut world, 0, address(5), &claim.request());
            let mut asked = claim.request().len();
            if recording {
                inject(&mut world, 0, address(5), &hello.bytes);
                asked += hello.bytes.len();
            }
            world.run(ms(120_000));
            let told: Vec<_> = world.log.iter().map(|(_, p)| p).filter(|p| p.to == address(5)).collect();
            let nack = (TransactionKind::Join, PacketKind::Nack);
            assert!(told.iter().all(|p| p.kind() != nack), "a nack when its time is over");
            let told: usize = told.iter().map(|p| p.bytes.len()).sum();
            assert!(told > 0 && told <= 3 * asked, "{asked} bytes drew {told}");
        }
    }
}
