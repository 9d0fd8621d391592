//! What the tests of raet share.

pub mod bench;
pub mod forge;
pub mod fuzz;
pub mod interop;
pub mod live;
pub mod matrix;
pub mod model;
pub mod puppet;
pub mod replay;
pub mod scale;
pub mod scripted;
pub mod search;
pub mod sim;
pub mod suite;
pub mod touch;
pub mod vectors;
