//! The document, and whether the server keeps its word.

use crate::{contract, world::World};
use reqwest::Method;
use serde_json::Value;
use std::{collections::BTreeSet, fs, path::Path};

#[test]
fn the_committed_document_is_what_the_routes_say() {
    let path = Path::new("../../api-spec/openapi.json");
    #[expect(clippy::disallowed_methods, reason = "a person who runs the test says so in this way")]
    let bless = std::env::var("BLESS").is_ok_and(|value| value == "1");
    if bless {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, api::spec_text()).unwrap();
    }
    let committed = fs::read_to_string(path).unwrap_or_default();
    assert!(
        committed == api::spec_text(),
        "api-spec/openapi.json is not what the routes say; look at the change, then run this test with BLESS=1"
    );
}

#[test]
fn the_document_has_no_faults() {
    assert_eq!(apidoc::faults(api::document()), Vec::<String>::new());
}

#[test]
fn the_document_has_no_gaps() {
    assert_eq!(apidoc::gaps(api::document(), &[429]), Vec::<String>::new());
}

#[test]
fn examples_are_what_their_schemas_say() {
    let mut seen = 0;
    let mut wrong = vec![];
    let document = api::document();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            for (place, schema, example) in shown(operation) {
                seen += 1;
                for error in contract::validator(schema).iter_errors(&example) {
                    wrong.push(format!("{method} {path}, {place}{}: {error}", error.instance_path()));
                }
            }
        }
    }
    assert!(seen > 700, "{seen} examples");
    assert_eq!(wrong, Vec::<String>::new());
}

/// Where an operation shows an example, the schema that it should fit, and the example.
fn shown(operation: &Value) -> Vec<(String, &Value, Value)> {
    let mut shown = vec![];
    for parameter in operation["parameters"].as_array().into_iter().flatten() {
        shown.push((parameter["name"].to_string(), &parameter["schema"], parameter["example"].clone()));
    }
    let responses = operation["responses"].as_object().unwrap().iter();
    let bodies = responses.map(|(status, answer)| (status.as_str(), answer));
    for (name, content) in bodies.chain([("body", &operation["requestBody"])]) {
        for (media, described) in content["content"].as_object().into_iter().flatten() {
            let place = format!("{name} {media}");
            if let Some(example) = described.get("example") {
                shown.push((place.clone(), &described["schema"], example.clone()));
            }
            for (_, example) in described["examples"].as_object().into_iter().flatten() {
                let pointer = example["$ref"].as_str().unwrap().trim_start_matches('#');
                let example = api::document().pointer(pointer).unwrap()["value"].clone();
                shown.push((place.clone(), &described["schema"], example));
            }
        }
    }
    shown
}

#[test]
fn every_type_of_event_is_described() {
    let described = api::document()["components"]["schemas"]["JournalEvent"]["oneOf"].as_array().unwrap();
    let described: BTreeSet<_> =
        described.iter().map(|event| event["properties"]["type"]["const"].as_str().unwrap()).collect();
    assert_eq!(described, domain::EventKind::ALL.map(domain::EventKind::as_str).into());
}

#[actix_web::test]
async fn every_address_takes_exactly_the_methods_the_document_says() {
    let world = World::new().await;
    let paths = api::document()["paths"].as_object().unwrap();
    assert!(paths.len() > 25, "{} paths", paths.len());
    for (path, item) in paths {
        let described: BTreeSet<String> =
            item.as_object().unwrap().keys().map(|m| m.to_uppercase()).collect();
        let path = path.replace(['{', '}'], "");
        let refused = world.alice.send(world.alice.request(Method::TRACE, &path)).await;
        assert_eq!((refused.status, refused.error_code().as_str()), (405, "METHOD_NOT_ALLOWED"), "{path}");
        let allowed: BTreeSet<String> =
            refused.header("allow").split(',').map(|method| method.trim().to_owned()).collect();
        assert_eq!(allowed, described, "{path}");
    }
}

#[actix_web::test]
async fn the_document_and_its_pages_are_served_without_any_network() {
    let world = World::new().await;
    let document = world.anonymous.get("/api/v1/openapi.json").await;
    assert!(document.text() == api::spec_text(), "{}: {:.200}", document.status, document.text());
    assert_eq!(document.header("content-type"), "application/json");

    for (address, files) in [("/docs", 4), ("/redoc", 4)] {
        let page = world.anonymous.get(address).await;
        assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"));
        let policy = page.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{policy}");
        let html = page.text();
        let mut linked = 0;
        for part in html.split(['"']).filter(|part| part.starts_with(&format!("{address}/"))) {
            let asset = world.anonymous.get(part).await;
            assert_eq!(asset.status, 200, "{part}");
            assert!(!asset.body.is_empty(), "{part}");
            linked += 1;
        }
        assert_eq!(linked, files, "{html}");
        assert!(!html.contains("//"), "the page names no other server: {html}");

        for nothing in ["README.md", "..%2f..%2fCargo.toml", "nope.js"] {
            assert_eq!(world.anonymous.get(&format!("{address}/{nothing}")).await.status, 404, "{nothing}");
        }
    }
}
