//! Where goes what must survive a restart: the trait [`Keep`], and [`FileKeep`], a keep on files.

mod beside;
#[cfg(unix)]
mod disk;
mod error;
mod file;
mod files;
mod form;
mod held;
mod layout;
mod load;
mod store;
#[cfg(test)]
mod tests;
mod write;
pub(crate) mod writer;

use std::fmt;
use std::io;
use std::net::SocketAddr;

use raet_core::crypto::Secrets;
use raet_core::keep::Record;

#[cfg(unix)]
pub(crate) use beside::{Seen, seen};
pub use error::{KeepError, Notice};
pub use file::{FileKeep, KeepOptions};
pub use form::Form;
pub use held::KeptRole;

/// Stores what an estate must know after a restart ([`raet_core::keep`]).
///
/// A road without a keep starts anew each time: its peers see new keys unless the host gives the
/// old [`Secrets`].
///
/// A road calls its keep from a thread of its own: no packet waits for it. Records are gathered for a
/// moment (0.1 s at most), so that what changes twice is stored once; a handshake that needs a new block
/// of session ids (hardening: H8) is not kept waiting by that. When the road ends, what is left is
/// stored before [`Road::shutdown`](crate::Road::shutdown) returns.
pub trait Keep: Send {
    /// Everything that was stored, the newest of each place, in the order of
    /// [`Place`](raet_core::keep::Place).
    ///
    /// # Errors
    ///
    /// When it cannot be read. The road does not open then: to start without it would be to
    /// forget.
    fn load(&mut self) -> io::Result<Kept>;

    /// A road opens for the first time with this keep, which [loaded](Self::load) no identity: the
    /// estate that it is to be. Returns the one that it is: a keep may hold to keys that it has.
    ///
    /// # Errors
    ///
    /// When it could not be stored. The road does not open then.
    fn create(&mut self, identity: Identity) -> io::Result<Identity> {
        Ok(identity)
    }

    /// Stores these records, each of another place, each in place of the older one. When this returns
    /// they must outlive a crash: session ids are used as soon as it does (hardening: H8). A crash
    /// before it returns leaves of each record the old or the new.
    ///
    /// # Errors
    ///
    /// When one could not be stored. The application is told
    /// ([`Event::KeepFailed`](crate::Event::KeepFailed)), and all are tried again a second later.
    fn store(&mut self, records: &[Record]) -> io::Result<()>;
}

/// What a keep held.
#[derive(Debug, Default)]
pub struct Kept {
    /// The estate, if this keep stores that and has one. It wins over what the host gives.
    pub identity: Option<Identity>,
    /// The newest record of each place.
    pub records: Vec<Record>,
}

/// Who an estate is. Its secrets are not shown.
pub struct Identity {
    /// Its name.
    pub name: String,
    /// Its role.
    pub role: String,
    /// Where others reach it (`ha`).
    pub address: SocketAddr,
    /// What its socket is bound to (`aha`).
    pub bind: SocketAddr,
    /// The long-term secrets of its role.
    pub secrets: Secrets,
}

impl Identity {
    /// Another of the same, for who needs one of his own.
    pub(crate) fn copy(&self) -> Self {
        Self {
            name: self.name.clone(),
            role: self.role.clone(),
            address: self.address,
            bind: self.bind,
            secrets: copy(&self.secrets),
        }
    }
}

pub(crate) fn copy(secrets: &Secrets) -> Secrets {
    Secrets::new(secrets.sign_seed(), secrets.box_secret())
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("name", &self.name)
            .field("role", &self.role)
            .field("address", &self.address)
            .field("bind", &self.bind)
            .finish_non_exhaustive()
    }
}
