//! The command `raet`: estates on a road, from a shell.
//!
//! Each subcommand has a file of its own; `options` holds what they share, `output` how events
//! are shown to people and to programs.

mod bench;
mod demo;
mod key;
mod listen;
mod options;
mod output;
mod send;
mod status;
mod table;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Everything went well: all was delivered, the count was reached.
const SUCCESS: u8 = 0;
/// Something was not delivered, or is unknown, or the time was over.
const FAILURE: u8 = 1;
/// The command cannot be carried out as it was given.
const USAGE: u8 = 2;

/// Secure, reliable messages over UDP: the RAET protocol.
#[derive(Parser)]
#[command(version, about, after_help = EXAMPLES, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  raet demo
      See it work: three estates in one process, a 1 MB message, a link that loses 20 %.

  raet listen hub --bind 127.0.0.1:7530 --main
  raet send sensor --to 127.0.0.1:7530 '{\"celsius\": 21.5}'
      Two terminals: one estate that strangers may join, and one that sends it a message.

  tail -f readings.jsonl | raet send sensor --to hub.example:7530 --json
      A message from each line; one JSON object for each thing that happens.

  raet send sensor --to 127.0.0.1:7530 --file picture.png
      A file as one raw message.

  raet listen hub --main --keep /var/lib/hub --auto never
  raet key list --keep /var/lib/hub
  raet key accept sensor --keep /var/lib/hub
  raet status --keep /var/lib/hub --watch
      An estate that survives its restart, and lets in whom a person accepts.

Exit codes: 0 all was delivered (listen: the count was reached); 1 something was not delivered, is
unknown, or the time was over; 2 wrong usage. Those of `key` and `status` are in their own --help.";

#[derive(Subcommand)]
enum Command {
    Demo(demo::Demo),
    Listen(listen::Listen),
    Send(send::Send),
    Key(key::Key),
    Status(status::Status),
    Bench(bench::Bench),
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Demo(demo) => demo.run(),
        Command::Listen(listen) => listen.run(),
        Command::Send(send) => send.run(),
        Command::Key(key) => key.run(),
        Command::Status(status) => status.run(),
        Command::Bench(bench) => bench.run(),
    };
    match result {
        Ok(code) => ExitCode::from(code),
        Err(problem) => {
            eprintln!("raet: {}", problem.text);
            ExitCode::from(problem.code)
        }
    }
}

/// Why a command ends early: one line that says what happened and what to do.
struct Problem {
    code: u8,
    text: String,
}

impl Problem {
    fn failure(text: impl Into<Words>) -> Self {
        Self {
            code: FAILURE,
            text: text.into().0,
        }
    }

    fn usage(text: impl Into<Words>) -> Self {
        Self {
            code: USAGE,
            text: text.into().0,
        }
    }
}

/// Whatever says something about itself.
struct Words(String);

impl<T: std::fmt::Display> From<T> for Words {
    fn from(said: T) -> Self {
        Self(said.to_string())
    }
}

impl From<raet_std::OpenError> for Problem {
    fn from(error: raet_std::OpenError) -> Self {
        match error {
            // Names and limits came from the command line.
            raet_std::OpenError::Setup(_) => Self::usage(error),
            _ => Self::failure(error),
        }
    }
}

impl From<raet_std::Closed> for Problem {
    fn from(closed: raet_std::Closed) -> Self {
        Self::failure(closed)
    }
}
