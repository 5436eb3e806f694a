//! docs/benchmarks.md: a section for each group, which the next run of that group replaces.

use std::fmt::Write;

use super::{machine::Machine, table::Table};

const INTRODUCTION: &str = "\
# Benchmarks

`cargo xtask bench` takes these figures and writes this file; with the name of a section it takes that one alone and leaves \
the others as they are, and `--quick` only prints. Every figure stands beside its reference, both taken in the same run and \
by turns, so that a busy machine is busy for both. Figures are medians unless they say otherwise; `ratio` is ours over the \
reference and `added` ours less the reference, both taken round by round where there are rounds. Behind \
`added` stands between what it is with 95 % certainty, by the ranks of the rounds' differences. The model is the offline \
one, which answers at once.
";
/// What a section begins with, before its name.
const HEADING: &str = "\n## ";

/// The document with the sections of these tables in place of those it had.
pub(super) fn with(before: &str, tables: &[Table], machine: &Machine) -> String {
    let mut sections: Vec<(String, String)> = sections(before);
    for table in tables {
        let text = format!("\n\n{machine}\n\n{}", table.for_document());
        match sections.iter_mut().find(|(name, _)| *name == table.group) {
            Some((_, old)) => *old = text,
            None => sections.push((table.group.clone(), text)),
        }
    }
    let mut document = INTRODUCTION.to_owned();
    for (name, text) in sections {
        // Writing to a string cannot fail.
        let _written = writeln!(document, "{HEADING}{name}{}", text.trim_end());
    }
    document
}

/// Names and texts, in their order.
fn sections(document: &str) -> Vec<(String, String)> {
    let section = |section: &str| {
        let (name, text) = section.split_once('\n').unwrap_or((section, ""));
        (name.to_owned(), format!("\n{text}"))
    };
    document.split(HEADING).skip(1).map(section).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn measured(group: &str, ours: f64) -> Vec<Table> {
        let row = json!({"what": "memory", "unit": "MiB", "ours": ours, "how": "read"});
        Table::all(&json!({"groups": [{"name": group, "rows": [row], "problems": []}]})).unwrap()
    }

    #[test]
    fn a_group_replaces_its_own_section_alone() {
        let machine = Machine::default();
        let both = with(&with("", &measured("ready", 1.0), &machine), &measured("warm", 2.0), &machine);
        let again = with(&both, &measured("ready", 3.0), &machine);
        assert_eq!(again.matches("# Benchmarks").count(), 1);
        assert!(!again.contains("1.00 MiB") && again.contains("2.00 MiB") && again.contains("3.00 MiB"));
        let place = |name: &str| again.find(&format!("{HEADING}{name}\n")).unwrap();
        assert!(place("ready") < place("warm"));
        assert_eq!(with(&again, &measured("ready", 3.0), &machine), again);
    }
}
