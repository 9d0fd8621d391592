//! What `listen` and `send` have in common: the estate.

use std::io::{self, Write};
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use raet_std::control::{Control, SOCKET};
use raet_std::core::config::{Presence, Trust};
use raet_std::core::limits::MAX_MESSAGE;
use raet_std::core::wire::{BodyKind, HeadKind};
use raet_std::keep::{KeepError, KeepOptions};
use raet_std::{FileKeep, OpenError, Road, RoadBuilder};

use crate::Problem;
use crate::output::{note, tell_notices};

/// How long a wait may be before the command looks whether it was interrupted.
pub(crate) const TICK: Duration = Duration::from_millis(50);

/// How long another command may have a keep before that is told.
pub(crate) const BUSY: Duration = Duration::from_secs(1);

/// Who the estate is.
#[derive(Args)]
pub(crate) struct Estate {
    /// The estate's name, unique on its road
    pub(crate) name: String,

    /// Let strangers join here
    #[arg(long)]
    main: bool,

    /// Let what is known of a peer (address, role, keys) change when it joins again
    #[arg(long)]
    mutable: bool,

    /// The folder where the estate survives a restart: its keys, whom it knows, whose keys are
    /// accepted. Made if it is not there; a 0.6.8 stack's is taken over
    #[arg(long, value_name = "DIR")]
    pub(crate) keep: Option<PathBuf>,

    /// The socket at which `raet key` and `raet status` ask this estate; `control` in the folder of the
    /// keep unless given
    #[arg(long, value_name = "PATH")]
    control: Option<PathBuf>,

    /// Which keys are accepted without asking: none (`raet key accept ROLE`, or type `accept ROLE`), the
    /// first that a role shows, or any
    #[arg(long, value_enum, default_value_t = Auto::Once)]
    auto: Auto,

    /// The role whose keys the estate bears; its name unless given, or as in the keep
    #[arg(long)]
    role: Option<String>,

    /// The form of the packet heads that are sent; both are read
    #[arg(long, value_enum, default_value_t = Head::Native)]
    head: Head,

    /// How messages are packed; both are read
    #[arg(long, value_enum, default_value_t = Packing::Json)]
    pub(crate) body: Packing,

    /// Print one JSON object a line for each thing that happens
    #[arg(long)]
    pub(crate) json: bool,

    /// Show each datagram on stderr, with what became of it: `>` goes out, `<` came
    #[arg(long)]
    trace: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Auto {
    Never,
    Once,
    Always,
}

#[derive(Clone, Copy, ValueEnum)]
enum Head {
    Native,
    Json,
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Packing {
    Json,
    Msgpack,
}

/// An estate that was opened, and what it is asked at.
pub(crate) struct Opened {
    pub(crate) road: Road,
    /// Served until this is dropped.
    _control: Option<Control>,
}

impl Estate {
    /// Opens the estate; `bind` is where, and whether a person said so.
    pub(crate) fn open(&self, bind: SocketAddr, said: bool) -> Result<Opened, Problem> {
        let mut builder = self.builder(bind);
        if let Some(folder) = &self.keep {
            let keep = self.keep(folder, said.then_some(bind))?;
            builder = builder.keep(keep);
        }
        let road = builder.open().map_err(|error| match (&self.keep, &error) {
            (Some(folder), OpenError::Bind { address, source })
                if !said && source.kind() == io::ErrorKind::AddrInUse =>
            {
                Problem::failure(format!(
                    "{address}, which is the address of the estate in {}, is in use by another program: stop that one",
                    folder.display()
                ))
            }
            _ => error.into(),
        })?;
        let control = self.serve(&road)?;
        Ok(Opened {
            road,
            _control: control,
        })
    }

    /// The keep, if it is this estate's: what a person says and what it holds must not differ, for the
    /// keep wins.
    fn keep(&self, folder: &Path, bind: Option<SocketAddr>) -> Result<FileKeep, Problem> {
        let end = Instant::now() + BUSY;
        let keep = loop {
            match FileKeep::open(folder, KeepOptions::default()) {
                // A `raet key` that looks at it is soon done.
                Err(KeepError::InUse(_)) if Instant::now() < end => thread::sleep(TICK),
                opened => break opened.map_err(Problem::failure)?,
            }
        };
        tell_notices(&keep);
        let Some(kept) = keep.identity() else {
            return Ok(keep);
        };
        let other = |what: &str, kept: &str, said: &str| {
            Problem::usage(format!(
                "the estate in {} has the {what} {kept}, not {said}: give that, or another folder",
                folder.display()
            ))
        };
        if kept.name != self.name {
            return Err(other("name", &kept.name, &self.name));
        }
        if let Some(role) = self.role.as_ref().filter(|role| **role != kept.role) {
            return Err(other("role", &kept.role, role));
        }
        if let Some(bind) = bind.filter(|bind| *bind != kept.bind && bind.port() != 0) {
            return Err(other("address", &kept.bind.to_string(), &bind.to_string()));
        }
        Ok(keep)
    }

    fn serve(&self, road: &Road) -> Result<Option<Control>, Problem> {
        let folder = self.keep.as_deref();
        let cannot = |path: &Path, error: &io::Error| {
            format!(
                "the control socket {} is not served: {error}",
                path.display()
            )
        };
        match (&self.control, folder) {
            (Some(path), _) => match road.serve_control(path, folder) {
                Ok(control) => Ok(Some(control)),
                Err(error) => Err(Problem::failure(cannot(path, &error))),
            },
            (None, Some(folder)) => {
                let path = folder.join(SOCKET);
                let served = road.serve_control(&path, Some(folder));
                // Nobody asked for it, so the estate does without.
                if let Err(error) = &served {
                    note(&format!("{}; give --control PATH", cannot(&path, error)));
                }
                Ok(served.ok())
            }
            (None, None) => Ok(None),
        }
    }

    /// The estate as it is to be opened, with room for the longest message that the protocol has.
    fn builder(&self, bind: SocketAddr) -> RoadBuilder {
        let head = match self.head {
            Head::Native => HeadKind::Native,
            Head::Json => HeadKind::Json,
        };
        let body = match self.body {
            Packing::Json => BodyKind::Json,
            Packing::Msgpack => BodyKind::Msgpack,
        };
        let mutable = self.mutable;
        let builder = Road::builder(&self.name)
            .bind(bind)
            .main(self.main)
            .trust(match self.auto {
                Auto::Never => Trust::Never,
                Auto::Once => Trust::Once,
                Auto::Always => Trust::Always,
            })
            .largest_message(MAX_MESSAGE)
            .configure(move |config| {
                (config.head, config.body, config.mutable) = (head, body, mutable);
                config.presence = Some(Presence::default());
            });
        let builder = match &self.role {
            Some(role) => builder.role(role),
            None => builder,
        };
        if !self.trace {
            return builder;
        }
        let started = Instant::now();
        builder.trace(move |datagram| {
            let time = started.elapsed().as_secs_f64();
            // A reader of stderr that went away is no reason to end.
            let _ = writeln!(io::stderr(), "{time:9.3}  {datagram}");
        })
    }
}

/// All addresses of `HOST:PORT`.
pub(crate) fn resolve(text: &str) -> Result<Vec<SocketAddr>, Problem> {
    let Some((host, port)) = text.rsplit_once(':') else {
        return Err(Problem::usage(format!(
            "{text} has no port: give HOST:PORT, such as {text}:7530"
        )));
    };
    if port.parse::<u16>().is_err() {
        return Err(Problem::usage(format!(
            "{port} is no port: give HOST:PORT with a number up to 65535"
        )));
    }
    let found = text
        .to_socket_addrs()
        .map_err(|error| {
            Problem::failure(format!(
                "the host {host} is not known ({error}): check its name, or give its address"
            ))
        })?
        .collect::<Vec<_>>();
    if found.is_empty() {
        return Err(Problem::failure(format!("the host {host} has no address")));
    }
    Ok(found)
}

/// Set when the command is interrupted, so that it can end in order. A second interrupt ends it at once.
pub(crate) fn interrupts() -> Arc<AtomicBool> {
    let interrupted = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&interrupted);
    // Without it an interrupt ends the command at once, as for any other.
    let _ = ctrlc::set_handler(move || {
        if seen.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
    });
    interrupted
}

/// Seconds of a `--timeout`; fractions are fine.
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    text.parse::<f64>()
        .ok()
        .filter(|seconds| *seconds > 0.0)
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or_else(|| "a number of seconds above 0".to_owned())
}

/// When that time is over; `None` when it never is.
pub(crate) fn deadline(time: Option<Duration>) -> Option<Instant> {
    Instant::now().checked_add(time?)
}
