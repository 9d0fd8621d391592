//! Every datagram recorded from 0.6.8, read and written again to the byte; and whatever was or could
//! be done to such datagrams, refused without a panic.

use std::collections::BTreeMap;

use quickcheck::{Arbitrary, Gen, QuickCheck};
use raet_core::crypto::{Crypto, NaclSuite};
use raet_core::wire::handshake::{
    Cookie, CookieInner, HELLO_PLAIN, Hello, Initiate, InitiateInner,
};
use raet_core::wire::{
    BodyError, BodyKind, CoatKind, Flags, FootKind, Frame, Head, JoinBody, Misseds, PacketKind,
    Shape, TransactionKind, WireError, check_mapping, emit_head,
};
use raet_tests::vectors::{self, Recording};
use serde_json::{Value, json};

/// What was checked, so that a run that checked nothing fails.
#[derive(Default, Debug)]
struct Tally {
    files: usize,
    datagrams: usize,
    heads: usize,
    feet: usize,
    coats: usize,
    books: usize,
    joins: usize,
    resends: usize,
    hellos: usize,
    cookies: usize,
    initiates: usize,
}

/// The segments of a message, under the sender, session and transaction.
type Books = BTreeMap<(String, u32, u32), Book>;

struct Book {
    shape: Shape,
    coat: Vec<u8>,
    missing: usize,
    seen: Vec<bool>,
}

#[test]
fn recorded_datagrams_are_read_and_written_to_the_byte() {
    let suite = NaclSuite::new(&[0; 32]);
    let mut tally = Tally::default();
    for recording in vectors::road()
        .iter()
        .filter(|recording| !recording.is_hostile())
    {
        tally.files += 1;
        let mut books = Books::new();
        for datagram in recording.of_kind("datagram") {
            let place = format!("{} step {}", recording.name, datagram["step"]);
            Case {
                suite: &suite,
                recording,
                datagram,
                place,
            }
            .check(&mut books, &mut tally);
        }
    }
    println!("checked: {tally:?}");
    let Tally {
        datagrams,
        heads,
        feet,
        coats,
        books,
        joins,
        resends,
        ..
    } = tally;
    let Tally {
        hellos,
        cookies,
        initiates,
        ..
    } = tally;
    let counts = [
        datagrams, heads, feet, coats, books, joins, resends, hellos, cookies, initiates,
    ];
    assert!(
        counts.iter().all(|count| *count > 0),
        "a kind of packet was not checked at all"
    );
}

/// One recorded datagram.
struct Case<'a> {
    suite: &'a NaclSuite,
    recording: &'a Recording,
    datagram: &'a Value,
    place: String,
}

impl Case<'_> {
    fn check(&self, books: &mut Books, tally: &mut Tally) {
        let place = &self.place;
        tally.datagrams += 1;
        let raw = vectors::bytes(&self.datagram["raw"]);
        let parsed = Frame::parse(&raw);
        // Feet and what follows them are judged by who knows the keys; all else is the head's.
        let refused = self.datagram["parse_error"].as_str();
        if refused.is_some_and(|error| !error.contains("verification")) {
            assert!(parsed.is_err(), "{place}: the reference refused it");
            return;
        }
        let frame = parsed.unwrap_or_else(|error| panic!("{place}: {error}"));
        // What nobody received has no recorded head.
        if self.datagram["head"].is_object() {
            self.check_head(&frame);
            tally.heads += 1;
        }

        let mut again = vec![0; frame.head_len()];
        let emitted = emit_head(&frame.head, frame.coat().len(), &mut again);
        assert_eq!(emitted, Ok(frame.head_len()), "{place}");
        again.extend(self.check_coat(&frame, &raw[frame.coat()], books, tally));
        again.extend(self.check_foot(&frame, &raw, tally));
        assert_eq!(again, raw, "{place}");
    }

    fn check_head(&self, frame: &Frame) {
        let Frame { head, .. } = frame;
        let recorded = &self.datagram["head"];
        let dt: Value = serde_json::from_str(head.date.as_str()).expect("a number");
        assert_eq!(dt.as_f64(), recorded["dt"].as_f64(), "{}", self.place);
        let flag = |flag| head.flags.contains(flag);
        let ours = json!({
            "ri": "RAET", "vn": 0,
            "pk": head.packet.to_wire(), "pl": frame.packet_len(),
            "hk": head.kind.to_wire(), "hl": frame.head_len(),
            "se": head.source, "de": head.destination,
            "cf": flag(Flags::CORRESPONDENT), "bf": flag(Flags::BROADCAST),
            "nf": flag(Flags::NAT), "df": flag(Flags::DYNAMIC), "vf": flag(Flags::IPV6),
            "si": head.session, "ti": head.transaction_id, "tk": head.transaction.to_wire(),
            "dt": recorded["dt"], "oi": head.order, "wf": flag(Flags::WAIT),
            "sn": head.segment, "sc": head.segments, "ml": head.coat_len,
            "sf": flag(Flags::SEGMENTED), "af": flag(Flags::AGAIN),
            "bk": head.body.to_wire(), "ck": head.coat.to_wire(), "fk": head.foot.to_wire(),
            "fl": frame.foot().len(), "fg": format!("{:02x}", head.flags.to_wire()),
        });
        assert_eq!(&ours, recorded, "{}", self.place);
    }

    /// Verifies the foot, if there is one, and makes it again.
    fn check_foot(&self, frame: &Frame, raw: &[u8], tally: &mut Tally) -> Vec<u8> {
        if frame.head.foot == FootKind::Nada {
            return raw[frame.foot()].to_vec();
        }
        let mut signed = raw[..frame.signed_len()].to_vec();
        signed.extend([0; 64]);
        let foot: [u8; 64] = raw[frame.foot()].try_into().expect("64 bytes");
        let signer = self
            .recording
            .estates(&self.datagram["from"])
            .find(|estate| {
                let verify = vectors::key(&estate["verhex"]).expect("verify key");
                let verify = self.suite.verify_key(&verify).expect("a strong key");
                self.suite.verify(&verify, &signed, &foot)
            });
        let signer = signer.unwrap_or_else(|| panic!("{}: nobody's signature", self.place));
        tally.feet += 1;
        let seed = vectors::key(&signer["sighex"]).expect("seed");
        self.suite
            .sign(&self.suite.sign_key(&seed), &signed)
            .to_vec()
    }

    /// Opens the coat, checks the body, and makes the coat again from what was read.
    fn check_coat(
        &self,
        frame: &Frame,
        coat: &[u8],
        books: &mut Books,
        tally: &mut Tally,
    ) -> Vec<u8> {
        let head = &frame.head;
        let message = (TransactionKind::Message, PacketKind::Message);
        if (head.transaction, head.packet) != message || head.segments <= 1 {
            return self.open_coat(frame, coat, tally);
        }
        let from = self.datagram["from"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        let book = books
            .entry((from, head.session, head.transaction_id))
            .or_insert_with(|| Book {
                shape: Shape::new(head.coat_len, head.segments).expect("a possible shape"),
                coat: vec![0; head.coat_len as usize],
                missing: head.coat_len as usize,
                seen: vec![false; head.segments as usize],
            });
        let range = book
            .shape
            .place(head.segment, coat.len())
            .expect("a fitting segment");
        if !std::mem::replace(&mut book.seen[head.segment as usize], true) {
            book.coat[range].copy_from_slice(coat);
            book.missing -= coat.len();
            if book.missing == 0 {
                assert!(book.seen.iter().all(|seen| *seen), "{}", self.place);
                self.open_coat(frame, &book.coat, tally);
                tally.books += 1;
            }
        }
        coat.to_vec()
    }

    fn open_coat(&self, frame: &Frame, coat: &[u8], tally: &mut Tally) -> Vec<u8> {
        if frame.head.coat == CoatKind::Nada || coat.is_empty() {
            return self.check_body(frame, coat, tally);
        }
        let short = &self.datagram["short"];
        let secret = vectors::key(&short["from"]["sec"]).expect("short-term secret");
        let public = vectors::key(&short["to"]["pub"]).expect("short-term key");
        let (boxed, nonce) = coat.split_last_chunk::<24>().expect("a nonce");
        let body = self.unbox(&secret, &public, boxed, nonce);
        let body = body.unwrap_or_else(|| panic!("{}: coat", self.place));
        if self.datagram["body_plain"].is_string() {
            assert_eq!(
                body,
                vectors::bytes(&self.datagram["body_plain"]),
                "{}",
                self.place
            );
        }
        tally.coats += 1;
        let mut again = self.check_body(frame, &body, tally);
        let tag = self
            .suite
            .seal(&self.box_key(&secret, &public), nonce, &mut again);
        [tag.as_slice(), &again, nonce].concat()
    }

    fn box_key(&self, secret: &[u8; 32], public: &[u8; 32]) -> <NaclSuite as Crypto>::BoxKey {
        self.suite
            .box_key(&self.suite.secret_key(secret), public)
            .expect("a strong key")
    }

    fn unbox(
        &self,
        secret: &[u8; 32],
        public: &[u8; 32],
        boxed: &[u8],
        nonce: &[u8; 24],
    ) -> Option<Vec<u8>> {
        let (tag, text) = boxed.split_first_chunk::<16>().expect("a tag");
        let mut text = text.to_vec();
        let opened = self
            .suite
            .open(&self.box_key(secret, public), nonce, &mut text, tag);
        opened.then_some(text)
    }

    /// Reads the body into its type, compares, and writes it again.
    fn check_body(&self, frame: &Frame, body: &[u8], tally: &mut Tally) -> Vec<u8> {
        let kind = frame.head.body;
        let mut again = vec![0; 1024];
        let len = match (frame.head.transaction, frame.head.packet) {
            (TransactionKind::Join, PacketKind::Request | PacketKind::Response) => {
                tally.joins += 1;
                self.check_join(frame, body).emit(kind, &mut again)
            }
            (TransactionKind::Message, PacketKind::Resend) => {
                tally.resends += 1;
                self.check_resend(kind, body).emit(kind, &mut again)
            }
            (TransactionKind::Allow, PacketKind::Hello) => {
                tally.hellos += 1;
                self.check_hello(body).emit(&mut again)
            }
            (TransactionKind::Allow, PacketKind::Cookie) => {
                tally.cookies += 1;
                self.check_cookie(&frame.head, body).emit(&mut again)
            }
            (TransactionKind::Allow, PacketKind::Initiate) => {
                tally.initiates += 1;
                self.check_initiate(body).emit(&mut again)
            }
            _ => {
                let good = check_mapping(kind, body);
                good.unwrap_or_else(|error| panic!("{}: {error}", self.place));
                let recorded = &self.datagram["body"];
                if kind == BodyKind::Json && !body.is_empty() && recorded.is_object() {
                    let parsed: Value = serde_json::from_slice(body).expect("JSON");
                    assert_eq!(&parsed, recorded, "{}", self.place);
                }
                return body.to_vec();
            }
        };
        again.truncate(len.expect("room"));
        again
    }

    fn check_join(&self, frame: &Frame, body: &[u8]) -> JoinBody {
        let response = frame.head.packet == PacketKind::Response;
        let join = JoinBody::parse(frame.head.body, body, response);
        let join = join.unwrap_or_else(|error| panic!("{}: {error}", self.place));
        let mut ours = json!({
            "name": join.name.as_str(), "mode": join.mode, "kind": join.kind,
            "verhex": hex(&join.verify), "pubhex": hex(&join.public), "role": join.role.as_str(),
        });
        if let Some(uid) = join.uid {
            ours["uid"] = uid.get().into();
        }
        if self.datagram["body"].is_object() {
            assert_eq!(ours, self.datagram["body"], "{}", self.place);
        }
        join
    }

    fn check_resend(&self, kind: BodyKind, body: &[u8]) -> Misseds {
        let misseds = Misseds::parse(kind, body).expect("misseds");
        let numbers: Vec<u16> = misseds.iter().collect();
        if self.datagram["body"].is_object() {
            assert_eq!(
                json!({ "misseds": numbers }),
                self.datagram["body"],
                "{}",
                self.place
            );
        }
        numbers.into_iter().collect()
    }

    fn check_hello(&self, body: &[u8]) -> Hello {
        let hello = Hello::parse(body).expect("a hello");
        self.check_inner("short_pub", &hello.short);
        self.check_inner("cipher", &hello.boxed);
        self.check_inner("nonce", &hello.nonce);
        self.check_inner("plain", &HELLO_PLAIN);
        let opened = self
            .recording
            .estates(&self.datagram["to"])
            .find_map(|estate| {
                let secret = vectors::key(&estate["prihex"]).expect("long-term secret");
                self.unbox(&secret, &hello.short, &hello.boxed, &hello.nonce)
            });
        assert_eq!(opened, Some(HELLO_PLAIN.to_vec()), "{}", self.place);
        hello
    }

    fn check_cookie(&self, head: &Head, body: &[u8]) -> Cookie {
        let cookie = Cookie::parse(body).expect("a cookie");
        let secret = vectors::key(&self.datagram["short"]["to"]["sec"]).expect("secret");
        let opened = self
            .recording
            .estates(&self.datagram["from"])
            .find_map(|estate| {
                let public = vectors::key(&estate["pubhex"]).expect("long-term key");
                self.unbox(&secret, &public, &cookie.boxed, &cookie.nonce)
            });
        let Some(opened) = opened else {
            // The reference too found keys that have changed since.
            let stuff = self.datagram["inner"]["stuff"]
                .as_str()
                .expect("why it did not open");
            assert!(stuff.contains("Error"), "{}", self.place);
            return cookie;
        };
        let parts = CookieInner::parse(&opened).expect("a cookie's inside");
        assert_eq!(
            (parts.near, parts.far),
            (head.source, head.destination),
            "{}",
            self.place
        );
        self.check_inner("stuff_short_pub", &parts.short);
        self.check_inner("stuff_oreo", &parts.cookie);
        let mut again = [0; CookieInner::LEN];
        assert_eq!(
            parts.emit(&mut again),
            Ok(CookieInner::LEN),
            "{}",
            self.place
        );
        assert_eq!(again.as_slice(), opened, "{}", self.place);
        cookie
    }

    fn check_initiate(&self, body: &[u8]) -> Initiate {
        let initiate = Initiate::parse(body).expect("an initiate");
        self.check_inner("oreo", &initiate.cookie);
        let secret = vectors::key(&self.datagram["short"]["to"]["sec"]).expect("secret");
        let opened = self.unbox(&secret, &initiate.short, &initiate.boxed, &initiate.nonce);
        let Some(opened) = opened else {
            let stuff = self.datagram["inner"]["stuff"]
                .as_str()
                .expect("why it did not open");
            assert!(stuff.contains("Error"), "{}", self.place);
            return initiate;
        };
        let parts = InitiateInner::parse(&opened).expect("an initiate's inside");
        self.check_inner("stuff_long_pub", &parts.public);
        self.check_inner("stuff_vouch_cipher", &parts.vouch);
        self.check_inner("stuff_vouch_nonce", &parts.nonce);
        self.check_inner("stuff_fqdn", &parts.name);
        let mut again = [0; InitiateInner::LEN];
        assert_eq!(
            parts.emit(&mut again),
            Ok(InitiateInner::LEN),
            "{}",
            self.place
        );
        assert_eq!(again.as_slice(), opened, "{}", self.place);
        initiate
    }

    /// Compares a part of an allow's body with what was recorded of it, if it was.
    fn check_inner(&self, part: &str, ours: &[u8]) {
        if self.datagram["inner"].is_object() {
            assert_eq!(
                self.datagram["inner"][part],
                hex(ours),
                "{}: {part}",
                self.place
            );
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

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
        let with = match bool::arbitrary(g) {
            true => Vec::arbitrary(g),
            false => {
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
            }
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
