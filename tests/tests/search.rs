//! Everything that two estates can do, within bounds: see `raet_tests::search`.
//!
//! Each search prints its states and its *k*, the faults that a run could have. `RAET_SEARCH_DEEPER=1` gives
//! one fault more, which takes some twenty times as long.

use std::io::{self, Write};

use raet_core::storage::{Fixed, Heap, Storage};
use raet_tests::search::Command::{Accept, Alive, Allow, Connect, Reject, Send};
use raet_tests::search::{Scenario, Start, explore};

/// Room for what a search needs, so that a copy is cheap.
type Room = Fixed<2, 2, 512>;

const BASE: Scenario = Scenario {
    name: "",
    start: Start::Strangers,
    script: [&[], &[]],
    both_main: false,
    asks: [false; 2],
    mutable: false,
    faults: 0,
    crashes: 0,
    slow_keep: false,
    slow_application: false,
    body: 5,
};

fn search<S: Storage + 'static>(mut scenario: Scenario) {
    let deeper = std::env::var("RAET_SEARCH_DEEPER");
    scenario.faults += deeper.map_or(0, |more| more.parse().expect("a small number"));
    // A run of a few hundred acts is as many calls deep.
    let deep = std::thread::Builder::new().stack_size(1 << 30);
    let searched = deep
        .spawn(move || explore::<S>(&scenario))
        .expect("a thread")
        .join()
        .expect("no panic");
    match searched {
        // Past the capture of tests that pass: what was searched is part of what is proven.
        Ok(report) => writeln!(io::stderr(), "{report}").expect("a place to write to"),
        Err(run) => panic!("{run}"),
    }
}

#[test]
fn an_other_joins_a_main_and_sends() {
    search::<Room>(Scenario {
        name: "join, allow, one message",
        script: [&[], &[Connect, Send]],
        faults: 3,
        ..BASE
    });
}

#[test]
fn an_other_joins_a_main_and_sends_on_the_heap() {
    search::<Heap>(Scenario {
        name: "join, allow, one message, on the heap",
        script: [&[], &[Connect, Send]],
        faults: 1,
        ..BASE
    });
}

#[test]
fn both_start_at_once() {
    search::<Room>(Scenario {
        name: "simultaneous starts",
        script: [&[Connect], &[Connect, Send]],
        both_main: true,
        faults: 1,
        ..BASE
    });
}

#[test]
fn both_start_at_once_and_one_dies() {
    search::<Room>(Scenario {
        name: "simultaneous starts, one crash",
        script: [&[Connect], &[Connect, Send]],
        both_main: true,
        mutable: true,
        crashes: 1,
        ..BASE
    });
}

#[test]
fn a_person_decides_at_the_main() {
    search::<Room>(Scenario {
        name: "a person decides at the main: accepts",
        script: [&[Accept], &[Connect, Send]],
        asks: [true, false],
        faults: 2,
        ..BASE
    });
}

#[test]
fn a_person_decides_otherwise_at_the_main() {
    search::<Room>(Scenario {
        name: "a person decides at the main: rejects, then accepts",
        script: [&[Reject, Accept], &[Connect, Send]],
        asks: [true, false],
        faults: 2,
        ..BASE
    });
}

#[test]
fn people_decide_at_both() {
    search::<Room>(Scenario {
        name: "people decide at both",
        script: [&[Accept], &[Connect, Accept, Send]],
        asks: [true, true],
        faults: 2,
        ..BASE
    });
}

#[test]
fn a_person_decides_and_one_dies() {
    search::<Room>(Scenario {
        name: "a person decides at the main: accepts, one crash",
        script: [&[Accept], &[Connect, Send]],
        asks: [true, false],
        mutable: true,
        crashes: 1,
        ..BASE
    });
}

#[test]
fn both_begin_an_allow_at_once() {
    search::<Room>(Scenario {
        name: "simultaneous allows, one message",
        start: Start::Session,
        script: [&[Allow], &[Allow, Send]],
        faults: 1,
        ..BASE
    });
}

#[test]
fn both_ask_for_a_sign_of_life_while_they_send() {
    search::<Room>(Scenario {
        name: "signs of life, a message each way",
        start: Start::Session,
        script: [&[Alive, Send], &[Alive, Send]],
        faults: 2,
        ..BASE
    });
}

#[test]
fn messages_cross() {
    search::<Room>(Scenario {
        name: "messages that cross, slow applications",
        start: Start::Session,
        script: [&[Send], &[Send, Send]],
        slow_application: true,
        faults: 1,
        ..BASE
    });
}

#[test]
fn a_message_in_segments() {
    search::<Fixed<2, 1, 8192>>(Scenario {
        name: "a message in three segments",
        start: Start::Session,
        script: [&[], &[Send]],
        faults: 2,
        body: 2100,
        ..BASE
    });
}

#[test]
fn one_dies_while_they_meet() {
    search::<Room>(Scenario {
        name: "join, allow, one message, one crash, a slow keep",
        script: [&[], &[Connect, Send]],
        mutable: true,
        crashes: 1,
        slow_keep: true,
        ..BASE
    });
}

#[test]
fn one_dies_while_the_other_sends() {
    search::<Room>(Scenario {
        name: "one message, one crash",
        start: Start::Session,
        script: [&[], &[Connect, Send]],
        mutable: true,
        faults: 2,
        crashes: 1,
        ..BASE
    });
}
