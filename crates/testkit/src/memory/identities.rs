//! Identities of users at their providers.

use super::MemoryStore;
use async_trait::async_trait;
use domain::{
    NewUser, Origin, RefreshToken, Source, User, UserId,
    audit::events,
    identity::IdentityKey,
    ports::{Identities, StoreError, StoreResult},
};
use jiff::Timestamp;

const TAKEN: StoreError = StoreError::Conflict { what: "a user with this identity" };

#[async_trait]
impl Identities for MemoryStore {
    async fn identified(&self, identity: &IdentityKey) -> StoreResult<Option<User>> {
        let state = self.state();
        let owner = state.identities.iter().find(|(key, _)| key == identity).map(|(_, user)| *user);
        Ok(state.users.iter().map(|known| &known.user).find(|user| Some(user.id) == owner).cloned())
    }

    async fn create_identified(
        &self,
        new: &NewUser,
        identity: &IdentityKey,
        origin: &Origin,
    ) -> StoreResult<()> {
        let mut state = self.state();
        if state.identities.iter().any(|(key, _)| key == identity) {
            return Err(TAKEN);
        }
        let (id, at) = (new.user.id, new.user.created_at);
        state.register(new, origin)?;
        state.identities.push((identity.clone(), id));
        state.audit(events::identity_linked(id, identity, origin, at))
    }

    async fn link_identity(
        &self,
        id: UserId,
        identity: &IdentityKey,
        at: Timestamp,
        origin: &Origin,
    ) -> StoreResult<bool> {
        let mut state = self.state();
        if !state.users.iter().any(|known| known.user.id == id && !known.user.is_erased()) {
            return Ok(false);
        }
        let is_another = |key: &IdentityKey| key.issuer == identity.issuer && key.subject != identity.subject;
        if state.identities.iter().any(|(key, owner)| *owner == id && is_another(key)) {
            return Ok(false);
        }
        if state.identities.iter().any(|(key, _)| key == identity) {
            return Err(TAKEN);
        }
        state.identities.push((identity.clone(), id));
        state.audit(events::identity_linked(id, identity, origin, at))?;
        Ok(true)
    }

    async fn begin_identified_login(&self, token: &RefreshToken, source: &Source) -> StoreResult<()> {
        let mut state = self.state();
        state.log_in(token);
        state.audit(events::identified_login_succeeded(token, source))
    }
}
