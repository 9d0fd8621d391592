//! Kinds of packets that one side does not take, or that 0.6.8 cannot make.

use raet_core::event::{Outcome, RemoteEvent};
use raet_core::stats::Reason;
use raet_core::storage::Heap;
use raet_core::wire::{BodyKind, CoatKind, FootKind, HeadKind};
use raet_tests::interop::is;
use raet_tests::matrix::table::Counts;
use serde_json::json;

use crate::lab::{Cell, Lab};
use crate::pair::Pair;
use crate::setup::{Kinds, Setup, Side};

const GROUP: &str = "policy";

const PLAIN: Kinds = Kinds {
    head: HeadKind::Native,
    body: BodyKind::Json,
    coat: CoatKind::Nacl,
    foot: FootKind::Nacl,
};

pub(crate) fn cells() -> Vec<Cell> {
    let mut cells = Vec::new();
    let mut add = |name: &str, expected: &str, run: fn(&Lab, Side) -> Counts| {
        for main in Side::BOTH {
            let name = format!("{name}, {} main", main.word());
            cells.push(Cell::new(GROUP, name, expected, move |lab| run(lab, main)));
        }
    };
    add(
        "ours unsigned, Python veritive",
        "a session, since 0.6.8 signs no handshake by policy; our message is dropped, then taken signed",
        unsigned_to_veritive,
    );
    add(
        "Python unsigned, ours demands signatures",
        "no session: the handshake is dropped and counted (H2)",
        unsigned_to_ours,
    );
    add(
        "Python uncoated, ours demands coats",
        "its message is refused with nack, and it gives up (H6)",
        uncoated_to_ours,
    );
    add(
        "Python unsigned and veritive",
        "0.6.8 cannot: it drops the answers to its own messages, unsigned as these; they arrive",
        unsigned_and_veritive,
    );
    for body in ["raw", "nada"] {
        for main in Side::BOTH {
            let name = format!("Python set to {body} bodies, {} main", main.word());
            let expected = "0.6.8 cannot: its own join cannot be read; ours drops it unharmed";
            cells.push(Cell::new(GROUP, name, expected, move |lab| {
                unreadable_joins(lab, main, body)
            }));
        }
    }
    cells
}

/// 0.6.8 demands signatures of messages alone.
fn unsigned_to_veritive(lab: &Lab, main: Side) -> Counts {
    let unsigned = Kinds {
        foot: FootKind::Nada,
        ..PLAIN
    };
    let setup = Setup::new(main)
        .kinds(unsigned, PLAIN)
        .peer("veritive", true);
    let mut pair = Pair::<Heap>::start(lab, setup);
    pair.begin();
    pair.up();
    let message = pair.mapping(10);
    let token = pair.tell(&message);
    pair.until("a packet dropped there", |pair| {
        (pair.stat("parsing_outer_error") > 0).then_some(())
    });
    assert_eq!(pair.estate.outcome(token), None, "silence is no outcome");
    let value = pair.value(10);
    pair.ask(&value);
    pair.asked(&value);
    pair.counts()
}

fn unsigned_and_veritive(lab: &Lab, main: Side) -> Counts {
    let unsigned = Kinds {
        foot: FootKind::Nada,
        ..PLAIN
    };
    let setup = Setup::new(main)
        .kinds(PLAIN, unsigned)
        .peer("veritive", true);
    let mut pair = Pair::<Heap>::start(lab, setup);
    pair.begin();
    pair.up();
    let value = pair.value(10);
    pair.ask(&value);
    pair.asked(&value);
    pair.until("a dropped answer", |pair| {
        (pair.stat("parsing_outer_error") >= 3).then_some(())
    });
    assert_eq!(pair.stat("message_initiate_complete"), 0);
    pair.counts()
}

fn unsigned_to_ours(lab: &Lab, main: Side) -> Counts {
    let unsigned = Kinds {
        foot: FootKind::Nada,
        ..PLAIN
    };
    let mut setup = Setup::new(main).kinds(PLAIN, unsigned);
    setup.ours.accept_unsigned = false;
    let mut pair = Pair::<Heap>::start(lab, setup);
    pair.begin();
    pair.until("a join", |pair| pair.happened(RemoteEvent::Joined));
    pair.until("unsigned packets", |pair| {
        (pair.estate.stack.stats().dropped(Reason::Unsigned) >= 3).then_some(())
    });
    assert!(pair.estate.stack.remotes().all(|r| !r.allowed && !r.proven));
    pair.counts()
}

fn uncoated_to_ours(lab: &Lab, main: Side) -> Counts {
    let uncoated = Kinds {
        coat: CoatKind::Nada,
        ..PLAIN
    };
    let mut setup = Setup::new(main).kinds(PLAIN, uncoated);
    setup.ours.accept_uncoated = false;
    let mut pair = Pair::<Heap>::start(lab, setup);
    pair.begin();
    pair.up();
    let value = pair.value(10);
    pair.ask(&value);
    pair.until("a refused message", |pair| {
        (pair.stat("messenger_transaction_failure") > 0).then_some(())
    });
    let message = pair.mapping(10);
    let outcomes = pair.exchange_all(&[message], &[]);
    assert_eq!(outcomes, [Outcome::Delivered]);
    pair.settle()
}

/// The peer's joins are in its stack's kind of body, which carries no mapping.
fn unreadable_joins(lab: &Lab, main: Side, body: &str) -> Counts {
    let setup = Setup::new(main).peer("bk", body);
    let mut pair = Pair::<Heap>::start(lab, setup);
    pair.peer.may_crash();
    let mut threw = false;
    match main {
        Side::Rust => {
            let uid = pair.peer_add_us();
            let join = json!({"cmd": "join", "uid": uid, "cascade": true, "timeout": 0});
            threw = pair.peer.try_command(join).is_err();
        }
        Side::Python => pair.begin(),
    }
    // Either it throws, or what it sends is no join.
    pair.until("a join that fails", |pair| {
        let threw = threw || pair.peer.poll_for(is("crash")).is_some();
        let unread = pair.estate.stack.stats().dropped_in_all() > 0;
        (threw || unread).then_some(())
    });
    assert!(pair.estate.stack.remotes().all(|r| !r.joined));
    pair.counts()
}
