//! One datagram as head, coat and foot (road-wire).

use core::ops::Range;

use super::{Head, NoSpace, WireError, head};

/// A checked head, and where in the datagram the rest lies.
///
/// It borrows nothing, so that the datagram can be opened in place. Its ranges lie inside of the
/// datagram that it was read from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Frame {
    /// What the head says.
    pub head: Head,
    head_len: usize,
    coat_end: usize,
    packet_len: usize,
}

impl Frame {
    /// Reads the head of `datagram` and checks it against the bytes: steps 1 and 2 (road-wire: Order of
    /// checks). Neither ids nor segment numbers are judged.
    ///
    /// # Errors
    ///
    /// The first check that fails; the datagram is to be counted and dropped.
    pub fn parse(datagram: &[u8]) -> Result<Self, WireError> {
        let (head, head_len, foot_len) = head::parse(datagram)?;
        let packet_len = datagram.len();
        // `head::parse` found that the foot lies behind the head.
        Ok(Self {
            head,
            head_len,
            coat_end: packet_len.saturating_sub(foot_len),
            packet_len,
        })
    }

    /// Bytes of the head, its end included.
    pub const fn head_len(&self) -> usize {
        self.head_len
    }

    /// Bytes of the whole packet.
    pub const fn packet_len(&self) -> usize {
        self.packet_len
    }

    /// Bytes of head and coat: what is signed, followed by 64 zeros (road-wire: Foot).
    pub const fn signed_len(&self) -> usize {
        self.coat_end
    }

    /// Where the coat lies; empty if there is none.
    pub const fn coat(&self) -> Range<usize> {
        self.head_len..self.coat_end
    }

    /// Where the foot lies; 64 bytes if the head says that it is a signature.
    pub const fn foot(&self) -> Range<usize> {
        self.coat_end..self.packet_len
    }
}

/// Writes `head` at the start of `out` with its final lengths, for a coat of `coat_len` bytes and a
/// foot as long as [`FootKind::len`](super::FootKind::len) says, both to be put behind it. Returns the
/// bytes of the head.
///
/// # Errors
///
/// `out` is too short for the head, the head would pass [`MAX_HEAD`](super::MAX_HEAD), which takes a
/// date or order index, or the packet would pass what a UDP datagram can be.
pub fn emit_head(head: &Head, coat_len: usize, out: &mut [u8]) -> Result<usize, NoSpace> {
    head::emit(head, coat_len, out)
}

/// Bytes that [`emit_head`] takes. They do not depend on what follows: lengths have a fixed width.
pub fn head_len(head: &Head) -> usize {
    head::len(head)
}
