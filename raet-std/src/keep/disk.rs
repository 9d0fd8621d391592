//! The real file system, and the lock of a keep.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustix::fs::{FlockOperation, flock};
use rustix::process::geteuid;
use zeroize::Zeroizing;

use super::files::Files;

/// Files that are open at a time.
const OPEN: usize = 64;

/// The file system of this machine.
pub(super) struct Disk {
    /// Whom the files of a keep belong to where it is not who runs this: root looks after the keep of a
    /// service, which then must still be able to read it.
    owner: Option<(u32, u32)>,
}

impl Disk {
    pub(super) fn new(root: &Path) -> Self {
        let owner = geteuid()
            .is_root()
            .then(|| fs::metadata(root).ok())
            .flatten();
        Self {
            owner: owner
                .map(|folder| (folder.uid(), folder.gid()))
                .filter(|(user, _)| *user != 0),
        }
    }

    fn hand_over(&self, file: &File) -> io::Result<()> {
        match self.owner {
            Some((user, group)) => fchown(file, Some(user), Some(group)),
            None => Ok(()),
        }
    }

    /// Takes a lock that goes with the process, whatever ends it; `None`: another one has it.
    pub(super) fn lock(&self, path: &Path) -> io::Result<Option<File>> {
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)?;
        self.hand_over(&file)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(file)),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

impl Files for Disk {
    fn read(&mut self, path: &Path, most: u64) -> io::Result<Vec<u8>> {
        // A pipe would be waited for, a device need not end.
        if !fs::metadata(path)?.is_file() {
            return Err(io::Error::new(ErrorKind::InvalidData, "it is no file"));
        }
        let mut bytes = Vec::with_capacity(512);
        File::open(path)?.take(most + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn list(&mut self, folder: &Path) -> io::Result<Vec<String>> {
        let entries = match fs::read_dir(folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut names = Vec::new();
        for entry in entries {
            names.extend(entry?.file_name().into_string());
        }
        Ok(names)
    }

    fn modified(&mut self, path: &Path) -> io::Result<SystemTime> {
        fs::metadata(path)?.modified()
    }

    fn mode(&mut self, path: &Path) -> io::Result<u32> {
        Ok(fs::metadata(path)?.mode() & 0o777)
    }

    fn set_mode(&mut self, path: &Path, mode: u32) -> io::Result<()> {
        fs::set_permissions(path, Permissions::from_mode(mode))
    }

    fn make_folder(&mut self, path: &Path) -> io::Result<()> {
        if path.is_dir() {
            return Ok(());
        }
        let above = parent(path);
        self.make_folder(above)?;
        match DirBuilder::new().mode(0o700).create(path) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
            Err(_) => {}
            Ok(()) => self.hand_over(&File::open(path)?)?,
        }
        self.sync_folder(above)
    }

    fn write(&mut self, files: &[(PathBuf, Zeroizing<Vec<u8>>)]) -> io::Result<()> {
        for some in files.chunks(OPEN) {
            // All are written before the first is waited for: the system then makes many durable at
            // the cost of few.
            let mut open = Vec::with_capacity(some.len());
            for (path, bytes) in some {
                let mut file = OpenOptions::new()
                    .write(true)
                    .create(true)
                    .truncate(true)
                    .mode(0o600)
                    .open(path)?;
                self.hand_over(&file)?;
                file.write_all(bytes)?;
                open.push(file);
            }
            open.iter().try_for_each(File::sync_data)?;
        }
        Ok(())
    }

    fn append(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut file = OpenOptions::new().append(true).open(path)?;
        file.write_all(bytes)?;
        file.sync_data()
    }

    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&mut self, path: &Path) -> io::Result<()> {
        match fs::remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn sync_folder(&mut self, folder: &Path) -> io::Result<()> {
        File::open(folder)?.sync_all()
    }
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(above) if !above.as_os_str().is_empty() => above,
        _ => Path::new("."),
    }
}
