//! Flash that outlives a reset and a power cut. **For QEMU only**: its boards cannot write theirs, so a file
//! of the host's stands for it, with the laws of NOR flash. A real board brings its chip's driver.

use core::ffi::CStr;

use embedded_storage::nor_flash::{
    ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash,
};

use crate::semihosting::{File, Mode, Refused};

/// Bytes of a page, the least that can be erased: as on the lm3s6965.
pub const PAGE: u32 = 1024;
/// Bytes of a word, the least that can be written.
const WORD: usize = 4;

/// A file as a flash chip of [`SIZE`](Self::SIZE) bytes.
pub struct Chip(File);

/// What the chip refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ChipError {
    /// Beyond its end.
    Range,
    /// Between two words, or two pages.
    Alignment,
    /// The host took or gave less than all.
    Host,
}

impl From<Refused> for ChipError {
    fn from(Refused: Refused) -> Self {
        Self::Host
    }
}

impl NorFlashError for ChipError {
    fn kind(&self) -> NorFlashErrorKind {
        match self {
            Self::Range => NorFlashErrorKind::OutOfBounds,
            Self::Alignment => NorFlashErrorKind::NotAligned,
            Self::Host => NorFlashErrorKind::Other,
        }
    }
}

impl Chip {
    /// Bytes in all.
    pub const SIZE: u32 = 8 * PAGE;

    /// The chip that a file is; a new one, erased, if there is no such file.
    ///
    /// # Errors
    ///
    /// When the host lets us neither change nor create it.
    pub fn open(path: &CStr) -> Result<Self, ChipError> {
        if let Ok(file) = File::open(path, Mode::Change) {
            return Ok(Self(file));
        }
        let mut chip = Self(File::open(path, Mode::Create)?);
        chip.erase(0, Self::SIZE)?;
        Ok(chip)
    }
}

fn check(offset: u32, len: usize, unit: u32) -> Result<(), ChipError> {
    if !offset.is_multiple_of(unit) || !(len as u32).is_multiple_of(unit) {
        return Err(ChipError::Alignment);
    }
    match offset.checked_add(len as u32) {
        Some(end) if end <= Chip::SIZE => Ok(()),
        _ => Err(ChipError::Range),
    }
}

impl ErrorType for Chip {
    type Error = ChipError;
}

impl ReadNorFlash for Chip {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), ChipError> {
        check(offset, bytes.len(), 1)?;
        Ok(self.0.read(offset, bytes)?)
    }

    fn capacity(&self) -> usize {
        Self::SIZE as usize
    }
}

impl NorFlash for Chip {
    const WRITE_SIZE: usize = WORD;
    const ERASE_SIZE: usize = PAGE as usize;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), ChipError> {
        check(from, to.saturating_sub(from) as usize, PAGE)?;
        let blank = [0xff; 64];
        for at in (from..to).step_by(blank.len()) {
            self.0.write(at, &blank)?;
        }
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), ChipError> {
        check(offset, bytes.len(), WORD as u32)?;
        for (place, new) in (offset..).step_by(WORD).zip(bytes.chunks_exact(WORD)) {
            let mut word = [0; WORD];
            self.0.read(place, &mut word)?;
            // A write can clear bits, and only an erase sets them.
            for (bits, new) in word.iter_mut().zip(new) {
                *bits &= *new;
            }
            self.0.write(place, &word)?;
        }
        Ok(())
    }
}
