//! Which options are refused, and by what name.

use std::{collections::BTreeMap, ffi::OsStr, os::unix::ffi::OsStrExt as _, sync::Arc, time::Duration};

use serde_json::json;
use uuid::Uuid;

use super::*;
use crate::{
    gate::Decision,
    hook::HookRegistration,
    options::{Effort, PermissionMode, Plugin, SettingSource, SystemPrompt},
    store::{MemoryStore, SessionStoreOptions},
};

fn refused(options: AgentOptions) -> (&'static str, String) {
    match options.check().unwrap_err() {
        Error::InvalidOption { field, why } => (field, why),
        error => panic!("{error}"),
    }
}

#[test]
fn what_contradicts_itself_is_refused_by_the_name_of_its_field() {
    let new = AgentOptions::default;
    let id = Uuid::new_v4();
    let fork = SessionStart::Resume { id, at: None, fork: Some(id) };
    let stored = || new().with_session_store(SessionStoreOptions::new(Arc::new(MemoryStore::default())));
    let nobody = PermissionPrompts::Nobody;
    let gate = |options: AgentOptions| options.with_gate_fn(|_| async { Ok(Decision::allow()) });
    let table = [
        ("resume_drops_turn", new().with_resume_drops_turn(id)),
        ("session", new().with_session(fork)),
        ("model", new().with_model(" ".to_owned())),
        ("model", new().with_model("a\0b".to_owned())),
        ("fallback_models", new().with_model("a".to_owned()).with_fallback_models(vec!["a".to_owned()])),
        ("fallback_models", new().with_fallback_models(vec!["a,b".to_owned()])),
        ("max_budget_usd", new().with_max_budget_usd(f64::NAN)),
        ("max_budget_usd", new().with_max_budget_usd(0.0)),
        ("task_budget_tokens", new().with_task_budget_tokens(0)),
        ("max_turns", new().with_max_turns(0)),
        ("permission_mode", new().with_permission_mode(PermissionMode::from("a\0"))),
        ("effort", new().with_effort(Effort::from("\0"))),
        ("allowed_tools", new().with_allowed_tools(vec!["ok".to_owned(), "\0".to_owned()])),
        ("add_dirs", new().with_add_dirs(vec!["/a".into(), "/b\0".into()])),
        ("cwd", new().with_cwd("/\0")),
        (
            "exclude_dynamic_sections",
            new().with_exclude_dynamic_sections(true).with_system_prompt(SystemPrompt::Empty),
        ),
        (
            "append_system_prompt_file",
            new()
                .with_system_prompt(SystemPrompt::ClaudeCode { append: Some("a".to_owned()) })
                .with_append_system_prompt_file(std::path::PathBuf::from("/a")),
        ),
        ("permission_prompts", gate(new()).with_permission_prompts(nobody)),
        (
            "permission_prompts",
            new().with_permission_prompts(nobody).with_permission_prompt_tool("t".to_owned()),
        ),
        ("permission_prompt_tool", gate(new()).with_permission_prompt_tool("mcp__a__b".to_owned())),
        ("settings", new().with_settings(Settings::Inline(json!([])))),
        ("managed_settings", new().with_managed_settings(json!("x"))),
        ("sandbox", new().with_sandbox(json!(true))),
        ("sandbox", new().with_settings(Settings::File("/s".into())).with_sandbox(json!({}))),
        ("skills", new().with_skills(Skills::Only(vec!["a),Bash".to_owned()]))),
        ("skills", new().with_skills(Skills::Only(vec!["*".to_owned()]))),
        ("setting_sources", new().with_setting_sources(vec![SettingSource::from("user\0")])),
        ("plugins", new().with_plugins(vec![Plugin::new(OsStr::from_bytes(b"/\xff"))])),
        ("output_schema", new().with_output_schema(json!("string"))),
        ("mcp_servers", new().with_mcp_servers(json!([{ "command": "run" }]))),
        ("mcp", new().with_mcp_server("", json!({}))),
        ("mcp", new().with_mcp_server("my.files", json!({})).with_mcp_server("my_files", json!({}))),
        ("mcp", new().with_mcp_servers(json!({ "my files": {} })).with_mcp_server("my_files", json!({}))),
        ("session_store", stored().with_ephemeral(true)),
        ("file_checkpointing", stored().with_file_checkpointing(true)),
        (
            "extra_initialize",
            new().with_extra_initialize(BTreeMap::from([("hooks".to_owned(), json!(null))])),
        ),
        (
            "extra_args",
            new().with_extra_args(vec![("permission-prompts".to_owned(), Some("none".to_owned()))]),
        ),
        ("client_app", new().with_client_app("app\r\nX-Evil: 1".to_owned())),
        ("env", new().with_env([("A=B".to_owned(), String::new())])),
        ("env", new().with_env([("A".to_owned(), "\0".to_owned())])),
        ("extra_args", new().with_extra_args(vec![("a b".to_owned(), None)])),
        ("extra_args", new().with_extra_args(vec![("output-format".to_owned(), Some("text".to_owned()))])),
        (
            "extra_args",
            new().with_session(SessionStart::New { id }).with_extra_args(vec![("continue".to_owned(), None)]),
        ),
    ];
    for (field, options) in table {
        let (found, why) = refused(options);
        assert_eq!(found, field, "{why}");
    }
}

#[test]
fn a_hook_that_could_never_be_called_is_refused() {
    let hook = |event: &str| HookRegistration::raw(event, |_| async { Ok(crate::HookOutput::proceed()) });
    let (field, why) = refused(AgentOptions::default().with_hook(hook("SessionEnd")));
    assert!(field == "hooks" && why.contains("SessionEnd"), "{why}");
    let startup = hook("SessionStart").with_matcher("startup");
    assert_eq!(refused(AgentOptions::default().with_hook(startup)).0, "hooks");
    let compact = hook("SessionStart").with_matcher("compact");
    let other = hook("BrandNew").with_timeout(Duration::from_secs(1));
    AgentOptions::default().with_hook(compact).with_hook(other).check().unwrap();
}

#[test]
fn what_agrees_with_itself_is_taken() {
    let (id, at) = (Uuid::new_v4(), Some(Uuid::new_v4()));
    let session = SessionStart::Resume { id, at, fork: Some(Uuid::new_v4()) };
    let options = AgentOptions::default()
        .with_session(session)
        .with_resume_drops_turn(Uuid::new_v4())
        .with_client_app("my-app/1.0 (é)".to_owned())
        .with_skills(Skills::Only(vec!["plugin:pdf".to_owned()]))
        .with_gate(Some(crate::gate_fn(|_| async { Ok(Decision::allow()) })));
    options.check().unwrap();
    assert!(Arc::strong_count(options.gate.as_ref().unwrap()) == 1);
}
