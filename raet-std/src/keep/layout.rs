//! What stands in 0.6.8's files, field for field in its order (lane-and-keep: Keep), and where they
//! lie.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use raet_core::crypto::{Crypto, NaclSuite, PublicKeys, Secrets, hex};
use raet_core::keep::{RemoteRecord, RoleRecord, Status};
use raet_core::wire::{Name, name};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::form::Form;

/// An address as 0.6.8 writes it: host and port.
type Place = (String, u16);

/// `local/estate`.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EstateFile {
    pub(super) name: String,
    pub(super) uid: u32,
    pub(super) ha: Place,
    pub(super) iha: Option<Place>,
    pub(super) natted: Option<bool>,
    pub(super) fqdn: Option<String>,
    pub(super) dyned: Option<bool>,
    pub(super) sid: u32,
    pub(super) puid: u32,
    pub(super) aha: Place,
    pub(super) role: String,
}

/// `role/local/role`.
#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(deny_unknown_fields)]
pub(super) struct KeysFile {
    role: String,
    sighex: String,
    prihex: String,
}

/// `remote/estate.<name>`.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RemoteFile {
    pub(super) name: String,
    pub(super) uid: u32,
    pub(super) fuid: u32,
    pub(super) ha: Place,
    pub(super) iha: Option<Place>,
    pub(super) natted: Option<bool>,
    pub(super) fqdn: Option<String>,
    pub(super) dyned: Option<bool>,
    pub(super) sid: u32,
    pub(super) main: Option<bool>,
    pub(super) kind: Option<u8>,
    pub(super) joined: Option<bool>,
    pub(super) role: String,
}

/// `role/remote/role.<role>`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RoleFile {
    role: String,
    acceptance: Option<u8>,
    verhex: Option<String>,
    pubhex: Option<String>,
}

/// The four folders of a keep.
pub(super) const FOLDERS: [&str; 4] = ["local", "remote", "role/local", "role/remote"];

pub(super) fn estate_path(root: &Path, form: Form) -> PathBuf {
    root.join(format!("local/estate.{}", form.ending()))
}

pub(super) fn keys_path(root: &Path, form: Form) -> PathBuf {
    root.join(format!("role/local/role.{}", form.ending()))
}

pub(super) fn remote_path(root: &Path, name: &str, form: Form) -> PathBuf {
    root.join(format!("remote/estate.{name}.{}", form.ending()))
}

pub(super) fn role_path(root: &Path, name: &str, form: Form) -> PathBuf {
    root.join(format!("role/remote/role.{name}.{}", form.ending()))
}

/// The name in a file's name, and its form.
pub(super) fn parse_file_name(file: &str, prefix: &str) -> Option<(String, Form)> {
    let rest = file.strip_prefix(prefix)?.strip_prefix('.')?;
    Form::ALL.into_iter().find_map(|form| {
        let name = rest.strip_suffix(form.ending())?.strip_suffix('.')?;
        (!name.is_empty()).then(|| (name.to_owned(), form))
    })
}

/// A name as the protocol carries it, which is also one that a file can bear.
pub(super) fn fit(text: &str) -> Result<Name, String> {
    name(text).map_err(|_| format!("{text:?} is no name"))
}

/// An address as 0.6.8 writes it. It knows no scopes.
pub(super) fn place(address: SocketAddr) -> Place {
    (address.ip().to_string(), address.port())
}

pub(super) fn address(place: &Place) -> Result<SocketAddr, String> {
    if place.0.is_empty() {
        // Any host, as Python's sockets have it.
        return Ok(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), place.1));
    }
    let ip: IpAddr = place
        .0
        .parse()
        .map_err(|_| format!("{:?} is no numeric address", place.0))?;
    Ok(SocketAddr::new(ip, place.1))
}

/// What 0.6.8 puts down as the name of a host: its reverse name. Nobody here looks one up.
fn host(address: SocketAddr) -> String {
    if address.ip().is_loopback() {
        "localhost".to_owned()
    } else {
        address.ip().to_string()
    }
}

impl EstateFile {
    pub(super) fn new(name: &str, role: &str, ha: SocketAddr, aha: SocketAddr) -> Self {
        Self {
            name: name.to_owned(),
            uid: 1,
            ha: place(ha),
            iha: None,
            natted: None,
            fqdn: Some(host(ha)),
            dyned: None,
            sid: 0,
            puid: 1,
            aha: place(aha),
            role: role.to_owned(),
        }
    }

    /// The same estate at another address.
    pub(super) fn at(&self, ha: SocketAddr, aha: SocketAddr) -> Self {
        Self {
            ha: place(ha),
            fqdn: Some(host(ha)),
            aha: place(aha),
            ..self.clone()
        }
    }
}

impl KeysFile {
    pub(super) fn new(role: &str, secrets: &Secrets) -> Self {
        Self {
            role: role.to_owned(),
            sighex: text(secrets.sign_seed()),
            prihex: text(secrets.box_secret()),
        }
    }

    pub(super) fn secrets(&self) -> Result<Secrets, String> {
        Secrets::from_hex(&self.sighex, &self.prihex).map_err(|error| error.to_string())
    }
}

impl RemoteFile {
    /// What the record says; all else as it was.
    pub(super) fn update(old: Option<&Self>, record: &RemoteRecord, sid: u32) -> Self {
        let joined = match old.and_then(|old| old.joined) {
            // Never and no longer are the same to the engine.
            None if !record.joined => None,
            _ => Some(record.joined),
        };
        Self {
            name: record.name.as_str().to_owned(),
            uid: record.near,
            fuid: record.far,
            ha: place(record.address),
            iha: old.and_then(|old| old.iha.clone()),
            natted: old.and_then(|old| old.natted),
            fqdn: match old {
                Some(old) => old.fqdn.clone(),
                None => Some(host(record.address)),
            },
            dyned: old.and_then(|old| old.dyned),
            sid,
            main: Some(record.main),
            kind: Some(record.kind),
            joined,
            role: record.role.as_str().to_owned(),
        }
    }

    /// The record that it stands for; whether it was proven, and which ids were used, is not in it.
    pub(super) fn record(&self) -> Result<RemoteRecord, String> {
        let address = address(&self.ha)?;
        if self.uid == 0 {
            return Err("its uid is 0".to_owned());
        }
        Ok(RemoteRecord {
            name: fit(&self.name)?,
            near: self.uid,
            far: self.fuid,
            address,
            main: self.main.unwrap_or_default(),
            kind: self.kind.unwrap_or_default(),
            role: fit(&self.role)?,
            joined: self.joined.unwrap_or_default(),
            proven: false,
            session: self.sid,
        })
    }
}

impl RoleFile {
    pub(super) fn new(record: &RoleRecord) -> Self {
        Self {
            role: record.name.as_str().to_owned(),
            acceptance: Some(record.status as u8),
            verhex: Some(text(&record.keys.verify)),
            pubhex: Some(text(&record.keys.public)),
        }
    }

    pub(super) fn role(&self) -> &str {
        &self.role
    }

    /// The record that it stands for, `None` if it has no keys: those of a remote that 0.6.8 never
    /// joined. What was decided counts as a person's word: who else would it have been.
    pub(super) fn record(&self, suite: &NaclSuite) -> Result<Option<RoleRecord>, String> {
        let name = fit(&self.role)?;
        let status = status(self.acceptance.unwrap_or_default())?;
        let (verify, public) = match (self.verhex.as_deref(), self.pubhex.as_deref()) {
            (None | Some(""), None | Some("")) => return Ok(None),
            (verify, public) => (verify.unwrap_or_default(), public.unwrap_or_default()),
        };
        let keys = keys(verify, public, suite)?;
        Ok(Some(RoleRecord {
            name,
            status,
            judged: status != Status::Pending,
            keys,
        }))
    }
}

pub(super) fn status(acceptance: u8) -> Result<Status, String> {
    match acceptance {
        0 => Ok(Status::Pending),
        1 => Ok(Status::Accepted),
        2 => Ok(Status::Rejected),
        other => Err(format!("acceptance is {other}")),
    }
}

/// Keys that an engine takes (hardening: H16).
pub(super) fn keys(verify: &str, public: &str, suite: &NaclSuite) -> Result<PublicKeys, String> {
    let keys = PublicKeys::from_hex(verify, public).map_err(|error| error.to_string())?;
    if suite.verify_key(&keys.verify).is_err() || suite.is_weak_public(&keys.public) {
        return Err("its keys are weak or none".to_owned());
    }
    Ok(keys)
}

pub(super) fn text(key: &[u8; 32]) -> String {
    // Hex digits are ASCII.
    hex::encode(key)
        .iter()
        .map(|&digit| digit as char)
        .collect()
}
