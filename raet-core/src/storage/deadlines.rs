//! Whose time comes next.

use super::{Backing, BeyondCapacity, copy, index};
use crate::time::Instant;
use core::hash::{Hash, Hasher};

/// Marks a slot that has no deadline.
const NONE: u32 = u32::MAX;

/// At most one deadline for each slot of a table, the earliest first.
///
/// A binary heap over `H`, with each slot's place in it noted in `P`, so that a deadline can be
/// moved and taken away. Of deadlines at one time the lowest slot comes first, so the order is the
/// same on every storage.
#[derive(Debug)]
pub struct Deadlines<H, P> {
    /// The heap is the first `len` of these; what is behind has been left and is used again.
    heap: H,
    /// By slot: where in the heap it is.
    places: P,
    len: usize,
}

impl<B: Backing<(Instant, u32)>, P: Backing<u32>> Clone for Deadlines<B, P> {
    /// # Panics
    ///
    /// When the allocator refuses.
    fn clone(&self) -> Self {
        Self {
            heap: copy(&self.heap),
            places: copy(&self.places),
            len: self.len,
        }
    }
}

impl<B: Backing<(Instant, u32)>, P: Backing<u32>> Hash for Deadlines<B, P> {
    /// Which slot has which deadline, wherever they lie.
    fn hash<H: Hasher>(&self, state: &mut H) {
        (0..self.places.len() as u32).for_each(|slot| self.get(slot).hash(state));
    }
}

impl<H: Backing<(Instant, u32)>, P: Backing<u32>> Deadlines<H, P> {
    /// None yet, for slots below `limit`.
    ///
    /// # Errors
    /// When a backing cannot hold as many.
    pub fn with_limit(limit: usize) -> Result<Self, BeyondCapacity> {
        Ok(Self {
            heap: H::with_limit(limit)?,
            places: P::with_limit(limit)?,
            len: 0,
        })
    }

    /// An upper bound of the bytes ever allocated with this limit, beyond its own `size_of`.
    pub fn worst_bytes(limit: usize) -> usize {
        H::worst_bytes(limit).saturating_add(P::worst_bytes(limit))
    }

    /// The number of slots that have a deadline.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no slot has one.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The earliest deadline and whose it is. O(1).
    pub fn next(&self) -> Option<(Instant, u32)> {
        self.entry(0)
    }

    /// A slot's deadline. O(1).
    pub fn get(&self, slot: u32) -> Option<Instant> {
        Some(self.entry(self.place(slot)?)?.0)
    }

    /// Makes the room for a deadline of this slot and of all below, so that setting them cannot
    /// fail. False beyond the limit, or when the allocator refuses. O(1) where slots come one after
    /// the other, as a [`Table`](super::Table) hands them out.
    #[must_use]
    pub fn reserve(&mut self, slot: u32) -> bool {
        if index(slot) >= self.places.limit() {
            return false;
        }
        while self.places.len() <= index(slot) {
            // The heap first: then it has never less room than there are places.
            let room =
                self.heap.len() > self.places.len() || self.heap.push((Instant::NEVER, NONE));
            if !room || !self.places.push(NONE) {
                return false;
            }
        }
        true
    }

    /// Gives a slot its deadline, in place of the one that it had; `None` takes it away. False, and
    /// nothing changes, if there is no room for it, as [`reserve`](Self::reserve) would have said.
    /// O(log n).
    #[must_use]
    pub fn set(&mut self, slot: u32, deadline: Option<Instant>) -> bool {
        match (self.place(slot), deadline) {
            (Some(place), Some(at)) => self.order().settle(place, (at, slot)),
            (Some(place), None) => self.remove(place, slot),
            (None, Some(at)) => {
                if !self.reserve(slot) {
                    return false;
                }
                self.len += 1;
                let hole = self.len - 1;
                self.order().settle(hole, (at, slot));
            }
            (None, None) => {}
        }
        true
    }

    /// Takes a slot out of the heap; the last entry fills its place.
    fn remove(&mut self, place: usize, slot: u32) {
        let last = self.len - 1;
        let moved = self.entry(last);
        self.len = last;
        self.note(slot, NONE);
        if let Some(moved) = moved.filter(|_| place != last) {
            self.order().settle(place, moved);
        }
    }

    fn place(&self, slot: u32) -> Option<usize> {
        let place = *self.places.get(index(slot))?;
        (place != NONE).then_some(index(place))
    }

    fn note(&mut self, slot: u32, place: u32) {
        if let Some(noted) = self.places.get_mut(index(slot)) {
            *noted = place;
        }
    }

    fn order(&mut self) -> &mut dyn Heap {
        self
    }
}

/// What putting a heap in order needs of it: so the code for that is there once, whatever holds the
/// heap.
trait Heap {
    fn entry(&self, place: usize) -> Option<(Instant, u32)>;

    fn put(&mut self, place: usize, entry: (Instant, u32));
}

impl<H: Backing<(Instant, u32)>, P: Backing<u32>> Heap for Deadlines<H, P> {
    fn entry(&self, place: usize) -> Option<(Instant, u32)> {
        if place >= self.len {
            return None;
        }
        self.heap.get(place).copied()
    }

    fn put(&mut self, place: usize, entry: (Instant, u32)) {
        if let Some(old) = self.heap.get_mut(place) {
            *old = entry;
        }
        // Places are fewer than slots, which are below 2³².
        self.note(entry.1, place as u32);
    }
}

impl dyn Heap + '_ {
    /// Puts an entry where the heap's order wants it, given that `hole` is the only place out of
    /// order.
    fn settle(&mut self, mut hole: usize, entry: (Instant, u32)) {
        while let Some((parent, above)) = self.parent(hole).filter(|(_, above)| entry < *above) {
            self.put(hole, above);
            hole = parent;
        }
        while let Some((child, below)) = self.least_child(hole).filter(|(_, below)| *below < entry)
        {
            self.put(hole, below);
            hole = child;
        }
        self.put(hole, entry);
    }

    fn parent(&self, place: usize) -> Option<(usize, (Instant, u32))> {
        let parent = place.checked_sub(1)? / 2;
        Some((parent, self.entry(parent)?))
    }

    fn least_child(&self, place: usize) -> Option<(usize, (Instant, u32))> {
        let left = place.checked_mul(2)?.checked_add(1)?;
        let right = left.checked_add(1)?;
        let first = (left, self.entry(left)?);
        Some(match self.entry(right) {
            Some(second) if second < first.1 => (right, second),
            _ => first,
        })
    }
}
