//! What the tests of raet share.

pub mod interop;
pub mod vectors;
