//! Messages: once, or the truth about it.

use std::boxed::Box;
use std::vec;
use std::vec::Vec;

use super::both;
use super::world::{Packet, World, address, config, ms};
use crate::config::Presence;
use crate::error::SendError;
use crate::event::{AllowFailure, Doubt, Failure, JoinFailure, Outcome, RemoteEvent};
use crate::keep::Record;
use crate::road::{RemoteId, SendOptions};
use crate::storage::Storage;
use crate::wire::{BodyKind, Flags, Frame, PacketKind, TransactionKind};

const MESSAGE: (TransactionKind, PacketKind) = (TransactionKind::Message, PacketKind::Message);
const DONE: (TransactionKind, PacketKind) = (TransactionKind::Message, PacketKind::Done);

fn send_with<S: Storage>(
    world: &mut World<S>,
    from: usize,
    to: RemoteId,
    options: SendOptions,
    body: &[u8],
) {
    let now = world.now;
    world.estates[from]
        .stack
        .send(now, to, options, body.len(), |b| b.copy_from_slice(body))
        .unwrap();
}

both! {
    fn who_had_joined_is_reached_by_the_next_life_though_its_proof_was_not_stored<S>() {
        // A crash between the proof and the store: the peer waits for us, and asks nobody.
        let mut world = World::<S>::new();
        let mut main = config("main", 1);
        main.main = true;
        world.add(main);
        let with_presence = || {
            let mut config = config("other", 2);
            config.presence = Some(Presence::default());
            config
        };
        world.add(with_presence());
        world.connect(1, 0);
        world.run(ms(200));
        let mut records = world.estates[1].records.clone();
        for record in &mut records {
            if let Record::Remote(remote) = record {
                remote.proven = false;
            }
        }
        world.restart(1, with_presence(), records);
        world.forget_past();
        world.run(ms(20_000));
        assert!(world.happened(1).contains(&RemoteEvent::Allowed));
    }

    fn who_is_refused_for_a_join_to_its_old_address_asks_again_soon<S>() {
        let mut world = World::<S>::new();
        for (name, n) in [("alpha", 1), ("carol", 2)] {
            let mut config = config(name, n);
            config.main = true;
            world.add(config);
        }
        let alpha = world.connect(1, 0);
        world.run(ms(200));
        let carol = world.estates[0].stack.find("carol").unwrap();
        // For so long that its tries are a minute apart, carol is cut off; and it comes back elsewhere.
        world.lose = Box::new(|_| true);
        world.send(1, alpha, 2, b"to alpha");
        world.run(ms(400_000));
        world.estates[1].address = address(7);
        world.lose = Box::new(|_| false);
        world.forget_past();
        // A try of alpha's, which wins by its name, is under way to the old address when carol asks.
        for _ in 0..200 {
            if !world.happened(1).contains(&RemoteEvent::JoinFailed(JoinFailure::Refused)) {
                let now = world.now;
                world.estates[0].stack.join(now, carol).unwrap();
                world.run(ms(1000));
            }
        }
        world.run(ms(45_000));
        assert_eq!(world.outcomes(1), vec![(2, Outcome::Delivered)]);
    }

    fn a_message_of_a_session_that_only_its_sender_has_is_not_refused<S>() {
        let (mut world, other, main) = World::<S>::allowed();
        let last = (TransactionKind::Allow, PacketKind::Ack);
        world.lose = Box::new(move |p| p.kind() == last && p.from == address(1));
        let now = world.now;
        world.estates[0].stack.allow(now, other).unwrap();
        world.run(ms(5000));
        assert!(world.happened(0).contains(&RemoteEvent::AllowFailed(AllowFailure::Timeout)));
        world.lose = Box::new(|_| false);
        world.send(1, main, 7, b"under a key that main never had");
        world.run(ms(20_000));
        assert_eq!(world.outcomes(1), vec![(7, Outcome::Delivered)]);
    }

    fn an_empty_message_of_an_older_session_does_not_hold_up_a_new_one<S>() {
        let (mut world, other, _) = World::<S>::allowed();
        world.send(0, other, 1, b"");
        world.run(ms(100));
        let old = world.log.iter().find(|(_, p)| p.kind() == MESSAGE).expect("it is sent");
        let old = old.1.clone();
        let records = world.estates[1].records.clone();
        // It does not know what session its peer is in, and learns it by what opens.
        world.restart(1, config("other", 2), records);
        let now = world.now;
        let main = world.estates[1].stack.find("main").unwrap();
        world.estates[1].stack.allow(now, main).unwrap();
        world.run(ms(500));
        world.deliver(old);
        world.send(0, other, 2, b"");
        world.send(0, other, 3, b"in the new session");
        world.run(ms(2000));
        let delivered = Outcome::Delivered;
        assert_eq!(world.outcomes(0), vec![(1, delivered), (2, delivered), (3, delivered)]);
    }

    fn a_message_to_who_was_forgotten_and_came_back_is_not_taken_for_an_older_one<S>() {
        let (mut world, other, main) = World::<S>::allowed();
        world.send(0, other, 1, b"before");
        world.run(ms(100));
        let now = world.now;
        world.estates[0].stack.forget(now, other).unwrap();
        world.send(1, main, 2, b"it is told unjoined, and joins again");
        world.run(ms(20_000));
        let other = world.estates[0].stack.find("other").expect("it came back");
        world.send(0, other, 3, b"after");
        world.run(ms(1000));
        let bodies: Vec<_> = world.estates[1].messages.iter().map(|(_, body)| &body[..]).collect();
        assert_eq!(bodies, [&b"before"[..], b"after"]);
        let delivered = Outcome::Delivered;
        assert_eq!(world.outcomes(0), vec![(1, delivered), (3, delivered)]);
    }

    fn a_message_to_a_remote_made_anew_is_not_taken_for_an_older_one<S>() {
        // The peer remembers by their numbers what it took from this life of ours.
        let (mut world, _, main) = World::<S>::allowed();
        world.send(1, main, 1, b"to the first");
        world.run(ms(1000));
        let now = world.now;
        world.estates[1].stack.forget(now, main).unwrap();
        let main = world.connect(1, 0);
        world.send(1, main, 2, b"to the second");
        world.run(ms(5000));
        assert_eq!(world.outcomes(1), vec![(1, Outcome::Delivered), (2, Outcome::Delivered)]);
        assert_eq!(world.estates[0].messages.len(), 2);
    }

    fn a_session_that_only_one_side_has_loses_no_message<S>() {
        // The allower gives up just when its initiate arrives: its peer sends under a session that
        // the allower never hears of.
        for len in [20, 3000] {
            let (mut world, other, main) = World::<S>::allowed();
            let now = world.now;
            world.estates[0].stack.allow(now, other).unwrap();
            for (until, lost) in [(3700, PacketKind::Initiate), (4100, PacketKind::Ack)] {
                world.lose = Box::new(move |p| p.kind() == (TransactionKind::Allow, lost));
                let end = now + ms(until);
                world.run(end.since(world.now));
            }
            assert_eq!(world.happened(0), [RemoteEvent::AllowFailed(AllowFailure::Timeout)]);
            assert_eq!(world.happened(1), [RemoteEvent::Allowed]);
            world.lose = std::boxed::Box::new(|_| false);
            world.send(1, main, 1, &vec![9; len]);
            world.run(ms(30_000));
            assert_eq!(world.outcomes(1), vec![(1, Outcome::Delivered)], "{len}");
            assert_eq!(world.estates[0].messages.len(), 1);
        }
    }

    fn a_late_copy_of_an_empty_message_shuts_nobody_out<S>() {
        // Empty, it bears no proof of its session; and a peer that lost us may use any.
        let (mut world, other, main) = World::<S>::allowed();
        world.send(0, other, 1, b"");
        world.run(ms(1000));
        let copy = world.log.iter().find(|(_, p)| p.kind() == MESSAGE).unwrap().1.clone();
        let now = world.now;
        world.estates[0].stack.forget(now, other).unwrap();
        world.estates[1].stack.alive(now, main).unwrap();
        world.run(ms(1000));
        let other = world.estates[0].stack.find("other").expect("it came back");
        world.deliver(copy.clone());
        world.forget_past();
        world.send(0, other, 2, b"new");
        world.run(ms(1000));
        assert_eq!(world.outcomes(0), vec![(2, Outcome::Delivered)], "at once");
        world.deliver(copy);
        assert_eq!(world.estates[1].messages, vec![("main".into(), b"new".to_vec())]);
    }

    fn done_comes_when_the_application_has_taken_it<S>() {
        let (mut world, _, main) = World::<S>::allowed();
        world.estates[0].deaf = true;
        world.send(1, main, 1, b"wait for me");
        world.run(ms(10_000));
        assert_eq!(world.outcomes(1), vec![]);
        world.estates[0].deaf = false;
        world.run(ms(1000));
        assert_eq!(world.outcomes(1), vec![(1, Outcome::Delivered)]);
        assert_eq!(world.estates[0].messages.len(), 1);
    }

    fn a_doubled_segment_draws_one_answer<S>() {
        let mut world = World::<S>::pair_with(|_| {}, |other| other.window = 4);
        let main = world.connect(1, 0);
        world.run(ms(200));
        world.forget_past();
        world.send(1, main, 1, &vec![7; 20_000]);
        world.settle();
        let burst: Vec<_> = world.wire.drain(..).map(|(_, packet)| packet).collect();
        let waits = |p: &&Packet| Frame::parse(&p.bytes).unwrap().head.flags.contains(Flags::WAIT);
        let asked = burst.iter().filter(waits).count();
        assert!(asked > 0 && burst.len() == 4);
        for packet in burst {
            for _ in 0..5 {
                world.deliver(packet.clone());
            }
        }
        assert_eq!(world.sent(0), vec![(TransactionKind::Message, PacketKind::Ack); asked]);
        // Where that answer is lost, the clock has it said again.
        world.wire.clear();
        world.run(ms(5000));
        assert_eq!(world.outcomes(1), vec![(1, Outcome::Delivered)]);
    }

    fn a_full_inbox_loses_nothing<S>() {
        let (mut world, _, main) = World::<S>::allowed();
        world.estates[0].deaf = true;
        let mut sent = 0;
        for token in 0..16 {
            world.send(1, main, token, &[token as u8; 2000]);
            sent += 1;
        }
        world.run(ms(20_000));
        world.estates[0].deaf = false;
        world.run(ms(20_000));
        assert_eq!(world.estates[0].messages.len(), sent);
        assert!(world.outcomes(1).iter().all(|(_, o)| *o == Outcome::Delivered));
        assert_eq!(world.outcomes(1).len(), sent);
    }

    fn a_full_outbox_says_so_and_never_is_another_word<S>() {
        let (mut world, _, main) = World::<S>::allowed();
        world.estates[0].deaf = true;
        let now = world.now;
        let stack = &mut world.estates[1].stack;
        let limits = *stack.limits();
        let never = stack.send(now, main, SendOptions::default(), limits.message + 1, |_| ());
        assert_eq!(never, Err(SendError::TooLong));
        let mut sent = 0;
        let full = loop {
            match stack.send(now, main, SendOptions::default(), limits.message.min(1000), |_| ()) {
                Ok(_) => sent += 1,
                Err(error) => break error,
            }
        };
        assert_eq!(full, SendError::Full);
        assert!(sent > 0 && sent <= limits.outbox);
    }

    fn what_no_receiver_could_read_is_not_taken<S>() {
        let (mut world, _, main) = World::<S>::allowed();
        for (kind, body, taken) in [
            (BodyKind::Json, &b"[1]"[..], false),
            (BodyKind::Json, b"{", false),
            (BodyKind::Json, b"{}", true),
            (BodyKind::Msgpack, b"\x90", false),
            (BodyKind::Msgpack, b"\x80", true),
            (BodyKind::Raw, b"[1]", true),
            (BodyKind::Json, b"", true),
        ] {
            let now = world.now;
            let options = SendOptions { body: kind, ..SendOptions::default() };
            let fill = |room: &mut [u8]| room.copy_from_slice(body);
            let sent = world.estates[1].stack.send(now, main, options, body.len(), fill);
            assert_eq!(sent.is_ok(), taken, "{body:?}");
            assert!(taken || sent == Err(SendError::NotMapping));
        }
    }

    fn the_largest_message_gets_through<S>() {
        let (mut world, _, main) = World::<S>::allowed();
        let len = S::LIMITS.message.min(200_000);
        let body: Vec<u8> = (0..len).map(|n| (n % 251) as u8).collect();
        world.send(1, main, 1, &body);
        world.run(ms(10_000));
        assert_eq!(world.outcomes(1), vec![(1, Outcome::Delivered)]);
        assert_eq!(world.estates[0].messages[0].1, body);
    }

    fn a_lost_done_is_said_again<S>() {
        let (mut world, _, main) = World::<S>::allowed();
        let mut left = 3;
        world.lose = std::boxed::Box::new(move |p| p.kind() == DONE && { left -= 1; left >= 0 });
        world.send(1, main, 1, b"x");
        world.run(ms(5000));
        assert_eq!(world.outcomes(1), vec![(1, Outcome::Delivered)]);
        assert_eq!(world.estates[0].messages.len(), 1);
    }

    fn a_repeat_is_the_same_packet_to_the_byte<S>() {
        let (mut world, _, main) = World::<S>::allowed();
        world.lose = std::boxed::Box::new(|p| p.kind() == DONE);
        world.send(1, main, 1, b"x");
        world.run(ms(3000));
        let sent: Vec<_> = world.log.iter().filter(|(_, p)| p.kind() == MESSAGE).map(|(_, p)| &p.bytes).collect();
        assert!(sent.len() > 3);
        assert!(sent.windows(2).all(|w| w[0] == w[1]));
    }

    fn a_message_open_when_the_session_changes_is_delivered_once<S>() {
        for taken_before in [false, true] {
            let (mut world, _, main) = World::<S>::allowed();
            // Every done of the first session is lost.
            world.lose = std::boxed::Box::new(|p| p.kind() == DONE);
            world.estates[0].deaf = !taken_before;
            world.send(1, main, 1, b"once only");
            let body: Vec<u8> = (0..5000u32).map(|n| n as u8).collect();
            world.send(1, main, 2, &body);
            world.run(ms(1000));
            let now = world.now;
            world.estates[1].stack.allow(now, main).unwrap();
            world.run(ms(1000));
            world.lose = std::boxed::Box::new(|_| false);
            world.estates[0].deaf = false;
            world.run(ms(3000));
            let mut outcomes = world.outcomes(1);
            outcomes.sort_by_key(|o| o.0);
            assert_eq!(outcomes, vec![(1, Outcome::Delivered), (2, Outcome::Delivered)]);
            assert_eq!(world.estates[0].messages.len(), 2, "taken before: {taken_before}");
        }
    }

    fn once_means_unknown_when_the_session_changes<S>() {
        let (mut world, _, main) = World::<S>::allowed();
        world.lose = std::boxed::Box::new(|p| p.kind() == MESSAGE);
        send_with(&mut world, 1, main, SendOptions { token: 1, once: true, ..SendOptions::default() }, b"x");
        send_with(&mut world, 1, main, SendOptions { token: 2, ..SendOptions::default() }, b"y");
        world.run(ms(100));
        world.lose = std::boxed::Box::new(|_| false);
        let now = world.now;
        world.estates[1].stack.allow(now, main).unwrap();
        world.run(ms(3000));
        let mut outcomes = world.outcomes(1);
        outcomes.sort_by_key(|o| o.0);
        let expected = [(1, Outcome::Unknown(Doubt::SessionChanged)), (2, Outcome::Delivered)];
        assert_eq!(outcomes, expected);
    }

    fn cancel_and_deadline_tell_failed_from_unknown<S>() {
        let (mut world, _, main) = World::<S>::allowed();
        world.lose = std::boxed::Box::new(|_| true);
        let at = world.now + ms(700);
        send_with(&mut world, 1, main, SendOptions { token: 1, deadline: Some(at), ..SendOptions::default() }, b"x");
        let now = world.now;
        let options = SendOptions { token: 2, ..SendOptions::default() };
        let unsent = world.estates[1].stack.send(now, main, options, 1, |_| ()).unwrap();
        world.estates[1].stack.cancel(now, unsent).unwrap();
        assert!(world.estates[1].stack.cancel(now, unsent).is_err());
        world.run(ms(650));
        let options = SendOptions { token: 3, ..SendOptions::default() };
        let now = world.now;
        let sent = world.estates[1].stack.send(now, main, options, 1, |_| ()).unwrap();
        world.run(ms(300));
        let now = world.now;
        world.estates[1].stack.cancel(now, sent).unwrap();
        world.settle();
        let mut outcomes = world.outcomes(1);
        outcomes.sort_by_key(|o| o.0);
        assert_eq!(outcomes, vec![
            (1, Outcome::Unknown(Doubt::Deadline)),
            (2, Outcome::Failed(Failure::Cancelled)),
            (3, Outcome::Unknown(Doubt::Cancelled)),
        ]);
    }

    fn a_deadline_before_there_was_a_session_is_a_failure<S>() {
        let mut world = World::<S>::pair();
        world.lose = std::boxed::Box::new(|_| true);
        let main = world.connect(1, 0);
        let at = world.now + ms(30_000);
        send_with(&mut world, 1, main, SendOptions { token: 1, deadline: Some(at), ..SendOptions::default() }, b"x");
        world.run(ms(31_000));
        assert_eq!(world.outcomes(1), vec![(1, Outcome::Failed(Failure::Deadline))]);
    }

    fn a_receiver_that_restarts_gets_the_message_in_a_new_session<S>() {
        let (mut world, _, main) = World::<S>::allowed();
        let mut again = config("main", 1);
        again.main = true;
        let records = world.estates[0].records.clone();
        world.restart(0, again, records);
        world.send(1, main, 1, b"are you there");
        world.run(ms(10_000));
        assert_eq!(world.outcomes(1), vec![(1, Outcome::Delivered)]);
        assert_eq!(world.estates[0].messages.len(), 1);
        let joins = world.log.iter().filter(|(_, p)| p.kind().0 == TransactionKind::Join).count();
        assert_eq!(joins, 0, "its records are enough");
    }

    fn sessions_never_go_back_over_a_restart<S>() {
        let (mut world, _, _) = World::<S>::allowed();
        let mut highest = 0;
        for _ in 0..5 {
            let records = world.estates[1].records.clone();
            world.restart(1, config("other", 2), records);
            world.forget_past();
            let main = world.connect(1, 0);
            world.send(1, main, 1, b"x");
            world.run(ms(3000));
            assert_eq!(world.outcomes(1), vec![(1, Outcome::Delivered)]);
            let from = world.estates[1].address;
            let used = world.log.iter().filter(|(_, p)| p.from == from).filter_map(|(_, p)| {
                let head = crate::wire::Frame::parse(&p.bytes).ok()?.head;
                (!head.flags.contains(crate::wire::Flags::CORRESPONDENT)).then_some(head.session)
            });
            let used: Vec<u32> = used.filter(|s| *s > 0).collect();
            assert!(used.iter().all(|s| *s > highest), "{used:?} after {highest}");
            highest = *used.iter().max().unwrap();
        }
    }

    fn presence_tells_who_goes_and_who_comes_back<S>() {
        let mut world = World::<S>::pair_with(|main| main.presence = Some(Presence::default()), |_| {});
        world.connect(1, 0);
        world.run(ms(5000));
        world.forget_past();
        world.run(ms(10_000));
        assert!(world.happened(0).is_empty(), "{:?}", world.happened(0));
        world.lose = std::boxed::Box::new(|_| true);
        world.run(ms(5000));
        assert!(world.happened(0).contains(&RemoteEvent::Went));
        world.run(ms(300_000));
        world.forget_past();
        world.lose = std::boxed::Box::new(|_| false);
        world.run(ms(70_000));
        assert!(world.happened(0).contains(&RemoteEvent::Came), "{:?}", world.happened(0));
    }

    fn who_is_silent_for_long_is_not_asked_any_more<S>() {
        let mut world = World::<S>::pair_with(|main| main.presence = Some(Presence { interim: ms(30_000), ..Presence::default() }), |_| {});
        let main = world.connect(1, 0);
        world.run(ms(3000));
        world.lose = std::boxed::Box::new(|_| true);
        world.run(ms(200_000));
        assert!(world.happened(0).contains(&RemoteEvent::Reaped));
        world.forget_past();
        world.run(ms(600_000));
        assert!(world.sent(0).is_empty());
        world.lose = std::boxed::Box::new(|_| false);
        world.send(1, main, 1, b"still here");
        world.run(ms(70_000));
        assert_eq!(world.outcomes(1), vec![(1, Outcome::Delivered)]);
        assert!(world.happened(0).contains(&RemoteEvent::Came));
    }

    fn traffic_spares_the_sign_of_life<S>() {
        let mut world = World::<S>::pair_with(|main| main.presence = Some(Presence::default()), |_| {});
        let main = world.connect(1, 0);
        world.run(ms(100));
        world.forget_past();
        for n in 0..20 {
            world.send(1, main, n, b"tick");
            world.run(ms(500));
        }
        let asked = world.sent(0).into_iter().filter(|k| k.0 == TransactionKind::Alive).count();
        assert_eq!(asked, 0);
    }

    /// The peer began an allow anew before it heard our ack, and fell silent: what it left is a session
    /// that it may not hold.
    fn a_session_that_was_never_confirmed_is_made_anew<S>() {
        let mut world = World::<S>::new();
        let mut main = config("main", 1);
        main.main = true;
        world.add(main);
        let mut other = config("other", 2);
        other.cascade = false; // it begins what it is told to, and nothing by itself
        world.add(other);
        let now = world.now;
        let to = world.estates[0].address;
        let remote = world.estates[1].stack.add_remote(now, to, 0).unwrap();
        world.estates[1].stack.join(now, remote).unwrap();
        world.run(ms(100));

        let mut hellos = 0;
        world.lose = Box::new(move |packet| match packet.kind() {
            (TransactionKind::Allow, PacketKind::Hello) => {
                hellos += 1;
                hellos == 1 // so the allowent's clock runs longer
            }
            (TransactionKind::Allow, PacketKind::Ack) => true,
            _ => false,
        });
        let now = world.now;
        world.estates[1].stack.allow(now, remote).unwrap();
        world.run(ms(4010));
        let main = world.estates[0].stack.find("other").unwrap();
        assert!(world.estates[0].stack.remote(main).unwrap().allowed);
        world.lose = Box::new(|packet| packet.kind().1 != PacketKind::Hello);
        let now = world.now;
        world.estates[1].stack.allow(now, remote).unwrap();
        world.run(ms(10_000));

        world.lose = Box::new(|_| false);
        world.send(0, main, 7, b"anyone there");
        world.run(ms(2000));
        assert_eq!(world.outcomes(0), [(7, Outcome::Delivered)]);
    }
}
