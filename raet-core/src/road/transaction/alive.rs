//! Alive: a sign of life (road-transactions: Alive).
//!
//! ```text
//!   aliver   request ──▶ ack            it is up
//!            request ──▶ unallowed      it lost the session: allow
//!            request ──▶ unjoined       it lost us: join
//!            request ──▶ (silence)      it is down
//! ```

use crate::crypto::Crypto;
use crate::event::RemoteEvent;
use crate::road::session::Window;
use crate::road::stack::RoadStack;
use crate::road::transaction::clock::{Clock, Tick};
use crate::stats::{Reason, Verdict};
use crate::storage::Storage;
use crate::time::{Instant, Span};
use crate::wire::{Head, PacketKind, TransactionKind};

/// A request of ours that waits for its answer. The alivent's role has no state.
#[derive(Clone, Hash)]
pub(crate) struct Aliver {
    pub(crate) ti: u32,
    pub(crate) si: u32,
    pub(crate) clock: Clock,
    /// How often the request has left, and when it did first.
    pub(crate) sent: u8,
    pub(crate) left: Instant,
}

impl<S: Storage, C: Crypto> RoadStack<S, C> {
    /// Asks for a sign of life, unless that is being done; begins an allow or join where there is
    /// no session.
    pub(crate) fn start_alive(&mut self, now: Instant, slot: u32) {
        let Some(remote) = self.remotes.at_mut(slot) else {
            return;
        };
        if remote.busy() {
            return;
        }
        if !remote.joined || remote.session.is_none() {
            self.start_allow(now, slot);
            return;
        }
        remote.alive = Some(Aliver {
            ti: remote.take_ti(),
            si: remote.sid,
            clock: Clock::start(now, &self.config.timers.aliver),
            sent: 0,
            left: now,
        });
    }

    /// The head of the open request.
    pub(crate) fn alive_head(&self, slot: u32) -> Option<Head> {
        let remote = self.remotes.at(slot)?;
        let alive = remote.alive.as_ref()?;
        let mut head = Head::new(PacketKind::Request, TransactionKind::Alive);
        head.kind = self.config.head;
        head.body = self.config.body;
        head.coat = self.config.coat;
        head.foot = self.config.foot;
        head.source = remote.near;
        head.destination = remote.far;
        head.session = alive.si;
        head.transaction_id = alive.ti;
        Some(head)
    }

    /// An answer to our request, its signature proven.
    pub(crate) fn on_aliver(&mut self, now: Instant, slot: u32, head: &Head) -> Verdict {
        let alive = self
            .remotes
            .at_mut(slot)
            .and_then(|r| Some((r.alive.take()?, &mut r.path)));
        let Some((alive, path)) = alive else {
            return self.stats.drop(Reason::NoTransaction);
        };
        match head.packet {
            PacketKind::Ack => {
                // Only what was sent once is measured (Karn).
                if alive.sent == 1 {
                    path.trip
                        .sample(Span::from_micros(now.micros_since(alive.left)));
                }
                self.explain_nacks(now, slot, alive.ti, true);
                self.heard(now, slot);
            }
            PacketKind::Nack | PacketKind::Refuse => {
                self.explain_nacks(now, slot, alive.ti, false);
                self.heard(now, slot);
            }
            PacketKind::Reject => self.went(now, slot),
            PacketKind::Unjoined => self.on_unjoined(now, slot),
            PacketKind::Unallowed => {
                self.lose_session(now, slot);
                self.start_allow(now, slot);
            }
            _ => {
                if let Some(remote) = self.remotes.at_mut(slot) {
                    remote.alive = Some(alive);
                }
                return self.stats.drop(Reason::Unexpected);
            }
        }
        Verdict::Taken
    }

    /// A request of the peer, its signature proven. A repeat is answered again and changes nothing.
    pub(crate) fn on_alivent(
        &mut self,
        now: Instant,
        slot: u32,
        head: &Head,
        fresh: bool,
    ) -> Verdict {
        let Some(remote) = self.remotes.at(slot) else {
            return self.stats.drop(Reason::Stranger);
        };
        let to = remote.path.address;
        let packet = if !remote.joined {
            PacketKind::Unjoined
        } else if remote.session.is_none() {
            PacketKind::Unallowed
        } else {
            PacketKind::Ack
        };
        self.answer(Some(slot), to, head, packet, 0);
        if !fresh {
            return Verdict::Repeated;
        }
        if let Some(remote) = self.remotes.at_mut(slot)
            && remote.session.is_some()
            && remote.rsid != head.session
        {
            // The first that it begins after its allow: from now on a repeat is known as one.
            remote.rsid = head.session;
            remote.window = Window::new();
        }
        self.heard_in_session(now, slot, head);
        if packet == PacketKind::Ack {
            if let Some(remote) = self.remotes.at_mut(slot)
                && remote.rsid == head.session
            {
                remote.window.finish(head.transaction_id);
            }
            self.confirm(now, slot, false);
            self.heard(now, slot);
        }
        Verdict::Taken
    }

    /// The clock of an open request.
    pub(crate) fn tick_alive(&mut self, now: Instant, slot: u32) {
        let pace = self.config.timers.aliver;
        let Some(alive) = self.remotes.at_mut(slot).and_then(|r| r.alive.as_mut()) else {
            return;
        };
        match alive.clock.tick(now, &pace) {
            Tick::Wait => {}
            Tick::Redo => self.stats.repeats_out += 1,
            Tick::Timeout => self.went(now, slot),
        }
    }

    /// It does not answer.
    fn went(&mut self, now: Instant, slot: u32) {
        if let Some(remote) = self.remotes.at_mut(slot) {
            remote.alive = None;
            if remote.life.up != Some(false) {
                remote.life.up = Some(false);
                remote.life.since = now;
                self.tell(slot, RemoteEvent::Went);
            }
        }
        self.attempt_failed(now, slot);
    }
}
