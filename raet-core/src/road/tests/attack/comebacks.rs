//! Who lost its peer is heard by it again (H10).

use std::vec;
use std::vec::Vec;

use crate::event::Outcome;
use crate::road::RemoteId;
use crate::road::tests::both;
use crate::road::tests::world::{World, config, ms};
use crate::storage::Storage;

/// A session after another, with a message in each.
fn live_through_sessions<S: Storage>(world: &mut World<S>, other: RemoteId, main: RemoteId) {
    for token in 0..4 {
        world.estates[1].stack.allow(world.now, main).unwrap();
        world.run(ms(500));
        world.send(0, other, token, b"in this session");
        world.run(ms(500));
    }
}

both! {
    fn who_forgets_a_peer_that_comes_back_is_heard_by_it<S>() {
        let (mut world, other, main) = World::<S>::allowed();
        live_through_sessions(&mut world, other, main);
        world.estates[0].stack.forget(world.now, other).unwrap();
        world.estates[1].stack.alive(world.now, main).unwrap();
        world.run(ms(2000));
        let other = world.estates[0].stack.find("other").expect("it joined again");
        world.forget_past();
        world.send(0, other, 9, b"still there?");
        world.run(ms(2000));
        assert_eq!(world.outcomes(0), vec![(9, Outcome::Delivered)]);
    }

    fn who_lost_everything_but_its_keys_is_heard_again<S>() {
        let (mut world, other, main) = World::<S>::allowed();
        live_through_sessions(&mut world, other, main);
        let mut lost = config("main", 1);
        lost.main = true;
        world.forget_past();
        world.restart(0, lost, Vec::new());
        world.estates[1].stack.alive(world.now, main).unwrap();
        world.run(ms(2000));
        let other = world.estates[0].stack.find("other").expect("it joined again");
        world.send(0, other, 9, b"it is me");
        world.run(ms(2000));
        assert_eq!(world.outcomes(0), vec![(9, Outcome::Delivered)]);
    }

    fn a_message_to_who_forgot_us_finds_a_way<S>() {
        // No presence is asked for; the message itself notices.
        let (mut world, other, main) = World::<S>::allowed();
        world.estates[0].stack.forget(world.now, other).unwrap();
        world.send(1, main, 1, b"hello?");
        world.run(ms(60_000));
        assert_eq!(world.outcomes(1), vec![(1, Outcome::Delivered)]);
    }
}
