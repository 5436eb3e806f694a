//! Prometheus takes the configuration and the rules; each alert fires when it should and says what to do.

use crate::{
    files::{files, program, repository, yaml},
    queries::{Query, panel_queries, rules},
};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

fn promtool(arguments: &[&str], files: &[PathBuf]) -> Output {
    #[expect(clippy::disallowed_methods, reason = "the program that reads the files under test")]
    let mut command = Command::new(program("promtool"));
    command.args(arguments).args(files).output().unwrap()
}

fn assert_taken(output: &Output) {
    let said =
        [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).into_owned()).concat();
    assert!(output.status.success(), "{said}");
}

#[test]
fn prometheus_takes_its_configuration_and_its_rules() {
    assert_taken(&promtool(&["check", "config"], &[repository("deploy/prometheus/prometheus.yml")]));
    assert_taken(&promtool(&["check", "rules", "--lint-fatal"], &files("deploy/prometheus/rules", "yml")));
}

#[test]
fn each_alert_fires_when_it_should_and_none_on_a_server_that_is_well() {
    assert_taken(&promtool(&["test", "rules"], &files("deploy/prometheus/tests", "yml")));
}

#[test]
fn prometheus_can_read_every_query_of_the_dashboards() {
    let folder = tempfile::tempdir().unwrap();
    assert_taken(&promtool(&["check", "rules"], &[as_rules(folder.path(), &panel_queries())]));
    let broken = Query { place: "broken".to_owned(), expression: "sum(rate(up[5m])".to_owned() };
    let refused = promtool(&["check", "rules"], &[as_rules(folder.path(), &[broken])]);
    assert!(!refused.status.success(), "this test would find nothing");
}

/// A file of rules that records each of these: promtool reads rules and no dashboards.
fn as_rules(folder: &Path, queries: &[Query]) -> PathBuf {
    let mut text = "groups:\n  - name: panels\n    rules:\n".to_owned();
    for (number, Query { place, expression }) in queries.iter().enumerate() {
        let expression = serde_json::to_string(expression).unwrap();
        text.push_str(&format!(
            "      # {place}\n      - record: panel:{number}\n        expr: {expression}\n"
        ));
    }
    let file = folder.join("panels.yml");
    fs::write(&file, text).unwrap();
    file
}

#[test]
fn each_alert_says_how_bad_it_is_and_where_to_read_on() {
    let document = fs::read_to_string(repository("docs/troubleshooting.md")).unwrap();
    let anchors: BTreeSet<String> = document
        .lines()
        .filter_map(|line| Some(line.strip_prefix('#')?.trim_start_matches('#').trim()))
        .map(anchor)
        .collect();
    let alerts: Vec<_> = rules().into_iter().filter(|rule| rule["alert"].is_string()).collect();
    assert!(alerts.len() > 20);
    for alert in &alerts {
        let name = alert["alert"].as_str().unwrap();
        let severity = alert["labels"]["severity"].as_str().unwrap();
        assert!(["critical", "warning", "info"].contains(&severity), "{name}");
        for said in ["summary", "description"] {
            assert!(!alert["annotations"][said].as_str().unwrap().is_empty(), "{name}");
        }
        let runbook = alert["annotations"]["runbook_url"].as_str().unwrap();
        let there = runbook.strip_prefix("docs/troubleshooting.md#").unwrap();
        assert!(anchors.contains(there), "{name}: docs/troubleshooting.md has no section {there}");
        assert!(document.contains(name), "{name}");
    }
}

/// As GitHub and its like make them of headings.
fn anchor(heading: &str) -> String {
    let kept = heading.to_lowercase();
    kept.chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
        .collect::<String>()
        .replace(' ', "-")
}

#[test]
fn each_alert_has_a_test_in_which_it_fires() {
    let tests = files("deploy/prometheus/tests", "yml");
    let tested: BTreeSet<String> = tests
        .iter()
        .flat_map(|file| yaml(file)["tests"].as_array().unwrap().clone())
        .flat_map(|test| test["alert_rule_test"].as_array().unwrap().clone())
        .filter(|case| case["exp_alerts"].as_array().is_some_and(|alerts| !alerts.is_empty()))
        .map(|case| case["alertname"].as_str().unwrap().to_owned())
        .collect();
    let all: BTreeSet<String> =
        rules().iter().filter_map(|rule| Some(rule["alert"].as_str()?.to_owned())).collect();
    assert_eq!(tested, all);
}
