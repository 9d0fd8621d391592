//! Records as few bytes: for a keep on a little flash, or wherever files are too much. Feature
//! `compact`.
//!
//! ```text
//!   0        1              5              9      10
//!   ┌────────┬──────────────┬──────────────┬──────┬───────────────────┐
//!   │ version│ tag of the   │ check of tag │ kind │ the record        │
//!   │   2    │ estate       │ and the rest │      │                   │
//!   └────────┴──────────────┴──────────────┴──────┴───────────────────┘
//! ```
//!
//! | kind | bytes of each part |
//! |---|---|
//! | 0 estate | sessions 4 |
//! | 1 remote | near 4, far 4, session 4, port 2, IPv6 address 16 (or an IPv4 one in its mapped form), flags 1 (main, joined, proven, IPv6), application's number 1, name, role |
//! | 2 remote forgotten | name |
//! | 3 role | status and judged 1, keys 32 + 32, name |
//! | 4 role forgotten | name |
//!
//! A name or role is its length, 1, and that many bytes.
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
use core::net::{IpAddr, Ipv6Addr, SocketAddr};

use ed25519_dalek::{Digest, Sha512};

use super::{EstateRecord, Record, RemoteRecord, RoleRecord, Status};
use crate::crypto::PublicKeys;
use crate::wire::writer::Writer;
use crate::wire::{NAME_MAX, Name, name};

/// What the first byte says of all others. It counts up when [`Record`] changes.
const VERSION: u8 = 2;

/// Bytes before the record.
const HEAD: usize = 9;

const ESTATE: u8 = 0;
const REMOTE: u8 = 1;
const FORGOTTEN: u8 = 2;
const ROLE: u8 = 3;
const FORGOTTEN_ROLE: u8 = 4;

/// Flags of a remote.
const MAIN: u8 = 1;
const JOINED: u8 = 2;
const PROVEN: u8 = 4;
const IPV6: u8 = 8;

/// Beside a role's status.
const JUDGED: u8 = 4;

/// Bytes of the longest record, with what stands before it: a remote with two long names.
pub const MAX_LEN: usize = HEAD + 1 + 3 * 4 + 2 + 16 + 2 + 2 * (1 + NAME_MAX);

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
            .chain_update(name);
        Self(first(hash))
    }
}

/// Writes a record into `room` and returns the part that it takes, [`MAX_LEN`] at most; `None` where
/// there is less room than it needs.
pub fn encode<'a>(tag: Tag, record: &Record, room: &'a mut [u8]) -> Option<&'a mut [u8]> {
    let mut out = Writer::new(room);
    out.byte(VERSION);
    out.put(&tag.0);
    // The check's place.
    out.put(&[0; 4]);
    write(record, &mut out);
    let len = out.finish().ok()?;
    let bytes = room.get_mut(..len)?;
    let (head, body) = bytes.split_first_chunk_mut::<HEAD>()?;
    let [.., a, b, c, d] = head;
    [*a, *b, *c, *d] = check(tag, body);
    Some(bytes)
}

fn write(record: &Record, out: &mut Writer<'_>) {
    match record {
        Record::Estate(estate) => {
            out.byte(ESTATE);
            out.put(&estate.sessions.to_le_bytes());
        }
        Record::Remote(remote) => {
            out.byte(REMOTE);
            for number in [remote.near, remote.far, remote.session] {
                out.put(&number.to_le_bytes());
            }
            out.put(&remote.address.port().to_le_bytes());
            let (ip, ipv6) = match remote.address.ip() {
                IpAddr::V4(ip) => (ip.to_ipv6_mapped(), 0),
                IpAddr::V6(ip) => (ip, IPV6),
            };
            out.put(&ip.octets());
            let flag = |set, flag| if set { flag } else { 0 };
            let state = flag(remote.joined, JOINED) | flag(remote.proven, PROVEN);
            out.byte(flag(remote.main, MAIN) | state | ipv6);
            out.byte(remote.kind);
            text(&remote.name, out);
            text(&remote.role, out);
        }
        Record::Role(role) => {
            out.byte(ROLE);
            out.byte(role.status as u8 | if role.judged { JUDGED } else { 0 });
            out.put(&role.keys.verify);
            out.put(&role.keys.public);
            text(&role.name, out);
        }
        Record::Forgotten(name) => {
            out.byte(FORGOTTEN);
            text(name, out);
        }
        Record::ForgottenRole(name) => {
            out.byte(FORGOTTEN_ROLE);
            text(name, out);
        }
    }
}

fn text(text: &str, out: &mut Writer<'_>) {
    const { assert!(NAME_MAX <= 255, "a byte tells the length") };
    out.byte(text.len() as u8);
    out.put(text.as_bytes());
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

/// A record that is all of `rest`.
fn read(mut rest: &[u8]) -> Option<Record> {
    let rest = &mut rest;
    let record = match byte(rest)? {
        ESTATE => Record::Estate(EstateRecord {
            sessions: number(rest)?,
        }),
        REMOTE => {
            let (near, far, session) = (number(rest)?, number(rest)?, number(rest)?);
            let port = u16::from_le_bytes(*cut(rest)?);
            let ip = Ipv6Addr::from(*cut(rest)?);
            let (flags, kind) = (byte(rest)?, byte(rest)?);
            let ip = match flags & IPV6 {
                0 => ip.to_ipv4_mapped()?.into(),
                _ => ip.into(),
            };
            Record::Remote(RemoteRecord {
                near,
                far,
                address: SocketAddr::new(ip, port),
                main: flags & MAIN != 0,
                kind,
                joined: flags & JOINED != 0,
                proven: flags & PROVEN != 0,
                session,
                name: name_in(rest)?,
                role: name_in(rest)?,
            })
        }
        FORGOTTEN => Record::Forgotten(name_in(rest)?),
        ROLE => {
            let flags = byte(rest)?;
            Record::Role(RoleRecord {
                status: match flags & !JUDGED {
                    0 => Status::Pending,
                    1 => Status::Accepted,
                    2 => Status::Rejected,
                    _ => return None,
                },
                judged: flags & JUDGED != 0,
                keys: PublicKeys {
                    verify: *cut(rest)?,
                    public: *cut(rest)?,
                },
                name: name_in(rest)?,
            })
        }
        FORGOTTEN_ROLE => Record::ForgottenRole(name_in(rest)?),
        _ => return None,
    };
    rest.is_empty().then_some(record)
}

fn cut<'a, const N: usize>(rest: &mut &'a [u8]) -> Option<&'a [u8; N]> {
    let (part, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(part)
}

fn byte(rest: &mut &[u8]) -> Option<u8> {
    cut(rest).map(|[byte]| *byte)
}

fn number(rest: &mut &[u8]) -> Option<u32> {
    cut(rest).map(|bytes| u32::from_le_bytes(*bytes))
}

/// A name, as the protocol has them.
fn name_in(rest: &mut &[u8]) -> Option<Name> {
    let len = usize::from(byte(rest)?);
    let (bytes, after) = rest.split_at_checked(len)?;
    *rest = after;
    name(core::str::from_utf8(bytes).ok()?).ok()
}

fn check(tag: Tag, body: &[u8]) -> [u8; 4] {
    first(Sha512::new().chain_update(tag.0).chain_update(body))
}

fn first(hash: Sha512) -> [u8; 4] {
    let mut first = [0; 4];
    first
        .iter_mut()
        .zip(hash.finalize())
        .for_each(|(to, from)| *to = from);
    first
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
    use core::net::SocketAddr;
    use std::vec::Vec;

    use quickcheck::{TestResult, quickcheck};

    use super::*;
    use crate::keep::{EstateRecord, RemoteRecord, RoleRecord, Status};
    use crate::wire::Name;

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

    fn all() -> [Record; 6] {
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
        assert_eq!(head[..5], [2, 1, 2, 3, 4]);
        let mut expected = Vec::from([3, 1 | 4]);
        expected.extend([0xab; 32]);
        expected.extend([0xcd; 32]);
        expected.extend([1, b'r']);
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
