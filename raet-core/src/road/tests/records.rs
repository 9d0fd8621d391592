//! What the keep is to hold, whenever it stores what and whatever comes between.

use std::vec::Vec;

use core::time::Duration;

use super::attack::{Claim, inject, stranger};
use super::both;
use super::world::{World, address, config, name};
use crate::config::Config;
use crate::crypto::NaclSuite;
use crate::keep::{Place, Record};
use crate::limits::Limits;
use crate::road::RoadStack;
use crate::storage::Storage;

fn main_estate() -> Config {
    let mut main = config("main", 1);
    main.main = true;
    main
}

/// Room for so many remotes and roles.
fn room_for<S: Storage>(remotes: usize, roles: usize) -> Limits {
    Limits {
        remotes,
        roles,
        handshakes: 1,
        ..S::LIMITS
    }
}

both! {
    fn a_keep_never_has_to_hold_more_than_fits<S>() {
        // Strangers displace each other, and the keep stores what is new at once, ends as late as can be.
        for (remotes, roles) in [(2, 2), (2, 8)] {
            let mut world = World::<S>::new();
            let limits = room_for::<S>(remotes, roles);
            world.add_with(main_estate(), limits, Vec::new());
            let mut kept: Vec<Record> = Vec::new();
            let mut ends: Vec<Record> = Vec::new();
            let mut names = Vec::new();
            for n in 0..12 {
                let name = std::format!("guest-{n}");
                let guest = stranger(&name, 20 + n, n.into());
                let from = address(100 + usize::from(n));
                let (now, stack) = (world.now, &mut world.estates[0].stack);
                // It asks twice: the host must poll what is gone before its place is free.
                for _ in 0..2 {
                    stack.handle_datagram(now, from, &mut guest.request());
                    stack.handle_datagram(now, from, &mut guest.ack());
                    let mut buffer = [0; 1500];
                    while stack.poll_transmit(now, &mut buffer).is_some() {}
                    while stack.poll_event().is_some() {}
                    while let Some(record) = stack.poll_record() {
                        if record.is_end() {
                            ends.push(record);
                            continue;
                        }
                        kept.retain(|held| held.place() != record.place());
                        kept.push(record.clone());
                        stack.handle_stored(now, &record);
                        let count = |of: fn(&Place) -> bool| kept.iter().filter(|r| of(&r.place())).count();
                        assert!(count(|p| matches!(p, Place::Remote(_))) <= remotes, "{kept:?}");
                        assert!(count(|p| matches!(p, Place::Role(_))) <= roles, "{kept:?}");
                        let suite = NaclSuite::new(&[7; 32]);
                        let next = RoadStack::<S, _>::new(now, main_estate(), limits, suite, kept.clone());
                        assert!(next.is_ok(), "{kept:?}");
                    }
                }
                assert!(stack.find(&name).is_some(), "a slow keep keeps nobody out");
                names.push(name);
                // Only now and then an end is stored.
                if n % 4 == 3 {
                    for end in ends.drain(..) {
                        kept.retain(|held| held.place() != end.place());
                        stack.handle_stored(now, &end);
                    }
                }
            }
            world.settle();
            for record in &world.estates[0].records {
                kept.retain(|held| held.place() != record.place());
                kept.push(record.clone());
            }
            kept.retain(|r| matches!(r, Record::Remote(_)));
            let newest = |n: usize| Place::Remote(super::world::name(&names[n]));
            assert!(kept.iter().any(|r| r.place() == newest(10)), "{kept:?}");
            assert!(kept.iter().any(|r| r.place() == newest(11)), "{kept:?}");
        }
    }

    fn a_stranger_changes_its_name_in_a_full_table<S>() {
        let mut world = World::<S>::new();
        world.add_with(main_estate(), room_for::<S>(1, 1), Vec::new());
        let guest = stranger("guest", 9, 1);
        inject(&mut world, 0, address(5), &guest.request());
        inject(&mut world, 0, address(5), &guest.ack());
        let near = world.estates[0].stack.remotes().next().unwrap().near;
        let visitor = Claim { destination: near, role: "guest", ..stranger("visitor", 9, 2) };
        let visitor = Claim { source: guest.source, ..visitor };
        inject(&mut world, 0, address(5), &visitor.request());
        inject(&mut world, 0, address(5), &visitor.ack());
        assert!(world.estates[0].stack.find("visitor").is_some());
        let remotes: Vec<_> = world.estates[0].records.iter().map(Record::place).collect();
        assert!(remotes.contains(&Place::Remote(name("visitor"))));
        assert!(!remotes.contains(&Place::Remote(name("guest"))));
    }

    fn who_takes_the_place_of_a_forgotten_peer_goes_on_above_its_sessions<S>() {
        let (mut world, other, _) = World::<S>::allowed();
        let old = world.estates[0].stack.remote(other).unwrap();
        // Main knows of somebody at an address, to which the other moves when main has forgotten it.
        let elsewhere = address(50);
        let now = world.now;
        world.estates[0].stack.add_remote(now, elsewhere, 0).unwrap();
        world.estates[0].stack.forget(now, other).unwrap();
        world.estates[1].address = elsewhere;
        let main = world.estates[1].stack.find("main").unwrap();
        world.estates[1].stack.allow(now, main).unwrap();
        world.run(Duration::from_secs(60));
        let new = world.estates[0].stack.find("other").unwrap();
        let new = world.estates[0].stack.remote(new).unwrap();
        assert_eq!((new.near, new.address, new.allowed), (old.near, elsewhere, true));
        assert!(new.session > old.session, "{} after {}", new.session, old.session);
    }
}
