//! What was recorded, or is said out of its session, counts once (H2).

use std::boxed::Box;
use std::vec;
use std::vec::Vec;

use crate::event::{Doubt, Outcome};
use crate::road::RemoteId;
use crate::road::tests::both;
use crate::road::tests::forge::{inject, own_head, packet, recorded};
use crate::road::tests::world::{World, address, ms};
use crate::stats::{Reason, Verdict};
use crate::storage::Storage;
use crate::time::Instant;
use crate::wire::{Flags, Frame, Head, PacketKind, TransactionKind};

fn heard<S: Storage>(world: &World<S>, n: usize, remote: RemoteId) -> Instant {
    world.estates[n].stack.remote(remote).unwrap().heard
}

both! {
    fn a_hello_is_acted_on_once<S>() {
        let (mut world, _, main) = World::<S>::allowed();
        world.lose = Box::new(|p| p.kind().1 == PacketKind::Cookie);
        world.estates[1].stack.allow(world.now, main).unwrap();
        world.run(ms(6000));
        let hello = recorded(&world, 1, TransactionKind::Allow, PacketKind::Hello).remove(0);
        world.lose = Box::new(|_| false);
        world.estates[1].stack.allow(world.now, main).unwrap();
        world.run(ms(10_000));
        assert_eq!(world.deliver(hello), Some(Verdict::Dropped(Reason::Replayed)));
        assert_eq!(world.estates[0].stack.handshakes.len(), 0);
    }

    fn a_recorded_alive_keeps_nobody_alive<S>() {
        let (mut world, other, main) = World::<S>::allowed();
        world.estates[1].stack.alive(world.now, main).unwrap();
        world.run(ms(100));
        let alive = recorded(&world, 1, TransactionKind::Alive, PacketKind::Request).remove(0);
        let before = heard(&world, 0, other);
        world.run(ms(10_000));
        assert_eq!(world.deliver(alive), Some(Verdict::Repeated));
        assert_eq!(heard(&world, 0, other), before);
    }

    fn an_alive_that_was_answered_unjoined_counts_no_more<S>() {
        let (mut world, other, main) = World::<S>::allowed();
        world.estates[1].stack.alive(world.now, main).unwrap();
        world.lose = Box::new(|p| p.from == address(1));
        world.run(ms(10));
        let request = recorded(&world, 1, TransactionKind::Alive, PacketKind::Request).remove(0);
        let joined = |world: &mut World<S>, joined| {
            let slot = world.estates[0].stack.slot(other).unwrap();
            world.estates[0].stack.remotes.at_mut(slot).unwrap().joined = joined;
        };
        joined(&mut world, false);
        assert_eq!(world.deliver(request.clone()), Some(Verdict::Taken));
        joined(&mut world, true);
        let before = heard(&world, 0, other);
        world.run(ms(50));
        assert_eq!(world.deliver(request), Some(Verdict::Repeated));
        assert_eq!(heard(&world, 0, other), before);
    }

    fn recorded_answers_and_segments_keep_nobody_alive<S>() {
        let (mut world, other, main) = World::<S>::allowed();
        // The second segment never comes through.
        world.lose = Box::new(|p| Frame::parse(&p.bytes).unwrap().head.segment == 1);
        world.send(1, main, 1, &[7; 5000]);
        world.run(ms(2000));
        let asked = recorded(&world, 0, TransactionKind::Message, PacketKind::Resend);
        let parts = recorded(&world, 1, TransactionKind::Message, PacketKind::Message);
        let parts: Vec<_> = parts.into_iter().filter(|p| Frame::parse(&p.bytes).unwrap().head.segment != 1).collect();
        assert!(asked.len() > 1 && parts.len() > 3);
        world.lose = Box::new(|_| true);
        world.run(ms(500));
        let before = (heard(&world, 0, other), heard(&world, 1, main));
        world.run(ms(10_000));
        for packet in asked.iter().chain(&parts) {
            world.deliver(packet.clone());
        }
        assert_eq!((heard(&world, 0, other), heard(&world, 1, main)), before);
    }

    fn a_recorded_nack_keeps_nobody_alive<S>() {
        let (mut world, other, main) = World::<S>::allowed();
        world.estates[0].deaf = true;
        world.send(1, main, 1, b"waits to be taken");
        world.run(ms(100));
        let id = own_head(&world, 1, main, PacketKind::Nack, TransactionKind::Message);
        let nack = packet(&Head { transaction_id: id.transaction_id - 1, ..id }, &[], 2);
        inject(&mut world, 0, address(1), &nack);
        let before = heard(&world, 0, other);
        world.lose = Box::new(|_| true);
        world.run(ms(10_000));
        inject(&mut world, 0, address(1), &nack);
        assert_eq!(heard(&world, 0, other), before);
    }

    fn a_repeated_ack_measures_nothing<S>() {
        let mut world = World::<S>::pair_with(|_| {}, |other| other.window = 2);
        let main = world.connect(1, 0);
        world.run(ms(1000));
        world.send(1, main, 1, &[7; 3500]);
        let mut repeated = 0;
        for _ in 0..40 {
            world.run(ms(1));
            let acks = recorded(&world, 0, TransactionKind::Message, PacketKind::Ack);
            let Some(first) = acks.first() else { continue };
            let trip = |world: &World<S>| world.estates[1].stack.remote(main).unwrap().round_trip;
            let before = trip(&world);
            // The first time it is no repeat.
            world.deliver(first.clone());
            assert!(repeated == 0 || trip(&world) == before, "{before:?}, {:?}", trip(&world));
            repeated += 1;
        }
        assert!(repeated > 10, "{repeated}");
    }

    fn a_nack_in_a_second_session_is_no_proof_that_the_first_failed<S>() {
        let mut world = World::<S>::pair_with(|_| {}, |other| other.window = 2);
        let main = world.connect(1, 0);
        world.run(ms(500));
        // Delivered, but no word of it comes back.
        let done = (TransactionKind::Message, PacketKind::Done);
        world.lose = Box::new(move |p| p.kind() == done);
        world.send(1, main, 1, &[7; 5000]);
        world.run(ms(1000));
        assert_eq!(world.estates[0].messages.len(), 1);
        // The next session; its first segments are lost.
        world.lose = Box::new(|p| p.kind().0 == TransactionKind::Message);
        world.estates[1].stack.allow(world.now, main).unwrap();
        world.run(ms(1000));
        let (_, sent) = world.log.last().unwrap().clone();
        let head = Frame::parse(&sent.bytes).unwrap().head;
        assert_eq!((head.transaction, head.packet), (TransactionKind::Message, PacketKind::Message));
        let nack = Head {
            packet: PacketKind::Nack,
            flags: Flags::CORRESPONDENT,
            source: head.destination,
            destination: head.source,
            segment: 0,
            segments: 1,
            coat_len: 0,
            order: 0,
            ..head
        };
        inject(&mut world, 1, address(0), &packet(&nack, &[], 1));
        world.run(ms(500));
        assert_eq!(world.outcomes(1), vec![(1, Outcome::Unknown(Doubt::Nacked))]);
    }
}
