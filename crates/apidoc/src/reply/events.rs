//! Server-sent events.

use crate::record::{self, EVENT_STREAM, content};
use crate::schema::{Direction, placeholder};
use actix_web::body::BoxBody;
use actix_web::http::header::{CACHE_CONTROL, HeaderName};
use actix_web::{HttpRequest, HttpResponse, Responder};
use bytes::Bytes;
use futures::stream::LocalBoxStream;
use futures::{Stream, StreamExt};
use paperclip::actix::OperationModifier;
use paperclip::v2::models::{DefaultOperationRaw, DefaultSchemaRaw, Response};
use paperclip::v2::schema::Apiv2Schema;
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

/// One frame of an event stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame<T> {
    /// Something happened.
    Event {
        /// What a client sends back as `Last-Event-ID`.
        id: Option<String>,
        /// The `event:` field.
        name: String,
        /// The `data:` field, as one line of JSON.
        data: T,
    },
    /// Keeps the connection alive; clients ignore it.
    Comment(String),
    /// Tells the client how long to wait before it reconnects.
    Retry(Duration),
}

impl<T> Frame<T> {
    /// An event that a client can resume after.
    pub fn event(id: impl fmt::Display, name: impl Into<String>, data: T) -> Self {
        Self::Event { id: Some(id.to_string()), name: name.into(), data }
    }

    /// A comment.
    pub fn comment(text: impl Into<String>) -> Self {
        Self::Comment(text.into())
    }
}

impl<T: Serialize> Frame<T> {
    /// The frame as sent. A line break would start a new field, so fields lose theirs (JSON has none).
    fn encode(&self) -> serde_json::Result<Bytes> {
        let line = |text: &str| text.replace(['\r', '\n', '\0'], " ");
        let text = match self {
            Self::Retry(delay) => format!("retry: {}\n\n", delay.as_millis()),
            Self::Comment(text) => format!(": {}\n\n", line(text)),
            Self::Event { id, name, data } => {
                let id = id.as_ref().map(|id| format!("id: {}\n", line(id))).unwrap_or_default();
                format!("{id}event: {}\ndata: {}\n\n", line(name), serde_json::to_string(data)?)
            }
        };
        Ok(Bytes::from(text))
    }
}

/// 200 with `text/event-stream`; the data of each event is a `T`.
pub struct EventStream<T> {
    frames: LocalBoxStream<'static, serde_json::Result<Bytes>>,
    data: PhantomData<fn() -> T>,
}

impl<T: Serialize + 'static> EventStream<T> {
    /// Sends `frames` as they come. A frame that cannot be encoded cuts the connection: the client sees a
    /// broken stream and resumes, instead of missing an event.
    pub fn new(frames: impl Stream<Item = Frame<T>> + 'static) -> Self {
        Self { frames: frames.map(|frame| frame.encode()).boxed_local(), data: PhantomData }
    }
}

impl<T> fmt::Debug for EventStream<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventStream").finish_non_exhaustive()
    }
}

impl<T> Responder for EventStream<T> {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        HttpResponse::Ok()
            .content_type(EVENT_STREAM)
            .insert_header((CACHE_CONTROL, "no-store"))
            // nginx holds answers back in a buffer unless told not to.
            .insert_header((HeaderName::from_static("x-accel-buffering"), "no"))
            .streaming(self.frames)
    }
}

impl<T: JsonSchema> Apiv2Schema for EventStream<T> {}

impl<T: JsonSchema> OperationModifier for EventStream<T> {
    fn update_parameter(_: &mut DefaultOperationRaw) {}

    fn update_response(op: &mut DefaultOperationRaw) {
        let response = Response {
            description: Some("Server-sent events; `data` is one JSON document.".to_owned()),
            schema: Some(content(EVENT_STREAM, placeholder::<T>(Direction::Response))),
            ..Default::default()
        };
        record::answer(op, 200, response);
    }

    fn update_definitions(_: &mut BTreeMap<String, DefaultSchemaRaw>) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_encoded_line_by_line() {
        let table = [
            (Frame::event(7, "text", "a\nb"), "id: 7\nevent: text\ndata: \"a\\nb\"\n\n"),
            (Frame::Event { id: None, name: "x".into(), data: "" }, "event: x\ndata: \"\"\n\n"),
            (
                Frame::event("1\ndata: forged", "x\r\ny", ""),
                "id: 1 data: forged\nevent: x  y\ndata: \"\"\n\n",
            ),
            (Frame::comment("still\nhere"), ": still here\n\n"),
            (Frame::Retry(Duration::from_secs(2)), "retry: 2000\n\n"),
        ];
        for (frame, sent) in table {
            assert_eq!(frame.encode().unwrap(), sent, "{frame:?}");
        }
    }
}
