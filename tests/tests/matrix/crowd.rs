//! More than two estates on a road.

use raet_tests::matrix::table::Counts;
use serde_json::json;

use crate::fleet::Member;
use crate::lab::{Cell, Lab};
use crate::setup::Side;

const GROUP: &str = "crowd";

/// Python estates on one Rust main at once.
const CROWD: usize = 20;

pub(crate) fn cells() -> Vec<Cell> {
    let all_in = format!("{CROWD} Python estates join one Rust main at once");
    vec![
        Cell::new(
            GROUP,
            all_in,
            "all are in, messages both ways with each",
            crowd,
        ),
        Cell::new(
            GROUP,
            "a Rust and a Python other on one Python main",
            "they exchange messages through it",
            through_a_main,
        ),
    ]
}

fn crowd(lab: &Lab) -> Counts {
    let mut main = Member::start(lab, Side::Rust, "main", true, &json!({}));
    let mut others: Vec<_> = (0..CROWD)
        .map(|n| {
            let name = format!("other{n}");
            Member::start(lab, Side::Python, &name, false, &json!({}))
        })
        .collect();
    for other in &mut others {
        other.connect(main.address);
    }
    for other in &mut others {
        other.up("main");
        main.up(&other.name);
    }
    for other in &mut others {
        for pad in [10, 3000] {
            let value = json!({"of": other.name, "pad": "x".repeat(pad)});
            other.send("main", &value);
            main.send(&other.name, &value);
        }
    }
    for other in &mut others {
        for pad in [10, 3000] {
            let value = json!({"of": other.name, "pad": "x".repeat(pad)});
            other.taken("main", &value);
            main.taken(&other.name, &value);
        }
    }
    let crowd = CROWD as u64;
    let joins = main.joins();
    assert_eq!(main.messages(), Vec::<serde_json::Value>::new());
    Counts {
        to_python: 2 * crowd,
        to_rust: 2 * crowd,
        joins,
        ..Counts::default()
    }
}

fn through_a_main(lab: &Lab) -> Counts {
    let mut main = Member::start(lab, Side::Python, "main", true, &json!({}));
    let mut ours = Member::start(lab, Side::Rust, "ours", false, &json!({}));
    let mut theirs = Member::start(lab, Side::Python, "theirs", false, &json!({}));
    for other in [&mut ours, &mut theirs] {
        other.connect(main.address);
    }
    for other in [&mut ours, &mut theirs] {
        other.up("main");
        main.up(&other.name);
    }
    for pad in [10, 3000, 50_000] {
        let value = |to: &str| json!({"to": to, "pad": "x".repeat(pad)});
        ours.send("main", &value("theirs"));
        theirs.send("main", &value("ours"));
        // The main estate's host passes on what it gets.
        for (from, to) in [("ours", "theirs"), ("theirs", "ours")] {
            main.taken(from, &value(to));
            main.send(to, &value(to));
        }
        theirs.taken("main", &value("theirs"));
        ours.taken("main", &value("ours"));
    }
    Counts {
        to_python: 9,
        to_rust: 3,
        joins: main.joins(),
        ..Counts::default()
    }
}
