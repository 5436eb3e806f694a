//! `POST /tasks/{id}/rotate-secret`.

use super::response::{NewTaskResponse, TaskResponse};
use crate::{ApiState, caller::Caller, error::problem};
use actix_web::web::Data;
use apidoc::{Fail, Fetched, Forbidden, NotFound, PathParams, Unavailable};
use domain::TaskId;
use paperclip::actix::api_v2_operation;
use secrecy::ExposeSecret;
use uuid::Uuid;

/// Give a task's webhook a new secret
///
/// It signs from now on; what the old one signed and is still on its way is signed anew.
#[api_v2_operation(tags(Tasks), operation_id = "rotateTaskSecret")]
pub async fn rotate(
    state: Data<ApiState>,
    caller: Caller,
    id: PathParams<Uuid>,
) -> Result<Fetched<NewTaskResponse>, Fail<(Forbidden, NotFound, Unavailable)>> {
    let rotated = state.tasks.rotate_task_secret(&caller.0, TaskId(id.0)).await;
    let (task, secret) = rotated.map_err(problem)?;
    let webhook_secret = Some(secret.expose_secret().to_owned());
    Ok(Fetched::new(NewTaskResponse { about: TaskResponse::of(&state.tasks, task), webhook_secret }))
}
