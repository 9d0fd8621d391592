//! Time from the core's own timer: a tick each millisecond, or a bare counter for measuring.

use core::sync::atomic::{AtomicU32, Ordering};

use cortex_m::peripheral::{SYST, syst::SystClkSource};

/// The core's clock. The lm3s6965 runs at an eighth of its 200 MHz PLL, halved, as it comes out of reset in QEMU.
pub const HERTZ: u32 = if cfg!(feature = "lm3s6965evb") {
    12_500_000
} else {
    25_000_000
};

static TICKS: AtomicU32 = AtomicU32::new(0);

#[cortex_m_rt::exception]
fn SysTick() {
    // Load and store, for a core without atomic adds: nothing else writes here.
    TICKS.store(
        TICKS.load(Ordering::Relaxed).wrapping_add(1),
        Ordering::Relaxed,
    );
    #[cfg(feature = "embassy")]
    crate::alarms::tick();
}

/// Starts a timer that counts milliseconds, and wakes the core at each. Its readings are [`millis`]'s.
pub fn start_millis(mut timer: SYST) {
    timer.set_clock_source(SystClkSource::Core);
    timer.set_reload(HERTZ / 1000 - 1);
    timer.clear_current();
    timer.enable_counter();
    timer.enable_interrupt();
}

/// Milliseconds since the start; they wrap around.
pub fn millis() -> u32 {
    TICKS.load(Ordering::Relaxed)
}

/// A counter of the core's clock cycles, 24 bits wide, that never interrupts.
pub struct Counter(());

impl Counter {
    /// Starts it.
    pub fn start(mut timer: SYST) -> Self {
        timer.set_clock_source(SystClkSource::Core);
        timer.set_reload(0x00FF_FFFF);
        timer.clear_current();
        timer.enable_counter();
        Self(())
    }

    /// One that was started before.
    pub fn running() -> Self {
        Self(())
    }

    /// A reading.
    pub fn read(&self) -> u32 {
        SYST::get_current()
    }

    /// Cycles from one reading to the next; the counter counts down.
    pub fn between(earlier: u32, later: u32) -> u32 {
        earlier.wrapping_sub(later) & 0x00FF_FFFF
    }
}
