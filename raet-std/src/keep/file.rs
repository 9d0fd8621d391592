//! A keep in a folder of 0.6.8's layout.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use raet_core::crypto::Secrets;
use raet_core::keep::{EstateRecord, Record, RemoteRecord, RoleRecord};
use raet_core::wire::Name;
use serde::Serialize;
use zeroize::Zeroizing;

use super::beside::{self, Line, Own, RemoteLine, RoleLine};
use super::error::{KeepError, Notice};
use super::files::Files;
use super::form::Form;
use super::layout::{
    self, EstateFile, FOLDERS, KeysFile, RemoteFile, RoleFile, estate_path, keys_path, remote_path,
    role_path,
};
use super::load::{Loaded, load};
use super::{Identity, Keep, Kept, copy};

/// How far ahead of the session ids in use a remote's `sid` is put down. 0.6.8 goes on from there; we
/// know better from what lies beside. So a file is rewritten for its `sid` once in tens of thousands of
/// restarts, and no id waits for it. A quarter of a 128th of the circle of ids: peers see the jump that
/// a change of hands makes as forward.
const AHEAD: u32 = 1 << 24;

/// Lines of a log that may count no more, beside as many as do.
const SPARE_LINES: usize = 1024;

/// Names that are remembered of a role.
const NAMES: usize = 16;

/// How the name of a file ends that is being written.
pub(super) const UNFINISHED: &str = ".tmp";

/// How a keep on files is opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct KeepOptions {
    /// The form of what is written; unless set, that of the newest estate file, JSON in a new keep. A
    /// keep of the other form is converted.
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
    root: PathBuf,
    form: Form,
    files: Box<dyn Files>,
    /// Nobody else opens the folder while this lives.
    _lock: Box<dyn Any + Send>,
    identity: Option<Identity>,
    /// Keys of an estate whose making was cut short.
    begun: Option<Secrets>,
    own: Own,
    remotes: BTreeMap<Name, HeldRemote>,
    roles: BTreeMap<Name, HeldRole>,
    /// Whose is a file's name, in lower case.
    taken: BTreeMap<String, Name>,
    notices: Vec<Notice>,
    /// Lines of the log; `None` while there is none.
    lines: Option<usize>,
}

pub(super) struct HeldRemote {
    pub(super) record: RemoteRecord,
    pub(super) file: RemoteFile,
    /// The form of its file, if it has one.
    pub(super) form: Option<Form>,
    /// It has one in the other form too.
    pub(super) both: bool,
    /// It has none, by its name.
    pub(super) alone: bool,
}

pub(super) struct HeldRole {
    /// `None`: its file has no keys.
    pub(super) record: Option<RoleRecord>,
    pub(super) form: Option<Form>,
    pub(super) both: bool,
    pub(super) alone: bool,
    first: u64,
    last: u64,
    names: Vec<String>,
}

/// A role, as a person asks for it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeptRole {
    /// Its keys and what was decided about them.
    pub record: RoleRecord,
    /// Names of the estates that bore it, the newest last; 16 at most.
    pub names: Vec<String>,
    /// When it was first put down; `None`: before that was written down.
    pub first_seen: Option<SystemTime>,
    /// When it was last put down: at a join, a change or a judgement.
    pub last_seen: Option<SystemTime>,
}

impl HeldRole {
    pub(super) fn new(record: Option<RoleRecord>, form: Option<Form>, both: bool) -> Self {
        Self {
            record,
            form,
            both,
            alone: false,
            first: 0,
            last: 0,
            names: Vec::new(),
        }
    }

    /// What lies beside. A judgement counts only with the keys and the status that it was about.
    pub(super) fn remember(&mut self, line: &RoleLine) {
        self.first = line.first;
        self.last = line.last;
        self.names.clone_from(&line.names);
        if let Some(record) = &mut self.record
            && record.status as u8 == line.acceptance
            && layout::text(&record.keys.verify) == line.verhex
            && layout::text(&record.keys.public) == line.pubhex
        {
            record.judged = line.judged;
        }
    }

    fn seen(&mut self, now: u64, name: Option<&str>) {
        if self.first == 0 {
            self.first = now;
        }
        self.last = now;
        if let Some(name) = name {
            self.names.retain(|known| known != name);
            self.names.push(name.to_owned());
            let older = self.names.len().saturating_sub(NAMES);
            self.names.drain(..older);
        }
    }

    fn line(&self) -> Option<Line> {
        let record = self.record.as_ref()?;
        Some(Line::Role(RoleLine {
            name: record.name.as_str().to_owned(),
            acceptance: record.status as u8,
            judged: record.judged,
            verhex: layout::text(&record.keys.verify),
            pubhex: layout::text(&record.keys.public),
            first: self.first,
            last: self.last,
            names: self.names.clone(),
            alone: self.alone,
        }))
    }
}

impl FileKeep {
    /// Opens the keep in this folder, which is made if it is not there, and holds it until dropped.
    ///
    /// # Errors
    ///
    /// See [`KeepError`].
    #[cfg(unix)]
    pub fn open(folder: impl AsRef<Path>, options: KeepOptions) -> Result<Self, KeepError> {
        use super::disk::{Disk, lock};
        let root = folder.as_ref();
        let mut disk = Disk;
        disk.make_folder(root).map_err(KeepError::io(root))?;
        let path = root.join("lock");
        match lock(&path).map_err(KeepError::io(&path))? {
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
            form,
        } = load(&mut *files, root, options.readable)?;
        for folder in FOLDERS.map(|folder| root.join(folder)) {
            files.make_folder(&folder).map_err(KeepError::io(&folder))?;
        }
        // Both were read before.
        let begun = keys.as_ref().and_then(|keys| keys.secrets().ok());
        let identity = match (&estate, &begun) {
            (Some(estate), Some(secrets)) => identity(estate, secrets, &own),
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
        if let (Some(estate), Some(keys)) = (&estate, &keys)
            && options.form.is_some()
        {
            keep.convert(estate, keys, form)?;
        }
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
                .then(|| UNIX_EPOCH.checked_add(std::time::Duration::from_secs(seconds)))
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

    /// Stores these records, each of another place.
    ///
    /// # Errors
    ///
    /// See [`KeepError`]. What is stored then of each place is the old record or the new.
    pub fn store(&mut self, records: &[Record]) -> Result<(), KeepError> {
        let batch = self.plan(records);
        // With 0.6.8 a remote needs its role's file: that comes before it and goes after it.
        let roles = batch.roles.iter().filter(|(_, held)| !held.alone);
        let roles = roles
            .filter_map(|(name, held)| {
                let file = RoleFile::new(held.record.as_ref()?);
                Some(
                    self.bytes(&file)
                        .map(|bytes| (role_path(&self.root, name, self.form), bytes)),
                )
            })
            .collect::<Result<Vec<_>, _>>()?;
        self.replace(roles)?;
        let remotes = batch.remotes.iter().filter(|(_, held)| !held.alone);
        let remotes = remotes
            .map(|(name, held)| {
                let bytes = self.bytes(&held.file)?;
                Ok((remote_path(&self.root, name, self.form), bytes))
            })
            .collect::<Result<Vec<_>, _>>()?;
        self.replace(remotes)?;
        let hidden = batch.remotes.iter().filter(|(_, held)| held.alone);
        let gone = batch
            .gone_remotes
            .iter()
            .chain(hidden.map(|(name, _)| name));
        self.remove_files("remote", gone, remote_path)?;
        self.remove_files("role/remote", batch.gone_roles.iter(), role_path)?;
        self.commit(batch)
    }

    /// Writes everything that is in another form than the keep's own in that, then removes the other.
    fn convert(
        &mut self,
        estate: &EstateFile,
        keys: &KeysFile,
        from: Option<Form>,
    ) -> Result<(), KeepError> {
        let form = self.form;
        let foreign = |held: Option<Form>, both| held.is_some() && (both || held != Some(form));
        if from != Some(form) {
            self.replace([(keys_path(&self.root, form), self.bytes(keys)?)])?;
            self.replace([(estate_path(&self.root, form), self.bytes(estate)?)])?;
        }
        let (mut roles, mut remotes, mut old) = (Vec::new(), Vec::new(), Vec::new());
        for (name, held) in self
            .roles
            .iter()
            .filter(|(_, held)| foreign(held.form, held.both))
        {
            let Some(record) = &held.record else { continue };
            roles.push((
                role_path(&self.root, name, form),
                self.bytes(&RoleFile::new(record))?,
            ));
            old.push(role_path(&self.root, name, form.other()));
        }
        for (name, held) in self
            .remotes
            .iter()
            .filter(|(_, held)| foreign(held.form, held.both))
        {
            remotes.push((remote_path(&self.root, name, form), self.bytes(&held.file)?));
            old.push(remote_path(&self.root, name, form.other()));
        }
        self.replace(roles)?;
        self.replace(remotes)?;
        old.push(keys_path(&self.root, form.other()));
        old.push(estate_path(&self.root, form.other()));
        for path in old {
            self.files.remove(&path).map_err(KeepError::io(&path))?;
        }
        Ok(())
    }

    /// What is to be held and written after these records, and changes nothing.
    fn plan(&mut self, records: &[Record]) -> Batch {
        let now = seconds();
        let mut batch = Batch::default();
        for record in records {
            match record {
                Record::Estate(estate) => batch.sessions = Some(estate.sessions),
                Record::Role(role) => {
                    let mut held = HeldRole::new(Some(role.clone()), Some(self.form), false);
                    held.alone = self.is_alone("role", &role.name);
                    if let Some(old) = self.roles.get(&role.name) {
                        held.both = old.both;
                        held.first = old.first;
                        held.names.clone_from(&old.names);
                    }
                    held.seen(now, None);
                    batch.roles.insert(role.name.clone(), held);
                }
                Record::Remote(_) => {}
                Record::Forgotten(name) => batch.gone_remotes.push(name.clone()),
                Record::ForgottenRole(name) => batch.gone_roles.push(name.clone()),
            }
        }
        for record in records {
            if let Record::Remote(remote) = record {
                if let Some(role) = batch.roles.get_mut(&remote.role) {
                    role.seen(now, Some(&remote.name));
                } else {
                    batch
                        .seen
                        .push((remote.role.clone(), remote.name.clone(), now));
                }
                let role_alone = match batch.roles.get(&remote.role) {
                    Some(role) => role.alone,
                    None => self.roles.get(&remote.role).is_some_and(|role| role.alone),
                };
                let alone = self.is_alone("estate", &remote.name) || role_alone;
                let held = self.next_remote(remote, remote.session, alone);
                batch.remotes.insert(remote.name.clone(), held);
            }
        }
        // No id may come into use that a 0.6.8 stack could then use again.
        let Some(sessions) = batch.sessions else {
            return batch;
        };
        for (name, held) in &self.remotes {
            if !at_or_after(held.file.sid, sessions)
                && !batch.remotes.contains_key(name)
                && !batch.gone_remotes.contains(name)
            {
                let next = self.next_remote(&held.record, sessions, held.alone);
                batch.remotes.insert(name.clone(), next);
            }
        }
        for held in batch.remotes.values_mut() {
            if !at_or_after(held.file.sid, sessions) {
                held.file.sid = ahead(sessions);
            }
        }
        batch
    }

    fn next_remote(&self, record: &RemoteRecord, sessions: u32, alone: bool) -> HeldRemote {
        let old = self.remotes.get(&record.name);
        let sid = match old {
            Some(old) if at_or_after(old.file.sid, sessions) => old.file.sid,
            _ => ahead(sessions),
        };
        HeldRemote {
            record: record.clone(),
            file: RemoteFile::update(old.map(|old| &old.file), record, sid),
            form: Some(self.form),
            both: old.is_some_and(|old| old.both),
            alone,
        }
    }

    /// Whether another name that differs only in case has a file already. The first one gets it.
    fn is_alone(&mut self, prefix: &str, name: &Name) -> bool {
        let folded = format!("{prefix}.{}", name.to_lowercase());
        let known = match prefix {
            "role" => self.roles.get(name).map(|held| held.alone),
            _ => self.remotes.get(name).map(|held| held.alone),
        };
        match known {
            Some(false) => false,
            _ => self.taken.entry(folded).or_insert_with(|| name.clone()) != name,
        }
    }

    /// The files are written: this is how it stands now.
    fn commit(&mut self, batch: Batch) -> Result<(), KeepError> {
        let mut touched = BTreeSet::new();
        for (name, held) in batch.roles {
            touched.insert(name.clone());
            self.roles.insert(name, held);
        }
        for (role, name, now) in batch.seen {
            if let Some(held) = self.roles.get_mut(&role) {
                held.seen(now, Some(&name));
                touched.insert(role);
            }
        }
        let mut lines = Vec::new();
        for name in batch.gone_roles {
            self.roles.remove(&name);
            self.release("role", &name);
            lines.push(Line::NoRole(name.as_str().to_owned()));
        }
        let touched = touched.iter().filter_map(|name| self.roles.get(name));
        lines.extend(touched.filter_map(HeldRole::line));
        for (name, held) in batch.remotes {
            lines.push(self.remote_line(&held));
            self.remotes.insert(name, held);
        }
        for name in batch.gone_remotes {
            self.remotes.remove(&name);
            self.release("estate", &name);
            lines.push(Line::NoRemote(name.as_str().to_owned()));
        }
        self.append(&lines)?;
        if let Some(sessions) = batch.sessions {
            self.write_own(Own {
                sessions: Some(sessions),
                ..self.own.clone()
            })?;
        }
        Ok(())
    }

    fn release(&mut self, prefix: &str, name: &Name) {
        let folded = format!("{prefix}.{}", name.to_lowercase());
        if self.taken.get(&folded) == Some(name) {
            self.taken.remove(&folded);
        }
    }

    fn remote_line(&self, held: &HeldRemote) -> Line {
        let role = self.roles.get(&held.record.role);
        let keys = role.and_then(|role| role.record.as_ref());
        Line::Remote(RemoteLine {
            name: held.record.name.as_str().to_owned(),
            sid: held.file.sid,
            session: held.record.session,
            proven: keys
                .filter(|_| held.record.proven)
                .map(|role| layout::text(&role.keys.verify)),
            alone: held.alone.then(|| held.file.clone()),
        })
    }

    fn append(&mut self, lines: &[Line]) -> Result<(), KeepError> {
        if lines.is_empty() {
            return Ok(());
        }
        let live = self.remotes.len() + self.roles.len();
        let Some(count) = self.lines.filter(|count| *count < 2 * live + SPARE_LINES) else {
            return self.rewrite_log();
        };
        let path = beside::log_path(&self.root);
        let mut bytes = Vec::new();
        for line in lines {
            beside::encode(line, &mut bytes).map_err(unwritten(&path))?;
        }
        self.files
            .append(&path, &bytes)
            .map_err(KeepError::io(&path))?;
        self.lines = Some(count + lines.len());
        Ok(())
    }

    /// A log of what counts alone.
    fn rewrite_log(&mut self) -> Result<(), KeepError> {
        let path = beside::log_path(&self.root);
        let mut bytes = Vec::new();
        let roles = self.roles.values().filter_map(HeldRole::line);
        let remotes = self.remotes.values().map(|held| self.remote_line(held));
        let mut count = 0;
        for line in roles.chain(remotes) {
            beside::encode(&line, &mut bytes).map_err(unwritten(&path))?;
            count += 1;
        }
        self.lines = None;
        self.replace([(path, bytes)])?;
        self.lines = Some(count);
        Ok(())
    }

    fn write_own(&mut self, own: Own) -> Result<(), KeepError> {
        let path = beside::own_path(&self.root);
        let mut bytes = Vec::new();
        beside::encode(&own, &mut bytes).map_err(unwritten(&path))?;
        self.replace([(path, bytes)])?;
        self.own = own;
        Ok(())
    }

    fn bytes<T: Serialize>(&self, content: &T) -> Result<Vec<u8>, KeepError> {
        self.form.write(content).map_err(unwritten(&self.root))
    }

    /// Replaces files of one folder, durably: the bytes of all, then the names of all.
    fn replace(
        &mut self,
        files: impl IntoIterator<Item = (PathBuf, Vec<u8>)>,
    ) -> Result<(), KeepError> {
        let mut names = Vec::new();
        for (path, bytes) in files {
            let mut unfinished = path.clone().into_os_string();
            unfinished.push(UNFINISHED);
            let unfinished = PathBuf::from(unfinished);
            let bytes = Zeroizing::new(bytes);
            self.files
                .write(&unfinished, &bytes)
                .map_err(KeepError::io(&unfinished))?;
            names.push((unfinished, path));
        }
        for (unfinished, path) in &names {
            self.files
                .rename(unfinished, path)
                .map_err(KeepError::io(path))?;
        }
        match names.first().and_then(|(_, path)| path.parent()) {
            Some(folder) => self
                .files
                .sync_folder(folder)
                .map_err(KeepError::io(folder)),
            None => Ok(()),
        }
    }

    fn remove_files<'a>(
        &mut self,
        folder: &str,
        names: impl Iterator<Item = &'a Name>,
        path: fn(&Path, &str, Form) -> PathBuf,
    ) -> Result<(), KeepError> {
        let mut any = false;
        for name in names {
            for form in Form::ALL {
                let path = path(&self.root, name, form);
                self.files.remove(&path).map_err(KeepError::io(&path))?;
            }
            any = true;
        }
        let folder = self.root.join(folder);
        if any {
            self.files
                .sync_folder(&folder)
                .map_err(KeepError::io(&folder))?;
        }
        Ok(())
    }
}

/// What a store comes to.
#[derive(Default)]
struct Batch {
    sessions: Option<u32>,
    roles: BTreeMap<Name, HeldRole>,
    remotes: BTreeMap<Name, HeldRemote>,
    gone_roles: Vec<Name>,
    gone_remotes: Vec<Name>,
    /// Role, name and time of remotes whose role is not written.
    seen: Vec<(Name, Name, u64)>,
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

/// In the circle of ids (road-wire: si).
const fn at_or_after(a: u32, b: u32) -> bool {
    a.wrapping_sub(b) < 1 << 31
}

/// 0 is never used.
const fn ahead(sessions: u32) -> u32 {
    match sessions.wrapping_add(AHEAD) {
        0 => 1,
        sid => sid,
    }
}

fn seconds() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

fn unwritten(path: &Path) -> impl FnOnce(serde_json::Error) -> KeepError {
    let path = path.to_owned();
    move |error| KeepError::Io {
        path,
        source: error.into(),
    }
}
