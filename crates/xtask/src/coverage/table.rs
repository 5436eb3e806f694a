//! What is reached as a table, for a terminal and for the documentation.

use std::{collections::BTreeMap, fmt::Write};

use super::reached::Lines;

/// In percent, of each crate.
pub(super) const AT_LEAST: usize = 85;

/// Crates that are told and held to nothing, with the reason.
const NOT_HELD: [(&str, &str); 2] = [
    ("bench", "it measures, by hand and for half an hour"),
    ("xtask", "it sets tests up, so that most of it runs before and after them"),
];

/// Crates, and how many of their lines are reached.
#[derive(Debug)]
pub(super) struct Table(BTreeMap<String, Lines>);

impl Table {
    pub(super) fn new(crates: BTreeMap<String, Lines>) -> Self {
        Self(crates)
    }

    /// The crates of which too few lines are reached.
    pub(super) fn too_few(&self) -> Vec<&str> {
        let held = self.0.iter().filter(|(name, _)| is_held(name));
        held.filter(|(_, lines)| lines.reached * 100 < lines.all * AT_LEAST)
            .map(|(name, _)| name.as_str())
            .collect()
    }

    pub(super) fn rows(&self) -> String {
        let mut text = format!("| {:13} | {:>6} | {:>7} | {:>6} |\n", "crate", "lines", "reached", "share");
        text.push_str("| ------------- | -----: | ------: | -----: |\n");
        let mut all = Lines::default();
        for (name, lines) in &self.0 {
            text.push_str(&row(name, *lines));
            if is_held(name) {
                all.all += lines.all;
                all.reached += lines.reached;
            }
        }
        text.push_str(&row("those held", all));
        text
    }

    pub(super) fn as_document(&self) -> String {
        let mut not_held = String::new();
        for (name, reason) in NOT_HELD {
            // Writing to a string cannot fail.
            let _written = writeln!(not_held, "- `{name}`: {reason}.");
        }
        format!(
            "# Coverage\n\n\
             `cargo xtask coverage` runs all tests with the lines counted that they reach, and writes this file. A line \
             counts if the compiler makes something of it, and is reached if any test does so in any process: servers \
             that tests start are counted too, also those that they kill. Of each crate at least {AT_LEAST} % are to be \
             reached; the command fails otherwise.\n\n\
             {}\n\
             ## What is not counted\n\n\
             - Code of tests: `tests` folders, and in `src` what is `#[cfg(test)]`.\n\
             - What examples in the documentation reach. They are run by `cargo xtask test`.\n\n\
             Told above, and held to nothing:\n\n{not_held}",
            self.rows()
        )
    }
}

fn is_held(name: &str) -> bool {
    NOT_HELD.iter().all(|(not_held, _)| *not_held != name)
}

fn row(name: &str, lines: Lines) -> String {
    format!("| {name:13} | {:>6} | {:>7} | {:>6} |\n", lines.all, lines.reached, share(lines))
}

/// Rounded down, so that what is too little does not look like enough.
fn share(lines: Lines) -> String {
    match (lines.reached * 1000).checked_div(lines.all) {
        Some(thousandths) => format!("{}.{} %", thousandths / 10, thousandths % 10),
        None => "-".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(crates: &[(&str, usize, usize)]) -> Table {
        let lines = |(name, all, reached): &(&str, usize, usize)| {
            ((*name).to_owned(), Lines { all: *all, reached: *reached })
        };
        Table::new(crates.iter().map(lines).collect())
    }

    #[test]
    fn what_is_a_line_short_is_too_few() {
        let table = table(&[("api", 1000, 850), ("domain", 10_000, 8_499), ("bench", 100, 0)]);
        assert_eq!(table.too_few(), ["domain"]);
        assert!(table.rows().contains("| domain        |  10000 |    8499 | 84.9 % |"), "{}", table.rows());
        assert!(table.rows().contains("| those held    |  11000 |    9349 | 84.9 % |"), "{}", table.rows());
    }

    #[test]
    fn a_crate_without_lines_is_told() {
        let table = table(&[("migration", 0, 0)]);
        assert_eq!(table.too_few(), [""; 0]);
        assert!(table.as_document().contains("| migration     |      0 |       0 |      - |"));
    }
}
