//! How another process asks.

use std::fmt;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Reply, Request};

/// How long an answer may take: it is made in milliseconds, on a machine that does other things too.
const PATIENCE: Duration = Duration::from_secs(10);

/// Bytes of the longest reply that is taken: some hundred thousand remotes.
const LONGEST: u64 = 64 << 20;

/// Asks the estate that serves the socket at `path`.
///
/// # Errors
///
/// See [`AskError`].
pub fn ask(path: &Path, request: &Request) -> Result<Reply, AskError> {
    let told = |source| AskError::Io {
        path: path.to_owned(),
        source,
    };
    let mut stream = UnixStream::connect(path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            AskError::Nobody(path.to_owned())
        }
        _ => told(source),
    })?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(told)?;
    stream.set_write_timeout(Some(PATIENCE)).map_err(told)?;
    let mut line = serde_json::to_string(request).map_err(|error| told(error.into()))?;
    line.push('\n');
    stream.write_all(line.as_bytes()).map_err(told)?;
    let mut reply = String::new();
    stream
        .take(LONGEST)
        .read_to_string(&mut reply)
        .map_err(told)?;
    match serde_json::from_str(&reply).map_err(|error| told(error.into()))? {
        Reply::Refused(why) => Err(AskError::Refused(why)),
        reply => Ok(reply),
    }
}

/// Why there is no answer.
#[derive(Debug)]
#[non_exhaustive]
pub enum AskError {
    /// No estate serves that socket.
    Nobody(PathBuf),
    /// The estate did not do it, and nothing is changed, for this reason.
    Refused(String),
    /// The system refused something, or the answer made no sense.
    Io {
        /// The socket.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
}

impl fmt::Display for AskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nobody(path) => write!(
                f,
                "nobody serves {}: is the estate running, and with that --control or --keep?",
                path.display()
            ),
            Self::Refused(why) => f.write_str(why),
            Self::Io { path, source } if source.kind() == io::ErrorKind::PermissionDenied => {
                write!(
                    f,
                    "{} belongs to another user: be that one, or root",
                    path.display()
                )
            }
            Self::Io { path, source } => write!(f, "{}: {source}", path.display()),
        }
    }
}

impl std::error::Error for AskError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}
