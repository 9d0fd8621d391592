//! What is known of one remote.

use core::net::SocketAddr;
use core::num::NonZeroU32;

use super::path::Path;
use super::session::{Names, Session, Window};
use super::transaction::alive::Aliver;
use super::transaction::join::Join;
use super::{ANSWERS, ARRIVALS, MESSAGES, RemoteId, SENDABLE};
use crate::crypto::Crypto;
use crate::event::{AllowFailure, JoinFailure, RemoteEvent};
use crate::storage::List;
use crate::time::{Instant, Span};
use crate::wire::Name;

/// A remote: everything that one estate knows of another.
///
/// Three levels of belief, each with its own fields: what an unsigned join claims about a remote
/// that was proven (`candidate`), what is held of it, and what an allow has proven (`session`).
#[derive(Clone, Hash)]
pub(crate) struct Remote<C: Crypto> {
    /// Never given out twice in the engine's life: what is random about it is drawn under this.
    pub(crate) birth: u64,
    pub(crate) token: u64,
    /// Near uid: the id that we gave it. Never changes once it has a name.
    pub(crate) near: u32,
    /// Far uid: the id that it gave us; 0 not known.
    pub(crate) far: u32,
    /// Empty until its join told it.
    pub(crate) name: Name,
    pub(crate) main: bool,
    pub(crate) kind: u8,
    /// Its slot among the roles.
    pub(crate) role: Option<u32>,
    pub(crate) path: Path,
    pub(crate) joined: bool,
    /// An allow has proven its keys, in this life or an earlier one.
    pub(crate) proven: bool,
    /// What its newest join claims, if that differs from what was proven (H4).
    pub(crate) candidate: Option<Candidate>,
    pub(crate) join: Option<Join>,
    /// The last join of ours that it accepted: its response may come again (H7).
    pub(crate) last_join: Option<LastJoin>,
    pub(crate) join_attempts: u32,
    /// The slot of its handshake, while an allow is open.
    pub(crate) allow: Option<u32>,
    /// That allow was begun by the peer over its candidate, and has proven nothing yet.
    pub(crate) allow_claimed: bool,
    pub(crate) allow_attempts: u32,
    /// Session and transaction id of the last allow of ours that succeeded: its ack may come again.
    pub(crate) last_allow: Option<(u32, u32)>,
    pub(crate) alive: Option<Aliver>,
    pub(crate) session: Option<Session<C::BoxKey>>,
    /// Session id of what we begin.
    pub(crate) sid: u32,
    /// The newest session id accepted in what it begins; 0 none yet.
    pub(crate) rsid: u32,
    /// Transaction id of what we begin next.
    pub(crate) next_ti: u32,
    pub(crate) window: Window,
    /// Session and transaction id of the newest hello of it that was acted on.
    pub(crate) last_hello: Option<(u32, u32)>,
    pub(crate) names: Names,
    /// Number of the next message to it.
    pub(crate) next_number: u64,
    /// Counts what is sealed for it but is no message.
    pub(crate) next_answer: u64,
    pub(crate) life: Life,
    /// Messages to it that were not begun in this session, in order.
    pub(crate) waiting: List<MESSAGES>,
    /// Messages to it that were begun, oldest first.
    pub(crate) open: List<MESSAGES>,
    /// Those of them that have a packet to send now.
    pub(crate) sendable: List<SENDABLE>,
    /// Those of them that it nacked without saying why, in the order of its nacks.
    pub(crate) nacked: List<SENDABLE>,
    /// Packets of those that are not confirmed.
    pub(crate) in_flight: u32,
    /// Messages from it.
    pub(crate) arrivals: List<ARRIVALS>,
    /// Those of them that owe it an ack or resend now.
    pub(crate) answers: List<ANSWERS>,
    pub(crate) arrival_bytes: usize,
    /// Its answers that wait in the reply queue.
    pub(crate) replies: u16,
    pub(crate) news: News,
    /// Its record does not show what is held now.
    pub(crate) unrecorded: bool,
    /// A record of it was handed out.
    pub(crate) recorded: bool,
    /// What its newest record says of `sid`.
    pub(crate) recorded_sid: u32,
    /// Forgotten; only its last event keeps the slot.
    pub(crate) gone: bool,
    /// The host knows of it.
    pub(crate) told: bool,
}

/// Presence, and the attempts to reach a remote.
#[derive(Clone, Hash)]
pub(crate) struct Life {
    /// Whether it answers; `None`: not known.
    pub(crate) up: Option<bool>,
    /// When that last changed.
    pub(crate) since: Instant,
    pub(crate) reaped: bool,
    /// When a proven packet last came.
    pub(crate) heard: Instant,
    /// When it is to be asked, or reached again.
    pub(crate) next: Instant,
    /// How early in the last eighth of a period it is asked, drawn once.
    pub(crate) spread: u8,
    /// Attempts since it was last heard.
    pub(crate) failures: u8,
    pub(crate) interval: Span,
    /// The host wants it connected.
    pub(crate) wanted: bool,
    /// How often an allow was to begin that waits for the keep.
    pub(crate) owed: u8,
    /// What an earlier life left of it.
    pub(crate) kept: Kept,
}

/// Of a remote that an earlier life joined. That life may have died before it could put down that the remote had
/// proven itself; and one hello of ours to where it claims to be is no more than its join was long enough for
/// (H9). But no later life is to say another.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kept {
    /// There is nothing to make up for.
    No,
    /// It is reached for once its record says that it was.
    Recorded,
    /// So it says.
    Stored,
}

/// A join's claim about a remote that was proven: it counts when an allow proves the keys over it.
#[derive(Clone, Copy, Hash)]
pub(crate) struct Candidate {
    pub(crate) address: SocketAddr,
    pub(crate) far: u32,
    pub(crate) main: bool,
    pub(crate) kind: u8,
    /// The join was vacuous: the peer knows no session any more.
    pub(crate) vacuous: bool,
    /// A hash of the keys that it brought, if they are others than the role's: those offered for the
    /// role, as long as no others were offered since. Every remote has room for a candidate, so it
    /// is a small one.
    pub(crate) keys: Option<NonZeroU32>,
    /// No hello of ours goes there any more: an allow was begun over it, or its join was too short for one
    /// beside its response (H9).
    pub(crate) greeted: bool,
    /// The host called there, and this was the answer.
    pub(crate) asked: bool,
    pub(crate) expires: Instant,
}

/// A join of ours that was accepted: enough to answer its response again.
#[derive(Clone, Copy, Hash)]
pub(crate) struct LastJoin {
    pub(crate) ti: u32,
    pub(crate) vacuous: bool,
}

/// Which of the two descriptions of a remote a packet or a handshake goes by.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Target {
    /// What is held of it.
    Held,
    /// What its newest join claims.
    Candidate,
}

impl<C: Crypto> Remote<C> {
    #[inline(never)] // called from many places, and longer than a call
    pub(crate) fn new(birth: u64, near: u32, address: SocketAddr, sid: u32, now: Instant) -> Self {
        Self {
            birth,
            token: 0,
            near,
            far: 0,
            name: Name::new(),
            main: false,
            kind: 0,
            role: None,
            path: Path::new(address),
            joined: false,
            proven: false,
            candidate: None,
            join: None,
            last_join: None,
            join_attempts: 0,
            allow: None,
            allow_claimed: false,
            allow_attempts: 0,
            last_allow: None,
            alive: None,
            session: None,
            sid,
            rsid: 0,
            next_ti: 1,
            window: Window::new(),
            last_hello: None,
            names: Names::new(),
            next_number: 1,
            next_answer: 0,
            life: Life {
                up: None,
                since: now,
                reaped: false,
                heard: now,
                next: Instant::NEVER,
                spread: 0,
                failures: 0,
                interval: Span::ZERO,
                wanted: false,
                owed: 0,
                kept: Kept::No,
            },
            waiting: List::new(),
            open: List::new(),
            sendable: List::new(),
            nacked: List::new(),
            in_flight: 0,
            arrivals: List::new(),
            answers: List::new(),
            arrival_bytes: 0,
            replies: 0,
            news: News::default(),
            unrecorded: false,
            recorded: false,
            recorded_sid: sid,
            gone: false,
            told: false,
        }
    }

    /// What the names of all messages to it begin with. Numbers begin anew with a remote that was
    /// forgotten and met again, which its peer may not notice: so the remote is part of it.
    pub(crate) fn names_begin(&self, life: &[u8; 16]) -> [u8; 16] {
        let mut begin = *life;
        for (byte, birth) in begin.iter_mut().zip(self.birth.to_le_bytes()) {
            *byte ^= birth;
        }
        begin
    }

    /// A session is up and the peer holds it too: messages may go.
    pub(crate) fn ready(&self) -> bool {
        self.session.as_ref().is_some_and(|s| s.confirmed)
    }

    /// A join is open that must end before anything else is tried. One that a peer began about a
    /// remote that was proven does not count: anyone can begin it (H4).
    pub(crate) fn joining(&self) -> bool {
        match self.join {
            Some(Join::Joiner(_)) => true,
            Some(Join::Joinent(_)) => !self.proven,
            None => false,
        }
    }

    /// An allow is open that must end before anything else is tried. One that a peer began over a
    /// claim does not count: a recorded hello begins it, and no recording ends it.
    pub(crate) fn allowing(&self) -> bool {
        self.allow.is_some() && !self.allow_claimed
    }

    /// A transaction is open that will tell how the remote is.
    pub(crate) fn busy(&self) -> bool {
        self.joining() || self.allowing() || self.alive.is_some()
    }

    pub(crate) fn take_ti(&mut self) -> u32 {
        let ti = self.next_ti;
        self.next_ti = super::session::next_id(ti);
        ti
    }

    /// Address and far uid that a handshake with this target uses.
    #[inline(never)] // called from many places, and longer than a call
    pub(crate) fn way(&self, target: Target) -> (SocketAddr, u32) {
        match (target, &self.candidate) {
            (Target::Candidate, Some(c)) => (c.address, c.far),
            _ => (self.path.address, self.far),
        }
    }

    /// Which description of the remote a packet from `from`, with its `se`, fits (H15). Where both
    /// do, a handshake goes by the newer one, which it may prove, all else by what is held.
    pub(crate) fn target(&self, from: SocketAddr, se: u32, handshake: bool) -> Option<Target> {
        let held = self.far == se && self.path.address == from;
        let claimed = self
            .candidate
            .is_some_and(|c| c.far == se && c.address == from);
        match (held, claimed) {
            (true, true) if handshake => Some(Target::Candidate),
            (true, _) => Some(Target::Held),
            (false, true) => Some(Target::Candidate),
            (false, false) => None,
        }
    }

    /// When something is to be done about it, apart from its messages.
    pub(crate) fn deadline(&self, handshake: Option<Instant>) -> Instant {
        let mut soonest = self.life.next;
        if let Some(join) = &self.join {
            soonest = soonest.min(join.next());
        }
        if let Some(alive) = &self.alive {
            soonest = soonest.min(alive.clock.next());
        }
        if let Some(candidate) = &self.candidate {
            soonest = soonest.min(candidate.expires);
        }
        soonest.min(handshake.unwrap_or(Instant::NEVER))
    }
}

/// What the host has not been told of a remote yet: each kind once, in the order of
/// [`RemoteEvent`].
#[derive(Clone, Default, Hash)]
pub(crate) struct News {
    pending: Option<bool>,
    joined: bool,
    join_failed: Option<JoinFailure>,
    allowed: bool,
    allow_failed: Option<AllowFailure>,
    came: bool,
    went: bool,
    reaped: bool,
    same: Option<RemoteId>,
    forgotten: bool,
}

impl News {
    pub(crate) fn add(&mut self, event: RemoteEvent) {
        match event {
            RemoteEvent::Pending { here } => self.pending = Some(here),
            RemoteEvent::Joined => {
                self.joined = true;
                self.join_failed = None;
            }
            RemoteEvent::JoinFailed(why) => self.join_failed = Some(why),
            RemoteEvent::Allowed => {
                self.allowed = true;
                self.allow_failed = None;
            }
            RemoteEvent::AllowFailed(why) => self.allow_failed = Some(why),
            RemoteEvent::Came => {
                self.came = true;
                self.went = false;
            }
            RemoteEvent::Went => self.went = true,
            RemoteEvent::Reaped => self.reaped = true,
            RemoteEvent::SameAs(known) => {
                self.same = Some(known);
                self.forgotten = false;
            }
            RemoteEvent::Forgotten => self.forgotten = true,
        }
    }

    pub(crate) fn take(&mut self) -> Option<RemoteEvent> {
        use core::mem::take;
        if let Some(here) = self.pending.take() {
            return Some(RemoteEvent::Pending { here });
        }
        if take(&mut self.joined) {
            return Some(RemoteEvent::Joined);
        }
        if let Some(why) = self.join_failed.take() {
            return Some(RemoteEvent::JoinFailed(why));
        }
        if take(&mut self.allowed) {
            return Some(RemoteEvent::Allowed);
        }
        if let Some(why) = self.allow_failed.take() {
            return Some(RemoteEvent::AllowFailed(why));
        }
        if take(&mut self.came) {
            return Some(RemoteEvent::Came);
        }
        if take(&mut self.went) {
            return Some(RemoteEvent::Went);
        }
        if take(&mut self.reaped) {
            return Some(RemoteEvent::Reaped);
        }
        if let Some(known) = self.same.take() {
            return Some(RemoteEvent::SameAs(known));
        }
        take(&mut self.forgotten).then_some(RemoteEvent::Forgotten)
    }
}
