//! Two blocking roads over real sockets of this machine.

mod keep;
mod shutdown;

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use raet_std::core::RemoteId;
use raet_std::core::config::Trust;
use raet_std::core::crypto::{NaclSuite, Secrets};
use raet_std::core::event::{Failure, Outcome, RemoteEvent};
use raet_std::core::keep::{MemoryKeep, Record, RemoteRecord, RoleRecord, Status};
use raet_std::core::limits::Limits;
use raet_std::core::storage::{Heap, Storage};
use raet_std::core::wire::BodyKind;
use raet_std::keep::{Keep, Kept};
use raet_std::{
    Body, Closed, ConnectError, Event, Incoming, OpenError, Road, RoadBuilder, SendError,
    SendOptions, Shutdown,
};
use serde::{Deserialize, Serialize};

/// Against hanging only: nothing here takes that long.
const PATIENCE: Duration = Duration::from_secs(20);

const V4: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 0);

fn main_estate() -> RoadBuilder {
    Road::builder("main").bind(V4).main(true).trust(Trust::Once)
}

fn other_estate() -> RoadBuilder {
    Road::builder("other").bind(V4).trust(Trust::Once)
}

fn open(builder: RoadBuilder) -> Road {
    builder.open().expect("a free port of this machine")
}

/// Two roads and the way from the second to the first.
fn pair() -> (Road, Road, RemoteId) {
    let (main, other) = (open(main_estate()), open(other_estate()));
    let remote = other.connect(main.local_addr()).expect("room for one");
    (main, other, remote)
}

#[derive(Serialize, Deserialize, PartialEq, Debug, Clone)]
struct Reading {
    place: String,
    celsius: f64,
}

fn reading() -> Reading {
    Reading {
        place: "Zürich".into(),
        celsius: -3.5,
    }
}

fn end(delivery: &raet_std::Delivery) -> Outcome {
    delivery.wait_for(PATIENCE).expect("it ends in time")
}

fn next(road: &Road) -> raet_std::Message {
    road.receive_for(PATIENCE)
        .expect("open")
        .expect("a message comes in time")
}

#[test]
fn values_and_bytes_go_both_ways() {
    let (main, other, remote) = pair();
    let bodies = [
        Body::json(&reading()).expect("a mapping"),
        Body::msgpack(&reading()).expect("a mapping"),
        Body::raw(vec![0, 255, 1]),
        Body::raw(Vec::new()),
    ];
    for body in &bodies {
        let delivery = other.send(remote, body).expect("taken");
        let message = next(&main);
        assert_eq!(
            (message.name.as_str(), message.kind),
            ("other", body.kind())
        );
        assert_eq!(message.bytes, body.bytes());
        if body.kind() != BodyKind::Raw {
            assert_eq!(message.decode::<Reading>(), Ok(reading()));
        }
        assert_eq!(end(&delivery), Outcome::Delivered);

        let back = main.send(message.from, body).expect("taken");
        assert_eq!(next(&other).bytes, body.bytes());
        assert_eq!(end(&back), Outcome::Delivered);
    }
    assert_eq!(main.stats().engine.messages_in, 4);
    assert_eq!(main.stats().engine.messages_out, 4);
}

#[test]
fn ipv6_carries_them_too() {
    let v6 = (Ipv6Addr::LOCALHOST, 0);
    let (main, other) = (open(main_estate().bind(v6)), open(other_estate().bind(v6)));
    let remote = other.connect(main.local_addr()).expect("room for one");
    let delivery = other
        .send(remote, &Body::raw(vec![6; 5000]))
        .expect("taken");
    assert_eq!(next(&main).bytes, vec![6; 5000]);
    assert_eq!(end(&delivery), Outcome::Delivered);
}

/// A joiner takes an answer only from the address that it asked, so the session shows that
/// the answers left from there.
#[test]
fn a_wildcard_answers_from_the_address_that_was_asked() {
    let anywhere = [
        SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
    ];
    for bind in anywhere {
        let main = open(main_estate().bind(bind));
        let mut asked = vec![SocketAddr::from(([127, 0, 0, 2], main.local_addr().port()))];
        if bind.is_ipv6() {
            asked.push((Ipv6Addr::LOCALHOST, main.local_addr().port()).into());
        }
        for (number, to) in asked.into_iter().enumerate() {
            let name = format!("other{number}");
            let other = open(Road::builder(&name).bind(bind).trust(Trust::Once));
            let remote = other.connect(to).expect("room for one");
            let delivery = other.send(remote, &Body::raw(*b"x")).expect("taken");
            assert_eq!(next(&main).name, name);
            assert_eq!(end(&delivery), Outcome::Delivered, "from {bind} to {to}");
            let back = main.find(&name).expect("it has joined");
            let back = main.send(back, &Body::raw(*b"y")).expect("taken");
            assert_eq!(next(&other).bytes, b"y");
            assert_eq!(end(&back), Outcome::Delivered);
        }
    }
}

#[test]
fn it_is_delivered_when_it_is_taken_and_not_before() {
    let (main, other, remote) = pair();
    let first = other.send(remote, &Body::raw(*b"1")).expect("taken");
    next(&main);
    assert_eq!(end(&first), Outcome::Delivered);

    let second = other.send(remote, &Body::raw(*b"2")).expect("taken");
    // The wait is the subject: nobody takes it, so nobody may be told that it was delivered.
    assert_eq!(second.wait_for(Duration::from_millis(400)), None);
    assert_eq!(next(&main).bytes, b"2");
    assert_eq!(end(&second), Outcome::Delivered);
}

#[test]
fn what_nobody_takes_holds_up_its_sender_and_is_not_lost() {
    let few = Limits {
        outbox: 4,
        inbox: 3,
        remote_inbox: 3,
        ..Heap::LIMITS
    };
    let (main, other) = (
        open(main_estate().limits(few)),
        open(other_estate().limits(few)),
    );
    let remote = other.connect(main.local_addr()).expect("room for one");

    let mut sent = Vec::new();
    loop {
        let body = Body::raw(vec![u8::try_from(sent.len()).expect("few")]);
        match other.try_send(remote, &body) {
            Ok(delivery) => sent.push(delivery),
            Err(error) => break assert_eq!(error, SendError::Full),
        }
    }
    assert_eq!(sent.len(), 4);
    let wait = SendOptions {
        wait: Some(Duration::from_millis(50)),
        ..SendOptions::default()
    };
    let late = other.send_with(remote, &Body::raw(*b"late"), &wait);
    assert_eq!(late.map(|_| ()), Err(SendError::Full));

    // A sender that waits goes on as soon as there is room.
    let sender = other.clone();
    let waiting = thread::spawn(move || sender.send(remote, &Body::raw(vec![4])).map(|d| end(&d)));
    let mut came: Vec<u8> = (0..5).flat_map(|_| next(&main).bytes).collect();
    came.sort_unstable();
    assert_eq!(came, [0, 1, 2, 3, 4]);
    assert_eq!(waiting.join().expect("no panic"), Ok(Outcome::Delivered));
    assert!(
        sent.iter()
            .all(|delivery| end(delivery) == Outcome::Delivered)
    );
}

#[test]
fn many_threads_send_and_take() {
    const EACH: u8 = 50;
    let (main, other, remote) = pair();
    let senders = (0..4_u8).map(|who| {
        let road = other.clone();
        thread::spawn(move || {
            let sent: Vec<_> = (0..EACH)
                .map(|n| road.send(remote, &Body::raw(vec![who, n])).expect("taken"))
                .collect();
            sent.iter()
                .all(|delivery| end(delivery) == Outcome::Delivered)
        })
    });
    let senders: Vec<_> = senders.collect();
    let takers = (0..2).map(|_| {
        let road = main.clone();
        thread::spawn(move || (0..2 * EACH).map(|_| next(&road).bytes).collect::<Vec<_>>())
    });
    let takers: Vec<_> = takers.collect();
    let mut times = BTreeMap::new();
    for bytes in takers
        .into_iter()
        .flat_map(|taker| taker.join().expect("no panic"))
    {
        *times.entry(bytes).or_insert(0) += 1;
    }
    assert!(
        senders
            .into_iter()
            .all(|sender| sender.join().expect("no panic"))
    );
    assert_eq!(times.len(), 4 * usize::from(EACH));
    assert!(times.values().all(|&times| times == 1));
}

#[test]
fn events_come_before_what_they_led_to() {
    let (main, other, remote) = pair();
    let tell = SendOptions {
        tell: true,
        ..SendOptions::default()
    };
    let delivery = other
        .send_with(remote, &Body::raw(*b"x"), &tell)
        .expect("taken");
    let mut events = Vec::new();
    let message = loop {
        match main
            .next_for(PATIENCE)
            .expect("open")
            .expect("something comes")
        {
            Incoming::Event(Event::Remote { what, .. }) => events.push(what),
            Incoming::Event(other) => panic!("unexpected: {other:?}"),
            Incoming::Message(message) => break message,
        }
    };
    assert_eq!(message.bytes, b"x");
    let at = |what| events.iter().position(|&event| event == what);
    assert!(
        at(RemoteEvent::Joined).is_some() && at(RemoteEvent::Joined) < at(RemoteEvent::Allowed)
    );
    assert_eq!(end(&delivery), Outcome::Delivered);
    loop {
        match other
            .event_for(PATIENCE)
            .expect("open")
            .expect("its end is told")
        {
            Event::Ended {
                number, outcome, ..
            } => {
                break assert_eq!((number, outcome), (delivery.number(), Outcome::Delivered));
            }
            Event::Remote { .. } => {}
            other => panic!("unexpected: {other:?}"),
        }
    }
}

#[test]
fn a_peer_that_comes_late_is_reached_all_the_same() {
    // Free, and refused by the system until somebody listens there.
    let free = UdpSocket::bind(V4)
        .and_then(|socket| socket.local_addr())
        .expect("a free port");
    let other = open(other_estate());
    let remote = other.connect(free).expect("room for one");
    let delivery = other.send(remote, &Body::raw(*b"x")).expect("taken");
    assert_eq!(delivery.wait_for(Duration::from_millis(300)), None);
    let main = open(main_estate().bind(free));
    assert_eq!(next(&main).bytes, b"x");
    assert_eq!(end(&delivery), Outcome::Delivered);
}

#[test]
fn who_has_moved_is_found_where_it_is_called() {
    let again = || open(main_estate().secrets(Secrets::new(&[1; 32], &[2; 32])));
    let (main, other) = (again(), open(other_estate()));
    let known = other.connect(main.local_addr()).expect("room for one");
    let before = other.send(known, &Body::raw("before")).expect("room");
    assert_eq!(next(&main).bytes, b"before");
    assert_eq!(end(&before), Outcome::Delivered);
    assert!(main.shutdown(&Shutdown::default()).is_complete());
    let main = again();
    let call = other.connect(main.local_addr()).expect("room");
    assert_ne!(call, known);
    let first = other.send(call, &Body::raw("first")).expect("room");
    assert_eq!(next(&main).bytes, b"first");
    assert_eq!(end(&first), Outcome::Delivered);
    let same = |event: &Event| {
        matches!(event, Event::Remote { remote, what, .. }
            if (*remote, *what) == (call, RemoteEvent::SameAs(known)))
    };
    let mut told = std::iter::from_fn(|| other.event_for(PATIENCE).expect("open"));
    assert!(told.any(|event| same(&event)));
    // Both handles are good.
    for remote in [call, known] {
        let info = other.remote(remote).expect("known");
        assert_eq!((info.id, info.address), (known, main.local_addr()));
        let more = other.send(remote, &Body::raw("more")).expect("room");
        assert_eq!(next(&main).bytes, b"more");
        assert_eq!(end(&more), Outcome::Delivered);
    }
    other.forget(call).expect("it is there");
    assert_eq!(other.remote(known), None);
    assert_eq!(other.remote(call), None);
    let gone = other.send(call, &Body::raw("in vain"));
    assert!(matches!(gone, Err(SendError::Gone)), "{gone:?}");
}

#[test]
fn a_port_in_use_is_named() {
    let road = open(main_estate());
    let error = main_estate()
        .bind(road.local_addr())
        .open()
        .expect_err("it is in use");
    assert!(matches!(error, OpenError::Bind { address, .. } if address == road.local_addr()));
    let text = error.to_string();
    assert!(
        text.contains(&road.local_addr().to_string()) && text.contains("in use"),
        "{text}"
    );
}

#[test]
fn what_cannot_be_is_refused_at_once() {
    let bad_name = Road::builder("a b")
        .bind(V4)
        .open()
        .expect_err("names have no space");
    assert!(matches!(bad_name, OpenError::Setup(_)), "{bad_name}");

    let (_main, other, remote) = pair();
    let v6 = SocketAddr::from((Ipv6Addr::LOCALHOST, 7));
    assert!(matches!(other.connect(v6), Err(ConnectError::Family { to, .. }) if to == v6));
    let nowhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    assert_eq!(other.connect(nowhere), Err(ConnectError::Address(nowhere)));

    let limit = Heap::LIMITS.message;
    let long = other
        .send(remote, &Body::raw(vec![0; limit + 1]))
        .map(|_| ());
    assert_eq!(
        long,
        Err(SendError::TooLong {
            len: limit + 1,
            limit
        })
    );
    other.forget(remote).expect("it was there");
    assert_eq!(
        other.send(remote, &Body::raw(*b"x")).map(|_| ()),
        Err(SendError::Gone)
    );
}

#[test]
fn a_person_accepts_the_keys_that_were_shown() {
    let main = open(main_estate().trust(Trust::Never));
    let other = open(other_estate());
    let remote = other.connect(main.local_addr()).expect("room for one");
    let delivery = other.send(remote, &Body::raw(*b"x")).expect("taken");
    loop {
        match main
            .event_for(PATIENCE)
            .expect("open")
            .expect("its keys are to be judged")
        {
            Event::Remote {
                what: RemoteEvent::Pending { here: true },
                ..
            } => break,
            Event::Remote { .. } => {}
            other => panic!("unexpected: {other:?}"),
        }
    }
    assert_eq!(main.try_receive(), Ok(None));
    let shown = main
        .roles()
        .into_iter()
        .find(|role| role.name.as_str() == "other");
    let shown = shown.expect("its role is known").keys;
    assert_eq!(shown, other.public_keys());
    let wrong = main.public_keys();
    assert!(main.accept("other", Some(&wrong)).is_err());
    main.accept("other", Some(&shown))
        .expect("these are its keys");
    assert_eq!(next(&main).bytes, b"x");
    assert_eq!(end(&delivery), Outcome::Delivered);
}

#[test]
fn an_address_that_cannot_be_reached_holds_up_nobody() {
    let (main, other, remote) = pair();
    // A socket of the loopback cannot leave this machine; the system says so for each datagram.
    let nowhere = other
        .connect(([192, 0, 2, 1], 7530).into())
        .expect("room for two");
    let lost = other.send(nowhere, &Body::raw(*b"lost")).expect("taken");
    let delivery = other.send(remote, &Body::raw(*b"x")).expect("taken");
    assert_eq!(next(&main).bytes, b"x");
    assert_eq!(end(&delivery), Outcome::Delivered);
    assert!(other.stats().socket.send_errors > 0);
    lost.cancel();
    assert_eq!(end(&lost), Outcome::Failed(Failure::Cancelled));
}

#[test]
fn every_datagram_can_be_watched() {
    let seen = Arc::new(Mutex::new(Vec::<String>::new()));
    let record = Arc::clone(&seen);
    let main = open(main_estate().trace(move |datagram| {
        record.lock().unwrap().push(datagram.to_string());
    }));
    let other = open(other_estate());
    let remote = other.connect(main.local_addr()).unwrap();
    let delivery = other.send(remote, &Body::raw(*b"watched")).unwrap();
    next(&main);
    assert_eq!(end(&delivery), Outcome::Delivered);
    let stranger = UdpSocket::bind(V4).unwrap();
    stranger
        .send_to(b"not a packet", main.local_addr())
        .unwrap();
    let find = |words: &[&str]| {
        let seen = seen.lock().unwrap();
        seen.iter()
            .any(|line| words.iter().all(|word| line.contains(word)))
    };
    let ready = || {
        find(&["<", "join request", "taken"])
            && find(&[">", "allow cookie"])
            && find(&["<", "message message", "taken"])
            && find(&[">", "message done"])
            && find(&["<", "no packet", "dropped: not a packet"])
    };
    for _ in 0..1000 {
        if ready() {
            return;
        }
        // The driver has a thread of its own; there is nothing else to wait for.
        thread::sleep(Duration::from_millis(10));
    }
    panic!("{:?}", seen.lock().unwrap());
}
