//! `GET /tasks/executions/{execution_id}`.

use super::response::ExecutionResponse;
use crate::{ApiState, caller::Caller, error::problem};
use actix_web::web::Data;
use apidoc::{Fail, Fetched, NotFound, PathParams, Unavailable};
use domain::ExecutionId;
use paperclip::actix::api_v2_operation;
use uuid::Uuid;

/// Read an execution
///
/// What became of it: its result, and what followed its end.
#[api_v2_operation(tags(Tasks), operation_id = "getExecution")]
pub async fn get(
    state: Data<ApiState>,
    caller: Caller,
    execution_id: PathParams<Uuid>,
) -> Result<Fetched<ExecutionResponse>, Fail<(NotFound, Unavailable)>> {
    let execution = state.tasks.execution(&caller.0, ExecutionId(execution_id.0)).await.map_err(problem)?;
    Ok(Fetched::new(execution.into()))
}
