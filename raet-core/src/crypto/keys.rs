//! The long-term keys of an estate, as the host keeps them and as people compare them.

use core::fmt;

use ed25519_dalek::{Digest, Sha512};
use zeroize::Zeroizing;

use super::Crypto;
use super::hex::{self, HexError};
use super::nacl::hsalsa20;

/// The two long-term secrets of an estate's role: an Ed25519 seed (`sighex`) and an X25519 secret
/// (`prihex`). Wiped on drop; cannot be printed, compared or cloned.
///
/// ```compile_fail
/// let secrets = raet_core::crypto::Secrets::new(&[1; 32], &[2; 32]);
/// println!("{secrets:?}");
/// ```
pub struct Secrets {
    seed: Zeroizing<[u8; 32]>,
    secret: Zeroizing<[u8; 32]>,
}

impl Secrets {
    /// Takes the Ed25519 seed and the X25519 secret; of a new estate, each 32 random bytes of its own.
    pub fn new(sign_seed: &[u8; 32], box_secret: &[u8; 32]) -> Self {
        Self {
            seed: Zeroizing::new(*sign_seed),
            secret: Zeroizing::new(*box_secret),
        }
    }

    /// Takes them as 64 lower-case hex digits each.
    ///
    /// # Errors
    ///
    /// [`HexError`] when either is something else.
    pub fn from_hex(sign_seed: &str, box_secret: &str) -> Result<Self, HexError> {
        let seed = Zeroizing::new(hex::decode(sign_seed.as_bytes())?);
        let secret = Zeroizing::new(hex::decode(box_secret.as_bytes())?);
        Ok(Self { seed, secret })
    }

    /// The Ed25519 seed, to be kept or expanded and nothing else.
    pub fn sign_seed(&self) -> &[u8; 32] {
        &self.seed
    }

    /// The X25519 secret, to be kept or used and nothing else.
    pub fn box_secret(&self) -> &[u8; 32] {
        &self.secret
    }

    /// For a copy of an engine, which only a suite that protects nothing can have.
    pub(crate) fn copy(&self) -> Self {
        Self::new(&self.seed, &self.secret)
    }

    /// The public halves.
    pub fn public_keys<C: Crypto>(&self, crypto: &C) -> PublicKeys {
        PublicKeys {
            verify: crypto.sign_key_public(&crypto.sign_key(&self.seed)),
            public: crypto.public_key(&crypto.secret_key(&self.secret)),
        }
    }
}

/// The two long-term public keys of a role, as a join tells them; a claim, not checked. Shown as two times
/// 64 hex digits, `verhex:pubhex`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PublicKeys {
    /// Ed25519 (`verhex`).
    pub verify: [u8; 32],
    /// X25519 (`pubhex`).
    pub public: [u8; 32],
}

impl PublicKeys {
    /// Takes both keys as 64 lower-case hex digits each.
    ///
    /// # Errors
    ///
    /// [`HexError`] when either is something else.
    pub fn from_hex(verify: &str, public: &str) -> Result<Self, HexError> {
        let (verify, public) = (
            hex::decode(verify.as_bytes())?,
            hex::decode(public.as_bytes())?,
        );
        Ok(Self { verify, public })
    }

    /// A short form for people to compare before they accept the keys (H17).
    pub fn fingerprint(&self) -> Fingerprint {
        let hash = Sha512::new()
            .chain_update(b"raet fingerprint")
            .chain_update(self.verify)
            .chain_update(self.public)
            .finalize();
        let mut short = [0; 16];
        short.iter_mut().zip(hash).for_each(|(to, from)| *to = from);
        Fingerprint(short)
    }

    /// A hash for comparing keys with those of another moment: nobody who does not have `key` can make
    /// two pairs that have the same. The cascade of a pseudo-random function, over inputs of one length.
    pub(crate) fn hash(&self, key: &[u8; 32]) -> u32 {
        let mut state = Zeroizing::new(*key);
        for half in [&self.verify, &self.public] {
            for block in half.as_chunks().0 {
                state = hsalsa20(&state, block);
            }
        }
        let [first, second, third, fourth, ..] = *state;
        u32::from_le_bytes([first, second, third, fourth])
    }
}

impl fmt::Display for PublicKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.verify)?;
        f.write_str(":")?;
        write_hex(f, &self.public)
    }
}

impl fmt::Debug for PublicKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKeys({self})")
    }
}

/// The first 128 bits of a SHA-512 over both public keys. Shown as eight groups of four hex
/// digits: `0123-4567-…`. Nobody can make other keys that have a given one.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 16]);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, group) in self.0.chunks(2).enumerate() {
            f.write_str(if i == 0 { "" } else { "-" })?;
            write_hex(f, group)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

fn write_hex(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}
