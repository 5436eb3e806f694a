//! `GET /admin/audit-log` and its export: everything that concerns security, as one chain.

use crate::{
    ApiState,
    caller::Caller,
    error::problem,
    page::{HISTORY_LIMIT_DEFAULT, Here},
};
use actix_web::{
    HttpResponse, error::ErrorInternalServerError, http::header::CONTENT_DISPOSITION, web::Data,
};
use apidoc::{Download, Fail, Fetched, Forbidden, Linked, Media, Unavailable, ValidQuery};
use bytes::Bytes;
use domain::{
    Actor, AuditEntry, AuditFilter, SessionId,
    audit::{Fact, Hash},
    ports::StoreError,
};
use futures::TryStreamExt;
use jiff::Timestamp;
use paperclip::actix::api_v2_operation;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use uuid::Uuid;
use validator::{Validate, ValidationError};

/// Which part of the log is wanted.
#[derive(Debug, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct AuditLogQuery {
    #[serde(default = "limit_default")]
    #[validate(range(min = 1, max = 1000))]
    limit: u32,
    /// Entries after the one of this number.
    #[serde(default)]
    cursor: u64,
    /// What the action begins with: `login.` for everything about logging in.
    #[validate(length(min = 1, max = 100), custom(function = "words"))]
    #[schemars(extend("pattern" = "^[a-z._]*$"))]
    action: Option<String>,
    /// A user, whatever credential they used, or an API key.
    actor: Option<Uuid>,
    session_id: Option<Uuid>,
    from: Option<Timestamp>,
    /// The first instant that is too late.
    to: Option<Timestamp>,
}

/// Which part of the log to export.
#[derive(Debug, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct AuditExportQuery {
    /// The last entry that is there already; 0 for the whole chain.
    #[serde(default)]
    after_seq: u64,
}

/// One thing that happened, with its place in the chain.
#[derive(Debug, Serialize, JsonSchema)]
pub struct AuditEntryResponse {
    /// 1 for the first, without gaps.
    seq: u64,
    at: Timestamp,
    actor: ActorResponse,
    /// Stable words with dots between, such as `login.failed`; new ones may be added.
    action: String,
    subject: Option<SubjectResponse>,
    session_id: Option<Uuid>,
    /// The other end of the connection: a proxy, where there is one.
    ip_address: Option<String>,
    /// The id of the request, which is in the server's log too.
    request_id: Option<String>,
    /// More about it, depending on the action.
    data: BTreeMap<String, FactResponse>,
    /// The hash of the entry before, in hexadecimal digits.
    prev_hash: String,
    hash: String,
    /// The hash signed with the server's key.
    mac: Option<String>,
}

/// Who did it.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ActorResponse {
    r#type: ActorType,
    user_id: Option<Uuid>,
    api_key_id: Option<Uuid>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum ActorType {
    /// The server, by itself.
    System,
    /// Somebody whose credential was not accepted.
    Anonymous,
    User,
    ApiKey,
    /// The agent of the session.
    Agent,
}

/// What it was done to.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SubjectResponse {
    r#type: String,
    id: String,
}

/// A flag, a number, a text or a list of texts.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(untagged)]
enum FactResponse {
    Flag(bool),
    Number(u32),
    Text(String),
    List(Vec<String>),
}

/// One JSON object a line.
#[derive(Debug)]
pub struct JsonLines;

impl Media for JsonLines {
    const TYPES: &'static [&'static str] = &["application/x-ndjson"];
}

fn limit_default() -> u32 {
    HISTORY_LIMIT_DEFAULT
}

fn words(text: &str) -> Result<(), ValidationError> {
    let fit = text.bytes().all(|byte| byte.is_ascii_lowercase() || b"._".contains(&byte));
    let message = "must have small letters, dots and underscores only";
    if fit { Ok(()) } else { Err(ValidationError::new("action").with_message(message.into())) }
}

impl From<AuditEntry> for AuditEntryResponse {
    fn from(entry: AuditEntry) -> Self {
        let hex = |hash: Hash| hash.iter().map(|byte| format!("{byte:02x}")).collect();
        let event = entry.event;
        let data = event.data.into_iter().map(|(name, fact)| (name.into_owned(), fact.into()));
        let subject = event.subject;
        Self {
            seq: entry.seq,
            at: event.at,
            actor: event.actor.into(),
            action: event.action.into_owned(),
            subject: subject
                .map(|subject| SubjectResponse { r#type: subject.kind.into_owned(), id: subject.id }),
            session_id: event.session_id.map(|id| id.0),
            ip_address: event.source.ip_address.map(|address| address.to_string()),
            request_id: event.source.request_id,
            data: data.collect(),
            prev_hash: hex(entry.prev_hash),
            hash: hex(entry.hash),
            mac: entry.mac.map(hex),
        }
    }
}

impl From<Actor> for ActorResponse {
    fn from(actor: Actor) -> Self {
        let (r#type, user_id, api_key_id) = match actor {
            Actor::System => (ActorType::System, None, None),
            Actor::Anonymous => (ActorType::Anonymous, None, None),
            Actor::User { user_id } => (ActorType::User, Some(user_id.0), None),
            Actor::ApiKey { api_key_id, user_id } => (ActorType::ApiKey, Some(user_id.0), Some(api_key_id.0)),
            Actor::Agent => (ActorType::Agent, None, None),
        };
        Self { r#type, user_id, api_key_id }
    }
}

impl From<Fact> for FactResponse {
    fn from(fact: Fact) -> Self {
        match fact {
            Fact::Flag(flag) => Self::Flag(flag),
            Fact::Number(number) => Self::Number(number),
            Fact::Text(text) => Self::Text(text),
            Fact::List(list) => Self::List(list),
        }
    }
}

/// Logged here: the answer has begun, so its client can only see that it breaks off.
fn broken_off(error: StoreError) -> actix_web::Error {
    let chain = &error as &dyn std::error::Error;
    tracing::error!(error = chain, "an export of the audit log broke off");
    ErrorInternalServerError("the export broke off")
}

/// List what concerns security
///
/// Logins, keys, accounts, sessions and what was decided about agents; oldest first. For admins.
#[api_v2_operation(tags(Admin), operation_id = "listAuditLog")]
pub async fn list(
    state: Data<ApiState>,
    caller: Caller,
    here: Here,
    query: ValidQuery<AuditLogQuery>,
) -> Result<Linked<Fetched<Vec<AuditEntryResponse>>>, Fail<(Forbidden, Unavailable)>> {
    let AuditLogQuery { limit, cursor, action, actor, session_id, from, to } = query.0;
    let session_id = session_id.map(SessionId);
    let filter = AuditFilter { action, actor, session_id, from, before: to };
    // One more than is shown tells whether there is a next page.
    let entries = state.audit.entries(&caller.0, cursor, limit + 1, &filter).await;
    let mut entries = entries.map_err(problem)?;
    let has_more = entries.len() > limit as usize;
    entries.truncate(limit as usize);
    let last = entries.last().filter(|_| has_more).map(|entry| entry.seq.to_string());
    let next = here.next(last.as_deref());
    let entries = entries.into_iter().map(AuditEntryResponse::from).collect();
    Ok(Linked::next(Fetched::new(entries), next.as_deref()))
}

/// Export the audit log
///
/// Each line is an entry in its canonical form (RFC 8785), with all that is needed to verify the chain. The last line
/// says that this copy was taken. For admins.
#[api_v2_operation(tags(Admin), operation_id = "exportAuditLog")]
pub async fn export(
    state: Data<ApiState>,
    caller: Caller,
    query: ValidQuery<AuditExportQuery>,
) -> Result<Download<JsonLines>, Fail<(Forbidden, Unavailable)>> {
    let lines = state.audit.export(&caller.0, query.0.after_seq).await.map_err(problem)?;
    let mut response = HttpResponse::Ok();
    response.insert_header((CONTENT_DISPOSITION, "attachment; filename=\"audit-log.jsonl\""));
    response.content_type("application/x-ndjson");
    Ok(Download::new(response.streaming(lines.map_ok(Bytes::from).map_err(broken_off))))
}
