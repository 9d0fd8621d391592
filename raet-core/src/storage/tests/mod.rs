//! The laws of storage: each is one body, run on every kind and against a simple model.

extern crate std;

mod tables;

use super::*;
use crate::time::Instant;
use core::fmt::Debug;
use quickcheck::{Gen, QuickCheck, Testable};
use std::collections::BTreeMap;
use std::vec::Vec;
use std::{format, vec};

type Small = Fixed<6, 8, 64>;

/// Seeded, so that a failure comes again.
fn check(law: impl Testable) {
    QuickCheck::new()
        .rng(Gen::from_size_and_seed(160, 0x5EED_5709))
        .tests(300)
        .quickcheck(law);
}

/// A record of which a page holds three.
type Wide = [u64; 600];

trait Numbered: Clone + PartialEq + Debug {
    fn number(n: u64) -> Self;
}

impl Numbered for u64 {
    fn number(n: u64) -> Self {
        n
    }
}

impl Numbered for Wide {
    fn number(n: u64) -> Self {
        [n; 600]
    }
}

fn backing_law<T: Numbered, B: Backing<T>, const MOST: usize>(limit: u8, ops: Vec<u8>) {
    let limit = usize::from(limit) % (MOST + 1);
    let mut backing = B::with_limit(limit).unwrap();
    let mut model: Vec<T> = Vec::new();
    for (n, op) in ops.into_iter().enumerate() {
        let record = T::number(n as u64);
        let at = usize::from(op) % (MOST + 2);
        if op < 192 {
            if backing.push(record.clone()) {
                model.push(record);
            } else {
                assert_eq!(model.len(), limit);
            }
        } else if let Some(old) = backing.get_mut(at) {
            *old = record.clone();
            model[at] = record;
        } else {
            assert!(at >= model.len());
        }
        assert_eq!(backing.get(at), model.get(at));
        assert_eq!((backing.len(), backing.limit()), (model.len(), limit));
        assert_eq!(backing.is_empty(), model.is_empty());
    }
    assert!((0..MOST + 2).all(|at| backing.get(at) == model.get(at)));
}

#[test]
fn backings_are_bounded_runs() {
    check(backing_law::<u64, Slots<u64, 7>, 7> as fn(u8, Vec<u8>));
    check(backing_law::<u64, Twice<u64, 5>, 10> as fn(u8, Vec<u8>));
    #[cfg(feature = "alloc")]
    check(backing_law::<u64, Paged<u64>, 150> as fn(u8, Vec<u8>));
    #[cfg(feature = "alloc")]
    check(backing_law::<Wide, Paged<Wide>, 20> as fn(u8, Vec<u8>));
}

#[test]
fn what_exceeds_a_capacity_is_refused() {
    let refused = |limit, capacity| Some(BeyondCapacity { limit, capacity });
    assert_eq!(Slots::<u8, 3>::with_limit(4).err(), refused(4, 3));
    assert_eq!(Twice::<u8, 3>::with_limit(7).err(), refused(7, 6));
    assert_eq!(Scanned::<3>::with_limit(4).err(), refused(4, 3));
    let limits = |total, count| BodyLimits {
        total,
        largest: usize::MAX,
        count,
    };
    assert_eq!(Pool::<8, 3>::with_limits(limits(9, 1)).err(), refused(9, 8));
    assert_eq!(Pool::<8, 3>::with_limits(limits(8, 7)).err(), refused(7, 6));
    #[cfg(feature = "alloc")]
    {
        let beyond = refused(usize::MAX, MAX_LIMIT);
        assert_eq!(Paged::<u8>::with_limit(usize::MAX).err(), beyond);
        assert_eq!(Hashed::with_limit(usize::MAX).err(), beyond);
        assert_eq!(Budget::with_limits(limits(1, usize::MAX)).err(), beyond);
        assert_eq!(Budget::with_limits(limits(usize::MAX, 1)).err(), beyond);
        assert!(Paged::<u8>::with_limit(MAX_LIMIT).is_ok());
    }
}

#[cfg(feature = "alloc")]
#[test]
fn growth_moves_no_record() {
    let mut paged = Paged::<Wide>::with_limit(1000).unwrap();
    let mut places = Vec::new();
    for n in 0..1000 {
        assert!(paged.push(Wide::number(n)));
        places.push(core::ptr::from_ref(paged.get(places.len()).unwrap()));
    }
    for (index, place) in places.into_iter().enumerate() {
        assert!(core::ptr::eq(place, paged.get(index).unwrap()));
    }
}

fn index_law<I: Index, const MOST: usize>(limit: u8, ops: Vec<(u8, u8, u8)>) {
    let limit = usize::from(limit) % (MOST + 1);
    let mut index = I::with_limit(limit).unwrap();
    let mut model: Vec<(u32, u32)> = Vec::new();
    for (op, hash, slot) in ops {
        // Few hashes: most of what is found must be told apart by the slot.
        let pair = (u32::from(hash % 4), u32::from(slot % 8));
        let at = model.iter().position(|held| *held == pair);
        if op < 160 {
            let inserted = index.insert(pair.0, pair.1);
            assert_eq!(inserted, model.len() < limit);
            if inserted {
                model.push(pair);
            }
        } else {
            assert_eq!(index.remove(pair.0, pair.1), at.is_some());
            at.map(|at| model.remove(at));
        }
        let (hash, slot) = pair;
        let held = model.contains(&pair).then_some(slot);
        assert_eq!(index.find(hash, |found| found == slot), held);
        assert_eq!(index.find(hash, |_| false), None);
        let any = index.find(hash, |_| true);
        assert_eq!(any.is_some(), model.iter().any(|held| held.0 == hash));
        assert!(any.is_none_or(|slot| model.contains(&(hash, slot))));
        assert_eq!((index.len(), index.limit()), (model.len(), limit));
    }
}

#[test]
fn indexes_are_bounded_multisets() {
    check(index_law::<Scanned<12>, 12> as fn(u8, Vec<(u8, u8, u8)>));
    #[cfg(feature = "alloc")]
    check(index_law::<Hashed, 40> as fn(u8, Vec<(u8, u8, u8)>));
}

/// Enough pairs that in a hash table some of other hashes are met on the way.
#[test]
fn an_index_asks_only_about_slots_of_the_hash() {
    fn law<I: Index>(pairs: u32) {
        let mut index = I::with_limit(pairs as usize).unwrap();
        let keyed = KeyedHash::new([1; 16]);
        let hash_of = |n: u32| keyed.of(&n);
        assert!(
            (0..pairs)
                .map(hash_of)
                .all(|hash| index.insert(hash, !hash))
        );
        for n in 0..pairs * 2 {
            let hash = hash_of(n);
            let asked = |slot| {
                assert_eq!(slot, !hash);
                true
            };
            assert_eq!(index.find(hash, asked), (n < pairs).then_some(!hash));
        }
    }
    law::<Scanned<50>>(50);
    #[cfg(feature = "alloc")]
    law::<Hashed>(5000);
}

/// A body as the model has it.
struct Lying {
    id: BodyId,
    bytes: Vec<u8>,
}

fn bodies_law<B: Bodies>(limits: (u8, u8, u8), ops: Vec<(u8, u8)>) {
    let limits = BodyLimits {
        total: usize::from(limits.0) % 65,
        largest: usize::from(limits.1) % 80,
        count: usize::from(limits.2) % 17,
    };
    let mut bodies = B::with_limits(limits).unwrap();
    let mut model: Vec<Lying> = Vec::new();
    let mut stale = Vec::new();
    for (op, number) in ops {
        let nth = usize::from(number);
        if op < 150 {
            let len = nth % 24 * (1 + nth / 128);
            let never = limits.count == 0 || len > limits.largest || len > limits.total;
            let used: usize = model.iter().map(|body| body.bytes.len()).sum();
            let room = used + len <= limits.total && model.len() < limits.count;
            match bodies.take(len) {
                Ok(id) => {
                    assert!(!never && room);
                    assert_eq!(bodies.get(id), vec![0; len]);
                    bodies.get_mut(id).fill(number | 1);
                    model.push(Lying {
                        id,
                        bytes: vec![number | 1; len],
                    });
                }
                Err(NoRoom::Never) => assert!(never),
                Err(NoRoom::Now) => assert!(!never && !room),
            }
        } else if !model.is_empty() {
            let given = model.remove(nth % model.len()).id;
            bodies.give(given);
            stale.push(given);
        }
        for id in &stale {
            bodies.give(*id);
            assert!(bodies.get(*id).is_empty() && bodies.get_mut(*id).is_empty());
        }
        assert!(model.iter().all(|body| bodies.get(body.id) == body.bytes));
        let used: usize = model.iter().map(|body| body.bytes.len()).sum();
        assert_eq!((bodies.used(), bodies.count()), (used, model.len()));
    }
}

#[test]
fn bodies_share_a_budget() {
    fn pool(limits: (u8, u8, u8), ops: Vec<(u8, u8)>) {
        bodies_law::<Pool<64, 8>>(limits, ops);
    }
    check(pool as fn((u8, u8, u8), Vec<(u8, u8)>));
    #[cfg(feature = "alloc")]
    {
        fn budget(limits: (u8, u8, u8), ops: Vec<(u8, u8)>) {
            bodies_law::<Budget>(limits, ops);
        }
        check(budget as fn((u8, u8, u8), Vec<(u8, u8)>));
    }
}

#[test]
fn a_pool_serves_many_short_bodies_or_few_long_ones() {
    let limits = BodyLimits {
        total: 8192,
        largest: 8192,
        count: 8,
    };
    let mut pool = Pool::<8192, 4>::with_limits(limits).unwrap();
    let ids: Vec<_> = (0..8).map(|_| pool.take(1024).unwrap()).collect();
    assert_eq!(pool.take(1), Err(NoRoom::Now));
    for id in &ids[2..7] {
        pool.give(*id);
    }
    // Of six free pages, five lie together.
    pool.give(ids[0]);
    for id in [ids[1], ids[7]] {
        pool.get_mut(id).fill(7);
    }
    assert_eq!(pool.take(6 * 1024 + 1), Err(NoRoom::Now));
    let long = pool.take(6 * 1024).unwrap();
    assert_eq!(pool.get(long), vec![0; 6 * 1024]);
    for id in [ids[1], ids[7]] {
        assert_eq!(pool.get(id), [7; 1024]);
    }
    assert_eq!(pool.take(8193), Err(NoRoom::Never));
}

#[test]
fn ids_of_another_storage_do_no_harm() {
    fn law<B: Bodies>() {
        let limits = |count| BodyLimits {
            total: 8,
            largest: 8,
            count,
        };
        let mut many = B::with_limits(limits(5)).unwrap();
        let ids: Vec<_> = (0..5).map(|_| many.take(1).unwrap()).collect();
        let mut few = B::with_limits(limits(2)).unwrap();
        let own = few.take(1).unwrap();
        assert!(few.get(ids[4]).is_empty() && few.get_mut(ids[4]).is_empty());
        few.give(ids[4]);
        assert_eq!((few.count(), few.get(own)), (1, &[0][..]));
    }
    law::<Pool<8, 5>>();
    #[cfg(feature = "alloc")]
    law::<Budget>();
}

fn deadlines_law<H, P, const MOST: usize>(limit: u8, ops: Vec<(u8, u8, u8)>)
where
    H: Backing<(Instant, u32)>,
    P: Backing<u32>,
{
    let limit = usize::from(limit) % (MOST + 1);
    let mut deadlines = Deadlines::<H, P>::with_limit(limit).unwrap();
    let mut model: BTreeMap<u32, Instant> = BTreeMap::new();
    for (op, slot, at) in ops {
        let slot = u32::from(slot) % (MOST as u32 + 3);
        // Few times, so that many are alike.
        let at = (op < 180).then(|| Instant::from_micros(u64::from(at % 16)));
        let room = (slot as usize) < limit;
        if op % 8 == 0 {
            assert_eq!(deadlines.reserve(slot), room);
        }
        // Taking away what is not there needs no room.
        assert_eq!(deadlines.set(slot, at), room || at.is_none());
        match at {
            Some(at) if room => model.insert(slot, at),
            _ => model.remove(&slot),
        };
        let first = model.iter().map(|(slot, at)| (*at, *slot)).min();
        assert_eq!(deadlines.next(), first);
        assert_eq!(deadlines.get(slot), model.get(&slot).copied());
        assert_eq!(deadlines.len(), model.len());
        assert_eq!(deadlines.is_empty(), model.is_empty());
    }
    while let Some((at, slot)) = deadlines.next() {
        let first = model.iter().map(|(slot, at)| (*at, *slot)).min();
        assert_eq!(Some((at, slot)), first);
        assert!(deadlines.set(slot, None));
        model.remove(&slot);
    }
    assert!(model.is_empty());
}

#[test]
fn deadlines_come_in_order() {
    check(deadlines_law::<Slots<(Instant, u32), 9>, Slots<u32, 9>, 9> as fn(u8, Vec<(u8, u8, u8)>));
    #[cfg(feature = "alloc")]
    check(deadlines_law::<Paged<(Instant, u32)>, Paged<u32>, 100> as fn(u8, Vec<(u8, u8, u8)>));
}

/// Each kind takes the limits that `CAPACITY` names, and is then filled to them.
fn whole_law<S: Storage>(limits: Capacity) {
    fn fill<B: Backing<u8>>(limit: usize) {
        let mut backing = B::with_limit(limit).unwrap();
        (0..limit).for_each(|_| assert!(backing.push(1)));
        assert!(!backing.push(1));
    }
    fill::<S::Remotes<u8>>(limits.remotes);
    fill::<S::Roles<u8>>(limits.roles);
    fill::<S::Outbox<u8>>(limits.outbox);
    fill::<S::Inbox<u8>>(limits.inbox);
    fill::<S::Replies<u8>>(limits.replies);
    let mut index = S::Index::with_limit(limits.remotes).unwrap();
    for slot in 0..limits.remotes as u32 {
        assert!(index.insert(slot, slot));
    }
    assert!(!index.insert(0, 0));
    let mut bodies = S::Bodies::with_limits(BodyLimits {
        total: limits.body_bytes,
        largest: limits.body_bytes,
        count: limits.bodies,
    })
    .unwrap();
    let each = limits.body_bytes / limits.bodies;
    for _ in 0..limits.bodies {
        assert!(bodies.take(each).is_ok());
    }
    assert_eq!(bodies.take(0), Err(NoRoom::Now));
}

#[test]
fn a_storage_holds_what_its_capacity_says() {
    whole_law::<Small>(Small::CAPACITY);
    #[cfg(feature = "alloc")]
    whole_law::<Heap>(Small::CAPACITY);
}

#[test]
fn a_fixed_storage_needs_no_allocator() {
    let limits = BodyLimits {
        total: 64,
        largest: 64,
        count: 16,
    };
    assert_eq!(<Small as Storage>::Remotes::<u64>::worst_bytes(6), 0);
    assert_eq!(<Small as Storage>::Index::worst_bytes(6), 0);
    assert_eq!(<Small as Storage>::Bodies::worst_bytes(limits), 0);
    assert_eq!(Twice::<u64, 3>::worst_bytes(6), 0);
}

#[test]
fn hashes_are_siphash_1_3_under_the_key() {
    let key = core::array::from_fn(|n| n as u8);
    let hash = KeyedHash::new(key);
    // From the reference vectors of SipHash-1-3: this key, and messages of none and of one byte.
    assert_eq!(hash.of(""), 0x050f_c4dc);
    assert_ne!(hash.of("\0"), hash.of(""));
    assert_ne!(hash.of("\0"), KeyedHash::new([7; 16]).of("\0"));
    assert_ne!(hash.of(&(1, 2)), hash.of(&(2, 1)));
    let address = |text: &str| hash.of(&text.parse::<core::net::SocketAddr>().unwrap());
    assert_eq!(address("[::ffff:10.0.0.1]:7530"), address("10.0.0.1:7530"));
    assert_ne!(address("10.0.0.1:7530"), address("10.0.0.1:7531"));
    assert_eq!(Unhashed::new(key).of("a"), Unhashed::new([0; 16]).of("b"));
    assert_eq!(format!("{hash:?}"), "KeyedHash { .. }");
}

#[test]
fn nothing_prints_a_body() {
    fn law<B: Bodies + Debug>() {
        let limits = BodyLimits {
            total: 64,
            largest: 64,
            count: 2,
        };
        let mut bodies = B::with_limits(limits).unwrap();
        let id = bodies.take(8).unwrap();
        bodies.get_mut(id).fill(213);
        assert!(!format!("{bodies:?}").contains("213"));
    }
    law::<Pool<64, 1>>();
    #[cfg(feature = "alloc")]
    law::<Budget>();
}
