//! An example of whatever a schema describes: the schema's own one where it has one, else one that is made of its rules
//! and of values that fit the names of its fields.

use crate::record::JSON;
use crate::schema::COMPONENTS;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// How much of an object an example shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Extent {
    /// What must be there, or one field where nothing must be: what can be left out may not go together.
    Least,
    /// Every field.
    Full,
}

/// Makes examples for one document.
#[derive(Debug)]
pub(super) struct Examples<'d> {
    components: &'d Map<String, Value>,
    samples: BTreeMap<&'d str, &'d Value>,
}

impl<'d> Examples<'d> {
    /// `samples` has values by the name of the field or parameter that they fit.
    pub(super) fn new(components: &'d Map<String, Value>, samples: &'d [(&'static str, Value)]) -> Self {
        Self { components, samples: samples.iter().map(|(name, value)| (*name, value)).collect() }
    }

    /// What a client might send.
    pub(super) fn request(&self, schema: &Value) -> Option<Value> {
        self.of("", schema, Extent::Least, &mut Vec::new())
    }

    /// What a server might answer.
    pub(super) fn response(&self, schema: &Value) -> Option<Value> {
        self.of("", schema, Extent::Full, &mut Vec::new())
    }

    /// A value of the parameter `name`.
    pub(super) fn parameter(&self, name: &str, schema: &Value) -> Option<Value> {
        self.of(name, schema, Extent::Least, &mut Vec::new())
    }

    /// One event of a stream whose `data` are described by `schema`.
    pub(super) fn event(&self, schema: &Value) -> Option<Value> {
        let data = self.response(schema)?;
        let event = data.get("type").and_then(Value::as_str).unwrap_or("message");
        let id = data.get("seq").map_or_else(|| "1".to_owned(), Value::to_string);
        Some(json!({ "id": id, "event": event, "data": data.to_string() }))
    }

    /// `None` when nothing but the thing itself would fit, as in a type that holds itself; `open` has the components
    /// that this one stands in.
    fn of(&self, name: &str, schema: &Value, extent: Extent, open: &mut Vec<String>) -> Option<Value> {
        let Some(rules) = schema.as_object() else {
            return (*schema == true).then(|| self.anything(name));
        };
        if let Some(target) = rules.get("$ref").and_then(Value::as_str) {
            let component = target.strip_prefix(COMPONENTS)?;
            if open.iter().any(|outer| outer == component) {
                return None;
            }
            open.push(component.to_owned());
            let example = self.of(name, self.components.get(component)?, extent, open);
            open.pop();
            return example;
        }
        if let Some(own) = rules.get("examples").and_then(|all| all.get(0)).or_else(|| rules.get("const")) {
            return Some(own.clone());
        }
        let fitting = self.samples.get(name).filter(|sample| fits(sample, rules));
        if let Some(sample) = fitting {
            return Some((*sample).clone());
        }
        if let Some(words) = rules.get("enum").and_then(Value::as_array) {
            return words.iter().find(|word| !word.is_null()).or_else(|| words.first()).cloned();
        }
        for key in ["anyOf", "oneOf"] {
            if let Some(choices) = rules.get(key).and_then(Value::as_array) {
                return self.choice(name, rules, choices, extent, open);
            }
        }
        self.of_type(name, rules, extent, open)
    }

    /// The first choice that has an example, with the fields that stand beside the choices.
    fn choice(
        &self,
        name: &str,
        rules: &Map<String, Value>,
        choices: &[Value],
        extent: Extent,
        open: &mut Vec<String>,
    ) -> Option<Value> {
        let (nulls, others): (Vec<_>, Vec<_>) = choices.iter().partition(|choice| choice["type"] == "null");
        let chosen = others.into_iter().find_map(|choice| self.of(name, choice, extent, open));
        let chosen = chosen.or_else(|| (!nulls.is_empty()).then_some(Value::Null))?;
        let Value::Object(fields) = chosen else { return Some(chosen) };
        let mut object = self.fields(rules, extent, open)?;
        object.extend(fields);
        Some(object.into())
    }

    fn of_type(
        &self,
        name: &str,
        rules: &Map<String, Value>,
        extent: Extent,
        open: &mut Vec<String>,
    ) -> Option<Value> {
        match types(rules).into_iter().find(|name| *name != "null") {
            Some("object") => self.fields(rules, extent, open).map(Value::Object),
            Some("array") => Some(self.items(name, rules, extent, open)?.into()),
            Some("string") => self.text(name, rules, open),
            Some("integer") => {
                Some(rules.get("minimum").filter(|least| **least != 0).cloned().unwrap_or(json!(1)))
            }
            Some("number") => {
                Some(rules.get("minimum").filter(|least| **least != 0.0).cloned().unwrap_or(json!(0.5)))
            }
            Some("boolean") => Some(json!(true)),
            Some(_) => None,
            None if rules.get("type").is_some() => Some(Value::Null),
            None => Some(self.anything(name)),
        }
    }

    fn fields(
        &self,
        rules: &Map<String, Value>,
        extent: Extent,
        open: &mut Vec<String>,
    ) -> Option<Map<String, Value>> {
        let demanded = rules.get("required").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let mut object = Map::new();
        for (field, schema) in rules.get("properties").and_then(Value::as_object).into_iter().flatten() {
            let is_demanded = demanded.iter().any(|name| name == field);
            let is_shown = is_demanded || extent == Extent::Full || demanded.is_empty() && object.is_empty();
            if !is_shown {
                continue;
            }
            match self.of(field, schema, extent, open) {
                Some(value) => {
                    object.insert(field.clone(), value);
                }
                None if is_demanded => return None,
                None => {}
            }
        }
        if object.is_empty()
            && let Some(schema @ Value::Object(_)) = rules.get("additionalProperties")
            && let Some(value) = self.of("", schema, extent, open)
        {
            object.insert("key".to_owned(), value);
        }
        Some(object)
    }

    fn items(
        &self,
        name: &str,
        rules: &Map<String, Value>,
        extent: Extent,
        open: &mut Vec<String>,
    ) -> Option<Vec<Value>> {
        if let Some(places) = rules.get("prefixItems").and_then(Value::as_array) {
            return places.iter().map(|place| self.of(name, place, extent, open)).collect();
        }
        let item = rules.get("items").and_then(|item| self.of(&singular(name), item, extent, open));
        let least = rules.get("minItems").and_then(Value::as_u64).unwrap_or(0);
        match item {
            Some(item) => Some(vec![item]),
            None if least == 0 => Some(Vec::new()),
            None => None,
        }
    }

    fn text(&self, name: &str, rules: &Map<String, Value>, open: &mut Vec<String>) -> Option<Value> {
        if let Some(content) = rules.get("contentSchema")
            && rules.get("contentMediaType").is_some_and(|media| media == JSON)
        {
            return Some(self.of("", content, Extent::Full, open)?.to_string().into());
        }
        let text = match rules.get("format").and_then(Value::as_str) {
            Some("uuid") => "019372a0-5e1b-7c3e-9b1f-2a6d4e8c0b71".to_owned(),
            Some("date-time") => "2026-11-22T17:00:00Z".to_owned(),
            Some("date") => "2026-11-22".to_owned(),
            Some("email") => "ada@example.com".to_owned(),
            Some("uri") => "https://example.com/".to_owned(),
            _ => match name {
                "" => "text".to_owned(),
                name => name.replace('_', " "),
            },
        };
        let bound =
            |rule| rules.get(rule).and_then(Value::as_u64).and_then(|bound| usize::try_from(bound).ok());
        let most = bound("maxLength").unwrap_or(usize::MAX);
        let least = bound("minLength").unwrap_or(0).saturating_sub(text.chars().count());
        Some(text.chars().take(most).chain(std::iter::repeat_n('x', least)).collect::<String>().into())
    }

    fn anything(&self, name: &str) -> Value {
        self.samples.get(name).map_or_else(|| json!({}), |sample| (*sample).clone())
    }
}

/// One of what a plural names.
pub(super) fn singular(plural: &str) -> String {
    match plural.strip_suffix("ies") {
        Some(stem) => format!("{stem}y"),
        None => plural.strip_suffix('s').unwrap_or(plural).to_owned(),
    }
}

fn types(rules: &Map<String, Value>) -> Vec<&str> {
    match rules.get("type") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

/// Whether a sample is of the type that is asked for. Its other rules are for the test of whoever chose the sample.
fn fits(sample: &Value, rules: &Map<String, Value>) -> bool {
    if let Some(words) = rules.get("enum").and_then(Value::as_array) {
        return words.contains(sample);
    }
    let kind = match sample {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let types = types(rules);
    let is_typed = types.contains(&kind) || kind == "integer" && types.contains(&"number");
    let is_free = types.is_empty() && !["anyOf", "oneOf"].iter().any(|key| rules.contains_key(*key));
    (is_typed && (kind != "object" || !rules.contains_key("properties"))) || is_free
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example(schema: Value, components: Value) -> Option<Value> {
        let samples = [("name", json!("nightly")), ("limit", json!(20))];
        let components = components.as_object().cloned().unwrap_or_default();
        Examples::new(&components, &samples).response(&schema)
    }

    #[test]
    fn rules_and_names_make_examples() {
        let reference = format!("{COMPONENTS}T");
        let table = [
            (json!(true), json!({})),
            (json!({ "const": "a" }), json!("a")),
            (json!({ "type": ["string", "null"], "format": "date" }), json!("2026-11-22")),
            (json!({ "type": "integer", "minimum": 7 }), json!(7)),
            (json!({ "type": "string", "minLength": 6 }), json!("textxx")),
            (json!({ "type": "string", "maxLength": 2 }), json!("te")),
            (json!({ "enum": [null, "b"] }), json!("b")),
            (json!({ "anyOf": [{ "type": "null" }, { "type": "boolean" }] }), json!(true)),
            (json!({ "type": "array", "items": { "$ref": reference } }), json!([{ "name": "nightly" }])),
            (
                json!({ "type": "object", "additionalProperties": { "type": "boolean" } }),
                json!({ "key": true }),
            ),
            (json!({ "examples": [{ "a": 1 }], "type": "object" }), json!({ "a": 1 })),
            // A sample of another type is none.
            (
                json!({ "type": "object", "properties": { "limit": { "type": "string" } } }),
                json!({ "limit": "limit" }),
            ),
        ];
        let components = json!({ "T": { "type": "object", "properties": { "name": { "type": "string" } } } });
        for (schema, wanted) in table {
            assert_eq!(example(schema.clone(), components.clone()), Some(wanted), "{schema}");
        }
    }

    #[test]
    fn a_type_that_holds_itself_ends() {
        let reference = json!({ "$ref": format!("{COMPONENTS}Tree") });
        let tree = json!({ "type": "object", "properties": { "children": { "type": "array", "items": reference } } });
        assert_eq!(example(reference, json!({ "Tree": tree })), Some(json!({ "children": [] })));
    }
}
