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
//!
//! What the two are called travelled in a join, which proves nothing (H3). So the initiate says it again,
//! as the allower knows it, and an allowent that knows it otherwise rejects (H18): else whoever is on the
//! path could give either another name than its own.

mod allowent;
mod allower;

use crate::config::Pace;
use crate::crypto::{Crypto, Purpose};
use crate::event::{AllowFailure, RemoteEvent};
use crate::road::UNPROVEN;
use crate::road::answered::Allows;
use crate::road::remote::{Kept, Remote, Target};
use crate::road::session::{Session, Window, at_or_after, next_id};
use crate::road::stack::RoadStack;
use crate::road::transaction::clock::{Clock, Tick};
use crate::stats::{Reason, Verdict};
use crate::storage::Storage;
use crate::time::Instant;
use crate::wire::handshake::{Initiate, InitiateInner};
use crate::wire::{BodyKind, CoatKind, Flags, Head, Name, PacketKind, TransactionKind};

/// The plain part of a hello, and what its box holds.
const FILLER: [u8; 64] = [b'0'; 64];

/// An open allow, either role.
#[derive(Clone, Hash)]
pub(crate) struct Handshake<C: Crypto> {
    pub(crate) ti: u32,
    /// The initiator's session id, in all packets of this allow.
    pub(crate) si: u32,
    pub(crate) target: Target,
    /// Everything random about it is drawn under this number.
    attempt: u32,
    pub(crate) clock: Clock,
    stage: Stage<C::SecretKey, C::BoxKey>,
    /// The packet to send: its body, and its signature once that was made.
    pub(crate) body: heapless::Vec<u8, { Initiate::LEN }>,
    pub(crate) signature: Option<[u8; 64]>,
}

/// How far an allow has come; each stage owns just what the next packet needs.
#[derive(Clone, Hash)]
enum Stage<S, B> {
    /// Allower: hello is out. `hello` is the key between our short and their long key.
    Hello { short: S, hello: B },
    /// Allower: initiate is out. `session` is the key between the short keys.
    Initiate { session: B },
    /// Allowent: cookie is out.
    Cookie {
        short: S,
        far_short: [u8; 32],
        cookie: [u8; 24],
        answered: Allows,
    },
    /// Allowent: the initiate was good, ack is out.
    Ack(Allows),
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
            Stage::Ack(_) => PacketKind::Ack,
        }
    }

    /// The next packet: its body is written anew, its clock starts over.
    fn advance(&mut self, stage: Stage<C::SecretKey, C::BoxKey>, pace: &Pace) {
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
        // Asked in the session before: this one takes no answer to it, and answers it.
        remote.alive = None;
        let news = !remote.proven || vacuous || !at_or_after(remote.recorded_sid, remote.sid);
        self.set_proven(slot);
        if news {
            self.record(slot);
        }
        self.tell(slot, RemoteEvent::Allowed);
        self.drop_partial_arrivals(slot);
        self.reopen_messages(now, slot);
        self.answer_calls(now, slot);
        self.heard(now, slot);
    }

    /// The session id that an allow is to give. Another remote of the same peer may have gone since this
    /// one came, whose sessions the peer remembers: its own go on above them (H8).
    fn next_sid(&mut self, slot: u32) -> Option<u32> {
        let first = self.first_session;
        let remote = self.remotes.at_mut(slot)?;
        if remote.session.is_none() && !at_or_after(remote.sid, first) {
            remote.sid = first;
        }
        Some(next_id(remote.sid))
    }

    /// The peer says, proven, that it has no session: ours is over. What is open waits for the next.
    pub(crate) fn lose_session(&mut self, now: Instant, slot: u32) {
        if let Some(remote) = self.remotes.at_mut(slot) {
            remote.session = None;
        }
        self.reopen_messages(now, slot);
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
            Tick::Timeout if matches!(open.stage, Stage::Ack(_)) => {
                self.close_handshake(slot);
                self.confirm(now, slot, false); // its ack may just be lost
            }
            Tick::Timeout => self.fail_allow(now, slot, AllowFailure::Timeout),
        }
    }

    /// Whether the open allow goes to an address that only a join has claimed, and the host did not call.
    /// A packet goes there once for each time that it is asked for, and one hello of our own for each
    /// claim: whoever forges joins does not make us send others more than 3 x what it sends itself (H9).
    pub(crate) fn is_claim(&self, slot: u32) -> bool {
        let (Some(open), Some(remote)) = (self.handshake(slot), self.remotes.at(slot)) else {
            return false;
        };
        let answers = matches!(open.stage, Stage::Cookie { .. });
        // An earlier life may have joined a stranger where it only claimed to be.
        let may_answer = answers || remote.life.kept != Kept::No;
        match open.target {
            // It has answered from there.
            _ if matches!(open.stage, Stage::Initiate { .. } | Stage::Ack(_)) => false,
            Target::Candidate => self.is_word(slot, open.target),
            Target::Held => may_answer && self.remotes.is_linked::<UNPROVEN>(slot),
        }
    }

    /// Whether only a join has said that a remote which is held elsewhere is to be found this way.
    fn is_word(&self, slot: u32, target: Target) -> bool {
        let elsewhere = |r: &Remote<C>| r.way(target).0 != r.path.address;
        self.remotes.at(slot).is_some_and(elsewhere) && !self.is_call(slot, target)
    }

    /// The peer's packet does not prove what it must: it is told so, and the allow is over.
    fn reject_allow(&mut self, now: Instant, slot: u32, head: &Head) -> Verdict {
        let target = open_target(self.handshake(slot));
        if let Some(to) = self.remotes.at(slot).map(|r| r.way(target).0) {
            self.answer(Some(slot), to, head, PacketKind::Reject, 0);
        }
        self.fail_allow(now, slot, AllowFailure::Unproven);
        self.stats.drop(Reason::Body)
    }

    fn fail_allow(&mut self, now: Instant, slot: u32, why: AllowFailure) {
        let own = self.handshake(slot).is_none_or(Handshake::is_allower);
        let target = open_target(self.handshake(slot));
        let called = (self.is_call(slot, target))
            .then(|| self.remotes.at(slot).map(|r| r.way(target).0))
            .flatten();
        self.close_handshake(slot);
        if called.is_some() {
            // It counts once: the call asks again, and what is held has its turn meanwhile.
            self.drop_candidate(slot);
        }
        if !own {
            // Who begins a session may have lost the last one, and says so when it is asked (H10).
            let ready = self.remotes.at(slot).is_some_and(Remote::ready);
            if ready && target == Target::Held && self.wants(slot) {
                self.start_alive(now, slot);
            }
            return;
        }
        // Tried for a call, it says nothing of where the remote is held.
        if called.is_some_and(|at| self.call_failed(now, at, RemoteEvent::AllowFailed(why))) {
            self.plan(now, slot);
        } else {
            self.tell(slot, RemoteEvent::AllowFailed(why));
            self.attempt_failed(now, slot);
        }
    }

    pub(crate) fn close_handshake(&mut self, slot: u32) {
        self.take_handshake(slot);
    }

    fn take_handshake(&mut self, slot: u32) -> Option<Handshake<C>> {
        let remote = self.remotes.at_mut(slot)?;
        remote.allow_claimed = false;
        let open = remote.allow.take()?;
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
            Target::Candidate => self.candidate_keys(slot).ok()?,
            Target::Held => None,
        };
        match claimed {
            Some(keys) => Some(keys.public),
            None => self.role_of(slot).map(|role| role.public),
        }
    }

    /// What an initiate says of names and roles, those of the allower before those of the allowent (H18).
    fn names_field(&self, allower: [&Name; 2], allowent: [&Name; 2]) -> [u8; 128] {
        let [a, b] = allower.map(|name| name.as_bytes());
        let [c, d] = allowent.map(|name| name.as_bytes());
        // With their lengths, of a byte each, no two lists of names are the same bytes.
        let [al, bl, cl, dl] = [a, b, c, d].map(|name| [name.len() as u8]);
        let digest = self.suite.digest(&[&al, a, &bl, b, &cl, c, &dl, d]);
        InitiateInner::names_field(&digest)
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
