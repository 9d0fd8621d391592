use core::num::NonZeroU32;
use std::format;
use std::string::String;
use std::vec;
use std::vec::Vec;

use quickcheck::{Arbitrary, Gen};

use super::{check, std};
use crate::wire::*;

const HEX: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

fn join() -> JoinBody {
    JoinBody {
        name: name("other").unwrap(),
        mode: 1,
        kind: 200,
        uid: None,
        verify: [0xab; 32],
        public: [0x01; 32],
        role: name("r\u{f6}le\u{1f680}\"\\").unwrap(),
    }
}

fn request(name: &str) -> String {
    format!(r#"{{"name":{name},"mode":0,"kind":0,"verhex":"{HEX}","pubhex":"{HEX}","role":"r"}}"#)
}

fn error(body: &str) -> BodyError {
    JoinBody::parse(BodyKind::Json, body.as_bytes(), false).unwrap_err()
}

#[test]
fn json_is_pythons_without_its_escapes() {
    let mut out = [0; 400];
    let len = join().emit(BodyKind::Json, &mut out).unwrap();
    let (ab, one) = ("ab".repeat(32), "01".repeat(32));
    let body = |role: &str| {
        format!(
            r#"{{"name":"other","mode":1,"kind":200,"verhex":"{ab}","pubhex":"{one}","role":"{role}"}}"#
        )
    };
    let ours = body("r\u{f6}le\u{1f680}\\\"\\\\");
    assert_eq!(core::str::from_utf8(&out[..len]).unwrap(), ours);
    let pythons = body(r#"r\u00f6le\ud83d\ude80\"\\"#);
    for read in [ours, pythons] {
        assert_eq!(
            JoinBody::parse(BodyKind::Json, read.as_bytes(), false),
            Ok(join())
        );
    }
    assert_eq!(join().len(BodyKind::Json), len);
    assert_eq!(
        join().emit(BodyKind::Json, &mut out[..len - 1]),
        Err(NoSpace)
    );
    assert_eq!(join().emit(BodyKind::Raw, &mut out), Err(NoSpace));
}

#[test]
fn msgpack_is_of_the_old_raw_family() {
    let long = JoinBody {
        name: name(&"n".repeat(32)).unwrap(),
        uid: NonZeroU32::new(300),
        ..join()
    };
    let mut out = [0; 400];
    let len = long.emit(BodyKind::Msgpack, &mut out).unwrap();
    let head = [b"\x87\xa4name\xda\x00\x20".as_slice(), &[b'n'; 32]].concat();
    let rest = b"\xa4mode\x01\xa4kind\xcc\xc8\xa3uid\xcd\x01\x2c\xa6verhex\xda\x00\x40abab";
    assert_eq!(&out[..head.len()], head);
    assert_eq!(&out[head.len()..head.len() + rest.len()], rest);
    assert_eq!(
        JoinBody::parse(BodyKind::Msgpack, &out[..len], true),
        Ok(long)
    );
}

#[test]
fn unknown_entries_of_any_type_are_passed_over() {
    let body = format!(
        concat!(
            r#" {{ "\u006e\u0061me" : "a\u0062\ud83d\ude00" , "x":[{{"a":[],"b":{{}}}},-1,1.5E3,null,true,"\ud800"],"#,
            r#""uid":"not judged","mode":9,"mode":0,"kind":255,"verhex":"{0}","pubhex":"{1}","role":"r"}} "#
        ),
        HEX,
        HEX.to_uppercase()
    );
    let parsed = JoinBody::parse(BodyKind::Json, body.as_bytes(), false).unwrap();
    assert_eq!(
        (parsed.name.as_str(), parsed.mode, parsed.kind),
        ("ab\u{1f600}", 0, 255)
    );
    assert_eq!((parsed.uid, parsed.verify), (None, parsed.public));

    // The same for msgpack: each family once, as key or as value.
    let mut entries = vec![0x8e_u8];
    for entry in [
        b"\x01\xc0".as_slice(),
        b"\xc4\x01k\x93\xc2\xc3\xff",
        b"\xa1a\xc5\x00\x01z",
        b"\xa1b\xc7\x02\x09zz",
        b"\xa1c\xca\x00\x00\x00\x00",
        b"\xa1d\xd8\x01zzzzzzzzzzzzzzzz",
        b"\xa1e\xdc\x00\x02\xd0\x80\xd3\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\xa1f\xdf\x00\x00\x00\x01\x80\x91\xcf\x00\x00\x00\x00\x00\x00\x00\x01",
        b"\xd9\x04name\xdb\x00\x00\x00\x01n",
        b"\xa4mode\xd1\x00\x07",
        b"\xa4kind\xcc\x07",
        b"\xa4role\xa1r",
    ] {
        entries.extend(entry);
    }
    for key in ["verhex", "pubhex"] {
        entries.push(0xa6);
        entries.extend(key.as_bytes());
        entries.extend([0xd9, 0x40]);
        entries.extend(HEX.as_bytes());
    }
    let parsed = JoinBody::parse(BodyKind::Msgpack, &entries, false).unwrap();
    assert_eq!(
        (parsed.name.as_str(), parsed.mode, parsed.kind),
        ("n", 7, 7)
    );
    for cut in 0..entries.len() {
        assert!(JoinBody::parse(BodyKind::Msgpack, &entries[..cut], false).is_err());
    }
    entries.push(0xc0);
    let longer = JoinBody::parse(BodyKind::Msgpack, &entries, false);
    assert_eq!(longer, Err(BodyError::Malformed));
}

#[test]
fn each_reason_is_told() {
    assert!(JoinBody::parse(BodyKind::Json, request("\"n\"").as_bytes(), false).is_ok());
    let long = format!("\"{}\"", "n".repeat(NAME_MAX + 1));
    let names = [
        ("\"\"", BodyError::NameEmpty),
        (long.as_str(), BodyError::NameTooLong),
        ("\"a b\"", BodyError::NameCharacter),
        ("\"a\\u00a0b\"", BodyError::NameCharacter),
        ("\"a/b\"", BodyError::NameCharacter),
        ("\"a\\nb\"", BodyError::NameCharacter),
        ("\"a\\rb\"", BodyError::NameCharacter),
        ("\"a\\tb\"", BodyError::NameCharacter),
        ("\"a\\bb\"", BodyError::NameCharacter),
        ("\"a\\fb\"", BodyError::NameCharacter),
        ("\"a\\/b\"", BodyError::NameCharacter),
        ("\"a\\u0000\"", BodyError::NameCharacter),
        ("\"a\\u007f\"", BodyError::NameCharacter),
        ("\"\\ud83d\"", BodyError::NotText),
        ("\"\\ud83dx\"", BodyError::NotText),
        ("\"\\ud83d\\u0041\"", BodyError::NotText),
        ("\"\\ude00\"", BodyError::NotText),
        ("5", BodyError::WrongType),
        ("[\"n\"]", BodyError::WrongType),
        ("", BodyError::WrongType),
    ];
    for (name, reason) in names {
        assert_eq!(error(&request(name)), reason, "{name}");
    }
    let most = "n".repeat(NAME_MAX);
    assert_eq!(name(&most).unwrap().as_str(), most);

    let good = request("\"n\"");
    let changes = [
        ("\"mode\":0", "\"mode\":256", BodyError::OutOfRange),
        (
            "\"mode\":0",
            "\"mode\":99999999999999999999999",
            BodyError::OutOfRange,
        ),
        ("\"mode\":0", "\"mode\":-1", BodyError::WrongType),
        ("\"mode\":0", "\"mode\":true", BodyError::WrongType),
        ("\"mode\":0,", "", BodyError::Missing),
        ("\"kind\":0,", "", BodyError::Missing),
        ("00112233", "0011223", BodyError::BadKey),
        ("00112233", "001122330", BodyError::BadKey),
        ("00112233", "0011223g", BodyError::BadKey),
        ("\"r\"}", "\"r\"", BodyError::Malformed),
        ("\"r\"}", "\"r\"}}", BodyError::Malformed),
        ("\"r\"}", "\"r\",}", BodyError::Malformed),
        ("{", "[", BodyError::Malformed),
    ];
    for (from, to, reason) in changes {
        assert_eq!(error(&good.replacen(from, to, 1)), reason, "{to}");
    }
    assert_eq!(error(""), BodyError::Missing);
    assert_eq!(error("[1,{}]"), BodyError::NotMapping);
    assert_eq!(error("7"), BodyError::NotMapping);

    let response = |uid: &str| {
        let body = good.replacen('{', &format!("{{{uid}"), 1);
        JoinBody::parse(BodyKind::Json, body.as_bytes(), true).map(|join| join.uid)
    };
    assert_eq!(
        response("\"uid\":4294967295,"),
        Ok(NonZeroU32::new(u32::MAX))
    );
    assert_eq!(response("\"uid\":4294967296,"), Err(BodyError::OutOfRange));
    assert_eq!(response("\"uid\":0,"), Err(BodyError::ZeroUid));
    assert_eq!(response(""), Err(BodyError::Missing));
}

#[test]
fn nesting_is_bounded_without_recursion() {
    let nested = |levels: usize| format!("{{\"a\":{}{}}}", "[".repeat(levels), "]".repeat(levels));
    assert_eq!(
        check_mapping(BodyKind::Json, nested(1024).as_bytes()),
        Ok(())
    );
    let deeper = nested(1025);
    // The innermost list is empty, so it needs no level of its own.
    assert_eq!(check_mapping(BodyKind::Json, deeper.as_bytes()), Ok(()));
    let deepest = nested(1026);
    assert_eq!(
        check_mapping(BodyKind::Json, deepest.as_bytes()),
        Err(BodyError::TooDeep)
    );
    let endless = "[".repeat(100_000);
    assert_eq!(
        check_mapping(BodyKind::Json, endless.as_bytes()),
        Err(BodyError::TooDeep)
    );

    let lists = [b"\x81\x00".as_slice(), &vec![0x91; 100_000], &[0x00]].concat();
    assert_eq!(check_mapping(BodyKind::Msgpack, &lists), Ok(()));
    let promised = b"\x81\x00\xdf\xff\xff\xff\xff\xdf\xff\xff\xff\xff";
    assert_eq!(
        check_mapping(BodyKind::Msgpack, promised),
        Err(BodyError::Malformed)
    );
}

#[test]
fn message_bodies_are_mappings_or_bytes() {
    for kind in [
        BodyKind::Nada,
        BodyKind::Json,
        BodyKind::Raw,
        BodyKind::Msgpack,
    ] {
        assert_eq!(check_mapping(kind, b""), Ok(()));
    }
    assert_eq!(check_mapping(BodyKind::Raw, b"\xff"), Ok(()));
    assert_eq!(
        check_mapping(BodyKind::Nada, b"x"),
        Err(BodyError::UnfitKind)
    );
    assert_eq!(
        check_mapping(BodyKind::Json, br#"{"a":Infinity,"b":-Infinity}"#),
        Ok(())
    );
    assert_eq!(
        check_mapping(BodyKind::Json, b"{\"a\":\"\xff\"}"),
        Err(BodyError::NotText)
    );
    assert_eq!(
        check_mapping(BodyKind::Msgpack, b"\x90"),
        Err(BodyError::NotMapping)
    );
    assert_eq!(
        check_mapping(BodyKind::Msgpack, b"\xc1"),
        Err(BodyError::Malformed)
    );
}

#[test]
fn misseds_are_at_most_64() {
    let misseds: Misseds = (0..100).collect();
    assert_eq!(misseds.iter().len(), MAX_MISSEDS);
    let mut out = [0; 1024];
    for kind in [BodyKind::Json, BodyKind::Msgpack] {
        let len = misseds.emit(kind, &mut out).unwrap();
        assert_eq!(Misseds::parse(kind, &out[..len]), Ok(misseds.clone()));
    }
    let len = Misseds::from_iter([1, 65535])
        .emit(BodyKind::Json, &mut out)
        .unwrap();
    assert_eq!(&out[..len], br#"{"misseds":[1,65535]}"#);
    let len = Misseds::from_iter([1, 200])
        .emit(BodyKind::Msgpack, &mut out)
        .unwrap();
    assert_eq!(&out[..len], b"\x81\xa7misseds\x92\x01\xcc\xc8");

    let parse = |body: &str| {
        Misseds::parse(BodyKind::Json, body.as_bytes()).map(|m| m.iter().collect::<Vec<_>>())
    };
    assert_eq!(parse(r#"{"misseds":[]}"#), Ok(vec![]));
    assert_eq!(
        parse(r#"{"x":[[]],"misseds":[7 , 65536,8]}"#),
        Ok(vec![7, 8])
    );
    assert_eq!(parse(r#"{"misseds":[-1]}"#), Err(BodyError::WrongType));
    assert_eq!(parse(r#"{"misseds":5}"#), Err(BodyError::WrongType));
    assert_eq!(parse(r#"{"misseds":[1 2]}"#), Err(BodyError::Malformed));
    assert_eq!(parse("{}"), Err(BodyError::Missing));
    assert_eq!(parse(""), Err(BodyError::Missing));
    let many = format!("{{\"misseds\":[{}1]}}", "70000,".repeat(64));
    assert_eq!(parse(&many), Err(BodyError::TooMany));
}

impl Arbitrary for JoinBody {
    fn arbitrary(g: &mut Gen) -> Self {
        let key = |g: &mut Gen| core::array::from_fn(|_| u8::arbitrary(g));
        let word = |g: &mut Gen| {
            let mut word = Name::new();
            for c in String::arbitrary(g)
                .chars()
                .filter(|c| name(&format!("{c}")).is_ok())
            {
                let _ = word.push(c);
            }
            if word.is_empty() {
                name("x").unwrap()
            } else {
                word
            }
        };
        Self {
            name: word(g),
            mode: u8::arbitrary(g),
            kind: u8::arbitrary(g),
            uid: Option::arbitrary(g).and_then(NonZeroU32::new),
            verify: key(g),
            public: key(g),
            role: word(g),
        }
    }
}

#[test]
fn what_is_written_is_read() {
    fn holds(join: JoinBody) -> bool {
        let mut out = [0; 2048];
        [BodyKind::Json, BodyKind::Msgpack].into_iter().all(|kind| {
            let len = join.emit(kind, &mut out).unwrap();
            let parsed = JoinBody::parse(kind, &out[..len], join.uid.is_some());
            parsed.as_ref() == Ok(&join) && check_mapping(kind, &out[..len]).is_ok()
        })
    }
    check(2, holds as fn(JoinBody) -> bool);
}
