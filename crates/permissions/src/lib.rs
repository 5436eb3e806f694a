//! What an agent may do: commands, paths, tools, hosts and custom policies, judged on every tool call.

pub mod call;
mod excerpt;
pub mod manager;
pub mod policy;
pub mod shell;

pub use call::{Surroundings, ToolCall};
pub use excerpt::INPUT_BYTES_MAX;
pub use manager::PermissionManager;
pub use policy::{CannotJudge, Judgement, Policy, PolicyEngine};
