//! The failures an operation documents, as a type: what is not in the set must not be returned.

use crate::problem::Problem;
use crate::record;
use actix_web::http::StatusCode;
use actix_web::{HttpResponse, ResponseError};
use paperclip::v2::models::{DefaultOperationRaw, DefaultSchemaRaw};
use paperclip::v2::schema::Apiv2Errors;
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

/// One documented failure.
pub trait Failure: 'static {
    /// The HTTP status code.
    const STATUS: u16;
    /// What the document says about it.
    const ABOUT: &'static str;
}

macro_rules! failures {
    ($($name:ident = $status:literal, $about:literal;)*) => {
        $(
            #[doc = concat!(stringify!($status), ": ", $about)]
            #[derive(Debug, Clone, Copy)]
            pub struct $name;

            impl Failure for $name {
                const STATUS: u16 = $status;
                const ABOUT: &'static str = $about;
            }
        )*
    };
}

failures! {
    BadRequest = 400, "The request cannot be parsed.";
    Unauthorized = 401, "The credentials are missing or not valid.";
    BudgetExhausted = 402, "The budget is exhausted.";
    Forbidden = 403, "The caller may not do this.";
    NotFound = 404, "There is no such thing, or it is not the caller's.";
    TooSlow = 408, "The body did not arrive in time; the connection is closed.";
    Conflict = 409, "The state of the thing forbids this.";
    Gone = 410, "It was there and is not any more.";
    PreconditionFailed = 412, "The thing is in another state than `If-Match` says; read it again.";
    TooLarge = 413, "The body is larger than the server takes.";
    UnsupportedMedia = 415, "The body is not of the media type this operation takes, or it is compressed.";
    RangeNotSatisfiable = 416, "The range lies outside of what there is; `Content-Range` says how much that is.";
    Invalid = 422, "Parts of the request are not acceptable; `errors` names each.";
    TooMany = 429, "Too many requests, or no free slot; `Retry-After` says when to come back.";
    BadGateway = 502, "The agent, or something else behind this server, failed.";
    Unavailable = 503, "Something this operation needs is down; `Retry-After` says when to come back.";
    TimedOut = 504, "The agent did not finish in time.";
    StorageFull = 507, "This server keeps as much as it may.";
}

/// A set of failures: a tuple of types that are a [`Failure`].
pub trait FailureSet: 'static {
    /// Status and description of each member.
    const MEMBERS: &'static [(u16, &'static str)];
}

impl FailureSet for () {
    const MEMBERS: &'static [(u16, &'static str)] = &[];
}

macro_rules! failure_sets {
    ($(($($member:ident)+))*) => {
        $(
            impl<$($member: Failure),+> FailureSet for ($($member,)+) {
                const MEMBERS: &'static [(u16, &'static str)] = &[$(($member::STATUS, $member::ABOUT)),+];
            }
        )*
    };
}

failure_sets! {
    (A) (A B) (A B C) (A B C D) (A B C D E) (A B C D E F) (A B C D E F G) (A B C D E F G H) (A B C D E F G H I)
    (A B C D E F G H I J)
}

/// The error half of a handler's result: a problem with one of the statuses in `S`, or a 500.
///
/// `?` turns anything that is `Into<Problem>` into it. A debug build panics on an undocumented status, so
/// that a test finds it; a release build sends it.
pub struct Fail<S: FailureSet> {
    problem: Problem,
    documented: PhantomData<fn() -> S>,
}

impl<S: FailureSet> Fail<S> {
    /// The problem the client gets.
    pub fn problem(&self) -> &Problem {
        &self.problem
    }
}

impl<S: FailureSet, E: Into<Problem>> From<E> for Fail<S> {
    fn from(error: E) -> Self {
        let problem = error.into();
        let status = problem.status_code().as_u16();
        debug_assert!(
            status == 500 || S::MEMBERS.iter().any(|(member, _)| *member == status),
            "the operation does not document {problem}"
        );
        Self { problem, documented: PhantomData }
    }
}

impl<S: FailureSet> fmt::Debug for Fail<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.problem.fmt(f)
    }
}

impl<S: FailureSet> fmt::Display for Fail<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.problem, f)
    }
}

impl<S: FailureSet> ResponseError for Fail<S> {
    fn status_code(&self) -> StatusCode {
        self.problem.status_code()
    }

    fn error_response(&self) -> HttpResponse {
        self.problem.error_response()
    }
}

impl<S: FailureSet> Apiv2Errors for Fail<S> {
    fn update_error_definitions(op: &mut DefaultOperationRaw) {
        for (status, about) in S::MEMBERS {
            record::failure(op, *status, about);
        }
    }

    fn update_definitions(_: &mut BTreeMap<String, DefaultSchemaRaw>) {}
}

/// Documents one failure of an extractor.
pub fn document<F: Failure>(op: &mut DefaultOperationRaw) {
    record::failure(op, F::STATUS, F::ABOUT);
}
