//! From options to what is started: the argument list and the body of `initialize`.

use std::{collections::BTreeMap, ffi::OsString, path::Path};

use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::{
    hook::{HookRegistration, OnFailure},
    launcher::Invocation,
    mcp,
    options::{
        AgentOptions, DebugLog, PermissionPrompts, Plugin, SessionStart, SettingSources, Settings, Skills,
        SystemPrompt, Thinking, merged_settings, skill_rules,
    },
};

/// The agent's own clock for a hook runs this much longer than ours, so that ours gives the reason.
const HOOK_TIMEOUT_MARGIN_SECS: u64 = 5;
/// The longest the agent's clock can run; one that is set to more goes off at once.
const HOOK_TIMEOUT_SECS_MAX: u64 = 2_147_483;

/// The process to start for these options.
pub(crate) fn invocation(options: &AgentOptions) -> Invocation {
    Invocation {
        program: options.cli.clone(),
        args: args(options),
        env: env(options),
        env_mode: options.inherit_env,
        cwd: options.cwd.clone(),
        agent_marker: Uuid::new_v4(),
        host_marker: options.host_marker.clone(),
        limits: options.limits.clone(),
        on_stderr: options.on_stderr.clone(),
        add_dirs: options.add_dirs.clone(),
        containment: options.containment.clone(),
    }
}

/// The environment, with the variables some options consist of.
fn env(options: &AgentOptions) -> BTreeMap<String, String> {
    let mut env = options.env.clone();
    let mut set = |name: &str, value: &str| {
        env.insert(name.to_owned(), value.to_owned());
    };
    if options.file_checkpointing {
        set("CLAUDE_CODE_ENABLE_SDK_FILE_CHECKPOINTING", "true");
    }
    if let Some(app) = &options.client_app {
        set("CLAUDE_AGENT_SDK_CLIENT_APP", app);
    }
    if let Some(preview) = options.question_preview {
        set("CLAUDE_CODE_QUESTION_PREVIEW_FORMAT", preview.as_str());
    }
    if let Some(trace) = &options.trace_context {
        set("TRACEPARENT", trace.traceparent());
        // Set even when empty: a state inherited from elsewhere would belong to another trace.
        set("TRACESTATE", trace.tracestate().unwrap_or_default());
    }
    env
}

/// Callback id of the hook at `index`; `hook_index` is its inverse.
fn callback_id(index: usize) -> String {
    format!("hook_{index}")
}

/// Which registered hook a callback id means.
pub(crate) fn hook_index(callback_id: &str) -> Option<usize> {
    callback_id.strip_prefix("hook_")?.parse().ok()
}

/// Values ride in `--flag=value`, because a value that begins with `-` would be taken for a flag.
struct Args(Vec<OsString>);

impl Args {
    fn flag(&mut self, flag: &str) {
        self.0.push(format!("--{flag}").into());
    }

    fn value(&mut self, flag: &str, value: impl AsRef<std::ffi::OsStr>) {
        let mut arg = OsString::from(format!("--{flag}="));
        arg.push(value);
        self.0.push(arg);
    }

    fn flag_if(&mut self, is_set: bool, flag: &str) {
        if is_set {
            self.flag(flag);
        }
    }

    fn option(&mut self, flag: &str, value: Option<impl AsRef<std::ffi::OsStr>>) {
        if let Some(value) = value {
            self.value(flag, value);
        }
    }

    fn list(&mut self, flag: &str, values: &[String]) {
        if !values.is_empty() {
            self.value(flag, values.join(","));
        }
    }
}

fn args(options: &AgentOptions) -> Vec<OsString> {
    let mut args = Args(Vec::new());
    args.value("output-format", "stream-json");
    args.value("input-format", "stream-json");
    args.flag("verbose");
    permission_args(options, &mut args);
    settings_args(options, &mut args);
    report_args(options, &mut args);
    session_args(options, &mut args);
    model_args(options, &mut args);
    prompt_args(options, &mut args);
    if let Some(tools) = &options.tools {
        args.value("tools", tools.join(","));
    }
    args.list("betas", &options.betas);
    for dir in &options.add_dirs {
        args.value("add-dir", dir);
    }
    args.option("project-config-root", options.project_config_root.as_ref());
    args.option("agent", options.main_agent.as_ref());
    for (flag, value) in &options.extra_args {
        match value {
            Some(value) => args.value(flag, value),
            None => args.flag(flag),
        }
    }
    args.0
}

fn permission_args(options: &AgentOptions, args: &mut Args) {
    match (&options.permission_prompt_tool, options.permission_prompts) {
        (Some(tool), _) => args.value("permission-prompt-tool", tool),
        (None, PermissionPrompts::Nobody) => args.value("permission-prompts", "none"),
        // Without it the agent denies on its own and says nothing the host could word.
        (None, PermissionPrompts::Host) => args.value("permission-prompt-tool", "stdio"),
    }
    args.option("permission-mode", options.permission_mode.as_ref().map(|mode| mode.as_str()));
    args.flag_if(options.allow_bypass_permissions, "allow-dangerously-skip-permissions");
    let mut allowed = options.allowed_tools.clone();
    let rules = options.skills.as_ref().map(skill_rules).unwrap_or_default();
    allowed.extend(rules.into_iter().filter(|rule| !options.allowed_tools.contains(rule)));
    args.list("allowedTools", &allowed);
    args.list("disallowedTools", &options.disallowed_tools);
}

fn settings_args(options: &AgentOptions, args: &mut Args) {
    match &options.setting_sources {
        SettingSources::None => args.value("setting-sources", ""),
        SettingSources::CliDefault => {}
        SettingSources::Only(sources) => {
            let words: Vec<_> = sources.iter().map(|source| source.as_str()).collect();
            args.value("setting-sources", words.join(","));
        }
    }
    if let Some(Settings::File(path)) = &options.settings {
        args.value("settings", path);
    }
    let has_inline = inline_settings(options).is_some();
    // What the CLI has to know before it does anything else; it then reads `initialize` first.
    if mcp::external_servers(options.mcp_servers.as_ref(), &options.mcp).is_some()
        || !options.plugins.is_empty()
        || has_inline
        || options.managed_settings.is_some()
    {
        args.flag("await-initialize");
    }
    if has_inline {
        args.value("initialize-fields", "settings");
    }
    args.flag_if(options.managed_settings.is_some(), "managed-settings-in-initialize");
    args.flag_if(options.strict_mcp_config, "strict-mcp-config");
}

/// The settings that travel inside `initialize`.
fn inline_settings(options: &AgentOptions) -> Option<Value> {
    let inline = match &options.settings {
        Some(Settings::Inline(settings)) => Some(settings),
        Some(Settings::File(_)) | None => None,
    };
    merged_settings(inline, options.sandbox.as_ref())
}

fn report_args(options: &AgentOptions, args: &mut Args) {
    args.flag_if(options.include_partial_messages, "include-partial-messages");
    args.flag_if(options.include_hook_events, "include-hook-events");
    args.flag_if(options.replay_user_messages, "replay-user-messages");
    if let Some(DebugLog { filter, file }) = &options.debug {
        match (filter, file) {
            (Some(filter), _) => args.value("debug", filter),
            (None, None) => args.flag("debug"),
            (None, Some(_)) => {}
        }
        match file {
            Some(file) => args.value("debug-file", file),
            None => args.flag("debug-to-stderr"),
        }
    }
}

fn model_args(options: &AgentOptions, args: &mut Args) {
    args.option("model", options.model.as_ref());
    args.list("fallback-model", &options.fallback_models);
    args.option("effort", options.effort.as_ref().map(|effort| effort.as_str()));
    match &options.thinking {
        Some(Thinking::Adaptive { .. }) => args.value("thinking", "adaptive"),
        Some(Thinking::Budget { tokens, .. }) => args.value("max-thinking-tokens", tokens.to_string()),
        Some(Thinking::Disabled) => args.value("thinking", "disabled"),
        None => {}
    }
    let display = options.thinking.as_ref().and_then(Thinking::display);
    args.option("thinking-display", display.map(|display| display.as_str()));
    args.option("max-turns", options.max_turns.map(|turns| turns.to_string()));
    args.option("max-budget-usd", options.max_budget_usd.map(|budget| budget.to_string()));
    args.option("task-budget", options.task_budget_tokens.map(|tokens| tokens.to_string()));
}

fn prompt_args(options: &AgentOptions, args: &mut Args) {
    if let Some(SystemPrompt::File(path)) = &options.system_prompt {
        args.value("system-prompt-file", path);
    }
    args.option("append-system-prompt-file", options.append_system_prompt_file.as_ref());
}

fn session_args(options: &AgentOptions, args: &mut Args) {
    let resume_at = |args: &mut Args, at: &Option<Uuid>| {
        args.option("resume-session-at", at.map(|at| at.to_string()));
    };
    let fork_as = |args: &mut Args, fork: &Option<Uuid>| {
        if let Some(fork) = fork {
            args.flag("fork-session");
            args.value("session-id", fork.to_string());
        }
    };
    match &options.session {
        SessionStart::Unspecified => {}
        SessionStart::New { id } => args.value("session-id", id.to_string()),
        SessionStart::Resume { id, at, fork } => {
            args.value("resume", id.to_string());
            resume_at(args, at);
            fork_as(args, fork);
        }
        SessionStart::ResumeFile { path, at, fork } => {
            args.value("resume", <Path as AsRef<std::ffi::OsStr>>::as_ref(path));
            resume_at(args, at);
            fork_as(args, fork);
        }
        SessionStart::Continue { fork } => {
            args.flag("continue");
            fork_as(args, fork);
        }
    }
    args.option("resume-drops-turn", options.resume_drops_turn.map(|turn| turn.to_string()));
    args.flag_if(options.is_ephemeral, "no-session-persistence");
    args.flag_if(options.session_store.is_some(), "session-mirror");
}

/// The body of the `initialize` request.
pub(crate) fn initialize_body(options: &AgentOptions) -> Value {
    let mut body = Map::new();
    body.insert("hooks".into(), hooks(&options.hooks));
    let mut set = |field: &str, value: Option<Value>| {
        if let Some(value) = value {
            body.insert(field.to_owned(), value);
        }
    };
    let is_true = |flag: bool| flag.then_some(Value::Bool(true));
    let text = |text: &Option<String>| text.as_deref().map(Value::from);
    match &options.system_prompt {
        None | Some(SystemPrompt::ClaudeCode { append: None } | SystemPrompt::File(_)) => {}
        Some(SystemPrompt::Empty) => set("systemPrompt", Some(json!([""]))),
        Some(SystemPrompt::Text(text)) => set("systemPrompt", Some(json!([text]))),
        Some(SystemPrompt::Blocks(blocks)) => set("systemPrompt", Some(json!(blocks))),
        Some(SystemPrompt::ClaudeCode { append: Some(text) }) => {
            set("appendSystemPrompt", Some(json!(text)));
        }
    }
    set("appendSubagentSystemPrompt", text(&options.append_subagent_system_prompt));
    set("excludeDynamicSections", is_true(options.exclude_dynamic_sections));
    set("systemPromptSnapshot", options.system_prompt_snapshot.map(Value::from));
    set("planModeInstructions", text(&options.plan_mode_instructions));
    set("jsonSchema", options.output_schema.clone());
    set("toolAliases", (!options.tool_aliases.is_empty()).then(|| json!(options.tool_aliases)));
    set("agents", (!options.agents.is_empty()).then(|| json!(options.agents)));
    if let Some(Skills::Only(names)) = &options.skills {
        set("skills", Some(json!(names)));
    }
    let plugins: Vec<_> = options.plugins.iter().map(Plugin::to_wire).collect();
    set("plugins", (!plugins.is_empty()).then_some(plugins.into()));
    set("mcpServers", mcp::external_servers(options.mcp_servers.as_ref(), &options.mcp));
    set("settings", inline_settings(options));
    set("managedSettings", options.managed_settings.clone());
    set("title", text(&options.title));
    set("promptSuggestions", is_true(options.prompt_suggestions));
    set("agentProgressSummaries", is_true(options.agent_progress_summaries));
    set("forwardSubagentText", is_true(options.forward_subagent_text));
    set("perTaskStopAffordance", is_true(options.per_task_stop));
    set("supportedDialogKinds", options.dialogs.as_ref().map(|dialogs| json!(dialogs.kinds)));
    body.extend(options.extra_initialize.clone());
    Value::Object(body)
}

/// The field of the options, and that of the answer that confirms it.
pub(crate) type Confirmations = Vec<(&'static str, &'static str)>;

/// What was sent inside `initialize` and has to be confirmed by its answer.
pub(crate) fn to_confirm(options: &AgentOptions) -> Confirmations {
    let settings = if options.sandbox.is_some() { "sandbox" } else { "settings" };
    let fields = [
        (inline_settings(options).is_some(), (settings, "settings_applied")),
        (options.managed_settings.is_some(), ("managed_settings", "managed_settings_applied")),
        (!options.plugins.is_empty(), ("plugins", "plugins_applied")),
    ];
    fields.into_iter().filter(|(is_sent, _)| *is_sent).map(|(_, fields)| fields).collect()
}

fn hooks(hooks: &[HookRegistration]) -> Value {
    if hooks.is_empty() {
        return Value::Null;
    }
    let mut by_event = Map::new();
    for (index, hook) in hooks.iter().enumerate() {
        let entry = json!({
            "matcher": hook.matcher,
            "hookCallbackIds": [callback_id(index)],
            "timeout": hook.timeout.as_secs().saturating_add(HOOK_TIMEOUT_MARGIN_SECS).min(HOOK_TIMEOUT_SECS_MAX),
            "onFailure": match hook.on_failure {
                OnFailure::Block => "block",
                OnFailure::Continue => "continue",
            },
        });
        let entries = by_event.entry(hook.event.as_str()).or_insert(json!([]));
        if let Value::Array(entries) = entries {
            entries.push(entry);
        }
    }
    Value::Object(by_event)
}

#[cfg(test)]
mod tests;
