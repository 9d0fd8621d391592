//! An allow begun by a peer.

use super::{FILLER, Handshake, Stage, open_target, write};
use crate::crypto::{Crypto, Purpose};
use crate::event::AllowFailure;
use crate::road::answered::Allows;
use crate::road::remote::Target;
use crate::road::session::at_or_after;
use crate::road::stack::RoadStack;
use crate::road::transaction::clock::Clock;
use crate::road::transaction::join::Join;
use crate::stats::{Reason, Verdict};
use crate::storage::Storage;
use crate::time::Instant;
use crate::wire::handshake::{Cookie, CookieInner, Hello, Initiate, InitiateInner};
use crate::wire::{Head, PacketKind};

impl<S: Storage, C: Crypto> RoadStack<S, C> {
    /// A hello, its signature proven. `target` says over which description of the remote it came.
    pub(crate) fn on_hello(
        &mut self,
        now: Instant,
        slot: u32,
        target: Target,
        head: &Head,
        body: &[u8],
        answered: Allows,
    ) -> Verdict {
        let Some(remote) = self.remotes.at(slot) else {
            return self.stats.drop(Reason::Stranger);
        };
        let to = remote.way(target).0;
        // H7: a joinent that waits for the joiner's ack takes its signed hello for it.
        if matches!(&remote.join, Some(Join::Joinent(j)) if j.responded()) {
            self.complete_joinent(now, slot);
        }
        let Some(remote) = self.remotes.at(slot) else {
            return self.stats.drop(Reason::Stranger);
        };
        if !remote.joined {
            if remote.join.is_some() {
                return self.stats.drop(Reason::NoSession); // H14: silence, it asks again
            }
            self.answer(Some(slot), to, head, PacketKind::Unjoined, 0);
            return Verdict::Taken;
        }
        let called = self.is_call(slot, target);
        if let Some(open) = remote.allow.and_then(|h| self.handshakes.at(h)) {
            if open.is_allower() {
                // Where the host calls it has answered, and not where it is held.
                let better = called && open.target == Target::Held;
                if target == Target::Candidate && open.target == Target::Held && !better {
                    // The proven way first (H4): what comes over a claim may be a recording.
                    return self.stats.drop(Reason::NoSession);
                }
                if self.config.name < remote.name && !better {
                    self.answer(Some(slot), to, head, PacketKind::Refuse, 0); // a race, and ours goes on
                    return Verdict::Taken;
                }
                let (ti, si, own) = (open.ti, open.si, open.target);
                self.end_own_allow(slot, own, ti, si, PacketKind::Refuse);
            } else if open.ti == head.transaction_id && open.si == head.session {
                if let Some(open) = remote.allow.and_then(|h| self.handshakes.at_mut(h))
                    && open.packet() == PacketKind::Cookie
                {
                    open.clock.again();
                }
                return Verdict::Repeated;
            } else if !newer(head, open) {
                return self.stats.drop(Reason::Replayed);
            }
        }
        // H14: a newer signed hello replaces an open allowent.
        self.close_handshake(slot);
        let proven = self.remotes.at(slot).is_some_and(|r| r.proven);
        let Some(next_sid) = self.next_sid(slot) else {
            return self.stats.drop(Reason::Stranger);
        };
        // Who has proven nothing shares half of the room, so that none of it is all theirs.
        let room = if proven && target == Target::Held {
            self.limits.handshakes
        } else {
            self.limits.handshakes.div_ceil(2)
        };
        if self.handshakes.len() >= room || !self.covered(next_sid) {
            return self.stats.drop(Reason::Full);
        }
        match self.make_cookie(now, slot, target, head, body, answered) {
            Some(handshake) => {
                if let (Some(handle), Some(remote)) =
                    (self.handshakes.insert(handshake), self.remotes.at_mut(slot))
                {
                    remote.allow = Some(handle.slot());
                    remote.allow_claimed = proven && target == Target::Candidate && !called;
                    remote.last_hello = Some((head.session, head.transaction_id));
                    if let Some(session) = &mut remote.session {
                        session.certain = false;
                    }
                }
                Verdict::Taken
            }
            None => {
                self.answer(Some(slot), to, head, PacketKind::Reject, 0);
                self.stats.drop(Reason::Body)
            }
        }
    }

    pub(super) fn make_cookie(
        &mut self,
        now: Instant,
        slot: u32,
        target: Target,
        head: &Head,
        body: &[u8],
        answered: Allows,
    ) -> Option<Handshake<C>> {
        let hello = Hello::parse(body).ok()?;
        let key = self.suite.box_key(&self.box_secret, &hello.short).ok()?;
        let mut filler = [0; 64];
        self.open_from(&key, &hello.nonce, &hello.boxed, &mut filler)?;
        if filler != FILLER {
            return None;
        }
        let remote = self.remotes.at_mut(slot)?;
        remote.allow_attempts = remote.allow_attempts.wrapping_add(1);
        let (birth, attempt, near) = (remote.birth, remote.allow_attempts, remote.near);
        let far = remote.way(target).1;
        let short = self.suite.draw_secret(Purpose::ShortSecret {
            remote: birth,
            attempt,
        });
        let cookie = self.nonce(Purpose::Cookie {
            remote: birth,
            attempt,
        });
        let mut inner = [0; CookieInner::LEN];
        let parts = CookieInner {
            short: self.suite.public_key(&short),
            near,
            far,
            cookie,
        };
        parts.emit(&mut inner).ok()?;
        let mut packet = Cookie {
            boxed: [0; 80],
            nonce: self.nonce(Purpose::CookieNonce {
                remote: birth,
                attempt,
            }),
        };
        self.seal_into(&key, &packet.nonce, &inner, &mut packet.boxed);
        let mut handshake = Handshake {
            ti: head.transaction_id,
            si: head.session,
            target,
            attempt,
            clock: Clock::start(now, &self.config.timers.allowent),
            stage: Stage::Cookie {
                short,
                far_short: hello.short,
                cookie,
                answered,
            },
            body: heapless::Vec::new(),
            signature: None,
        };
        write(&mut handshake.body, Cookie::LEN, |out| packet.emit(out));
        Some(handshake)
    }

    /// A packet of the allower, after its hello, its signature proven.
    pub(crate) fn on_allowent(
        &mut self,
        now: Instant,
        slot: u32,
        head: &Head,
        body: &[u8],
    ) -> Verdict {
        let Some(open) = self.handshake(slot) else {
            return self.stats.drop(Reason::NoTransaction);
        };
        match (head.packet, &open.stage) {
            (PacketKind::Initiate, &Stage::Cookie { answered, .. }) => {
                match self.prove_initiate(slot, body) {
                    Some(key) => {
                        let pace = self.config.timers.allowent;
                        let target = open_target(self.handshake(slot));
                        if let Some(open) = self.handshake_mut(slot) {
                            open.advance(Stage::Ack(answered), &pace);
                            open.target = Target::Held; // establish makes it so
                        }
                        if let Some(remote) = self.remotes.at_mut(slot) {
                            remote.allow_claimed = false;
                        }
                        self.establish(now, slot, target, key, Some(head), false);
                        Verdict::Taken
                    }
                    None => self.reject_allow(now, slot, head),
                }
            }
            (PacketKind::Initiate, Stage::Ack(_)) => {
                self.again(slot); // H7: the same ack, nothing changes
                Verdict::Repeated
            }
            (PacketKind::Ack, Stage::Ack(_)) => {
                self.close_handshake(slot);
                self.confirm(now, slot, true);
                Verdict::Taken
            }
            // It has closed: our ack came, or it gave up. Messages will tell.
            (PacketKind::Nack | PacketKind::Refuse, Stage::Ack(_)) => {
                self.close_handshake(slot);
                self.confirm(now, slot, false);
                Verdict::Taken
            }
            (PacketKind::Nack | PacketKind::Refuse, Stage::Cookie { .. }) => {
                self.fail_allow(now, slot, AllowFailure::Refused);
                Verdict::Taken
            }
            (PacketKind::Reject, _) => {
                self.fail_allow(now, slot, AllowFailure::Rejected);
                Verdict::Taken
            }
            _ => self.stats.drop(Reason::Unexpected),
        }
    }

    pub(super) fn prove_initiate(&mut self, slot: u32, body: &[u8]) -> Option<C::BoxKey> {
        let initiate = Initiate::parse(body).ok()?;
        let open = self.handshake(slot)?;
        let Stage::Cookie {
            short,
            far_short,
            cookie,
            ..
        } = &open.stage
        else {
            return None;
        };
        if initiate.short != *far_short || initiate.cookie != *cookie {
            return None;
        }
        let key = self.suite.box_key(short, far_short).ok()?;
        let mut plain = [0; InitiateInner::LEN];
        self.open_from(&key, &initiate.nonce, &initiate.boxed, &mut plain)?;
        let inner = InitiateInner::parse(&plain).ok()?;
        if inner.public != self.far_long(slot, open.target)? {
            return None;
        }
        // H18: what the joins said of names was said by these two.
        if inner.tells_names() {
            let allower = [&self.remotes.at(slot)?.name, &self.role_name(slot)];
            let allowent = [&self.config.name, &self.config.role];
            if inner.name != self.names_field(allower, allowent) {
                return None;
            }
        }
        let long = self.suite.box_key(&self.box_secret, &inner.public).ok()?;
        let mut vouched = [0; 32];
        self.open_from(&long, &inner.nonce, &inner.vouch, &mut vouched)?;
        (vouched == *far_short).then_some(key)
    }
}

/// A hello that is newer than the open allow's.
pub(super) fn newer<C: Crypto>(head: &Head, open: &Handshake<C>) -> bool {
    if head.session == open.si {
        at_or_after(head.transaction_id, open.ti)
    } else {
        at_or_after(head.session, open.si)
    }
}
