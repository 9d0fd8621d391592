//! RAET over UDP sockets.
//!
//! A [`Road`] is one estate on one socket: it joins others, keeps sessions with them, and carries
//! messages both ways, each delivered at most once and its end told to its sender. The protocol is
//! [`raet_core`]'s; here are the socket, the clock, the randomness, and the threads:
//!
//! ```text
//!   application's threads or tasks          driver (a thread, or a task of tokio)
//!   Road, Delivery ── commands ──▶ engine ◀── datagrams, deadlines ── socket, clock
//! ```
//!
//! ```
//! use std::time::Duration;
//! use raet_core::config::Trust;
//! use raet_core::event::Outcome;
//! use raet_std::{Body, Road, Shutdown};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Serialize, Deserialize)]
//! struct Reading { celsius: f64 }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // One process: a main estate, which strangers may join.
//! let hub = Road::builder("hub").bind(([127, 0, 0, 1], 0)).main(true).trust(Trust::Once).open()?;
//! let address = hub.local_addr();
//!
//! // Another process.
//! let sensor = Road::builder("sensor").bind(([127, 0, 0, 1], 0)).trust(Trust::Once).open()?;
//! let remote = sensor.connect(address)?;
//! let delivery = sensor.send(remote, &Body::json(&Reading { celsius: 21.5 })?)?;
//!
//! // The first takes the message; with that it is delivered.
//! let message = hub.receive()?;
//! assert_eq!(message.name, "sensor");
//! assert!(message.decode::<Reading>()?.celsius > 21.0);
//!
//! assert_eq!(delivery.wait(), Outcome::Delivered);
//! assert!(sensor.shutdown(&Shutdown::default()).is_complete());
//! hub.shutdown(&Shutdown { linger: Duration::from_millis(10), ..Shutdown::default() });
//! # Ok(())
//! # }
//! ```
//!
//! # Features
//!
//! - `cli` (default): the command `raet`. Libraries that depend on this crate turn it off with
//!   `default-features = false` and pay for nothing but the blocking driver.
//! - `tokio`: the asynchronous driver.
#![forbid(unsafe_code)]

mod body;
mod builder;
#[cfg(unix)]
pub mod control;
mod delivery;
mod engine;
mod error;
mod event;
pub mod keep;
pub mod migration;
mod outlet;
mod road;
mod socket;
mod state;
#[cfg(feature = "tokio")]
pub mod tokio;
mod trace;
mod wait;

pub use body::{Body, BodyError, Message};
pub use builder::RoadBuilder;
pub use delivery::{Delivery, Report, Shutdown, Undelivered};
pub use error::{Closed, ConnectError, OpenError, SendError};
pub use event::{Event, Incoming};
pub use keep::{FileKeep, Keep};
/// The engine, whose types a road's API speaks in.
pub use raet_core as core;
pub use road::{Road, RoadStats, SendOptions};
pub use socket::SocketStats;
pub use trace::Trace;
