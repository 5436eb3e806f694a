//! `POST /tasks/executions/{execution_id}/cancel` and `/retry`.

use super::response::ExecutionResponse;
use crate::{ApiState, caller::Caller, error::problem, tasks::execute::ExecutionReceipt};
use actix_web::web::Data;
use apidoc::{
    Accepted, BudgetExhausted, Conflict, Fail, Fetched, Forbidden, NotFound, PathParams, Unavailable,
};
use domain::ExecutionId;
use paperclip::actix::api_v2_operation;
use uuid::Uuid;

/// Cancel an execution
///
/// One that waits is cancelled at once. One that runs is stopped by its worker: until then it is `running`, with
/// `cancel_requested`.
#[api_v2_operation(tags(Tasks), operation_id = "cancelExecution")]
pub async fn cancel(
    state: Data<ApiState>,
    caller: Caller,
    execution_id: PathParams<Uuid>,
) -> Result<Fetched<ExecutionResponse>, Fail<(Forbidden, NotFound, Conflict, Unavailable)>> {
    let cancelled = state.tasks.cancel(&caller.0, ExecutionId(execution_id.0)).await.map_err(problem)?;
    Ok(Fetched::new(cancelled.into()))
}

/// Do an execution again
///
/// One that failed, was cancelled, or whose outcome is unknown. The new one has the same prompt and a session of its own.
#[api_v2_operation(tags(Tasks), operation_id = "retryExecution")]
pub async fn retry(
    state: Data<ApiState>,
    caller: Caller,
    execution_id: PathParams<Uuid>,
) -> Result<Accepted<ExecutionReceipt>, Fail<(BudgetExhausted, Forbidden, NotFound, Conflict, Unavailable)>> {
    let again = state.tasks.retry(&caller.0, ExecutionId(execution_id.0)).await.map_err(problem)?;
    Ok(ExecutionReceipt::accepted(&again))
}
