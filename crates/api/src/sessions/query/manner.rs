//! How a client wants its answer: waited for, later, or as it comes.

use actix_web::{
    FromRequest, HttpRequest,
    dev::Payload,
    http::header::{ACCEPT, HeaderMap},
};
use apidoc::{Header, Problem, RequestHeader, ResponseHeader};
use paperclip::{
    actix::OperationModifier,
    v2::{
        models::{DefaultOperationRaw, DefaultSchemaRaw},
        schema::Apiv2Schema,
    },
};
use std::{
    collections::BTreeMap,
    future::{Ready, ready},
};

/// How a client wants its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// When the turn is over.
    Wait,
    /// At once, without the outcome.
    RespondAsync,
    /// As events, while they happen.
    Stream,
}

/// RFC 7240; of its preferences only `respond-async` is known, and others are ignored as it demands.
#[derive(Debug)]
pub struct Prefer {
    pub respond_async: bool,
}

/// RFC 7240: which preference was honoured.
#[derive(Debug)]
pub struct PreferenceApplied;

impl ResponseHeader for PreferenceApplied {
    const NAME: &'static str = "Preference-Applied";
    const ABOUT: &'static str = "`respond-async` (RFC 7240).";
}

impl RequestHeader for Prefer {
    const NAME: &'static str = "Prefer";
    const ABOUT: &'static str = "`respond-async`: answer with 202 at once (RFC 7240).";
    const LENGTH_MAX: u32 = 1024;

    fn parse(value: &str) -> Result<Self, String> {
        let mut preferences = value.split(',').filter_map(|part| part.split(';').next());
        Ok(Self { respond_async: preferences.any(|name| name.trim().eq_ignore_ascii_case("respond-async")) })
    }
}

impl FromRequest for Manner {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        if wants_events(request.headers()) {
            return ready(Ok(Self::Stream));
        }
        let prefer = Header::<Prefer>::from_request(request, payload).into_inner();
        ready(prefer.map(|prefer| match prefer.0 {
            Some(Prefer { respond_async: true }) => Self::RespondAsync,
            Some(Prefer { respond_async: false }) | None => Self::Wait,
        }))
    }
}

/// Whether the client names `text/event-stream` among what it takes; a wildcard does not ask for it.
fn wants_events(headers: &HeaderMap) -> bool {
    headers.get_all(ACCEPT).filter_map(|value| value.to_str().ok()).flat_map(|text| text.split(',')).any(
        |range| {
            let mut parts = range.split(';').map(str::trim);
            let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("text/event-stream"));
            let unwanted = |part: &str| {
                let weight = part.strip_prefix("q=").or_else(|| part.strip_prefix("Q="));
                weight.and_then(|weight| weight.parse::<f32>().ok()).is_some_and(|weight| weight <= 0.0)
            };
            named && !parts.any(unwanted)
        },
    )
}

impl Apiv2Schema for Manner {}

impl OperationModifier for Manner {
    fn update_parameter(op: &mut DefaultOperationRaw) {
        Header::<Prefer>::update_parameter(op);
    }

    fn update_definitions(_: &mut BTreeMap<String, DefaultSchemaRaw>) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    #[test]
    fn headers_decide_how_the_answer_comes() {
        let table = [
            (vec![], Manner::Wait),
            (vec![("accept", "*/*")], Manner::Wait),
            (vec![("accept", "application/json")], Manner::Wait),
            (vec![("accept", "text/event-stream")], Manner::Stream),
            (vec![("accept", "application/json, Text/Event-Stream;q=0.5")], Manner::Stream),
            (vec![("accept", "text/event-stream;q=0, */*")], Manner::Wait),
            (vec![("prefer", "respond-async")], Manner::RespondAsync),
            (vec![("prefer", "wait=10, Respond-Async; x=1")], Manner::RespondAsync),
            (vec![("prefer", "return=minimal")], Manner::Wait),
            (vec![("prefer", "respond-async"), ("accept", "text/event-stream")], Manner::Stream),
        ];
        for (headers, manner) in table {
            let mut request = TestRequest::default();
            for header in &headers {
                request = request.append_header(*header);
            }
            let chosen = Manner::from_request(&request.to_http_request(), &mut Payload::None).into_inner();
            assert_eq!(chosen.unwrap(), manner, "{headers:?}");
        }
    }
}
