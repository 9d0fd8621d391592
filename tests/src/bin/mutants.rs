//! Plants faults in the engine, one at a time, and demands that each is found by what is to find it: a rule
//! of the simulation, or a test.
//!
//! The faults are patches in `tests/mutations`, never in the code that ships. Each is applied to a copy of
//! the last commit, which then runs seed after seed until one breaks the rule. A patch that no longer
//! applies, or that nothing finds, fails the whole.

use std::fmt;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use clap::Parser;
use raet_tests::sim::Rule;

/// Plants each fault of tests/mutations in a copy of the last commit and demands that it is found.
#[derive(Parser)]
#[command(name = "mutants")]
struct Arguments {
    /// Faults to plant, by their file's name; all unless given.
    faults: Vec<String>,
    /// Seeds in which each must be found, as FIRST..END.
    #[arg(long, default_value = "0..1000")]
    seeds: String,
    /// Only check that each patch applies.
    #[arg(long)]
    check: bool,
    /// Do not first check that no seed fails without a fault.
    #[arg(long)]
    skip_base: bool,
    /// Threads for the simulation; all processors unless given.
    #[arg(long)]
    threads: Option<usize>,
}

/// A fault as its file tells it.
struct Fault {
    name: String,
    what: String,
    finder: Finder,
    patch: PathBuf,
}

/// What is to find a fault.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Finder {
    /// A profile of the simulation, with these options.
    Seeds {
        profile: String,
        options: Vec<String>,
        rule: RuleName,
    },
    /// What `cargo test` runs with these arguments.
    Test(Vec<String>),
}

/// The name of a [`Rule`], which has no order itself; none for what must break no rule.
type RuleName = Option<&'static str>;

/// What became of a fault.
enum Fate {
    /// Where, and what it broke there.
    Caught {
        at: String,
        by: String,
    },
    Survived,
    Broken(String),
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(what) => {
            eprintln!("mutants: {what}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<bool, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .ok_or("the tests are in no workspace")?;
    let faults = faults(&root.join("tests/mutations"), &arguments.faults)?;
    let copy = Copy::of(root)?;
    let mut all = true;
    if !arguments.check && !arguments.skip_base {
        // What finds fault with the engine as it is finds nothing in a mutant.
        let mut finders: Vec<Finder> = faults.iter().map(|f| f.finder.without_rule()).collect();
        finders.sort_unstable();
        finders.dedup();
        for finder in finders {
            eprint!("no fault, {finder}: ");
            match copy.find(arguments, &finder)? {
                Fate::Survived => eprintln!("all is well"),
                Fate::Caught { at, by } => {
                    return Err(format!("{at} fails without any fault: {by}"));
                }
                Fate::Broken(why) => return Err(why),
            }
        }
    }
    println!("| fault | where | found by |\n|---|---|---|");
    for fault in &faults {
        let began = Instant::now();
        let fate = match copy.plant(&fault.patch) {
            Err(why) => Fate::Broken(why),
            Ok(()) if arguments.check => Fate::Survived,
            Ok(()) => copy.find(arguments, &fault.finder)?,
        };
        copy.restore()?;
        let (name, what) = (&fault.name, &fault.what);
        match fate {
            Fate::Caught { at, by } => {
                println!("| `{name}`: {what} | {at} | {by} |");
                std::io::stdout().flush().map_err(|e| e.to_string())?;
                eprintln!("{name}: {at}, after {:.0?}", began.elapsed());
            }
            Fate::Survived if arguments.check => eprintln!("{name}: applies"),
            Fate::Survived => {
                all = false;
                eprintln!("{name}: NOT FOUND by {}", fault.finder);
            }
            Fate::Broken(why) => {
                all = false;
                eprintln!("{name}: BROKEN: {why}");
            }
        }
    }
    Ok(all)
}

/// The faults of a folder, in order, those of these names only.
fn faults(folder: &Path, names: &[String]) -> Result<Vec<Fault>, String> {
    let entries = fs::read_dir(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let mut patches: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|e| e == "patch"))
        .collect();
    patches.sort();
    let mut faults = Vec::new();
    for patch in patches {
        let name = patch.file_stem().map(|s| s.to_string_lossy().into_owned());
        let name = name.unwrap_or_default();
        if !names.is_empty() && !names.contains(&name) {
            continue;
        }
        let text = fs::read_to_string(&patch).map_err(|e| format!("{name}: {e}"))?;
        let mut lines = text.lines();
        let what = lines.next().unwrap_or_default().to_owned();
        let finder = Finder::read(lines).map_err(|why| format!("{name}: {why}"))?;
        faults.push(Fault {
            name,
            what,
            finder,
            patch,
        });
    }
    match names.iter().find(|n| faults.iter().all(|f| f.name != **n)) {
        Some(unknown) => Err(format!("{unknown}: no such fault in {}", folder.display())),
        None if faults.is_empty() => Err(format!("{}: no faults", folder.display())),
        None => Ok(faults),
    }
}

impl Finder {
    /// From the lines `key: value` that follow the first of a patch.
    fn read<'a>(lines: impl Iterator<Item = &'a str>) -> Result<Self, String> {
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect();
        let (mut profile, mut rule, mut options, mut test) =
            (None, None, None::<String>, None::<String>);
        for line in lines.take_while(|line| !line.is_empty()) {
            let (key, value) = line.split_once(": ").unwrap_or((line, ""));
            let place = match key {
                "profile" => &mut profile,
                "rule" => &mut rule,
                "options" => &mut options,
                "test" => &mut test,
                _ => return Err(format!("{key}: give profile, rule, options or test")),
            };
            *place = Some(value.to_owned());
        }
        match (profile, rule, test) {
            (Some(profile), Some(rule), None) => {
                let known = Rule::ALL.iter().find(|r| format!("{r:?}") == rule);
                let known = known.ok_or_else(|| format!("{rule}: no such rule"))?;
                Ok(Self::Seeds {
                    profile,
                    options: words(&options.unwrap_or_default()),
                    rule: Some(known.as_str()),
                })
            }
            (None, None, Some(test)) => Ok(Self::Test(words(&test))),
            _ => Err("its head names neither profile and rule, nor a test".to_owned()),
        }
    }

    /// The same, content with any breach.
    fn without_rule(&self) -> Self {
        let mut finder = self.clone();
        if let Self::Seeds { rule, .. } = &mut finder {
            *rule = None;
        }
        finder
    }
}

impl fmt::Display for Finder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Seeds {
                profile,
                options,
                rule,
            } => {
                write!(f, "{profile}")?;
                options
                    .iter()
                    .try_for_each(|option| write!(f, " {option}"))?;
                rule.map_or(Ok(()), |rule| write!(f, ", the rule: {rule}"))
            }
            Self::Test(arguments) => write!(f, "cargo test {}", arguments.join(" ")),
        }
    }
}

/// A copy of the last commit to plant faults in. Gone when dropped, but for what was built.
struct Copy {
    tree: PathBuf,
    target: PathBuf,
}

impl Copy {
    fn of(root: &Path) -> Result<Self, String> {
        let target = std::env::var_os("CARGO_TARGET_DIR")
            .map_or_else(|| root.join("target"), PathBuf::from)
            .join("mutants");
        fs::create_dir_all(&target).map_err(|e| format!("{}: {e}", target.display()))?;
        let copy = Self {
            tree: target.join("tree"),
            target,
        };
        // What was killed has left its own.
        copy.remove();
        // A clone, not a worktree: nothing of it is noted where it came from.
        let (from, tree) = (root.display().to_string(), copy.tree.display().to_string());
        git(root, &["clone", "--quiet", "--shared", &from, &tree])?;
        Ok(copy)
    }

    fn remove(&self) {
        // Often there is none.
        let _ = fs::remove_dir_all(&self.tree);
    }

    fn plant(&self, patch: &Path) -> Result<(), String> {
        git(
            &self.tree,
            &["apply", "--recount", &patch.display().to_string()],
        )
    }

    fn restore(&self) -> Result<(), String> {
        git(
            &self.tree,
            &["checkout", "--quiet", "--force", "HEAD", "--", "."],
        )
    }

    /// Builds there what is to find something, and lets it.
    fn find(&self, arguments: &Arguments, finder: &Finder) -> Result<Fate, String> {
        match finder {
            Finder::Test(arguments) => self.test(arguments),
            Finder::Seeds {
                profile,
                options,
                rule,
            } => self.simulate(arguments, profile, options, *rule),
        }
    }

    fn cargo(&self, arguments: &[&str]) -> Command {
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo
            .current_dir(&self.tree)
            .args(arguments)
            // Each is built once, so building is most of the time; and what the engine asserts counts.
            .env("CARGO_TARGET_DIR", &self.target)
            .stdin(Stdio::null());
        cargo
    }

    fn test(&self, arguments: &[String]) -> Result<Fate, String> {
        let mut test = self.cargo(&["test", "--quiet", "--locked"]);
        let (good, said) = output(test.args(arguments))?;
        let failed = said.contains("test result: FAILED");
        Ok(if good && !said.contains("running 0 tests") {
            Fate::Survived
        } else if failed {
            Fate::Caught {
                at: "a test".to_owned(),
                by: format!("`{}`", arguments.last().map_or("", String::as_str)),
            }
        } else {
            Fate::Broken(format!("no test ran: {}", end_of(&said)))
        })
    }

    /// Runs seeds until one breaks the rule: a fault may break others before.
    fn simulate(
        &self,
        arguments: &Arguments,
        profile: &str,
        options: &[String],
        rule: RuleName,
    ) -> Result<Fate, String> {
        let wrong = || format!("{}: give seeds as FIRST..END", arguments.seeds);
        let (first, end) = arguments.seeds.split_once("..").ok_or_else(wrong)?;
        let mut next: u64 = first.parse().map_err(|_| wrong())?;
        let end: u64 = end.parse().map_err(|_| wrong())?;
        while next < end {
            let seeds = format!("{next}..{end}");
            let mut sim = self.cargo(&["run", "--quiet", "--locked", "--package", "raet-tests"]);
            sim.args(["--bin", "sim", "--", "--seeds", &seeds])
                .args(["--profile", profile])
                .args(options);
            if let Some(threads) = arguments.threads {
                sim.args(["--threads", &threads.to_string()]);
            }
            let (good, said) = output(&mut sim)?;
            if good {
                break;
            }
            let Some((seed, by)) = verdict(&said) else {
                let why = format!("no seed failed, but the run did: {}", end_of(&said));
                return Ok(Fate::Broken(why));
            };
            if rule.is_none_or(|rule| by.starts_with(rule)) {
                let with = [&[profile.to_owned()], options, &[seed.to_string()]];
                return Ok(Fate::Caught {
                    at: with.concat().join(" "),
                    by,
                });
            }
            next = seed + 1;
        }
        Ok(Fate::Survived)
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        self.remove();
    }
}

/// The seed that failed and the rule that it broke, from what the simulation says.
fn verdict(said: &str) -> Option<(u64, String)> {
    let line = said.lines().find_map(|line| line.strip_prefix("seed "))?;
    let end = line.find(|c: char| !c.is_ascii_digit())?;
    let rule = said
        .lines()
        .find_map(|line| line.trim().strip_prefix("the rule: "))?;
    Some((line[..end].parse().ok()?, rule.to_owned()))
}

/// Whether a command did well, and all that it said.
fn output(command: &mut Command) -> Result<(bool, String), String> {
    let output = command.output().map_err(|e| format!("cargo: {e}"))?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    Ok((output.status.success(), said))
}

fn end_of(said: &str) -> String {
    let lines: Vec<_> = said.lines().collect();
    lines[lines.len().saturating_sub(5)..].join("; ")
}

fn git(folder: &Path, arguments: &[&str]) -> Result<(), String> {
    let mut git = Command::new("git");
    let output = git.current_dir(folder).args(arguments).output();
    let output = output.map_err(|e| format!("git: {e}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("git {}: {}", arguments.join(" "), said.trim()))
}
