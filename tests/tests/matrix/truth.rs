//! What a sender is told where answers are lost or sessions end: never delivered when it was not, and
//! never failed when it was.

use std::time::Duration;

use raet_core::SendOptions;
use raet_core::event::{Doubt, Outcome, RemoteEvent};
use raet_core::storage::Heap;
use raet_core::wire::{PacketKind, TransactionKind};
use raet_tests::live::{Way, lose_first};
use raet_tests::matrix::table::Counts;
use serde_json::json;

use crate::lab::{Cell, Lab};
use crate::pair::{Pair, pack};
use crate::setup::{Setup, Side};

const GROUP: &str = "truth";

pub(crate) fn cells() -> Vec<Cell> {
    let mut cells = Vec::new();
    let mut add = |name: &str, expected: &str, run: fn(&Lab, Side) -> Counts| {
        for main in Side::BOTH {
            let name = format!("{name}, {} main", main.word());
            cells.push(Cell::new(GROUP, name, expected, move |lab| run(lab, main)));
        }
    };
    add(
        "Python's done is lost",
        "0.6.8 says nack to the repeat of what it has; ours is told delivered all the same (H5)",
        python_loses_its_done,
    );
    add(
        "our done is lost three times",
        "ours says done again; 0.6.8 is told complete",
        we_lose_our_done,
    );
    add(
        "Python restarts before it has all",
        "sent again in the new session and delivered; what is to go once is unknown",
        python_restarts,
    );
    add(
        "ours restarts from its records, twice",
        "a message of either side makes the session; no new join",
        ours_restarts,
    );
    cells
}

/// Joined and allowed, on a good network.
fn pair(lab: &Lab, setup: Setup) -> Pair<'_, Heap> {
    let mut pair = Pair::start(lab, setup);
    pair.begin();
    pair.up();
    pair.estate.events.clear();
    pair
}

fn python_loses_its_done(lab: &Lab, main: Side) -> Counts {
    let mut pair = pair(lab, Setup::new(main));
    for pad in [10, 5000] {
        let done = json!({"action": "drop", "match": {"tk": 0, "pk": 15}, "times": 1});
        pair.peer
            .command(json!({"cmd": "net", "dir": "out", "rules": [done]}));
        let message = pair.mapping(pad);
        let outcomes = pair.exchange_all(&[message], &[]);
        assert_eq!(outcomes, [Outcome::Delivered], "{pad}");
        assert_eq!(pair.counts().lost, 1, "each of these commands counts anew");
    }
    pair.settle()
}

fn we_lose_our_done(lab: &Lab, main: Side) -> Counts {
    let mut pair = pair(lab, Setup::new(main));
    for pad in [10, 5000] {
        let done = (TransactionKind::Message, PacketKind::Done);
        pair.estate.lose = lose_first(Way::Out, done, 3);
        let complete = pair.stat("message_initiate_complete");
        let value = pair.value(pad);
        pair.exchange_all(&[], &[value]);
        pair.until("done at the peer", |pair| {
            (pair.stat("message_initiate_complete") > complete).then_some(())
        });
    }
    pair.settle()
}

fn python_restarts(lab: &Lab, main: Side) -> Counts {
    let folder = tempfile::tempdir().expect("a folder");
    let keep = folder.path().join("keep").to_string_lossy().into_owned();
    let setup = || Setup::new(main).patient().peer("dirpath", keep.clone());
    let mut pair = pair(lab, setup());
    pair.stop_peer();
    // The first copies meet nobody, the later ones a peer that has lost the session.
    let messages = [pair.mapping(10), pair.mapping(50_000)];
    let tokens = [0, 1].map(|at| pair.tell(&messages[at]));
    let once = SendOptions {
        body: pair.bodies[0],
        token: 99,
        once: true,
        ..SendOptions::default()
    };
    let body = pack(pair.bodies[0], &json!({"once": true}));
    let id = pair.id();
    pair.estate.send(id, once, &body);
    pair.run(Duration::from_millis(250));
    pair.start_peer(setup().theirs);
    for (message, token) in messages.iter().zip(tokens) {
        pair.told(message);
        assert_eq!(pair.outcome(token), Outcome::Delivered);
    }
    let unknown = Outcome::Unknown(Doubt::SessionChanged);
    assert_eq!(pair.outcome(99), unknown);
    assert_eq!(pair.happened(RemoteEvent::Joined), None);
    pair.settle()
}

fn ours_restarts(lab: &Lab, main: Side) -> Counts {
    let setup = || Setup::new(main).patient();
    let mut pair = pair(lab, setup());
    let joins = pair.counts().joins;
    for life in [2, 3] {
        pair.estate = pair.estate.restart(setup().ours, [life; 32]);
        let near = pair.remote().expect("it is kept");
        assert!(near.joined && !near.allowed);
        if life == 2 {
            // A message of ours makes the session by itself …
            let message = pair.mapping(10);
            let outcomes = pair.exchange_all(&[message], &[]);
            assert_eq!(outcomes, [Outcome::Delivered]);
        } else {
            // … and so does one of the peer, which knows nothing of the restart.
            let value = pair.value(5000);
            pair.exchange_all(&[], &[value]);
        }
        pair.up_again();
        pair.exchange(3000);
        assert_eq!(pair.happened(RemoteEvent::Joined), None);
    }
    let counts = pair.settle();
    assert_eq!(counts.joins, joins, "no new join");
    counts
}
