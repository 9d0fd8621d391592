use core::array::from_fn;
use std::vec::Vec;

use super::std;
use crate::wire::handshake::{Cookie, CookieInner, HELLO_PLAIN, Hello, Initiate, InitiateInner};
use crate::wire::{BodyError, NoSpace};

fn counted<const N: usize>(from: u8) -> [u8; N] {
    from_fn(|at| from.wrapping_add(at as u8))
}

#[test]
fn layouts_are_as_long_as_the_protocol_says() {
    let lengths = [
        Hello::LEN,
        Cookie::LEN,
        CookieInner::LEN,
        Initiate::LEN,
        InitiateInner::LEN,
    ];
    assert_eq!(lengths, [200, 104, 64, 328, 232]);
}

#[test]
fn a_hello_has_its_plain_part() {
    let hello = Hello {
        short: counted(1),
        boxed: counted(40),
        nonce: counted(130),
    };
    let mut out = [0; 200];
    assert_eq!(hello.emit(&mut out), Ok(200));
    assert_eq!(out[..64], HELLO_PLAIN);
    assert_eq!(
        out[64..],
        counted::<32>(1)
            .into_iter()
            .chain(counted::<80>(40))
            .chain(counted::<24>(130))
            .collect::<Vec<_>>()
    );
    assert!(Hello::parse(&out) == Ok(hello));
    assert!(Hello::parse(&out[..199]) == Err(BodyError::WrongLength));
    assert!(Hello::parse(&[&out[..], b"x"].concat()) == Err(BodyError::WrongLength));
    assert_eq!(hello.emit(&mut [0; 199]), Err(NoSpace));
    out[63] = b'1';
    assert!(Hello::parse(&out) == Err(BodyError::WrongFiller));
}

#[test]
fn the_ids_in_a_cookie_are_big_endian() {
    let inner = CookieInner {
        short: counted(0),
        near: 0x0102_0304,
        far: 0xfffe,
        cookie: counted(9),
    };
    let mut out = [0; 64];
    assert_eq!(inner.emit(&mut out), Ok(64));
    assert_eq!(out[32..40], [1, 2, 3, 4, 0, 0, 0xff, 0xfe]);
    assert!(CookieInner::parse(&out) == Ok(inner));
    assert!(CookieInner::parse(&out[1..]) == Err(BodyError::WrongLength));
    assert!(CookieInner::parse(&[0; 65]) == Err(BodyError::WrongLength));
}

#[test]
fn each_length_but_the_right_one_is_refused() {
    let bytes = [7; 400];
    for len in 0..=bytes.len() {
        let bytes = &bytes[..len];
        assert_eq!(Cookie::parse(bytes).is_ok(), len == 104);
        assert_eq!(Initiate::parse(bytes).is_ok(), len == 328);
        assert_eq!(InitiateInner::parse(bytes).is_ok(), len == 232);
        assert_eq!(CookieInner::parse(bytes).is_ok(), len == 64);
        assert!(Hello::parse(bytes).is_err());
    }
}

#[test]
fn the_free_field_tells_of_names_or_of_a_host() {
    let mut inner = InitiateInner {
        public: [1; 32],
        vouch: [2; 48],
        nonce: [3; 24],
        name: InitiateInner::names_field(&[0xa5; 32]),
    };
    assert!(inner.tells_names());
    let text = core::str::from_utf8(&inner.name).unwrap();
    assert_eq!(
        text.trim_end_matches(' '),
        ["names:", &"a5".repeat(32)].concat()
    );
    for host in ["", "names.example.org", "1.0.0.127.in-addr.arpa", "::1"] {
        inner.name = [b' '; 128];
        inner.name[..host.len()].copy_from_slice(host.as_bytes());
        assert!(!inner.tells_names(), "{host}");
    }
}
