//! Where everything that the engine remembers lives: the only room that knows capacities.
//!
//! The engine is generic over one `S: Storage` and names no size in any signature. Behind that one
//! type are two families with the same laws:
//!
//! | | `Heap` (feature `alloc`) | [`Fixed`] |
//! |---|---|---|
//! | records ([`Backing`]) | `Paged`: pages, added as needed | [`Slots`]: an array inside |
//! | look-ups ([`Index`]) | `Hashed`, by a [`KeyedHash`] | [`Scanned`]: a linear scan, [`Unhashed`] |
//! | message bodies ([`Bodies`]) | `Budget`: an allocation each | [`Pool`]: one array for all |
//!
//! Over them, written once: [`Table`] (records with handles that go stale, and lists threaded
//! through them) and [`Deadlines`] (whose time comes next).
//!
//! Everything is made with a limit and never passes it: what is full says so and changes nothing.
//! Nothing here panics, whatever slot, handle or id it is given; where a caller's mistake can be
//! seen, a debug build asserts. Given the same calls, both families choose the same slots and give
//! the same answers, but for one thing: an allocator may refuse what a limit allows.
//!
//! What may not enter: anything of the protocol, and anything that iterates over a hash table.

use crate::limits::Limits;
mod deadlines;
mod fixed;
mod hash;
#[cfg(feature = "alloc")]
mod heap;
mod table;
#[cfg(test)]
mod tests;

pub use deadlines::Deadlines;
pub use fixed::{Fixed, Pool, REPLIES, Scanned, Slots, Twice};
pub use hash::{Key, KeyHash, KeyedHash, Unhashed};
#[cfg(feature = "alloc")]
pub use heap::{Budget, Hashed, Heap, Paged};
pub use table::{Handle, List, Slot, Table};

/// The largest limit that anything here can have: slots are numbered by `u32`, and the two highest
/// numbers mean "none".
pub const MAX_LIMIT: usize = {
    let most = u32::MAX - 1;
    // On a 16-bit target `usize` is the smaller one.
    if size_of::<usize>() < 4 {
        usize::MAX
    } else {
        most as usize
    }
};

/// One type that names the kinds of storage and their capacities.
///
/// An engine holds a `Table<Remote, S::Remotes<Slot<Remote, 2>>, 2>` and the like, each made with
/// its limit at run time; a limit above the capacity is refused then ([`BeyondCapacity`]).
///
/// ```
/// use raet_core::storage::{BeyondCapacity, Fixed, List, Slot, Storage, Table};
///
/// /// The link of the list of remotes that have something to send.
/// const READY: usize = 0;
///
/// struct Engine<S: Storage> {
///     remotes: Table<&'static str, S::Remotes<Slot<&'static str, 1>>, 1>,
///     ready: List<READY>,
/// }
///
/// // Two remotes, four messages each way, 1 KiB of bodies; nothing else says a number.
/// let mut engine: Engine<Fixed<2, 4, 1024>> = Engine {
///     remotes: Table::with_limit(2)?,
///     ready: List::new(),
/// };
/// let alpha = engine.remotes.insert("alpha").unwrap();
/// engine.remotes.push_back(&mut engine.ready, alpha.slot());
///
/// assert_eq!(engine.remotes.pop_front(&mut engine.ready), Some(alpha.slot()));
/// assert_eq!(engine.remotes.remove(alpha), Some("alpha"));
/// assert_eq!(engine.remotes.get(alpha), None);
/// # Ok::<(), BeyondCapacity>(())
/// ```
pub trait Storage {
    /// What is kept for each remote.
    type Remotes<T>: Backing<T>;
    /// What is kept for each role (the keys that an estate is trusted by).
    type Roles<T>: Backing<T>;
    /// What is kept for each message on its way out.
    type Outbox<T>: Backing<T>;
    /// What is kept for each message on its way in.
    type Inbox<T>: Backing<T>;
    /// What is kept for each reply that has no remote to wait in.
    type Replies<T>: Backing<T>;
    /// What the indexes are fed.
    type Hash: KeyHash;
    /// Finds remotes and roles; holds one entry for each of them.
    type Index: Index;
    /// Finds messages; holds one entry for each of them, in or out.
    type MessageIndex: Index;
    /// The bodies of messages, out and in.
    type Bodies: Bodies;

    /// The most that each of these can be limited to.
    const CAPACITY: Capacity;

    /// The limits that an engine on this storage has unless it is given others.
    const LIMITS: Limits;
}

/// How much of each thing a [`Storage`] can hold; [`MAX_LIMIT`] where only memory bounds it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Capacity {
    /// Remotes, and the entries of an [`Index`].
    pub remotes: usize,
    /// Roles.
    pub roles: usize,
    /// Messages on their way out.
    pub outbox: usize,
    /// Messages on their way in.
    pub inbox: usize,
    /// Replies that wait outside of any remote.
    pub replies: usize,
    /// Bodies held at once.
    pub bodies: usize,
    /// Bytes of all bodies together.
    pub body_bytes: usize,
}

/// A run of records that grows at its end, up to a limit, and never shrinks.
///
/// A record, once pushed, stays at its index. `get`, `get_mut` and `push` take O(1).
pub trait Backing<T>: Sized {
    /// An empty run that can grow to `limit` records.
    ///
    /// # Errors
    /// When `limit` is more than this kind can hold.
    fn with_limit(limit: usize) -> Result<Self, BeyondCapacity>;

    /// The number of records that it can grow to.
    fn limit(&self) -> usize;

    /// The number of records pushed.
    fn len(&self) -> usize;

    /// Whether nothing was pushed yet.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The record at `index`; `None` from [`len`](Self::len) on.
    fn get(&self, index: usize) -> Option<&T>;

    /// The record at `index`, to change; `None` from [`len`](Self::len) on.
    fn get_mut(&mut self, index: usize) -> Option<&mut T>;

    /// Adds a record; it becomes the one at index `len() - 1`. False, and the record is dropped, at the
    /// limit, or when the allocator refuses a page.
    #[must_use]
    fn push(&mut self, record: T) -> bool;

    /// An upper bound of the bytes that a run of this limit ever allocates, beyond its own
    /// `size_of` and not counting what its records allocate themselves: zero without an allocator.
    fn worst_bytes(limit: usize) -> usize;
}

/// Pairs of a hash and a slot, to find a slot by what hashes to that hash.
///
/// The caller hashes (by a [`KeyHash`], so that nobody outside can choose collisions) and
/// decides equality, so the pairs are all that is stored. A pair inserted twice is held twice.
/// There is no iteration: an order that depends on hashes would leak into what the engine does.
pub trait Index: Clone {
    /// An empty index that can hold `limit` pairs.
    ///
    /// # Errors
    /// When `limit` is more than this kind can hold.
    fn with_limit(limit: usize) -> Result<Self, BeyondCapacity>;

    /// The number of pairs that it can hold.
    fn limit(&self) -> usize;

    /// The number of pairs that it holds.
    fn len(&self) -> usize;

    /// Whether it holds no pair.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The slot of a pair with this hash for which `eq` holds.
    ///
    /// `eq` is asked only about slots paired with `hash`, and about each once, until it holds. Where it
    /// would for several, which one is found differs between kinds: insert one pair for a key, or have it
    /// never hold, and see them all.
    fn find(&self, hash: u32, eq: impl FnMut(u32) -> bool) -> Option<u32>;

    /// Adds a pair. False, and nothing changes, at the limit or when the allocator refuses.
    #[must_use]
    fn insert(&mut self, hash: u32, slot: u32) -> bool;

    /// Removes one such pair; false if there is none.
    fn remove(&mut self, hash: u32, slot: u32) -> bool;

    /// An upper bound of the bytes that an index of this limit ever allocates, beyond its own
    /// `size_of`: zero without an allocator.
    fn worst_bytes(limit: usize) -> usize;
}

/// Message bodies, each contiguous so that it is sealed and opened in place, out of one budget of
/// bytes that all share (hardening: H9; whose share it is, is the caller's to count).
///
/// A body is zero-filled when taken, and its bytes are erased when it is given back and when the
/// whole is dropped.
pub trait Bodies: Clone {
    /// Room for bodies within these limits.
    ///
    /// # Errors
    /// When `limits.total` or `limits.count` is more than this kind can hold.
    fn with_limits(limits: BodyLimits) -> Result<Self, BeyondCapacity>;

    /// Takes a body of `len` bytes, all zero. A body of none takes a place in the count all the
    /// same.
    ///
    /// # Errors
    /// [`NoRoom::Never`] when no giving back could make room for that many, else [`NoRoom::Now`]
    /// when there is none.
    fn take(&mut self, len: usize) -> Result<BodyId, NoRoom>;

    /// The bytes of a body; none if it was given back.
    fn get(&self, id: BodyId) -> &[u8];

    /// The bytes of a body, to change; none if it was given back.
    fn get_mut(&mut self, id: BodyId) -> &mut [u8];

    /// Erases a body's bytes and makes room of them. Nothing if it was given back before.
    fn give(&mut self, id: BodyId);

    /// The bytes of all bodies together.
    fn used(&self) -> usize;

    /// The number of bodies.
    fn count(&self) -> usize;

    /// An upper bound of the bytes ever allocated within these limits, beyond its own `size_of`:
    /// zero without an allocator.
    fn worst_bytes(limits: BodyLimits) -> usize;
}

/// The limits of a [`Bodies`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BodyLimits {
    /// Bytes of all bodies together.
    pub total: usize,
    /// Bytes of one body. More than `total` is as good as `total`.
    pub largest: usize,
    /// Bodies at once.
    pub count: usize,
}

impl BodyLimits {
    /// Whether a body of `len` could be taken if all others were given back.
    fn can_ever_hold(self, len: usize) -> bool {
        self.count > 0 && len <= self.largest && len <= self.total
    }
}

/// Names a body from [`Bodies::take`] until it is given back; after that it names an empty one.
///
/// An id of another [`Bodies`] names an empty body or the wrong one, never a fault.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct BodyId(Handle);

/// Why a body was not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NoRoom {
    /// Others hold the room: worth trying when some have been given back.
    Now,
    /// It exceeds a limit: trying again is of no use.
    Never,
}

impl core::fmt::Display for NoRoom {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Now => "no room for the body now",
            Self::Never => "the body can never fit",
        })
    }
}

impl core::error::Error for NoRoom {}

/// A limit was asked for that the storage cannot hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BeyondCapacity {
    /// What was asked for.
    pub limit: usize,
    /// The most that there can be.
    pub capacity: usize,
}

impl BeyondCapacity {
    /// Refuses a limit above `capacity`.
    fn check(limit: usize, capacity: usize) -> Result<(), Self> {
        if limit > capacity {
            return Err(Self { limit, capacity });
        }
        Ok(())
    }
}

impl core::fmt::Display for BeyondCapacity {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Self { limit, capacity } = self;
        write!(f, "a limit of {limit} is beyond the capacity of {capacity}")
    }
}

impl core::error::Error for BeyondCapacity {}

/// The same records, with the same limit and as much room.
fn copy<T: Clone, B: Backing<T>>(from: &B) -> B {
    // It has that limit, so its kind can; and what pushes fewer records than the limit is refused
    // by an allocator alone, as `Clone` is everywhere.
    let mut to = B::with_limit(from.limit()).expect("a limit that its kind can hold");
    for at in 0..from.len() {
        let pushed = from.get(at).is_some_and(|r| to.push(r.clone()));
        assert!(pushed, "the allocator refuses a copy");
    }
    to
}

/// A slot's number as an index; one that cannot be an index becomes one that is never in bounds.
fn index(slot: u32) -> usize {
    usize::try_from(slot).unwrap_or(usize::MAX)
}
