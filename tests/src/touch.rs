//! A storage that counts how often the engine looks at a slot, on whatever thread it runs.

use std::cell::Cell;
use std::marker::PhantomData;

use raet_core::limits::Limits;
use raet_core::storage::{Backing, BeyondCapacity, Capacity, Slot, Storage};

thread_local! {
    static TOUCHED: Cell<u64> = const { Cell::new(0) };
}

/// How often slots of tables were looked at while `what` ran on this thread.
pub fn touched<R>(what: impl FnOnce() -> R) -> (u64, R) {
    let before = TOUCHED.get();
    let result = what();
    (TOUCHED.get() - before, result)
}

/// The storage `S`, counted.
pub struct Touch<S>(PhantomData<S>);

/// A run of records that counts when one of them is looked at, if it is the slot of a table. The
/// entries of a deadline heap are none: a heap touches as many as it is high, by nature.
#[derive(Debug)]
pub struct Run<B>(B);

fn count<T>() {
    if std::any::type_name::<T>().starts_with(slot_name()) {
        TOUCHED.set(TOUCHED.get() + 1);
    }
}

/// The name of `Slot` without its parameters.
fn slot_name() -> &'static str {
    let name = std::any::type_name::<Slot<u8, 0>>();
    name.split('<').next().unwrap_or(name)
}

impl<T, B: Backing<T>> Backing<T> for Run<B> {
    fn with_limit(limit: usize) -> Result<Self, BeyondCapacity> {
        B::with_limit(limit).map(Self)
    }

    fn limit(&self) -> usize {
        self.0.limit()
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    fn get(&self, index: usize) -> Option<&T> {
        count::<T>();
        self.0.get(index)
    }

    fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        count::<T>();
        self.0.get_mut(index)
    }

    fn push(&mut self, record: T) -> Result<(), T> {
        self.0.push(record)
    }

    fn worst_bytes(limit: usize) -> usize {
        B::worst_bytes(limit)
    }
}

impl<S: Storage> Storage for Touch<S> {
    type Remotes<T> = Run<S::Remotes<T>>;
    type Roles<T> = Run<S::Roles<T>>;
    type Outbox<T> = Run<S::Outbox<T>>;
    type Inbox<T> = Run<S::Inbox<T>>;
    type Replies<T> = Run<S::Replies<T>>;
    type Hash = S::Hash;
    type Index = S::Index;
    type MessageIndex = S::MessageIndex;
    type Bodies = S::Bodies;

    const CAPACITY: Capacity = S::CAPACITY;
    const LIMITS: Limits = S::LIMITS;
}
