//! What the benchmarks drive: two engines with a session, over memory or over sockets, and suites
//! that tell the engine's own cost from that of the primitives.

mod loopback;
mod pair;
mod suites;

pub use loopback::Loopback;
pub use pair::{Estate, Pair};
pub use suites::{Cheap, Meter, Suite, Timed};
