//! The RAET protocol engine.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(feature = "alloc")]
extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod config;
pub mod crypto;
pub mod error;
pub mod event;
pub mod keep;
pub mod limits;
pub mod road;
pub mod stats;
pub mod storage;
pub mod time;
pub mod wire;

pub use road::{Message, MessageId, RemoteId, RoadStack, SendOptions, Transmit};
