//! Option by option: what stands on the command line, in the environment and inside `initialize`.

use super::*;
use crate::{
    dialog::{DialogAnswer, Dialogs},
    options::{
        AgentDefinition, Effort, PermissionMode, QuestionPreview, SYSTEM_PROMPT_DYNAMIC_BOUNDARY,
        SettingSource, ThinkingDisplay,
    },
    trace_context::TraceContext,
};

fn new() -> AgentOptions {
    AgentOptions::default()
}

fn texts(options: &AgentOptions) -> Vec<String> {
    args(options).into_iter().map(|arg| arg.into_string().unwrap()).collect()
}

/// What an option adds to the arguments of an agent without options.
fn added(options: &AgentOptions) -> Vec<String> {
    let plain = texts(&new());
    texts(options).into_iter().filter(|arg| !plain.contains(arg)).collect()
}

#[test]
fn every_option_on_the_command_line_is_one_argument() {
    let id = Uuid::nil();
    let only = SettingSources::Only(vec![SettingSource::User, SettingSource::Local]);
    let strings = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let table: [(AgentOptions, &[&str]); 37] = [
        (new(), &[]),
        (new().with_model("-x".to_owned()), &["--model=-x"]),
        (new().with_fallback_models(strings(&["a", "b"])), &["--fallback-model=a,b"]),
        (new().with_effort(Effort::XHigh), &["--effort=xhigh"]),
        (new().with_effort(Effort::from("heroic")), &["--effort=heroic"]),
        (new().with_thinking(Thinking::adaptive()), &["--thinking=adaptive"]),
        (new().with_thinking(Thinking::Disabled), &["--thinking=disabled"]),
        (
            new().with_thinking(Thinking::budget(4000).with_display(ThinkingDisplay::Omitted)),
            &["--max-thinking-tokens=4000", "--thinking-display=omitted"],
        ),
        (new().with_max_turns(3), &["--max-turns=3"]),
        (new().with_max_budget_usd(0.25), &["--max-budget-usd=0.25"]),
        (new().with_task_budget_tokens(9), &["--task-budget=9"]),
        (new().with_tools(Vec::new()), &["--tools="]),
        (new().with_tools(strings(&["default", "X"])), &["--tools=default,X"]),
        (new().with_allowed_tools(strings(&["Read", "Bash(a:*)"])), &["--allowedTools=Read,Bash(a:*)"]),
        (new().with_disallowed_tools(strings(&["Bash"])), &["--disallowedTools=Bash"]),
        (new().with_skills(Skills::All), &["--allowedTools=Skill"]),
        (
            new().with_skills(Skills::Only(strings(&["pdf"]))).with_allowed_tools(strings(&["Read"])),
            &["--allowedTools=Read,Skill(pdf)"],
        ),
        (new().with_permission_mode(PermissionMode::Plan), &["--permission-mode=plan"]),
        (new().with_allow_bypass_permissions(true), &["--allow-dangerously-skip-permissions"]),
        (new().with_permission_prompt_tool("mcp__a__b".to_owned()), &["--permission-prompt-tool=mcp__a__b"]),
        (new().with_permission_prompts(PermissionPrompts::Nobody), &["--permission-prompts=none"]),
        (new().with_setting_sources(only), &["--setting-sources=user,local"]),
        (new().with_setting_sources(SettingSources::CliDefault), &[]),
        (new().with_settings(Settings::File("/s.json".into())), &["--settings=/s.json"]),
        (new().with_strict_mcp_config(true), &["--strict-mcp-config"]),
        (new().with_partial_messages(true), &["--include-partial-messages"]),
        (new().with_hook_events(true), &["--include-hook-events"]),
        (new().with_replay_user_messages(true), &["--replay-user-messages"]),
        (new().with_betas(strings(&["b1", "b2"])), &["--betas=b1,b2"]),
        (new().with_add_dirs(vec!["/a".into(), "/b".into()]), &["--add-dir=/a", "--add-dir=/b"]),
        (
            new().with_project_config_root(std::path::PathBuf::from("/trusted")),
            &["--project-config-root=/trusted"],
        ),
        (new().with_main_agent("reviewer".to_owned()), &["--agent=reviewer"]),
        (new().with_ephemeral(true), &["--no-session-persistence"]),
        (new().with_system_prompt(SystemPrompt::File("/p".into())), &["--system-prompt-file=/p"]),
        (new().with_debug(DebugLog::to_file("/d").with_filter("api")), &["--debug=api", "--debug-file=/d"]),
        (new().with_debug(DebugLog::default()), &["--debug", "--debug-to-stderr"]),
        (
            new().with_session(SessionStart::Continue { fork: Some(id) }),
            &["--continue", "--fork-session", "--session-id=00000000-0000-0000-0000-000000000000"],
        ),
    ];
    for (options, wanted) in table {
        options.check().unwrap();
        assert_eq!(added(&options), wanted, "{options:?}");
    }
    assert!(texts(&new()).contains(&"--setting-sources=".to_owned()), "nothing is read unless told");
}

#[test]
fn the_last_word_has_who_adds_arguments() {
    let extra = vec![("new-flag".to_owned(), Some("--x".to_owned())), ("bare".to_owned(), None)];
    let args = texts(&new().with_model("m".to_owned()).with_extra_args(extra));
    assert_eq!(args[args.len() - 2..], ["--new-flag=--x", "--bare"]);
}

#[test]
fn a_fork_at_a_message_names_all_ids() {
    let (id, at, fork, drops) = (Uuid::new_v4(), Uuid::new_v4(), Uuid::new_v4(), Uuid::new_v4());
    let ids = [
        format!("--resume-session-at={at}"),
        "--fork-session".to_owned(),
        format!("--session-id={fork}"),
        format!("--resume-drops-turn={drops}"),
    ];
    let session = SessionStart::Resume { id, at: Some(at), fork: Some(fork) };
    let found = added(&new().with_session(session).with_resume_drops_turn(drops));
    assert_eq!(found, [vec![format!("--resume={id}")], ids.to_vec()].concat());
    let session = SessionStart::ResumeFile { path: "/t.jsonl".into(), at: Some(at), fork: Some(fork) };
    let found = added(&new().with_session(session).with_resume_drops_turn(drops));
    assert_eq!(found, [vec!["--resume=/t.jsonl".to_owned()], ids.to_vec()].concat());
}

#[test]
fn what_others_should_not_read_is_inside_initialize() {
    let secret = "hush";
    let options = new()
        .with_mcp_servers(json!({ "s": { "command": "x", "env": { "TOKEN": secret } } }))
        .with_system_prompt(SystemPrompt::ClaudeCode { append: Some(secret.to_owned()) })
        .with_append_subagent_system_prompt(secret.to_owned())
        .with_plan_mode_instructions(secret.to_owned())
        .with_agent("a", AgentDefinition::new(secret, secret))
        .with_settings(Settings::Inline(json!({ "env": { "TOKEN": secret } })))
        .with_managed_settings(json!({ "x": secret }))
        .with_sandbox(json!({ "enabled": false, "x": secret }))
        .with_plugins(vec![Plugin::new("/hush").without_mcp()])
        .with_title(secret.to_owned());
    let args = texts(&options);
    for flag in ["--await-initialize", "--initialize-fields=settings", "--managed-settings-in-initialize"] {
        assert!(args.contains(&flag.to_owned()), "{args:?}");
    }
    assert!(!args.join(" ").contains(secret), "{args:?}");
    let body = initialize_body(&options);
    assert_eq!(body["mcpServers"]["s"]["env"]["TOKEN"], secret);
    assert_eq!(body["settings"]["env"]["TOKEN"], secret);
    assert_eq!(body["settings"]["sandbox"]["x"], secret);
    assert_eq!(body["managedSettings"]["x"], secret);
    assert_eq!(body["plugins"], json!([{ "type": "local", "path": "/hush", "skipMcpDiscovery": true }]));
    let confirmed: Vec<_> = to_confirm(&options).into_iter().map(|(_, field)| field).collect();
    assert_eq!(confirmed, ["settings_applied", "managed_settings_applied", "plugins_applied"]);
}

#[test]
fn every_option_inside_initialize_is_its_field() {
    let text = || "t".to_owned();
    let blocks = vec!["a".to_owned(), SYSTEM_PROMPT_DYNAMIC_BOUNDARY.to_owned(), "b".to_owned()];
    let dialogs = Dialogs::from_fn(["k"], |_| async { Ok(DialogAnswer::Cancelled) });
    let table = [
        (new().with_system_prompt(SystemPrompt::Empty), "systemPrompt", json!([""])),
        (new().with_system_prompt(SystemPrompt::Text(text())), "systemPrompt", json!(["t"])),
        (new().with_system_prompt(SystemPrompt::Blocks(blocks.clone())), "systemPrompt", json!(blocks)),
        (
            new().with_system_prompt(SystemPrompt::ClaudeCode { append: Some(text()) }),
            "appendSystemPrompt",
            json!("t"),
        ),
        (new().with_append_subagent_system_prompt(text()), "appendSubagentSystemPrompt", json!("t")),
        (new().with_exclude_dynamic_sections(true), "excludeDynamicSections", json!(true)),
        (new().with_system_prompt_snapshot(false), "systemPromptSnapshot", json!(false)),
        (new().with_plan_mode_instructions(text()), "planModeInstructions", json!("t")),
        (
            new().with_tool_aliases([("Bash".to_owned(), "mcp__w__bash".to_owned())]),
            "toolAliases",
            json!({ "Bash": "mcp__w__bash" }),
        ),
        (
            new().with_agent("a", AgentDefinition::new("d", "p")),
            "agents",
            json!({ "a": { "description": "d", "prompt": "p" } }),
        ),
        (new().with_skills(Skills::Only(vec![text()])), "skills", json!(["t"])),
        (new().with_title(text()), "title", json!("t")),
        (new().with_prompt_suggestions(true), "promptSuggestions", json!(true)),
        (new().with_agent_progress_summaries(true), "agentProgressSummaries", json!(true)),
        (new().with_forward_subagent_text(true), "forwardSubagentText", json!(true)),
        (new().with_per_task_stop(true), "perTaskStopAffordance", json!(true)),
        (new().with_dialogs(dialogs), "supportedDialogKinds", json!(["k"])),
    ];
    for (options, field, wanted) in table {
        options.check().unwrap();
        let body = initialize_body(&options);
        assert_eq!(body, json!({ "hooks": null, field: wanted }), "{options:?}");
    }
    assert_eq!(initialize_body(&new().with_skills(Skills::All)), json!({ "hooks": null }));
}

#[test]
fn some_options_are_variables() {
    let traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let options = new()
        .with_env([("TRACESTATE".to_owned(), "stale=1".to_owned()), ("KEPT".to_owned(), "1".to_owned())])
        .with_file_checkpointing(true)
        .with_client_app("my-app/1".to_owned())
        .with_question_preview(QuestionPreview::Html)
        .with_trace_context(TraceContext::new(traceparent, None).unwrap());
    let wanted = [
        ("CLAUDE_AGENT_SDK_CLIENT_APP", "my-app/1"),
        ("CLAUDE_CODE_ENABLE_SDK_FILE_CHECKPOINTING", "true"),
        ("CLAUDE_CODE_QUESTION_PREVIEW_FORMAT", "html"),
        ("KEPT", "1"),
        ("TRACEPARENT", traceparent),
        ("TRACESTATE", ""),
    ];
    let found = env(&options);
    assert!(found.iter().map(|(name, value)| (name.as_str(), value.as_str())).eq(wanted), "{found:?}");
}
