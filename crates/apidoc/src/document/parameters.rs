//! Parameters: a struct becomes one parameter per field, a tuple one per segment of the path.

use serde_json::{Map, Value, json};

/// Names of the parameters in a path, in order.
pub(super) fn names(path: &str) -> Vec<String> {
    path.split('{').skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name.to_owned()).collect()
}

/// A parameter that was recorded on its own, such as a header.
pub(super) fn single(place: &str, recorded: &Value) -> Value {
    let mut schema = Map::new();
    for rule in ["type", "format", "enum", "pattern", "minLength", "maxLength"] {
        if let Some(value) = recorded.get(rule) {
            schema.insert(rule.to_owned(), value.clone());
        }
    }
    parameter(place, &recorded["name"], recorded["required"] == true, schema, recorded.get("description"))
}

/// The parameters that `schema` describes together: a struct by name, a tuple by position, or the one value
/// that stands for the last name of the path.
pub(super) fn of_fields(place: &str, schema: Value, names: &[String]) -> Vec<Value> {
    if let Some(fields) = schema.get("properties").and_then(Value::as_object) {
        let demanded = schema["required"].as_array().map_or(&[][..], Vec::as_slice);
        return fields
            .iter()
            .map(|(name, field)| field_parameter(place, name, demanded.contains(&json!(name)), field))
            .collect();
    }
    if let Some(items) = schema.get("prefixItems").and_then(Value::as_array) {
        return names
            .iter()
            .zip(items)
            .map(|(name, item)| field_parameter(place, name, true, item))
            .collect();
    }
    // A query struct without fields has no parameters.
    let last = if place == "path" { names.last() } else { None };
    last.map(|name| field_parameter(place, name, true, &schema)).into_iter().collect()
}

fn field_parameter(place: &str, name: &str, demanded: bool, field: &Value) -> Value {
    let mut schema = field.as_object().cloned().unwrap_or_default();
    let about = schema.remove("description");
    if place == "query" {
        without_null(&mut schema);
    }
    parameter(place, &json!(name), demanded || place == "path", schema, about.as_ref())
}

fn parameter(
    place: &str,
    name: &Value,
    required: bool,
    schema: Map<String, Value>,
    about: Option<&Value>,
) -> Value {
    let mut out = json!({ "name": name, "in": place, "required": required });
    if let Some(about) = about {
        out["description"] = about.clone();
    }
    out["schema"] = schema.into();
    out
}

/// An `Option` in a query string is absent or a value: the word null would be read as text.
fn without_null(schema: &mut Map<String, Value>) {
    if let Some(Value::Array(types)) = schema.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            schema.insert("type".to_owned(), only);
        }
    }
    if let Some(Value::Array(choices)) = schema.get_mut("enum") {
        choices.retain(|choice| !choice.is_null());
    }
    if let Some(Value::Array(choices)) = schema.get_mut("anyOf") {
        choices.retain(|choice| choice["type"] != "null");
        if let [Value::Object(only)] = choices.as_slice() {
            let only = only.clone();
            schema.remove("anyOf");
            schema.extend(only);
        }
    }
    if schema.get("default").is_some_and(Value::is_null) {
        schema.remove("default");
    }
}
