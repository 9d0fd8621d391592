//! The Ethernet controller of the Stellaris chips, as on the lm3s6965evb.

use super::{FRAME, Frame, NotFound, Register};

/// Clock gates of the peripherals: the controller's two halves are bits 28 and 30.
const RCGC2: Register = Register(0x400F_E108);

const BASE: usize = 0x4004_8000;
const INTERRUPT_ACK: Register = Register(BASE);
const INTERRUPT_MASK: Register = Register(BASE + 0x04);
const RECEIVE_CONTROL: Register = Register(BASE + 0x08);
const TRANSMIT_CONTROL: Register = Register(BASE + 0x0c);
const DATA: Register = Register(BASE + 0x10);
const ADDRESS_LOW: Register = Register(BASE + 0x14);
const ADDRESS_HIGH: Register = Register(BASE + 0x18);
const PACKETS: Register = Register(BASE + 0x34);
const TRANSMISSION: Register = Register(BASE + 0x38);

/// The chip puts two bytes of length before each frame.
pub(super) const BEFORE: usize = 2;

/// Turns the chip and both directions on. Returns the hardware address.
pub(super) fn up() -> Result<[u8; 6], NotFound> {
    RCGC2.write(1 << 28 | 1 << 30);
    INTERRUPT_MASK.write(0);
    // QEMU has the address of its `-nic mac=` here; a board's own comes from its flash.
    let (low, high) = (ADDRESS_LOW.read(), ADDRESS_HIGH.read());
    if low == 0 {
        return Err(NotFound);
    }
    // Empty the buffer; then on, without frames of a bad checksum.
    RECEIVE_CONTROL.write(1 << 4);
    RECEIVE_CONTROL.write(1 << 3 | 1 << 0);
    // Full duplex, checksum, padding, on.
    TRANSMIT_CONTROL.write(0xf);
    let [a, b, c, d] = low.to_le_bytes();
    let [e, f, ..] = high.to_le_bytes();
    Ok([a, b, c, d, e, f])
}

/// Takes the next good frame; its length.
pub(super) fn receive(into: &mut Frame) -> Option<usize> {
    while PACKETS.read() & 0x3f != 0 {
        let first = DATA.read();
        // Counts itself, the frame, and four bytes of checksum.
        let total = (first & 0xffff) as usize;
        let (head, rest) = into.0.split_first_mut()?;
        *head = first;
        for word in 0..total.div_ceil(4).saturating_sub(1) {
            let value = DATA.read();
            if let Some(place) = rest.get_mut(word) {
                *place = value;
            }
        }
        INTERRUPT_ACK.write(1);
        if let Some(len @ 14..=FRAME) = total.checked_sub(BEFORE + 4) {
            return Some(len);
        }
    }
    None
}

/// Whether it would take a frame to send now.
pub(super) fn has_room() -> bool {
    TRANSMISSION.read() & 1 == 0
}

/// Sends a frame of `len` bytes.
pub(super) fn send(frame: &mut Frame, len: usize) {
    // To send, the length is that of what follows the Ethernet header.
    let payload = (len as u16).saturating_sub(14);
    frame
        .bytes_mut(0, BEFORE)
        .copy_from_slice(&payload.to_le_bytes());
    for word in frame.0.iter().take((BEFORE + len).div_ceil(4)) {
        DATA.write(*word);
    }
    TRANSMISSION.write(1);
}
