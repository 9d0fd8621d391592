//! The chip as embassy-net wants it: it wakes the network's task when a frame came.

use core::task::Context;

use cortex_m::interrupt::InterruptNumber;
use cortex_m::peripheral::NVIC;
use embassy_net_driver::{
    Capabilities, Driver, HardwareAddress, LinkState, RxToken as EmbassyRxToken,
    TxToken as EmbassyTxToken,
};
use embassy_sync::waitqueue::AtomicWaker;

use super::super::{FRAME, Nic, Received, Register, Sending};
use super::{BASE, INT_EN, address, has_room};
use crate::{say, semihosting};

const IRQ_CFG: Register = Register(BASE + 0x54);
const INT_STS: Register = Register(BASE + 0x58);
const FIFO_INT: Register = Register(BASE + 0x68);

/// Of [`INT_EN`] and [`INT_STS`]: more frames came than [`FIFO_INT`] says.
const FRAME_CAME: u32 = 1 << 3;

/// The chip's line to the core.
#[derive(Clone, Copy)]
struct Line;

impl Line {
    const NUMBER: u16 = 13;
}

// SAFETY: always the same number, and one that the core has.
unsafe impl InterruptNumber for Line {
    fn number(self) -> u16 {
        Self::NUMBER
    }
}

/// The network's task, while it waits for a frame.
static WAITING: AtomicWaker = AtomicWaker::new();

/// Without a crate that names the board's interrupts all of them come here; with one this is an `#[interrupt]`.
#[allow(non_snake_case, reason = "the vector's name")]
#[cortex_m_rt::exception]
unsafe fn DefaultHandler(number: i16) {
    if number != Line::NUMBER as i16 {
        say!("an interrupt that nobody asked for");
        semihosting::exit(103)
    }
    // Until the task has taken what came.
    INT_EN.write(0);
    WAITING.wake();
}

impl Nic {
    /// Lets the chip interrupt, once it is [up](Self::up).
    pub fn interrupt(&mut self) {
        // At the first frame.
        FIFO_INT.write(0);
        // A line that is driven, high and on.
        IRQ_CFG.write(1 << 8 | 1 << 4 | 1);
        // SAFETY: no critical section is made by masking this line.
        unsafe { NVIC::unmask(Line) };
    }
}

impl Driver for Nic {
    type RxToken<'a> = Received<'a>;
    type TxToken<'a> = Sending<'a>;

    fn receive(&mut self, context: &mut Context<'_>) -> Option<(Received<'_>, Sending<'_>)> {
        // smoltcp may answer at once.
        if !has_room() {
            look_again(context);
            return None;
        }
        WAITING.register(context.waker());
        // Before looking: what comes after that sets it again.
        INT_STS.write(FRAME_CAME);
        let came = self.take();
        if came.is_none() {
            INT_EN.write(FRAME_CAME);
        }
        came
    }

    fn transmit(&mut self, context: &mut Context<'_>) -> Option<Sending<'_>> {
        if !has_room() {
            look_again(context);
            return None;
        }
        Some(Sending(&mut self.sending))
    }

    fn link_state(&mut self, _: &mut Context<'_>) -> LinkState {
        // QEMU's cable is never unplugged. A board asks its PHY, and wakes when that changes.
        LinkState::Up
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::default();
        capabilities.max_transmission_unit = FRAME;
        capabilities.max_burst_size = Some(1);
        capabilities
    }

    fn hardware_address(&self) -> HardwareAddress {
        HardwareAddress::Ethernet(address())
    }
}

/// A full chip has sent a frame within a tenth of a millisecond: the other tasks have their turn, and then it is
/// asked again.
fn look_again(context: &Context<'_>) {
    context.waker().wake_by_ref();
}

impl EmbassyRxToken for Received<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, f: F) -> R {
        f(self.0)
    }
}

impl EmbassyTxToken for Sending<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        self.send(len, f)
    }
}
