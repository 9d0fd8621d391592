//! Who the node is: what the command line and the flash say.

use core::ffi::CStr;
use core::net::SocketAddr;

use raet_core::config::{Config, Presence, Trust};
use raet_core::wire::name;
use raet_embedded::clock::Clock;
use raet_embedded::keep::flash::{Flash, FlashKeep};
use raet_embedded::node::{Memory, Node};

use crate::app::{App, Sizes};
use crate::entropy::Host;
use crate::flash::Chip;
use crate::{say, semihosting};

/// The host, as QEMU's user network shows it to its guest.
const HOST: [u8; 4] = [10, 0, 2, 2];
/// This node there, as the network calls it.
pub const OWN: [u8; 4] = [10, 0, 2, 15];

/// The keep of a node of these sizes.
pub type NodeKeep = FlashKeep<Chip, Sizes>;

/// What QEMU's command line asks for.
struct Setup {
    /// Where the main estate is.
    pub main: SocketAddr,
    /// The node itself.
    pub config: Config,
    /// What it knows of earlier lives.
    pub keep: NodeKeep,
}

/// Reads the arguments `PORT NAME FLASH`: the main estate's port on the host, the node's own name, and the file
/// that stands for its flash.
///
/// There is no node without all three: the program ends and says what is wrong.
fn read() -> Setup {
    let mut room = [0; 192];
    let Some(setup) = understand(semihosting::arguments(&mut room)) else {
        say!("usage: -semihosting-config ...,arg=PORT,arg=NAME,arg=FLASH");
        semihosting::exit(2)
    };
    setup
}

/// Starts the node from its flash, and reaches for its main estate. Not inlined, so that what it needs on the stack
/// is gone when the node runs.
#[inline(never)]
pub fn begin(
    memory: &'static mut Memory<Sizes>,
    clock: &mut impl Clock,
) -> (Node<'static, Sizes, NodeKeep>, App) {
    let Setup { main, config, keep } = read();
    let Ok(mut node) = Node::start(memory, clock.now(), config, keep, Host) else {
        say!("the node does not start");
        semihosting::exit(5)
    };
    let Some(app) = App::start(clock.now(), node.engine(), main) else {
        say!("the main estate has no port");
        semihosting::exit(2)
    };
    (node, app)
}

fn understand<'a>(mut words: impl Iterator<Item = &'a [u8]>) -> Option<Setup> {
    let mut word = || CStr::from_bytes_with_nul(words.next()?).ok();
    let port = word()?.to_str().ok()?.parse().ok()?;
    let name = name(word()?.to_str().ok()?).ok()?;
    let path = word()?;
    let Ok(mut flash) = Chip::open(path)
        .map_err(|_| ())
        .and_then(|chip| Flash::new(chip, 0..Chip::SIZE).map_err(|_| ()))
    else {
        say!("the flash cannot be opened");
        semihosting::exit(3)
    };
    let Ok(secrets) = flash.secrets(Host) else {
        say!("no keys: the host gives no randomness, or the flash does not take them");
        semihosting::exit(3)
    };
    let Ok(keep) = flash.keep(&name, &secrets) else {
        say!("the flash is too small for the keep");
        semihosting::exit(3)
    };
    let mut config = Config::new(name, secrets);
    // The first keys that the main estate shows are kept, and no others taken.
    config.trust = Trust::Once;
    config.presence = Some(Presence::default());
    Some(Setup {
        main: SocketAddr::from((HOST, port)),
        config,
        keep,
    })
}
