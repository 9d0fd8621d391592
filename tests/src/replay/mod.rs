//! The engine in the place of a recorded estate.
//!
//! A recording tells what the hosts of some 0.6.8 estates did and which datagrams these exchanged.
//! One of them is played by our engine: its host's calls become commands, the datagrams of the
//! others arrive at their times, and what it drew at random is scripted. What the engine sends and
//! what it holds in the end is then compared with what the estate in its place sent and held.
//!
//! | file | what lives there |
//! |---|---|
//! | `cast` | the recording as estates, lives, packets, messages |
//! | `play` | the engine's host and its network: commands, datagrams, time |
//! | `compare` | the differences, one string each |

mod cast;
mod compare;
mod play;

pub use cast::{Cast, Life, Packet};
pub use compare::differences;
pub use play::{Host, Played, play};
