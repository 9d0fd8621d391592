//! The newest value of each key, on NOR flash: what a keep's records lie in.
//!
//! The range is two banks, of which one counts. Values are appended to it. When it is full, the other
//! one is erased, takes the newest value of each key, and last its head, with which it counts: a loss of
//! power finds one or the other whole.
//!
//! ```text
//!   bank   ┌───────────────────┬───────┬───────┬─────┬──────────────────┐
//!          │ count 4, !count 4 │ value │ value │ ... │ blank            │
//!          └───────────────────┴───────┴───────┴─────┴──────────────────┘
//!   value  ┌──────────┬───────┬─────┬──────────────────────┬────────────┐
//!          │ length 2 │ key 1 │ 0 1 │ CRC-32 of the rest 4 │ bytes      │
//!          └──────────┴───────┴─────┴──────────────────────┴────────────┘
//! ```
//!
//! Numbers are little-endian; head and values take whole words. The bank of the higher count counts. A
//! write only clears bits, and an erase only sets them, so no head that was torn by either passes for one.
//!
//! A word is written once before it is erased. Behind a value that was torn nothing more is written: the
//! bank counts as full. What is damaged before its last value is not gone on from, for what was said
//! last may be lost.

use core::ops::Range;

use crc::{CRC_32_ISO_HDLC, Crc, NoTable};
use embedded_storage::nor_flash::NorFlash;
use zeroize::Zeroize;

use super::FlashError;

/// The largest word of a flash.
const WORD: usize = 32;

/// Bytes before those of a value.
const VALUE_HEAD: usize = 8;

/// Bytes of the longest value.
pub(super) const MAX_VALUE: usize = 312;

/// The longest value and what stands before it, in whole words of any flash.
const ROOM: usize = VALUE_HEAD + MAX_VALUE;

const CHECK: Crc<u32, NoTable> = Crc::<u32, NoTable>::new(&CRC_32_ISO_HDLC);

/// Flash drivers may want whole words of RAM too. Wiped when dropped: the secrets pass through it.
#[repr(align(32))]
pub(super) struct Room([u8; ROOM]);

impl Room {
    pub(super) const fn new() -> Self {
        Self([0; ROOM])
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

#[repr(align(32))]
struct Head([u8; WORD]);

/// The values, and where they are. Places in a bank are counted from its start.
pub(super) struct Log<F> {
    flash: F,
    /// The first bank; the second follows it.
    start: u32,
    /// Bytes of a bank.
    bank: u32,
    /// The bank that counts.
    current: u32,
    count: u32,
    /// The end of its values.
    end: u32,
    /// Where the next one may be written: the end of the bank if what lies there is torn.
    free: u32,
}

impl<F: NorFlash> Log<F> {
    const UNIT: usize = {
        let unit = if F::WRITE_SIZE > F::READ_SIZE {
            F::WRITE_SIZE
        } else {
            F::READ_SIZE
        };
        assert!(WORD.is_multiple_of(unit), "words of 32 bytes at most");
        unit
    };

    const HEAD: u32 = Self::whole(8);

    /// Bytes in whole words.
    const fn whole(len: usize) -> u32 {
        len.next_multiple_of(Self::UNIT) as u32
    }

    /// What a value of so many bytes takes of a bank.
    pub(super) const fn size(len: usize) -> u32 {
        Self::whole(VALUE_HEAD + len)
    }

    /// What there is of a bank for values.
    pub(super) fn room(&self) -> u32 {
        self.bank - Self::HEAD
    }

    /// The values in a range of whole pages; of an odd number one is left alone.
    pub(super) fn open(flash: F, range: Range<u32>) -> Result<Self, FlashError<F::Error>> {
        let page = F::ERASE_SIZE as u32;
        let len = range.end.saturating_sub(range.start);
        let bank = len / page / 2 * page;
        let whole = range.start.is_multiple_of(page) && len.is_multiple_of(page);
        if bank == 0 || !whole || range.end as usize > flash.capacity() {
            return Err(FlashError::Layout);
        }
        let mut log = Self {
            flash,
            start: range.start,
            bank,
            current: range.start,
            count: 0,
            end: Self::HEAD,
            free: bank,
        };
        for bank in [log.start, log.start + log.bank] {
            let both = log.head(bank)?;
            let count = both as u32;
            if both == twice(count) && count > log.count {
                (log.current, log.count) = (bank, count);
            }
        }
        if log.count > 0 {
            log.recover()?;
        }
        Ok(log)
    }

    /// Finds the end of the values, and whether more can follow them.
    fn recover(&mut self) -> Result<(), FlashError<F::Error>> {
        let mut room = Room::new();
        while let Some(bytes) = self.value(self.end, &mut room)? {
            self.end += Self::size(bytes.len());
        }
        self.free = self.end;
        let mut at = self.end;
        while at < self.bank {
            let part = self.read(at, &mut room)?;
            if part.iter().any(|byte| *byte != 0xff) {
                // A torn value is not longer.
                if at != self.end {
                    return Err(FlashError::Damaged);
                }
                self.free = self.bank;
            }
            at += ROOM as u32;
        }
        Ok(())
    }

    /// The newest value of a key.
    pub(super) fn get<'r>(
        &mut self,
        key: u8,
        room: &'r mut Room,
    ) -> Result<Option<&'r [u8]>, FlashError<F::Error>> {
        match self.newest(Self::HEAD, key)? {
            Some(at) => Ok(Some(self.value(at, room)?.ok_or(FlashError::Damaged)?)),
            None => Ok(None),
        }
    }

    /// Makes `bytes` the newest value of a key. When this returns, it outlives a loss of power.
    pub(super) fn put(&mut self, key: u8, bytes: &[u8]) -> Result<(), FlashError<F::Error>> {
        let size = Self::size(bytes.len());
        if self.bank - self.free < size {
            self.turn()?;
            if self.bank - self.free < size {
                return Err(FlashError::Full);
            }
        }
        let mut room = Room::new();
        let [a, b] = (bytes.len() as u16).to_le_bytes();
        let head = [a, b, key, 0];
        let (to_head, rest) = room.0.split_at_mut(VALUE_HEAD);
        let (to_start, to_check) = to_head.split_at_mut(head.len());
        to_start.copy_from_slice(&head);
        to_check.copy_from_slice(&check(head, bytes));
        rest.get_mut(..bytes.len())
            .ok_or(FlashError::Full)?
            .copy_from_slice(bytes);
        // Until it is whole, nothing can follow.
        let at = self.free;
        self.free = self.bank;
        let part = room.0.get(..size as usize).unwrap_or_default();
        self.flash.write(self.current + at, part)?;
        self.end = at + size;
        self.free = self.end;
        Ok(())
    }

    /// Forgets all values. The bank that counts goes last, so that an older one is not gone back to.
    pub(super) fn erase(&mut self) -> Result<(), FlashError<F::Error>> {
        for bank in [self.other(), self.current] {
            self.flash.erase(bank, bank + self.bank)?;
        }
        (self.count, self.end, self.free) = (0, Self::HEAD, self.bank);
        Ok(())
    }

    fn other(&self) -> u32 {
        self.start + (self.start + self.bank - self.current)
    }

    /// Lets the other bank count, with the newest values.
    #[inline(never)] // its frame must not lie under the others' on a small stack
    fn turn(&mut self) -> Result<(), FlashError<F::Error>> {
        let other = self.other();
        self.flash.erase(other, other + self.bank)?;
        let mut room = Room::new();
        let (mut from, mut to) = (Self::HEAD, Self::HEAD);
        while from < self.end {
            let (key, size, is_empty) = self.outline(from)?;
            if !is_empty && self.newest(from, key)? == Some(from) {
                self.read(from, &mut room)?;
                let part = room.0.get(..size as usize).ok_or(FlashError::Damaged)?;
                self.flash.write(other + to, part)?;
                to += size;
            }
            from += size;
        }
        let count = self.count.wrapping_add(1);
        let mut head = Head([0; WORD]);
        let both = twice(count).to_le_bytes();
        head.0
            .iter_mut()
            .zip(both)
            .for_each(|(to, from)| *to = from);
        let part = head.0.get(..Self::HEAD as usize).unwrap_or_default();
        self.flash.write(other, part)?;
        (self.current, self.count) = (other, count);
        (self.end, self.free) = (to, to);
        Ok(())
    }

    /// The place of the newest value of a key, from a place on.
    fn newest(&mut self, from: u32, key: u8) -> Result<Option<u32>, FlashError<F::Error>> {
        let (mut at, mut found) = (from, None);
        while at < self.end {
            let (of, size, _) = self.outline(at)?;
            if of == key {
                found = Some(at);
            }
            at += size;
        }
        Ok(found)
    }

    /// The key of the value at a place, the size, and whether it is empty.
    fn outline(&mut self, at: u32) -> Result<(u8, u32, bool), FlashError<F::Error>> {
        let head = self.head(self.current + at)?;
        let (len, key) = (head as u16, (head >> 16) as u8);
        Ok((key, Self::size(usize::from(len)), len == 0))
    }

    /// The value at a place, if one is whole there.
    fn value<'r>(
        &mut self,
        at: u32,
        room: &'r mut Room,
    ) -> Result<Option<&'r [u8]>, FlashError<F::Error>> {
        let part = self.read(at, room)?;
        Ok(part.split_first_chunk().and_then(|(head, rest)| {
            let [a, b, key, zero, told @ ..]: [u8; VALUE_HEAD] = *head;
            let bytes = rest.get(..usize::from(u16::from_le_bytes([a, b])))?;
            (check([a, b, key, zero], bytes) == told).then_some(bytes)
        }))
    }

    /// As much as a value may take, from a place in the bank; less at its end.
    fn read<'r>(&mut self, at: u32, room: &'r mut Room) -> Result<&'r [u8], FlashError<F::Error>> {
        let len = ROOM.min(self.bank.saturating_sub(at) as usize);
        let part = room.0.get_mut(..len).unwrap_or_default();
        self.flash.read(self.current + at, part)?;
        Ok(part)
    }

    /// The head of a bank or of a value.
    fn head(&mut self, at: u32) -> Result<u64, FlashError<F::Error>> {
        let mut head = Head([0; WORD]);
        let part = head.0.get_mut(..Self::HEAD as usize).unwrap_or_default();
        self.flash.read(at, part)?;
        Ok(u64::from_le_bytes(
            head.0.first_chunk().copied().unwrap_or_default(),
        ))
    }
}

/// The head of a bank.
const fn twice(count: u32) -> u64 {
    (!count as u64) << 32 | count as u64
}

fn check(head: [u8; 4], bytes: &[u8]) -> [u8; 4] {
    let mut digest = CHECK.digest();
    digest.update(&head);
    digest.update(bytes);
    digest.finalize().to_le_bytes()
}
