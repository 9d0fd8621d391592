//! What the tests of raet share.

pub mod bench;
pub mod interop;
pub mod live;
pub mod replay;
pub mod scripted;
pub mod vectors;
