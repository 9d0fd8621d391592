//! A 0.6.8 stack is stopped and a Rust estate goes on from its keep at its port, and back: its peers
//! notice a restart, no more.

use raet_tests::matrix::table::Counts;
use serde_json::json;

use crate::fleet::Member;
use crate::lab::{Cell, Lab};
use crate::setup::Side;

const GROUP: &str = "takeover";

/// How an estate ends before the next takes its place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum End {
    Stopped,
    Killed,
}

pub(crate) fn cells() -> Vec<Cell> {
    let mut cells = Vec::new();
    for main in [true, false] {
        for ext in ["json", "msgpack"] {
            for peer in Side::BOTH {
                for end in [End::Stopped, End::Killed] {
                    let role = if main { "main" } else { "other" };
                    let name = format!(
                        "{role}, {ext} keep, each {end:?}, its peer is {}",
                        peer.word()
                    );
                    let expected = "Python, Rust, Python, Rust, Python on one keep and port: a session \
                                    each time, messages both ways, no new join";
                    cells.push(Cell::new(GROUP, name, expected, move |lab| {
                        takeover(lab, main, ext, peer, end)
                    }));
                }
            }
        }
    }
    cells
}

fn takeover(lab: &Lab, main: bool, ext: &str, peer: Side, end: End) -> Counts {
    let folder = tempfile::tempdir().expect("a folder");
    let options = json!({
        "dirpath": folder.path().join("keep"), "keep_ext": ext, "ha": ["127.0.0.1", lab.port()],
    });
    let mut watcher = Member::start(lab, peer, "watcher", !main, &json!({}));
    let lives = [
        Side::Python,
        Side::Rust,
        Side::Python,
        Side::Rust,
        Side::Python,
    ];
    let mut counts = Counts::default();
    for (life, side) in lives.into_iter().enumerate() {
        let mut place = Member::start(lab, side, "place", main, &options);
        if life == 0 {
            if main {
                watcher.connect(place.address);
            } else {
                place.connect(watcher.address);
            }
        }
        place.up("watcher");
        watcher.up("place");
        for pad in [10, 5000] {
            let value = json!({"life": life, "pad": "x".repeat(pad)});
            place.send("watcher", &value);
            watcher.taken("place", &value);
            watcher.send("place", &value);
            place.taken("watcher", &value);
            for to in [side, peer] {
                match to {
                    Side::Rust => counts.to_rust += 1,
                    Side::Python => counts.to_python += 1,
                }
            }
        }
        if life == 0 {
            counts.joins = watcher.joins();
        } else {
            assert_eq!(watcher.joins(), counts.joins, "life {life}: no new join");
            assert_eq!(place.joins(), 0, "life {life}: no new join");
        }
        match end {
            End::Stopped => place.stop(),
            End::Killed => drop(place.kill()),
        }
    }
    counts
}
