//! Reading a keep: what is good counts, what is damaged is named and set aside.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};

use raet_core::crypto::NaclSuite;
use raet_core::keep::{RoleRecord, Status};
use raet_core::wire::Name;

use super::beside::{self, Own, RemoteLine, RoleLine, Told};
use super::error::{KeepError, Notice};
use super::files::{Files, LARGEST};
use super::form::Form;
use super::held::{HeldRemote, HeldRole};
use super::layout::{
    self, EstateFile, FOLDERS, KeysFile, RemoteFile, RoleFile, estate_path, keys_path,
    parse_file_name,
};

/// Everything that a folder held.
pub(super) struct Loaded {
    pub(super) estate: Option<Found<EstateFile>>,
    pub(super) keys: Option<Found<KeysFile>>,
    pub(super) own: Own,
    pub(super) remotes: BTreeMap<Name, HeldRemote>,
    pub(super) roles: BTreeMap<Name, HeldRole>,
    pub(super) notices: Vec<Notice>,
    /// Lines of the log, those that no longer count too; `None`: it is to be written anew.
    pub(super) lines: Option<usize>,
}

/// A file that was read, the newer one where both forms are there.
pub(super) struct Found<T> {
    pub(super) content: T,
    pub(super) form: Form,
    pub(super) both: bool,
}

/// The files of a folder by name, and the names of those that were set aside with no good one left.
struct Folder<T> {
    found: BTreeMap<String, Found<T>>,
    damaged: Vec<String>,
}

/// Whether a folder is somebody else's: it holds what no keep does, and nothing that only a keep does.
/// In such a one nothing is made, and nothing is closed to others.
pub(super) fn is_foreign(files: &mut dyn Files, root: &Path) -> io::Result<bool> {
    let sole = Form::ALL.map(|form| [estate_path(root, form), keys_path(root, form)]);
    let own = [beside::own_path(root), beside::log_path(root)];
    if sole
        .as_flattened()
        .iter()
        .chain(&own)
        .any(|path| files.mode(path).is_ok())
    {
        return Ok(false);
    }
    // What is left of one whose making was cut short.
    let ours = |name: &String| {
        let known = ["lock", "local", "remote", "role"].contains(&name.as_str());
        known || name.starts_with("control") || name.starts_with("beyond.")
    };
    Ok(!files.list(root)?.iter().all(ours))
}

pub(super) fn load(
    files: &mut dyn Files,
    root: &Path,
    readable: bool,
) -> Result<Loaded, KeepError> {
    let mut loader = Loader {
        files,
        root,
        notices: Vec::new(),
    };
    loader.load(readable)
}

struct Loader<'a> {
    files: &'a mut dyn Files,
    root: &'a Path,
    notices: Vec<Notice>,
}

impl Loader<'_> {
    fn load(&mut self, readable: bool) -> Result<Loaded, KeepError> {
        let ours = [beside::own_path(self.root), beside::log_path(self.root)]
            .iter()
            .any(|path| self.files.mode(path).is_ok());
        self.guard(ours, readable)?;
        let (own, own_damaged) = self.own()?;
        let told = self.told()?;
        let damaged = own_damaged || told.damaged;
        // Whether it is known which session ids were used. If not, that is to be put down, too: the next
        // one to open the keep sees no damage.
        let sure = own.is_some() && !told.damaged;

        let estate: Option<Found<EstateFile>> = self.sole(estate_path)?;
        let keys: Option<Found<KeysFile>> = self.sole(keys_path)?;
        let roles = self.roles(&told.roles)?;
        let ours_by_name = estate.as_ref().map(|found| found.content.name.as_str());
        let (remotes, lost) = self.remotes(&told.remotes, &roles, ours_by_name, (damaged, sure))?;
        // Roles alone may have come before the estate: a person accepted them ahead of time.
        let used = own.is_some() || own_damaged || !remotes.is_empty() || lost;
        let form = estate.as_ref().map(|found| found.form);
        let missing = |path: fn(&Path, Form) -> PathBuf| {
            KeepError::Missing(path(self.root, form.unwrap_or_default()))
        };
        match (&estate, &keys) {
            (Some(_), None) => return Err(missing(keys_path)),
            // Without any remote it is an estate whose making was cut short, if its keys are there:
            // they were first.
            (None, _) if used => return Err(missing(estate_path)),
            _ => {}
        }
        if let Some(estate) = &estate {
            check_estate(&estate.content).map_err(|why| KeepError::Damaged {
                path: estate_path(self.root, form.unwrap_or_default()),
                why,
            })?;
        }
        if let Some(keys) = &keys {
            keys.content.secrets().map_err(|why| KeepError::Damaged {
                path: keys_path(self.root, form.unwrap_or_default()),
                why,
            })?;
        }
        Ok(Loaded {
            estate,
            keys,
            own: own.unwrap_or_default(),
            remotes,
            roles,
            notices: std::mem::take(&mut self.notices),
            lines: told.lines.filter(|_| sure),
        })
    }

    /// Folders are their owner's alone, and so are the secrets. What 0.6.8 left open is closed; in a
    /// keep of ours somebody else opened it.
    fn guard(&mut self, ours: bool, readable: bool) -> Result<(), KeepError> {
        let mut used = false;
        for form in Form::ALL {
            let path = keys_path(self.root, form);
            let Ok(mode) = self.files.mode(&path) else {
                continue;
            };
            used = true;
            if !is_open(mode) || readable {
                continue;
            }
            if ours {
                return Err(KeepError::Readable { path, mode });
            }
            self.tighten(&path, 0o600)?;
            self.notices.push(Notice::Exposed(path));
        }
        if readable {
            return Ok(());
        }
        let folders = FOLDERS.map(|folder| self.root.join(folder));
        let root = self.root.to_owned();
        let between = self.root.join("role");
        for folder in [root, between].into_iter().chain(folders) {
            if self.files.mode(&folder).is_ok_and(is_open) {
                self.tighten(&folder, 0o700)?;
                // Of a folder that somebody has just made there is nothing to tell.
                if used {
                    self.notices.push(Notice::Tightened(folder));
                }
            }
        }
        Ok(())
    }

    fn tighten(&mut self, path: &Path, mode: u32) -> Result<(), KeepError> {
        self.files.set_mode(path, mode).map_err(KeepError::io(path))
    }

    /// What it is, and whether it was damaged.
    fn own(&mut self) -> Result<(Option<Own>, bool), KeepError> {
        let path = beside::own_path(self.root);
        let Some(bytes) = self.read(&path, LARGEST as u64)? else {
            return Ok((None, false));
        };
        if let Some(own) = beside::decode(&bytes) {
            return Ok((Some(own), false));
        }
        self.set_aside(&path, "its checksum is wrong")?;
        Ok((None, true))
    }

    fn told(&mut self) -> Result<Told, KeepError> {
        let path = beside::log_path(self.root);
        let Some(bytes) = self.read(&path, beside::LONGEST)? else {
            return Ok(Told::default());
        };
        let told = Told::read(&bytes);
        if told.damaged && !is_cut(&bytes) {
            self.set_aside(&path, "the checksum of a line is wrong")?;
        }
        Ok(told)
    }

    fn read(&mut self, path: &Path, most: u64) -> Result<Option<Vec<u8>>, KeepError> {
        match self.files.read(path, most) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(KeepError::io(path)(error)),
        }
    }

    /// A file of which there is one, in either form. None may be damaged.
    fn sole<T: serde::de::DeserializeOwned>(
        &mut self,
        path: fn(&Path, Form) -> PathBuf,
    ) -> Result<Option<Found<T>>, KeepError> {
        let mut newest = None;
        let mut both = false;
        for form in Form::ALL {
            let path = path(self.root, form);
            let modified = match self.files.modified(&path) {
                Ok(modified) => modified,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                // It is there, and nobody else is to be in its place.
                Err(error) => return Err(KeepError::io(&path)(error)),
            };
            both = newest.is_some();
            if newest
                .as_ref()
                .is_none_or(|(other, _, _)| *other < modified)
            {
                newest = Some((modified, path, form));
            }
        }
        let Some((_, path, form)) = newest else {
            return Ok(None);
        };
        let Some(bytes) = self.read(&path, LARGEST as u64)? else {
            return Ok(None);
        };
        match parse(form, &bytes) {
            Ok(content) => Ok(Some(Found {
                content,
                form,
                both,
            })),
            Err(why) => Err(KeepError::Damaged { path, why }),
        }
    }

    /// The files of a folder by name, each judged by `take`, the newer one where both forms are good.
    fn folder<T>(
        &mut self,
        (folder, prefix): (&str, &str),
        mut take: impl FnMut(&str, Form, &[u8]) -> Result<T, String>,
    ) -> Result<Folder<T>, KeepError> {
        let folder = self.root.join(folder);
        let mut found = BTreeMap::<String, Found<T>>::new();
        let mut damaged = Vec::new();
        let mut names = self.files.list(&folder).map_err(KeepError::io(&folder))?;
        names.sort_unstable();
        for file in names {
            let path = folder.join(&file);
            if let Some(whole) = file.strip_suffix(super::write::UNFINISHED) {
                if parse_file_name(whole, prefix).is_some() {
                    self.files.remove(&path).map_err(KeepError::io(&path))?;
                }
                continue;
            }
            let Some((name, form)) = parse_file_name(&file, prefix) else {
                continue;
            };
            let bytes = match self.files.read(&path, LARGEST as u64) {
                Ok(bytes) => Ok(bytes),
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(error.to_string()),
                Err(error) => return Err(KeepError::io(&path)(error)),
            };
            let content = match bytes.and_then(|bytes| take(&name, form, &bytes)) {
                Ok(content) => content,
                Err(why) => {
                    self.set_aside(&path, &why)?;
                    damaged.push(name);
                    continue;
                }
            };
            let mut both = false;
            if let Some(other) = found.get(&name) {
                both = true;
                let other = folder.join(format!("{prefix}.{name}.{}", other.form.ending()));
                // At the same time JSON counts, for all kinds of files.
                if !self.newer(&path, &other)? {
                    if let Some(other) = found.get_mut(&name) {
                        other.both = true;
                    }
                    continue;
                }
            }
            found.insert(
                name,
                Found {
                    content,
                    form,
                    both,
                },
            );
        }
        damaged.retain(|name| !found.contains_key(name));
        Ok(Folder { found, damaged })
    }

    fn newer(&mut self, this: &Path, that: &Path) -> Result<bool, KeepError> {
        let this = self.files.modified(this).map_err(KeepError::io(this))?;
        let that = self.files.modified(that).map_err(KeepError::io(that))?;
        Ok(this > that)
    }

    fn roles(
        &mut self,
        told: &HashMap<String, RoleLine>,
    ) -> Result<BTreeMap<Name, HeldRole>, KeepError> {
        let suite = NaclSuite::new(&[0; 32]);
        let Folder { found, damaged } =
            self.folder(("role/remote", "role"), |name, form, bytes| {
                let file: RoleFile = parse(form, bytes)?;
                if file.role() != name {
                    return Err(format!("it is about role {:?}", file.role()));
                }
                Ok((layout::fit(name)?, file.record(&suite)?))
            })?;
        let mut roles = BTreeMap::new();
        for (text, found) in found {
            let (name, record) = found.content;
            let mut held = HeldRole::new(record, Some(found.form), found.both);
            if let Some(line) = told.get(&text) {
                held.remember(line);
            }
            roles.insert(name, held);
        }
        // Roles that have no file: some never had one, and of some it was damaged just now.
        for line in told.values() {
            let lost = damaged.contains(&line.name);
            let Ok(name) = layout::fit(&line.name) else {
                continue;
            };
            if !(line.alone || lost) || roles.contains_key(&name) {
                continue;
            }
            let (Ok(keys), Ok(status)) = (
                layout::keys(&line.verhex, &line.pubhex, &suite),
                layout::status(line.acceptance),
            ) else {
                continue;
            };
            // A person may have judged otherwise in the file that is lost.
            let (status, judged) = if lost && status == Status::Accepted {
                self.notices.push(Notice::Unjudged(line.name.clone()));
                (Status::Pending, false)
            } else {
                (status, line.judged)
            };
            let record = RoleRecord {
                name: name.clone(),
                status,
                judged,
                keys,
            };
            let mut held = HeldRole::new(Some(record), None, false);
            held.remember(line);
            if let Some(record) = &mut held.record {
                record.judged = judged;
            }
            held.alone = line.alone;
            roles.insert(name, held);
        }
        for role in damaged {
            if !layout::fit(&role).is_ok_and(|name| roles.contains_key(&name)) {
                self.notices.push(Notice::Keyless(role));
            }
        }
        Ok(roles)
    }

    /// The remotes, and whether a file of one was damaged.
    fn remotes(
        &mut self,
        told: &HashMap<String, RemoteLine>,
        roles: &BTreeMap<Name, HeldRole>,
        ours: Option<&str>,
        (damaged, sure): (bool, bool),
    ) -> Result<(BTreeMap<Name, HeldRemote>, bool), KeepError> {
        let mut uids = HashSet::new();
        let mut owners = HashMap::<String, u32>::new();
        let Folder {
            found,
            damaged: lost,
        } = self.folder(("remote", "estate"), |name, form, bytes| {
            let file: RemoteFile = parse(form, bytes)?;
            if file.name != name {
                return Err(format!("it is about estate {:?}", file.name));
            }
            let record = file.record()?;
            if ours == Some(name) {
                return Err("it bears the name of this estate".to_owned());
            }
            // The same remote in the other form may have it too.
            if owners.get(name) != Some(&record.near) && !uids.insert(record.near) {
                return Err(format!("another remote has its uid {} too", record.near));
            }
            owners.insert(name.to_owned(), record.near);
            Ok((file, record))
        })?;
        let mut remotes = BTreeMap::new();
        for (text, found) in found {
            let (file, mut record) = found.content;
            let role = roles
                .get(&record.role)
                .and_then(|held| held.record.as_ref());
            match told.get(&text) {
                Some(line) => {
                    record.proven = proven(line, role);
                    if line.sid == file.sid && sure {
                        record.session = line.session;
                    }
                }
                // 0.6.8 made it. It allows at once what it has joined, so the keys that it holds
                // were proven; were they not, then an allow with us would fail.
                None => {
                    record.proven = record.joined
                        && !damaged
                        && role.is_some_and(|role| role.status == Status::Accepted);
                }
            }
            let held = HeldRemote {
                record,
                file,
                form: Some(found.form),
                both: found.both,
                alone: false,
            };
            remotes.insert(held.record.name.clone(), held);
        }
        for line in told.values() {
            let Some(file) = &line.alone else { continue };
            let Ok(mut record) = file.record() else {
                continue;
            };
            if remotes.contains_key(&record.name) || !uids.insert(record.near) {
                continue;
            }
            if sure {
                record.session = line.session;
            }
            let role = roles
                .get(&record.role)
                .and_then(|held| held.record.as_ref());
            record.proven = proven(line, role);
            let held = HeldRemote {
                record,
                file: file.clone(),
                form: None,
                both: false,
                alone: true,
            };
            remotes.insert(held.record.name.clone(), held);
        }
        Ok((remotes, !lost.is_empty()))
    }

    fn set_aside(&mut self, path: &Path, why: &str) -> Result<(), KeepError> {
        let to = (1..u32::MAX)
            .map(|n| {
                let mut name = path.as_os_str().to_owned();
                name.push(format!(".damaged-{n}"));
                PathBuf::from(name)
            })
            .find(|to| self.files.mode(to).is_err())
            .unwrap_or_else(|| path.to_owned());
        self.files.rename(path, &to).map_err(KeepError::io(path))?;
        self.notices.push(Notice::SetAside {
            from: path.to_owned(),
            to,
            why: why.to_owned(),
        });
        Ok(())
    }
}

/// Whether others than its owner can do anything with it.
const fn is_open(mode: u32) -> bool {
    mode.trailing_zeros() < 6
}

fn proven(line: &RemoteLine, role: Option<&RoleRecord>) -> bool {
    match (&line.proven, role) {
        (Some(key), Some(role)) => *key == layout::text(&role.keys.verify),
        _ => false,
    }
}

fn parse<T: serde::de::DeserializeOwned>(form: Form, bytes: &[u8]) -> Result<T, String> {
    if bytes.len() > LARGEST {
        return Err("it is too large".to_owned());
    }
    form.read(bytes)
}

fn check_estate(estate: &EstateFile) -> Result<(), String> {
    layout::fit(&estate.name)?;
    layout::fit(&estate.role)?;
    layout::address(&estate.ha)?;
    layout::address(&estate.aha)?;
    Ok(())
}

/// Whether only the end of a log is unreadable, as a crash leaves it.
fn is_cut(bytes: &[u8]) -> bool {
    let Some(last) = bytes.iter().rposition(|&byte| byte == b'\n') else {
        return true;
    };
    let (good, _) = bytes.split_at(last);
    !Told::read(good).damaged
}
