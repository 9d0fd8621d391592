//! The way from strangers to a message, and what loss does to it.

use std::vec;
use std::vec::Vec;

use super::both;
use super::world::{World, address, config, lossy};
use crate::event::{Outcome, RemoteEvent};
use crate::keep::{EstateRecord, Record};
use crate::time::Duration;
use crate::wire::{PacketKind, TransactionKind};

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

both! {
    fn strangers_join_allow_and_talk<S>() {
        let (mut world, other, main) = World::<S>::allowed();
        world.send(1, main, 7, b"hello main");
        world.send(0, other, 8, b"hello other");
        world.run(secs(1));
        assert_eq!(world.estates[0].messages, vec![("other".into(), b"hello main".to_vec())]);
        assert_eq!(world.estates[1].messages, vec![("main".into(), b"hello other".to_vec())]);
        assert_eq!(world.outcomes(1), vec![(7, Outcome::Delivered)]);
        assert_eq!(world.outcomes(0), vec![(8, Outcome::Delivered)]);
    }

    fn events_tell_the_way<S>() {
        let mut world = World::<S>::pair();
        world.connect(1, 0);
        world.run(secs(1));
        let expected = vec![RemoteEvent::Joined, RemoteEvent::Allowed, RemoteEvent::Came];
        assert_eq!(world.happened(1), expected);
        assert_eq!(world.happened(0), expected);
    }

    fn a_message_is_taken_before_there_is_a_session<S>() {
        let mut world = World::<S>::pair();
        let main = world.connect(1, 0);
        world.send(1, main, 1, b"early");
        world.run(secs(1));
        assert_eq!(world.outcomes(1), vec![(1, Outcome::Delivered)]);
        assert_eq!(world.estates[0].messages.len(), 1);
    }

    fn who_reaches_for_us_is_who_we_reach_for<S>() {
        // Both are refused or unheard once; then the peer's join comes while ours waits to be tried again.
        for mutable in [true, false] {
            let mut world = World::<S>::new();
            for (text, n) in [("alpha", 1), ("beta", 2)] {
                let mut config = config(text, n);
                (config.main, config.mutable) = (true, mutable);
                world.add(config);
            }
            let mut first = true;
            world.lose = std::boxed::Box::new(move |p| {
                p.from == address(0) && p.kind().1 == PacketKind::Request && core::mem::take(&mut first)
            });
            let [alpha, beta] = [world.connect(1, 0), world.connect(0, 1)];
            world.run(secs(20));
            for (n, id) in [(1, alpha), (0, beta)] {
                assert_eq!(world.estates[n].stack.remotes().count(), 1, "{n}, {mutable}");
                assert!(world.estates[n].stack.remote(id).unwrap().allowed, "{n}, {mutable}");
            }
        }
    }

    fn who_knows_us_by_another_id_is_who_we_reach_for<S>() {
        // Both are mains, so alpha takes beta, which lost it, under the id that beta knows; and it
        // reaches for beta itself.
        let mut world = World::<S>::new();
        for (text, n) in [("alpha", 1), ("beta", 2)] {
            let mut config = config(text, n);
            config.main = true;
            world.add(config);
        }
        let kept = world.connect(1, 0);
        world.run(secs(1));
        let mut again = config("alpha", 1);
        again.main = true;
        let sessions = Record::Estate(EstateRecord { sessions: 300 });
        world.restart(0, again, vec![sessions]); // and other random numbers
        world.lose = std::boxed::Box::new(|p| p.from == address(0) && p.kind().1 == PacketKind::Request);
        let lost = world.connect(0, 1);
        world.run(secs(1));
        let now = world.now;
        world.estates[1].stack.join(now, kept).unwrap();
        world.run(secs(20));
        let beta = world.estates[0].stack.remotes().filter(|r| r.address == address(1));
        assert_eq!(beta.count(), 1);
        assert!(world.estates[0].stack.remote(lost).unwrap().allowed);
        assert!(world.estates[1].stack.remote(kept).unwrap().allowed);
    }

    fn a_sign_of_life_ends_with_its_session<S>() {
        let (mut world, other, main) = World::<S>::allowed();
        world.lose = std::boxed::Box::new(|p| p.kind() == (TransactionKind::Alive, PacketKind::Request));
        let now = world.now;
        world.estates[1].stack.alive(now, main).unwrap();
        world.run(Duration::from_millis(300));
        let now = world.now;
        world.estates[0].stack.allow(now, other).unwrap();
        world.run(secs(10));
        assert!(world.happened(1).contains(&RemoteEvent::Allowed));
        assert!(!world.happened(1).contains(&RemoteEvent::Went), "it has just proven itself");
        assert_eq!(world.estates[1].stack.poll_timeout(), None);
    }

    fn a_long_message_goes_in_segments<S>() {
        let (mut world, _, main) = World::<S>::allowed();
        let body: Vec<u8> = (0..20_000u32).map(|n| n as u8).collect();
        world.send(1, main, 1, &body);
        world.send(1, main, 2, b"");
        world.run(secs(2));
        assert_eq!(world.estates[0].messages.len(), 2);
        assert!(world.estates[0].messages.iter().any(|(_, b)| *b == body));
        assert_eq!(world.outcomes(1).len(), 2);
        assert!(world.sent(1).len() > 20);
    }

    fn loss_delays_but_loses_nothing<S>() {
        for seed in 0..20 {
            let mut world = World::<S>::pair();
            world.lose = lossy(seed, 30);
            let main = world.connect(1, 0);
            let body: Vec<u8> = (0..9_000u32).map(|n| (n * 7) as u8).collect();
            for token in 0..5 {
                world.send(1, main, token, &[token as u8; 50]);
            }
            world.send(1, main, 5, &body);
            world.run(secs(120));
            let mut outcomes = world.outcomes(1);
            outcomes.sort_by_key(|(token, _)| *token);
            let expected: Vec<_> = (0..6).map(|t| (t, Outcome::Delivered)).collect();
            assert_eq!(outcomes, expected, "seed {seed}");
            let mut lens: Vec<_> = world.estates[0].messages.iter().map(|(_, b)| b.len()).collect();
            lens.sort_unstable();
            assert_eq!(lens, vec![50, 50, 50, 50, 50, 9_000], "seed {seed}: once each");
        }
    }

    fn nothing_is_due_when_all_is_done<S>() {
        let (mut world, _, main) = World::<S>::allowed();
        world.send(1, main, 1, b"x");
        world.run(secs(30));
        let before = world.log.len();
        world.run(secs(3600));
        assert_eq!(world.log.len(), before);
        assert_eq!(world.estates[0].stack.poll_timeout(), None);
        assert_eq!(world.estates[1].stack.poll_timeout(), None);
    }
}
