//! Plants faults in the engine, one at a time, and demands that the simulation finds each.
//!
//! The faults are patches in `tests/mutations`, never in the code that ships. Each is applied to a copy of
//! the last commit, which then runs seed after seed until one fails. A patch that no longer applies, or
//! that nothing finds, fails the whole.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use clap::Parser;

/// Plants each fault of tests/mutations in a copy of the last commit and lets the simulation find it.
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
    /// Threads for the simulation; all processors unless given.
    #[arg(long)]
    threads: Option<usize>,
}

/// A fault as its file tells it.
struct Fault {
    name: String,
    what: String,
    profile: String,
    patch: PathBuf,
}

/// What became of one.
enum Fate {
    Caught { seed: String, by: String },
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
    if !arguments.check {
        // What finds fault with the engine as it is finds nothing in a mutant.
        for profile in ["swarm", "hostile"] {
            eprint!("no fault, {profile}: ");
            match copy.simulate(arguments, profile)? {
                Fate::Survived => eprintln!("all is well"),
                Fate::Caught { seed, by } => {
                    return Err(format!("seed {seed} fails without any fault: {by}"));
                }
                Fate::Broken(why) => return Err(why),
            }
        }
        println!("| fault | seed | found by |\n|---|---|---|");
    }
    for fault in &faults {
        let began = Instant::now();
        let fate = match copy.plant(&fault.patch) {
            Err(why) => Fate::Broken(why),
            Ok(()) if arguments.check => Fate::Survived,
            Ok(()) => copy.simulate(arguments, &fault.profile)?,
        };
        copy.restore()?;
        let (name, what) = (&fault.name, &fault.what);
        match fate {
            Fate::Caught { seed, by } => {
                println!("| `{name}`: {what} | {} {seed} | {by} |", fault.profile);
                std::io::stdout().flush().map_err(|e| e.to_string())?;
                eprintln!("{name}: seed {seed}, after {:.0?}", began.elapsed());
            }
            Fate::Survived if arguments.check => eprintln!("{name}: applies"),
            Fate::Survived => {
                all = false;
                eprintln!(
                    "{name}: NOT FOUND in {} seeds of {}",
                    arguments.seeds, fault.profile
                );
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
        let profile = lines.next().and_then(|line| line.strip_prefix("profile: "));
        let profile = profile.ok_or_else(|| format!("{name}: its second line names no profile"))?;
        faults.push(Fault {
            name,
            what,
            profile: profile.to_owned(),
            patch,
        });
    }
    match names.iter().find(|n| faults.iter().all(|f| f.name != **n)) {
        Some(unknown) => Err(format!("{unknown}: no such fault in {}", folder.display())),
        None if faults.is_empty() => Err(format!("{}: no faults", folder.display())),
        None => Ok(faults),
    }
}

/// A copy of the last commit to plant faults in. Gone when dropped, but for what was built.
struct Copy {
    root: PathBuf,
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
            root: root.to_owned(),
            tree: target.join("tree"),
            target,
        };
        copy.remove();
        let tree = copy.tree.display().to_string();
        git(
            root,
            &[
                "worktree", "add", "--quiet", "--force", "--detach", &tree, "HEAD",
            ],
        )?;
        Ok(copy)
    }

    fn remove(&self) {
        let tree = self.tree.display().to_string();
        // There is none at first.
        let _ = git(&self.root, &["worktree", "remove", "--force", &tree]);
        let _ = git(&self.root, &["worktree", "prune"]);
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

    /// Builds the simulation there and runs it until a seed fails.
    fn simulate(&self, arguments: &Arguments, profile: &str) -> Result<Fate, String> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut sim = Command::new(cargo);
        sim.current_dir(&self.tree)
            .args([
                "run",
                "--quiet",
                "--locked",
                "--release",
                "--package",
                "raet-tests",
            ])
            .args([
                "--bin",
                "sim",
                "--",
                "--seeds",
                &arguments.seeds,
                "--profile",
                profile,
            ])
            .env("CARGO_TARGET_DIR", &self.target)
            // Faults are also found by what the engine asserts; and each is built once.
            .env("CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS", "true")
            .env("CARGO_PROFILE_RELEASE_LTO", "off")
            .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16")
            .stdin(Stdio::null());
        if let Some(threads) = arguments.threads {
            sim.args(["--threads", &threads.to_string()]);
        }
        let output = sim.output().map_err(|e| format!("cargo: {e}"))?;
        if output.status.success() {
            return Ok(Fate::Survived);
        }
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        Ok(match verdict(&said) {
            Some((seed, by)) => Fate::Caught { seed, by },
            None => {
                let last: Vec<_> = said.lines().rev().take(5).collect();
                Fate::Broken(format!("no seed failed, but the run did: {last:?}"))
            }
        })
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        self.remove();
    }
}

/// The seed that failed and the rule that it broke, from what the simulation says.
fn verdict(said: &str) -> Option<(String, String)> {
    let line = said.lines().find(|line| line.starts_with("seed "))?;
    let seed: String = line[5..].chars().take_while(char::is_ascii_digit).collect();
    let rule = said
        .lines()
        .find_map(|line| line.trim().strip_prefix("the rule: "));
    Some((seed, rule.unwrap_or("an assertion").to_owned()))
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
