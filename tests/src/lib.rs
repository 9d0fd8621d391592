//! What the tests of raet share.

pub mod interop;
pub mod live;
pub mod replay;
pub mod scripted;
pub mod vectors;
