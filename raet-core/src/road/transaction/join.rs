//! Join: who are you, and do I trust your keys (road-transactions: Join).
//!
//! Plain and unsigned, for it carries the keys: whatever a join says is a claim. About a remote that
//! never proved its keys the newest claim is taken over; beside one that did it makes a candidate,
//! which counts when an allow has proven the keys over it (H3, H4).
//!
//! ```text
//!   joiner    request ──▶ response ──▶ ack            joined
//!             request ──▶ pend … a person decides … ──▶ response ──▶ ack
//!             request ──▶ reject | refuse | renew     the join is over, nothing proven is lost
//! ```

mod call;
mod claim;
mod joinent;
mod joiner;

use core::net::SocketAddr;
use core::num::NonZeroU32;

use crate::config::{Pace, Timers};
use crate::crypto::Crypto;
use crate::event::{JoinFailure, RemoteEvent};
use crate::keep::Status;
use crate::road::answered::Joins;
use crate::road::remote::Kept;
use crate::road::stack::RoadStack;
use crate::road::transaction::clock::{Clock, Tick};
use crate::storage::Storage;
use crate::time::{Instant, Span};
use crate::wire::{Flags, Head, JoinBody, PacketKind, TransactionKind};

/// An open join, either role.
#[derive(Clone, Hash)]
pub(crate) enum Join {
    Joiner(Joiner),
    Joinent(Joinent),
}

/// A join begun here.
#[derive(Clone, Hash)]
pub(crate) struct Joiner {
    pub(crate) ti: u32,
    /// Where it asks: where the remote is held, or where the host called and this remote answered.
    address: SocketAddr,
    pub(crate) vacuous: bool,
    /// The response came, but its keys wait for a person here: pend is out.
    pended: bool,
    /// The peer's pend came: a person there has yet to judge our keys.
    held: bool,
    clock: Clock,
}

/// A join begun by a peer.
#[derive(Clone, Hash)]
pub(crate) struct Joinent {
    ti: u32,
    vacuous: bool,
    /// Its `se`, and where it came from: what answers go by.
    pub(crate) far: u32,
    pub(crate) address: SocketAddr,
    standing: Standing,
    clock: Clock,
    answered: Joins,
}

impl Joinent {
    /// Whether a packet from there with this head is of this join.
    fn is(&self, from: SocketAddr, head: &Head) -> bool {
        self.ti == head.transaction_id && self.far == head.source && self.address == from
    }
}

/// How a peer's join stands.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Standing {
    /// Its keys were accepted already: response is out.
    Taken,
    /// Its keys wait for a person here: pend is out.
    Pended,
    /// A person accepted them while it waited: response is out.
    Accepted,
}

impl Joinent {
    pub(crate) fn responded(&self) -> bool {
        self.standing != Standing::Pended
    }
}

impl Joiner {
    /// A person decides, here or there.
    fn waits(&self) -> bool {
        self.pended || self.held
    }
}

impl Join {
    pub(crate) fn clock(&self) -> &Clock {
        match self {
            Self::Joiner(j) => &j.clock,
            Self::Joinent(j) => &j.clock,
        }
    }

    pub(crate) fn next(&self) -> Instant {
        self.clock().next()
    }
}

/// A packet of a join, ready to be written.
pub(crate) struct JoinPacket {
    pub(crate) to: SocketAddr,
    pub(crate) head: Head,
    pub(crate) body: Option<JoinBody>,
}

impl<S: Storage, C: Crypto> RoadStack<S, C> {
    /// What both roles do when a join is complete.
    fn complete_join(&mut self, slot: u32, vacuous: bool) {
        let Some(remote) = self.remotes.at_mut(slot) else {
            return;
        };
        let news = !remote.joined || !remote.proven;
        remote.joined = true;
        remote.life.kept = Kept::No;
        if vacuous && !remote.proven {
            remote.rsid = 0;
            remote.last_hello = None;
        }
        if news {
            self.record(slot);
        }
        self.tell(slot, RemoteEvent::Joined);
    }

    /// A join ends without success. What was held stays; a remote that was made for it goes.
    fn fail_join(&mut self, now: Instant, slot: u32, why: JoinFailure) {
        let Some(remote) = self.remotes.at_mut(slot) else {
            return;
        };
        let join = remote.join.take();
        if let Some(Join::Joiner(joiner)) = &join
            && joiner.address != remote.path.address
        {
            // It was asked for a call, which hears of it and goes on.
            self.plan(now, slot);
            self.call_failed(now, joiner.address, RemoteEvent::JoinFailed(why));
            return;
        }
        let own = matches!(join, Some(Join::Joiner(_)));
        if let Some(Join::Joiner(joiner)) = join
            && joiner.waits()
        {
            // A person may decide at any moment, so the next try comes soon.
            remote.life.interval = Span::ZERO;
        }
        if why == JoinFailure::Refused {
            // Its own try goes on in place of this one, but may go where we are not any more: the next
            // comes when that is over, or two that try at the same times would refuse each other for ever.
            let over = Span::new(self.config.timers.joiner.redo_max);
            remote.life.interval = remote.life.interval.min(over);
        }
        let rejected = matches!(why, JoinFailure::Rejected | JoinFailure::RejectedHere);
        let stranger = rejected && !own && !remote.joined && !remote.proven && !remote.life.wanted;
        if own || remote.told {
            self.tell(slot, RemoteEvent::JoinFailed(why));
        }
        if stranger {
            self.remove_remote(now, slot);
        } else if own {
            self.attempt_failed(now, slot);
        }
    }

    /// A person has decided about a role: pending joins of it go on at once, and where the peer's try
    /// is over, one of ours begins. Walks over all remotes, as often as a person decides.
    pub(crate) fn resume_pended(&mut self, now: Instant, role: u32, status: Status) {
        for slot in 0..self.remotes.slots() {
            let Some(remote) = self.remotes.at(slot) else {
                continue;
            };
            if remote.gone || remote.role != Some(role) {
                continue;
            }
            let joined = remote.joined;
            let pended = match &remote.join {
                Some(Join::Joiner(j)) => j.pended,
                Some(Join::Joinent(j)) => !j.responded(),
                None => false,
            };
            // It asks at a joiner's pace, for it is not asked any more.
            let pace = Pace {
                timeout: self.config.timers.joinent.timeout,
                ..self.config.timers.joiner
            };
            match (status, self.join_mut(slot)) {
                (Status::Accepted, Some(Join::Joiner(_))) if pended => {
                    self.complete_joiner(now, slot);
                }
                (Status::Accepted, Some(Join::Joinent(j))) if pended => {
                    j.standing = Standing::Accepted;
                    j.clock = Clock::start(now, &pace);
                }
                (Status::Accepted, None) if !joined => self.start_join(now, slot),
                (Status::Rejected, _) if pended => {
                    self.answer_join(slot, PacketKind::Reject);
                    self.fail_join(now, slot, JoinFailure::RejectedHere);
                }
                _ => {}
            }
            self.settle(slot);
        }
    }

    /// The clock of an open join.
    pub(crate) fn tick_join(&mut self, now: Instant, slot: u32) {
        let Timers {
            joiner, joinent, ..
        } = self.config.timers;
        let tick = match self.join_mut(slot) {
            Some(Join::Joiner(j)) => j.clock.tick(now, &joiner),
            Some(Join::Joinent(j)) if j.standing == Standing::Accepted => {
                j.clock.tick(now, &joiner)
            }
            Some(Join::Joinent(j)) => j.clock.tick(now, &joinent),
            None => return,
        };
        match tick {
            Tick::Wait => {}
            Tick::Redo => self.stats.repeats_out += 1,
            Tick::Timeout => {
                // Where a join only claims that a remote is it gets an answer and perhaps a hello, and no
                // more: all of them together would be more than 3 x what it sent (H9).
                let told = self.remotes.at(slot).is_some_and(|r| match &r.join {
                    Some(Join::Joinent(j)) => j.address == r.path.address,
                    _ => false,
                });
                if told {
                    self.answer_join(slot, PacketKind::Nack);
                }
                self.fail_join(now, slot, JoinFailure::Timeout);
            }
        }
    }

    fn join_mut(&mut self, slot: u32) -> Option<&mut Join> {
        self.remotes.at_mut(slot)?.join.as_mut()
    }

    // ---- packets -------------------------------------------------------------------------------

    /// The head of a packet of our join.
    fn join_head(&self, slot: u32, vacuous: bool, ti: u32, packet: PacketKind) -> Head {
        let mut head = Head::new(packet, TransactionKind::Join);
        head.kind = self.config.head;
        head.body = self.config.body;
        head.transaction_id = ti;
        if let Some(remote) = self.remotes.at(slot) {
            head.source = remote.near;
            head.destination = if vacuous { 0 } else { remote.far };
        }
        head
    }

    /// A word of the open join's own side, without a body.
    fn answer_join(&mut self, slot: u32, packet: PacketKind) {
        if let Some(mut answer) = self.join_packet_of(slot) {
            answer.head.packet = packet;
            // On nobody's share: the remote may go with its join.
            self.reply(None, answer.to, answer.head);
        }
    }

    /// Head and destination of whatever the open join sends next.
    fn join_packet_of(&self, slot: u32) -> Option<JoinPacket> {
        let remote = self.remotes.at(slot)?;
        Some(match remote.join.as_ref()? {
            Join::Joiner(j) => {
                let packet = if j.pended {
                    PacketKind::Pend
                } else {
                    PacketKind::Request
                };
                let head = self.join_head(slot, j.vacuous, j.ti, packet);
                JoinPacket {
                    to: j.address,
                    head,
                    body: None,
                }
            }
            Join::Joinent(j) => {
                let packet = if j.responded() {
                    PacketKind::Response
                } else {
                    PacketKind::Pend
                };
                let mut head = self.join_head(slot, false, j.ti, packet);
                head.flags = Flags::CORRESPONDENT;
                head.source = if j.vacuous { 0 } else { remote.near };
                head.destination = j.far;
                JoinPacket {
                    to: j.address,
                    head,
                    body: None,
                }
            }
        })
    }

    /// What a join of ours says of this estate; with the uid, the body of a response.
    pub(crate) fn own_body(&self, uid: Option<NonZeroU32>) -> JoinBody {
        JoinBody {
            name: self.config.name.clone(),
            mode: u8::from(self.config.main),
            kind: self.config.kind,
            uid,
            verify: self.public.verify,
            public: self.public.public,
            role: self.config.role.clone(),
        }
    }

    /// The join packet that is due, if one is.
    pub(crate) fn make_join(&mut self, now: Instant, slot: u32) -> Option<JoinPacket> {
        let mut packet = self.join_packet_of(slot)?;
        if matches!(
            packet.head.packet,
            PacketKind::Request | PacketKind::Response
        ) {
            let near = self.remotes.at(slot).map_or(0, |r| r.near);
            let uid = (packet.head.packet == PacketKind::Response)
                .then(|| NonZeroU32::new(near))
                .flatten();
            packet.body = Some(self.own_body(uid));
        }
        let held = self.remotes.at(slot)?.path.address;
        match self.join_mut(slot)? {
            Join::Joiner(j) if j.pended => j.clock.sent_once(),
            Join::Joiner(j) => j.clock.sent(now),
            // The peer asks again only after a minute, and is no stranger to whoever accepted it.
            Join::Joinent(j) if j.standing == Standing::Accepted && j.address == held => {
                j.clock.sent(now);
            }
            // H9: a stranger draws one answer for each time it asks.
            Join::Joinent(j) => j.clock.sent_once(),
        }
        Some(packet)
    }
}
