use quickcheck::{Arbitrary, Gen};
use std::format;
use std::string::String;
use std::vec::Vec;

use super::{check, std};
use crate::wire::*;

/// A native packet of these lines with right lengths.
fn native(lines: &str, rest: &[u8]) -> Vec<u8> {
    let head_len = "ri RAET\npl 0000\nhl 00\n".len() + lines.len() + 2;
    let packet_len = head_len + rest.len();
    let head = format!("ri RAET\npl {packet_len:04x}\nhl {head_len:02x}\n{lines}\n\n");
    [head.as_bytes(), rest].concat()
}

/// A JSON packet of these members with right lengths.
fn json(members: &str, rest: &[u8]) -> Vec<u8> {
    let head_len = r#"{"ri":"RAET","pl":"0000000","hl":"00",}"#.len() + members.len() + 4;
    let packet_len = head_len + rest.len();
    let head = format!(
        "{{\"ri\":\"RAET\",\"pl\":\"{packet_len:07x}\",\"hl\":\"{head_len:02x}\",{members}}}\r\n\r\n"
    );
    [head.as_bytes(), rest].concat()
}

fn error(datagram: &[u8]) -> WireError {
    Frame::parse(datagram).unwrap_err()
}

#[test]
fn a_native_head_is_read() {
    let raw = b"ri RAET\npl 0051\nhl 51\nfg 05\npk f\nse b\nde 15\nsi 2\nti 3\nbk 1\nck 1\n\n";
    assert_eq!(error(raw), WireError::HeadLengthDiffers);

    let raw = native("fg 05\npk f\nse b\nde 15\nsi 2\nti 3\nbk 1\nck 1", b"coat");
    let frame = Frame::parse(&raw).unwrap();
    let expected = Head {
        flags: Flags::CORRESPONDENT | Flags::WAIT,
        source: 11,
        destination: 21,
        session: 2,
        transaction_id: 3,
        body: BodyKind::Json,
        coat: CoatKind::Nacl,
        ..Head::new(PacketKind::Done, TransactionKind::Message)
    };
    assert_eq!(frame.head, expected);
    assert_eq!(&raw[frame.coat()], b"coat");
    assert_eq!(frame.foot(), raw.len()..raw.len());
    assert_eq!(
        (frame.signed_len(), frame.packet_len()),
        (raw.len(), raw.len())
    );
}

#[test]
fn a_receiver_is_liberal() {
    let plain = Frame::parse(&native("fg 01\nse ab\nti 1", b""))
        .unwrap()
        .head;
    // Any order, width and case, and the last of repeated fields.
    let odd = native(
        "ti 00000000000000000001\nri RAET\nse 5\nse AB\nfg 00001",
        b"",
    );
    assert_eq!(Frame::parse(&odd).unwrap().head, plain);

    let plain = Frame::parse(&json(r#""fg":"01","hk":1,"se":171,"ti":1"#, b""))
        .unwrap()
        .head;
    let odd = json(
        r#""x":{"y":[1,"\ud800",{"z":-1.5e+3}],"n":NaN}, "ti" : 1,"hk":1,"se":3,"se":171,"fg":"1""#,
        b"",
    );
    assert_eq!(Frame::parse(&odd).unwrap().head, plain);
}

#[test]
fn each_reason_is_told() {
    use WireError::*;

    let native_cases: [(&str, WireError); 22] = [
        ("fg", Malformed),
        ("fg 0 0", Malformed),
        ("fg  0", Malformed),
        ("fg ", Malformed),
        ("zz 1", UnknownField),
        ("bl 1", UnknownField),
        ("ri RAEX", BadValue),
        ("se -1", BadValue),
        ("se +1", BadValue),
        ("se 0x1", BadValue),
        ("dt now", BadValue),
        ("dt 1.2.3", BadValue),
        ("dt 1111111111111111111111111", BadValue),
        ("se 100000000", TooWide),
        ("fg 100", TooWide),
        ("hk 1", HeadKindDiffers),
        ("hk 2", HeadKindDiffers),
        ("vn 1", UnknownVersion),
        ("pk 10", UnknownPacket),
        ("tk 5", UnknownTransaction),
        ("fl 5", FootOutside),
        ("fk 1\nfl 4", SignatureLength),
    ];
    for (lines, reason) in native_cases {
        assert_eq!(error(&native(lines, b"coat")), reason, "{lines}");
    }
    let json_cases = [
        ("\"hk\":0", HeadKindDiffers),
        ("\"se\":1", HeadKindDiffers),
        ("\"hk\":1,", Malformed),
        ("\"hk\":1 \"se\":1", Malformed),
        ("\"hk\":01", Malformed),
        ("\"hk\":1,\"x\":\"\\q\"", Malformed),
        ("\"hk\":1,\"x\":\"\\u12g4\"", Malformed),
        ("\"hk\":1,\"x\":\"\t\"", Malformed),
        ("\"hk\":1,\"x\":tru", Malformed),
        ("\"hk\":1,x:1", Malformed),
        ("\"hk\":1}{", Malformed),
        ("\"hk\":1,\"x\":\"\u{e9}\"", Malformed),
        ("\"hk\":1,\"se\":\"1\"", BadValue),
        ("\"hk\":1,\"se\":-1", BadValue),
        ("\"hk\":1,\"se\":1.0", BadValue),
        ("\"hk\":1,\"se\":true", BadValue),
        ("\"hk\":1,\"fg\":1", BadValue),
        ("\"hk\":1,\"ri\":\"x\"", BadValue),
        ("\"hk\":1,\"se\":4294967296", TooWide),
        ("\"hk\":1,\"se\":99999999999999999999", TooWide),
        ("\"hk\":1,\"bk\":4", UnknownBody),
        ("\"hk\":1,\"ck\":2", UnknownCoat),
        ("\"hk\":1,\"fk\":2", UnknownFoot),
    ];
    for (members, reason) in json_cases {
        assert_eq!(error(&json(members, b"coat")), reason, "{members}");
    }
    // The binary head is reserved, whatever it will look like.
    for raw in [
        b"".as_slice(),
        b"\x02\x00",
        b"ri RAET",
        b"{\"ri\": \"RAET\",",
    ] {
        assert_eq!(error(raw), UnknownHead);
    }
    let cut = native("fg 00", b"coat");
    assert_eq!(error(&cut[..cut.len() - 1]), PacketLengthDiffers);
    let endless = [b"ri RAET\n".as_slice(), &[b'x'; 2000], b"\n\n"].concat();
    assert_eq!(error(&endless), Unterminated);
}

#[test]
fn a_head_may_have_255_bytes() {
    let fill = 255 - native("se 1", b"").len();
    let longest = native(&format!("se {}1", "0".repeat(fill)), b"coat");
    assert_eq!(Frame::parse(&longest).unwrap().head_len(), MAX_HEAD);
    let longer = native(&format!("se {}1", "0".repeat(fill + 1)), b"coat");
    assert_eq!(error(&longer), WireError::Unterminated);
}

#[test]
fn a_foot_of_no_kind_is_cut_off() {
    let raw = native("fl 3", b"coatxyz");
    let frame = Frame::parse(&raw).unwrap();
    assert_eq!(
        (&raw[frame.coat()], &raw[frame.foot()]),
        (b"coat".as_slice(), b"xyz".as_slice())
    );
}

#[test]
fn the_date_stays_text() {
    for zero in ["0", "0.0", "-0", "0e12", "0.00E-1"] {
        assert_eq!(DateTime::new(zero), Some(DateTime::ZERO), "{zero}");
    }
    assert_eq!(DateTime::ZERO.as_str(), "0");
    assert_eq!(DateTime::default(), DateTime::ZERO);
    assert_eq!(format!("{:?}", DateTime::new("1.5").unwrap()), "1.5");
    for kept in ["1", "-1.5", "1e-07", "10", "1500000000.123456"] {
        assert_eq!(DateTime::new(kept).unwrap().as_str(), kept);
    }
    for bad in ["", "-", ".5", "5.", "01", "1e", "nan", "inf", "1 ", "0x1"] {
        assert_eq!(DateTime::new(bad), None, "{bad}");
    }
    let head = Head {
        date: DateTime::new("1.5").unwrap(),
        ..Head::default()
    };
    let mut out = [0; MAX_HEAD];
    let len = emit_head(&head, 0, &mut out).unwrap();
    assert_eq!(
        &out[..len],
        b"ri RAET\npl 0024\nhl 24\nfg 00\ndt 1.5\n\n".as_slice()
    );
}

#[test]
fn reasons_count_from_zero() {
    assert!(
        WireError::ALL
            .iter()
            .enumerate()
            .all(|(place, reason)| reason.index() == place)
    );
    assert!(
        BodyError::ALL
            .iter()
            .enumerate()
            .all(|(place, reason)| reason.index() == place)
    );
    let texts: std::collections::BTreeSet<String> = WireError::ALL
        .iter()
        .map(|reason| format!("{reason}"))
        .collect();
    assert_eq!(texts.len(), WireError::ALL.len());
}

#[test]
fn a_head_that_cannot_be_is_not_written() {
    let mut out = [0; 300];
    assert_eq!(
        emit_head(&Head::default(), 0x1_0000, &mut out),
        Err(NoSpace)
    );
    let len = head_len(&Head::default());
    assert_eq!(
        emit_head(&Head::default(), 0, &mut out[..len - 1]),
        Err(NoSpace)
    );
    assert_eq!(emit_head(&Head::default(), 0, &mut out[..len]), Ok(len));
    let long = Head {
        kind: HeadKind::Json,
        source: u32::MAX,
        destination: u32::MAX,
        session: u32::MAX,
        transaction_id: u32::MAX,
        order: u32::MAX,
        segment: u32::MAX,
        segments: u32::MAX,
        coat_len: u32::MAX,
        body: BodyKind::Msgpack,
        coat: CoatKind::Nacl,
        foot: FootKind::Nacl,
        date: DateTime::new("1.2345678901234567e-300").unwrap(),
        ..Head::new(PacketKind::Done, TransactionKind::Alive)
    };
    assert_eq!(head_len(&long), MAX_HEAD + 5);
    assert_eq!(emit_head(&long, 0, &mut out), Err(NoSpace));
}

impl Arbitrary for Head {
    fn arbitrary(g: &mut Gen) -> Self {
        let small = |g: &mut Gen| u32::arbitrary(g) >> (u32::arbitrary(g) % 32);
        let one_of = |g: &mut Gen, kinds: u32| u32::arbitrary(g) % kinds;
        let dates = ["0", "1.5", "-2e+16"];
        Self {
            kind: HeadKind::from_wire(one_of(g, 2)).unwrap(),
            flags: Flags::from_wire(u8::arbitrary(g)),
            packet: PacketKind::from_wire(one_of(g, 16)).unwrap(),
            transaction: TransactionKind::from_wire(one_of(g, 5)).unwrap(),
            body: BodyKind::from_wire(one_of(g, 4)).unwrap(),
            coat: CoatKind::from_wire(one_of(g, 2)).unwrap(),
            foot: FootKind::from_wire(one_of(g, 2)).unwrap(),
            source: small(g),
            destination: small(g),
            session: small(g),
            transaction_id: small(g),
            date: DateTime::new(g.choose(&dates).unwrap()).unwrap(),
            order: small(g),
            segment: small(g),
            segments: small(g),
            coat_len: small(g),
        }
    }
}

#[test]
fn what_is_written_is_read() {
    fn holds(head: Head, coat: Vec<u8>) -> bool {
        let mut out = [0; MAX_HEAD];
        let Ok(len) = emit_head(&head, coat.len(), &mut out) else {
            return head_len(&head) > MAX_HEAD;
        };
        let raw = [&out[..len], &coat, &[0; SIGNATURE][..head.foot.len()]].concat();
        let frame = Frame::parse(&raw).unwrap();
        len == head_len(&head)
            && frame.head == head
            && raw[frame.coat()] == coat
            && frame.foot().len() == head.foot.len()
    }
    check(1, holds as fn(Head, Vec<u8>) -> bool);
}
