//! `/auth/api-keys`: named credentials for programs.

use crate::{
    ApiState,
    caller::Caller,
    error::problem,
    page::{COLLECTION_LIMIT_DEFAULT, Collection, Here},
    plain,
};
use actix_web::web::Data;
use apidoc::{
    Conflict, Created, Done, Fail, Fetched, Forbidden, Invalid, NotFound, PathParams, Unavailable, Valid,
    ValidQuery,
};
use domain::{Access, ApiKey, ApiKeyId, Area, PageRequest, access::UnknownScope};
use jiff::Timestamp;
use paperclip::actix::api_v2_operation;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use uuid::Uuid;
use validator::Validate;

/// A new key.
#[derive(Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct ApiKeyCreateRequest {
    #[validate(length(min = 1, max = 100), custom(function = "plain::line"))]
    #[schemars(extend("pattern" = plain::LINE))]
    name: String,
    /// What the key may do; `["read"]` makes a key that changes nothing, `["sessions:write"]` one for sessions alone.
    /// It cannot be more than what the caller's own credential reaches.
    #[serde(default = "every_scope")]
    #[validate(length(min = 1, max = 32))]
    scopes: Vec<ApiKeyScope>,
    /// Without it the key works until it is deleted.
    expires_at: Option<Timestamp>,
}

/// What a key may do: `read` or `write` everywhere, or an area of the API with `:read`, `:write` or `:*`, such as
/// `sessions:read`. Writing includes reading.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ApiKeyScope {
    text: String,
    access: Access,
}

impl TryFrom<String> for ApiKeyScope {
    type Error = UnknownScope;

    fn try_from(text: String) -> Result<Self, UnknownScope> {
        let access = text.parse()?;
        Ok(Self { text, access })
    }
}

impl From<ApiKeyScope> for String {
    fn from(scope: ApiKeyScope) -> Self {
        scope.text
    }
}

impl JsonSchema for ApiKeyScope {
    fn schema_name() -> Cow<'static, str> {
        "ApiKeyScope".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let areas: Vec<&str> = Area::ALL.into_iter().map(Area::as_str).collect();
        let pattern = format!("^(\\*|read|write|({}):(read|write|\\*))$", areas.join("|"));
        json_schema!({
            "description": "`read` or `write` everywhere, or an area of the API with `:read`, `:write` or `:*`, such as \
                            `sessions:read`. Writing includes reading.",
            "type": "string",
            "pattern": pattern,
        })
    }
}

fn every_scope() -> Vec<ApiKeyScope> {
    scopes(Access::WRITE)
}

/// The scopes of a key; one that may do everything has both of the words that it always had.
fn scopes(access: Access) -> Vec<ApiKeyScope> {
    let words =
        if access == Access::WRITE { vec!["read".to_owned(), "write".to_owned()] } else { access.scopes() };
    words.into_iter().filter_map(|word| word.try_into().ok()).collect()
}

/// A key, without its secret.
#[derive(Serialize, JsonSchema)]
pub struct ApiKeyResponse {
    id: Uuid,
    name: String,
    /// The first characters of the secret, to tell keys apart.
    prefix: String,
    scopes: Vec<ApiKeyScope>,
    expires_at: Option<Timestamp>,
    created_at: Timestamp,
    last_used_at: Option<Timestamp>,
}

/// A key that was just made.
#[derive(Serialize, JsonSchema)]
pub struct NewApiKeyResponse {
    #[serde(flatten)]
    about: ApiKeyResponse,
    /// The secret itself. It is shown this once and not kept.
    key: String,
}

/// Which keys to list.
#[derive(Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct ApiKeyListQuery {
    #[serde(default = "limit_default")]
    #[validate(range(min = 1, max = 100))]
    limit: u32,
    /// `next_cursor` of the page before.
    #[validate(length(max = 512))]
    cursor: Option<String>,
    #[serde(default)]
    skip: u32,
}

fn limit_default() -> u32 {
    COLLECTION_LIMIT_DEFAULT
}

impl From<ApiKey> for ApiKeyResponse {
    fn from(key: ApiKey) -> Self {
        Self {
            id: key.id.0,
            name: key.name,
            prefix: key.prefix,
            scopes: scopes(key.access),
            expires_at: key.expires_at,
            created_at: key.created_at,
            last_used_at: key.last_used_at,
        }
    }
}

fn access(scopes: &[ApiKeyScope]) -> Access {
    scopes.iter().map(|scope| scope.access).fold(Access::NONE, Access::and)
}

/// Make an API key
///
/// The answer holds the secret, which cannot be read again.
#[api_v2_operation(tags(Auth), operation_id = "createApiKey")]
pub async fn create(
    state: Data<ApiState>,
    caller: Caller,
    body: Valid<ApiKeyCreateRequest>,
) -> Result<Created<NewApiKeyResponse>, Fail<(Forbidden, Conflict, Invalid, Unavailable)>> {
    let ApiKeyCreateRequest { name, scopes, expires_at } = body.0;
    let made = state.accounts.create_api_key(&caller.0, name, access(&scopes), expires_at).await;
    let (about, key) = made.map_err(problem)?;
    let location = format!("/api/v1/auth/api-keys/{}", about.id);
    Ok(Created::at(NewApiKeyResponse { about: about.into(), key }, location))
}

/// List the caller's API keys
///
/// Newest first. Their secrets were shown once and are not kept.
#[api_v2_operation(tags(Auth), operation_id = "listApiKeys")]
pub async fn list(
    state: Data<ApiState>,
    caller: Caller,
    here: Here,
    query: ValidQuery<ApiKeyListQuery>,
) -> Result<Fetched<Collection<ApiKeyResponse>>, Fail<(Invalid, Unavailable)>> {
    let ApiKeyListQuery { limit, cursor, skip } = query.0;
    let request = PageRequest { limit, cursor, skip };
    let page = state.accounts.api_keys(&caller.0, &request).await.map_err(problem)?;
    Ok(Fetched::new(here.collection(page.map(ApiKeyResponse::from), &request)))
}

/// Delete an API key
///
/// It stops working at once.
#[api_v2_operation(tags(Auth), operation_id = "deleteApiKey")]
pub async fn delete(
    state: Data<ApiState>,
    caller: Caller,
    id: PathParams<Uuid>,
) -> Result<Done, Fail<(Forbidden, NotFound, Unavailable)>> {
    state.accounts.delete_api_key(&caller.0, ApiKeyId(id.0)).await.map_err(problem)?;
    Ok(Done)
}
