//! From options to what is started: the argument list and the body of `initialize`.

use std::{ffi::OsString, path::Path};

use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::{
    hook::{HookRegistration, OnFailure},
    launcher::Invocation,
    options::{AgentOptions, SessionStart, SystemPrompt},
};

/// The agent's own clock for a hook runs this much longer than ours, so that ours gives the reason.
const HOOK_TIMEOUT_MARGIN_SECS: u64 = 5;

/// The process to start for these options.
pub(crate) fn invocation(options: &AgentOptions) -> Invocation {
    Invocation {
        program: options.cli.clone(),
        args: args(options),
        env: options.env.clone(),
        env_mode: options.inherit_env,
        cwd: options.cwd.clone(),
        agent_marker: Uuid::new_v4(),
        host_marker: options.host_marker.clone(),
        limits: options.limits.clone(),
    }
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

    fn option(&mut self, flag: &str, value: Option<&str>) {
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
    // Always: without it the agent denies on its own and says nothing the host could word.
    args.value("permission-prompt-tool", "stdio");
    args.value("setting-sources", options.setting_sources.join(","));
    if options.mcp_servers.is_some() {
        args.flag("await-initialize");
    }
    if options.include_partial_messages {
        args.flag("include-partial-messages");
    }
    session_args(&options.session, &mut args);
    args.option("model", options.model.as_deref());
    args.option("fallback-model", options.fallback_model.as_deref());
    args.option("permission-mode", options.permission_mode.as_deref());
    args.option("effort", options.effort.as_deref());
    if let Some(max_turns) = options.max_turns {
        args.value("max-turns", max_turns.to_string());
    }
    args.list("allowedTools", &options.allowed_tools);
    args.list("disallowedTools", &options.disallowed_tools);
    if let Some(tools) = &options.tools {
        args.value("tools", tools.join(","));
    }
    args.list("betas", &options.betas);
    for dir in &options.add_dirs {
        args.value("add-dir", dir);
    }
    for (flag, value) in &options.extra_args {
        match value {
            Some(value) => args.value(flag, value),
            None => args.flag(flag),
        }
    }
    args.0
}

fn session_args(session: &SessionStart, args: &mut Args) {
    let resume_at = |args: &mut Args, at: &Option<Uuid>| {
        if let Some(at) = at {
            args.value("resume-session-at", at.to_string());
        }
    };
    match session {
        SessionStart::Unspecified => {}
        SessionStart::New { id } => args.value("session-id", id.to_string()),
        SessionStart::Resume { id, at, fork } => {
            args.value("resume", id.to_string());
            resume_at(args, at);
            if let Some(fork) = fork {
                args.flag("fork-session");
                args.value("session-id", fork.to_string());
            }
        }
        SessionStart::ResumeFile { path, at } => {
            args.value("resume", <Path as AsRef<std::ffi::OsStr>>::as_ref(path));
            resume_at(args, at);
        }
    }
}

/// The body of the `initialize` request.
pub(crate) fn initialize_body(options: &AgentOptions) -> Value {
    let mut body = Map::new();
    body.insert("hooks".into(), hooks(&options.hooks));
    match &options.system_prompt {
        None | Some(SystemPrompt::ClaudeCode { append: None }) => {}
        Some(SystemPrompt::Empty) => {
            body.insert("systemPrompt".into(), json!([""]));
        }
        Some(SystemPrompt::Text(text)) => {
            body.insert("systemPrompt".into(), json!([text]));
        }
        Some(SystemPrompt::ClaudeCode { append: Some(text) }) => {
            body.insert("appendSystemPrompt".into(), json!(text));
        }
    }
    if let Some(agents) = &options.agents {
        body.insert("agents".into(), agents.clone());
    }
    if let Some(servers) = &options.mcp_servers {
        body.insert("mcpServers".into(), servers.clone());
    }
    if let Some(schema) = &options.output_schema {
        body.insert("jsonSchema".into(), schema.clone());
    }
    body.extend(options.extra_initialize.clone());
    Value::Object(body)
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
            "timeout": hook.timeout.as_secs().saturating_add(HOOK_TIMEOUT_MARGIN_SECS),
            "onFailure": match hook.on_failure {
                OnFailure::Block => "block",
                OnFailure::Continue => "continue",
            },
        });
        let entries = by_event.entry(hook.event.clone()).or_insert(json!([]));
        if let Value::Array(entries) = entries {
            entries.push(entry);
        }
    }
    Value::Object(by_event)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_look_like_flags_stay_values() {
        let options = AgentOptions::default()
            .with_model(Some("--dangerously-skip-permissions".to_owned()))
            .with_tools(Some(Vec::new()));
        let args = args(&options);
        assert!(args.contains(&"--model=--dangerously-skip-permissions".into()));
        assert!(args.contains(&"--tools=".into()));
        assert!(args.contains(&"--setting-sources=".into()));
    }

    #[test]
    fn a_fork_at_a_message_names_all_three_ids() {
        let (id, at, fork) = (Uuid::new_v4(), Uuid::new_v4(), Uuid::new_v4());
        let session = SessionStart::Resume { id, at: Some(at), fork: Some(fork) };
        let args = args(&AgentOptions::default().with_session(session));
        let wanted = [
            format!("--resume={id}"),
            format!("--resume-session-at={at}"),
            "--fork-session".to_owned(),
            format!("--session-id={fork}"),
        ];
        assert!(wanted.iter().all(|arg| args.contains(&arg.into())), "{args:?}");
    }

    #[test]
    fn secrets_of_mcp_servers_are_not_on_the_command_line() {
        let servers = json!({ "s": { "command": "x", "env": { "TOKEN": "hush" } } });
        let options = AgentOptions::default().with_mcp_servers(Some(servers));
        assert!(args(&options).contains(&"--await-initialize".into()));
        assert!(!format!("{:?}", args(&options)).contains("hush"));
        assert_eq!(initialize_body(&options)["mcpServers"]["s"]["env"]["TOKEN"], "hush");
    }
}
