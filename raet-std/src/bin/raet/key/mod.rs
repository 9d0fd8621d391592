//! `raet key`: whose keys are trusted, decided by a person.
//!
//! `store` is where the keys lie, in a running estate or in its folder; `files` makes keys and carries
//! them from host to host.

mod files;
mod store;

use std::io::{self, BufRead, IsTerminal, Write};
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use glob::Pattern;
use raet_std::control::{Keys, RoleReport, Standing};
use serde_json::{Value, json};

use crate::output::note;
use crate::table::{self, Table};
use crate::{FAILURE, Problem, SUCCESS};
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

Exit codes: 0 done (or nothing was left to do); 1 not done, at least in part: nothing matches, the keys
are not the ones named, no keep is there; 2 wrong usage, or a question that nobody is there to answer
(--yes answers it).";

#[derive(Subcommand)]
enum Command {
    List(List),
    Show(Show),
    /// Accept keys: estates that show them may join
    ///
    /// Accepts the keys that are shown here, not others that arrive meanwhile. Asks first, unless
    /// --finger names them.
    Accept(Judge),
    /// Reject keys: estates that show them may not join, and whoever is in with them is out
    ///
    /// Asks first if they were accepted: sessions end, and messages on their way are given up.
    Reject(Judge),
    /// Take a decision back: keys wait for a new one, and whoever is in with them is out
    ///
    /// Asks first if they were accepted: sessions end, and messages on their way are given up.
    Pend(Judge),
    Delete(Delete),
    Finger(Finger),
    Gen(files::Gen),
    Export(files::Export),
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
            let mut text = format!(
                "role         {}\nstatus       {}{by}\nfingerprint  {}\nverhex       {}\npubhex       {}\n",
                table::text(&role.role),
                role.status.as_str(),
                role.keys.finger,
                role.keys.verhex,
                role.keys.pubhex,
            );
            if let Some(offered) = &role.offered {
                text += &format!(
                    "offered      {}\n  verhex     {}\n  pubhex     {}\n",
                    offered.finger, offered.verhex, offered.pubhex
                );
            }
            text += &format!(
                "names        {}\nfirst seen   {}\nlast seen    {}\n",
                names(role),
                table::moment(role.first_seen),
                table::moment(role.last_seen)
            );
            print(&text);
        }
        Ok(SUCCESS)
    }
}

#[derive(Args)]
struct Judge {
    /// Roles, or patterns such as `sensor*`
    #[arg(value_name = "ROLE", required = true)]
    roles: Vec<String>,

    /// Only keys with this fingerprint, and without a question: for scripts, and to accept keys that are
    /// offered in place of others
    #[arg(long, value_name = "FINGERPRINT")]
    finger: Option<String>,

    /// Do not ask
    #[arg(long, short)]
    yes: bool,

    #[command(flatten)]
    at: Where,
    #[command(flatten)]
    form: Form,
}

/// Keys of a role, to be judged.
#[derive(Clone)]
struct Case {
    role: String,
    status: Standing,
    keys: Keys,
}

impl Judge {
    fn accept(self) -> Result<u8, Problem> {
        let mut store = Store::open(&self.at)?;
        let chosen = chosen(&store.roles()?, &self.roles)?;
        let mut cases = Vec::new();
        for role in &chosen {
            let case = |keys: &Keys| Case {
                role: role.role.clone(),
                status: role.status,
                keys: keys.clone(),
            };
            match (&self.finger, &role.offered) {
                (Some(finger), offered) => {
                    let all = std::iter::once(&role.keys).chain(offered);
                    cases.extend(all.filter(|keys| is(keys, finger)).map(case));
                }
                (None, Some(offered)) if role.status == Standing::Accepted => note(&format!(
                    "{} is accepted with other keys than it offers now: to accept those, give --finger {}",
                    table::text(&role.role),
                    offered.finger
                )),
                (None, _) => cases.push(case(&role.keys)),
            }
        }
        if let Some(finger) = &self.finger
            && cases.len() != 1
        {
            return Err(Problem::failure(format!(
                "{} of these roles shows {finger}: nothing is accepted (`raet key list` tells what they show)",
                if cases.is_empty() {
                    "none"
                } else {
                    "more than one"
                }
            )));
        }
        let held = |case: &Case| {
            let role = chosen.iter().find(|role| role.role == case.role);
            role.is_some_and(|role| role.status == Standing::Accepted && role.keys == case.keys)
        };
        let (done, cases): (Vec<_>, Vec<_>) = cases.into_iter().partition(held);
        if !cases.is_empty() && self.finger.is_none() && !self.yes {
            let shown = cases.iter().map(|case| (&case.keys, case.role.as_str()));
            confirm_keys(shown)?;
        }
        self.carry_out(&mut store, &cases, &done, Standing::Accepted)
    }

    fn turn_out(self, to: Standing) -> Result<u8, Problem> {
        let mut store = Store::open(&self.at)?;
        let mut cases = Vec::new();
        for role in chosen(&store.roles()?, &self.roles)? {
            if self
                .finger
                .as_ref()
                .is_none_or(|finger| is(&role.keys, finger))
            {
                cases.push(Case {
                    role: role.role,
                    status: role.status,
                    keys: role.keys,
                });
            }
        }
        if let Some(finger) = &self.finger
            && cases.is_empty()
        {
            return Err(Problem::failure(format!(
                "none of these roles has {finger}: nothing is changed"
            )));
        }
        let (done, cases): (Vec<_>, Vec<_>) = cases.into_iter().partition(|case| case.status == to);
        let ending: Vec<_> = cases
            .iter()
            .filter(|case| case.status == Standing::Accepted)
            .map(|case| table::text(&case.role))
            .collect();
        if !ending.is_empty() && !self.yes && self.finger.is_none() {
            confirm(&format!(
                "end what goes on with {}, and give up messages on their way?",
                ending.join(" ")
            ))?;
        }
        self.carry_out(&mut store, &cases, &done, to)
    }

    fn carry_out(
        &self,
        store: &mut Store,
        cases: &[Case],
        already: &[Case],
        to: Standing,
    ) -> Result<u8, Problem> {
        let mut told = Told::default();
        for Case { role, keys, .. } in cases {
            match store.judge(role, to, keys) {
                Ok(()) => told.done(role, to.as_str(), Some(keys)),
                Err(why) => told.failed(role, &why.text),
            }
        }
        for Case { role, keys, .. } in already {
            told.already(role, to.as_str(), keys);
        }
        Ok(told.finish(self.form.json))
    }
}

/// What became of each role.
#[derive(Default)]
struct Told {
    lines: Vec<String>,
    done: Vec<Value>,
    failed: Vec<Value>,
}

impl Told {
    fn done(&mut self, role: &str, what: &str, keys: Option<&Keys>) {
        let finger = keys.map(|keys| keys.finger.as_str());
        let shown = finger
            .map(|finger| format!(" ({finger})"))
            .unwrap_or_default();
        self.lines
            .push(format!("{what} {}{shown}", table::text(role)));
        self.done
            .push(json!({ "role": role, "status": what, "finger": finger }));
    }

    fn already(&mut self, role: &str, what: &str, keys: &Keys) {
        self.lines
            .push(format!("{} is {what} already", table::text(role)));
        self.done
            .push(json!({ "role": role, "status": what, "finger": keys.finger }));
    }

    fn failed(&mut self, role: &str, why: &str) {
        note(&format!("{}: {why}; nothing is changed", table::text(role)));
        self.failed.push(json!({ "role": role, "why": why }));
    }

    fn finish(self, json: bool) -> u8 {
        if json {
            print(&json!({ "done": self.done, "failed": self.failed }).to_string());
        } else {
            for line in &self.lines {
                print(line);
            }
        }
        if self.failed.is_empty() {
            SUCCESS
        } else {
            FAILURE
        }
    }
}

/// Forget roles and their keys: whoever shows them next is a stranger
///
/// Asks first: sessions end, messages on their way are given up, and what was decided is lost.
#[derive(Args)]
struct Delete {
    /// Roles, or patterns such as `sensor*`
    #[arg(value_name = "ROLE", required = true)]
    roles: Vec<String>,

    /// Do not ask
    #[arg(long, short)]
    yes: bool,

    #[command(flatten)]
    at: Where,
    #[command(flatten)]
    form: Form,
}

impl Delete {
    fn run(self) -> Result<u8, Problem> {
        let mut store = Store::open(&self.at)?;
        let chosen = chosen(&store.roles()?, &self.roles)?;
        if !self.yes {
            let names: Vec<_> = chosen.iter().map(|role| table::text(&role.role)).collect();
            confirm(&format!(
                "forget {}, with what was decided about the keys?",
                names.join(" ")
            ))?;
        }
        let mut told = Told::default();
        for role in &chosen {
            match store.forget(&role.role) {
                Ok(()) => told.done(&role.role, "deleted", None),
                Err(why) => told.failed(&role.role, &why.text),
            }
        }
        Ok(told.finish(self.form.json))
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
        let pattern = Pattern::new(text)
            .map_err(|error| Problem::usage(format!("{text} is no pattern: {error}")))?;
        let exact = known.iter().any(|role| role.role == *text);
        let before = chosen.len();
        let mut found = false;
        for role in known {
            let fits = if exact {
                role.role == *text
            } else {
                pattern.matches(&role.role)
            };
            found |= fits;
            if fits && !chosen.contains(role) {
                chosen.push(role.clone());
            }
        }
        if before == chosen.len() && !found {
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

/// Asks a person whether these are the right keys.
fn confirm_keys<'a>(shown: impl Iterator<Item = (&'a Keys, &'a str)>) -> Result<(), Problem> {
    if io::stdin().is_terminal() {
        for (keys, role) in shown {
            note_keys(keys, role);
        }
    }
    confirm("accept these keys? Compare them with what the peers show.")
}

/// Keys, for a person to compare.
fn note_keys(keys: &Keys, role: &str) {
    // Without a stderr there is nobody to ask either.
    let _ = writeln!(io::stderr(), "{}  {}", keys.finger, table::text(role));
}

/// Asks a person; anything but a yes is an error.
fn confirm(question: &str) -> Result<(), Problem> {
    if !io::stdin().is_terminal() {
        return Err(Problem::usage(
            "this takes a yes, and stdin is no terminal to ask at: give --yes",
        ));
    }
    let mut err = io::stderr();
    let _ = write!(err, "raet: {question} [y/N] ");
    let _ = err.flush();
    let mut line = String::new();
    // A terminal that is gone says no.
    let _ = io::stdin().lock().read_line(&mut line);
    match line.trim().to_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(Problem::failure("nothing is changed")),
    }
}

/// A line, or lines, on stdout. A reader that went away ends the command.
fn print(text: &str) {
    let end = if text.ends_with('\n') { "" } else { "\n" };
    if write!(io::stdout(), "{text}{end}").is_err() {
        std::process::exit(i32::from(FAILURE));
    }
}
