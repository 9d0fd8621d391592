//! Why bytes were refused, and why bytes could not be made.

use core::fmt;

/// Declares an error enum whose variants can be listed and counted, with a text for each.
macro_rules! reasons {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident => $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        #[repr(u8)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)*
        }

        impl $name {
            /// Every reason, in the order of [`Self::index`].
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Position in [`Self::ALL`]: the number of the counter that this reason feeds.
            pub const fn index(self) -> usize {
                self as usize
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self {
                    $(Self::$variant => $text,)*
                })
            }
        }

        impl core::error::Error for $name {}
    };
}

reasons! {
    /// Why a datagram's head was refused, in the order of the checks (road-wire: Order of checks, 1
    /// and 2). Each is a reason to count and drop, never a failure of the receiver (H1).
    WireError {
        /// No known kind of head begins like this; the binary head too is refused here.
        UnknownHead => "no known head at the start of the datagram",
        /// The head does not end within its first 255 bytes.
        Unterminated => "head without an end",
        /// Not lines of key and value, or not a JSON object.
        Malformed => "malformed head",
        /// A native field that the protocol does not name.
        UnknownField => "unknown field in a native head",
        /// A field's value is not of the field's form.
        BadValue => "head field of a wrong form",
        /// A number is wider than its field: 32 bits, of `fg` 8.
        TooWide => "head field too wide",
        /// `hk` names another kind than the bytes show.
        HeadKindDiffers => "head kind differs from the head",
        /// `hl` is not the length of the head.
        HeadLengthDiffers => "head length differs from the head",
        /// `pl` is not the length of the datagram, which may have been cut short.
        PacketLengthDiffers => "packet length differs from the datagram",
        /// `vn` is not 0.
        UnknownVersion => "unknown version",
        /// `pk` names no packet kind.
        UnknownPacket => "unknown packet kind",
        /// `tk` names no transaction kind.
        UnknownTransaction => "unknown transaction kind",
        /// `bk` names no body kind.
        UnknownBody => "unknown body kind",
        /// `ck` names no coat kind, or one that was never implemented.
        UnknownCoat => "unknown coat kind",
        /// `fk` names no foot kind, or one that was never implemented.
        UnknownFoot => "unknown foot kind",
        /// `fl` reaches into the head.
        FootOutside => "foot longer than what follows the head",
        /// `fk` is nacl, but `fl` is not 64.
        SignatureLength => "signature of a wrong length",
    }
}

reasons! {
    /// Why the body of a protocol packet was refused (road-wire: Body; road-transactions: Join, Allow
    /// and Message).
    BodyError {
        /// A body of this kind cannot hold what is asked for.
        UnfitKind => "body kind that holds no mapping",
        /// Text that is not UTF-8, or half of a surrogate pair.
        NotText => "text that is not Unicode",
        /// Not a whole JSON or msgpack value, or more than one.
        Malformed => "malformed body",
        /// Nested deeper than 1024 levels.
        TooDeep => "body nested too deep",
        /// A list, a number or another value that is no mapping.
        NotMapping => "body that is no mapping",
        /// A field that has to be there is not.
        Missing => "field missing",
        /// A field's value is of a wrong type.
        WrongType => "field of a wrong type",
        /// A number is outside of its field's range.
        OutOfRange => "number out of range",
        /// A name or role without a character.
        NameEmpty => "empty name",
        /// A name or role of more than [`NAME_MAX`](super::NAME_MAX) bytes.
        NameTooLong => "name too long",
        /// A name or role with white space, a control character or a slash.
        NameCharacter => "character not allowed in a name",
        /// A key that is not 64 hex digits.
        BadKey => "key that is not 64 hex digits",
        /// The response gives the joiner the uid 0, which no remote has.
        ZeroUid => "uid 0",
        /// More than 64 segment numbers.
        TooMany => "too many segment numbers",
        /// A fixed layout of another length.
        WrongLength => "wrong length for this packet",
        /// The plain part of a hello is not 64 times the digit 0.
        WrongFiller => "wrong plain part of a hello",
    }
}

reasons! {
    /// Why a segment does not fit its message (H9).
    ShapeError {
        /// `sc` is 0 or over 65535, or `ml` is over what a coat may have, or the two cannot agree.
        Impossible => "segment count and coat length cannot agree",
        /// `sn` is not below `sc`.
        NumberOutside => "segment number past the last",
        /// The segment's length is not what the others, `ml` and `sc` demand.
        LengthDiffers => "segment of a wrong length",
    }
}

/// The output is shorter than what is to be written, or a head would pass
/// [`MAX_HEAD`](super::MAX_HEAD), which takes fields that this implementation never sets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NoSpace;

impl fmt::Display for NoSpace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("output too short")
    }
}

impl core::error::Error for NoSpace {}

/// The coat can never be sent: over 65535 segments or 67,107,840 bytes, or the packets are too small
/// to carry any of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TooLong;

impl fmt::Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("message too long for any number of segments")
    }
}

impl core::error::Error for TooLong {}
