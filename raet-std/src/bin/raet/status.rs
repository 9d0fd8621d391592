//! `raet status`: who is up, asked of a running estate.

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use clap::Args;
use raet_std::control::{AskError, Reply, Report, Request, SOCKET, ask};
use serde_json::json;

use crate::key::Where;
use crate::options::{TICK, interrupts, seconds};
use crate::output::note;
use crate::table::{self, Table};
use crate::{FAILURE, Problem, SUCCESS};

/// Show who is up, since when, and what is on its way, of an estate that runs
///
/// Asks the estate over its control socket, which `raet listen` and `raet send` serve with --keep or
/// --control.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Status {
    #[command(flatten)]
    at: Where,

    /// Print JSON: an object, or with --watch one a line
    #[arg(long)]
    json: bool,

    /// Show it again each so many seconds, until interrupted
    #[arg(long, value_name = "SECS", value_parser = seconds, num_args = 0..=1, default_missing_value = "1")]
    watch: Option<Duration>,
}

const EXAMPLES: &str = "\
Columns: STATE is up, down (does not answer), reaped (silent for so long that it is not asked any more),
joined (no session yet), pending (somebody has to judge its keys), rejected or joining; SINCE is for how
long; RTT the round trip; QUEUED messages are not begun, IN FLIGHT ones not confirmed.

Examples:
  raet status --keep /var/lib/hub
  raet status --keep /var/lib/hub --watch 2
  raet status --control /run/hub.sock --json | jq '.remotes[] | select(.state != \"up\") | .name'

Exit codes: 0 it answered; 1 no estate runs there, or it does not answer; 2 wrong usage.";

impl Status {
    pub(crate) fn run(self) -> Result<u8, Problem> {
        let path = self.socket()?;
        let Some(pause) = self.watch else {
            let report = fetch(&path).map_err(Problem::failure)?;
            self.show(&report)?;
            return Ok(SUCCESS);
        };
        let interrupted = interrupts();
        let mut silent = false;
        loop {
            match fetch(&path) {
                Ok(report) => {
                    silent = false;
                    self.show(&report)?;
                }
                // It may be started again: told once, and looked for until then.
                Err(error @ AskError::Nobody(_)) => {
                    if !silent {
                        note(&error.to_string());
                    }
                    silent = true;
                }
                Err(error) => return Err(Problem::failure(error)),
            }
            let mut left = pause;
            while !left.is_zero() {
                if interrupted.load(std::sync::atomic::Ordering::Relaxed) {
                    return Ok(if silent { FAILURE } else { SUCCESS });
                }
                let nap = left.min(TICK);
                thread::sleep(nap);
                left -= nap;
            }
        }
    }

    fn socket(&self) -> Result<PathBuf, Problem> {
        match (&self.at.control, &self.at.keep) {
            (Some(control), _) => Ok(control.clone()),
            (None, Some(keep)) => Ok(keep.join(SOCKET)),
            (None, None) => Err(Problem::usage(
                "which estate? Give --keep DIR or --control PATH",
            )),
        }
    }

    fn show(&self, report: &Report) -> Result<(), Problem> {
        let mut text = if self.json {
            format!("{}\n", json!(report))
        } else {
            words(report)
        };
        if self.watch.is_some() && !self.json && io::stdout().is_terminal() {
            // Home, and clear what was there.
            text.insert_str(0, "\x1b[H\x1b[2J");
        }
        let mut out = io::stdout().lock();
        if out
            .write_all(text.as_bytes())
            .and_then(|()| out.flush())
            .is_err()
        {
            std::process::exit(i32::from(FAILURE));
        }
        Ok(())
    }
}

fn fetch(path: &std::path::Path) -> Result<Report, AskError> {
    match ask(path, &Request::Status)? {
        Reply::Status(report) => Ok(report),
        _ => Err(AskError::Refused(
            "the estate answers something else: is it of another version?".to_owned(),
        )),
    }
}

fn words(report: &Report) -> String {
    let mut text = format!(
        "{} at {}, up {} (keys {})\nmessages: {} taken, {} delivered, {} waiting; datagrams dropped: {}\n",
        table::text(&report.name),
        report.addr,
        table::for_so_long(Some(report.since)),
        report.keys.finger,
        report.messages_in,
        report.messages_out,
        report.waiting,
        report.dropped,
    );
    if report.remotes.is_empty() {
        text += "no remotes\n";
        return text;
    }
    let mut rows = Table::new(&[
        "REMOTE",
        "ROLE",
        "STATE",
        "SINCE",
        "RTT",
        "QUEUED",
        "IN FLIGHT",
        "ADDRESS",
    ])
    .numbers(&[4, 5, 6]);
    for remote in &report.remotes {
        let named = |name: &str| match name {
            "" => "-".to_owned(),
            name => table::text(name),
        };
        rows.row([
            named(&remote.name),
            named(&remote.role),
            remote.state.as_str().to_owned(),
            table::for_so_long(remote.since),
            remote
                .rtt_ms
                .map_or_else(|| "-".to_owned(), |rtt| format!("{rtt:.1} ms")),
            remote.queued.to_string(),
            remote.in_flight.to_string(),
            remote.addr.to_string(),
        ]);
    }
    text + &rows.to_string()
}
