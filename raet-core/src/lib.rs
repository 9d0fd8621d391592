//! The RAET protocol engine.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(feature = "alloc")]
extern crate alloc;

pub mod crypto;
pub mod storage;
pub mod time;
pub mod wire;
