//! Where cells are run: peers that are lent to one after the other, and the table of what came of them.

use std::net::UdpSocket;
use std::ops::{Deref, DerefMut, Range};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use raet_tests::interop::{self, Peer, Python};
use raet_tests::matrix::table::{Counts, Line, Table};
use serde_json::Value;

use crate::child;

/// Below what systems hand out by themselves.
const PORTS: Range<u16> = 12_000..32_000;

/// An engine without an allocator holds its all inside itself, and cells put it on their stack.
const STACK: usize = 64 << 20;

/// One thing to try.
pub(crate) struct Cell {
    /// The group that it belongs to.
    pub(crate) group: &'static str,
    /// Its name, which no other cell of the group bears.
    pub(crate) name: String,
    /// What it demands, for the table.
    pub(crate) expected: String,
    run: Box<dyn FnOnce(&Lab) -> Counts + Send>,
}

impl Cell {
    pub(crate) fn new(
        group: &'static str,
        name: impl Into<String>,
        expected: impl Into<String>,
        run: impl FnOnce(&Lab) -> Counts + Send + 'static,
    ) -> Self {
        Self {
            group,
            name: name.into(),
            expected: expected.into(),
            run: Box::new(run),
        }
    }
}

/// What all cells share.
pub(crate) struct Lab {
    python: Python,
    /// Peers without a stack.
    idle: Mutex<Vec<Peer>>,
    ports: AtomicU16,
    table: Table,
}

impl Lab {
    pub(crate) fn new(python: Python) -> Self {
        Self {
            python,
            idle: Mutex::default(),
            // Another run at the same time begins elsewhere.
            ports: AtomicU16::new(std::process::id() as u16),
            table: Table::default(),
        }
    }

    /// Runs a cell in a thread of its own, and notes how it ended.
    pub(crate) fn run(self: &Arc<Self>, cell: Cell) -> Result<(), String> {
        let Cell {
            group,
            name,
            expected,
            run,
        } = cell;
        let began = Instant::now();
        let lab = Arc::clone(self);
        let ended = thread::Builder::new()
            .name(format!("{group}/{name}"))
            .stack_size(STACK)
            .spawn(move || run(&lab))
            .expect("the system has room for a thread")
            .join();
        let result = ended.map_err(|panic| {
            let why = panic.downcast_ref::<String>().map(String::as_str);
            let why = why.or_else(|| panic.downcast_ref::<&str>().copied());
            why.unwrap_or("it panicked").to_owned()
        });
        let outcome = result.as_ref().map(|_| ()).map_err(Clone::clone);
        self.table.add(Line {
            group,
            cell: name,
            expected,
            result,
            took: began.elapsed(),
        });
        outcome
    }

    /// A peer without a stack.
    #[track_caller]
    pub(crate) fn peer(&self) -> Lent<'_> {
        let idle = self.idle().pop();
        Lent {
            lab: self,
            peer: Some(idle.unwrap_or_else(|| self.python.spawn("python"))),
            again: true,
        }
    }

    /// A Rust estate's process, without a road.
    #[track_caller]
    pub(crate) fn rust_peer(&self) -> Lent<'_> {
        Lent {
            lab: self,
            peer: Some(Peer::of(child::command(), "rust")),
            again: false,
        }
    }

    /// A UDP port that no other cell gets, and that the system gives to nobody who did not ask for it:
    /// who has it can leave it and come back.
    pub(crate) fn port(&self) -> u16 {
        loop {
            let next = self.ports.fetch_add(1, Ordering::Relaxed);
            let port = PORTS.start + next % (PORTS.end - PORTS.start);
            if UdpSocket::bind(("127.0.0.1", port)).is_ok() {
                return port;
            }
        }
    }

    /// Prints the table and writes it beside what cargo makes.
    pub(crate) fn publish(&self) {
        let folder = interop::venv()
            .parent()
            .map_or_else(PathBuf::new, PathBuf::from);
        println!("{}", self.table.markdown());
        match self.table.write(&folder) {
            Ok(()) => println!("written to {}", folder.join("interop-matrix.md").display()),
            Err(e) => println!("cannot be written to {}: {e}", folder.display()),
        }
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Peer>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A peer that goes back to the lab with the end of the cell, unless the cell failed.
pub(crate) struct Lent<'l> {
    lab: &'l Lab,
    peer: Option<Peer>,
    /// Another cell may have it.
    again: bool,
}

impl Lent<'_> {
    /// Ends what runs in it, in order.
    #[track_caller]
    pub(crate) fn end(mut self) {
        if !self.again
            && let Some(peer) = self.peer.take()
        {
            peer.stop();
        }
    }

    /// Kills the process, as a power cut would. Returns the events that nobody asked for.
    #[track_caller]
    pub(crate) fn kill(mut self) -> Vec<Value> {
        self.peer.take().map(Peer::kill).unwrap_or_default()
    }
}

impl Deref for Lent<'_> {
    type Target = Peer;

    fn deref(&self) -> &Peer {
        self.peer.as_ref().expect("only its end takes it")
    }
}

impl DerefMut for Lent<'_> {
    fn deref_mut(&mut self) -> &mut Peer {
        self.peer.as_mut().expect("only its end takes it")
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        let Some(mut peer) = self.peer.take() else {
            return;
        };
        // A peer that does not close is of no use to others; a cell that failed shows its events.
        if self.again
            && !thread::panicking()
            && catch_unwind(AssertUnwindSafe(|| peer.close())).is_ok()
        {
            self.lab.idle().push(peer);
        }
    }
}
