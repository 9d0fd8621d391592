//! The end of a road: what is reported, waited for, answered still.

use super::*;

#[test]
fn a_shutdown_reports_what_was_not_delivered() {
    let silent = UdpSocket::bind(V4).expect("a free port");
    let other = open(other_estate());
    let remote = other
        .connect(silent.local_addr().expect("bound"))
        .expect("room for one");
    let kept = other.send(remote, &Body::raw(*b"1")).expect("taken");
    drop(other.send(remote, &Body::raw(*b"2")).expect("taken"));
    let how = Shutdown {
        deliver: Duration::from_millis(50),
        ..Shutdown::default()
    };
    let report = other.shutdown(&how);
    assert!(!report.is_complete());
    let mut told: Vec<_> = report
        .undelivered
        .iter()
        .map(|m| (m.number, m.outcome))
        .collect();
    told.sort_unstable_by_key(|(number, _)| *number);
    let cancelled = Outcome::Failed(Failure::Cancelled);
    assert_eq!(told, [(1, cancelled), (2, cancelled)]);
    assert_eq!(kept.outcome(), Some(cancelled));
    assert_eq!(report.delivered, 0);

    assert_eq!(
        other.send(remote, &Body::raw(*b"3")).map(|_| ()),
        Err(SendError::Closed)
    );
    assert_eq!(
        other.connect(silent.local_addr().expect("bound")),
        Err(ConnectError::Closed)
    );
    assert_eq!(other.receive(), Err(Closed));
}

#[test]
fn a_shutdown_waits_for_what_is_on_its_way() {
    let (main, other, remote) = pair();
    let long = Body::raw(vec![1; 100_000]);
    let sent: Vec<_> = (0..5)
        .map(|_| other.send(remote, &long).expect("taken"))
        .collect();
    let taker = thread::spawn(move || {
        let taken = (0..5).map(|_| next(&main).bytes.len()).collect::<Vec<_>>();
        (main, taken)
    });
    let report = other.shutdown(&Shutdown {
        deliver: PATIENCE,
        ..Shutdown::default()
    });
    assert!(report.is_complete(), "{report:?}");
    assert_eq!(report.delivered, 5);
    assert!(
        sent.iter()
            .all(|delivery| delivery.outcome() == Some(Outcome::Delivered))
    );
    assert_eq!(taker.join().expect("no panic").1, [100_000; 5]);
}

#[test]
fn a_shutdown_wakes_whoever_waits() {
    let road = open(main_estate());
    let waiting = [
        thread::spawn({
            let road = road.clone();
            move || road.receive().map(|_| ())
        }),
        thread::spawn({
            let road = road.clone();
            move || road.event().map(|_| ())
        }),
    ];
    road.shutdown(&Shutdown::default());
    for waiting in waiting {
        assert_eq!(waiting.join().expect("no panic"), Err(Closed));
    }
}

#[test]
fn the_last_handle_takes_its_road_along() {
    let road = open(main_estate());
    let address = road.local_addr();
    let second = road.clone();
    drop(road);
    assert_eq!(second.try_receive(), Ok(None));
    let remote = second
        .connect((Ipv4Addr::LOCALHOST, 9).into())
        .expect("room for one");
    let delivery = second.send(remote, &Body::raw(*b"x")).expect("taken");
    drop(second);
    assert!(matches!(
        delivery.outcome(),
        Some(Outcome::Failed(Failure::Cancelled))
    ));
    drop(open(main_estate().bind(address)));
}

/// A relay that can be made deaf on one side. Ends when dropped.
struct Relay {
    address: SocketAddr,
    deaf: Arc<AtomicBool>,
    ended: Arc<AtomicBool>,
}

impl Relay {
    /// Between `main` and whoever else sends to it; what `main` sends is lost while it is deaf.
    fn start(main: SocketAddr) -> Self {
        let socket = UdpSocket::bind(V4).expect("a free port");
        socket
            .set_read_timeout(Some(Duration::from_millis(10)))
            .expect("a timeout");
        let address = socket.local_addr().expect("bound");
        let (deaf, ended) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicBool::new(false)),
        );
        let flags = (Arc::clone(&deaf), Arc::clone(&ended));
        thread::spawn(move || {
            let (mut buffer, mut other) = ([0; 2048], main);
            while !flags.1.load(Ordering::Relaxed) {
                let Ok((len, from)) = socket.recv_from(&mut buffer) else {
                    continue;
                };
                if from != main {
                    other = from;
                    socket.send_to(&buffer[..len], main).expect("loopback");
                } else if !flags.0.load(Ordering::Relaxed) {
                    socket.send_to(&buffer[..len], other).expect("loopback");
                }
            }
        });
        Self {
            address,
            deaf,
            ended,
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
    }
}

#[test]
fn who_lingers_answers_those_who_ask_again() {
    let (main, other) = (open(main_estate()), open(other_estate()));
    let relay = Relay::start(main.local_addr());
    let remote = other.connect(relay.address).expect("room for one");
    let first = other.send(remote, &Body::raw(*b"1")).expect("taken");
    next(&main);
    assert_eq!(end(&first), Outcome::Delivered);

    // The done of the second is lost, and it is asked for again while main lingers.
    relay.deaf.store(true, Ordering::Relaxed);
    let second = other.send(remote, &Body::raw(*b"2")).expect("taken");
    next(&main);
    assert_eq!(second.wait_for(Duration::from_millis(50)), None);
    let leaving = thread::spawn(move || {
        main.shutdown(&Shutdown {
            linger: Duration::from_secs(3),
            ..Shutdown::default()
        })
    });
    relay.deaf.store(false, Ordering::Relaxed);
    assert_eq!(end(&second), Outcome::Delivered);
    assert!(leaving.join().expect("no panic").is_complete());
}
