//! RAET on microcontrollers: the engine of `raet-core` beside a network stack, with no allocator and
//! no operating system.
//!
//! | module | what lives there |
//! |---|---|
//! | [`node`] | the engine with its keep, driven over any datagram socket |
//! | [`smoltcp`] (feature) | a driver for a UDP socket of smoltcp, polled from a loop |
//! | [`embassy`] (feature) | a driver for a UDP socket of embassy-net, as a task |
//! | [`keep`] | what must survive a reset |
//! | [`entropy`], [`clock`] | the two things that only the board has |
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod clock;
#[cfg(feature = "embassy")]
pub mod embassy;
pub mod entropy;
pub mod keep;
pub mod node;
#[cfg(feature = "smoltcp")]
pub mod smoltcp;

pub use node::{Datagrams, Memory, Node, StartError};
