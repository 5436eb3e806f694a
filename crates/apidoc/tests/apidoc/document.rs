//! The document of the demo service.

use crate::demo::{head, routes};
use apidoc::{build, faults, gaps, text};
use serde_json::{Value, json};

#[test]
fn the_document_is_as_reviewed() {
    insta::assert_snapshot!("demo", text(&build(head(), routes)));
}

#[test]
fn the_document_is_the_same_each_time_and_in_each_thread() {
    let first = text(&build(head(), routes));
    assert_eq!(text(&build(head(), routes)), first);
    assert_eq!(std::thread::spawn(|| text(&build(head(), routes))).join().unwrap(), first);
    assert!(first.ends_with("}\n"));
}

#[test]
fn the_document_has_no_faults() {
    assert_eq!(faults(&build(head(), routes)), Vec::<String>::new());
}

#[test]
fn faults_are_found() {
    let table: [(&str, Value, &str); 9] = [
        ("/paths/~1things/get/operationId", json!("createThing"), "repeats the id createThing"),
        ("/paths/~1things/get/operationId", Value::Null, "get /things has no operationId"),
        ("/paths/~1things/get/tags", json!([]), "get /things has no tag"),
        ("/paths/~1things/get/security", json!([{ "magic": [] }]), "unknown scheme magic"),
        ("/paths/~1things~1{id}/get/parameters", json!([]), "path and parameters disagree about id"),
        (
            "/paths/~1things/get/parameters",
            json!([{ "in": "query", "name": "a" }, { "in": "query", "name": "a" }]),
            "lists the parameter a twice",
        ),
        ("/components/schemas/Answer", json!({ "$ref": "#/components/schemas/Gone" }), "refers to nothing"),
        ("/components/schemas/Page<T>", json!({}), "illegal characters"),
        ("/components/schemas/Thing2", json!({}), "Thing and Thing2 may be two types of one name"),
    ];
    for (pointer, broken, expected) in table {
        let mut document = build(head(), routes);
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        document.pointer_mut(parent).unwrap()[key] = broken;
        let found = faults(&document);
        assert!(found.iter().any(|fault| fault.contains(expected)), "{pointer}: {found:?}");
    }
}

#[test]
fn gaps_are_found() {
    let table: [(&str, Value, &str); 10] = [
        ("/paths/~1things/get/summary", Value::Null, "get /things has no summary"),
        ("/paths/~1things/get/description", json!(" "), "get /things has no description"),
        (
            "/paths/~1things/get/parameters/0/description",
            Value::Null,
            "does not describe the parameter \"limit\"",
        ),
        (
            "/paths/~1things/get/parameters",
            json!([{ "name": "a", "in": "query" }]),
            "no example of the parameter",
        ),
        (
            "/paths/~1things/get/responses/200/content",
            json!({ "application/json": {} }),
            "no example of the answer 200 as application/json",
        ),
        (
            "/paths/~1things/post/requestBody/content",
            json!({ "application/json": {} }),
            "no example of its body",
        ),
        (
            "/paths/~1things/get/responses",
            json!({ "200": {} }),
            "get /things can answer 401 and does not say so",
        ),
        ("/paths/~1things/get/responses", json!({ "200": {}, "401": {} }), "get /things can answer 422"),
        ("/paths/~1things/get/responses", json!({ "401": {} }), "get /things says nothing of success"),
        ("/components/schemas/Answer", json!({ "properties": {} }), "the type Answer has no description"),
    ];
    for (pointer, broken, expected) in table {
        let mut document = build(head(), routes);
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        document.pointer_mut(parent).unwrap()[key] = broken;
        let found = gaps(&document, &[]);
        assert!(found.iter().any(|gap| gap.contains(expected)), "{pointer}: {found:#?}");
    }
    let found = gaps(&build(head(), routes), &[418]);
    assert!(found.iter().any(|gap| gap == "get /things can answer 418 and does not say so"), "{found:#?}");
}

#[test]
fn request_and_response_schemas_are_split_only_where_they_differ() {
    let document = build(head(), routes);
    let names: Vec<&String> = document["components"]["schemas"].as_object().unwrap().keys().collect();
    for (name, present) in [
        ("Label", true),
        ("LabelInput", true),
        ("Block", true),
        ("BlockInput", false),
        ("PageOfThing", true),
        ("PageOfReceipt", true),
    ] {
        assert_eq!(names.iter().any(|known| *known == name), present, "{name}");
    }
    let labels = |component: &str| {
        document["components"]["schemas"][component]["properties"]["labels"]["items"]["$ref"].clone()
    };
    assert_eq!(labels("NewThing"), "#/components/schemas/LabelInput");
    assert_eq!(labels("Thing"), "#/components/schemas/Label");
}

#[test]
fn only_operations_with_a_caller_have_security() {
    let document = build(head(), routes);
    let security = |pointer: &str| document.pointer(pointer).unwrap().get("security").cloned();
    assert_eq!(security("/paths/~1health/get"), None);
    assert_eq!(security("/paths/~1things/get"), Some(json!([{ "bearer": [] }])));
    assert_eq!(
        security("/paths/~1things~1{id}~1stream/get"),
        Some(json!([{ "bearer": [] }, { "token": [] }]))
    );
}
