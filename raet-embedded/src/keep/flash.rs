//! A keep on NOR flash, inside the processor or beside it.
//!
//! Records lie as [`compact`] has them, each appended to the ones before: half of the flash takes them, and
//! then the other half those that still count. So all pages wear alike, and what a loss of power
//! interrupts was either stored or not. Two pages serve; more are erased less often.
//!
//! A word is written once before it is erased, so flash with ECC serves too.
//!
//! A reset costs one write: session ids are reserved ahead, in one record for all remotes (H8). What
//! is stored already is not stored again.
//!
//! What lies in flash can be read by who has the board: the long-term secrets too, if
//! [`Flash::secrets`] keeps them. A board with a better place for them gives them to
//! [`Config`](raet_core::config::Config) from there.

mod log;

use core::fmt;
use core::marker::PhantomData;
use core::ops::Range;

use embedded_storage::nor_flash::NorFlash;
use log::{Log, MAX_VALUE, Room};
use raet_core::crypto::{NaclSuite, Secrets};
use raet_core::keep::Record;
use raet_core::keep::compact::{self, CompactError, MAX_LEN, Tag};
use raet_core::storage::Storage;
use zeroize::Zeroizing;

use super::Keep;
use crate::entropy::{Entropy, fresh};
use crate::node::StartError;

/// What each record lies under: one key for this estate, and ranges of them for roles and remotes.
const ESTATE: u8 = 0;
const ROLES: u8 = 1;
const REMOTES: u8 = 128;
const SECRETS: u8 = 255;

/// Roles, and remotes, that there are keys for.
const MOST: usize = 127;

/// Bytes of the estate's record, at most.
const ESTATE_LEN: usize = 16;

/// Bytes of both long-term secrets.
const SECRETS_LEN: usize = 64;

const _: () = assert!(MAX_LEN <= MAX_VALUE, "each record is a value");

/// A part of a flash for what an estate keeps.
pub struct Flash<F: NorFlash> {
    log: Log<F>,
}

impl<F: NorFlash> Flash<F> {
    /// The pages in `range`, bytes from the flash's start: two at least, and whole. Whatever lies in
    /// them that is no keep is erased as their turn comes. Of an odd number one is not used.
    ///
    /// # Errors
    ///
    /// [`FlashError::Layout`] when the pages of this flash do not serve; [`FlashError::Damaged`]; or when
    /// the flash fails.
    pub fn new(flash: F, range: Range<u32>) -> Result<Self, FlashError<F::Error>> {
        let log = Log::open(flash, range)?;
        Ok(Self { log })
    }

    /// The estate's long-term secrets: drawn and kept at the first start, read at all others.
    ///
    /// # Errors
    ///
    /// When there is no entropy at the first start, or the flash fails.
    /// [`FlashError::SecretsLost`] when there are records but no secrets: new ones would make this
    /// estate a stranger to its peers, so that is for a person to decide ([`erase`](Self::erase)).
    pub fn secrets<E: Entropy>(
        &mut self,
        mut entropy: E,
    ) -> Result<Secrets, StartError<FlashError<F::Error>, E::Error>> {
        let mut room = Room::new();
        let kept = self.fetch(SECRETS, &mut room).map_err(StartError::Keep)?;
        if let Some(kept) = kept {
            let halves = kept.split_first_chunk().and_then(|(seed, rest)| {
                let secret = rest.try_into().ok()?;
                Some(Secrets::new(seed, secret))
            });
            return halves.ok_or(StartError::Keep(FlashError::SecretsLost));
        }
        if self
            .fetch(ESTATE, &mut room)
            .map_err(StartError::Keep)?
            .is_some()
        {
            return Err(StartError::Keep(FlashError::SecretsLost));
        }
        let (seed, secret) = (fresh(&mut entropy)?, fresh(&mut entropy)?);
        let mut both = Zeroizing::new([0; SECRETS_LEN]);
        both[..32].copy_from_slice(&*seed);
        both[32..].copy_from_slice(&*secret);
        self.log.put(SECRETS, &*both).map_err(StartError::Keep)?;
        Ok(Secrets::new(&seed, &secret))
    }

    /// The keep of the estate of this name and these secrets, for a node of size `S`.
    ///
    /// # Errors
    ///
    /// [`FlashError::Layout`] when the range is too small for all that such a node may ever keep:
    /// for two remotes it takes two pages of 2 KiB or more, or four of 1 KiB.
    pub fn keep<S: Storage>(
        self,
        name: &str,
        secrets: &Secrets,
    ) -> Result<FlashKeep<F, S>, FlashError<F::Error>> {
        // In a bank that is full there must be room for one more, once each has its newest only.
        let records = 2 * u32::from(FlashKeep::<F, S>::PLACES) + 1;
        let (secrets_size, estate_size) = (Log::<F>::size(SECRETS_LEN), Log::<F>::size(ESTATE_LEN));
        if self.log.room() < secrets_size + estate_size + records * Log::<F>::size(MAX_LEN) {
            return Err(FlashError::Layout);
        }
        // Public keys take no randomness, so this suite is not one that must be fresh.
        let keys = secrets.public_keys(&NaclSuite::new(&[0; 32]));
        Ok(FlashKeep {
            flash: self,
            tag: Tag::of(name, &keys),
            size: PhantomData,
        })
    }

    /// Forgets all, secrets too: the next start is a first one.
    ///
    /// # Errors
    ///
    /// When the flash fails.
    pub fn erase(&mut self) -> Result<(), FlashError<F::Error>> {
        self.log.erase()
    }

    /// What is kept under a key; `None`: nothing, or no more.
    fn fetch<'r>(
        &mut self,
        key: u8,
        room: &'r mut Room,
    ) -> Result<Option<&'r [u8]>, FlashError<F::Error>> {
        let kept = self.log.get(key, room)?;
        Ok(kept.filter(|bytes| !bytes.is_empty()))
    }
}

/// A [`Keep`] in a [`Flash`]; for as many roles and remotes as `S` has.
pub struct FlashKeep<F: NorFlash, S> {
    flash: Flash<F>,
    tag: Tag,
    size: PhantomData<S>,
}

impl<F: NorFlash, S: Storage> FlashKeep<F, S> {
    const PLACES: u8 = {
        let (remotes, roles) = (S::CAPACITY.remotes, S::CAPACITY.roles);
        assert!(remotes <= MOST && roles <= MOST, "more than there are keys");
        (if remotes > roles { remotes } else { roles }) as u8
    };

    fn read(&mut self, key: u8) -> Result<Option<Record>, FlashError<F::Error>> {
        let mut room = Room::new();
        let Some(bytes) = self.flash.fetch(key, &mut room)? else {
            return Ok(None);
        };
        let record = compact::decode(self.tag, bytes).map_err(FlashError::Record)?;
        Ok(Some(record))
    }
}

impl<F: NorFlash, S: Storage> Keep for FlashKeep<F, S> {
    type Error = FlashError<F::Error>;

    fn records(&mut self) -> impl Iterator<Item = Result<Record, Self::Error>> {
        let places = |first| (0..Self::PLACES).map(move |n| first + n);
        (ESTATE..ROLES)
            .chain(places(ROLES))
            .chain(places(REMOTES))
            .filter_map(|key| self.read(key).transpose())
    }

    fn store(&mut self, record: &Record) -> Result<(), Self::Error> {
        let mut record = record.clone();
        let keys = match &mut record {
            Record::Estate(_) => ESTATE..ROLES,
            Record::Role(_) | Record::ForgottenRole(_) => ROLES..ROLES + Self::PLACES,
            Record::Remote(remote) => {
                // The estate's record covers it.
                remote.session = 0;
                REMOTES..REMOTES + Self::PLACES
            }
            Record::Forgotten(_) => REMOTES..REMOTES + Self::PLACES,
        };
        let mut room = [0; MAX_LEN];
        let bytes = compact::encode(self.tag, &record, &mut room).ok_or(FlashError::Full)?;
        let bytes: &[u8] = if record.is_end() { &[] } else { bytes };
        // Where it lies, or where it may.
        let mut spot = None;
        for key in keys {
            let mut room = Room::new();
            match self.flash.fetch(key, &mut room)? {
                Some(kept) if kept == bytes => return Ok(()),
                Some(kept) => {
                    let kept = compact::decode(self.tag, kept).map_err(FlashError::Record)?;
                    if kept.place() == record.place() {
                        return self.flash.log.put(key, bytes);
                    }
                }
                None => spot = spot.or(Some(key)),
            }
        }
        match spot {
            _ if record.is_end() => Ok(()),
            Some(key) => self.flash.log.put(key, bytes),
            None => Err(FlashError::Full),
        }
    }
}

/// Why a keep on flash failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FlashError<E> {
    /// The flash's driver says so.
    Flash(E),
    /// The range is not of two whole pages or more, or too small for all that may be kept.
    Layout,
    /// More is to be kept than a node of this size has.
    Full,
    /// What was kept is damaged, by no loss of power: what was kept last may be lost.
    Damaged,
    /// A record that cannot be read.
    Record(CompactError),
    /// There are records, but not the secrets that they belong to.
    SecretsLost,
}

impl<E: fmt::Debug> fmt::Display for FlashError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flash(error) => write!(f, "flash: {error:?}"),
            Self::Layout => f.write_str("flash: give the keep whole pages, and more of them"),
            Self::Full => f.write_str("flash: no room for another record"),
            Self::Damaged => f.write_str("flash: damaged, not by a loss of power; erase the keep"),
            Self::Record(error) => error.fmt(f),
            Self::SecretsLost => {
                f.write_str("flash: the keys are lost; erase the keep for new ones")
            }
        }
    }
}

impl<E: fmt::Debug> core::error::Error for FlashError<E> {}

impl<E> From<E> for FlashError<E> {
    fn from(error: E) -> Self {
        Self::Flash(error)
    }
}
