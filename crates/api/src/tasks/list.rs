//! `GET /tasks`.

use super::response::TaskResponse;
use crate::{
    ApiState,
    caller::Caller,
    error::problem,
    page::{COLLECTION_LIMIT_DEFAULT, Collection, Here},
    plain,
};
use actix_web::web::Data;
use apidoc::{Fail, Fetched, Invalid, Unavailable, ValidQuery};
use domain::{PageRequest, task::TaskFilter};
use paperclip::actix::api_v2_operation;
use schemars::JsonSchema;
use serde::Deserialize;
use validator::Validate;

/// Which tasks to list.
#[derive(Debug, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct TaskListQuery {
    is_scheduled: Option<bool>,
    /// Tags, between commas, all of which a task must have.
    #[validate(length(min = 1, max = 1000), custom(function = "plain::line"))]
    #[schemars(extend("pattern" = plain::LINE))]
    tags: Option<String>,
    /// Part of the name or description, in any case.
    #[validate(length(min = 1, max = 255))]
    q: Option<String>,
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

/// List the caller's tasks
///
/// Newest first. An admin sees everybody's.
#[api_v2_operation(tags(Tasks), operation_id = "listTasks")]
pub async fn list(
    state: Data<ApiState>,
    caller: Caller,
    here: Here,
    query: ValidQuery<TaskListQuery>,
) -> Result<Fetched<Collection<TaskResponse>>, Fail<(Invalid, Unavailable)>> {
    let TaskListQuery { is_scheduled, tags, q, limit, cursor, skip } = query.0;
    let request = PageRequest { limit, cursor, skip };
    let tags = tags.iter().flat_map(|tags| tags.split(',')).map(str::trim).filter(|tag| !tag.is_empty());
    let filter = TaskFilter { is_scheduled, tags: tags.map(str::to_owned).collect(), q };
    let page = state.tasks.tasks(&caller.0, filter, &request).await.map_err(problem)?;
    let page = page.map(|task| TaskResponse::of(&state.tasks, task));
    Ok(Fetched::new(here.collection(page, &request)))
}
