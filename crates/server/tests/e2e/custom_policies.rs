//! Custom policies with the real CLI: what they forbid does not run, and the model reads why.

use crate::{
    approvals::{answer, asked, told, uses},
    client::{Answer, Client},
    world::{MODES, World},
};
use serde_json::{Value, json};

/// One rule denies, one asks; both concern what no built-in policy minds.
const HOUSE: &str = r#"
@id("no-tags") @reason("releases are made by the release team")
forbid(principal, action == Action::"run_command", resource == Command::"git")
when { resource.line like "git tag*" };

@id("notes") @decision("ask") @reason("notes are shared")
forbid(principal, action == Action::"write_file", resource)
when { resource.name == "NOTES.md" };
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_custom_policy_judges_in_the_session_that_chose_it_and_in_no_other() {
    let world = World::start().await;
    let admin = world.admin().await;
    let made = admin.post("/policies", json!({ "name": "house", "text": HOUSE })).await;
    assert_eq!(made.status, 201, "{made:?}");

    // The CLI itself would ask nobody.
    let tools = json!(["Bash", "Write"]);
    let governed = admin.session(json!({ "allowed_tools": tools, "custom_policies": ["house"] })).await;
    let free = admin.session(json!({ "allowed_tools": tools })).await;
    let tag = r#"[[tool:Bash {"command":"git tag v1 2>&1 || echo ran"}]][[next]][[text:over]]"#;
    for (session, is_denied) in [(&governed, true), (&free, false)] {
        assert_eq!(admin.ask(session, tag).await, "over");
        let calls = admin.get(&format!("{session}/tool-calls")).await.ok();
        let output = calls[0]["tool_output"].to_string();
        assert_eq!(output.contains("releases are made by the release team"), is_denied, "{output}");
        assert_eq!(output.contains("ran"), !is_denied, "{output}");
    }

    let note = r#"[[tool:Write {"file_path":"NOTES.md","content":"x"}]][[next]][[text:over]]"#;
    admin.ask(&free, note).await;
    assert_eq!(admin.get(&format!("{free}/files/content?path=NOTES.md")).await.status, 200);

    // What would the policy have changed in the session that did not choose it?
    let dry = admin.post("/policies/house/dry-run", json!({ "days": 1 })).await.ok();
    let changes: Vec<_> = dry["changes"].as_array().unwrap().iter().collect();
    let free_id = free.rsplit('/').next().unwrap();
    assert!(changes.iter().all(|change| change["session_id"] == free_id), "{dry}");
    let after: Vec<_> =
        changes.iter().map(|change| (&change["after"]["rule"], &change["after"]["verdict"])).collect();
    assert_eq!(after, [(&json!("notes"), &json!("ask")), (&json!("no-tags"), &json!("deny"))], "{dry}");
    assert_eq!(dry["considered"], 3);

    // A change judges in the agent that runs already.
    let text = HOUSE.replace("git tag*", "git push*");
    let changed = admin
        .request(reqwest::Method::PUT, "/policies/house")
        .json(&json!({ "version": 1, "text": text }))
        .send()
        .await
        .unwrap();
    assert_eq!(changed.status(), 200);
    admin.ask(&governed, tag).await;
    let calls = admin.get(&format!("{governed}/tool-calls")).await.ok();
    assert!(calls[1]["tool_output"].to_string().contains("ran"), "{calls}");
}

/// A session whose own rules would let it write, judged by the policy that asks.
async fn asking(admin: &Client, mode: &str) -> String {
    let tools = json!(["Write"]);
    let governed = json!({ "permission_mode": mode, "allowed_tools": tools, "custom_policies": ["house"] });
    admin.session(governed).await
}

fn write_notes() -> String {
    uses("Write", &json!({ "file_path": "NOTES.md", "content": "as asked" }))
}

async fn notes(admin: &Client, session: &str) -> Answer {
    admin.get(&format!("{session}/files/content?path=NOTES.md")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_policy_asks_runs_as_a_person_changed_it_in_every_mode() {
    let world = World::with(&[("IS_SANDBOX", "1")]).await;
    let admin = world.admin().await;
    admin.post("/policies", json!({ "name": "house", "text": HOUSE })).await.ok();
    for mode in MODES {
        let session = asking(&admin, mode).await;
        let turn = admin.query_async(&session, &write_notes()).await;
        let approval = asked(&admin, &session).await;
        let because = (&approval["policy"], &approval["rule"], &approval["reason"]);
        assert_eq!(because, (&json!("house"), &json!("notes"), &json!("notes are shared")), "{mode}");
        assert_eq!(notes(&admin, &session).await.status, 404, "{mode}: it ran before anybody said so");
        let edited = json!({ "file_path": approval["tool_input"]["file_path"], "content": "as edited" });
        let yes = json!({ "decision": "allow", "updated_input": edited });
        answer(&admin, &session, &approval, yes).await.ok();
        assert_eq!(admin.turn_over(&turn).await["status"], "completed", "{mode}");
        assert_eq!(notes(&admin, &session).await.ok(), "as edited", "{mode}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_policy_asks_and_nobody_answers_is_denied_in_every_mode() {
    let world = World::with(&[("IS_SANDBOX", "1"), ("APPROVAL_TIMEOUT_SECONDS", "1")]).await;
    let admin = world.admin().await;
    admin.post("/policies", json!({ "name": "house", "text": HOUSE })).await.ok();
    for mode in MODES {
        let session = asking(&admin, mode).await;
        assert_eq!(admin.ask(&session, &write_notes()).await, "done", "{mode}");
        assert!(told(&world).contains("Nobody approved this call within 1 s"), "{mode}: {}", told(&world));
        assert_eq!(notes(&admin, &session).await.status, 404, "{mode}");
        let approvals = admin.get(&format!("{session}/approvals")).await.ok();
        let became = (&approvals[0]["status"], &approvals[0]["rule"], &approvals[0]["decided_by"]);
        assert_eq!(became, (&json!("expired"), &json!("notes"), &Value::Null), "{mode}");
    }
}
