//! Packets recorded from RAET 0.6.8, see `tests/vectors/README.md`.

use std::path::{Path, PathBuf};

use serde_json::Value;

/// One recorded file.
pub struct Recording {
    /// File name without directory and extension.
    pub name: String,
    /// The first line: note, settings, estates.
    pub scenario: Value,
    /// All further lines.
    pub records: Vec<Value>,
}

impl Recording {
    /// Whether it lists hostile datagrams instead of telling what happened.
    pub fn is_hostile(&self) -> bool {
        self.records
            .iter()
            .any(|record| record["kind"] == "hostile")
    }

    /// The records of a kind, in order.
    pub fn of_kind<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Value> {
        self.records
            .iter()
            .filter(move |record| record["kind"] == kind)
    }

    /// The estates called `name`: more than one if it started again.
    pub fn estates<'a>(&'a self, name: &'a Value) -> impl Iterator<Item = &'a Value> {
        let estates = self.scenario["estates"].as_array();
        let estates = estates.map(Vec::as_slice).unwrap_or_default();
        estates.iter().filter(move |estate| estate["name"] == *name)
    }
}

/// Every recording of a road in the repository and in the directories that `RAET_VECTORS` names,
/// sorted by path.
///
/// # Panics
///
/// If a directory or file cannot be read: a test without its vectors must not pass.
pub fn road() -> Vec<Recording> {
    let mut directories = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors")];
    if let Some(more) = std::env::var_os("RAET_VECTORS") {
        directories
            .extend(std::env::split_paths(&more).filter(|path| !path.as_os_str().is_empty()));
    }
    directories
        .iter()
        .flat_map(|path| read_directory(path))
        .collect()
}

/// The bytes that a string of hex digits stands for.
///
/// # Panics
///
/// If `digits` is no such string.
pub fn bytes(digits: &Value) -> Vec<u8> {
    let digits = digits.as_str().expect("hex digits");
    assert!(digits.len().is_multiple_of(2), "odd number of hex digits");
    (0..digits.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).expect("hex digits"))
        .collect()
}

/// As [`bytes`], for a key of 32 bytes; `None` if there is none.
///
/// # Panics
///
/// If what is there has another length.
pub fn key(digits: &Value) -> Option<[u8; 32]> {
    let digits = digits.as_str().filter(|digits| !digits.is_empty())?;
    Some(
        bytes(&digits.into())
            .try_into()
            .expect("a key has 32 bytes"),
    )
}

/// `bytes` as a string of hex digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |digits, byte| {
        digits + &format!("{byte:02x}")
    })
}

fn read_directory(directory: &Path) -> Vec<Recording> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(directory)
        .unwrap_or_else(|error| panic!("{}: {error}", directory.display()))
        .map(|entry| entry.expect("directory entry").path())
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with("road-") && name.ends_with(".jsonl")
        })
        .collect();
    paths.sort();
    paths.iter().map(|path| read_file(path)).collect()
}

fn read_file(path: &Path) -> Recording {
    let text =
        std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut records: Vec<Value> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| {
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        })
        .collect();
    assert!(!records.is_empty(), "{} is empty", path.display());
    let scenario = records.remove(0);
    let name = path
        .file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    Recording {
        name,
        scenario,
        records,
    }
}
