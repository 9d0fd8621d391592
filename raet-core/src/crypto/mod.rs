//! Keys, boxes, signatures and randomness, behind one static trait.
//!
//! Here lives everything that touches a secret. Nothing here knows a packet, a remote or a moment,
//! and no secret type can be printed; each is wiped when dropped. The engine is generic over
//! [`Crypto`], so that a faster suite, a batching one or a scripted one takes the place of
//! [`NaclSuite`] without a box or a heap.

pub mod hex;
mod keys;
mod nacl;
#[cfg(test)]
mod tests;

pub use keys::{Fingerprint, PublicKeys, Secrets};
pub use nacl::{NaclBoxKey, NaclSecretKey, NaclSignKey, NaclSuite, NaclVerifyKey};

use zeroize::Zeroizing;

/// A public key that proves nothing: of small order or not canonical (Ed25519), or one whose X25519
/// exchange gives zero. Refused at join and allow (hardening: H16).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WeakKey;

impl core::fmt::Display for WeakKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("a public key of small order or not canonical")
    }
}

impl core::error::Error for WeakKey {}

/// What a random value is for. The same purpose always draws the same bytes from a suite, so what is
/// drawn does not depend on the order in which the engine is polled, and a repeat of a packet needs
/// nothing kept but the numbers below.
///
/// So whatever must be fresh must have a purpose never used before. `remote` is a number that the
/// engine gives out once in its life (not the near uid, which may come again); `attempt` is the engine's
/// own count, for that remote, of what the variant is about. Neither may be a number that the peer chose:
/// it picks its session and transaction ids, and could by repeating them make us repeat a
/// short-term key and a cookie, and so take a recorded handshake for a new one. Allows begun and allows
/// answered share one count, for the two may have equal session and transaction ids.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
#[allow(
    missing_docs,
    reason = "the fields are told above, once for all variants"
)]
pub enum Purpose {
    /// 16 bytes that name this life of the engine: the part of each coat's nonce that differs from those
    /// of every other estate and every earlier life (road-wire: Coat).
    Life,
    /// The key of the engine's hashes.
    HashKey,
    /// A near uid (road-wire: Ids); `attempt` counts those found taken.
    NearUid { remote: u64, attempt: u32 },
    /// The 32-bit transaction id of a join (H3).
    JoinId { remote: u64, attempt: u32 },
    /// The short-term X25519 secret of an allow, begun or answered (road-transactions: Allow).
    ShortSecret { remote: u64, attempt: u32 },
    /// The 24-byte cookie of an allow answered.
    Cookie { remote: u64, attempt: u32 },
    /// The 24-byte nonce of a hello's box.
    HelloNonce { remote: u64, attempt: u32 },
    /// The 24-byte nonce of a cookie's box.
    CookieNonce { remote: u64, attempt: u32 },
    /// The 24-byte nonce of an initiate's box.
    InitiateNonce { remote: u64, attempt: u32 },
    /// The 24-byte nonce of the vouch inside an initiate.
    VouchNonce { remote: u64, attempt: u32 },
    /// Spreads the presence of many remotes over time.
    Spread { remote: u64 },
}

impl Purpose {
    /// The purpose as 16 bytes, different for different purposes:
    ///
    /// ```text
    /// 0      1                9            13     16
    /// | tag  | remote, LE     | attempt, LE | zero |
    /// ```
    ///
    /// Each variant has a tag of its own; a field that it lacks is zero.
    pub fn to_bytes(self) -> [u8; 16] {
        let (tag, remote, attempt) = match self {
            Self::Life => (0, 0, 0),
            Self::HashKey => (1, 0, 0),
            Self::NearUid { remote, attempt } => (2, remote, attempt),
            Self::JoinId { remote, attempt } => (3, remote, attempt),
            Self::ShortSecret { remote, attempt } => (4, remote, attempt),
            Self::Cookie { remote, attempt } => (5, remote, attempt),
            Self::HelloNonce { remote, attempt } => (6, remote, attempt),
            Self::CookieNonce { remote, attempt } => (7, remote, attempt),
            Self::InitiateNonce { remote, attempt } => (8, remote, attempt),
            Self::VouchNonce { remote, attempt } => (9, remote, attempt),
            Self::Spread { remote } => (10, remote, 0),
        };
        let mut bytes = [0; 16];
        let (head, rest) = bytes.split_at_mut(1);
        let (middle, tail) = rest.split_at_mut(8);
        head.fill(tag);
        middle.copy_from_slice(&remote.to_le_bytes());
        tail.split_at_mut(4)
            .0
            .copy_from_slice(&attempt.to_le_bytes());
        bytes
    }
}

/// One signature to check among many: see [`Crypto::verify_all`].
pub struct Check<'a, C: Crypto + ?Sized> {
    /// The key of the supposed signer.
    pub key: &'a C::VerifyKey,
    /// What was signed, see [`Crypto::sign`].
    pub signed: &'a [u8],
    /// The signature.
    pub signature: &'a [u8; 64],
    /// The answer, written by the check.
    pub ok: bool,
}

/// The primitives of RAET as one suite. Every method but the draws is a function of its
/// arguments alone, and none may take time that depends on a secret.
pub trait Crypto {
    /// An Ed25519 public key, checked and expanded once.
    type VerifyKey: Clone;
    /// An Ed25519 signing key, expanded once. Wiped on drop.
    type SignKey;
    /// An X25519 secret, long-term or short-term. Wiped on drop.
    type SecretKey;
    /// The key of all boxes between two X25519 keys, in either direction. Wiped on drop.
    type BoxKey: Clone;

    /// Takes in a peer's Ed25519 key.
    ///
    /// # Errors
    ///
    /// [`WeakKey`] when it is no point of the curve, of small order or not canonical (H16).
    fn verify_key(&self, bytes: &[u8; 32]) -> Result<Self::VerifyKey, WeakKey>;

    /// Whether an X25519 exchange with this public key gives zero, whatever the secret (H16).
    fn is_weak_public(&self, public: &[u8; 32]) -> bool;

    /// The bytes that `key` was made of.
    fn verify_key_bytes(key: &Self::VerifyKey) -> [u8; 32];

    /// Expands an Ed25519 seed (`sighex` in the reference's keep).
    fn sign_key(&self, seed: &[u8; 32]) -> Self::SignKey;

    /// The Ed25519 public key (`verhex`) of `key`.
    fn sign_key_public(&self, key: &Self::SignKey) -> [u8; 32];

    /// Takes in an X25519 secret (`prihex`); any 32 bytes are one.
    fn secret_key(&self, bytes: &[u8; 32]) -> Self::SecretKey;

    /// The X25519 public key (`pubhex`) of `key`.
    fn public_key(&self, key: &Self::SecretKey) -> [u8; 32];

    /// Computes once what each box between the two keys needs: `HSalsa20(X25519(secret, public))`, the
    /// reference's `beforenm` (road-wire: Coat).
    ///
    /// # Errors
    ///
    /// [`WeakKey`] when the exchange gives zero (H16), found in constant time.
    fn box_key(&self, secret: &Self::SecretKey, public: &[u8; 32])
    -> Result<Self::BoxKey, WeakKey>;

    /// Signs `signed` as it stands. A packet's is `head ‖ coat ‖ 64 zero bytes` (road-wire: Foot), so a
    /// sender zeroes the place of the foot, signs all, and puts the signature there.
    fn sign(&self, key: &Self::SignKey, signed: &[u8]) -> [u8; 64];

    /// Whether `signature` is that of `key` over `signed`: Ed25519 without the cofactor, `R` compared
    /// as bytes and `s` below the group's order. It accepts all that the reference makes.
    fn verify(&self, key: &Self::VerifyKey, signed: &[u8], signature: &[u8; 64]) -> bool;

    /// Answers many [`Check`]s, each like [`verify`](Self::verify). A suite may do them together.
    ///
    /// Together, the answers for one signer's signatures may depend on each other where that signer
    /// made them wrong on purpose (an `R` with a part of small order, which only the owner of the
    /// secret key can fit an `s` to): such a one may pass here and not alone. It is still the owner's
    /// word, so nobody gains by it; to its maker it is as if the network had lost some.
    fn verify_all(&self, checks: &mut [Check<'_, Self>]) {
        for check in checks {
            check.ok = self.verify(check.key, check.signed, check.signature);
        }
    }

    /// Encrypts `body` in place (XSalsa20-Poly1305) and returns the tag, which stands before the
    /// ciphertext on the wire. A `nonce` must never come twice under one key, from either end.
    fn seal(&self, key: &Self::BoxKey, nonce: &[u8; 24], body: &mut [u8]) -> [u8; 16];

    /// Decrypts `body` in place if `tag` is right, else leaves it as it was and returns false. The tag
    /// is compared in constant time.
    fn open(&self, key: &Self::BoxKey, nonce: &[u8; 24], body: &mut [u8], tag: &[u8; 16]) -> bool;

    /// The first half of SHA-512 over `parts`, one after the other. What it is of is not secret.
    fn digest(&self, parts: &[&[u8]]) -> [u8; 32];

    /// 32 bytes that nobody can guess who does not have the suite's seed. A shorter value is the first
    /// of them.
    fn draw(&self, purpose: Purpose) -> [u8; 32];

    /// An X25519 secret drawn for `purpose`, with no copy left behind. Drawn once, in the order in
    /// which allows begin (which polling does not change), so a suite may make it one that nobody can
    /// draw again.
    fn draw_secret(&mut self, purpose: Purpose) -> Self::SecretKey {
        self.secret_key(&Zeroizing::new(self.draw(purpose)))
    }
}
