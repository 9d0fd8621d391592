//! Whatever was or could be done to a datagram is refused for its reason, and without a panic.

use quickcheck::{Arbitrary, Gen, QuickCheck};
use raet_core::wire::handshake::{Cookie, Hello, Initiate};
use raet_core::wire::{
    BodyError, BodyKind, CoatKind, Frame, JoinBody, Misseds, PacketKind, Shape, TransactionKind,
    WireError, check_mapping,
};
use raet_tests::vectors;

/// What becomes of the first datagram of a hostile case: of its head, else of its body.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Verdict {
    Head(WireError),
    Body(BodyError),
    Segment,
    Good,
}

/// The cases that the wire alone can judge. The rest is well formed, or needs keys.
const HOSTILE: &[(&str, Verdict)] = &[
    ("empty-datagram", Verdict::Head(WireError::UnknownHead)),
    ("garbage", Verdict::Head(WireError::UnknownHead)),
    (
        "native-head-only",
        Verdict::Head(WireError::HeadLengthDiffers),
    ),
    (
        "native-line-without-space",
        Verdict::Head(WireError::Malformed),
    ),
    (
        "native-line-two-spaces",
        Verdict::Head(WireError::Malformed),
    ),
    ("native-bad-hex", Verdict::Head(WireError::BadValue)),
    (
        "native-unknown-field",
        Verdict::Head(WireError::UnknownField),
    ),
    ("native-field-bl", Verdict::Head(WireError::UnknownField)),
    (
        "native-flag-field-as-text",
        Verdict::Head(WireError::UnknownField),
    ),
    ("native-bad-flags", Verdict::Head(WireError::BadValue)),
    ("native-wide-flags", Verdict::Head(WireError::TooWide)),
    ("native-version-1", Verdict::Head(WireError::UnknownVersion)),
    ("native-negative-fl", Verdict::Head(WireError::BadValue)),
    (
        "native-fl-past-packet",
        Verdict::Head(WireError::FootOutside),
    ),
    ("json-head-broken", Verdict::Head(WireError::Malformed)),
    ("json-head-not-ascii", Verdict::Head(WireError::Malformed)),
    (
        "json-head-no-lengths",
        Verdict::Head(WireError::HeadLengthDiffers),
    ),
    (
        "json-head-numeric-lengths",
        Verdict::Head(WireError::BadValue),
    ),
    ("json-head-text-fl", Verdict::Head(WireError::BadValue)),
    ("json-head-list-de", Verdict::Head(WireError::BadValue)),
    ("json-head-list-ti", Verdict::Head(WireError::BadValue)),
    ("json-head-text-si", Verdict::Head(WireError::BadValue)),
    ("json-head-unknown-key", Verdict::Good),
    ("unknown-kinds", Verdict::Head(WireError::UnknownPacket)),
    (
        "unknown-kind-unsigned-high-sid",
        Verdict::Head(WireError::UnknownTransaction),
    ),
    ("join-body-not-json", Verdict::Body(BodyError::Malformed)),
    ("join-body-not-utf8", Verdict::Body(BodyError::NotText)),
    ("join-body-a-list", Verdict::Body(BodyError::NotMapping)),
    ("join-body-deep", Verdict::Body(BodyError::Malformed)),
    (
        "join-bk-msgpack-garbage",
        Verdict::Body(BodyError::Malformed),
    ),
    ("join-bk-raw", Verdict::Body(BodyError::UnfitKind)),
    ("join-verhex-short", Verdict::Body(BodyError::BadKey)),
    ("join-verhex-not-hex", Verdict::Body(BodyError::BadKey)),
    ("join-verhex-32-chars", Verdict::Body(BodyError::BadKey)),
    ("join-verhex-int", Verdict::Body(BodyError::WrongType)),
    ("join-name-list", Verdict::Body(BodyError::WrongType)),
    ("join-name-int", Verdict::Body(BodyError::WrongType)),
    (
        "join-name-with-space",
        Verdict::Body(BodyError::NameCharacter),
    ),
    ("join-name-slash", Verdict::Body(BodyError::NameCharacter)),
    ("join-name-nul", Verdict::Body(BodyError::NameCharacter)),
    ("join-name-long", Verdict::Body(BodyError::NameTooLong)),
    ("join-name-own", Verdict::Good),
    ("join-role-slash", Verdict::Body(BodyError::NameCharacter)),
    ("join-role-list", Verdict::Body(BodyError::WrongType)),
    ("join-kind-dict", Verdict::Body(BodyError::WrongType)),
    ("join-mode-true", Verdict::Body(BodyError::WrongType)),
    (
        "hello-unsigned-bad-body",
        Verdict::Body(BodyError::WrongLength),
    ),
    (
        "hello-unsigned-garbage-box",
        Verdict::Body(BodyError::WrongFiller),
    ),
    (
        "hello-unsigned-json-body",
        Verdict::Body(BodyError::WrongLength),
    ),
    (
        "message-signed-body-list",
        Verdict::Body(BodyError::NotMapping),
    ),
    (
        "message-signed-body-broken",
        Verdict::Body(BodyError::Malformed),
    ),
    (
        "message-signed-bk-unknown",
        Verdict::Head(WireError::UnknownBody),
    ),
    ("segment-sn-past-sc", Verdict::Segment),
    ("segment-sc-zero", Verdict::Segment),
    ("segment-sc-huge", Verdict::Head(WireError::TooWide)),
    ("segment-sc-16m", Verdict::Segment),
];

#[test]
fn hostile_datagrams_are_refused_for_what_is_wrong() {
    let (mut datagrams, mut judged) = (0, 0);
    for recording in vectors::road() {
        for case in recording.of_kind("hostile") {
            let raws: Vec<Vec<u8>> = case["raw"]
                .as_array()
                .expect("datagrams")
                .iter()
                .map(vectors::bytes)
                .collect();
            let verdicts: Vec<Verdict> = raws.iter().map(|raw| judge(raw)).collect();
            datagrams += raws.len();
            let expected = HOSTILE.iter().find(|(name, _)| case["case"] == *name);
            if let Some((name, expected)) = expected {
                assert_eq!(verdicts.first(), Some(expected), "{name}");
                judged += 1;
            }
        }
    }
    println!("hostile datagrams: {datagrams}, cases with a reason: {judged}");
    assert!(datagrams > 0 && judged >= HOSTILE.len());
}

/// Does with a datagram all that the wire can do without keys.
fn judge(raw: &[u8]) -> Verdict {
    let frame = match Frame::parse(raw) {
        Ok(frame) => frame,
        Err(error) => return Verdict::Head(error),
    };
    let head = frame.head;
    assert!(frame.coat().end <= frame.foot().start && frame.foot().end == raw.len());
    let body = &raw[frame.coat()];
    let outcome = match (head.transaction, head.packet) {
        _ if head.coat == CoatKind::Nacl => Ok(()),
        (TransactionKind::Join, PacketKind::Request | PacketKind::Response) => {
            JoinBody::parse(head.body, body, head.packet == PacketKind::Response).map(drop)
        }
        (TransactionKind::Message, PacketKind::Resend) => Misseds::parse(head.body, body).map(drop),
        (TransactionKind::Allow, PacketKind::Hello) => Hello::parse(body).map(drop),
        (TransactionKind::Allow, PacketKind::Cookie) => Cookie::parse(body).map(drop),
        (TransactionKind::Allow, PacketKind::Initiate) => Initiate::parse(body).map(drop),
        (TransactionKind::Message, PacketKind::Message) if head.segments != 1 => {
            let shape = Shape::new(head.coat_len, head.segments);
            return match shape.and_then(|mut shape| shape.place(head.segment, body.len())) {
                Ok(_) => Verdict::Good,
                Err(_) => Verdict::Segment,
            };
        }
        _ => check_mapping(head.body, body),
    };
    outcome.map_or_else(Verdict::Body, |()| Verdict::Good)
}

/// A change to a datagram: at a place, in one of several ways, with some bytes.
#[derive(Clone, Debug)]
struct Change {
    datagram: usize,
    at: usize,
    way: u8,
    with: Vec<u8>,
}

impl Arbitrary for Change {
    fn arbitrary(g: &mut Gen) -> Self {
        // What a head or body is made of does more harm than any byte.
        let with = if bool::arbitrary(g) {
            Vec::arbitrary(g)
        } else {
            let words: [&[u8]; 12] = [
                b"\n",
                b" ",
                b"\n\n",
                b"ffffffff",
                b"{",
                b"[",
                b"\"",
                b"\\ud83d",
                b"\xdf\xff",
                b"-",
                b"\r\n\r\n",
                b"\xdb\xff\xff\xff\xff",
            ];
            (*g.choose(&words).expect("words")).to_vec()
        };
        Self {
            datagram: usize::arbitrary(g),
            at: usize::arbitrary(g),
            way: u8::arbitrary(g),
            with,
        }
    }
}

#[test]
fn changed_datagrams_never_panic() {
    let raws: Vec<Vec<u8>> = vectors::road()
        .iter()
        .flat_map(|recording| {
            recording
                .of_kind("datagram")
                .map(|d| vectors::bytes(&d["raw"]))
        })
        .collect();
    let mut state = Gen::from_size_and_seed(64, 0x0077_6972_6500);
    for _ in 0..20_000 {
        let change = Change::arbitrary(&mut state);
        let mut raw = raws[change.datagram % raws.len()].clone();
        let at = change.at % (raw.len() + 1);
        match change.way % 4 {
            0 => raw.truncate(at),
            1 => drop(raw.splice(at..at, change.with)),
            2 => {
                let end = (at + change.with.len()).min(raw.len());
                raw.splice(at..end, change.with);
            }
            _ => drop(raw.drain(at..(at + change.with.len()).min(raw.len()))),
        }
        repair_and_judge(raw);
    }
}

/// Judges a datagram, also with its lengths made right, which lets bodies be reached.
fn repair_and_judge(mut raw: Vec<u8>) {
    judge(&raw);
    let end = raw.windows(2).position(|two| two == b"\n\n");
    if let Some(head_len) = end
        .map(|at| at + 2)
        .filter(|_| raw.starts_with(b"ri RAET\npl "))
    {
        let lengths = format!("ri RAET\npl {:04x}\nhl {head_len:02x}\n", raw.len());
        if head_len <= 255 && lengths.len() < head_len {
            raw.splice(..lengths.len(), lengths.bytes());
            judge(&raw);
        }
    }
}

#[test]
fn random_bytes_never_panic() {
    #[expect(clippy::needless_pass_by_value, reason = "quickcheck gives values")]
    fn holds(bytes: Vec<u8>, prefix: u8) -> bool {
        let prefixes: [&[u8]; 4] = [
            b"",
            b"ri RAET\n",
            b"{\"ri\":\"RAET\",",
            b"ri RAET\npl 0030\n",
        ];
        let raw = [prefixes[usize::from(prefix) % prefixes.len()], &bytes].concat();
        judge(&raw);
        for kind in [
            BodyKind::Nada,
            BodyKind::Json,
            BodyKind::Raw,
            BodyKind::Msgpack,
        ] {
            let _ = check_mapping(kind, &bytes);
            let _ = JoinBody::parse(kind, &bytes, true);
            let _ = Misseds::parse(kind, &bytes);
        }
        true
    }
    QuickCheck::new()
        .rng(Gen::from_size_and_seed(400, 0x7261_6574))
        .tests(5_000)
        .quickcheck(holds as fn(Vec<u8>, u8) -> bool);
}
