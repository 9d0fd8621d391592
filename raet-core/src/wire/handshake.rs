//! The fixed layouts of the allow, lengths in bytes, numbers big-endian (road-transactions: Allow).
//!
//! A box is a `crypto_box`, its 16-byte tag first. Parsing copies the parts out, so that a box can be
//! opened in its copy; nothing here opens or makes one.

use super::writer::Writer;
use super::{BodyError, NoSpace};
use crate::crypto::hex;

/// The plain part of a hello, which is also what its box holds: 64 times the digit 0.
pub const HELLO_PLAIN: [u8; 64] = [b'0'; 64];

/// Moves the front of `rest` into a part; the caller has checked the length of the whole.
fn fill(part: &mut [u8], rest: &mut &[u8]) {
    if let Some((front, after)) = rest.split_at_checked(part.len()) {
        part.copy_from_slice(front);
        *rest = after;
    }
}

/// Declares a layout of consecutive parts, with parse and emit.
macro_rules! layout {
    ($(#[$doc:meta])* $name:ident { $($(#[$part_doc:meta])* $part:ident: $len:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq)]
        pub struct $name {
            $($(#[$part_doc])* pub $part: [u8; $len],)*
        }

        impl $name {
            /// Bytes of the layout.
            pub const LEN: usize = 0 $(+ $len)*;

            /// Takes `bytes` apart.
            ///
            /// # Errors
            ///
            /// [`BodyError::WrongLength`] unless there are exactly [`Self::LEN`] of them.
            pub fn parse(bytes: &[u8]) -> Result<Self, BodyError> {
                if bytes.len() != Self::LEN {
                    return Err(BodyError::WrongLength);
                }
                let mut rest = bytes;
                let mut parts = Self { $($part: [0; $len],)* };
                $(fill(&mut parts.$part, &mut rest);)*
                Ok(parts)
            }

            /// Writes the [`Self::LEN`] bytes and returns their number.
            ///
            /// # Errors
            ///
            /// `out` is shorter than that.
            pub fn emit(&self, out: &mut [u8]) -> Result<usize, NoSpace> {
                let mut out = Writer::new(out);
                $(out.put(&self.$part);)*
                out.finish()
            }
        }
    };
}

/// The allower's first packet.
///
/// ```text
///  0               64              96                    176         200
///  +---------------+---------------+---------------------+-----------+
///  | 64 x '0'      | short public  | boxed               | nonce     |
///  +---------------+---------------+---------------------+-----------+
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Hello {
    /// The allower's short-term public key.
    pub short: [u8; 32],
    /// [`HELLO_PLAIN`] boxed from the allower's short-term to the allowent's long-term key.
    pub boxed: [u8; 80],
    /// The nonce of the box.
    pub nonce: [u8; 24],
}

impl Hello {
    /// Bytes of the layout.
    pub const LEN: usize = 200;

    /// Takes `bytes` apart.
    ///
    /// # Errors
    ///
    /// [`BodyError::WrongLength`] unless there are exactly 200, [`BodyError::WrongFiller`] unless they
    /// begin with [`HELLO_PLAIN`].
    pub fn parse(bytes: &[u8]) -> Result<Self, BodyError> {
        if bytes.len() != Self::LEN {
            return Err(BodyError::WrongLength);
        }
        let mut rest = bytes
            .strip_prefix(&HELLO_PLAIN)
            .ok_or(BodyError::WrongFiller)?;
        let mut hello = Self {
            short: [0; 32],
            boxed: [0; 80],
            nonce: [0; 24],
        };
        fill(&mut hello.short, &mut rest);
        fill(&mut hello.boxed, &mut rest);
        fill(&mut hello.nonce, &mut rest);
        Ok(hello)
    }

    /// Writes the 200 bytes and returns their number.
    ///
    /// # Errors
    ///
    /// `out` is shorter than that.
    pub fn emit(&self, out: &mut [u8]) -> Result<usize, NoSpace> {
        let mut out = Writer::new(out);
        out.put(&HELLO_PLAIN);
        out.put(&self.short);
        out.put(&self.boxed);
        out.put(&self.nonce);
        out.finish()
    }
}

layout! {
    /// The allowent's answer.
    ///
    /// ```text
    ///  0                     80          104
    ///  +---------------------+-----------+
    ///  | boxed: CookieInner  | nonce     |
    ///  +---------------------+-----------+
    /// ```
    Cookie {
        /// A [`CookieInner`] boxed from the allowent's long-term to the allower's short-term key.
        boxed: 80,
        /// The nonce of the box.
        nonce: 24,
    }
}

/// What the box of a cookie packet holds.
///
/// ```text
///  0               32      36      40          64
///  +---------------+-------+-------+-----------+
///  | short public  | nuid  | fuid  | cookie    |
///  +---------------+-------+-------+-----------+
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct CookieInner {
    /// The allowent's short-term public key.
    pub short: [u8; 32],
    /// The allowent's uid for the allower, `se` of the packet.
    pub near: u32,
    /// The allower's uid for the allowent, `de` of the packet.
    pub far: u32,
    /// What the initiate has to repeat.
    pub cookie: [u8; 24],
}

impl CookieInner {
    /// Bytes of the layout.
    pub const LEN: usize = 64;

    /// Takes `bytes` apart.
    ///
    /// # Errors
    ///
    /// [`BodyError::WrongLength`] unless there are exactly 64.
    pub fn parse(bytes: &[u8]) -> Result<Self, BodyError> {
        if bytes.len() != Self::LEN {
            return Err(BodyError::WrongLength);
        }
        let mut rest = bytes;
        let (mut short, mut near, mut far, mut cookie) = ([0; 32], [0; 4], [0; 4], [0; 24]);
        fill(&mut short, &mut rest);
        fill(&mut near, &mut rest);
        fill(&mut far, &mut rest);
        fill(&mut cookie, &mut rest);
        Ok(Self {
            short,
            near: u32::from_be_bytes(near),
            far: u32::from_be_bytes(far),
            cookie,
        })
    }

    /// Writes the 64 bytes and returns their number.
    ///
    /// # Errors
    ///
    /// `out` is shorter than that.
    pub fn emit(&self, out: &mut [u8]) -> Result<usize, NoSpace> {
        let mut out = Writer::new(out);
        out.put(&self.short);
        out.put(&self.near.to_be_bytes());
        out.put(&self.far.to_be_bytes());
        out.put(&self.cookie);
        out.finish()
    }
}

layout! {
    /// The allower's second packet.
    ///
    /// ```text
    ///  0               32          56                        304         328
    ///  +---------------+-----------+-------------------------+-----------+
    ///  | short public  | cookie    | boxed: InitiateInner    | nonce     |
    ///  +---------------+-----------+-------------------------+-----------+
    /// ```
    Initiate {
        /// The allower's short-term public key, as in its hello.
        short: 32,
        /// What the cookie packet brought.
        cookie: 24,
        /// An [`InitiateInner`] boxed from the allower's to the allowent's short-term key.
        boxed: 248,
        /// The nonce of the box.
        nonce: 24,
    }
}

layout! {
    /// What the box of an initiate holds.
    ///
    /// ```text
    ///  0               32              80          104                       232
    ///  +---------------+---------------+-----------+-------------------------+
    ///  | long public   | vouch         | nonce     | name, then spaces       |
    ///  +---------------+---------------+-----------+-------------------------+
    /// ```
    InitiateInner {
        /// The allower's long-term public key.
        public: 32,
        /// The allower's short-term public key boxed from its long-term to the allowent's long-term key.
        vouch: 48,
        /// The nonce of the vouch.
        nonce: 24,
        /// Free. In 0.6.8 the domain name of the allowent's host, padded with spaces; a difference is
        /// logged. In an estate of this implementation what the two are called (H18).
        name: 128,
    }
}

/// What the free field of an initiate begins with if it tells of names: no host's name does, for it would
/// need a colon.
const NAMES: &[u8; 6] = b"names:";

impl InitiateInner {
    /// The free field as an estate of this implementation fills it: the digest of what the two estates are
    /// called, in hex digits, padded with spaces.
    pub fn names_field(digest: &[u8; 32]) -> [u8; 128] {
        let mut field = [b' '; 128];
        let mut out = Writer::new(&mut field);
        out.put(NAMES);
        out.put(&hex::encode(digest));
        field
    }

    /// Whether the free field tells of names.
    pub fn tells_names(&self) -> bool {
        self.name.starts_with(NAMES)
    }
}
