//! The keep on flash: what it keeps, through a loss of power at any moment, and how it wears.

#![cfg(feature = "flash")]

mod nor;

use std::collections::BTreeMap;
use std::convert::Infallible;

use embedded_storage::nor_flash::{ErrorType, NorFlash, ReadNorFlash};
use nor::{Nor, PAGE, PowerLost};
use raet_core::crypto::{PublicKeys, Secrets};
use raet_core::keep::{EstateRecord, Place, Record, RemoteRecord, RoleRecord, Status};
use raet_core::storage::Fixed;
use raet_core::wire::name;
use raet_embedded::StartError;
use raet_embedded::entropy::Entropy;
use raet_embedded::keep::Keep;
use raet_embedded::keep::flash::{Flash, FlashError, FlashKeep};

type Sizes = Fixed<2, 4, 8192>;
type TheKeep = FlashKeep<Nor, Sizes>;

/// Different bytes each time.
struct Counted(u8);

impl Entropy for Counted {
    type Error = Infallible;

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for byte in bytes {
            self.0 = self.0.wrapping_mul(5).wrapping_add(1);
            *byte = self.0;
        }
        self.0 = self.0.wrapping_add(1);
        Ok(())
    }
}

fn flash(nor: &Nor, pages: usize) -> Flash<Nor> {
    Flash::new(nor.clone(), 0..(pages * PAGE) as u32).unwrap()
}

fn secrets() -> Secrets {
    Secrets::new(&[1; 32], &[2; 32])
}

fn keep(nor: &Nor, pages: usize) -> TheKeep {
    flash(nor, pages).keep("node", &secrets()).unwrap()
}

fn load(keep: &mut TheKeep) -> BTreeMap<Place, Record> {
    let records = keep.records().map(Result::unwrap);
    records.map(|record| (record.place(), record)).collect()
}

fn estate(sessions: u32) -> Record {
    Record::Estate(EstateRecord { sessions })
}

/// A remote whose record is of some length.
fn remote(n: u32, near: u32) -> Record {
    let long = "x".repeat(near as usize % 120);
    Record::Remote(RemoteRecord {
        name: name(&format!("remote{n}")).unwrap(),
        near,
        far: near ^ 1,
        address: "10.0.0.1:7530".parse().unwrap(),
        main: true,
        kind: 0,
        role: name(&format!("role{n}{long}")).unwrap(),
        joined: true,
        proven: near.is_multiple_of(2),
        session: 0,
    })
}

fn role(n: u32, byte: u8) -> Record {
    Record::Role(RoleRecord {
        name: name(&format!("role{n}")).unwrap(),
        status: Status::Accepted,
        judged: false,
        keys: PublicKeys {
            verify: [byte; 32],
            public: [byte; 32],
        },
    })
}

/// What a life of two remotes writes: session blocks, keys, new addresses, goings and comings.
fn life() -> Vec<Record> {
    let mut records = Vec::new();
    for round in 0..16 {
        records.push(estate(256 * (round + 1)));
        for n in 0..2 {
            records.push(role(n, round as u8));
            records.push(remote(n, 100 * round + n));
        }
        if round % 3 == 2 {
            records.push(Record::Forgotten(name("remote0").unwrap()));
            records.push(Record::ForgottenRole(name("role0").unwrap()));
        }
    }
    records
}

fn take(kept: &mut BTreeMap<Place, Record>, record: &Record) {
    if record.is_end() {
        kept.remove(&record.place());
    } else {
        kept.insert(record.place(), record.clone());
    }
}

#[test]
fn the_newest_records_are_read_roles_first() {
    let nor = Nor::new(4);
    let (mut keep_now, mut expected) = (keep(&nor, 4), BTreeMap::new());
    for record in life() {
        keep_now.store(&record).unwrap();
        take(&mut expected, &record);
        assert_eq!(load(&mut keep(&nor, 4)), expected);
    }
    let places: Vec<Place> = keep_now.records().map(|r| r.unwrap().place()).collect();
    let mut sorted = places.clone();
    sorted.sort();
    assert_eq!(places, sorted);
}

/// At every word written and every page erased, torn in some way: what was stored is there, what
/// was being stored is there or not, and the keep goes on.
#[test]
fn a_loss_of_power_at_any_moment_loses_nothing_that_was_stored() {
    for pages in [4, 5] {
        let whole = Nor::new(pages);
        let mut before = flash(&whole, pages);
        let drawn = before.secrets(Counted(1)).unwrap();
        let first = whole.steps();
        let mut first_keep = before.keep::<Sizes>("node", &secrets()).unwrap();
        for record in life() {
            first_keep.store(&record).unwrap();
        }
        let erased = whole.erased();
        assert!(
            erased.iter().sum::<u32>() >= 3,
            "too few erased: {erased:?}"
        );
        for cut in 0..whole.steps() - first {
            let nor = Nor::new(pages);
            flash(&nor, pages).secrets(Counted(1)).unwrap();
            nor.fail_after(cut, cut as u64 * 7919);
            let (mut keep_now, mut stored) = (keep(&nor, pages), BTreeMap::new());
            let mut records = life().into_iter();
            let torn = loop {
                let Some(record) = records.next() else {
                    panic!("the power did not fail at {cut}");
                };
                match keep_now.store(&record) {
                    Ok(()) => take(&mut stored, &record),
                    Err(error) => {
                        assert_eq!(error, FlashError::Flash(PowerLost));
                        break record;
                    }
                }
            };
            nor.power_up();
            let mut keep_now = keep(&nor, pages);
            let kept = load(&mut keep_now);
            let mut with_it = stored.clone();
            take(&mut with_it, &torn);
            assert!(
                kept == stored || kept == with_it,
                "cut at {cut} of {pages} pages, while storing {torn:?}: {kept:?}"
            );
            let again = flash(&nor, pages).secrets(Counted(99)).unwrap();
            assert_eq!(again.sign_seed(), drawn.sign_seed());
            assert_eq!(again.box_secret(), drawn.box_secret());
            // It goes on as if nothing had been.
            for record in std::iter::once(torn).chain(records) {
                keep_now.store(&record).unwrap();
                take(&mut with_it, &record);
            }
            assert_eq!(load(&mut keep(&nor, pages)), with_it);
        }
    }
}

/// The power fails again and again, soon after it came back.
#[test]
fn a_flickering_supply_loses_nothing_either() {
    let mut random = 1_u64;
    let nor = Nor::new(4);
    let mut stored = BTreeMap::new();
    let (mut sessions, mut cuts) = (0, 0);
    for record in life().iter().cycle().take(4000) {
        let record = match record {
            Record::Estate(_) => {
                sessions += 256;
                estate(sessions)
            }
            other => other.clone(),
        };
        loop {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            // Sometimes long enough to fill a bank anew, mostly not.
            nor.fail_after((random >> 55) as usize % 400, random);
            let done = keep(&nor, 4).store(&record);
            nor.power_up();
            let kept = load(&mut keep(&nor, 4));
            let mut with_it = stored.clone();
            take(&mut with_it, &record);
            if done.is_ok() {
                assert_eq!(kept, with_it);
                stored = with_it;
                break;
            }
            cuts += 1;
            assert!(
                kept == stored || kept == with_it,
                "while storing {record:?}"
            );
        }
    }
    assert!(cuts > 500, "{cuts} cuts");
}

/// The driver fails and goes on, with no reset between.
#[test]
fn a_flash_that_fails_at_times_is_gone_on_with() {
    let nor = Nor::new(4);
    let (mut keep_now, mut stored, mut failures) = (keep(&nor, 4), BTreeMap::new(), 0);
    for (n, record) in life().iter().cycle().take(800).enumerate() {
        nor.fail_after(n % 97, n as u64);
        while keep_now.store(record).is_err() {
            nor.power_up();
            failures += 1;
        }
        nor.power_up();
        take(&mut stored, record);
        assert_eq!(load(&mut keep_now), stored);
        assert_eq!(load(&mut keep(&nor, 4)), stored);
    }
    assert!(failures > 100, "{failures} failures");
}

/// Whatever bit flips, what is read was stored: all of it, or all but what was stored last.
#[test]
fn damage_is_told_unless_a_loss_of_power_looks_like_it() {
    let records: Vec<Record> = life().into_iter().take(20).collect();
    let (mut told, mut torn) = (0, 0);
    for at in 0..2 * PAGE {
        let nor = Nor::new(4);
        let (mut keep_now, mut after) = (keep(&nor, 4), vec![BTreeMap::new()]);
        for record in &records {
            keep_now.store(record).unwrap();
            let mut kept = after.last().unwrap().clone();
            take(&mut kept, record);
            after.push(kept);
        }
        // The second bank is the first that is filled.
        nor.flip(2 * PAGE + at, (at % 8) as u8);
        match Flash::new(nor.clone(), 0..(4 * PAGE) as u32) {
            Err(error) => {
                assert_eq!(error, FlashError::Damaged);
                told += 1;
            }
            Ok(flash) => {
                let kept = load(&mut flash.keep("node", &secrets()).unwrap());
                assert!(after.contains(&kept), "bit flipped at {at}: {kept:?}");
                torn += usize::from(after.last() != Some(&kept));
            }
        }
    }
    assert!(told > PAGE && torn > 0, "{told} told, {torn} torn");
}

#[test]
fn secrets_that_were_torn_are_drawn_again_and_then_stay() {
    for cut in 0.. {
        let nor = Nor::new(4);
        nor.fail_after(cut, cut as u64 * 7919);
        let whole = flash(&nor, 4).secrets(Counted(1)).is_ok();
        nor.power_up();
        let drawn = flash(&nor, 4).secrets(Counted(2)).unwrap();
        let again = flash(&nor, 4).secrets(Counted(3)).unwrap();
        assert_eq!(drawn.sign_seed(), again.sign_seed());
        assert_eq!(drawn.box_secret(), again.box_secret());
        if whole {
            return;
        }
    }
}

/// A flash of large words, read and written only whole.
struct Coarse(Nor);

impl ErrorType for Coarse {
    type Error = PowerLost;
}

impl ReadNorFlash for Coarse {
    const READ_SIZE: usize = 16;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), PowerLost> {
        assert!(offset.is_multiple_of(16) && bytes.len().is_multiple_of(16));
        assert!(bytes.as_ptr().addr().is_multiple_of(16));
        self.0.read(offset, bytes)
    }

    fn capacity(&self) -> usize {
        self.0.capacity()
    }
}

impl NorFlash for Coarse {
    const WRITE_SIZE: usize = 32;
    const ERASE_SIZE: usize = PAGE;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), PowerLost> {
        self.0.erase(from, to)
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), PowerLost> {
        assert!(offset.is_multiple_of(32) && bytes.len().is_multiple_of(32));
        assert!(bytes.as_ptr().addr().is_multiple_of(32));
        self.0.write(offset, bytes)
    }
}

#[test]
fn words_may_be_large() {
    let (nor, mut stored) = (Nor::new(6), BTreeMap::new());
    let open = || Flash::new(Coarse(nor.clone()), PAGE as u32..(5 * PAGE) as u32).unwrap();
    open().secrets(Counted(1)).unwrap();
    for record in life() {
        let mut keep_now = open().keep::<Sizes>("node", &secrets()).unwrap();
        keep_now.store(&record).unwrap();
        take(&mut stored, &record);
        let kept = keep_now.records().map(Result::unwrap);
        let kept: BTreeMap<_, _> = kept.map(|record| (record.place(), record)).collect();
        assert_eq!(kept, stored);
    }
    let erased = nor.erased();
    assert!(erased[1..5].iter().all(|n| *n > 1), "{erased:?}");
    assert_eq!((erased[0], erased[5]), (0, 0));
}

#[test]
fn what_is_stored_already_is_not_written_again() {
    let nor = Nor::new(4);
    let mut keep_now = keep(&nor, 4);
    for record in [estate(256), role(0, 1), remote(0, 5)] {
        keep_now.store(&record).unwrap();
    }
    let steps = nor.steps();
    let Record::Remote(mut same) = remote(0, 5) else {
        unreachable!()
    };
    // The estate's record says as much.
    same.session = 512;
    for record in [estate(256), role(0, 1), Record::Remote(same)] {
        keep_now.store(&record).unwrap();
    }
    keep_now
        .store(&Record::Forgotten(name("stranger").unwrap()))
        .unwrap();
    assert_eq!(nor.steps(), steps);
}

#[test]
fn pages_wear_alike() {
    let nor = Nor::new(4);
    let mut keep_now = keep(&nor, 4);
    let resets = 2000;
    for reset in 1..=resets {
        keep_now.store(&estate(256 * reset)).unwrap();
    }
    let erased = nor.erased();
    let (most, least) = (erased.iter().max().unwrap(), erased.iter().min().unwrap());
    assert!(most - least <= 1, "{erased:?}");
    // A record takes 24 bytes, so each page outlives forty resets.
    assert!(erased.iter().sum::<u32>() <= resets / 40, "{erased:?}");
}

#[test]
fn secrets_are_drawn_once() {
    let nor = Nor::new(4);
    let first = flash(&nor, 4).secrets(Counted(1)).unwrap();
    let again = flash(&nor, 4).secrets(Counted(9)).unwrap();
    assert_eq!(first.sign_seed(), again.sign_seed());
    assert_eq!(first.box_secret(), again.box_secret());
    assert_ne!(first.sign_seed(), first.box_secret());
    flash(&nor, 4).erase().unwrap();
    let other = flash(&nor, 4).secrets(Counted(9)).unwrap();
    assert_ne!(first.sign_seed(), other.sign_seed());
}

#[test]
fn records_without_their_secrets_are_not_gone_on_from() {
    let nor = Nor::new(4);
    keep(&nor, 4).store(&estate(256)).unwrap();
    let Err(StartError::Keep(error)) = flash(&nor, 4).secrets(Counted(1)) else {
        panic!("new keys beside old records");
    };
    assert_eq!(error, FlashError::SecretsLost);
}

#[test]
fn another_estate_does_not_take_the_records_for_its_own() {
    let nor = Nor::new(4);
    keep(&nor, 4).store(&estate(256)).unwrap();
    let mut other = flash(&nor, 4).keep::<Sizes>("other", &secrets()).unwrap();
    let first = other.records().next().unwrap();
    assert!(matches!(first, Err(FlashError::Record(_))), "{first:?}");
    assert!(other.store(&estate(512)).is_err());
}

#[test]
fn what_does_not_fit_is_told() {
    let layout = |range| Flash::new(Nor::new(4), range).err();
    for range in [
        0..PAGE as u32,
        0..(2 * PAGE - 1) as u32,
        10..(3 * PAGE) as u32,
        0..0,
    ] {
        assert_eq!(layout(range), Some(FlashError::Layout));
    }
    let small = flash(&Nor::new(3), 3).keep::<Sizes>("node", &secrets());
    assert_eq!(small.err(), Some(FlashError::Layout));
    let nor = Nor::new(4);
    let mut keep_now = keep(&nor, 4);
    for n in 0..2 {
        keep_now.store(&remote(n, 1)).unwrap();
    }
    assert_eq!(keep_now.store(&remote(2, 1)), Err(FlashError::Full));
    let gone = Record::Forgotten(name("remote0").unwrap());
    keep_now.store(&gone).unwrap();
    keep_now.store(&remote(2, 1)).unwrap();
}
