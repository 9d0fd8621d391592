//! What a running estate answers.

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use raet_core::crypto::PublicKeys;
use raet_core::keep::Status;
use raet_core::road::RemoteInfo;
use raet_core::time::Instant;

use super::{Keys, RemoteReport, Reply, Report, Request, RoleReport, State};
use crate::engine::Shared;
use crate::keep::{Seen, seen};

/// How long the keep may take: about half of what a connection has.
const STORING: Duration = Duration::from_millis(500);

/// Answers a request. `folder` is that of the keep, where names and times lie that the engine
/// forgets.
pub(super) fn answer(road: &Shared, folder: Option<&Path>, request: &Request) -> Reply {
    match request {
        Request::Status => Reply::Status(report(road)),
        Request::Roles => Reply::Roles(roles(road, folder)),
        Request::Judge { role, status, keys } => {
            let keys = match keys.as_ref().map(PublicKeys::try_from).transpose() {
                Ok(keys) => keys,
                Err(error) => return Reply::Refused(error.to_string()),
            };
            let status = Status::from(*status);
            let judged = road.judge_role(role, status, keys.as_ref());
            if judged.is_ok() && status != Status::Accepted {
                road.forget_bearers(role);
            }
            done(road, judged)
        }
        Request::Introduce { role, status, keys } => match PublicKeys::try_from(keys) {
            Ok(keys) => done(road, road.introduce_role(role, &keys, (*status).into())),
            Err(error) => Reply::Refused(error.to_string()),
        },
        Request::Forget { role } => done(road, road.forget_role(role)),
    }
}

/// What a person decided is not to be forgotten after it was said to be done.
fn done<E: std::fmt::Display>(road: &Shared, result: Result<(), E>) -> Reply {
    match result {
        Ok(()) => Reply::Done(road.is_stored(STORING)),
        Err(error) => Reply::Refused(error.to_string()),
    }
}

/// Turns the engine's moments into those of the wall clock.
struct Clock {
    now: Instant,
    wall: SystemTime,
}

impl Clock {
    fn seconds(&self, at: Instant) -> u64 {
        let then = self.wall.checked_sub(self.now.since(at));
        then.and_then(|then| then.duration_since(UNIX_EPOCH).ok())
            .unwrap_or_default()
            .as_secs()
    }
}

/// The engine is only copied from under its lock; the rest takes longer, and nobody waits for it.
fn report(road: &Shared) -> Report {
    let (infos, roles, clock, mut report) = road.enter(|state| {
        let stack = &state.stack;
        let clock = Clock {
            now: state.now,
            wall: SystemTime::now(),
        };
        let report = Report {
            name: stack.name().as_str().to_owned(),
            role: stack.role().as_str().to_owned(),
            keys: Keys::from(&stack.public_keys()),
            addr: road.socket.local,
            since: clock.seconds(Instant::ZERO),
            messages_in: stack.stats().messages_in,
            messages_out: stack.stats().messages_out,
            waiting: stack.messages_waiting(),
            dropped: stack.stats().dropped_in_all(),
            remotes: Vec::new(),
        };
        let infos: Vec<_> = stack.remotes().collect();
        let roles: Vec<_> = stack.roles().collect();
        (infos, roles, clock, report)
    });
    let statuses: HashMap<_, _> = roles.iter().map(|role| (&role.name, role.status)).collect();
    let remotes = infos
        .iter()
        .map(|info| remote(info, statuses.get(&info.role).copied(), &clock));
    report.remotes = remotes.collect();
    let by_name = |a: &RemoteReport, b: &RemoteReport| (&a.name, a.addr).cmp(&(&b.name, b.addr));
    report.remotes.sort_by(by_name);
    report
}

fn remote(info: &RemoteInfo, status: Option<Status>, clock: &Clock) -> RemoteReport {
    let state = match (info.allowed, info.alive, status) {
        _ if info.reaped => State::Reaped,
        (true, Some(true), _) => State::Up,
        (_, Some(false), _) => State::Down,
        _ if info.joined => State::Joined,
        (_, _, Some(Status::Pending)) => State::Pending,
        (_, _, Some(Status::Rejected)) => State::Rejected,
        _ => State::Joining,
    };
    RemoteReport {
        name: info.name.as_str().to_owned(),
        role: info.role.as_str().to_owned(),
        addr: info.address,
        state,
        since: info.since.map(|at| clock.seconds(at)),
        heard: info.since.map(|_| clock.seconds(info.heard)),
        rtt_ms: info.round_trip.map(|trip| trip.as_secs_f64() * 1000.0),
        queued: info.queued,
        in_flight: info.open,
        main: info.main,
    }
}

fn roles(road: &Shared, folder: Option<&Path>) -> Vec<RoleReport> {
    let (infos, roles, clock) = road.enter(|state| {
        let clock = Clock {
            now: state.now,
            wall: SystemTime::now(),
        };
        let infos: Vec<_> = state.stack.remotes().collect();
        let roles: Vec<_> = state.stack.roles().collect();
        (infos, roles, clock)
    });
    let mut bearers = HashMap::<_, Seen>::new();
    for info in infos.iter().filter(|info| !info.name.is_empty()) {
        let seen = bearers.entry(info.role.as_str()).or_default();
        seen.names.push(info.name.as_str().to_owned());
        // One that a keep told of and that was not heard yet was seen in an earlier life.
        if info.since.is_some() || !info.proven {
            seen.last = seen.last.max(Some(clock.seconds(info.heard)));
        }
    }
    // A keep that cannot be read now is told of by its road.
    let mut kept = folder
        .and_then(|folder| seen(folder).ok())
        .unwrap_or_default();
    let mut roles: Vec<_> = roles
        .into_iter()
        // Of a kept remote whose role was lost only the role's name is known.
        .filter(|role| role.keys.verify != [0; 32])
        .map(|role| {
            let name = role.name.as_str();
            let known = kept.remove(name);
            let new = folder.is_some() && known.is_none();
            let mut seen = known.unwrap_or_default();
            if let Some(now) = bearers.get(name) {
                if new {
                    seen.first = now.last; // it is about to be put down
                }
                seen.names.retain(|name| !now.names.contains(name));
                seen.names.extend_from_slice(&now.names);
                seen.last = seen.last.max(now.last);
            }
            RoleReport {
                role: name.to_owned(),
                status: role.status.into(),
                judged: role.judged,
                keys: Keys::from(&role.keys),
                offered: role.offered.as_ref().map(Keys::from),
                names: seen.names,
                first_seen: seen.first,
                last_seen: seen.last,
            }
        })
        .collect();
    roles.sort_by(|a, b| a.role.cmp(&b.role));
    roles
}
