//! Worlds in one process, faster than time.
//!
//! [`World`] is a stage for one scenario: a test says what happens. [`Simulation`] is a world that
//! lives by itself, as its seed says ([`Plan`]): estates of both storages, each with an application, a
//! keep that takes its time, a clock of its own rate and a socket that overflows and blocks, and a
//! network that does to them what networks do ([`Fault`]). For each seed it is drawn anew which faults there
//! are, how strong, and which limits are so small that what is full is met. Then all faults stop, and
//! within a stated time all that is owed must be done: three times the longest interval between two
//! attempts to reach a remote, and two minutes. One seed, one course.
//!
//! # What is checked
//!
//! After every step, against every engine and datagram; [`Rule`] has the citations.
//!
//! | rule | what would break it | where |
//! |---|---|---|
//! | [`Once`](Rule::Once) | a message taken twice by a receiver that remembers its sender, in a session and over sessions; one sent with `once` taken twice at all | `ledger` |
//! | [`Content`](Rule::Content) | a body that its sender never sent to this receiver | `ledger` |
//! | [`Verdict`](Rule::Verdict) | *delivered* of what was not taken; *failed* of what was, or ever will be; *unknown* without a cancel, a deadline, a change of session or memory; a second verdict; a refusal between estates of this kind. What an insider says of a message, whom a receiver that takes any keys took for somebody else, is not judged | `ledger` |
//! | [`Progress`](Rule::Progress) | peace, and still an open message, a session that is not up, a message that was not taken, a record that was not stored, or anything said but signs of life that somebody wants: every transaction ends | `app` |
//! | [`Session`](Rule::Session) | a transaction begun under an older session id than the last with this remote, or one no newer than any of an earlier life with whoever; one of an earlier life that goes on | `law` |
//! | [`Transaction`](Rule::Transaction) | one transaction id for two transactions, or for other bytes; one that begins after a later one of its kind in the session, or, messages apart, goes on after it | `law` |
//! | [`Memory`](Rule::Memory) | more bytes allocated by an engine than `worst_bytes` of its limits | `law` |
//! | [`Deadline`](Rule::Deadline) | a deadline that has come, and is left by a wake after which all outputs were taken, five times in a row | `drive` |
//! | [`Busy`](Rule::Busy) | more than 250 wakes in a second after which nothing is sent; output beyond what limits explain, or anew after all of it was taken, four times | `drive` |
//! | [`Amplification`](Rule::Amplification) | more than 3 x the bytes that came from an address to it, in all, and at once by what is no answer, before it is proven or called | `law` |
//! | [`Curves`](Rule::Curves) | more than 6 operations on a curve for a datagram, or 7 with what its outputs cost where nobody is proven; a signature checked of one from where nobody is | `simulation` |
//! | [`Nonce`](Rule::Nonce) | a key that seals twice with one nonce, over all estates and lives | `law` |
//! | [`Right`](Rule::Right) | a datagram that is not whole, genuine and new after which what is proven is something else; a session that has settled and ends or begins anew under siege, where nothing goes wrong but that somebody off the path attacks; a remote that was proven and is forgotten, though its application did not ask | `guard`, `drive` |
//! | [`Whole`](Rule::Whole) | a panic; an engine that does not start with its own records | `run`, `drive` |
//! | [`Steady`](Rule::Steady) | another course when engines are on the other storage within the same limits, or, but for hostile worlds, are polled in another order and more often | [`run::steady`] |
//!
//! The suite is [`Weak`](crate::suite::Weak), hashes for curves, and the real one for every sixteenth
//! seed. What a join says is protected by nothing (hardening: H3), so the weather does not change what is in one:
//! whoever does is an attacker, for whom [`attack::Attacker`] is the seam.
//!
//! # Rooms
//!
//! | file | what lives there |
//! |---|---|
//! | [`plan`] | a seed, spelt out |
//! | `simulation`, `drive`, `incident` | the world: datagrams, hosts at work, what goes wrong with them |
//! | `host`, `net`, `app` | a host; paths and addresses; what applications do |
//! | [`engine`] | an engine of any storage and suite, with its memory counted |
//! | `ledger`, `guard`, [`law`] | what is known of messages; what is proven; the other rules |
//! | [`attack`] | who means ill |
//! | [`run`] | a seed, or one again and again, to its end |
//! | `report` | what happened, in numbers |
//! | [`tape`], `words`, [`svg`] | what happened, as text and as a picture |
//! | `scene` | [`World`] |

mod app;
pub mod attack;
mod drive;
pub mod engine;
mod guard;
mod host;
mod incident;
pub mod law;
mod ledger;
mod net;
pub mod plan;
mod report;
pub mod run;
mod scene;
mod simulation;
pub mod svg;
pub mod tape;
mod words;

pub use host::secrets as host_secrets;
pub use law::{Rule, Violation};
pub use plan::{Fault, Full, Plan, Profile};
pub use report::Report;
pub use scene::{
    Estate, Fate, Packet, Rng, Weather, World, address, config, dead, fair, main_config, name,
    packet, rough, secrets,
};
pub use simulation::{Options, Simulation};
