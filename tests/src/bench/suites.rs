//! A suite that costs next to nothing, and one that measures what it costs.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use raet_core::crypto::{Crypto, NaclSuite, Purpose, WeakKey};

/// A suite that can be made from a seed.
pub trait Suite: Crypto {
    /// A suite that draws by this seed.
    fn from_seed(seed: [u8; 32]) -> Self;
}

impl Suite for NaclSuite {
    fn from_seed(seed: [u8; 32]) -> Self {
        Self::new(&seed)
    }
}

/// A suite of keyed hashes with no security at all: a run with it costs what the engine itself costs,
/// and a little more. Signatures and tags do depend on every byte, so a packet put together wrongly
/// is refused as with a real suite.
pub struct Cheap {
    seed: [u8; 32],
}

impl Suite for Cheap {
    fn from_seed(seed: [u8; 32]) -> Self {
        Self { seed }
    }
}

/// A multiply and rotate for each eight bytes.
fn fold(key: &[u8; 32], bytes: &[u8]) -> u64 {
    let (head, _) = key.split_first_chunk::<8>().expect("8 of 32 bytes");
    let mut sum = u64::from_le_bytes(*head);
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        sum = (sum ^ u64::from_le_bytes(*word)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        sum = sum.rotate_left(29);
    }
    for byte in rest {
        sum = (sum ^ u64::from(*byte)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
    sum ^ bytes.len() as u64
}

fn repeat<const N: usize>(word: u64) -> [u8; N] {
    let mut bytes = [0; N];
    for chunk in bytes.chunks_mut(8) {
        chunk.copy_from_slice(&word.to_le_bytes()[..chunk.len()]);
    }
    bytes
}

impl Crypto for Cheap {
    type VerifyKey = [u8; 32];
    type SignKey = [u8; 32];
    type SecretKey = [u8; 32];
    type BoxKey = [u8; 32];

    fn verify_key(&self, bytes: &[u8; 32]) -> Result<[u8; 32], WeakKey> {
        Ok(*bytes)
    }

    fn is_weak_public(&self, _: &[u8; 32]) -> bool {
        false
    }

    fn verify_key_bytes(key: &[u8; 32]) -> [u8; 32] {
        *key
    }

    fn sign_key(&self, seed: &[u8; 32]) -> [u8; 32] {
        *seed
    }

    fn sign_key_public(&self, key: &[u8; 32]) -> [u8; 32] {
        *key
    }

    fn secret_key(&self, bytes: &[u8; 32]) -> [u8; 32] {
        *bytes
    }

    fn public_key(&self, key: &[u8; 32]) -> [u8; 32] {
        *key
    }

    fn box_key(&self, secret: &[u8; 32], public: &[u8; 32]) -> Result<[u8; 32], WeakKey> {
        // The same from both sides.
        let mut key = *secret;
        key.iter_mut().zip(public).for_each(|(a, b)| *a ^= b);
        Ok(key)
    }

    fn sign(&self, key: &[u8; 32], signed: &[u8]) -> [u8; 64] {
        repeat(fold(key, signed))
    }

    fn verify(&self, key: &[u8; 32], signed: &[u8], signature: &[u8; 64]) -> bool {
        *signature == repeat(fold(key, signed))
    }

    fn seal(&self, key: &[u8; 32], nonce: &[u8; 24], body: &mut [u8]) -> [u8; 16] {
        repeat(fold(key, nonce) ^ fold(key, body))
    }

    fn open(&self, key: &[u8; 32], nonce: &[u8; 24], body: &mut [u8], tag: &[u8; 16]) -> bool {
        *tag == self.seal(key, nonce, body)
    }

    fn digest(&self, parts: &[&[u8]]) -> [u8; 32] {
        let digest = |word, part: &&[u8]| fold(&repeat(word), part);
        repeat(parts.iter().fold(0, digest))
    }

    fn draw(&self, purpose: Purpose) -> [u8; 32] {
        let word = fold(&self.seed, &purpose.to_bytes());
        repeat(word ^ word >> 31)
    }
}

/// What was spent in a [`Timed`] suite: shared by all that hold it.
#[derive(Clone, Default)]
pub struct Meter(Rc<Cell<Duration>>);

impl Meter {
    /// What was spent since it was last asked.
    pub fn take(&self) -> Duration {
        self.0.take()
    }

    fn time<R>(&self, work: impl FnOnce() -> R) -> R {
        let began = Instant::now();
        let result = work();
        self.0.set(self.0.get() + began.elapsed());
        result
    }
}

/// The real suite, with the time spent in what a message or a handshake asks of it. Reading the clock
/// costs the engine's share some tens of nanoseconds a call.
pub struct Timed {
    suite: NaclSuite,
    meter: Meter,
}

impl Timed {
    /// A suite of this seed that adds what it spends to `meter`.
    pub fn new(seed: [u8; 32], meter: &Meter) -> Self {
        Self {
            suite: NaclSuite::new(&seed),
            meter: meter.clone(),
        }
    }
}

impl Crypto for Timed {
    type VerifyKey = <NaclSuite as Crypto>::VerifyKey;
    type SignKey = <NaclSuite as Crypto>::SignKey;
    type SecretKey = <NaclSuite as Crypto>::SecretKey;
    type BoxKey = <NaclSuite as Crypto>::BoxKey;

    fn verify_key(&self, bytes: &[u8; 32]) -> Result<Self::VerifyKey, WeakKey> {
        self.meter.time(|| self.suite.verify_key(bytes))
    }

    fn is_weak_public(&self, public: &[u8; 32]) -> bool {
        self.suite.is_weak_public(public)
    }

    fn verify_key_bytes(key: &Self::VerifyKey) -> [u8; 32] {
        NaclSuite::verify_key_bytes(key)
    }

    fn sign_key(&self, seed: &[u8; 32]) -> Self::SignKey {
        self.meter.time(|| self.suite.sign_key(seed))
    }

    fn sign_key_public(&self, key: &Self::SignKey) -> [u8; 32] {
        self.suite.sign_key_public(key)
    }

    fn secret_key(&self, bytes: &[u8; 32]) -> Self::SecretKey {
        self.suite.secret_key(bytes)
    }

    fn public_key(&self, key: &Self::SecretKey) -> [u8; 32] {
        self.meter.time(|| self.suite.public_key(key))
    }

    fn box_key(
        &self,
        secret: &Self::SecretKey,
        public: &[u8; 32],
    ) -> Result<Self::BoxKey, WeakKey> {
        self.meter.time(|| self.suite.box_key(secret, public))
    }

    fn sign(&self, key: &Self::SignKey, signed: &[u8]) -> [u8; 64] {
        self.meter.time(|| self.suite.sign(key, signed))
    }

    fn verify(&self, key: &Self::VerifyKey, signed: &[u8], signature: &[u8; 64]) -> bool {
        self.meter
            .time(|| self.suite.verify(key, signed, signature))
    }

    fn seal(&self, key: &Self::BoxKey, nonce: &[u8; 24], body: &mut [u8]) -> [u8; 16] {
        self.meter.time(|| self.suite.seal(key, nonce, body))
    }

    fn open(&self, key: &Self::BoxKey, nonce: &[u8; 24], body: &mut [u8], tag: &[u8; 16]) -> bool {
        self.meter.time(|| self.suite.open(key, nonce, body, tag))
    }

    fn digest(&self, parts: &[&[u8]]) -> [u8; 32] {
        self.suite.digest(parts)
    }

    fn draw(&self, purpose: Purpose) -> [u8; 32] {
        self.suite.draw(purpose)
    }

    fn draw_secret(&mut self, purpose: Purpose) -> Self::SecretKey {
        self.suite.draw_secret(purpose)
    }
}
