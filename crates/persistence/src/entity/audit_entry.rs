//! A row of `audit_log`.

use crate::value::{Reader, micros, stored, to_json};
use domain::{
    Actor, ApiKeyId, AuditEntry, AuditEvent, SessionId, Source, UserId,
    audit::Subject,
    ports::{StoreError, StoreResult},
};
use sea_orm::entity::prelude::*;
use std::borrow::Cow;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "audit_log")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub seq: i64,
    pub at: i64,
    pub actor: String,
    pub actor_user_id: Option<Uuid>,
    pub actor_api_key_id: Option<Uuid>,
    pub action: String,
    pub subject_type: Option<String>,
    pub subject_id: Option<String>,
    pub session_id: Option<Uuid>,
    pub ip_address: Option<String>,
    pub request_id: Option<String>,
    /// JSON, as a text: the entry's hash must come out the same for ever.
    pub data: String,
    pub prev_hash: Vec<u8>,
    pub hash: Vec<u8>,
    pub mac: Option<Vec<u8>>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    pub(crate) fn new(entry: AuditEntry) -> StoreResult<Self> {
        let event = entry.event;
        let (actor, actor_user_id, actor_api_key_id) = match event.actor {
            Actor::System => ("system", None, None),
            Actor::Anonymous => ("anonymous", None, None),
            Actor::User { user_id } => ("user", Some(user_id.0), None),
            Actor::ApiKey { api_key_id, user_id } => ("api_key", Some(user_id.0), Some(api_key_id.0)),
            Actor::Agent => ("agent", None, None),
        };
        let (subject_type, subject_id) = match event.subject {
            Some(subject) => (Some(subject.kind.into_owned()), Some(subject.id)),
            None => (None, None),
        };
        Ok(Self {
            seq: stored(entry.seq),
            at: micros(event.at),
            actor: actor.to_owned(),
            actor_user_id,
            actor_api_key_id,
            action: event.action.into_owned(),
            subject_type,
            subject_id,
            session_id: event.session_id.map(|id| id.0),
            ip_address: event.source.ip_address.map(|address| address.to_string()),
            request_id: event.source.request_id,
            data: to_json(&event.data)?.to_string(),
            prev_hash: entry.prev_hash.to_vec(),
            hash: entry.hash.to_vec(),
            mac: entry.mac.map(|mac| mac.to_vec()),
        })
    }
}

impl TryFrom<Model> for AuditEntry {
    type Error = StoreError;
    fn try_from(row: Model) -> Result<Self, StoreError> {
        let reader = Reader("audit_log");
        // Columns that the rest of the row contradicts would be left out of the hash, so they may not be there.
        let actor =
            match (row.actor.as_str(), row.actor_user_id.map(UserId), row.actor_api_key_id.map(ApiKeyId)) {
                ("system", None, None) => Actor::System,
                ("anonymous", None, None) => Actor::Anonymous,
                ("agent", None, None) => Actor::Agent,
                ("user", Some(user_id), None) => Actor::User { user_id },
                ("api_key", Some(user_id), Some(api_key_id)) => Actor::ApiKey { api_key_id, user_id },
                _ => return Err(reader.inconsistent("actor")),
            };
        let subject = match (row.subject_type, row.subject_id) {
            (Some(kind), Some(id)) => Some(Subject { kind: Cow::Owned(kind), id }),
            (None, None) => None,
            _ => return Err(reader.inconsistent("subject_id")),
        };
        let ip_address =
            row.ip_address.map(|address| reader.word("ip_address", |word| word.parse().ok(), &address));
        let event = AuditEvent {
            at: reader.instant("at", row.at)?,
            actor,
            source: Source { ip_address: ip_address.transpose()?, request_id: row.request_id },
            action: Cow::Owned(row.action),
            subject,
            session_id: row.session_id.map(SessionId),
            data: serde_json::from_str(&row.data).map_err(|_| reader.inconsistent("data"))?,
        };
        Ok(Self {
            seq: reader.figure("seq", row.seq)?,
            event,
            prev_hash: reader.sha256("prev_hash", &row.prev_hash)?,
            hash: reader.sha256("hash", &row.hash)?,
            mac: row.mac.map(|mac| reader.sha256("mac", &mac)).transpose()?,
        })
    }
}
