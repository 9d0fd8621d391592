//! The suite of the deployed reference in portable Rust.

#[cfg(feature = "batch")]
use alloc::vec::Vec;

#[cfg(feature = "batch")]
use super::Check;
#[cfg(feature = "batch")]
use ed25519_dalek::verify_batch;

use ed25519_dalek::hazmat::{ExpandedSecretKey, raw_sign};
use ed25519_dalek::{Digest, Sha512, Signature, Verifier, VerifyingKey};
use salsa20::cipher::consts::U10;
use x25519_dalek::{PublicKey, StaticSecret};
use xsalsa20poly1305::{AeadInPlace, KeyInit, XSalsa20Poly1305};
use zeroize::Zeroizing;

use super::{Crypto, Purpose, WeakKey};

/// Ed25519, X25519 and XSalsa20-Poly1305, with randomness from one seed.
///
/// Randomness is `HSalsa20(seed, purpose)`: a pseudo-random function, whose outputs for different
/// inputs cannot be told from independent random ones without the seed. So a draw needs no state,
/// no order among draws matters, and no draw tells anything about another.
///
/// Short-term secrets are drawn from a chain of their own that goes on with each of them, by the
/// same function, and keeps no way back: who reads the memory learns no secret of a session that
/// was begun before.
pub struct NaclSuite {
    seed: Zeroizing<[u8; 32]>,
    /// The key that the next short-term secret is drawn with; gone when it was.
    chain: Zeroizing<[u8; 32]>,
}

/// Inputs of the function that no purpose has: their tags are above all others.
const DRAWS: [u8; 16] = [0xff; 16];
const CHAIN: [u8; 16] = [0xfe; 16];

impl NaclSuite {
    /// A suite with the given seed: 32 bytes from the operating system's or the board's random
    /// generator, **fresh at each construction** and kept nowhere. A seed used again repeats nonces
    /// and short-term keys, which gives the sessions away.
    pub fn new(seed: &[u8; 32]) -> Self {
        // The given seed is dropped: neither half leads to the other.
        Self {
            seed: hsalsa20(seed, &DRAWS),
            chain: hsalsa20(seed, &CHAIN),
        }
    }
}

/// A checked Ed25519 public key, decompressed once.
#[derive(Clone)]
pub struct NaclVerifyKey(VerifyingKey);

/// An Ed25519 signing key, its seed hashed once; the public half belongs to it for good, since signing
/// under another one gives the secret away.
pub struct NaclSignKey {
    expanded: ExpandedSecretKey,
    public: VerifyingKey,
}

/// An X25519 secret.
pub struct NaclSecretKey(StaticSecret);

/// The precomputed key of `crypto_box`.
#[derive(Clone)]
pub struct NaclBoxKey(XSalsa20Poly1305);

impl Crypto for NaclSuite {
    type VerifyKey = NaclVerifyKey;
    type SignKey = NaclSignKey;
    type SecretKey = NaclSecretKey;
    type BoxKey = NaclBoxKey;

    fn is_weak_public(&self, public: &[u8; 32]) -> bool {
        // The highest bit is not looked at by X25519.
        let mut plain = *public;
        plain[31] &= 0x7f;
        SMALL_ORDER.contains(&plain)
    }

    fn verify_key(&self, bytes: &[u8; 32]) -> Result<NaclVerifyKey, WeakKey> {
        let key = VerifyingKey::from_bytes(bytes).map_err(|_| WeakKey)?;
        // Decompression reduces an oversized y and drops the sign of x = 0; only the way back shows it.
        let canonical = key.to_edwards().compress().as_bytes() == bytes;
        if canonical && !key.is_weak() {
            Ok(NaclVerifyKey(key))
        } else {
            Err(WeakKey)
        }
    }

    fn verify_key_bytes(key: &NaclVerifyKey) -> [u8; 32] {
        key.0.to_bytes()
    }

    fn sign_key(&self, seed: &[u8; 32]) -> NaclSignKey {
        let expanded = ExpandedSecretKey::from(seed);
        let public = VerifyingKey::from(&expanded);
        NaclSignKey { expanded, public }
    }

    fn sign_key_public(&self, key: &NaclSignKey) -> [u8; 32] {
        key.public.to_bytes()
    }

    fn secret_key(&self, bytes: &[u8; 32]) -> NaclSecretKey {
        NaclSecretKey(StaticSecret::from(*bytes))
    }

    fn public_key(&self, key: &NaclSecretKey) -> [u8; 32] {
        PublicKey::from(&key.0).to_bytes()
    }

    fn box_key(&self, secret: &NaclSecretKey, public: &[u8; 32]) -> Result<NaclBoxKey, WeakKey> {
        let shared = secret.0.diffie_hellman(&PublicKey::from(*public));
        if !shared.was_contributory() {
            return Err(WeakKey);
        }
        let key = hsalsa20(shared.as_bytes(), &[0; 16]);
        Ok(NaclBoxKey(XSalsa20Poly1305::new((&*key).into())))
    }

    fn sign(&self, key: &NaclSignKey, signed: &[u8]) -> [u8; 64] {
        raw_sign::<Sha512>(&key.expanded, signed, &key.public).to_bytes()
    }

    fn verify(&self, key: &NaclVerifyKey, signed: &[u8], signature: &[u8; 64]) -> bool {
        key.0
            .verify(signed, &Signature::from_bytes(signature))
            .is_ok()
    }

    /// In one equation ([Bernstein et al., section 5]), about half the work from eight on; if it does
    /// not hold, one by one. So a forged signature costs the others of its batch what they would have
    /// saved, and at most as much again.
    ///
    /// [Bernstein et al., section 5]: https://ed25519.cr.yp.to/ed25519-20110926.pdf
    #[cfg(feature = "batch")]
    fn verify_all(&self, checks: &mut [Check<'_, Self>]) {
        let together = checks.len() > 1 && {
            let signed: Vec<&[u8]> = checks.iter().map(|check| check.signed).collect();
            let signatures: Vec<Signature> = checks
                .iter()
                .map(|check| Signature::from_bytes(check.signature))
                .collect();
            let keys: Vec<VerifyingKey> = checks.iter().map(|check| check.key.0).collect();
            verify_batch(&signed, &signatures, &keys).is_ok()
        };
        for check in checks {
            check.ok = together || self.verify(check.key, check.signed, check.signature);
        }
    }

    fn seal(&self, key: &NaclBoxKey, nonce: &[u8; 24], body: &mut [u8]) -> [u8; 16] {
        // Fails only when there is associated data, and there is none.
        let sealed = key.0.encrypt_in_place_detached(nonce.into(), &[], body);
        sealed.expect("no associated data").into()
    }

    fn open(&self, key: &NaclBoxKey, nonce: &[u8; 24], body: &mut [u8], tag: &[u8; 16]) -> bool {
        key.0
            .decrypt_in_place_detached(nonce.into(), &[], body, tag.into())
            .is_ok()
    }

    fn digest(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut hash = Sha512::new();
        for part in parts {
            hash.update(part);
        }
        let mut half = [0; 32];
        half.copy_from_slice(&hash.finalize()[..32]);
        half
    }

    fn draw(&self, purpose: Purpose) -> [u8; 32] {
        *hsalsa20(&self.seed, &purpose.to_bytes())
    }

    fn draw_secret(&mut self, purpose: Purpose) -> NaclSecretKey {
        let secret = hsalsa20(&self.chain, &purpose.to_bytes());
        self.chain = hsalsa20(&self.chain, &CHAIN);
        self.secret_key(&secret)
    }
}

pub(super) fn hsalsa20(key: &[u8; 32], input: &[u8; 16]) -> Zeroizing<[u8; 32]> {
    Zeroizing::new(salsa20::hsalsa::<U10>(key.into(), input.into()).into())
}

/// The u-coordinates of all points of small order on Curve25519 and its twist, with the encodings
/// that are not reduced: an exchange with any of them gives zero (RFC 7748, section 6.1).
const SMALL_ORDER: [[u8; 32]; 7] = [
    [
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x00,
    ],
    [
        0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x00,
    ],
    [
        0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4,
        0x6a, 0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49,
        0xb8, 0x00,
    ],
    [
        0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1, 0x55, 0x9c, 0x83, 0xef,
        0x5b, 0x04, 0x44, 0x5c, 0xc4, 0x58, 0x1c, 0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f,
        0x11, 0x57,
    ],
    [
        0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0x7f,
    ],
    [
        0xed, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0x7f,
    ],
    [
        0xee, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0x7f,
    ],
];
