//! What a document does not say and should, for the tests of whoever builds one.

use crate::record::{EVENT_STREAM, JSON, PROBLEM_JSON};
use serde_json::{Map, Value};

/// Everything that a reader, or a generator of clients, would miss in a document that [`build`](crate::build) made, one
/// sentence each: operations without a summary, a description or a success; parameters without a description or an
/// example; bodies and answers without an example; statuses that what an operation takes brings with it, and those in
/// `everywhere`, which every operation that demands a credential can answer; objects without a description.
pub fn gaps(document: &Value, everywhere: &[u16]) -> Vec<String> {
    let mut gaps = Vec::new();
    for (path, item) in document["paths"].as_object().into_iter().flatten() {
        for (method, operation) in item.as_object().into_iter().flatten() {
            let place = format!("{method} {path}");
            let of_operation = texts(operation)
                .into_iter()
                .chain(parameters(operation))
                .chain(bodies(operation))
                .chain(statuses(method, path, operation, everywhere));
            gaps.extend(of_operation.map(|gap| format!("{place} {gap}")));
        }
    }
    let types = document.pointer("/components/schemas").and_then(Value::as_object);
    for (name, schema) in types.into_iter().flatten() {
        // A set of words is described where it is used.
        let is_object = schema.get("properties").is_some();
        if is_object && !is_said(&schema["description"]) {
            gaps.push(format!("the type {name} has no description"));
        }
    }
    gaps
}

fn is_said(text: &Value) -> bool {
    text.as_str().is_some_and(|text| !text.trim().is_empty())
}

fn texts(operation: &Value) -> Vec<String> {
    let missing = ["summary", "description"].into_iter().filter(|field| !is_said(&operation[field]));
    missing.map(|field| format!("has no {field}")).collect()
}

fn parameters(operation: &Value) -> Vec<String> {
    let mut gaps = Vec::new();
    for parameter in operation["parameters"].as_array().into_iter().flatten() {
        let name = &parameter["name"];
        if !is_said(&parameter["description"]) {
            gaps.push(format!("does not describe the parameter {name}"));
        }
        if parameter.get("example").is_none() {
            gaps.push(format!("has no example of the parameter {name}"));
        }
    }
    gaps
}

fn bodies(operation: &Value) -> Vec<String> {
    let body = operation.get("requestBody").map(|body| ("its body".to_owned(), body));
    let answers = operation["responses"].as_object().into_iter().flatten();
    let answers = answers.map(|(status, answer)| (format!("the answer {status}"), answer));
    let mut gaps = Vec::new();
    for (what, content) in body.into_iter().chain(answers) {
        for (media, described) in content["content"].as_object().into_iter().flatten() {
            let is_structured = [JSON, PROBLEM_JSON, EVENT_STREAM].contains(&media.as_str());
            let is_shown = ["example", "examples"].iter().any(|key| described.get(key).is_some());
            if is_structured && !is_shown {
                gaps.push(format!("has no example of {what} as {media}"));
            }
        }
    }
    gaps
}

fn statuses(method: &str, path: &str, operation: &Value, everywhere: &[u16]) -> Vec<String> {
    let none = Map::new();
    let answered = operation["responses"].as_object().unwrap_or(&none);
    let takes_parameters = || operation["parameters"].as_array().into_iter().flatten();
    let takes_body = operation.get("requestBody").is_some();
    let is_secured = operation["security"].as_array().is_some_and(|schemes| !schemes.is_empty());
    let changes = !["get", "head", "options"].contains(&method);

    let mut wanted: Vec<u16> = Vec::new();
    if is_secured {
        wanted.push(401);
        wanted.extend(everywhere);
        if changes {
            wanted.push(403);
        }
    }
    if path.contains('{') {
        wanted.push(404);
    }
    if takes_body {
        wanted.extend([400, 413, 415]);
    }
    // A condition for reading that nobody understands is none.
    let can_be_wrong = |parameter: &Value| parameter["in"] != "path" && parameter["name"] != "If-None-Match";
    if takes_body || takes_parameters().any(can_be_wrong) {
        wanted.push(422);
    }
    let mut gaps: Vec<String> = wanted
        .iter()
        .map(u16::to_string)
        .filter(|status| !answered.contains_key(status))
        .map(|status| format!("can answer {status} and does not say so"))
        .collect();
    let succeeds = |status: &String| status.starts_with(['1', '2', '3']);
    if !answered.keys().any(succeeds) {
        gaps.push("says nothing of success".to_owned());
    }
    gaps
}
