//! What a join with keys for a role gets, cell by cell (road-transactions: Acceptance), judged by Python
//! RAET 0.6.8 and by ours, as joinent and as joiner. One table says what is expected of both.

use std::fs;
use std::path::Path;

use raet_core::config::Trust;
use raet_core::crypto::{NaclSuite, PublicKeys, Secrets};
use raet_core::event::RemoteEvent;
use raet_core::keep::{Record, RoleRecord, Status};
use raet_core::storage::Heap;
use raet_tests::interop::is;
use raet_tests::matrix::table::Counts;
use raet_tests::sim::name;
use serde_json::{Value, json};

use crate::lab::{Cell, Lab};
use crate::pair::Pair;
use crate::setup::{Setup, Side};
use crate::traffic::word;

const GROUP: &str = "acceptance";

/// What is kept of a role: its status, and whether its keys are the ones that the join brings.
type Kept = Option<(Status, bool)>;

/// What it gets under trust never, once, always.
const TABLE: [(Kept, [Status; 3]); 7] = {
    use Status::{Accepted as A, Pending as P, Rejected as R};
    [
        (None, [P, A, A]),
        (Some((P, true)), [P, A, A]),
        (Some((P, false)), [R, R, A]),
        (Some((A, true)), [A, A, A]),
        (Some((A, false)), [R, R, A]),
        (Some((R, true)), [R, R, A]),
        (Some((R, false)), [R, R, A]),
    ]
};

pub(crate) fn cells() -> Vec<Cell> {
    let mut cells = Vec::new();
    for (kept, row) in TABLE {
        for (trust, status) in [Trust::Never, Trust::Once, Trust::Always]
            .into_iter()
            .zip(row)
        {
            for judge in Side::BOTH {
                for main in Side::BOTH {
                    let held = match kept {
                        None => "nothing kept".to_owned(),
                        Some((status, true)) => format!("{status:?}, same keys"),
                        Some((status, false)) => format!("{status:?}, other keys"),
                    };
                    let role = if judge == main { "joinent" } else { "joiner" };
                    let name = format!("{held}, {}: {} as {role}", word(trust), judge.word());
                    let replaced = matches!(kept, Some((_, false))) && status == Status::Accepted;
                    let keys = if replaced { ", keys replaced" } else { "" };
                    let case = Case {
                        kept,
                        trust,
                        judge,
                        status,
                    };
                    let expected = format!("{status:?}{keys}");
                    cells.push(Cell::new(GROUP, name, expected, move |lab| {
                        case.run(lab, main)
                    }));
                }
            }
        }
    }
    cells
}

struct Case {
    kept: Kept,
    trust: Trust,
    judge: Side,
    status: Status,
}

/// A role as it is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Role {
    status: Status,
    keys: PublicKeys,
}

impl Case {
    fn run(self, lab: &Lab, main: Side) -> Counts {
        let folder = tempfile::tempdir().expect("a folder");
        let keep = folder.path().join("keep");
        let suite = NaclSuite::new(&[9; 32]);
        let (sign, secret) = ([0x61; 32], [0x62; 32]);
        let brought = match self.judge {
            Side::Python => Setup::new(main).ours.secrets.public_keys(&suite),
            Side::Rust => Secrets::new(&sign, &secret).public_keys(&suite),
        };
        let others = Secrets::new(&[0x71; 32], &[0x72; 32]).public_keys(&suite);
        let before = self.kept.map(|(status, same)| Role {
            status,
            keys: if same { brought } else { others },
        });

        let mut setup = Setup::new(main)
            .peer("dirpath", keep.to_string_lossy().into_owned())
            .peer("sigkey", hex(&sign))
            .peer("prikey", hex(&secret));
        let mut records = Vec::new();
        match self.judge {
            Side::Python => {
                setup = setup.peer("auto", word(self.trust));
                if let Some(role) = &before {
                    write_role(&keep, role);
                }
            }
            Side::Rust => {
                setup.ours.trust = self.trust;
                records.extend(before.map(|role| {
                    Record::Role(RoleRecord {
                        name: name("python"),
                        status: role.status,
                        // A person decided, or nobody has.
                        judged: role.status != Status::Pending,
                        keys: role.keys,
                    })
                }));
            }
        }
        let mut pair = Pair::<Heap>::start_from(lab, setup, records);
        pair.accepting = false;
        pair.begin();
        match self.status {
            Status::Accepted => {
                pair.up();
                pair.exchange(10);
            }
            Status::Pending => self.pends(&mut pair),
            Status::Rejected => self.rejects(&mut pair, main),
        }
        let after = match self.judge {
            Side::Python => read_role(&keep),
            Side::Rust => pair
                .estate
                .stack
                .roles()
                .find(|r| r.name == "python")
                .map(|r| Role {
                    status: r.status,
                    keys: r.keys,
                }),
        };
        let expected = match self.status {
            Status::Rejected => before,
            status => Some(Role {
                status,
                keys: brought,
            }),
        };
        assert_eq!(after, expected, "what is kept of the role afterwards");
        pair.counts()
    }

    /// Both are told to wait, and nobody is joined.
    fn pends(&self, pair: &mut Pair<'_, Heap>) {
        let here = self.judge == Side::Rust;
        pair.until("a pending join", |pair| {
            pair.happened(RemoteEvent::Pending { here })
        });
        if self.judge == Side::Python {
            let pended = |e: &Value| is("remote")(e) && e["acceptance"] == 0 && e["joined"] != true;
            pair.until("a pending join there", |pair| pair.peer.poll_for(pended));
        }
        let joined = pair.estate.stack.remotes().any(|r| r.joined);
        assert!(!joined && pair.far()["joined"] != true);
    }

    /// The joiner is told, or what it had made is gone, and nobody is joined.
    fn rejects(&self, pair: &mut Pair<'_, Heap>, main: Side) {
        match (self.judge, main) {
            (Side::Python, Side::Python) => pair.until("a rejection", |pair| {
                pair.join_failed(raet_core::event::JoinFailure::Rejected)
            }),
            (Side::Rust, Side::Python) => pair.until("a rejection here", |pair| {
                pair.join_failed(raet_core::event::JoinFailure::RejectedHere)
            }),
            (_, Side::Rust) => pair.until("a rejection there", |pair| {
                pair.peer.poll_for(is("remote_removed")).map(|_| ())
            }),
        }
        let joined = pair.estate.stack.remotes().any(|r| r.joined);
        assert!(!joined && pair.far()["joined"] != true);
    }
}

fn hex(bytes: &[u8; 32]) -> String {
    raet_core::crypto::hex::encode(bytes)
        .iter()
        .map(|digit| char::from(*digit))
        .collect()
}

/// The peer's file of our role (lane-and-keep: Keep).
fn role_file(keep: &Path) -> std::path::PathBuf {
    keep.join("role").join("remote").join("role.rust.json")
}

fn write_role(keep: &Path, role: &Role) {
    let file = role_file(keep);
    let folder = file.parent().expect("a file lies in a folder");
    fs::create_dir_all(folder).expect("a temporary folder takes more");
    let content = json!({
        "role": "rust", "acceptance": role.status as u8,
        "verhex": hex(&role.keys.verify), "pubhex": hex(&role.keys.public),
    });
    fs::write(file, content.to_string()).expect("a temporary folder takes files");
}

fn read_role(keep: &Path) -> Option<Role> {
    let text = fs::read_to_string(role_file(keep)).ok()?;
    let role: Value = serde_json::from_str(&text).expect("0.6.8 writes json");
    let status = match role["acceptance"].as_u64() {
        Some(0) => Status::Pending,
        Some(1) => Status::Accepted,
        _ => Status::Rejected,
    };
    let keys = ["verhex", "pubhex"].map(|field| role[field].as_str().unwrap_or_default());
    Some(Role {
        status,
        keys: PublicKeys::from_hex(keys[0], keys[1]).expect("0.6.8 writes keys"),
    })
}
