//! As whom somebody is let in who was identified: known by issuer and subject, or new.

use super::{OidcError, OidcSettings};
use crate::{AccountManager, Error, Result};
use domain::{
    Actor, Expected, NewUser, Origin, Role, Source, User, UserId, UserPatch,
    account::UserPatched,
    audit::events::LoginFailure,
    identity::{ClaimedEmail, Identity},
    ports::{Identities, StoreError},
};

/// Decides who comes in, and as whom.
pub(super) struct Admission<'a> {
    pub(super) accounts: &'a AccountManager,
    pub(super) identities: &'a dyn Identities,
    pub(super) settings: &'a OidcSettings,
}

impl Admission<'_> {
    /// The active user behind an identity, with the role that they have now.
    pub(super) async fn admit(&self, identity: &Identity, source: &Source) -> Result<User> {
        let (user, error) = match self.find(identity, source).await {
            Ok(user) => return Ok(user),
            Err(refused) => refused,
        };
        let reason = match &error {
            Error::AccountDisabled => LoginFailure::AccountDisabled,
            Error::Oidc(OidcError::NoRole) => LoginFailure::NoRole,
            Error::Oidc(_) => LoginFailure::UnknownIdentity,
            _ => return Err(error),
        };
        self.accounts.audit.login_failed(user, reason, source).await?;
        Err(error)
    }

    /// Who it is; else why not, and whom it is about if they are known.
    async fn find(
        &self,
        identity: &Identity,
        source: &Source,
    ) -> std::result::Result<User, (Option<UserId>, Error)> {
        let unknown = |error: Error| (None, error);
        let found = self.identities.identified(&identity.key).await.map_err(|error| unknown(error.into()))?;
        let user = match found {
            Some(user) => user,
            None => self.newcomer(identity, source).await.map_err(unknown)?,
        };
        let id = user.id;
        self.as_they_are_now(user, identity, source).await.map_err(|error| (Some(id), error))
    }

    /// A user who was known before: active, and in the role that their groups give them.
    async fn as_they_are_now(&self, user: User, identity: &Identity, source: &Source) -> Result<User> {
        if !user.is_active {
            return Err(Error::AccountDisabled);
        }
        if !self.settings.roles.decide() {
            return Ok(user);
        }
        match self.settings.roles.role_of(&identity.groups) {
            None => Err(OidcError::NoRole.into()),
            Some(role) if role == user.role => Ok(user),
            Some(role) => self.with_role(user, role, source).await,
        }
    }

    async fn with_role(&self, user: User, role: Role, source: &Source) -> Result<User> {
        let patch = UserPatch { role: Some(role), ..UserPatch::default() };
        let origin = Origin { actor: Actor::System, source: source.clone() };
        let now = self.accounts.clock.now();
        let patched = self.accounts.store.0.patch_user(user.id, &patch, &Expected::ANY, now, &origin).await?;
        match patched {
            UserPatched::Patched(user) => {
                self.accounts.revocations.note(user.id);
                Ok(*user)
            }
            UserPatched::LastAdmin => {
                tracing::warn!(user = %user.id, "the last admin keeps the role that their groups do not give");
                Ok(user)
            }
            UserPatched::NoUser | UserPatched::Erased => Err(Error::AccountDisabled),
        }
    }

    /// An account for an identity that is nobody's yet: one that is theirs by its address, or a new one.
    async fn newcomer(&self, identity: &Identity, source: &Source) -> Result<User> {
        if self.settings.links_by_email
            && let Some(ClaimedEmail { address, is_verified: true }) = &identity.email
            && let Some((user, _)) = self.accounts.store.0.login(address).await?
        {
            return self.linked(user, identity, source).await;
        }
        if !self.settings.creates_users {
            return Err(OidcError::NoAccount.into());
        }
        let role = self.settings.roles.role_of(&identity.groups).ok_or(OidcError::NoRole)?;
        let email = identity.email.as_ref().ok_or(OidcError::NoEmail)?;
        if self.settings.wants_verified_email && !email.is_verified {
            return Err(OidcError::EmailNotVerified.into());
        }
        self.created(email, role, identity, source).await
    }

    async fn linked(&self, user: User, identity: &Identity, source: &Source) -> Result<User> {
        if !user.is_active {
            return Err(Error::AccountDisabled);
        }
        let (origin, now) = (Origin::anonymous(source.clone()), self.accounts.clock.now());
        match self.identities.link_identity(user.id, &identity.key, now, &origin).await {
            Ok(true) => Ok(user),
            Ok(false) => Err(OidcError::NoAccount.into()),
            Err(StoreError::Conflict { .. }) => self.come_meanwhile(identity).await,
            Err(error) => Err(error.into()),
        }
    }

    async fn created(
        &self,
        email: &ClaimedEmail,
        role: Role,
        identity: &Identity,
        source: &Source,
    ) -> Result<User> {
        let user = User {
            id: UserId::new(),
            email: email.address.clone(),
            username: email.address.clone(),
            full_name: identity.full_name.clone(),
            role,
            is_active: true,
            team: None,
            time_zone: "UTC".to_owned(),
            created_at: self.accounts.clock.now(),
            last_login_at: None,
        };
        // No hash of anything: nobody logs in with a password there.
        let new = NewUser { user: user.clone(), password_hash: String::new() };
        let origin = Origin::anonymous(source.clone());
        match self.identities.create_identified(&new, &identity.key, &origin).await {
            Ok(()) => Ok(user),
            Err(StoreError::Conflict { .. }) => self.come_meanwhile(identity).await,
            Err(error) => Err(error.into()),
        }
    }

    /// Somebody took what was to be taken: the same person in another window, or another one with that address.
    async fn come_meanwhile(&self, identity: &Identity) -> Result<User> {
        let found = self.identities.identified(&identity.key).await?;
        found.ok_or_else(|| OidcError::EmailTaken.into())
    }
}
