//! What strangers, replays and misbehaving peers once could do to an engine, and can no longer: each
//! test is the shortest way to a fault that was found.

use std::boxed::Box;
use std::vec;
use std::vec::Vec;

use core::net::SocketAddr;

use super::both;
use super::world::{Packet, World, address, config, name, secrets};
use crate::config::{Presence, Trust};
use crate::crypto::{Crypto, NaclSuite, PublicKeys};
use crate::event::{Outcome, RemoteEvent};
use crate::keep::{Record, RemoteRecord};
use crate::road::RemoteId;
use crate::stats::{Reason, Verdict};
use crate::storage::Storage;
use crate::time::Duration;
use crate::wire::{
    BodyKind, Flags, FootKind, Frame, Head, JoinBody, PacketKind, TransactionKind, emit_head,
};

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

pub(super) fn keys(n: u8) -> PublicKeys {
    secrets(n).public_keys(&NaclSuite::new(&[0; 32]))
}

/// A packet with this head and body, signed with the keys `n` where its foot says so.
pub(super) fn packet(head: &Head, body: &[u8], n: u8) -> Vec<u8> {
    let mut out = [0; 1500];
    let start = emit_head(head, body.len(), &mut out).unwrap();
    let end = start + body.len();
    out[start..end].copy_from_slice(body);
    if head.foot == FootKind::Nada {
        return out[..end].to_vec();
    }
    let suite = NaclSuite::new(&[0; 32]);
    let signature = suite.sign(&suite.sign_key(secrets(n).sign_seed()), &out[..end + 64]);
    out[end..end + 64].copy_from_slice(&signature);
    out[..end + 64].to_vec()
}

/// What anyone can say: a join request for a name and keys that are public.
pub(super) struct Claim<'a> {
    pub(super) name: &'a str,
    pub(super) role: &'a str,
    pub(super) keys: u8,
    pub(super) source: u32,
    pub(super) destination: u32,
    pub(super) ti: u32,
}

impl Claim<'_> {
    fn head(&self, packet: PacketKind) -> Head {
        let mut head = Head::new(packet, TransactionKind::Join);
        head.body = BodyKind::Json;
        head.source = self.source;
        head.destination = self.destination;
        head.transaction_id = self.ti;
        head
    }

    pub(super) fn request(&self) -> Vec<u8> {
        let keys = keys(self.keys);
        let body = JoinBody {
            name: name(self.name),
            mode: 0,
            kind: 0,
            uid: None,
            verify: keys.verify,
            public: keys.public,
            role: name(self.role),
        };
        let mut out = [0; 800];
        let len = body.emit(BodyKind::Json, &mut out).unwrap();
        packet(&self.head(PacketKind::Request), &out[..len], 0)
    }

    /// A word about the join that this began.
    pub(super) fn word(&self, word: PacketKind) -> Vec<u8> {
        packet(&self.head(word), &[], 0)
    }

    pub(super) fn ack(&self) -> Vec<u8> {
        self.word(PacketKind::Ack)
    }
}

/// A request of a stranger of this name, with keys and role of its own.
pub(super) fn stranger(name: &str, keys: u8, ti: u32) -> Claim<'_> {
    Claim {
        name,
        role: name,
        keys,
        source: 1000 + ti,
        destination: 0,
        ti,
    }
}

pub(super) fn inject<S: Storage>(
    world: &mut World<S>,
    to: usize,
    from: SocketAddr,
    bytes: &[u8],
) -> Option<Verdict> {
    world.deliver(Packet {
        from,
        to: address(to),
        bytes: bytes.to_vec(),
    })
}

/// The packets that estate `n` has sent of this kind.
pub(super) fn recorded<S: Storage>(
    world: &World<S>,
    n: usize,
    transaction: TransactionKind,
    packet: PacketKind,
) -> Vec<Packet> {
    let from = address(n);
    world
        .log
        .iter()
        .map(|(_, p)| p.clone())
        .filter(|p| p.from == from && p.kind() == (transaction, packet))
        .collect()
}

both! {
    fn a_repeated_request_draws_the_response_again_at_once<S>() {
        let mut world = World::<S>::pair();
        let request = stranger("guest", 9, 1).request();
        for asked in 1..=3 {
            inject(&mut world, 0, address(5), &request);
            let answered = recorded(&world, 0, TransactionKind::Join, PacketKind::Response);
            assert_eq!(answered.len(), asked);
        }
    }

    fn a_stranger_does_not_keep_a_name_from_its_owner<S>() {
        for asked in [false, true] {
            let mut world = World::<S>::new();
            for (text, n) in [("main", 1), ("other", 2)] {
                let mut config = config(text, n);
                config.main = true;
                world.add(config);
            }
            // All that it says is public, but for where it is.
            let claim = Claim { role: "main", ..stranger("main", 1, 1) };
            inject(&mut world, 1, address(5), &claim.request());
            if asked {
                // The host of other has begun something with it.
                let now = world.now;
                world.estates[1].stack.add_remote(now, address(5), 0).unwrap();
            }
            let main = world.connect(1, 0);
            world.run(ms(5000));
            let held = world.estates[1].stack.remote(main).unwrap();
            assert!(held.allowed && held.name == "main", "{held:?}");
        }
    }

    fn a_strangers_claim_binds_nobody_on_an_immutable_road<S>() {
        let mut world = World::<S>::new();
        let mut main = config("main", 1);
        main.main = true;
        main.mutable = false;
        world.add(main);
        world.add(config("other", 2));
        let claim = Claim { role: "other", ..stranger("other", 2, 1) };
        inject(&mut world, 0, address(5), &claim.request());
        let main = world.connect(1, 0);
        world.run(ms(5000));
        assert!(world.estates[1].stack.remote(main).unwrap().allowed);
    }

    fn a_second_remote_of_a_peer_goes_on_above_the_first<S>() {
        let mut world = World::<S>::new();
        for (text, n) in [("main", 1), ("other", 2)] {
            let mut config = config(text, n);
            config.main = true;
            world.add(config);
        }
        let first = world.connect(1, 0);
        world.run(ms(1000));
        // A stranger claims to be where main is; then the host begins anew with whoever is there.
        let main = &world.estates[0].stack;
        let source = main.remote(main.find("other").unwrap()).unwrap().near;
        let claim = Claim { source, ..stranger("guest", 9, 1) };
        inject(&mut world, 1, address(0), &claim.request());
        let now = world.now;
        world.estates[1].stack.forget(now, first).unwrap();
        let second = world.connect(1, 0);
        world.run(ms(10_000));
        let held = world.estates[1].stack.remote(second).unwrap();
        assert!(held.allowed && held.name == "main", "{held:?}");
    }

    fn whom_the_host_asked_for_is_where_it_asked<S>() {
        let mut world = World::<S>::new();
        for (text, n) in [("main", 1), ("other", 2)] {
            let mut config = config(text, n);
            config.main = true;
            world.add(config);
        }
        let main = world.connect(1, 0);
        world.lose = std::boxed::Box::new(|p| p.kind().0 == TransactionKind::Allow);
        world.run(ms(1000));
        let held = |world: &World<S>| world.estates[1].stack.remote(main).unwrap();
        assert!(held(&world).name == "main" && !held(&world).proven);
        // What the host has to say to main would go wherever a stranger says that main is.
        let claim = Claim { role: "main", ..stranger("main", 1, 1) };
        inject(&mut world, 1, address(5), &claim.request());
        assert_eq!(held(&world).address, address(0));
    }

    fn a_repeated_ack_measures_nothing<S>() {
        let mut world = World::<S>::new();
        let mut main = config("main", 1);
        main.main = true;
        world.add(main);
        let mut other = config("other", 2);
        other.window = 2;
        world.add(other);
        let main = world.connect(1, 0);
        world.run(ms(1000));
        world.send(1, main, 1, &[7; 3500]);
        let mut repeated = 0;
        for _ in 0..40 {
            world.run(ms(1));
            let acks = recorded(&world, 0, TransactionKind::Message, PacketKind::Ack);
            let Some(first) = acks.first() else { continue };
            let trip = |world: &World<S>| world.estates[1].stack.remote(main).unwrap().round_trip;
            let before = trip(&world);
            // The first time it is no repeat.
            world.deliver(first.clone());
            assert!(repeated == 0 || trip(&world) == before, "{before:?}, {:?}", trip(&world));
            repeated += 1;
        }
        assert!(repeated > 10, "{repeated}");
    }

    fn a_forged_join_does_not_stop_the_way_back_to_a_peer<S>() {
        // Main wants a session with other, which is down; a stranger claims to be other, just before
        // main would try again.
        let (mut world, other, _) = World::<S>::allowed();
        world.connect(0, 1);
        let dead = address(1);
        world.lose = std::boxed::Box::new(move |p| p.from == dead || p.to == dead);
        world.restart(0, { let mut c = config("main", 1); c.main = true; c }, world.estates[0].records.clone());
        world.connect(0, 1);
        let _ = other;
        for ti in 0..10 {
            world.run(ms(3500));
            let claim = Claim { role: "other", ..stranger("other", 2, ti) };
            inject(&mut world, 0, address(7), &claim.request());
        }
        world.lose = std::boxed::Box::new(|_| false);
        world.forget_past();
        world.run(ms(90_000));
        let found = world.estates[0].stack.find("other").unwrap();
        assert!(world.estates[0].stack.remote(found).unwrap().allowed);
    }

    fn forged_joins_without_end_do_not_keep_a_peer_away<S>() {
        let (mut world, _, _) = World::<S>::allowed();
        world.restart(0, { let mut c = config("main", 1); c.main = true; c }, world.estates[0].records.clone());
        let other = world.connect(0, 1);
        let mut ti = 0;
        for _ in 0..60 {
            ti += 1;
            let claim = Claim { role: "other", ..stranger("other", 2, ti) };
            inject(&mut world, 0, address(7), &claim.request());
            inject(&mut world, 0, address(7), &claim.ack());
            world.run(ms(100));
        }
        assert!(world.estates[0].stack.remote(other).unwrap().allowed);
    }

    fn presence_goes_on_under_forged_joins<S>() {
        let mut world = World::<S>::new();
        let mut main = config("main", 1);
        main.main = true;
        main.presence = Some(Presence::default());
        world.add(main);
        world.add(config("other", 2));
        world.connect(1, 0);
        world.run(ms(500));
        let dead = address(1);
        world.lose = std::boxed::Box::new(move |p| p.from == dead || p.to == dead);
        for ti in 1..100 {
            let claim = Claim { role: "other", ..stranger("other", 2, ti) };
            inject(&mut world, 0, address(7), &claim.request());
            inject(&mut world, 0, address(7), &claim.ack());
            world.run(ms(100));
        }
        assert!(world.happened(0).contains(&RemoteEvent::Went), "its silence was noticed");
    }
}

both! {
    fn strangers_leave_no_role_behind<S>() {
        let mut world = World::<S>::new();
        let limits = crate::storage::Fixed::<8, 16, { 64 * 1024 }>::LIMITS;
        let mut main = config("main", 1);
        main.main = true;
        world.add_with(main, limits, Vec::new());
        for n in 1..60_u8 {
            let text = std::format!("guest-{n}");
            inject(&mut world, 0, address(n.into()), &stranger(&text, n, n.into()).request());
        }
        world.run(ms(10_000));
        let roles = |records: &[Record]| records.iter().filter(|r| matches!(r, Record::Role(_))).count();
        assert!(roles(&world.estates[0].records) <= limits.roles);
        assert!(world.estates[0].stack.roles().count() <= limits.roles);
        // What they left in the keep lets the next life begin.
        let mut main = config("main", 1);
        main.main = true;
        let records = world.estates[0].records.clone();
        world.add_with(main, limits, records);
    }

    fn a_life_begins_with_both_names_of_a_stranger_that_changed_it<S>() {
        let mut world = World::<S>::allowed().0;
        let records = world.estates[0].records.clone();
        let other = records.iter().find_map(|r| match r {
            Record::Remote(r) => Some(r.clone()),
            _ => None,
        }).unwrap();
        // The new name was stored, the end of the former one not yet. Meanwhile it was proven, or not.
        for (proven, first) in [(true, true), (true, false), (false, true)] {
            let new = RemoteRecord { proven, ..other.clone() };
            let former = RemoteRecord { name: name("former"), proven: false, ..other.clone() };
            let mut kept: Vec<_> = records.iter().filter(|r| !matches!(r, Record::Remote(_))).cloned().collect();
            let pair = if first { [former, new] } else { [new, former] };
            kept.extend(pair.map(Record::Remote));
            let mut main = config("main", 1);
            main.main = true;
            let n = world.add_with(main, S::LIMITS, kept);
            world.drive(n);
            let near = |text| {
                let stack = &world.estates[n].stack;
                stack.remote(stack.find(text).unwrap()).unwrap().near
            };
            assert_ne!(near("former"), near("other"));
            assert!(!proven || near("other") == other.near);
            // What is kept from now on contradicts itself no more.
            let nears: Vec<_> = world.estates[n].records.iter().filter_map(|r| match r {
                Record::Remote(r) => Some((r.name.clone(), r.near)),
                _ => None,
            }).collect();
            assert_eq!(nears.len(), 2);
            assert!(nears.iter().all(|(name, kept)| near(name.as_str()) == *kept));
        }
    }

    fn a_stranger_that_changes_its_name_leaves_no_record_behind<S>() {
        let mut world = World::<S>::pair();
        let first = stranger("guest", 9, 1);
        inject(&mut world, 0, address(5), &first.request());
        inject(&mut world, 0, address(5), &first.ack());
        let guest = world.estates[0].stack.find("guest").unwrap();
        let near = world.estates[0].stack.remote(guest).unwrap().near;
        let second = Claim { destination: near, role: "guest", ..stranger("visitor", 9, 2) };
        let second = Claim { source: first.source, ..second };
        inject(&mut world, 0, address(5), &second.request());
        inject(&mut world, 0, address(5), &second.ack());
        let visitor = world.estates[0].stack.find("visitor").expect("the road is mutable");
        assert_eq!(world.estates[0].stack.remote(visitor).unwrap().near, near);
        assert_eq!(world.estates[0].stack.find("guest"), None);
        let kept: Vec<_> = world.estates[0].records.iter().filter_map(|r| match r {
            Record::Remote(r) => Some(r.name.clone()),
            _ => None,
        }).collect();
        assert_eq!(kept, vec![name("visitor")]);
        let mut main = config("main", 1);
        main.main = true;
        let records = world.estates[0].records.clone();
        world.add_with(main, S::LIMITS, records);
    }
}

both! {
    fn a_remote_that_goes_to_make_room_leaves_no_role<S>() {
        let mut world = World::<S>::new();
        let mut main = config("main", 1);
        main.main = true;
        let small = crate::storage::Fixed::<8, 16, { 64 * 1024 }>::LIMITS;
        world.add_with(main, crate::limits::Limits { remotes: 1, roles: 1, handshakes: 1, ..small }, Vec::new());
        let first = stranger("guest", 9, 1);
        let now = world.now;
        let stack = &mut world.estates[0].stack;
        stack.handle_datagram(now, address(5), &mut first.request());
        let near = stack.remotes().next().unwrap().near;
        let again = Claim { role: "another", destination: near, ..stranger("guest", 9, 2) };
        let again = Claim { source: first.source, ..again };
        stack.handle_datagram(now, address(5), &mut again.request());
        assert_eq!(stack.remotes().count(), 0);
        assert_eq!(stack.roles().count(), 0);
        world.settle();
        inject(&mut world, 0, address(6), &stranger("visitor", 8, 3).request());
        assert!(world.estates[0].stack.find("visitor").is_some());
    }
}

/// The head of what `from` begins towards its remote `to`, by what its engine holds.
fn own_head<S: Storage>(
    world: &World<S>,
    from: usize,
    to: RemoteId,
    packet: PacketKind,
    transaction: TransactionKind,
) -> Head {
    let stack = &world.estates[from].stack;
    let remote = stack.remotes.get(to.0).unwrap();
    let mut head = Head::new(packet, transaction);
    head.foot = FootKind::Nacl;
    head.body = BodyKind::Json;
    head.source = remote.near;
    head.destination = remote.far;
    head.session = remote.sid;
    head.transaction_id = remote.next_ti;
    head
}

fn heard<S: Storage>(world: &World<S>, n: usize, remote: RemoteId) -> crate::time::Instant {
    world.estates[n].stack.remote(remote).unwrap().heard
}

both! {
    fn a_recorded_alive_keeps_nobody_alive<S>() {
        let (mut world, other, main) = World::<S>::allowed();
        world.estates[1].stack.alive(world.now, main).unwrap();
        world.run(ms(100));
        let alive = recorded(&world, 1, TransactionKind::Alive, PacketKind::Request).remove(0);
        let before = heard(&world, 0, other);
        world.run(ms(10_000));
        assert_eq!(world.deliver(alive), Some(Verdict::Repeated));
        assert_eq!(heard(&world, 0, other), before);
    }

    fn an_alive_that_was_answered_unjoined_counts_no_more<S>() {
        let (mut world, other, main) = World::<S>::allowed();
        world.estates[1].stack.alive(world.now, main).unwrap();
        world.lose = Box::new(|p| p.from == address(1));
        world.run(ms(10));
        let request = recorded(&world, 1, TransactionKind::Alive, PacketKind::Request).remove(0);
        let joined = |world: &mut World<S>, joined| {
            let slot = world.estates[0].stack.slot(other).unwrap();
            world.estates[0].stack.remotes.at_mut(slot).unwrap().joined = joined;
        };
        joined(&mut world, false);
        assert_eq!(world.deliver(request.clone()), Some(Verdict::Taken));
        joined(&mut world, true);
        let before = heard(&world, 0, other);
        world.run(ms(50));
        assert_eq!(world.deliver(request), Some(Verdict::Repeated));
        assert_eq!(heard(&world, 0, other), before);
    }

    fn recorded_answers_and_segments_keep_nobody_alive<S>() {
        let (mut world, other, main) = World::<S>::allowed();
        // The second segment never comes through.
        world.lose = std::boxed::Box::new(|p| Frame::parse(&p.bytes).unwrap().head.segment == 1);
        world.send(1, main, 1, &[7; 5000]);
        world.run(ms(2000));
        let asked = recorded(&world, 0, TransactionKind::Message, PacketKind::Resend);
        let parts = recorded(&world, 1, TransactionKind::Message, PacketKind::Message);
        let parts: Vec<_> = parts.into_iter().filter(|p| Frame::parse(&p.bytes).unwrap().head.segment != 1).collect();
        assert!(asked.len() > 1 && parts.len() > 3);
        world.lose = std::boxed::Box::new(|_| true);
        world.run(ms(500));
        let before = (heard(&world, 0, other), heard(&world, 1, main));
        world.run(ms(10_000));
        for packet in asked.iter().chain(&parts) {
            world.deliver(packet.clone());
        }
        assert_eq!((heard(&world, 0, other), heard(&world, 1, main)), before);
    }

    fn a_recorded_nack_keeps_nobody_alive<S>() {
        let (mut world, other, main) = World::<S>::allowed();
        world.estates[0].deaf = true;
        world.send(1, main, 1, b"waits to be taken");
        world.run(ms(100));
        let id = own_head(&world, 1, main, PacketKind::Nack, TransactionKind::Message);
        let nack = packet(&Head { transaction_id: id.transaction_id - 1, ..id }, &[], 2);
        inject(&mut world, 0, address(1), &nack);
        let before = heard(&world, 0, other);
        world.lose = std::boxed::Box::new(|_| true);
        world.run(ms(10_000));
        inject(&mut world, 0, address(1), &nack);
        assert_eq!(heard(&world, 0, other), before);
    }

    fn a_segment_that_cannot_be_takes_no_room<S>() {
        let (mut world, _, main) = World::<S>::allowed();
        let id = own_head(&world, 1, main, PacketKind::Message, TransactionKind::Message);
        for n in 0..4 {
            let head = Head {
                segment: 9,
                segments: 3,
                coat_len: 2000,
                coat: crate::wire::CoatKind::Nacl,
                transaction_id: id.transaction_id + n,
                ..id
            };
            let verdict = inject(&mut world, 0, address(1), &packet(&head, &[0; 800], 2));
            assert_eq!(verdict, Some(Verdict::Dropped(Reason::Segment)));
        }
        assert_eq!(world.estates[0].stack.inbox.len(), 0);
        assert_eq!(world.estates[0].stack.inbox_bytes, 0);
    }

    fn a_nack_in_a_second_session_is_no_proof_that_the_first_failed<S>() {
        let mut world = World::<S>::new();
        let mut main = config("main", 1);
        main.main = true;
        world.add(main);
        let mut other = config("other", 2);
        other.window = 2;
        world.add(other);
        let main = world.connect(1, 0);
        world.run(ms(500));
        // Delivered, but no word of it comes back.
        let done = (TransactionKind::Message, PacketKind::Done);
        world.lose = std::boxed::Box::new(move |p| p.kind() == done);
        world.send(1, main, 1, &[7; 5000]);
        world.run(ms(1000));
        assert_eq!(world.estates[0].messages.len(), 1);
        // The next session; its first segments are lost.
        world.lose = std::boxed::Box::new(|p| p.kind().0 == TransactionKind::Message);
        world.estates[1].stack.allow(world.now, main).unwrap();
        world.run(ms(1000));
        let (_, sent) = world.log.last().unwrap().clone();
        let head = Frame::parse(&sent.bytes).unwrap().head;
        assert_eq!((head.transaction, head.packet), (TransactionKind::Message, PacketKind::Message));
        let nack = Head {
            packet: PacketKind::Nack,
            flags: Flags::CORRESPONDENT,
            source: head.destination,
            destination: head.source,
            segment: 0,
            segments: 1,
            coat_len: 0,
            order: 0,
            ..head
        };
        inject(&mut world, 1, address(0), &packet(&nack, &[], 1));
        world.run(ms(500));
        assert_eq!(world.outcomes(1), vec![(1, Outcome::Unknown(crate::event::Doubt::Nacked))]);
    }
}

both! {
    fn a_hello_is_acted_on_once<S>() {
        let (mut world, _, main) = World::<S>::allowed();
        world.lose = std::boxed::Box::new(|p| p.kind().1 == PacketKind::Cookie);
        world.estates[1].stack.allow(world.now, main).unwrap();
        world.run(ms(6000));
        let hello = recorded(&world, 1, TransactionKind::Allow, PacketKind::Hello).remove(0);
        world.lose = std::boxed::Box::new(|_| false);
        world.estates[1].stack.allow(world.now, main).unwrap();
        world.run(ms(10_000));
        assert_eq!(world.deliver(hello), Some(Verdict::Dropped(Reason::Replayed)));
        assert_eq!(world.estates[0].stack.handshakes.len(), 0);
    }

    fn who_forgets_a_peer_that_comes_back_is_heard_by_it<S>() {
        let (mut world, other, main) = World::<S>::allowed();
        for token in 0..4 {
            world.estates[1].stack.allow(world.now, main).unwrap();
            world.run(ms(500));
            world.send(0, other, token, b"in this session");
            world.run(ms(500));
        }
        world.estates[0].stack.forget(world.now, other).unwrap();
        world.estates[1].stack.alive(world.now, main).unwrap();
        world.run(ms(2000));
        let other = world.estates[0].stack.find("other").expect("it joined again");
        world.forget_past();
        world.send(0, other, 9, b"still there?");
        world.run(ms(2000));
        assert_eq!(world.outcomes(0), vec![(9, Outcome::Delivered)]);
    }

    fn who_lost_everything_but_its_keys_is_heard_again<S>() {
        let (mut world, other, main) = World::<S>::allowed();
        for token in 0..4 {
            world.estates[1].stack.allow(world.now, main).unwrap();
            world.run(ms(500));
            world.send(0, other, token, b"in this session");
            world.run(ms(500));
        }
        let mut lost = config("main", 1);
        lost.main = true;
        world.forget_past();
        world.restart(0, lost, Vec::new());
        world.estates[1].stack.alive(world.now, main).unwrap();
        world.run(ms(2000));
        let other = world.estates[0].stack.find("other").expect("it joined again");
        world.send(0, other, 9, b"it is me");
        world.run(ms(2000));
        assert_eq!(world.outcomes(0), vec![(9, Outcome::Delivered)]);
    }

    fn a_message_to_who_forgot_us_finds_a_way<S>() {
        // No presence is asked for; the message itself notices.
        let (mut world, other, main) = World::<S>::allowed();
        world.estates[0].stack.forget(world.now, other).unwrap();
        world.send(1, main, 1, b"hello?");
        world.run(ms(60_000));
        assert_eq!(world.outcomes(1), vec![(1, Outcome::Delivered)]);
    }

    fn strangers_at_one_address_share_little_room<S>() {
        let mut world = World::<S>::pair();
        for n in 1..40_u8 {
            let text = std::format!("guest-{n}");
            let claim = stranger(&text, n, n.into());
            inject(&mut world, 0, address(5), &claim.request());
            inject(&mut world, 0, address(5), &claim.ack());
        }
        let guests = world.estates[0].stack.remotes().filter(|r| r.address == address(5)).count();
        assert!(guests > 0 && guests <= 4, "{guests}");
    }

    fn presence_leaves_a_stranger_alone_until_it_has_proven_itself<S>() {
        let mut world = World::<S>::pair();
        let now = world.now;
        world.estates[0].stack.set_presence(now, Some(Presence::default()));
        let claim = stranger("guest", 9, 9);
        inject(&mut world, 0, address(5), &claim.request());
        inject(&mut world, 0, address(5), &claim.ack());
        world.run(ms(60_000));
        let asked = claim.request().len() + claim.ack().len();
        let told = world.log.iter().filter(|(_, p)| p.to == address(5));
        let told: usize = told.map(|(_, p)| p.bytes.len()).sum();
        assert!(told > 0 && told <= 3 * asked, "{asked} bytes drew {told}");
    }

    fn a_stranger_of_an_earlier_life_is_reached_for_once<S>() {
        let mut world = World::<S>::pair();
        let claim = stranger("guest", 9, 9);
        inject(&mut world, 0, address(5), &claim.request());
        inject(&mut world, 0, address(5), &claim.ack());
        let records = world.estates[0].records.clone();
        let mut main = config("main", 1);
        main.main = true;
        main.presence = Some(Presence::default());
        world.forget_past();
        world.restart(0, main, records);
        world.run(ms(120_000));
        let told: Vec<_> = world.log.iter().map(|(_, p)| p).filter(|p| p.to == address(5)).collect();
        let told: Vec<_> = told.iter().map(|p| p.kind()).collect();
        assert_eq!(told, [(TransactionKind::Allow, PacketKind::Hello)]);
    }

    fn a_claimed_address_draws_little_from_who_is_looking_for_its_peer<S>() {
        let (mut world, other, main) = World::<S>::allowed();
        world.estates[1].stack.allow(world.now, main).unwrap();
        world.run(ms(500));
        let hello = recorded(&world, 1, TransactionKind::Allow, PacketKind::Hello).remove(0);
        world.lose = Box::new(|p| p.from == address(1) || p.to == address(1));
        world.send(0, other, 1, b"where are you?");
        world.run(ms(20_000));
        let far = Frame::parse(&hello.bytes).unwrap().head.source;
        for recording in [false, true] {
            world.forget_past();
            let claim = Claim { source: far, ..stranger("other", 2, 77) };
            inject(&mut world, 0, address(5), &claim.request());
            let mut asked = claim.request().len();
            if recording {
                inject(&mut world, 0, address(5), &hello.bytes);
                asked += hello.bytes.len();
            }
            world.run(ms(120_000));
            let told: Vec<_> = world.log.iter().map(|(_, p)| p).filter(|p| p.to == address(5)).collect();
            let nack = (TransactionKind::Join, PacketKind::Nack);
            assert!(told.iter().all(|p| p.kind() != nack), "a nack when its time is over");
            let told: usize = told.iter().map(|p| p.bytes.len()).sum();
            assert!(told > 0 && told <= 3 * asked, "{asked} bytes drew {told}");
        }
    }

    fn who_was_forgotten_before_it_proved_anything_gets_another_session_id<S>() {
        let mut world = World::<S>::pair();
        world.lose = Box::new(|p| p.kind() == (TransactionKind::Allow, PacketKind::Cookie));
        let mut hellos = Vec::new();
        for _ in 0..2 {
            let main = world.connect(1, 0);
            world.run(ms(100));
            let hello = (TransactionKind::Allow, PacketKind::Hello);
            let sent = world.log.iter().find(|(_, p)| p.kind() == hello).expect("it is sent");
            hellos.push(Frame::parse(&sent.1.bytes).unwrap().head.session);
            let now = world.now;
            world.estates[1].stack.forget(now, main).unwrap();
            world.settle();
            world.forget_past();
        }
        assert!(hellos[0] < hellos[1], "{hellos:?}");
    }

    fn strangers_cannot_fill_the_queue_of_answers<S>() {
        let mut world = World::<S>::pair();
        let limits = crate::storage::Fixed::<8, 16, { 64 * 1024 }>::LIMITS;
        let n = world.add_with(config("small", 3), limits, Vec::new());
        let now = world.now;
        let stack = &mut world.estates[n].stack;
        for ti in 0..100 {
            // It is not main: each is rejected.
            stack.handle_datagram(now, address(9), &mut stranger("guest", 9, ti).request());
        }
        assert!(stack.replies.len() <= limits.replies / 2);
        assert!(stack.stats().replies_left_out > 0);
    }

    fn a_handshake_that_waits_for_the_keep_is_not_forgotten<S>() {
        let mut world = World::<S>::pair();
        world.connect(1, 0);
        world.run(ms(500));
        let records = world.estates[1].records.clone();
        world.restart(1, config("other", 2), records);
        let main = world.estates[1].stack.find("main").unwrap();
        // Asked for before the first record is stored.
        world.estates[1].stack.allow(world.now, main).unwrap();
        world.run(ms(500));
        assert!(world.estates[1].stack.remote(main).unwrap().allowed);
    }
}
both! {
    fn keys_that_nobody_proved_take_no_place<S>() {
        // Main takes any keys. While other comes back with new ones, a stranger offers its own for the
        // same role, again and again.
        let mut world = World::<S>::new();
        let mut main = config("main", 1);
        main.main = true;
        main.trust = Trust::Always;
        world.add(main);
        world.add(config("other", 2));
        world.connect(1, 0);
        world.run(ms(500));
        world.restart(1, config("other", 9), Vec::new());
        world.connect(1, 0);
        for ti in 1..200_u32 {
            world.run(ms(3));
            let text = std::format!("guest-{}", ti % 3);
            let claim = Claim { role: "other", ..stranger(&text, 7, ti) };
            inject(&mut world, 0, address(5), &claim.request());
            let held = world.estates[0].stack.roles().find(|r| r.name == "other").unwrap();
            assert!(held.keys == keys(2) || held.keys == keys(9));
        }
        world.run(ms(120_000));
        let held = world.estates[0].stack.roles().find(|r| r.name == "other").unwrap();
        assert_eq!(held.keys, keys(9), "who proves its keys has them taken");
        let other = world.estates[0].stack.find("other").unwrap();
        assert!(world.estates[0].stack.remote(other).unwrap().allowed);
    }
}

both! {
    fn a_recorded_hello_over_a_forged_join_does_not_hold_up_our_own_allow<S>() {
        for own in ["a-main", "z-main"] {
            let mut world = World::<S>::new();
            let mut main = config(own, 1);
            main.main = true;
            world.add(main);
            world.add(config("other", 2));
            world.connect(1, 0);
            world.run(ms(500));
            let hello = recorded(&world, 1, TransactionKind::Allow, PacketKind::Hello).remove(0);
            let far = Frame::parse(&hello.bytes).unwrap().head.source;
            // Main is to reach other, which is silent; a stranger plays the recording over and over.
            let mut main = config(own, 1);
            main.main = true;
            let records = world.estates[0].records.clone();
            world.restart(0, main, records);
            world.lose = std::boxed::Box::new(|p| p.from == address(1) || p.to == address(1));
            let other = world.connect(0, 1);
            for ti in 1..200 {
                let claim = Claim { role: "other", source: far, ..stranger("other", 2, ti) };
                inject(&mut world, 0, address(7), &claim.request());
                inject(&mut world, 0, address(7), &claim.ack());
                inject(&mut world, 0, address(7), &hello.bytes);
                world.run(ms(100));
            }
            world.forget_past();
            world.lose = std::boxed::Box::new(|_| false);
            let mut ti = 1000;
            while ti < 4000 && !world.estates[0].stack.remote(other).unwrap().allowed {
                ti += 1;
                let claim = Claim { role: "other", source: far, ..stranger("other", 2, ti) };
                inject(&mut world, 0, address(7), &claim.request());
                inject(&mut world, 0, address(7), &hello.bytes);
                world.run(ms(100));
            }
            assert!(world.estates[0].stack.remote(other).unwrap().allowed, "{own}");
        }
    }

    fn a_claim_has_no_say_in_an_allow_over_what_is_held<S>() {
        for word in [PacketKind::Unjoined, PacketKind::Reject, PacketKind::Refuse] {
            // Main takes any keys, so a stranger's make a candidate.
            let mut world = World::<S>::new();
            let mut main = config("main", 1);
            main.main = true;
            main.trust = Trust::Always;
            world.add(main);
            world.add(config("other", 2));
            world.connect(1, 0);
            world.run(ms(500));
            world.forget_past();
            let other = world.estates[0].stack.find("other").unwrap();
            let now = world.now;
            world.estates[0].stack.allow(now, other).unwrap();
            world.settle();
            let hello = recorded(&world, 0, TransactionKind::Allow, PacketKind::Hello).remove(0);
            let open = Frame::parse(&hello.bytes).unwrap().head;
            let claim = Claim { role: "other", ..stranger("other", 7, 1) };
            inject(&mut world, 0, address(5), &claim.request());
            let mut head = Head::new(word, TransactionKind::Allow);
            head.flags = Flags::CORRESPONDENT;
            head.foot = FootKind::Nacl;
            (head.source, head.destination) = (claim.source, open.source);
            (head.session, head.transaction_id) = (open.session, open.transaction_id);
            let verdict = inject(&mut world, 0, address(5), &packet(&head, &[], 7));
            assert_eq!(verdict, Some(Verdict::Dropped(Reason::Address)), "{word:?}");
            world.run(ms(100));
            let other = world.estates[0].stack.remote(other).unwrap();
            assert!(other.joined && other.allowed, "{word:?}");
            assert!(!world.happened(0).iter().any(|what| matches!(what, RemoteEvent::AllowFailed(_))));
            assert_eq!(other.keys, Some(keys(2)));
        }
    }

    fn strangers_cannot_take_all_room_for_handshakes<S>() {
        let mut world = World::<S>::new();
        let mut main = config("main", 1);
        main.main = true;
        let limits = crate::storage::Fixed::<8, 16, { 64 * 1024 }>::LIMITS;
        world.add_with(main, crate::limits::Limits { handshakes: 2, ..limits }, Vec::new());
        for n in 1..6 {
            world.add(config(&std::format!("estate-{n}"), n));
        }
        let main = world.connect(1, 0);
        world.run(ms(500));
        // The others get no cookie, and so begin again and again.
        world.lose = std::boxed::Box::new(|p| p.kind().1 == PacketKind::Cookie && p.to != address(1));
        for n in 2..6 {
            world.connect(n, 0);
        }
        world.run(ms(3000));
        assert_eq!(world.estates[0].stack.handshakes.len(), 1);
        world.estates[1].events.clear();
        world.estates[1].stack.allow(world.now, main).unwrap();
        world.run(ms(300));
        assert!(world.happened(1).contains(&RemoteEvent::Allowed));
    }
}

both! {
    fn who_joined_from_an_address_does_not_keep_us_from_reaching_it<S>() {
        // Two main estates of immutable roads. A stranger joins main in the name of the other's address,
        // before main means to reach it.
        let mut world = World::<S>::new();
        for (text, n) in [("main", 1), ("other", 2)] {
            let mut config = config(text, n);
            config.main = true;
            config.mutable = false;
            world.add(config);
        }
        let evil = stranger("evil", 9, 1);
        inject(&mut world, 0, address(1), &evil.request());
        inject(&mut world, 0, address(1), &evil.ack());
        assert!(world.estates[0].stack.find("evil").is_some());
        let other = world.connect(0, 1);
        world.run(ms(60_000));
        let found = world.estates[0].stack.remote(other).unwrap();
        assert_eq!((found.name.as_str(), found.allowed), ("other", true));
    }
    fn a_peer_that_was_given_the_id_of_a_stranger_finds_its_own_remote<S>() {
        // Somebody claims to be at the other's address, and main asks there who it is. The other has lost
        // its remotes but not whom it trusts, and means to reach main: it goes by the id of that claim.
        let (mut world, _, _) = World::<S>::allowed();
        let claim = stranger("evil", 9, 1);
        inject(&mut world, 0, address(1), &claim.request());
        inject(&mut world, 0, address(1), &claim.ack());
        let evil = world.estates[0].stack.find("evil").unwrap();
        let mut records = world.estates[1].records.clone();
        records.retain(|record| !matches!(record, Record::Remote(_)));
        world.restart(1, config("other", 2), records);
        world.lose = Box::new(|p| p.from == address(1));
        let main = world.connect(1, 0);
        world.estates[0].stack.join(world.now, evil).unwrap();
        world.run(ms(20));
        world.lose = Box::new(|_| false);
        let held = world.estates[1].stack.remote(main).unwrap();
        let claimed = world.estates[0].stack.remote(evil).unwrap();
        assert_eq!(held.far, claimed.near);
        world.send(1, main, 1, b"kept");
        world.run(ms(120_000));
        assert_eq!(world.outcomes(1), vec![(1, Outcome::Delivered)]);
    }

    fn a_peer_that_was_given_the_id_of_a_proven_remote_finds_its_own<S>() {
        // Main knows bravo under an id. Somebody who can see it tells alpha, in main's name, that this is
        // alpha's.
        for mutable in [true, false] {
            let mut world = World::<S>::new();
            for (text, n) in [("main", 1), ("alpha", 2), ("bravo", 3)] {
                let mut config = config(text, n);
                config.main = n == 1;
                config.mutable = mutable;
                world.add(config);
            }
            let bravos = world.connect(2, 0);
            world.run(ms(200));
            let bravo = world.estates[0].stack.find("bravo").unwrap();
            let bravo = world.estates[0].stack.remote(bravo).unwrap();
            assert!(bravo.proven);
            let main = world.connect(1, 0);
            let request = Claim {
                source: bravo.near,
                destination: world.estates[1].stack.remote(main).unwrap().near,
                keys: 1,
                ..stranger("main", 1, 1)
            };
            inject(&mut world, 1, address(0), &request.request());
            assert_eq!(world.estates[1].stack.remote(main).unwrap().far, bravo.near);
            world.send(1, main, 1, b"kept");
            world.run(ms(60_000));
            assert_eq!(world.outcomes(1), vec![(1, Outcome::Delivered)], "mutable {mutable}");
            let kept = world.estates[0].stack.find("bravo").unwrap();
            let kept = world.estates[0].stack.remote(kept).unwrap();
            assert_eq!((kept.near, kept.address, kept.session), (bravo.near, bravo.address, bravo.session));
            assert!(world.estates[2].stack.remote(bravos).unwrap().allowed);
        }
    }
}
