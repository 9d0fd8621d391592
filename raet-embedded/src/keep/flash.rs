//! A keep on NOR flash, inside the processor or beside it.
//!
//! Records lie as [`compact`] has them in a map of `sequential-storage`: each is appended, pages are
//! erased in turn, so they wear alike, and what a loss of power interrupts was either stored or not.
//! Two pages serve; more are erased less often.
//!
//! A word is written once before it is erased, but for one case: where the power was lost while a page
//! was opened or closed, the word that says so is written again, all zeros. Plain NOR allows it; of a
//! flash with ECC, see whether zeros may go over a word.
//!
//! A reset costs one write: session ids are reserved ahead, in one record for all remotes (H8). What
//! is stored already is not stored again.
//!
//! What lies in flash can be read by who has the board: the long-term secrets too, if
//! [`Flash::secrets`] keeps them. A board with a better place for them gives them to
//! [`Config`](raet_core::config::Config) from there.

use core::fmt;
use core::future::Future;
use core::marker::PhantomData;
use core::ops::Range;
use core::pin::pin;
use core::task::{Context, Poll, Waker};

use embedded_storage::nor_flash::{NorFlash, ReadNorFlash};
use embedded_storage_async::nor_flash as asynch;
use raet_core::crypto::{NaclSuite, Secrets};
use raet_core::keep::Record;
use raet_core::keep::compact::{self, CompactError, MAX_LEN, Tag};
use raet_core::storage::Storage;
use sequential_storage::cache::{Cache, Uncached};
use sequential_storage::map::{MapConfig, MapStorage};
use zeroize::{Zeroize, Zeroizing};

use super::Keep;
use crate::entropy::{Entropy, fresh};
use crate::node::StartError;

/// Where each record lies in the map: one key for this estate, and for each number two.
const ESTATE: u8 = 0;
const SECRETS: u8 = 255;
const fn role(number: u8) -> u8 {
    1 + 2 * number
}
const fn remote(number: u8) -> u8 {
    2 + 2 * number
}

/// Roles, and remotes, that the keys have room for.
const MOST: usize = 126;

/// The largest word of a flash.
const WORD: usize = 32;

/// A key and a record, in whole words of any flash.
const ROOM: usize = (1 + MAX_LEN).next_multiple_of(WORD);

/// Flash drivers may want whole words of RAM too. Wiped when dropped: the secrets pass through it.
#[repr(align(32))]
struct Room([u8; ROOM]);

impl Room {
    const fn new() -> Self {
        Self([0; ROOM])
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// A part of a flash for what an estate keeps.
pub struct Flash<F: NorFlash> {
    map: Map<F>,
}

type Map<F> = MapStorage<u8, Blocking<F>, Cache<Uncached, Uncached, Uncached, u8>>;

impl<F: NorFlash> Flash<F> {
    /// The pages in `range`, bytes from the flash's start: two at least, and whole. Whatever lies in
    /// them that is no keep is erased as their turn comes.
    ///
    /// # Errors
    ///
    /// [`FlashError::Layout`] when the pages of this flash do not serve.
    pub fn new(flash: F, range: Range<u32>) -> Result<Self, FlashError<F::Error>> {
        if range.is_empty() {
            return Err(FlashError::Layout);
        }
        let config = MapConfig::try_new(range).map_err(|_| FlashError::Layout)?;
        Ok(Self {
            map: MapStorage::new(Blocking(flash), config, Cache::new_uncached()),
        })
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
        let kept = self.fetch(SECRETS, &mut room.0).map_err(StartError::Keep)?;
        if let Some(kept) = kept {
            let halves = kept.split_first_chunk().and_then(|(seed, rest)| {
                let secret = rest.try_into().ok()?;
                Some(Secrets::new(seed, secret))
            });
            return halves.ok_or(StartError::Keep(FlashError::SecretsLost));
        }
        if self
            .fetch(ESTATE, &mut room.0)
            .map_err(StartError::Keep)?
            .is_some()
        {
            return Err(StartError::Keep(FlashError::SecretsLost));
        }
        let (seed, secret) = (fresh(&mut entropy)?, fresh(&mut entropy)?);
        let mut both = Zeroizing::new([0; 64]);
        both[..32].copy_from_slice(&*seed);
        both[32..].copy_from_slice(&*secret);
        self.put(SECRETS, &*both).map_err(StartError::Keep)?;
        Ok(Secrets::new(&seed, &secret))
    }

    /// The keep of the estate of this name and these secrets, for a node of size `S`.
    ///
    /// # Errors
    ///
    /// [`FlashError::Layout`] when the range is too small for all that such a node may ever keep:
    /// for two remotes it takes two pages of 4 KiB, three of 2 KiB or four of 1 KiB.
    pub fn keep<S: Storage>(
        self,
        name: &str,
        secrets: &Secrets,
    ) -> Result<FlashKeep<F, S>, FlashError<F::Error>> {
        // A record with its head lies in one page; a page has two words of its own, and one of
        // them is always free.
        let in_a_page = F::ERASE_SIZE.saturating_sub(2 * WORD) / (ROOM + WORD);
        let pages = self.map.flash_range().len() / F::ERASE_SIZE;
        let all = 2 + 2 * usize::from(FlashKeep::<F, S>::PLACES);
        if in_a_page * pages.saturating_sub(1) < all {
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
        Ok(now(self.map.erase_all())?)
    }

    /// What is kept under a key; `None`: nothing, or no more.
    fn fetch<'r>(
        &mut self,
        key: u8,
        room: &'r mut [u8],
    ) -> Result<Option<&'r [u8]>, FlashError<F::Error>> {
        let kept: Option<&[u8]> = now(self.map.fetch_item(room, &key))?;
        Ok(kept.filter(|bytes| !bytes.is_empty()))
    }

    fn put(&mut self, key: u8, bytes: &[u8]) -> Result<(), FlashError<F::Error>> {
        let mut room = Room::new();
        Ok(now(self.map.store_item(&mut room.0, &key, &bytes))?)
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
        assert!(
            remotes <= MOST && roles <= MOST,
            "more than the map has keys"
        );
        (if remotes > roles { remotes } else { roles }) as u8
    };

    fn read(&mut self, key: u8) -> Result<Option<Record>, FlashError<F::Error>> {
        let mut room = Room::new();
        let Some(bytes) = self.flash.fetch(key, &mut room.0)? else {
            return Ok(None);
        };
        let record = compact::decode(self.tag, bytes).map_err(FlashError::Record)?;
        Ok(Some(record))
    }

    /// Where a record about the same lies among these keys, or where one may.
    fn find(
        &mut self,
        keys: impl Iterator<Item = u8>,
        record: &Record,
    ) -> Result<Option<Spot>, FlashError<F::Error>> {
        let mut free = None;
        for key in keys {
            match self.read(key)? {
                None => free = free.or(Some(Spot { key, kept: None })),
                kept if kept.as_ref().is_some_and(|k| k.place() == record.place()) => {
                    return Ok(Some(Spot { key, kept }));
                }
                Some(_) => {}
            }
        }
        Ok(free)
    }
}

/// A key, and what lies under it.
struct Spot {
    key: u8,
    kept: Option<Record>,
}

impl<F: NorFlash, S: Storage> Keep for FlashKeep<F, S> {
    type Error = FlashError<F::Error>;

    fn records(&mut self) -> impl Iterator<Item = Result<Record, Self::Error>> {
        let (roles, remotes) = ((0..Self::PLACES).map(role), (0..Self::PLACES).map(remote));
        core::iter::once(ESTATE)
            .chain(roles)
            .chain(remotes)
            .filter_map(|key| self.read(key).transpose())
    }

    fn store(&mut self, record: &Record) -> Result<(), Self::Error> {
        let mut record = record.clone();
        if let Record::Remote(remote) = &mut record {
            // The estate's record covers it.
            remote.session = 0;
        }
        let places = 0..Self::PLACES;
        let spot = match &record {
            Record::Estate(_) => self.find(core::iter::once(ESTATE), &record)?,
            Record::Role(_) | Record::ForgottenRole(_) => self.find(places.map(role), &record)?,
            Record::Remote(_) | Record::Forgotten(_) => self.find(places.map(remote), &record)?,
        };
        match spot {
            Some(Spot { kept: None, .. }) | None if record.is_end() => Ok(()),
            Some(Spot { kept, .. }) if kept.as_ref() == Some(&record) => Ok(()),
            Some(Spot { key, .. }) if record.is_end() => self.flash.put(key, &[]),
            Some(Spot { key, .. }) => {
                let mut room = [0; MAX_LEN];
                let bytes = compact::encode(self.tag, &record, &mut room);
                self.flash.put(key, bytes.ok_or(FlashError::Full)?)
            }
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
    /// What lies in the range makes no sense, and could not be mended.
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
            Self::Damaged => f.write_str("flash: damaged beyond repair; erase the keep"),
            Self::Record(error) => error.fmt(f),
            Self::SecretsLost => {
                f.write_str("flash: the keys are lost; erase the keep for new ones")
            }
        }
    }
}

impl<E: fmt::Debug> core::error::Error for FlashError<E> {}

impl<E> From<sequential_storage::Error<E>> for FlashError<E> {
    fn from(error: sequential_storage::Error<E>) -> Self {
        use sequential_storage::Error;
        match error {
            Error::Storage { value, .. } => Self::Flash(value),
            Error::FullStorage | Error::ItemTooBig => Self::Full,
            _ => Self::Damaged,
        }
    }
}

/// A flash whose operations block, where ones that may wait are asked for.
struct Blocking<F>(F);

impl<F: NorFlash> asynch::ErrorType for Blocking<F> {
    type Error = F::Error;
}

impl<F: NorFlash> asynch::ReadNorFlash for Blocking<F> {
    const READ_SIZE: usize = <F as ReadNorFlash>::READ_SIZE;

    async fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), F::Error> {
        self.0.read(offset, bytes)
    }

    fn capacity(&self) -> usize {
        self.0.capacity()
    }
}

impl<F: NorFlash> asynch::NorFlash for Blocking<F> {
    const WRITE_SIZE: usize = <F as NorFlash>::WRITE_SIZE;
    const ERASE_SIZE: usize = <F as NorFlash>::ERASE_SIZE;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), F::Error> {
        self.0.erase(from, to)
    }

    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), F::Error> {
        self.0.write(offset, bytes)
    }
}

/// The result of a future that waits for nothing but [`Blocking`].
fn now<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(result) = future.as_mut().poll(&mut context) {
            return result;
        }
    }
}
