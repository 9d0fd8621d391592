//! A Rust estate and Python RAET 0.6.8, cell by cell.
//!
//! Both are black boxes: what counts is which messages arrive, how often, and what their senders and
//! hosts are told. No time decides a cell; bounds are there against hanging only.
//!
//! A cell is a test of its own: `cargo test -p raet-tests --test matrix -- acceptance/` runs one group.
//! The table of all that were run is printed at the end and written beside what cargo makes.

mod acceptance;
mod changes;
mod child;
mod crowd;
mod fleet;
mod joins;
mod kinds;
mod lab;
mod lives;
mod pair;
mod policy;
mod setup;
mod takeover;
mod traffic;
mod truth;

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;

use lab::{Cell, Lab};
use libtest_mimic::{Arguments, Trial};
use raet_tests::interop;

/// Cells that run at once. They wait more than they work.
const AT_ONCE: usize = 6;

fn main() -> ExitCode {
    if child::is_one() {
        child::run();
        return ExitCode::SUCCESS;
    }
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(AT_ONCE);
    let lab = interop::installed().map(|python| Arc::new(Lab::new(python)));
    if lab.is_none() {
        let missing = format!(
            "needs Python RAET 0.6.8; set it up with: {}",
            interop::SETUP
        );
        if interop::required() {
            eprintln!("the interop matrix {missing}");
            return ExitCode::FAILURE;
        }
        // A closed standard error must not fail a test.
        let _ = writeln!(
            std::io::stderr(),
            "\nALL SKIPPED: the interop matrix {missing}"
        );
    }
    let trials = cells().into_iter().map(|cell| trial(cell, lab.clone()));
    let conclusion = libtest_mimic::run(&arguments, trials.collect());
    if let Some(lab) = lab
        && !arguments.list
    {
        lab.publish();
    }
    conclusion.exit_code()
}

fn cells() -> Vec<Cell> {
    let groups = [
        kinds::cells(),
        policy::cells(),
        traffic::cells(),
        acceptance::cells(),
        joins::cells(),
        changes::cells(),
        truth::cells(),
        lives::cells(),
        takeover::cells(),
        crowd::cells(),
    ];
    groups.into_iter().flatten().collect()
}

fn trial(cell: Cell, lab: Option<Arc<Lab>>) -> Trial {
    let skipped = lab.is_none();
    let name = format!("{}/{}", cell.group, cell.name);
    let run = move || match lab {
        Some(lab) => lab.run(cell).map_err(Into::into),
        None => Ok(()),
    };
    Trial::test(name, run).with_ignored_flag(skipped)
}
