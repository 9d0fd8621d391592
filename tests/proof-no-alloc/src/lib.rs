//! A firmware's worth of nothing: the engine with no std and no allocator under it.
//!
//! A static library is linked in full, so it cannot be built unless what it uses is all there. std anywhere
//! in it would bring a second panic handler, alloc would ask for a global allocator, and the build fails.
//! `.ci/run` builds it, and also sees that it does fail with the features `alloc` and `std`.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(feature = "std")]
extern crate std;

use raet_core::time::{Duration, Instant};

/// Uses the engine, so that it is compiled as a firmware would compile it.
pub extern "C" fn use_the_engine(micros: u64) -> u64 {
    let now = Instant::from_micros(micros);
    let later = now + Duration::from_millis(1);
    later.since(now).subsec_micros().into()
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {
        core::hint::spin_loop();
    }
}
