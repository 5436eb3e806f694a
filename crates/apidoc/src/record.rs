//! What our extractors and replies write into the operation that paperclip records.
//!
//! paperclip's model is Swagger 2: one schema per response and no extensions. A response schema is
//! therefore an envelope whose title names its kind and whose properties hold the real placeholders;
//! the final pass opens it.

use crate::problem::ProblemDocument;
use crate::schema::{Direction, inline, is_recording, placeholder};
use paperclip::v2::models::{
    DataType, DefaultOperationRaw, DefaultSchemaRaw, Either, Header, Parameter, ParameterIn, Response,
};
use schemars::JsonSchema;

/// Title of an envelope with one property per media type.
pub(crate) const CONTENT: &str = "apidoc content";
/// Title of an envelope with the properties `receive` and `send`.
pub(crate) const WEBSOCKET: &str = "apidoc websocket";
/// Name of a parameter whose schema is split into one parameter per field.
pub(crate) const EACH_FIELD: &str = "*";
/// Media type of an ordinary body.
pub(crate) const JSON: &str = "application/json";
/// Media type of a form with a file.
pub(crate) const FORM: &str = "multipart/form-data";
/// The part of a form that is the file, and the name of the body that such a form is.
pub(crate) const FILE: &str = "file";
/// Media type of a failure.
pub(crate) const PROBLEM_JSON: &str = "application/problem+json";
/// Media type of server-sent events.
pub(crate) const EVENT_STREAM: &str = "text/event-stream";

/// An envelope titled `title`.
pub(crate) fn envelope(
    title: &str,
    parts: impl IntoIterator<Item = (String, DefaultSchemaRaw)>,
) -> DefaultSchemaRaw {
    DefaultSchemaRaw {
        title: Some(title.to_owned()),
        properties: parts.into_iter().map(|(name, schema)| (name, Box::new(schema))).collect(),
        ..Default::default()
    }
}

/// An envelope with one media type.
pub(crate) fn content(media_type: &str, schema: DefaultSchemaRaw) -> DefaultSchemaRaw {
    envelope(CONTENT, [(media_type.to_owned(), schema)])
}

/// Documents an answer. A second answer with the same status adds its media types and headers.
pub(crate) fn answer(op: &mut DefaultOperationRaw, status: u16, response: Response<DefaultSchemaRaw>) {
    if !is_recording() {
        return;
    }
    let known = op.responses.entry(status.to_string()).or_insert_with(|| Either::Right(Response::default()));
    let Either::Right(known) = known else { return };
    known.description = known.description.take().or(response.description);
    known.headers.extend(response.headers);
    match (&mut known.schema, response.schema) {
        (Some(known), Some(more)) => known.properties.extend(more.properties),
        (known @ None, more) => *known = more,
        (Some(_), None) => {}
    }
}

/// Documents a header of an answer.
pub(crate) fn header(about: &str) -> Header {
    Header { description: Some(about.to_owned()), data_type: Some(DataType::String), ..Default::default() }
}

/// Documents a failure; the first description of a status wins.
pub(crate) fn failure(op: &mut DefaultOperationRaw, status: u16, about: &str) {
    if !is_recording() {
        return;
    }
    op.responses.entry(status.to_string()).or_insert_with(|| {
        Either::Right(Response {
            description: Some(about.to_owned()),
            schema: Some(content(PROBLEM_JSON, placeholder::<ProblemDocument>(Direction::Response))),
            headers: failure_header(status).into_iter().collect(),
        })
    });
}

fn failure_header(status: u16) -> Option<(String, Header)> {
    let (name, about) = match status {
        401 => ("WWW-Authenticate", "How to present credentials."),
        429 | 503 => ("Retry-After", "Seconds to wait."),
        _ => return None,
    };
    Some((name.to_owned(), header(about)))
}

/// Whether a request without a body is accepted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Presence {
    Required,
    Optional,
}

/// Documents a parameter.
pub(crate) fn parameter(
    op: &mut DefaultOperationRaw,
    describe: impl FnOnce() -> Parameter<DefaultSchemaRaw>,
) {
    if is_recording() {
        op.parameters.push(Either::Right(describe()));
    }
}

/// Documents a JSON request body of shape `T`.
pub(crate) fn body<T: JsonSchema>(op: &mut DefaultOperationRaw, presence: Presence) {
    parameter(op, || Parameter {
        in_: ParameterIn::Body,
        name: "body".to_owned(),
        required: presence == Presence::Required,
        schema: Some(placeholder::<T>(Direction::Request)),
        ..Default::default()
    });
}

/// Documents a form with one file as the request body.
pub(crate) fn file(op: &mut DefaultOperationRaw) {
    parameter(op, || Parameter {
        in_: ParameterIn::Body,
        name: FILE.to_owned(),
        required: true,
        ..Default::default()
    });
}

/// Documents each field of `T` as a parameter found in `place`.
pub(crate) fn parameters<T: JsonSchema>(op: &mut DefaultOperationRaw, place: ParameterIn) {
    parameter(op, || Parameter {
        in_: place,
        name: EACH_FIELD.to_owned(),
        schema: Some(inline::<T>(Direction::Request)),
        ..Default::default()
    });
}
