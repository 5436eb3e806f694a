//! What a gate answers, the questions to a person, and elicitation, in front of the real CLI.

use std::{
    fs,
    sync::{Arc, Mutex},
};

use sdk_runtime::{
    Decision, ElicitationAnswer, HookRegistration, Outcome, PermissionDestination, PermissionMode,
    PermissionPrompts, PermissionRule, PermissionUpdate, PlanApproval, SettingSource, UserQuestions,
    elicitor_fn, hook::Reply,
};
use serde_json::json;

use crate::{
    bench::{Bench, result_of, say, tool_results},
    control::SERVER,
};

#[tokio::test]
async fn a_gate_changes_input_and_rules_and_is_not_asked_again() {
    let bench = Bench::new().await;
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    // Rules that are written to a file count when the agent reads that file.
    let options = bench.options().with_setting_sources(vec![SettingSource::Local]).with_gate_fn({
        let asked = Arc::clone(&asked);
        move |question| {
            asked.lock().unwrap().push(question.input["command"].to_string());
            async move {
                assert!(!question.suggestions().is_empty(), "{}", question.raw);
                let rules = vec![PermissionRule::calls("Bash", "touch:*")];
                let update = PermissionUpdate::allow(rules, PermissionDestination::LocalSettings);
                Ok(Decision::allow()
                    .with_input(json!({ "command": "touch b.txt" }))
                    .with_updates(vec![update]))
            }
        }
    });
    let (agent, mut events) = bench.start(options).await;
    let prompt = r#"go [[tool:Bash {"command":"touch a.txt"}]][[next]][[tool:Bash {"command":"touch c.txt"}]][[next]][[text:x]]"#;
    let id = say(&agent, prompt).await;
    result_of(&mut events, id).await;
    let is_there = |name: &str| bench.path("work").join(name).exists();
    assert!(!is_there("a.txt") && is_there("b.txt") && is_there("c.txt"));
    assert_eq!(*asked.lock().unwrap(), ["\"touch a.txt\""], "the rule answers from then on");
    let settings = fs::read_to_string(bench.path("work/.claude/settings.local.json")).unwrap();
    assert!(settings.contains("Bash(touch:*)"), "{settings}");
    agent.close().await;
}

#[tokio::test]
async fn a_no_that_interrupts_ends_the_turn_and_nobody_asks_when_nobody_is_there() {
    let bench = Bench::new().await;
    let touch = r#"go [[tool:Bash {"command":"touch a.txt"}]][[next]][[text:went on]]"#;
    let options = bench.options().with_gate_fn(|_| async { Ok(Decision::deny_and_interrupt("stop")) });
    let (agent, mut events) = bench.start(options).await;
    let id = say(&agent, touch).await;
    assert_eq!(result_of(&mut events, id).await.outcome(), Outcome::Interrupted);
    agent.close().await;
    let options = bench.options().with_permission_prompts(PermissionPrompts::Nobody);
    let (agent, mut events) = bench.start(options).await;
    let id = say(&agent, touch).await;
    let result = result_of(&mut events, id).await;
    assert_eq!(result.text.as_deref(), Some("went on"));
    assert_eq!(result.permission_denials.as_array().unwrap().len(), 1);
    agent.close().await;
    // The hook of a permission request decides while the gate is still thinking.
    let options = bench
        .options()
        .with_gate_fn(|_| std::future::pending())
        .with_hook(HookRegistration::permission_request(|_| async { Ok(Reply::deny("said the hook")) }));
    let (agent, mut events) = bench.start(options).await;
    let id = say(&agent, touch).await;
    let told = tool_results(&mut events, id).await.concat();
    assert!(told.contains("said the hook"), "{told}");
    assert!(!bench.path("work/a.txt").exists());
    agent.close().await;
}

#[tokio::test]
async fn a_person_answers_questions_and_approves_a_plan() {
    let bench = Bench::new().await;
    let options =
        bench.options().with_permission_mode(PermissionMode::Plan).with_gate_fn(|question| async move {
            if let Some(asked) = UserQuestions::read(&question) {
                assert_eq!(asked.questions[0].options[1].label, "Blue");
                let question = asked.questions[0].question.clone();
                return Ok(asked.answer([(question, "Blue")]));
            }
            if let Some(plan) = PlanApproval::read(&question) {
                return Ok(plan.approve_into(PermissionMode::AcceptEdits));
            }
            Ok(Decision::deny("nothing else"))
        });
    let (agent, mut events) = bench.start(options).await;
    let questions = json!({ "questions": [{
        "question": "Which colour?", "header": "Colour", "multiSelect": false,
        "options": [{ "label": "Red", "description": "warm" }, { "label": "Blue", "description": "cold" }],
    }]});
    let write = json!({ "file_path": bench.path("work/p.txt"), "content": "planned" });
    let prompt = format!(
        "go [[tool!:AskUserQuestion {questions}]][[next]][[tool!:ExitPlanMode {{\"plan\":\"Do it.\"}}]][[next]]\
         [[tool:Write {write}]][[next]][[text:done]]"
    );
    let id = say(&agent, &prompt).await;
    let told = tool_results(&mut events, id).await;
    assert!(told[0].contains("Blue"), "{told:?}");
    assert_eq!(fs::read_to_string(bench.path("work/p.txt")).ok().as_deref(), Some("planned"), "{told:?}");
    agent.close().await;
}

#[tokio::test]
async fn an_mcp_server_asks_and_is_answered_or_declined() {
    let bench = Bench::new().await;
    let elicitor = elicitor_fn(|question| async move {
        assert_eq!((question.server.as_str(), question.message.as_str()), ("asks", "What is your name?"));
        assert!(question.requested_schema["properties"]["name"].is_object());
        Ok(ElicitationAnswer::accept([("name".to_owned(), json!("Ferris"))]))
    });
    for (elicitor, wanted) in [(Some(elicitor), "Ferris"), (None, "decline")] {
        let options = bench
            .options()
            .with_mcp_servers(json!({ "asks": { "command": "python3", "args": ["-c", SERVER] } }))
            .with_allowed_tools(vec!["mcp__asks__ask".to_owned()])
            .with_elicitor(elicitor);
        let (agent, mut events) = bench.start(options).await;
        let id = say(&agent, "go [[tool!:mcp__asks__ask {}]][[next]][[text:done]]").await;
        let told = tool_results(&mut events, id).await.concat();
        assert!(told.contains(wanted), "{told}");
        agent.close().await;
    }
}
