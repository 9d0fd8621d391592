//! What strangers, replays and misbehaving peers once could do to an engine, and can no longer: each
//! test is the shortest way to a fault that was found.

mod candidates;
mod claims;
mod comebacks;
mod draws;
mod ids;
mod replays;
mod room;
