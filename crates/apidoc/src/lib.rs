//! The typed layer between handlers and the OpenAPI document.
//!
//! paperclip records paths, operations, parameters and responses when routes are registered; schemars
//! describes every type; [`build`] joins both into OpenAPI 3.1. What a handler's signature says is what the
//! document says: extractors bring the failures they cause, replies bring their status and media type, and
//! [`Fail`] brings the rest. Types of the domain derive `Serialize`, `Deserialize`, `JsonSchema` and
//! `Validate`, and never see paperclip.
//!
//! ```
//! use actix_web::body::{EitherBody, MessageBody};
//! use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
//! use actix_web::http::StatusCode;
//! use actix_web::middleware::{Next, from_fn};
//! use actix_web::{App, Error, FromRequest, HttpRequest};
//! use apidoc::{Conflict, Created, Fail, Head, NotFound, Occurrence, PathParams, Problem, SecurityScheme, Valid};
//! use paperclip::actix::{OperationModifier, api_v2_operation, web};
//! use paperclip::v2::{models::{DefaultOperationRaw, DefaultSchemaRaw}, schema::Apiv2Schema};
//! use schemars::JsonSchema;
//! use serde::{Deserialize, Serialize};
//! use std::{collections::BTreeMap, future::{Ready, ready}};
//! use validator::Validate;
//!
//! #[derive(Deserialize, JsonSchema, Validate)]
//! #[serde(deny_unknown_fields)]
//! struct NewNote {
//!     #[validate(length(min = 1, max = 80))]
//!     title: String,
//! }
//!
//! #[derive(Serialize, JsonSchema)]
//! struct Note {
//!     title: String,
//! }
//!
//! // An extractor that stands for a logged-in caller.
//! struct Caller;
//! impl FromRequest for Caller {
//!     type Error = Problem;
//!     type Future = Ready<Result<Self, Problem>>;
//!     fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
//!         let known = request.headers().contains_key("authorization");
//!         let refused = || Problem::new(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", "send a bearer token");
//!         ready(known.then_some(Caller).ok_or_else(refused))
//!     }
//! }
//! impl Apiv2Schema for Caller {}
//! impl OperationModifier for Caller {
//!     fn update_security(op: &mut DefaultOperationRaw) {
//!         apidoc::require(op, &["bearer"]);
//!     }
//!     fn update_parameter(_: &mut DefaultOperationRaw) {}
//!     fn update_definitions(_: &mut BTreeMap<String, DefaultSchemaRaw>) {}
//! }
//!
//! /// Add a note
//! ///
//! /// The first line is the summary, the rest the description.
//! #[api_v2_operation(tags(Notes), operation_id = "createNote")]
//! async fn create(
//!     _caller: Caller,
//!     shelf: PathParams<u32>,
//!     body: Valid<NewNote>,
//! ) -> Result<Created<Note>, Fail<(NotFound, Conflict)>> {
//!     if shelf.0 > 9 {
//!         return Err(Problem::new(StatusCode::NOT_FOUND, "SHELF_NOT_FOUND", "no such shelf").into());
//!     }
//!     Ok(Created::at(Note { title: body.0.title }, "/shelves/1/notes/1"))
//! }
//!
//! fn routes(config: &mut web::ServiceConfig) {
//!     config.service(web::resource("/shelves/{shelf}/notes").route(web::post().to(create)));
//! }
//!
//! // Every failure passes here and gets its path, trace id and time.
//! async fn problems(
//!     request: ServiceRequest,
//!     next: Next<impl MessageBody + 'static>,
//! ) -> Result<ServiceResponse<EitherBody<impl MessageBody>>, Error> {
//!     let instance = request.path().to_owned();
//!     let occurrence =
//!         || Occurrence { instance, trace_id: "0af7".into(), timestamp: "2026-11-22T17:00:00Z".into() };
//!     apidoc::complete(next.call(request).await, occurrence)
//! }
//!
//! // The server mounts the same routes in a plain actix app.
//! let app = App::new()
//!     .wrap(from_fn(problems))
//!     .configure(|config| routes(&mut web::ServiceConfig::from(config)));
//!
//! let head = Head {
//!     title: "Notes".into(),
//!     version: "1.0.0".into(),
//!     security: vec![("bearer", SecurityScheme::Bearer { about: "A token from `/auth/login`." })],
//!     tags: vec![("Notes", "Notes on shelves.")],
//!     ..Head::default()
//! };
//! let document = apidoc::build(head, routes);
//! assert_eq!(apidoc::faults(&document), Vec::<String>::new());
//! assert!(apidoc::text(&document).contains("createNote"));
//! ```

mod arrival;
mod body;
mod document;
mod failure;
mod faults;
mod gaps;
mod header;
mod path;
mod problem;
mod query;
mod record;
mod reply;
mod schema;
mod security;
mod upload;
mod violation;

pub use arrival::{BodyLimit, read_body};
pub use body::{Valid, ValidOr, parse_json};
pub use document::{Head, build, failure_example, text};
pub use failure::{
    BadGateway, BadRequest, BudgetExhausted, Conflict, Fail, Failure, FailureSet, Forbidden, Gone, Invalid,
    NotFound, PreconditionFailed, RangeNotSatisfiable, StorageFull, TimedOut, TooLarge, TooMany, TooSlow,
    Unauthorized, Unavailable, UnsupportedMedia, document,
};
pub use faults::faults;
pub use gaps::gaps;
pub use header::{Header, RequestHeader};
pub use path::PathParams;
pub use problem::completion::complete;
pub use problem::{Occurrence, Problem};
pub use query::ValidQuery;
pub use reply::download::{Download, Media, Partial};
pub use reply::events::{EventStream, Frame};
pub use reply::headers::{Link, Linked, ResponseHeader, With};
pub use reply::one_of::OneOf;
pub use reply::redirect::{Found, Redirect};
pub use reply::upgrade::Upgrade;
pub use reply::{Accepted, Created, Done, Fetched, Reply};
pub use security::{SecurityScheme, require};
pub use upload::Upload;
pub use violation::Violation;
