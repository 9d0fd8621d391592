//! What the tests of raet share.

pub mod bench;
pub mod interop;
pub mod vectors;
