//! What an agent may do: commands, paths, tools, hosts and custom policies, judged on every tool call.

pub mod call;
pub mod cedar;
pub mod policy;
pub mod shell;

pub use call::{Surroundings, ToolCall};
pub use policy::{CannotJudge, Policy, PolicyEngine};
