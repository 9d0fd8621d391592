//! `raet listen`: an estate that takes messages.

use std::io::BufRead;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use raet_std::{Incoming, Road, Shutdown};
use serde_json::json;

use crate::options::{Estate, TICK, deadline, interrupts, resolve, seconds};
use crate::output::{Output, Shown, note};
use crate::{FAILURE, Problem, SUCCESS};

/// Open an estate and print the messages that come
///
/// With `--auto never` a person decides about keys: with `raet key`, from anywhere on this host, or
/// by typing `accept ROLE` or `reject ROLE` here.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Listen {
    #[command(flatten)]
    estate: Estate,

    /// Where to listen: an address of this machine (`[::]` is all of them) and a port (0 is any
    /// free one); `[::]:7530` unless given, or as in the keep
    #[arg(long, value_name = "ADDR:PORT")]
    bind: Option<String>,

    /// End with success after so many messages
    #[arg(long, value_name = "N")]
    count: Option<u64>,

    /// End after so many seconds: with success only if there was no count to reach
    #[arg(long, value_name = "SECS", value_parser = seconds)]
    timeout: Option<Duration>,
}

const EXAMPLES: &str = "\
Examples:
  raet listen hub --bind 127.0.0.1:7530 --main
  raet listen hub --main --keep /var/lib/hub --auto never
      Keys, joined estates and decisions survive a restart: no new join is needed after it.
  raet listen hub --main --count 1 --timeout 60 --json
      One message, or exit code 1 after a minute.

Exit codes: 0 the count was reached, or there was none; 1 it was not, or the estate could not be
opened; 2 wrong usage.";

impl Listen {
    pub(crate) fn run(self) -> Result<u8, Problem> {
        let interrupted = interrupts();
        let bind = resolve(self.bind.as_deref().unwrap_or("[::]:7530"))?;
        let bind = bind
            .first()
            .copied()
            .ok_or_else(|| Problem::usage("no address to bind to"))?;
        let mut output = Output::new(self.estate.json);
        let opened = self.estate.open(bind, self.bind.is_some())?;
        let road = &opened.road;
        output.listening(&self.estate.name, road);
        judge_from_stdin(road.clone(), output.shown());

        let end = deadline(self.timeout);
        let mut taken = 0;
        let code = loop {
            if self.count.is_some_and(|count| taken >= count) {
                break SUCCESS;
            }
            if interrupted.load(Ordering::Relaxed) {
                break if self.count.is_some() {
                    FAILURE
                } else {
                    SUCCESS
                };
            }
            let left = end.map_or(TICK, |end| end.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                if let Some(count) = self.count {
                    note(&format!(
                        "the time is over: {taken} of {count} messages came"
                    ));
                    break FAILURE;
                }
                break SUCCESS;
            }
            match road.next_for(left.min(TICK))? {
                Some(Incoming::Event(event)) => output.event(road, &event),
                Some(Incoming::Message(message)) => {
                    taken += 1;
                    output.message(&message);
                }
                None => {}
            }
        };
        let report = road.shutdown(&Shutdown::default());
        output.undelivered(&report);
        output.tell(
            "closed",
            json!({ "messages": taken }),
            &format!("closed after {taken} messages"),
        );
        Ok(code)
    }
}

/// Takes a person's decisions about keys. The thread ends with its input or with the command.
fn judge_from_stdin(road: Road, shown: Shown) {
    thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            let Ok(line) = line else { return };
            let (accept, role) = match line.split_whitespace().collect::<Vec<_>>().as_slice() {
                [] => continue,
                ["accept", role] => (true, (*role).to_owned()),
                ["reject", role] => (false, (*role).to_owned()),
                _ => {
                    note("type `accept ROLE` or `reject ROLE`");
                    continue;
                }
            };
            let keys = shown
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .remove(&role);
            let result = match keys {
                _ if !accept => road.reject(&role, None),
                Some(None) => {
                    show_again(&road, &shown, role);
                    continue;
                }
                keys => road.accept(&role, keys.flatten().as_ref()),
            };
            if let Err(error) = result {
                note(&error.to_string());
            }
        }
    });
}

/// Whoever has seen several keys of a role may mean any of them (hardening: H17).
fn show_again(road: &Road, shown: &Shown, role: String) {
    let mut roles = road.roles().into_iter();
    let Some(known) = roles.find(|known| known.name.as_str() == role) else {
        return;
    };
    note(&format!(
        "nothing is accepted: different keys were shown for {role}, which has {} now; type it again to accept these",
        known.keys.fingerprint()
    ));
    let mut shown = shown.lock().unwrap_or_else(PoisonError::into_inner);
    shown.insert(role, Some(known.keys));
}
