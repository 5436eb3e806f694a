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
pub struct Download<M: Media, const STATUS: u16 = 200> {
    response: HttpResponse,
    media: PhantomData<fn() -> M>,
}

/// 206 with a range of the bytes.
pub type Partial<M> = Download<M, 206>;

impl<M: Media, const STATUS: u16> Download<M, STATUS> {
    /// Sends `response`, which has the status; its `Content-Type` is the first type of `M` unless it has one.
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

impl<M: Media, const STATUS: u16> Responder for Download<M, STATUS> {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        self.response
    }
}

impl<M: Media, const STATUS: u16> Apiv2Schema for Download<M, STATUS> {}

impl<M: Media, const STATUS: u16> OperationModifier for Download<M, STATUS> {
    fn update_parameter(_: &mut DefaultOperationRaw) {}

    fn update_response(op: &mut DefaultOperationRaw) {
        let bytes = || DefaultSchemaRaw { data_type: Some(DataType::File), ..Default::default() };
        let response = Response {
            description: Some(
                if STATUS == 206 { "The range of the bytes." } else { "The bytes." }.to_owned(),
            ),
            schema: Some(envelope(CONTENT, M::TYPES.iter().map(|media| ((*media).to_owned(), bytes())))),
            ..Default::default()
        };
        record::answer(op, STATUS, response);
    }

    fn update_definitions(_: &mut BTreeMap<String, DefaultSchemaRaw>) {}
}
