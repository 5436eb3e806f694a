//! The audit log of a real server, checked by its own command and by somebody else's program.

use crate::{
    approvals::{answer, asked, runs},
    world::{PASSWORD, World},
};
use serde_json::json;
use std::{path::Path, process::Output};
use tokio::process::Command;

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_verified_beside_a_running_server_and_its_export_anywhere() {
    let mut world = World::start().await;
    let user = world.admin().await;
    let session = user.session(json!({})).await;
    assert_eq!(user.delete(&session).await.status, 204);
    let wrong = json!({ "email": "admin@example.com", "password": "wrong wrong wrong" });
    assert_eq!(world.stranger().post("/auth/login", wrong).await.status, 401);

    let health = user.get("/monitoring/health").await.ok();
    let head = health["checks"]["audit_log"]["detail"].as_str().unwrap().to_owned();
    let whole = world.audit(&["verify", "--expect-head", &head]).await;
    assert_eq!(said(&whole), (Some(0), format!("The chain is whole: 6 entries, the last is {head}\n")));

    let export = user.get("/admin/audit-log/export").await.body.as_str().unwrap().to_owned();
    let actions: Vec<String> = export.lines().map(|line| action(line).to_owned()).collect();
    let expected = [
        "server.started",
        "user.registered",
        "login.succeeded",
        "session.created",
        "session.terminated",
        "login.failed",
        "audit.exported",
    ];
    assert_eq!(actions, expected);
    let file = world.folder.path().join("export.jsonl");
    std::fs::write(&file, &export).unwrap();
    let path = file.to_str().unwrap();
    assert_eq!(world.audit(&["verify", "--file", path]).await.status.code(), Some(0));
    assert!(python(&file).await.status.success(), "{:?}", python(&file).await);

    let changed = export.replacen("session.created", "session.updated", 1);
    std::fs::write(&file, &changed).unwrap();
    let (code, words) = said(&world.audit(&["verify", "--file", path]).await);
    assert_eq!(code, Some(1));
    assert!(words.starts_with("DAMAGED at entry 4: it is not what its hash says"), "{words}");
    let theirs = python(&file).await;
    assert!(!theirs.status.success() && said(&theirs).1.contains("entry 4"), "{theirs:?}");

    let cut: String = export.lines().take(5).map(|line| format!("{line}\n")).collect();
    std::fs::write(&file, cut).unwrap();
    let (code, words) = said(&world.audit(&["verify", "--file", path, "--expect-head", &head]).await);
    assert_eq!(code, Some(1), "{words}");
    assert!(words.starts_with("DAMAGED at entry 6: the log ends before"), "{words}");

    world.stop().await;
    let by_command = world.audit(&["export"]).await;
    let (_, text) = said(&by_command);
    assert!(text.starts_with(&export), "what was exported once is exported again, to the byte");
    assert_eq!(action(text.lines().last().unwrap()), "server.stopped");
    assert!(world.log().contains("head of the audit log"), "the server's log has no anchor");
    assert!(!text.contains(PASSWORD));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_agent_may_not_and_what_people_decide_is_in_the_chain() {
    let world = World::start().await;
    let user = world.admin().await;
    let guard = json!({
        "name": "guard", "url": "https://hooks.example.org/?token=s3cret", "kind": "decision",
        "event_types": ["PreToolUse"],
    });
    let guard = user.post("/hooks", guard).await;
    assert_eq!(guard.status, 201, "{guard:?}");
    let text = r#"forbid(principal, action == Action::"run_command", resource == Command::"s3cret");"#;
    let policy = user.post("/policies", json!({ "name": "house", "text": text })).await;
    assert_eq!(policy.status, 201, "{policy:?}");
    let session = user.session(json!({ "timeout_seconds": 60 })).await;
    let forbidden = runs("rm -rf kept # s3cret");
    user.query(&session, &forbidden).await.ok();
    let turn = user.query_async(&session, &runs("touch asked.txt")).await;
    let approval = asked(&user, &session).await;
    answer(&user, &session, &approval, json!({ "decision": "deny" })).await.ok();
    user.turn_over(&turn).await;

    let entries = user.get("/admin/audit-log?limit=100").await.ok();
    let of = |action: &str| {
        let mut found = entries.as_array().unwrap().iter().filter(|entry| entry["action"] == action);
        found.next().cloned().unwrap_or_else(|| panic!("{action} is not among {entries}"))
    };
    let denied = of("decision.deny");
    assert_eq!((&denied["actor"]["type"], &denied["data"]["rule"]), (&json!("agent"), &json!("rm -rf")));
    let person = &of("login.succeeded")["actor"];
    for by_person in ["hook.created", "policy.created", "session.created", "approval.denied"] {
        let entry = of(by_person);
        assert_eq!(&entry["actor"], person, "{by_person}");
        assert_eq!(entry["ip_address"], "127.0.0.1", "{by_person}");
    }
    assert_eq!(of("approval.requested")["subject"]["id"], approval["id"]);
    assert_eq!(of("approval.denied")["subject"]["id"], approval["id"]);
    assert!(!entries.to_string().contains("s3cret"), "{entries}");
    let whole = world.audit(&["verify"]).await;
    assert_eq!(whole.status.code(), Some(0), "{whole:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_checked_is_not_called_damaged() {
    let world = World::start().await;
    for wrong in [
        &["verify", "--file", "/nowhere/export.jsonl"][..],
        &["verify", "--expect-head", "abc"],
        &["verify", "--from-seq", "0"],
        &["verify", "--previous-key-file", "/nowhere/key"],
    ] {
        let output = world.audit(wrong).await;
        assert_eq!(output.status.code(), Some(2), "{wrong:?}: {output:?}");
    }
}

fn action(line: &str) -> &str {
    line.strip_prefix(r#"{"action":""#).unwrap().split('"').next().unwrap()
}

fn said(output: &Output) -> (Option<i32>, String) {
    (output.status.code(), String::from_utf8(output.stdout.clone()).unwrap())
}

/// The program in docs/security.md, as whoever reads that has it.
async fn python(export: &Path) -> Output {
    let docs = include_str!("../../../../docs/security.md");
    let program = docs.split("```python\n").nth(1).unwrap().split("```").next().unwrap();
    #[expect(clippy::disallowed_methods, reason = "the point is a verifier that is not ours")]
    Command::new("python3").arg("-c").arg(program).arg(export).output().await.unwrap()
}
