//! `/auth/oidc`: logging in at an identity provider (OpenID Connect, authorization code flow with PKCE).

use super::{
    login::TokenResponse,
    ticket::{SetTicket, Ticket},
};
use crate::{ApiState, error::problem, plain, request::Source};
use actix_web::web::Data;
use apidoc::{
    BadGateway, BadRequest, Conflict, Fail, Fetched, Forbidden, Found, Invalid, NotFound, OneOf, Problem,
    TooMany, Unauthorized, Unavailable, Valid, ValidQuery, With,
};
use engine::{
    Error, OidcError, OidcLogins,
    oidc::{Finished, Return},
};
use paperclip::actix::api_v2_operation;
use schemars::JsonSchema;
use serde::Deserialize;
use validator::Validate;

/// How a login is to end.
#[derive(Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct OidcLoginQuery {
    /// For user interfaces: the SHA-256 of a verifier that it keeps, in base64url without padding (S256 of RFC 7636). The
    /// login ends at the address of the user interface, with a code for `/auth/oidc/token`.
    #[validate(length(min = 43, max = 43), custom(function = "base64url"))]
    #[schemars(extend("pattern" = "^[A-Za-z0-9_-]*$"))]
    code_challenge: Option<String>,
}

/// What the provider sends a browser back with. What it sends beside that is not looked at.
#[derive(Deserialize, JsonSchema, Validate)]
pub struct OidcCallbackQuery {
    /// By what the answer is known to belong to this browser.
    #[validate(length(max = 512))]
    state: Option<String>,
    /// What is traded for tokens of the provider.
    #[validate(length(max = 4096))]
    code: Option<String>,
    /// Why there is no code, in a word.
    #[validate(length(max = 256))]
    error: Option<String>,
    /// Which provider it comes from (RFC 9207).
    #[validate(length(max = 2048))]
    iss: Option<String>,
}

/// What a user interface trades for tokens.
#[derive(Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct OidcTokenRequest {
    /// From the fragment of the address that the login ended at; good once, for a minute.
    #[validate(length(min = 1, max = 2048), custom(function = "plain::line"))]
    #[schemars(extend("pattern" = plain::LINE))]
    code: String,
    /// What the `code_challenge` was made of.
    #[validate(length(min = 43, max = 128), custom(function = "plain::line"))]
    #[schemars(extend("pattern" = plain::LINE))]
    code_verifier: String,
}

fn base64url(text: &str) -> Result<(), validator::ValidationError> {
    let is_one = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    is_one.then_some(()).ok_or_else(|| {
        validator::ValidationError::new("base64url").with_message("must be base64url without padding".into())
    })
}

fn logins(state: &ApiState) -> Result<&OidcLogins, Problem> {
    state.oidc.as_ref().ok_or_else(|| problem(OidcError::Off.into()))
}

/// Log in at the identity provider
///
/// For browsers: leads to the provider, which leads back to `/auth/oidc/callback`. The browser keeps a cookie for the
/// ten minutes that this may take.
#[api_v2_operation(tags(Auth), operation_id = "beginOidcLogin")]
pub async fn begin(
    state: Data<ApiState>,
    query: ValidQuery<OidcLoginQuery>,
) -> Result<With<Found, SetTicket>, Fail<(NotFound, Invalid, BadGateway, Unavailable)>> {
    let logins = logins(&state)?;
    let begun = logins.begin(query.0.code_challenge).await.map_err(problem)?;
    let ticket = SetTicket::to(begun.ticket, logins.is_over_tls());
    Ok(With::new(Found(begun.address), Some(ticket)))
}

type Answer = With<OneOf<Fetched<TokenResponse>, Found>, SetTicket>;
type Refused = Fail<(
    BadRequest,
    Unauthorized,
    Forbidden,
    NotFound,
    Conflict,
    Invalid,
    TooMany,
    BadGateway,
    Unavailable,
)>;

/// Come back from the identity provider
///
/// Where browsers arrive from the provider. The answer has the tokens that a login with a password has; where a user
/// interface began the login, the browser goes on there, with `#code=…` for `/auth/oidc/token`, or with `#error=…`, an
/// `error_code`.
#[api_v2_operation(tags(Auth), operation_id = "finishOidcLogin")]
pub async fn finish(
    state: Data<ApiState>,
    source: Source,
    ticket: Ticket,
    query: ValidQuery<OidcCallbackQuery>,
) -> Result<Answer, Refused> {
    let logins = logins(&state)?;
    let OidcCallbackQuery { state: returned_state, code, error, iss } = query.0;
    let returned = Return { state: returned_state, code, error, issuer: iss };
    let ticket = ticket.value(logins.is_over_tls());
    let login = logins.resume(ticket, &returned, &source.0).await.map_err(problem)?;
    let ui = logins.ui_url().filter(|_| login.is_for_ui()).map(str::to_owned);
    let reply = match (logins.finish(login, returned, &source.0).await, ui) {
        (Ok(Finished::Tokens(pair)), _) => OneOf::This(Fetched::new(pair.into())),
        (Ok(Finished::Code(code)), Some(ui)) => OneOf::That(Found(format!("{ui}#code={code}"))),
        (Ok(Finished::Code(_)), None) => return Err(problem(Error::Internal("hand a login over")).into()),
        (Err(error), None) => return Err(problem(error).into()),
        (Err(error), Some(ui)) => {
            let code = problem(error).error_code().to_owned();
            OneOf::That(Found(format!("{ui}#error={code}")))
        }
    };
    Ok(With::new(reply, Some(SetTicket::forgotten(logins.is_over_tls()))))
}

/// Trade the code of a login for tokens
///
/// For user interfaces, with the code from `#code=…` and the verifier that they kept. A code works once; a second use
/// ends its login: somebody else has it.
#[api_v2_operation(tags(Auth), operation_id = "redeemOidcLogin")]
pub async fn redeem(
    state: Data<ApiState>,
    source: Source,
    body: Valid<OidcTokenRequest>,
) -> Result<Fetched<TokenResponse>, Fail<(Unauthorized, NotFound, Unavailable)>> {
    let OidcTokenRequest { code, code_verifier } = body.0;
    let pair = logins(&state)?.redeem(&code, &code_verifier, &source.0).await.map_err(problem)?;
    Ok(Fetched::new(pair.into()))
}
