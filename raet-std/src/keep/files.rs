//! The few things that a keep asks of a file system, so that a test can lose power between any two.

use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use zeroize::Zeroizing;

/// A file system. What a call does is durable only where its comment says so.
pub(super) trait Files: Send {
    /// The bytes of a file; of one that has more than `most`, one more than that. What is no file, such as
    /// a folder or a pipe, is [`InvalidData`](io::ErrorKind::InvalidData).
    fn read(&mut self, path: &Path, most: u64) -> io::Result<Vec<u8>>;

    /// The names in a folder, in no order; none if there is no such folder. Names that are not UTF-8
    /// are left out: nobody's of the protocol.
    fn list(&mut self, folder: &Path) -> io::Result<Vec<String>>;

    /// When a file was last written.
    fn modified(&mut self, path: &Path) -> io::Result<SystemTime>;

    /// Permission bits, `0o777` at most.
    fn mode(&mut self, path: &Path) -> io::Result<u32>;

    /// Sets them.
    fn set_mode(&mut self, path: &Path, mode: u32) -> io::Result<()>;

    /// Makes a folder for its owner alone, and those above it, durably; it may be there.
    fn make_folder(&mut self, path: &Path) -> io::Result<()>;

    /// Makes or replaces files for their owner alone; their bytes are durable, their names are not.
    fn write(&mut self, files: &[(PathBuf, Zeroizing<Vec<u8>>)]) -> io::Result<()>;

    /// Adds bytes to a file, durably; it is there already.
    fn append(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()>;

    /// Gives a file another name, in place of any that has it.
    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file; it may be gone.
    fn remove(&mut self, path: &Path) -> io::Result<()>;

    /// Makes the names in a folder durable.
    fn sync_folder(&mut self, folder: &Path) -> io::Result<()>;
}

/// Bytes of the largest file that is read, the log of what lies beside apart.
pub(super) const LARGEST: usize = 64 << 10;
