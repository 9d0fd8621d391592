//! A node that should not start, and one whose keep fails.

#![cfg(feature = "smoltcp")]

mod board;

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;

use board::{Board, Sizes, Wire, config, run, until};
use raet_core::event::RemoteEvent;
use raet_core::keep::Record;
use raet_core::time::{Duration, Instant};
use raet_embedded::entropy::Entropy;
use raet_embedded::keep::{Keep, Nothing};
use raet_embedded::{Memory, Node, StartError};

/// Gives these bytes, then the next ones; `None`: fails.
struct Scripted(Vec<Option<[u8; 32]>>);

impl Entropy for Scripted {
    type Error = &'static str;

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), &'static str> {
        bytes.copy_from_slice(&self.0.remove(0).ok_or("no noise")?[..bytes.len()]);
        Ok(())
    }
}

#[test]
fn without_fresh_entropy_no_node_starts() {
    let random = [1, 2].map(|n: u8| Some(std::array::from_fn(|i| i as u8 * 7 + n)));
    let start = |script: &[_]| {
        let mut memory = Memory::<Sizes>::new();
        let entropy = Scripted(script.to_vec());
        let node = Node::start(&mut memory, Instant::ZERO, config(0), Nothing, entropy);
        node.map(|_| ())
    };
    assert!(start(&random).is_ok());
    assert!(matches!(
        start(&[None]),
        Err(StartError::Entropy("no noise"))
    ));
    assert!(matches!(
        start(&[random[0], None]),
        Err(StartError::Entropy(_))
    ));
    for dull in [
        [random[0]; 2],
        [Some([0; 32]), random[0]],
        [random[0], Some([9; 32])],
    ] {
        assert!(matches!(start(&dull), Err(StartError::NotRandom)));
    }
}

#[test]
fn a_memory_has_one_engine_at_a_time() {
    let random = [1, 2].map(|n: u8| Some(std::array::from_fn(|i| i as u8 * 7 + n)));
    let mut memory = Memory::<Sizes>::new();
    let mut start = |clear| {
        if clear {
            memory.clear();
        }
        let entropy = Scripted(random.to_vec());
        let node = Node::start(&mut memory, Instant::ZERO, config(0), Nothing, entropy);
        node.map(|_| ())
    };
    assert!(start(false).is_ok());
    assert!(matches!(start(false), Err(StartError::InUse)));
    assert!(start(true).is_ok());
}

/// A keep that fails as long as it is told to.
struct Failing {
    fails: Rc<Cell<bool>>,
    tries: Rc<Cell<u32>>,
}

impl Keep for Failing {
    type Error = &'static str;

    fn records(&mut self) -> impl Iterator<Item = Result<Record, &'static str>> {
        self.fails.get().then_some(Err("torn")).into_iter()
    }

    fn store(&mut self, _: &Record) -> Result<(), &'static str> {
        self.tries.set(self.tries.get() + 1);
        if self.fails.get() {
            Err("worn")
        } else {
            Ok(())
        }
    }
}

#[test]
fn no_session_begins_before_its_id_is_stored() {
    let wire = Wire::new(1, 0);
    let addresses: [SocketAddr; 2] =
        ["10.0.0.1:7530", "10.0.0.2:7530"].map(|text| text.parse().unwrap());
    let fails = [Rc::new(Cell::new(false)), Rc::new(Cell::new(false))];
    let tries = Rc::new(Cell::new(0));
    let keep = |end: usize| Failing {
        fails: fails[end].clone(),
        tries: tries.clone(),
    };
    let mut boards = [0, 1].map(|end| Board::start(&wire, end, addresses, keep(end)));
    fails[1].set(true);
    boards[1].connect(addresses[0]);
    run(&wire, &mut boards, Duration::from_secs(20));
    assert!(boards[1].happened(RemoteEvent::Joined));
    assert!(!boards[1].happened(RemoteEvent::Allowed));
    assert_eq!(boards[1].node.keep_error(), Some(&"worn"));
    let tried = tries.get();
    assert!((10..40).contains(&tried), "{tried} tries in 20 seconds");

    fails[1].set(false);
    until(&wire, &mut boards, |boards| {
        boards[1].happened(RemoteEvent::Allowed)
    });
    assert_eq!(boards[1].node.keep_error(), None);

    // One that cannot be read is not gone past.
    fails[1].set(true);
    let mut memory = Memory::<Sizes>::new();
    let node = Node::start(&mut memory, Instant::ZERO, config(1), keep(1), wire.clone());
    assert!(matches!(node.map(|_| ()), Err(StartError::Keep("torn"))));
}
