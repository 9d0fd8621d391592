//! The hash that feeds an [`Index`](super::Index).

use core::net::SocketAddr;

use siphasher::sip::SipHasher13;

/// Hashes what an index finds, under a key that nobody outside knows.
pub trait KeyHash: Clone {
    /// The hash under this key, which must be random and kept from peers.
    fn new(key: [u8; 16]) -> Self;

    /// Hashes a key of an index. The same hash and key give the same number, always.
    fn of(&self, key: &(impl Key + ?Sized)) -> u32;
}

/// What can be looked up: something that is told by its bytes.
pub trait Key {
    /// Hands its bytes to `hash`: equal ones for what is equal.
    fn feed(&self, hash: impl FnOnce(&[u8]) -> u32) -> u32;
}

impl Key for str {
    fn feed(&self, hash: impl FnOnce(&[u8]) -> u32) -> u32 {
        hash(self.as_bytes())
    }
}

impl Key for u32 {
    fn feed(&self, hash: impl FnOnce(&[u8]) -> u32) -> u32 {
        hash(&self.to_le_bytes())
    }
}

impl Key for (u32, u32) {
    fn feed(&self, hash: impl FnOnce(&[u8]) -> u32) -> u32 {
        let [first, second] = [self.0, self.1].map(u32::to_le_bytes);
        let mut bytes = [0; 8];
        let (low, high) = bytes.split_at_mut(4);
        low.copy_from_slice(&first);
        high.copy_from_slice(&second);
        hash(&bytes)
    }
}

impl Key for SocketAddr {
    fn feed(&self, hash: impl FnOnce(&[u8]) -> u32) -> u32 {
        let mut bytes = [0; 22];
        let (ip, rest) = bytes.split_at_mut(16);
        let (port, scope) = rest.split_at_mut(2);
        match self {
            Self::V4(v4) => ip.copy_from_slice(&v4.ip().to_ipv6_mapped().octets()),
            Self::V6(v6) => {
                ip.copy_from_slice(&v6.ip().octets());
                scope.copy_from_slice(&v6.scope_id().to_be_bytes());
            }
        }
        port.copy_from_slice(&self.port().to_be_bytes());
        hash(&bytes)
    }
}

/// A 32-bit hash under a secret key (SipHash-1-3, truncated).
///
/// Peers choose much of what is looked up: names, addresses, ids. Without the key they cannot
/// choose what collides, so no peer can make look-ups slow. Not a message authentication code.
#[derive(Clone)]
pub struct KeyedHash(SipHasher13);

impl KeyHash for KeyedHash {
    fn new(key: [u8; 16]) -> Self {
        Self(SipHasher13::new_with_key(&key))
    }

    fn of(&self, key: &(impl Key + ?Sized)) -> u32 {
        key.feed(|bytes| self.0.hash(bytes) as u32)
    }
}

impl core::fmt::Debug for KeyedHash {
    /// Without the key.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("KeyedHash").finish_non_exhaustive()
    }
}

/// No hash: all keys collide. For an index that scans, and asks about each of its few slots anyway.
#[derive(Clone, Debug)]
pub struct Unhashed;

impl KeyHash for Unhashed {
    fn new(_key: [u8; 16]) -> Self {
        Self
    }

    fn of(&self, _key: &(impl Key + ?Sized)) -> u32 {
        0
    }
}
