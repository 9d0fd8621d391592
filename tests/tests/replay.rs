//! Whoever records everything and sends it again, from wherever, in whatever order, whenever: nothing
//! that was proven changes, nothing is delivered twice, nobody is flooded.

use std::net::SocketAddr;
use std::time::Duration;

use raet_core::RoadStack;
use raet_core::crypto::{Crypto, NaclSuite};
use raet_core::storage::{Fixed, Heap, Storage};
use raet_core::wire::{Flags, Frame, PacketKind, TransactionKind};
use raet_tests::sim::{Packet, Rng, World, address, dead, fair};
use raet_tests::suite::Weak;

/// Everything that an engine shows of what was proven to it, and what it owes its host.
fn proven<S: Storage, C: Crypto>(stack: &RoadStack<S, C>) -> Vec<String> {
    let remotes = stack.remotes().filter(|remote| remote.proven);
    let mut shown: Vec<String> = remotes.map(|remote| format!("{remote:?}")).collect();
    let roles = stack.roles().filter(|role| role.proven);
    shown.extend(roles.map(|role| format!("{role:?}")));
    shown.sort();
    shown
}

fn proven_everywhere<S: Storage, C: Crypto>(world: &World<S, C>) -> Vec<Vec<String>> {
    world.estates.iter().map(|e| proven(&e.stack)).collect()
}

fn taken<S: Storage, C: Crypto>(world: &World<S, C>) -> usize {
    world.estates.iter().map(|e| e.messages.len()).sum()
}

/// A session with everything in it: join, allow, alives, messages of one packet and of many, with lost
/// segments and lost dones, messages given up. Gives all that was sent.
fn record<S: Storage, C: Crypto>(world: &mut World<S, C>) -> Vec<Packet> {
    let (other, main) = world.allow_pair();
    // Each segment and each done is lost at first.
    let mut lost = std::collections::HashSet::new();
    world.weather = Box::new(move |_, packet, rng| {
        let head = packet.head().expect("ours are packets");
        let once = matches!(head.packet, PacketKind::Message | PacketKind::Done);
        if once && rng.percent(50) && lost.insert(packet.bytes.clone()) {
            return Vec::new();
        }
        vec![Duration::from_millis(3)]
    });
    for token in 0..6 {
        world.send(1, main, token, &[token as u8; 50]);
        world.send(0, other, token, &vec![token as u8; 900 * token as usize]);
    }
    let now = world.now;
    world.estates[1]
        .stack
        .alive(now, main)
        .expect("it is there");
    world.estates[0]
        .stack
        .alive(now, other)
        .expect("it is there");
    world.run(Duration::from_secs(3));
    // One that is given up half-way: its nack is on record, too.
    world.weather = Box::new(|_, packet, _| match packet.head() {
        Some(head) if head.segment == 1 => Vec::new(),
        _ => vec![Duration::from_millis(3)],
    });
    let given_up = world.estates[1].stack.send(
        world.now,
        main,
        raet_core::SendOptions::default(),
        4000,
        |room| room.fill(1),
    );
    world.run(Duration::from_secs(1));
    let given_up = given_up.expect("room for it");
    world.estates[1]
        .stack
        .cancel(world.now, given_up)
        .expect("it is open");
    world.weather = fair();
    world.run(Duration::from_secs(3));
    assert_eq!(taken(world), 12);
    let all: Vec<Packet> = world.log.iter().map(|(_, packet)| packet.clone()).collect();
    let kinds = |t, p| all.iter().any(|packet| packet.kind() == Some((t, p)));
    for packet in [
        PacketKind::Message,
        PacketKind::Done,
        PacketKind::Nack,
        PacketKind::Resend,
    ] {
        assert!(
            kinds(TransactionKind::Message, packet),
            "{packet:?} is on record"
        );
    }
    for packet in [
        PacketKind::Hello,
        PacketKind::Cookie,
        PacketKind::Initiate,
        PacketKind::Ack,
    ] {
        assert!(
            kinds(TransactionKind::Allow, packet),
            "{packet:?} is on record"
        );
    }
    all
}

/// Sends every recorded packet to whom it was for, in order and shuffled, from where it came and from
/// elsewhere, while the network takes nothing: what each does by itself.
fn replay<S: Storage, C: Crypto>(world: &mut World<S, C>, recorded: &[Packet], rng: &mut Rng) {
    let elsewhere = SocketAddr::from(([192, 0, 2, 7], 7530));
    let mut shuffled = recorded.to_vec();
    rng.shuffle(&mut shuffled);
    world.weather = dead();
    let (before, messages) = (proven_everywhere(world), taken(world));
    for (round, packets) in [recorded, &shuffled, recorded].into_iter().enumerate() {
        for packet in packets {
            let from = if round == 1 && rng.percent(50) {
                elsewhere
            } else {
                packet.from
            };
            let packet = Packet {
                from,
                ..packet.clone()
            };
            let sent = world.log.len();
            world.now = world.now + Duration::from_micros(200);
            world.deliver(&packet);
            let drawn: usize = world.log[sent..].iter().map(|(_, p)| p.bytes.len()).sum();
            assert!(
                drawn <= 3 * packet.bytes.len(),
                "{:?} draws {drawn} bytes",
                packet.kind()
            );
            assert_eq!(
                proven_everywhere(world),
                before,
                "{:?} from {from}",
                packet.kind()
            );
        }
    }
    assert_eq!(taken(world), messages, "nothing is delivered twice");
}

/// After all that the two still talk.
fn talk<S: Storage, C: Crypto>(world: &mut World<S, C>) {
    world.weather = fair();
    for (n, name) in [(0, "other"), (1, "main")] {
        let remote = world.estates[n].stack.find(name).expect("it is there");
        let before = taken(world);
        world.send(n, remote, 100, b"still here");
        world.run(Duration::from_secs(20));
        assert_eq!(taken(world), before + 1);
    }
}

fn nothing_comes_of_recordings<S: Storage, C: Crypto>(
    seed: u64,
    suite: impl Fn(&[u8; 32]) -> C + 'static,
) {
    let mut rng = Rng::new(seed);
    let mut world = World::<S, C>::pair(seed, suite);
    let recorded = record(&mut world);
    replay(&mut world, &recorded, &mut rng);
    talk(&mut world);
    // In another session.
    let main = world.estates[1].stack.find("main").expect("it is there");
    let allowed = world.estates[1].stack.allow(world.now, main);
    allowed.expect("it is there");
    world.run(Duration::from_secs(1));
    replay(&mut world, &recorded, &mut rng);
    talk(&mut world);
    // In another life, before and after there is a session in it.
    for n in 0..2 {
        world.restart(n);
        replay(&mut world, &recorded, &mut rng);
        talk(&mut world);
        replay(&mut world, &recorded, &mut rng);
        talk(&mut world);
    }
}

#[test]
fn nothing_comes_of_recordings_on_the_heap() {
    for seed in 0..8 {
        nothing_comes_of_recordings::<Heap, _>(seed, Weak::new);
    }
    nothing_comes_of_recordings::<Heap, _>(8, NaclSuite::new);
}

#[test]
fn nothing_comes_of_recordings_in_fixed_storage() {
    for seed in 0..8 {
        nothing_comes_of_recordings::<Fixed<4, 16, 32768>, _>(seed, Weak::new);
    }
}

#[test]
fn recordings_do_no_harm_while_the_answers_get_through() {
    for seed in 0..10 {
        let mut rng = Rng::new(seed);
        let mut world = World::<Heap, _>::pair(seed, Weak::new);
        let mut recorded = record(&mut world);
        let sessions = world.log.len();
        let (messages, held) = (taken(&world), proven_everywhere(&world).len());
        rng.shuffle(&mut recorded);
        for packet in &recorded {
            world.deliver(packet);
            world.run(Duration::from_millis(rng.bits() % 20));
        }
        world.run(Duration::from_secs(10));
        assert_eq!(taken(&world), messages);
        assert_eq!(proven_everywhere(&world).len(), held);
        // Joins may be answered anew; no handshake was completed on the strength of a recording.
        let completed = world.log[sessions..].iter().filter(|(_, packet)| {
            let frame = Frame::parse(&packet.bytes).expect("ours are packets");
            let answer = frame.head.flags.contains(Flags::CORRESPONDENT);
            packet.kind() == Some((TransactionKind::Allow, PacketKind::Initiate)) && !answer
        });
        assert_eq!(completed.count(), 0, "seed {seed}");
        talk(&mut world);
    }
}

#[test]
fn a_recording_from_another_address_draws_only_what_a_claim_does() {
    let mut world = World::<Heap, _>::pair(3, Weak::new);
    let recorded = record(&mut world);
    let before = proven_everywhere(&world);
    let elsewhere = SocketAddr::from(([192, 0, 2, 7], 7530));
    for packet in recorded.iter().filter(|p| p.to == address(0)) {
        let sent = world.log.len();
        let moved = Packet {
            from: elsewhere,
            ..packet.clone()
        };
        world.deliver(&moved);
        let drawn = world.log[sent..].iter().filter(|(_, p)| p.to == elsewhere);
        let drawn: Vec<_> = drawn
            .map(|(_, p)| p.kind().expect("ours are packets"))
            .collect();
        // Whoever knows the public keys may claim to be elsewhere, and the peer's own hello may then
        // come from there (H4): both draw an answer, neither moves what is held.
        let expected: &[_] = match packet.kind().expect("ours are packets") {
            (TransactionKind::Join, PacketKind::Request) => {
                &[(TransactionKind::Join, PacketKind::Response)]
            }
            (TransactionKind::Allow, PacketKind::Hello) => {
                &[(TransactionKind::Allow, PacketKind::Cookie)]
            }
            (TransactionKind::Allow, PacketKind::Initiate) => {
                &[(TransactionKind::Allow, PacketKind::Reject)]
            }
            _ => &[],
        };
        assert!(
            drawn.is_empty() || drawn == expected,
            "{:?} draws {drawn:?}",
            packet.kind()
        );
    }
    assert_eq!(proven_everywhere(&world), before);
}
