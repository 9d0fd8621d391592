//! What the two are called is the word of a join until an allow has said it again (H18).

use std::vec::Vec;

use super::both;
use super::world::{World, address, config, ms};
use crate::event::{AllowFailure, RemoteEvent};
use crate::storage::Storage;
use crate::time::Duration;
use crate::wire::{PacketKind, TransactionKind};

/// Runs the world while somebody on the path changes what joins of this kind say.
fn lie<S: Storage>(
    world: &mut World<S>,
    packet: PacketKind,
    said: &[u8],
    lied: &[u8],
    time: Duration,
) {
    let end = world.now + time;
    while world.now < end {
        // Shorter than the way, so that each is seen.
        world.run(ms(1));
        for (_, other) in &mut world.wire {
            if other.kind() == (TransactionKind::Join, packet) {
                let at = other.bytes.windows(said.len()).position(|w| w == said);
                if let Some(at) = at {
                    other.bytes[at..at + said.len()].copy_from_slice(lied);
                }
            }
        }
    }
}

fn allowed<S: Storage>(world: &World<S>, n: usize) -> Vec<std::string::String> {
    let remotes = world.estates[n].stack.remotes();
    let allowed = remotes.filter(|r| r.allowed);
    allowed
        .map(|r| std::format!("{}/{}", r.name, r.role))
        .collect()
}

both! {
    fn a_name_that_was_changed_on_the_way_gets_no_session<S>() {
        let lies: [(PacketKind, &[u8], &[u8]); 4] = [
            (PacketKind::Request, br#""name":"other""#, br#""name":"aunty""#),
            (PacketKind::Request, br#""role":"other""#, br#""role":"aunty""#),
            (PacketKind::Response, br#""name":"main""#, br#""name":"moon""#),
            (PacketKind::Response, br#""role":"main""#, br#""role":"moon""#),
        ];
        for (packet, said, lied) in lies {
            let mut world = World::<S>::pair();
            world.connect(1, 0);
            lie(&mut world, packet, said, lied, ms(5000));
            assert!(world.happened(1).contains(&RemoteEvent::Joined), "the join itself is believed");
            assert!(world.happened(1).contains(&RemoteEvent::AllowFailed(AllowFailure::Rejected)));
            assert_eq!((allowed(&world, 0).len(), allowed(&world, 1).len()), (0, 0));
            world.run(ms(20_000));
            assert_eq!(allowed(&world, 0), ["other/other"]);
            assert_eq!(allowed(&world, 1), ["main/main"]);
        }
    }

    fn who_was_told_a_wrong_name_cannot_begin_either<S>() {
        let mut world = World::<S>::pair();
        world.connect(1, 0);
        // What the joiner begins itself is lost.
        world.lose = std::boxed::Box::new(|p| p.from == address(1) && p.kind().1 == PacketKind::Hello);
        lie(&mut world, PacketKind::Request, br#""name":"other""#, br#""name":"aunty""#, ms(40));
        let aunty = world.estates[0].stack.find("aunty").expect("joined");
        world.send(0, aunty, 1, b"for aunty alone");
        let failed = RemoteEvent::AllowFailed(AllowFailure::Rejected);
        for _ in 0..200 {
            world.run(ms(10));
            if world.happened(0).contains(&failed) {
                break;
            }
            assert_eq!((allowed(&world, 0).len(), allowed(&world, 1).len()), (0, 0));
        }
        assert!(world.happened(0).contains(&failed));
        assert!(world.estates[1].messages.is_empty());
    }

    fn an_allow_ends_when_its_peer_is_called_otherwise_meanwhile<S>() {
        let mut world = World::<S>::pair();
        let main = world.connect(1, 0);
        world.lose = std::boxed::Box::new(|p| p.from == address(0) && p.kind().1 == PacketKind::Ack);
        world.run(ms(100));
        let names = || world.estates[1].stack.remote(main).map(|r| (r.name.clone(), r.allowed));
        assert_eq!(names(), Some((config("main", 1).name, false)));
        world.estates[1].stack.join(world.now, main).unwrap();
        world.drive(1);
        lie(&mut world, PacketKind::Response, br#""name":"main""#, br#""name":"moon""#, ms(20));
        world.lose = std::boxed::Box::new(|_| false);
        let moon = |w: &World<S>| w.estates[1].stack.remote(main).is_some_and(|r| r.allowed && r.name == "moon");
        for _ in 0..40 {
            world.run(ms(50));
            assert!(!moon(&world), "what was proven is another name");
        }
    }
}
