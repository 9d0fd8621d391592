//! How much an engine allocates, measured: an idle remote, joined and allowed, and the whole within what
//! it says of itself.
//!
//! One test alone, so that no other allocates beside it.

use std::alloc::System;
use std::net::SocketAddr;

use raet_core::RoadStack;
use raet_core::crypto::{Crypto, NaclSuite};
use raet_core::limits::Limits;
use raet_core::storage::{Heap, Storage};
use raet_core::time::{Duration, Instant};
use raet_tests::sim::{address, config, main_config};
use raet_tests::suite::Weak;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn where_is(n: usize) -> SocketAddr {
    let [.., b, c] = n.to_be_bytes();
    SocketAddr::from(([10, 0, b, c], 7530))
}

/// Lets an engine meet `count` others, one after the other, and forget none. Gives the bytes that it
/// has allocated since it was made.
fn met<C: Crypto>(count: usize, suite: impl Fn(&[u8; 32]) -> C) -> usize {
    let limits = Limits {
        remotes: 4096,
        roles: 4096,
        ..Heap::LIMITS
    };
    let small = Limits {
        remotes: 1,
        roles: 1,
        ..Heap::LIMITS
    };
    let mut now = Instant::from_micros(1);
    let region = Region::new(ALLOCATOR);
    let used = || {
        let change = region.change();
        change.bytes_allocated - change.bytes_deallocated
    };
    let mut main =
        RoadStack::<Heap, C>::new(now, main_config("main", 1), limits, suite(&[1; 32]), [])
            .expect("it fits");
    let mut buffer = [0; 1500];
    for n in 0..count {
        let config = config(&format!("estate-{n}"), (n % 200 + 2) as u8);
        let mut seed = [2; 32];
        seed[..8].copy_from_slice(&n.to_le_bytes());
        let mut other =
            RoadStack::<Heap, C>::new(now, config, small, suite(&seed), []).expect("it fits");
        other.connect(now, address(0), 0).expect("room for one");
        for _ in 0..30 {
            now = now + Duration::from_millis(10);
            for stack in [&mut main, &mut other] {
                stack.handle_timeout(now);
                while let Some(record) = stack.poll_record() {
                    stack.handle_stored(now, &record);
                }
                while stack.poll_event().is_some() {}
            }
            while let Some(made) = other.poll_transmit(now, &mut buffer) {
                main.handle_datagram(now, where_is(n), &mut buffer[..made.len]);
            }
            while let Some(made) = main.poll_transmit(now, &mut buffer) {
                other.handle_datagram(now, address(0), &mut buffer[..made.len]);
            }
        }
        assert!(other.remotes().all(|main| main.allowed), "{n}");
    }
    assert_eq!(
        main.remotes().filter(|r| r.joined && r.allowed).count(),
        count
    );
    let held = used();
    assert!(held <= RoadStack::<Heap, C>::worst_bytes(&limits), "{held}");
    held
}

#[test]
fn an_idle_remote_takes_at_most_a_kibibyte_and_a_half() {
    // The real keys are larger than the fast ones, but not slower to be counted: fewer of them.
    for (name, few, many, each) in [
        ("fast", met(10, Weak::new), met(2000, Weak::new), 1990),
        (
            "real",
            met(10, NaclSuite::new),
            met(300, NaclSuite::new),
            290,
        ),
    ] {
        let bytes = (many - few) / each;
        println!("{name} suite: {bytes} bytes a remote");
        assert!(bytes <= 1536, "{name} suite: {bytes} bytes a remote");
    }
}
