//! `GET /session-templates`, `POST /session-templates/search` and `GET /session-templates/popular/top`.

use super::{response::SessionTemplateResponse, write::short_tags};
use crate::{
    ApiState,
    caller::Caller,
    error::problem,
    page::{COLLECTION_LIMIT_DEFAULT, Collection, CollectionQuery, Here},
    plain,
};
use actix_web::web::Data;
use apidoc::{Fail, Fetched, Forbidden, Invalid, Unavailable, Valid, ValidQuery};
use domain::{Page, PageRequest, Total, template::TemplateFilter};
use paperclip::actix::api_v2_operation;
use schemars::JsonSchema;
use serde::Deserialize;
use validator::Validate;

/// Templates that the most used are, when the client does not say.
const POPULAR_LIMIT_DEFAULT: u32 = 10;

/// Which templates to list.
#[derive(Debug, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct SessionTemplateListQuery {
    #[validate(length(min = 1, max = 100))]
    category: Option<String>,
    is_public: Option<bool>,
    #[serde(default = "limit_default")]
    #[validate(range(min = 1, max = 100))]
    limit: u32,
    /// `next_cursor` of the page before.
    #[validate(length(max = 512))]
    cursor: Option<String>,
    /// Kept for old clients; ignored beside a cursor.
    #[serde(default)]
    skip: u32,
}

fn limit_default() -> u32 {
    COLLECTION_LIMIT_DEFAULT
}

/// What to search for; what is left out excludes nothing.
#[derive(Debug, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct SessionTemplateSearchRequest {
    /// Part of the name or description, in any case.
    #[validate(length(min = 1, max = 255))]
    query: Option<String>,
    /// Each of these, in any case.
    #[serde(default)]
    #[validate(length(max = 50), custom(function = "short_tags"))]
    #[schemars(inner(length(min = 1, max = 100), regex(pattern = plain::LINE)))]
    tags: Vec<String>,
}

/// How many to show.
#[derive(Debug, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct PopularTemplatesQuery {
    #[serde(default = "popular_limit_default")]
    #[validate(range(min = 1, max = 100))]
    limit: u32,
}

fn popular_limit_default() -> u32 {
    POPULAR_LIMIT_DEFAULT
}

/// List session templates
///
/// The caller's own, the public ones, and those that are shared with them; newest first. An admin sees all.
#[api_v2_operation(tags(Templates), operation_id = "listSessionTemplates")]
pub async fn list(
    state: Data<ApiState>,
    caller: Caller,
    here: Here,
    query: ValidQuery<SessionTemplateListQuery>,
) -> Result<Fetched<Collection<SessionTemplateResponse>>, Fail<(Invalid, Unavailable)>> {
    let SessionTemplateListQuery { category, is_public, limit, cursor, skip } = query.0;
    let request = PageRequest { limit, cursor, skip };
    let filter = TemplateFilter { category, is_public, ..TemplateFilter::default() };
    let page = state.sessions.templates(&caller.0, filter, &request).await.map_err(problem)?;
    let page = page.map(|template| SessionTemplateResponse::seen_by(&caller.0, template));
    Ok(Fetched::new(here.collection(page, &request)))
}

/// Search session templates
///
/// Among those that the caller may see; newest first. Pages go by the query string.
#[api_v2_operation(tags(Templates), operation_id = "searchSessionTemplates")]
pub async fn search(
    state: Data<ApiState>,
    caller: Caller,
    here: Here,
    query: ValidQuery<CollectionQuery>,
    body: Valid<SessionTemplateSearchRequest>,
) -> Result<Fetched<Collection<SessionTemplateResponse>>, Fail<(Forbidden, Invalid, Unavailable)>> {
    let request = PageRequest::from(query.0);
    let filter = TemplateFilter { q: body.0.query, tags: body.0.tags, ..TemplateFilter::default() };
    let page = state.sessions.templates(&caller.0, filter, &request).await.map_err(problem)?;
    let page = page.map(|template| SessionTemplateResponse::seen_by(&caller.0, template));
    Ok(Fetched::new(here.collection(page, &request)))
}

/// List the most used session templates
///
/// Among those that the caller may see. It has one page, since the order changes with every use.
#[api_v2_operation(tags(Templates), operation_id = "listPopularSessionTemplates")]
pub async fn popular(
    state: Data<ApiState>,
    caller: Caller,
    here: Here,
    query: ValidQuery<PopularTemplatesQuery>,
) -> Result<Fetched<Collection<SessionTemplateResponse>>, Fail<(Invalid, Unavailable)>> {
    let limit = query.0.limit;
    let items = state.sessions.popular_templates(&caller.0, limit).await.map_err(problem)?;
    let items = items.into_iter().map(|template| SessionTemplateResponse::seen_by(&caller.0, template));
    let items: Vec<_> = items.collect();
    let page = Page { total: Some(Total::exactly(items.len() as u64)), items, next_cursor: None };
    Ok(Fetched::new(here.collection(page, &PageRequest::first(limit))))
}
