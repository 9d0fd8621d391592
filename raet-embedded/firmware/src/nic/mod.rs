//! The network interface of each board, as smoltcp wants it: polled, one frame at a time.

#[cfg(feature = "mps2-an385")]
mod lan9118;
#[cfg(feature = "lm3s6965evb")]
mod stellaris;

#[cfg(feature = "mps2-an385")]
pub use lan9118::Nic;
#[cfg(feature = "lm3s6965evb")]
pub use stellaris::Nic;

use smoltcp::phy::{DeviceCapabilities, Medium};

/// Bytes of the longest frame, without its checksum: an Ethernet header and 1500.
const FRAME: usize = 1514;

/// Words that hold such a frame, two bytes before it and its checksum after it.
const WORDS: usize = (2 + FRAME + 4).div_ceil(4);

/// The board has another chip than this driver is for, or none.
#[derive(Debug)]
pub struct NotFound;

fn capabilities() -> DeviceCapabilities {
    let mut capabilities = DeviceCapabilities::default();
    capabilities.medium = Medium::Ethernet;
    capabilities.max_transmission_unit = FRAME;
    capabilities.max_burst_size = Some(1);
    capabilities
}

/// A register of a device.
#[derive(Clone, Copy)]
struct Register(usize);

impl Register {
    fn read(self) -> u32 {
        // SAFETY: the drivers name registers of the board's memory map only; a read is a volatile one
        // and touches no memory of Rust's.
        unsafe { (self.0 as *const u32).read_volatile() }
    }

    fn write(self, value: u32) {
        // SAFETY: as above.
        unsafe { (self.0 as *mut u32).write_volatile(value) }
    }
}

/// A frame as the chips take and give it: words, of which smoltcp wants the bytes.
struct Frame([u32; WORDS]);

impl Frame {
    const EMPTY: Self = Self([0; WORDS]);

    /// The bytes from `start`, `len` of them; none if it has not as many.
    fn bytes_mut(&mut self, start: usize, len: usize) -> &mut [u8] {
        // SAFETY: words are bytes without padding; any byte is a valid u8, and any four are a valid u32.
        let bytes =
            unsafe { core::slice::from_raw_parts_mut(self.0.as_mut_ptr().cast(), WORDS * 4) };
        bytes.get_mut(start..start + len).unwrap_or_default()
    }
}
