//! `POST /tasks/{id}/execute`.

use crate::{ApiState, caller::Caller, error::problem, word::Word};
use actix_web::web::Data;
use apidoc::{
    Accepted, BudgetExhausted, Fail, Forbidden, Invalid, NotFound, PathParams, Unavailable, ValidOr,
};
use domain::{Execution, ExecutionStatus, TaskId};
use jiff::Timestamp;
use paperclip::actix::api_v2_operation;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;
use validator::Validate;

/// With what to do it.
#[derive(Debug, Default, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct ExecuteRequest {
    /// Variables of the template; they go before its defaults. Those that it does not ask for are kept and change
    /// nothing.
    #[serde(default)]
    variables: Map<String, Value>,
}

/// A receipt.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ExecutionReceipt {
    execution_id: Uuid,
    /// The session it will work in. It is there once a worker has begun; an attempt that is repeated has another one.
    session_id: Uuid,
    status: Word<ExecutionStatus>,
    /// null until a worker has begun.
    started_at: Option<Timestamp>,
}

impl ExecutionReceipt {
    /// 202, with the address of the execution.
    pub fn accepted(execution: &Execution) -> Accepted<Self> {
        let receipt = Self {
            execution_id: execution.id.0,
            session_id: execution.session_id.0,
            status: Word(execution.status),
            started_at: execution.started_at,
        };
        Accepted::at(receipt, format!("/api/v1/tasks/executions/{}", execution.id))
    }
}

/// Do a task
///
/// Answers at once; a worker does it as soon as it can. A variable that the template needs and that neither this request
/// nor the defaults have is named in the answer.
#[api_v2_operation(tags(Tasks), operation_id = "executeTask")]
pub async fn execute(
    state: Data<ApiState>,
    caller: Caller,
    id: PathParams<Uuid>,
    body: ValidOr<ExecuteRequest>,
) -> Result<Accepted<ExecutionReceipt>, Fail<(BudgetExhausted, Forbidden, NotFound, Invalid, Unavailable)>> {
    let execution = state.tasks.execute(&caller.0, TaskId(id.0), &body.0.variables).await.map_err(problem)?;
    Ok(ExecutionReceipt::accepted(&execution))
}
