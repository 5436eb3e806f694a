//! Dashboards that load without edits, and whose queries Prometheus can read.

use crate::{
    files::{files, json, repository, yaml},
    queries::{Query, panel_queries, panels, rule_queries, wanted},
};
use regex::Regex;
use serde_json::{Value, json};
use std::{collections::BTreeSet, fs};

const WIDTH: i64 = 24;

fn dashboards() -> Vec<(String, Value)> {
    let files = files("deploy/grafana/dashboards", "json");
    files.iter().map(|path| (path.file_stem().unwrap().to_string_lossy().into_owned(), json(path))).collect()
}

fn is_unique<T: Ord + std::fmt::Debug>(of: &str, all: impl IntoIterator<Item = T>) {
    let mut seen = BTreeSet::new();
    for one in all {
        let shown = format!("{one:?}");
        assert!(seen.insert(one), "{of}: {shown} is there twice");
    }
}

#[test]
fn each_has_an_id_and_lets_people_choose_the_prometheus_and_the_server() {
    let all = dashboards();
    assert_eq!(all.len(), 5);
    is_unique("titles", all.iter().map(|(_, dashboard)| dashboard["title"].to_string()));
    for (name, dashboard) in &all {
        assert_eq!(dashboard["uid"], *name, "links to it go by its uid");
        assert!(name.len() <= 40, "Grafana takes no longer uid");
        assert!(dashboard["schemaVersion"].as_u64().unwrap() >= 36, "{name}");
        assert!(dashboard["id"].is_null(), "{name}: an id belongs to one Grafana");
        let variables = dashboard["templating"]["list"].as_array().unwrap();
        let of_kind = |kind: &str| variables.iter().find(|one| one["type"] == kind).unwrap();
        assert_eq!(of_kind("datasource")["name"], "datasource");
        assert_eq!(of_kind("query")["name"], "instance");
    }
}

#[test]
fn panels_have_ids_of_their_own_and_lie_beside_each_other() {
    for (name, dashboard) in dashboards() {
        let panels = panels(&dashboard);
        is_unique(&name, panels.iter().map(|panel| panel["id"].as_u64().unwrap()));
        let mut taken = BTreeSet::new();
        for panel in panels {
            let place = |key: &str| panel["gridPos"][key].as_i64().unwrap();
            assert!(place("x") + place("w") <= WIDTH, "{name}: {} goes over the edge", panel["title"]);
            for x in place("x")..place("x") + place("w") {
                for y in place("y")..place("y") + place("h") {
                    assert!(taken.insert((x, y)), "{name}: {} lies on another", panel["title"]);
                }
            }
        }
    }
}

#[test]
fn all_that_is_shown_comes_from_the_chosen_prometheus() {
    let chosen = json!({ "type": "prometheus", "uid": "${datasource}" });
    for (name, dashboard) in dashboards() {
        for panel in panels(&dashboard).into_iter().filter(|panel| panel["type"] != "row") {
            let title = &panel["title"];
            assert_eq!(panel["datasource"], chosen, "{name}: {title}");
            let targets = panel["targets"].as_array().unwrap();
            assert!(!targets.is_empty(), "{name}: {title} shows nothing");
            is_unique(&format!("{name}: {title}"), targets.iter().map(|one| one["refId"].to_string()));
            assert!(targets.iter().all(|one| one["datasource"] == chosen), "{name}: {title}");
        }
        let notes = dashboard["annotations"]["list"].as_array().unwrap();
        assert!(notes.iter().all(|note| note["datasource"] == chosen), "{name}");
    }
}

#[test]
fn all_panels_together_ask_much() {
    assert!(panel_queries().len() > 80, "{}", panel_queries().len());
}

/// docs/metrics.md is held to the code by a test of `monitoring`.
#[test]
fn every_metric_that_is_asked_for_is_documented() {
    let document = fs::read_to_string(repository("docs/metrics.md")).unwrap();
    let known: BTreeSet<&str> = document.split('`').skip(1).step_by(2).collect();
    let base = |metric: &str| {
        let parts = ["_bucket", "_count", "_sum"].into_iter();
        parts.filter_map(|part| metric.strip_suffix(part)).map(str::to_owned).next()
    };
    let unknown: Vec<_> = wanted()
        .into_iter()
        .filter(|(metric, _)| {
            !known.contains(metric.as_str())
                && !base(metric).is_some_and(|base| known.contains(base.as_str()))
        })
        .collect();
    assert!(unknown.is_empty(), "{unknown:#?}");
}

/// Each server tells it, so a sum over servers is as many times too much.
#[test]
fn what_is_of_the_store_is_not_added_up() {
    let document = fs::read_to_string(repository("docs/metrics.md")).unwrap();
    let of_store: Vec<&str> = document
        .lines()
        .filter(|line| line.starts_with("| `") && line.contains("of the store"))
        .filter_map(|line| line.split('`').nth(1))
        .collect();
    assert!(of_store.len() >= 8, "{of_store:?}");
    let sum = Regex::new(r"sum\s*(?:by\s*\(([^)]*)\))?\s*\(\s*(\w+)").unwrap();
    let added_up = |query: &Query| {
        let mut sums = sum.captures_iter(&query.expression);
        sums.any(|sum| {
            let is_of_each = sum.get(1).is_some_and(|labels| labels.as_str().contains("instance"));
            of_store.contains(&&sum[2]) && !is_of_each
        })
    };
    let queries = panel_queries().into_iter().chain(rule_queries());
    let wrong: Vec<_> = queries.filter(added_up).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn grafana_is_told_where_they_are() {
    let source = yaml(&repository("deploy/grafana/provisioning/datasources/prometheus.yml"));
    let sources = source["datasources"].as_array().unwrap();
    assert!(sources.iter().all(|one| one["type"] == "prometheus" && one["uid"].is_string()), "{source}");
    let provider = yaml(&repository("deploy/grafana/provisioning/dashboards/steward.yml"));
    let path = provider["providers"][0]["options"]["path"].as_str().unwrap();
    let document = fs::read_to_string(repository("docs/monitoring.md")).unwrap();
    assert!(document.contains(path), "docs/monitoring.md does not say that dashboards go to {path}");
}
