//! Options an agent is started with.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use serde_json::Value;
use uuid::Uuid;

use crate::{gate::Gate, hook::HookRegistration, limits::Limits};

/// Everything that decides how an agent runs.
#[derive(Debug, Clone, Default)]
pub struct AgentOptions {
    /// The CLI: a path, or a name looked up in the agent's `PATH`.
    pub cli: PathBuf,
    /// Working directory. It must exist.
    pub cwd: PathBuf,
    /// Environment of the agent.
    pub env: BTreeMap<String, String>,
    /// Whether `env` is all there is.
    pub inherit_env: EnvMode,
    /// Marks every process of this host, so that `sweep_host` finds them in its next life.
    pub host_marker: Option<String>,
    /// New or continued conversation.
    pub session: SessionStart,
    /// Model name or alias.
    pub model: Option<String>,
    /// Model to use when the first is overloaded.
    pub fallback_model: Option<String>,
    /// System prompt; `None` leaves the CLI's own.
    pub system_prompt: Option<SystemPrompt>,
    /// Rules that are approved without asking, such as `Bash(git log:*)`.
    pub allowed_tools: Vec<String>,
    /// Tools that are taken away.
    pub disallowed_tools: Vec<String>,
    /// The base set of tools; `None` leaves the CLI's own, an empty list leaves none.
    pub tools: Option<Vec<String>>,
    /// `default`, `acceptEdits`, `plan`, `dontAsk`, …
    pub permission_mode: Option<String>,
    /// API rounds allowed per turn.
    pub max_turns: Option<u32>,
    /// Directories beside `cwd` the agent may work in.
    pub add_dirs: Vec<PathBuf>,
    /// Subagent definitions by name.
    pub agents: Option<Value>,
    /// MCP servers by name. They travel inside `initialize`, because argv is visible to every process.
    pub mcp_servers: Option<Value>,
    /// Which settings files count (`user`, `project`, `local`); empty means none.
    pub setting_sources: Vec<String>,
    /// Whether deltas are reported while the model writes.
    pub include_partial_messages: bool,
    /// `low` to `max`.
    pub effort: Option<String>,
    /// Beta headers of the Messages API.
    pub betas: Vec<String>,
    /// Further flags, without `--`; they come last and win.
    pub extra_args: Vec<(String, Option<String>)>,
    /// JSON schema the answer of every turn must fit; see `structured`.
    pub output_schema: Option<Value>,
    /// Further fields of the `initialize` request.
    pub extra_initialize: BTreeMap<String, Value>,
    /// Hooks, called by the agent at its own events.
    pub hooks: Vec<HookRegistration>,
    /// Who answers when the agent asks for permission; `None` denies.
    pub gate: Option<Arc<dyn Gate>>,
    /// Bounds.
    pub limits: Limits,
}

/// Whether the agent sees this process's environment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum EnvMode {
    /// `env` is the whole environment, beside `PWD` and the markers.
    #[default]
    Replace,
    /// `env` is laid over this process's own. `CLAUDECODE` is removed all the same.
    Merge,
}

/// How the conversation begins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum SessionStart {
    /// The agent picks a new id.
    #[default]
    Unspecified,
    /// A new session under this id.
    New {
        /// The id; it must not exist yet.
        id: Uuid,
    },
    /// A stored session of this working directory.
    Resume {
        /// Its id.
        id: Uuid,
        /// Forget what came after this message.
        at: Option<Uuid>,
        /// Continue as a new session under this id and leave the old one as it is.
        fork: Option<Uuid>,
    },
    /// A transcript file, from anywhere.
    ResumeFile {
        /// The file; the agent appends beside it.
        path: PathBuf,
        /// Forget what came after this message.
        at: Option<Uuid>,
    },
}

/// The system prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SystemPrompt {
    /// None at all.
    Empty,
    /// This text alone.
    Text(String),
    /// The CLI's own.
    ClaudeCode {
        /// Text to add at its end.
        append: Option<String>,
    },
}

/// Writes one `with_*` setter per line.
macro_rules! setters {
    ($($(#[$doc:meta])* $setter:ident, $field:ident: $type:ty;)*) => {
        impl AgentOptions {
            $($(#[$doc])* #[must_use]
            pub fn $setter(mut self, $field: impl Into<$type>) -> Self {
                self.$field = $field.into();
                self
            })*
        }
    };
}

setters! {
    /// Sets `cli`.
    with_cli, cli: PathBuf;
    /// Sets `cwd`.
    with_cwd, cwd: PathBuf;
    /// Sets `env`.
    with_env, env: BTreeMap<String, String>;
    /// Sets `inherit_env`.
    with_inherit_env, inherit_env: EnvMode;
    /// Sets `host_marker`.
    with_host_marker, host_marker: Option<String>;
    /// Sets `session`.
    with_session, session: SessionStart;
    /// Sets `model`.
    with_model, model: Option<String>;
    /// Sets `fallback_model`.
    with_fallback_model, fallback_model: Option<String>;
    /// Sets `system_prompt`.
    with_system_prompt, system_prompt: Option<SystemPrompt>;
    /// Sets `allowed_tools`.
    with_allowed_tools, allowed_tools: Vec<String>;
    /// Sets `disallowed_tools`.
    with_disallowed_tools, disallowed_tools: Vec<String>;
    /// Sets `tools`.
    with_tools, tools: Option<Vec<String>>;
    /// Sets `permission_mode`.
    with_permission_mode, permission_mode: Option<String>;
    /// Sets `max_turns`.
    with_max_turns, max_turns: Option<u32>;
    /// Sets `add_dirs`.
    with_add_dirs, add_dirs: Vec<PathBuf>;
    /// Sets `agents`.
    with_agents, agents: Option<Value>;
    /// Sets `mcp_servers`.
    with_mcp_servers, mcp_servers: Option<Value>;
    /// Sets `setting_sources`.
    with_setting_sources, setting_sources: Vec<String>;
    /// Sets `include_partial_messages`.
    with_partial_messages, include_partial_messages: bool;
    /// Sets `effort`.
    with_effort, effort: Option<String>;
    /// Sets `betas`.
    with_betas, betas: Vec<String>;
    /// Sets `extra_args`.
    with_extra_args, extra_args: Vec<(String, Option<String>)>;
    /// Sets `output_schema`.
    with_output_schema, output_schema: Option<Value>;
    /// Sets `extra_initialize`.
    with_extra_initialize, extra_initialize: BTreeMap<String, Value>;
    /// Sets `gate`.
    with_gate, gate: Option<Arc<dyn Gate>>;
    /// Sets `limits`.
    with_limits, limits: Limits;
}

impl AgentOptions {
    /// Adds one hook.
    #[must_use]
    pub fn with_hook(mut self, hook: HookRegistration) -> Self {
        self.hooks.push(hook);
        self
    }
}
