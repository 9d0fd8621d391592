//! Every kind of head, body, coat and foot, whichever side is main: handshakes, signs of life and messages.

use raet_core::event::Outcome;
use raet_core::storage::Heap;
use raet_core::wire::{BodyKind, CoatKind, FootKind};
use serde_json::{Value, json};

use crate::lab::{Cell, Lab};
use crate::pair::{Ours, Pair};
use crate::setup::{Kinds, Setup, Side};
use raet_tests::matrix::table::Counts;
use raet_tests::sim::name;

const GROUP: &str = "kinds";
const MIXED: &str = "mixed kinds";
const NAMES: &str = "names";

pub(crate) fn cells() -> Vec<Cell> {
    let mut cells = Vec::new();
    for main in Side::BOTH {
        for kinds in Kinds::all() {
            let [head, body, coat, foot] = kinds.words();
            let name = format!("{head}-{body}-{coat}-{foot}, {} main", main.word());
            cells.push(Cell::new(
                GROUP,
                name,
                "all delivered, bodies of all kinds",
                move |lab| alike(lab, main, kinds),
            ));
            let name = format!("ours {}, {} main", kinds.words().join("-"), main.word());
            let expected = "all delivered, with each of the 15 other kinds that Python can send";
            cells.push(Cell::new(MIXED, name, expected, move |lab| {
                mixed(lab, main, kinds)
            }));
        }
        let usual = |kinds: &Kinds| kinds.coat == CoatKind::Nacl && kinds.foot == FootKind::Nacl;
        for kinds in Kinds::all().filter(usual) {
            let [head, body, ..] = kinds.words();
            let name = format!("{head}-{body}, {} main", main.word());
            let expected = "names and roles of all characters are understood and kept, both ways";
            cells.push(Cell::new(NAMES, name, expected, move |lab| {
                named(lab, main, kinds)
            }));
        }
    }
    cells
}

/// Each side sends its own kinds, and is answered in those.
fn mixed(lab: &Lab, main: Side, ours: Kinds) -> Counts {
    let mut sum = Counts::default();
    for theirs in Kinds::all().filter(|theirs| *theirs != ours) {
        let _case = Case(theirs.words());
        let mut pair = Pair::<Heap>::start(lab, Setup::new(main).kinds(ours, theirs));
        pair.begin();
        pair.up();
        pair.exchange(3000);
        pair.alive();
        sum += pair.settle();
    }
    sum
}

/// Tells, should the cell fail, where it was.
struct Case([&'static str; 4]);

impl Drop for Case {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("with Python's {}", self.0.join("-"));
        }
    }
}

/// Letters of two bytes, characters of four, and what JSON escapes. Our joins in JSON say them as they
/// stand, Python's escape them to ASCII.
fn named(lab: &Lab, main: Side, kinds: Kinds) -> Counts {
    let [ours, our_role] = ["rüst-🦀-\"\\", "rolle-für-🦀"];
    let [theirs, their_role] = ["pythön-🐍-\"\\", "rolle-für-🐍"];
    let folder = tempfile::tempdir().expect("a folder");
    let mut setup = Setup::new(main)
        .kinds(kinds, kinds)
        .peer("name", theirs)
        .peer("role", their_role)
        .peer("keep_ext", kinds.words()[1])
        .peer("dirpath", folder.path().to_string_lossy().into_owned());
    (setup.ours.name, setup.ours.role) = (name(ours), name(our_role));
    let options = setup.theirs.clone();
    let mut pair = Pair::<Heap>::start(lab, setup);
    pair.begin();
    pair.up();
    pair.exchange(3000);
    let far = pair.far();
    assert_eq!(
        (&far["name"], &far["role"]),
        (&json!(ours), &json!(our_role))
    );
    let near = pair.remote().expect("it is there");
    assert_eq!((&*near.name, &*near.role), (theirs, their_role));
    // Its keep holds them, too.
    pair.restart_peer(options);
    let far = pair.far();
    assert_eq!(
        (&far["name"], &far["role"]),
        (&json!(ours), &json!(our_role))
    );
    pair.settle()
}

/// Both sides send these kinds.
fn alike(lab: &Lab, main: Side, kinds: Kinds) -> Counts {
    let setup = Setup::new(main).kinds(kinds, kinds);
    let mut pair = Pair::<Heap>::start(lab, setup);
    pair.begin();
    pair.up();
    pair.exchange(5000);
    // What 0.6.8 can read but its own sending call cannot make.
    let raw = |bytes: &[u8], shown: Value| Ours {
        kind: BodyKind::Raw,
        bytes: bytes.to_vec(),
        shown,
    };
    let long = [0xa5; 3000];
    let others = [
        raw(b"\x00\xff raw", json!({"__bytes__": "00ff20726177"})),
        raw(&long, json!({"__bytes__": "a5".repeat(3000)})),
        Ours {
            kind: BodyKind::Nada,
            bytes: Vec::new(),
            shown: json!({}),
        },
    ];
    let outcomes = pair.exchange_all(&others, &[]);
    assert_eq!(outcomes, [Outcome::Delivered; 3]);
    pair.alive();
    pair.settle()
}
