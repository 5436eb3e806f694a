//! Logging in by way of an identity provider: from a browser that is sent there to a login like any other.
//!
//! What has to be known when the browser comes back goes with it, sealed, so that whichever server it comes back to can
//! go on. A user interface of another address gets no tokens from a browser's address bar: it gets a code that is good
//! once, for a minute, and for nobody but who can show the verifier that it kept (as in RFC 7636).

mod admission;
mod error;
mod roles;
mod tickets;

pub use error::OidcError;
pub use roles::RoleRules;

use self::{
    admission::Admission,
    tickets::{Handover, Pending, Tickets},
};
use crate::{AccountManager, Error, FieldError, Result, TokenPair};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use domain::{
    FamilyId, Source, User,
    audit::events::LoginFailure,
    login_throttle::LoginAttempt,
    ports::{Identities, IdentityProvider, ProviderError},
};
use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};
use std::{fmt, sync::Arc, time::Duration};

/// How long people may take at their provider.
pub const LOGIN_LIFETIME: Duration = Duration::from_secs(600);
/// How long a user interface may take to trade its code.
const HANDOVER_LIFETIME: SignedDuration = SignedDuration::from_secs(60);

/// What an operator decides about people who come from a provider.
#[derive(Debug, Clone)]
pub struct OidcSettings {
    /// Whether who is not known yet gets an account.
    pub creates_users: bool,
    /// Whether an account is theirs whose address the provider has verified to be theirs.
    pub links_by_email: bool,
    /// Whether an account is made only for an address that the provider has verified.
    pub wants_verified_email: bool,
    pub roles: RoleRules,
    /// Where a user interface takes over from the callback.
    pub ui_url: Option<String>,
    /// Whether browsers reach the callback over TLS, so that what they keep goes over nothing else.
    pub is_over_tls: bool,
}

/// Logs people in who are known elsewhere; clones share everything.
#[derive(Clone)]
pub struct OidcLogins(Arc<Inner>);

struct Inner {
    accounts: Arc<AccountManager>,
    identities: Arc<dyn Identities>,
    provider: Arc<dyn IdentityProvider>,
    tickets: Tickets,
    settings: OidcSettings,
}

impl fmt::Debug for OidcLogins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OidcLogins").field("settings", &self.0.settings).finish_non_exhaustive()
    }
}

/// A login that was begun.
#[derive(Debug)]
pub struct Begun {
    /// Where the browser goes.
    pub address: String,
    /// What the browser keeps meanwhile, and brings back. Nobody but this server can read it.
    pub ticket: String,
}

/// What a browser brings back from the provider.
#[derive(Debug, Default)]
pub struct Return {
    pub state: Option<String>,
    pub code: Option<String>,
    /// Why there is no code, in the provider's word.
    pub error: Option<String>,
    /// The issuer, where the provider says which one it is (RFC 9207).
    pub issuer: Option<String>,
}

/// A login whose browser came back, and has shown that it is the one that began it.
#[derive(Debug)]
pub struct Resumed(Pending);

/// How a login goes on.
#[derive(Debug)]
pub enum Finished {
    Tokens(TokenPair),
    /// The user interface gets this code.
    Code(String),
}

impl Resumed {
    /// Whether a user interface waits for how it ends.
    #[must_use]
    pub fn is_for_ui(&self) -> bool {
        self.0.challenge.is_some()
    }
}

impl OidcLogins {
    /// Wires the logins up. What browsers keep is sealed with a key derived from the server's.
    pub fn new(
        accounts: Arc<AccountManager>,
        identities: Arc<dyn Identities>,
        provider: Arc<dyn IdentityProvider>,
        settings: OidcSettings,
        server_key: &[u8],
    ) -> Result<Self> {
        let tickets = Tickets::new(server_key)?;
        Ok(Self(Arc::new(Inner { accounts, identities, provider, tickets, settings })))
    }

    /// Where a user interface takes over, if there is one.
    #[must_use]
    pub fn ui_url(&self) -> Option<&str> {
        self.0.settings.ui_url.as_deref()
    }

    /// Whether browsers reach the callback over TLS.
    #[must_use]
    pub fn is_over_tls(&self) -> bool {
        self.0.settings.is_over_tls
    }

    /// Sends a browser to the provider. With a challenge (S256 of a verifier), a user interface takes over at the end.
    pub async fn begin(&self, challenge: Option<String>) -> Result<Begun> {
        if challenge.is_some() && self.0.settings.ui_url.is_none() {
            let why = "no user interface takes over on this server: its operator has not named one";
            return Err(Error::Invalid(vec![FieldError::new("?code_challenge", "no_ui", why)]));
        }
        let begun = self.0.provider.begin().await.map_err(OidcError::Provider)?;
        let lifetime = SignedDuration::try_from(LOGIN_LIFETIME).unwrap_or_default();
        let ticket = self.0.tickets.seal_login(begun.proofs, challenge, self.now() + lifetime)?;
        Ok(Begun { address: begun.address, ticket })
    }

    /// Takes a login up whose browser is back: it must be the browser that began it, and this must be the answer to that.
    pub async fn resume(&self, ticket: Option<&str>, returned: &Return, source: &Source) -> Result<Resumed> {
        let pending = ticket.and_then(|ticket| self.0.tickets.open_login(ticket));
        let pending = pending.ok_or(OidcError::NotBegun)?;
        if pending.is_over(self.now()) {
            return Err(OidcError::Expired.into());
        }
        let is_answer = returned.state.as_deref().is_some_and(|state| pending.is_state(state));
        let is_its = returned.issuer.as_deref().is_none_or(|issuer| issuer == self.0.provider.issuer());
        if !is_answer || !is_its {
            self.0.accounts.audit.login_failed(None, LoginFailure::IdentityRefused, source).await?;
            return Err(OidcError::OtherLogin.into());
        }
        Ok(Resumed(pending))
    }

    /// Finishes a login: asks the provider who it is, and lets them in as whom they are here.
    pub async fn finish(&self, login: Resumed, returned: Return, source: &Source) -> Result<Finished> {
        let Return { code, error, .. } = returned;
        let code = code.filter(|_| error.is_none()).ok_or_else(|| OidcError::of_word(error.as_deref()))?;
        // Before the provider is asked, as with a password before it is looked at.
        let attempt = LoginAttempt::from_address(source.ip_address, self.now());
        self.0.accounts.admit(&attempt, source).await?;
        let user = self.identify(&code, &login.0, source).await;
        let is_forgiven = match &user {
            Ok(_) => true,
            // Nobody's guess.
            Err(Error::Oidc(OidcError::Provider(error))) => !matches!(error, ProviderError::Refused(_)),
            Err(_) => false,
        };
        if is_forgiven {
            self.0.accounts.store.0.login_succeeded(&attempt).await?;
        }
        self.let_in(&user?, login.0.challenge, source).await
    }

    /// Trades the code of a user interface for tokens, once.
    pub async fn redeem(&self, code: &str, verifier: &str, source: &Source) -> Result<TokenPair> {
        let handover = self.0.tickets.open_handover(code).ok_or(Error::Unauthenticated)?;
        let challenge = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()));
        if !tickets::is_same(&challenge, &handover.challenge) {
            return Err(Error::Unauthenticated);
        }
        // The first refresh token of the login, and a short-lived one: used twice, it ends the login.
        self.0.accounts.refresh(&handover.refresh_token, source).await
    }

    async fn identify(&self, code: &str, pending: &Pending, source: &Source) -> Result<User> {
        let identity = match self.0.provider.identify(code, &pending.proofs()).await {
            Ok(identity) => identity,
            Err(error) => {
                if let ProviderError::Refused(why) = &error {
                    // Nobody but the operator can tell what is wrong by it.
                    let why = why.as_ref() as &dyn std::error::Error;
                    tracing::warn!(error = why, "what came back from the identity provider is not accepted");
                    self.0.accounts.audit.login_failed(None, LoginFailure::IdentityRefused, source).await?;
                }
                return Err(OidcError::Provider(error).into());
            }
        };
        self.admission().admit(&identity, source).await
    }

    fn admission(&self) -> Admission<'_> {
        let Inner { accounts, identities, settings, .. } = &*self.0;
        Admission { accounts, identities: identities.as_ref(), settings }
    }

    async fn let_in(&self, user: &User, challenge: Option<String>, source: &Source) -> Result<Finished> {
        let (accounts, now) = (&self.0.accounts, self.now());
        let lifetime = if challenge.is_some() { HANDOVER_LIFETIME } else { accounts.refresh_ttl };
        let (refresh_token, token) = accounts.refresh_token(user.id, FamilyId::new(), lifetime, now);
        self.0.identities.begin_identified_login(&token, source).await?;
        match challenge {
            None => Ok(Finished::Tokens(accounts.pair(user.id, token.family_id, refresh_token, now)?)),
            Some(challenge) => {
                let code = self.0.tickets.seal_handover(&Handover { refresh_token, challenge })?;
                Ok(Finished::Code(code))
            }
        }
    }

    fn now(&self) -> Timestamp {
        self.0.accounts.clock.now()
    }
}
