//! Randomness, as the board makes it.

use zeroize::Zeroizing;

use crate::node::StartError;

/// A source of random bytes: the true random generator of the board.
///
/// What it must do: give bytes that nobody can guess or has seen, **fresh at every start**. They
/// become the keys of an estate, once, and the seed of each life. A seed that comes twice repeats
/// nonces and short-term keys, which gives the sessions of both lives away.
///
/// What must not be behind it: a counter, a clock, an uninitialised memory, a number baked into the
/// image, a noise pin without a health test, a pseudo-random generator that is not seeded at each
/// start by something better. A board that has nothing better should not run RAET; there is no
/// source to fall back on, and a node does not start without one.
pub trait Entropy {
    /// Why there are no bytes: the generator failed its health test, or is not there.
    type Error: core::fmt::Debug;

    /// Fills `bytes`, all of them.
    ///
    /// # Errors
    ///
    /// When it cannot vouch for them. What it wrote is not used then.
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), Self::Error>;
}

impl<E: Entropy> Entropy for &mut E {
    type Error = E::Error;

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), Self::Error> {
        (**self).fill(bytes)
    }
}

/// 32 bytes from a source that does not obviously stand still.
pub(crate) fn fresh<K, E: Entropy>(
    entropy: &mut E,
) -> Result<Zeroizing<[u8; 32]>, StartError<K, E::Error>> {
    let (mut first, mut second) = (Zeroizing::new([0; 32]), Zeroizing::new([0; 32]));
    entropy.fill(&mut *first).map_err(StartError::Entropy)?;
    entropy.fill(&mut *second).map_err(StartError::Entropy)?;
    let dull = |bytes: &[u8; 32]| bytes.iter().all(|byte| *byte == bytes[0]);
    if *first == *second || dull(&first) || dull(&second) {
        return Err(StartError::NotRandom);
    }
    Ok(first)
}
