//! What documents for operators quote is what the server says.

use crate::files::repository;
use regex::Regex;
use std::{fs, path::Path};

/// Begins a command and no line of the log.
const PROGRAM: &str = "promtool";

fn sources(folder: &Path, all: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, all);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            all.push_str(&fs::read_to_string(&path).unwrap());
        }
    }
}

#[test]
fn lines_to_look_for_in_the_log_are_there() {
    let mut code = String::new();
    for entry in fs::read_dir(repository("crates")).unwrap() {
        sources(&entry.unwrap().path().join("src"), &mut code);
    }
    let document = fs::read_to_string(repository("docs/troubleshooting.md")).unwrap();
    let phrase = Regex::new("`([a-z]+(?: [a-z]+){2,})`").unwrap();
    let quoted: Vec<&str> =
        phrase.captures_iter(&document).map(|quoted| quoted.get(1).unwrap().as_str()).collect();
    let lines: Vec<_> = quoted.into_iter().filter(|line| !line.starts_with(PROGRAM)).collect();
    assert!(lines.len() >= 5, "{lines:?}");
    let unsaid: Vec<_> = lines.into_iter().filter(|line| !code.contains(line)).collect();
    assert!(unsaid.is_empty(), "nobody says {unsaid:?}");
}
