//! The final pass: what paperclip recorded and what schemars described become one OpenAPI 3.1 document.

mod examples;
mod operation;
mod parameters;

pub use self::operation::failure_example;

use self::{examples::Examples, operation::Finish, parameters::Parameters};
use crate::schema::{self, Collected};
use crate::security::SecurityScheme;
use actix_web::App;
use paperclip::actix::OpenApiExt;
use paperclip::actix::web::ServiceConfig;
use paperclip::v2::models::DefaultApiRaw;
use serde_json::{Map, Value, json};

/// What the document says about the service as a whole.
#[derive(Debug, Clone, Default)]
pub struct Head {
    /// Name of the service.
    pub title: String,
    /// Version of the API.
    pub version: String,
    /// What the service is for; Markdown.
    pub description: String,
    /// Names and kinds of the schemes that extractors [`require`](crate::require).
    pub security: Vec<(&'static str, SecurityScheme)>,
    /// Tags and their descriptions, in the order documentation shows them.
    pub tags: Vec<(&'static str, &'static str)>,
    /// What parameters of these names are, where their type does not say.
    pub parameters: Vec<(&'static str, &'static str)>,
    /// What examples show in fields and parameters of these names, wherever the type fits.
    pub samples: Vec<(&'static str, Value)>,
}

/// Registers `routes` on an app that is thrown away and returns the document: the same routes always give
/// the same document, paths and components sorted, fields as declared. No address ends in a slash.
pub fn build(head: Head, routes: impl FnOnce(&mut ServiceConfig)) -> Value {
    let mut recorded = Value::Null;
    let collected = schema::collect(|| {
        // Never served: only its registration matters.
        drop(App::new().wrap_api_with_spec(DefaultApiRaw::default()).configure(routes).with_raw_json_spec(
            |app, spec| {
                recorded = spec;
                app
            },
        ));
    });
    finish(head, &recorded, collected)
}

/// The document as it is committed: indented, with a line break at the end.
pub fn text(document: &Value) -> String {
    format!("{document:#}\n")
}

/// paperclip records the resource `""` of a scope with a slash that actix does not serve. No address of ours
/// ends in one.
fn address(recorded: &str) -> String {
    match recorded.trim_end_matches('/') {
        "" => "/".to_owned(),
        trimmed => trimmed.to_owned(),
    }
}

fn finish(head: Head, recorded: &Value, collected: Collected) -> Value {
    let examples = Examples::new(&collected.components, &head.samples);
    let parameters = Parameters { about: &head.parameters, examples: &examples };
    let mut finish = Finish { collected: &collected, examples: &examples, parameters, shared: Map::new() };
    let mut paths = Map::new();
    for (path, item) in recorded["paths"].as_object().into_iter().flatten() {
        let address = address(path);
        let methods = item.as_object().into_iter().flatten();
        let operations =
            methods.map(|(method, op)| (method.clone(), finish.operation(&address, op))).collect();
        paths.insert(address, Value::Object(operations));
    }
    paths.sort_keys();
    let mut shared = finish.shared;
    shared.sort_keys();
    let tags: Vec<Value> =
        head.tags.iter().map(|(name, about)| json!({ "name": name, "description": about })).collect();
    let schemes: Map<String, Value> =
        head.security.iter().map(|(name, scheme)| ((*name).to_owned(), scheme.document())).collect();
    json!({
        "openapi": "3.1.0",
        "info": { "title": head.title, "version": head.version, "description": head.description },
        "servers": [{ "url": "/" }],
        "tags": tags,
        "paths": paths,
        "components": {
            "schemas": collected.components,
            "examples": shared,
            "securitySchemes": schemes,
        },
    })
}
