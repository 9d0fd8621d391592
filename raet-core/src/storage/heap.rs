//! Storage that grows up to its limits.
//!
//! Growth moves no record: only the list of pages and the hash tables, a few bytes for each entry,
//! are ever copied. An allocator that refuses is answered like a limit.

use super::{
    Backing, BeyondCapacity, Bodies, BodyId, BodyLimits, Capacity, Index, KeyedHash, MAX_LIMIT,
    NoRoom, Slot, Storage, Table,
};
use crate::limits::Limits;
use alloc::vec::Vec;
use hashbrown::HashTable;
use zeroize::Zeroize;

/// The storage of a machine with an allocator: memory is taken as it is needed.
pub enum Heap {}

impl Storage for Heap {
    type Remotes<T> = Paged<T>;
    type Roles<T> = Paged<T>;
    type Outbox<T> = Paged<T>;
    type Inbox<T> = Paged<T>;
    type Replies<T> = Paged<T>;
    type Hash = KeyedHash;
    type Index = Hashed;
    type MessageIndex = Hashed;
    type Bodies = Budget;

    const CAPACITY: Capacity = Capacity {
        remotes: MAX_LIMIT,
        roles: MAX_LIMIT,
        outbox: MAX_LIMIT,
        inbox: MAX_LIMIT,
        replies: MAX_LIMIT,
        bodies: MAX_LIMIT,
        body_bytes: MAX_LIMIT,
    };

    /// For a host of many estates: 4,096 remotes, messages of 16 MiB.
    const LIMITS: Limits = Limits {
        remotes: 4096,
        roles: 8192,
        handshakes: 1024,
        outbox: 8192,
        inbox: 8192,
        remote_inbox: 1024,
        message: 16 << 20,
        outbox_bytes: 64 << 20,
        inbox_bytes: 64 << 20,
        remote_inbox_bytes: 32 << 20,
        replies: 1024,
    };
}

/// Records in pages of at most 64 records and about 16 KiB, each allocated whole when its first
/// record comes.
///
/// A push takes O(1), but every 64th or so allocates a page, and of those one in a while doubles
/// the list of pages.
#[derive(Debug)]
pub struct Paged<T> {
    pages: Vec<Vec<T>>,
    len: usize,
    limit: usize,
}

impl<T> Paged<T> {
    /// Records in a full page.
    const PER_PAGE: usize = {
        let fit = 16 * 1024
            / if size_of::<T>() == 0 {
                1
            } else {
                size_of::<T>()
            };
        if fit == 0 {
            1
        } else if fit > 64 {
            64
        } else {
            fit
        }
    };

    /// Makes room for one more page; false if the allocator refuses.
    fn add_page(&mut self) -> bool {
        if self.pages.len() == self.pages.capacity() {
            // Doubling, but not past the pages that the limit can ever fill.
            let most = self.limit.div_ceil(Self::PER_PAGE);
            let more = self
                .pages
                .len()
                .clamp(1, most.saturating_sub(self.pages.len()).max(1));
            if self.pages.try_reserve_exact(more).is_err() {
                return false;
            }
        }
        let records = Self::PER_PAGE.min(self.limit - self.len);
        let mut page = Vec::new();
        if page.try_reserve_exact(records).is_err() {
            return false;
        }
        self.pages.push(page);
        true
    }
}

impl<T> Backing<T> for Paged<T> {
    fn with_limit(limit: usize) -> Result<Self, BeyondCapacity> {
        BeyondCapacity::check(limit, MAX_LIMIT)?;
        Ok(Self {
            pages: Vec::new(),
            len: 0,
            limit,
        })
    }

    fn limit(&self) -> usize {
        self.limit
    }

    fn len(&self) -> usize {
        self.len
    }

    fn get(&self, index: usize) -> Option<&T> {
        let page = self.pages.get(index / Self::PER_PAGE)?;
        page.get(index % Self::PER_PAGE)
    }

    fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        let page = self.pages.get_mut(index / Self::PER_PAGE)?;
        page.get_mut(index % Self::PER_PAGE)
    }

    fn push(&mut self, record: T) -> bool {
        if self.len >= self.limit {
            return false;
        }
        let page = self.len / Self::PER_PAGE;
        if page == self.pages.len() && !self.add_page() {
            return false;
        }
        let Some(page) = self.pages.get_mut(page) else {
            return false;
        };
        page.push(record);
        self.len += 1;
        true
    }

    fn worst_bytes(limit: usize) -> usize {
        // While the list of pages doubles, the old one is there too.
        let lists = limit.div_ceil(Self::PER_PAGE).saturating_mul(2);
        limit
            .saturating_mul(size_of::<T>())
            .saturating_add(lists.saturating_mul(size_of::<Vec<T>>()))
    }
}

/// Pairs in a hash table: all operations take O(1), but for an insert that grows the table, which
/// copies eight bytes for each pair.
#[derive(Clone, Debug)]
pub struct Hashed {
    pairs: HashTable<(u32, u32)>,
    limit: usize,
}

impl Index for Hashed {
    fn with_limit(limit: usize) -> Result<Self, BeyondCapacity> {
        BeyondCapacity::check(limit, MAX_LIMIT)?;
        Ok(Self {
            pairs: HashTable::new(),
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
            .find(spread(hash), |pair| pair.0 == hash && eq(pair.1))
            .map(|pair| pair.1)
    }

    fn insert(&mut self, hash: u32, slot: u32) -> bool {
        if self.pairs.len() >= self.limit {
            return false;
        }
        if self.pairs.try_reserve(1, |pair| spread(pair.0)).is_err() {
            return false;
        }
        self.pairs
            .insert_unique(spread(hash), (hash, slot), |pair| spread(pair.0));
        true
    }

    fn remove(&mut self, hash: u32, slot: u32) -> bool {
        match self
            .pairs
            .find_entry(spread(hash), |pair| *pair == (hash, slot))
        {
            Ok(entry) => {
                entry.remove();
                true
            }
            Err(_) => false,
        }
    }

    fn worst_bytes(limit: usize) -> usize {
        if limit == 0 {
            return 0;
        }
        // A table of b buckets takes 7b/8 entries, removed ones included until it is rehashed, and
        // doubles only when more than half of those live: so b is at most 16/7 of the limit before
        // the last doubling (and 16 is more than the smallest table), during which both are there.
        let last = 1_usize << (limit.saturating_mul(16) / 7).max(16).ilog2();
        let bucket = size_of::<(u32, u32)>() + 1;
        // Each table ends in a group of 16 control bytes, and is aligned to as many.
        let table = |buckets: usize| buckets.saturating_mul(bucket).saturating_add(32);
        table(last).saturating_add(table(last.saturating_mul(2)))
    }
}

/// Spreads a hash over the 64 bits of which the table takes the highest and the lowest.
fn spread(hash: u32) -> u64 {
    u64::from(hash).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

/// An allocation for each body, counted against the budget. Taking and giving take O(1) besides
/// the allocator's work and the filling with zeros.
#[derive(Clone, Debug)]
pub struct Budget {
    bodies: Bodied,
    used: usize,
    limits: BodyLimits,
}

type Bodied = Table<Body, Paged<Slot<Body, 0>>, 0>;

/// The bytes of one message, erased when dropped.
#[derive(Clone)]
struct Body(Vec<u8>);

impl Drop for Body {
    fn drop(&mut self) {
        self.0.as_mut_slice().zeroize();
    }
}

impl core::fmt::Debug for Body {
    /// Without the bytes, which may be secret.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Body({} bytes)", self.0.len())
    }
}

impl Bodies for Budget {
    fn with_limits(limits: BodyLimits) -> Result<Self, BeyondCapacity> {
        BeyondCapacity::check(limits.total, Heap::CAPACITY.body_bytes)?;
        Ok(Self {
            bodies: Table::with_limit(limits.count)?,
            used: 0,
            limits,
        })
    }

    fn take(&mut self, len: usize) -> Result<BodyId, NoRoom> {
        if !self.limits.can_ever_hold(len) {
            return Err(NoRoom::Never);
        }
        if len > self.limits.total - self.used || self.bodies.is_full() {
            return Err(NoRoom::Now);
        }
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(len).map_err(|_| NoRoom::Now)?;
        bytes.resize(len, 0);
        let body = self.bodies.insert(Body(bytes)).ok_or(NoRoom::Now)?;
        self.used += len;
        Ok(BodyId(body))
    }

    fn get(&self, id: BodyId) -> &[u8] {
        self.bodies.get(id.0).map_or(&[], |body| &body.0)
    }

    fn get_mut(&mut self, id: BodyId) -> &mut [u8] {
        self.bodies
            .get_mut(id.0)
            .map_or(&mut [], |body| &mut body.0)
    }

    fn give(&mut self, id: BodyId) {
        if let Some(body) = self.bodies.remove(id.0) {
            self.used -= body.0.len();
        }
    }

    fn used(&self) -> usize {
        self.used
    }

    fn count(&self) -> usize {
        self.bodies.len()
    }

    fn worst_bytes(limits: BodyLimits) -> usize {
        Bodied::worst_bytes(limits.count).saturating_add(limits.total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bound holds at every moment, whatever was inserted and removed before.
    #[test]
    fn a_hash_table_stays_below_its_worst() {
        for limit in [1, 3, 4, 7, 8, 14, 15, 28, 29, 100, 448, 449, 450, 1000] {
            let worst = Hashed::worst_bytes(limit);
            // Hashes all different, and hashes in long runs of one, which leave removed entries
            // behind that the next run cannot use.
            for run in [1, limit as u32] {
                let mut index = Hashed::with_limit(limit).unwrap();
                // Full, with the oldest forever replaced.
                for n in 0..limit as u32 * 40 {
                    let before = index.pairs.allocation_size();
                    if let Some(oldest) = n.checked_sub(limit as u32) {
                        assert!(index.remove(oldest / run, oldest));
                    }
                    assert!(index.insert(n / run, n));
                    let after = index.pairs.allocation_size();
                    let both = if after == before { 0 } else { before };
                    assert!(after + both <= worst, "{limit}: {before} to {after}");
                }
            }
        }
    }

    #[test]
    fn pages_stay_below_their_worst() {
        for limit in [0, 1, 5, 63, 64, 65, 1000, 4097] {
            let worst = Paged::<[u64; 9]>::worst_bytes(limit);
            let mut paged = Paged::<[u64; 9]>::with_limit(limit).unwrap();
            let lists = |paged: &Paged<[u64; 9]>| paged.pages.capacity() * size_of::<Vec<u8>>();
            while paged.len() < limit {
                let before = lists(&paged);
                assert!(paged.push([1; 9]));
                let after = lists(&paged);
                let both = if after == before { 0 } else { before };
                let records: usize = paged.pages.iter().map(Vec::capacity).sum();
                assert!(records * size_of::<[u64; 9]>() + after + both <= worst);
            }
        }
    }
}
