//! The laws of tables and of the lists through them.

use super::std::collections::{BTreeMap, VecDeque};
use super::std::vec::Vec;
use super::*;

/// Values, and three lists through two links: what every table must do, slot by slot.
struct Tabled<B> {
    table: Table<u32, B, 2>,
    lists: (List<0>, List<0>, List<1>),
    held: BTreeMap<u32, (Handle, u32)>,
    free: Vec<u32>,
    stale: Vec<Handle>,
    queues: [VecDeque<u32>; 3],
}

/// Runs one operation on a list and on its model.
fn link_op<B: Backing<Slot<u32, 2>>, const L: usize>(
    table: &mut Table<u32, B, 2>,
    list: &mut List<L>,
    queue: &mut VecDeque<u32>,
    elsewhere: bool,
    (op, slot): (u8, u32),
) {
    let at = queue.iter().position(|other| *other == slot);
    assert_eq!(table.is_linked::<L>(slot), elsewhere || at.is_some());
    match (op % 5, at) {
        (0, _) => assert_eq!(table.pop_front(list), queue.pop_front()),
        (_, Some(at)) => {
            table.unlink(list, slot);
            queue.remove(at);
        }
        (_, None) if elsewhere => {}
        (1, None) => {
            table.push_front(list, slot);
            queue.push_front(slot);
        }
        (2, None) if !queue.is_empty() => {
            let at = usize::from(op) % queue.len();
            table.insert_before(list, Some(queue[at]), slot);
            queue.insert(at, slot);
        }
        (_, None) => {
            table.push_back(list, slot);
            queue.push_back(slot);
        }
    }
}

fn same<B: Backing<Slot<u32, 2>>, const L: usize>(
    table: &Table<u32, B, 2>,
    list: &List<L>,
    queue: &VecDeque<u32>,
) {
    let walk = core::iter::successors(list.head(), |slot| table.next::<L>(*slot));
    assert!(walk.take(queue.len() + 1).eq(queue.iter().copied()));
    assert_eq!(list.tail(), queue.back().copied());
    assert_eq!(
        (list.len(), list.is_empty()),
        (queue.len(), queue.is_empty())
    );
}

impl<B: Backing<Slot<u32, 2>>> Tabled<B> {
    fn insert(&mut self, value: u32) {
        let new = self.held.len() as u32;
        match self.table.insert(value) {
            Some(handle) => {
                // The slot that became free last, else a new one.
                assert_eq!(handle.slot(), self.free.pop().unwrap_or(new));
                self.held.insert(handle.slot(), (handle, value));
            }
            None => assert_eq!(self.held.len(), self.table.limit()),
        }
    }

    fn remove(&mut self, slot: u32) {
        let (handle, value) = self.held.remove(&slot).unwrap();
        let (a, b, c) = &mut self.lists;
        for (list, queue) in [a, b].into_iter().zip(&mut self.queues) {
            if let Some(at) = queue.iter().position(|other| *other == slot) {
                self.table.unlink(list, slot);
                queue.remove(at);
            }
        }
        if let Some(at) = self.queues[2].iter().position(|other| *other == slot) {
            self.table.unlink(c, slot);
            self.queues[2].remove(at);
        }
        if value % 2 == 0 {
            assert_eq!(self.table.remove(handle), Some(value));
        } else {
            self.table.clear(slot);
        }
        self.free.push(slot);
        self.stale.push(handle);
    }

    fn link(&mut self, op: u8, slot: u32) {
        let [a, b, c] = &mut self.queues;
        let lists = &mut self.lists;
        let (in_a, in_b) = (a.contains(&slot), b.contains(&slot));
        match op / 5 % 3 {
            0 => link_op(&mut self.table, &mut lists.0, a, in_b, (op, slot)),
            1 => link_op(&mut self.table, &mut lists.1, b, in_a, (op, slot)),
            _ => link_op(&mut self.table, &mut lists.2, c, false, (op, slot)),
        }
    }

    fn compare(&mut self) {
        let table = &mut self.table;
        for handle in &self.stale {
            assert_eq!(table.get(*handle), None);
            assert_eq!(table.get_mut(*handle), None);
            assert_eq!(table.remove(*handle), None);
        }
        assert_eq!(
            (table.len(), table.is_empty()),
            (self.held.len(), self.held.is_empty())
        );
        assert_eq!(table.is_full(), self.held.len() == table.limit());
        assert_eq!(table.slots() as usize, self.held.len() + self.free.len());
        for slot in 0..table.slots() + 2 {
            if !self.held.contains_key(&slot) {
                table.clear(slot); // nothing happens
            }
            let held = self.held.get(&slot).copied();
            assert_eq!(table.handle_of(slot), held.map(|held| held.0));
            assert_eq!(table.at(slot).copied(), held.map(|held| held.1));
            assert_eq!(table.at_mut(slot).copied(), held.map(|held| held.1));
            assert_eq!(
                held.and_then(|held| table.get(held.0).copied()),
                held.map(|held| held.1)
            );
            assert!(held.is_some() || !table.is_linked::<0>(slot));
        }
        same(table, &self.lists.0, &self.queues[0]);
        same(table, &self.lists.1, &self.queues[1]);
        same(table, &self.lists.2, &self.queues[2]);
    }
}

fn table_law<B: Backing<Slot<u32, 2>>, const MOST: usize>(limit: u8, ops: Vec<(u8, u8)>) {
    let limit = usize::from(limit) % (MOST + 1);
    let mut tabled = Tabled::<B> {
        table: Table::with_limit(limit).unwrap(),
        lists: Default::default(),
        held: BTreeMap::new(),
        free: Vec::new(),
        stale: Vec::new(),
        queues: Default::default(),
    };
    for (n, (op, which)) in ops.into_iter().enumerate() {
        let chosen = usize::from(which) % tabled.held.len().max(1);
        match tabled.held.keys().nth(chosen).copied() {
            Some(slot) if op < 40 => tabled.remove(slot),
            Some(slot) if op < 160 => tabled.link(op, slot),
            _ => tabled.insert(n as u32),
        }
        tabled.compare();
    }
}

#[test]
fn tables_keep_values_and_lists() {
    check(table_law::<Slots<Slot<u32, 2>, 7>, 7> as fn(u8, Vec<(u8, u8)>));
    check(table_law::<Twice<Slot<u32, 2>, 4>, 8> as fn(u8, Vec<(u8, u8)>));
    #[cfg(feature = "alloc")]
    check(table_law::<Paged<Slot<u32, 2>>, 90> as fn(u8, Vec<(u8, u8)>));
}

/// What a caller may not do: a debug build says so, another does nothing.
#[test]
#[cfg_attr(debug_assertions, should_panic(expected = "cannot be put"))]
fn a_slot_is_not_linked_twice() {
    let mut table = Table::<u8, Slots<Slot<u8, 1>, 2>, 1>::with_limit(2).unwrap();
    let (mut one, mut other) = (List::<0>::new(), List::<0>::new());
    let slot = table.insert(1).unwrap().slot();
    table.push_back(&mut one, slot);
    table.push_back(&mut other, slot);
    assert_eq!((one.len(), other.len()), (1, 0));
}

#[test]
#[cfg_attr(debug_assertions, should_panic(expected = "cannot be put"))]
fn a_slot_is_not_put_before_one_of_another_list() {
    let mut table = Table::<u8, Slots<Slot<u8, 1>, 2>, 1>::with_limit(2).unwrap();
    let (mut one, mut other) = (List::<0>::new(), List::<0>::new());
    let slots = [1, 2].map(|value| table.insert(value).unwrap().slot());
    table.push_back(&mut one, slots[0]);
    table.insert_before(&mut other, Some(slots[0]), slots[1]);
    assert_eq!((one.len(), other.len(), other.head()), (1, 0, None));
    assert!(!table.is_linked::<0>(slots[1]));
}

/// Links two slots in one list and unlinks the nth of them from another.
fn unlink_from_another(nth: usize) {
    let mut table = Table::<u8, Slots<Slot<u8, 1>, 2>, 1>::with_limit(2).unwrap();
    let (mut one, mut other) = (List::<0>::new(), List::<0>::new());
    let slots = [1, 2].map(|value| table.insert(value).unwrap().slot());
    for slot in slots {
        table.push_back(&mut one, slot);
    }
    table.unlink(&mut other, slots[nth]);
    assert_eq!((other.head(), other.tail(), other.len()), (None, None, 0));
    assert_eq!(slots.map(|_| table.pop_front(&mut one)), slots.map(Some));
}

#[test]
#[cfg_attr(debug_assertions, should_panic(expected = "is not in the list"))]
fn the_first_of_a_list_is_not_unlinked_from_another() {
    unlink_from_another(0);
}

#[test]
#[cfg_attr(debug_assertions, should_panic(expected = "is not in the list"))]
fn the_last_of_a_list_is_not_unlinked_from_another() {
    unlink_from_another(1);
}

#[test]
#[cfg_attr(debug_assertions, should_panic(expected = "still in a list"))]
fn a_linked_value_is_not_removed() {
    let mut table = Table::<u8, Slots<Slot<u8, 1>, 2>, 1>::with_limit(2).unwrap();
    let mut list = List::<0>::new();
    let handle = table.insert(1).unwrap();
    table.push_back(&mut list, handle.slot());
    assert_eq!(table.remove(handle), Some(1));
    assert_eq!(table.pop_front(&mut list), Some(handle.slot()));
}
