//! A keep in a folder of 0.6.8's layout.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use raet_core::crypto::Secrets;
use raet_core::keep::{EstateRecord, Record};
use raet_core::wire::Name;

use super::beside::Own;
use super::error::{KeepError, Notice};
use super::files::Files;
use super::form::Form;
use super::held::{HeldRemote, HeldRole, KeptRole};
use super::layout::{self, EstateFile, FOLDERS, KeysFile, estate_path, keys_path};
use super::load::{Loaded, load};
use super::{Identity, Keep, Kept, copy};

/// How a keep on files is opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct KeepOptions {
    /// The form of what is written; unless set, that of the newest estate file, JSON in a new keep.
    /// Files of the other form are converted.
    pub form: Option<Form>,
    /// Takes secrets that other users can read, and leaves modes as they are.
    pub readable: bool,
}

/// A keep in a folder of 0.6.8's layout (lane-and-keep: Keep): a 0.6.8 stack can go on from it, and it
/// from a 0.6.8 stack's.
///
/// What 0.6.8 has no field for lies in `beyond.json` and `beyond.log` beside. Files are replaced whole
/// and durably: after a crash each is the old one or the new. A remote or role whose name differs
/// from another one's only in case lives beside alone, since not every file system tells the two
/// apart: 0.6.8 would not know of it. Other names that no file can bear never come so far: the
/// protocol has none of them here.
pub struct FileKeep {
    pub(super) root: PathBuf,
    pub(super) form: Form,
    pub(super) files: Box<dyn Files>,
    /// Nobody else opens the folder while this lives.
    _lock: Box<dyn Any + Send>,
    identity: Option<Identity>,
    /// Keys of an estate whose making was cut short.
    begun: Option<Secrets>,
    pub(super) own: Own,
    pub(super) remotes: BTreeMap<Name, HeldRemote>,
    pub(super) roles: BTreeMap<Name, HeldRole>,
    /// Whose is a file's name, in lower case.
    pub(super) taken: BTreeMap<String, Name>,
    notices: Vec<Notice>,
    /// Lines of the log; `None` while there is none.
    pub(super) lines: Option<usize>,
}

impl FileKeep {
    /// Opens the keep in this folder, which is made if it is not there, and holds it until dropped.
    ///
    /// # Errors
    ///
    /// See [`KeepError`].
    #[cfg(unix)]
    pub fn open(folder: impl AsRef<Path>, options: KeepOptions) -> Result<Self, KeepError> {
        use super::disk::Disk;
        use super::load::is_foreign;
        let root = folder.as_ref();
        let mut disk = Disk::new(root);
        if is_foreign(&mut disk, root).map_err(KeepError::io(root))? {
            return Err(KeepError::Foreign(root.to_owned()));
        }
        disk.make_folder(root).map_err(KeepError::io(root))?;
        let path = root.join("lock");
        match disk.lock(&path).map_err(KeepError::io(&path))? {
            Some(lock) => Self::open_on(Box::new(disk), Box::new(lock), root, options),
            None => Err(KeepError::InUse(root.to_owned())),
        }
    }

    pub(super) fn open_on(
        mut files: Box<dyn Files>,
        lock: Box<dyn Any + Send>,
        root: &Path,
        options: KeepOptions,
    ) -> Result<Self, KeepError> {
        let Loaded {
            estate,
            keys,
            own,
            remotes,
            roles,
            notices,
            lines,
        } = load(&mut *files, root, options.readable)?;
        let form = estate.as_ref().map(|found| found.form);
        for folder in FOLDERS.map(|folder| root.join(folder)) {
            files.make_folder(&folder).map_err(KeepError::io(&folder))?;
        }
        // Both were read before.
        let begun = keys.as_ref().and_then(|keys| keys.content.secrets().ok());
        let identity = match (&estate, &begun) {
            (Some(estate), Some(secrets)) => identity(&estate.content, secrets, &own),
            _ => None,
        };
        let on_file = |name: &Name, prefix: &str, alone: bool| {
            (!alone).then(|| (format!("{prefix}.{}", name.to_lowercase()), name.clone()))
        };
        let taken = remotes
            .iter()
            .filter_map(|(name, held)| on_file(name, "estate", held.alone))
            .chain(
                roles
                    .iter()
                    .filter_map(|(name, held)| on_file(name, "role", held.alone)),
            )
            .collect();
        let mut keep = Self {
            root: root.to_owned(),
            form: options.form.or(form).unwrap_or_default(),
            files,
            _lock: lock,
            identity,
            begun,
            own,
            remotes,
            roles,
            taken,
            notices,
            lines,
        };
        if let (Some(estate), Some(keys)) = (&estate, &keys) {
            keep.convert(estate, keys)?;
        }
        keep.restore_roles()?;
        if keep.lines.is_none() && keep.identity.is_some() {
            keep.rewrite_log()?;
        }
        Ok(keep)
    }

    /// The estate, if there is one.
    pub fn identity(&self) -> Option<&Identity> {
        self.identity.as_ref()
    }

    /// What a person should know of how it was found.
    pub fn notices(&self) -> &[Notice] {
        &self.notices
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.root
    }

    /// All roles whose keys are known, by name.
    pub fn roles(&self) -> impl Iterator<Item = KeptRole> {
        let time = |seconds: u64| {
            (seconds != 0)
                .then(|| UNIX_EPOCH.checked_add(Duration::from_secs(seconds)))
                .flatten()
        };
        self.roles.values().filter_map(move |held| {
            Some(KeptRole {
                record: held.record.clone()?,
                names: held.names.clone(),
                first_seen: time(held.first),
                last_seen: time(held.last),
            })
        })
    }

    /// The newest record of each place, in the order in which an engine takes them.
    pub fn records(&self) -> Vec<Record> {
        // What a 0.6.8 stack has used since shows in its remotes.
        let estate = self
            .own
            .sessions
            .map(|sessions| Record::Estate(EstateRecord { sessions }));
        let roles = self.roles.values().filter_map(|held| held.record.clone());
        let remotes = self.remotes.values().map(|held| held.record.clone());
        estate
            .into_iter()
            .chain(roles.map(Record::Role))
            .chain(remotes.map(Record::Remote))
            .collect()
    }

    /// Makes an estate in a keep that has none. Keys that are there already stay, and are returned.
    ///
    /// # Errors
    ///
    /// See [`KeepError`].
    pub fn create(&mut self, identity: Identity) -> Result<&Identity, KeepError> {
        if self.identity.is_some() {
            return Err(KeepError::Exists(self.root.clone()));
        }
        for name in [&identity.name, &identity.role] {
            layout::fit(name).map_err(|_| KeepError::Name(name.clone()))?;
        }
        let mut identity = identity;
        if let Some(secrets) = &self.begun {
            identity.secrets = copy(secrets);
        }
        let keys = KeysFile::new(&identity.role, &identity.secrets);
        let estate = EstateFile::new(
            &identity.name,
            &identity.role,
            reachable(identity.address),
            bindable(identity.bind),
        );
        // The keys come first: an estate file without them is a keep that lost them.
        self.replace([(keys_path(&self.root, self.form), self.bytes(&keys)?)])?;
        self.replace([(estate_path(&self.root, self.form), self.bytes(&estate)?)])?;
        self.own.bind = Some(identity.bind);
        self.write_own(self.own.clone())?;
        self.rewrite_log()?;
        self.begun = None;
        Ok(self.identity.insert(identity))
    }
}

impl Keep for FileKeep {
    fn load(&mut self) -> io::Result<Kept> {
        Ok(Kept {
            identity: self.identity.as_ref().map(Identity::copy),
            records: self.records(),
        })
    }

    fn create(&mut self, identity: Identity) -> io::Result<Identity> {
        Ok(FileKeep::create(self, identity).map(Identity::copy)?)
    }

    fn store(&mut self, records: &[Record]) -> io::Result<()> {
        Ok(FileKeep::store(self, records)?)
    }
}

impl fmt::Debug for FileKeep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileKeep")
            .field("folder", &self.root)
            .finish_non_exhaustive()
    }
}

fn identity(estate: &EstateFile, secrets: &Secrets, own: &Own) -> Option<Identity> {
    let bind = layout::address(&estate.aha).ok()?;
    Some(Identity {
        name: estate.name.clone(),
        role: estate.role.clone(),
        address: layout::address(&estate.ha).ok()?,
        bind: own
            .bind
            .filter(|ours| bindable(*ours) == bind)
            .unwrap_or(bind),
        secrets: copy(secrets),
    })
}

/// Where others send to: no host is told as this one, as 0.6.8 does.
fn reachable(address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        SocketAddr::new(Ipv4Addr::LOCALHOST.into(), address.port())
    } else {
        address
    }
}

/// What 0.6.8, which has IPv4 alone, can bind to in place of it.
fn bindable(address: SocketAddr) -> SocketAddr {
    if address.ip() == IpAddr::from(Ipv6Addr::UNSPECIFIED) {
        SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), address.port())
    } else {
        address
    }
}
