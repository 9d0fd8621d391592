//! What the keep is to hold, whenever it stores what and whatever comes between.

use std::vec;
use std::vec::Vec;

use core::net::SocketAddr;
use core::time::Duration;

use super::both;
use super::forge::{Claim, inject, recorded, respond, says, stranger};
use super::world::{World, address, config, ms, name};
use crate::config::Config;
use crate::crypto::NaclSuite;
use crate::event::{JoinFailure, RemoteEvent};
use crate::keep::{Place, Record, RemoteRecord};
use crate::limits::Limits;
use crate::road::RoadStack;
use crate::stats::{Reason, Verdict};
use crate::storage::Storage;
use crate::wire::{PacketKind, TransactionKind};

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

    fn a_life_begins_with_both_names_of_a_stranger_that_changed_it<S>() {
        let mut world = World::<S>::allowed().0;
        let records = world.estates[0].records.clone();
        let other = records.iter().find_map(|r| match r {
            Record::Remote(r) => Some(r.clone()),
            _ => None,
        }).unwrap();
        // The new name was stored, the end of the former one not yet. Meanwhile it was proven, or not.
        for (proven, first) in [(true, true), (true, false), (false, true)] {
            let new = RemoteRecord { proven, ..other.clone() };
            let former = RemoteRecord { name: name("former"), proven: false, ..other.clone() };
            let mut kept: Vec<_> = records.iter().filter(|r| !matches!(r, Record::Remote(_))).cloned().collect();
            let pair = if first { [former, new] } else { [new, former] };
            kept.extend(pair.map(Record::Remote));
            let mut main = config("main", 1);
            main.main = true;
            let n = world.add_with(main, S::LIMITS, kept);
            world.drive(n);
            let near = |text| {
                let stack = &world.estates[n].stack;
                stack.remote(stack.find(text).unwrap()).unwrap().near
            };
            assert_ne!(near("former"), near("other"));
            assert!(!proven || near("other") == other.near);
            // What is kept from now on contradicts itself no more.
            let nears: Vec<_> = world.estates[n].records.iter().filter_map(|r| match r {
                Record::Remote(r) => Some((r.name.clone(), r.near)),
                _ => None,
            }).collect();
            assert_eq!(nears.len(), 2);
            assert!(nears.iter().all(|(name, kept)| near(name.as_str()) == *kept));
        }
    }

    fn a_stranger_that_changes_its_name_leaves_no_record_behind<S>() {
        let mut world = World::<S>::pair();
        let first = stranger("guest", 9, 1);
        inject(&mut world, 0, address(5), &first.request());
        inject(&mut world, 0, address(5), &first.ack());
        let guest = world.estates[0].stack.find("guest").unwrap();
        let near = world.estates[0].stack.remote(guest).unwrap().near;
        let second = Claim { destination: near, role: "guest", ..stranger("visitor", 9, 2) };
        let second = Claim { source: first.source, ..second };
        inject(&mut world, 0, address(5), &second.request());
        inject(&mut world, 0, address(5), &second.ack());
        let visitor = world.estates[0].stack.find("visitor").expect("the road is mutable");
        assert_eq!(world.estates[0].stack.remote(visitor).unwrap().near, near);
        assert_eq!(world.estates[0].stack.find("guest"), None);
        let kept: Vec<_> = world.estates[0].records.iter().filter_map(|r| match r {
            Record::Remote(r) => Some(r.name.clone()),
            _ => None,
        }).collect();
        assert_eq!(kept, vec![name("visitor")]);
        let mut main = config("main", 1);
        main.main = true;
        let records = world.estates[0].records.clone();
        world.add_with(main, S::LIMITS, records);
    }

    fn one_name_is_changed_after_the_other_when_the_host_is_slow<S>() {
        let mut world = World::<S>::new();
        world.add(main_estate());
        let guests = [("guest", 9, 5), ("tourist", 8, 6)];
        let near = guests.map(|(called, keys, from)| {
            let guest = stranger(called, keys, 1);
            inject(&mut world, 0, address(from), &guest.request());
            inject(&mut world, 0, address(from), &guest.ack());
            let id = world.estates[0].stack.find(called).unwrap();
            world.estates[0].stack.remote(id).unwrap().near
        });
        let change = |n: usize, called| {
            let (role, keys, from) = guests[n];
            let claim = Claim { destination: near[n], role, ..stranger(called, keys, 2) };
            (address(from), Claim { source: 1001, ..claim }.request())
        };
        // Both call themselves otherwise before the host has asked for the end of the first name.
        let (one, other) = (change(0, "visitor"), change(1, "traveller"));
        let (now, stack) = (world.now, &mut world.estates[0].stack);
        let mut says = |(from, mut bytes): (SocketAddr, Vec<u8>)| stack.handle_datagram(now, from, &mut bytes);
        assert_eq!(says(one), Verdict::Taken);
        assert_eq!(says(other.clone()), Verdict::Dropped(Reason::Full));
        assert!(world.estates[0].stack.find("tourist").is_some(), "nothing has changed");
        world.settle();
        assert_eq!(inject(&mut world, 0, other.0, &other.1), Some(Verdict::Taken));
        assert!(world.estates[0].stack.find("traveller").is_some());
    }

    fn a_name_is_given_up_when_the_host_has_asked_for_the_end_of_another<S>() {
        let mut world = World::<S>::new();
        world.add(config("main", 1)); // takes the first place, and is not asked
        world.add(Config { main: true, ..config("other", 2) });
        // A stranger, and one that was called: neither has proven its name.
        let guest = stranger("guest", 9, 1);
        inject(&mut world, 1, address(7), &guest.request());
        inject(&mut world, 1, address(7), &guest.ack());
        let near = world.estates[1].stack.remotes().next().unwrap().near;
        let first = world.connect(1, 5);
        world.settle();
        respond(&mut world, 1, 5, &says("third", 3));
        let second = world.connect(1, 6);
        world.settle();
        // The stranger changes its name, and before the host has polled that somebody else answers as third.
        let visitor = Claim { destination: near, role: "guest", ..stranger("visitor", 9, 2) };
        let mut request = Claim { source: guest.source, ..visitor }.request();
        let now = world.now;
        let verdict = world.estates[1].stack.handle_datagram(now, address(7), &mut request);
        assert_eq!(verdict, Verdict::Taken);
        respond(&mut world, 1, 6, &says("third", 3));
        let refused = RemoteEvent::JoinFailed(JoinFailure::Refused);
        assert!(world.happened(1).contains(&refused));
        assert_eq!(world.estates[1].stack.find("third"), Some(first));
        for _ in 0..100 {
            world.run(ms(100));
            let requests = recorded(&world, 1, TransactionKind::Join, PacketKind::Request);
            if requests.iter().filter(|p| p.to == address(6)).count() > 1 {
                break;
            }
        }
        respond(&mut world, 1, 6, &says("third", 3));
        assert_eq!(world.estates[1].stack.find("third"), Some(second));
    }

    fn a_handshake_that_waits_for_the_keep_is_not_forgotten<S>() {
        let mut world = World::<S>::pair();
        world.connect(1, 0);
        world.run(ms(500));
        let records = world.estates[1].records.clone();
        world.restart(1, config("other", 2), records);
        let main = world.estates[1].stack.find("main").unwrap();
        // Asked for before the first record is stored.
        world.estates[1].stack.allow(world.now, main).unwrap();
        world.run(ms(500));
        assert!(world.estates[1].stack.remote(main).unwrap().allowed);
    }
}
