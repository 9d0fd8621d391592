//! What an estate keeps: over a restart, on a disk that is full, on a slow one.

use super::*;

/// Records kept in memory, for as long as the test has them; stores nothing while it is broken.
#[derive(Clone, Default)]
struct Shelf {
    records: Arc<Mutex<MemoryKeep>>,
    broken: Arc<AtomicBool>,
}

impl Keep for Shelf {
    fn load(&mut self) -> io::Result<Kept> {
        let records = self.records.lock().expect("no panic").records().collect();
        Ok(Kept {
            identity: None,
            records,
        })
    }

    fn store(&mut self, records: &[Record]) -> io::Result<()> {
        if self.broken.load(Ordering::Relaxed) {
            return Err(io::Error::other("the disk is full"));
        }
        let mut kept = self.records.lock().expect("no panic");
        records
            .iter()
            .cloned()
            .for_each(|record| kept.store(record));
        Ok(())
    }
}

#[test]
fn all_that_was_kept_has_room() {
    let keep = Shelf::default();
    for n in 0..3_u8 {
        let name = format!("other{n}").as_str().try_into().expect("a name");
        let secrets = Secrets::new(&[n + 1; 32], &[n + 10; 32]);
        let mut kept = keep.records.lock().expect("no panic");
        kept.store(Record::Role(RoleRecord {
            name,
            status: Status::Accepted,
            judged: true,
            keys: secrets.public_keys(&NaclSuite::new(&[0; 32])),
        }));
        let name = format!("other{n}").as_str().try_into().expect("a name");
        let role = format!("other{n}").as_str().try_into().expect("a name");
        kept.store(Record::Remote(RemoteRecord {
            name,
            near: u32::from(n) + 1,
            far: 7,
            address: SocketAddr::from(([127, 0, 0, 1], 9)),
            main: false,
            kind: 0,
            role,
            joined: true,
            proven: true,
            session: 1,
        }));
    }
    let mut limits = Heap::LIMITS;
    (limits.remotes, limits.roles) = (2, 2);
    let road = open(main_estate().limits(limits).keep(keep));
    assert_eq!(road.remotes().len(), 3);
}

#[test]
fn a_keep_carries_an_estate_over_a_restart() {
    let (ours, theirs) = (Shelf::default(), Shelf::default());
    let secrets = |n: u8| Secrets::new(&[n; 32], &[n + 1; 32]);
    let main = open(main_estate().secrets(secrets(1)).keep(ours.clone()));
    let address = main.local_addr();
    let start = || open(other_estate().secrets(secrets(3)).keep(theirs.clone()));
    let other = start();
    let remote = other.connect(address).expect("room for one");
    let delivery = other.send(remote, &Body::raw(*b"1")).expect("taken");
    next(&main);
    assert_eq!(end(&delivery), Outcome::Delivered);
    let port = other.local_addr();
    other.shutdown(&Shutdown::NOW);

    // It is known again by what was kept: the remote is there before any join.
    let other = open(
        other_estate()
            .bind(port)
            .secrets(secrets(3))
            .keep(theirs.clone()),
    );
    let remote = other.find("main").expect("it was kept");
    assert!(
        other
            .remote(remote)
            .is_some_and(|info| info.joined && info.proven)
    );
    let delivery = other.send(remote, &Body::raw(*b"2")).expect("taken");
    assert_eq!(next(&main).bytes, b"2");
    assert_eq!(end(&delivery), Outcome::Delivered);
    assert_eq!(main.remotes().len(), 1);
}

#[test]
fn a_keep_that_fails_is_told_and_tried_again() {
    let shelf = Shelf::default();
    shelf.broken.store(true, Ordering::Relaxed);
    let main = open(main_estate());
    let other = open(other_estate().keep(shelf.clone()));
    let remote = other.connect(main.local_addr()).expect("room for one");
    let delivery = other.send(remote, &Body::raw(*b"x")).expect("taken");
    let why = loop {
        let event = other.event_for(PATIENCE).expect("open");
        if let Event::KeepFailed(why) = event.expect("it is told") {
            break why;
        }
    };
    assert!(why.contains("disk is full"));
    // No session id is used that a record does not cover, so nothing can have come.
    assert_eq!(main.try_receive(), Ok(None));
    shelf.broken.store(false, Ordering::Relaxed);
    assert_eq!(next(&main).bytes, b"x");
    assert_eq!(end(&delivery), Outcome::Delivered);
}

/// Stores session ids at once, all else when it is let.
#[derive(Clone, Default)]
struct Slow {
    shelf: Shelf,
    gate: Arc<Mutex<()>>,
}

impl Keep for Slow {
    fn load(&mut self) -> io::Result<Kept> {
        self.shelf.load()
    }

    fn store(&mut self, records: &[Record]) -> io::Result<()> {
        let ids = |record: &Record| matches!(record, Record::Estate(_));
        if !records.iter().all(ids) {
            drop(self.gate.lock().expect("no panic"));
        }
        self.shelf.store(records)
    }
}

#[test]
fn no_packet_waits_for_a_slow_keep() {
    let keep = Slow::default();
    let closed = keep.gate.lock().expect("no panic");
    let main = open(main_estate().keep(keep.clone()));
    let other = open(other_estate());
    let remote = other.connect(main.local_addr()).expect("room for one");
    for body in [b"1", b"2"] {
        let delivery = other.send(remote, &Body::raw(*body)).expect("taken");
        assert_eq!(next(&main).bytes, body);
        assert_eq!(end(&delivery), Outcome::Delivered);
    }
    let roles = |keep: &Slow| {
        let kept = keep.shelf.records.lock().expect("no panic");
        kept.records()
            .filter(|r| matches!(r, Record::Role(_)))
            .count()
    };
    assert_eq!(roles(&keep), 0);
    drop(closed);
    // What is left is stored before the road is gone.
    main.shutdown(&Shutdown::NOW);
    assert_eq!(roles(&keep), 1);
}
