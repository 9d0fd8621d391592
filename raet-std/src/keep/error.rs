//! What can be wrong with a keep on files: what stops it, and what a person only should know.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Why a keep on files was not opened, or did not do what it was asked.
#[derive(Debug)]
#[non_exhaustive]
pub enum KeepError {
    /// Another process has it.
    InUse(PathBuf),
    /// The folder holds other things, and no keep.
    Foreign(PathBuf),
    /// Its secrets can be read by others.
    Readable {
        /// The file that holds them.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A file without which the estate is nobody cannot be read.
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A file without which the estate is nobody is missing, while others of the keep are there.
    Missing(PathBuf),
    /// There is an estate in it already.
    Exists(PathBuf),
    /// A name or role that no keep can hold.
    Name(String),
    /// The system refused something.
    Io {
        /// Of what.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
}

impl KeepError {
    pub(super) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }
}

impl fmt::Display for KeepError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InUse(path) => write!(
                f,
                "{} is in use by another process: stop that one, or choose another folder",
                path.display()
            ),
            Self::Foreign(path) => write!(
                f,
                "{} holds other files and no keep: give the folder of the keep itself, or an empty one",
                path.display()
            ),
            Self::Readable { path, mode } => write!(
                f,
                "{} holds secret keys and has mode {mode:03o}: if nobody else has read it, chmod 600 it; else make new keys",
                path.display()
            ),
            Self::Damaged { path, why } => write!(
                f,
                "{} cannot be read ({why}): restore it from a backup; new keys are not made in its place",
                path.display()
            ),
            Self::Missing(path) => write!(
                f,
                "{} is missing from a keep that is in use: restore it from a backup; new keys are not made in its place",
                path.display()
            ),
            Self::Exists(path) => write!(
                f,
                "{} holds an estate already: choose another folder",
                path.display()
            ),
            Self::Name(name) => write!(
                f,
                "{name:?} is no name or role: 1 to 128 bytes without spaces, slashes and control characters"
            ),
            Self::Io { path, source } => write!(f, "{}: {source}", path.display()),
        }
    }
}

impl std::error::Error for KeepError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}

impl From<KeepError> for io::Error {
    fn from(error: KeepError) -> Self {
        match error {
            KeepError::Io { path, source } => {
                Self::new(source.kind(), format!("{}: {source}", path.display()))
            }
            other => Self::other(other),
        }
    }
}

/// What a person should know of a keep that was opened.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Notice {
    /// Others could read these secrets until now.
    Exposed(PathBuf),
    /// Others could enter this folder until now.
    Tightened(PathBuf),
    /// A damaged or foreign file was renamed and does not count.
    SetAside {
        /// What it was called.
        from: PathBuf,
        /// What it is called now.
        to: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// What was known of the keys of a role was damaged: it has to be accepted again.
    Unjudged(String),
    /// The keys of a role are unknown, because its file was damaged: who next joins under it is
    /// treated as new.
    Keyless(String),
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exposed(path) => write!(
                f,
                "{} holds secret keys that other users could read: it is closed now; if one of them may have, make new keys",
                path.display()
            ),
            Self::Tightened(path) => write!(
                f,
                "{} was open to other users: it is closed now",
                path.display()
            ),
            Self::SetAside { from, to, why } => write!(
                f,
                "{} cannot be read ({why}): it is set aside as {}, the rest is used",
                from.display(),
                to.display()
            ),
            Self::Unjudged(role) => write!(
                f,
                "the keys of role {role} are pending again, since their file was damaged: accept them anew"
            ),
            Self::Keyless(role) => write!(
                f,
                "the keys of role {role} are lost with their file: compare those that come next"
            ),
        }
    }
}
