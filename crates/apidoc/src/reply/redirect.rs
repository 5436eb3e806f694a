//! Somewhere else.

use crate::record;
use actix_web::{
    HttpRequest, HttpResponse, Responder,
    body::BoxBody,
    http::header::{CACHE_CONTROL, LOCATION},
};
use paperclip::actix::OperationModifier;
use paperclip::v2::models::{DefaultOperationRaw, DefaultSchemaRaw, Response};
use paperclip::v2::schema::Apiv2Schema;
use std::collections::BTreeMap;

/// 307: for now it is at this address.
#[derive(Debug)]
pub struct Redirect(pub String);

impl Responder for Redirect {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        HttpResponse::TemporaryRedirect()
            .insert_header((LOCATION, self.0))
            // The address may be good for a while only, and for whoever asked.
            .insert_header((CACHE_CONTROL, "no-store"))
            .finish()
    }
}

impl Apiv2Schema for Redirect {}

impl OperationModifier for Redirect {
    fn update_parameter(_: &mut DefaultOperationRaw) {}

    fn update_response(op: &mut DefaultOperationRaw) {
        let response = Response {
            description: Some("It is elsewhere for now.".to_owned()),
            headers: [("Location".to_owned(), record::header("Where it is."))].into_iter().collect(),
            ..Default::default()
        };
        record::answer(op, 307, response);
    }

    fn update_definitions(_: &mut BTreeMap<String, DefaultSchemaRaw>) {}
}
