//! `/auth/login` and `/auth/refresh`: credentials for tokens.

use crate::{ApiState, error::problem, request::Source};
use actix_web::web::Data;
use apidoc::{Fail, Fetched, Forbidden, TooMany, Unauthorized, Unavailable, Valid};
use engine::TokenPair;
use paperclip::actix::api_v2_operation;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use validator::Validate;

/// E-mail and password.
#[derive(Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct LoginRequest {
    #[validate(length(min = 1, max = 254))]
    email: String,
    #[validate(length(min = 1, max = 1024))]
    password: String,
}

/// A refresh token; it is used up.
#[derive(Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct RefreshRequest {
    #[validate(length(min = 1, max = 512))]
    refresh_token: String,
}

/// Tokens of one login.
#[derive(Serialize, JsonSchema)]
pub struct TokenResponse {
    /// Send it as `Authorization: Bearer …`.
    access_token: String,
    /// Good for one use; presenting it twice ends the login.
    refresh_token: String,
    token_type: TokenType,
    /// Seconds until the access token expires.
    expires_in: i64,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum TokenType {
    Bearer,
}

impl From<TokenPair> for TokenResponse {
    fn from(pair: TokenPair) -> Self {
        Self {
            access_token: pair.access_token,
            refresh_token: pair.refresh_token,
            token_type: TokenType::Bearer,
            expires_in: pair.expires_in_seconds,
        }
    }
}

/// Log in
///
/// The answer has a token for an hour or so, and one that gets the next. A wrong password and an unknown address
/// are answered alike.
/// Guessing is slowed down: after some attempts on an account or from an address the next ones have to wait, 429.
#[api_v2_operation(tags(Auth), operation_id = "login")]
pub async fn login(
    state: Data<ApiState>,
    source: Source,
    body: Valid<LoginRequest>,
) -> Result<Fetched<TokenResponse>, Fail<(Unauthorized, Forbidden, TooMany, Unavailable)>> {
    let LoginRequest { email, password } = body.0;
    let pair = state.accounts.login(&email, password, &source.0).await.map_err(problem)?;
    Ok(Fetched::new(pair.into()))
}

/// Trade a refresh token for new tokens
///
/// The old refresh token is used up. One that was used before ends its whole login: somebody else has it.
#[api_v2_operation(tags(Auth), operation_id = "refreshLogin")]
pub async fn refresh(
    state: Data<ApiState>,
    source: Source,
    body: Valid<RefreshRequest>,
) -> Result<Fetched<TokenResponse>, Fail<(Unauthorized, Unavailable)>> {
    let pair = state.accounts.refresh(&body.0.refresh_token, &source.0).await.map_err(problem)?;
    Ok(Fetched::new(pair.into()))
}
