//! A crypto suite whose randomness follows a script: what a recorded estate drew, ours draws too.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

use raet_core::crypto::{Crypto, NaclSuite, Purpose, WeakKey};

/// Values to be drawn, a queue for each kind of purpose. What is shared is shared by its clones.
///
/// The first draw for a purpose takes the front of its kind's queue, every further draw for the
/// same purpose gives the same; where no value is left, the seeded suite draws.
#[derive(Clone, Default)]
pub struct Script(Rc<RefCell<Lines>>);

#[derive(Default)]
struct Lines {
    queues: HashMap<u8, VecDeque<Vec<u8>>>,
    drawn: HashMap<Purpose, [u8; 32]>,
}

impl Script {
    /// Puts `value` at the end of the queue of `like`'s kind; its remote and attempt do not matter.
    ///
    /// # Panics
    ///
    /// If `value` is longer than a draw.
    pub fn push(&self, like: Purpose, value: &[u8]) {
        assert!(value.len() <= 32, "a draw has 32 bytes");
        let mut lines = self.0.borrow_mut();
        lines
            .queues
            .entry(kind(like))
            .or_default()
            .push_back(value.to_vec());
    }
}

fn kind(purpose: Purpose) -> u8 {
    purpose.to_bytes()[0]
}

/// [`NaclSuite`] with a [`Script`] for its randomness.
pub struct Scripted {
    suite: NaclSuite,
    script: Script,
}

impl Scripted {
    /// Draws by `script` first, then from `seed`.
    pub fn new(seed: &[u8; 32], script: Script) -> Self {
        Self {
            suite: NaclSuite::new(seed),
            script,
        }
    }
}

impl Crypto for Scripted {
    type VerifyKey = <NaclSuite as Crypto>::VerifyKey;
    type SignKey = <NaclSuite as Crypto>::SignKey;
    type SecretKey = <NaclSuite as Crypto>::SecretKey;
    type BoxKey = <NaclSuite as Crypto>::BoxKey;

    fn verify_key(&self, bytes: &[u8; 32]) -> Result<Self::VerifyKey, WeakKey> {
        self.suite.verify_key(bytes)
    }

    fn verify_key_bytes(key: &Self::VerifyKey) -> [u8; 32] {
        NaclSuite::verify_key_bytes(key)
    }

    fn sign_key(&self, seed: &[u8; 32]) -> Self::SignKey {
        self.suite.sign_key(seed)
    }

    fn sign_key_public(&self, key: &Self::SignKey) -> [u8; 32] {
        self.suite.sign_key_public(key)
    }

    fn secret_key(&self, bytes: &[u8; 32]) -> Self::SecretKey {
        self.suite.secret_key(bytes)
    }

    fn public_key(&self, key: &Self::SecretKey) -> [u8; 32] {
        self.suite.public_key(key)
    }

    fn is_weak_public(&self, public: &[u8; 32]) -> bool {
        self.suite.is_weak_public(public)
    }

    fn box_key(
        &self,
        secret: &Self::SecretKey,
        public: &[u8; 32],
    ) -> Result<Self::BoxKey, WeakKey> {
        self.suite.box_key(secret, public)
    }

    fn sign(&self, key: &Self::SignKey, signed: &[u8]) -> [u8; 64] {
        self.suite.sign(key, signed)
    }

    fn verify(&self, key: &Self::VerifyKey, signed: &[u8], signature: &[u8; 64]) -> bool {
        self.suite.verify(key, signed, signature)
    }

    fn seal(&self, key: &Self::BoxKey, nonce: &[u8; 24], body: &mut [u8]) -> [u8; 16] {
        self.suite.seal(key, nonce, body)
    }

    fn open(&self, key: &Self::BoxKey, nonce: &[u8; 24], body: &mut [u8], tag: &[u8; 16]) -> bool {
        self.suite.open(key, nonce, body, tag)
    }

    fn digest(&self, parts: &[&[u8]]) -> [u8; 32] {
        self.suite.digest(parts)
    }

    fn draw(&self, purpose: Purpose) -> [u8; 32] {
        let mut lines = self.script.0.borrow_mut();
        if let Some(drawn) = lines.drawn.get(&purpose) {
            return *drawn;
        }
        let mut drawn = self.suite.draw(purpose);
        if let Some(value) = lines
            .queues
            .get_mut(&kind(purpose))
            .and_then(VecDeque::pop_front)
        {
            drawn[..value.len()].copy_from_slice(&value);
        }
        lines.drawn.insert(purpose, drawn);
        drawn
    }
}
