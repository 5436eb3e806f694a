//! `/tasks/{id}/executions` and `/tasks/executions/{execution_id}`: each time that a task was done.

pub mod control;
pub mod list;
pub mod one;
pub mod response;
pub mod work;
