//! Each rule, by a pair of documents that differ in it.

use serde_json::{Value, json};

use super::{compare::breaking, is_declared};

/// A document with one operation, that takes and answers `Thing`.
fn document(request: Value, response: Value) -> Value {
    json!({
        "paths": { "/things/{id}": { "post": {
            "operationId": "makeThing",
            "security": [{ "bearer": [] }, { "token": [] }],
            "parameters": [
                { "name": "id", "in": "path", "required": true, "schema": { "type": "string" } },
                { "name": "q", "in": "query", "required": false, "schema": { "type": "string" } },
                { "name": "If-Match", "in": "header", "required": false, "schema": { "type": "string" } },
            ],
            "requestBody": { "required": false, "content": { "application/json": {
                "schema": { "$ref": "#/components/schemas/New" },
            } } },
            "responses": {
                "200": {
                    "headers": { "ETag": {} },
                    "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Thing" } } },
                },
                "404": { "content": {} },
            },
            "x-websocket": { "receive": { "type": "string" }, "send": { "enum": ["a"] } },
        } } },
        "components": { "schemas": { "New": request, "Thing": response } },
    })
}

fn plain() -> Value {
    document(json!({ "type": "object" }), json!({ "type": "object" }))
}

/// What is found when `pointer` of the plain document becomes `value`, or goes away.
fn changed(pointer: &str, value: Option<Value>) -> Vec<String> {
    let mut new = plain();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    let key = key.replace("~1", "/");
    let parent = new.pointer_mut(parent).unwrap();
    match (value, parent) {
        (Some(value), parent) => parent[&key] = value,
        (None, Value::Object(fields)) => drop(fields.remove(&key)),
        (None, Value::Array(items)) => drop(items.remove(key.parse().unwrap())),
        (None, other) => panic!("{other}"),
    }
    breaking(&plain(), &new)
}

/// What is found when a request, or an answer, goes from one schema to another.
fn schemas(old: &Value, new: &Value) -> [Vec<String>; 2] {
    let any = || json!({});
    [
        breaking(&document(old.clone(), any()), &document(new.clone(), any())),
        breaking(&document(any(), old.clone()), &document(any(), new.clone())),
    ]
}

#[test]
fn operations_are_compared() {
    let op = "/paths/~1things~1{id}/post";
    let name = "post /things/{id}";
    let table: [(String, Option<Value>, &[&str]); 19] = [
        ("/paths/~1things~1{id}".into(), None, &["post /things/{id} is gone"]),
        ("/components/schemas/Other".into(), Some(json!({})), &[]),
        (
            format!("{op}/operationId"),
            Some(json!("b")),
            &["post /things/{id} is called \"b\" and not \"makeThing\""],
        ),
        (
            format!("{op}/security/0"),
            None,
            &["post /things/{id} does not take the credential bearer any more"],
        ),
        (format!("{op}/security"), Some(json!([])), &[]),
        (
            format!("{op}/parameters/1"),
            None,
            &["post /things/{id} does not take the query parameter q any more"],
        ),
        (
            format!("{op}/parameters/2"),
            None,
            &["post /things/{id} does not take the header if-match any more"],
        ),
        (format!("{op}/parameters/0/name"), Some(json!("key")), &[]),
        (
            format!("{op}/parameters/1/required"),
            Some(json!(true)),
            &["post /things/{id} demands the query parameter q"],
        ),
        (
            format!("{op}/parameters/1/schema/type"),
            Some(json!("boolean")),
            &["post /things/{id}, the query parameter q does not take string any more"],
        ),
        (format!("{op}/requestBody"), None, &["post /things/{id} does not take a body any more"]),
        (format!("{op}/requestBody/required"), Some(json!(true)), &["post /things/{id} demands a body"]),
        (
            format!("{op}/requestBody/content"),
            Some(json!({ "text/plain": {} })),
            &["post /things/{id} does not take a body of application/json any more"],
        ),
        (format!("{op}/responses/404"), None, &[]),
        (format!("{op}/responses/200"), None, &["post /things/{id} does not answer 200 any more"]),
        (format!("{op}/responses/201"), Some(json!({})), &[]),
        (
            format!("{op}/responses/200/headers"),
            None,
            &["post /things/{id}, answer 200 has no header ETag any more"],
        ),
        (
            format!("{op}/responses/200/content"),
            Some(json!({ "text/csv": {} })),
            &["post /things/{id}, answer 200 is not application/json any more"],
        ),
        (
            format!("{op}/x-websocket/send"),
            Some(json!({ "enum": ["a", "b"] })),
            &["post /things/{id}, what is sent can be \"b\""],
        ),
    ];
    for (pointer, value, wanted) in table {
        assert_eq!(changed(&pointer, value), wanted, "{pointer} of {name}");
    }
    let mut open = plain();
    open["paths"]["/things/{id}"]["post"]["security"] = json!([]);
    assert_eq!(breaking(&open, &plain()), ["post /things/{id} demands a credential"]);
    let mut poor = plain();
    poor["components"]["schemas"]["Other"] = json!({});
    assert_eq!(breaking(&poor, &plain()), ["the type Other is gone"]);
}

#[test]
fn schemas_are_compared_by_who_writes_them() {
    let object = |required: &[&str], fields: Value| json!({ "type": "object", "required": required, "properties": fields, "additionalProperties": false });
    let text = || json!({ "type": "string" });
    let table: [(Value, Value, &[&str], &[&str]); 18] = [
        // Old, new, what breaks in requests, what breaks in answers.
        (text(), text(), &[], &[]),
        (
            object(&[], json!({})),
            object(&["a"], json!({ "a": text() })),
            &["New in requests/a is demanded"],
            &[],
        ),
        (
            object(&["a"], json!({ "a": text() })),
            object(&[], json!({ "a": text() })),
            &[],
            &["Thing in answers/a may be missing"],
        ),
        (
            object(&["a"], json!({ "a": text() })),
            object(&[], json!({})),
            &["New in requests/a is gone"],
            &["Thing in answers/a is gone"],
        ),
        (
            object(&[], json!({ "a": text() })),
            object(&[], json!({})),
            &["New in requests/a is gone"],
            &["Thing in answers/a is gone"],
        ),
        (
            json!({ "type": "object" }),
            object(&[], json!({})),
            &["New in requests does not take fields of other names any more"],
            &[],
        ),
        (json!({ "type": "integer" }), json!({ "type": "number" }), &[], &["Thing in answers can be number"]),
        (text(), json!({ "type": ["string", "null"] }), &[], &["Thing in answers can be null"]),
        (
            json!({ "anyOf": [text(), { "type": "null" }] }),
            text(),
            &["New in requests does not take null any more"],
            &[],
        ),
        (
            json!({ "enum": ["a", "b"] }),
            json!({ "enum": ["b", "c"] }),
            &["New in requests does not take \"a\" any more"],
            &["Thing in answers can be \"c\""],
        ),
        (
            json!({ "type": "integer", "minimum": 1, "maximum": 5 }),
            json!({ "type": "integer", "minimum": 2, "maximum": 6 }),
            &["New in requests does not take what is beyond minimum 2 any more"],
            &["Thing in answers can be what is beyond maximum 5"],
        ),
        (
            text(),
            json!({ "type": "string", "pattern": "^a" }),
            &["New in requests does not take what is not of the pattern ^a any more"],
            &[],
        ),
        (
            json!({ "type": "integer", "format": "uint32" }),
            json!({ "type": "integer", "format": "uint64" }),
            &[],
            &["Thing in answers can be what is not of the format uint32"],
        ),
        // Of several choices, the one of the same type says what is wrong.
        (
            json!({ "type": ["null", "array"], "items": { "type": "string" } }),
            json!({ "type": ["null", "array"], "items": { "type": "string", "minLength": 1 } }),
            &["New in requests/* does not take what is beyond minLength 1 any more"],
            &[],
        ),
        (
            json!({ "type": "object" }),
            json!({ "type": "object", "if": { "required": ["a"] }, "then": { "required": ["b"] } }),
            &["New in requests does not take what does not meet its conditions any more"],
            &[],
        ),
        // The bounds of a format are there without being said.
        (
            json!({ "type": "integer", "format": "uint64" }),
            json!({ "type": "integer", "format": "uint64", "minimum": 0, "maximum": u64::MAX }),
            &[],
            &[],
        ),
        (
            json!({ "type": "array", "items": text() }),
            json!({ "type": "array", "items": { "type": "boolean" } }),
            &["New in requests/* does not take string any more"],
            &["Thing in answers/* can be boolean"],
        ),
        (
            json!({ "oneOf": [{ "type": "object", "properties": { "type": { "const": "a" } }, "required": ["type"] }] }),
            json!({ "oneOf": [
                { "type": "object", "properties": { "type": { "const": "b" } }, "required": ["type"] },
                { "type": "object", "properties": { "type": { "const": "a" } }, "required": ["type"] },
            ] }),
            &[],
            &["Thing in answers/type can be \"b\""],
        ),
    ];
    for (old, new, in_requests, in_answers) in table {
        assert_eq!(schemas(&old, &new), [in_requests, in_answers], "{old} -> {new}");
    }
}

#[test]
fn a_type_that_holds_itself_is_compared_once() {
    let tree = |leaf: &str| {
        json!({ "type": "object", "properties": {
            "leaf": { "type": leaf },
            "children": { "type": "array", "items": { "$ref": "#/components/schemas/Thing" } },
        } })
    };
    let [_, in_answers] = schemas(&tree("string"), &tree("boolean"));
    assert_eq!(in_answers, ["Thing in answers/leaf can be boolean"]);
}

#[test]
fn a_change_is_declared_by_its_words_in_a_list() {
    let declared = "# Changes\n\nget /a is gone\n\n- `get /b is gone`: nobody used it\n";
    assert!(is_declared("get /b is gone", declared));
    assert!(!is_declared("get /a is gone", declared));
    assert!(!is_declared("get /c is gone", declared));
}
