//! Plain replies: the status is in the type, so it can be documented.

pub(crate) mod download;
pub(crate) mod events;
pub(crate) mod headers;
pub(crate) mod one_of;
pub(crate) mod redirect;
pub(crate) mod upgrade;

use crate::record::{self, JSON, content};
use crate::schema::{Direction, placeholder};
use actix_web::body::BoxBody;
use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, Responder};
use paperclip::actix::OperationModifier;
use paperclip::v2::models::{DefaultOperationRaw, DefaultSchemaRaw, Response};
use paperclip::v2::schema::Apiv2Schema;
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeMap;

/// A JSON body with a status known at compile time; use it through its three names.
#[derive(Debug)]
pub struct Reply<const STATUS: u16, T> {
    body: T,
    location: Option<String>,
}

/// 200 with a body.
pub type Fetched<T> = Reply<200, T>;
/// 201 with the new thing and its `Location`.
pub type Created<T> = Reply<201, T>;
/// 202 with a receipt and the `Location` to watch.
pub type Accepted<T> = Reply<202, T>;

impl<T> Fetched<T> {
    /// Answers with `body`.
    pub fn new(body: T) -> Self {
        Self { body, location: None }
    }
}

impl<T> Created<T> {
    /// Answers with `body`, which is found at `location`.
    pub fn at(body: T, location: impl Into<String>) -> Self {
        Self { body, location: Some(location.into()) }
    }
}

impl<T> Accepted<T> {
    /// Answers with `body`; the outcome will be found at `location`.
    pub fn at(body: T, location: impl Into<String>) -> Self {
        Self { body, location: Some(location.into()) }
    }
}

impl<const STATUS: u16, T> Reply<STATUS, T> {
    /// Only the three named replies can be made, so only their statuses occur.
    fn status() -> StatusCode {
        match STATUS {
            201 => StatusCode::CREATED,
            202 => StatusCode::ACCEPTED,
            _ => StatusCode::OK,
        }
    }
}

impl<const STATUS: u16, T: Serialize> Responder for Reply<STATUS, T> {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        let mut builder = HttpResponse::build(Self::status());
        if let Some(location) = self.location {
            builder.insert_header((header::LOCATION, location));
        }
        builder.json(self.body)
    }
}

impl<const STATUS: u16, T: JsonSchema> Apiv2Schema for Reply<STATUS, T> {}

impl<const STATUS: u16, T: JsonSchema> OperationModifier for Reply<STATUS, T> {
    fn update_parameter(_: &mut DefaultOperationRaw) {}

    fn update_response(op: &mut DefaultOperationRaw) {
        let status = Self::status();
        let (about, location) = match STATUS {
            201 => ("The new thing.", Some("Where the new thing is.")),
            202 => ("Accepted; the work goes on.", Some("Where the outcome will be.")),
            _ => ("Success.", None),
        };
        let headers = location.map(|about| ("Location".to_owned(), record::header(about)));
        let response = Response {
            description: Some(about.to_owned()),
            schema: Some(content(JSON, placeholder::<T>(Direction::Response))),
            headers: headers.into_iter().collect(),
        };
        record::answer(op, status.as_u16(), response);
    }

    fn update_definitions(_: &mut BTreeMap<String, DefaultSchemaRaw>) {}
}

/// 204: it is done and there is nothing to say.
#[derive(Debug, Clone, Copy)]
pub struct Done;

impl Responder for Done {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        HttpResponse::NoContent().finish()
    }
}

impl Apiv2Schema for Done {}

impl OperationModifier for Done {
    fn update_parameter(_: &mut DefaultOperationRaw) {}

    fn update_response(op: &mut DefaultOperationRaw) {
        record::answer(op, 204, Response { description: Some("Done.".to_owned()), ..Default::default() });
    }

    fn update_definitions(_: &mut BTreeMap<String, DefaultSchemaRaw>) {}
}
