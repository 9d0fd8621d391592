//! An allow begun here.

use super::{FILLER, Handshake, Stage, open_target, write};
use crate::crypto::{Crypto, Purpose};
use crate::event::AllowFailure;
use crate::road::remote::Target;
use crate::road::session::Window;
use crate::road::stack::RoadStack;
use crate::road::transaction::clock::Clock;
use crate::stats::{Reason, Verdict};
use crate::storage::Storage;
use crate::time::Instant;
use crate::wire::handshake::{Cookie, CookieInner, Hello, Initiate, InitiateInner};
use crate::wire::{Head, PacketKind};

impl<S: Storage, C: Crypto> RoadStack<S, C> {
    /// Begins an allow, unless a join or allow is open; a join, if there was none.
    pub(crate) fn start_allow(&mut self, now: Instant, slot: u32) {
        let Some(remote) = self.remotes.at(slot) else {
            return;
        };
        if remote.joining() || remote.allowing() {
            return;
        }
        if !remote.joined {
            self.start_join(now, slot);
            return;
        }
        // H4: the proven way first, what a join claims when that did not answer; elsewhere once (H9).
        let odd = remote.life.failures % 2 == 1;
        let target = match remote.candidate {
            Some(c) if c.greeted && c.address != remote.path.address => Target::Held,
            Some(c) if odd || !remote.proven || c.asked && !c.greeted => Target::Candidate,
            _ => Target::Held,
        };
        self.start_allow_with(now, slot, target);
    }

    pub(crate) fn start_allow_with(&mut self, now: Instant, slot: u32, target: Target) {
        let Some(remote) = self.remotes.at(slot) else {
            return;
        };
        if remote.allowing() {
            return;
        }
        self.close_handshake(slot);
        let Some(next_sid) = self.next_sid(slot) else {
            return;
        };
        if !self.covered(next_sid) {
            self.retry_soon(now, slot);
            return;
        }
        let Some(far_long) = self.far_long(slot, target) else {
            return;
        };
        let Some(remote) = self.remotes.at_mut(slot) else {
            return;
        };
        if let Some(candidate) = remote
            .candidate
            .as_mut()
            .filter(|_| target == Target::Candidate)
        {
            candidate.greeted = true;
        }
        remote.life.owed = 0;
        remote.allow_attempts = remote.allow_attempts.wrapping_add(1);
        let (birth, attempt, si) = (remote.birth, remote.allow_attempts, remote.sid);
        let short = self.suite.draw_secret(Purpose::ShortSecret {
            remote: birth,
            attempt,
        });
        let Ok(hello) = self.suite.box_key(&short, &far_long) else {
            self.fail_allow(now, slot, AllowFailure::Unproven);
            return;
        };
        let mut packet = Hello {
            short: self.suite.public_key(&short),
            boxed: [0; 80],
            nonce: self.nonce(Purpose::HelloNonce {
                remote: birth,
                attempt,
            }),
        };
        self.seal_into(&hello, &packet.nonce, &FILLER, &mut packet.boxed);
        let Some(remote) = self.remotes.at_mut(slot) else {
            return;
        };
        let mut handshake = Handshake {
            ti: remote.take_ti(),
            si,
            target,
            attempt,
            clock: Clock::start(now, &self.config.timers.allower),
            stage: Stage::Hello { short, hello },
            body: heapless::Vec::new(),
            signature: None,
        };
        write(&mut handshake.body, Hello::LEN, |out| packet.emit(out));
        if let Some(session) = &mut remote.session {
            session.certain = false;
        }
        match self.handshakes.insert(handshake) {
            Some(handle) => remote.allow = Some(handle.slot()),
            None => self.attempt_failed(now, slot),
        }
    }

    /// A packet of the allowent for an allow of ours, its signature proven.
    pub(crate) fn on_allower(
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
            (PacketKind::Cookie, Stage::Hello { .. }) => match self.make_initiate(slot, body) {
                Some(()) => Verdict::Taken,
                None => self.reject_allow(now, slot, head),
            },
            (PacketKind::Cookie, Stage::Initiate { .. }) => {
                self.again(slot); // H7
                Verdict::Repeated
            }
            // H12: an ack counts only after an initiate.
            (PacketKind::Ack, Stage::Initiate { .. }) => {
                self.finish_allower(now, slot, head);
                Verdict::Taken
            }
            (PacketKind::Refuse | PacketKind::Nack, _) => {
                self.fail_allow(now, slot, AllowFailure::Refused);
                Verdict::Taken
            }
            (PacketKind::Reject, _) => {
                self.fail_allow(now, slot, AllowFailure::Rejected);
                Verdict::Taken
            }
            (PacketKind::Unjoined, _) => {
                self.fail_allow(now, slot, AllowFailure::Unjoined);
                self.on_unjoined(now, slot);
                Verdict::Taken
            }
            _ => self.stats.drop(Reason::Unexpected),
        }
    }

    /// The peer says, proven, that it does not hold us as joined: join again (H10).
    pub(crate) fn on_unjoined(&mut self, now: Instant, slot: u32) {
        if let Some(remote) = self.remotes.at_mut(slot) {
            remote.joined = false;
            // It lost us: its sessions may begin anew.
            remote.rsid = 0;
            remote.window = Window::new();
            remote.last_hello = None;
        }
        self.lose_session(now, slot);
        self.start_join(now, slot);
    }

    pub(super) fn make_initiate(&mut self, slot: u32, body: &[u8]) -> Option<()> {
        let cookie = Cookie::parse(body).ok()?;
        let remote = self.remotes.at(slot)?;
        let open = self.handshakes.at(remote.allow?)?;
        let Stage::Hello { short, hello } = &open.stage else {
            return None;
        };
        let mut inner = [0; CookieInner::LEN];
        self.open_from(hello, &cookie.nonce, &cookie.boxed, &mut inner)?;
        let inner = CookieInner::parse(&inner).ok()?;
        if inner.near != remote.way(open.target).1 || inner.far != remote.near {
            return None;
        }
        let (birth, attempt) = (remote.birth, open.attempt);
        let session = self.suite.box_key(short, &inner.short).ok()?;
        let long = self
            .suite
            .box_key(&self.box_secret, &self.far_long(slot, open.target)?)
            .ok()?;
        let own_short = self.suite.public_key(short);
        let name = self.names_field(
            [&self.config.name, &self.config.role],
            [&remote.name, &self.role_name(slot)],
        );
        let mut proof = InitiateInner {
            public: self.public.public,
            vouch: [0; 48],
            nonce: self.nonce(Purpose::VouchNonce {
                remote: birth,
                attempt,
            }),
            name,
        };
        self.seal_into(&long, &proof.nonce, &own_short, &mut proof.vouch);
        let mut plain = [0; InitiateInner::LEN];
        proof.emit(&mut plain).ok()?;
        let mut packet = Initiate {
            short: own_short,
            cookie: inner.cookie,
            boxed: [0; 248],
            nonce: self.nonce(Purpose::InitiateNonce {
                remote: birth,
                attempt,
            }),
        };
        self.seal_into(&session, &packet.nonce, &plain, &mut packet.boxed);
        let pace = self.config.timers.allower;
        let open = self.handshake_mut(slot)?;
        open.advance(Stage::Initiate { session }, &pace);
        write(&mut open.body, Initiate::LEN, |out| packet.emit(out));
        Some(())
    }

    pub(super) fn finish_allower(&mut self, now: Instant, slot: u32, head: &Head) {
        let target = open_target(self.handshake(slot));
        if self.far_long(slot, target).is_none() {
            // What was proven is no longer what is claimed.
            self.fail_allow(now, slot, AllowFailure::Unproven);
            return;
        }
        let Some(open) = self.take_handshake(slot) else {
            return;
        };
        let Stage::Initiate { session } = open.stage else {
            return;
        };
        let mut ack = self.allow_head(slot, target, PacketKind::Ack);
        ack.session = open.si;
        ack.transaction_id = open.ti;
        let to = self.remotes.at(slot).map(|r| r.way(target).0);
        self.establish(now, slot, target, session, None, true);
        if let Some(remote) = self.remotes.at_mut(slot) {
            remote.last_allow = Some((head.session, head.transaction_id));
        }
        if let Some(to) = to {
            self.reply(Some(slot), to, ack);
        }
    }

    /// The allowent repeats its ack: ours was lost, and goes out again (H7).
    pub(crate) fn on_ack_again(&mut self, slot: u32, head: &Head) -> Verdict {
        let mut ack = self.allow_head(slot, Target::Held, PacketKind::Ack);
        ack.session = head.session;
        ack.transaction_id = head.transaction_id;
        if let Some(to) = self.remotes.at(slot).map(|r| r.path.address) {
            self.reply(Some(slot), to, ack);
        }
        Verdict::Repeated
    }

    /// Ends an allow of ours with a word to the peer, unless only a join has said where it is (H9).
    pub(super) fn end_own_allow(
        &mut self,
        slot: u32,
        target: Target,
        ti: u32,
        si: u32,
        packet: PacketKind,
    ) {
        let mut head = self.allow_head(slot, target, packet);
        head.session = si;
        head.transaction_id = ti;
        if let Some(to) = self.remotes.at(slot).map(|r| r.way(target).0)
            && !self.is_word(slot, target)
        {
            self.reply(Some(slot), to, head);
        }
        self.close_handshake(slot);
    }
}
