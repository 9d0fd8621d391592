//! What a fuzzer is to break: functions of bytes that panic when a rule is broken.
//!
//! `tests/fuzz` runs them under libFuzzer; `cargo test` runs them over the corpora kept there.

pub mod engine;

use std::net::SocketAddr;

use raet_core::crypto::PublicKeys;
use raet_core::keep::compact::{self, Tag};
use raet_core::keep::{EstateRecord, Record, RemoteRecord, RoleRecord, Status};
use raet_core::storage::Heap;
use raet_core::wire::handshake::{Cookie, CookieInner, Hello, Initiate, InitiateInner};
use raet_core::wire::{BodyKind, Frame, HeadKind, JoinBody, Misseds, emit_head, name};

/// What is fuzzed: takes bytes, and panics where they do what they must not.
pub type Target = fn(&[u8]);

/// Every target by its name, which its corpus has too.
pub const TARGETS: [(&str, Target); 6] = [
    ("packet", packet),
    ("join", join),
    ("misseds", misseds),
    ("handshake", handshake),
    ("keep", keep),
    ("engine", estates),
];

/// A datagram, in either head: what is read and written again is read as the same.
///
/// # Panics
///
/// If a rule is broken.
pub fn packet(bytes: &[u8]) {
    let Ok(frame) = Frame::parse(bytes) else {
        return;
    };
    assert!(frame.packet_len() <= bytes.len());
    let coat = bytes.get(frame.coat()).expect("a coat lies in its packet");
    let foot = bytes.get(frame.foot()).expect("a foot lies in its packet");
    // What is not signed may say that it has a foot, and is written again without it.
    let foot = foot
        .get(..frame.head.foot.len())
        .expect("a signature is whole");
    for kind in [HeadKind::Native, HeadKind::Json] {
        let mut head = frame.head;
        head.kind = kind;
        let mut out = vec![0; bytes.len() + 300];
        let Ok(start) = emit_head(&head, coat.len(), &mut out) else {
            continue;
        };
        out.truncate(start);
        out.extend_from_slice(coat);
        out.extend_from_slice(foot);
        let again = Frame::parse(&out).expect("what is written can be read");
        assert_eq!(again.head, head);
        assert_eq!(out.get(again.coat()), Some(coat));
    }
}

/// The body of a join, in either form.
///
/// # Panics
///
/// If a rule is broken.
pub fn join(bytes: &[u8]) {
    for kind in [BodyKind::Json, BodyKind::Msgpack] {
        for response in [false, true] {
            let Ok(body) = JoinBody::parse(kind, bytes, response) else {
                continue;
            };
            for kind in [BodyKind::Json, BodyKind::Msgpack] {
                let mut out = [0; 2000];
                let len = body.emit(kind, &mut out).expect("a join fits");
                let again = JoinBody::parse(kind, &out[..len], response);
                assert_eq!(again.as_ref(), Ok(&body));
            }
        }
    }
}

/// The body of a resend, in either form.
///
/// # Panics
///
/// If a rule is broken.
pub fn misseds(bytes: &[u8]) {
    for kind in [BodyKind::Json, BodyKind::Msgpack] {
        let Ok(numbers) = Misseds::parse(kind, bytes) else {
            continue;
        };
        let mut out = [0; 2000];
        let len = numbers.emit(kind, &mut out).expect("it fits");
        assert_eq!(Misseds::parse(kind, &out[..len]).as_ref(), Ok(&numbers));
    }
}

/// The bodies of an allow: those that are read are the very bytes that are written.
///
/// # Panics
///
/// If a rule is broken.
pub fn handshake(bytes: &[u8]) {
    let mut out = [0; 1000];
    let check = |written: Option<usize>, out: &[u8]| {
        assert!(written.is_none_or(|len| out.get(..len) == Some(bytes)));
    };
    let hello = Hello::parse(bytes).ok().and_then(|h| h.emit(&mut out).ok());
    check(hello.filter(|_| bytes.starts_with(&[b'0'; 64])), &out);
    let cookie = Cookie::parse(bytes)
        .ok()
        .and_then(|c| c.emit(&mut out).ok());
    check(cookie, &out);
    let inner = CookieInner::parse(bytes)
        .ok()
        .and_then(|c| c.emit(&mut out).ok());
    check(inner, &out);
    let initiate = Initiate::parse(bytes)
        .ok()
        .and_then(|i| i.emit(&mut out).ok());
    check(initiate, &out);
    let inner = InitiateInner::parse(bytes)
        .ok()
        .and_then(|i| i.emit(&mut out).ok());
    check(inner, &out);
}

/// A kept record in its short form: as bytes; and one made of the bytes, whole and then damaged.
///
/// # Panics
///
/// If a rule is broken.
pub fn keep(bytes: &[u8]) {
    let keys = PublicKeys {
        verify: [1; 32],
        public: [2; 32],
    };
    let tag = Tag::of("main", &keys);
    assert!(
        compact::decode(tag, bytes).is_err(),
        "no chance makes a record"
    );
    let mut rest = bytes.iter().copied();
    let mut byte = || rest.next().unwrap_or(0);
    let (kind, at, damage) = (byte(), usize::from(byte()), byte());
    let mut number = || u32::from_le_bytes([byte(), byte(), byte(), byte()]);
    let (near, far, session) = (number().max(1), number(), number());
    let length = 1 + number() as usize % 40;
    let text: String = (0..length)
        .map(|n| char::from(b'a' + (n % 26) as u8))
        .collect();
    let text = name(&text).expect("a name");
    let record = match kind % 3 {
        0 => Record::Estate(EstateRecord { sessions: session }),
        1 => Record::Remote(RemoteRecord {
            name: text.clone(),
            near,
            far,
            address: SocketAddr::from((near.to_be_bytes(), far as u16)),
            main: kind & 4 > 0,
            kind: damage,
            role: text,
            joined: kind & 8 > 0,
            proven: kind & 16 > 0,
            session,
        }),
        _ => Record::Role(RoleRecord {
            name: text,
            status: [Status::Pending, Status::Accepted, Status::Rejected][near as usize % 3],
            judged: kind & 4 > 0,
            keys,
        }),
    };
    let mut room = [0; compact::MAX_LEN];
    let written = compact::encode(tag, &record, &mut room).expect("it fits");
    assert_eq!(compact::decode(tag, written).as_ref(), Ok(&record));
    if let Some(byte) = written.get_mut(at).filter(|_| damage > 0) {
        *byte ^= damage;
        assert!(compact::decode(tag, written).is_err(), "damage at {at}");
    }
}

/// Estates that get what comes: from a peer with real keys, from strangers, and as commands.
fn estates(bytes: &[u8]) {
    // What the bytes leave open, the same bytes decide the same way.
    engine::survive::<Heap>(bytes, bytes.len() as u64, 40);
}
