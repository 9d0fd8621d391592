//! Deadlines: what is due and when; who is asked for a sign of life, and who is reached again after
//! silence (hardening: H10).

use super::UNPROVEN;
use super::remote::{Kept, Remote};
use super::stack::RoadStack;
use crate::config::Presence;
use crate::crypto::Crypto;
use crate::event::RemoteEvent;
use crate::storage::Storage;
use crate::time::{Instant, Span, micros};
use crate::wire::Head;

/// The next moment at which the engine wants [`handle_timeout`](RoadStack::handle_timeout).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Timeout {
    /// When. Never before the last `now` that the engine has seen.
    pub at: Instant,
    /// What for.
    pub why: Why,
}

/// What a deadline is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Why {
    /// A handshake, a sign of life, or an attempt to reach a remote.
    Remote,
    /// A message on its way out: its next repeat, or its own deadline.
    MessageOut,
    /// A message on its way in: telling its sender what came, or giving it up.
    MessageIn,
}

/// Deadlines handled in one call, so that a call does bounded work; the rest is due at once.
const BATCH: usize = 64;

/// How long messages may go unanswered before their peer is asked for a sign of life, presence or
/// not: it may have lost us, and says so to nothing else (H10).
const SILENCE: Span = Span::from_micros(10_000_000);

/// How soon an attempt is made again for which something here was not ready: after twice as long each
/// time, up to 640 ms.
const SOON: u32 = 20_000;

impl<S: Storage, C: Crypto> RoadStack<S, C> {
    /// The next deadline; `None`: only a datagram or a command can make something happen.
    pub fn poll_timeout(&self) -> Option<Timeout> {
        let mut first = (Instant::NEVER, Why::Remote);
        for (next, why) in [
            (self.due_remotes.next(), Why::Remote),
            (self.due_out.next(), Why::MessageOut),
            (self.due_in.next(), Why::MessageIn),
        ] {
            if let Some((at, _)) = next
                && at < first.0
            {
                first = (at, why);
            }
        }
        let (at, why) = first;
        (at != Instant::NEVER).then(|| Timeout {
            at: at.max(self.now),
            why,
        })
    }

    /// Does what is due by now; nothing if nothing is.
    pub fn handle_timeout(&mut self, now: Instant) {
        let now = self.clock(now);
        for _ in 0..BATCH {
            match self.due_remotes.next() {
                Some((at, slot)) if at <= now => self.tick_remote(now, slot),
                _ => break,
            }
        }
        for _ in 0..BATCH {
            match self.due_out.next() {
                Some((at, slot)) if at <= now => self.tick_outgoing(now, slot),
                _ => break,
            }
        }
        for _ in 0..BATCH {
            match self.due_in.next() {
                Some((at, slot)) if at <= now => self.tick_incoming(now, slot),
                _ => break,
            }
        }
    }

    fn tick_remote(&mut self, now: Instant, slot: u32) {
        self.tick_join(now, slot);
        self.tick_allow(now, slot);
        self.tick_alive(now, slot);
        if self
            .remotes
            .at(slot)
            .and_then(|r| r.candidate)
            .is_some_and(|c| c.expires <= now)
        {
            self.drop_candidate(slot);
        }
        if self
            .remotes
            .at(slot)
            .is_some_and(|r| !r.gone && r.life.next <= now)
        {
            self.pursue(now, slot);
        }
        self.settle(slot);
    }

    /// What is next in keeping up with a remote: the sign of life, or the way back to a session.
    pub(crate) fn pursue(&mut self, now: Instant, slot: u32) {
        let wants = self.wants(slot);
        let presence = self.config.presence;
        let main = self.config.main;
        let Some(remote) = self.remotes.at_mut(slot) else {
            return;
        };
        remote.life.next = Instant::NEVER;
        let owed = remote.life.owed > 0;
        if remote.gone || remote.busy() {
            return;
        }
        if let Some(Presence { interim, .. }) = presence
            && main
            && !interim.is_zero()
            && !remote.life.reaped
            && now.micros_since(remote.life.heard) >= micros(interim)
        {
            remote.life.reaped = true;
            self.tell(slot, RemoteEvent::Reaped);
            self.plan(now, slot);
            return;
        }
        if !wants {
            return;
        }
        let (joined, up, failures) = (remote.joined, remote.ready(), remote.life.failures);
        match (joined, up, failures) {
            (false, ..) => self.start_join(now, slot),
            _ if owed => self.start_allow(now, slot),
            // A session that is up is asked; when that fails, it may have been lost over there …
            (true, true, 0) => self.start_alive(now, slot),
            (true, _, 0..=2) => self.start_allow(now, slot),
            // … or we were.
            (true, _, n) if n % 2 == 1 => self.start_join(now, slot),
            _ => self.start_allow(now, slot),
        }
        let started = self.remotes.at(slot).is_some_and(Remote::busy);
        if !started
            && self
                .remotes
                .at(slot)
                .is_some_and(|r| r.life.next == Instant::NEVER)
        {
            self.attempt_failed(now, slot);
        }
    }

    /// Whether somebody wants a session with it: the host, a message, or presence. Presence leaves a
    /// stranger alone until it has proven itself: its address is a claim, and hellos there would be
    /// more than 3 x what it sent (H9).
    pub(crate) fn wants(&self, slot: u32) -> bool {
        let stranger = self.remotes.is_linked::<UNPROVEN>(slot);
        self.remotes.at(slot).is_some_and(|r| {
            let known = (r.joined || r.proven) && (r.life.kept == Kept::Stored || !stranger);
            r.life.wanted
                || r.life.owed > 0
                || !r.waiting.is_empty()
                || !r.open.is_empty()
                || self.config.presence.is_some() && known && !r.life.reaped
        })
    }

    /// Sets when the remote is next asked or reached for. To be called when that may have changed.
    pub(crate) fn plan(&mut self, now: Instant, slot: u32) {
        let wants = self.wants(slot);
        let presence = self.config.presence;
        let main = self.config.main;
        let Some(remote) = self.remotes.at_mut(slot) else {
            return;
        };
        remote.life.next = if remote.busy() || !wants {
            Instant::NEVER
        } else if !remote.ready() || remote.life.failures > 0 {
            now + remote.life.interval
        } else if !remote.nacked.is_empty() {
            now
        } else if let Some(Presence { period, .. }) = presence
            && !remote.life.reaped
        {
            // Spread, so that many remotes are not asked at once (up to an eighth of a period early).
            let period = micros(period);
            let early = (period / 8).saturating_mul(remote.life.spread.into()) / 256;
            let extra = if remote.life.up.is_none() && !main {
                period / 2
            } else {
                0
            };
            let wait = period.saturating_add(extra).saturating_sub(early);
            remote.life.heard.later(wait).max(now)
        } else if remote.open.is_empty() {
            Instant::NEVER
        } else {
            now + SILENCE
        };
    }

    /// An attempt to reach the remote has failed: the next one waits longer.
    pub(crate) fn attempt_failed(&mut self, now: Instant, slot: u32) {
        let pace = self.config.timers.retry;
        if let Some(remote) = self.remotes.at_mut(slot) {
            if core::mem::replace(&mut remote.life.kept, Kept::No) != Kept::No {
                remote.joined = false; // as its record says
            }
            let life = &mut remote.life;
            life.owed = 0;
            life.failures = life.failures.saturating_add(1);
            life.interval = pace.doubled(life.interval);
        }
        self.plan(now, slot);
    }

    /// Something here was not ready: the attempt is made again shortly, and counts for nothing.
    pub(crate) fn retry_soon(&mut self, now: Instant, slot: u32) {
        if let Some(remote) = self.remotes.at_mut(slot) {
            let life = &mut remote.life;
            life.next = now + Span::from_micros(u64::from(SOON << life.owed.min(5)));
            life.owed = life.owed.saturating_add(1);
        }
    }

    /// A proven packet of the remote, not a repeat: it is up.
    pub(crate) fn heard(&mut self, now: Instant, slot: u32) {
        let Some(remote) = self.remotes.at_mut(slot) else {
            return;
        };
        let life = &mut remote.life;
        life.heard = now;
        life.owed = 0;
        life.failures = 0;
        life.interval = Span::ZERO;
        life.reaped = false;
        if life.up != Some(true) {
            life.up = Some(true);
            life.since = now;
            self.tell(slot, RemoteEvent::Came);
        }
        // A request that is on its way has its answer; its ack changes nothing more.
        self.plan(now, slot);
    }

    /// A proven packet that the peer began in this session: the replay window learns of it.
    pub(crate) fn heard_in_session(&mut self, now: Instant, slot: u32, head: &Head) {
        if let Some(remote) = self.remotes.at_mut(slot)
            && remote.rsid == head.session
        {
            remote.window.heard(now, head.transaction_id);
        }
    }
}
