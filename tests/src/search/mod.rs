//! Everything that two estates can do: an exhaustive search over the real engine.
//!
//! A state is two engines, each with its clock, its keep and its application, and the datagrams on
//! their way. From every state every act is tried:
//!
//! | act | costs |
//! |---|---|
//! | a datagram on its way arrives, whichever | nothing: every order of delivery is tried |
//! | the next deadline of both comes, with nothing else left to happen before it | nothing |
//! | an estate carries out the next command of its [script](Scenario::script) | nothing |
//! | a record is stored, or a message taken, where that is slow | nothing |
//! | a datagram is lost | a fault |
//! | a datagram arrives, and another copy of it stays on its way | a fault |
//! | an estate's next deadline comes before all that: its clock is fast, or all else is slow | a fault |
//! | an estate dies and comes back with what was stored | a crash |
//!
//! Of each kind of cost there is a [budget](Scenario); acts without one go on for ever. States that
//! do the same from now on are merged: times are relative to their estate's clock, counters are left
//! out (see `RoadStack`'s `Hash`).
//!
//! What is proven, for every state that can be reached:
//!
//! - **At most once**: no life of an estate takes a message twice.
//! - **The truth**: one outcome a message; what was *delivered* was taken, what *failed* was not and never
//!   is; *unknown* needs a crash.
//! - **Session ids only go on**, over a crash too (H8).
//! - **Nobody unasked**: where a person decides, there is no session before keys were accepted.
//! - **No deadlock, agreement, eventual delivery**: where nothing can happen any more, every sender was
//!   told of every message, the two hold a session with each other and know each other by the same ids,
//!   and messages sent then, both ways, arrive. (After a crash those find out that there was one.)
//! - **No livelock**: without further faults no state comes back, so every fair run ends in one of
//!   those, whatever the order of delivery.
//!
//! Why not a model checker's crate: their `eventually` is not proven where runs join, which here is
//! everywhere; and a search of a hundred lines that asks for more than the engine's `Clone` and `Hash`
//! would be no simpler.

mod explore;
mod node;
mod state;

pub use explore::{Report, explore};
pub use state::{Act, State};

/// What is searched.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// Its name, for the report.
    pub name: &'static str,
    /// Where it begins.
    pub start: Start,
    /// What each estate does of itself, in this order, at any moment. One that crashed begins anew.
    pub script: [&'static [Command]; 2],
    /// Whether the second estate is a main one too; the first is.
    pub both_main: bool,
    /// Where a person decides whose keys are taken (`Accept` and `Reject`); else all are that come first.
    pub asks: [bool; 2],
    /// Whether both roads are mutable.
    pub mutable: bool,
    /// Faults of the network and of the clocks, in all: the *k* of the report.
    pub faults: u8,
    /// Crashes, in all.
    pub crashes: u8,
    /// Records are stored some time after they were handed out, or never if a crash comes first.
    pub slow_keep: bool,
    /// Messages are taken some time after they came.
    pub slow_application: bool,
    /// Bytes of a message. At least 3.
    pub body: usize,
}

/// Where a search begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Start {
    /// Neither has heard of the other.
    Strangers,
    /// The second has connected to the first, and nothing is left to do.
    Session,
}

/// What an application asks of its engine.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Command {
    /// To reach the other estate.
    Connect,
    /// To send it the next message, as soon as there is a remote to send it to.
    Send,
    /// To ask it for a sign of life.
    Alive,
    /// To begin a new allow.
    Allow,
    /// To take its keys, as soon as they are known: a person has looked at them.
    Accept,
    /// To take them no more, or not at all.
    Reject,
}
