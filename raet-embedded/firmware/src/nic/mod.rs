//! The network interface of each board, as smoltcp wants it: polled, one frame at a time.

#[cfg(feature = "mps2-an385")]
mod lan9118;
#[cfg(feature = "lm3s6965evb")]
mod stellaris;

#[cfg(feature = "mps2-an385")]
use lan9118 as chip;
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::time::Instant;
#[cfg(feature = "lm3s6965evb")]
use stellaris as chip;

/// Bytes of the longest frame, without its checksum: an Ethernet header and 1500.
const FRAME: usize = 1514;

/// Words that hold such a frame, two bytes before it and its checksum after it.
const WORDS: usize = (2 + FRAME + 4).div_ceil(4);

/// The board has another chip than this driver is for, or none.
#[derive(Debug)]
pub struct NotFound;

/// The board's chip, with a frame of each direction.
pub struct Nic {
    received: Frame,
    sending: Frame,
}

impl Nic {
    /// One that was not brought up; all zero, so that it takes no flash.
    pub const DOWN: Self = Self {
        received: Frame::EMPTY,
        sending: Frame::EMPTY,
    };

    /// Turns the chip and both directions on. Returns the hardware address.
    ///
    /// # Errors
    ///
    /// When it is not there.
    pub fn up(&mut self) -> Result<[u8; 6], NotFound> {
        chip::up()
    }

    /// The next frame that came, and room to answer it.
    fn take(&mut self) -> Option<(Received<'_>, Sending<'_>)> {
        let len = chip::receive(&mut self.received)?;
        Some((
            Received(self.received.bytes_mut(chip::BEFORE, len)),
            Sending(&mut self.sending),
        ))
    }
}

/// A frame that came.
pub struct Received<'a>(&'a mut [u8]);

/// Room for a frame to send.
pub struct Sending<'a>(&'a mut Frame);

impl Sending<'_> {
    /// Sends what `fill` makes of `len` bytes.
    fn send<R>(self, len: usize, fill: impl FnOnce(&mut [u8]) -> R) -> R {
        let result = fill(self.0.bytes_mut(chip::BEFORE, len));
        chip::send(self.0, len);
        result
    }
}

impl RxToken for Received<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(self.0)
    }
}

impl TxToken for Sending<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        self.send(len, f)
    }
}

impl Device for Nic {
    type RxToken<'a> = Received<'a>;
    type TxToken<'a> = Sending<'a>;

    fn receive(&mut self, _: Instant) -> Option<(Received<'_>, Sending<'_>)> {
        // smoltcp may answer at once.
        if !chip::has_room() {
            return None;
        }
        self.take()
    }

    fn transmit(&mut self, _: Instant) -> Option<Sending<'_>> {
        chip::has_room().then_some(Sending(&mut self.sending))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = FRAME;
        capabilities.max_burst_size = Some(1);
        capabilities
    }
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
