//! `raet key`: whose keys are trusted, decided by a person.
//!
//! `store` is where the keys lie, in a running estate or in its folder; `judge` decides about them;
//! `files` makes keys and carries them from host to host.

mod files;
mod judge;
mod store;

use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use glob::Pattern;
use raet_std::control::{Keys, RoleReport, Standing};
use serde_json::json;

use crate::output::note;
use crate::table::{self, Table};
use crate::{FAILURE, Problem, SUCCESS};
use judge::{Delete, Judge};
use store::Store;

/// Decide whose keys are trusted, and make, export and import keys
///
/// Works on the keep of an estate that runs (it is asked over its control socket) and of one that does
/// not. Keys belong to a role; several estates may bear one.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Key {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  raet listen hub --keep /var/lib/hub --main --auto never
      An estate that lets nobody in until a person says so. In another terminal:

  raet key list --keep /var/lib/hub
      Who waits, who is in. Let the other side read its fingerprint to you: `raet key finger` there.

  raet key accept sensor --keep /var/lib/hub
      Shows the fingerprint and asks. A sensor that waits is in within two seconds.

  raet key accept sensor --finger 27ab-8b51-7027-2303-ffa8-3aa9-723b-7ee0 --keep /var/lib/hub
      In a script: accepts these keys or none, and does not ask.

  raet key gen sensor7 --keep ./sensor7 && raet key export --keep ./sensor7 --out sensor7.pub
  raet key import sensor7.pub --accept --keep /var/lib/hub
      A device that is accepted before it is switched on: copy the folder ./sensor7 to it.

Exit codes: 0 done (or nothing was left to do); 1 not done, at least in part: nothing matches, the
keys are not the ones named, no keep is there; 2 wrong usage, or a question that nobody is there to
answer (--yes answers it).";

const SHOWN: &str = "Exit codes: 0 shown; 1 nothing matches, or no keep is there; 2 wrong usage.";

const DECIDED: &str = "\
Exit codes: 0 done (or nothing was left to do); 1 not done, at least in part: nothing matches, the
keys are not the ones named or shown, no keep is there; 2 wrong usage, or nobody is there to say
yes.";

const CARRIED: &str = "\
Exit codes: 0 done; 1 not done: a file or a keep cannot be read, is there already, or holds other
keys; 2 wrong usage, or nobody is there to say yes.";

#[derive(Subcommand)]
enum Command {
    #[command(after_help = SHOWN)]
    List(List),
    #[command(after_help = SHOWN)]
    Show(Show),
    /// Accept keys: estates that show them may join
    ///
    /// Accepts the keys that are shown here, not others that arrive meanwhile. Asks first, unless
    /// --finger names them.
    #[command(after_help = DECIDED)]
    Accept(Judge),
    /// Reject keys: estates that show them may not join, and whoever is in with them is out
    ///
    /// Asks first if they were accepted: sessions end, and messages on their way are given up.
    #[command(after_help = DECIDED)]
    Reject(Judge),
    /// Take a decision back: keys wait for a new one, and whoever is in with them is out
    ///
    /// Asks first if they were accepted: sessions end, and messages on their way are given up.
    #[command(after_help = DECIDED)]
    Pend(Judge),
    #[command(after_help = DECIDED)]
    Delete(Delete),
    #[command(after_help = SHOWN)]
    Finger(Finger),
    #[command(after_help = CARRIED)]
    Gen(files::Gen),
    #[command(after_help = CARRIED)]
    Export(files::Export),
    #[command(after_help = CARRIED)]
    Import(files::Import),
}

impl Key {
    pub(crate) fn run(self) -> Result<u8, Problem> {
        match self.command {
            Command::List(list) => list.run(),
            Command::Show(show) => show.run(),
            Command::Accept(accept) => accept.accept(),
            Command::Reject(reject) => reject.turn_out(Standing::Rejected),
            Command::Pend(pend) => pend.turn_out(Standing::Pending),
            Command::Delete(delete) => delete.run(),
            Command::Finger(finger) => finger.run(),
            Command::Gen(new) => new.run(),
            Command::Export(export) => export.run(),
            Command::Import(import) => import.run(),
        }
    }
}

/// Where the keys are.
#[derive(Args)]
pub(crate) struct Where {
    /// The folder of the keep
    #[arg(long, value_name = "DIR", env = "RAET_KEEP", hide_env_values = true)]
    pub(crate) keep: Option<PathBuf>,

    /// The control socket of the running estate; `control` in the folder of the keep unless given
    #[arg(long, value_name = "PATH")]
    pub(crate) control: Option<PathBuf>,
}

/// How it is told.
#[derive(Args)]
struct Form {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// List roles, their keys' fingerprints, and what was decided about them
#[derive(Args)]
struct List {
    /// Only these: roles, or patterns such as `sensor*`
    #[arg(value_name = "ROLE")]
    roles: Vec<String>,

    /// Only those that are
    #[arg(long, value_enum)]
    status: Option<Only>,

    #[command(flatten)]
    at: Where,
    #[command(flatten)]
    form: Form,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Only {
    Pending,
    Accepted,
    Rejected,
}

impl Only {
    fn standing(self) -> Standing {
        match self {
            Self::Pending => Standing::Pending,
            Self::Accepted => Standing::Accepted,
            Self::Rejected => Standing::Rejected,
        }
    }
}

impl List {
    fn run(self) -> Result<u8, Problem> {
        let known = Store::open(&self.at)?.roles()?;
        let mut shown = if self.roles.is_empty() {
            known
        } else {
            chosen(&known, &self.roles)?
        };
        if let Some(only) = self.status {
            shown.retain(|role| role.status == only.standing());
        }
        // What waits for somebody comes first.
        let order = |role: &RoleReport| match role.status {
            Standing::Pending => 0,
            _ if role.offered.is_some() => 1,
            Standing::Accepted => 2,
            Standing::Rejected => 3,
        };
        shown.sort_by_key(order);
        if self.form.json {
            print(&json!(shown).to_string());
        } else if shown.is_empty() {
            note("no keys are known here");
        } else {
            print(&rows(&shown));
        }
        Ok(SUCCESS)
    }
}

fn rows(roles: &[RoleReport]) -> String {
    let mut rows = Table::new(&[
        "ROLE",
        "STATUS",
        "FINGERPRINT",
        "NAMES",
        "FIRST SEEN",
        "LAST SEEN",
    ]);
    for role in roles {
        rows.row([
            table::text(&role.role),
            role.status.as_str().to_owned(),
            role.keys.finger.clone(),
            names(role),
            table::ago(role.first_seen),
            table::ago(role.last_seen),
        ]);
        if let Some(offered) = &role.offered {
            rows.row([
                String::new(),
                "offered".to_owned(),
                offered.finger.clone(),
                String::new(),
                String::new(),
                String::new(),
            ]);
        }
    }
    rows.to_string()
}

fn names(role: &RoleReport) -> String {
    let names: Vec<_> = role.names.iter().map(|name| table::text(name)).collect();
    if names.is_empty() {
        return "-".to_owned();
    }
    names.join(" ")
}

/// Show all that is known of roles, full keys included
#[derive(Args)]
struct Show {
    /// Roles, or patterns such as `sensor*`
    #[arg(value_name = "ROLE", required = true)]
    roles: Vec<String>,

    #[command(flatten)]
    at: Where,
    #[command(flatten)]
    form: Form,
}

impl Show {
    fn run(self) -> Result<u8, Problem> {
        let shown = chosen(&Store::open(&self.at)?.roles()?, &self.roles)?;
        if self.form.json {
            print(&json!(shown).to_string());
            return Ok(SUCCESS);
        }
        for role in &shown {
            let by = if role.judged { " by a person" } else { "" };
            let offered = role.offered.as_ref().map(|offered| {
                format!(
                    "offered      {}\n  verhex     {}\n  pubhex     {}\n",
                    offered.finger, offered.verhex, offered.pubhex
                )
            });
            print(&format!(
                "role         {}\nstatus       {}{by}\nfingerprint  {}\nverhex       {}\npubhex       {}\n\
                 {}names        {}\nfirst seen   {}\nlast seen    {}\n",
                table::text(&role.role),
                role.status.as_str(),
                role.keys.finger,
                role.keys.verhex,
                role.keys.pubhex,
                offered.unwrap_or_default(),
                names(role),
                table::moment(role.first_seen),
                table::moment(role.last_seen)
            ));
        }
        Ok(SUCCESS)
    }
}

/// Print fingerprints, for people to compare: of this estate's own keys, or of roles
#[derive(Args)]
struct Finger {
    /// Roles, or patterns such as `sensor*`; this estate's own keys unless given
    #[arg(value_name = "ROLE")]
    roles: Vec<String>,

    #[command(flatten)]
    at: Where,
    #[command(flatten)]
    form: Form,
}

impl Finger {
    fn run(self) -> Result<u8, Problem> {
        let store = Store::open(&self.at)?;
        let all: Vec<_> = if self.roles.is_empty() {
            let own = store.own()?;
            vec![(own.role, own.keys)]
        } else {
            let chosen = chosen(&store.roles()?, &self.roles)?.into_iter();
            chosen.map(|role| (role.role, role.keys)).collect()
        };
        if self.form.json {
            let all: Vec<_> = all
                .iter()
                .map(|(role, keys)| json!({ "role": role, "finger": keys.finger }))
                .collect();
            print(&json!(all).to_string());
        } else {
            for (role, keys) in &all {
                print(&format!("{}  {}", keys.finger, table::text(role)));
            }
        }
        Ok(SUCCESS)
    }
}

/// The roles that are meant: by name, or by pattern where no role has that name.
fn chosen(known: &[RoleReport], wanted: &[String]) -> Result<Vec<RoleReport>, Problem> {
    let mut chosen: Vec<RoleReport> = Vec::new();
    for text in wanted {
        // Strangers choose their names: `[` is one, too.
        let pattern = if known.iter().any(|role| role.role == *text) {
            None
        } else {
            let pattern = Pattern::new(text)
                .map_err(|error| Problem::usage(format!("{text} is no pattern: {error}")))?;
            Some(pattern)
        };
        let mut found = false;
        for role in known {
            let fits = match &pattern {
                Some(pattern) => pattern.matches(&role.role),
                None => role.role == *text,
            };
            found |= fits;
            if fits && !chosen.contains(role) {
                chosen.push(role.clone());
            }
        }
        if !found {
            return Err(Problem::failure(format!(
                "no role here matches {text}: `raet key list` shows those that there are"
            )));
        }
    }
    Ok(chosen)
}

/// Whether these keys have that fingerprint, as people write them.
fn is(keys: &Keys, finger: &str) -> bool {
    let plain = |text: &str| {
        let digits = text.chars().filter(|c| !matches!(c, '-' | ':' | ' '));
        digits.collect::<String>().to_lowercase()
    };
    plain(&keys.finger) == plain(finger)
}

/// A line, or lines, on stdout. A reader that went away ends the command.
fn print(text: &str) {
    let end = if text.ends_with('\n') { "" } else { "\n" };
    if write!(io::stdout(), "{text}{end}").is_err() {
        std::process::exit(i32::from(FAILURE));
    }
}
