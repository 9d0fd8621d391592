//! Records that come and go, named by handles that go stale, in lists threaded through them.

use super::{Backing, BeyondCapacity, copy, index};
use core::hash::{Hash, Hasher};
use core::marker::PhantomData;

/// The end of a list, of the free list too. Above every slot ([`MAX_LIMIT`](super::MAX_LIMIT)).
const NIL: u32 = u32::MAX;
/// In place of a neighbour: not in a list.
const UNLINKED: u32 = u32::MAX - 1;

/// Names a value in a [`Table`] from its insertion until its removal. After that it finds nothing,
/// also when its slot holds another value.
///
/// What tells values in one slot apart is a generation of 32 bits that wraps: a handle kept over
/// 2³² removals from its slot may find a stranger.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Handle {
    slot: u32,
    generation: u32,
}

impl Handle {
    /// The slot of the value, below [`Table::slots`]. Lists, deadlines and indexes name values by
    /// it, for as long as they are in the table.
    pub const fn slot(self) -> u32 {
        self.slot
    }
}

/// What a [`Table`] asks its [`Backing`] to hold: a value or the room for one, and its place in
/// each of `LISTS` lists.
#[derive(Clone, Hash, Debug)]
pub struct Slot<T, const LISTS: usize> {
    generation: u32,
    content: Content<T>,
    links: [Link; LISTS],
}

#[derive(Clone, Hash, Debug)]
enum Content<T> {
    /// `next` is the slot that became free before this one.
    Free {
        next: u32,
    },
    Held(T),
}

#[derive(Clone, Copy, Hash, Debug)]
struct Link {
    prev: u32,
    next: u32,
}

impl Link {
    const NONE: Self = Self {
        prev: UNLINKED,
        next: UNLINKED,
    };
}

/// The ends of a list of slots; the rest of it lies in the slots. It lives wherever its owner keeps
/// it, and goes with one [`Table`].
///
/// `L` says which of the table's links it runs through: a slot is in at most one list of each `L`.
#[derive(Clone, Hash, Debug)]
pub struct List<const L: usize>(Ends);

#[derive(Clone, Hash, Debug)]
struct Ends {
    head: u32,
    tail: u32,
    len: u32,
}

impl<const L: usize> List<L> {
    /// A list of nothing.
    pub const fn new() -> Self {
        Self(Ends {
            head: NIL,
            tail: NIL,
            len: 0,
        })
    }

    /// The first slot.
    pub fn head(&self) -> Option<u32> {
        real(self.0.head)
    }

    /// The last slot.
    pub fn tail(&self) -> Option<u32> {
        real(self.0.tail)
    }

    /// The number of slots in it.
    pub fn len(&self) -> usize {
        index(self.0.len)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.len == 0
    }
}

impl<const L: usize> Default for List<L> {
    fn default() -> Self {
        Self::new()
    }
}

/// Values in numbered slots, with `LISTS` doubly linked lists through them.
///
/// Everything takes O(1), and nothing but an insertion that needs a new slot can allocate. A value
/// goes to the slot that became free last, or to a new one if none is free: the same calls give
/// the same slots on every storage.
///
/// The links are the slot's. Whoever removes a value takes it out of its lists first; a debug build
/// asserts it. Otherwise the slot stays in them, empty.
#[derive(Debug)]
pub struct Table<T, B, const LISTS: usize> {
    slots: B,
    free: u32,
    len: usize,
    values: PhantomData<T>,
}

impl<T, B: Backing<Slot<T, LISTS>>, const LISTS: usize> Table<T, B, LISTS> {
    /// An empty table that can hold `limit` values.
    ///
    /// # Errors
    /// When the backing cannot hold as many.
    pub fn with_limit(limit: usize) -> Result<Self, BeyondCapacity> {
        Ok(Self {
            slots: B::with_limit(limit)?,
            free: NIL,
            len: 0,
            values: PhantomData,
        })
    }

    /// The number of values it can hold.
    pub fn limit(&self) -> usize {
        self.slots.limit()
    }

    /// The number of values it holds.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether it is at its limit.
    pub fn is_full(&self) -> bool {
        self.len >= self.slots.limit()
    }

    /// One more than the highest slot that ever held a value. To list the table: look at each slot
    /// below, in as many calls as it takes.
    pub fn slots(&self) -> u32 {
        // A backing's limit is below 2³².
        self.slots.len() as u32
    }

    /// An upper bound of the bytes that a table of this limit ever allocates, beyond its own
    /// `size_of`.
    pub fn worst_bytes(limit: usize) -> usize {
        B::worst_bytes(limit)
    }

    /// Puts a value in; `None`, and it is dropped, when the table is full (or needs memory that the
    /// allocator refuses).
    pub fn insert(&mut self, value: T) -> Option<Handle> {
        let slot = self.vacant()?;
        let vacant = self.slots.get_mut(index(slot))?;
        if let Content::Free { next } = vacant.content {
            self.free = next;
        }
        vacant.content = Content::Held(value);
        self.len += 1;
        Some(Handle {
            slot,
            generation: vacant.generation,
        })
    }

    /// The first of the free list, after a new slot was put there if it was empty.
    fn vacant(&mut self) -> Option<u32> {
        if self.free == NIL {
            let slot = self.slots();
            self.slots
                .push(Slot {
                    generation: 0,
                    content: Content::Free { next: NIL },
                    links: [Link::NONE; LISTS],
                })
                .ok()?;
            self.free = slot;
        }
        Some(self.free)
    }

    /// Takes a value out; `None` if the handle is stale.
    pub fn remove(&mut self, handle: Handle) -> Option<T> {
        self.get(handle)?;
        let (content, next) = self.vacate(handle.slot)?;
        match core::mem::replace(content, Content::Free { next }) {
            Content::Held(value) => Some(value),
            Content::Free { .. } => None,
        }
    }

    /// Drops the value in a slot, if there is one.
    pub fn clear(&mut self, slot: u32) {
        if let Some((content, next)) = self.vacate(slot) {
            *content = Content::Free { next }; // the value is not moved for it
        }
    }

    /// Makes a slot that holds a value the first of the free list, but for its content: with the slot
    /// that comes next there, which the caller puts in place of the value.
    fn vacate(&mut self, slot: u32) -> Option<(&mut Content<T>, u32)> {
        let place = self.slots.get_mut(index(slot))?;
        if matches!(place.content, Content::Free { .. }) {
            return None;
        }
        debug_assert!(
            place.links.iter().all(|link| link.next == UNLINKED),
            "slot {slot} is still in a list"
        );
        place.generation = place.generation.wrapping_add(1);
        let next = core::mem::replace(&mut self.free, slot);
        self.len -= 1;
        Some((&mut place.content, next))
    }

    /// The value of a handle; `None` if it is stale.
    pub fn get(&self, handle: Handle) -> Option<&T> {
        let slot = self.slot(handle.slot)?;
        if slot.generation != handle.generation {
            return None;
        }
        self.at(handle.slot)
    }

    /// The value of a handle, to change; `None` if it is stale.
    pub fn get_mut(&mut self, handle: Handle) -> Option<&mut T> {
        let slot = self.slot(handle.slot)?;
        if slot.generation != handle.generation {
            return None;
        }
        self.at_mut(handle.slot)
    }

    /// The value in a slot; `None` if it is free or was never used.
    pub fn at(&self, slot: u32) -> Option<&T> {
        match &self.slot(slot)?.content {
            Content::Held(value) => Some(value),
            Content::Free { .. } => None,
        }
    }

    /// The value in a slot, to change; `None` if it is free or was never used.
    pub fn at_mut(&mut self, slot: u32) -> Option<&mut T> {
        match &mut self.slot_mut(slot)?.content {
            Content::Held(value) => Some(value),
            Content::Free { .. } => None,
        }
    }

    /// The handle of the value in a slot; `None` if it is free or was never used.
    pub fn handle_of(&self, slot: u32) -> Option<Handle> {
        let found = self.slot(slot)?;
        matches!(found.content, Content::Held(_)).then_some(Handle {
            slot,
            generation: found.generation,
        })
    }

    fn slot(&self, slot: u32) -> Option<&Slot<T, LISTS>> {
        self.slots.get(index(slot))
    }

    fn slot_mut(&mut self, slot: u32) -> Option<&mut Slot<T, LISTS>> {
        self.slots.get_mut(index(slot))
    }
}

impl<T: Clone, B: Backing<Slot<T, LISTS>>, const LISTS: usize> Clone for Table<T, B, LISTS> {
    /// Every handle and list of the original names the same in the copy.
    ///
    /// # Panics
    ///
    /// When the allocator refuses.
    fn clone(&self) -> Self {
        Self {
            slots: copy(&self.slots),
            free: self.free,
            len: self.len,
            values: PhantomData,
        }
    }
}

impl<T: Hash, B: Backing<Slot<T, LISTS>>, const LISTS: usize> Hash for Table<T, B, LISTS> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (0..self.slots.len()).for_each(|at| self.slots.get(at).hash(state));
        self.free.hash(state);
    }
}

/// Lists. The slot must hold a value, and the list be one of this table.
///
/// An operation that cannot be right (a slot without a value, linking what is in a list, unlinking
/// what is not in this one) fails an assertion in a debug build; else it does nothing.
impl<T, B: Backing<Slot<T, LISTS>>, const LISTS: usize> Table<T, B, LISTS> {
    /// Puts a slot at the end of a list.
    pub fn push_back<const L: usize>(&mut self, list: &mut List<L>, slot: u32) {
        self.insert_before(list, None, slot);
    }

    /// Puts a slot at the start of a list.
    pub fn push_front<const L: usize>(&mut self, list: &mut List<L>, slot: u32) {
        self.insert_before(list, list.head(), slot);
    }

    /// Puts a slot into a list before another that is in it, or at its end.
    pub fn insert_before<const L: usize>(
        &mut self,
        list: &mut List<L>,
        before: Option<u32>,
        slot: u32,
    ) {
        const { assert!(L < LISTS, "the table has no such list") }
        (self as &mut dyn Links).insert_before(L, &mut list.0, before.unwrap_or(NIL), slot);
    }

    /// Takes a slot out of this list; nothing happens if it is in none.
    pub fn unlink<const L: usize>(&mut self, list: &mut List<L>, slot: u32) {
        const { assert!(L < LISTS, "the table has no such list") }
        (self as &mut dyn Links).unlink(L, &mut list.0, slot);
    }

    /// Takes the first slot out of a list; `None` if it is empty.
    pub fn pop_front<const L: usize>(&mut self, list: &mut List<L>) -> Option<u32> {
        let slot = list.head()?;
        self.unlink(list, slot);
        Some(slot)
    }

    /// The slot after this one in its list `L`; `None` at the end, and outside of lists.
    pub fn next<const L: usize>(&self, slot: u32) -> Option<u32> {
        const { assert!(L < LISTS, "the table has no such list") }
        real(self.after(L, slot))
    }

    /// Whether a slot is in a list `L`.
    pub fn is_linked<const L: usize>(&self, slot: u32) -> bool {
        const { assert!(L < LISTS, "the table has no such list") }
        self.after(L, slot) != UNLINKED
    }

    fn after(&self, list: usize, slot: u32) -> u32 {
        let link = self.slot(slot).and_then(|slot| slot.links.get(list));
        link.map_or(UNLINKED, |link| link.next)
    }
}

/// What lists need of a table: so their code is there once, whatever the tables hold.
trait Links {
    /// The links of a slot, and whether it holds a value; `None` if it was never used.
    fn links(&mut self, slot: u32) -> Option<(&mut [Link], bool)>;
}

impl<T, B: Backing<Slot<T, LISTS>>, const LISTS: usize> Links for Table<T, B, LISTS> {
    fn links(&mut self, slot: u32) -> Option<(&mut [Link], bool)> {
        let slot = self.slot_mut(slot)?;
        let held = matches!(slot.content, Content::Held(_));
        Some((&mut slot.links, held))
    }
}

impl dyn Links + '_ {
    fn link(&mut self, list: usize, slot: u32) -> Option<&mut Link> {
        self.links(slot)?.0.get_mut(list)
    }

    fn insert_before(&mut self, list: usize, ends: &mut Ends, next: u32, slot: u32) {
        let prev = match self.link(list, next) {
            Some(link) => link.prev,
            None if next == NIL => ends.tail,
            None => UNLINKED,
        };
        // An unlinked `next` has UNLINKED in front of it, and the first one must be this list's.
        let fits = prev != UNLINKED && (prev != NIL || ends.head == next);
        if let Some((links, true)) = self.links(slot)
            && let Some(link) = links.get_mut(list)
            && link.next == UNLINKED
            && fits
        {
            *link = Link { prev, next };
            self.join_ends(list, ends, prev, slot);
            self.join_ends(list, ends, slot, next);
            ends.len = ends.len.saturating_add(1);
        } else {
            debug_assert!(false, "slot {slot} cannot be put before {next}");
        }
    }

    fn unlink(&mut self, list: usize, ends: &mut Ends, slot: u32) {
        let Some(link) = self.link(list, slot) else {
            return;
        };
        let Link { prev, next } = *link;
        if next == UNLINKED {
            return;
        }
        // At an end of a list, it must be an end of this one.
        if prev == NIL && ends.head != slot || next == NIL && ends.tail != slot {
            debug_assert!(false, "slot {slot} is not in the list");
            return;
        }
        *link = Link::NONE;
        self.join_ends(list, ends, prev, next);
        ends.len = ends.len.saturating_sub(1);
    }

    /// Makes two slots neighbours, where an end of the list stands for NIL.
    fn join_ends(&mut self, list: usize, ends: &mut Ends, prev: u32, next: u32) {
        match self.link(list, prev) {
            Some(link) => link.next = next,
            None => ends.head = next,
        }
        match self.link(list, next) {
            Some(link) => link.prev = prev,
            None => ends.tail = prev,
        }
    }
}

/// A neighbour, unless it is a mark that there is none.
fn real(slot: u32) -> Option<u32> {
    (slot < UNLINKED).then_some(slot)
}
