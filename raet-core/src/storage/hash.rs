//! The hash that feeds an [`Index`](super::Index).

use siphasher::sip::SipHasher13;

/// A 32-bit hash under a secret key (SipHash-1-3, truncated).
///
/// Peers choose much of what is looked up: names, addresses, ids. Without the key they cannot
/// choose what collides, so no peer can make look-ups slow. Not a message authentication code.
#[derive(Clone)]
pub struct KeyedHash(SipHasher13);

impl KeyedHash {
    /// The hash under this key, which must be random and kept from peers.
    pub fn new(key: [u8; 16]) -> Self {
        Self(SipHasher13::new_with_key(&key))
    }

    /// Hashes `bytes`. The same key and bytes give the same hash on every machine.
    pub fn hash(&self, bytes: &[u8]) -> u32 {
        self.0.hash(bytes) as u32
    }
}

impl core::fmt::Debug for KeyedHash {
    /// Without the key.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("KeyedHash").finish_non_exhaustive()
    }
}
