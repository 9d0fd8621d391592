//! Estates that stop, die and come back from their keeps, and those that stay.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use raet_tests::interop::is;
use raet_tests::matrix::table::Counts;
use serde_json::{Value, json};

use crate::fleet::Member;
use crate::lab::{Cell, Lab};
use crate::setup::Side;

const GROUP: &str = "lives";

pub(crate) fn cells() -> Vec<Cell> {
    let mut cells = Vec::new();
    for gone in Side::BOTH {
        for main in Side::BOTH {
            let name = format!("{} stops and comes back, {} main", gone.word(), main.word());
            let expected = "presence sees it go and come, messages go on";
            cells.push(Cell::new(GROUP, name, expected, move |lab| {
                presence(lab, gone, main)
            }));
            let name = format!(
                "{} killed with messages in flight, {} main",
                gone.word(),
                main.word()
            );
            let expected = match gone {
                Side::Rust => {
                    "no message twice in a life, no new join; 0.6.8 may give up its open messages"
                }
                Side::Python => "ours all end as delivered, none twice in a life, no new join",
            };
            cells.push(Cell::new(GROUP, name, expected, move |lab| {
                killed(lab, gone, main)
            }));
        }
    }
    cells
}

/// The one that stays, and what the mortal one is started with, in each of its lives.
struct Two<'l> {
    lab: &'l Lab,
    mortal: Side,
    main: Side,
    options: Value,
    stays: Member<'l>,
    /// Joins that the one that stays had seen when both were in.
    joins: u64,
    _folder: tempfile::TempDir,
}

impl<'l> Two<'l> {
    /// Two estates with a session; the second returned is the mortal one.
    fn start(lab: &'l Lab, mortal: Side, main: Side, stays: &Value) -> (Self, Member<'l>) {
        let folder = tempfile::tempdir().expect("a folder");
        let keep = folder.path().join("keep");
        let options = json!({"dirpath": keep, "ha": ["127.0.0.1", lab.port()]});
        let stays = Member::start(lab, mortal.other(), "stays", main != mortal, stays);
        let mut two = Self {
            lab,
            mortal,
            main,
            options,
            stays,
            joins: 0,
            _folder: folder,
        };
        let mut first = two.life();
        if main == mortal {
            two.stays.connect(first.address);
        } else {
            first.connect(two.stays.address);
        }
        two.go_on(&mut first, 0);
        two.joins = two.stays.joins();
        (two, first)
    }

    /// A life of the mortal one.
    fn life(&self) -> Member<'l> {
        let main = self.main == self.mortal;
        Member::start(self.lab, self.mortal, "mortal", main, &self.options)
    }

    /// A session, and a message each way in it.
    fn go_on(&mut self, mortal: &mut Member<'_>, life: u64) {
        mortal.up("stays");
        self.stays.up("mortal");
        let value = json!({"life": life, "pad": "x".repeat(3000)});
        mortal.send("stays", &value);
        self.stays.taken("mortal", &value);
        self.stays.send("mortal", &value);
        mortal.taken("stays", &value);
    }

    /// The mortal one's join is on disk, and for ours that its peer proved its keys. A keep gathers what it stores
    /// for a moment, and a join that a crash overtakes is begun anew by whoever asked for it.
    fn kept(&self) {
        let keep = Path::new(self.options["dirpath"].as_str().expect("a path"));
        let joined = || {
            let mut names = std::fs::read_dir(keep.join("remote")).ok()?.flatten();
            names.find(|entry| {
                entry
                    .file_name()
                    .to_string_lossy()
                    .starts_with("estate.stays.")
            })
        };
        let proven = || {
            let log = std::fs::read_to_string(keep.join("beyond.log"));
            log.is_ok_and(|log| log.contains(r#""proven":""#))
        };
        let stored = || joined().filter(|_| self.mortal == Side::Python || proven());
        for _ in 0..3000 {
            if stored().is_some() {
                return;
            }
            // Another process stores it.
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("the join was not stored in 30 s");
    }

    /// Nobody had to join for it.
    fn without_a_join(&mut self, mortal: &mut Member<'_>) {
        assert_eq!(self.stays.joins(), self.joins, "no new join");
        assert_eq!(mortal.joins(), 0, "no new join");
    }

    /// The counts of so many calls of `go_on`, and what else the two took.
    fn counts(&self, rounds: u64, by_mortal: u64, by_the_other: u64) -> Counts {
        let (to_python, to_rust) = match self.mortal {
            Side::Rust => (by_the_other, by_mortal),
            Side::Python => (by_mortal, by_the_other),
        };
        Counts {
            to_python: rounds + to_python,
            to_rust: rounds + to_rust,
            joins: self.joins,
            ..Counts::default()
        }
    }
}

fn presence(lab: &Lab, gone: Side, main: Side) -> Counts {
    // Ours is to notice: it then begins a join, too, which may come through before the other's allow (H10).
    let (mut two, mortal) = Two::start(lab, gone, main, &json!({"patience": 2}));
    let alive = |member: &mut Member<'_>| member.remote("mortal")["alived"].clone();
    two.stays
        .until("sign of life", |m| (alive(m) == true).then_some(()));
    mortal.stop();
    two.stays
        .until("its going", |m| (alive(m) == false).then_some(()));
    let mut mortal = two.life();
    two.stays
        .until("its return", |m| (alive(m) == true).then_some(()));
    two.go_on(&mut mortal, 1);
    two.counts(2, 0, 0)
}

fn killed(lab: &Lab, gone: Side, main: Side) -> Counts {
    let (mut two, mut mortal) = Two::start(lab, gone, main, &json!({}));
    two.kept();
    let small = |n: u64| json!({"n": n});
    let large = |n: u64| json!({"n": n, "pad": "x".repeat(150_000)});
    let values: Vec<Value> = (1..=4).map(small).chain((5..=7).map(large)).collect();
    for value in &values {
        mortal.send("stays", value);
        two.stays.send("mortal", value);
    }
    // It is in the midst of it.
    two.stays.taken("mortal", &small(1));
    let told = mortal.kill();
    let first_life = times(told.iter().filter(|e| is("msg")(e)));
    let mut mortal = two.life();
    two.go_on(&mut mortal, 1);
    two.without_a_join(&mut mortal);
    if two.stays.side == Side::Rust {
        // All that it sent ends, with what `go_on` sent: what was open goes out again in the new session.
        for _ in 0..values.len() + 2 {
            let ended = two.stays.wait_for(is("outcome"));
            assert_eq!(ended["outcome"], "Delivered", "{ended}");
        }
    }
    two.go_on(&mut mortal, 2);
    let second_life = times(mortal.messages().iter());
    let at_the_other = times(two.stays.messages().iter());
    for life in [&first_life, &second_life, &at_the_other] {
        assert!(life.values().all(|times| *times == 1), "{life:?}");
    }
    let arrived = first_life.len() + second_life.len();
    two.counts(3, arrived as u64, at_the_other.len() as u64 + 1)
}

/// How often each numbered message came.
fn times<'e>(events: impl Iterator<Item = &'e Value>) -> BTreeMap<u64, u32> {
    let mut times = BTreeMap::new();
    for n in events.filter_map(|event| event["body"]["n"].as_u64()) {
        *times.entry(n).or_default() += 1;
    }
    times
}
