//! A datagram between the cheap checks and its acceptance: what it says, and whose signature must
//! prove it (hardening: H15).
//!
//! A claim owns what its check needs and borrows nothing of the engine, so checks can be made
//! together or by other threads.

use core::net::SocketAddr;

use crate::crypto::{Check, Crypto};
use crate::storage::Handle;
use crate::wire::{Frame, SIGNATURE};

/// A datagram that passed every check that is cheap. What it says is not proven yet.
pub struct Claim<'d, C: Crypto> {
    pub(super) data: &'d mut [u8],
    pub(super) frame: Frame,
    pub(super) from: SocketAddr,
    pub(super) remote: Option<Handle>,
    pub(super) signature: [u8; SIGNATURE],
    /// Whose signature it must bear; `None`: it needs none.
    pub(super) key: Option<C::VerifyKey>,
    /// The keys that a candidate brought, where they differ.
    pub(super) other: Option<C::VerifyKey>,
    pub(super) may_wait: bool,
}

/// A datagram whose signature was checked. Only [`Claim`] and [`Claims`] make one.
pub struct Checked<'d> {
    pub(super) data: &'d mut [u8],
    pub(super) frame: Frame,
    pub(super) from: SocketAddr,
    pub(super) remote: Option<Handle>,
    pub(super) proof: Proof,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Proof {
    /// It needs none: whoever sent it can change nothing that was proven.
    Needless,
    /// Signed by the owner of this key.
    Signed([u8; 32]),
    /// The signature is wrong.
    Forged,
}

impl<'d, C: Crypto> Claim<'d, C> {
    /// Whether those that came after it may be judged before it is accepted: true of the packets of
    /// messages, the crowd of a busy road. What else comes may change what the next one means.
    pub fn may_wait(&self) -> bool {
        self.may_wait
    }

    /// Checks the signature. Costs one verification at most, two where a remote is about to change
    /// its keys; none for a packet that needs no signature.
    pub fn verify(self, suite: &C) -> Checked<'d> {
        let proves =
            |key: &C::VerifyKey| suite.verify(key, signed(&self.frame, self.data), &self.signature);
        let mut proof = prove::<C>(self.key.as_ref(), proves);
        if proof == Proof::Forged && self.other.is_some() {
            proof = prove::<C>(self.other.as_ref(), proves);
        }
        self.checked(proof)
    }

    fn checked(self, proof: Proof) -> Checked<'d> {
        let Self {
            data,
            frame,
            from,
            remote,
            ..
        } = self;
        Checked {
            data,
            frame,
            from,
            remote,
            proof,
        }
    }
}

/// Up to `N` claims that [may wait](Claim::may_wait), whose signatures are checked together
/// ([`Crypto::verify_all`]).
pub struct Claims<'d, C: Crypto, const N: usize>(heapless::Vec<Claim<'d, C>, N>);

impl<C: Crypto, const N: usize> Default for Claims<'_, C, N> {
    fn default() -> Self {
        Self(heapless::Vec::new())
    }
}

impl<'d, C: Crypto, const N: usize> Claims<'d, C, N> {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether it has room for no more.
    pub fn is_full(&self) -> bool {
        self.0.is_full()
    }

    /// Takes in a claim.
    ///
    /// # Errors
    ///
    /// The claim itself, when it [may not wait](Claim::may_wait) or there is no room: check and accept
    /// those that are here first, then that one.
    #[expect(clippy::result_large_err, reason = "it is given back, not told")]
    pub fn push(&mut self, claim: Claim<'d, C>) -> Result<(), Claim<'d, C>> {
        if claim.may_wait {
            self.0.push(claim)
        } else {
            Err(claim)
        }
    }

    /// Checks them all, and hands them on in the order in which they were taken in.
    pub fn verify(self, suite: &C, mut done: impl FnMut(Checked<'d>)) {
        let mut proofs: heapless::Vec<Proof, N> = heapless::Vec::new();
        {
            let mut checks: heapless::Vec<Check<'_, C>, N> = heapless::Vec::new();
            for claim in &self.0 {
                if let Some(key) = &claim.key {
                    // As many checks as claims, at most.
                    let _ = checks.push(Check {
                        key,
                        signed: signed(&claim.frame, claim.data),
                        signature: &claim.signature,
                        ok: false,
                    });
                }
            }
            suite.verify_all(&mut checks);
            let mut checks = checks.iter();
            for claim in &self.0 {
                let proof = prove::<C>(claim.key.as_ref(), |_| {
                    checks.next().is_some_and(|check| check.ok)
                });
                let _ = proofs.push(proof);
            }
        }
        for (claim, proof) in self.0.into_iter().zip(proofs) {
            done(claim.checked(proof));
        }
    }
}

/// The packet with zeros in place of its signature (road-wire: Foot).
fn signed<'a>(frame: &Frame, data: &'a [u8]) -> &'a [u8] {
    data.get(..frame.packet_len()).unwrap_or(&[])
}

fn prove<C: Crypto>(
    key: Option<&C::VerifyKey>,
    proves: impl FnOnce(&C::VerifyKey) -> bool,
) -> Proof {
    match key {
        None => Proof::Needless,
        Some(key) if proves(key) => Proof::Signed(C::verify_key_bytes(key)),
        Some(_) => Proof::Forged,
    }
}
