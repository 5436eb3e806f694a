//! What an agent may do: commands, paths, tools, hosts and custom policies, judged on every tool call.

pub mod built_in;
pub mod call;
pub mod commands;
mod excerpt;
pub mod manager;
pub mod network;
pub mod paths;
pub mod policy;
pub mod shell;
pub mod tools;

pub use built_in::PolicySettings;
pub use call::{Surroundings, ToolCall};
pub use commands::{BadPattern, CommandPattern, CommandPolicy};
pub use excerpt::INPUT_BYTES_MAX;
pub use manager::PermissionManager;
pub use network::{HostPattern, NetworkPolicy, NetworkSettings};
pub use paths::{PathPolicy, PathSettings, RestrictedPath};
pub use policy::{CannotJudge, Judgement, Policy, PolicyEngine};
pub use tools::ToolPolicy;
