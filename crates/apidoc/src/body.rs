//! JSON request bodies: `Valid` must be there, `ValidOr` may be left out.

mod whole;

use crate::arrival::read_body;
use crate::failure::{BadRequest, Invalid, TooLarge, TooSlow, UnsupportedMedia, document};
use crate::problem::Problem;
use crate::record::{self, Presence};
use crate::violation::{self, Part, Violation};
use actix_web::http::{StatusCode, header};
use actix_web::{FromRequest, HttpRequest, dev::Payload};
use futures::future::LocalBoxFuture;
use paperclip::actix::OperationModifier;
use paperclip::v2::models::{DefaultOperationRaw, DefaultSchemaRaw};
use paperclip::v2::schema::Apiv2Schema;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use std::borrow::Cow;
use std::collections::BTreeMap;
use validator::Validate;

/// Whole numbers of one body that may be written with a fraction of nothing: each means that it is parsed anew.
const WHOLE_NUMBERS_MAX: usize = 32;

/// A JSON object as the body, parsed and validated.
///
/// 415 when it is not JSON by its media type, or compressed, 413 when it is larger than its `BodyLimit`,
/// 408 when it stops or trickles on its way, 400 when it is not JSON by its text, 422 when its shape or a rule is broken (all rules at once).
///
/// The `validator` derive knows no serde names, so a field with a rule must not be renamed.
#[derive(Debug)]
pub struct Valid<T>(pub T);

/// Like [`Valid`], but a request without a body means the default.
#[derive(Debug)]
pub struct ValidOr<T>(pub T);

impl<T: DeserializeOwned + Validate + 'static> FromRequest for Valid<T> {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let is_json = is_json(request);
        let bytes = read_body(request, payload);
        Box::pin(async move {
            require_json(is_json)?;
            parse_json(&bytes.await?).map(Self)
        })
    }
}

impl<T: DeserializeOwned + Validate + Default + 'static> FromRequest for ValidOr<T> {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let is_json = is_json(request);
        let bytes = read_body(request, payload);
        Box::pin(async move {
            // Only the bytes tell whether there is a body: a chunked request announces no length.
            let bytes = bytes.await?;
            if bytes.is_empty() {
                return Ok(Self(T::default()));
            }
            require_json(is_json)?;
            parse_json(&bytes).map(Self)
        })
    }
}

fn is_json(request: &HttpRequest) -> bool {
    let media_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    media_type
        .and_then(|text| text.parse::<mime::Mime>().ok())
        .is_some_and(|mime| mime.subtype() == mime::JSON || mime.suffix() == Some(mime::JSON))
}

fn require_json(is_json: bool) -> Result<(), Problem> {
    if is_json {
        return Ok(());
    }
    let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
    Err(Problem::new(status, "UNSUPPORTED_MEDIA_TYPE", "send the body as application/json"))
}

/// A JSON object that does not come as a body, such as a WebSocket message, parsed and validated like one.
pub fn parse_json<T: DeserializeOwned + Validate>(bytes: &[u8]) -> Result<T, Problem> {
    require_object(bytes)?;
    let value: T = deserialize(bytes)?;
    value.validate().map_err(|errors| Problem::invalid(violation::of_rules(Part::Body, &errors)))?;
    Ok(value)
}

fn deserialize<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let mut bytes = Cow::Borrowed(bytes);
    let mut rewritten = 0;
    loop {
        let mut json = serde_json::Deserializer::from_slice(&bytes);
        let error = match serde_path_to_error::deserialize(&mut json) {
            Ok(value) => {
                json.end().map_err(|error| broken(&error))?;
                return Ok(value);
            }
            Err(error) => error,
        };
        match whole::rewrite(&bytes, error.inner()) {
            Some(other) if rewritten < WHOLE_NUMBERS_MAX => {
                rewritten += 1;
                bytes = Cow::Owned(other);
            }
            _ => return Err(unfit(&error)),
        }
    }
}

fn unfit(error: &serde_path_to_error::Error<serde_json::Error>) -> Problem {
    let (path, error) = (error.path(), error.inner());
    match error.classify() {
        serde_json::error::Category::Data => {
            Problem::invalid(vec![violation::of_parse(Part::Body, path, &error.to_string())])
        }
        _ => broken(error),
    }
}

/// serde would fill a struct from an array, field by field; the document says object.
fn require_object(bytes: &[u8]) -> Result<(), Problem> {
    match bytes.trim_ascii_start().first() {
        Some(b'[') => {
            serde_json::from_slice::<serde::de::IgnoredAny>(bytes).map_err(|error| broken(&error))?;
            Err(Problem::invalid(vec![Violation::new(
                "",
                "type",
                "invalid type: sequence, expected an object",
            )]))
        }
        _ => Ok(()),
    }
}

fn broken(error: &serde_json::Error) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "INVALID_JSON", format!("the body is not JSON: {error}"))
}

fn record_body<T: JsonSchema>(op: &mut DefaultOperationRaw, presence: Presence) {
    record::body::<T>(op, presence);
    document::<BadRequest>(op);
    document::<TooSlow>(op);
    document::<TooLarge>(op);
    document::<UnsupportedMedia>(op);
    document::<Invalid>(op);
}

impl<T: JsonSchema> Apiv2Schema for Valid<T> {}

impl<T: JsonSchema> OperationModifier for Valid<T> {
    fn update_parameter(op: &mut DefaultOperationRaw) {
        record_body::<T>(op, Presence::Required);
    }

    fn update_definitions(_: &mut BTreeMap<String, DefaultSchemaRaw>) {}
}

impl<T: JsonSchema> Apiv2Schema for ValidOr<T> {}

impl<T: JsonSchema> OperationModifier for ValidOr<T> {
    fn update_parameter(op: &mut DefaultOperationRaw) {
        record_body::<T>(op, Presence::Optional);
    }

    fn update_definitions(_: &mut BTreeMap<String, DefaultSchemaRaw>) {}
}
