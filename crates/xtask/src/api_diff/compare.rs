//! Two documents, operation by operation.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::schema::{Direction, Schemas};

/// Everything in `new` that a client of `old` can stumble over, one sentence each, in a stable order.
pub(super) fn breaking(old: &Value, new: &Value) -> Vec<String> {
    let mut comparison = Comparison { schemas: Schemas { old, new }, found: BTreeSet::new() };
    comparison.types(old, new);
    let after = operations(new);
    for (key, before) in operations(old) {
        match after.get(&key) {
            Some(operation) => comparison.operation(&before.name, before.operation, operation.operation),
            None => comparison.find(format!("{} is gone", before.name)),
        }
    }
    comparison.found.into_iter().collect()
}

/// One operation and what it is called in findings.
struct Named<'d> {
    name: String,
    operation: &'d Value,
}

/// All operations by method and path, whatever the parameters of the path are called.
fn operations(document: &Value) -> BTreeMap<String, Named<'_>> {
    let mut found = BTreeMap::new();
    for (path, item) in object(&document["paths"]) {
        for (method, operation) in object(item) {
            let plain: Vec<&str> =
                path.split('/').map(|part| if part.starts_with('{') { "{}" } else { part }).collect();
            let name = format!("{method} {path}");
            found.insert(format!("{method} {}", plain.join("/")), Named { name, operation });
        }
    }
    found
}

struct Comparison<'d> {
    schemas: Schemas<'d>,
    found: BTreeSet<String>,
}

impl Comparison<'_> {
    fn find(&mut self, change: String) {
        self.found.insert(change);
    }

    fn schema(&mut self, place: String, old: &Value, new: &Value, direction: Direction) {
        self.found.extend(self.schemas.breaking(&place, old, new, direction));
    }

    /// Generated clients call types by their names.
    fn types(&mut self, old: &Value, new: &Value) {
        let after = &new["components"]["schemas"];
        for (name, _) in object(&old["components"]["schemas"]) {
            if after.get(name).is_none() {
                self.find(format!("the type {name} is gone"));
            }
        }
    }

    fn operation(&mut self, name: &str, old: &Value, new: &Value) {
        if old["operationId"] != new["operationId"] {
            self.find(format!("{name} is called {} and not {}", new["operationId"], old["operationId"]));
        }
        self.security(name, &old["security"], &new["security"]);
        self.parameters(name, &old["parameters"], &new["parameters"]);
        self.body(name, &old["requestBody"], &new["requestBody"]);
        for (status, answer) in object(&old["responses"]) {
            match new["responses"].get(status) {
                Some(after) => self.answer(&format!("{name}, answer {status}"), answer, after),
                // What can go wrong may become less.
                None if status.starts_with(['4', '5']) => {}
                None => self.find(format!("{name} does not answer {status} any more")),
            }
        }
        if let (Some(before), Some(after)) = (old.get("x-websocket"), new.get("x-websocket")) {
            let (receive, send) = (format!("{name}, what is received"), format!("{name}, what is sent"));
            self.schema(receive, &before["receive"], &after["receive"], Direction::Request);
            self.schema(send, &before["send"], &after["send"], Direction::Response);
        }
    }

    fn security(&mut self, name: &str, old: &Value, new: &Value) {
        let schemes = |list: &Value| -> Vec<String> {
            let sets = list.as_array().into_iter().flatten();
            sets.map(|set| object(set).map(|(scheme, _)| scheme.as_str()).collect::<Vec<_>>().join(" and "))
                .collect()
        };
        let (before, after) = (schemes(old), schemes(new));
        if after.is_empty() {
            return;
        }
        if before.is_empty() {
            self.find(format!("{name} demands a credential"));
        }
        for scheme in before.iter().filter(|scheme| !after.contains(scheme)) {
            self.find(format!("{name} does not take the credential {scheme} any more"));
        }
    }

    fn parameters(&mut self, name: &str, old: &Value, new: &Value) {
        let (before, after) = (by_key(old), by_key(new));
        for (key, parameter) in &before {
            match after.get(key) {
                None => self.find(format!("{name} does not take {key} any more")),
                Some(now) => {
                    let place = format!("{name}, {key}");
                    self.schema(place, &parameter["schema"], &now["schema"], Direction::Request);
                }
            }
        }
        for (key, parameter) in after {
            let was_demanded = before.get(&key).is_some_and(|before| before["required"] == true);
            if parameter["required"] == true && !was_demanded {
                self.find(format!("{name} demands {key}"));
            }
        }
    }

    fn body(&mut self, name: &str, old: &Value, new: &Value) {
        if old.is_null() {
            if new["required"] == true {
                self.find(format!("{name} demands a body"));
            }
            return;
        }
        if new.is_null() {
            self.find(format!("{name} does not take a body any more"));
            return;
        }
        if old["required"] != true && new["required"] == true {
            self.find(format!("{name} demands a body"));
        }
        for (media, content) in object(&old["content"]) {
            match new["content"].get(media) {
                Some(after) => {
                    let place = format!("{name}, body");
                    self.schema(place, &content["schema"], &after["schema"], Direction::Request);
                }
                None => self.find(format!("{name} does not take a body of {media} any more")),
            }
        }
    }

    fn answer(&mut self, place: &str, old: &Value, new: &Value) {
        for (header, _) in object(&old["headers"]) {
            if !object(&new["headers"]).any(|(name, _)| name.eq_ignore_ascii_case(header)) {
                self.find(format!("{place} has no header {header} any more"));
            }
        }
        for (media, content) in object(&old["content"]) {
            match new["content"].get(media) {
                Some(after) => {
                    self.schema(place.to_owned(), &content["schema"], &after["schema"], Direction::Response);
                }
                None => self.find(format!("{place} is not {media} any more")),
            }
        }
    }
}

/// Parameters by their names in findings. Those of a path are told apart by where they stand: a client need not know
/// what they are called.
fn by_key(parameters: &Value) -> BTreeMap<String, &Value> {
    let mut found = BTreeMap::new();
    let mut in_path = 0;
    for parameter in parameters.as_array().into_iter().flatten() {
        let name = parameter["name"].as_str().unwrap_or_default();
        let key = match parameter["in"].as_str().unwrap_or_default() {
            "path" => {
                in_path += 1;
                format!("the path parameter {in_path}")
            }
            "header" => format!("the header {}", name.to_lowercase()),
            place => format!("the {place} parameter {name}"),
        };
        found.insert(key, parameter);
    }
    found
}

/// The fields of what should be an object; none of anything else.
pub(super) fn object(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter)
}
