//! The kinds that a head names, and its flags (road-wire: Head).

/// Declares an enum of the numbers that a head field may have.
macro_rules! kinds {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $number:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
        #[repr(u8)]
        pub enum $name {
            $($(#[$variant_doc])* $variant = $number,)*
        }

        impl $name {
            /// The kind that `number` stands for in a head; `None` for one that nobody speaks.
            pub const fn from_wire(number: u32) -> Option<Self> {
                match number {
                    $($number => Some(Self::$variant),)*
                    _ => None,
                }
            }

            /// The number that stands for this kind in a head.
            pub const fn to_wire(self) -> u8 {
                self as u8
            }
        }
    };
}

kinds! {
    /// What a packet says (`pk`).
    PacketKind {
        /// A message or one segment of it.
        #[default]
        Message = 0,
        /// Yes, or got so far.
        Ack = 1,
        /// No: ends the transaction.
        Nack = 2,
        /// Asks for segments again.
        Resend = 3,
        /// Begins a join or an alive.
        Request = 4,
        /// The joinent's answer.
        Response = 5,
        /// Begins an allow.
        Hello = 6,
        /// The allowent's answer.
        Cookie = 7,
        /// The allower's proof of its keys.
        Initiate = 8,
        /// You have not joined: join first.
        Unjoined = 9,
        /// You are not allowed: allow first.
        Unallowed = 10,
        /// Your uid is not known here: join anew.
        Renew = 11,
        /// Not now: ends this transaction only.
        Refuse = 12,
        /// Never.
        Reject = 13,
        /// A person has yet to accept the keys.
        Pend = 14,
        /// The whole message is there.
        Done = 15,
    }
}

kinds! {
    /// Which transaction a packet belongs to (`tk`).
    TransactionKind {
        /// A reliable, segmented message.
        #[default]
        Message = 0,
        /// Exchange of names and long-term keys.
        Join = 1,
        /// Named by the protocol, never used.
        Bind = 2,
        /// Exchange of short-term keys.
        Allow = 3,
        /// Presence.
        Alive = 4,
    }
}

kinds! {
    /// How a head is written (`hk`). Number 2, a binary head, is reserved and refused.
    HeadKind {
        /// Lines of key and value.
        #[default]
        Native = 0,
        /// One JSON object.
        Json = 1,
    }
}

kinds! {
    /// How a body is written (`bk`).
    BodyKind {
        /// No body.
        #[default]
        Nada = 0,
        /// A JSON object.
        Json = 1,
        /// Bytes as they are.
        Raw = 2,
        /// A msgpack map.
        Msgpack = 3,
    }
}

kinds! {
    /// What keeps a body secret (`ck`). Checksums (2, 3) were named, never implemented, and are refused.
    CoatKind {
        /// Nothing.
        #[default]
        Nada = 0,
        /// A `crypto_box` under the short-term keys.
        Nacl = 1,
    }
}

kinds! {
    /// What proves the sender (`fk`). Digests (2, 3) were named, never implemented, and are refused.
    FootKind {
        /// Nothing.
        #[default]
        Nada = 0,
        /// An Ed25519 signature.
        Nacl = 1,
    }
}

impl FootKind {
    /// Bytes of a foot of this kind as sent.
    pub const fn len(self) -> usize {
        match self {
            Self::Nada => 0,
            Self::Nacl => super::SIGNATURE,
        }
    }

    /// Whether a foot of this kind has no bytes.
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }
}

/// The flags of a head (`fg`), eight bits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Flags(u8);

impl Flags {
    /// No flag.
    pub const NONE: Self = Self(0);
    /// `vf`: the address is IPv6. Reserved: never set, never looked at.
    pub const IPV6: Self = Self(0x80);
    /// `df`: the address is dynamic. Reserved: never set, never looked at.
    pub const DYNAMIC: Self = Self(0x40);
    /// `nf`: the sender is behind a NAT. Reserved: never set, never looked at.
    pub const NAT: Self = Self(0x20);
    /// `af`: this segment is sent again.
    pub const AGAIN: Self = Self(0x10);
    /// `sf`: a segment. A receiver goes by `sc` instead.
    pub const SEGMENTED: Self = Self(0x08);
    /// `wf`: the sender waits for an answer.
    pub const WAIT: Self = Self(0x04);
    /// `bf`: broadcast; such packets are dropped.
    pub const BROADCAST: Self = Self(0x02);
    /// `cf`: sent by the correspondent, who did not begin the transaction.
    pub const CORRESPONDENT: Self = Self(0x01);

    /// The flags in a byte as it travels.
    pub const fn from_wire(bits: u8) -> Self {
        Self(bits)
    }

    /// The byte that travels.
    pub const fn to_wire(self) -> u8 {
        self.0
    }

    /// Whether all flags of `other` are set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// These flags with those of `other` set, if `on`, or cleared.
    #[must_use]
    pub const fn with(self, other: Self, on: bool) -> Self {
        Self(if on {
            self.0 | other.0
        } else {
            self.0 & !other.0
        })
    }
}

impl core::ops::BitOr for Flags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}
