//! The collector's configuration: what its pipelines name is there, and what is there is used.

use crate::files::{repository, yaml};
use serde_json::Value;
use std::collections::BTreeSet;

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
}
