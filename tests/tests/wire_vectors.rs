//! Every datagram recorded from 0.6.8, read and written again to the byte.

use std::collections::BTreeMap;

use raet_core::crypto::{Crypto, NaclSuite};
use raet_core::wire::handshake::{
    Cookie, CookieInner, HELLO_PLAIN, Hello, Initiate, InitiateInner,
};
use raet_core::wire::{
    BodyKind, CoatKind, Flags, FootKind, Frame, Head, JoinBody, Misseds, PacketKind, Shape,
    TransactionKind, check_mapping, emit_head, plan,
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
        let author = self
            .recording
            .estates(&self.datagram["from"])
            .find(|estate| {
                let verify = vectors::key(&estate["verhex"]).expect("verify key");
                let verify = self.suite.verify_key(&verify).expect("a strong key");
                self.suite.verify(&verify, &signed, &foot)
            });
        let author = author.unwrap_or_else(|| panic!("{}: nobody's signature", self.place));
        tally.feet += 1;
        let seed = vectors::key(&author["sighex"]).expect("seed");
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
        // The last segment has the rest, so it tells nothing of the cut.
        if let Some(packet_max) = self.recording.scenario["packet_max"].as_u64()
            && head.segment + 1 < head.segments
        {
            let cut = plan(head, head.coat_len as usize, packet_max as usize).expect("a plan");
            let sent = (head.segments, coat.len());
            assert_eq!((cut.count, cut.size as usize), sent, "{}", self.place);
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
        let secret = vectors::key(&short["from"]["sec"]);
        let Some((secret, public)) = secret.zip(vectors::key(&short["to"]["pub"])) else {
            // The receiver had no keys at all any more.
            assert!(short["to"].is_null(), "{}: keys are missing", self.place);
            return coat.to_vec();
        };
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
        if self.datagram["body_error"].is_string() {
            return body.to_vec();
        }
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
            "verhex": vectors::hex(&join.verify), "pubhex": vectors::hex(&join.public), "role": join.role.as_str(),
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
        match opened {
            Some(opened) => assert_eq!(opened, HELLO_PLAIN, "{}", self.place),
            None => self.check_shut("opened"),
        }
        hello
    }

    fn check_cookie(&self, head: &Head, body: &[u8]) -> Cookie {
        let cookie = Cookie::parse(body).expect("a cookie");
        let secret = vectors::key(&self.datagram["short"]["to"]["sec"]);
        let mut senders = self.recording.estates(&self.datagram["from"]);
        let opened = senders.find_map(|estate| {
            let public = vectors::key(&estate["pubhex"])?;
            self.unbox(&secret?, &public, &cookie.boxed, &cookie.nonce)
        });
        let Some(opened) = opened else {
            self.check_shut("stuff");
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
        let secret = vectors::key(&self.datagram["short"]["to"]["sec"]);
        let opened = secret.and_then(|secret| {
            self.unbox(&secret, &initiate.short, &initiate.boxed, &initiate.nonce)
        });
        let Some(opened) = opened else {
            self.check_shut("stuff");
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

    /// What does not open for us did not open when it was recorded: keys had changed since.
    fn check_shut(&self, part: &str) {
        let recorded = self.datagram["inner"][part].as_str();
        let shut = recorded.is_none_or(|recorded| recorded.contains("Error"));
        assert!(shut, "{}: {part} does not open", self.place);
    }

    /// Compares a part of an allow's body with what was recorded of it, if it was.
    fn check_inner(&self, part: &str, ours: &[u8]) {
        if self.datagram["inner"].is_object() {
            assert_eq!(
                self.datagram["inner"][part],
                vectors::hex(ours),
                "{}: {part}",
                self.place
            );
        }
    }
}
