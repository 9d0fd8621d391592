use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use raet_core::config::{Presence, Trust};
use raet_core::event::RemoteEvent;

use super::{AskError, Control, Keys, Reply, Report, Request, RoleReport, Standing, State, ask};
use crate::{Event, Road};

fn road(name: &str, trust: Trust) -> Road {
    Road::builder(name)
        .bind(([127, 0, 0, 1], 0))
        .main(name == "hub")
        .trust(trust)
        .configure(|config| config.presence = Some(Presence::default()))
        .open()
        .expect("a free port")
}

fn serve(road: &Road, folder: &Path) -> Control {
    road.serve_control(&folder.join("control"), None)
        .expect("a free path")
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder for temporary files")
}

fn until(road: &Road, wanted: RemoteEvent) {
    loop {
        match road.event().expect("open") {
            Event::Remote { what, .. } if what == wanted => return,
            _ => {}
        }
    }
}

fn status(path: &Path) -> Report {
    match ask(path, &Request::Status) {
        Ok(Reply::Status(report)) => report,
        other => panic!("no status: {other:?}"),
    }
}

fn roles(path: &Path) -> Vec<RoleReport> {
    match ask(path, &Request::Roles) {
        Ok(Reply::Roles(roles)) => roles,
        other => panic!("no roles: {other:?}"),
    }
}

fn judge(path: &Path, status: Standing, keys: &Keys) -> Result<Reply, AskError> {
    let role = "sensor".to_owned();
    let keys = Some(keys.clone());
    ask(path, &Request::Judge { role, status, keys })
}

#[test]
fn a_pending_peer_is_shown_and_let_in_and_turned_out() {
    let folder = folder();
    let (hub, sensor) = (road("hub", Trust::Never), road("sensor", Trust::Once));
    let control = serve(&hub, folder.path());
    let path = control.path();
    sensor.connect(hub.local_addr()).expect("room");
    until(&hub, RemoteEvent::Pending { here: true });
    let shown = roles(path);
    assert_eq!(shown.len(), 1);
    assert_eq!(shown[0].status, Standing::Pending);
    assert_eq!(shown[0].names, ["sensor"]);
    assert!(shown[0].last_seen > Some(1_700_000_000));
    let keys = &shown[0].keys;
    assert_eq!(keys.finger, sensor.public_keys().fingerprint().to_string());
    assert_eq!(status(path).remotes[0].state, State::Pending);

    // Not the keys that were shown: nothing is accepted (hardening: H17).
    let other = Keys::from(&hub.public_keys());
    let refused = judge(path, Standing::Accepted, &other);
    assert!(matches!(refused, Err(AskError::Refused(_))), "{refused:?}");
    assert_eq!(roles(path)[0].status, Standing::Pending);

    assert_eq!(
        judge(path, Standing::Accepted, keys).expect("done"),
        Reply::Done(true)
    );
    until(&hub, RemoteEvent::Came);
    let report = status(path);
    assert_eq!(report.name, "hub");
    assert_eq!(report.addr, hub.local_addr());
    let remote = &report.remotes[0];
    assert_eq!((remote.state, remote.name.as_str()), (State::Up, "sensor"));
    assert!(remote.since > Some(1_700_000_000) && remote.heard >= remote.since);

    judge(path, Standing::Rejected, keys).expect("done");
    until(&hub, RemoteEvent::Forgotten);
    assert_eq!(roles(path)[0].status, Standing::Rejected);
    let role = "sensor".to_owned();
    ask(path, &Request::Forget { role: role.clone() }).expect("done");
    assert_eq!(roles(path), []);
    let status = Standing::Accepted;
    let keys = keys.clone();
    ask(path, &Request::Introduce { role, status, keys }).expect("done");
    assert_eq!(roles(path)[0].status, Standing::Accepted);
}

#[test]
fn only_the_owner_reaches_it_and_it_goes_with_the_road() {
    let folder = folder();
    let hub = road("hub", Trust::Never);
    let control = serve(&hub, folder.path());
    let path = control.path().to_owned();
    let mode = std::fs::metadata(&path).expect("it is there").permissions();
    assert_eq!(mode.mode() & 0o777, 0o600);
    let again = hub.serve_control(&path, None);
    assert!(again.is_err_and(|error| error.to_string().contains("another estate")));
    status(&path);
    drop(control);
    assert!(!path.exists());
    assert!(matches!(
        ask(&path, &Request::Status),
        Err(AskError::Nobody(_))
    ));

    // One that a crash left behind is replaced; what is no socket is not.
    drop(std::os::unix::net::UnixListener::bind(&path).expect("a free path"));
    assert!(matches!(
        ask(&path, &Request::Status),
        Err(AskError::Nobody(_))
    ));
    let control = serve(&hub, folder.path());
    status(&path);
    // Another one's file is left alone.
    std::fs::remove_file(&path).expect("it is there");
    std::fs::write(&path, "mine").expect("a file");
    drop(control);
    assert!(path.exists());
    assert!(hub.serve_control(&path, None).is_err());

    let long: PathBuf = folder.path().join("x".repeat(200));
    assert!(hub.serve_control(&long, None).is_err());
}

#[test]
fn what_is_no_request_is_refused_and_disturbs_nobody() {
    let folder = folder();
    let hub = road("hub", Trust::Never);
    let control = serve(&hub, folder.path());
    let said = |bytes: &[u8]| {
        let mut stream = UnixStream::connect(control.path()).expect("it is served");
        // It may have said no before all of it was written.
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut reply = String::new();
        let _ = stream.read_to_string(&mut reply);
        reply
    };
    for bytes in [
        &b""[..],
        b"\n",
        b"nonsense\n",
        b"{\"ask\":\"everything\"}\n",
        b"{\"ask\":\"judge\",\"role\":\"x\",\"status\":\"maybe\",\"keys\":null}\n",
        b"{\"ask\":\"judge\",\"role\":\"x\",\"status\":\"accepted\",\"keys\":null}\n",
        b"{\"ask\":\"forget\",\"role\":\"a b\"}\n",
        &[0xff; 100],
    ] {
        assert!(
            said(bytes).contains("refused"),
            "{bytes:?}: {}",
            said(bytes)
        );
    }
    // Without an end, and more than is read.
    let flood = said(&vec![b'x'; 100_000]);
    assert!(flood.is_empty() || flood.contains("at most"), "{flood}");
    assert!(said(b"{\"ask\":\"status\"}\n").contains("\"hub\""));

    // One that connects and says nothing holds up the next, but not for ever.
    let silent = UnixStream::connect(control.path()).expect("it is served");
    status(control.path());
    drop(silent);
}

#[test]
fn it_does_not_keep_a_road_open() {
    let folder = folder();
    let hub = road("hub", Trust::Never);
    let addr: SocketAddr = hub.local_addr();
    let control = serve(&hub, folder.path());
    drop(hub);
    assert!(ask(control.path(), &Request::Status).is_err());
    std::net::UdpSocket::bind(addr).expect("its port is free again");
}
