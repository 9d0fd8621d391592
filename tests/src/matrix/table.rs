//! The table of a matrix: what was tried, what was expected, what came of it.

use std::fmt::Write as _;
use std::ops::AddAssign;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use std::{fs, io};

use serde_json::{Value, json};

/// What was counted in a cell.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Messages that the Python side has taken.
    pub to_python: u64,
    /// Messages that the Rust side has taken.
    pub to_rust: u64,
    /// Joins that the Python side calls complete.
    pub joins: u64,
    /// Allows that the Python side calls complete.
    pub allows: u64,
    /// Datagrams that the cell's own network lost.
    pub lost: u64,
    /// Datagrams that it doubled.
    pub doubled: u64,
    /// Datagrams that it let others overtake.
    pub overtaken: u64,
}

impl Counts {
    const NAMES: [&str; 7] = [
        "to Python",
        "to Rust",
        "joins",
        "allows",
        "lost",
        "doubled",
        "overtaken",
    ];

    fn values(&self) -> [u64; 7] {
        let Self {
            to_python,
            to_rust,
            joins,
            allows,
            lost,
            doubled,
            overtaken,
        } = *self;
        [to_python, to_rust, joins, allows, lost, doubled, overtaken]
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, more: Self) {
        self.to_python += more.to_python;
        self.to_rust += more.to_rust;
        self.joins += more.joins;
        self.allows += more.allows;
        self.lost += more.lost;
        self.doubled += more.doubled;
        self.overtaken += more.overtaken;
    }
}

/// A cell that was run.
#[derive(Clone, Debug)]
pub struct Line {
    /// The group of cells that it belongs to.
    pub group: &'static str,
    /// Its name in the group.
    pub cell: String,
    /// What it demands.
    pub expected: String,
    /// What was counted, or how it failed.
    pub result: Result<Counts, String>,
    /// How long it took.
    pub took: Duration,
}

/// A table to which several threads add.
#[derive(Debug, Default)]
pub struct Table(Mutex<Vec<Line>>);

impl Table {
    /// Adds a cell.
    pub fn add(&self, line: Line) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(line);
    }

    /// The table as Markdown, with sums, whatever order its cells were run in. Empty without cells.
    pub fn markdown(&self) -> String {
        let mut text = String::new();
        let lines = self.lines();
        for group in lines.chunk_by(|a, b| a.group == b.group) {
            let passed = group.iter().filter(|line| line.result.is_ok()).count();
            let name = group.first().map(|line| line.group).unwrap_or_default();
            let mut rows = vec![header()];
            rows.extend(group.iter().map(row));
            // Writing to a string never fails.
            let _ = write!(text, "\n## {name}: {passed} of {} passed\n\n", group.len());
            text.push_str(&aligned(&rows));
        }
        if !lines.is_empty() {
            let passed = lines.iter().filter(|line| line.result.is_ok()).count();
            let mut sum = Counts::default();
            for counts in lines.iter().filter_map(|line| line.result.as_ref().ok()) {
                sum += *counts;
            }
            let sums: Vec<_> = Counts::NAMES
                .iter()
                .zip(sum.values())
                .map(|(name, sum)| format!("{sum} {name}"))
                .collect();
            let _ = write!(
                text,
                "\n{passed} of {} cells passed; {}\n",
                lines.len(),
                sums.join(", ")
            );
        }
        text
    }

    /// Writes it as `interop-matrix.md` and `interop-matrix.json` into `folder`.
    ///
    /// # Errors
    ///
    /// When the folder cannot be made or written to.
    pub fn write(&self, folder: &Path) -> io::Result<()> {
        let cells: Vec<Value> = self.lines().iter().map(object).collect();
        fs::create_dir_all(folder)?;
        let title = "# A Rust estate and Python RAET 0.6.8, cell by cell\n";
        fs::write(
            folder.join("interop-matrix.md"),
            title.to_owned() + &self.markdown(),
        )?;
        fs::write(
            folder.join("interop-matrix.json"),
            format!("{:#}\n", json!({ "cells": cells })),
        )
    }

    fn lines(&self) -> Vec<Line> {
        let mut lines = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        lines.sort_by(|a, b| (a.group, &a.cell).cmp(&(b.group, &b.cell)));
        lines
    }
}

fn header() -> Vec<String> {
    let mut cells = vec![
        "cell".to_owned(),
        "expected".to_owned(),
        "result".to_owned(),
    ];
    cells.extend(Counts::NAMES.map(str::to_owned));
    cells.push("ms".to_owned());
    cells
}

fn row(line: &Line) -> Vec<String> {
    let (result, counts) = match &line.result {
        Ok(counts) => ("passed".to_owned(), counts.values().map(|n| n.to_string())),
        // A cell of a table is one line.
        Err(why) => (
            format!("FAILED: {}", why.lines().next().unwrap_or_default()),
            Default::default(),
        ),
    };
    let mut cells = vec![line.cell.clone(), line.expected.clone(), result];
    cells.extend(counts);
    cells.push(line.took.as_millis().to_string());
    cells
}

fn object(line: &Line) -> Value {
    let mut object = json!({
        "group": line.group, "cell": line.cell, "expected": line.expected,
        "passed": line.result.is_ok(), "ms": line.took.as_millis() as u64,
    });
    match &line.result {
        Ok(counts) => {
            for (name, value) in Counts::NAMES.iter().zip(counts.values()) {
                object[name.to_lowercase().replace(' ', "_")] = value.into();
            }
        }
        Err(why) => object["failure"] = why.as_str().into(),
    }
    object
}

/// Rows of as many cells each as a Markdown table that is also readable as it stands.
fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| {
        let widths = rows.iter().filter_map(|row| row.get(column));
        widths.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for (at, row) in rows.iter().enumerate() {
        let cells = row.iter().zip(&widths);
        let cells: Vec<String> = cells
            .map(|(cell, &width)| format!("{cell:width$}"))
            .collect();
        let _ = writeln!(text, "| {} |", cells.join(" | "));
        if at == 0 {
            let rules: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
            let _ = writeln!(text, "| {} |", rules.join(" | "));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_tells_who_passed_and_sums_up() {
        let table = Table::default();
        assert_eq!(table.markdown(), "");
        let line = |cell: &str, result| Line {
            group: "kinds",
            cell: cell.to_owned(),
            expected: "all delivered".to_owned(),
            result,
            took: Duration::from_millis(7),
        };
        let counts = Counts {
            to_python: 3,
            lost: 2,
            ..Counts::default()
        };
        table.add(line("b", Err("no message\n  in 30 s".to_owned())));
        table.add(line("a", Ok(counts)));
        let text = table.markdown();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[1], "## kinds: 1 of 2 passed");
        assert!(
            lines[5].starts_with("| a    | all delivered | passed "),
            "{text}"
        );
        assert!(lines[6].contains("| FAILED: no message |"), "{text}");
        let sums = lines.last().expect("a line of sums");
        assert!(
            sums.starts_with("1 of 2 cells passed; 3 to Python, 0 to Rust"),
            "{text}"
        );
        assert!(sums.contains("2 lost"), "{text}");

        let folder = tempfile::tempdir().expect("a folder");
        table.write(folder.path()).expect("it can be written");
        let json = fs::read_to_string(folder.path().join("interop-matrix.json")).expect("written");
        let json: Value = serde_json::from_str(&json).expect("json");
        assert_eq!(json["cells"][0]["to_python"], 3);
        assert_eq!(json["cells"][1]["failure"], "no message\n  in 30 s");
    }
}
