//! A joined estate changes something that is known of it, and joins again: on mutable and immutable roads,
//! judged by 0.6.8 and by ours.

use std::fs;
use std::path::Path;

use raet_core::config::{Config, Trust};
use raet_core::crypto::Secrets;
use raet_core::event::JoinFailure;
use raet_core::storage::Heap;
use raet_tests::interop::is;
use raet_tests::matrix::table::Counts;
use raet_tests::sim::name;
use serde_json::{Value, json};

use crate::lab::{Cell, Lab};
use crate::pair::Pair;
use crate::setup::{Setup, Side};
use crate::traffic::word;

const GROUP: &str = "changes";

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum What {
    Nothing,
    Kind,
    Main,
    Address,
    Name,
    Role,
    Keys,
}

const ALL: [What; 7] = [
    What::Nothing,
    What::Kind,
    What::Main,
    What::Address,
    What::Name,
    What::Role,
    What::Keys,
];

pub(crate) fn cells() -> Vec<Cell> {
    let mut cells = Vec::new();
    for judge in Side::BOTH {
        for main in Side::BOTH {
            for mutable in [true, false] {
                for what in ALL {
                    let case = Case {
                        judge,
                        main,
                        mutable,
                        what,
                    };
                    let road = if mutable { "mutable" } else { "immutable" };
                    let name = format!(
                        "{what:?} of {} on {}'s {road} road, {} main",
                        judge.other().word(),
                        judge.word(),
                        main.word()
                    );
                    cells.push(Cell::new(GROUP, name, case.expected(), move |lab| {
                        case.run(lab)
                    }));
                }
            }
        }
    }
    cells
}

#[derive(Clone, Copy)]
struct Case {
    /// Who keeps what was known, and judges the change.
    judge: Side,
    main: Side,
    mutable: bool,
    what: What,
}

impl Case {
    /// Whether the change is taken.
    fn taken(self) -> bool {
        // A name that has proven its keys keeps its role (H4), so a new name or role is another estate's.
        let ours_refuses = self.judge == Side::Rust && matches!(self.what, What::Name | What::Role);
        self.what == What::Nothing || self.mutable && !ours_refuses
    }

    fn expected(self) -> &'static str {
        match (self.taken(), self.mutable) {
            (true, _) => "the join is taken, messages go on both ways",
            (false, true) => "rejected: ours keeps name and role of who has proven its keys (H4)",
            (false, false) => "rejected",
        }
    }

    fn run(self, lab: &Lab) -> Counts {
        let folder = tempfile::tempdir().expect("a folder");
        let keep = folder.path().join("keep");
        // Other keys of a known role are accepted only so.
        let trust = match self.what {
            What::Keys => Trust::Always,
            _ => Trust::Once,
        };
        let setup = || {
            let mut setup = Setup::new(self.main)
                .peer("dirpath", keep.to_string_lossy().into_owned())
                .peer("auto", word(trust));
            setup.ours.trust = trust;
            match self.judge {
                Side::Rust => setup.ours.mutable = self.mutable,
                Side::Python => setup = setup.peer("mutable", self.mutable),
            }
            setup
        };
        let mut pair = Pair::<Heap>::start(lab, setup());
        pair.begin();
        pair.up();
        pair.exchange(10);
        match self.judge {
            Side::Python => {
                let config = self.change_ours(setup().ours);
                pair.names[0] = config.name.as_str().into();
                pair.estate = match self.what {
                    What::Address => pair.estate.move_away(config, [2; 32]),
                    _ => pair.estate.restart(config, [2; 32]),
                };
                pair.peer.drain();
                let (now, id) = (pair.estate.now(), pair.id());
                pair.estate.stack.join(now, id).expect("it is kept");
            }
            Side::Rust => {
                pair.estate.events.clear();
                let options = setup().theirs;
                pair.stop_peer();
                let options = self.change_theirs(lab, &keep, options);
                pair.start_peer(options);
                if self.what == What::Name && self.taken() {
                    pair.names[1] = "renamed".into();
                }
                let uid = pair.far()["uid"].clone();
                let join = json!({"cmd": "join", "uid": uid, "cascade": true, "timeout": 0});
                pair.peer.command(join);
            }
        }
        if self.taken() {
            pair.until("the join", |pair| {
                let joins = ["join_initiate_complete", "join_correspond_complete"];
                let said = joins.iter().map(|stat| pair.stat(stat)).sum::<u64>();
                let before = u64::from(self.judge == Side::Python);
                (said > before).then_some(())
            });
            pair.up_again();
            pair.exchange(3000);
            if self.judge == Side::Python {
                self.check_python(&mut pair);
            } else {
                self.check_ours(&mut pair);
            }
            pair.settle()
        } else {
            match self.judge {
                Side::Python => pair.until("a rejection", |pair| {
                    pair.join_failed(JoinFailure::Rejected)
                }),
                Side::Rust => pair.until("a rejection there", |pair| {
                    pair.peer.poll_for(is("remote_removed")).map(|_| ())
                }),
            }
            pair.counts()
        }
    }

    fn change_ours(self, mut config: Config) -> Config {
        match self.what {
            What::Kind => config.kind = 7,
            What::Main => config.main = !config.main,
            What::Name => config.name = name("renamed"),
            What::Role => config.role = name("another"),
            What::Keys => config.secrets = Secrets::new(&[0x81; 32], &[0x82; 32]),
            What::Nothing | What::Address => {}
        }
        config
    }

    /// Some of it 0.6.8 takes from its keep, whatever it is started with.
    fn change_theirs(self, lab: &Lab, keep: &Path, mut options: Value) -> Value {
        let estate = keep.join("local").join("estate.json");
        let role = keep.join("role").join("local").join("role.json");
        match self.what {
            What::Nothing => {}
            What::Kind => options["appkind"] = 7.into(),
            What::Main => options["main"] = (self.main == Side::Rust).into(),
            What::Address => {
                let ha = json!(["127.0.0.1", lab.port()]);
                edit(&estate, "ha", &ha);
                edit(&estate, "aha", &ha);
            }
            What::Name => edit(&estate, "name", &json!("renamed")),
            What::Role => {
                edit(&estate, "role", &json!("another"));
                edit(&role, "role", &json!("another"));
            }
            What::Keys => {
                edit(&role, "sighex", &json!("81".repeat(32)));
                edit(&role, "prihex", &json!("82".repeat(32)));
            }
        }
        options
    }

    /// What the peer knows of us now.
    fn check_python(self, pair: &mut Pair<'_, Heap>) {
        let far = pair.far();
        let address = pair.estate.address();
        assert_eq!(far["name"], pair.names[0]);
        assert_eq!(far["ha"][1], address.port());
        assert_eq!(far["kind"], if self.what == What::Kind { 7 } else { 0 });
        let role = if self.what == What::Role {
            "another"
        } else {
            "rust"
        };
        assert_eq!(far["role"], role);
        let keys = pair.estate.stack.public_keys().to_string();
        let held = [&far["verhex"], &far["pubhex"]].map(|key| key.as_str().unwrap_or_default());
        assert_eq!(keys, held.join(":"));
    }

    /// What we know of the peer now.
    fn check_ours(self, pair: &mut Pair<'_, Heap>) {
        let near = pair.remote().expect("its name is known");
        assert_eq!(near.kind, if self.what == What::Kind { 7 } else { 0 });
        assert_eq!(near.address, pair.road.address);
        let main = (self.main == Side::Python) != (self.what == What::Main);
        assert_eq!(near.main, main);
        let keys = near.keys.expect("joined").to_string();
        assert_eq!(
            keys,
            format!("{}:{}", pair.road.verify_hex, pair.road.public_hex)
        );
    }
}

/// Sets a field of one of the peer's files.
fn edit(file: &Path, field: &str, value: &Value) {
    let text = fs::read_to_string(file).expect("0.6.8 has written it");
    let mut content: Value = serde_json::from_str(&text).expect("0.6.8 writes json");
    content[field] = value.clone();
    fs::write(file, content.to_string()).expect("it can be written");
}
