//! Users and their credentials.

use super::{
    IssuedToken, MemoryStore, State,
    page::{Direction, instant_key, read_page},
};
use async_trait::async_trait;
use domain::{
    ApiKey, ApiKeyId, Expected, FamilyId, NewUser, Origin, Page, PageRequest, RefreshToken, Source, Spender,
    User, UserId, UserPatch,
    account::{Rotation, UserErased, UserPatched},
    audit::events,
    login_throttle::{LoginAttempt, Tally},
    ports::{Accounts, StoreError, StoreResult},
};
use jiff::{SignedDuration, Timestamp};

#[async_trait]
impl Accounts for MemoryStore {
    async fn create_user(&self, new: &NewUser, origin: &Origin) -> StoreResult<()> {
        self.state().register(new, origin)
    }

    async fn any_user(&self) -> StoreResult<bool> {
        Ok(!self.state().users.is_empty())
    }

    async fn login(&self, email: &str) -> StoreResult<Option<(User, String)>> {
        let state = self.state();
        let found = state.users.iter().find(|known| known.user.email == email.to_lowercase());
        Ok(found.map(|known| (known.user.clone(), known.password_hash.clone())))
    }

    async fn user(&self, id: UserId) -> StoreResult<Option<User>> {
        let state = self.state();
        Ok(state.users.iter().map(|known| &known.user).find(|user| user.id == id).cloned())
    }

    async fn users(&self, page: &PageRequest) -> StoreResult<Page<User>> {
        let users = self.state().users.iter().map(|known| known.user.clone()).collect();
        let key = |user: &User| instant_key(user.created_at, user.id.0);
        read_page("users", users, key, Direction::Descending, page)
    }

    async fn patch_user(
        &self,
        id: UserId,
        patch: &UserPatch,
        expected: &Expected,
        at: Timestamp,
        origin: &Origin,
    ) -> StoreResult<UserPatched> {
        let mut state = self.state();
        let Some(index) = state.users.iter().position(|known| known.user.id == id) else {
            return Ok(UserPatched::NoUser);
        };
        let before = state.users[index].user.clone();
        if before.is_erased() {
            return Ok(UserPatched::Erased);
        }
        expected.admit(&before)?;
        let after = patch.apply(before.clone());
        if !after.is_active_admin() && state.is_last_admin(&before) {
            return Ok(UserPatched::LastAdmin);
        }
        state.users[index].user = after.clone();
        if !after.is_active {
            state.revoke(|token| token.user_id == id);
        }
        state.audit(events::user_changed(id, patch, origin, at))?;
        Ok(UserPatched::Patched(Box::new(after)))
    }

    async fn admit_login(&self, attempt: &LoginAttempt) -> StoreResult<SignedDuration> {
        let mut state = self.state();
        let tallies: Vec<_> =
            attempt.keys.iter().map(|(key, _)| state.login_tallies.get(key).copied()).collect();
        let wait = attempt.wait(&tallies);
        if wait.is_zero() {
            let counted = attempt.keys.iter().zip(tallies);
            let counted = counted.map(|((key, _), tally)| (*key, Tally::counting(tally, attempt.at)));
            state.login_tallies.extend(counted);
        }
        Ok(wait)
    }

    async fn login_succeeded(&self, attempt: &LoginAttempt) -> StoreResult<()> {
        let mut state = self.state();
        for (key, tallied) in &attempt.keys {
            if let Some(tally) = state.login_tallies.get_mut(key) {
                *tally = tally.succeeded(*tallied, attempt.at);
            }
        }
        Ok(())
    }

    async fn forget_login_attempts(&self, now: Timestamp) -> StoreResult<u64> {
        let mut state = self.state();
        let before = state.login_tallies.len();
        state.login_tallies.retain(|_, tally| !tally.is_forgotten(now));
        Ok((before - state.login_tallies.len()) as u64)
    }

    async fn begin_login(&self, token: &RefreshToken, source: &Source) -> StoreResult<()> {
        let mut state = self.state();
        state.log_in(token);
        state.audit(events::login_succeeded(token, source))
    }

    async fn rotate(
        &self,
        old_sha256: [u8; 32],
        next: &RefreshToken,
        at: Timestamp,
        source: &Source,
    ) -> StoreResult<Rotation> {
        let mut state = self.state();
        let known = state.refresh_tokens.iter().position(|issued| issued.token.secret_sha256 == old_sha256);
        let Some(index) = known else { return Ok(Rotation::Refused) };
        let old = &state.refresh_tokens[index];
        let (family_id, user_id) = (old.token.family_id, old.token.user_id);
        if old.is_used {
            if state.revoke(|token| token.family_id == family_id) {
                state.audit(events::refresh_reused(user_id, family_id, source, at))?;
            }
            return Ok(Rotation::Reused { user_id });
        }
        if old.is_revoked || old.token.expires_at <= at {
            return Ok(Rotation::Refused);
        }
        let Some(user) = state.active_user(user_id) else { return Ok(Rotation::Refused) };
        state.refresh_tokens[index].is_used = true;
        state.issue(RefreshToken { family_id, user_id, ..next.clone() });
        Ok(Rotation::Rotated { user, family_id })
    }

    async fn login_user(&self, family: FamilyId, at: Timestamp) -> StoreResult<Option<User>> {
        let state = self.state();
        let live = state.refresh_tokens.iter().find(|issued| {
            let IssuedToken { token, is_used, is_revoked } = issued;
            token.family_id == family && !is_used && !is_revoked && token.expires_at > at
        });
        Ok(live.and_then(|issued| state.active_user(issued.token.user_id)))
    }

    async fn forget_refresh_tokens(&self, before: Timestamp, limit: u32) -> StoreResult<u64> {
        let mut state = self.state();
        state.refresh_tokens.sort_by_key(|issued| issued.token.expires_at);
        let old = state.refresh_tokens.iter().take_while(|issued| issued.token.expires_at < before);
        let gone = old.take(limit as usize).count();
        state.refresh_tokens.drain(..gone);
        Ok(gone as u64)
    }

    async fn revoke_login(&self, family: FamilyId, at: Timestamp, origin: &Origin) -> StoreResult<()> {
        let mut state = self.state();
        let ended = state.revoke(|token| token.family_id == family);
        if ended { state.audit(events::logout(family, origin, at)) } else { Ok(()) }
    }

    async fn revoke_logins(&self, user: UserId, at: Timestamp, origin: &Origin) -> StoreResult<()> {
        let mut state = self.state();
        let ended = state.revoke(|token| token.user_id == user);
        if ended { state.audit(events::logout_all(user, origin, at)) } else { Ok(()) }
    }

    async fn erase_user(
        &self,
        id: UserId,
        expected: &Expected,
        at: Timestamp,
        origin: &Origin,
    ) -> StoreResult<UserErased> {
        let mut state = self.state();
        let Some(index) = state.users.iter().position(|known| known.user.id == id) else {
            return Ok(UserErased::NoUser);
        };
        let before = &state.users[index].user;
        if before.is_erased() {
            return Ok(UserErased::Erased);
        }
        expected.admit(before)?;
        if state.is_last_admin(before) {
            return Ok(UserErased::LastAdmin);
        }
        let nobody = User::nobody(id);
        let known = &mut state.users[index];
        known.user.email = format!("{nobody}@invalid");
        known.user.username = nobody;
        known.user.full_name = None;
        known.user.is_active = false;
        known.user.last_login_at = None;
        known.user.team = None;
        "UTC".clone_into(&mut known.user.time_zone);
        known.password_hash.clear();
        state.refresh_tokens.retain(|issued| issued.token.user_id != id);
        state.identities.retain(|(_, user)| *user != id);
        state.api_keys.retain(|key| key.user_id != id);
        let gone: Vec<_> = state.endpoints.iter().filter(|one| one.user_id == id).map(|one| one.id).collect();
        state.endpoints.retain(|one| one.user_id != id);
        state.deliveries.retain(|delivery| !gone.contains(&delivery.endpoint_id));
        state.mcp_servers.retain(|one| one.user_id != id);
        state.forget_tasks(id);
        state.forget_templates_of(id);
        state.budgets.remove(&Spender::User(id));
        state.forget_alerts(|alert| alert.user_id == Some(id));
        state.audit(events::user_erased(id, origin, at))?;
        Ok(UserErased::Erased)
    }

    async fn create_api_key(&self, key: &ApiKey, owned_max: u32, origin: &Origin) -> StoreResult<bool> {
        let mut state = self.state();
        if state.api_keys.iter().filter(|one| one.user_id == key.user_id).count() >= owned_max as usize {
            return Ok(false);
        }
        state.api_keys.push(key.clone());
        state.audit(events::api_key_created(key, origin))?;
        Ok(true)
    }

    async fn api_keys(&self, user: UserId, page: &PageRequest) -> StoreResult<Page<ApiKey>> {
        let keys = self.state().api_keys.clone();
        let keys = keys.into_iter().filter(|key| key.user_id == user).collect();
        let key = |key: &ApiKey| instant_key(key.created_at, key.id.0);
        read_page("api-keys", keys, key, Direction::Descending, page)
    }

    async fn delete_api_key(
        &self,
        user: UserId,
        id: ApiKeyId,
        at: Timestamp,
        origin: &Origin,
    ) -> StoreResult<bool> {
        let mut state = self.state();
        let before = state.api_keys.len();
        state.api_keys.retain(|key| key.id != id || key.user_id != user);
        if state.api_keys.len() == before {
            return Ok(false);
        }
        state.audit(events::api_key_deleted(id, origin, at))?;
        Ok(true)
    }

    async fn use_api_key(
        &self,
        secret_sha256: [u8; 32],
        at: Timestamp,
    ) -> StoreResult<Option<(ApiKey, User)>> {
        let mut state = self.state();
        let known = state.api_keys.iter().position(|key| {
            key.secret_sha256 == secret_sha256 && key.expires_at.is_none_or(|expiry| expiry > at)
        });
        let Some(index) = known else { return Ok(None) };
        let Some(user) = state.active_user(state.api_keys[index].user_id) else { return Ok(None) };
        let key = &mut state.api_keys[index];
        let minute = SignedDuration::from_mins(1);
        if key.last_used_at.is_none_or(|last| at.duration_since(last) >= minute) {
            key.last_used_at = Some(at);
        }
        Ok(Some((key.clone(), user)))
    }
}

impl State {
    fn is_last_admin(&self, this: &User) -> bool {
        let mut others = self.users.iter().map(|known| &known.user).filter(|user| user.id != this.id);
        this.is_active_admin() && !others.any(User::is_active_admin)
    }

    fn active_user(&self, id: UserId) -> Option<User> {
        self.users.iter().map(|known| &known.user).find(|user| user.id == id && user.is_active).cloned()
    }

    pub(super) fn register(&mut self, new: &NewUser, origin: &Origin) -> StoreResult<()> {
        let mut new = new.clone();
        new.user.email = new.user.email.to_lowercase();
        if self.users.iter().any(|known| known.user.email == new.user.email) {
            return Err(StoreError::Conflict { what: "a user with this e-mail address" });
        }
        if self.users.iter().any(|known| known.user.username == new.user.username) {
            return Err(StoreError::Conflict { what: "a user of this name" });
        }
        let event = events::user_registered(&new.user, origin);
        self.users.push(new);
        self.audit(event)
    }

    pub(super) fn log_in(&mut self, token: &RefreshToken) {
        let user = self.users.iter_mut().find(|known| known.user.id == token.user_id);
        if let Some(known) = user {
            known.user.last_login_at = Some(token.created_at);
        }
        self.issue(token.clone());
    }

    fn issue(&mut self, token: RefreshToken) {
        self.refresh_tokens.push(IssuedToken { token, is_used: false, is_revoked: false });
    }

    /// Whether there was one to revoke.
    fn revoke(&mut self, which: impl Fn(&RefreshToken) -> bool) -> bool {
        let mut found = false;
        for issued in self.refresh_tokens.iter_mut().filter(|issued| which(&issued.token)) {
            found |= !issued.is_revoked;
            issued.is_revoked = true;
        }
        found
    }
}
