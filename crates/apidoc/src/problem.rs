//! A failure as the client sees it: RFC 9457 problem details.

pub(crate) mod completion;

use crate::record::PROBLEM_JSON;
use crate::violation::Violation;
use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderName, HeaderValue, RETRY_AFTER};
use actix_web::{HttpResponse, ResponseError};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::fmt;

/// What failed, stable across requests. Where and when it happened is an [`Occurrence`].
#[derive(Debug, Clone)]
pub struct Problem {
    // Boxed because handlers return it in a `Result`: the error should not be larger than the success.
    parts: Box<Parts>,
}

#[derive(Debug, Clone)]
struct Parts {
    status: StatusCode,
    error_code: Cow<'static, str>,
    detail: Option<String>,
    violations: Vec<Violation>,
    extensions: Map<String, Value>,
    headers: Vec<(HeaderName, HeaderValue)>,
    occurrence: Option<Occurrence>,
}

/// Where and when a problem happened: what the middleware knows and the code that fails does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Occurrence {
    /// Path of the request.
    pub instance: String,
    /// Id under which logs and traces hold the request.
    pub trace_id: String,
    /// RFC 3339.
    pub timestamp: String,
}

/// The body of every failed request.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Problem")]
pub(crate) struct ProblemDocument<'a> {
    /// URI reference that identifies the kind of problem.
    r#type: String,
    /// The kind of problem in words.
    title: &'a str,
    /// The HTTP status code.
    status: u16,
    /// What went wrong this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    detail: Option<&'a str>,
    /// Path of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    instance: Option<&'a str>,
    /// Stable name of the kind of problem, for programs.
    #[schemars(regex(pattern = "^[A-Z][A-Z0-9_]*$"))]
    error_code: &'a str,
    /// Quote this when asking for help.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    trace_id: Option<&'a str>,
    /// When it happened.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", extend("format" = "date-time"))]
    timestamp: Option<&'a str>,
    /// One entry for each invalid part of the request.
    #[serde(skip_serializing_if = "<[Violation]>::is_empty")]
    errors: &'a [Violation],
    /// Members that one kind of problem has beside these.
    #[serde(flatten)]
    #[schemars(skip)]
    extensions: &'a Map<String, Value>,
}

impl Problem {
    /// A problem of this status; `error_code` is stable and in SCREAMING_SNAKE, `detail` is for people.
    pub fn new(
        status: StatusCode,
        error_code: impl Into<Cow<'static, str>>,
        detail: impl Into<String>,
    ) -> Self {
        Self {
            parts: Box::new(Parts { detail: Some(detail.into()), ..Parts::new(status, error_code.into()) }),
        }
    }

    /// The problem about which nothing but the status is known; the code is the status in words.
    pub fn of(status: StatusCode) -> Self {
        let words = status.canonical_reason().unwrap_or("Error");
        let code: String = words.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        let mut parts = Parts::new(status, Cow::Owned(code.to_ascii_uppercase()));
        parts.detail = match status {
            StatusCode::NOT_FOUND => Some("nothing is at this address".to_owned()),
            StatusCode::METHOD_NOT_ALLOWED => Some("this address does not take this method".to_owned()),
            _ => None,
        };
        Self { parts: Box::new(parts) }
    }

    /// 422: the request is understood, but these parts of it are not acceptable.
    pub fn invalid(violations: Vec<Violation>) -> Self {
        let mut problem = Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "VALIDATION_FAILED",
            "the request has parts that are not acceptable, see errors",
        );
        problem.parts.violations = violations;
        problem
    }

    /// Adds an extension member (RFC 9457), such as the id of what failed. The name must not be one of the
    /// standard members.
    #[must_use]
    pub fn with_member(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.parts.extensions.insert(name.to_owned(), value.into());
        self
    }

    /// Adds a response header, such as `WWW-Authenticate`.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.parts.headers.push((name, value));
        self
    }

    /// Tells the client to come back after this many seconds.
    #[must_use]
    pub fn retry_after(self, delay_s: u64) -> Self {
        self.with_header(RETRY_AFTER, HeaderValue::from(delay_s))
    }

    /// The name for programs.
    pub fn error_code(&self) -> &str {
        &self.parts.error_code
    }

    /// What went wrong, for people.
    pub fn detail(&self) -> Option<&str> {
        self.parts.detail.as_deref()
    }

    /// The unacceptable parts of the request; empty for everything but a 422.
    pub fn violations(&self) -> &[Violation] {
        &self.parts.violations
    }

    /// The finished answer. Every problem that leaves the server passes here.
    pub fn render(&self, occurrence: &Occurrence) -> HttpResponse {
        self.response(Some(occurrence))
    }

    /// This problem with its occurrence, for an error that is rendered where no middleware sees it.
    pub(crate) fn occurred(mut self, occurrence: Occurrence) -> Self {
        self.parts.occurrence = Some(occurrence);
        self
    }

    /// The body of this problem somewhere, for the document.
    pub(crate) fn example(&self) -> Value {
        let occurrence = Occurrence {
            instance: "/api/v1/…".to_owned(),
            trace_id: "0af7651916cd43dd8448eb211c80319c".to_owned(),
            timestamp: "2026-11-22T17:00:00Z".to_owned(),
        };
        serde_json::to_value(self.body(Some(&occurrence))).unwrap_or_default()
    }

    fn body<'a>(&'a self, occurrence: Option<&'a Occurrence>) -> ProblemDocument<'a> {
        let parts = &self.parts;
        ProblemDocument {
            r#type: format!("/problems/{}", parts.error_code.to_ascii_lowercase().replace('_', "-")),
            title: parts.status.canonical_reason().unwrap_or("Error"),
            status: parts.status.as_u16(),
            detail: parts.detail.as_deref(),
            instance: occurrence.map(|o| o.instance.as_str()),
            error_code: &parts.error_code,
            trace_id: occurrence.map(|o| o.trace_id.as_str()),
            timestamp: occurrence.map(|o| o.timestamp.as_str()),
            errors: &parts.violations,
            extensions: &parts.extensions,
        }
    }

    fn response(&self, occurrence: Option<&Occurrence>) -> HttpResponse {
        let parts = &self.parts;
        let document = self.body(occurrence);
        let mut builder = HttpResponse::build(parts.status);
        for header in &parts.headers {
            builder.append_header(header.clone());
        }
        if parts.status == StatusCode::REQUEST_TIMEOUT {
            // What is still to come of the request must not be taken for another one, or be waited for.
            builder.force_close();
        }
        let mut response = builder.content_type(PROBLEM_JSON).json(document);
        response.extensions_mut().insert(self.clone());
        response
    }
}

impl Parts {
    fn new(status: StatusCode, error_code: Cow<'static, str>) -> Self {
        Self {
            status,
            error_code,
            detail: None,
            violations: Vec::new(),
            extensions: Map::new(),
            headers: Vec::new(),
            occurrence: None,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.parts.error_code, self.parts.status.as_u16())?;
        self.parts.detail.as_ref().map_or(Ok(()), |detail| write!(f, ": {detail}"))
    }
}

impl std::error::Error for Problem {}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.parts.status
    }

    fn error_response(&self) -> HttpResponse {
        self.response(self.parts.occurrence.as_ref())
    }
}
