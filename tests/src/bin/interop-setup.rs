//! Makes the virtual environment that the tests against Python RAET 0.6.8 run in.
//!
//! Does nothing if it is there, works and has the pinned versions. What is missing is said by name.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use raet_tests::interop::{folder, stamp, venv};

/// Tried in this order unless `RAET_PYTHON` names one: the version most tried with 0.6.8 first.
const CANDIDATES: [&str; 5] = [
    "python3.11",
    "python3",
    "python3.10",
    "python3.9",
    "python3.8",
];

/// Prints nothing if this interpreter will do, else what it lacks.
const WILL_DO: &str = "
import sys
if not (3, 8) <= sys.version_info[:2] <= (3, 11):
    sys.exit('is Python %d.%d; RAET 0.6.8 runs on 3.8 to 3.11' % sys.version_info[:2])
try:
    import venv, ensurepip
except ImportError:
    sys.exit('has no venv with pip (Debian: the package python3-venv)')
";

/// Fails where 0.6.8 cannot be imported, through the same door as the peer.
const WORKS: &str = "import raet_peer";

fn main() -> ExitCode {
    match setup(&venv(), &stamp()) {
        Ok(done) => {
            println!("interop: {done}");
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("interop: not set up\n{why}");
            ExitCode::FAILURE
        }
    }
}

fn setup(venv: &Path, stamp: &Path) -> Result<String, String> {
    let pins_path = folder().join("requirements.txt");
    let pins = fs::read_to_string(&pins_path).map_err(|e| failed(&pins_path, &e))?;
    let inside = venv.join("bin/python");
    let chosen = env::var_os("RAET_PYTHON");
    let wanted = format!("RAET_PYTHON={chosen:?}\n{pins}");
    if fs::read_to_string(stamp).is_ok_and(|made| made == wanted) && works(&inside).is_ok() {
        return Ok(format!("{} is ready", venv.display()));
    }

    let python = interpreter(chosen.map(PathBuf::from))?;
    if venv.exists() {
        fs::remove_dir_all(venv).map_err(|e| failed(venv, &e))?;
    }
    run(
        &python,
        [OsStr::new("-m"), OsStr::new("venv"), venv.as_os_str()],
    )?;
    let install = ["-m", "pip", "install", "--quiet", "--no-deps", "-r"].map(OsStr::new);
    run(&inside, install.into_iter().chain([pins_path.as_os_str()]))?;
    works(&inside)?;
    // Last, so that an environment left half-made is made again.
    fs::write(stamp, wanted).map_err(|e| failed(stamp, &e))?;
    Ok(format!("made {} with {}", venv.display(), python.display()))
}

/// The first interpreter that will do; else what each lacks.
fn interpreter(chosen: Option<PathBuf>) -> Result<PathBuf, String> {
    let candidates = match chosen {
        Some(path) => vec![path],
        None => CANDIDATES.map(PathBuf::from).to_vec(),
    };
    let mut lacks = Vec::new();
    for python in candidates {
        match run(&python, ["-c", WILL_DO]) {
            Ok(()) => return Ok(python),
            Err(why) => lacks.push(format!("  {}", why.trim_end())),
        }
    }
    Err(format!(
        "no fitting Python; set RAET_PYTHON to name another\n{}",
        lacks.join("\n")
    ))
}

fn works(python: &Path) -> Result<(), String> {
    // The peer reports from its own folder; nothing is started by importing it.
    let mut command = Command::new(python);
    command
        .current_dir(folder())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .args(["-c", WORKS]);
    finish(python, command).map_err(|why| {
        if why.contains("libsodium") || why.contains("libnacl") {
            format!("libsodium is missing (Debian: the package libsodium23)\n{why}")
        } else {
            why
        }
    })
}

fn run<A: AsRef<OsStr>>(program: &Path, args: impl IntoIterator<Item = A>) -> Result<(), String> {
    let mut command = Command::new(program);
    command.args(args);
    finish(program, command)
}

/// Runs it; an error is the program with what it said.
fn finish(program: &Path, mut command: Command) -> Result<(), String> {
    let output = command.output().map_err(|e| failed(program, &e))?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    Err(format!(
        "{} {}",
        program.display(),
        String::from_utf8_lossy(&said)
    ))
}

fn failed(path: &Path, error: &std::io::Error) -> String {
    format!("{}: {error}", path.display())
}
