//! An operation that answers in more than one way.

use actix_web::body::BoxBody;
use actix_web::{HttpRequest, HttpResponse, Responder};
use paperclip::actix::OperationModifier;
use paperclip::v2::models::{DefaultOperationRaw, DefaultSchemaRaw};
use paperclip::v2::schema::Apiv2Schema;
use std::collections::BTreeMap;

/// One of two replies; nest it for three. Both are documented, so they differ in status or media type.
#[derive(Debug)]
pub enum OneOf<A, B> {
    /// The first way.
    This(A),
    /// The second way.
    That(B),
}

impl<A: Responder, B: Responder> Responder for OneOf<A, B> {
    type Body = BoxBody;

    fn respond_to(self, request: &HttpRequest) -> HttpResponse {
        match self {
            Self::This(reply) => reply.respond_to(request).map_into_boxed_body(),
            Self::That(reply) => reply.respond_to(request).map_into_boxed_body(),
        }
    }
}

impl<A: OperationModifier, B: OperationModifier> Apiv2Schema for OneOf<A, B> {}

impl<A: OperationModifier, B: OperationModifier> OperationModifier for OneOf<A, B> {
    fn update_parameter(_: &mut DefaultOperationRaw) {}

    fn update_response(op: &mut DefaultOperationRaw) {
        A::update_response(op);
        B::update_response(op);
    }

    fn update_definitions(_: &mut BTreeMap<String, DefaultSchemaRaw>) {}
}
