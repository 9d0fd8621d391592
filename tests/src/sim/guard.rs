//! Nobody changes what it has no right to: what an engine holds as proven, looked at around each datagram
//! that has no right to change it.

use std::collections::{BTreeMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;

use raet_core::RemoteId;
use raet_core::config::Trust;
use raet_core::crypto::{NaclSuite, PublicKeys};
use raet_core::event::RemoteEvent;
use raet_core::keep::Status;
use raet_core::road::{RemoteInfo, RoleInfo};
use raet_core::stats::Verdict;
use raet_core::wire::{Flags, Frame, PacketKind, TransactionKind};

use super::attack::{Power, Source};
use super::engine::Engine;
use super::law::{Law, Rule};
use super::plan::S;
use crate::puppet::Puppet;
use crate::suite::Weak;

/// For how long a new session may still be settling.
const SETTLING: u64 = 4 * S;

/// What was sent and taken so far.
#[derive(Default)]
pub(super) struct Guard {
    /// The world is one of the real suite.
    real: bool,
    insiders: BTreeMap<u32, PublicKeys>,
    /// Every datagram that a host has sent, with its address and whom it was for.
    sent: HashSet<u64>,
    /// What a life of a host has acted on.
    taken: HashSet<(usize, u32, u64)>,
    /// When a host first had a session with another.
    sessions: BTreeMap<(usize, usize), u64>,
    /// Whose keys a host has held as accepted, by the name of the role.
    accepted: HashSet<(usize, String, PublicKeys)>,
    /// Sessions of a remote of a life of a host in which a message of the peer has opened: it has shown in
    /// which session it is.
    settled: HashSet<(usize, u32, RemoteId, u32)>,
}

/// What was held as proven before a datagram.
pub(super) struct Watch {
    act: (usize, u32, u64),
    trust: Trust,
    insider: Option<(String, PublicKeys)>,
    /// Whether the sender itself had a session.
    allowed: bool,
    /// It is a segment of a message, or gives one up.
    part: bool,
    /// It is an empty message or a request for a sign of life: it has no coat that shows its session.
    bare: bool,
    /// `None`: the datagram may change what it is about.
    held: Option<Held>,
    why: &'static str,
    /// It is from a host, or from somebody on the path.
    on_path: bool,
    /// It is whole, genuine and new, and a message whose coat shows in which session its sender is: from where
    /// it came, and that session.
    shows: Option<(SocketAddr, u32)>,
}

/// What an engine holds as proven: its remotes, and the keys of their roles.
type Held = (Vec<RemoteInfo>, Vec<RoleInfo>);

fn held(engine: &dyn Engine, trust: Trust, except: Option<PublicKeys>) -> Held {
    let mut remotes = engine.remotes();
    // What bears an insider's keys is its own, whatever it is called. And where the keys were lost that were
    // proven, it may bring its own.
    let own = |r: &RemoteInfo| except.is_some() && (r.keys.is_none() || r.keys == except);
    remotes.retain(|r| r.proven && !own(r));
    for remote in &mut remotes {
        // Without a session these are what a join says, which anyone can, and where the next session
        // begins, which an attempt at one may raise.
        if !remote.allowed {
            remote.joined = true;
            remote.session = 0;
        }
    }
    let mut roles = engine.roles();
    // Who takes any keys takes back what a person said (road-transactions: Acceptance).
    let always = trust == Trust::Always;
    roles.retain(|r| (r.proven || r.judged && !always) && except != Some(r.keys));
    for role in &mut roles {
        // A pending one is accepted by whoever joins with its keys, unless a person decides.
        if trust != Trust::Never && role.status == Status::Pending {
            role.status = Status::Accepted;
        }
        if always {
            role.status = Status::Accepted;
            role.judged = false;
        }
        // These are claims.
        role.offered = None;
        role.remotes = 0;
    }
    (remotes, roles)
}

fn digest(what: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    hasher.finish()
}

impl Guard {
    /// Nothing was sent yet, in a world of the real suite or not.
    pub(super) fn new(real: bool) -> Self {
        Self {
            real,
            ..Self::default()
        }
    }

    /// A host sends this.
    pub(super) fn sent(&mut self, from: SocketAddr, to: usize, bytes: &[u8]) {
        self.sent.insert(digest((from, to, bytes)));
    }

    /// The keys of an insider.
    fn keys_of(&mut self, number: u32) -> PublicKeys {
        let real = self.real;
        *self.insiders.entry(number).or_insert_with(|| {
            if real {
                Puppet::keys_of(&NaclSuite::new(&[0; 32]), number)
            } else {
                Puppet::keys_of(&Weak::new(&[0; 32]), number)
            }
        })
    }

    /// Some host sends this to somebody.
    pub(super) fn said(&mut self, bytes: &[u8]) {
        self.sent.insert(digest(bytes));
    }

    /// A datagram is about to be handed to an engine.
    pub(super) fn watch(
        &mut self,
        act: (usize, u32),
        trust: Trust,
        source: Source,
        from: SocketAddr,
        bytes: &[u8],
        engine: &dyn Engine,
    ) -> Watch {
        let (host, life) = act;
        let act = (host, life, digest((from, bytes)));
        // Who is on the path may carry an allow over an address of its own, and then all else, where it is
        // already.
        let frame = Frame::parse(bytes).ok();
        let is = |what: fn(&Frame) -> bool| frame.as_ref().is_some_and(what);
        let carried = || {
            let mut remotes = engine.remotes().into_iter();
            is(|frame| frame.head.transaction == TransactionKind::Allow)
                || remotes.any(|r| r.proven && r.address == from)
        };
        let genuine = self.sent.contains(&digest((from, host, bytes)))
            || self.sent.contains(&digest(bytes)) && carried();
        let insider = match source {
            Source::Attacker(power @ Power::Insider(number)) => {
                power.name().map(|name| (name, self.keys_of(number)))
            }
            Source::Attacker(_) | Source::Host(_) => None,
        };
        let why = match source {
            Source::Attacker(Power::OffPath) => Some("sent by who sees nothing"),
            Source::Attacker(Power::Insider(_)) => Some("sent by another peer"),
            _ if !genuine => Some("altered, or sent elsewhere"),
            _ if self.taken.contains(&act) => Some("acted on before"),
            _ => None,
        };
        let own = insider.as_ref().and_then(|(name, _)| engine.find(name));
        self.accepts(host, engine);
        let coated = is(|frame| {
            let own = !frame.head.flags.contains(Flags::CORRESPONDENT);
            let whole = frame.head.packet == PacketKind::Message && frame.head.segments <= 1;
            own && whole && !frame.coat().is_empty()
        });
        let shows = frame.as_ref().filter(|_| coated && why.is_none());
        let shows = shows.map(|frame| (from, frame.head.session));
        Watch {
            act,
            shows,
            on_path: matches!(source, Source::Host(_) | Source::Attacker(Power::OnPath)),
            part: is(|frame| frame.head.segments > 1 || frame.head.packet == PacketKind::Nack),
            bare: is(|frame| {
                let kinds = [PacketKind::Message, PacketKind::Request];
                kinds.contains(&frame.head.packet) && frame.coat().is_empty()
            }),
            trust,
            allowed: own
                .and_then(|id| engine.remote(id))
                .is_some_and(|r| r.allowed),
            held: why.map(|_| held(engine, trust, insider.as_ref().map(|(_, keys)| *keys))),
            why: why.unwrap_or_default(),
            insider,
        }
    }

    /// Somebody may have accepted keys: a person, or the policy.
    pub(super) fn accepts(&mut self, host: usize, engine: &dyn Engine) {
        let roles = engine.roles().into_iter();
        for role in roles.filter(|role| role.status == Status::Accepted) {
            let accepted = (host, role.name.to_string(), role.keys);
            self.accepted.insert(accepted);
        }
    }

    /// Whether a host is known to have accepted these keys for a role, whatever it says of them now.
    pub(super) fn has_accepted(&self, host: usize, role: &str, keys: PublicKeys) -> bool {
        self.accepted.contains(&(host, role.to_string(), keys))
    }

    /// The engine has acted on it.
    pub(super) fn judge(&mut self, watch: Watch, verdict: Verdict, engine: &dyn Engine) -> Law {
        if verdict == Verdict::Taken {
            self.taken.insert(watch.act);
            let (host, life, _) = watch.act;
            for remote in engine.remotes() {
                if watch.shows == Some((remote.address, remote.far_session)) {
                    let session = (host, life, remote.id, remote.session);
                    self.settled.insert(session);
                }
            }
        }
        let insider = watch.insider.as_ref();
        if let Some(mut before) = watch.held {
            // Who takes any keys lets an insider be anybody that it proves to be by its own.
            if let Some((_, keys)) = insider.filter(|_| watch.trust == Trust::Always) {
                let remotes = engine.remotes().into_iter();
                let own: Vec<_> = remotes.filter(|r| r.keys == Some(*keys)).collect();
                before.0.retain(|b| own.iter().all(|r| r.id != b.id));
                before.1.retain(|b| own.iter().all(|r| r.role != b.name));
            }
            let mut after = held(engine, watch.trust, insider.map(|(_, keys)| *keys));
            for (old, new) in before.0.iter().zip(&mut after.0) {
                // Which session a peer is in shows with the first message of it that opens, and it only
                // goes on (H2; `Session::pinned`). Until then one recording may displace another, and an
                // empty message or request for a sign of life, which have no coat to open, may be heard again
                // (H8); and while a message is put together, what was recorded may be heard again. Who is not
                // on the path has nothing recorded.
                if !old.joined {
                    new.joined = false; // what a join that is complete says is a claim still (H3)
                }
                if !watch.on_path {
                    continue;
                }
                let (host, life, _) = watch.act;
                let session = (host, life, old.id, old.session);
                let onward = new.far_session.wrapping_sub(old.far_session) < 1 << 31;
                let unsettled = !self.settled.contains(&session) && onward;
                if old.far_session == 0 || unsettled && new.far_session != old.far_session {
                    new.far_session = old.far_session;
                    new.heard = old.heard;
                } else if watch.part || unsettled && watch.bare {
                    new.heard = old.heard;
                }
            }
            if before != after {
                let why = watch.why;
                let what = differences(&before, &after);
                return Err((Rule::Right, format!("a datagram {why} changed {what}")));
            }
        }
        let Some((name, _)) = insider.filter(|_| !watch.allowed) else {
            return Ok(());
        };
        // Its keys are judged when it joins (road-transactions: Acceptance): what a person says of them
        // later counts for the next join, and a join that is complete stands.
        let host = watch.act.0;
        self.accepts(host, engine);
        let own = engine.find(name).and_then(|id| engine.remote(id));
        if let Some(own) = own.filter(|r| r.allowed) {
            let accepted = |keys| self.has_accepted(host, &own.role, keys);
            if !own.keys.is_some_and(accepted) {
                let what = format!("{name} has a session, though nobody accepted its keys");
                return Err((Rule::Right, what));
            }
        }
        Ok(())
    }

    /// Nothing goes wrong but that somebody off the path attacks: sessions stay.
    pub(super) fn besieged(
        &mut self,
        now: u64,
        host: usize,
        whom: Option<usize>,
        what: RemoteEvent,
    ) -> Law {
        let Some(whom) = whom else {
            return Ok(());
        };
        let since = self.sessions.get(&(host, whom)).copied();
        let settled = since.is_some_and(|at| now > at + SETTLING);
        let harm = match what {
            // Sessions that are broken again and again do not begin to settle anew.
            RemoteEvent::Allowed if !settled => {
                self.sessions.entry((host, whom)).or_insert(now);
                false
            }
            RemoteEvent::Allowed
            | RemoteEvent::AllowFailed(_)
            | RemoteEvent::Went
            | RemoteEvent::Forgotten => settled,
            _ => false,
        };
        if harm {
            let what = format!("{what:?} at {host} about {whom}, by an attacker off the path");
            return Err((Rule::Right, what));
        }
        Ok(())
    }

    /// Whether a remote is an attacker's: by its role, or by its keys, whatever it is called.
    pub(super) fn means_ill(&self, remote: &RemoteInfo) -> bool {
        let insiders = || self.insiders.values().map(|keys| Some(*keys));
        Self::is_attacker(&remote.role) || insiders().any(|keys| keys == remote.keys)
    }

    /// Whether an estate of this name is an attacker's.
    fn is_attacker(name: &str) -> bool {
        name.starts_with("puppet-") || name.starts_with("nobody-")
    }
}

fn differences(before: &Held, after: &Held) -> String {
    let remote = before.0.iter().find(|r| !after.0.contains(r));
    let role = before.1.iter().find(|r| !after.1.contains(r));
    match (remote, role) {
        (Some(old), _) => {
            let new = after.0.iter().find(|r| r.id == old.id);
            format!("a proven remote:\n  {old:?}\n  {new:?}")
        }
        (None, Some(old)) => {
            let new = after.1.iter().find(|r| r.name == old.name);
            format!("the keys of a role:\n  {old:?}\n  {new:?}")
        }
        (None, None) => {
            let remotes = after.0.iter().filter(|r| !before.0.contains(r));
            let roles = after.1.iter().filter(|r| !before.1.contains(r));
            let (remotes, roles): (Vec<_>, Vec<_>) = (remotes.collect(), roles.collect());
            format!("what is proven: it is more now:\n  {remotes:?}\n  {roles:?}")
        }
    }
}
