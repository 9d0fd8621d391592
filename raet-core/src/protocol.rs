//! The protocol in words: what is on the wire, what the transactions do, and what follows for a host.
//!
//! Pages only, no code. Comments all over the crate cite them by page and heading, as in
//! *road-wire: Head*; a rule from H1 to H18 is in [`hardening`].

#![allow(
    clippy::doc_markdown,
    reason = "prose: protocols and products by their names"
)]

#[doc = include_str!("../docs/road-wire.md")]
pub mod road_wire {}

#[doc = include_str!("../docs/road-transactions.md")]
pub mod road_transactions {}

#[doc = include_str!("../docs/hardening.md")]
pub mod hardening {}

#[doc = include_str!("../docs/outcomes.md")]
pub mod outcomes {}

#[doc = include_str!("../docs/limits.md")]
pub mod limits {}

#[doc = include_str!("../docs/lane-and-keep.md")]
pub mod lane_and_keep {}
