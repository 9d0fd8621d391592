//! Who the node is: what the command line and the flash say.

use core::ffi::CStr;
use core::net::SocketAddr;

use embedded_storage::nor_flash::{NorFlash as _, ReadNorFlash as _};
use raet_core::config::{Config, Presence, Trust};
use raet_core::crypto::Secrets;
use raet_core::wire::name;
use raet_embedded::entropy::Entropy;

use crate::entropy::Host;
use crate::flash::{Flash, PAGE};
use crate::{say, semihosting};

/// The host, as QEMU's user network shows it to its guest.
const HOST: [u8; 4] = [10, 0, 2, 2];
/// This node there, as the network calls it.
pub const OWN: [u8; 4] = [10, 0, 2, 15];

/// Stands before the secrets in the first page of the flash. The rest of the chip is the keep's.
const MARK: [u8; 8] = *b"RAETkeys";

/// What QEMU's command line asks for.
pub struct Setup {
    /// Where the main estate is.
    pub main: SocketAddr,
    /// The node itself.
    pub config: Config,
    /// Where its keep is.
    pub flash: Flash,
}

/// Reads the arguments `PORT NAME FLASH`: the main estate's port on the host, the node's own name, and the file
/// that stands for its flash.
///
/// There is no node without all three: the program ends and says what is wrong.
pub fn read() -> Setup {
    let mut room = [0; 192];
    let Some(setup) = understand(semihosting::arguments(&mut room)) else {
        say!("usage: -semihosting-config ...,arg=PORT,arg=NAME,arg=FLASH");
        semihosting::exit(2)
    };
    setup
}

fn understand(arguments: &str) -> Option<Setup> {
    let mut words = arguments.split(' ');
    let port = words.next()?.parse().ok()?;
    let name = name(words.next()?).ok()?;
    let mut path = [0; 128];
    let word = words.next()?.as_bytes();
    path.get_mut(..word.len())?.copy_from_slice(word);
    let path = CStr::from_bytes_until_nul(&path).ok()?;
    let Ok(mut flash) = Flash::open(path) else {
        say!("the flash cannot be opened");
        semihosting::exit(3)
    };
    let mut config = Config::new(name, secrets(&mut flash));
    // The first keys that the main estate shows are kept, and no others taken.
    config.trust = Trust::Once;
    config.presence = Some(Presence::default());
    Some(Setup {
        main: SocketAddr::from((HOST, port)),
        config,
        flash,
    })
}

/// The node's keys, made at its first start.
fn secrets(flash: &mut Flash) -> Secrets {
    let mut page = [0; MARK.len() + 64];
    if flash.read(0, &mut page).is_ok()
        && let Some(secrets) = kept(&page)
    {
        return secrets;
    }
    say!("new keys");
    let (mark, fresh) = page.split_at_mut(MARK.len());
    mark.copy_from_slice(&MARK);
    let stored = Host.fill(fresh).is_ok() && flash.erase(0, PAGE).is_ok() && {
        // The mark goes last: keys that a power cut broke off are no keys.
        let rest = page.get(MARK.len()..).unwrap_or_default();
        flash.write(MARK.len() as u32, rest).is_ok() && flash.write(0, &MARK).is_ok()
    };
    match kept(&page).filter(|_| stored) {
        Some(secrets) => secrets,
        None => {
            say!("no keys: the host gives no randomness, or the flash does not take them");
            semihosting::exit(3)
        }
    }
}

fn kept(page: &[u8]) -> Option<Secrets> {
    let keys = page.strip_prefix(&MARK)?;
    let (seed, secret) = keys.split_first_chunk::<32>()?;
    Some(Secrets::new(seed, secret.first_chunk()?))
}
