//! A file in a form: `multipart/form-data` with one part of one name.

use crate::arrival::read_body;
use crate::failure::{BadRequest, Invalid, TooLarge, TooSlow, UnsupportedMedia, document};
use crate::problem::Problem;
use crate::record::{self, FILE};
use crate::violation::Violation;
use actix_multipart::Multipart;
use actix_web::http::{StatusCode, header};
use actix_web::web::Bytes;
use actix_web::{FromRequest, HttpRequest, dev::Payload, error::PayloadError};
use futures::future::LocalBoxFuture;
use futures::{TryStreamExt, stream};
use paperclip::actix::OperationModifier;
use paperclip::v2::models::{DefaultOperationRaw, DefaultSchemaRaw};
use paperclip::v2::schema::Apiv2Schema;
use std::collections::BTreeMap;

/// The bytes of the part `file`, of which there must be one and nothing else.
///
/// 415 when it is no form by its media type, or compressed, 413 when it is larger than `BYTES_MAX` or than its
/// `BodyLimit`, 408 when it stops or trickles on its way, 400 when it is no form by its text, 422 when it has no such part.
#[derive(Debug)]
pub struct Upload<const BYTES_MAX: usize>(pub Bytes);

impl<const BYTES_MAX: usize> FromRequest for Upload<BYTES_MAX> {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let headers = request.headers().clone();
        let bytes = read_body(request, payload);
        Box::pin(async move {
            let media_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
            let media_type = media_type.and_then(|text| text.parse::<mime::Mime>().ok());
            if media_type.is_none_or(|mime| mime.essence_str() != mime::MULTIPART_FORM_DATA) {
                let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
                let detail = "send the body as multipart/form-data";
                return Err(Problem::new(status, "UNSUPPORTED_MEDIA_TYPE", detail));
            }
            let body = stream::iter([Ok::<_, PayloadError>(bytes.await?)]);
            file(Multipart::new(&headers, body), BYTES_MAX).await.map(Self)
        })
    }
}

async fn file(mut form: Multipart, bytes_max: usize) -> Result<Bytes, Problem> {
    let mut file = None;
    while let Some(mut part) = form.try_next().await.map_err(broken)? {
        let name = part.name().unwrap_or_default().to_owned();
        let Some(bytes) = part.bytes(bytes_max).await.ok() else {
            let detail = format!("the file is larger than the {bytes_max} bytes that are taken");
            return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "PAYLOAD_TOO_LARGE", detail));
        };
        if name != FILE || file.is_some() {
            let violation = Violation::new(format!("/{name}"), "unknown", "is not the one part `file`");
            return Err(Problem::invalid(vec![violation]));
        }
        file = Some(bytes.map_err(broken)?);
    }
    file.ok_or_else(|| Problem::invalid(vec![Violation::new("/file", "required", "a file is needed")]))
}

fn broken(error: actix_multipart::MultipartError) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "INVALID_FORM", format!("the body is no form: {error}"))
}

impl<const BYTES_MAX: usize> Apiv2Schema for Upload<BYTES_MAX> {}

impl<const BYTES_MAX: usize> OperationModifier for Upload<BYTES_MAX> {
    fn update_parameter(op: &mut DefaultOperationRaw) {
        record::file(op);
        document::<BadRequest>(op);
        document::<TooSlow>(op);
        document::<TooLarge>(op);
        document::<UnsupportedMedia>(op);
        document::<Invalid>(op);
    }

    fn update_definitions(_: &mut BTreeMap<String, DefaultSchemaRaw>) {}
}
