//! What the document says about a value, and whether the value is so.

use jsonschema::{Draft, Validator};
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex, PoisonError},
};

/// Judges by a schema of the document, which may refer to its components. Formats that are texts count as well.
pub fn validator(schema: &Value) -> Arc<Validator> {
    static KNOWN: LazyLock<Mutex<HashMap<String, Arc<Validator>>>> = LazyLock::new(Mutex::default);
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let made = known.entry(schema.to_string()).or_insert_with(|| {
        let whole = json!({ "allOf": [schema], "components": api::document()["components"] });
        let options = jsonschema::options().with_draft(Draft::Draft202012).should_validate_formats(true);
        Arc::new(options.should_ignore_unknown_formats(true).build(&whole).unwrap())
    });
    made.clone()
}

/// What the document says about the answer to a request; `None` of addresses and methods that it does not have, whose
/// answers are failures or no part of the API.
fn described(method: &str, path: &str) -> Option<(&'static str, &'static Value)> {
    let path = path.split('?').next().unwrap_or_default();
    let paths = api::document()["paths"].as_object().unwrap();
    let fitting = paths.iter().filter(|(template, _)| fits(template, path));
    // Of two that fit, the one with fewer parameters is the one that is served.
    let (template, item) = fitting.min_by_key(|(template, _)| template.matches('{').count())?;
    let operation = item.get(method.to_ascii_lowercase())?;
    Some((template, &operation["responses"]))
}

fn fits(template: &str, path: &str) -> bool {
    let (mut wanted, mut given) = (template.split('/'), path.split('/'));
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return true,
            (Some(wanted), Some(given))
                if wanted.starts_with('{') && !given.is_empty() || wanted == given => {}
            _ => return false,
        }
    }
}

/// How an answer differs from what the document says it can be; nothing if it does not.
pub fn breaches(method: &str, path: &str, status: u16, media: &str, body: &[u8]) -> Vec<String> {
    let Some((template, responses)) = described(method, path) else { return vec![] };
    let place = format!("{method} {template} answers {status}");
    // A fault of the server is no part of its contract, and tests that provoke one say so themselves. A listener that
    // has not the API has nothing at its addresses.
    let nothing_here =
        || serde_json::from_slice(body).is_ok_and(|problem: Value| problem["error_code"] == "NOT_FOUND");
    if status == 500 || status == 404 && nothing_here() {
        return vec![];
    }
    let Some(response) = responses.get(status.to_string()) else {
        return vec![format!("{place}, which is not documented")];
    };
    let Some(content) = response["content"].as_object() else {
        let is_right = body.is_empty();
        return if is_right { vec![] } else { vec![format!("{place} with a body, which is not documented")] };
    };
    let bare = |media: &str| media.split(';').next().unwrap_or_default().to_owned();
    let media = bare(media);
    let Some((_, described)) = content.iter().find(|(known, _)| bare(known) == media) else {
        return vec![format!("{place} as {media:?}, which is not documented")];
    };
    if !["application/json", "application/problem+json"].contains(&media.as_str()) {
        return vec![];
    }
    let Ok(value) = serde_json::from_slice::<Value>(body) else {
        return vec![format!("{place} without JSON")];
    };
    let validator = validator(&described["schema"]);
    validator
        .iter_errors(&value)
        .map(|error| format!("{place}, but {}: {error}", error.instance_path()))
        .collect()
}

/// How an event differs from what the document says of its type.
pub fn breaches_of_event(data: &Value) -> Vec<String> {
    let schema = json!({ "$ref": "#/components/schemas/StreamEvent" });
    validator(&schema)
        .iter_errors(data)
        .map(|error| format!("{}: {error}, of {data}", error.instance_path()))
        .collect()
}
