//! Options as the other side sees them: the Messages API, the agent's tools, its own lists.

use std::{fs, path::Path};

use sdk_runtime::{
    Agent, AgentDefinition, Effort, Error, Events, Outcome, PermissionMode, Plugin, SettingSource,
    SettingSources, Settings, Skills, SystemPrompt, Thinking, ThinkingDisplay, TraceContext,
};
use serde_json::{Value, json};

use crate::bench::{Bench, result_of, say, start_error, tool_results};

async fn text(agent: &Agent, events: &mut Events, prompt: &str) -> String {
    let id = say(agent, prompt).await;
    result_of(events, id).await.text.unwrap_or_default()
}

/// The last request to the model, and its headers.
fn asked(bench: &Bench) -> (Value, offline_model::Recorded) {
    let requests = bench.model.requests();
    let asked = requests.into_iter().rev().find(|request| request.path == "/v1/messages").unwrap();
    (asked.json().unwrap(), asked)
}

#[tokio::test]
async fn the_model_is_asked_as_the_options_say() {
    let bench = Bench::new().await;
    let append = bench.path("append.txt");
    fs::write(&append, "words of the file").unwrap();
    let traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let options = bench
        .options()
        .with_model("claude-opus-5-5".to_owned())
        .with_effort(Effort::Low)
        .with_thinking(Thinking::adaptive().with_display(ThinkingDisplay::Summarized))
        .with_task_budget_tokens(50_000)
        .with_client_app("demo-app/7".to_owned())
        .with_trace_context(TraceContext::new(traceparent, Some("a=1")).unwrap())
        .with_system_prompt(SystemPrompt::Text("words of the host".to_owned()))
        .with_append_system_prompt_file(append)
        .with_tools(vec!["Bash".to_owned()])
        .with_allowed_tools(vec!["Bash".to_owned()]);
    let (agent, mut events) = bench.start(options).await;
    let command = r#"go [[tool:Bash {"command":"echo [$TRACEPARENT] [$TRACESTATE]"}]]"#;
    let id = say(&agent, command).await;
    let told = tool_results(&mut events, id).await.concat();
    let (body, request) = asked(&bench);
    assert_eq!(body["output_config"]["effort"], "low", "{body}");
    assert_eq!(body["output_config"]["task_budget"]["total"], 50_000, "{body}");
    assert_eq!(body["thinking"]["type"], "adaptive");
    assert_eq!(body["thinking"]["display"], "summarized");
    let system = body["system"].to_string();
    assert!(system.contains("words of the host") && system.contains("words of the file"), "{system}");
    let tools: Vec<_> = body["tools"].as_array().unwrap().iter().map(|tool| &tool["name"]).collect();
    assert!(tools.contains(&&json!("Bash")) && !tools.contains(&&json!("Read")), "{tools:?}");
    assert!(request.header("user-agent").unwrap().contains("demo-app/7"), "{:?}", request.headers);
    // The tools of the agent belong to the trace, perhaps below a span of the agent's own.
    assert!(told.contains("4bf92f3577b34da6a3ce929d0e0e4736"), "{told}");
    agent.close().await;
    let disabled = bench.options().with_thinking(Thinking::Disabled).with_effort(Effort::High);
    let (agent, mut events) = bench.start(disabled.with_model("claude-sonnet-5".to_owned())).await;
    text(&agent, &mut events, "go [[text:x]]").await;
    let (body, _) = asked(&bench);
    assert_ne!(body["thinking"]["type"], "adaptive", "{}", body["thinking"]);
    assert_eq!(body["output_config"]["effort"], "high");
    agent.close().await;
}

#[tokio::test]
async fn a_budget_that_is_used_up_ends_the_turn() {
    let bench = Bench::new().await;
    let options = bench.options().with_max_budget_usd(0.01);
    let (agent, mut events) = bench.start(options).await;
    let prompt = r#"go [[tool:Bash {"command":"echo hi"}]][[usage:in=900000,out=9000]][[next]][[text:more]]"#;
    let id = say(&agent, prompt).await;
    let result = result_of(&mut events, id).await;
    assert_eq!(result.outcome(), Outcome::BudgetExhausted, "{:?}", result.raw);
    agent.close().await;
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

#[tokio::test]
async fn agents_skills_plugins_and_directories_are_there_as_the_options_say() {
    let bench = Bench::new().await;
    for name in ["alpha", "beta"] {
        let text = format!("---\nname: {name}\ndescription: the skill {name}\n---\nDo {name}.\n");
        write(&bench.path(&format!("config/skills/{name}/SKILL.md")), &text);
    }
    let plugin = bench.path("plugin");
    write(&plugin.join(".claude-plugin/plugin.json"), r#"{"name":"helper","version":"1.0.0"}"#);
    write(&plugin.join("commands/greet.md"), "---\ndescription: greets\n---\nSay hello.\n");
    write(&bench.path("beside/note.txt"), "a note beside the work");
    let reviewer = AgentDefinition::new("reviews", "You review with care.").with_tools(["Read"]);
    let options = bench
        .options()
        .with_setting_sources(SettingSources::Only(vec![SettingSource::User]))
        .with_skills(Skills::Only(vec!["alpha".to_owned()]))
        .with_plugins(vec![Plugin::new(&plugin)])
        .with_add_dirs(vec![bench.path("beside")])
        .with_agent("reviewer", reviewer)
        .with_main_agent("reviewer".to_owned())
        .with_forward_subagent_text(true)
        .with_system_prompt(None);
    let (agent, mut events) = bench.start(options).await;
    let commands = agent.supported_commands();
    assert!(commands.iter().any(|command| command.name == "helper:greet"), "{commands:?}");
    let agents = agent.supported_agents();
    assert!(agents.iter().any(|agent| agent.name == "reviewer"), "{agents:?}");
    let note = bench.path("beside/note.txt");
    let id = say(&agent, &format!(r#"go [[tool:Read {}]]"#, json!({ "file_path": note }))).await;
    let told = tool_results(&mut events, id).await.concat();
    assert!(told.contains("a note beside the work"), "{told}");
    let (body, _) = asked(&bench);
    assert!(body["system"].to_string().contains("You review with care."), "{}", body["system"]);
    agent.close().await;
    // The main agent of before had no Skill tool; the model's list of skills is in the conversation.
    let options = bench
        .options()
        .with_setting_sources(vec![SettingSource::User])
        .with_skills(Skills::Only(vec!["alpha".to_owned()]));
    let (agent, mut events) = bench.start(options).await;
    let id = say(&agent, r#"go [[tool:Skill {"skill":"beta"}]]"#).await;
    let told = tool_results(&mut events, id).await.concat();
    let (body, _) = asked(&bench);
    let said = body.to_string();
    assert!(said.contains("the skill alpha") && !said.contains("the skill beta"), "{said}");
    assert!(!told.contains("Do beta."), "{told}");
    agent.close().await;
}

#[tokio::test]
async fn settings_reach_the_agent_and_are_confirmed() {
    let bench = Bench::new().await;
    let settings =
        json!({ "permissions": { "allow": ["Bash(touch:*)"] }, "env": { "FROM_SETTINGS": "yes" } });
    let managed = json!({ "permissions": { "deny": ["Bash(rm:*)"] } });
    let options = bench
        .options()
        .with_settings(Settings::Inline(settings.clone()))
        .with_managed_settings(managed)
        .with_sandbox(json!({ "enabled": false }));
    let (agent, mut events) = bench.start(options).await;
    let id = say(&agent, r#"go [[tool:Bash {"command":"touch a.txt"}]][[tool:Bash {"command":"rm a.txt"}]]"#)
        .await;
    let told = tool_results(&mut events, id).await.concat();
    assert!(bench.path("work/a.txt").exists(), "allowed by the settings, kept by the policy: {told}");
    let rules = agent.permission_rules().await.unwrap();
    let rules = serde_json::to_string(&rules.rules).unwrap();
    assert!(rules.contains("touch") && rules.contains("rm"), "{rules}");
    let in_force = agent.settings().await.unwrap();
    assert_eq!(in_force.effective["env"]["FROM_SETTINGS"], "yes");
    agent.close().await;

    let file = bench.path("settings.json");
    fs::write(&file, settings.to_string()).unwrap();
    let (agent, mut events) = bench.start(bench.options().with_settings(Settings::File(file))).await;
    let id = say(&agent, r#"go [[tool:Bash {"command":"touch b.txt"}]]"#).await;
    tool_results(&mut events, id).await;
    assert!(bench.path("work/b.txt").exists());
    agent.close().await;
}

#[tokio::test]
async fn root_does_not_bypass_permissions_unless_it_is_told_to() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let bench = Bench::new().await;
    let bypass = bench.options().with_permission_mode(PermissionMode::BypassPermissions);
    let error = start_error(bypass.clone()).await;
    assert!(matches!(error, Error::InvalidOption { field: "permission_mode", .. }), "{error:?}");
    let mut sandboxed = bypass;
    sandboxed.env.insert("IS_SANDBOX".to_owned(), "1".to_owned());
    let (agent, mut events) = bench.start(sandboxed).await;
    let id = say(&agent, r#"go [[tool:Bash {"command":"touch a.txt"}]]"#).await;
    tool_results(&mut events, id).await;
    assert!(bench.path("work/a.txt").exists());
    agent.close().await;
}
