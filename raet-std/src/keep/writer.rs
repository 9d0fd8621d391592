//! The thread that a road's keep is written from.

use std::collections::btree_map::Entry;
use std::io;
use std::sync::{Arc, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use raet_core::keep::Record;

use super::Keep;
use crate::engine::Shared;
use crate::event::Event;

/// How long a record may wait for others, and for a newer one of the same place. A join's record and
/// the one of the allow after it become one.
pub(crate) const GATHER: Duration = Duration::from_millis(100);

/// After a keep has failed.
const RETRY: Duration = Duration::from_secs(1);

/// Starts the thread. It ends, and with it the keep, when the road does.
pub(crate) fn start(shared: &Arc<Shared>, keep: Box<dyn Keep>) -> io::Result<()> {
    let shared = Arc::clone(shared);
    thread::Builder::new()
        .name("raet-keep".to_owned())
        .spawn(move || {
            // Whoever waits for the road's end is told, however this ends; the keep goes first.
            let _ends = Ends(&shared);
            run(&shared, keep);
        })?;
    Ok(())
}

fn run(shared: &Shared, mut keep: Box<dyn Keep>) {
    loop {
        let (batch, last) = next(shared);
        if batch.is_empty() {
            if last {
                return;
            }
            continue;
        }
        match keep.store(&batch) {
            Ok(()) => shared.command(|state| {
                for record in &batch {
                    state.stack.handle_stored(state.now, record);
                }
            }),
            Err(error) => {
                shared.enter(|state| {
                    for record in batch {
                        // A newer one of the same place may have come meanwhile.
                        match state.records.entry(record.place()) {
                            Entry::Vacant(free) => drop(free.insert(record)),
                            Entry::Occupied(_) if record.is_end() => {
                                state.stack.handle_stored(state.now, &record);
                            }
                            Entry::Occupied(_) => {}
                        }
                    }
                    state.keep_due = Some(Instant::now() + RETRY);
                    state.tell(Event::KeepFailed(error.to_string()));
                });
                if last {
                    return;
                }
            }
        }
    }
}

/// Waits until records are to be stored; true: the road has ended, and there will be no more.
fn next(shared: &Shared) -> (Vec<Record>, bool) {
    let mut state = shared.lock();
    loop {
        let now = Instant::now();
        if state.driven_out || state.keep_due.is_some_and(|due| due <= now) {
            state.keep_due = None;
            let records = std::mem::take(&mut state.records);
            // For those that found no room.
            state.settle();
            let last = state.driven_out && state.records.is_empty();
            return (records.into_values().collect(), last);
        }
        let work = Arc::clone(&state.keep_work);
        state = match state.keep_due {
            Some(due) => {
                let waited = work.wait_timeout(state, due.saturating_duration_since(now));
                waited.map_or_else(|error| error.into_inner().0, |(state, _)| state)
            }
            None => work.wait(state).unwrap_or_else(PoisonError::into_inner),
        };
    }
}

/// Tells the road that its keep is written no more, however that came.
struct Ends<'a>(&'a Shared);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            let why = "its thread has panicked: nothing is stored any more";
            self.0
                .enter(|state| state.tell(Event::KeepFailed(why.to_owned())));
        }
        self.0.close(|state| state.writes = false);
    }
}
