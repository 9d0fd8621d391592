//! The socket, and who may ask at it how much.

use std::fs::{self, Permissions};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token, Waker};
use socket2::{Domain, SockAddr, Socket, Type};

use super::answer::answer;
use super::{Reply, Request};
use crate::engine::Shared;

/// Connections that wait for their turn; more fail at once.
const WAITING: i32 = 64;

/// Bytes of a request.
const LONGEST: usize = 4096;

/// How long a connection may take. They are served one after the other, so this is what one that says
/// nothing holds up another.
const PATIENCE: Duration = Duration::from_secs(1);

const LISTENER: Token = Token(0);
const END: Token = Token(1);

/// Serves the control socket of a road ([`Road::serve_control`](crate::Road::serve_control)) until it
/// is dropped, which removes the socket. It does not keep the road open.
#[must_use = "dropping it ends the service"]
pub struct Control {
    path: PathBuf,
    /// Device and number of the socket's file: another one in its place is not removed.
    file: (u64, u64),
    ended: Arc<AtomicBool>,
    wake: Waker,
    thread: Option<JoinHandle<()>>,
}

impl Control {
    pub(crate) fn open(
        road: &Arc<Shared>,
        path: &Path,
        folder: Option<PathBuf>,
    ) -> io::Result<Self> {
        let (listener, file) = listen(path)?;
        let mut poll = Poll::new()?;
        let wake = Waker::new(poll.registry(), END)?;
        let ended = Arc::new(AtomicBool::new(false));
        let mut listener = mio::net::UnixListener::from_std(listener);
        poll.registry()
            .register(&mut listener, LISTENER, Interest::READABLE)?;
        let road = Arc::downgrade(road);
        let end = Arc::clone(&ended);
        let thread = thread::Builder::new()
            .name("raet-control".to_owned())
            .spawn(move || serve(&road, &end, &mut poll, &listener, folder.as_deref()))?;
        Ok(Self {
            path: path.to_owned(),
            file,
            ended,
            wake,
            thread: Some(thread),
        })
    }

    /// Where the socket is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        if fs::symlink_metadata(&self.path).is_ok_and(|found| number(&found) == self.file) {
            // If it cannot be removed, the next one to serve it will find that nobody does.
            let _ = fs::remove_file(&self.path);
        }
        self.ended.store(true, Ordering::Relaxed);
        // It fails only when the thread, which holds the other end, is gone.
        let _ = self.wake.wake();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn number(file: &fs::Metadata) -> (u64, u64) {
    (file.dev(), file.ino())
}

/// Binds the socket so that at no moment anybody else can reach it: it listens only once its mode is
/// set, and has its name only then.
fn listen(path: &Path) -> io::Result<(UnixListener, (u64, u64))> {
    if let Ok(found) = fs::symlink_metadata(path) {
        if !found.file_type().is_socket() {
            return Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                "a file that is no socket is there: choose another path",
            ));
        }
        if UnixStream::connect(path).is_ok() {
            return Err(io::Error::new(
                io::ErrorKind::AddrInUse,
                "another estate serves it: choose another path",
            ));
        }
    }
    let mut new = path.as_os_str().to_owned();
    new.push(format!(".{}", std::process::id()));
    let new = PathBuf::from(new);
    let _ = fs::remove_file(&new); // of an earlier process of this number, which crashed here
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.bind(&SockAddr::unix(&new)?)?;
    let ready = fs::set_permissions(&new, Permissions::from_mode(0o600))
        .and_then(|()| socket.listen(WAITING))
        .and_then(|()| socket.set_nonblocking(true))
        .and_then(|()| fs::symlink_metadata(&new))
        .and_then(|found| fs::rename(&new, path).map(|()| number(&found)));
    match ready {
        Ok(file) => Ok((UnixListener::from(OwnedFd::from(socket)), file)),
        Err(error) => {
            let _ = fs::remove_file(&new);
            Err(error)
        }
    }
}

fn serve(
    road: &Weak<Shared>,
    end: &AtomicBool,
    poll: &mut Poll,
    listener: &mio::net::UnixListener,
    folder: Option<&Path>,
) {
    let mut events = Events::with_capacity(4);
    loop {
        match poll.poll(&mut events, None) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => return,
        }
        loop {
            if end.load(Ordering::Relaxed) {
                return;
            }
            match listener.accept() {
                Ok((stream, _)) => {
                    let Some(road) = road.upgrade() else { return };
                    // Whoever asked and went away does not want to know.
                    let _ = converse(&stream.into(), &road, folder);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // Such as too many open files: it is over when some are closed.
                Err(_) => thread::sleep(Duration::from_millis(50)),
            }
        }
    }
}

fn converse(stream: &UnixStream, road: &Shared, folder: Option<&Path>) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    let end = Instant::now() + PATIENCE;
    let answer = match request(stream, end)? {
        Ok(request) => answer(road, folder, &request),
        Err(why) => Reply::Refused(why),
    };
    reply(stream, end, &answer)
}

/// Reads a line, however slowly it comes, but not for ever.
fn request(mut stream: &UnixStream, end: Instant) -> io::Result<Result<Request, String>> {
    let mut line = Vec::new();
    let mut some = [0; 512];
    while !line.contains(&b'\n') {
        if line.len() > LONGEST {
            return Ok(Err(format!("a request has at most {LONGEST} bytes")));
        }
        stream.set_read_timeout(Some(left(end)?))?;
        let count = stream.read(&mut some)?;
        if count == 0 {
            break;
        }
        line.extend(some.iter().take(count));
    }
    Ok(serde_json::from_slice(&line).map_err(|error| format!("not understood: {error}")))
}

fn reply(mut stream: &UnixStream, end: Instant, reply: &Reply) -> io::Result<()> {
    let mut line = serde_json::to_vec(reply)?;
    line.push(b'\n');
    let mut rest = line.as_slice();
    while !rest.is_empty() {
        stream.set_write_timeout(Some(left(end)?))?;
        let count = stream.write(rest)?;
        rest = rest.get(count..).unwrap_or_default();
    }
    Ok(())
}

fn left(end: Instant) -> io::Result<Duration> {
    let left = end.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(io::ErrorKind::TimedOut.into());
    }
    Ok(left)
}
