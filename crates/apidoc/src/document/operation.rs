//! One operation: its body, its answers, and what is copied as it is.

use super::examples::Examples;
use super::parameters::Parameters;
use crate::problem::Problem;
use crate::record::{CONTENT, EACH_FIELD, EVENT_STREAM, FILE, FORM, JSON, PROBLEM_JSON, WEBSOCKET};
use crate::schema::{COMPONENTS, Collected};
use crate::violation::Violation;
use actix_web::http::StatusCode;
use serde_json::{Map, Value, json};

/// Where a reference to a shared example points, up to its name.
const SHARED: &str = "#/components/examples/";

/// Turns what was recorded of operations into the words of OpenAPI 3.1.
#[derive(Debug)]
pub(super) struct Finish<'d> {
    pub(super) collected: &'d Collected,
    pub(super) examples: &'d Examples<'d>,
    pub(super) parameters: Parameters<'d>,
    /// Examples of answers, which many operations have in common, by their name.
    pub(super) shared: Map<String, Value>,
}

impl Finish<'_> {
    /// The operation at `path`.
    pub(super) fn operation(&mut self, path: &str, op: &Value) -> Value {
        let mut out = Map::new();
        for field in ["operationId", "summary", "description", "tags", "deprecated", "security"] {
            match op.get(field) {
                Some(Value::String(text)) => out.insert(field.to_owned(), flush(text).into()),
                Some(value) => out.insert(field.to_owned(), value.clone()),
                None => None,
            };
        }
        let mut listed = Vec::new();
        for parameter in op["parameters"].as_array().into_iter().flatten() {
            let schema = || resolved(&parameter["schema"], self.collected);
            let place = parameter["in"].as_str().unwrap_or_default();
            if place == "body" {
                let required = parameter["required"] == true;
                let content = if parameter["name"] == FILE {
                    json!({ FORM: { "schema": form() } })
                } else {
                    let schema = schema();
                    json!({ JSON: with_example(self.examples.request(&schema), schema) })
                };
                out.insert("requestBody".to_owned(), json!({ "required": required, "content": content }));
            } else if parameter["name"] == EACH_FIELD {
                listed.extend(self.parameters.of_fields(place, schema(), path));
            } else {
                listed.push(self.parameters.single(place, parameter));
            }
        }
        if !listed.is_empty() {
            out.insert("parameters".to_owned(), listed.into());
        }
        let responses = op["responses"].as_object().into_iter().flatten();
        if let Some(messages) =
            responses.clone().find_map(|(_, r)| r.get("schema").filter(|s| s["title"] == WEBSOCKET))
        {
            out.insert("x-websocket".to_owned(), parts(messages, self.collected).into());
        }
        let responses: Map<String, Value> =
            responses.map(|(status, response)| (status.clone(), self.answer(status, response))).collect();
        out.insert("responses".to_owned(), responses.into());
        Value::Object(out)
    }

    fn answer(&mut self, status: &str, response: &Value) -> Value {
        let mut out = Map::new();
        out.insert("description".to_owned(), response.get("description").cloned().unwrap_or_default());
        if let Some(headers) = response.get("headers").and_then(Value::as_object) {
            let headers: Map<String, Value> = headers
                .iter()
                .map(|(name, header)| {
                    let schema = json!({ "type": header["type"] });
                    (name.clone(), json!({ "description": header["description"], "schema": schema }))
                })
                .collect();
            out.insert("headers".to_owned(), headers.into());
        }
        if let Some(envelope) = response.get("schema").filter(|schema| schema["title"] == CONTENT) {
            let content: Map<String, Value> = parts(envelope, self.collected)
                .into_iter()
                .map(|(media, schema)| {
                    let content = self.content(status, &media, schema);
                    (media, content)
                })
                .collect();
            out.insert("content".to_owned(), content.into());
        }
        Value::Object(out)
    }

    /// What an answer of one media type is, with an example where it is text with a structure.
    fn content(&mut self, status: &str, media: &str, schema: Value) -> Value {
        match media {
            EVENT_STREAM => with_example(self.examples.event(&schema), event(schema)),
            PROBLEM_JSON => {
                let example = failure_example(status);
                self.with_shared(&format!("Problem{status}"), Some(example), schema)
            }
            JSON => {
                let example = self.examples.response(&schema);
                let component = schema["$ref"].as_str().and_then(|target| target.strip_prefix(COMPONENTS));
                match component.map(str::to_owned) {
                    Some(component) => self.with_shared(&component, example, schema),
                    None => with_example(example, schema),
                }
            }
            _ => json!({ "schema": schema }),
        }
    }

    fn with_shared(&mut self, name: &str, example: Option<Value>, schema: Value) -> Value {
        let Some(example) = example else { return json!({ "schema": schema }) };
        self.shared.insert(name.to_owned(), json!({ "value": example }));
        json!({ "schema": schema, "examples": { name: { "$ref": format!("{SHARED}{name}") } } })
    }
}

fn with_example(example: Option<Value>, schema: Value) -> Value {
    match example {
        Some(example) => json!({ "schema": schema, "example": example }),
        None => json!({ "schema": schema }),
    }
}

/// A failure of this status, as it is answered.
#[must_use]
pub fn failure_example(status: &str) -> Value {
    let status = status.parse().ok().and_then(|status| StatusCode::from_u16(status).ok());
    let problem = match status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR) {
        StatusCode::UNPROCESSABLE_ENTITY => {
            Problem::invalid(vec![Violation::new("/name", "length", "length: max 255")])
        }
        status => Problem::of(status),
    };
    problem.example()
}

/// A text whose lines begin where they stand, as doc comments do not: they begin with a space.
fn flush(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(|line| line.strip_prefix(' ').unwrap_or(line)).collect();
    lines.join("\n")
}

/// What an envelope holds, with the real schemas.
fn parts(envelope: &Value, collected: &Collected) -> Map<String, Value> {
    let parts = envelope["properties"].as_object().into_iter().flatten();
    parts.map(|(name, raw)| (name.clone(), resolved(raw, collected))).collect()
}

fn resolved(raw: &Value, collected: &Collected) -> Value {
    // OpenAPI 3.1 says nothing about bytes but their media type.
    if raw["type"] == "file" { json!({}) } else { collected.behind(raw).unwrap_or_else(|| raw.clone()) }
}

/// The schema of a form with one file.
fn form() -> Value {
    json!({
        "type": "object",
        "required": [FILE],
        "additionalProperties": false,
        "properties": { FILE: { "type": "string", "contentMediaType": "application/octet-stream" } },
    })
}

/// The schema of one event, as OpenAPI 3.2 words it and as tools that know event streams expect it.
fn event(data: Value) -> Value {
    json!({
        "type": "object",
        "required": ["data"],
        "properties": {
            "id": { "type": "string" },
            "event": { "type": "string" },
            "data": { "type": "string", "contentMediaType": JSON, "contentSchema": data },
        },
    })
}
