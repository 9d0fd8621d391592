//! A nack without a reason, as 0.6.8 sends it, must not make a sender say what it cannot know (H5).

use std::boxed::Box;
use std::vec;
use std::vec::Vec;

use super::both;
use super::world::{World, config, ms};
use crate::event::{Doubt, Failure, Outcome};
use crate::road::{RemoteId, SendOptions};
use crate::storage::Storage;
use crate::wire::{Frame, PacketKind, TransactionKind};

const MESSAGE: (TransactionKind, PacketKind) = (TransactionKind::Message, PacketKind::Message);
const DONE: (TransactionKind, PacketKind) = (TransactionKind::Message, PacketKind::Done);
const ALIVE: (TransactionKind, PacketKind) = (TransactionKind::Alive, PacketKind::Request);

/// Main answers the newest packet of this kind of other's as 0.6.8 does: no, and not why.
fn nack_newest<S: Storage>(world: &mut World<S>, kind: (TransactionKind, PacketKind)) {
    let (_, packet) = world
        .log
        .iter()
        .rev()
        .find(|(_, p)| p.kind() == kind)
        .expect("one was sent");
    let head = Frame::parse(&packet.bytes).unwrap().head;
    let (to, stack) = (packet.from, &mut world.estates[0].stack);
    let slot = stack.find("other").expect("joined").0.slot();
    stack.answer(Some(slot), to, &head, PacketKind::Nack, 0);
}

fn nack<S: Storage>(world: &mut World<S>) {
    nack_newest(world, MESSAGE);
}

fn requests<S: Storage>(world: &World<S>) -> usize {
    world
        .sent(1)
        .into_iter()
        .filter(|kind| *kind == ALIVE)
        .count()
}

/// Main forgets its session as a restart from its keep does.
fn restart_main<S: Storage>(world: &mut World<S>) {
    let mut again = config("main", 1);
    again.main = true;
    let records = world.estates[0].records.clone();
    world.restart(0, again, records);
}

fn once<S: Storage>(world: &mut World<S>, to: RemoteId, token: u64, body: &[u8]) {
    let now = world.now;
    let options = SendOptions {
        token,
        once: true,
        ..SendOptions::default()
    };
    let taken = world.estates[1]
        .stack
        .send(now, to, options, body.len(), |b| b.copy_from_slice(body));
    taken.unwrap();
}

both! {
    fn a_nack_of_a_repeat_means_delivered_if_the_peer_held_the_session<S>() {
        let (mut world, _, main) = World::<S>::allowed();
        world.lose = Box::new(|p| p.kind() == DONE);
        for (token, len) in [(1, 10), (2, 5000)] {
            world.send(1, main, token, &vec![7; len]);
            world.run(ms(1500));
            assert_eq!(world.outcomes(1), vec![]);
            nack(&mut world);
            world.run(ms(100));
            assert_eq!(world.outcomes(1), vec![(token, Outcome::Delivered)]);
            assert_eq!(requests(&world), 1, "one sign of life tells");
            world.forget_past();
        }
    }

    fn a_nack_of_the_first_copy_is_no_proof_of_delivery<S>() {
        let (mut world, _, main) = World::<S>::allowed();
        world.lose = Box::new(|p| p.kind() == MESSAGE);
        world.send(1, main, 1, b"never arrives");
        world.run(ms(20));
        nack(&mut world);
        world.run(ms(100));
        assert_eq!(world.outcomes(1), vec![(1, Outcome::Unknown(Doubt::Nacked))]);
    }

    fn a_nack_before_all_was_sent_is_a_failure<S>() {
        let (mut world, _, main) = World::<S>::allowed();
        world.lose = Box::new(|p| p.kind() == MESSAGE);
        // More than the window.
        let body: Vec<u8> = vec![7; 30_000];
        let now = world.now;
        world.estates[1].stack.config.window = 4;
        world.send(1, main, 1, &body);
        world.run(ms(20));
        assert!(world.now > now);
        nack(&mut world);
        world.run(ms(100));
        assert_eq!(world.outcomes(1), vec![(1, Outcome::Failed(Failure::Refused))]);
    }

    fn what_is_nacked_for_want_of_a_session_waits_for_the_next_one<S>() {
        let (mut world, _, main) = World::<S>::allowed();
        world.lose = Box::new(|p| p.kind() == MESSAGE);
        world.send(1, main, 1, b"small");
        world.send(1, main, 2, &[7; 5000]);
        once(&mut world, main, 3, b"not twice");
        world.run(ms(1500));
        restart_main(&mut world);
        // Each of them is nacked, the repeats that follow too.
        for _ in 0..3 {
            nack(&mut world);
            world.run(ms(5));
        }
        let opened: Vec<_> = world.log.iter().filter(|(_, p)| p.kind() == MESSAGE).cloned().collect();
        for (_, packet) in &opened {
            let head = Frame::parse(&packet.bytes).unwrap().head;
            let stack = &mut world.estates[0].stack;
            let slot = stack.find("other").unwrap().0.slot();
            stack.answer(Some(slot), packet.from, &head, PacketKind::Nack, 0);
            world.run(ms(1));
        }
        world.lose = Box::new(|_| false);
        world.run(ms(3000));
        let mut outcomes = world.outcomes(1);
        outcomes.sort_by_key(|o| o.0);
        assert_eq!(outcomes, vec![
            (1, Outcome::Delivered),
            (2, Outcome::Delivered),
            (3, Outcome::Unknown(Doubt::SessionChanged)),
        ]);
        assert_eq!(world.estates[0].messages.len(), 2, "what was called delivered was");
    }

    fn a_sign_of_life_asked_for_before_the_nack_tells_nothing<S>() {
        let (mut world, _, main) = World::<S>::allowed();
        world.lose = Box::new(|p| p.kind() == DONE);
        world.send(1, main, 1, b"x");
        world.run(ms(1500));
        let now = world.now;
        world.estates[1].stack.alive(now, main).unwrap();
        nack(&mut world);
        world.run(ms(100));
        assert_eq!(world.outcomes(1), vec![(1, Outcome::Delivered)]);
        assert_eq!(requests(&world), 2);
    }

    fn a_sign_of_life_that_is_nacked_too_leaves_it_unknown<S>() {
        let (mut world, _, main) = World::<S>::allowed();
        world.lose = Box::new(|p| p.kind() == DONE || p.kind() == ALIVE);
        world.send(1, main, 1, b"x");
        world.run(ms(1500));
        nack(&mut world);
        world.run(ms(20));
        assert_eq!(requests(&world), 1);
        nack_newest(&mut world, ALIVE);
        world.run(ms(20));
        assert_eq!(world.outcomes(1), vec![(1, Outcome::Unknown(Doubt::Nacked))]);
        assert_eq!(requests(&world), 1, "it is not asked without end");
    }

    fn who_does_not_answer_after_a_nack_is_reached_again<S>() {
        let (mut world, _, main) = World::<S>::allowed();
        world.lose = Box::new(|p| p.kind() == MESSAGE);
        world.send(1, main, 1, b"x");
        world.run(ms(20));
        nack(&mut world);
        world.run(ms(6));
        world.lose = Box::new(|_| true);
        world.run(ms(20_000));
        assert_eq!(world.outcomes(1), vec![]);
        world.lose = Box::new(|_| false);
        world.run(ms(60_000));
        assert_eq!(world.outcomes(1), vec![(1, Outcome::Delivered)]);
        assert_eq!(world.estates[0].messages.len(), 1);
    }

    fn a_nacked_message_can_be_cancelled_and_its_deadline_holds<S>() {
        let (mut world, _, main) = World::<S>::allowed();
        world.lose = Box::new(|p| p.kind() == MESSAGE);
        let now = world.now;
        let options = SendOptions { token: 1, deadline: Some(now + ms(500)), ..SendOptions::default() };
        world.estates[1].stack.send(now, main, options, 1, |_| ()).unwrap();
        world.run(ms(20));
        nack(&mut world);
        world.run(ms(6));
        world.lose = Box::new(|_| true);
        world.run(ms(600));
        assert_eq!(world.outcomes(1), vec![(1, Outcome::Unknown(Doubt::Deadline))]);
    }
}
