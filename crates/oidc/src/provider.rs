//! The authorization code flow with PKCE, and what an ID token must be to be believed.

use crate::{
    claims::{OtherClaims, Said},
    discovery::Discovery,
    http::{Http, HttpError},
    settings::ProviderSettings,
};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use domain::{
    Clock,
    identity::{BegunLogin, Identity, IdentityKey, LoginProofs},
    ports::{IdentityProvider, ProviderError},
};
use openidconnect::{
    AuthType, AuthenticationFlow, AuthorizationCode, ClaimsVerificationError, Client, ClientId, ClientSecret,
    CsrfToken, EmptyExtraTokenFields, EndpointMaybeSet, EndpointNotSet, EndpointSet, IdTokenFields,
    IdTokenVerifier, Nonce, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, RequestTokenError, Scope,
    SignatureVerificationError, StandardErrorResponse, StandardTokenResponse, TokenResponse as _,
    UserInfoClaims, UserInfoError,
    core::{
        CoreAuthDisplay, CoreAuthPrompt, CoreClientAuthMethod, CoreErrorResponseType, CoreGenderClaim,
        CoreJsonWebKey, CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm, CoreProviderMetadata,
        CoreResponseType, CoreRevocableToken, CoreRevocationErrorResponse, CoreTokenIntrospectionResponse,
        CoreTokenType,
    },
};
use secrecy::ExposeSecret;
use std::sync::Arc;

/// Longest subject that OpenID Connect allows, in characters.
const SUBJECT_CHARS_MAX: usize = 255;

/// Signatures that are believed: by a key that only the provider has. `none` and those by a shared secret are not.
const SIGNATURES: [CoreJwsSigningAlgorithm; 9] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha384,
    CoreJwsSigningAlgorithm::RsaSsaPssSha512,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EcdsaP384Sha384,
    CoreJwsSigningAlgorithm::EdDsa,
];

type Fields = IdTokenFields<
    OtherClaims,
    EmptyExtraTokenFields,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJwsSigningAlgorithm,
>;
type Tokens = StandardTokenResponse<Fields, CoreTokenType>;
type TokenFailure = RequestTokenError<HttpError, StandardErrorResponse<CoreErrorResponseType>>;
type OidcClient = Client<
    OtherClaims,
    CoreAuthDisplay,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJsonWebKey,
    CoreAuthPrompt,
    StandardErrorResponse<CoreErrorResponseType>,
    Tokens,
    CoreTokenIntrospectionResponse,
    CoreRevocableToken,
    CoreRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

/// An OpenID provider; it is looked up when the first one logs in.
#[derive(Debug)]
pub struct Provider {
    settings: ProviderSettings,
    http: Http,
    discovery: Discovery,
    clock: Arc<dyn Clock>,
}

/// What is missing in what the provider answers.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error("find an ID token in the answer")]
    NoIdToken,
    #[error("take the subject for a name: it is empty, too long or no plain text")]
    BadSubject,
}

impl Provider {
    /// The provider of these settings. Nothing is asked yet.
    ///
    /// # Errors
    ///
    /// When TLS cannot be set up.
    pub fn new(settings: ProviderSettings, clock: Arc<dyn Clock>) -> reqwest::Result<Self> {
        let http = Http::new(&settings.issuer)?;
        let discovery = Discovery::new(&settings.issuer, http.clone(), clock.clone());
        Ok(Self { settings, http, discovery, clock })
    }

    fn client(&self, metadata: &CoreProviderMetadata) -> OidcClient {
        let secret = self.settings.client_secret.as_ref();
        let secret = secret.map(|secret| ClientSecret::new(secret.expose_secret().to_owned()));
        let id = ClientId::new(self.settings.client_id.clone());
        let client = OidcClient::from_provider_metadata(metadata.clone(), id, secret)
            .set_redirect_uri(RedirectUrl::from_url(self.settings.redirect_url.clone()));
        let offers = |method| {
            metadata.token_endpoint_auth_methods_supported().is_some_and(|all| all.contains(&method))
        };
        let is_posted = offers(CoreClientAuthMethod::ClientSecretPost)
            && !offers(CoreClientAuthMethod::ClientSecretBasic);
        client.set_auth_type(if is_posted { AuthType::RequestBody } else { AuthType::BasicAuth })
    }

    async fn trade(&self, client: &OidcClient, code: &str, verifier: &str) -> Result<Tokens, ProviderError> {
        let request = client.exchange_code(AuthorizationCode::new(code.to_owned())).map_err(failed)?;
        let request = request.set_pkce_verifier(PkceCodeVerifier::new(verifier.to_owned()));
        request.request_async(&self.http).await.map_err(token_failure)
    }

    /// Who the ID token is about, and what it says of them.
    fn believe(
        &self,
        client: &OidcClient,
        tokens: &Tokens,
        nonce: &Nonce,
    ) -> Result<(String, Said), Disbelief> {
        let token = tokens.id_token().ok_or(Disbelief::Missing)?;
        let claims = token.claims(&self.verifier(client), nonce).map_err(Disbelief::Claims)?;
        let said = Said::of_token(claims, &self.settings.groups_claim);
        Ok((claims.subject().to_string(), said))
    }

    /// Issuer, audience, signature, expiry and nonce; clocks may differ a little.
    fn verifier<'a>(&self, client: &'a OidcClient) -> IdTokenVerifier<'a, CoreJsonWebKey> {
        let now = instant(self.clock.now());
        let skew = chrono::Duration::from_std(self.settings.clock_skew).unwrap_or_default();
        client
            .id_token_verifier()
            .set_allowed_algs(SIGNATURES)
            .set_time_fn(move || now - skew)
            .set_issue_time_verifier_fn(move |issued_at| {
                if issued_at <= now + skew { Ok(()) } else { Err("issued in the future".to_owned()) }
            })
    }

    /// Who it is by the token, with new keys if those that are known did not make it.
    async fn identified_by(
        &self,
        metadata: &CoreProviderMetadata,
        tokens: &Tokens,
        nonce: &Nonce,
    ) -> Result<(String, Said), ProviderError> {
        match self.believe(&self.client(metadata), tokens, nonce) {
            Err(disbelief) if disbelief.may_be_for_want_of_keys() => {
                let renewed = self.discovery.with_new_keys(metadata).await?;
                self.believe(&self.client(&renewed), tokens, nonce).map_err(ProviderError::from)
            }
            believed => believed.map_err(ProviderError::from),
        }
    }

    /// What the userinfo endpoint adds, if there is one and something is missing. It must be about the same subject.
    async fn asked_for(
        &self,
        client: &OidcClient,
        tokens: &Tokens,
        subject: &str,
        said: Said,
    ) -> Result<Said, ProviderError> {
        use openidconnect::OAuth2TokenResponse as _;

        let is_whole = said.email.is_some() && (said.groups.is_some() || !self.settings.wants_groups);
        if is_whole || client.user_info_url().is_none() {
            return Ok(said);
        }
        let about = openidconnect::SubjectIdentifier::new(subject.to_owned());
        let request = client.user_info(tokens.access_token().clone(), Some(about)).map_err(failed)?;
        let claims: UserInfoClaims<OtherClaims, CoreGenderClaim> =
            request.request_async(&self.http).await.map_err(userinfo_failure)?;
        Ok(said.or(Said::of_userinfo(&claims, &self.settings.groups_claim)))
    }
}

#[async_trait]
impl IdentityProvider for Provider {
    fn issuer(&self) -> &str {
        self.settings.issuer.as_str()
    }

    async fn begin(&self) -> Result<BegunLogin, ProviderError> {
        let metadata = self.discovery.metadata().await?;
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let client = self.client(&metadata);
        let (address, state, nonce) = client
            .authorize_url(
                AuthenticationFlow::<CoreResponseType>::AuthorizationCode,
                CsrfToken::new_random,
                Nonce::new_random,
            )
            .add_scopes(self.settings.scopes.iter().cloned().map(Scope::new))
            .set_pkce_challenge(challenge)
            .url();
        let proofs = LoginProofs {
            state: state.into_secret(),
            nonce: nonce.secret().clone(),
            code_verifier: verifier.into_secret(),
        };
        Ok(BegunLogin { address: address.into(), proofs })
    }

    async fn identify(&self, code: &str, proofs: &LoginProofs) -> Result<Identity, ProviderError> {
        let metadata = self.discovery.metadata().await?;
        let client = self.client(&metadata);
        let tokens = self.trade(&client, code, &proofs.code_verifier).await?;
        let nonce = Nonce::new(proofs.nonce.clone());
        let (subject, said) = self.identified_by(&metadata, &tokens, &nonce).await?;
        let is_fit =
            (1..=SUBJECT_CHARS_MAX).contains(&subject.chars().count()) && !subject.contains(char::is_control);
        if !is_fit {
            return Err(failed(Fault::BadSubject));
        }
        let Said { email, full_name, groups } = self.asked_for(&client, &tokens, &subject, said).await?;
        let key = IdentityKey { issuer: self.settings.issuer.as_str().to_owned(), subject };
        Ok(Identity { key, email, full_name, groups: groups.unwrap_or_default() })
    }
}

/// Why an ID token is not believed.
enum Disbelief {
    Missing,
    Claims(ClaimsVerificationError),
}

impl Disbelief {
    fn may_be_for_want_of_keys(&self) -> bool {
        use SignatureVerificationError::{CryptoError, NoMatchingKey};
        matches!(
            self,
            Self::Claims(ClaimsVerificationError::SignatureVerification(NoMatchingKey | CryptoError(_)))
        )
    }
}

impl From<Disbelief> for ProviderError {
    fn from(disbelief: Disbelief) -> Self {
        match disbelief {
            Disbelief::Missing => failed(Fault::NoIdToken),
            Disbelief::Claims(error) => Self::Refused(error.into()),
        }
    }
}

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> ProviderError {
    ProviderError::Failed(Box::new(error))
}

fn token_failure(error: TokenFailure) -> ProviderError {
    match &error {
        RequestTokenError::Request(cause) if cause.is_passing() => ProviderError::Unavailable(error.into()),
        // The code: unknown, used before, too old, or of another login.
        RequestTokenError::ServerResponse(answer)
            if *answer.error() == CoreErrorResponseType::InvalidGrant =>
        {
            ProviderError::Refused(error.into())
        }
        // An answer that cannot be read is not shown: it may hold tokens.
        RequestTokenError::Parse(..) => failed(Unreadable),
        _ => ProviderError::Failed(error.into()),
    }
}

#[derive(Debug, thiserror::Error)]
#[error("read the answer of the token endpoint")]
struct Unreadable;

fn userinfo_failure(error: UserInfoError<HttpError>) -> ProviderError {
    match &error {
        UserInfoError::Request(cause) if cause.is_passing() => ProviderError::Unavailable(error.into()),
        UserInfoError::ClaimsVerification(_) => ProviderError::Refused(error.into()),
        _ => ProviderError::Failed(error.into()),
    }
}

fn instant(at: jiff::Timestamp) -> DateTime<Utc> {
    DateTime::from_timestamp(at.as_second(), at.subsec_nanosecond().unsigned_abs()).unwrap_or_default()
}
