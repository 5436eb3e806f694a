//! Every query of the dashboards and the rules, and the metrics that they name.

use crate::files::{files, json, yaml};
use regex::Regex;
use serde_json::Value;
use std::{collections::BTreeSet, sync::LazyLock};

/// What stands in a query and holds no metric: texts, labels, ranges, lists of labels.
static GONE: LazyLock<[Regex; 4]> = LazyLock::new(|| {
    [
        r#""[^"]*""#,
        r"\{[^}]*\}",
        r"\[[^\]]*\]",
        r"\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)",
    ]
    .map(|gone| Regex::new(gone).unwrap())
});
static WORD: LazyLock<Regex> = LazyLock::new(|| Regex::new("[a-zA-Z_:][a-zA-Z0-9_:]*").unwrap());

/// A query, and where it is written.
#[derive(Debug)]
pub struct Query {
    pub place: String,
    pub expression: String,
}

/// What Grafana puts in the place of a variable, or something that could be it.
const VARIABLES: [(&str, &str); 4] =
    [("$__rate_interval", "5m"), ("$__range", "1h"), ("$__interval", "1m"), ("$instance", ".*")];

/// What is no metric though it is written like one.
const KEYWORDS: [&str; 10] =
    ["and", "or", "unless", "bool", "offset", "by", "without", "start", "end", "inf"];

/// Metrics that Prometheus makes itself.
const OWN: [&str; 2] = ["up", "ALERTS"];

/// The queries of all panels, annotations and variables.
pub fn panel_queries() -> Vec<Query> {
    let mut queries = vec![];
    for file in files("deploy/grafana/dashboards", "json") {
        let dashboard = json(&file);
        let name = dashboard["title"].as_str().unwrap();
        for panel in panels(&dashboard) {
            let title = &panel["title"];
            let targets = panel["targets"].as_array().into_iter().flatten();
            queries.extend(targets.map(|target| query(format!("{name}: {title}"), &target["expr"])));
        }
        for note in dashboard["annotations"]["list"].as_array().unwrap() {
            queries.push(query(format!("{name}: note {}", note["name"]), &note["expr"]));
        }
        for variable in dashboard["templating"]["list"].as_array().unwrap() {
            let asked = variable["query"]["query"].as_str().and_then(|query| {
                query.strip_prefix("label_values(")?.split_once(',').map(|(metric, _)| Value::from(metric))
            });
            queries.extend(asked.map(|asked| query(format!("{name}: {}", variable["name"]), &asked)));
        }
    }
    queries
}

/// All panels, also those in rows.
pub fn panels(dashboard: &Value) -> Vec<&Value> {
    let panels = dashboard["panels"].as_array().unwrap().iter();
    panels
        .flat_map(|panel| std::iter::once(panel).chain(panel["panels"].as_array().into_iter().flatten()))
        .collect()
}

fn query(place: String, expression: &Value) -> Query {
    let mut expression = expression.as_str().unwrap_or_else(|| panic!("{place} asks nothing")).to_owned();
    for (variable, value) in VARIABLES {
        expression = expression.replace(variable, value);
    }
    assert!(!expression.contains('$'), "{place} has a variable that nobody sets: {expression}");
    Query { place, expression }
}

/// The rules of all files, as they are written there.
pub fn rules() -> Vec<Value> {
    let groups = files("deploy/prometheus/rules", "yml")
        .iter()
        .flat_map(|file| yaml(file)["groups"].as_array().unwrap().clone())
        .collect::<Vec<_>>();
    groups.iter().flat_map(|group| group["rules"].as_array().unwrap().clone()).collect()
}

/// The queries of all rules.
pub fn rule_queries() -> Vec<Query> {
    let name = |rule: &Value| rule["alert"].as_str().or(rule["record"].as_str()).unwrap().to_owned();
    rules().iter().map(|rule| query(name(rule), &rule["expr"])).collect()
}

/// What recording rules record.
pub fn recorded() -> BTreeSet<String> {
    rules().iter().filter_map(|rule| Some(rule["record"].as_str()?.to_owned())).collect()
}

/// Every metric that a server has to give so that all queries can be answered, with the places that ask for it.
pub fn wanted() -> Vec<(String, String)> {
    let recorded = recorded();
    let queries = panel_queries().into_iter().chain(rule_queries());
    let named = queries.flat_map(|Query { place, expression }| {
        metrics_in(&expression).into_iter().map(move |metric| (metric, place.clone()))
    });
    named.filter(|(metric, _)| !recorded.contains(metric) && !OWN.contains(&metric.as_str())).collect()
}

/// The metrics that a query names. The query is one that Prometheus takes: its syntax is not checked here.
pub fn metrics_in(expression: &str) -> BTreeSet<String> {
    let mut rest = expression.to_owned();
    for gone in GONE.iter() {
        rest = gone.replace_all(&rest, " ").into_owned();
    }
    let is_metric = |word: &regex::Match<'_>| {
        let is_in_number = rest[..word.start()].ends_with(|c: char| c.is_ascii_digit() || c == '.');
        let is_function = rest[word.end()..].trim_start().starts_with('(');
        !is_in_number && !is_function && !KEYWORDS.contains(&word.as_str())
    };
    WORD.find_iter(&rest).filter(is_metric).map(|word| word.as_str().to_owned()).collect()
}

#[test]
fn metrics_are_told_from_functions_labels_and_words() {
    for (expression, expected) in [
        ("up", vec!["up"]),
        (r#"sum by (job, le) (rate(a_bucket{x="b_total", y=~".+"}[5m])) > 1e3"#, vec!["a_bucket"]),
        (r"a{} unless on (job) (sum by (job) (increase(b[30m])) > 0)", vec!["a", "b"]),
        ("(a:b:rate5m or c * 0) / (c > 0)", vec!["a:b:rate5m", "c"]),
        ("topk(8, histogram_quantile(0.95, sum(rate(d_bucket[5m])) without (x)))", vec!["d_bucket"]),
        ("count(a == 0) or vector(0)", vec!["a"]),
    ] {
        assert_eq!(metrics_in(expression).into_iter().collect::<Vec<_>>(), expected, "{expression}");
    }
}
