//! Boards that lose power and go on from their flash.

#![cfg(all(feature = "flash", feature = "smoltcp"))]

mod board;
mod nor;

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;

use board::{Board, Sizes, Wire, until};
use nor::{Nor, PAGE, PowerLost};
use raet_core::crypto::Secrets;
use raet_core::event::{Outcome, RemoteEvent};
use raet_core::keep::Record;
use raet_core::wire::{PacketKind, TransactionKind};
use raet_embedded::keep::Keep;
use raet_embedded::keep::flash::{Flash, FlashError, FlashKeep};

const PAGES: usize = 4;

fn addresses() -> [SocketAddr; 2] {
    ["10.0.0.1:7530", "10.0.0.2:7530"].map(|text| text.parse().unwrap())
}

/// A keep on flash that counts how often something was written.
struct Counted {
    keep: FlashKeep<Nor, Sizes>,
    nor: Nor,
    writes: Rc<Cell<usize>>,
}

impl Keep for Counted {
    type Error = FlashError<PowerLost>;

    fn records(&mut self) -> impl Iterator<Item = Result<Record, Self::Error>> {
        self.keep.records()
    }

    fn store(&mut self, record: &Record) -> Result<(), Self::Error> {
        let before = self.nor.steps();
        let stored = self.keep.store(record);
        let written = usize::from(self.nor.steps() != before);
        self.writes.set(self.writes.get() + written);
        stored
    }
}

fn start(wire: &Wire, end: usize, flashes: &[Nor; 2], writes: &Rc<Cell<usize>>) -> Board<Counted> {
    let nor = &flashes[end];
    let n = end as u8 + 1;
    let secrets = Secrets::new(&[n; 32], &[n + 2; 32]);
    let flash = Flash::new(nor.clone(), 0..(PAGES * PAGE) as u32).unwrap();
    let keep = Counted {
        keep: flash.keep(["main", "node"][end], &secrets).unwrap(),
        nor: nor.clone(),
        writes: writes.clone(),
    };
    Board::start(wire, end, addresses(), keep)
}

/// The session ids of the allows that an end began, in order, each once.
fn sessions(wire: &Wire, end: usize) -> Vec<u32> {
    let heads = wire.heads(end);
    let hello = |head: &&_| is_hello(head);
    let mut ids: Vec<u32> = heads
        .iter()
        .filter(hello)
        .map(|head| head.session)
        .collect();
    ids.dedup();
    ids
}

fn is_hello(head: &raet_core::wire::Head) -> bool {
    head.transaction == TransactionKind::Allow && head.packet == PacketKind::Hello
}

#[test]
fn after_a_reset_a_node_goes_on_without_a_join() {
    let wire = Wire::new(1, 0);
    let flashes = [Nor::new(PAGES), Nor::new(PAGES)];
    let writes = [Rc::default(), Rc::default()];
    let mut boards = [0, 1].map(|end| start(&wire, end, &flashes, &writes[end]));
    boards[1].connect(addresses()[0]);
    let allowed =
        |boards: &mut [Board<Counted>]| boards.iter().all(|b| b.happened(RemoteEvent::Allowed));
    until(&wire, &mut boards, allowed);
    for reset in 0..12 {
        // Now the one, now the other, now both.
        let who = [&[1][..], &[0], &[0, 1]][reset % 3];
        for &end in who {
            writes[end].set(0);
            boards[end] = start(&wire, end, &flashes, &writes[end]);
        }
        for board in &mut boards {
            board.events.clear();
        }
        let main = boards[1].connect(addresses()[0]);
        boards[1].send(main, b"still here");
        until(&wire, &mut boards, |boards| {
            !boards[1].outcomes().is_empty()
        });
        assert_eq!(boards[1].outcomes(), [Outcome::Delivered]);
        for &end in who {
            assert!(!boards[end].happened(RemoteEvent::Joined));
            let writes = writes[end].get();
            assert!(writes <= 1, "{writes} writes for a reset");
        }
    }
    for end in [0, 1] {
        let ids = sessions(&wire, end);
        assert!(ids.is_sorted_by(|a, b| a < b), "ids come twice: {ids:?}");
    }
    assert!(sessions(&wire, 1).len() >= 8);
}
