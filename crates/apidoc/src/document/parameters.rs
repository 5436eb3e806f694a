//! Parameters: a struct becomes one parameter per field, a tuple one per segment of the path.

use super::examples::{self, Examples};
use serde_json::{Map, Value, json};

/// Names of the parameters in a path, in order.
fn names(path: &str) -> Vec<&str> {
    path.split('{').skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name).collect()
}

/// What a parameter of a path is when its type says nothing: the id, or whatever its name is, of what its name or the
/// path before it names.
fn about_segment(path: &str, name: &str) -> Option<String> {
    if let Some(thing) = name.strip_suffix("_id") {
        return Some(format!("The id of the {}.", thing.replace('_', " ")));
    }
    let (before, _) = path.split_once(&format!("/{{{name}}}"))?;
    let things = before.rsplit('/').find(|segment| !segment.starts_with('{'))?.replace('-', " ");
    let thing = examples::singular(&things);
    if thing == name {
        return Some(format!("The {name}."));
    }
    Some(format!("The {} of the {thing}.", name.replace('_', " ")))
}

/// Describes parameters.
#[derive(Debug)]
pub(super) struct Parameters<'d> {
    /// By name, for those whose type does not say.
    pub(super) about: &'d [(&'static str, &'static str)],
    pub(super) examples: &'d Examples<'d>,
}

impl Parameters<'_> {
    /// A parameter that was recorded on its own, such as a header.
    pub(super) fn single(&self, place: &str, recorded: &Value) -> Value {
        let mut schema = Map::new();
        for rule in ["type", "format", "enum", "pattern", "minLength", "maxLength"] {
            if let Some(value) = recorded.get(rule) {
                schema.insert(rule.to_owned(), value.clone());
            }
        }
        if let Some(about) = recorded.get("description") {
            schema.insert("description".to_owned(), about.clone());
        }
        let name = recorded["name"].as_str().unwrap_or_default();
        self.parameter(place, name, recorded["required"] == true, schema, "")
    }

    /// The parameters that `schema` describes together: a struct by name, a tuple by position, or the one value
    /// that stands for the last name of the path.
    pub(super) fn of_fields(&self, place: &str, schema: Value, path: &str) -> Vec<Value> {
        let field = |name: &str, demanded: bool, field: &Value| {
            let mut schema = field.as_object().cloned().unwrap_or_default();
            if place == "query" {
                without_null(&mut schema);
            }
            self.parameter(place, name, demanded || place == "path", schema, path)
        };
        if let Some(fields) = schema.get("properties").and_then(Value::as_object) {
            let demanded = schema["required"].as_array().map_or(&[][..], Vec::as_slice);
            let fields = fields.iter();
            return fields.map(|(name, rules)| field(name, demanded.contains(&json!(name)), rules)).collect();
        }
        let names = names(path);
        if let Some(items) = schema.get("prefixItems").and_then(Value::as_array) {
            return names.iter().zip(items).map(|(name, rules)| field(name, true, rules)).collect();
        }
        // A query struct without fields has no parameters.
        let last = if place == "path" { names.last() } else { None };
        last.map(|name| field(name, true, &schema)).into_iter().collect()
    }

    fn parameter(
        &self,
        place: &str,
        name: &str,
        required: bool,
        mut schema: Map<String, Value>,
        path: &str,
    ) -> Value {
        let mut out = json!({ "name": name, "in": place, "required": required });
        let by_name = || self.about.iter().find(|(known, _)| *known == name).map(|(_, about)| json!(about));
        let about = schema.remove("description").or_else(|| match place {
            "path" => about_segment(path, name).map(Value::String),
            _ => by_name(),
        });
        if let Some(about) = about {
            out["description"] = about;
        }
        let own = schema.remove("examples").and_then(|all| all.get(0).cloned());
        let rules = Value::Object(schema);
        if let Some(example) = own.or_else(|| self.examples.parameter(name, &rules)) {
            out["example"] = example;
        }
        out["schema"] = rules;
        out
    }
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
