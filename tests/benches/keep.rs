//! What a keep on files costs the main estate of a fleet: 1,000 estates join and allow with and without
//! it, and a restart with 10,000 kept remotes. Over loopback sockets; the keep lies under `target/`.
#![cfg(unix)]

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Instant;

use raet_core::config::{Config, Trust};
use raet_core::crypto::{NaclSuite, Secrets};
use raet_core::keep::{Record, RemoteRecord, RoleRecord, Status};
use raet_core::storage::{Heap, Storage};
use raet_core::wire::name;
use raet_core::{RemoteId, RoadStack, time};
use raet_std::keep::{FileKeep, KeepOptions};
use raet_std::{Road, RoadBuilder, Shutdown};
use raet_tests::bench::cpu;
use rustix::time::ClockId;
use tempfile::TempDir;

const ESTATES: usize = 1000;
/// How many of them try at a time.
const AT_ONCE: usize = 50;
const KEPT: u32 = 10_000;

fn main() {
    println!(
        "{ESTATES} estates join and allow, {AT_ONCE} at a time (three runs each, taking turns)"
    );
    println!("             joins/s   µs of processor a join, main estate alone");
    // A file system that has just deleted many files makes new ones slowly: all stay until the end.
    let mut folders = Vec::new();
    for _ in 0..3 {
        let (rate, cost) = storm(None);
        println!("  no keep  {rate:9.0}   {cost:7.0}");
        let folder = folder();
        let (kept_rate, kept_cost) = storm(Some(&folder));
        let more = kept_cost - cost;
        println!("  on files {kept_rate:9.0}   {kept_cost:7.0}   the keep: {more:.0}");
        folders.push(folder);
    }
    let folder = folder();
    fill(&folder);
    println!("restart with {KEPT} kept remotes, their files in the system's cache");
    for _ in 0..3 {
        let (begun, before) = (Instant::now(), cpu(ClockId::ProcessCPUTime));
        let road = open(Some(&folder));
        let took = begun.elapsed().as_secs_f64() * 1e3;
        let busy = cpu(ClockId::ProcessCPUTime).saturating_sub(before);
        let busy = busy.as_secs_f64() * 1e3;
        println!("  open in {took:6.0} ms, {busy:.0} ms of processor");
        assert_eq!(road.remotes().len(), KEPT as usize);
        road.shutdown(&Shutdown::NOW);
    }
}

fn folder() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder under target/")
}

fn builder() -> RoadBuilder {
    let mut limits = Heap::LIMITS;
    limits.remotes = 2 * KEPT as usize;
    limits.roles = 2 * KEPT as usize;
    Road::builder("hub")
        .bind(([127, 0, 0, 1], 0))
        .main(true)
        .trust(Trust::Once)
        .limits(limits)
}

fn open(folder: Option<&TempDir>) -> Road {
    let builder = match folder {
        Some(folder) => {
            let keep = FileKeep::open(folder.path(), KeepOptions::default());
            builder().keep(keep.expect("a good keep"))
        }
        None => builder(),
    };
    builder.open().expect("a free port")
}

/// Joins a second, and what one costs the main estate with all that it leaves to be stored.
fn storm(keep: Option<&TempDir>) -> (f64, f64) {
    let hub = open(keep);
    let (process, thread) = (cpu(ClockId::ProcessCPUTime), cpu(ClockId::ThreadCPUTime));
    let begun = Instant::now();
    let mut waiting = (0..ESTATES).map(|n| Peer::new(n, hub.local_addr()));
    let mut trying: Vec<_> = waiting.by_ref().take(AT_ONCE).collect();
    while !trying.is_empty() {
        for at in (0..trying.len()).rev() {
            if trying[at].turn() {
                match waiting.next() {
                    Some(next) => trying[at] = next,
                    None => drop(trying.swap_remove(at)),
                }
            }
        }
    }
    let took = begun.elapsed();
    hub.shutdown(&Shutdown::NOW);
    drop(hub);
    let theirs = cpu(ClockId::ThreadCPUTime).saturating_sub(thread);
    let ours = cpu(ClockId::ProcessCPUTime).saturating_sub(process + theirs);
    let count = u32::try_from(ESTATES).expect("few");
    if let Some(folder) = keep {
        let keep = FileKeep::open(folder.path(), KeepOptions::default()).expect("a good keep");
        let proven = |r: &Record| matches!(r, Record::Remote(remote) if remote.proven);
        assert_eq!(keep.records().iter().filter(|r| proven(r)).count(), ESTATES);
    }
    (
        f64::from(count) / took.as_secs_f64(),
        ours.as_secs_f64() * 1e6 / f64::from(count),
    )
}

/// One of those who join, driven by this thread.
struct Peer {
    engine: RoadStack<Heap, NaclSuite>,
    socket: UdpSocket,
    hub: RemoteId,
    begun: Instant,
}

impl Peer {
    fn new(n: usize, hub: SocketAddr) -> Self {
        let mut seed = [1; 32];
        seed[..8].copy_from_slice(&n.to_le_bytes());
        let secrets = Secrets::new(&seed, &seed);
        let mut config = Config::new(name(&format!("estate-{n}")).expect("a name"), secrets);
        config.trust = Trust::Once;
        let suite = NaclSuite::new(&seed);
        let now = time::Instant::ZERO;
        let mut engine = RoadStack::new(now, config, Heap::LIMITS, suite, None).expect("an engine");
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        socket.set_nonblocking(true).expect("a socket");
        let hub = engine.connect(now, hub, 0).expect("room");
        Self {
            engine,
            socket,
            hub,
            begun: Instant::now(),
        }
    }

    /// True when its keys are proven to the hub and the hub's to it.
    fn turn(&mut self) -> bool {
        let now = time::Instant::ZERO + self.begun.elapsed();
        let mut packet = [0; 1500];
        while let Ok((len, from)) = self.socket.recv_from(&mut packet) {
            self.engine.handle_datagram(now, from, &mut packet[..len]);
        }
        self.engine.handle_timeout(now);
        while let Some(record) = self.engine.poll_record() {
            self.engine.handle_stored(now, &record);
        }
        while self.engine.poll_event().is_some() {}
        while let Some(sent) = self.engine.poll_transmit(now, &mut packet) {
            // What is lost is sent again.
            let _ = self.socket.send_to(&packet[..sent.len], sent.to);
        }
        self.engine.remote(self.hub).is_some_and(|hub| hub.allowed)
    }
}

/// Kept remotes of as many roles.
fn fill(folder: &TempDir) {
    open(Some(folder)).shutdown(&Shutdown::NOW);
    let mut keep = FileKeep::open(folder.path(), KeepOptions::default()).expect("a good keep");
    let estate = keep.records().into_iter().find_map(|record| match record {
        Record::Estate(estate) => Some(estate.sessions),
        _ => None,
    });
    let session = estate.expect("ids were reserved");
    let suite = NaclSuite::new(&[0; 32]);
    let mut records = Vec::new();
    for n in 1..=KEPT {
        let mut seed = [2; 32];
        seed[..4].copy_from_slice(&n.to_le_bytes());
        let name = name(&format!("estate-{n}")).expect("a name");
        let [_, a, b, c] = n.to_be_bytes();
        records.push(Record::Role(RoleRecord {
            name: name.clone(),
            status: Status::Accepted,
            judged: true,
            keys: Secrets::new(&seed, &seed).public_keys(&suite),
        }));
        records.push(Record::Remote(RemoteRecord {
            role: name.clone(),
            name,
            near: n,
            far: n,
            address: SocketAddr::from(([10, a, b, c], 7530)),
            main: false,
            kind: 0,
            joined: true,
            proven: true,
            session,
        }));
    }
    keep.store(&records).expect("room on the disk");
}
