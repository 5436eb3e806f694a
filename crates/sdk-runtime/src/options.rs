//! Options an agent is started with.

mod agents;
mod check;
mod debug;
mod model;
mod permissions;
mod prompt;
mod settings;
mod shown;
mod skills;

use std::{collections::BTreeMap, future::Future, path::PathBuf, sync::Arc};

use serde_json::Value;
use uuid::Uuid;

pub use self::{
    agents::{AgentDefinition, Plugin, Skills},
    debug::DebugLog,
    model::{Effort, Thinking, ThinkingDisplay},
    permissions::{PermissionMode, PermissionPrompts, QuestionPreview, SettingSource, SettingSources},
    prompt::{SYSTEM_PROMPT_DYNAMIC_BOUNDARY, SystemPrompt},
    settings::Settings,
};
pub(crate) use self::{check::Fault, settings::merged as merged_settings, skills::rules as skill_rules};
use crate::{
    containment::Containment,
    dialog::Dialogs,
    elicitation::Elicitor,
    error::Error,
    gate::{Decision, Gate, ToolQuestion, gate_fn},
    hook::{HookRegistration, SeamError},
    limits::Limits,
    mcp::McpServerConfig,
    process::StderrCallback,
    setters::setters,
    store::SessionStoreOptions,
    trace_context::TraceContext,
};

/// Everything that decides how an agent runs.
///
/// Made from `AgentOptions::default()` with the `with_*` methods. Values of unknown origin are safe
/// everywhere: they reach the CLI as `--flag=value` or inside `initialize`, never as a flag of their own.
/// What other users of the machine should not read in its list of processes (prompts, subagents, inline
/// settings, MCP servers) travels inside `initialize`. [`AgentOptions::check`] refuses combinations that
/// contradict themselves, before anything is started. `Debug` shows no more than the names of what may be
/// secret.
///
/// ```
/// use sdk_runtime::{AgentOptions, Effort, PermissionMode, SystemPrompt, Thinking};
///
/// let options = AgentOptions::default()
///     .with_cli("claude")
///     .with_cwd("/srv/demo")
///     .with_model("sonnet".to_owned())
///     .with_fallback_models(vec!["haiku".to_owned()])
///     .with_effort(Effort::High)
///     .with_thinking(Thinking::adaptive())
///     .with_max_budget_usd(2.5)
///     .with_permission_mode(PermissionMode::AcceptEdits)
///     .with_system_prompt(SystemPrompt::ClaudeCode { append: Some("Be brief.".to_owned()) });
/// options.check().unwrap();
/// ```
#[derive(Clone, Default)]
#[non_exhaustive]
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
    /// Models to use when the first is overloaded or away, in this order. The first is tried again at
    /// the start of every turn.
    pub fallback_models: Vec<String>,
    /// System prompt; `None` leaves the CLI's own.
    pub system_prompt: Option<SystemPrompt>,
    /// A file whose text is added at the end of the system prompt.
    pub append_system_prompt_file: Option<PathBuf>,
    /// Text added to the system prompt of every subagent.
    pub append_subagent_system_prompt: Option<String>,
    /// Keeps what differs per user and directory out of the CLI's own system prompt, so that its cache
    /// serves all; the model reads it in the first message instead. Not with a prompt of one's own.
    pub exclude_dynamic_sections: bool,
    /// Whether the system prompt is recorded with the first request and sent unchanged ever after, also
    /// when the session is resumed with another one; `None` leaves that to the CLI.
    pub system_prompt_snapshot: Option<bool>,
    /// Workflow of plan mode, in place of the CLI's own.
    pub plan_mode_instructions: Option<String>,
    /// Rules that are approved without asking, such as `Bash(git log:*)`.
    pub allowed_tools: Vec<String>,
    /// Tools that are taken away.
    pub disallowed_tools: Vec<String>,
    /// The base set of tools; `None` leaves the CLI's own, an empty list leaves none, `default` stands
    /// for the CLI's own in a list.
    pub tools: Option<Vec<String>>,
    /// Names of tools and what to call instead when the model uses them.
    pub tool_aliases: BTreeMap<String, String>,
    /// How tool calls are permitted that no rule decides; `None` leaves that to the CLI.
    pub permission_mode: Option<PermissionMode>,
    /// Lets `set_permission_mode` switch to `BypassPermissions` later. Not as root without `IS_SANDBOX=1`.
    pub allow_bypass_permissions: bool,
    /// Who answers when the agent wants to ask for permission.
    pub permission_prompts: PermissionPrompts,
    /// An MCP tool (`mcp__server__tool`) that is asked in place of the gate.
    pub permission_prompt_tool: Option<String>,
    /// How the agent writes previews of `AskUserQuestion` options; `None` leaves that to the CLI.
    pub question_preview: Option<QuestionPreview>,
    /// API rounds allowed per turn.
    pub max_turns: Option<u32>,
    /// US dollars this process may spend; then every turn ends as `error_max_budget_usd`.
    pub max_budget_usd: Option<f64>,
    /// Tokens the model is told it has for its task, so that it can pace itself.
    pub task_budget_tokens: Option<u64>,
    /// Directories beside `cwd` the agent may work in.
    pub add_dirs: Vec<PathBuf>,
    /// The checkout `cwd` is a worktree of: project settings, skills and MCP servers come from there.
    pub project_config_root: Option<PathBuf>,
    /// Subagent definitions by name.
    pub agents: BTreeMap<String, AgentDefinition>,
    /// The agent of the main conversation, from `agents` or from settings.
    pub main_agent: Option<String>,
    /// Skills the main session is offered; `None` leaves that to the CLI. They are found in the sources
    /// of `setting_sources` and in plugins.
    pub skills: Option<Skills>,
    /// Plugins to load.
    pub plugins: Vec<Plugin>,
    /// MCP servers by name. They travel inside `initialize`, because argv is visible to every process.
    pub mcp_servers: Option<Value>,
    /// The same, typed; they are laid over the untyped ones. In-process servers are only here.
    pub mcp: BTreeMap<String, McpServerConfig>,
    /// Ignores every MCP server that is not in `mcp_servers` or in a definition in `agents`.
    pub strict_mcp_config: bool,
    /// Which settings files count; none unless told.
    pub setting_sources: SettingSources,
    /// Settings above those of the files.
    pub settings: Option<Settings>,
    /// Settings of the policy tier. Only what restricts is taken, and nothing where an administrator has
    /// set up a policy that does not merge.
    pub managed_settings: Option<Value>,
    /// The `sandbox` block of the settings, merged into that of `settings`. With `enabled: true` an agent
    /// that has no sandbox to offer ends, unless `failIfUnavailable` is false.
    pub sandbox: Option<Value>,
    /// Whether deltas are reported while the model writes.
    pub include_partial_messages: bool,
    /// Whether command hooks are reported: `hook_started`, `hook_progress`, `hook_response`.
    pub include_hook_events: bool,
    /// Whether prompts are echoed when the agent takes them in.
    pub replay_user_messages: bool,
    /// Whether the texts of subagents are reported, beside their tool calls.
    pub forward_subagent_text: bool,
    /// Whether running subagents are summarised every half minute, in `task_progress`.
    pub agent_progress_summaries: bool,
    /// Whether a next prompt is suggested after each turn, in `prompt_suggestion`.
    pub prompt_suggestions: bool,
    /// This host lets its user stop single background tasks (`Agent::stop_task`), so that an interrupt
    /// leaves them running. Without it an interrupt ends them.
    pub per_task_stop: bool,
    /// Title of a new session; the stored one wins when a session is resumed.
    pub title: Option<String>,
    /// With `at` of the session: the prompt whose turn this leaves out. The agent refuses to start when
    /// the messages left out are not that turn and nothing else.
    pub resume_drops_turn: Option<Uuid>,
    /// Writes no transcript; the session cannot be resumed.
    pub is_ephemeral: bool,
    /// Keeps copies of files before they are changed, for `Agent::rewind_files`.
    pub file_checkpointing: bool,
    /// How much effort the model puts into answers; `None` leaves that to the CLI.
    pub effort: Option<Effort>,
    /// Whether and how much the model thinks; `None` leaves that to the CLI.
    pub thinking: Option<Thinking>,
    /// Beta headers of the Messages API.
    pub betas: Vec<String>,
    /// What the host calls itself in the User-Agent of API requests, such as `my-app/1.0`.
    pub client_app: Option<String>,
    /// Where in a distributed trace the agent's work belongs. It wins over `TRACEPARENT` in `env`.
    pub trace_context: Option<TraceContext>,
    /// The CLI's own debug log.
    pub debug: Option<DebugLog>,
    /// Told what the agent writes on stderr, as it comes.
    pub on_stderr: Option<StderrCallback>,
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
    /// Who answers when an MCP server asks the user; `None` declines.
    pub elicitor: Option<Arc<dyn Elicitor>>,
    /// Who shows the agent's dialogs, and which; `None` shows none.
    pub dialogs: Option<Dialogs>,
    /// Where transcripts are kept beside the CLI's own files, and resumed from.
    pub session_store: Option<SessionStoreOptions>,
    /// Bounds.
    pub limits: Limits,
    /// What the agent and everything it starts may use, see and reach.
    pub containment: Containment,
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
#[non_exhaustive]
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
    /// The newest session of this working directory, or of the session store; a new one if there is none.
    Continue {
        /// Continue as a new session under this id and leave the old one as it is.
        fork: Option<Uuid>,
    },
    /// A transcript file, from anywhere.
    ResumeFile {
        /// The file; the agent appends beside it.
        path: PathBuf,
        /// Forget what came after this message.
        at: Option<Uuid>,
        /// Continue as a new session under this id, among those of the working directory.
        fork: Option<Uuid>,
    },
}

setters! { AgentOptions, into:
    with_cli, cli: PathBuf;
    with_cwd, cwd: PathBuf;
    with_env, env: BTreeMap<String, String>;
    with_inherit_env, inherit_env: EnvMode;
    with_host_marker, host_marker: Option<String>;
    with_session, session: SessionStart;
    with_model, model: Option<String>;
    with_fallback_models, fallback_models: Vec<String>;
    with_system_prompt, system_prompt: Option<SystemPrompt>;
    with_append_system_prompt_file, append_system_prompt_file: Option<PathBuf>;
    with_append_subagent_system_prompt, append_subagent_system_prompt: Option<String>;
    with_exclude_dynamic_sections, exclude_dynamic_sections: bool;
    with_system_prompt_snapshot, system_prompt_snapshot: Option<bool>;
    with_plan_mode_instructions, plan_mode_instructions: Option<String>;
    with_allowed_tools, allowed_tools: Vec<String>;
    with_disallowed_tools, disallowed_tools: Vec<String>;
    with_tools, tools: Option<Vec<String>>;
    with_tool_aliases, tool_aliases: BTreeMap<String, String>;
    with_permission_mode, permission_mode: Option<PermissionMode>;
    with_allow_bypass_permissions, allow_bypass_permissions: bool;
    with_permission_prompts, permission_prompts: PermissionPrompts;
    with_permission_prompt_tool, permission_prompt_tool: Option<String>;
    with_question_preview, question_preview: Option<QuestionPreview>;
    with_max_turns, max_turns: Option<u32>;
    with_max_budget_usd, max_budget_usd: Option<f64>;
    with_task_budget_tokens, task_budget_tokens: Option<u64>;
    with_add_dirs, add_dirs: Vec<PathBuf>;
    with_project_config_root, project_config_root: Option<PathBuf>;
    with_agents, agents: BTreeMap<String, AgentDefinition>;
    with_main_agent, main_agent: Option<String>;
    with_skills, skills: Option<Skills>;
    with_plugins, plugins: Vec<Plugin>;
    with_mcp_servers, mcp_servers: Option<Value>;
    with_setting_sources, setting_sources: SettingSources;
    with_strict_mcp_config, strict_mcp_config: bool;
    with_settings, settings: Option<Settings>;
    with_managed_settings, managed_settings: Option<Value>;
    with_sandbox, sandbox: Option<Value>;
    with_partial_messages, include_partial_messages: bool;
    with_hook_events, include_hook_events: bool;
    with_replay_user_messages, replay_user_messages: bool;
    with_forward_subagent_text, forward_subagent_text: bool;
    with_agent_progress_summaries, agent_progress_summaries: bool;
    with_prompt_suggestions, prompt_suggestions: bool;
    with_per_task_stop, per_task_stop: bool;
    with_title, title: Option<String>;
    with_resume_drops_turn, resume_drops_turn: Option<Uuid>;
    with_ephemeral, is_ephemeral: bool;
    with_file_checkpointing, file_checkpointing: bool;
    with_effort, effort: Option<Effort>;
    with_thinking, thinking: Option<Thinking>;
    with_betas, betas: Vec<String>;
    with_client_app, client_app: Option<String>;
    with_trace_context, trace_context: Option<TraceContext>;
    with_debug, debug: Option<DebugLog>;
    with_extra_args, extra_args: Vec<(String, Option<String>)>;
    with_output_schema, output_schema: Option<Value>;
    with_extra_initialize, extra_initialize: BTreeMap<String, Value>;
    with_gate, gate: Option<Arc<dyn Gate>>;
    with_elicitor, elicitor: Option<Arc<dyn Elicitor>>;
    with_dialogs, dialogs: Option<Dialogs>;
    with_session_store, session_store: Option<SessionStoreOptions>;
    with_limits, limits: Limits;
    with_containment, containment: Containment;
}

impl AgentOptions {
    /// Adds one hook.
    #[must_use]
    pub fn with_hook(mut self, hook: HookRegistration) -> Self {
        self.hooks.push(hook);
        self
    }

    /// Adds one subagent.
    #[must_use]
    pub fn with_agent(mut self, name: impl Into<String>, definition: AgentDefinition) -> Self {
        self.agents.insert(name.into(), definition);
        self
    }

    /// Makes a closure the gate.
    #[must_use]
    pub fn with_gate_fn<F, T>(mut self, gate: F) -> Self
    where
        F: Fn(ToolQuestion) -> T + Send + Sync + 'static,
        T: Future<Output = Result<Decision, SeamError>> + Send + 'static,
    {
        self.gate = Some(gate_fn(gate));
        self
    }

    /// Sets `on_stderr`. The callback gets pieces of text as they come, which need not be whole lines; it
    /// should not block, and a panic in it is caught.
    #[must_use]
    pub fn with_on_stderr(mut self, callback: impl Fn(&str) + Send + Sync + 'static) -> Self {
        self.on_stderr = Some(StderrCallback::new(callback));
        self
    }

    /// Refuses what contradicts itself or cannot be handed to any process. `Agent::start` does this
    /// first; nothing is started when it fails.
    pub fn check(&self) -> Result<(), Error> {
        check::check(self)
    }
    /// Adds one MCP server; one of the same name is replaced. Its tools are called `mcp__<name>__<tool>`, so
    /// a name is made of letters, digits, `-` and `_`.
    #[must_use]
    pub fn with_mcp_server(mut self, name: impl Into<String>, server: impl Into<McpServerConfig>) -> Self {
        self.mcp.insert(name.into(), server.into());
        self
    }
}
