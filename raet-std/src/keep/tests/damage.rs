//! Files that were damaged, exchanged or put there by somebody else: never a panic, never a good file
//! lost, never new keys.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use quickcheck::quickcheck;
use raet_core::RoadStack;
use raet_core::config::Config;
use raet_core::crypto::{NaclSuite, PublicKeys, Secrets};
use raet_core::keep::{EstateRecord, Place, Record, RemoteRecord, RoleRecord, Status};
use raet_core::storage::{Heap, Storage};
use raet_core::time::Instant;
use raet_core::wire::{Name, name};

use super::super::{Form, Identity, KeepError, KeepOptions, Notice};
use super::{Inode, Memory};

fn text(text: &str) -> Name {
    name(text).expect("a name")
}

fn keys(n: u8) -> PublicKeys {
    Secrets::new(&[n; 32], &[n + 1; 32]).public_keys(&NaclSuite::new(&[0; 32]))
}

fn remote(n: u8, called: &str, role: &str) -> Record {
    Record::Remote(RemoteRecord {
        name: text(called),
        near: u32::from(n),
        far: 7,
        address: SocketAddr::from(([10, 0, 0, n], 7530)),
        main: false,
        kind: n,
        role: text(role),
        joined: true,
        proven: true,
        session: 300,
    })
}

fn role(n: u8, called: &str, status: Status) -> Record {
    Record::Role(RoleRecord {
        name: text(called),
        status,
        judged: true,
        keys: keys(n),
    })
}

/// A keep with a bit of everything; two names differ only in case.
fn keep() -> Memory {
    let disk = Memory::default();
    let mut keep = disk.open().expect("an empty one");
    let address = SocketAddr::from(([10, 0, 0, 1], 7530));
    keep.create(Identity {
        name: "hub".to_owned(),
        role: "hub".to_owned(),
        address,
        bind: address,
        secrets: Secrets::new(&[1; 32], &[2; 32]),
    })
    .expect("a new one");
    let records = [
        Record::Estate(EstateRecord { sessions: 300 }),
        role(11, "alpha", Status::Accepted),
        role(12, "beta", Status::Rejected),
        role(13, "Beta", Status::Accepted),
        remote(21, "one", "alpha"),
        remote(22, "One", "alpha"),
        remote(23, "two", "Beta"),
        remote(24, "three", "beta"),
    ];
    keep.store(&records).expect("room");
    assert_eq!(keep.records().len(), records.len());
    drop(keep);
    let again = disk.open().expect("a good one").records();
    let sorted: BTreeMap<_, _> = records.iter().map(|r| (r.place(), r.clone())).collect();
    assert_eq!(again, sorted.into_values().collect::<Vec<_>>());
    disk
}

/// Whether the file is what says who the estate is.
fn is_own(path: &Path) -> bool {
    path.starts_with("/keep/local") || path.starts_with("/keep/role/local")
}

/// Opens a keep of which these files were changed, and checks what is left.
fn check(disk: &Memory, changed: &[PathBuf]) {
    let good = keep().open().expect("a good one").records();
    let before = disk.all();
    let opened = match disk.open() {
        Ok(opened) => opened,
        Err(KeepError::Damaged { path, .. } | KeepError::Missing(path)) => {
            assert!(is_own(&path), "{path:?}");
            assert!(changed.iter().any(|path| is_own(path)), "{path:?} was good");
            return;
        }
        Err(error) => panic!("{error}"),
    };
    // No bytes are lost, whatever they are.
    let after = disk.all();
    for (path, bytes) in &before {
        let beside = path.starts_with("/keep/beyond.log") || path.starts_with("/keep/beyond.json");
        if !beside {
            assert!(after.values().any(|held| held == bytes), "{path:?} is lost");
        }
    }
    // Everything else is as it was.
    let found: BTreeMap<_, _> = opened
        .records()
        .into_iter()
        .map(|r| (r.place(), r))
        .collect();
    let logged = changed
        .iter()
        .any(|path| path.starts_with("/keep/beyond.log"));
    for record in &good {
        let place = record.place();
        let file = match &place {
            Place::Estate => PathBuf::from("/keep/beyond.json"),
            Place::Role(name) => PathBuf::from(format!("/keep/role/remote/role.{name}.json")),
            Place::Remote(name) => PathBuf::from(format!("/keep/remote/estate.{name}.json")),
        };
        if changed.contains(&file) {
            continue;
        }
        let held = found.get(&place);
        match (record, held) {
            (_, None) => {
                // What lies beside alone goes with that.
                assert!(logged && !before.contains_key(&file), "{place:?} is lost");
            }
            (Record::Estate(a), Some(Record::Estate(b))) => assert!(a.sessions <= b.sessions),
            (Record::Role(a), Some(Record::Role(b))) => {
                assert_eq!((&a.name, a.status, a.keys), (&b.name, b.status, b.keys));
            }
            (Record::Remote(a), Some(Record::Remote(b))) => {
                assert_eq!((&a.role, a.near, a.far), (&b.role, b.near, b.far));
                assert_eq!((a.address, a.joined), (b.address, b.joined));
                assert!(a.session <= b.session);
            }
            other => panic!("{other:?}"),
        }
    }
    // An engine goes on from it.
    let secrets = Secrets::new(&[1; 32], &[2; 32]);
    let records = opened.records();
    let config = Config::new(text("hub"), secrets);
    let suite = NaclSuite::new(&[9; 32]);
    RoadStack::<Heap, _>::new(Instant::ZERO, config, Heap::LIMITS, suite, records.clone())
        .expect("records that an engine takes");
    if let Some(identity) = opened.identity()
        && !changed.iter().any(|path| is_own(path))
    {
        assert_eq!(identity.secrets.sign_seed(), &[1; 32]);
    }
    // Who opens it again finds the same, and nothing more to say.
    drop(opened);
    let again = disk.open().expect("it was put in order");
    let quiet = |notice: &Notice| !matches!(notice, Notice::SetAside { .. });
    assert!(again.notices().iter().all(quiet), "{:?}", again.notices());
    assert_eq!(again.records(), records);
}

const FOREIGN: [&[u8]; 6] = [
    b"",
    b"{}",
    b"[1, 2, 3]",
    b"{\"name\": \"one\", \"uid\": 21}",
    b"{\"role\": \"alpha\", \"acceptance\": 1, \"verhex\": \"00\", \"pubhex\": \"\"}",
    b"\x80\xff\xff\xff\xff",
];

quickcheck! {
    fn a_damaged_file_costs_itself_alone(which: usize, how: u8, at: usize, by: u8) -> bool {
        let disk = keep();
        let files: Vec<_> = disk.all().into_iter().collect();
        let (path, mut bytes) = files[which % files.len()].clone();
        let at = at % bytes.len();
        match how % 4 {
            0 => bytes.truncate(at),
            1 => bytes[at] ^= by | 1,
            2 => bytes = FOREIGN[at % FOREIGN.len()].to_vec(),
            _ => {
                bytes.splice(at..at, vec![by; 70_000]);
            }
        }
        disk.put(&path, &bytes);
        check(&disk, &[path]);
        true
    }

    fn exchanged_files_are_seen(one: usize, other: usize) -> bool {
        let disk = keep();
        let files: Vec<_> = disk.all().into_iter().collect();
        let (one, other) = (&files[one % files.len()], &files[other % files.len()]);
        disk.put(&one.0, &other.1);
        disk.put(&other.0, &one.1);
        let changed = if one.0 == other.0 { vec![] } else { vec![one.0.clone(), other.0.clone()] };
        check(&disk, &changed);
        true
    }
}

#[test]
fn a_role_whose_file_is_damaged_is_pending_with_its_keys() {
    let disk = keep();
    disk.put(Path::new("/keep/role/remote/role.alpha.json"), b"{");
    let opened = disk.open().expect("the rest is good");
    let held = opened
        .roles()
        .find(|held| held.record.name == "alpha")
        .expect("its keys are known");
    // So that who has other keys is not let in as the first, not even by trust once.
    assert_eq!(held.record.status, Status::Pending);
    assert_eq!(held.record.keys, keys(11));
    assert_eq!(held.names, ["one", "One"]);
    assert!(
        opened
            .notices()
            .contains(&Notice::Unjudged("alpha".to_owned()))
    );
    assert!(opened.notices().iter().any(|notice| matches!(
        notice,
        Notice::SetAside { from, .. } if from.ends_with("role.alpha.json")
    )));
    // Nor later, when nothing tells any more that it was damaged.
    let records = opened.records();
    drop(opened);
    assert_eq!(disk.open().expect("a good one").records(), records);
}

/// As when a disk is full for a while: what could not be written is written when it is tried again, and
/// nothing of the first time is in the way.
#[test]
fn a_store_that_failed_can_be_done_again() {
    let records = [
        Record::Estate(EstateRecord { sessions: 900 }),
        role(11, "alpha", Status::Rejected),
        remote(25, "five", "alpha"),
        Record::Forgotten(text("two")),
    ];
    for step in 0.. {
        let disk = keep();
        let mut opened = disk.open().expect("a good one");
        disk.with(|p| p.left = Some(step));
        let failed = opened.store(&records).is_err();
        disk.with(|p| p.left = None);
        if !failed {
            assert!(step > 10, "{step} steps");
            break;
        }
        opened.store(&records).expect("room");
        let expected = opened.records();
        drop(opened);
        let again = disk.open().expect("a good one");
        assert_eq!(again.notices(), [], "step {step}");
        assert_eq!(again.records(), expected, "step {step}");
    }
}

/// A folder that 0.6.8 has used with both forms, copied with no regard to times, or whose estate was
/// touched: each file counts once, and the keys are never what is removed.
#[test]
fn two_forms_become_one_and_nothing_is_lost() {
    for (form, msgpack_newer) in [
        (Form::Json, false),
        (Form::Json, true),
        (Form::Msgpack, false),
        (Form::Msgpack, true),
    ] {
        let disk = keep();
        let records = disk.open().expect("a good one").records();
        let json = "/keep/local/estate.json";
        let estate: serde_json::Value =
            serde_json::from_slice(&disk.all()[Path::new(json)]).expect("JSON");
        // Only the estate's file is there in both forms.
        let packed = rmp_serde::to_vec_named(&estate).expect("simple");
        disk.with(|p| {
            p.inodes.push(Inode {
                durable: packed.clone(),
                bytes: packed,
                mode: 0o600,
                modified: if msgpack_newer { 1000 } else { 0 },
            });
            let inode = p.inodes.len() - 1;
            for names in [&mut p.names, &mut p.durable] {
                names.insert(PathBuf::from("/keep/local/estate.msgpack"), inode);
            }
        });
        let options = KeepOptions {
            form: Some(form),
            ..KeepOptions::default()
        };
        for options in [options, KeepOptions::default()] {
            let opened = disk.open_with(options).expect("a good one");
            let identity = opened.identity().expect("an estate");
            assert_eq!(identity.secrets.sign_seed(), &[1; 32]);
            assert_eq!(opened.records(), records);
            let ending = format!(".{}", form.ending());
            for path in disk.all().into_keys() {
                let text = path.to_str().expect("text");
                assert!(text.ends_with(&ending) || text.contains("beyond"), "{text}");
            }
        }
    }
}

#[test]
fn an_estate_that_cannot_be_read_is_not_made_anew() {
    for path in ["/keep/local/estate.json", "/keep/role/local/role.json"] {
        let disk = keep();
        disk.put(Path::new(path), b"{\"name\": ");
        let error = disk.open().expect_err("it is damaged").to_string();
        assert!(error.contains(path) && error.contains("restore"), "{error}");
        disk.with(|p| p.names.remove(Path::new(path)));
        let error = disk.open().expect_err("it is missing").to_string();
        assert!(error.contains(path) && error.contains("missing"), "{error}");
    }
}

/// Its peers know it by keys that are gone: to say nothing would be to become somebody else.
#[test]
fn an_estate_that_is_gone_altogether_is_not_made_anew_among_its_remotes() {
    for beside in [true, false] {
        let disk = keep();
        for path in disk.all().into_keys() {
            if is_own(&path) || (!beside && path.starts_with("/keep/beyond.json")) {
                disk.with(|p| p.names.remove(&path));
            }
        }
        let error = disk.open().expect_err("it is missing").to_string();
        assert!(error.contains("missing from a keep"), "{error}");
    }
}

#[test]
fn names_that_differ_only_in_case_never_share_a_file() {
    let disk = keep();
    let names: Vec<_> = disk.all().into_keys().collect();
    let folded: std::collections::BTreeSet<_> = names
        .iter()
        .map(|path| path.to_str().expect("text").to_lowercase())
        .collect();
    assert_eq!(folded.len(), names.len());
    // They are forgotten each alone, and no file of the other one's is touched.
    let mut opened = disk.open().expect("a good one");
    opened
        .store(&[
            Record::Forgotten(text("One")),
            Record::ForgottenRole(text("Beta")),
        ])
        .expect("room");
    assert!(disk.with(|p| p.removed.is_empty()));
    let left = disk.open().expect("a good one").records();
    let is = |name: &str| left.iter().any(|r| r.place() == Place::Remote(text(name)));
    assert!(is("one") && !is("One"));
}
