//! Where records go that must survive a restart.

use std::io;

use raet_core::keep::Record;

/// Stores what an estate must know after a restart ([`raet_core::keep`]).
///
/// A road without a keep starts anew each time: its peers see new keys unless the host gives the
/// old [`Secrets`](raet_core::crypto::Secrets).
pub trait Keep: Send {
    /// Everything that was stored, the newest of each kind and name.
    ///
    /// # Errors
    ///
    /// When it cannot be read. The road does not open then: to start without it would be to
    /// forget.
    fn load(&mut self) -> io::Result<Vec<Record>>;

    /// Stores one record, in place of the older one of the same kind and name. When this returns
    /// the record must outlive a crash: session ids are used as soon as it does (hardening: H8).
    ///
    /// It is called on the driver's own thread or task, never two at a time. Handshakes wait for
    /// it, messages on their way don't.
    ///
    /// # Errors
    ///
    /// When it could not be stored. The application is told
    /// ([`Event::KeepFailed`](crate::Event::KeepFailed)), and it is tried again a second later.
    fn store(&mut self, record: &Record) -> io::Result<()>;
}
