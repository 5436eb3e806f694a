//! Somewhere else.

use crate::record;
use actix_web::{
    HttpRequest, HttpResponse, Responder,
    body::BoxBody,
    http::{
        StatusCode,
        header::{CACHE_CONTROL, LOCATION},
    },
};
use paperclip::actix::OperationModifier;
use paperclip::v2::models::{DefaultOperationRaw, DefaultSchemaRaw, Response};
use paperclip::v2::schema::Apiv2Schema;
use std::collections::BTreeMap;

/// 307: for now it is at this address.
#[derive(Debug)]
pub struct Redirect(pub String);

/// 302: a browser goes on at this address.
#[derive(Debug)]
pub struct Found(pub String);

fn to(status: StatusCode, address: String) -> HttpResponse {
    HttpResponse::build(status)
        .insert_header((LOCATION, address))
        // The address may be good for a while only, and for whoever asked.
        .insert_header((CACHE_CONTROL, "no-store"))
        .finish()
}

fn answer(op: &mut DefaultOperationRaw, status: StatusCode, about: &str, where_to: &str) {
    let response = Response {
        description: Some(about.to_owned()),
        headers: [("Location".to_owned(), record::header(where_to))].into_iter().collect(),
        ..Default::default()
    };
    record::answer(op, status.as_u16(), response);
}

impl Responder for Redirect {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        to(StatusCode::TEMPORARY_REDIRECT, self.0)
    }
}

impl Apiv2Schema for Redirect {}

impl OperationModifier for Redirect {
    fn update_parameter(_: &mut DefaultOperationRaw) {}

    fn update_response(op: &mut DefaultOperationRaw) {
        answer(op, StatusCode::TEMPORARY_REDIRECT, "It is elsewhere for now.", "Where it is.");
    }

    fn update_definitions(_: &mut BTreeMap<String, DefaultSchemaRaw>) {}
}

impl Responder for Found {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        to(StatusCode::FOUND, self.0)
    }
}

impl Apiv2Schema for Found {}

impl OperationModifier for Found {
    fn update_parameter(_: &mut DefaultOperationRaw) {}

    fn update_response(op: &mut DefaultOperationRaw) {
        answer(op, StatusCode::FOUND, "The browser goes on elsewhere.", "Where it goes on.");
    }

    fn update_definitions(_: &mut BTreeMap<String, DefaultSchemaRaw>) {}
}
