//! How a client wants its answer: waited for, later, or as it comes.

use crate::prefer::preferences;
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
    convert::Infallible,
    future::{Ready, ready},
    time::Duration,
};

/// Longest wait that is honoured.
const WAIT_MAX: Duration = Duration::from_secs(3600);
/// The preference for an answer at once.
const RESPOND_ASYNC: &str = "respond-async";

/// How a client wants its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// When the turn is over.
    Wait,
    /// When the turn is over, or after so long without the outcome.
    WaitFor(Duration),
    /// At once, without the outcome.
    RespondAsync,
    /// As events, while they happen.
    Stream,
}

/// Whether a client wants its answer at once (RFC 7240). Other preferences, and those that cannot be read, are passed over
/// as it demands.
#[derive(Debug, Clone, Copy)]
pub struct RespondAsync(pub bool);

/// How the document has it.
#[derive(Debug)]
struct Prefer;

/// The same for a prompt, which may be waited for as long as `wait` says.
#[derive(Debug)]
struct PreferWithin;

/// RFC 7240: which preference was honoured.
#[derive(Debug)]
pub struct PreferenceApplied;

impl ResponseHeader for PreferenceApplied {
    const NAME: &'static str = "Preference-Applied";
    const ABOUT: &'static str = "`respond-async`, and `wait=N` if that was asked for (RFC 7240).";
}

impl RequestHeader for Prefer {
    const NAME: &'static str = "Prefer";
    const ABOUT: &'static str = "`respond-async`: answer with 202 at once (RFC 7240).";
    const LENGTH_MAX: u32 = 1024;

    fn parse(_: &str) -> Result<Self, String> {
        Ok(Self)
    }
}

impl RequestHeader for PreferWithin {
    const NAME: &'static str = Prefer::NAME;
    const ABOUT: &'static str = "`respond-async`: answer with 202 at once; with `wait=10` beside it, only if the turn is \
                                 not over after 10 seconds (RFC 7240).";
    const LENGTH_MAX: u32 = Prefer::LENGTH_MAX;

    fn parse(_: &str) -> Result<Self, String> {
        Ok(Self)
    }
}

impl FromRequest for RespondAsync {
    type Error = Infallible;
    type Future = Ready<Result<Self, Infallible>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(Self(preferences(request.headers()).any(|one| one == RESPOND_ASYNC))))
    }
}

impl FromRequest for Manner {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        if wants_events(request.headers()) {
            return ready(Ok(Self::Stream));
        }
        let preferences: Vec<String> = preferences(request.headers()).collect();
        let wait = preferences.iter().find_map(|one| one.strip_prefix("wait=")?.parse().ok());
        ready(Ok(match wait.map(Duration::from_secs) {
            _ if !preferences.iter().any(|one| one == RESPOND_ASYNC) => Self::Wait,
            Some(wait) if !wait.is_zero() => Self::WaitFor(wait.min(WAIT_MAX)),
            Some(_) | None => Self::RespondAsync,
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

impl Apiv2Schema for RespondAsync {}

impl OperationModifier for RespondAsync {
    fn update_parameter(op: &mut DefaultOperationRaw) {
        Header::<Prefer>::update_parameter(op);
    }

    fn update_definitions(_: &mut BTreeMap<String, DefaultSchemaRaw>) {}
}

impl Apiv2Schema for Manner {}

impl OperationModifier for Manner {
    fn update_parameter(op: &mut DefaultOperationRaw) {
        Header::<PreferWithin>::update_parameter(op);
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
            (vec![("prefer", "wait=10, Respond-Async; x=1")], Manner::WaitFor(Duration::from_secs(10))),
            (vec![("prefer", "respond-async"), ("prefer", "wait=0")], Manner::RespondAsync),
            (vec![("prefer", "respond-async, wait=soon")], Manner::RespondAsync),
            (vec![("prefer", "wait=10")], Manner::Wait),
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
