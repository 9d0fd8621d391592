//! Everything that two estates can do, within bounds: see `raet_tests::search`.

use raet_core::storage::{Fixed, Storage};
use raet_tests::search::Command::{Connect, Send};
use raet_tests::search::{Scenario, Start, explore};

/// Room for what a search needs, so that a copy is cheap.
type Room = Fixed<2, 2, 512>;

const BASE: Scenario = Scenario {
    name: "",
    start: Start::Strangers,
    script: [&[], &[]],
    both_main: false,
    faults: 0,
    crashes: 0,
    slow_keep: false,
    slow_application: false,
    body: 5,
};

fn search<S: Storage + 'static>(scenario: Scenario) {
    // A run of a few hundred acts is as many calls deep.
    let deep = std::thread::Builder::new().stack_size(512 << 20);
    let searched = deep
        .spawn(move || explore::<S>(&scenario))
        .expect("a thread")
        .join()
        .expect("no panic");
    match searched {
        Ok(report) => println!("{report}"),
        Err(run) => panic!("{run}"),
    }
}

#[test]
fn an_other_joins_a_main_and_sends() {
    search::<Room>(Scenario {
        name: "join, allow, one message",
        script: [&[], &[Connect, Send]],
        faults: std::env::var("K").map_or(1, |k| k.parse().unwrap()),
        ..BASE
    });
}
