//! The audit log: what happened that concerns security, who did it and from where.
//!
//! An [`AuditEvent`] is what happened; an [`AuditEntry`] is the same with its place in the chain.

mod entry;
pub mod events;
mod key;
mod verify;

pub use entry::{AuditEntry, AuditHead, GENESIS, Hash, UnreadableLine};
pub use key::AuditKey;
pub use verify::{Damage, Fault, Notice, Verified, Verifier};

use crate::{ApiKeyId, SessionId, UserId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::{borrow::Cow, collections::BTreeMap, net::IpAddr};
use uuid::Uuid;

/// Who did it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Actor {
    /// The server, by itself.
    System,
    /// Somebody whose credential was not (yet) accepted.
    Anonymous,
    /// A person who logged in.
    User { user_id: UserId },
    /// A program with a key of this user.
    ApiKey { api_key_id: ApiKeyId, user_id: UserId },
    /// The agent of the session that the entry names.
    Agent,
}

/// Where a request came from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Source {
    /// The other end of the connection: a proxy, where there is one.
    pub ip_address: Option<IpAddr>,
    /// The id the request has in the server's log.
    pub request_id: Option<String>,
}

/// Who did it and from where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    pub actor: Actor,
    pub source: Source,
}

impl Origin {
    /// The server itself.
    #[must_use]
    pub fn system() -> Self {
        Self { actor: Actor::System, source: Source::default() }
    }

    /// Somebody whose credential was not (yet) accepted.
    #[must_use]
    pub fn anonymous(source: Source) -> Self {
        Self { actor: Actor::Anonymous, source }
    }
}

/// What it was done to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// The word for its kind: `user`, `session`, `api_key`.
    #[serde(rename = "type")]
    pub kind: Cow<'static, str>,
    pub id: String,
}

/// One value that says more about an event. There are no fractions, because not everybody prints them alike, and no
/// nesting, because large and secret things come in that way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Fact {
    Flag(bool),
    Number(u32),
    Text(String),
    List(Vec<String>),
}

impl From<&str> for Fact {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEvent {
    pub at: Timestamp,
    pub actor: Actor,
    pub source: Source,
    /// Stable words with dots between: `login.failed`. An open set, so that old readers can verify new logs.
    pub action: Cow<'static, str>,
    pub subject: Option<Subject>,
    pub session_id: Option<SessionId>,
    /// Small; never a secret or a prompt, and what an agent was given only by its hash.
    pub data: BTreeMap<Cow<'static, str>, Fact>,
}

impl AuditEvent {
    /// An event about nothing in particular.
    #[must_use]
    pub fn new(action: &'static str, origin: &Origin, at: Timestamp) -> Self {
        Self {
            at,
            actor: origin.actor,
            source: origin.source.clone(),
            action: Cow::Borrowed(action),
            subject: None,
            session_id: None,
            data: BTreeMap::new(),
        }
    }

    /// The same about this thing.
    #[must_use]
    pub fn about(mut self, kind: &'static str, id: impl ToString) -> Self {
        self.subject = Some(Subject { kind: Cow::Borrowed(kind), id: id.to_string() });
        self
    }

    /// The same in this session.
    #[must_use]
    pub fn in_session(mut self, id: SessionId) -> Self {
        self.session_id = Some(id);
        self
    }

    /// The same with this said as well.
    #[must_use]
    pub fn with(mut self, name: &'static str, fact: impl Into<Fact>) -> Self {
        self.data.insert(Cow::Borrowed(name), fact.into());
        self
    }

    /// The same with the SHA-256 of something that must not stand here itself.
    #[must_use]
    pub fn with_sha256(self, name: &'static str, content: &[u8]) -> Self {
        let digest = <sha2::Sha256 as sha2::Digest>::digest(content);
        self.with(name, Fact::Text(hex::encode(digest)))
    }
}

/// Which entries a list shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// What the action begins with: `login.` for all of logging in.
    pub action: Option<String>,
    /// A user, whatever credential they used, or an API key.
    pub actor: Option<Uuid>,
    pub session_id: Option<SessionId>,
    pub from: Option<Timestamp>,
    /// The first instant that is too late.
    pub before: Option<Timestamp>,
}

impl AuditFilter {
    /// Whether this event is shown.
    #[must_use]
    pub fn passes(&self, event: &AuditEvent) -> bool {
        let is_actor = |id: Uuid| match event.actor {
            Actor::User { user_id } => user_id.0 == id,
            Actor::ApiKey { api_key_id, user_id } => user_id.0 == id || api_key_id.0 == id,
            Actor::System | Actor::Anonymous | Actor::Agent => false,
        };
        self.action.as_ref().is_none_or(|prefix| event.action.starts_with(prefix.as_str()))
            && self.actor.is_none_or(is_actor)
            && self.session_id.is_none_or(|id| event.session_id == Some(id))
            && self.from.is_none_or(|from| event.at >= from)
            && self.before.is_none_or(|before| event.at < before)
    }
}
