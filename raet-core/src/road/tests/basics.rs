//! The way from strangers to a message, and what loss does to it.

use std::vec;
use std::vec::Vec;

use super::both;
use super::world::{World, lossy};
use crate::event::{Outcome, RemoteEvent};
use crate::time::Duration;

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
