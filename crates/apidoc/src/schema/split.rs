//! Joins request and response components: one name where the shapes agree, `T` and `TInput` where not.

use super::{COMPONENTS, Collected, Direction};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// Joins both sets of components and points the request side at the names it got.
pub(super) fn join(
    requests: Map<String, Value>,
    responses: Map<String, Value>,
    used: BTreeMap<String, (Direction, Value)>,
) -> Collected {
    let differing = differing(&requests, &responses);
    let mut components = responses;
    for (name, mut schema) in requests {
        rename(&mut schema, &differing);
        components.insert(if differing.contains(&name) { input(&name) } else { name }, schema);
    }
    components.sort_keys();
    let used = used
        .into_iter()
        .map(|(key, (direction, mut schema))| {
            if direction == Direction::Request {
                rename(&mut schema, &differing);
            }
            (key, schema)
        })
        .collect();
    Collected { used, components }
}

fn input(name: &str) -> String {
    format!("{name}Input")
}

/// The types whose request and response schemas differ, themselves or through a type they refer to.
fn differing(requests: &Map<String, Value>, responses: &Map<String, Value>) -> BTreeSet<String> {
    let shared = || requests.iter().filter(|(name, _)| responses.contains_key(*name));
    let mut found: BTreeSet<String> = shared()
        .filter(|(name, schema)| responses.get(*name) != Some(schema))
        .map(|(name, _)| name.clone())
        .collect();
    loop {
        let more: Vec<String> = shared()
            .filter(|(name, schema)| !found.contains(*name) && refers_to(schema, &found))
            .map(|(name, _)| name.clone())
            .collect();
        if more.is_empty() {
            return found;
        }
        found.extend(more);
    }
}

fn refers_to(schema: &Value, names: &BTreeSet<String>) -> bool {
    match schema {
        Value::Object(fields) => fields.iter().any(|(key, value)| match component(key, value) {
            Some(name) => names.contains(name),
            None => refers_to(value, names),
        }),
        Value::Array(items) => items.iter().any(|item| refers_to(item, names)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

fn rename(schema: &mut Value, names: &BTreeSet<String>) {
    match schema {
        Value::Object(fields) => {
            for (key, value) in fields.iter_mut() {
                match component(key, value) {
                    Some(name) if names.contains(name) => {
                        *value = format!("{COMPONENTS}{}", input(name)).into();
                    }
                    Some(_) => {}
                    None => rename(value, names),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| rename(item, names)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The component that this field of a schema refers to. A discriminator's mapping is not looked at:
/// schemars writes `const` tags instead.
fn component<'a>(key: &str, value: &'a Value) -> Option<&'a str> {
    if key == "$ref" { value.as_str()?.strip_prefix(COMPONENTS) } else { None }
}
