//! What the tests of raet share.

pub mod interop;
pub mod live;
pub mod vectors;
