//! Storage that holds all inside itself: its size is its type's, and no allocator is needed.

use super::{
    Backing, BeyondCapacity, Bodies, BodyId, BodyLimits, Capacity, Index, List, NoRoom, Slot,
    Storage, Table, Unhashed,
};
use crate::limits::Limits;
use zeroize::Zeroize;

/// The replies that can wait outside of any remote, in a [`Fixed`] of any size.
pub const REPLIES: usize = 8;

/// The storage of a machine without an allocator, or of one that wants its memory known.
///
/// Room for `REMOTES` remotes and as many roles, for `MESSAGES` messages out and as many in, and
/// for `BYTES` bytes of all their bodies together.
pub enum Fixed<const REMOTES: usize, const MESSAGES: usize, const BYTES: usize> {}

impl<const REMOTES: usize, const MESSAGES: usize, const BYTES: usize> Storage
    for Fixed<REMOTES, MESSAGES, BYTES>
{
    type Remotes<T> = Slots<T, REMOTES>;
    type Roles<T> = Slots<T, REMOTES>;
    type Outbox<T> = Slots<T, MESSAGES>;
    type Inbox<T> = Slots<T, MESSAGES>;
    type Replies<T> = Slots<T, REPLIES>;
    type Hash = Unhashed;
    type Index = Scanned<REMOTES>;
    type MessageIndex = Scanned<MESSAGES>;
    type Bodies = Pool<BYTES, MESSAGES>;

    const CAPACITY: Capacity = Capacity {
        remotes: REMOTES,
        roles: REMOTES,
        outbox: MESSAGES,
        inbox: MESSAGES,
        replies: REPLIES,
        bodies: MESSAGES.saturating_mul(2),
        body_bytes: BYTES,
    };

    /// All that the capacities allow, each direction half of the bytes.
    const LIMITS: Limits = Limits {
        remotes: REMOTES,
        roles: REMOTES,
        handshakes: REMOTES,
        outbox: MESSAGES,
        inbox: MESSAGES,
        remote_inbox: MESSAGES,
        message: Limits::largest(BYTES / 2),
        outbox_bytes: BYTES / 2,
        inbox_bytes: BYTES / 2,
        remote_inbox_bytes: BYTES / 2,
        replies: REPLIES,
    };
}

/// An array of records, filled from its start.
#[derive(Debug)]
pub struct Slots<T, const N: usize> {
    records: heapless::Vec<T, N>,
    limit: usize,
}

impl<T, const N: usize> Backing<T> for Slots<T, N> {
    fn with_limit(limit: usize) -> Result<Self, BeyondCapacity> {
        BeyondCapacity::check(limit, N.min(super::MAX_LIMIT))?;
        Ok(Self {
            records: heapless::Vec::new(),
            limit,
        })
    }

    fn limit(&self) -> usize {
        self.limit
    }

    fn len(&self) -> usize {
        self.records.len()
    }

    fn get(&self, index: usize) -> Option<&T> {
        self.records.get(index)
    }

    fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        self.records.get_mut(index)
    }

    fn push(&mut self, record: T) -> bool {
        self.records.len() < self.limit && self.records.push(record).is_ok()
    }

    fn worst_bytes(_limit: usize) -> usize {
        0
    }
}

/// Room for `2 * N` records, which a type cannot say of a parameter in stable Rust: one array
/// after the other.
#[derive(Debug)]
pub struct Twice<T, const N: usize> {
    low: Slots<T, N>,
    high: Slots<T, N>,
}

impl<T, const N: usize> Backing<T> for Twice<T, N> {
    fn with_limit(limit: usize) -> Result<Self, BeyondCapacity> {
        BeyondCapacity::check(limit, N.saturating_mul(2).min(super::MAX_LIMIT))?;
        let low = limit.min(N);
        Ok(Self {
            low: Slots::with_limit(low)?,
            high: Slots::with_limit(limit - low)?,
        })
    }

    fn limit(&self) -> usize {
        self.low.limit() + self.high.limit()
    }

    fn len(&self) -> usize {
        self.low.len() + self.high.len()
    }

    fn get(&self, index: usize) -> Option<&T> {
        match index.checked_sub(N) {
            None => self.low.get(index),
            Some(index) => self.high.get(index),
        }
    }

    fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        match index.checked_sub(N) {
            None => self.low.get_mut(index),
            Some(index) => self.high.get_mut(index),
        }
    }

    fn push(&mut self, record: T) -> bool {
        // The second has room only if the limit is above N, and then the first fills up to N.
        if self.low.len() < self.low.limit() {
            self.low.push(record)
        } else {
            self.high.push(record)
        }
    }

    fn worst_bytes(_limit: usize) -> usize {
        0
    }
}

/// Pairs in no order, found by scanning: N is small, and a scan then beats a hash table in both
/// bytes and time. All operations but an insert take O(N).
#[derive(Clone, Debug)]
pub struct Scanned<const N: usize> {
    pairs: heapless::Vec<(u32, u32), N>,
    limit: usize,
}

impl<const N: usize> Index for Scanned<N> {
    fn with_limit(limit: usize) -> Result<Self, BeyondCapacity> {
        BeyondCapacity::check(limit, N)?;
        Ok(Self {
            pairs: heapless::Vec::new(),
            limit,
        })
    }

    fn limit(&self) -> usize {
        self.limit
    }

    fn len(&self) -> usize {
        self.pairs.len()
    }

    fn find(&self, hash: u32, mut eq: impl FnMut(u32) -> bool) -> Option<u32> {
        self.pairs
            .iter()
            .find(|pair| pair.0 == hash && eq(pair.1))
            .map(|pair| pair.1)
    }

    fn insert(&mut self, hash: u32, slot: u32) -> bool {
        self.pairs.len() < self.limit && self.pairs.push((hash, slot)).is_ok()
    }

    fn remove(&mut self, hash: u32, slot: u32) -> bool {
        match self.pairs.iter().position(|pair| *pair == (hash, slot)) {
            Some(found) => {
                self.pairs.swap_remove(found);
                true
            }
            None => false,
        }
    }

    fn worst_bytes(_limit: usize) -> usize {
        0
    }
}

/// One array of `BYTES` bytes that up to `2 * MESSAGES` bodies share, of whatever lengths: 8 KiB
/// hold eight bodies of 1 KiB, or one of 5 and one of 3.
///
/// ```text
///   bytes   |  body  |   body   | free |  body  |     free      |
///   places    0..3      3..8              10..14                   a list, in order of offset
/// ```
///
/// A body goes to the lowest gap that holds it. Where none does, but all gaps together would, the bodies
/// close up first: else two estates, each with its pool full of gaps and of messages for the other, could
/// wait for each other for ever. Taking takes O(bodies), and then O(bytes), giving O(1), each besides the
/// filling with zeros.
#[derive(Clone)]
pub struct Pool<const BYTES: usize, const MESSAGES: usize> {
    bytes: [u8; BYTES],
    places: Table<Place, Twice<Slot<Place, 1>, MESSAGES>, 1>,
    in_order: List<0>,
    used: usize,
    limits: BodyLimits,
}

/// The bytes `offset..offset + len` belong to a body. No two places overlap.
#[derive(Clone, Copy, Debug)]
struct Place {
    offset: usize,
    len: usize,
}

impl<const BYTES: usize, const MESSAGES: usize> Pool<BYTES, MESSAGES> {
    /// The lowest gap for `len` bytes: where it starts, and the slot of the place that ends it.
    fn gap(&self, len: usize) -> Option<(usize, Option<u32>)> {
        let mut offset = 0;
        let mut next = self.in_order.head();
        while let Some((slot, place)) = next.and_then(|slot| Some((slot, self.places.at(slot)?))) {
            if len <= place.offset - offset {
                return Some((offset, Some(slot)));
            }
            offset = place.offset + place.len;
            next = self.places.next::<0>(slot);
        }
        (len <= self.limits.total - offset).then_some((offset, None))
    }

    /// Moves all bodies to the start, in their order, so that the free bytes lie together behind them.
    fn close_up(&mut self) {
        let mut end = 0;
        let mut next = self.in_order.head();
        while let Some((slot, place)) =
            next.and_then(|slot| Some((slot, self.places.at_mut(slot)?)))
        {
            let from = core::mem::replace(&mut place.offset, end);
            let len = place.len;
            if from > end {
                self.bytes.copy_within(from..from + len, end);
                // What it has left is free.
                if let Some(left) = self.bytes.get_mut(from.max(end + len)..from + len) {
                    left.zeroize();
                }
            }
            end += len;
            next = self.places.next::<0>(slot);
        }
    }
}

impl<const BYTES: usize, const MESSAGES: usize> Bodies for Pool<BYTES, MESSAGES> {
    fn with_limits(limits: BodyLimits) -> Result<Self, BeyondCapacity> {
        BeyondCapacity::check(limits.total, BYTES)?;
        Ok(Self {
            bytes: [0; BYTES],
            places: Table::with_limit(limits.count)?,
            in_order: List::default(),
            used: 0,
            limits,
        })
    }

    fn take(&mut self, len: usize) -> Result<BodyId, NoRoom> {
        if !self.limits.can_ever_hold(len) {
            return Err(NoRoom::Never);
        }
        let (offset, before) = match self.gap(len) {
            Some(gap) => gap,
            None if len <= self.limits.total - self.used => {
                self.close_up();
                (self.used, None)
            }
            None => return Err(NoRoom::Now),
        };
        let place = self
            .places
            .insert(Place { offset, len })
            .ok_or(NoRoom::Now)?;
        self.places
            .insert_before(&mut self.in_order, before, place.slot());
        self.used += len;
        Ok(BodyId(place))
    }

    fn get(&self, id: BodyId) -> &[u8] {
        self.places
            .get(id.0)
            .and_then(|place| self.bytes.get(place.offset..place.offset + place.len))
            .unwrap_or(&[])
    }

    fn get_mut(&mut self, id: BodyId) -> &mut [u8] {
        self.places
            .get(id.0)
            .and_then(|place| self.bytes.get_mut(place.offset..place.offset + place.len))
            .unwrap_or(&mut [])
    }

    fn give(&mut self, id: BodyId) {
        // Free bytes are zero, so that taking need not fill them.
        self.get_mut(id).zeroize();
        if self.places.get(id.0).is_some() {
            self.places.unlink(&mut self.in_order, id.0.slot());
        }
        if let Some(place) = self.places.remove(id.0) {
            self.used -= place.len;
        }
    }

    fn used(&self) -> usize {
        self.used
    }

    fn count(&self) -> usize {
        self.places.len()
    }

    fn worst_bytes(_limits: BodyLimits) -> usize {
        0
    }
}

impl<const BYTES: usize, const MESSAGES: usize> Drop for Pool<BYTES, MESSAGES> {
    fn drop(&mut self) {
        self.bytes.zeroize();
    }
}

impl<const BYTES: usize, const MESSAGES: usize> core::fmt::Debug for Pool<BYTES, MESSAGES> {
    /// Without the bytes, which may be secret.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Pool")
            .field("places", &self.places)
            .field("used", &self.used)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}
