//! Allow: a CurveCP-like handshake that proves long-term keys and makes a session
//! (road-transactions: Allow).
//!
//! ```text
//!   allower                                              allowent
//!     │ hello: short a, box(short a → long b)             │
//!     │ ────────────────────────────────────────────────▶ │ keeps nothing proven yet
//!     │          cookie: box(long b → short a): short b   │
//!     │ ◀──────────────────────────────────────────────── │
//!     │ initiate: box(short a → short b):                 │
//!     │           long a, vouch = box(long a → long b)    │
//!     │ ────────────────────────────────────────────────▶ │ the session is up
//!     │                                             ack   │
//!     │ ◀──────────────────────────────────────────────── │
//!     │ ack: the session is up and confirmed              │
//!     │ ────────────────────────────────────────────────▶ │ confirmed: messages may go
//! ```
//!
//! What was proven before stays until the new session is (H2): a hello displaces nothing.

use crate::config::Pace;
use crate::crypto::{Crypto, Purpose};
use crate::event::{AllowFailure, RemoteEvent};
use crate::road::remote::Target;
use crate::road::session::{Session, Window, at_or_after, next_id};
use crate::road::stack::RoadStack;
use crate::road::transaction::clock::{Clock, Tick};
use crate::road::transaction::join::Join;
use crate::stats::{Reason, Verdict};
use crate::storage::Storage;
use crate::time::Instant;
use crate::wire::handshake::{Cookie, CookieInner, Hello, Initiate, InitiateInner};
use crate::wire::{BodyKind, CoatKind, Flags, Head, PacketKind, TransactionKind};

/// The plain part of a hello, and what its box holds.
const FILLER: [u8; 64] = [b'0'; 64];

/// An open allow, either role.
pub(crate) struct Handshake<C: Crypto> {
    pub(crate) ti: u32,
    /// The initiator's session id, in all packets of this allow.
    pub(crate) si: u32,
    pub(crate) target: Target,
    /// Everything random about it is drawn under this number.
    attempt: u32,
    pub(crate) clock: Clock,
    stage: Stage<C>,
    /// The packet to send: its body, and its signature once that was made.
    pub(crate) body: heapless::Vec<u8, { Initiate::LEN }>,
    pub(crate) signature: Option<[u8; 64]>,
}

/// How far an allow has come; each stage owns just what the next packet needs.
enum Stage<C: Crypto> {
    /// Allower: hello is out. `hello` is the key between our short and their long key.
    Hello {
        short: C::SecretKey,
        hello: C::BoxKey,
    },
    /// Allower: initiate is out. `session` is the key between the short keys.
    Initiate { session: C::BoxKey },
    /// Allowent: cookie is out.
    Cookie {
        short: C::SecretKey,
        far_short: [u8; 32],
        cookie: [u8; 24],
    },
    /// Allowent: the initiate was good, ack is out.
    Ack,
}

impl<C: Crypto> Handshake<C> {
    pub(crate) fn is_allower(&self) -> bool {
        matches!(self.stage, Stage::Hello { .. } | Stage::Initiate { .. })
    }

    pub(crate) fn packet(&self) -> PacketKind {
        match self.stage {
            Stage::Hello { .. } => PacketKind::Hello,
            Stage::Initiate { .. } => PacketKind::Initiate,
            Stage::Cookie { .. } => PacketKind::Cookie,
            Stage::Ack => PacketKind::Ack,
        }
    }

    /// The next packet: its body is written anew, its clock starts over.
    fn advance(&mut self, stage: Stage<C>, pace: &Pace) {
        self.stage = stage;
        self.body.clear();
        self.signature = None;
        self.clock.next_packet(pace);
    }
}

impl<S: Storage, C: Crypto> RoadStack<S, C> {
    /// The head of an allow packet of ours.
    pub(crate) fn allow_head(&self, slot: u32, target: Target, packet: PacketKind) -> Head {
        let mut head = Head::new(packet, TransactionKind::Allow);
        head.kind = self.config.head;
        head.body = BodyKind::Raw;
        head.foot = self.config.foot;
        if let Some(remote) = self.remotes.at(slot) {
            head.source = remote.near;
            head.destination = remote.way(target).1;
        }
        head
    }

    /// Begins an allow, unless a join or allow is open; a join, if there was none.
    pub(crate) fn start_allow(&mut self, now: Instant, slot: u32) {
        let Some(remote) = self.remotes.at(slot) else {
            return;
        };
        if remote.join.is_some() || remote.allow.is_some() {
            return;
        }
        if !remote.joined {
            self.start_join(now, slot, false);
            return;
        }
        // H4: the proven way first, what a join claims when that did not answer.
        let odd = remote.life.failures % 2 == 1;
        let target = match remote.candidate {
            Some(_) if odd || !remote.proven => Target::Candidate,
            _ => Target::Held,
        };
        self.start_allow_with(now, slot, target);
    }

    pub(crate) fn start_allow_with(&mut self, now: Instant, slot: u32, target: Target) {
        let Some(remote) = self.remotes.at(slot) else {
            return;
        };
        if remote.allow.is_some() {
            return;
        }
        let next_sid = next_id(remote.sid);
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
            Ok(handle) => {
                remote.allow = Some(handle.slot());
            }
            Err(_) => self.attempt_failed(now, slot),
        }
    }

    /// A hello, its signature proven. `target` says over which description of the remote it came.
    pub(crate) fn on_hello(
        &mut self,
        now: Instant,
        slot: u32,
        target: Target,
        head: &Head,
        body: &[u8],
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
        if let Some(open) = remote.allow.and_then(|h| self.handshakes.at(h)) {
            if open.is_allower() {
                if self.config.name < remote.name {
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
        let next_sid = self.remotes.at(slot).map_or(0, |r| next_id(r.sid));
        if self.handshakes.is_full() || !self.covered(next_sid) {
            return self.stats.drop(Reason::Full);
        }
        match self.make_cookie(now, slot, target, head, body) {
            Some(handshake) => {
                if let (Ok(handle), Some(remote)) =
                    (self.handshakes.insert(handshake), self.remotes.at_mut(slot))
                {
                    remote.allow = Some(handle.slot());
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

    fn make_cookie(
        &mut self,
        now: Instant,
        slot: u32,
        target: Target,
        head: &Head,
        body: &[u8],
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
            },
            body: heapless::Vec::new(),
            signature: None,
        };
        write(&mut handshake.body, Cookie::LEN, |out| packet.emit(out));
        Some(handshake)
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
                None => {
                    let to = self
                        .remotes
                        .at(slot)
                        .map(|r| r.way(open_target(self.handshake(slot))).0);
                    if let Some(to) = to {
                        self.answer(Some(slot), to, head, PacketKind::Reject, 0);
                    }
                    self.fail_allow(now, slot, AllowFailure::Unproven);
                    self.stats.drop(Reason::Body)
                }
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
        }
        self.start_join(now, slot, false);
    }

    fn make_initiate(&mut self, slot: u32, body: &[u8]) -> Option<()> {
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
        let mut proof = InitiateInner {
            public: self.public.public,
            vouch: [0; 48],
            nonce: self.nonce(Purpose::VouchNonce {
                remote: birth,
                attempt,
            }),
            name: [b' '; 128],
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

    fn finish_allower(&mut self, now: Instant, slot: u32, head: &Head) {
        let Some(open) = self.take_handshake(slot) else {
            return;
        };
        let Stage::Initiate { session } = open.stage else {
            return;
        };
        let target = open.target;
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
            (PacketKind::Initiate, Stage::Cookie { .. }) => match self.prove_initiate(slot, body) {
                Some(key) => {
                    let pace = self.config.timers.allowent;
                    let target = open_target(self.handshake(slot));
                    if let Some(open) = self.handshake_mut(slot) {
                        open.advance(Stage::Ack, &pace);
                        open.target = Target::Held; // establish makes it so
                    }
                    self.establish(now, slot, target, key, Some(head), false);
                    Verdict::Taken
                }
                None => {
                    let to = self
                        .remotes
                        .at(slot)
                        .map(|r| r.way(open_target(self.handshake(slot))).0);
                    if let Some(to) = to {
                        self.answer(Some(slot), to, head, PacketKind::Reject, 0);
                    }
                    self.fail_allow(now, slot, AllowFailure::Unproven);
                    self.stats.drop(Reason::Body)
                }
            },
            (PacketKind::Initiate, Stage::Ack) => {
                self.again(slot); // H7: the same ack, nothing changes
                Verdict::Repeated
            }
            (PacketKind::Ack, Stage::Ack) => {
                self.close_handshake(slot);
                self.confirm(now, slot, true);
                Verdict::Taken
            }
            // It has closed: our ack came, or it gave up. Messages will tell.
            (PacketKind::Nack | PacketKind::Refuse, Stage::Ack) => {
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

    fn prove_initiate(&mut self, slot: u32, body: &[u8]) -> Option<C::BoxKey> {
        let initiate = Initiate::parse(body).ok()?;
        let open = self.handshake(slot)?;
        let Stage::Cookie {
            short,
            far_short,
            cookie,
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
        let long = self.suite.box_key(&self.box_secret, &inner.public).ok()?;
        let mut vouched = [0; 32];
        self.open_from(&long, &inner.nonce, &inner.vouch, &mut vouched)?;
        (vouched == *far_short).then_some(key)
    }

    /// An allow has proven the keys: what it came over is held from now on, and a session is up.
    ///
    /// `peer` is the initiator's packet when the peer began.
    fn establish(
        &mut self,
        now: Instant,
        slot: u32,
        target: Target,
        key: C::BoxKey,
        peer: Option<&Head>,
        confirmed: bool,
    ) {
        let vacuous = target == Target::Candidate && self.install_candidate(slot);
        let Some(remote) = self.remotes.at_mut(slot) else {
            return;
        };
        let least = match peer {
            Some(head) => {
                if remote.rsid != head.session {
                    remote.rsid = head.session;
                    remote.window = Window::new();
                }
                remote.window.heard(now, head.transaction_id);
                remote.window.finish(head.transaction_id);
                next_id(head.session)
            }
            None => {
                if vacuous {
                    remote.rsid = 0;
                }
                if remote.rsid == 0 {
                    0
                } else {
                    next_id(remote.rsid)
                }
            }
        };
        remote.session = Some(Session {
            key,
            confirmed,
            certain: confirmed,
            pinned: false,
            least,
        });
        remote.sid = next_id(remote.sid);
        let news = !remote.proven || vacuous || !at_or_after(remote.recorded_sid, remote.sid);
        self.set_proven(slot);
        if news {
            self.record(slot);
        }
        self.tell(slot, RemoteEvent::Allowed);
        self.drop_partial_arrivals(slot);
        self.reopen_messages(now, slot);
        self.heard(now, slot);
    }

    /// The peer has shown that it holds the session: messages may go.
    pub(crate) fn confirm(&mut self, now: Instant, slot: u32, certain: bool) {
        if let Some(session) = self.remotes.at_mut(slot).and_then(|r| r.session.as_mut()) {
            session.confirmed = true;
            session.certain |= certain;
        }
        self.plan(now, slot);
    }

    /// The clock of an open allow.
    pub(crate) fn tick_allow(&mut self, now: Instant, slot: u32) {
        let timers = self.config.timers;
        let Some(open) = self.handshake_mut(slot) else {
            return;
        };
        let pace = if open.is_allower() {
            &timers.allower
        } else {
            &timers.allowent
        };
        match open.clock.tick(now, pace) {
            Tick::Wait => {}
            Tick::Redo => self.stats.repeats_out += 1,
            Tick::Timeout if matches!(open.stage, Stage::Ack) => {
                self.close_handshake(slot);
                self.confirm(now, slot, false); // its ack may just be lost
            }
            Tick::Timeout => self.fail_allow(now, slot, AllowFailure::Timeout),
        }
    }

    fn fail_allow(&mut self, now: Instant, slot: u32, why: AllowFailure) {
        let own = self.handshake(slot).is_none_or(Handshake::is_allower);
        self.close_handshake(slot);
        if own {
            self.tell(slot, RemoteEvent::AllowFailed(why));
            self.attempt_failed(now, slot);
        }
    }

    /// Ends an allow of ours with a word to the peer.
    fn end_own_allow(&mut self, slot: u32, target: Target, ti: u32, si: u32, packet: PacketKind) {
        let mut head = self.allow_head(slot, target, packet);
        head.session = si;
        head.transaction_id = ti;
        if let Some(to) = self.remotes.at(slot).map(|r| r.way(target).0) {
            self.reply(Some(slot), to, head);
        }
        self.close_handshake(slot);
    }

    pub(crate) fn close_handshake(&mut self, slot: u32) {
        self.take_handshake(slot);
    }

    fn take_handshake(&mut self, slot: u32) -> Option<Handshake<C>> {
        let open = self.remotes.at_mut(slot)?.allow.take()?;
        self.handshakes.remove(self.handshakes.handle_of(open)?)
    }

    pub(crate) fn handshake(&self, slot: u32) -> Option<&Handshake<C>> {
        self.handshakes.at(self.remotes.at(slot)?.allow?)
    }

    pub(crate) fn handshake_mut(&mut self, slot: u32) -> Option<&mut Handshake<C>> {
        self.handshakes.at_mut(self.remotes.at(slot)?.allow?)
    }

    fn again(&mut self, slot: u32) {
        if let Some(open) = self.handshake_mut(slot) {
            open.clock.again();
        }
    }

    /// The long-term public key that a handshake with this target is to prove.
    fn far_long(&self, slot: u32, target: Target) -> Option<[u8; 32]> {
        let claimed = match target {
            Target::Candidate => self.remotes.at(slot)?.candidate_keys(),
            Target::Held => None,
        };
        match claimed {
            Some(keys) => Some(keys.public),
            None => self.role_of(slot).map(|role| role.keys.public),
        }
    }

    fn nonce(&self, purpose: Purpose) -> [u8; 24] {
        let mut nonce = [0; 24];
        nonce.copy_from_slice(&self.suite.draw(purpose)[..24]);
        nonce
    }

    /// A box as these layouts hold it: the tag, then the sealed bytes.
    fn seal_into(&self, key: &C::BoxKey, nonce: &[u8; 24], plain: &[u8], out: &mut [u8]) {
        let Some((tag, sealed)) = out.split_first_chunk_mut::<16>() else {
            return;
        };
        debug_assert_eq!(sealed.len(), plain.len(), "the layout has room for the tag");
        sealed.copy_from_slice(plain);
        *tag = self.suite.seal(key, nonce, sealed);
    }

    fn open_from(
        &self,
        key: &C::BoxKey,
        nonce: &[u8; 24],
        boxed: &[u8],
        out: &mut [u8],
    ) -> Option<()> {
        let (tag, sealed) = boxed.split_first_chunk::<16>()?;
        debug_assert_eq!(sealed.len(), out.len(), "the layout has room for the tag");
        out.copy_from_slice(sealed);
        self.suite.open(key, nonce, out, tag).then_some(())
    }
}

/// A hello that is newer than the open allow's.
fn newer<C: Crypto>(head: &Head, open: &Handshake<C>) -> bool {
    if head.session == open.si {
        at_or_after(head.transaction_id, open.ti)
    } else {
        at_or_after(head.session, open.si)
    }
}

fn open_target<C: Crypto>(open: Option<&Handshake<C>>) -> Target {
    open.map_or(Target::Held, |h| h.target)
}

fn write(
    body: &mut heapless::Vec<u8, { Initiate::LEN }>,
    len: usize,
    emit: impl FnOnce(&mut [u8]) -> Result<usize, crate::wire::NoSpace>,
) {
    // Every layout of an allow is at most an initiate long.
    let written = body.resize(len, 0).is_ok() && emit(body).is_ok();
    debug_assert!(written, "an allow's packet fits its buffer");
}

/// The kinds that an allow packet may have: its body is in the open (road-wire: which packets
/// carry what).
pub(crate) fn is_allow_shaped(head: &Head) -> bool {
    head.coat == CoatKind::Nada && !head.flags.contains(Flags::BROADCAST)
}
