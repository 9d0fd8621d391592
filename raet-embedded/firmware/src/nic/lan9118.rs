//! SMSC LAN9118, the Ethernet controller of the mps2 boards.

#[cfg(feature = "embassy")]
mod embassy;

use super::{FRAME, Frame, NotFound, Register};

const BASE: usize = 0x4020_0000;
const RX_DATA: Register = Register(BASE);
const TX_DATA: Register = Register(BASE + 0x20);
const RX_STATUS: Register = Register(BASE + 0x40);
const TX_STATUS: Register = Register(BASE + 0x48);
const ID_REV: Register = Register(BASE + 0x50);
const INT_EN: Register = Register(BASE + 0x5c);
const BYTE_TEST: Register = Register(BASE + 0x64);
const RX_CFG: Register = Register(BASE + 0x6c);
const TX_CFG: Register = Register(BASE + 0x70);
const HW_CFG: Register = Register(BASE + 0x74);
const RX_FIFO_INF: Register = Register(BASE + 0x7c);
const TX_FIFO_INF: Register = Register(BASE + 0x80);
const MAC_CMD: Register = Register(BASE + 0xa4);
const MAC_DATA: Register = Register(BASE + 0xa8);

/// Registers of the MAC, reached through `MAC_CMD` and `MAC_DATA`.
const MAC_CR: u32 = 1;
const MAC_ADDRH: u32 = 2;
const MAC_ADDRL: u32 = 3;

const MAC_BUSY: u32 = 1 << 31;
const MAC_READ: u32 = 1 << 30;

/// Nothing stands before a frame.
pub(super) const BEFORE: usize = 0;

/// Resets the chip and turns both directions on. Returns the hardware address.
pub(super) fn up() -> Result<[u8; 6], NotFound> {
    if BYTE_TEST.read() != 0x8765_4321 || ID_REV.read() >> 16 != 0x0118 {
        return Err(NotFound);
    }
    HW_CFG.write(1);
    while HW_CFG.read() & 1 != 0 {}
    // A bit that must be one, and 5 KiB of the chip's memory for what is sent.
    HW_CFG.write(1 << 20 | 5 << 16);
    INT_EN.write(0);
    RX_CFG.write(0);
    TX_CFG.write(1 << 1);
    // Full duplex, both directions on.
    mac_write(MAC_CR, 1 << 20 | 1 << 3 | 1 << 2);
    Ok(address())
}

/// Takes the next good frame; its length.
pub(super) fn receive(into: &mut Frame) -> Option<usize> {
    while RX_FIFO_INF.read() >> 16 & 0xff != 0 {
        let status = RX_STATUS.read();
        let len = (status >> 16 & 0x3fff) as usize;
        let bad = status & 1 << 15 != 0;
        // Also of a bad one: QEMU miscounts when the chip is told to skip it.
        for word in 0..len.div_ceil(4) {
            let value = RX_DATA.read();
            if let Some(place) = into.0.get_mut(word) {
                *place = value;
            }
        }
        // The length counts the checksum.
        match len.checked_sub(4) {
            Some(len @ 14..=FRAME) if !bad => return Some(len),
            _ => {}
        }
    }
    None
}

fn address() -> [u8; 6] {
    let [a, b, c, d] = mac_read(MAC_ADDRL).to_le_bytes();
    let [e, f, ..] = mac_read(MAC_ADDRH).to_le_bytes();
    [a, b, c, d, e, f]
}

/// Whether it would take a frame to send now.
pub(super) fn has_room() -> bool {
    // What became of earlier frames is of no interest, but must be taken.
    while TX_FIFO_INF.read() >> 16 & 0xff != 0 {
        TX_STATUS.read();
    }
    (TX_FIFO_INF.read() & 0xffff) as usize >= FRAME + 3 + 8
}

fn mac_read(register: u32) -> u32 {
    MAC_CMD.write(MAC_BUSY | MAC_READ | register);
    while MAC_CMD.read() & MAC_BUSY != 0 {}
    MAC_DATA.read()
}

fn mac_write(register: u32, value: u32) {
    MAC_DATA.write(value);
    MAC_CMD.write(MAC_BUSY | register);
    while MAC_CMD.read() & MAC_BUSY != 0 {}
}

/// Sends a frame of `len` bytes.
pub(super) fn send(frame: &mut Frame, len: usize) {
    // First and last segment of its frame; then a tag, which nobody reads, and the frame's length.
    TX_DATA.write(1 << 13 | 1 << 12 | len as u32);
    TX_DATA.write((len as u32) << 16 | len as u32);
    for word in frame.0.iter().take(len.div_ceil(4)) {
        TX_DATA.write(*word);
    }
}
