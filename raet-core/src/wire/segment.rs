//! A coat too long for one packet: how a sender cuts it, and how a receiver judges the pieces
//! (road-transactions: Message; H9).

use core::ops::Range;

use super::{Head, HeadKind, MAX_HEAD, ShapeError, TooLong, head_len};

/// The most segments of a message. The reference's receiver takes more; nobody needs them.
pub const MAX_SEGMENTS: u32 = 65_535;
/// Bytes of the longest coat of a message, 65535 times 1024: the reference's limit.
pub const MAX_COAT: usize = 67_107_840;

/// How a coat is cut.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Plan {
    /// The number of packets (`sc`), at least 1.
    pub count: u32,
    /// Bytes of coat in each packet but the last, which has the rest.
    pub size: u32,
}

impl Plan {
    /// Where in a coat of `coat_len` bytes segment `number` lies; `None` past the last one.
    pub fn range(&self, coat_len: usize, number: u32) -> Option<Range<usize>> {
        if number >= self.count {
            return None;
        }
        let start = (number as usize)
            .checked_mul(self.size as usize)?
            .min(coat_len);
        Some(start..start.saturating_add(self.size as usize).min(coat_len))
    }
}

/// Cuts a coat of `coat_len` bytes, behind heads like `head`, into packets of at most `packet_max`
/// bytes (a classic sender: [`MAX_PACKET`](super::MAX_PACKET)), as the reference does: room for the
/// segment fields is set aside at their full width.
///
/// `head` is that of the whole message in one packet; segment fields in it are not looked at.
///
/// # Errors
///
/// The coat can never be sent so: over 65535 segments or [`MAX_COAT`], or no room for any of it.
pub fn plan(head: &Head, coat_len: usize, packet_max: usize) -> Result<Plan, TooLong> {
    if coat_len > MAX_COAT {
        return Err(TooLong);
    }
    // Behind any head it fits, so its own need not be written to be measured.
    if coat_len + MAX_HEAD + head.foot.len() <= packet_max {
        return Ok(Plan {
            count: 1,
            size: coat_len as u32,
        });
    }
    let whole = Head {
        segment: 0,
        segments: 1,
        coat_len: 0,
        ..*head
    };
    let room = packet_max
        .checked_sub(head_len(&whole) + head.foot.len())
        .ok_or(TooLong)?;
    if coat_len <= room {
        // At most MAX_COAT, as below.
        return Ok(Plan {
            count: 1,
            size: coat_len as u32,
        });
    }
    let fields = match head.kind {
        HeadKind::Native => 27,
        HeadKind::Json => 36,
    };
    let size = room
        .checked_sub(fields)
        .filter(|size| *size > 0)
        .ok_or(TooLong)?;
    match u32::try_from(coat_len.div_ceil(size)) {
        Ok(count) if count <= MAX_SEGMENTS => Ok(Plan {
            count,
            size: size as u32,
        }),
        _ => Err(TooLong),
    }
}

/// What the segments of one arriving message must look like: all but the last of one length, which
/// may be any, and which the first to arrive settles.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Shape {
    coat_len: u32,
    count: u32,
    /// Bytes of each segment but the last; 0 until one arrived.
    size: u32,
}

impl Shape {
    /// The shape of a message of `count` segments (`sc`) with a coat of `coat_len` bytes (`ml`; for a
    /// message in one packet the length of that packet's coat).
    ///
    /// # Errors
    ///
    /// [`ShapeError::Impossible`] if no segment length fits both, or one is over [`MAX_SEGMENTS`] or
    /// [`MAX_COAT`]. Whoever has tighter limits checks them as well.
    pub fn new(coat_len: u32, count: u32) -> Result<Self, ShapeError> {
        let mut shape = Self {
            coat_len,
            count,
            size: 0,
        };
        if count == 0 || count > MAX_SEGMENTS || coat_len as usize > MAX_COAT {
            return Err(ShapeError::Impossible);
        }
        if count == 1 {
            shape.size = coat_len;
            return Ok(shape);
        }
        // If the shortest length that holds all leaves nothing for the last one, none does.
        if shape.fits(coat_len.div_ceil(count)) {
            Ok(shape)
        } else {
            Err(ShapeError::Impossible)
        }
    }

    /// Bytes of the whole coat.
    pub const fn coat_len(&self) -> u32 {
        self.coat_len
    }

    /// The number of segments.
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// Takes segment `number` (`sn`) of `len` bytes and says where in the coat its bytes belong. The
    /// range has that length and lies inside of the coat; ranges of different numbers never overlap,
    /// and all together are the coat. A repeated segment gets its range again.
    ///
    /// # Errors
    ///
    /// [`ShapeError::NumberOutside`], or [`ShapeError::LengthDiffers`] if the segments so far, `ml`
    /// and `sc` demand another length. The shape is then as before.
    pub fn place(&mut self, number: u32, len: usize) -> Result<Range<usize>, ShapeError> {
        if number >= self.count {
            return Err(ShapeError::NumberOutside);
        }
        let len = u32::try_from(len).map_err(|_| ShapeError::LengthDiffers)?;
        let size = self
            .size_from(number, len)
            .ok_or(ShapeError::LengthDiffers)?;
        if self.size != size && (self.size != 0 || self.count == 1) {
            return Err(ShapeError::LengthDiffers);
        }
        self.size = size;
        // No overflow: `number * size` is below `coat_len`, of which this segment is a part.
        let start = number as usize * size as usize;
        Ok(start..start + len as usize)
    }

    /// The length of all segments but the last that follows from one segment's.
    fn size_from(&self, number: u32, len: u32) -> Option<u32> {
        let before = self.count - 1;
        if number < before || before == 0 {
            return (before == 0 || self.fits(len)).then_some(len);
        }
        let rest = self.coat_len.checked_sub(len)?;
        let size = rest / before;
        (rest % before == 0 && len > 0 && len <= size).then_some(size)
    }

    /// Whether all segments but the last can have `size` bytes: at least 1 and at most `size` are then
    /// left for the last.
    fn fits(&self, size: u32) -> bool {
        let (coat_len, count) = (u64::from(self.coat_len), u64::from(self.count));
        let size = u64::from(size);
        (count - 1) * size < coat_len && coat_len <= count * size
    }
}
