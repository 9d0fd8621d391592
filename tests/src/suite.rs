//! Crypto suites for tests: [`Weak`], which is fast and protects nothing, and [`Counting`], which tells
//! what another suite was asked for.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use raet_core::crypto::{Check, Crypto, Purpose, WeakKey};

/// A suite that is the real one in everything but strength: keys differ, exchanges agree, tampering
/// and wrong keys are found, draws are repeatable. Whoever knows a public key can forge with it.
#[derive(Clone, Hash)]
pub struct Weak {
    seed: [u8; 32],
}

impl Weak {
    /// A suite that draws from this seed.
    pub const fn new(seed: &[u8; 32]) -> Self {
        Self { seed: *seed }
    }
}

/// The key and nonce of each box that suites have sealed. Shared by its clones.
#[derive(Clone)]
pub struct Seals(Rc<RefCell<Vec<[u8; 32]>>>);

impl Default for Seals {
    fn default() -> Self {
        // With room, so that an engine whose allocations are counted makes none here.
        Self(Rc::new(RefCell::new(Vec::with_capacity(1024))))
    }
}

impl Seals {
    /// A hash of key and nonce of each box sealed since the last call.
    pub fn take(&self, mut each: impl FnMut([u8; 32])) {
        self.0.borrow_mut().drain(..).for_each(&mut each);
    }
}

/// Four lanes of a 64-bit mixer over all parts: no two tests meet a collision by chance.
fn hash(parts: &[&[u8]]) -> [u8; 32] {
    let mut lanes = [1_u64, 2, 3, 4];
    let mut absorb = |word: u64| {
        for lane in &mut lanes {
            *lane = (*lane ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            *lane ^= *lane >> 29;
        }
        lanes.rotate_left(1);
        lanes[0] = lanes[0].wrapping_add(lanes[3].rotate_left(17));
    };
    for part in parts {
        absorb(part.len() as u64);
        for chunk in part.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            absorb(u64::from_le_bytes(word));
        }
    }
    absorb(0);
    absorb(0);
    let mut out = [0; 32];
    for (to, lane) in out.chunks_exact_mut(8).zip(lanes) {
        to.copy_from_slice(&lane.to_le_bytes());
    }
    out
}

fn pad(key: &[u8; 32], nonce: &[u8; 24], body: &mut [u8]) {
    let start = hash(&[b"pad", key, nonce]);
    let mut state = u64::from_le_bytes(*start.first_chunk().expect("32 bytes"));
    for chunk in body.chunks_mut(8) {
        state = state.wrapping_mul(0xD129_0DC0_2B2D_4D0D).wrapping_add(1);
        let word = (state ^ (state >> 31)).to_le_bytes();
        chunk.iter_mut().zip(word).for_each(|(b, w)| *b ^= w);
    }
}

fn tag(key: &[u8; 32], nonce: &[u8; 24], sealed: &[u8]) -> [u8; 16] {
    *hash(&[b"tag", key, nonce, sealed])
        .first_chunk()
        .expect("32 bytes")
}

impl Crypto for Weak {
    type VerifyKey = [u8; 32];
    type SignKey = [u8; 32];
    type SecretKey = [u8; 32];
    type BoxKey = [u8; 32];

    fn verify_key(&self, bytes: &[u8; 32]) -> Result<[u8; 32], WeakKey> {
        if *bytes == [0; 32] {
            return Err(WeakKey);
        }
        Ok(*bytes)
    }

    fn is_weak_public(&self, public: &[u8; 32]) -> bool {
        *public == [0; 32]
    }

    fn verify_key_bytes(key: &[u8; 32]) -> [u8; 32] {
        *key
    }

    fn sign_key(&self, seed: &[u8; 32]) -> [u8; 32] {
        hash(&[b"verify", seed])
    }

    fn sign_key_public(&self, key: &[u8; 32]) -> [u8; 32] {
        *key
    }

    fn secret_key(&self, bytes: &[u8; 32]) -> [u8; 32] {
        *bytes
    }

    fn public_key(&self, key: &[u8; 32]) -> [u8; 32] {
        hash(&[b"public", key])
    }

    fn box_key(&self, secret: &[u8; 32], public: &[u8; 32]) -> Result<[u8; 32], WeakKey> {
        if self.is_weak_public(public) {
            return Err(WeakKey);
        }
        let own = self.public_key(secret);
        Ok(hash(&[
            b"box",
            own.min(*public).as_slice(),
            own.max(*public).as_slice(),
        ]))
    }

    fn sign(&self, key: &[u8; 32], signed: &[u8]) -> [u8; 64] {
        let mut signature = [0; 64];
        let half = hash(&[b"sign", key, signed]);
        signature[..32].copy_from_slice(&half);
        signature[32..].copy_from_slice(&half);
        signature
    }

    fn verify(&self, key: &[u8; 32], signed: &[u8], signature: &[u8; 64]) -> bool {
        self.sign(key, signed) == *signature
    }

    fn seal(&self, key: &[u8; 32], nonce: &[u8; 24], body: &mut [u8]) -> [u8; 16] {
        pad(key, nonce, body);
        tag(key, nonce, body)
    }

    fn open(&self, key: &[u8; 32], nonce: &[u8; 24], body: &mut [u8], tagged: &[u8; 16]) -> bool {
        let good = tag(key, nonce, body) == *tagged;
        if good {
            pad(key, nonce, body);
        }
        good
    }

    fn digest(&self, parts: &[&[u8]]) -> [u8; 32] {
        hash(&[b"digest", &hash(parts)])
    }

    fn draw(&self, purpose: Purpose) -> [u8; 32] {
        hash(&[b"draw", &self.seed, &purpose.to_bytes()])
    }
}

/// How often a suite was asked for what. Shared by its clones.
#[derive(Clone, Default)]
pub struct Counts(Rc<Counters>);

#[derive(Default)]
struct Counters {
    expanded: Cell<u64>,
    exchanged: Cell<u64>,
    derived: Cell<u64>,
    signed: Cell<u64>,
    verified: Cell<u64>,
    sealed: Cell<u64>,
    opened: Cell<u64>,
}

fn bump(counter: &Cell<u64>) {
    counter.set(counter.get() + 1);
}

impl Counts {
    /// Signatures checked.
    pub fn verified(&self) -> u64 {
        self.0.verified.get()
    }

    /// Signatures made.
    pub fn signed(&self) -> u64 {
        self.0.signed.get()
    }

    /// Everything that computes on a curve: keys taken in, exchanges, public keys derived, signatures
    /// made and checked.
    pub fn curve(&self) -> u64 {
        let c = &*self.0;
        c.expanded.get() + c.exchanged.get() + c.derived.get() + c.signed.get() + c.verified.get()
    }

    /// Boxes sealed and opened, or tried to be.
    pub fn boxes(&self) -> u64 {
        self.0.sealed.get() + self.0.opened.get()
    }
}

/// Another suite, with a count of what it is asked for.
pub struct Counting<C> {
    suite: C,
    counts: Counts,
    seals: Option<Seals>,
}

impl<C> Counting<C> {
    /// Counts in `counts` what `suite` does.
    pub const fn new(suite: C, counts: Counts) -> Self {
        Self {
            suite,
            counts,
            seals: None,
        }
    }

    /// As [`new`](Self::new), and every box that it seals is written down.
    pub const fn recording(suite: C, counts: Counts, seals: Seals) -> Self {
        Self {
            suite,
            counts,
            seals: Some(seals),
        }
    }
}

impl<C: Crypto> Crypto for Counting<C> {
    type VerifyKey = C::VerifyKey;
    type SignKey = C::SignKey;
    type SecretKey = C::SecretKey;
    type BoxKey = C::BoxKey;

    fn verify_key(&self, bytes: &[u8; 32]) -> Result<C::VerifyKey, WeakKey> {
        bump(&self.counts.0.expanded);
        self.suite.verify_key(bytes)
    }

    fn is_weak_public(&self, public: &[u8; 32]) -> bool {
        self.suite.is_weak_public(public)
    }

    fn verify_key_bytes(key: &C::VerifyKey) -> [u8; 32] {
        C::verify_key_bytes(key)
    }

    fn sign_key(&self, seed: &[u8; 32]) -> C::SignKey {
        self.suite.sign_key(seed)
    }

    fn sign_key_public(&self, key: &C::SignKey) -> [u8; 32] {
        self.suite.sign_key_public(key)
    }

    fn secret_key(&self, bytes: &[u8; 32]) -> C::SecretKey {
        self.suite.secret_key(bytes)
    }

    fn public_key(&self, key: &C::SecretKey) -> [u8; 32] {
        bump(&self.counts.0.derived);
        self.suite.public_key(key)
    }

    fn box_key(&self, secret: &C::SecretKey, public: &[u8; 32]) -> Result<C::BoxKey, WeakKey> {
        bump(&self.counts.0.exchanged);
        self.suite.box_key(secret, public)
    }

    fn sign(&self, key: &C::SignKey, signed: &[u8]) -> [u8; 64] {
        bump(&self.counts.0.signed);
        self.suite.sign(key, signed)
    }

    fn verify(&self, key: &C::VerifyKey, signed: &[u8], signature: &[u8; 64]) -> bool {
        bump(&self.counts.0.verified);
        self.suite.verify(key, signed, signature)
    }

    fn verify_all(&self, checks: &mut [Check<'_, Self>]) {
        for check in checks {
            check.ok = self.verify(check.key, check.signed, check.signature);
        }
    }

    fn seal(&self, key: &C::BoxKey, nonce: &[u8; 24], body: &mut [u8]) -> [u8; 16] {
        bump(&self.counts.0.sealed);
        if let Some(seals) = &self.seals {
            // A key is known by how it seals nothing, under a nonce that nothing else has.
            let shown = self.suite.seal(key, &[0xff; 24], &mut []);
            seals.0.borrow_mut().push(hash(&[&shown, nonce]));
        }
        self.suite.seal(key, nonce, body)
    }

    fn open(&self, key: &C::BoxKey, nonce: &[u8; 24], body: &mut [u8], tag: &[u8; 16]) -> bool {
        bump(&self.counts.0.opened);
        self.suite.open(key, nonce, body, tag)
    }

    fn digest(&self, parts: &[&[u8]]) -> [u8; 32] {
        self.suite.digest(parts)
    }

    fn draw(&self, purpose: Purpose) -> [u8; 32] {
        self.suite.draw(purpose)
    }

    fn draw_secret(&mut self, purpose: Purpose) -> C::SecretKey {
        self.suite.draw_secret(purpose)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suite_that_checks_one_by_one_checks_many() {
        let suite = Weak::new(&[1; 32]);
        let key = suite.sign_key(&[2; 32]);
        let (good, bad) = (suite.sign(&key, b"said"), suite.sign(&key, b"not said"));
        let mut checks = [&good, &bad, &good].map(|signature| Check::<Weak> {
            key: &key,
            signed: b"said",
            signature,
            ok: false,
        });
        suite.verify_all(&mut checks);
        assert_eq!(checks.map(|check| check.ok), [true, false, true]);
    }

    #[test]
    fn the_weak_suite_keeps_the_laws_of_a_real_one() {
        let suite = Weak::new(&[1; 32]);
        let (a, b) = ([2; 32], [3; 32]);
        let ab = suite.box_key(&a, &suite.public_key(&b)).unwrap();
        let ba = suite.box_key(&b, &suite.public_key(&a)).unwrap();
        assert_eq!(ab, ba);
        let mut body = *b"thirteen here";
        let tag = suite.seal(&ab, &[7; 24], &mut body);
        assert_ne!(&body, b"thirteen here");
        let mut changed = body;
        changed[3] ^= 1;
        assert!(!suite.open(&ab, &[7; 24], &mut changed, &tag));
        assert!(!suite.open(&ab, &[8; 24], &mut body, &tag));
        assert!(suite.open(&ba, &[7; 24], &mut body, &tag));
        assert_eq!(&body, b"thirteen here");
        let key = suite.sign_key(&a);
        let signature = suite.sign(&key, b"words");
        assert!(suite.verify(&key, b"words", &signature));
        assert!(!suite.verify(&key, b"sword", &signature));
        assert!(!suite.verify(&suite.sign_key(&b), b"words", &signature));
        assert_ne!(suite.draw(Purpose::Life), suite.draw(Purpose::HashKey));
        assert_ne!(
            suite.draw(Purpose::Life),
            Weak::new(&[4; 32]).draw(Purpose::Life)
        );
    }

    #[test]
    fn what_is_asked_for_is_counted() {
        let counts = Counts::default();
        let suite = Counting::new(Weak::new(&[1; 32]), counts.clone());
        let key = suite.sign_key(&[1; 32]);
        let signature = suite.sign(&key, b"x");
        assert!(suite.verify(&key, b"x", &signature));
        assert!(suite.box_key(&[1; 32], &[2; 32]).is_ok());
        assert_eq!(
            (counts.signed(), counts.verified(), counts.curve()),
            (1, 1, 3)
        );
        suite.seal(&[1; 32], &[0; 24], &mut []);
        assert_eq!((counts.boxes(), counts.curve()), (1, 3));
    }
}
