//! What applications do: whom they call, what they send, whom they judge, and what they expect when
//! nothing goes wrong any more.

use std::time::Duration;

use raet_core::config::Presence;
use raet_core::crypto::{NaclSuite, PublicKeys};
use raet_core::error::{ConnectError, JudgeError, SendError};
use raet_core::event::JoinFailure;
use raet_core::keep::Status;
use raet_core::road::{RemoteInfo, RoleInfo};
use raet_core::{RemoteId, SendOptions};

use super::engine::{Engine, Metered, Taken};
use super::law::{Law, Rule};
use super::ledger::{self, Memory, Sent};
use super::net::in_six;
use super::plan::{Full, Plan, S};
use super::simulation::{Happening, Simulation};
use super::words;
use crate::suite::Weak;

/// The token of a message to an attacker.
pub(super) const TO_ATTACKER: u64 = u64::MAX;

/// What is sent to an attacker, who may turn out to be somebody else.
const NOTHING: u8 = 0xAA;

/// Whether this was meant for an attacker.
pub(super) fn to_attacker(body: &[u8]) -> bool {
    !body.is_empty() && body.iter().all(|byte| *byte == NOTHING)
}

/// The keys that a person sees when somebody known shows them: an attacker's are not taken for them.
fn seen(plan: &Plan, role: &RoleInfo) -> Option<PublicKeys> {
    let owner = plan.hosts.iter().position(|host| role.name == host.name)?;
    let secrets = super::host::secrets(owner);
    Some(if plan.real {
        secrets.public_keys(&NaclSuite::new(&[0; 32]))
    } else {
        secrets.public_keys(&Weak::new(&[0; 32]))
    })
}

impl Simulation {
    /// A host's application calls everyone that it wants to reach.
    pub(super) fn call_all(&mut self, n: usize) {
        for to in self.plan.hosts[n].connects.clone() {
            let host = &mut self.hosts[n];
            let time = host.time(self.now, self.plan.back);
            let (first, now) = (self.book.first(to), self.book.address(to));
            // Who has moved is called where it was, or somebody has told where it is; in the end somebody has.
            let told = first != now && (self.healed || host.rng.percent(50));
            let address = if told { now } else { first };
            host.trusted.insert(address);
            let shown = if host.plan.dual {
                in_six(address)
            } else {
                address
            };
            if let Some(engine) = &mut host.engine {
                // No room is an answer; it is tried again.
                let called = engine.call(|e| e.connect(time, shown, to as u64));
                if called == Err(ConnectError::Full) {
                    self.full(Full::Connect);
                }
                let whom = self.plan.hosts[to].name;
                self.note(n, || {
                    called.map_or_else(
                        |why| format!("cannot call {whom}: {why}"),
                        |_| format!("calls {whom}"),
                    )
                });
            }
        }
    }

    /// An application does something, and says when it does something again.
    pub(super) fn deed(&mut self, n: usize) -> Law {
        let pace = self.plan.hosts[n].pace;
        let next = self.now + 1 + self.hosts[n].rng.bits() % (2 * pace);
        let next = if self.healed { self.now + S } else { next };
        self.at(next, Happening::Deed(n));
        if self.hosts[n].is_stalled(self.now) {
            return Ok(());
        }
        if self.healed {
            self.peaceful_deed(n);
        } else {
            self.any_deed(n)?;
        }
        self.drive(n)
    }

    fn any_deed(&mut self, n: usize) -> Law {
        let hunger = self.hosts[n].hunger(self.now);
        self.take(n, hunger)?;
        let Some(remote) = self.some_remote(n) else {
            self.judge(n);
            return Ok(());
        };
        let time = self.hosts[n].time(self.now, self.plan.back);
        let deed = self.hosts[n].rng.below(100);
        // Under siege it does nothing that would end a session or begin one anew.
        let deed = match deed {
            82..94 if self.plan.menace.siege => 0,
            deed => deed,
        };
        if self.hosts[n].engine.is_none() {
            return Ok(());
        }
        let does = match deed {
            78..82 => "asks for a sign of life of",
            82..85 => "wants a new session with",
            85..88 => "joins anew with",
            88 if self.plan.mutable => "forgets",
            _ => "",
        };
        if !does.is_empty() {
            let whom = self.peer(&remote);
            self.note(n, || format!("{does} {whom}"));
        }
        let host = &mut self.hosts[n];
        let Some(engine) = &mut host.engine else {
            return Ok(());
        };
        match deed {
            0..70 => return self.send_something(n, &remote),
            70..78 => self.cancel_something(n),
            78..82 => drop(engine.call(|e| e.alive(time, remote.id))),
            82..85 => drop(engine.call(|e| e.allow(time, remote.id))),
            85..88 => drop(engine.call(|e| e.join(time, remote.id))),
            88 if self.plan.mutable => {
                host.asked.insert(remote.id);
                let _ = engine.call(|e| e.forget(time, remote.id));
                // Who was never told of is not told of again, but what was known of it is gone.
                if let Some(whom) = self.named(&remote) {
                    self.ledger.forgot(n, whom);
                }
            }
            88..92 => self.call_all(n),
            92..94 => {
                let period = Duration::from_millis(200 + host.rng.bits() % 5000);
                let presence = host.rng.percent(50).then_some(Presence {
                    period,
                    ..Presence::default()
                });
                engine.call(|e| e.set_presence(time, presence));
                host.present = presence.is_some();
                self.note(n, || match presence {
                    Some(presence) => format!("wants signs of life every {:?}", presence.period),
                    None => "wants no signs of life".to_owned(),
                });
            }
            _ => self.judge(n),
        }
        // What the application begins is not drawn by anybody, wherever its peer is by now.
        self.hosts[n].trusted.insert(remote.address);
        if let Some(whom) = self.book.owner(remote.address) {
            let all = self.book.all().filter(|(_, whose)| *whose == whom);
            self.hosts[n].trusted.extend(all.map(|(at, _)| at));
        }
        Ok(())
    }

    fn some_remote(&mut self, n: usize) -> Option<RemoteInfo> {
        let mut remotes = self.hosts[n].engine.as_ref()?.get().remotes();
        // Under siege it does nothing about strangers that would make another of somebody known.
        remotes.retain(|r| !self.plan.menace.siege || self.whom(n, r).is_some());
        if remotes.is_empty() {
            return None;
        }
        // An engine lists them by their places, which are nobody's business.
        remotes.sort_by_key(|r| r.near);
        let host = &mut self.hosts[n];
        let which = host.rng.below(remotes.len());
        Some(remotes.swap_remove(which))
    }

    /// A person says something about keys that it was asked about, or takes something back.
    fn judge(&mut self, n: usize) {
        let time = self.hosts[n].time(self.now, self.plan.back);
        let host = &mut self.hosts[n];
        let Some(engine) = &mut host.engine else {
            return;
        };
        let mut roles = engine.get().roles();
        if roles.is_empty() {
            return;
        }
        roles.sort_by(|one, other| one.name.as_str().cmp(other.name.as_str()));
        let role = roles.swap_remove(host.rng.below(roles.len()));
        let status = match host.rng.below(10) {
            0 => Status::Rejected,
            1 => Status::Pending,
            _ => Status::Accepted,
        };
        let keys = seen(&self.plan, &role);
        let keys = keys.as_ref().filter(|_| status == Status::Accepted);
        self.guard.accepts(n, engine.get());
        let judged = engine.call(|e| e.judge_role(time, &role.name, status, keys));
        self.guard.accepts(n, engine.get());
        self.trust_role(n, &role.name);
        // Who says again what was said says nothing.
        if role.status != status || !role.judged || judged.is_err() {
            self.note_judged(n, &role.name, status, judged);
        }
    }

    fn note_judged(
        &mut self,
        n: usize,
        role: &str,
        status: Status,
        judged: Result<(), JudgeError>,
    ) {
        self.note(n, || {
            let said = words::status(status);
            match judged {
                Ok(()) => format!("judges the role {role}: {said}"),
                Err(why) => format!("judges the role {role}, {said}, in vain: {why}"),
            }
        });
    }

    /// A person has spoken about a role: what its estates are told then, wherever they are, is no
    /// answer to anybody.
    fn trust_role(&mut self, n: usize, role: &str) {
        let owner = |whose: usize| self.plan.hosts[self.plan.hosts[whose].role].name;
        let addresses = self.book.all().filter(|(_, whose)| owner(*whose) == role);
        let mut known: Vec<_> = addresses.map(|(at, _)| at).collect();
        if let Some(engine) = &self.hosts[n].engine {
            let remotes = engine.get().remotes().into_iter();
            known.extend(remotes.filter(|r| r.role == role).map(|r| r.address));
        }
        self.hosts[n].trusted.extend(known);
    }

    fn cancel_something(&mut self, n: usize) {
        let life = self.hosts[n].life;
        let lives: Vec<_> = self.hosts.iter().map(|h| h.life).collect();
        let mine: Vec<_> = self
            .ledger
            .open(|n| lives[n])
            .filter(|(_, s)| s.from == n && s.life == life)
            .map(|(number, s)| (number, s.message))
            .collect();
        if mine.is_empty() {
            return;
        }
        let time = self.hosts[n].time(self.now, self.plan.back);
        let host = &mut self.hosts[n];
        let (number, message) = mine[host.rng.below(mine.len())];
        if let Some(engine) = &mut host.engine
            && engine.call(|e| e.cancel(time, message)).is_ok()
            && let Some(sent) = self.ledger.sent.get_mut(number)
        {
            sent.cancelled = true;
            self.note(n, || format!("cancels message {number}"));
        }
    }

    fn send_something(&mut self, n: usize, remote: &RemoteInfo) -> Law {
        let host = &mut self.hosts[n];
        let longest = host.plan.longest;
        let rng = &mut host.rng;
        let len = match rng.below(16) {
            0 => 0,
            1 => rng.below(ledger::DISTINCT),
            2..8 => 8 + rng.below(60),
            8..10 => 780 + rng.below(80),
            10..14 => rng.below(4000),
            14 => rng.below(longest + 1),
            // Never fits.
            _ => host.plan.limits.message + 1 + rng.below(9),
        };
        if self.whom(n, remote).is_none() {
            self.send_to_attacker(n, remote, len);
            return Ok(());
        }
        let host = &mut self.hosts[n];
        let too_long = len > host.plan.limits.message;
        let len = if too_long { len } else { len.min(longest) };
        let wait = host.rng.percent(15).then(|| host.rng.bits() % (8 * S));
        let once = host.rng.percent(15);
        let sent = self.send(n, remote, len, wait, once);
        match sent {
            Err(SendError::TooLong) if too_long => Ok(()),
            // Where there is room for every message there is room for the first.
            Err(SendError::Full) if self.has_nothing_open(n) => {
                let what = format!("{} has nothing on its way, and is full", self.name(n));
                Err((Rule::Verdict, what))
            }
            Ok(()) if !too_long => Ok(()),
            Err(SendError::Full) if !too_long => {
                self.full(Full::Outbox);
                Ok(())
            }
            other => {
                let what = format!("{} sends {len} bytes and is told {other:?}", self.name(n));
                Err((Rule::Verdict, what))
            }
        }
    }

    /// Whether a host has no message on its way. What it sends to an attacker is not in the ledger.
    fn has_nothing_open(&self, n: usize) -> bool {
        let mut open = self.ledger.open(|n| self.hosts[n].life);
        let counted = !self.plan.menace.is_there() && !self.plan.takes_over();
        counted && open.all(|(_, sent)| sent.from != n)
    }

    /// The host that a remote is, as far as a person can see; `None`: somebody else, who may claim to
    /// be at its address.
    pub(super) fn whom(&self, n: usize, remote: &RemoteInfo) -> Option<usize> {
        let host = self.named(remote)?;
        let named = remote.name.is_empty() || *remote.name == *self.name(host);
        (named && self.is_known(n, remote, host)).then_some(host)
    }

    /// Who of those that are or were at a remote's address bears its name; else who was there last.
    fn named(&self, remote: &RemoteInfo) -> Option<usize> {
        let mut owners = self.book.owners(remote.address);
        let named = owners.find(|host| *remote.name == *self.name(*host));
        named.or_else(|| self.book.owner(remote.address))
    }

    /// Whether more is known to host `n` of a remote than what anyone can claim, where anyone does: it
    /// called it, or it has proven itself. Where addresses change hands, it is whoever answers, until then.
    fn is_known(&self, n: usize, remote: &RemoteInfo, host: usize) -> bool {
        let called = self.plan.hosts[n].connects.contains(&host);
        let menaced = self.plan.menace.is_there();
        remote.proven || (menaced && called) || (!menaced && !self.plan.takes_over())
    }

    /// Whether two hosts find each other again, wherever they went and whatever the other forgot. Where
    /// neither calls the other they were introduced by forged joins: then the one must still be where the
    /// other sends to, and take it in. Only a main estate takes strangers (H10).
    fn may_find(&self, n: usize, remote: &RemoteInfo, whom: usize) -> bool {
        let hosts = &self.plan.hosts;
        let calls = |a: usize, b: usize| hosts[a].connects.contains(&b);
        let there = self.hosts[whom].engine.as_ref().map(Metered::get);
        // Under that name it may have somebody else by now.
        let knows = |e: &dyn Engine| {
            let held = e.find(self.name(n)).and_then(|id| e.remote(id));
            held.is_some_and(|r| r.proven)
        };
        calls(n, whom)
            || calls(whom, n)
            || self.book.address(whom) == remote.address
                && (hosts[whom].main || there.is_none_or(knows))
    }

    /// Whether who sent this keeps to no rule: it bears an attacker's keys, whatever it is called.
    pub(super) fn is_attacker(&self, n: usize, taken: &Taken) -> bool {
        let engine = self.hosts[n].engine.as_ref();
        let remote = engine.and_then(|e| e.get().remote(taken.remote));
        remote.is_some_and(|r| self.guard.means_ill(&r))
    }

    /// A join failed in a way that asking again does not mend, and its application gives the remote up, with
    /// what it was to bring: on a road that is not mutable what was claimed at a first meeting stands once keys
    /// are proven, kind and main too. Where anyone could claim it, it may be wrong, and then a person has to say so.
    pub(super) fn give_up(&mut self, n: usize, remote: RemoteId, why: JoinFailure) {
        if why != JoinFailure::Changed || !self.healed || !self.plan.menace.is_there() {
            return;
        }
        let host = &mut self.hosts[n];
        let time = host.time(self.now, self.plan.back);
        let Some(engine) = &mut host.engine else {
            return;
        };
        host.asked.insert(remote);
        let _ = engine.call(|e| e.forget(time, remote));
        let life = self.hosts[n].life;
        let whom = self.tape.called(n, life, remote).to_owned();
        self.note(n, || format!("gives {whom} up"));
    }

    /// Sends to a peer that keeps to no rule: what becomes of it is nobody's business.
    fn send_to_attacker(&mut self, n: usize, remote: &RemoteInfo, len: usize) {
        let host = &mut self.hosts[n];
        let time = host.time(self.now, self.plan.back);
        host.trusted.insert(remote.address);
        let options = SendOptions {
            token: TO_ATTACKER,
            deadline: Some(host.deadline(2 * S)),
            ..SendOptions::default()
        };
        if let Some(engine) = &mut host.engine {
            let body = vec![NOTHING; len.max(1)];
            // Full is an answer, too.
            let _ = engine.call(|e| e.send(time, remote.id, options, &body));
            let whom = self.peer(remote);
            self.note(n, || {
                format!("sends a message to {whom}, {} bytes", len.max(1))
            });
        }
    }

    /// Sends a message of so many bytes, which is given up after `wait`.
    fn send(
        &mut self,
        n: usize,
        remote: &RemoteInfo,
        len: usize,
        wait: Option<u64>,
        once: bool,
    ) -> Result<(), SendError> {
        let Some(to) = self.whom(n, remote) else {
            return Ok(());
        };
        let number = self.ledger.sent.len();
        let body = ledger::body(number, len);
        let host = &mut self.hosts[n];
        let time = host.time(self.now, self.plan.back);
        let deadline = wait.map(|wait| host.deadline(wait));
        let options = SendOptions {
            token: number as u64,
            deadline,
            once,
            ..SendOptions::default()
        };
        let Some(engine) = &mut host.engine else {
            return Ok(());
        };
        let message = engine.call(|e| e.send(time, remote.id, options, &body))?;
        host.trusted.insert(remote.address);
        let sent = Sent {
            from: n,
            to,
            proven: remote.proven || !self.plan.menace.is_there(),
            life: host.life,
            remote: remote.id,
            message,
            body,
            deadline: deadline.map(raet_core::time::Instant::as_micros),
            once,
            cancelled: false,
            outcome: None,
            sessions: [0; 2],
            memory: Memory::default(),
        };
        let life = self.hosts[to].life;
        self.ledger.accepted(sent, life);
        let to = self.plan.hosts[to].name;
        self.note(n, || {
            let once = if once { ", once" } else { "" };
            format!("sends message {number} to {to}, {len} bytes{once}")
        });
        Ok(())
    }

    // ---- peace -------------------------------------------------------------------------------

    /// What an application does when all is well: it reaches whom it wants, accepts everyone, takes
    /// everything, and sends a word to whom it knows.
    fn peaceful_deed(&mut self, n: usize) {
        let just_now = self.now < self.plan.storm + 2 * S;
        self.make_room(n);
        self.hang_up(n);
        if just_now || self.has_given_up(n) {
            self.call_all(n);
        }
        let time = self.hosts[n].time(self.now, self.plan.back);
        let host = &mut self.hosts[n];
        let Some(engine) = &mut host.engine else {
            return;
        };
        let mut roles: Vec<_> = (engine.get().roles().into_iter())
            .map(|role| (seen(&self.plan, &role), role))
            .collect();
        roles.retain(|(keys, role)| {
            role.status != Status::Accepted || keys.is_some_and(|keys| keys != role.keys)
        });
        let judged: Vec<_> = (roles.iter())
            .map(|(keys, role)| {
                let keys = keys.as_ref();
                engine.call(|e| e.judge_role(time, &role.name, Status::Accepted, keys))
            })
            .collect();
        self.guard.accepts(n, engine.get());
        for ((_, role), judged) in roles.iter().zip(judged) {
            self.trust_role(n, &role.name);
            self.note_judged(n, &role.name, Status::Accepted, judged);
        }
        // What was to be said may have been given up, and then nothing shows that a peer has forgotten.
        let later = (5 * S..7 * S).contains(&(self.now - self.plan.storm));
        let host = &mut self.hosts[n];
        if let Some(engine) = &mut host.engine
            && later
            && !self.plan.menace.is_there()
        {
            for remote in engine.get().remotes() {
                host.trusted.insert(remote.address);
                let _ = engine.call(|e| e.alive(time, remote.id));
            }
        }
        if just_now {
            for remote in self.hosts[n]
                .engine
                .as_ref()
                .map_or(Vec::new(), |e| e.get().remotes())
            {
                // A full outbox has something to say already.
                let _ = self.send(n, &remote, 16.min(self.hosts[n].plan.longest), None, false);
            }
        }
    }

    /// It calls nobody any more where nobody is whom it wants: they have moved, and were never met there. And it
    /// forgets who cannot be found again.
    fn hang_up(&mut self, n: usize) {
        let Some(engine) = &self.hosts[n].engine else {
            return;
        };
        let wanted = &self.plan.hosts[n].connects;
        let mut remotes = engine.get().remotes();
        remotes.retain(|r| match self.whom(n, r) {
            _ if r.name.is_empty() => {
                let there = self.book.at(r.address);
                there.is_none_or(|whose| !wanted.contains(&whose))
            }
            Some(whom) => !self.may_find(n, r, whom),
            None => false,
        });
        for remote in remotes {
            if let Some(whom) = self.named(&remote) {
                self.ledger.forgot(n, whom);
            }
            let host = &mut self.hosts[n];
            let time = host.time(self.now, self.plan.back);
            host.asked.insert(remote.id);
            if let Some(engine) = &mut host.engine {
                let _ = engine.call(|e| e.forget(time, remote.id));
            }
        }
    }

    /// Whether somebody whom it wants to reach is neither known where it may be found nor called any more: another
    /// one answered, or was held there when it called, or it gave that remote up. Who has moved and proved nothing
    /// before is found only where it is called (H4).
    fn has_given_up(&self, n: usize) -> bool {
        let engine = self.hosts[n].engine.as_ref().map(Metered::get);
        let gone = |engine: &dyn Engine, to: usize| {
            let calls = |r: &RemoteInfo| {
                r.name.is_empty() && self.book.owners(r.address).any(|whose| whose == to)
            };
            // Who is proven is found wherever it calls from; who is not, where it is.
            let held = engine.find(self.name(to)).and_then(|id| engine.remote(id));
            let lost = held.is_none_or(|r| !r.proven && self.book.at(r.address) != Some(to));
            lost && !engine.remotes().iter().any(calls)
        };
        let mut wanted = self.plan.hosts[n].connects.iter();
        engine.is_some_and(|engine| wanted.any(|to| gone(engine, *to)))
    }

    /// Who was let in has a place for good: what was proven is never evicted (H4), nor is what a person
    /// decided. So where strangers have filled a table it is the person who makes room.
    fn make_room(&mut self, n: usize) {
        let limits = self.hosts[n].plan.limits;
        let Some(engine) = self.hosts[n].engine.as_ref().map(Metered::get) else {
            return;
        };
        let (remotes, mut roles) = (engine.remotes(), engine.roles());
        // Nor has a name two owners: who proved itself first keeps it, until a person sends it away.
        let named = |r: &&RemoteInfo| self.plan.hosts.iter().any(|host| *r.name == *host.name);
        let squatters: Vec<_> = remotes
            .iter()
            .filter(|r| self.guard.means_ill(r))
            .filter(named)
            .map(|r| r.id)
            .collect();
        let full = remotes.len() >= limits.remotes || roles.len() >= limits.roles;
        let time = self.hosts[n].time(self.now, self.plan.back);
        let host = &mut self.hosts[n];
        if let Some(engine) = &mut host.engine {
            host.asked.extend(&squatters);
            for squatter in squatters {
                let _ = engine.call(|e| e.forget(time, squatter));
            }
        }
        if !full {
            return;
        }
        roles.retain(|role| self.plan.hosts.iter().all(|host| role.name != host.name));
        for role in roles {
            for remote in remotes.iter().filter(|r| r.role == role.name) {
                self.hosts[n].asked.insert(remote.id);
                if let Some(whom) = self.named(remote) {
                    self.ledger.forgot(n, whom);
                }
            }
            if let Some(engine) = &mut self.hosts[n].engine {
                let _ = engine.call(|e| e.forget_role(time, &role.name));
            }
            self.note(n, || {
                format!("forgets the role {}, to make room", role.name)
            });
        }
    }

    /// What is not in order yet; `None`: all is.
    pub(super) fn missing(&self) -> Option<String> {
        let lives: Vec<_> = self.hosts.iter().map(|h| h.life).collect();
        // What was sent to somebody at an address may be for whoever claimed to be there before.
        let honest = |sent: &Sent| {
            let remote = self.hosts[sent.from].engine.as_ref();
            let remote = remote.and_then(|e| e.get().remote(sent.remote));
            // Nor is it owed where its receiver has lost its memory of who was only introduced to it by a
            // forged join.
            remote.is_none_or(|r| {
                self.whom(sent.from, &r) == Some(sent.to) && self.may_find(sent.from, &r, sent.to)
            })
        };
        let mut open = self.ledger.open(|n| lives[n]);
        if let Some((number, sent)) = open.find(|(_, sent)| honest(sent)) {
            let (from, to) = (self.name(sent.from), self.name(sent.to));
            return Some(format!(
                "message {number} of {} bytes from {from} to {to} is still open{}",
                sent.body.len(),
                self.situation(sent.from, sent.to)
            ));
        }
        for (n, host) in self.hosts.iter().enumerate() {
            let Some(engine) = &host.engine else {
                return Some(format!("{} is down", self.name(n)));
            };
            if host.unstored > 0 {
                return Some(format!("{} has records to be stored", self.name(n)));
            }
            for to in &self.plan.hosts[n].connects {
                let up = |of: usize, whom: usize| {
                    let engine = self.hosts[of].engine.as_ref()?.get();
                    engine.remote(engine.find(self.name(whom))?)
                };
                let (here, there) = (up(n, *to), up(*to, n));
                let both = [&here, &there];
                if !both.iter().all(|r| r.as_ref().is_some_and(|r| r.allowed)) {
                    return Some(format!(
                        "{} and {} have no session{}",
                        self.name(n),
                        self.name(*to),
                        self.situation(n, *to)
                    ));
                }
            }
            if engine.get().messages_waiting() > 0 {
                return Some(format!("{} has messages that nobody takes", self.name(n)));
            }
        }
        None
    }
}
