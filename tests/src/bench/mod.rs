//! What the benchmarks drive: two engines with a session, over memory or over sockets, and suites
//! that tell the engine's own cost from that of the primitives. And the clock of what is spent.

mod loopback;
mod pair;
mod suites;

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

pub use loopback::Loopback;
pub use pair::{Estate, Pair};
pub use suites::{Cheap, Meter, Suite, Timed};

/// What one of the processor's clocks shows: time of this thread, or of this process with all its threads.
pub fn cpu(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    Duration::new(
        time.tv_sec.unsigned_abs(),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}
