//! The debugger's services, which QEMU gives: console, exit status, arguments, and files of the host.

use core::arch::asm;
use core::ffi::CStr;

const OPEN: u32 = 0x01;
const CLOSE: u32 = 0x02;
const WRITE0: u32 = 0x04;
const WRITE: u32 = 0x05;
const READ: u32 = 0x06;
const SEEK: u32 = 0x0a;
const GET_CMDLINE: u32 = 0x15;
const EXIT_EXTENDED: u32 = 0x20;
const APPLICATION_EXIT: u32 = 0x2_0026;

/// Asks the debugger for a service, whose arguments lie in `block`.
fn call(operation: u32, block: *mut u32) -> u32 {
    let result;
    // SAFETY: a debugger (here QEMU) answers this breakpoint. It reads and writes `block` and what that
    // points to, which the callers in this file own; hence no `nomem`.
    unsafe {
        asm!("bkpt 0xAB", inout("r0") operation => result, in("r1") block, options(nostack));
    }
    result
}

/// Prints a line on the debugger's console: text and whole numbers one after the other. Formatting as `core`
/// does it would take 3 KB of flash, and the messages of panics 8 KB more.
#[macro_export]
macro_rules! say {
    ($($part:expr),* $(,)?) => {{
        $($crate::semihosting::Say::say($part);)*
        $crate::semihosting::Say::say("\n");
    }};
}

/// What can be part of a printed line.
pub trait Say {
    /// Prints it.
    fn say(self);
}

impl Say for &str {
    fn say(self) {
        for piece in self.as_bytes().chunks(63) {
            // The service wants a zero at the end.
            let mut line = [0; 64];
            for (to, from) in line.iter_mut().zip(piece) {
                *to = *from;
            }
            call(WRITE0, line.as_mut_ptr().cast());
        }
    }
}

impl Say for u32 {
    fn say(self) {
        let mut room = Digits::default();
        room.of(self).say();
    }
}

impl Say for usize {
    fn say(self) {
        (self as u32).say();
    }
}

/// Room for the digits of a number.
#[derive(Default)]
pub struct Digits([u8; 10]);

impl Digits {
    /// A number in decimal.
    pub fn of(&mut self, mut number: u32) -> &str {
        let mut first = self.0.len();
        for place in self.0.iter_mut().rev() {
            *place = b'0' + (number % 10) as u8;
            number /= 10;
            first -= 1;
            if number == 0 {
                break;
            }
        }
        let digits = self.0.get(first..).unwrap_or_default();
        core::str::from_utf8(digits).unwrap_or_default()
    }
}

/// Ends QEMU with this exit status.
pub fn exit(status: u32) -> ! {
    let mut block = [APPLICATION_EXIT, status];
    call(EXIT_EXTENDED, block.as_mut_ptr());
    loop {
        cortex_m::asm::wfi();
    }
}

/// The `arg=` values of QEMU's `-semihosting-config`, each with a zero at its end; none if they do not fit.
pub fn arguments(room: &mut [u8]) -> impl Iterator<Item = &[u8]> {
    let mut block = [room.as_mut_ptr() as u32, room.len() as u32];
    let refused = call(GET_CMDLINE, block.as_mut_ptr()) != 0;
    let text = if refused { &mut [] } else { room };
    // Between them are blanks, and a zero behind them.
    for blank in text.iter_mut().filter(|byte| **byte == b' ') {
        *blank = 0;
    }
    text.split_inclusive(|byte| *byte == 0)
}

/// A file of the host.
pub struct File(u32);

/// How a [`File`] is opened: the numbers are those of the service.
#[derive(Clone, Copy)]
pub enum Mode {
    /// To read what is there.
    Read = 1,
    /// To read and change what is there.
    Change = 3,
    /// To read and change what is made anew.
    Create = 7,
}

/// The host refused.
#[derive(Debug)]
pub struct Refused;

impl File {
    /// Opens a file of the host.
    ///
    /// # Errors
    ///
    /// When the host says no: there is none, or not for us.
    pub fn open(path: &CStr, mode: Mode) -> Result<Self, Refused> {
        let len = path.to_bytes().len() as u32;
        let mut block = [path.as_ptr() as u32, mode as u32, len];
        match call(OPEN, block.as_mut_ptr()) {
            u32::MAX => Err(Refused),
            handle => Ok(Self(handle)),
        }
    }

    /// Reads `room.len()` bytes from `offset`.
    ///
    /// # Errors
    ///
    /// When there are fewer.
    pub fn read(&mut self, offset: u32, room: &mut [u8]) -> Result<(), Refused> {
        self.seek(offset)?;
        let mut block = [self.0, room.as_mut_ptr() as u32, room.len() as u32];
        done(call(READ, block.as_mut_ptr()))
    }

    /// Writes all of `bytes` at `offset`.
    ///
    /// # Errors
    ///
    /// When the host did not take them.
    pub fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Refused> {
        self.seek(offset)?;
        let mut block = [self.0, bytes.as_ptr() as u32, bytes.len() as u32];
        done(call(WRITE, block.as_mut_ptr()))
    }

    fn seek(&mut self, offset: u32) -> Result<(), Refused> {
        let mut block = [self.0, offset];
        done(call(SEEK, block.as_mut_ptr()))
    }
}

impl Drop for File {
    fn drop(&mut self) {
        call(CLOSE, [self.0].as_mut_ptr());
    }
}

/// These services return zero, or what they did not do.
fn done(left: u32) -> Result<(), Refused> {
    if left == 0 { Ok(()) } else { Err(Refused) }
}
