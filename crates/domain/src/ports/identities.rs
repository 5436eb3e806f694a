//! People who log in at an identity provider: the provider, and who is who.

use super::StoreResult;
use crate::{
    NewUser, Origin, RefreshToken, Source, User, UserId,
    identity::{BegunLogin, Identity, IdentityKey, LoginProofs},
};
use async_trait::async_trait;
use jiff::Timestamp;

/// Why a provider does not say who somebody is.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// It cannot be reached, or says that it cannot answer now; trying again later may help.
    #[error("reach the identity provider")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It answers what it must not.
    #[error("make sense of the identity provider")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It does not take the code, or its ID token is not for this login.
    #[error("accept what came back from the identity provider")]
    Refused(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Where people log in.
#[async_trait]
pub trait IdentityProvider: Send + Sync {
    /// Its issuer identifier.
    fn issuer(&self) -> &str;

    /// Where to send a browser, with proofs that are of no other login.
    async fn begin(&self) -> Result<BegunLogin, ProviderError>;

    /// Trades the code that a browser came back with for who it is, if all of it is of the login with these proofs.
    async fn identify(&self, code: &str, proofs: &LoginProofs) -> Result<Identity, ProviderError>;
}

/// Whose identities are whose. What changes them leaves its entry in the audit log, in the same unit of work.
#[async_trait]
pub trait Identities: Send + Sync {
    /// The user of that identity.
    async fn identified(&self, identity: &IdentityKey) -> StoreResult<Option<User>>;

    /// Stores a user together with their identity; [`StoreError::Conflict`](super::StoreError::Conflict) if the identity,
    /// the e-mail or the username is somebody's.
    async fn create_identified(
        &self,
        user: &NewUser,
        identity: &IdentityKey,
        origin: &Origin,
    ) -> StoreResult<()>;

    /// Gives a user an identity beside what they have; [`StoreError::Conflict`](super::StoreError::Conflict) if it is
    /// somebody's. False if there is no such user, nobody is behind the account any more, or the user is known at that
    /// issuer by another subject: then this is somebody else.
    async fn link_identity(
        &self,
        user: UserId,
        identity: &IdentityKey,
        at: Timestamp,
        origin: &Origin,
    ) -> StoreResult<bool>;

    /// Begins a login, as [`Accounts::begin_login`](super::Accounts::begin_login) does, of somebody who came from their
    /// provider.
    async fn begin_identified_login(&self, token: &RefreshToken, source: &Source) -> StoreResult<()>;
}
