//! The collector's configuration: what its pipelines name is there, and what is there is used.

use crate::{
    files::{files, repository, yaml},
    settings::default,
};
use regex::Regex;
use serde_json::Value;
use std::{collections::BTreeSet, fs, path::PathBuf};

const KINDS: [&str; 3] = ["receivers", "processors", "exporters"];

fn named(list: &Value) -> BTreeSet<String> {
    list.as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect()
}

fn defined(part: &Value) -> BTreeSet<String> {
    part.as_object().unwrap().keys().cloned().collect()
}

#[test]
fn its_pipelines_name_what_is_defined_and_nothing_is_defined_for_nobody() {
    let config = yaml(&repository("deploy/otel/collector.yml"));
    let pipelines = config["service"]["pipelines"].as_object().unwrap();
    assert_eq!(pipelines.keys().collect::<BTreeSet<_>>().len(), 3);
    assert!(["traces", "metrics", "logs"].iter().all(|signal| pipelines.contains_key(*signal)));
    for kind in KINDS {
        let used: BTreeSet<String> = pipelines.values().flat_map(|pipeline| named(&pipeline[kind])).collect();
        assert_eq!(used, defined(&config[kind]), "{kind}");
    }
    assert_eq!(named(&config["service"]["extensions"]), defined(&config["extensions"]));
    for (name, pipeline) in pipelines {
        let first = pipeline["processors"][0].as_str().unwrap();
        assert_eq!(first, "memory_limiter", "{name}: what is too much must be refused before it is held");
        let last = pipeline["processors"].as_array().unwrap().last().unwrap();
        assert_eq!(last, "batch", "{name}");
    }
}

#[test]
fn it_listens_on_this_machine_alone_where_steward_sends_to() {
    let config = yaml(&repository("deploy/otel/collector.yml"));
    let protocols = &config["receivers"]["otlp"]["protocols"];
    assert_eq!(protocols["grpc"]["endpoint"], "127.0.0.1:4317");
    assert_eq!(protocols["http"]["endpoint"], "127.0.0.1:4318");
    // Whoever is told an endpoint and no protocol speaks the one that Steward takes then.
    assert_eq!(default("OTEL_EXPORTER_OTLP_PROTOCOL"), "http/protobuf");
    let named = Regex::new(r"https?://[\w.-]+:(43\d\d)\b").unwrap();
    let mut seen = 0;
    for path in instructions() {
        let text = fs::read_to_string(&path).unwrap();
        for line in text.lines().filter(|line| !line.to_lowercase().contains("grpc")) {
            for endpoint in named.captures_iter(line) {
                assert_eq!(&endpoint[1], "4318", "{}: {line}", path.display());
                seen += 1;
            }
        }
    }
    assert!(seen >= 4, "{seen}: this test would find nothing");
}

/// What people read who want their telemetry collected.
fn instructions() -> Vec<PathBuf> {
    let alone =
        ["deploy/otel/collector.yml", "deploy/compose/compose.yaml", "deploy/compose/secrets.example"];
    let settings = [".env.example", "deploy/helm/steward/values.yaml"];
    let named = alone.into_iter().chain(settings).map(repository);
    named.chain(files("docs", "md")).collect()
}
