//! A file system that loses power, and what a keep makes of it.

mod damage;
mod power;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use zeroize::Zeroizing;

use super::files::Files;
use super::{FileKeep, KeepError, KeepOptions};

/// Where the keep is.
const ROOT: &str = "/keep";

/// The same numbers for the same seed.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(super) fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).expect("31 bits") % n.max(1)
    }
}

#[derive(Clone, Default)]
struct Inode {
    /// What a reader sees.
    bytes: Vec<u8>,
    /// What is sure to be there after power was lost.
    durable: Vec<u8>,
    mode: u32,
    modified: u64,
}

/// A change of names that is not durable yet.
#[derive(Clone)]
enum Change {
    Link(PathBuf, usize),
    Unlink(PathBuf),
    Rename(PathBuf, PathBuf, usize),
}

impl Change {
    fn folder(&self) -> Option<&Path> {
        match self {
            Self::Link(path, _) | Self::Unlink(path) | Self::Rename(_, path, _) => path.parent(),
        }
    }

    fn apply(&self, names: &mut BTreeMap<PathBuf, usize>) {
        match self {
            Self::Link(path, inode) => {
                names.insert(path.clone(), *inode);
            }
            Self::Unlink(path) => {
                names.remove(path);
            }
            Self::Rename(from, to, inode) => {
                // Another file may have got the old name since.
                if names.get(from) == Some(inode) {
                    names.remove(from);
                }
                names.insert(to.clone(), *inode);
            }
        }
    }
}

/// Files in memory. Bytes are durable once synced, names once their folder is; of all else any part may
/// be there after power was lost, in any order.
#[derive(Clone, Default)]
struct Platter {
    inodes: Vec<Inode>,
    names: BTreeMap<PathBuf, usize>,
    durable: BTreeMap<PathBuf, usize>,
    changes: Vec<Change>,
    folders: BTreeSet<PathBuf>,
    modes: BTreeMap<PathBuf, u32>,
    clock: u64,
    /// Steps until power is lost.
    left: Option<usize>,
    steps: usize,
    removed: Vec<PathBuf>,
}

impl Platter {
    /// Each is a moment at which power may be lost: before it.
    fn step(&mut self) -> io::Result<()> {
        self.steps += 1;
        match &mut self.left {
            Some(0) => Err(io::Error::other("power lost")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn inode(&mut self, path: &Path) -> io::Result<&mut Inode> {
        let inode = *self.names.get(path).ok_or(ErrorKind::NotFound)?;
        Ok(&mut self.inodes[inode])
    }

    /// What is found when power is back.
    fn after_loss(&self, random: &mut Random) -> Self {
        let mut names = self.durable.clone();
        for change in &self.changes {
            if random.below(2) == 0 {
                change.apply(&mut names);
            }
        }
        let mut inodes = self.inodes.clone();
        for inode in &mut inodes {
            if inode.bytes != inode.durable {
                let len = inode.bytes.len();
                // What was added to can lose what was added; what was cut, all.
                let sure = if inode.bytes.starts_with(&inode.durable) {
                    inode.durable.len()
                } else {
                    0
                };
                match random.below(4) {
                    0 => inode.bytes.clone_from(&inode.durable),
                    1 => {}
                    2 => inode.bytes.truncate(sure + random.below(len - sure)),
                    // The length was written, its blocks were not.
                    _ => inode.bytes[sure..].fill(0),
                }
                inode.durable.clone_from(&inode.bytes);
            }
        }
        Self {
            inodes,
            durable: names.clone(),
            names,
            changes: Vec::new(),
            left: None,
            steps: 0,
            ..self.clone()
        }
    }
}

/// A handle of it.
#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Platter>>);

impl Memory {
    fn with<R>(&self, act: impl FnOnce(&mut Platter) -> R) -> R {
        act(&mut self.0.lock().expect("no panic"))
    }

    fn after_loss(&self, random: &mut Random) -> Self {
        Self(Arc::new(Mutex::new(self.with(|p| p.after_loss(random)))))
    }

    fn open(&self) -> Result<FileKeep, KeepError> {
        self.open_with(KeepOptions::default())
    }

    fn open_with(&self, options: KeepOptions) -> Result<FileKeep, KeepError> {
        let root = Path::new(ROOT);
        FileKeep::open_on(Box::new(self.clone()), Box::new(()), root, options)
    }

    /// All files, by path.
    fn all(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        self.with(|p| {
            let bytes = |inode: &usize| p.inodes[*inode].bytes.clone();
            let names = p.names.iter();
            names.map(|(path, i)| (path.clone(), bytes(i))).collect()
        })
    }

    fn put(&self, path: &Path, bytes: &[u8]) {
        self.with(|p| p.inode(path).expect("there").bytes = bytes.to_vec());
    }
}

impl Files for Memory {
    fn read(&mut self, path: &Path, most: u64) -> io::Result<Vec<u8>> {
        let most = usize::try_from(most).expect("64 bits");
        self.with(|p| {
            let bytes = &p.inode(path)?.bytes;
            Ok(bytes[..bytes.len().min(most + 1)].to_vec())
        })
    }

    fn list(&mut self, folder: &Path) -> io::Result<Vec<String>> {
        self.with(|p| {
            let inside = p.names.keys().filter(|path| path.parent() == Some(folder));
            Ok(inside
                .filter_map(|path| Some(path.file_name()?.to_str()?.to_owned()))
                .collect())
        })
    }

    fn modified(&mut self, path: &Path) -> io::Result<SystemTime> {
        self.with(|p| Ok(UNIX_EPOCH + Duration::from_secs(p.inode(path)?.modified)))
    }

    fn mode(&mut self, path: &Path) -> io::Result<u32> {
        self.with(|p| {
            if p.folders.contains(path) {
                return Ok(p.modes.get(path).copied().unwrap_or(0o700));
            }
            Ok(p.inode(path)?.mode)
        })
    }

    fn set_mode(&mut self, path: &Path, mode: u32) -> io::Result<()> {
        self.with(|p| {
            p.step()?;
            if p.folders.contains(path) {
                p.modes.insert(path.to_owned(), mode);
                return Ok(());
            }
            p.inode(path)?.mode = mode;
            Ok(())
        })
    }

    fn make_folder(&mut self, path: &Path) -> io::Result<()> {
        self.with(|p| {
            p.step()?;
            p.folders.extend(path.ancestors().map(Path::to_owned));
            Ok(())
        })
    }

    fn write(&mut self, files: &[(PathBuf, Zeroizing<Vec<u8>>)]) -> io::Result<()> {
        self.with(|p| {
            for (path, bytes) in files {
                p.step()?;
                p.clock += 1;
                let modified = p.clock;
                if !p.names.contains_key(path) {
                    p.inodes.push(Inode {
                        mode: 0o600,
                        ..Inode::default()
                    });
                    let inode = p.inodes.len() - 1;
                    p.names.insert(path.to_owned(), inode);
                    p.changes.push(Change::Link(path.to_owned(), inode));
                }
                let inode = p.inode(path)?;
                inode.bytes.clear();
                inode.modified = modified;
                p.step()?;
                p.inode(path)?.bytes = bytes.to_vec();
            }
            for (path, bytes) in files {
                p.step()?;
                p.inode(path)?.durable = bytes.to_vec();
            }
            Ok(())
        })
    }

    fn append(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.with(|p| {
            p.step()?;
            let inode = p.inode(path)?;
            inode.bytes.extend_from_slice(bytes);
            if let Err(error) = p.step() {
                // As a full disk leaves it, too.
                let inode = p.inode(path)?;
                inode.bytes.truncate(inode.bytes.len() - bytes.len() / 2);
                return Err(error);
            }
            let inode = p.inode(path)?;
            inode.durable.clone_from(&inode.bytes);
            Ok(())
        })
    }

    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        self.with(|p| {
            p.step()?;
            let inode = *p.names.get(from).ok_or(ErrorKind::NotFound)?;
            let change = Change::Rename(from.to_owned(), to.to_owned(), inode);
            change.apply(&mut p.names);
            p.changes.push(change);
            Ok(())
        })
    }

    fn remove(&mut self, path: &Path) -> io::Result<()> {
        self.with(|p| {
            p.step()?;
            p.removed.push(path.to_owned());
            if p.names.remove(path).is_some() {
                p.changes.push(Change::Unlink(path.to_owned()));
            }
            Ok(())
        })
    }

    fn sync_folder(&mut self, folder: &Path) -> io::Result<()> {
        self.with(|p| {
            p.step()?;
            let (durable, changes) = (&mut p.durable, &mut p.changes);
            changes.retain(|change| {
                let here = change.folder() == Some(folder);
                if here {
                    change.apply(durable);
                }
                !here
            });
            Ok(())
        })
    }
}
