//! What each failure of a use case is over HTTP: the one place that decides it, and that logs what is ours to fix.

use crate::approvals::ApprovalResponse;
use actix_web::{
    ResponseError,
    http::{
        StatusCode,
        header::{HeaderValue, WWW_AUTHENTICATE},
    },
};
use apidoc::{Problem, Violation};
use domain::{
    Approval, Operation, SessionStatus, TurnFailure, TurnId,
    budget::{Exhausted, UsedUp},
    ports::{ArchiveError, ProviderError, RenderError, StoreError},
};

use engine::{Error, FieldError, OidcError};

/// When to come back after the store or the agent was not there.
const RETRY_AFTER_SECONDS: u64 = 5;

/// The problem a client gets. A 5xx is logged here, once, with the chain of its sources.
pub fn problem(error: Error) -> Problem {
    let problem = translate(&error);
    let status = problem.status_code();
    let code = problem.error_code();
    let chain = &error as &dyn std::error::Error;
    if status == StatusCode::INTERNAL_SERVER_ERROR {
        tracing::error!(error = chain, code, "a request failed");
    } else if status.is_server_error() {
        tracing::warn!(error = chain, code, "a request failed");
    }
    problem
}

fn translate(error: &Error) -> Problem {
    let failed = || format!("failed to {error}");
    match error {
        Error::NotFound(what) => {
            let code = format!("{}_NOT_FOUND", what.to_ascii_uppercase().replace(' ', "_"));
            Problem::new(StatusCode::NOT_FOUND, code, format!("there is no such {what}"))
        }
        Error::WrongState(status) => wrong_state(*status),
        Error::NotForkable(why) => {
            Problem::new(StatusCode::CONFLICT, "NOT_FORKABLE", format!("the session cannot be forked: {why}"))
        }
        Error::Held(operation) => held(*operation),
        Error::Busy(status) => busy(*status),
        Error::NotQueued(status) => {
            let detail = format!("the turn is {} and cannot be taken back", status.as_str());
            Problem::new(StatusCode::CONFLICT, "TURN_NOT_QUEUED", detail)
        }
        Error::ExecutionOver(status) => {
            let detail = format!("the execution is {} and cannot be cancelled", status.as_str());
            Problem::new(StatusCode::CONFLICT, "EXECUTION_OVER", detail)
        }
        Error::ExecutionNotRetryable(status) => {
            let detail = format!("the execution is {} and cannot be repeated", status.as_str());
            Problem::new(StatusCode::CONFLICT, "EXECUTION_NOT_RETRYABLE", detail)
        }
        Error::AlreadyDecided(approval) => already_decided(approval),
        Error::Exists(what) => {
            Problem::new(StatusCode::CONFLICT, "ALREADY_EXISTS", format!("there is a {what} already"))
        }
        Error::LimitReached { what, max } => {
            let detail = format!("you have {max} {what}, which is as many as one user may have; delete some");
            Problem::new(StatusCode::CONFLICT, "LIMIT_REACHED", detail).with_member("limit", *max)
        }
        Error::PolicyChanged(current) => {
            let detail = format!("version {current} of this policy is the newest; look at it first");
            Problem::new(StatusCode::CONFLICT, "POLICY_CHANGED", detail).with_member("version", *current)
        }
        Error::Invalid(fields) => Problem::invalid(fields.iter().map(violation).collect()),
        Error::Unauthenticated => unauthenticated("CREDENTIALS_REFUSED", "the credentials are not valid"),
        Error::AccountDisabled => {
            Problem::new(StatusCode::FORBIDDEN, "ACCOUNT_DISABLED", "this account is disabled")
        }
        Error::Oidc(error) => oidc_failed(error),
        Error::TooManyLogins { retry_after_seconds } => {
            let detail = "there were too many attempts to log in; this one was not looked at";
            Problem::new(StatusCode::TOO_MANY_REQUESTS, "TOO_MANY_LOGINS", detail)
                .retry_after(*retry_after_seconds)
        }
        Error::LastAdmin => {
            let detail = "nobody would be left who may do everything; make somebody else an admin first";
            Problem::new(StatusCode::CONFLICT, "LAST_ADMIN", detail)
        }
        Error::Forbidden(why) => Problem::new(StatusCode::FORBIDDEN, "FORBIDDEN", *why),
        Error::NoSlot { retry_after_seconds, .. } => {
            Problem::new(StatusCode::TOO_MANY_REQUESTS, "NO_FREE_SLOT", failed())
                .retry_after(*retry_after_seconds)
        }
        Error::BudgetExhausted(used_up) => budget_exhausted(used_up),
        Error::QueueFull { retry_after_seconds, .. } => {
            Problem::new(StatusCode::TOO_MANY_REQUESTS, "QUEUE_FULL", failed())
                .retry_after(*retry_after_seconds)
        }
        Error::AgentUnavailable(what_to_do) => unavailable("AGENT_UNAVAILABLE", what_to_do),
        Error::ShuttingDown => unavailable("SHUTTING_DOWN", "this server is shutting down"),
        Error::LeaseLost => {
            unavailable("LEASE_LOST", "this server could not renew its lease and runs no agents until it can")
        }
        Error::FilesElsewhere => unavailable(
            "FILES_ELSEWHERE",
            "another server has these files: ask that one, or have the session archived to S3 (POST \
             /sessions/{id}/archive, or auto_archive of a task), from where every server can read them",
        ),
        Error::TurnFailed { turn_id, failure, message } => turn_failed(*turn_id, *failure, message),
        Error::ArchiveRemoved => {
            let detail = "the archive was removed: its time was up, or a newer one took its place";
            Problem::new(StatusCode::GONE, "ARCHIVE_REMOVED", detail)
        }
        Error::NotArchived(why) => {
            Problem::new(StatusCode::CONFLICT, "NOT_ARCHIVED", format!("the session was not archived: {why}"))
        }
        Error::NotRestored(why) => Problem::new(
            StatusCode::BAD_GATEWAY,
            "NOT_RESTORED",
            format!("the session was not restored: {why}"),
        ),
        Error::ArchivesFull { .. } => {
            Problem::new(StatusCode::INSUFFICIENT_STORAGE, "ARCHIVES_FULL", failed())
        }
        Error::DownloadsBusy(_) => {
            unavailable("DOWNLOADS_BUSY", "as many directories as may are being downloaded; ask again")
        }
        Error::NotTold(_) => Problem::new(StatusCode::BAD_GATEWAY, "NOT_TOLD", failed()),
        Error::Archive(error) => archive_failed(error),
        Error::Render(error) => render_failed(error),
        Error::SecretsLost(_) => {
            // Which key is wanted is the operator's to know, who has it in the log.
            let detail = "this server does not have the key of a secret; its operator has to give it back";
            unavailable("SECRETS_UNREADABLE", detail)
        }
        Error::Store(error) => store_failed(error),
        Error::Files { .. } | Error::Internal(_) => internal(),
    }
}

fn violation(field: &FieldError) -> Violation {
    let violation = Violation::new(field.pointer.clone(), field.code, field.message.clone());
    match field.place {
        Some(place) => violation.at(place.line, place.column),
        None => violation,
    }
}

/// 401, with the header that says how to do better.
pub fn unauthenticated(code: &'static str, detail: &str) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, code, detail)
        .with_header(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"steward\""))
}

fn wrong_state(status: SessionStatus) -> Problem {
    let word = status.as_str();
    if status.is_busy() {
        let detail = format!("a turn is running (the session is {word}), which does not allow this");
        return Problem::new(StatusCode::CONFLICT, "SESSION_BUSY", detail);
    }
    Problem::new(
        StatusCode::CONFLICT,
        "WRONG_STATE",
        format!("the session is {word}, which does not allow this"),
    )
}

/// 409, with the word for what holds the session.
fn held(operation: Operation) -> Problem {
    let word = operation.as_str();
    let detail = format!("the session is held by an operation ({word}); wait until that is over");
    Problem::new(StatusCode::CONFLICT, "SESSION_BUSY", detail).with_member("operation", word)
}

/// 409 for a prompt that would have to wait for another one of its session, and was not to.
fn busy(status: SessionStatus) -> Problem {
    let does = if status.is_busy() { "is running" } else { "is waiting" };
    let detail = format!(
        "a turn {does} (the session is {}); wait for it, or send `if_busy`: `queue` or `interrupt`",
        status.as_str()
    );
    Problem::new(StatusCode::CONFLICT, "SESSION_BUSY", detail)
}

/// 409, with the decision that stands, so that whoever came second knows.
fn already_decided(approval: &Approval) -> Problem {
    let detail = format!("this approval is {} already", approval.status.as_str());
    let stands = serde_json::to_value(ApprovalResponse::from(approval.clone())).unwrap_or_default();
    Problem::new(StatusCode::CONFLICT, "APPROVAL_DECIDED", detail).with_member("approval", stands)
}

/// 402, with the budget and when there will be money again.
fn budget_exhausted(used_up: &UsedUp) -> Problem {
    let Exhausted { spender, budget, spent } = &used_up.exhausted;
    let problem = Problem::new(StatusCode::PAYMENT_REQUIRED, "BUDGET_EXHAUSTED", used_up.to_string())
        .with_member("spender", serde_json::json!({ "kind": spender.kind(), "id": spender.key() }))
        .with_member("limit_usd", budget.limit.as_usd())
        .with_member("spent_usd", spent.as_usd())
        .with_member("when_exhausted", budget.when_exhausted.as_str());
    match used_up.renews_at {
        Some(at) => problem.with_member("renews_at", at.to_string()),
        None => problem,
    }
}

fn turn_failed(turn_id: TurnId, failure: TurnFailure, message: &str) -> Problem {
    let status = match failure {
        TurnFailure::AgentFailed | TurnFailure::AgentLimitExceeded | TurnFailure::ModelFailed => {
            StatusCode::BAD_GATEWAY
        }
        TurnFailure::AgentTimeout => StatusCode::GATEWAY_TIMEOUT,
        TurnFailure::BudgetExhausted => StatusCode::PAYMENT_REQUIRED,
        TurnFailure::AgentUnavailable | TurnFailure::ServerStopped | TurnFailure::NotRecorded => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        // These two are outcomes a waiting query is answered with; elsewhere they are a conflict of wishes.
        TurnFailure::MaxTurnsReached | TurnFailure::Interrupted => StatusCode::CONFLICT,
    };
    let problem = Problem::new(status, failure.as_str(), message).with_member("turn_id", turn_id.to_string());
    if status == StatusCode::SERVICE_UNAVAILABLE { problem.retry_after(RETRY_AFTER_SECONDS) } else { problem }
}

fn store_failed(error: &StoreError) -> Problem {
    match error {
        StoreError::Conflict { what } => {
            Problem::new(StatusCode::CONFLICT, "ALREADY_EXISTS", format!("{what} exists already"))
        }
        StoreError::BadCursor => Problem::invalid(vec![Violation::new(
            "?cursor",
            "cursor",
            "is not a cursor that this list gave out",
        )]),
        StoreError::Changed => Problem::new(
            StatusCode::PRECONDITION_FAILED,
            "PRECONDITION_FAILED",
            "it is in another state than If-Match says; read it again",
        ),
        StoreError::Fenced => {
            unavailable("SESSION_MOVED", "another server has taken the session over; ask again")
        }
        StoreError::Unavailable(_) => unavailable("STORE_UNAVAILABLE", "the database does not answer"),
        StoreError::Inconsistent { .. } | StoreError::Failed(_) => internal(),
    }
}

fn archive_failed(error: &ArchiveError) -> Problem {
    match error {
        ArchiveError::Unavailable(_) => {
            unavailable("ARCHIVE_STORE_UNAVAILABLE", "the archive store does not answer")
        }
        ArchiveError::Missing | ArchiveError::Corrupt(_) | ArchiveError::Hostile(_) => {
            Problem::new(StatusCode::BAD_GATEWAY, "ARCHIVE_DAMAGED", format!("failed to {error}"))
        }
        ArchiveError::TooLarge(_)
        | ArchiveError::BadPattern(_)
        | ArchiveError::Files { .. }
        | ArchiveError::Failed(_) => internal(),
    }
}

fn render_failed(error: &RenderError) -> Problem {
    match error {
        RenderError::Busy => {
            unavailable("REPORTS_BUSY", "as many reports as may are being written; ask again")
        }
        RenderError::TimedOut => unavailable(
            "REPORT_TIMED_OUT",
            "the report took longer to write than it may; another format may not",
        ),
        RenderError::Failed(_) => internal(),
    }
}

fn oidc_failed(error: &OidcError) -> Problem {
    let bad = |code, detail| Problem::new(StatusCode::BAD_REQUEST, code, detail);
    let forbidden = |code, detail: &str| Problem::new(StatusCode::FORBIDDEN, code, detail);
    match error {
        OidcError::Off => {
            let detail = "no identity provider is set up on this server; log in with a password";
            Problem::new(StatusCode::NOT_FOUND, "OIDC_OFF", detail)
        }
        OidcError::NotBegun => bad(
            "OIDC_LOGIN_NOT_BEGUN",
            "this browser has begun no login here, or lost its cookie; begin one at /api/v1/auth/oidc/login",
        ),
        OidcError::Expired => bad(
            "OIDC_LOGIN_EXPIRED",
            "the login was begun too long ago; begin again at /api/v1/auth/oidc/login",
        ),
        OidcError::OtherLogin => bad(
            "OIDC_STATE_MISMATCH",
            "what came back belongs to another login than this browser has begun; begin again",
        ),
        OidcError::Denied(word) => {
            forbidden("OIDC_DENIED", &format!("the identity provider did not log you in: {word}"))
        }
        OidcError::NoAccount => {
            forbidden("OIDC_NO_ACCOUNT", "you have no account here, and none is made; ask an admin for one")
        }
        OidcError::NoEmail => forbidden(
            "OIDC_NO_EMAIL",
            "an account needs an e-mail address, and the identity provider tells none",
        ),
        OidcError::EmailNotVerified => forbidden(
            "OIDC_EMAIL_NOT_VERIFIED",
            "the identity provider has not verified your e-mail address; have it verified there first",
        ),
        OidcError::EmailTaken => Problem::new(
            StatusCode::CONFLICT,
            "OIDC_EMAIL_TAKEN",
            "there is an account of this e-mail address, which is not linked to your identity",
        ),
        OidcError::NoRole => {
            forbidden("OIDC_NO_ROLE", "none of your groups at the identity provider has a role here")
        }
        OidcError::Provider(ProviderError::Refused(_)) => unauthenticated(
            "OIDC_REFUSED",
            "what came back from the identity provider is not valid, or was used before; begin again",
        ),
        OidcError::Provider(ProviderError::Unavailable(_)) => {
            unavailable("OIDC_PROVIDER_UNAVAILABLE", "the identity provider does not answer")
        }
        OidcError::Provider(ProviderError::Failed(_)) => Problem::new(
            StatusCode::BAD_GATEWAY,
            "OIDC_PROVIDER_FAILED",
            "the identity provider answered what this server cannot use; its log has the reason under this trace_id",
        ),
    }
}

/// 401 for a request without a credential where one counts.
pub fn credentials_missing() -> Problem {
    unauthenticated("CREDENTIALS_MISSING", "send Authorization: Bearer <token>")
}

fn unavailable(code: &'static str, detail: &str) -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, code, detail).retry_after(RETRY_AFTER_SECONDS)
}

fn internal() -> Problem {
    let detail = "the server failed; its log has the reason under this trace_id";
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL_ERROR", detail)
}
