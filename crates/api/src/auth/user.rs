//! `/auth/me` and `/auth/register`: the caller's account, changing it, and making one.

use crate::{
    ApiState,
    caller::Caller,
    error::problem,
    etag::{IfMatch, Tagged},
    plain,
    request::Source,
    word::Word,
};
use actix_web::web::Data;
use apidoc::{
    Conflict, Created, Fail, Fetched, Forbidden, Invalid, NotFound, PreconditionFailed, Unavailable, Valid,
};
use domain::{Role, User};
use engine::Registrant;
use jiff::Timestamp;
use paperclip::actix::api_v2_operation;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use uuid::Uuid;
use validator::Validate;

/// A new account.
#[derive(Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct RegisterRequest {
    #[validate(email, length(max = 254))]
    email: String,
    /// The e-mail address when left out.
    #[validate(length(min = 1, max = 100), custom(function = "plain::line"))]
    #[schemars(extend("pattern" = plain::LINE))]
    username: Option<String>,
    #[validate(length(min = 1, max = 255), custom(function = "plain::line"))]
    #[schemars(extend("pattern" = plain::LINE))]
    full_name: Option<String>,
    #[validate(length(min = 12, max = 1024))]
    password: String,
}

/// A person or service account.
#[derive(Serialize, JsonSchema)]
pub struct UserResponse {
    id: Uuid,
    email: String,
    username: String,
    full_name: Option<String>,
    role: Word<Role>,
    is_active: bool,
    /// Whose budget their spending counts for as well.
    team: Option<String>,
    /// IANA name of the zone by whose clocks their days and months begin.
    time_zone: String,
    created_at: Timestamp,
    last_login_at: Option<Timestamp>,
}

/// What to change of the caller's account; what is left out stays as it is.
#[derive(Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct MePatchRequest {
    /// null removes it.
    #[serde(default, deserialize_with = "given")]
    #[schemars(with = "Option<String>")]
    #[validate(length(min = 1, max = 255), custom(function = "plain::line"))]
    #[schemars(extend("pattern" = plain::LINE))]
    full_name: Option<Option<String>>,
    /// IANA name such as `Europe/Berlin`. What the month has cost stays.
    #[validate(length(min = 1, max = 100))]
    time_zone: Option<String>,
}

/// Tells null from left out.
pub fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

impl From<User> for UserResponse {
    fn from(user: User) -> Self {
        Self {
            id: user.id.0,
            email: user.email,
            username: user.username,
            full_name: user.full_name,
            role: Word(user.role),
            is_active: user.is_active,
            team: user.team,
            time_zone: user.time_zone,
            created_at: user.created_at,
            last_login_at: user.last_login_at,
        }
    }
}

/// Read the caller's account
///
/// Whoever the credential belongs to, whatever it may do.
#[api_v2_operation(tags(Auth), operation_id = "getMe")]
pub async fn me(
    state: Data<ApiState>,
    caller: Caller,
) -> Result<Tagged<Fetched<UserResponse>>, Fail<(NotFound, Unavailable)>> {
    let user = state.accounts.me(&caller.0).await.map_err(problem)?;
    Ok(tagged(user))
}

/// Change the caller's account
///
/// What is left out stays as it is.
#[api_v2_operation(tags(Auth), operation_id = "updateMe")]
pub async fn patch_me(
    state: Data<ApiState>,
    caller: Caller,
    if_match: IfMatch,
    body: Valid<MePatchRequest>,
) -> Result<
    Tagged<Fetched<UserResponse>>,
    Fail<(Forbidden, NotFound, PreconditionFailed, Invalid, Unavailable)>,
> {
    let MePatchRequest { full_name, time_zone } = body.0;
    let user = state.accounts.patch_me(&caller.0, full_name, time_zone, &if_match.0).await;
    Ok(tagged(user.map_err(problem)?))
}

/// A user with their state.
pub fn tagged(user: User) -> Tagged<Fetched<UserResponse>> {
    let of = user.clone();
    Tagged::new(Fetched::new(user.into()), &of)
}

/// Make an account
///
/// Only where the operator allows it; 403 otherwise.
#[api_v2_operation(tags(Auth), operation_id = "register")]
pub async fn register(
    state: Data<ApiState>,
    source: Source,
    body: Valid<RegisterRequest>,
) -> Result<Created<UserResponse>, Fail<(Forbidden, Conflict, Invalid, Unavailable)>> {
    let RegisterRequest { email, username, full_name, password } = body.0;
    let registrant = Registrant { email, username, full_name, password, team: None, time_zone: None };
    let user = state.accounts.register(registrant, source.0).await.map_err(problem)?;
    Ok(Created::at(user.into(), "/api/v1/auth/me"))
}
