//! The figures of a group as a table, for a terminal and for the documentation.

use std::fmt::Write;

use anyhow::{Context, Result};
use serde_json::Value;

const HEAD: [&str; 7] = ["what", "ours", "reference", "ratio", "added", "target", "met"];

/// Lines of the table, and what could not be measured.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) group: String,
    lines: Vec<Line>,
    problems: Vec<String>,
}

#[derive(Debug)]
struct Line {
    cells: [String; 7],
    reference: Option<String>,
    how: String,
}

impl Table {
    /// A table for each group that was measured.
    pub(super) fn all(report: &Value) -> Result<Vec<Self>> {
        report["groups"].as_array().context("the benchmark gave no groups")?.iter().map(Self::new).collect()
    }

    fn new(group: &Value) -> Result<Self> {
        let rows = group["rows"].as_array().context("the benchmark gave no rows")?;
        let problems = group["problems"].as_array().context("the benchmark does not say what went wrong")?;
        Ok(Self {
            group: text(&group["name"]),
            lines: rows.iter().map(Line::new).collect(),
            problems: problems.iter().map(text).collect(),
        })
    }

    /// Whether everything could be measured.
    pub(super) fn is_whole(&self) -> bool {
        self.problems.is_empty()
    }

    pub(super) fn for_terminal(&self) -> String {
        format!("{}{}", self.cells(), self.problems())
    }

    /// The table, and how each of its figures is taken.
    pub(super) fn for_document(&self) -> String {
        format!("{}{}\n{}", self.cells(), self.problems(), self.how())
    }

    fn cells(&self) -> String {
        let mut widths = HEAD.map(|head| head.chars().count());
        for line in &self.lines {
            for (width, cell) in widths.iter_mut().zip(&line.cells) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let mut text = row(&HEAD.map(str::to_owned), widths);
        text.push_str(&row(&widths.map(|width| "-".repeat(width)), widths));
        for line in &self.lines {
            text.push_str(&row(&line.cells, widths));
        }
        text
    }

    fn problems(&self) -> String {
        if self.problems.is_empty() {
            return String::new();
        }
        let list: String = self.problems.iter().map(|problem| format!("- {problem}\n")).collect();
        format!("\nCould not be measured:\n\n{list}")
    }

    /// One item for the lines that are taken alike.
    fn how(&self) -> String {
        let mut text = String::new();
        let mut lines = self.lines.iter().peekable();
        while let Some(line) = lines.next() {
            let mut names = vec![line.name()];
            while let Some(next) = lines.next_if(|next| next.how == line.how) {
                names.push(next.name());
            }
            // Writing to a string cannot fail.
            let _written = writeln!(text, "- **{}**: {}.", names.join("; "), line.how);
        }
        text
    }
}

impl Line {
    fn new(row: &Value) -> Self {
        let unit = text(&row["unit"]);
        let figure = |value: &Value| value.as_f64().map(figure);
        let with_unit =
            |value: &Value| figure(value).map_or_else(String::new, |value| format!("{value} {unit}"));
        let between = match (figure(&row["added_between"][0]), figure(&row["added_between"][1])) {
            (Some(low), Some(high)) => format!(" ({low} to {high})"),
            _ => String::new(),
        };
        let reference = row["reference"]["what"].as_str().map(str::to_owned);
        let beside = match &reference {
            Some(what) => format!("{} ({what})", with_unit(&row["reference"]["value"])),
            None => String::new(),
        };
        let met = row["is_met"].as_bool().map_or("", |is_met| if is_met { "yes" } else { "**no**" });
        Self {
            cells: [
                text(&row["what"]),
                with_unit(&row["ours"]),
                beside,
                figure(&row["ratio"]).unwrap_or_default(),
                with_unit(&row["added"]) + &between,
                row["target"].as_str().unwrap_or_default().to_owned(),
                met.to_owned(),
            ],
            reference,
            how: text(&row["how"]),
        }
    }

    fn name(&self) -> String {
        match &self.reference {
            Some(reference) => format!("{} (beside: {reference})", self.cells[0]),
            None => self.cells[0].clone(),
        }
    }
}

fn row(cells: &[String; 7], widths: [usize; 7]) -> String {
    let mut text = String::from("|");
    for (cell, width) in cells.iter().zip(widths) {
        let _written = write!(text, " {cell:width$} |");
    }
    text.push('\n');
    text
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Three digits that say something.
fn figure(value: f64) -> String {
    match value.abs() {
        size if size < 10.0 => format!("{value:.2}"),
        size if size < 100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_row_becomes_a_line_and_a_missed_target_shows() {
        let row = json!({
            "what": "warm turn", "unit": "ms", "ours": 45.678, "reference": {"what": "a pipe", "value": 41.0},
            "added": 4.678, "added_between": [4.123, 5.0], "ratio": 1.1141, "target": "adds ≤ 3 ms", "is_met": false, "how": "by turns",
        });
        let table =
            Table::new(&json!({"name": "warm", "rows": [row], "problems": ["python: missing"]})).unwrap();
        let text = table.for_terminal();
        assert!(
            text.contains(
                "| warm turn | 45.7 ms | 41.0 ms (a pipe) | 1.11  | 4.68 ms (4.12 to 5.00) | adds ≤ 3 ms | **no** |"
            )
        );
        assert!(text.contains("- python: missing"));
        assert!(!table.is_whole());
    }

    #[test]
    fn a_row_without_reference_has_empty_cells() {
        let row = json!({"what": "memory", "unit": "MiB", "ours": 12.0, "how": "read"});
        let table = Table::new(&json!({"name": "warm", "rows": [row], "problems": []})).unwrap();
        assert!(table.for_terminal().contains("| memory | 12.0 MiB |"));
        assert!(table.is_whole());
        assert_eq!(table.how(), "- **memory**: read.\n");
    }
}
