//! From a datagram to its transaction, in three steps, each with a type of its own (hardening: H15):
//!
//! ```text
//!   judge: cheap checks        Claim::verify           accept: judged anew, acted on
//!   bytes ───────────────▶ Claim ──────────────▶ Checked ───────────────▶ state
//!     no state but counters      one signature             the only step that changes a remote
//! ```
//!
//! Nothing that was not checked can reach `accept`.

use core::net::SocketAddr;

use super::answered::Allows;
use super::claim::{Checked, Claim, Proof};
use super::path::plain;
use super::remote::Target;
use super::roles::Displaced;
use super::session::{Look, at_or_after};
use super::stack::RoadStack;
use super::transaction::allow::is_allow_shaped;
use super::transaction::messengent::session_fits;
use crate::crypto::Crypto;
use crate::stats::{Reason, Verdict};
use crate::storage::Storage;
use crate::time::Instant;
use crate::wire::{CoatKind, Flags, FootKind, Frame, Head, PacketKind, SIGNATURE, TransactionKind};

/// What a packet is for, from its head alone.
#[derive(Clone, Copy)]
enum Route {
    Hello(Allows),
    HelloAgain(Allows),
    Allowent(Allows),
    Allower,
    AckAgain,
    Alivent {
        fresh: bool,
    },
    Aliver,
    Message,
    Outgoing(u32),
    Incoming(u32),
    /// An answer that meets no transaction: its sender may wait for ever.
    Stale,
}

impl<S: Storage, C: Crypto> RoadStack<S, C> {
    /// Takes in a datagram. It is opened in place, so its bytes are spoilt. Whatever they are, this
    /// is never an error: what became of it is told for tracing, and counted.
    pub fn handle_datagram(
        &mut self,
        now: Instant,
        from: SocketAddr,
        datagram: &mut [u8],
    ) -> Verdict {
        match self.judge(now, from, datagram) {
            Ok(claim) => {
                let checked = claim.verify(&self.suite);
                self.accept(now, checked)
            }
            Err(verdict) => verdict,
        }
    }

    /// The first step of [`handle_datagram`](Self::handle_datagram): every check that is cheap, in
    /// the order of H15. Changes nothing but counters.
    ///
    /// # Errors
    ///
    /// Not an error: the datagram was dropped, and why.
    #[inline(never)] // its frame must not lie under the others' on a small stack
    pub fn judge<'d>(
        &mut self,
        now: Instant,
        from: SocketAddr,
        data: &'d mut [u8],
    ) -> Result<Claim<'d, C>, Verdict> {
        let now = self.clock(now);
        let from = plain(from);
        self.stats.datagrams_in += 1;
        let frame = Frame::parse(data).map_err(|e| self.stats.drop_malformed(e))?;
        let head = &frame.head;
        let drop = |stats: &mut crate::stats::Stats, reason| stats.drop(reason);
        if head.flags.contains(Flags::BROADCAST) {
            return Err(drop(&mut self.stats, Reason::Broadcast));
        }
        if !ids_fit(head) {
            return Err(drop(&mut self.stats, Reason::Ids));
        }
        if head.transaction == TransactionKind::Join {
            if head.foot != FootKind::Nada || head.coat != CoatKind::Nada {
                return Err(drop(&mut self.stats, Reason::Unexpected));
            }
            return Ok(Claim {
                data,
                frame,
                from,
                remote: None,
                signature: [0; 64],
                key: None,
                other: None,
                may_wait: false,
            });
        }
        let Some(slot) = self.by_near(head.destination) else {
            return Err(self.greet_stranger(now, from, &frame));
        };
        let proven = self.remotes.at(slot).is_some_and(|r| r.proven);
        let Some(target) = self.target(slot, from, head) else {
            return Err(drop(&mut self.stats, Reason::Address));
        };
        if head.foot == FootKind::Nada && !self.config.accept_unsigned {
            return Err(drop(&mut self.stats, Reason::Unsigned));
        }
        if let Err(reason) = self.route(slot, target, head) {
            return Err(drop(&mut self.stats, reason));
        }
        // Who cannot have been proven shares what may fail with all such (H15).
        let unproven = !proven || target == Target::Candidate;
        if unproven && head.foot == FootKind::Nacl && !self.forgeries.has(now) {
            return Err(drop(&mut self.stats, Reason::Limited));
        }
        let (mut key, mut other) = (None, None);
        let mut signature = [0; SIGNATURE];
        if head.foot == FootKind::Nacl {
            key = self.role_of(slot).and_then(|role| role.key.clone());
            if target == Target::Candidate
                && let Ok(Some(keys)) = self.candidate_keys(slot)
            {
                other = self.suite.verify_key(&keys.verify).ok();
            }
            if key.is_none() {
                return Err(drop(&mut self.stats, Reason::Stranger));
            }
            let foot = data
                .get_mut(frame.foot())
                .and_then(<[u8]>::first_chunk_mut::<SIGNATURE>);
            let Some(foot) = foot else {
                return Err(drop(&mut self.stats, Reason::Forged));
            };
            signature = core::mem::replace(foot, [0; SIGNATURE]);
        }
        let remote = self.remotes.handle_of(slot);
        // Those of the unproven are few, and each must be seen to fail before the next is judged.
        let may_wait = head.transaction == TransactionKind::Message && !unproven;
        Ok(Claim {
            data,
            frame,
            from,
            remote,
            signature,
            key,
            other,
            may_wait,
        })
    }

    /// The last step of [`handle_datagram`](Self::handle_datagram): judged anew, for time has passed
    /// since, and acted on.
    #[inline(never)] // its frame must not lie under the others' on a small stack
    pub fn accept(&mut self, now: Instant, checked: Checked<'_>) -> Verdict {
        let now = self.clock(now);
        let Checked {
            data,
            frame,
            from,
            remote,
            proof,
        } = checked;
        let head = &frame.head;
        let body = frame.coat();
        let Some(handle) = remote else {
            let body = data.get(body).unwrap_or(&[]);
            return self.accept_join(now, from, &frame, body);
        };
        let slot = handle.slot();
        let known = self.remotes.get(handle).filter(|r| !r.gone);
        let target = known.and_then(|_| self.target(slot, from, head));
        let Some(target) = target else {
            return self.stats.drop(Reason::Stranger);
        };
        match proof {
            Proof::Forged => {
                let proven = self.remotes.at(slot).is_some_and(|r| r.proven);
                if !proven || target == Target::Candidate {
                    self.forgeries.take(now);
                }
                return self.stats.drop(Reason::Forged);
            }
            Proof::Signed(key) if !self.may_speak(slot, target, &key) => {
                return self.stats.drop(Reason::Forged);
            }
            Proof::Needless if head.foot == FootKind::Nacl || !self.config.accept_unsigned => {
                return self.stats.drop(Reason::Unsigned);
            }
            Proof::Signed(_) | Proof::Needless => {}
        }
        let route = match self.route(slot, target, head) {
            Ok(route) => route,
            Err(reason) => return self.stats.drop(reason),
        };
        let verdict = self.act(now, slot, target, route, &frame, data);
        self.settle(slot);
        verdict
    }

    fn act(
        &mut self,
        now: Instant,
        slot: u32,
        target: Target,
        route: Route,
        frame: &Frame,
        data: &mut [u8],
    ) -> Verdict {
        let head = &frame.head;
        let body = data.get(frame.coat()).unwrap_or(&[]);
        match route {
            Route::Hello(answered) | Route::HelloAgain(answered) => {
                self.on_hello(now, slot, target, head, body, answered)
            }
            Route::Allowent(_) => self.on_allowent(now, slot, head, body),
            Route::Allower => self.on_allower(now, slot, head, body),
            Route::AckAgain => self.on_ack_again(slot, head),
            Route::Alivent { fresh } => self.on_alivent(now, slot, head, fresh),
            Route::Aliver => self.on_aliver(now, slot, head),
            Route::Message => self.on_message(now, slot, frame, data),
            Route::Outgoing(out) => {
                let misseds = match head.packet {
                    PacketKind::Resend => {
                        let coat = data.get_mut(frame.coat()).unwrap_or(&mut []);
                        self.open_misseds(slot, head, coat)
                    }
                    _ => None,
                };
                self.on_messenger(now, slot, out, head, misseds.as_ref())
            }
            Route::Incoming(incoming) => self.on_nack_of_incoming(now, slot, incoming),
            Route::Stale => {
                if let Some(to) = self.remotes.at(slot).map(|r| r.path.address) {
                    self.answer(Some(slot), to, head, PacketKind::Nack, 0);
                }
                self.stats.drop(Reason::NoTransaction)
            }
        }
    }

    /// Which description of the remote a packet goes by. What belongs to an open allow comes the way
    /// that the allow was begun over, and by its keys: nothing else passes over a candidate (H4).
    fn target(&self, slot: u32, from: SocketAddr, head: &Head) -> Option<Target> {
        let remote = self.remotes.at(slot)?;
        let to_allower = head.flags.contains(Flags::CORRESPONDENT);
        match self.handshake(slot) {
            Some(open)
                if is_allow(head)
                    && head.packet != PacketKind::Hello
                    && open.is_allower() == to_allower
                    && (open.ti, open.si) == (head.transaction_id, head.session) =>
            {
                (remote.way(open.target) == (from, head.source)).then_some(open.target)
            }
            _ => remote.target(from, head.source, is_allow(head)),
        }
    }

    /// What a packet of this remote is for, from its head alone. Asked before the signature is
    /// checked and again after.
    fn route(&self, slot: u32, target: Target, head: &Head) -> Result<Route, Reason> {
        let correspondent = head.flags.contains(Flags::CORRESPONDENT);
        // Over a claim that is not proven only the handshake passes that can prove it (H4).
        if target == Target::Candidate && head.transaction != TransactionKind::Allow {
            return Err(Reason::Address);
        }
        match head.transaction {
            TransactionKind::Allow if !is_allow_shaped(head) => Err(Reason::Unexpected),
            TransactionKind::Allow if correspondent => self.route_to_allower(slot, head),
            TransactionKind::Allow => self.route_to_allowent(slot, target, head),
            TransactionKind::Alive if correspondent => {
                let open = self.remotes.at(slot).and_then(|r| r.alive.as_ref());
                match open {
                    Some(a) if a.ti == head.transaction_id && a.si == head.session => {
                        Ok(Route::Aliver)
                    }
                    _ => Err(Reason::NoTransaction),
                }
            }
            TransactionKind::Alive => self.route_to_alivent(slot, head),
            TransactionKind::Message if correspondent => {
                match self.outgoing(slot, head.session, head.transaction_id) {
                    Some(out) => Ok(Route::Outgoing(out)),
                    None if matches!(head.packet, PacketKind::Ack | PacketKind::Resend) => {
                        Ok(Route::Stale)
                    }
                    None => Err(Reason::NoTransaction),
                }
            }
            TransactionKind::Message => self.route_to_messengent(slot, head),
            TransactionKind::Join | TransactionKind::Bind => Err(Reason::Unexpected),
        }
    }

    fn route_to_allower(&self, slot: u32, head: &Head) -> Result<Route, Reason> {
        let (ti, si) = (head.transaction_id, head.session);
        if let Some(open) = self.handshake(slot)
            && open.is_allower()
            && (open.ti, open.si) == (ti, si)
        {
            return Ok(Route::Allower);
        }
        let last = self.remotes.at(slot).and_then(|r| r.last_allow);
        match last {
            Some(last) if last == (si, ti) && head.packet == PacketKind::Ack => Ok(Route::AckAgain),
            _ => Err(Reason::NoTransaction),
        }
    }

    fn route_to_allowent(&self, slot: u32, target: Target, head: &Head) -> Result<Route, Reason> {
        let answered = Allows::TOKEN.ok_or(Reason::Unexpected)?;
        let (ti, si) = (head.transaction_id, head.session);
        let open = self.handshake(slot).filter(|open| !open.is_allower());
        let same = open.is_some_and(|open| (open.ti, open.si) == (ti, si));
        if head.packet != PacketKind::Hello {
            return if same {
                Ok(Route::Allowent(answered))
            } else {
                Err(Reason::NoTransaction)
            };
        }
        if same {
            return Ok(Route::HelloAgain(answered));
        }
        let Some(remote) = self.remotes.at(slot) else {
            return Err(Reason::Stranger);
        };
        // A peer that joined as a stranger begins its sessions anew (road-wire: si).
        if target == Target::Candidate && remote.candidate.is_some_and(|c| c.vacuous) {
            return Ok(Route::Hello(answered));
        }
        if let Some((last_si, last_ti)) = remote.last_hello
            && (si == last_si && at_or_after(last_ti, ti)
                || si != last_si && at_or_after(last_si, si))
        {
            return Err(Reason::Replayed); // H2: acted on once
        }
        if remote.rsid == 0 || remote.rsid != si && at_or_after(si, remote.rsid) {
            return Ok(Route::Hello(answered));
        }
        if si != remote.rsid {
            return Err(Reason::StaleSession);
        }
        match remote.window.look(ti) {
            Look::New | Look::Ahead => Ok(Route::Hello(answered)),
            _ => Err(Reason::Replayed),
        }
    }

    fn route_to_alivent(&self, slot: u32, head: &Head) -> Result<Route, Reason> {
        if head.packet != PacketKind::Request {
            return Err(Reason::NoTransaction);
        }
        let Some(remote) = self.remotes.at(slot) else {
            return Err(Reason::Stranger);
        };
        let Some(session) = &remote.session else {
            return Ok(Route::Alivent { fresh: true });
        };
        session_fits(remote.rsid, session.least, session.pinned, head.session)?;
        let fresh = if remote.rsid == head.session {
            remote.window.look(head.transaction_id) == Look::New
        } else {
            remote.rsid == 0 || at_or_after(head.session, remote.rsid)
        };
        Ok(Route::Alivent { fresh })
    }

    fn route_to_messengent(&self, slot: u32, head: &Head) -> Result<Route, Reason> {
        let Some(remote) = self.remotes.at(slot) else {
            return Err(Reason::Stranger);
        };
        match head.packet {
            PacketKind::Message => {
                if let Some(session) = &remote.session {
                    session_fits(remote.rsid, session.least, session.pinned, head.session)?;
                }
                Ok(Route::Message)
            }
            PacketKind::Nack => self
                .incoming(slot, head.session, head.transaction_id)
                .map(Route::Incoming)
                .ok_or(Reason::NoTransaction),
            _ => Err(Reason::NoTransaction),
        }
    }

    /// Whether the owner of this verify key may speak for the remote, by that description of it.
    fn may_speak(&self, slot: u32, target: Target, key: &[u8; 32]) -> bool {
        let claimed = match target {
            Target::Candidate => self.candidate_keys(slot),
            Target::Held => Ok(None),
        };
        match claimed {
            Ok(Some(keys)) => keys.verify == *key,
            Ok(None) => self.role_of(slot).is_some_and(|role| role.verify() == *key),
            Err(Displaced) => false,
        }
    }

    #[inline(never)] // its frame must not lie under the others' on a small stack
    fn accept_join(
        &mut self,
        now: Instant,
        from: SocketAddr,
        frame: &Frame,
        body: &[u8],
    ) -> Verdict {
        let head = &frame.head;
        if head.flags.contains(Flags::CORRESPONDENT) {
            let verdict = self.on_joiner(now, from, head, body);
            if let Some(slot) = self.by_near(head.destination) {
                self.settle(slot);
            }
            return verdict;
        }
        self.on_joinent(now, from, frame, body)
    }

    /// Somebody signs for a remote that we do not have: if we lost it, `unjoined` makes it join
    /// again (H10). No larger than what it answers, and limited: nothing proves who asks.
    fn greet_stranger(&mut self, now: Instant, from: SocketAddr, frame: &Frame) -> Verdict {
        let head = &frame.head;
        let asks = matches!(
            (head.transaction, head.packet),
            (TransactionKind::Allow, PacketKind::Hello)
                | (TransactionKind::Alive, PacketKind::Request)
        );
        let correspondent = head.flags.contains(Flags::CORRESPONDENT);
        if asks && !correspondent && head.foot == FootKind::Nacl && self.strangers.take(now) {
            self.answer(None, from, head, PacketKind::Unjoined, 0);
        }
        self.stats.drop(Reason::Stranger)
    }
}

fn is_allow(head: &Head) -> bool {
    head.transaction == TransactionKind::Allow
}

/// Which ids each kind of packet must have (road-wire: order of checks 4 and 5).
fn ids_fit(head: &Head) -> bool {
    if head.transaction != TransactionKind::Join {
        return head.session != 0 && head.source != 0 && head.destination != 0;
    }
    let correspondent = head.flags.contains(Flags::CORRESPONDENT);
    head.session == 0
        && if correspondent {
            head.destination != 0
        } else {
            head.source != 0
        }
}
