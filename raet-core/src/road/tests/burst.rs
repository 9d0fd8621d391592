//! Datagrams judged and checked together have the fates of those taken one by one.

use std::vec::Vec;

use super::both;
use super::world::{Packet, World};
use crate::road::Claims;
use crate::stats::{Reason, Verdict};
use crate::storage::Storage;
use crate::time::Duration;

/// Takes in a burst as a driver does that checks signatures together.
fn deliver<S: Storage>(world: &mut World<S>, packets: &mut [Packet]) -> Vec<Verdict> {
    let (now, stack) = (world.now, &mut world.estates[0].stack);
    let mut claims = Claims::<_, 32>::new();
    let mut verdicts: Vec<_> = (packets.iter_mut())
        .map(
            |packet| match stack.judge(now, packet.from, &mut packet.bytes) {
                Ok(claim) => {
                    assert!(claims.push(claim).is_ok(), "a packet of a message waits");
                    None
                }
                Err(verdict) => Some(verdict),
            },
        )
        .collect();
    let suite = crate::crypto::NaclSuite::new(&[9; 32]);
    let mut open = verdicts.iter_mut().filter(|verdict| verdict.is_none());
    claims.verify(&suite, |checked| {
        *open.next().unwrap() = Some(stack.accept(now, checked));
    });
    assert!(open.next().is_none());
    verdicts.into_iter().flatten().collect()
}

both! {
    fn a_burst_has_the_fates_of_its_datagrams<S>() {
        let (mut world, _, main) = World::<S>::allowed();
        for token in 0..6 {
            world.send(1, main, token, &[token as u8; 2000]);
        }
        world.drive(1);
        let mut packets: Vec<_> = world.wire.drain(..).map(|(_, packet)| packet).collect();
        assert!((12..=24).contains(&packets.len()));
        // One is forged, one comes twice, one is no packet at all, and they are out of order.
        *packets[4].bytes.last_mut().unwrap() ^= 1;
        packets.push(packets[2].clone());
        packets[7].bytes.truncate(9);
        packets.reverse();
        let mut alone = packets.clone();
        let verdicts = deliver(&mut world, &mut packets);

        let (mut twin, _, main) = World::<S>::allowed();
        for token in 0..6 {
            twin.send(1, main, token, &[token as u8; 2000]);
        }
        let now = twin.now;
        let one_by_one: Vec<_> = (alone.iter_mut())
            .map(|p| twin.estates[0].stack.handle_datagram(now, p.from, &mut p.bytes))
            .collect();
        assert_eq!(verdicts, one_by_one);
        assert_eq!(verdicts.iter().filter(|v| **v == Verdict::Dropped(Reason::Forged)).count(), 1);

        world.run(Duration::from_secs(5));
        assert_eq!(world.outcomes(1).len(), 6);
        assert_eq!(world.estates[0].messages.len(), 6, "once each");
    }

    fn a_handshake_does_not_wait<S>() {
        let mut world = World::<S>::pair();
        world.connect(1, 0);
        world.drive(1);
        let (_, mut packet) = world.wire.pop_front().unwrap();
        let now = world.now;
        let claim = world.estates[0].stack.judge(now, packet.from, &mut packet.bytes);
        let claim = claim.unwrap_or_else(|verdict| panic!("{verdict:?}"));
        assert!(!claim.may_wait());
        assert!(Claims::<_, 4>::new().push(claim).is_err());
    }

    fn what_is_checked_is_judged_anew<S>() {
        // Between the check and its result the host forgets the peer, or its session changes.
        for forget in [true, false] {
            let (mut world, other, main) = World::<S>::allowed();
            world.send(1, main, 1, b"too late");
            world.drive(1);
            let (_, mut packet) = world.wire.pop_front().unwrap();
            let now = world.now;
            let stack = &mut world.estates[0].stack;
            let claim = stack.judge(now, packet.from, &mut packet.bytes);
            let mut claims = Claims::<_, 1>::new();
            assert!(!claims.is_full());
            assert!(claims.push(claim.unwrap_or_else(|verdict| panic!("{verdict:?}"))).is_ok());
            assert!(claims.is_full());
            let reason = if forget {
                stack.forget(now, other).unwrap();
                Reason::Stranger
            } else {
                let held = stack.remotes.get_mut(other.0).unwrap();
                held.rsid = held.rsid.wrapping_add(5);
                if let Some(session) = &mut held.session {
                    session.pinned = true;
                }
                Reason::StaleSession
            };
            let suite = crate::crypto::NaclSuite::new(&[9; 32]);
            let mut fates = Vec::new();
            claims.verify(&suite, |checked| fates.push(stack.accept(now, checked)));
            assert_eq!(fates, [Verdict::Dropped(reason)]);
        }
    }
}
