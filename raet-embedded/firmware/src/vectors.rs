//! The board's interrupts, as far as one is used: the network chip's of mps2-an385 is the last. A table for all that a
//! core may have would take a kilobyte. Here a crate for your chip names them.

unsafe extern "C" {
    /// Of cortex-m-rt, or a function with the attribute `exception`.
    fn DefaultHandler();
}

/// Where the start-up code's linker script wants it.
// SAFETY: the section holds the addresses of handlers, and this name is the script's.
#[unsafe(link_section = ".vector_table.interrupts")]
#[unsafe(no_mangle)]
static __INTERRUPTS: [unsafe extern "C" fn(); 14] = [DefaultHandler; 14];
