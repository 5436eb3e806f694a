//! What the official SDKs declare and no recording shows: its types hold it, and what is sent is what the
//! agent reads by those declarations.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has to fail")]

use std::{path::Path, time::Duration};

use sdk_runtime::{
    Agent, AgentOptions, Decision, DecisionClassification, Event, HookRegistration, PromptContent,
    hook::{self, Reply},
    testing::ScriptedLauncher,
};
use serde_json::{Value, from_value, json, to_value};

/// Reads each input into its type, and back: nothing is lost, and nothing is unknown.
macro_rules! declared {
    ($($event:ident $input:tt;)*) => {$(
        let mut input = json!($input);
        input["hook_event_name"] = stringify!($event).into();
        let typed: hook::$event = from_value(input.clone()).unwrap();
        assert!(typed.other.is_empty(), "{}: {:?}", stringify!($event), typed.other);
        let back = to_value(typed).unwrap();
        for (key, value) in input.as_object().unwrap() {
            assert_eq!(back[key], *value, "{} of {}", key, stringify!($event));
        }
    )*};
}

#[test]
fn hook_inputs_as_the_typescript_sdk_declares_them_are_held_by_their_types() {
    declared! {
        PermissionDenied {
            "tool_name": "Bash", "tool_input": { "command": "x" }, "tool_use_id": "t", "reason": "r",
        };
        UserPromptExpansion {
            "expansion_type": "slash_command", "command_name": "c", "command_args": "a", "prompt": "p",
            "command_source": "user",
        };
        Setup { "trigger": "init" };
        StopFailure { "error": "rate_limit", "error_details": "d", "last_assistant_message": "m" };
        Notification { "message": "m", "title": "t", "notification_type": "idle" };
        ConfigChange { "source": "user_settings", "file_path": "/f" };
        CwdChanged { "old_cwd": "/a", "new_cwd": "/b" };
        FileChanged { "file_path": "/f", "event": "unlink" };
        DirectoryAdded { "directory": "/d", "source": "slash_command" };
        WorktreeCreate { "name": "w" };
        WorktreeRemove { "worktree_path": "/w" };
        TaskCreated {
            "task_id": "1", "task_subject": "s", "task_description": "d", "teammate_name": "n", "team_name": "t",
        };
        TaskCompleted { "task_id": "1", "task_subject": "s" };
        TeammateIdle { "teammate_name": "n", "team_name": "t" };
        Elicitation {
            "mcp_server_name": "s", "message": "m", "mode": "url", "url": "https://example.com/",
            "elicitation_id": "e", "requested_schema": { "type": "object" },
        };
        ElicitationResult {
            "mcp_server_name": "s", "elicitation_id": "e", "mode": "form", "action": "accept",
            "content": { "a": 1 },
        };
    }
}

/// What the host answers to one request of the agent.
async fn answer(options: AgentOptions, request: Value) -> Value {
    let launcher = ScriptedLauncher::new().on_prompt(move |_, say| {
        let request = request.clone();
        async move {
            let answer = say.ask(request).await;
            say.text(answer.to_string());
        }
    });
    let (agent, mut events) = Agent::start(&launcher, options).await.unwrap();
    agent.prompt(PromptContent::Text("go".to_owned())).await.unwrap();
    loop {
        match events.next().await.unwrap() {
            Event::Finished { result, .. } => return serde_json::from_str(&result.text.unwrap()).unwrap(),
            Event::Exited(said) => panic!("{said:?}"),
            _ => {}
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_decision_says_who_made_it() {
    let ask = json!({ "subtype": "can_use_tool", "tool_name": "Bash", "input": {}, "tool_use_id": "t" });
    let gate = |decision: Decision| {
        AgentOptions::default().with_gate_fn(move |_| {
            let decision = decision.clone();
            async { Ok(decision) }
        })
    };
    let refused = Decision::deny("no").with_classification(DecisionClassification::UserReject);
    let answered = answer(gate(refused), ask.clone()).await;
    assert_eq!(answered["decisionClassification"], "user_reject", "{answered}");
    let allowed = Decision::allow().with_classification(DecisionClassification::UserPermanent);
    let answered = answer(gate(allowed), ask).await;
    assert_eq!(answered["decisionClassification"], "user_permanent", "{answered}");
}

#[tokio::test(start_paused = true)]
async fn a_hook_goes_on_in_the_background() {
    let hook =
        HookRegistration::post_tool_use(|_| async { Ok(Reply::in_background(Duration::from_secs(5))) });
    let input = json!({ "hook_event_name": "PostToolUse", "tool_name": "Bash", "tool_use_id": "t" });
    let request = json!({ "subtype": "hook_callback", "callback_id": "hook_0", "input": input });
    let answered = answer(AgentOptions::default().with_hook(hook), request).await;
    assert_eq!(answered, json!({ "async": true, "asyncTimeout": 5000 }));
}

#[tokio::test(start_paused = true)]
async fn requests_that_need_more_than_a_cli_are_sent_in_their_form() {
    let launcher = ScriptedLauncher::new()
        .on_control("mcp_read_resource", |_| Ok(json!({ "contents": [{ "uri": "ui://a", "text": "b" }] })));
    let (agent, _events) = Agent::start(&launcher, AgentOptions::default()).await.unwrap();
    agent.mcp_set_permission_mode("s", Some("auto")).await.unwrap();
    agent.mcp_authenticate("s", None).await.unwrap();
    agent.mcp_oauth_callback("s", "http://localhost/?code=1").await.unwrap();
    agent.mcp_clear_auth("s").await.unwrap();
    agent.mcp_enable_channel("s").await.unwrap();
    agent.set_cwd(Path::new("/srv/other")).await.unwrap();
    let resource = agent.mcp_read_resource("s", "ui://a").await.unwrap();
    assert_eq!(to_value(resource).unwrap()["contents"][0]["text"], "b");
    let sent = [
        ("set_mcp_permission_mode_override", json!({ "serverName": "s", "mode": "auto" })),
        ("mcp_authenticate", json!({ "serverName": "s" })),
        ("mcp_oauth_callback_url", json!({ "serverName": "s", "callbackUrl": "http://localhost/?code=1" })),
        ("mcp_clear_auth", json!({ "serverName": "s" })),
        ("channel_enable", json!({ "serverName": "s" })),
        ("set_cwd", json!({ "path": "/srv/other" })),
        ("mcp_read_resource", json!({ "serverName": "s", "uri": "ui://a" })),
    ];
    for (subtype, mut wanted) in sent {
        wanted["subtype"] = subtype.into();
        assert_eq!(launcher.last_agent().controls(subtype), [wanted]);
    }
}
