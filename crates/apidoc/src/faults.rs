//! Structural faults of a document, for the tests of whoever builds one.

use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// Everything wrong with the structure of a document that [`build`](crate::build) made, one sentence each:
/// references to nothing, illegal or doubled component names, path parameters that do not match their path,
/// parameters listed twice, operations without an id or a tag or with one used twice, unknown security
/// schemes, placeholders left over.
pub fn faults(document: &Value) -> Vec<String> {
    let empty = Map::new();
    let object = |pointer: &str| document.pointer(pointer).and_then(Value::as_object).unwrap_or(&empty);
    let components = object("/components/schemas");
    let schemes = object("/components/securitySchemes");

    let mut faults = component_names(components);
    references(document, document, &mut faults);
    let mut ids = BTreeSet::new();
    for (path, item) in object("/paths") {
        for (method, operation) in item.as_object().into_iter().flatten() {
            let place = format!("{method} {path}");
            match operation["operationId"].as_str() {
                None => faults.push(format!("{place} has no operationId")),
                Some(id) if !ids.insert(id.to_owned()) => faults.push(format!("{place} repeats the id {id}")),
                Some(_) => {}
            }
            if operation["tags"].as_array().is_none_or(Vec::is_empty) {
                faults.push(format!("{place} has no tag"));
            }
            parameters(&place, path, operation, &mut faults);
            for scheme in operation["security"].as_array().into_iter().flatten() {
                let names = scheme.as_object().into_iter().flat_map(Map::keys);
                let unknown = names.filter(|name| !schemes.contains_key(*name));
                faults.extend(unknown.map(|name| format!("{place} demands the unknown scheme {name}")));
            }
        }
    }
    faults
}

fn component_names(components: &Map<String, Value>) -> Vec<String> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let mut faults = Vec::new();
    for name in components.keys() {
        if !name.chars().all(legal) {
            faults.push(format!("the component name {name} has illegal characters"));
        }
        // schemars numbers the second type of one name, and which one is second depends on the routes.
        let base = name.trim_end_matches(|c: char| c.is_ascii_digit());
        if base != name && components.contains_key(base) {
            faults.push(format!("{base} and {name} may be two types of one name (of a generic type, use schemars(rename = \"{base}Of{{T}}\"))"));
        }
    }
    faults
}

fn references(value: &Value, document: &Value, faults: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                match value.as_str() {
                    Some(target) if key == "$ref" => {
                        let pointer = target.strip_prefix('#');
                        if pointer.and_then(|pointer| document.pointer(pointer)).is_none() {
                            faults.push(format!("{target} refers to nothing"));
                        }
                    }
                    _ => references(value, document, faults),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, document, faults)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn parameters(place: &str, path: &str, operation: &Value, faults: &mut Vec<String>) {
    let mut seen = BTreeSet::new();
    let mut declared = BTreeSet::new();
    for parameter in operation["parameters"].as_array().into_iter().flatten() {
        let (name, kind) = (parameter["name"].as_str(), parameter["in"].as_str());
        if !seen.insert((kind, name)) {
            faults.push(format!("{place} lists the parameter {} twice", name.unwrap_or("without a name")));
        }
        if kind == Some("path") {
            declared.extend(name.map(str::to_owned));
        }
    }
    let expected: BTreeSet<String> = path
        .split('{')
        .skip(1)
        .map(|rest| rest.split_once('}').map_or(rest, |(name, _)| name).to_owned())
        .collect();
    for name in expected.symmetric_difference(&declared) {
        faults.push(format!("{place}: path and parameters disagree about {name}"));
    }
}
