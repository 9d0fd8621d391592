//! Datagrams gathered into runs: consecutive ones to one address that the system can cut apart itself.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::socket::Run;

/// Bytes that one datagram may take.
const DATAGRAM: usize = 2048;

/// Bytes of a whole run with one datagram of the next: below what UDP carries at once.
const MEMORY: usize = 60_000;

/// A run in the making. A datagram that does not fit into it begins the next one.
pub(crate) struct Outlet {
    memory: Box<[u8]>,
    run: Mark,
    /// A datagram behind the run that is not of it.
    next: Option<Mark>,
}

#[derive(Clone, Copy)]
struct Mark {
    to: SocketAddr,
    source: Option<IpAddr>,
    /// Bytes of the first datagram, and so of all but the last.
    size: usize,
    bytes: usize,
    count: usize,
    /// No other follows a shorter one.
    closed: bool,
}

const NOTHING: Mark = Mark {
    to: SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0),
    source: None,
    size: 0,
    bytes: 0,
    count: 0,
    closed: false,
};

impl Outlet {
    pub(crate) fn new() -> Self {
        Self {
            memory: vec![0; MEMORY].into(),
            run: NOTHING,
            next: None,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.run.count == 0
    }

    /// Where another datagram may be written; `None` when the run must go out first.
    pub(crate) fn room(&mut self, longest: usize) -> Option<&mut [u8]> {
        if self.next.is_some() || self.run.closed || self.run.count >= longest.max(1) {
            return None;
        }
        self.memory.get_mut(self.run.bytes..)?.get_mut(..DATAGRAM)
    }

    /// Takes in the datagram that was written into [`room`](Self::room).
    pub(crate) fn add(&mut self, to: SocketAddr, source: Option<IpAddr>, len: usize) {
        let alone = Mark {
            to,
            source,
            size: len,
            bytes: len,
            count: 1,
            closed: false,
        };
        let run = &mut self.run;
        if run.count == 0 {
            *run = alone;
        } else if run.to == to && run.source == source && len <= run.size {
            run.bytes += len;
            run.count += 1;
            run.closed = len < run.size;
        } else {
            self.next = Some(alone);
        }
    }

    /// The run, if there is one.
    pub(crate) fn run(&self) -> Option<Run<'_>> {
        let Mark {
            to,
            source,
            size,
            bytes,
            count,
            ..
        } = self.run;
        let bytes = self.memory.get(..bytes)?;
        (count > 0).then_some(Run {
            to,
            source,
            bytes,
            size,
        })
    }

    /// The run is gone.
    pub(crate) fn sent(&mut self) {
        let behind = self.run.bytes;
        self.run = self.next.take().unwrap_or(NOTHING);
        // It was written within the memory, so it lies within it.
        self.memory.copy_within(behind..behind + self.run.bytes, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(outlet: &mut Outlet, to: u16, len: usize) -> bool {
        let Some(room) = outlet.room(64) else {
            return false;
        };
        room[..len].fill(u8::try_from(to).expect("small ports here"));
        outlet.add(SocketAddr::from(([127, 0, 0, 1], to)), None, len);
        true
    }

    fn run(outlet: &Outlet) -> (u16, usize, Vec<u8>) {
        let run = outlet.run().expect("something was put");
        (run.to.port(), run.size, run.bytes.to_vec())
    }

    #[test]
    fn equal_ones_make_a_run_that_a_shorter_one_ends() {
        let mut outlet = Outlet::new();
        assert!(put(&mut outlet, 1, 10) && put(&mut outlet, 1, 10) && put(&mut outlet, 1, 4));
        assert!(!put(&mut outlet, 1, 4));
        assert_eq!(run(&outlet), (1, 10, vec![1; 24]));
        outlet.sent();
        assert!(outlet.is_empty() && outlet.run().is_none());
    }

    #[test]
    fn another_address_or_a_longer_one_begins_the_next_run() {
        for (to, len) in [(2, 10), (1, 11)] {
            let mut outlet = Outlet::new();
            assert!(put(&mut outlet, 1, 10) && put(&mut outlet, to, len));
            assert!(!put(&mut outlet, to, len));
            assert_eq!(run(&outlet), (1, 10, vec![1; 10]));
            outlet.sent();
            let fill = u8::try_from(to).expect("small");
            assert_eq!(run(&outlet), (to, len, vec![fill; len]));
            outlet.sent();
            assert!(outlet.is_empty());
        }
    }

    #[test]
    fn memory_is_never_exceeded() {
        let mut outlet = Outlet::new();
        let mut count = 0;
        while put(&mut outlet, 3, 1024) {
            count += 1;
        }
        assert!(count > 50 && outlet.run().is_some_and(|run| run.bytes.len() <= MEMORY));
    }
}
