//! Columns and times, as people read them.

use std::fmt::{self, Display};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use comfy_table::CellAlignment;
use comfy_table::presets::NOTHING;

/// Columns under headings, each as wide as it must be.
pub(crate) struct Table(comfy_table::Table);

impl Table {
    pub(crate) fn new(headings: &[&str]) -> Self {
        let mut table = comfy_table::Table::new();
        table.load_style(NOTHING).set_header(headings.to_vec());
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
        }
        Self(table)
    }

    /// Numbers stand at the right.
    pub(crate) fn numbers(mut self, columns: &[usize]) -> Self {
        for &column in columns {
            if let Some(column) = self.0.column_mut(column) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        self
    }

    pub(crate) fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.0.add_row(cells);
    }
}

impl Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in self.0.lines() {
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// A name from the network: what would write elsewhere on the terminal, or backwards, is escaped.
pub(crate) fn text(name: &str) -> String {
    name.escape_debug().to_string()
}

/// A line in which names or messages from the network may stand: what would write elsewhere on the
/// terminal, or backwards, is escaped.
pub(crate) fn line(words: &str) -> String {
    let turns = |c| matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}');
    let mut line = String::with_capacity(words.len());
    for c in words.chars() {
        if c.is_control() || turns(c) {
            line.extend(c.escape_unicode());
        } else {
            line.push(c);
        }
    }
    line
}

/// How long ago that was.
pub(crate) fn ago(seconds: Option<u64>) -> String {
    match age(seconds) {
        Some(age) => format!("{} ago", span(age)),
        None => "-".to_owned(),
    }
}

/// How long that has been so.
pub(crate) fn for_so_long(seconds: Option<u64>) -> String {
    age(seconds).map_or_else(|| "-".to_owned(), span)
}

/// When that was, in UTC, and how long ago.
pub(crate) fn moment(seconds: Option<u64>) -> String {
    let at = seconds.and_then(|seconds| UNIX_EPOCH.checked_add(Duration::from_secs(seconds)));
    match at {
        Some(at) => format!(
            "{} ({})",
            humantime::format_rfc3339_seconds(at),
            ago(seconds)
        ),
        None => "not known".to_owned(),
    }
}

fn age(seconds: Option<u64>) -> Option<Duration> {
    let at = UNIX_EPOCH.checked_add(Duration::from_secs(seconds?))?;
    // A moment to come is a clock that was set back.
    Some(SystemTime::now().duration_since(at).unwrap_or_default())
}

/// The one or two largest units.
fn span(age: Duration) -> String {
    let text = humantime::format_duration(Duration::from_secs(age.as_secs())).to_string();
    let mut units: Vec<_> = text.split(' ').collect();
    units.truncate(2);
    units.join(" ")
}
