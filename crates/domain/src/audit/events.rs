//! What the audit log says: the one place that words it.
//!
//! Every store writes its entries with these, so that the log says the same whatever is underneath.

mod archives;
mod governance;
mod mcp_servers;
mod money;
mod reports;
mod tasks;
mod templates;

pub use archives::*;
pub use governance::*;
pub use mcp_servers::*;
pub use money::*;
pub use reports::*;
pub use tasks::*;
pub use templates::*;

use super::{Actor, AuditEvent, Fact, Origin, Source};
use crate::{
    ApiKey, ApiKeyId, FamilyId, RefreshToken, Session, SessionId, User, UserId, UserPatch, fork::NewFork,
    identity::IdentityKey, session::SessionPatch,
};
use jiff::Timestamp;

/// Why a login failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LoginFailure {
    /// There is no account of that address.
    UnknownAccount,
    WrongPassword,
    AccountDisabled,
    /// The password was not looked at: there were too many attempts before.
    TooManyAttempts,
    /// What came back from the identity provider did not hold.
    IdentityRefused,
    /// The identity is nobody's here, and no account is made for it.
    UnknownIdentity,
    /// Nothing that the provider says of them gives them a role.
    NoRole,
}

impl LoginFailure {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UnknownAccount => "unknown_account",
            Self::WrongPassword => "wrong_password",
            Self::AccountDisabled => "account_disabled",
            Self::TooManyAttempts => "too_many_attempts",
            Self::IdentityRefused => "identity_refused",
            Self::UnknownIdentity => "unknown_identity",
            Self::NoRole => "no_role",
        }
    }
}

/// An account was made.
#[must_use]
pub fn user_registered(user: &User, origin: &Origin) -> AuditEvent {
    AuditEvent::new("user.registered", origin, user.created_at)
        .about("user", user.id)
        .with("role", user.role.as_str())
}

/// An account was changed. Names of people are not told, only that they were changed.
#[must_use]
pub fn user_changed(user: UserId, patch: &UserPatch, origin: &Origin, at: Timestamp) -> AuditEvent {
    let fields = [
        ("role", patch.role.is_some()),
        ("is_active", patch.is_active.is_some()),
        ("full_name", patch.full_name.is_some()),
        ("team", patch.team.is_some()),
        ("time_zone", patch.time_zone.is_some()),
    ];
    let changed = fields.into_iter().filter(|(_, is_changed)| *is_changed);
    let changed = changed.map(|(name, _)| name.to_owned()).collect();
    let mut event =
        AuditEvent::new("user.changed", origin, at).about("user", user).with("fields", Fact::List(changed));
    if let Some(role) = patch.role {
        event = event.with("role", role.as_str());
    }
    if let Some(is_active) = patch.is_active {
        event = event.with("is_active", Fact::Flag(is_active));
    }
    if let Some(team) = &patch.team {
        event = event.with("team", team.as_deref().unwrap_or_default());
    }
    event
}

/// Somebody logged in with their password.
#[must_use]
pub fn login_succeeded(token: &RefreshToken, source: &Source) -> AuditEvent {
    let actor = Actor::User { user_id: token.user_id };
    let origin = Origin { actor, source: source.clone() };
    AuditEvent::new("login.succeeded", &origin, token.created_at).about("login", token.family_id)
}

/// Somebody logged in by way of their identity provider.
#[must_use]
pub fn identified_login_succeeded(token: &RefreshToken, source: &Source) -> AuditEvent {
    login_succeeded(token, source).with("method", "oidc")
}

/// An account can be logged into by an identity from now on. Its subject is not told: at some providers it is an address.
#[must_use]
pub fn identity_linked(user: UserId, identity: &IdentityKey, origin: &Origin, at: Timestamp) -> AuditEvent {
    AuditEvent::new("identity.linked", origin, at)
        .about("user", user)
        .with("issuer", identity.issuer.as_str())
}

/// Somebody tried to log in. What they typed as address is not kept if it is nobody's: it may be a password.
#[must_use]
pub fn login_failed(
    user: Option<UserId>,
    reason: LoginFailure,
    source: &Source,
    at: Timestamp,
) -> AuditEvent {
    let event = AuditEvent::new("login.failed", &Origin::anonymous(source.clone()), at)
        .with("reason", reason.as_str());
    match user {
        Some(user) => event.about("user", user),
        None => event,
    }
}

/// More attempts at one account, or at accounts that are not there, than are recorded one by one.
#[must_use]
pub fn logins_failed(user: Option<UserId>, attempts: u32, since: Timestamp, at: Timestamp) -> AuditEvent {
    let event = AuditEvent::new("login.failed", &Origin::anonymous(Source::default()), at)
        .with("reason", "repeated")
        .with("attempts", Fact::Number(attempts))
        .with("since", Fact::Text(since.to_string()));
    match user {
        Some(user) => event.about("user", user),
        None => event,
    }
}

/// A used refresh token was presented again, and its login ended for that.
#[must_use]
pub fn refresh_reused(user: UserId, family: FamilyId, source: &Source, at: Timestamp) -> AuditEvent {
    AuditEvent::new("login.refresh_reused", &Origin::anonymous(source.clone()), at)
        .about("login", family)
        .with("user_id", Fact::Text(user.to_string()))
}

/// One login was ended.
#[must_use]
pub fn logout(family: FamilyId, origin: &Origin, at: Timestamp) -> AuditEvent {
    AuditEvent::new("logout", origin, at).about("login", family)
}

/// All logins of a user were ended.
#[must_use]
pub fn logout_all(user: UserId, origin: &Origin, at: Timestamp) -> AuditEvent {
    AuditEvent::new("logout.all", origin, at).about("user", user)
}

/// An API key was made.
#[must_use]
pub fn api_key_created(key: &ApiKey, origin: &Origin) -> AuditEvent {
    let event = AuditEvent::new("api_key.created", origin, key.created_at)
        .about("api_key", key.id)
        .with("name", key.name.as_str())
        .with("access", key.access.to_string().as_str());
    match key.expires_at {
        Some(expires_at) => event.with("expires_at", Fact::Text(expires_at.to_string())),
        None => event,
    }
}

/// An API key was deleted.
#[must_use]
pub fn api_key_deleted(id: ApiKeyId, origin: &Origin, at: Timestamp) -> AuditEvent {
    AuditEvent::new("api_key.deleted", origin, at).about("api_key", id)
}

/// A session was created.
#[must_use]
pub fn session_created(session: &Session, origin: &Origin) -> AuditEvent {
    let spec = &session.spec;
    let mut event = about_session("session.created", session.id, origin, session.created_at)
        .with("mode", session.mode.as_str())
        .with("permission_mode", spec.permission_mode.as_str());
    if let Some(template) = session.template_id {
        event = event.with("template_id", Fact::Text(template.to_string()));
    }
    for (name, words) in [("custom_policies", &spec.custom_policies), ("hooks_enabled", &spec.hooks_enabled)]
    {
        if !words.is_empty() {
            event = event.with(name, Fact::List(words.clone()));
        }
    }
    event
}

/// A session was forked from another.
#[must_use]
pub fn session_forked(fork: &NewFork, origin: &Origin) -> AuditEvent {
    let created = session_created(&fork.session, origin);
    AuditEvent { action: "session.forked".into(), ..created }
        .with("parent_session_id", Fact::Text(fork.parent.to_string()))
        .with(
            "fork_at_message",
            Fact::Number(u32::try_from(fork.session.counters.messages).unwrap_or(u32::MAX)),
        )
}

/// A session was changed.
#[must_use]
pub fn session_changed(id: SessionId, patch: &SessionPatch, origin: &Origin, at: Timestamp) -> AuditEvent {
    let fields = [
        ("name", patch.name.is_some()),
        ("description", patch.description.is_some()),
        ("metadata", patch.metadata.is_some()),
        ("permission_mode", patch.permission_mode.is_some()),
        ("model", patch.model.is_some()),
        ("allowed_tools", patch.allowed_tools.is_some()),
        ("custom_policies", patch.custom_policies.is_some()),
    ];
    let changed = fields.into_iter().filter(|(_, is_changed)| *is_changed);
    let changed = changed.map(|(name, _)| name.to_owned()).collect();
    let event = about_session("session.changed", id, origin, at).with("fields", Fact::List(changed));
    let event = match &patch.permission_mode {
        Some(mode) => event.with("permission_mode", mode.as_str()),
        None => event,
    };
    match &patch.custom_policies {
        // An empty list too: then nothing but the mandatory ones judges any more.
        Some(names) => event.with("custom_policies", Fact::List(names.clone())),
        None => event,
    }
}

/// A session was set aside.
#[must_use]
pub fn session_paused(id: SessionId, origin: &Origin, at: Timestamp) -> AuditEvent {
    about_session("session.paused", id, origin, at)
}

/// A session was taken up again.
#[must_use]
pub fn session_resumed(id: SessionId, origin: &Origin, at: Timestamp) -> AuditEvent {
    about_session("session.resumed", id, origin, at)
}

/// A session was ended for good.
#[must_use]
pub fn session_terminated(id: SessionId, origin: &Origin, at: Timestamp) -> AuditEvent {
    about_session("session.terminated", id, origin, at)
}

/// A session and all that belonged to it was removed.
#[must_use]
pub fn session_purged(id: SessionId, origin: &Origin, at: Timestamp) -> AuditEvent {
    about_session("session.purged", id, origin, at)
}

/// A user was made nobody.
#[must_use]
pub fn user_erased(user: UserId, origin: &Origin, at: Timestamp) -> AuditEvent {
    AuditEvent::new("user.erased", origin, at).about("user", user)
}

/// A server began to take requests.
#[must_use]
pub fn server_started(version: &str, at: Timestamp) -> AuditEvent {
    AuditEvent::new("server.started", &Origin::system(), at).with("version", version)
}

/// A server ended as it was told to.
#[must_use]
pub fn server_stopped(at: Timestamp) -> AuditEvent {
    AuditEvent::new("server.stopped", &Origin::system(), at)
}

/// Somebody took a copy of the log.
#[must_use]
pub fn audit_exported(after_seq: u64, origin: &Origin, at: Timestamp) -> AuditEvent {
    AuditEvent::new("audit.exported", origin, at).with("after_seq", Fact::Text(after_seq.to_string()))
}

fn about_session(action: &'static str, id: SessionId, origin: &Origin, at: Timestamp) -> AuditEvent {
    AuditEvent::new(action, origin, at).about("session", id).in_session(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_a_sessions_policies_is_told_with_their_names() {
        let told = |custom_policies| {
            let patch = SessionPatch { custom_policies, ..SessionPatch::default() };
            session_changed(SessionId::new(), &patch, &Origin::system(), Timestamp::UNIX_EPOCH).data
        };
        let fields = |names: &[&str]| Fact::List(names.iter().map(|name| (*name).to_owned()).collect());
        for names in [vec!["house".to_owned()], vec![]] {
            let data = told(Some(names.clone()));
            assert_eq!(data["fields"], fields(&["custom_policies"]));
            assert_eq!(data["custom_policies"], Fact::List(names));
        }
        let data = told(None);
        assert_eq!(data["fields"], fields(&[]));
        assert!(!data.contains_key("custom_policies"));
    }
}
