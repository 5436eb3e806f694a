//! The parity table of README.md: every test it names is there, and every row says how it stands.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has to fail")]

use std::fs;

/// A row of the table, without its edges.
struct Row<'a> {
    line: usize,
    feature: &'a str,
    here: &'a str,
    proof: &'a str,
}

/// Where the table stands in README.md.
const BEGIN: &str = "<!-- parity: begin -->";
const END: &str = "<!-- parity: end -->";

/// What stands in the last column of a row that no test proves.
const UNPROVEN: [&str; 2] = ["not tested", "not built"];

fn crate_file(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn rows(readme: &str) -> Vec<Row<'_>> {
    let begin = readme.lines().position(|line| line == BEGIN).unwrap();
    let lines = readme.lines().enumerate().skip(begin).take_while(|(_, line)| *line != END);
    let rows = lines.filter(|(_, line)| line.starts_with('|') && !line.starts_with("|---"));
    let rows = rows.map(|(number, line)| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let line = number + 1;
        assert_eq!(cells.len(), 5, "README.md:{line} has another number of columns: {cells:?}");
        Row { line, feature: cells[0], here: cells[3], proof: cells[4] }
    });
    // The heads of the sections look like rows.
    rows.filter(|row| row.proof != "Proof").collect()
}

/// The texts between backticks.
fn quoted(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

/// Whether a file has a test of this name: the attribute first, then the function.
fn has_test(source: &str, name: &str) -> bool {
    let mut is_test = false;
    for line in source.lines().map(str::trim) {
        if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            is_test = true;
        } else if line.contains("fn ") {
            let declared = line.split("fn ").nth(1).and_then(|rest| rest.split('(').next());
            if is_test && declared == Some(name) {
                return true;
            }
            is_test = false;
        }
    }
    false
}

#[test]
fn every_test_the_parity_table_names_is_there() {
    let readme = crate_file("README.md");
    let rows = rows(&readme);
    assert!(rows.len() > 100, "the table is much shorter than the features of the official SDKs");
    let mut faults = Vec::new();
    for Row { line, feature, here, proof } in rows {
        let tests: Vec<&str> = quoted(proof).collect();
        let is_unproven = UNPROVEN.iter().any(|word| proof.starts_with(word));
        if here.is_empty() || tests.is_empty() != is_unproven {
            faults.push(format!("README.md:{line} ({feature}) names neither a test nor why there is none"));
        }
        for test in tests {
            let Some((file, name)) = test.split_once("::") else {
                faults.push(format!("README.md:{line} ({feature}): `{test}` is not file::test"));
                continue;
            };
            let folder = if file.starts_with("src/") { "" } else { "tests/" };
            if !has_test(&crate_file(&format!("{folder}{file}")), name) {
                faults
                    .push(format!("README.md:{line} ({feature}): there is no test {name} in {folder}{file}"));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn what_is_no_test_is_not_taken_for_one() {
    let source =
        "#[test]\nfn one() {}\n\nfn helper() {}\n#[tokio::test(start_paused = true)]\nasync fn two() {}";
    let found = ["one", "two", "helper", "three"].map(|name| has_test(source, name));
    assert_eq!(found, [true, true, false, false]);
}

#[test]
fn the_table_names_the_versions_it_is_measured_against() {
    let readme = crate_file("README.md");
    for version in ["0.2.187", "0.3.330"] {
        assert!(readme.contains(version), "README.md does not name {version}");
    }
    assert!(readme.find(BEGIN).unwrap() < readme.find(END).unwrap());
}
