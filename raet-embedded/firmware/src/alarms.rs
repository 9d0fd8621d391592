//! embassy's time and its alarms, from the ticks of [`clock`]. A tick looks whose alarm is due, so time stands
//! still in between, and an alarm comes up to a millisecond late.

use core::cell::RefCell;
use core::task::Waker;

use critical_section::Mutex;
use embassy_time_driver::{Driver, TICK_HZ};
use embassy_time_queue_utils::Queue;

use crate::clock;

embassy_time_driver::time_driver_impl!(static ALARMS: Alarms = Alarms(Mutex::new(RefCell::new(State {
    last: 0,
    rounds: 0,
    queue: Queue::new(),
}))));

struct Alarms(Mutex<RefCell<State>>);

struct State {
    /// The last reading of the clock, and how often it has come round.
    last: u32,
    rounds: u32,
    queue: Queue,
}

impl State {
    /// In embassy's ticks. Read at each millisecond, so that no round is missed.
    fn now(&mut self) -> u64 {
        let millis = clock::millis();
        if millis < self.last {
            self.rounds = self.rounds.wrapping_add(1);
        }
        self.last = millis;
        (u64::from(self.rounds) << 32 | u64::from(millis)) * (TICK_HZ / 1000)
    }
}

impl Alarms {
    fn with<R>(&self, act: impl FnOnce(&mut State) -> R) -> R {
        critical_section::with(|section| act(&mut self.0.borrow_ref_mut(section)))
    }
}

impl Driver for Alarms {
    fn now(&self) -> u64 {
        self.with(State::now)
    }

    fn schedule_wake(&self, at: u64, waker: &Waker) {
        // The next tick finds it.
        self.with(|state| state.queue.schedule_wake(at, waker));
    }
}

/// A millisecond has passed: wakes whose time has come.
pub fn tick() {
    ALARMS.with(|state| {
        let now = state.now();
        state.queue.next_expiration(now)
    });
}
