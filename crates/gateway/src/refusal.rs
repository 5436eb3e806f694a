//! Answers that the gateway gives itself, in the shape of the API's errors, so that the CLI can read them.

use std::borrow::Cow;

use bytes::Bytes;
use domain::budget::UsedUp;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};

use crate::relay::Severed;

/// What goes back to an agent.
pub(crate) type Reply = Response<UnsyncBoxBody<Bytes, Severed>>;

/// Why a request is not passed on, or not answered as the upstream would.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    UnknownToken,
    NoUpstreamKey,
    NoSuchEndpoint,
    BodyTooLarge,
    BodyUnreadable,
    BodyTooSlow,
    ReportUnreadable,
    TooManyRequests,
    /// A budget has no money.
    UsedUp(Box<UsedUp>),
    /// What money is left is held for other requests.
    MoneyHeld,
    /// It cannot be told whether there is money.
    MoneyUnknown,
    /// There is no price for this model.
    UnknownModel(String),
    UpstreamUnreachable,
    UpstreamSilent,
    UpstreamBroke,
    AnswerTooLarge,
    Revoked,
}

impl Refusal {
    fn parts(&self) -> (StatusCode, &'static str, Cow<'static, str>) {
        let (status, kind, words) = match self {
            Self::UsedUp(used_up) => return used_up_parts(used_up),
            Self::UnknownModel(model) => return unknown_model_parts(model),
            Self::MoneyHeld => (
                StatusCode::TOO_MANY_REQUESTS,
                "rate_limit_error",
                "what is left of the budget is held for other requests; some of it comes back when they end",
            ),
            Self::MoneyUnknown => (
                StatusCode::SERVICE_UNAVAILABLE,
                "api_error",
                "it could not be told whether the budget has money for this request, so it was not sent",
            ),
            Self::UnknownToken => {
                (StatusCode::UNAUTHORIZED, "authentication_error", "this token is not known here")
            }
            Self::Revoked => {
                (StatusCode::UNAUTHORIZED, "authentication_error", "this token has been revoked")
            }
            Self::NoUpstreamKey => (
                StatusCode::UNAUTHORIZED,
                "authentication_error",
                "the server has no API key for the model: set ANTHROPIC_API_KEY and start it again",
            ),
            Self::NoSuchEndpoint => {
                (StatusCode::NOT_FOUND, "not_found_error", "this endpoint is not passed on to the model")
            }
            Self::BodyTooLarge => {
                (StatusCode::PAYLOAD_TOO_LARGE, "request_too_large", "the body of the request is too large")
            }
            Self::BodyUnreadable => {
                (StatusCode::BAD_REQUEST, "invalid_request_error", "the body of the request broke off")
            }
            Self::BodyTooSlow => (
                StatusCode::REQUEST_TIMEOUT,
                "timeout_error",
                "the body of the request took too long to arrive",
            ),
            Self::ReportUnreadable => (
                StatusCode::BAD_REQUEST,
                "invalid_request_error",
                "a report has to be an OTLP request in protobuf, not compressed",
            ),
            Self::TooManyRequests => (
                StatusCode::TOO_MANY_REQUESTS,
                "rate_limit_error",
                "this agent has too many requests in flight",
            ),
            Self::UpstreamUnreachable => {
                (StatusCode::BAD_GATEWAY, "api_error", "the model could not be reached")
            }
            Self::UpstreamBroke => (StatusCode::BAD_GATEWAY, "api_error", "the model's answer broke off"),
            Self::UpstreamSilent => {
                (StatusCode::GATEWAY_TIMEOUT, "timeout_error", "the model did not answer in time")
            }
            Self::AnswerTooLarge => (StatusCode::BAD_GATEWAY, "api_error", "the model's answer is too large"),
        };
        (status, kind, Cow::Borrowed(words))
    }

    /// Whether asking again soon may help.
    fn passes(&self) -> bool {
        matches!(self, Self::TooManyRequests | Self::MoneyHeld | Self::MoneyUnknown)
    }

    pub(crate) fn reply(self) -> Reply {
        let (status, kind, message) = self.parts();
        let error = serde_json::json!({"type": "error", "error": {"type": kind, "message": message}});
        let mut reply = Response::new(whole(error.to_string().into()));
        *reply.status_mut() = status;
        reply.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if self.passes() {
            reply.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        reply
    }
}

/// The one status that the CLI does not ask again after and whose words it shows as they are.
fn used_up_parts(used_up: &UsedUp) -> (StatusCode, &'static str, Cow<'static, str>) {
    (
        StatusCode::PAYMENT_REQUIRED,
        "billing_error",
        Cow::Owned(format!("this request was not sent: {used_up}")),
    )
}

fn unknown_model_parts(model: &str) -> (StatusCode, &'static str, Cow<'static, str>) {
    let words = format!("this request was not sent: the price table does not know the model {model:?}");
    // As for money: after 403 the CLI says that it could not log in, after 404 it names the model and not the price.
    (StatusCode::PAYMENT_REQUIRED, "billing_error", Cow::Owned(words))
}

/// A body that is there already.
pub(crate) fn whole(body: Bytes) -> UnsyncBoxBody<Bytes, Severed> {
    Full::new(body).map_err(|never| match never {}).boxed_unsync()
}
