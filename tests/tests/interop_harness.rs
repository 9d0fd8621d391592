//! The harness tried on itself: Python RAET 0.6.8 against Python RAET 0.6.8.

use std::time::Duration;

use raet_tests::interop::{self, is, is_alive};
use serde_json::{Value, json};

const BOUND: Duration = Duration::from_secs(30);

fn message(n: u64) -> impl Fn(&Value) -> bool {
    move |event| is("msg")(event) && event["body"]["n"] == n
}

#[test]
fn two_python_peers_join_allow_and_exchange_messages() {
    let Some(python) = interop::available() else {
        return;
    };
    let mut main = python.spawn("main");
    let mut other = python.spawn("other");
    let road =
        main.start_road(json!({"name": "main", "main": true, "mutable": true, "auto": "always"}));
    other.start_road(json!({"name": "other", "auto": "always"}));
    assert_eq!(road.name, "main");
    assert_ne!(road.address.port(), 0);
    assert_eq!((road.verify_hex.len(), road.public_hex.len()), (64, 64));

    let ha = json!([road.address.ip().to_string(), road.address.port()]);
    let uid = other.command(json!({"cmd": "add_remote", "ha": ha}))["uid"].clone();
    other.command(json!({"cmd": "join", "uid": uid, "cascade": true}));
    other.wait_for(is_alive, BOUND);
    main.wait_for(is_alive, BOUND);

    let pad = "x".repeat(5000);
    other.command(json!({"cmd": "transmit", "msg": {"n": 1, "pad": pad}, "name": "main"}));
    main.command(json!({"cmd": "transmit", "msg": {"n": 2}, "name": "other"}));
    let got = main.wait_for(message(1), BOUND);
    assert_eq!(got["from"], "other");
    assert_eq!(got["body"]["pad"], pad);
    assert_eq!(other.wait_for(message(2), BOUND)["from"], "main");

    let stats = other.command(json!({"cmd": "stats"}));
    assert_eq!(stats["stats"]["join_initiate_complete"], 1);
    assert_eq!(stats["stats"]["allow_initiate_complete"], 1);
    other.stop();
    main.stop();
}

#[test]
fn two_python_yards_exchange_messages() {
    let Some(python) = interop::available() else {
        return;
    };
    let folder = std::env::temp_dir().join(format!("raet-lane-{}", std::process::id()));
    let mut first = python.spawn("first");
    let mut second = python.spawn("second");
    let start = |name: &str| json!({"name": name, "lanename": "cherry", "sockdirpath": folder});
    first.start_lane(start("first"));
    let path = second.start_lane(start("second"));
    assert_eq!(path, folder.join("cherry.second.uxd"));

    first.command(json!({"cmd": "add_remote", "name": "second"}));
    first.command(json!({"cmd": "transmit", "msg": {"n": 7}, "name": "second"}));
    assert_eq!(second.wait_for(message(7), BOUND)["from"], "first");
    first.stop();
    second.stop();
    std::fs::remove_dir_all(folder).expect("both stacks are gone, and nobody else was told of it");
}

#[test]
fn a_refusal_is_an_error_and_events_keep_until_asked_for() {
    let Some(python) = interop::available() else {
        return;
    };
    let mut peer = python.spawn("peer");
    let refused = peer.try_command(json!({"cmd": "stats"}));
    assert!(refused.is_err_and(|why| why.contains("not started")));

    let road = peer.start_road(json!({"name": "peer"}));
    peer.command(json!({"cmd": "trace", "on": true}));
    let ha = json!([road.address.ip().to_string(), road.address.port()]);
    // Its own socket is the target, so that the datagram both leaves and comes.
    peer.command(json!({"cmd": "send_raw", "hex": "00ff", "ha": ha}));
    let wire = |dir: &'static str| move |e: &Value| is("wire")(e) && e["dir"] == dir;
    let came = peer.wait_for(wire("in"), BOUND);
    assert_eq!(interop::address(&came["addr"]), Some(road.address));
    let left = peer.poll_for(wire("out")).expect("it left before it came");
    assert_eq!(left["hex"], "00ff");
    assert!(
        peer.poll_for(wire("out")).is_none(),
        "an event is taken once"
    );
    assert!(peer.drain().iter().all(|event| !is("wire")(event)));
}

#[test]
fn a_peer_that_dies_fails_the_wait_instead_of_hanging_it() {
    let Some(python) = interop::available() else {
        return;
    };
    let mut peer = python.spawn("mortal");
    peer.start_road(json!({"name": "mortal", "max_seconds": 0}));
    let wait = std::panic::AssertUnwindSafe(|| peer.wait_for(is("msg"), BOUND));
    let panic = std::panic::catch_unwind(wait).expect_err("no message can come");
    let why = panic
        .downcast_ref::<String>()
        .expect("failures are formatted");
    assert!(why.starts_with("peer mortal: ended"), "{why}");
}
