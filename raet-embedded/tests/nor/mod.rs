//! A NOR flash with the rules of a real one, whose power can fail in the middle of anything.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "shared by several test binaries, each of which uses a part"
)]

use std::cell::RefCell;
use std::rc::Rc;

use embedded_storage::nor_flash::{
    ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash,
};

pub const WORD: usize = 4;
pub const PAGE: usize = 1024;

/// A flash of some pages; clones are the same one.
#[derive(Clone)]
pub struct Nor(Rc<RefCell<Cells>>);

struct Cells {
    bytes: Vec<u8>,
    /// Words written since they were erased.
    written: Vec<bool>,
    /// How often each page was erased.
    erased: Vec<u32>,
    /// Words written and pages erased so far.
    steps: usize,
    /// When the power fails.
    fails_at: usize,
    random: u64,
}

impl Cells {
    /// One step done; false: the power fails in the middle of it.
    fn step(&mut self) -> bool {
        self.steps += 1;
        self.steps <= self.fails_at
    }

    fn bits(&mut self) -> u8 {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005) | 1;
        self.random = self.random.wrapping_add(1_442_695_040_888_963_406);
        (self.random >> 56) as u8
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PowerLost;

impl NorFlashError for PowerLost {
    fn kind(&self) -> NorFlashErrorKind {
        NorFlashErrorKind::Other
    }
}

impl Nor {
    /// A new one, all erased.
    pub fn new(pages: usize) -> Self {
        Self(Rc::new(RefCell::new(Cells {
            bytes: vec![0xff; pages * PAGE],
            written: vec![false; pages * PAGE / WORD],
            erased: vec![0; pages],
            steps: 0,
            fails_at: usize::MAX,
            random: 1,
        })))
    }

    /// Steps taken so far: words written and pages erased.
    pub fn steps(&self) -> usize {
        self.0.borrow().steps
    }

    /// How often each page was erased.
    pub fn erased(&self) -> Vec<u32> {
        self.0.borrow().erased.clone()
    }

    /// The power fails in the middle of the so-manieth step from now; `seed` says how badly.
    pub fn fail_after(&self, steps: usize, seed: u64) {
        let mut cells = self.0.borrow_mut();
        cells.fails_at = cells.steps + steps;
        cells.random = seed | 1;
    }

    /// A bit flips by itself.
    pub fn flip(&self, byte: usize, bit: u8) {
        self.0.borrow_mut().bytes[byte] ^= 1 << bit;
    }

    /// Whether the power has failed.
    pub fn is_off(&self) -> bool {
        let cells = self.0.borrow();
        cells.steps > cells.fails_at
    }

    /// The power is back.
    pub fn power_up(&self) {
        self.0.borrow_mut().fails_at = usize::MAX;
    }
}

impl ErrorType for Nor {
    type Error = PowerLost;
}

impl ReadNorFlash for Nor {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), PowerLost> {
        if self.is_off() {
            return Err(PowerLost);
        }
        let from = offset as usize;
        bytes.copy_from_slice(&self.0.borrow().bytes[from..from + bytes.len()]);
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.0.borrow().bytes.len()
    }
}

impl NorFlash for Nor {
    const WRITE_SIZE: usize = WORD;
    const ERASE_SIZE: usize = PAGE;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), PowerLost> {
        let (from, to) = (from as usize, to as usize);
        assert!(
            from.is_multiple_of(PAGE) && to.is_multiple_of(PAGE),
            "whole pages are erased"
        );
        for page in from / PAGE..to / PAGE {
            if self.is_off() {
                return Err(PowerLost);
            }
            let mut cells = self.0.borrow_mut();
            let whole = cells.step();
            // Interrupted, its end still has what was there, with some more bits set.
            let done = if whole {
                PAGE
            } else {
                usize::from(cells.bits()) * PAGE / 256 / WORD * WORD
            };
            let at = page * PAGE;
            cells.bytes[at..at + done].fill(0xff);
            for byte in at + done..at + PAGE {
                let set = cells.bits() & cells.bits() & cells.bits();
                cells.bytes[byte] |= set;
            }
            cells.written[at / WORD..(at + done) / WORD].fill(false);
            if !whole {
                return Err(PowerLost);
            }
            cells.erased[page] += 1;
        }
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), PowerLost> {
        let offset = offset as usize;
        assert!(
            offset.is_multiple_of(WORD) && bytes.len().is_multiple_of(WORD),
            "whole words are written"
        );
        for (n, word) in bytes.chunks(WORD).enumerate() {
            if self.is_off() {
                return Err(PowerLost);
            }
            let mut cells = self.0.borrow_mut();
            let at = offset + n * WORD;
            assert!(
                !cells.written[at / WORD],
                "word {at:#x} is written twice: {:x?} then {word:x?}",
                &cells.bytes[at..at + WORD]
            );
            let whole = cells.step();
            for (byte, value) in word.iter().enumerate() {
                // Interrupted, some bits are not written yet.
                let missing = if whole { 0 } else { cells.bits() };
                cells.bytes[at + byte] &= value | missing;
            }
            cells.written[at / WORD] = true;
            if !whole {
                return Err(PowerLost);
            }
        }
        Ok(())
    }
}
