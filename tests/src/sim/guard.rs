//! Nobody changes what it has no right to: what an engine holds as proven, looked at around each datagram
//! that has no right to change it.

use std::collections::{BTreeMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;

use raet_core::RemoteId;
use raet_core::config::Trust;
use raet_core::crypto::PublicKeys;
use raet_core::event::RemoteEvent;
use raet_core::keep::Status;
use raet_core::road::{RemoteInfo, RoleInfo};
use raet_core::stats::Verdict;
use raet_core::wire::{Flags, Frame, PacketKind};

use super::attack::{Power, Source};
use super::engine::Engine;
use super::law::{Law, Rule};
use super::plan::S;

/// For how long a new session may still be settling.
const SETTLING: u64 = 4 * S;

/// What was sent and taken so far.
#[derive(Default)]
pub(super) struct Guard {
    /// Every datagram that a host has sent, with its address and whom it was for.
    sent: HashSet<u64>,
    /// What a life of a host has acted on.
    taken: HashSet<(usize, u32, u64)>,
    /// When a host first had a session with another.
    sessions: BTreeMap<(usize, usize), u64>,
    /// Whose keys a host has held as accepted, by the name of the role.
    accepted: HashSet<(usize, String, PublicKeys)>,
    /// Sessions of a remote of a life of a host that began while nobody knew in which one the peer was, until
    /// a message of it that opens has shown that.
    unsettled: HashSet<(usize, u32, RemoteId, u32)>,
}

/// What was held as proven before a datagram.
pub(super) struct Watch {
    act: (usize, u32, u64),
    trust: Trust,
    insider: Option<String>,
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

fn held(engine: &dyn Engine, trust: Trust, except: Option<&str>) -> Held {
    let mut remotes = engine.remotes();
    // What bears its own keys is an insider's own, whatever it is called.
    remotes.retain(|r| r.proven && except != Some(&*r.role));
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
    roles.retain(|r| (r.proven || r.judged && !always) && except != Some(&*r.name));
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
    /// A host sends this.
    pub(super) fn sent(&mut self, from: SocketAddr, to: usize, bytes: &[u8]) {
        self.sent.insert(digest((from, to, bytes)));
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
        let genuine = self.sent.contains(&digest((from, host, bytes)));
        let insider = match source {
            Source::Attacker(power) => power.name(),
            Source::Host(_) => None,
        };
        let why = match source {
            Source::Attacker(Power::OffPath) => Some("sent by who sees nothing"),
            Source::Attacker(Power::Insider(_)) => Some("sent by another peer"),
            _ if !genuine => Some("altered, or sent elsewhere"),
            _ if self.taken.contains(&act) => Some("acted on before"),
            _ => None,
        };
        let own = insider.as_deref().and_then(|name| engine.find(name));
        for remote in engine.remotes() {
            if remote.far_session == 0 {
                let session = (host, life, remote.id, remote.session);
                self.unsettled.insert(session);
            }
        }
        self.accepts(host, engine);
        let frame = Frame::parse(bytes).ok();
        let is = |what: fn(&Frame) -> bool| frame.as_ref().is_some_and(what);
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
            held: why.map(|_| held(engine, trust, insider.as_deref())),
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

    /// The engine has acted on it.
    pub(super) fn judge(&mut self, watch: Watch, verdict: Verdict, engine: &dyn Engine) -> Law {
        if verdict == Verdict::Taken {
            self.taken.insert(watch.act);
            let (host, life, _) = watch.act;
            for remote in engine.remotes() {
                if watch.shows == Some((remote.address, remote.far_session)) {
                    let session = (host, life, remote.id, remote.session);
                    self.unsettled.remove(&session);
                }
            }
        }
        let insider = watch.insider.as_deref();
        if let Some(before) = watch.held {
            let mut after = held(engine, watch.trust, insider);
            for (old, new) in before.0.iter().zip(&mut after.0) {
                // Which session a peer is in shows with the first message of it that opens, and it only
                // goes on (H2; `Session::pinned`). Until then one recording may displace another, and an
                // empty message or request for a sign of life, which have no coat to open, may be heard again
                // (H8); and while a message is put together, what was recorded may be heard again. Who is not
                // on the path has nothing recorded.
                if !watch.on_path {
                    break;
                }
                let (host, life, _) = watch.act;
                let session = (host, life, old.id, old.session);
                let onward = new.far_session.wrapping_sub(old.far_session) < 1 << 31;
                let unsettled = self.unsettled.contains(&session) && onward;
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
        let Some(name) = insider.filter(|_| !watch.allowed) else {
            return Ok(());
        };
        // Its keys are judged when it joins (road-transactions: Acceptance): what a person says of them
        // later counts for the next join, and a join that is complete stands.
        let host = watch.act.0;
        self.accepts(host, engine);
        let own = engine.find(name).and_then(|id| engine.remote(id));
        if let Some(own) = own.filter(|r| r.allowed) {
            let accepted = |keys| self.accepted.contains(&(host, own.role.to_string(), keys));
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

    /// Whether an estate of this name is an attacker's.
    pub(super) fn is_attacker(name: &str) -> bool {
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
        (None, None) => "what is proven: it is more now".to_owned(),
    }
}
