use core::fmt::{Debug, Display};

use quickcheck::{Gen, QuickCheck, Testable};
use zeroize::ZeroizeOnDrop;

use super::hex::{self, HexError};
use super::nacl::hsalsa20;
use super::*;

extern crate std;
use std::collections::BTreeSet;
use std::string::ToString;
use std::vec::Vec;

const SUITE_SEED: [u8; 32] = [7; 32];

fn suite() -> NaclSuite {
    NaclSuite::new(&SUITE_SEED)
}

fn bytes(digits: &str) -> [u8; 32] {
    hex::decode(digits.as_bytes()).unwrap()
}

/// Any number of bytes from hex, by another way than the code under test.
fn unhex<const N: usize>(digits: &str) -> [u8; N] {
    let at = |i| u8::from_str_radix(&digits[2 * i..2 * i + 2], 16).unwrap();
    assert_eq!(digits.len(), 2 * N);
    core::array::from_fn(at)
}

// Two estates of a session recorded from the reference: (sighex, prihex, verhex, pubhex).
const MAIN: [&str; 4] = [
    "a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a101",
    "b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b102",
    "0579a4d422f45e413d1e9330e1f90156ed6752a4e691ac6dd2e933eb94d41ec6",
    "09106acee253ad850696b607262295f23f76f1a4acf94abbb661d4bf2e2dec28",
];
const OTHER: [&str; 4] = [
    "a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a203",
    "b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b204",
    "3ff926cfc28d92769f3d7aeb6f691b4287bcd6d4cd63a991ab33abeba436e7a5",
    "2fc51976a8935e3e9856f8d6853602e2778bb5cbc3dc9c7348d0de04412d1228",
];

// The head of the ack that main answered an initiate with, and its foot.
const ACK: &str = concat!(
    "ri RAET\npl 008c\nhl 4c\nfg 01\npk 1\nse b\nde 15\nsi 1\nti 2\ntk 3\nbk 2\nfk 1\n",
    "fl 40\n\n"
);
const ACK_FOOT: &str = "61ccc9eeb48d15839dba30e4417b77090c6cdc1078f5db1f031131dd495154ff\
                        1b598a0ef342f210ac478b5b63f84a82655eb7914244169c42862ea4b4434a01";

// The vouch of other's initiate: its short public key, boxed from its long key to main's.
const VOUCH: &str = "c9096162d4268030814164855bcc855b4589e8755c5543c257aaa3d7c4cdab14\
                     c4f1da7e5ed28df8bd11567bf4f9d081";
const VOUCH_NONCE: &str = "404bdbed4980130bcdcb3e54dd3e2f93768573e399d05d87";
const VOUCHED: &str = "686f9334febb2c059a1d35c8aa2db4e31747b5f15206b43567bc3dd94ab72150";

fn acked() -> Vec<u8> {
    [ACK.as_bytes(), &[0; 64]].concat()
}

fn box_keys() -> (NaclBoxKey, NaclBoxKey) {
    let key = |mine: [&str; 4], theirs: [&str; 4]| {
        suite()
            .box_key(&suite().secret_key(&bytes(mine[1])), &bytes(theirs[3]))
            .unwrap()
    };
    (key(OTHER, MAIN), key(MAIN, OTHER))
}

#[test]
fn secrets_give_the_public_keys_that_the_reference_derives() {
    for [sig, pri, ver, public] in [MAIN, OTHER] {
        let secrets = Secrets::from_hex(sig, pri).unwrap();
        let keys = secrets.public_keys(&suite());
        assert_eq!(keys, PublicKeys::from_hex(ver, public).unwrap());
        assert_eq!(keys.to_string(), std::format!("{ver}:{public}"));
        let key = suite().verify_key(&keys.verify).unwrap();
        assert_eq!(NaclSuite::verify_key_bytes(&key), keys.verify);
    }
}

#[test]
fn a_foot_of_the_reference_is_made_and_accepted() {
    let suite = suite();
    let foot = unhex(ACK_FOOT);
    assert_eq!(suite.sign(&suite.sign_key(&bytes(MAIN[0])), &acked()), foot);
    let main = suite.verify_key(&bytes(MAIN[2])).unwrap();
    assert!(suite.verify(&main, &acked(), &foot));
    assert!(!suite.verify(
        &suite.verify_key(&bytes(OTHER[2])).unwrap(),
        &acked(),
        &foot
    ));
    for bit in (0..512).step_by(7) {
        let mut bent = foot;
        bent[bit / 8] ^= 1 << (bit % 8);
        assert!(!suite.verify(&main, &acked(), &bent), "bit {bit}");
    }
    assert!(
        !suite.verify(&main, ACK.as_bytes(), &foot),
        "the zeros are signed too"
    );
}

#[test]
fn a_signature_has_one_form() {
    // s + the group's order is the same scalar, and would pass if s were reduced.
    let order: [u8; 32] = unhex("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
    let mut foot: [u8; 64] = unhex(ACK_FOOT);
    let mut carry = 0;
    for (s, l) in foot[32..].iter_mut().zip(order) {
        let sum = u16::from(*s) + u16::from(l) + carry;
        *s = sum as u8;
        carry = sum >> 8;
    }
    assert_eq!(carry, 0);
    assert!(!suite().verify(
        &suite().verify_key(&bytes(MAIN[2])).unwrap(),
        &acked(),
        &foot
    ));
}

#[allow(clippy::needless_pass_by_value, reason = "quickcheck calls it so")]
fn many_checks_have_the_answers_of_each(damage: Vec<u8>) -> bool {
    let suite = suite();
    let (main, other) = (
        suite.sign_key(&bytes(MAIN[0])),
        suite.sign_key(&bytes(OTHER[0])),
    );
    let keys = [&main, &other].map(|key| suite.verify_key(&suite.sign_key_public(key)).unwrap());
    // What each was signed with, and what was done to it since: mostly nothing.
    let packets: Vec<_> = (damage.iter().enumerate())
        .map(|(n, damage)| {
            let signed = [n as u8; 30];
            let mut signature = suite.sign(if n % 3 == 0 { &main } else { &other }, &signed);
            match damage {
                0..16 => signature[usize::from(*damage) * 4] ^= 1 << (n % 8),
                16 => signature = [0; 64],
                17 => signature = suite.sign(if n % 3 == 0 { &other } else { &main }, &signed),
                _ => {}
            }
            (&keys[usize::from(n % 3 != 0)], signed, signature)
        })
        .collect();
    let mut checks: Vec<_> = (packets.iter().enumerate())
        .map(|(n, &(key, ref signed, ref signature))| Check {
            key,
            signed,
            signature,
            ok: n % 2 == 0,
        })
        .collect();
    suite.verify_all(&mut checks);
    (checks.iter().zip(&packets))
        .all(|(check, (key, signed, signature))| check.ok == suite.verify(key, signed, signature))
}

#[test]
fn checks_made_together_have_the_answers_of_each() {
    QuickCheck::new()
        .tests(60)
        .quickcheck(many_checks_have_the_answers_of_each as fn(Vec<u8>) -> bool);
}

#[test]
fn a_box_of_the_reference_is_made_and_opened_from_both_ends() {
    let suite = suite();
    let nonce = unhex(VOUCH_NONCE);
    let vouch: [u8; 48] = unhex(VOUCH);
    let (tag, sealed): (&[u8; 16], _) = vouch.split_first_chunk().unwrap();
    let (from, to) = box_keys();
    for key in [from, to] {
        let mut body = bytes(VOUCHED);
        assert_eq!(suite.seal(&key, &nonce, &mut body), *tag);
        assert_eq!(body, *sealed);
        assert!(suite.open(&key, &nonce, &mut body, tag));
        assert_eq!(body, bytes(VOUCHED));
    }
}

#[allow(clippy::needless_pass_by_value, reason = "quickcheck calls it so")]
fn shut_box_holds(body: Vec<u8>, nonce: u64, bit: usize) -> bool {
    let (suite, key) = (suite(), box_keys().0);
    let mut at = [0; 24];
    at[..8].copy_from_slice(&nonce.to_le_bytes());
    let mut sealed = body.clone();
    let tag = suite.seal(&key, &at, &mut sealed);

    let mut bent = [&tag[..], &sealed].concat();
    let bit = bit % (8 * bent.len());
    bent[bit / 8] ^= 1 << (bit % 8);
    let mut rest = bent.split_off(16);
    let (before, bent_tag) = (rest.clone(), bent.try_into().unwrap());
    let shut = !suite.open(&key, &at, &mut rest, &bent_tag) && rest == before;

    let mut elsewhere = at;
    elsewhere[23] ^= 1;
    let other_nonce = suite.open(&key, &elsewhere, &mut sealed.clone(), &tag);
    shut && !other_nonce && suite.open(&key, &at, &mut sealed, &tag) && sealed == body
}

#[test]
fn a_box_that_was_touched_stays_shut_and_as_it_was() {
    seeded(shut_box_holds as fn(_, _, _) -> _);
}

fn hex_is_undone(remote: u64) -> bool {
    let key = suite().draw(Purpose::Spread { remote });
    let digits = hex::encode(&key);
    hex::decode(&digits) == Ok(key) && unhex(core::str::from_utf8(&digits).unwrap()) == key
}

#[test]
fn hex_comes_back_as_the_bytes_it_came_from() {
    seeded(hex_is_undone as fn(_) -> _);
}

fn seeded(property: impl Testable) {
    QuickCheck::new()
        .rng(Gen::from_size_and_seed(200, 1))
        .quickcheck(property);
}

#[test]
fn hex_takes_64_lower_case_digits_and_nothing_else() {
    assert_eq!(hex::decode(b""), Err(HexError::Length));
    assert_eq!(hex::decode(&[b'0'; 63]), Err(HexError::Length));
    assert_eq!(hex::decode(&[b'0'; 65]), Err(HexError::Length));
    for byte in 0..=255 {
        for place in [0, 31, 63] {
            let mut digits = [b'5'; 64];
            digits[place] = byte;
            let good = matches!(byte, b'0'..=b'9' | b'a'..=b'f');
            let decoded = hex::decode(&digits);
            assert_eq!(decoded.is_ok(), good, "{byte} at {place}");
            assert_eq!(decoded.err(), (!good).then_some(HexError::Digit));
        }
    }
    assert_eq!(
        Secrets::from_hex(MAIN[0], "zz").err(),
        Some(HexError::Length)
    );
    assert_eq!(
        PublicKeys::from_hex("é", MAIN[3]).err(),
        Some(HexError::Length)
    );
}

const SMALL_ORDER: [&str; 8] = [
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
];

//= hardening: H16
#[test]
fn weak_signing_keys_are_refused() {
    let refused = |key: &[u8; 32]| suite().verify_key(key).err() == Some(WeakKey);
    for key in SMALL_ORDER {
        // A point all right: nothing but its order speaks against it.
        assert!(
            ed25519_dalek::VerifyingKey::from_bytes(&bytes(key))
                .unwrap()
                .is_weak()
        );
        assert!(refused(&bytes(key)), "{key}");
    }
    // y = 1 and y = -1 have x = 0, which has no sign.
    for key in [SMALL_ORDER[0], SMALL_ORDER[1]] {
        let mut key = bytes(key);
        key[31] |= 0x80;
        assert!(refused(&key));
    }
    // y from p up to 2^255 - 1, with either sign of x.
    let mut strong = 0;
    for low in 0xed..=0xff {
        for top in [0x7f, 0xff] {
            let mut key = [0xff; 32];
            (key[0], key[31]) = (low, top);
            assert!(refused(&key), "{low:x} {top:x}");
            let point = ed25519_dalek::VerifyingKey::from_bytes(&key);
            strong += usize::from(point.is_ok_and(|point| !point.is_weak()));
        }
    }
    assert!(strong > 0, "the form alone has to be refused as well");
    // No point of the curve.
    assert!(refused(&unhex(
        "0200000000000000000000000000000000000000000000000000000000000000"
    )));
}

//= hardening: H16
#[test]
fn an_exchange_that_gives_zero_is_refused() {
    let weak = [
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    ];
    for key in weak {
        for top in [0, 0x80] {
            let mut key = bytes(key);
            key[31] |= top;
            let secret = suite().secret_key(&bytes(MAIN[1]));
            assert_eq!(
                suite().box_key(&secret, &key).err(),
                Some(WeakKey),
                "{key:x?}"
            );
        }
    }
}

#[test]
fn each_purpose_draws_its_own_bytes_and_the_same_again() {
    let numbers = [
        0,
        1,
        255,
        256,
        u64::from(u32::MAX),
        1 << 32,
        1 << 56,
        u64::MAX,
    ];
    let mut purposes = std::vec![Purpose::Life, Purpose::HashKey];
    for remote in numbers {
        purposes.push(Purpose::Spread { remote });
        for attempt in [0, 1, 256, u32::MAX] {
            purposes.extend([
                Purpose::NearUid { remote, attempt },
                Purpose::JoinId { remote, attempt },
                Purpose::ShortSecret { remote, attempt },
                Purpose::Cookie { remote, attempt },
                Purpose::HelloNonce { remote, attempt },
                Purpose::CookieNonce { remote, attempt },
                Purpose::InitiateNonce { remote, attempt },
                Purpose::VouchNonce { remote, attempt },
            ]);
        }
    }
    let inputs: BTreeSet<_> = purposes.iter().map(|purpose| purpose.to_bytes()).collect();
    let drawn: BTreeSet<_> = purposes
        .iter()
        .map(|purpose| suite().draw(*purpose))
        .collect();
    assert_eq!(
        (inputs.len(), drawn.len()),
        (purposes.len(), purposes.len())
    );

    let (first, again, apart) = (suite(), suite(), NaclSuite::new(&[8; 32]));
    for purpose in purposes.iter().rev() {
        assert_eq!(first.draw(*purpose), again.draw(*purpose));
        assert_ne!(first.draw(*purpose), apart.draw(*purpose));
    }
}

#[test]
fn what_is_drawn_stays_the_same_from_version_to_version() {
    let purpose = Purpose::ShortSecret {
        remote: 0x0102_0304_0506_0708,
        attempt: 0x0a0b_0c0d,
    };
    let input = [4, 8, 7, 6, 5, 4, 3, 2, 1, 0xd, 0xc, 0xb, 0xa, 0, 0, 0];
    assert_eq!(purpose.to_bytes(), input);
    // HSalsa20 of NaCl's own test "core1": the first input of Life is all zeros.
    let seed = bytes("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");
    let first = bytes("1b27556473e985d462cd51197a9a46c76009549eac6474f206c4ee0844f68389");
    assert_eq!(Purpose::Life.to_bytes(), [0; 16]);
    assert_eq!(*hsalsa20(&seed, &[0; 16]), first);
}

#[test]
fn a_short_term_secret_cannot_be_drawn_again() {
    let purpose = Purpose::ShortSecret {
        remote: 1,
        attempt: 1,
    };
    let (mut one, mut other) = (suite(), suite());
    let mut drawn = BTreeSet::new();
    for _ in 0..10 {
        let public = one.draw_secret(purpose);
        let public = one.public_key(&public);
        let same = other.draw_secret(purpose);
        assert_eq!(
            public,
            other.public_key(&same),
            "the same seed, the same draws"
        );
        assert!(drawn.insert(public), "but never the same one twice");
    }
}

#[test]
fn fingerprints_tell_keys_apart() {
    let keys = PublicKeys::from_hex(MAIN[2], MAIN[3]).unwrap();
    let shown = keys.fingerprint().to_string();
    assert_eq!(shown, "e2fd-33f4-16d3-48c8-48d4-2985-cf1a-f7f7");
    let debug = std::format!("{:?}", keys.fingerprint());
    assert_eq!(debug, std::format!("Fingerprint({shown})"));
    for place in 0..64 {
        let mut bent = keys;
        if place < 32 {
            bent.verify[place] ^= 1;
        } else {
            bent.public[place - 32] ^= 1;
        }
        assert_ne!(bent.fingerprint(), keys.fingerprint());
    }
    let swapped = PublicKeys {
        verify: keys.public,
        public: keys.verify,
    };
    assert_ne!(swapped.fingerprint(), keys.fingerprint());
}

#[test]
fn a_hash_of_keys_tells_them_apart_under_its_key() {
    let keys = PublicKeys::from_hex(MAIN[2], MAIN[3]).unwrap();
    let hash = keys.hash(&[1; 32]);
    assert_eq!(keys.hash(&[1; 32]), hash);
    assert_ne!(keys.hash(&[2; 32]), hash);
    for place in 0..64 {
        let mut bent = keys;
        if place < 32 {
            bent.verify[place] ^= 1;
        } else {
            bent.public[place - 32] ^= 1;
        }
        assert_ne!(bent.hash(&[1; 32]), hash, "{place}");
    }
}

/// Does not compile if the type has the trait: the call could then mean either implementation.
macro_rules! never {
    ($trait:path: $($type:ty),+) => { $({
        trait Ambiguous<A> { fn call() {} }
        struct Has;
        impl<T> Ambiguous<()> for T {}
        impl<T: $trait> Ambiguous<Has> for T {}
        <$type as Ambiguous<_>>::call();
    })+ };
}

fn wiped<T: ZeroizeOnDrop>() {}

#[test]
fn secrets_cannot_be_shown_or_copied_about_and_are_wiped() {
    never!(Debug: Secrets, NaclSuite, NaclSignKey, NaclSecretKey, NaclBoxKey);
    never!(Display: Secrets, NaclSuite, NaclSignKey, NaclSecretKey, NaclBoxKey);
    never!(Clone: Secrets, NaclSuite, NaclSignKey, NaclSecretKey);
    never!(Copy: NaclBoxKey);

    // What they are made of is wiped on drop; XSalsa20Poly1305 is too, without saying so in its type.
    wiped::<zeroize::Zeroizing<[u8; 32]>>();
    wiped::<ed25519_dalek::hazmat::ExpandedSecretKey>();
    wiped::<x25519_dalek::StaticSecret>();
    assert!(core::mem::needs_drop::<NaclBoxKey>());
}

#[test]
fn a_digest_is_half_of_sha512() {
    // FIPS 180-4, the example of one block.
    let half = bytes("ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a");
    assert_eq!(suite().digest(&[b"abc"]), half);
    assert_eq!(suite().digest(&[b"a", b"", b"bc"]), half);
}
