//! Randomness. **For QEMU only**: neither board has a random generator, so the host's is read over
//! semihosting. A real board reads its TRNG here, and fails if that fails its health tests.

use raet_embedded::entropy::Entropy;

use crate::semihosting::{File, Mode, Refused};

/// The host's randomness.
pub struct Host;

impl Entropy for Host {
    type Error = Refused;

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), Refused> {
        File::open(c"/dev/urandom", Mode::Read)?.read(0, bytes)
    }
}
