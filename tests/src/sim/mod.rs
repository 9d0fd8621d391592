//! Worlds in one process, faster than time.
//!
//! [`World`] is a stage for one scenario: a test says what happens. [`Simulation`] is a world that
//! lives by itself: estates of both storages with applications, keeps, clocks and sockets, and a
//! network that does to them what a seed says. Both are deterministic: one seed, one course.

mod app;
pub mod attack;
pub mod engine;
mod guard;
mod host;
pub mod law;
mod ledger;
mod net;
pub mod plan;
pub mod run;
mod scene;
mod simulation;
pub mod tape;

pub use host::secrets as host_secrets;
pub use law::{Rule, Violation};
pub use net::first_address;
pub use plan::{Fault, Plan, Profile};
pub use scene::{
    Estate, Fate, Packet, Rng, Weather, World, address, config, dead, fair, main_config, name,
    packet, rough, secrets,
};
pub use simulation::{Options, Report, Simulation};
