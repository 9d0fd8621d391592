//! A firmware's worth of nothing: the engine with no std and no allocator under it.
//!
//! A static library is linked in full, so it cannot be built unless what it uses is all there. std anywhere
//! in it would bring a second panic handler, alloc would ask for a global allocator, and the build fails.
//! `.ci/run` builds it, and also sees that it does fail with the features `alloc` and `std`.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(feature = "std")]
extern crate std;

use core::net::SocketAddr;

use raet_core::config::Config;
use raet_core::crypto::{NaclSuite, Secrets};
use raet_core::keep::compact::{MAX_LEN, Tag, decode, encode};
use raet_core::storage::{Fixed, Storage};
use raet_core::time::Instant;
use raet_core::wire::name;
use raet_core::{RoadStack, SendOptions};

/// Two remotes, four messages each way, 8 KiB for their bodies: the one line in which a firmware
/// says its sizes.
type Sizes = Fixed<2, 4, 8192>;

/// Uses the whole engine, so that it is compiled as a firmware would compile it.
pub fn use_the_engine(micros: u64, from: SocketAddr, datagram: &mut [u8]) -> usize {
    let now = Instant::from_micros(micros);
    let Ok(own) = name("node") else { return 0 };
    let config = Config::new(own, Secrets::new(&[1; 32], &[2; 32]));
    let suite = NaclSuite::new(&[3; 32]);
    let stack = RoadStack::<Sizes, _>::new(now, config, Sizes::LIMITS, suite, None);
    let Ok(mut stack) = stack else { return 0 };
    stack.handle_datagram(now, from, datagram);
    stack.handle_timeout(now);
    if let Ok(remote) = stack.connect(now, from, 0) {
        let sent = stack.send(now, remote, SendOptions::default(), 4, |body| body.fill(7));
        if let Ok(message) = sent {
            let _ = stack.cancel(now, message);
        }
    }
    let (tag, mut room) = (Tag::of("node", &stack.public_keys()), [0; MAX_LEN]);
    while let Some(record) = stack.poll_record() {
        let bytes = encode(tag, &record, &mut room);
        if bytes.is_some_and(|bytes| decode(tag, bytes).is_ok()) {
            stack.handle_stored(now, &record);
        }
    }
    while stack.poll_event().is_some() {}
    let taken = stack
        .poll_message(|message| message.body.len())
        .unwrap_or(0);
    let made = stack
        .poll_transmit(now, datagram)
        .map_or(0, |transmit| transmit.len);
    let due = stack
        .poll_timeout()
        .map_or(0, |timeout| timeout.at.as_micros() as usize);
    taken + made + due + stack.remotes().count() + stack.roles().count()
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {
        core::hint::spin_loop();
    }
}
