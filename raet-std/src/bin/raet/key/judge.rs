//! Decisions about keys: what is accepted is what was shown, and what cannot be undone is asked.

use std::io::{self, BufRead, IsTerminal, Write};

use clap::Args;
use raet_std::control::{Keys, Standing};
use serde_json::{Value, json};

use super::store::{Store, Stored};
use super::{Form, Where, chosen, is, print};
use crate::output::note;
use crate::{FAILURE, Problem, SUCCESS, table};

/// Whose keys, and how sure.
#[derive(Args)]
pub(super) struct Judge {
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
    pub(super) fn accept(self) -> Result<u8, Problem> {
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
        Ok(self.carry_out(&mut store, &cases, &done, Standing::Accepted))
    }

    pub(super) fn turn_out(self, to: Standing) -> Result<u8, Problem> {
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
        Ok(self.carry_out(&mut store, &cases, &done, to))
    }

    fn carry_out(&self, store: &mut Store, cases: &[Case], already: &[Case], to: Standing) -> u8 {
        let mut told = Told::default();
        for Case { role, keys, .. } in cases {
            match store.judge(role, to, keys) {
                Ok(stored) => told.done(role, to.as_str(), Some(keys), stored),
                Err(why) => told.failed(role, &why.text),
            }
        }
        for Case { role, keys, .. } in already {
            told.already(role, to.as_str(), keys);
        }
        told.finish(self.form.json)
    }
}

/// What became of each role.
#[derive(Default)]
pub(super) struct Told {
    lines: Vec<String>,
    done: Vec<Value>,
    failed: Vec<Value>,
}

impl Told {
    pub(super) fn done(&mut self, role: &str, what: &str, keys: Option<&Keys>, stored: Stored) {
        if let Stored::NotYet = stored {
            let why = format!(
                "{what}, but not stored yet: a restart would forget it; what the estate itself says tells why"
            );
            note(&format!("{}: {why}", table::text(role)));
            self.failed.push(json!({ "role": role, "why": why }));
            return;
        }
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

    pub(super) fn failed(&mut self, role: &str, why: &str) {
        note(&format!("{}: {why}; nothing is changed", table::text(role)));
        self.failed.push(json!({ "role": role, "why": why }));
    }

    pub(super) fn finish(self, json: bool) -> u8 {
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
pub(super) struct Delete {
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
    pub(super) fn run(self) -> Result<u8, Problem> {
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
                Ok(stored) => told.done(&role.role, "deleted", None, stored),
                Err(why) => told.failed(&role.role, &why.text),
            }
        }
        Ok(told.finish(self.form.json))
    }
}

/// Asks a person whether these are the right keys.
pub(super) fn confirm_keys<'a>(
    shown: impl Iterator<Item = (&'a Keys, &'a str)>,
) -> Result<(), Problem> {
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
