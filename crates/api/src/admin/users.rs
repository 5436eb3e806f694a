//! `/admin/users`: who has an account, what they may do, and a person who goes with all that is kept of them.

use crate::{
    ApiState,
    auth::user::{UserResponse, given, tagged},
    caller::Caller,
    error::problem,
    etag::{IfMatch, Tagged},
    page::{Collection, CollectionQuery, Here},
    plain,
    word::Word,
};
use actix_web::web::Data;
use apidoc::{
    Conflict, Created, Done, Fail, Fetched, Forbidden, Invalid, NotFound, PathParams, PreconditionFailed,
    Unavailable, Valid, ValidQuery,
};
use domain::{Role, UserId, UserPatch};
use engine::Registrant;
use paperclip::actix::api_v2_operation;
use schemars::JsonSchema;
use serde::Deserialize;
use uuid::Uuid;
use validator::Validate;

/// A new account, as an admin describes it.
#[derive(Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct UserCreateRequest {
    #[validate(email, length(max = 254))]
    email: String,
    #[validate(length(min = 12, max = 1024))]
    password: String,
    /// The e-mail address when left out.
    #[validate(length(min = 1, max = 100), custom(function = "plain::line"))]
    #[schemars(extend("pattern" = plain::LINE))]
    username: Option<String>,
    #[validate(length(min = 1, max = 255), custom(function = "plain::line"))]
    #[schemars(extend("pattern" = plain::LINE))]
    full_name: Option<String>,
    /// `member` when left out.
    role: Option<Word<Role>>,
    /// Whose budget their spending counts for as well.
    #[validate(length(min = 1, max = 100), custom(function = "plain::line"))]
    #[schemars(extend("pattern" = plain::LINE))]
    team: Option<String>,
    /// IANA name such as `Europe/Berlin`; `UTC` when left out.
    #[validate(length(min = 1, max = 100))]
    time_zone: Option<String>,
}

/// What to change of an account; what is left out stays as it is.
#[derive(Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct UserPatchRequest {
    role: Option<Word<Role>>,
    /// false ends their logins, and lets neither them nor their keys in.
    is_active: Option<bool>,
    /// null removes it.
    #[serde(default, deserialize_with = "given")]
    #[schemars(with = "Option<String>")]
    #[validate(length(min = 1, max = 255), custom(function = "plain::line"))]
    #[schemars(extend("pattern" = plain::LINE))]
    full_name: Option<Option<String>>,
    /// null takes them out of their team.
    #[serde(default, deserialize_with = "given")]
    #[schemars(with = "Option<String>")]
    #[validate(length(min = 1, max = 100), custom(function = "plain::line"))]
    #[schemars(extend("pattern" = plain::LINE))]
    team: Option<Option<String>>,
    /// IANA name such as `Europe/Berlin`. What the month has cost stays.
    #[validate(length(min = 1, max = 100))]
    time_zone: Option<String>,
}

/// List users
///
/// For admins; newest first. Accounts that were removed are in it, without name and address.
#[api_v2_operation(tags(Admin), operation_id = "listUsers")]
pub async fn list(
    state: Data<ApiState>,
    caller: Caller,
    here: Here,
    query: ValidQuery<CollectionQuery>,
) -> Result<Fetched<Collection<UserResponse>>, Fail<(Forbidden, Invalid, Unavailable)>> {
    let request = query.0.into();
    let page = state.accounts.users(&caller.0, &request).await.map_err(problem)?;
    Ok(Fetched::new(here.collection(page.map(UserResponse::from), &request)))
}

/// Read a user
///
/// For admins.
#[api_v2_operation(tags(Admin), operation_id = "getUser")]
pub async fn get(
    state: Data<ApiState>,
    caller: Caller,
    user_id: PathParams<Uuid>,
) -> Result<Tagged<Fetched<UserResponse>>, Fail<(Forbidden, NotFound, Unavailable)>> {
    let user = state.accounts.user(&caller.0, UserId(user_id.0)).await.map_err(problem)?;
    Ok(tagged(user))
}

/// Make an account for somebody
///
/// For admins, also where registration is closed.
#[api_v2_operation(tags(Admin), operation_id = "createUser")]
pub async fn create(
    state: Data<ApiState>,
    caller: Caller,
    body: Valid<UserCreateRequest>,
) -> Result<Created<UserResponse>, Fail<(Forbidden, Conflict, Invalid, Unavailable)>> {
    let UserCreateRequest { email, password, username, full_name, role, team, time_zone } = body.0;
    let role = role.map_or(Role::Member, |role| role.0);
    let registrant = Registrant { email, username, full_name, password, team, time_zone };
    let user = state.accounts.add(&caller.0, registrant, role).await.map_err(problem)?;
    let location = format!("/api/v1/admin/users/{}", user.id);
    Ok(Created::at(user.into(), location))
}

/// Change a user
///
/// For admins. Who is not active any more is logged out at once. The last admin who is active stays one: 409
/// `LAST_ADMIN`.
#[api_v2_operation(tags(Admin), operation_id = "updateUser")]
pub async fn patch(
    state: Data<ApiState>,
    caller: Caller,
    user_id: PathParams<Uuid>,
    if_match: IfMatch,
    body: Valid<UserPatchRequest>,
) -> Result<
    Tagged<Fetched<UserResponse>>,
    Fail<(Forbidden, NotFound, Conflict, PreconditionFailed, Invalid, Unavailable)>,
> {
    let UserPatchRequest { role, is_active, full_name, team, time_zone } = body.0;
    let patch = UserPatch { role: role.map(|role| role.0), is_active, full_name, team, time_zone };
    let user = state.accounts.patch_user(&caller.0, UserId(user_id.0), patch, &if_match.0).await;
    Ok(tagged(user.map_err(problem)?))
}

/// Remove a user
///
/// For admins. Their logins and keys end at once, their sessions are ended and removed with all that belongs to them, and
/// their account loses name, address and password. What they cost, what they did in the audit log and the policies they
/// wrote stay, under the id of an account that is nobody's. If it fails half-way, ask again. The last admin who is active
/// stays one: 409 `LAST_ADMIN`.
#[api_v2_operation(tags(Admin), operation_id = "deleteUser")]
pub async fn delete(
    state: Data<ApiState>,
    caller: Caller,
    user_id: PathParams<Uuid>,
    if_match: IfMatch,
) -> Result<Done, Fail<(Forbidden, NotFound, Conflict, PreconditionFailed, Unavailable)>> {
    let user = UserId(user_id.0);
    state.accounts.erase(&caller.0, user, &if_match.0).await.map_err(problem)?;
    state.sessions.purge_all_of(&caller.0, user).await.map_err(problem)?;
    Ok(Done)
}
