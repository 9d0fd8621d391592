//! Records as few bytes: for a keep on a little flash, or wherever files are too much. Feature
//! `compact`.
//!
//! ```text
//!   0        1              5              9
//!   ┌────────┬──────────────┬──────────────┬──────────────────────────┐
//!   │ version│ tag of the   │ check of tag │ the record, by postcard  │
//!   │   2    │ estate       │ and record   │                          │
//!   └────────┴──────────────┴──────────────┴──────────────────────────┘
//! ```
//!
//! Numbers are little-endian. The tag says whose record it is: a device that was given other keys does
//! not go on from the records of who it was. The check finds what flash forgets; it proves nothing
//! against somebody who can write there.
//!
//! ```
//! use raet_core::crypto::{NaclSuite, Secrets};
//! use raet_core::keep::compact::{MAX_LEN, Tag, decode, encode};
//! use raet_core::keep::{EstateRecord, Record};
//!
//! let keys = Secrets::new(&[1; 32], &[2; 32]).public_keys(&NaclSuite::new(&[3; 32]));
//! let tag = Tag::of("sensor", &keys);
//! let record = Record::Estate(EstateRecord { sessions: 256 });
//! let mut room = [0; MAX_LEN];
//! let bytes = encode(tag, &record, &mut room).unwrap();
//! assert!(bytes.len() < 16);
//! assert_eq!(decode(tag, bytes), Ok(record));
//! ```

use core::fmt;
use core::net::{IpAddr, SocketAddr};

use crc::{CRC_32_ISO_HDLC, Crc, NoTable};
use ed25519_dalek::{Digest, Sha512};
use postcard::Serializer;
use postcard::ser_flavors::{Flavor, Slice};
use serde::{Deserialize, Serialize};

use super::{EstateRecord, Record, RemoteRecord, RoleRecord, Status};
use crate::crypto::PublicKeys;
use crate::wire::{NAME_MAX, Name, name};

/// What the first byte says of all others. It counts up when [`Record`] changes.
const VERSION: u8 = 2;

const CHECK: Crc<u32, NoTable> = Crc::<u32, NoTable>::new(&CRC_32_ISO_HDLC);

/// Bytes before the record.
const HEAD: usize = 9;

/// A 32-bit number takes this much at most, and a name its length besides.
const NUMBER: usize = 5;
const NAME: usize = 2 + NAME_MAX;

/// Bytes of the longest record, with what stands before it: a remote with two long names and an IPv6
/// address.
pub const MAX_LEN: usize = HEAD + 1 + 2 * NAME + 3 * NUMBER + (1 + 16 + 3) + 2 + 2;

/// Whose records they are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tag([u8; 4]);

impl Tag {
    /// The tag of the estate with this name and these public keys.
    pub fn of(name: &str, keys: &PublicKeys) -> Self {
        let hash = Sha512::new()
            .chain_update(b"raet keep")
            .chain_update(keys.verify)
            .chain_update(keys.public)
            .chain_update(name)
            .finalize();
        let mut tag = [0; 4];
        tag.iter_mut().zip(hash).for_each(|(to, from)| *to = from);
        Self(tag)
    }
}

/// Writes a record into `room` and returns the part that it takes, [`MAX_LEN`] at most; `None` where
/// there is less room than it needs.
pub fn encode<'a>(tag: Tag, record: &Record, room: &'a mut [u8]) -> Option<&'a mut [u8]> {
    let (version, rest) = room.split_first_mut()?;
    let (of, rest) = rest.split_first_chunk_mut()?;
    let (checked, rest) = rest.split_first_chunk_mut()?;
    let body = write(record, rest).ok()?;
    let len = HEAD + body.len();
    *version = VERSION;
    *of = tag.0;
    *checked = check(tag, body);
    room.get_mut(..len)
}

/// Reads what [`encode`] wrote for the same estate.
///
/// # Errors
///
/// [`CompactError`] says why these bytes are no record of this estate; nothing of them is to be used.
pub fn decode(tag: Tag, bytes: &[u8]) -> Result<Record, CompactError> {
    let (&version, rest) = bytes.split_first().ok_or(CompactError::Damaged)?;
    let (of, rest) = rest.split_first_chunk().ok_or(CompactError::Damaged)?;
    let (checked, body) = rest.split_first_chunk().ok_or(CompactError::Damaged)?;
    if version != VERSION {
        return Err(CompactError::Version(version));
    }
    if *of != tag.0 {
        return Err(CompactError::Foreign);
    }
    if *checked != check(tag, body) {
        return Err(CompactError::Damaged);
    }
    read(body).ok_or(CompactError::Damaged)
}

// The bytes are those of serde's derive, a part at a time: for its visitors a small device would pay 3 KB.

const ESTATE: u32 = 0;
const REMOTE: u32 = 1;
const FORGOTTEN: u32 = 2;
const ROLE: u32 = 3;
const FORGOTTEN_ROLE: u32 = 4;

const V4: u32 = 0;
const V6: u32 = 1;

struct Out<'a>(Serializer<Slice<'a>>);

impl Out<'_> {
    fn number(&mut self, number: u32) -> postcard::Result<()> {
        number.serialize(&mut self.0)
    }

    fn text(&mut self, text: &str) -> postcard::Result<()> {
        text.serialize(&mut self.0)
    }

    fn bytes(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.0.output.try_extend(bytes)
    }
}

fn write<'a>(record: &Record, room: &'a mut [u8]) -> postcard::Result<&'a mut [u8]> {
    let output = Slice::new(room);
    let mut out = Out(Serializer { output });
    match record {
        Record::Estate(estate) => {
            out.number(ESTATE)?;
            out.number(estate.sessions)?;
        }
        Record::Remote(remote) => {
            out.number(REMOTE)?;
            out.text(&remote.name)?;
            out.number(remote.near)?;
            out.number(remote.far)?;
            match remote.address.ip() {
                IpAddr::V4(ip) => {
                    out.number(V4)?;
                    out.bytes(&ip.octets())?;
                }
                IpAddr::V6(ip) => {
                    out.number(V6)?;
                    out.bytes(&ip.octets())?;
                }
            }
            out.number(remote.address.port().into())?;
            out.bytes(&[remote.main.into(), remote.kind])?;
            out.text(&remote.role)?;
            out.bytes(&[remote.joined.into(), remote.proven.into()])?;
            out.number(remote.session)?;
        }
        Record::Forgotten(name) => {
            out.number(FORGOTTEN)?;
            out.text(name)?;
        }
        Record::Role(role) => {
            out.number(ROLE)?;
            out.text(&role.name)?;
            out.bytes(&[role.status as u8, role.judged.into()])?;
            out.bytes(&role.keys.verify)?;
            out.bytes(&role.keys.public)?;
        }
        Record::ForgottenRole(name) => {
            out.number(FORGOTTEN_ROLE)?;
            out.text(name)?;
        }
    }
    out.0.output.finalize()
}

/// A record that is all of these bytes.
fn read(bytes: &[u8]) -> Option<Record> {
    let mut bytes = In(bytes);
    let record = match bytes.number()? {
        ESTATE => Record::Estate(EstateRecord {
            sessions: bytes.number()?,
        }),
        REMOTE => Record::Remote(RemoteRecord {
            name: bytes.name()?,
            near: bytes.number()?,
            far: bytes.number()?,
            address: bytes.address()?,
            main: bytes.flag()?,
            kind: bytes.byte()?,
            role: bytes.name()?,
            joined: bytes.flag()?,
            proven: bytes.flag()?,
            session: bytes.number()?,
        }),
        FORGOTTEN => Record::Forgotten(bytes.name()?),
        ROLE => Record::Role(RoleRecord {
            name: bytes.name()?,
            status: match bytes.byte()? {
                0 => Status::Pending,
                1 => Status::Accepted,
                2 => Status::Rejected,
                _ => return None,
            },
            judged: bytes.flag()?,
            keys: PublicKeys {
                verify: *bytes.cut()?,
                public: *bytes.cut()?,
            },
        }),
        FORGOTTEN_ROLE => Record::ForgottenRole(bytes.name()?),
        _ => return None,
    };
    bytes.0.is_empty().then_some(record)
}

/// What is not read yet.
struct In<'a>(&'a [u8]);

impl<'a> In<'a> {
    fn take<T: Deserialize<'a>>(&mut self) -> Option<T> {
        let (value, rest) = postcard::take_from_bytes(self.0).ok()?;
        self.0 = rest;
        Some(value)
    }

    fn number(&mut self) -> Option<u32> {
        self.take()
    }

    /// A name, as the protocol has them.
    fn name(&mut self) -> Option<Name> {
        name(self.take()?).ok()
    }

    fn cut<const N: usize>(&mut self) -> Option<&'a [u8; N]> {
        let (part, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(part)
    }

    fn byte(&mut self) -> Option<u8> {
        self.cut().map(|[byte]| *byte)
    }

    fn flag(&mut self) -> Option<bool> {
        match self.byte()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    fn address(&mut self) -> Option<SocketAddr> {
        let ip: IpAddr = match self.number()? {
            V4 => (*self.cut::<4>()?).into(),
            V6 => (*self.cut::<16>()?).into(),
            _ => return None,
        };
        let port = u16::try_from(self.number()?).ok()?;
        Some(SocketAddr::new(ip, port))
    }
}

fn check(tag: Tag, body: &[u8]) -> [u8; 4] {
    let mut digest = CHECK.digest();
    digest.update(&tag.0);
    digest.update(body);
    digest.finalize().to_le_bytes()
}

/// Why bytes are no record of this estate.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CompactError {
    /// Another version of this crate wrote them; this is its number.
    Version(u8),
    /// They are of an estate with another name or other keys.
    Foreign,
    /// They are not what was written.
    Damaged,
}

impl fmt::Display for CompactError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(version) => write!(
                f,
                "a kept record of version {version}: this program reads {VERSION}"
            ),
            Self::Foreign => f.write_str("a kept record of another estate: erase the keep"),
            Self::Damaged => f.write_str("a kept record is damaged: it does not count"),
        }
    }
}

impl core::error::Error for CompactError {}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use quickcheck::{TestResult, quickcheck};

    use super::*;

    const KEYS: PublicKeys = PublicKeys {
        verify: [0xab; 32],
        public: [0xcd; 32],
    };

    fn long() -> Name {
        (0..NAME_MAX).map(|_| 'n').collect()
    }

    fn remote(address: &str) -> Record {
        Record::Remote(RemoteRecord {
            name: long(),
            near: u32::MAX,
            far: u32::MAX,
            address: address.parse::<SocketAddr>().expect("an address"),
            main: true,
            kind: 255,
            role: long(),
            joined: true,
            proven: true,
            session: u32::MAX,
        })
    }

    fn all() -> [Record; 7] {
        [
            Record::Estate(EstateRecord { sessions: 7 }),
            remote("10.1.2.3:7530"),
            remote("[2001:db8::1]:65535"),
            Record::Role(RoleRecord {
                name: long(),
                status: Status::Rejected,
                judged: true,
                keys: KEYS,
            }),
            Record::Role(RoleRecord {
                name: long(),
                status: Status::Pending,
                judged: false,
                keys: KEYS,
            }),
            Record::Forgotten(long()),
            Record::ForgottenRole(long()),
        ]
    }

    #[test]
    fn what_was_written_is_read_and_the_longest_fits() {
        let tag = Tag::of("sensor", &KEYS);
        let mut longest = 0;
        for record in all() {
            let mut room = [0; MAX_LEN];
            let bytes = encode(tag, &record, &mut room).expect("it fits");
            longest = longest.max(bytes.len());
            assert_eq!(decode(tag, bytes), Ok(record.clone()));
            let less = bytes.len() - 1;
            assert!(encode(tag, &record, &mut room[..less]).is_none());
        }
        assert_eq!(longest, MAX_LEN);
    }

    /// A format that changes without its version would be read as something else.
    #[test]
    fn the_format_stays() {
        let record = Record::Role(RoleRecord {
            name: name("r").expect("a name"),
            status: Status::Accepted,
            judged: true,
            keys: KEYS,
        });
        let mut room = [0; MAX_LEN];
        let bytes = encode(Tag([1, 2, 3, 4]), &record, &mut room).expect("it fits");
        let (head, body) = bytes.split_at(HEAD);
        assert_eq!(head, [2, 1, 2, 3, 4, 0x01, 0x20, 0x18, 0x8e]);
        let mut expected = Vec::from([3, 1, b'r', 1, 1]);
        expected.extend([0xab; 32]);
        expected.extend([0xcd; 32]);
        assert_eq!(body, expected);
    }

    #[test]
    fn records_of_others_are_told_apart() {
        let (tag, mut room) = (Tag::of("sensor", &KEYS), [0; MAX_LEN]);
        let bytes = encode(tag, &all()[0], &mut room).expect("it fits");
        assert_eq!(
            decode(Tag::of("other", &KEYS), bytes),
            Err(CompactError::Foreign)
        );
        bytes[0] = 1;
        assert_eq!(decode(tag, bytes), Err(CompactError::Version(1)));
    }

    #[test]
    fn a_name_that_no_road_has_is_damage() {
        let (tag, mut room) = (Tag::of("sensor", &KEYS), [0; MAX_LEN]);
        for text in ["", "../x", "a b"] {
            let record = Record::Forgotten(text.chars().collect());
            let bytes = encode(tag, &record, &mut room).expect("it fits");
            assert_eq!(decode(tag, bytes), Err(CompactError::Damaged), "{text:?}");
        }
    }

    quickcheck! {
        fn any_change_is_seen(which: usize, at: usize, by: u8) -> TestResult {
            if by == 0 {
                return TestResult::discard();
            }
            let (tag, mut room) = (Tag::of("sensor", &KEYS), [0; MAX_LEN]);
            let all = all();
            let bytes = encode(tag, &all[which % all.len()], &mut room).expect("it fits");
            let at = at % bytes.len();
            bytes[at] ^= by;
            TestResult::from_bool(decode(tag, bytes).is_err())
        }

        fn cut_or_random_bytes_are_no_record(bytes: Vec<u8>, cut: usize) -> bool {
            let (tag, mut room) = (Tag::of("sensor", &KEYS), [0; MAX_LEN]);
            let whole = encode(tag, &all()[1], &mut room).expect("it fits");
            let cut = cut % whole.len();
            decode(tag, &whole[..cut]).is_err() && decode(tag, &bytes).is_err()
        }
    }
}
