//! Where keys lie: with an estate that runs, or in the folder of one that does not.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use raet_std::control::{
    AskError, Keys, Reply, Report, Request, RoleReport, SOCKET, Standing, ask,
};
use raet_std::core::crypto::{Crypto, NaclSuite, PublicKeys};
use raet_std::core::keep::{Record, RoleRecord, Status};
use raet_std::core::wire;
use raet_std::keep::{FileKeep, KeepError, KeepOptions, KeptRole};

use super::Where;
use crate::Problem;
use crate::options::{BUSY, TICK};
use crate::output::tell_notices;

pub(super) enum Store {
    /// Asked over its control socket.
    Running(PathBuf),
    /// This process has the keep.
    Stopped(Box<FileKeep>),
}

/// Whether what was done outlives a crash.
#[derive(Clone, Copy)]
pub(super) enum Stored {
    Yes,
    /// The estate's keep fails, or is slow.
    NotYet,
}

/// Whose keys an estate bears.
pub(super) struct Own {
    pub(super) role: String,
    pub(super) keys: Keys,
}

impl Store {
    /// Finds who has the keep.
    pub(super) fn open(at: &Where) -> Result<Self, Problem> {
        let Some(folder) = &at.keep else {
            return match &at.control {
                Some(control) => Ok(Self::Running(control.clone())),
                None => Err(Problem::usage(
                    "which keys? Give --keep DIR, or --control PATH of an estate that runs",
                )),
            };
        };
        if !folder.is_dir() {
            return Err(Problem::failure(format!(
                "there is no keep at {}: `raet listen --keep` or `raet key gen` makes one",
                folder.display()
            )));
        }
        let control = at.control.clone().unwrap_or_else(|| folder.join(SOCKET));
        let end = Instant::now() + BUSY;
        loop {
            match FileKeep::open(folder, KeepOptions::default()) {
                Ok(keep) => {
                    tell_notices(&keep);
                    return Ok(Self::Stopped(Box::new(keep)));
                }
                Err(KeepError::InUse(_)) => {}
                Err(error) => return Err(Problem::failure(error)),
            }
            match ask(&control, &Request::Status) {
                Ok(_) => return Ok(Self::Running(control)),
                // Another command may have it, or the estate is about to serve its socket.
                Err(AskError::Nobody(_)) if Instant::now() < end => thread::sleep(TICK),
                Err(AskError::Nobody(_)) => {
                    return Err(Problem::failure(format!(
                        "{} is in use by a process that nobody can ask at {}: give the --control PATH that it serves, or stop it",
                        folder.display(),
                        control.display()
                    )));
                }
                Err(error) => return Err(Problem::failure(error)),
            }
        }
    }

    /// The keep itself, for what a running estate cannot do.
    pub(super) fn stopped(self, what: &str) -> Result<FileKeep, Problem> {
        match self {
            Self::Stopped(keep) => Ok(*keep),
            Self::Running(_) => Err(Problem::failure(format!(
                "the estate is running, and {what}: stop it first"
            ))),
        }
    }

    pub(super) fn own(&self) -> Result<Own, Problem> {
        match self {
            Self::Running(control) => match ask(control, &Request::Status) {
                Ok(Reply::Status(Report { role, keys, .. })) => Ok(Own { role, keys }),
                other => Err(unexpected(other)),
            },
            Self::Stopped(keep) => {
                let identity = keep.identity().ok_or_else(|| nobody(keep.folder()))?;
                let keys = identity.secrets.public_keys(&NaclSuite::new(&[0; 32]));
                Ok(Own {
                    role: identity.role.clone(),
                    keys: Keys::from(&keys),
                })
            }
        }
    }

    /// All roles, by name.
    pub(super) fn roles(&self) -> Result<Vec<RoleReport>, Problem> {
        let keep = match self {
            Self::Running(control) => {
                return match ask(control, &Request::Roles) {
                    Ok(Reply::Roles(roles)) => Ok(roles),
                    other => Err(unexpected(other)),
                };
            }
            Self::Stopped(keep) => keep,
        };
        let seconds = |at: Option<SystemTime>| {
            let since = at.and_then(|at| at.duration_since(UNIX_EPOCH).ok());
            since.map(|since| since.as_secs())
        };
        // One that 0.6.8 wrote knows of no names beside its remotes'.
        let mut bearers = HashMap::<_, Vec<_>>::new();
        for record in keep.records() {
            if let Record::Remote(remote) = record {
                bearers.entry(remote.role).or_default().push(remote.name);
            }
        }
        let names = |kept: &KeptRole| {
            let mut names = kept.names.clone();
            for name in bearers.get(&kept.record.name).into_iter().flatten() {
                if !names.iter().any(|known| *name == **known) {
                    names.push(name.as_str().to_owned());
                }
            }
            names
        };
        let roles = keep.roles().map(|kept| RoleReport {
            role: kept.record.name.as_str().to_owned(),
            status: kept.record.status.into(),
            judged: kept.record.judged,
            keys: Keys::from(&kept.record.keys),
            offered: None,
            first_seen: seconds(kept.first_seen),
            last_seen: seconds(kept.last_seen),
            names: names(&kept),
        });
        Ok(roles.collect())
    }

    /// Decides about these keys of a role. Whoever is in with keys that are not accepted is out.
    pub(super) fn judge(
        &mut self,
        role: &str,
        status: Standing,
        keys: &Keys,
    ) -> Result<Stored, Problem> {
        match self {
            Self::Running(control) => {
                let request = Request::Judge {
                    role: role.to_owned(),
                    status,
                    keys: Some(keys.clone()),
                };
                done(ask(control, &request))
            }
            // Nobody else has the keep, so the keys are those that were shown.
            Self::Stopped(keep) => {
                let held = held(keep, role).ok_or_else(|| Problem::failure("no such role"))?;
                let status = Status::from(status);
                let judged = RoleRecord {
                    status,
                    judged: status != Status::Pending,
                    ..held
                };
                let mut records = vec![Record::Role(judged)];
                if status != Status::Accepted {
                    records.extend(bearers(keep, role));
                }
                store(keep, &records)
            }
        }
    }

    /// Takes the keys of a role before any estate shows them.
    pub(super) fn introduce(
        &mut self,
        role: &str,
        status: Standing,
        keys: &Keys,
    ) -> Result<Stored, Problem> {
        let public = PublicKeys::try_from(keys).map_err(Problem::failure)?;
        match self {
            Self::Running(control) => {
                let request = Request::Introduce {
                    role: role.to_owned(),
                    status,
                    keys: keys.clone(),
                };
                done(ask(control, &request))
            }
            Self::Stopped(keep) => {
                use raet_std::core::error::IntroduceError;
                let name = wire::name(role).map_err(|_| Problem::failure(IntroduceError::Name))?;
                let suite = NaclSuite::new(&[0; 32]);
                if suite.verify_key(&public.verify).is_err() || suite.is_weak_public(&public.public)
                {
                    return Err(Problem::failure(IntroduceError::WeakKeys));
                }
                if held(keep, role).is_some_and(|held| held.keys != public) {
                    return Err(Problem::failure(IntroduceError::OtherKeys));
                }
                let status = Status::from(status);
                let record = RoleRecord {
                    name,
                    status,
                    judged: status != Status::Pending,
                    keys: public,
                };
                store(keep, &[Record::Role(record)])
            }
        }
    }

    pub(super) fn forget(&mut self, role: &str) -> Result<Stored, Problem> {
        match self {
            Self::Running(control) => {
                let role = role.to_owned();
                done(ask(control, &Request::Forget { role }))
            }
            Self::Stopped(keep) => {
                let held = held(keep, role).ok_or_else(|| Problem::failure("no such role"))?;
                let mut records = bearers(keep, role);
                records.push(Record::ForgottenRole(held.name));
                store(keep, &records)
            }
        }
    }
}

fn held(keep: &FileKeep, role: &str) -> Option<RoleRecord> {
    let mut roles = keep.roles();
    let found = roles.find(|kept| kept.record.name == role)?;
    Some(found.record)
}

/// The ends of all remotes that bear the role.
fn bearers(keep: &FileKeep, role: &str) -> Vec<Record> {
    let kept = keep.records().into_iter();
    kept.filter_map(|record| match record {
        Record::Remote(remote) if remote.role == role => Some(Record::Forgotten(remote.name)),
        _ => None,
    })
    .collect()
}

pub(super) fn nobody(folder: &Path) -> Problem {
    Problem::failure(format!(
        "no estate is in {} yet: `raet key gen` makes one",
        folder.display()
    ))
}

fn store(keep: &mut FileKeep, records: &[Record]) -> Result<Stored, Problem> {
    keep.store(records).map_err(Problem::failure)?;
    Ok(Stored::Yes)
}

fn done(reply: Result<Reply, AskError>) -> Result<Stored, Problem> {
    match reply {
        Ok(Reply::Done(true)) => Ok(Stored::Yes),
        Ok(Reply::Done(false)) => Ok(Stored::NotYet),
        other => Err(unexpected(other)),
    }
}

fn unexpected(reply: Result<Reply, AskError>) -> Problem {
    match reply {
        Ok(_) => Problem::failure("the estate answers something else: is it of another version?"),
        Err(error) => Problem::failure(error),
    }
}
