//! Replies with a header of their own, such as `Link`.

use crate::problem::Problem;
use crate::record;
use actix_web::body::BoxBody;
use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, Responder, ResponseError};
use paperclip::actix::OperationModifier;
use paperclip::v2::models::{DefaultOperationRaw, DefaultSchemaRaw, Either};
use paperclip::v2::schema::Apiv2Schema;
use std::collections::BTreeMap;
use std::marker::PhantomData;

/// A response header as a type.
pub trait ResponseHeader: 'static {
    /// Name as the document spells it.
    const NAME: &'static str;
    /// What the document says about it.
    const ABOUT: &'static str;
}

/// RFC 8288: where the next page of a history is.
#[derive(Debug, Clone, Copy)]
pub struct Link;

impl ResponseHeader for Link {
    const NAME: &'static str = "Link";
    const ABOUT: &'static str = "`<…>; rel=\"next\"` while there is a next page (RFC 8288).";
}

/// The reply `R` with the header `H`, which may be left out of one answer.
#[derive(Debug)]
pub struct With<R, H> {
    reply: R,
    value: Option<String>,
    header: PhantomData<fn() -> H>,
}

/// A reply that links to its next page.
pub type Linked<R> = With<R, Link>;

impl<R, H: ResponseHeader> With<R, H> {
    /// Sends `reply` with the header when there is a value for it.
    pub fn new(reply: R, value: Option<String>) -> Self {
        Self { reply, value, header: PhantomData }
    }
}

impl<R> Linked<R> {
    /// Sends `reply` with a link to the next page, if there is one.
    pub fn next(reply: R, url: Option<&str>) -> Self {
        Self::new(reply, url.map(|url| format!("<{url}>; rel=\"next\"")))
    }
}

impl<R: Responder, H: ResponseHeader> Responder for With<R, H> {
    type Body = BoxBody;

    fn respond_to(self, request: &HttpRequest) -> HttpResponse {
        let mut response = self.reply.respond_to(request).map_into_boxed_body();
        let Some(value) = self.value else { return response };
        match (HeaderName::try_from(H::NAME), HeaderValue::try_from(value)) {
            (Ok(name), Ok(value)) => {
                response.headers_mut().insert(name, value);
                response
            }
            _ => Problem::of(StatusCode::INTERNAL_SERVER_ERROR).error_response(),
        }
    }
}

impl<R: OperationModifier, H: ResponseHeader> Apiv2Schema for With<R, H> {}

impl<R: OperationModifier, H: ResponseHeader> OperationModifier for With<R, H> {
    fn update_parameter(_: &mut DefaultOperationRaw) {}

    fn update_response(op: &mut DefaultOperationRaw) {
        // Recorded apart first, because the header belongs to the answers of `R` and to no other.
        let mut apart = DefaultOperationRaw::default();
        R::update_response(&mut apart);
        for (status, response) in apart.responses {
            if let (Ok(status), Either::Right(mut response)) = (status.parse(), response) {
                response.headers.insert(H::NAME.to_owned(), record::header(H::ABOUT));
                record::answer(op, status, response);
            }
        }
    }

    fn update_definitions(_: &mut BTreeMap<String, DefaultSchemaRaw>) {}
}
