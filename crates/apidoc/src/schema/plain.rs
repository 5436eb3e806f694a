//! Schemas in words that every tool understands: the same values, said in another way.

use serde_json::{Map, Value, json};

/// What the names of integer formats mean, which JSON Schema does not know.
const BOUNDS: [(&str, i64, u64); 4] = [
    ("uint32", 0, u32::MAX as u64),
    ("uint64", 0, u64::MAX),
    ("int32", i32::MIN as i64, i32::MAX as u64),
    ("int64", i64::MIN, i64::MAX as u64),
];

/// Rewrites a schema and everything in it:
/// - Integers have the bounds of their format, so that a client does not send what does not fit.
/// - A field that takes anything is `{}` and not `true`, which generators of clients stumble over.
pub(super) fn rewrite(schema: &mut Value) {
    match schema {
        Value::Object(rules) => {
            for (key, value) in rules.iter_mut() {
                match (key.as_str(), value) {
                    ("default" | "const" | "enum" | "examples" | "required", _) => {}
                    ("properties", Value::Object(fields)) => fields.values_mut().for_each(field),
                    ("items", items) => field(items),
                    (_, inner) => rewrite(inner),
                }
            }
            bound(rules);
        }
        Value::Array(items) => items.iter_mut().for_each(rewrite),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn field(schema: &mut Value) {
    if *schema == true {
        *schema = json!({});
    }
    rewrite(schema);
}

fn bound(rules: &mut Map<String, Value>) {
    let Some(format) = rules.get("format").and_then(Value::as_str) else { return };
    let Some((_, least, most)) = BOUNDS.iter().find(|(name, _, _)| *name == format) else { return };
    rules.entry("minimum").or_insert(json!(least));
    rules.entry("maximum").or_insert(json!(most));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_values_are_said_in_another_way() {
        let table = [
            (
                json!({ "type": "object", "properties": { "a": true, "enum": true }, "additionalProperties": true }),
                json!({ "type": "object", "properties": { "a": {}, "enum": {} }, "additionalProperties": true }),
            ),
            (json!({ "default": true, "items": true }), json!({ "default": true, "items": {} })),
            (
                json!({ "type": "integer", "format": "uint32", "minimum": 1 }),
                json!({ "type": "integer", "format": "uint32", "minimum": 1, "maximum": 4_294_967_295_u32 }),
            ),
            (
                json!({ "anyOf": [{ "format": "int64" }] }),
                json!({ "anyOf": [{ "format": "int64", "minimum": i64::MIN, "maximum": i64::MAX }] }),
            ),
            (json!({ "format": "date" }), json!({ "format": "date" })),
        ];
        for (mut schema, wanted) in table {
            rewrite(&mut schema);
            assert_eq!(schema, wanted);
        }
    }
}
