//! What the firmware's images share: the boards' devices and the node itself.
//!
//! `unsafe` lives here, at the hardware, and in none of the crates above it.
#![no_std]

#[cfg(not(any(feature = "lm3s6965evb", feature = "mps2-an385")))]
compile_error!("name the board: --features lm3s6965evb or --features mps2-an385");

#[cfg(feature = "embassy")]
mod alarms;
pub mod app;
mod builtins;
pub mod clock;
pub mod entropy;
pub mod flash;
pub mod nic;
pub mod semihosting;
pub mod setup;
pub mod stack;
mod vectors;

use core::panic::PanicInfo;

/// With the feature `explain` the console tells what happened where; a node that is to be small only says that
/// it did, for the texts take 8 KB.
#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    say!("PANIC");
    #[cfg(feature = "explain")]
    if let Some(location) = info.location() {
        say!(location.file(), " line ", location.line());
    }
    #[cfg(not(feature = "explain"))]
    let _ = info;
    semihosting::exit(101)
}

#[allow(non_snake_case, reason = "the vector's name")]
#[cortex_m_rt::exception]
unsafe fn HardFault(frame: &cortex_m_rt::ExceptionFrame) -> ! {
    say!("HARD FAULT at ", frame.pc(), ", called from ", frame.lr());
    semihosting::exit(102)
}
