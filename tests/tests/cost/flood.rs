//! Floods of forged datagrams, and the proven peers beside them.

use std::time::Duration;

use raet_core::RemoteId;
use raet_core::event::Outcome;
use raet_core::stats::{Reason, Verdict};
use raet_core::storage::{Fixed, Heap, Storage};
use raet_core::wire::{FootKind, Head, PacketKind, TransactionKind};
use raet_tests::forge::{head_from, keys, request};
use raet_tests::sim::{World, address, config};

use super::{Suite, allowed, forged, from_other, stranger};

/// Sends `count` messages from other to main while `flood` hits main before each; all must arrive.
fn served_under<S: Storage>(
    world: &mut World<S, Suite>,
    main: RemoteId,
    count: u64,
    mut flood: impl FnMut(&mut World<S, Suite>, u64),
) {
    for token in 0..count {
        world.send(1, main, token, b"through the flood");
        flood(world, token);
        world.run(Duration::from_millis(20));
        flood(world, token + count);
    }
    world.run(Duration::from_secs(5));
    let delivered: Vec<_> = (0..count)
        .map(|token| (token, Outcome::Delivered))
        .collect();
    let mut outcomes = world.outcomes(1);
    outcomes.sort_by_key(|(token, _)| *token);
    assert_eq!(outcomes, delivered);
    assert_eq!(world.estates[0].messages.len() as u64, count);
    let sessions = world.estates[0].stack.remotes().filter(|r| r.allowed);
    assert_eq!(sessions.count(), 1);
}

fn survives_a_flood_of_joins<S: Storage>() {
    let (mut world, _, other, main) = allowed::<S>();
    let mut n = 0;
    served_under(&mut world, main, 40, |world, round| {
        for _ in 0..50 {
            n += 1;
            let text = format!("guest-{n}");
            // Every other one claims to be other itself.
            let bytes = match n % 2 {
                0 => request("other", keys(2), n | 1, n),
                _ => request(&text, keys((n % 250) as u8), n | 1, n),
            };
            world.inject(0, stranger(n % 1000 + round as u32), &bytes);
        }
    });
    assert!(world.estates[0].stack.remotes().count() <= S::LIMITS.remotes);
    let held = world.estates[0].stack.remote(other).expect("it stays");
    assert_eq!((held.address, held.allowed), (address(1), true));
}

#[test]
fn a_flood_of_joins_leaves_proven_peers_served() {
    survives_a_flood_of_joins::<Heap>();
    survives_a_flood_of_joins::<Fixed<4, 16, 32768>>();
}

#[test]
fn a_flood_of_bad_signatures_leaves_proven_peers_served() {
    let (mut world, counts, _, main) = allowed::<Heap>();
    // A stranger joins, which anyone can, and so has an id of ours to send forgeries to.
    let guest = world.add(Heap::LIMITS, || config("guest", 9));
    let main_there = world.connect(guest, 0);
    world.weather = Box::new(|_, packet, _| match packet.kind() {
        Some((TransactionKind::Allow, _)) => Vec::new(), // it never proves its keys
        _ => vec![Duration::from_millis(5)],
    });
    world.run(Duration::from_millis(100));
    assert!(world.estates[0].stack.find("guest").is_some(), "it joined");
    world.forget_past();
    let (transaction, packet) = (TransactionKind::Allow, PacketKind::Hello);
    let head = Head {
        foot: FootKind::Nacl,
        ..head_from(&world, guest, main_there, transaction, packet)
    };
    let (mut ti, before, started) = (100, counts.verified(), world.now);
    served_under(&mut world, main, 40, |world, _| {
        for _ in 0..100 {
            ti += 1;
            let bytes = forged(
                &Head {
                    transaction_id: ti,
                    ..head
                },
                &[0; 200],
            );
            world.inject(0, address(2), &bytes);
        }
    });
    // 8,000 forgeries; the bucket lets 256 through, and one each 4 ms.
    let spent = world.now.since(started).as_millis() as u64 / 4 + 256;
    let stats = world.estates[0].stack.stats();
    assert!(
        stats.dropped(Reason::Forged) <= spent,
        "{}",
        stats.dropped(Reason::Forged)
    );
    assert!(stats.dropped(Reason::Limited) > 5000);
    // Those of the messages, of their dones, and of nothing else.
    assert!(
        counts.verified() - before <= spent + 4 * 40,
        "{}",
        counts.verified() - before
    );
}

#[test]
fn a_flood_in_a_proven_peers_own_name_does_not_cut_it_off() {
    // Someone on the path sees the ids: each forgery costs a verification, and none is held against
    // the peer.
    let (mut world, _, _, main) = allowed::<Heap>();
    let head = from_other(&world, main);
    let mut ti = 1000;
    served_under(&mut world, main, 20, |world, _| {
        for _ in 0..100 {
            ti += 1;
            let bytes = forged(
                &Head {
                    transaction_id: ti,
                    ..head
                },
                b"forged coat",
            );
            assert_eq!(
                world.inject(0, address(1), &bytes),
                Verdict::Dropped(Reason::Forged)
            );
        }
    });
}
