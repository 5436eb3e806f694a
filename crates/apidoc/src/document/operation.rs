//! One operation: its body, its answers, and what is copied as it is.

use super::parameters;
use crate::record::{CONTENT, EACH_FIELD, EVENT_STREAM, JSON, WEBSOCKET};
use crate::schema::Collected;
use serde_json::{Map, Value, json};

/// The operation in the words of OpenAPI 3.1; `names` are the parameters of its path.
pub(super) fn finish(op: &Value, names: &[String], collected: &Collected) -> Value {
    let mut out = Map::new();
    for field in ["operationId", "summary", "description", "tags", "deprecated", "security"] {
        if let Some(value) = op.get(field) {
            out.insert(field.to_owned(), value.clone());
        }
    }
    let mut listed = Vec::new();
    for parameter in op["parameters"].as_array().into_iter().flatten() {
        let schema = || resolved(&parameter["schema"], collected);
        let place = parameter["in"].as_str().unwrap_or_default();
        if place == "body" {
            let required = parameter["required"] == true;
            out.insert(
                "requestBody".to_owned(),
                json!({ "required": required, "content": { JSON: { "schema": schema() } } }),
            );
        } else if parameter["name"] == EACH_FIELD {
            listed.extend(parameters::of_fields(place, schema(), names));
        } else {
            listed.push(parameters::single(place, parameter));
        }
    }
    if !listed.is_empty() {
        out.insert("parameters".to_owned(), listed.into());
    }
    let responses = op["responses"].as_object().into_iter().flatten();
    if let Some(messages) =
        responses.clone().find_map(|(_, r)| r.get("schema").filter(|s| s["title"] == WEBSOCKET))
    {
        out.insert("x-websocket".to_owned(), parts(messages, collected).into());
    }
    let responses: Map<String, Value> =
        responses.map(|(status, response)| (status.clone(), answer(response, collected))).collect();
    out.insert("responses".to_owned(), responses.into());
    Value::Object(out)
}

fn answer(response: &Value, collected: &Collected) -> Value {
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
        let content: Map<String, Value> = parts(envelope, collected)
            .into_iter()
            .map(|(media, schema)| {
                let schema = if media == EVENT_STREAM { event(schema) } else { schema };
                (media, json!({ "schema": schema }))
            })
            .collect();
        out.insert("content".to_owned(), content.into());
    }
    Value::Object(out)
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
