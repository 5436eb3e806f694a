//! A connection that becomes a WebSocket.

use crate::record::{self, WEBSOCKET, envelope};
use crate::schema::{Direction, placeholder};
use actix_web::body::BoxBody;
use actix_web::{HttpRequest, HttpResponse, Responder};
use paperclip::actix::OperationModifier;
use paperclip::v2::models::{DefaultOperationRaw, DefaultSchemaRaw, Response};
use paperclip::v2::schema::Apiv2Schema;
use schemars::JsonSchema;
use std::collections::BTreeMap;
use std::marker::PhantomData;

/// 101: text frames are JSON, `In` from the client and `Out` to it. OpenAPI has no words for this, so the
/// two schemas stand under `x-websocket` as `receive` and `send`.
#[derive(Debug)]
pub struct Upgrade<In, Out> {
    response: HttpResponse,
    messages: PhantomData<fn(In) -> Out>,
}

impl<In, Out> Upgrade<In, Out> {
    /// Sends the answer to the handshake.
    pub fn new(response: HttpResponse) -> Self {
        Self { response, messages: PhantomData }
    }
}

impl<In, Out> Responder for Upgrade<In, Out> {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        self.response
    }
}

impl<In: JsonSchema, Out: JsonSchema> Apiv2Schema for Upgrade<In, Out> {}

impl<In: JsonSchema, Out: JsonSchema> OperationModifier for Upgrade<In, Out> {
    fn update_parameter(_: &mut DefaultOperationRaw) {}

    fn update_response(op: &mut DefaultOperationRaw) {
        let messages = [
            ("receive".to_owned(), placeholder::<In>(Direction::Request)),
            ("send".to_owned(), placeholder::<Out>(Direction::Response)),
        ];
        let response = Response {
            description: Some("Switches to a WebSocket; text frames are JSON.".to_owned()),
            schema: Some(envelope(WEBSOCKET, messages)),
            ..Default::default()
        };
        record::answer(op, 101, response);
    }

    fn update_definitions(_: &mut BTreeMap<String, DefaultSchemaRaw>) {}
}
