//! Who may come in: logins, refresh tokens that rotate, API keys, and the first admin.

use crate::{
    AuditLog, Error, FieldError, Result, Revocations,
    owned::{OWNED_MAX, unless_full},
    passwords::Passwords,
    tokens::{self, Tokens},
    users::checked_zone,
};
use domain::{
    Access, ApiKey, ApiKeyId, Caller, Clock, Credential, FamilyId, NewUser, Origin, Page, PageRequest,
    RefreshToken, RefreshTokenId, Role, Source, User, UserId,
    account::Rotation,
    audit::events::LoginFailure,
    login_throttle::LoginAttempt,
    ports::{Accounts, StoreError},
};
use jiff::{SignedDuration, Timestamp};
use std::{sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;

/// Shortest password that is accepted, in characters.
pub const PASSWORD_CHARS_MIN: usize = 12;
const API_KEY_SHOWN_CHARS: usize = 12;
/// How often attempts to log in and refresh tokens are forgotten.
const FORGET_INTERVAL: Duration = Duration::from_secs(300);
/// How long a refresh token is known after it expired: whoever shows one that was used still ends its login.
const EXPIRED_KNOWN_FOR: SignedDuration = SignedDuration::from_hours(7 * 24);
/// Refresh tokens that are forgotten at a time: more than are issued in between.
const FORGOTTEN_MAX: u32 = 10_000;

/// Logs people in and knows them again.
#[derive(Debug)]
pub struct AccountManager {
    pub(crate) store: StoreHandle,
    pub(crate) clock: Arc<dyn Clock>,
    passwords: Passwords,
    tokens: Tokens,
    pub(crate) refresh_ttl: SignedDuration,
    registration: Registration,
    pub(crate) audit: Arc<AuditLog>,
    pub(crate) revocations: Revocations,
}

pub(crate) struct StoreHandle(pub(crate) Arc<dyn Accounts>);

impl std::fmt::Debug for StoreHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Accounts")
    }
}

/// Whether strangers may make themselves an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Registration {
    Open,
    Closed,
}

/// What a login hands out; the secrets are not kept.
#[derive(Debug, Clone)]
pub struct TokenPair {
    pub access_token: String,
    pub refresh_token: String,
    pub expires_in_seconds: i64,
}

/// A new account, as its owner or an admin describes it.
#[derive(Debug, Clone)]
pub struct Registrant {
    pub email: String,
    pub username: Option<String>,
    pub full_name: Option<String>,
    pub password: String,
    /// Whose budget their spending counts for as well.
    pub team: Option<String>,
    /// UTC when left out.
    pub time_zone: Option<String>,
}

impl AccountManager {
    /// Wires the manager up.
    #[must_use]
    pub fn new(
        store: Arc<dyn Accounts>,
        clock: Arc<dyn Clock>,
        tokens: Tokens,
        refresh_ttl: SignedDuration,
        registration: Registration,
        audit: Arc<AuditLog>,
    ) -> Self {
        let passwords = Passwords::default();
        let revocations = Revocations::default();
        Self {
            store: StoreHandle(store),
            clock,
            passwords,
            tokens,
            refresh_ttl,
            registration,
            audit,
            revocations,
        }
    }

    /// Checks e-mail and password. Unknown e-mail and wrong password are the same answer after the same time.
    pub async fn login(&self, email: &str, password: String, source: &Source) -> Result<TokenPair> {
        let email = email.trim().to_lowercase();
        // Before anything is looked up: whether there is such an account makes no difference to who has to wait.
        let attempt = LoginAttempt::new(&email, source.ip_address, self.clock.now());
        self.admit(&attempt, source).await?;
        let found = self.store.0.login(&email).await?;
        let (user, hash) = found.map_or((None, None), |(user, hash)| (Some(user), Some(hash)));
        // Who comes from elsewhere has no password, which must not be told by the time that no takes.
        let hash = hash.filter(|hash| !hash.is_empty());
        let matches = self.passwords.verify(password, hash).await?;
        let (user, failure) = match user {
            Some(user) if matches && user.is_active => (user, None),
            Some(user) if matches => (user, Some((LoginFailure::AccountDisabled, Error::AccountDisabled))),
            Some(user) => (user, Some((LoginFailure::WrongPassword, Error::Unauthenticated))),
            None => {
                self.audit.login_failed(None, LoginFailure::UnknownAccount, source).await?;
                return Err(Error::Unauthenticated);
            }
        };
        if let Some((reason, error)) = failure {
            self.audit.login_failed(Some(user.id), reason, source).await?;
            return Err(error);
        }
        let now = self.clock.now();
        let (secret, token) = self.refresh_token(user.id, FamilyId::new(), self.refresh_ttl, now);
        self.store.0.begin_login(&token, source).await?;
        self.store.0.login_succeeded(&attempt).await?;
        self.pair(user.id, token.family_id, secret, now)
    }

    /// Trades a refresh token for a new pair. A token presented twice ends its whole login: one of the two was a thief.
    pub async fn refresh(&self, refresh_token: &str, source: &Source) -> Result<TokenPair> {
        let now = self.clock.now();
        // The store keeps family and user of the old token; the ids given here only fill the type.
        let (secret, next) = self.refresh_token(UserId::new(), FamilyId::new(), self.refresh_ttl, now);
        match self.store.0.rotate(tokens::fingerprint(refresh_token), &next, now, source).await? {
            Rotation::Rotated { user, family_id } => self.pair(user.id, family_id, secret, now),
            Rotation::Reused { user_id } => {
                tracing::warn!("a refresh token was presented twice; its login is revoked");
                self.revocations.note(user_id);
                Err(Error::Unauthenticated)
            }
            Rotation::Refused => Err(Error::Unauthenticated),
        }
    }

    /// The caller behind a bearer credential, checked against the store so that a revoked one ends at once.
    pub async fn authenticate(&self, bearer: &str) -> Result<Caller> {
        let now = self.clock.now();
        if bearer.starts_with(tokens::API_KEY_PREFIX) {
            let (key, user) = self
                .store
                .0
                .use_api_key(tokens::fingerprint(bearer), now)
                .await?
                .ok_or(Error::Unauthenticated)?;
            return Ok(caller(&user, key.access, Credential::ApiKey(key.id)));
        }
        let family = self.tokens.verify(bearer, now).ok_or(Error::Unauthenticated)?;
        let user = self.store.0.login_user(family, now).await?.ok_or(Error::Unauthenticated)?;
        Ok(caller(&user, Access::WRITE, Credential::Login(family)))
    }

    /// What tells open streams to look at their credentials again.
    #[must_use]
    pub fn revocations(&self) -> &Revocations {
        &self.revocations
    }

    /// The caller's account.
    pub async fn me(&self, caller: &Caller) -> Result<User> {
        self.store.0.user(caller.user_id).await?.ok_or(Error::NotFound("user"))
    }

    /// Forgets attempts to log in and refresh tokens that nothing is needed of any more.
    pub async fn keep_house(&self, cancelled: CancellationToken) {
        let mut ticks = tokio::time::interval(FORGET_INTERVAL);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while cancelled.run_until_cancelled(ticks.tick()).await.is_some() {
            if let Err(error) = self.store.0.forget_login_attempts(self.clock.now()).await {
                tracing::warn!(error = &error as &dyn std::error::Error, "old attempts to log in stay");
            }
            let before = self.clock.now() - EXPIRED_KNOWN_FOR;
            if let Err(error) = self.store.0.forget_refresh_tokens(before, FORGOTTEN_MAX).await {
                tracing::warn!(error = &error as &dyn std::error::Error, "old refresh tokens stay");
            }
        }
    }

    /// Ends the credential the caller used: the login, or the API key itself.
    pub async fn logout(&self, caller: &Caller) -> Result<()> {
        match caller.credential {
            Credential::Login(family) => {
                self.store.0.revoke_login(family, self.clock.now(), &caller.origin()).await?;
                self.revocations.note(caller.user_id);
                Ok(())
            }
            Credential::ApiKey(_) => {
                Err(Error::Forbidden("an API key has no login to end; delete the key instead"))
            }
        }
    }

    /// Ends every login of the caller. API keys stay: they are deleted by name.
    pub async fn logout_all(&self, caller: &Caller) -> Result<()> {
        self.store.0.revoke_logins(caller.user_id, self.clock.now(), &caller.origin()).await?;
        self.revocations.note(caller.user_id);
        Ok(())
    }

    /// Makes an API key; the secret in the answer is shown this once.
    pub async fn create_api_key(
        &self,
        caller: &Caller,
        name: String,
        access: Access,
        expires_at: Option<Timestamp>,
    ) -> Result<(ApiKey, String)> {
        if !caller.access.covers(access) {
            return Err(Error::Forbidden("a key cannot reach further than the credential that makes it"));
        }
        let now = self.clock.now();
        if expires_at.is_some_and(|at| at <= now) {
            return Err(Error::Invalid(vec![FieldError::new(
                "/expires_at",
                "past",
                "must be in the future",
            )]));
        }
        let secret = tokens::new_api_key();
        let key = ApiKey {
            id: ApiKeyId::new(),
            user_id: caller.user_id,
            name,
            prefix: secret.chars().take(API_KEY_SHOWN_CHARS).collect(),
            secret_sha256: tokens::fingerprint(&secret),
            access,
            expires_at,
            created_at: now,
            last_used_at: None,
        };
        let stored = self.store.0.create_api_key(&key, OWNED_MAX, &caller.origin()).await?;
        unless_full(stored, "API keys", OWNED_MAX)?;
        Ok((key, secret))
    }

    /// The caller's API keys, newest first.
    pub async fn api_keys(&self, caller: &Caller, page: &PageRequest) -> Result<Page<ApiKey>> {
        Ok(self.store.0.api_keys(caller.user_id, page).await?)
    }

    /// Deletes one of the caller's API keys; it stops working at once.
    pub async fn delete_api_key(&self, caller: &Caller, id: ApiKeyId) -> Result<()> {
        let now = self.clock.now();
        let deleted = self.store.0.delete_api_key(caller.user_id, id, now, &caller.origin()).await?;
        if !deleted {
            return Err(Error::NotFound("API key"));
        }
        self.revocations.note(caller.user_id);
        Ok(())
    }

    /// Makes an account for a stranger, where the operator allows it.
    pub async fn register(&self, registrant: Registrant, source: Source) -> Result<User> {
        match self.registration {
            Registration::Open => self.add_user(registrant, Role::Member, &Origin::anonymous(source)).await,
            Registration::Closed => Err(Error::Forbidden("registration is closed on this server")),
        }
    }

    /// On a server without users, makes the first admin. Answers with the password if it had to be generated.
    pub async fn ensure_admin(&self, email: &str, password: Option<String>) -> Result<Option<String>> {
        if self.store.0.any_user().await? {
            return Ok(None);
        }
        let generated = password.is_none().then(tokens::random_secret);
        let password = password.or_else(|| generated.clone()).unwrap_or_default();
        let registrant = Registrant {
            email: email.to_owned(),
            username: Some("admin".to_owned()),
            full_name: None,
            password,
            team: None,
            time_zone: None,
        };
        self.add_user(registrant, Role::Admin, &Origin::system()).await?;
        Ok(generated)
    }

    pub(crate) async fn add_user(&self, registrant: Registrant, role: Role, origin: &Origin) -> Result<User> {
        if registrant.password.chars().count() < PASSWORD_CHARS_MIN {
            return Err(Error::Invalid(vec![FieldError::new(
                "/password",
                "length",
                format!("must have at least {PASSWORD_CHARS_MIN} characters"),
            )]));
        }
        let time_zone = registrant.time_zone.as_deref().map(checked_zone).transpose()?;
        let email = registrant.email.trim().to_lowercase();
        let user = User {
            id: UserId::new(),
            username: registrant.username.unwrap_or_else(|| email.clone()),
            email,
            full_name: registrant.full_name,
            role,
            is_active: true,
            team: registrant.team,
            time_zone: time_zone.unwrap_or_else(|| "UTC".to_owned()),
            created_at: self.clock.now(),
            last_login_at: None,
        };
        let password_hash = self.passwords.hash(registrant.password).await?;
        match self.store.0.create_user(&NewUser { user: user.clone(), password_hash }, origin).await {
            Ok(()) => Ok(user),
            Err(StoreError::Conflict { .. }) => Err(Error::Exists("user of that e-mail or name")),
            Err(error) => Err(error.into()),
        }
    }

    /// Lets an attempt to log in go on, or says how long it has to wait.
    pub(crate) async fn admit(&self, attempt: &LoginAttempt, source: &Source) -> Result<()> {
        let wait = self.store.0.admit_login(attempt).await?;
        if wait.is_zero() {
            return Ok(());
        }
        self.audit.login_failed(None, LoginFailure::TooManyAttempts, source).await?;
        Err(Error::TooManyLogins { retry_after_seconds: whole_seconds(wait) })
    }

    /// A token that is not stored yet, and its secret.
    pub(crate) fn refresh_token(
        &self,
        user_id: UserId,
        family_id: FamilyId,
        lifetime: SignedDuration,
        now: Timestamp,
    ) -> (String, RefreshToken) {
        let secret = tokens::new_refresh_token();
        let token = RefreshToken {
            id: RefreshTokenId::new(),
            family_id,
            user_id,
            secret_sha256: tokens::fingerprint(&secret),
            expires_at: now + lifetime,
            created_at: now,
        };
        (secret, token)
    }

    pub(crate) fn pair(
        &self,
        user: UserId,
        family: FamilyId,
        refresh_token: String,
        now: Timestamp,
    ) -> Result<TokenPair> {
        Ok(TokenPair {
            access_token: self.tokens.sign(user, family, now)?,
            refresh_token,
            expires_in_seconds: self.tokens.access_ttl_seconds(),
        })
    }
}

/// Seconds to wait, of which the last is begun.
fn whole_seconds(wait: SignedDuration) -> u64 {
    wait.as_secs().unsigned_abs() + u64::from(wait.subsec_nanos() > 0)
}

/// Viewers change nothing, with whatever credential.
fn caller(user: &User, access: Access, credential: Credential) -> Caller {
    let access = if user.role == Role::Viewer { access.reading() } else { access };
    Caller { user_id: user.id, role: user.role, access, credential, source: Source::default() }
}
