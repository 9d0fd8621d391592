//! The head: named fields, written natively or as JSON (road-wire: Head).

mod date;
mod json;
mod native;

pub use date::DateTime;

use super::writer::Writer;
use super::{
    BodyKind, CoatKind, Flags, FootKind, HeadKind, MAX_HEAD, NoSpace, PacketKind, TransactionKind,
    WireError,
};

/// Whether this build has heads in JSON.
const JSON: bool = cfg!(feature = "json-head");

/// What a head says, apart from the lengths of packet, head and foot, which the bytes decide.
///
/// The version is always 0. A field at its default is not sent.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Head {
    /// `hk`: how this head is written.
    pub kind: HeadKind,
    /// `fg`: the flags.
    pub flags: Flags,
    /// `pk`: what the packet says.
    pub packet: PacketKind,
    /// `tk`: the kind of transaction that it belongs to.
    pub transaction: TransactionKind,
    /// `bk`: how the body is written.
    pub body: BodyKind,
    /// `ck`: what keeps the body secret.
    pub coat: CoatKind,
    /// `fk`: what proves the sender. It decides the length of the foot that is sent.
    pub foot: FootKind,
    /// `se`: the uid that the sender gave the receiver.
    pub source: u32,
    /// `de`: the uid that the receiver gave the sender; 0 if the sender does not know it.
    pub destination: u32,
    /// `si`: the session of the transaction's initiator; 0 in a join.
    pub session: u32,
    /// `ti`: the transaction, as its initiator counts them.
    pub transaction_id: u32,
    /// `dt`: unused, but carried.
    pub date: DateTime,
    /// `oi`: the order index. Unused, but carried.
    pub order: u32,
    /// `sn`: the number of this segment, from 0.
    pub segment: u32,
    /// `sc`: the number of segments, 1 for a message in one packet. Not judged here: see
    /// [`Shape`](super::Shape).
    pub segments: u32,
    /// `ml`: bytes of the whole coat of a segmented message, else 0.
    pub coat_len: u32,
}

impl Default for Head {
    fn default() -> Self {
        Self::new(PacketKind::default(), TransactionKind::default())
    }
}

impl Head {
    /// A native head with every other field at its default.
    #[inline(never)] // called from many places, and longer than a call
    pub const fn new(packet: PacketKind, transaction: TransactionKind) -> Self {
        Self {
            kind: HeadKind::Native,
            flags: Flags::NONE,
            packet,
            transaction,
            body: BodyKind::Nada,
            coat: CoatKind::Nada,
            foot: FootKind::Nada,
            source: 0,
            destination: 0,
            session: 0,
            transaction_id: 0,
            date: DateTime::ZERO,
            order: 0,
            segment: 0,
            segments: 1,
            coat_len: 0,
        }
    }

    /// The fields that follow `fg`, in the order in which they are sent. Of `dt` the number only tells
    /// whether it is there.
    fn numbers(&self) -> [(Field, u32); 16] {
        [
            (Field::Packet, u32::from(self.packet.to_wire())),
            (Field::Head, u32::from(self.kind.to_wire())),
            (Field::Source, self.source),
            (Field::Destination, self.destination),
            (Field::Session, self.session),
            (Field::TransactionId, self.transaction_id),
            (Field::Transaction, u32::from(self.transaction.to_wire())),
            (Field::Date, u32::from(self.date != DateTime::ZERO)),
            (Field::Order, self.order),
            (Field::Segment, self.segment),
            (Field::Segments, self.segments),
            (Field::CoatLen, self.coat_len),
            (Field::Body, u32::from(self.body.to_wire())),
            (Field::Coat, u32::from(self.coat.to_wire())),
            (Field::Foot, u32::from(self.foot.to_wire())),
            // At most the 64 bytes of a signature.
            (Field::FootLen, self.foot.len() as u32),
        ]
    }

    /// The fields that follow `fg` and differ from their defaults.
    fn sent(&self) -> impl Iterator<Item = (Field, u32)> {
        self.numbers()
            .into_iter()
            .filter(|(field, number)| *number != field.default())
    }
}

/// Reads the head at the start of `datagram`. Gives it with its length and that of the foot, which
/// lies inside of what follows the head.
pub(super) fn parse(datagram: &[u8]) -> Result<(Head, usize, usize), WireError> {
    let (kind, fields, head_len) = if datagram.starts_with(native::PREFIX) {
        let (text, len) = split(datagram, native::END)?;
        (HeadKind::Native, native::parse(text)?, len)
    } else if JSON && datagram.starts_with(json::PREFIX) {
        let (text, len) = split(datagram, json::END)?;
        (HeadKind::Json, json::parse(text)?, len)
    } else {
        return Err(WireError::UnknownHead);
    };
    let (head, foot_len) = fields.judge(kind, head_len, datagram.len())?;
    Ok((head, head_len, foot_len))
}

/// Writes `head` for a coat of `coat_len` bytes and a foot of the head's kind.
pub(super) fn emit(head: &Head, coat_len: usize, out: &mut [u8]) -> Result<usize, NoSpace> {
    if head.kind == HeadKind::Json && !JSON {
        return Err(NoSpace);
    }
    let mut out = Writer::new(out);
    let (packet_len_at, head_len_at, packet_len_width) = write(head, &mut out);
    let head_len = out.len();
    let packet_len = head_len
        .saturating_add(coat_len)
        .saturating_add(head.foot.len());
    if head_len > MAX_HEAD || packet_len > usize::from(u16::MAX) {
        return Err(NoSpace);
    }
    out.hex_at(packet_len_at, packet_len, packet_len_width);
    out.hex_at(head_len_at, head_len, 2);
    out.finish()
}

/// Bytes of `head` as written: those of its lengths do not depend on what they say.
pub(super) fn len(head: &Head) -> usize {
    let mut out = Writer::new(&mut []);
    write(head, &mut out);
    out.len()
}

/// Writes all but the lengths of packet and head; tells where they stand, and the former's digits.
fn write(head: &Head, out: &mut Writer<'_>) -> (usize, usize, usize) {
    match head.kind {
        HeadKind::Json if JSON => json::write(head, out),
        HeadKind::Native | HeadKind::Json => native::write(head, out),
    }
}

/// The text before the first `end` in a datagram, and the length with it.
fn split<'a, const N: usize>(
    datagram: &'a [u8],
    end: &[u8; N],
) -> Result<(&'a [u8], usize), WireError> {
    let within = datagram.get(..MAX_HEAD).unwrap_or(datagram);
    // As arrays they are compared in one instruction, as slices by a call.
    let at = within
        .windows(N)
        .position(|bytes| bytes.first_chunk() == Some(end));
    let at = at.ok_or(WireError::Unterminated)?;
    Ok((within.get(..at).unwrap_or_default(), at + N))
}

/// Declares the numbered fields with their codes.
macro_rules! fields {
    ($($variant:ident $code:literal,)*) => {
        /// A field of a head other than `ri`. The flags have codes as well, but are sent in `fg` alone.
        #[derive(Clone, Copy, PartialEq, Eq)]
        #[repr(u8)]
        enum Field {
            $($variant,)*
        }

        impl Field {
            const COUNT: usize = [$($code,)*].len();

            fn from_code(code: &[u8]) -> Option<Self> {
                match code {
                    $($code => Some(Self::$variant),)*
                    _ => None,
                }
            }

            const fn code(self) -> [u8; 2] {
                match self {
                    $(Self::$variant => *$code,)*
                }
            }
        }
    };
}

fields! {
    PacketLen b"pl",
    HeadLen b"hl",
    Flags b"fg",
    Version b"vn",
    Packet b"pk",
    Head b"hk",
    Source b"se",
    Destination b"de",
    Session b"si",
    TransactionId b"ti",
    Transaction b"tk",
    Date b"dt",
    Order b"oi",
    Segment b"sn",
    Segments b"sc",
    CoatLen b"ml",
    Body b"bk",
    Coat b"ck",
    Foot b"fk",
    FootLen b"fl",
}

impl Field {
    /// What a field that is left out says.
    const fn default(self) -> u32 {
        matches!(self, Self::Segments) as u32
    }
}

/// The fields as read, not yet judged.
struct Fields {
    numbers: [u32; Field::COUNT],
    date: DateTime,
}

impl Fields {
    fn new() -> Self {
        let mut fields = Self {
            numbers: [0; Field::COUNT],
            date: DateTime::ZERO,
        };
        fields.set(Field::Segments, Field::Segments.default());
        fields
    }

    fn set(&mut self, field: Field, number: u32) {
        // A field's number is below COUNT, here and in `get`.
        self.numbers[field as usize] = number;
    }

    fn get(&self, field: Field) -> u32 {
        self.numbers[field as usize]
    }

    /// The head with the length of the foot, if all agrees with what is there: a head of `kind` in
    /// `head_len` bytes of `packet_len`.
    fn judge(
        &self,
        kind: HeadKind,
        head_len: usize,
        packet_len: usize,
    ) -> Result<(Head, usize), WireError> {
        if HeadKind::from_wire(self.get(Field::Head)) != Some(kind) {
            return Err(WireError::HeadKindDiffers);
        }
        if self.get(Field::HeadLen) as usize != head_len {
            return Err(WireError::HeadLengthDiffers);
        }
        if self.get(Field::PacketLen) as usize != packet_len {
            return Err(WireError::PacketLengthDiffers);
        }
        if self.get(Field::Version) != 0 {
            return Err(WireError::UnknownVersion);
        }
        let head = Head {
            kind,
            flags: u8::try_from(self.get(Field::Flags))
                .map(Flags::from_wire)
                .map_err(|_| WireError::TooWide)?,
            packet: PacketKind::from_wire(self.get(Field::Packet))
                .ok_or(WireError::UnknownPacket)?,
            transaction: TransactionKind::from_wire(self.get(Field::Transaction))
                .ok_or(WireError::UnknownTransaction)?,
            body: BodyKind::from_wire(self.get(Field::Body)).ok_or(WireError::UnknownBody)?,
            coat: CoatKind::from_wire(self.get(Field::Coat)).ok_or(WireError::UnknownCoat)?,
            foot: FootKind::from_wire(self.get(Field::Foot)).ok_or(WireError::UnknownFoot)?,
            source: self.get(Field::Source),
            destination: self.get(Field::Destination),
            session: self.get(Field::Session),
            transaction_id: self.get(Field::TransactionId),
            date: self.date,
            order: self.get(Field::Order),
            segment: self.get(Field::Segment),
            segments: self.get(Field::Segments),
            coat_len: self.get(Field::CoatLen),
        };
        let foot_len = self.get(Field::FootLen) as usize;
        if foot_len > packet_len.saturating_sub(head_len) {
            return Err(WireError::FootOutside);
        }
        if head.foot == FootKind::Nacl && foot_len != head.foot.len() {
            return Err(WireError::SignatureLength);
        }
        Ok((head, foot_len))
    }
}

/// The number that hex digits of any width and case stand for.
fn hex(digits: &[u8]) -> Result<u32, WireError> {
    if digits.is_empty() {
        return Err(WireError::BadValue);
    }
    digits.iter().try_fold(0_u32, |number, digit| {
        let digit = char::from(*digit).to_digit(16).ok_or(WireError::BadValue)?;
        if number >> 28 != 0 {
            return Err(WireError::TooWide);
        }
        Ok(number << 4 | digit)
    })
}
