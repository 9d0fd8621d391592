//! What idle remotes cost: nothing, at each step of a conversation.

use std::time::Duration;

use raet_core::crypto::PublicKeys;
use raet_core::keep::{EstateRecord, Record, RemoteRecord, RoleRecord, Status};
use raet_core::limits::Limits;
use raet_core::storage::{Heap, Storage};
use raet_core::time::Instant;
use raet_core::wire::{FootKind, Head, PacketKind, TransactionKind};
use raet_core::{RoadStack, SendOptions};
use raet_tests::forge::{keys, request};
use raet_tests::sim::{address, config, main_config, name};
use raet_tests::suite::Weak;
use raet_tests::touch::{Touch, touched};

use super::{forged, stranger};

/// An engine that knows `count` proven remotes, none of which says a word, and one more that does.
fn crowded(count: usize) -> RoadStack<Touch<Heap>, Weak> {
    let limits = Limits {
        remotes: 16_384,
        roles: 16_384,
        ..Heap::LIMITS
    };
    let mut records = vec![Record::Estate(EstateRecord { sessions: 100 })];
    for n in 0..=count {
        let text = if n == count {
            "other".to_owned()
        } else {
            format!("idle-{n}")
        };
        let keys = if n == count {
            keys(2)
        } else {
            PublicKeys {
                verify: [n as u8 | 1; 32],
                public: [7; 32],
            }
        };
        records.push(Record::Role(RoleRecord {
            name: name(&text),
            status: Status::Accepted,
            judged: false,
            keys,
        }));
        records.push(Record::Remote(RemoteRecord {
            name: name(&text),
            near: n as u32 + 1,
            far: if n == count { 1 } else { n as u32 + 1 },
            address: if n == count {
                address(1)
            } else {
                stranger(n as u32)
            },
            main: false,
            kind: 0,
            role: name(&text),
            joined: true,
            proven: true,
            session: 100,
        }));
    }
    let suite = Weak::new(&[3; 32]);
    RoadStack::new(
        Instant::ZERO,
        main_config("main", 1),
        limits,
        suite,
        records,
    )
    .expect("it fits")
}

/// How many slots each step of a conversation touches: allow, alive, messages both ways, forgeries.
fn conversation(count: usize) -> Vec<u64> {
    let mut main = crowded(count);
    let records = vec![
        Record::Role(RoleRecord {
            name: name("main"),
            status: Status::Accepted,
            judged: false,
            keys: keys(1),
        }),
        Record::Remote(RemoteRecord {
            name: name("main"),
            near: 1,
            far: count as u32 + 1,
            address: address(0),
            main: true,
            kind: 0,
            role: name("main"),
            joined: true,
            proven: true,
            session: 200,
        }),
    ];
    let suite = Weak::new(&[4; 32]);
    let mut other = RoadStack::<Heap, _>::new(
        Instant::ZERO,
        config("other", 2),
        Heap::LIMITS,
        suite,
        records,
    )
    .expect("it fits");
    let to_main = other.find("main").expect("restored");
    let to_other = main.find("other").expect("restored");
    let mut now = Instant::ZERO;
    for stored in [main.poll_record(), main.poll_record()]
        .into_iter()
        .flatten()
    {
        main.handle_stored(now, &stored);
    }
    while let Some(stored) = other.poll_record() {
        other.handle_stored(now, &stored);
    }
    let mut touches = Vec::new();
    let mut buffer = [0; 1500];
    other.connect(now, address(0), 0).expect("it is known");
    for step in 0..400 {
        now = now + Duration::from_millis(5);
        match step {
            100 => drop(other.alive(now, to_main)),
            150 => drop(
                other.send(now, to_main, SendOptions::default(), 3000, |room| {
                    room.fill(1);
                }),
            ),
            200 => touches.push(
                touched(|| {
                    main.send(now, to_other, SendOptions::default(), 3000, |room| {
                        room.fill(2);
                    })
                })
                .0,
            ),
            250 => {
                touches
                    .push(touched(|| main.handle_datagram(now, stranger(3), &mut [b'R'; 100])).0);
            }
            260 => {
                let mut head = Head::new(PacketKind::Request, TransactionKind::Alive);
                head.foot = FootKind::Nacl;
                (head.source, head.destination, head.session) = (4, 4, 300);
                touches.push(
                    touched(|| main.handle_datagram(now, stranger(3), &mut forged(&head, b""))).0,
                );
            }
            270 => {
                let mut bytes = request("new", keys(9), 5, 5);
                touches.push(touched(|| main.handle_datagram(now, stranger(70_000), &mut bytes)).0);
            }
            _ => {}
        }
        other.handle_timeout(now);
        touches.push(touched(|| main.handle_timeout(now)).0);
        while let Some(made) = other.poll_transmit(now, &mut buffer) {
            touches
                .push(touched(|| main.handle_datagram(now, address(1), &mut buffer[..made.len])).0);
        }
        while let (n, Some(made)) = touched(|| main.poll_transmit(now, &mut buffer)) {
            touches.push(n);
            other.handle_datagram(now, address(0), &mut buffer[..made.len]);
        }
        touches.push(touched(|| main.poll_event()).0);
        touches.push(touched(|| main.poll_message(|m| m.body.len())).0);
        touches.push(touched(|| main.poll_timeout()).0);
        while other.poll_message(|_| ()).is_some() {}
        while other.poll_event().is_some() {}
    }
    assert!(main.remote(to_other).expect("it is there").allowed);
    assert_eq!(
        (main.stats().messages_in, main.stats().messages_out),
        (1, 1)
    );
    touches
}

#[test]
fn idle_remotes_cost_nothing() {
    let few = conversation(10);
    let many = conversation(10_000);
    let sum: u64 = few.iter().sum();
    assert!(sum > 300, "the count counts: {sum}");
    assert_eq!(few, many);
}
