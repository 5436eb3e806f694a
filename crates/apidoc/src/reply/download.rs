//! Bytes that are not JSON.

use crate::record::{self, CONTENT, envelope};
use actix_web::body::BoxBody;
use actix_web::http::header::{CONTENT_TYPE, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, Responder};
use paperclip::actix::OperationModifier;
use paperclip::v2::models::{DataType, DefaultOperationRaw, DefaultSchemaRaw, Response};
use paperclip::v2::schema::Apiv2Schema;
use std::collections::BTreeMap;
use std::marker::PhantomData;

/// The media types a download can have.
pub trait Media: 'static {
    /// At least one; the first is sent when the handler sets none.
    const TYPES: &'static [&'static str];
}

/// 200 with bytes of one of the types of `M`.
#[derive(Debug)]
pub struct Download<M: Media> {
    response: HttpResponse,
    media: PhantomData<fn() -> M>,
}

impl<M: Media> Download<M> {
    /// Sends `response`; its `Content-Type` is the first type of `M` unless it has one.
    pub fn new(mut response: HttpResponse) -> Self {
        if !response.headers().contains_key(CONTENT_TYPE)
            && let Some(first) = M::TYPES.first()
            && let Ok(value) = HeaderValue::from_str(first)
        {
            response.headers_mut().insert(CONTENT_TYPE, value);
        }
        Self { response, media: PhantomData }
    }
}

impl<M: Media> Responder for Download<M> {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        self.response
    }
}

impl<M: Media> Apiv2Schema for Download<M> {}

impl<M: Media> OperationModifier for Download<M> {
    fn update_parameter(_: &mut DefaultOperationRaw) {}

    fn update_response(op: &mut DefaultOperationRaw) {
        let bytes = || DefaultSchemaRaw { data_type: Some(DataType::File), ..Default::default() };
        let response = Response {
            description: Some("The bytes.".to_owned()),
            schema: Some(envelope(CONTENT, M::TYPES.iter().map(|media| ((*media).to_owned(), bytes())))),
            ..Default::default()
        };
        record::answer(op, 200, response);
    }

    fn update_definitions(_: &mut BTreeMap<String, DefaultSchemaRaw>) {}
}
