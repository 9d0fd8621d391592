//! The keep on files: what 0.6.8 wrote is read, and what is written is what 0.6.8 writes.
#![cfg(unix)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use raet_core::RoadStack;
use raet_core::config::{Config, Trust};
use raet_core::crypto::{NaclSuite, Secrets};
use raet_core::error::JudgeError;
use raet_core::event::Outcome;
use raet_core::keep::{EstateRecord, Record, RemoteRecord, RoleRecord, Status};
use raet_core::storage::{Heap, Storage};
use raet_core::time::Instant;
use raet_core::wire::name;
use raet_std::keep::{FileKeep, Form, Identity, KeepError, KeepOptions, Notice};
use raet_std::{Body, Road, Shutdown};
use tempfile::TempDir;

/// A copy of a folder that 0.6.8 made, with the modes that it leaves.
fn captured(form: &str, stack: &str) -> TempDir {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("vectors/keep/{form}/{stack}"));
    let to = tempfile::tempdir().expect("a temporary folder");
    copy(&from, to.path());
    to
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).expect("there") {
        let entry = entry.expect("read");
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            fs::create_dir(&to).expect("new");
            set_mode(&to, 0o755);
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), &to).expect("copied");
            set_mode(&to, 0o644);
        }
    }
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("ours");
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("there").permissions().mode() & 0o777
}

fn open(folder: &TempDir) -> FileKeep {
    FileKeep::open(folder.path(), KeepOptions::default()).expect("a good keep")
}

fn remote(keep: &FileKeep, name: &str) -> RemoteRecord {
    keep.records()
        .into_iter()
        .find_map(|record| match record {
            Record::Remote(remote) if remote.name == name => Some(remote),
            _ => None,
        })
        .expect("it is kept")
}

fn role(keep: &FileKeep, name: &str) -> RoleRecord {
    keep.records()
        .into_iter()
        .find_map(|record| match record {
            Record::Role(role) if role.name == name => Some(role),
            _ => None,
        })
        .expect("it is kept")
}

#[test]
fn a_0_6_8_keep_is_read_in_both_forms() {
    for form in ["json", "msgpack"] {
        let folder = captured(form, "other");
        let keep = open(&folder);
        let identity = keep.identity().expect("an estate");
        assert_eq!((&*identity.name, &*identity.role), ("other", "other"));
        assert_eq!(identity.bind, "127.0.0.1:7531".parse().expect("an address"));
        assert_eq!(identity.secrets.sign_seed()[..2], [0xa2, 0xa2]);
        let main = remote(&keep, "main");
        assert_eq!((main.near, main.far, main.session), (21, 11, 2));
        assert!(main.main && main.joined && main.proven);
        assert_eq!(main.role, "master");
        let master = role(&keep, "master");
        assert_eq!((master.status, master.judged), (Status::Accepted, true));
        // What others could read was closed, and that is told.
        let told = |notice| keep.notices().contains(&notice);
        let keys = folder.path().join(format!("role/local/role.{form}"));
        assert!(told(Notice::Exposed(keys.clone())) && mode(&keys) == 0o600);
        let remotes = folder.path().join("remote");
        assert!(told(Notice::Tightened(remotes.clone())) && mode(&remotes) == 0o700);
    }
}

/// Stored again, a file has the bytes that 0.6.8 gave it, its sid apart: that runs ahead.
#[test]
fn files_are_written_as_0_6_8_writes_them() {
    for (form, stack) in [("json", "main"), ("msgpack", "main"), ("json", "third")] {
        let folder = captured(form, stack);
        let read = |path: &str| fs::read(folder.path().join(path)).expect("there");
        let mut keep = open(&folder);
        let records = keep.records();
        let mut before = Vec::new();
        for record in &records {
            let path = match record {
                Record::Role(role) => format!("role/remote/role.{}.{form}", role.name),
                Record::Remote(remote) => format!("remote/estate.{}.{form}", remote.name),
                _ => unreachable!("0.6.8 keeps no more"),
            };
            before.push((path.clone(), read(&path)));
            fs::remove_file(folder.path().join(path)).expect("it was there");
        }
        keep.store(&records).expect("room");
        assert!(!before.is_empty());
        for (path, bytes) in before {
            assert_eq!(read(&path), bytes, "{path}");
        }
    }
}

#[test]
fn two_cannot_have_one_keep() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    set_mode(folder.path(), 0o755);
    let keep = open(&folder);
    assert_eq!((mode(folder.path()), keep.notices()), (0o700, &[][..]));
    let second = FileKeep::open(folder.path(), KeepOptions::default());
    let error = second.expect_err("it is in use");
    assert!(matches!(error, KeepError::InUse(_)));
    assert!(error.to_string().contains("stop that one"), "{error}");
    drop(keep);
    open(&folder);
}

#[test]
fn a_keep_is_converted_when_another_form_is_asked_for() {
    let folder = captured("json", "main");
    let records = open(&folder).records();
    let options = KeepOptions {
        form: Some(Form::Msgpack),
        ..KeepOptions::default()
    };
    let keep = FileKeep::open(folder.path(), options).expect("a good keep");
    assert_eq!(keep.records(), records);
    let captured = captured("msgpack", "main");
    for path in [
        "local/estate",
        "role/local/role",
        "remote/estate.other",
        "role/remote/role.third",
    ] {
        let bytes = |folder: &TempDir| fs::read(folder.path().join(format!("{path}.msgpack")));
        assert_eq!(
            bytes(&folder).expect("there"),
            bytes(&captured).expect("there")
        );
        assert!(
            !folder.path().join(format!("{path}.json")).exists(),
            "{path}"
        );
    }
}

#[test]
fn session_ids_go_on_above_what_a_0_6_8_stack_used() {
    let folder = captured("json", "other");
    let sid = || {
        let text =
            fs::read_to_string(folder.path().join("remote/estate.main.json")).expect("there");
        let file: serde_json::Value = serde_json::from_str(&text).expect("whole");
        u32::try_from(file["sid"].as_u64().expect("a number")).expect("32 bits")
    };
    let mut keep = open(&folder);
    let estate = |sessions| Record::Estate(EstateRecord { sessions });
    keep.store(&[estate(5000)]).expect("room");
    // A 0.6.8 stack that takes over goes on above all that we may have used.
    assert!(sid() > 5000);
    drop(keep);
    // Our own next life does not jump with it.
    let keep = open(&folder);
    assert_eq!(keep.records().first(), Some(&estate(5000)));
    assert!(remote(&keep, "main").session <= 5000);
    drop(keep);
    // It took over: we go on above its ids.
    let path = folder.path().join("remote/estate.main.json");
    let text = fs::read_to_string(&path).expect("there");
    let used = sid() + 3;
    fs::write(
        &path,
        text.replace(&format!("\"sid\": {}", sid()), &format!("\"sid\": {used}")),
    )
    .expect("room");
    assert_eq!(remote(&open(&folder), "main").session, used);
}

/// A role of which only the name is known cannot be accepted, nor kept with keys that are none.
#[test]
fn a_role_without_keys_is_nothing_to_judge() {
    let folder = captured("json", "other");
    let path = folder.path().join("role/remote/role.master.json");
    fs::write(&path, "{").expect("room");
    let keep = open(&folder);
    assert!(
        keep.notices()
            .contains(&Notice::Keyless("master".to_owned()))
    );
    assert!(!path.exists() && path.with_extension("json.damaged-1").exists());
    let secrets = Secrets::new(&[1; 32], &[2; 32]);
    let mut config = Config::new(name("other").expect("a name"), secrets);
    config.trust = Trust::Never;
    let now = Instant::ZERO;
    let suite = NaclSuite::new(&[3; 32]);
    let records = keep.records();
    let mut engine = RoadStack::<Heap, _>::new(now, config, Heap::LIMITS, suite, records)
        .expect("the rest is good");
    assert!(engine.find("main").is_some());
    assert_eq!(
        engine.judge_role(now, "master", Status::Accepted, None),
        Err(JudgeError::Unknown)
    );
    while let Some(record) = engine.poll_record() {
        // And the remote, which was never proven, is not joined any more.
        let expected = match &record {
            Record::Estate(_) => true,
            Record::Remote(remote) => !remote.joined,
            _ => false,
        };
        assert!(expected, "{record:?}");
    }
}

#[test]
fn secrets_that_others_can_read_are_refused() {
    let folder = captured("json", "other");
    // A keep of 0.6.8 is closed; from then on it is one of ours.
    open(&folder);
    let keys = folder.path().join("role/local/role.json");
    set_mode(&keys, 0o640);
    let error = FileKeep::open(folder.path(), KeepOptions::default()).expect_err("readable");
    assert!(matches!(&error, KeepError::Readable { mode: 0o640, .. }));
    assert!(error.to_string().contains("chmod 600"), "{error}");
    let options = KeepOptions {
        readable: true,
        ..KeepOptions::default()
    };
    FileKeep::open(folder.path(), options).expect("as asked");
    assert_eq!(mode(&keys), 0o640);
    set_mode(&keys, 0o600);
    open(&folder);
}

/// A road with a keep that is there is who the keep says, whatever its host gives.
#[test]
fn a_road_goes_on_as_who_it_was() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let start = |called: &str| {
        let keep = FileKeep::open(folder.path(), KeepOptions::default()).expect("a good keep");
        Road::builder(called)
            .bind(([127, 0, 0, 1], 0))
            .main(true)
            .trust(Trust::Once)
            .keep(keep)
            .open()
            .expect("a free port")
    };
    let hub = start("hub");
    let (address, keys) = (hub.local_addr(), hub.public_keys());
    let other = Road::builder("sensor")
        .bind(([127, 0, 0, 1], 0))
        .trust(Trust::Once)
        .open()
        .expect("a free port");
    let remote = other.connect(address).expect("room");
    let delivery = other.send(remote, &Body::raw(*b"1")).expect("open");
    assert_eq!(hub.receive().expect("open").name, "sensor");
    assert_eq!(delivery.wait(), Outcome::Delivered);
    hub.shutdown(&Shutdown::NOW);
    for path in ["", "local", "remote", "role", "role/local", "role/remote"] {
        assert_eq!(mode(&folder.path().join(path)), 0o700, "{path}");
    }
    for path in [
        "local/estate.json",
        "role/local/role.json",
        "remote/estate.sensor.json",
        "role/remote/role.sensor.json",
        "beyond.json",
        "beyond.log",
    ] {
        assert_eq!(mode(&folder.path().join(path)), 0o600, "{path}");
    }

    let hub = start("another");
    assert_eq!((hub.local_addr(), hub.public_keys()), (address, keys));
    let sensor = hub.find("sensor").expect("it was kept");
    assert!(
        hub.remote(sensor)
            .is_some_and(|info| info.joined && info.proven)
    );
    let delivery = hub.send(sensor, &Body::raw(*b"2")).expect("open");
    assert_eq!(other.receive().expect("open").name, "hub");
    assert_eq!(delivery.wait(), Outcome::Delivered);
    drop(hub);
    // The folder is free as soon as the road is gone.
    let keep = open(&folder);
    let held = keep.roles().next().expect("one role");
    assert_eq!(held.record.name, "sensor");
    assert_eq!(held.names, ["sensor"]);
    assert!(held.first_seen.is_some() && held.first_seen <= held.last_seen);
}

#[test]
fn a_name_that_no_file_can_bear_is_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut keep = open(&folder);
    for called in ["", "../x", "a b", "a\0b", &"n".repeat(129)] {
        let error = keep
            .create(Identity {
                name: called.to_owned(),
                role: "fine".to_owned(),
                address: "127.0.0.1:7530".parse().expect("an address"),
                bind: "127.0.0.1:7530".parse().expect("an address"),
                secrets: Secrets::new(&[1; 32], &[2; 32]),
            })
            .expect_err("no name");
        assert!(matches!(error, KeepError::Name(_)), "{called:?}: {error}");
    }
    assert!(keep.identity().is_none());
    assert!(!folder.path().join("local/estate.json").exists());
}
