//! What must survive a reset, and where a board keeps it.

#[cfg(feature = "flash")]
pub mod flash;

use core::convert::Infallible;

use raet_core::keep::Record;

/// A store for the engine's records (lane-and-keep: Keep).
pub trait Keep {
    /// Why the store failed.
    type Error: core::fmt::Debug;

    /// The newest record of each place, roles before the remotes that bear them.
    ///
    /// A node does not start after an error: to start without what was kept would be to forget it.
    fn records(&mut self) -> impl Iterator<Item = Result<Record, Self::Error>>;

    /// Stores a record in place of the older one of the same [place](Record::place). When this
    /// returns, it outlives a loss of power (H8).
    ///
    /// # Errors
    ///
    /// When it is not stored. It is tried again a second later.
    fn store(&mut self, record: &Record) -> Result<(), Self::Error>;
}

/// No keep at all: at every start the node is a stranger again, and joins anew.
///
/// Its session ids must rise from start to start by other means: let
/// [`Config::first_session`](raet_core::config::Config::first_session) be the wall clock in
/// seconds. Peers refuse the ids of an earlier life (H8).
#[derive(Debug)]
pub struct Nothing;

impl Keep for Nothing {
    type Error = Infallible;

    fn records(&mut self) -> impl Iterator<Item = Result<Record, Infallible>> {
        core::iter::empty()
    }

    fn store(&mut self, _: &Record) -> Result<(), Infallible> {
        Ok(())
    }
}
