//! What 0.6.8 has no field for: two files beside its own, which it never looks at.
//!
//! `beyond.json` is this estate's: which session ids are reserved, and what the socket is really bound
//! to. `beyond.log` tells of remotes and roles, a line each time that one changes; the last line about
//! one counts. A line is a checksum, a space and JSON. So one write stores a whole batch, and what a
//! crash has cut off is seen.

use std::collections::HashMap;
use std::hash::Hasher;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher13;

use super::layout::RemoteFile;

/// Bytes of the longest log that is read: of some 400,000 remotes.
pub(super) const LONGEST: u64 = 256 << 20;

/// What this estate keeps beside.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(super) struct Own {
    /// Session ids up to here may have been used.
    pub(super) sessions: Option<u32>,
    /// What the socket is bound to, where 0.6.8 could not say so.
    pub(super) bind: Option<SocketAddr>,
}

/// One change of a remote or a role.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Line {
    Remote(RemoteLine),
    Role(RoleLine),
    NoRemote(String),
    NoRole(String),
}

#[derive(Clone, Serialize, Deserialize)]
pub(super) struct RemoteLine {
    pub(super) name: String,
    /// What was put down as its sid: far ahead of those in use.
    pub(super) sid: u32,
    /// Session ids up to here may have been used.
    pub(super) session: u32,
    /// The verify key that an allow has proven.
    pub(super) proven: Option<String>,
    /// All of it, if its name is none that 0.6.8's file could bear.
    pub(super) alone: Option<RemoteFile>,
}

#[derive(Clone, Serialize, Deserialize)]
pub(super) struct RoleLine {
    pub(super) name: String,
    pub(super) acceptance: u8,
    pub(super) judged: bool,
    pub(super) verhex: String,
    pub(super) pubhex: String,
    /// Seconds since 1970.
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) names: Vec<String>,
    /// There is no file of 0.6.8 for it.
    pub(super) alone: bool,
}

pub(super) fn own_path(root: &Path) -> PathBuf {
    root.join("beyond.json")
}

pub(super) fn log_path(root: &Path) -> PathBuf {
    root.join("beyond.log")
}

/// What the lines of a log come to.
#[derive(Default)]
pub(super) struct Told {
    pub(super) remotes: HashMap<String, RemoteLine>,
    pub(super) roles: HashMap<String, RoleLine>,
    /// How many there are; `None`: there is no log.
    pub(super) lines: Option<usize>,
    /// Something in it could not be read. What was there may be missing.
    pub(super) damaged: bool,
}

impl Told {
    pub(super) fn read(bytes: &[u8]) -> Self {
        let mut told = Self::default();
        let mut count = 0;
        for line in bytes.split(|&byte| byte == b'\n') {
            if line.is_empty() {
                continue;
            }
            count += 1;
            match decode(line) {
                Some(Line::Remote(line)) => {
                    told.remotes.insert(line.name.clone(), line);
                }
                Some(Line::Role(line)) => {
                    told.roles.insert(line.name.clone(), line);
                }
                Some(Line::NoRemote(name)) => {
                    told.remotes.remove(&name);
                }
                Some(Line::NoRole(name)) => {
                    told.roles.remove(&name);
                }
                None => told.damaged = true,
            }
        }
        told.lines = Some(count);
        told
    }
}

/// What is known of a role beside its keys.
#[cfg(unix)]
#[derive(Default)]
pub(crate) struct Seen {
    /// Names of the estates that bore it; the newest last.
    pub(crate) names: Vec<String>,
    /// Seconds since 1970.
    pub(crate) first: Option<u64>,
    pub(crate) last: Option<u64>,
}

/// Looks that up while another has the keep: a line that is being written counts the next time.
#[cfg(unix)]
pub(crate) fn seen(root: &Path) -> std::io::Result<HashMap<String, Seen>> {
    let told = Told::read(&std::fs::read(log_path(root))?);
    let seen = told.roles.into_iter().map(|(name, line)| {
        let time = |seconds| (seconds != 0).then_some(seconds);
        let seen = Seen {
            names: line.names,
            first: time(line.first),
            last: time(line.last),
        };
        (name, seen)
    });
    Ok(seen.collect())
}

/// A line, with the end of the one before it: that one may have been cut off.
pub(super) fn encode<T: Serialize>(content: &T, to: &mut Vec<u8>) -> Result<(), serde_json::Error> {
    let json = serde_json::to_string(content)?;
    to.extend_from_slice(format!("\n{:016x} {json}", sum(json.as_bytes())).as_bytes());
    Ok(())
}

pub(super) fn decode<T: DeserializeOwned>(line: &[u8]) -> Option<T> {
    let line = line.strip_prefix(b"\n").unwrap_or(line);
    let (claimed, json) = line.split_at_checked(16)?;
    let json = json.strip_prefix(b" ")?;
    let claimed = u64::from_str_radix(str::from_utf8(claimed).ok()?, 16).ok()?;
    if claimed != sum(json) {
        return None;
    }
    serde_json::from_slice(json).ok()
}

fn sum(bytes: &[u8]) -> u64 {
    let mut hasher = SipHasher13::new();
    hasher.write(bytes);
    hasher.finish()
}
