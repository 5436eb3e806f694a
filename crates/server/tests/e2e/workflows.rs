//! Two ways to work, each from its beginning to what is left of it, over HTTP alone: a task that is done, reported on and
//! put away, and an agent that somebody else governs.

use crate::{
    approvals::{answer, asked, file, runs, told},
    client::{Client, send},
    receiver::{Receiver, Reply},
    world::{World, eventually},
};
use reqwest::Method;
use serde_json::{Value, json};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo=";
/// What `[[usage:in=1000,out=1000]]` costs.
const EACH_USD: f64 = 0.018;

#[tokio::test(flavor = "multi_thread")]
async fn a_task_is_executed_reported_on_and_archived() {
    let receiver = Receiver::start(Reply::Status(204)).await;
    let world = World::with(&[("WEBHOOK_ALLOW_PRIVATE_ADDRESSES", "true")]).await;
    let user = world.admin().await;
    let prompt = r#"[[tool:Bash {"command":"echo {{ word }} > said; cat said"}]][[next]][[text:I said {{ word | upper }}]]"#;
    let task = json!({
        "name": "speaker", "prompt_template": prompt, "default_variables": { "word": "nothing" },
        "allowed_tools": ["Bash"], "generate_report": true, "report_format": "markdown", "auto_archive": true,
        "notification_webhook": receiver.url,
    });
    let task = user.post("/tasks", task).await.ok();
    let secret = task["webhook_secret"].as_str().unwrap().to_owned();
    let execute = task["_links"]["execute"].as_str().unwrap().strip_prefix("/api/v1").unwrap().to_owned();

    let asked = user.post(&execute, json!({ "variables": { "word": "crumbs" } })).await;
    assert_eq!(asked.status, 202, "{asked:?}");
    let path = asked.headers["location"].to_str().unwrap().strip_prefix("/api/v1").unwrap().to_owned();
    let execution = eventually("its end is told", async || {
        let execution = user.get(&path).await.ok();
        (execution["after"]["notified_at"] != Value::Null).then_some(execution)
    })
    .await;
    assert_eq!((&execution["status"], &execution["result"]), (&json!("completed"), &json!("I said CRUMBS")));
    let after = &execution["after"];

    // What is told names what was made, and both are there.
    let message = receiver.until(1).await[0].clone();
    assert!(message.is_signed_with(&secret), "{message:?}");
    let data = message.json()["data"].clone();
    assert_eq!((&data["report_id"], &data["archive_id"]), (&after["report_id"], &after["archive_id"]));
    let archived = eventually("the session is archived", async || {
        let archive = user.get(&format!("{path}/archive")).await.ok();
        (archive["status"] == "completed").then_some(archive)
    })
    .await;
    assert_eq!(archived["id"], after["archive_id"]);
    let session = format!("/sessions/{}", execution["session_id"].as_str().unwrap());
    assert_eq!(user.get(&session).await.ok()["status"], "archived");

    // The report is the session's as it was, whatever became of that.
    let report = format!("/reports/{}", after["report_id"].as_str().unwrap());
    let shown = user.get(&report).await.ok();
    assert_eq!((&shown["session_id"], &shown["format"]), (&execution["session_id"], &json!("markdown")));
    let markdown = user.get(&format!("{report}/download")).await;
    assert!(markdown.headers["content-type"].to_str().unwrap().starts_with("text/markdown"), "{markdown:?}");
    let text = markdown.body.as_str().unwrap();
    assert!(text.contains("echo crumbs > said") && text.contains("I said CRUMBS"), "{text}");
    let document = user.get(&format!("{report}/download?format=json")).await.ok();
    assert_eq!(document["tool_calls"][0]["output"], "crumbs");
    let cost = document["metrics"]["cost_micro_usd"].as_f64().unwrap() / 1e6;
    assert!(cost > 0.0 && execution["total_cost_usd"] == json!(cost), "{execution}");
    assert_eq!(user.get("/reports").await.ok()["total"], 1, "each execution is reported on once");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_is_governed_by_a_policy_a_person_and_a_budget_and_all_of_it_is_on_record() {
    let receiver = Receiver::start(Reply::Status(204)).await;
    let world = World::with(&[
        ("WEBHOOK_ALLOW_PRIVATE_ADDRESSES", "true"),
        ("ALERT_WEBHOOK_URL", &receiver.url),
        ("ALERT_WEBHOOK_SECRET", SECRET),
    ])
    .await;
    let admin = world.admin().await;
    let password = "a password that is long";
    let mia = json!({ "email": "mia@example.com", "username": "mia", "password": password });
    let mia_id = admin.post("/admin/users", mia).await.ok()["id"].as_str().unwrap().to_owned();
    let mia = Client::login(&admin.url, "mia@example.com", password).await;

    // A rule of the house denies, in the sessions of others and whatever they chose.
    let text = r#"@id("no-tags") @reason("releases are made by the release team")
        forbid(principal, action == Action::"run_command", resource == Command::"git")
        when { resource.line like "git tag*" };"#;
    let policy = json!({ "name": "house", "text": text, "mandatory": true });
    assert_eq!(admin.post("/policies", policy).await.status, 201);
    let session = mia.session(json!({ "name": "release" })).await;
    mia.ask(&session, &priced(&runs("git tag v1"))).await;
    assert!(told(&world).contains("releases are made by the release team"), "{}", told(&world));

    // What no rule decides is asked, and a person decides it.
    let turn = mia.query_async(&session, &priced(&runs("touch notes.md"))).await;
    let approval = asked(&mia, &session).await;
    assert_eq!(approval["tool_input"]["command"], "touch notes.md");
    assert!(!file(&mia, &session, "notes.md").await.exists(), "it ran before anybody said so");
    let allowed = answer(&mia, &session, &approval, json!({ "decision": "allow" })).await.ok();
    assert_eq!(mia.turn_over(&turn).await["status"], "completed");
    assert!(file(&mia, &session, "notes.md").await.exists());

    // Half of the budget is spent by the next request, and all of it by those after it.
    let spent = mia.get(&session).await.ok()["total_cost_usd"].as_f64().unwrap();
    let limit = (((spent + EACH_USD) * 2.0 - EACH_USD) * 1e6).round() / 1e6;
    let budget = format!("/monitoring/costs/budget/{mia_id}");
    let set =
        send(admin.request(Method::PUT, &budget).json(&json!({ "monthly_budget_usd": limit }))).await.ok();
    assert_eq!(set["is_over_budget"], false, "{set}");
    while mia.query(&session, "[[usage:in=1000,out=1000]][[text:more]]").await.status == 200 {
        assert!(mia.get(&budget).await.ok()["percent_used"].as_f64().unwrap() < 200.0);
    }
    let refused = mia.query(&session, "more").await;
    assert_eq!(refused.problem(402, "BUDGET_EXHAUSTED")["spender"], json!({ "kind": "user", "id": mia_id }));

    // Each share of it was told once, to those who run the server and in the list of whose it is.
    let listed = mia.get("/monitoring/alerts").await.ok();
    let alerts = listed["items"].as_array().unwrap();
    let share = |alert: &Value| alert["topic"]["threshold_percent"].as_u64().unwrap();
    assert_eq!(alerts.iter().map(share).rev().collect::<Vec<_>>(), [50, 80, 100], "{listed}");
    assert!(alerts.iter().all(|alert| alert["user_id"] == mia_id), "{listed}");
    let mut posted: Vec<String> = vec![];
    for post in receiver.until(3).await {
        assert!(post.is_signed_with(SECRET), "{post:?}");
        posted.push(post.id().to_owned());
    }
    posted.sort();
    let mut ids: Vec<&str> = alerts.iter().map(|alert| alert["id"].as_str().unwrap()).collect();
    ids.sort_unstable();
    assert_eq!(posted, ids);

    // The record of the session: who decided what, in the order in which it was decided.
    let decisions = mia.get(&format!("{session}/permissions")).await.ok();
    let mut made: Vec<_> = decisions.as_array().unwrap().iter().collect();
    made.sort_by_key(|one| one["decided_at"].as_str().unwrap().to_owned());
    let denied = made.iter().find(|one| one["decision"] == "deny").unwrap();
    assert_eq!(
        (&denied["policy"], &denied["rule"], &denied["decided_by"]),
        (&json!("house"), &json!("no-tags"), &json!("policy")),
        "{decisions}"
    );
    let by_a_person = made.iter().find(|one| one["decided_by"] == "user").unwrap();
    assert_eq!(by_a_person["decision"], "allow", "{decisions}");
    assert_eq!(allowed["decided_by"], mia_id);
    let calls = mia.get(&format!("{session}/tool-calls")).await.ok();
    let statuses: Vec<_> = calls.as_array().unwrap().iter().map(|call| &call["status"]).collect();
    assert!(statuses.contains(&&json!("denied")) && statuses.contains(&&json!("completed")), "{calls}");

    // That of the server, which only admins read.
    let log = admin.get("/admin/audit-log?limit=1000").await.ok();
    let actions: Vec<_> =
        log.as_array().unwrap().iter().map(|entry| entry["action"].as_str().unwrap()).collect();
    for action in ["policy.created", "user.registered", "decision.deny", "approval.allowed", "budget.set"] {
        assert!(actions.contains(&action), "no {action} in {actions:?}");
    }
    mia.get("/admin/audit-log").await.problem(403, "FORBIDDEN");

    // And the money: one sum in the session, in the budget and in the report of costs.
    let cost = mia.get(&session).await.ok()["total_cost_usd"].clone();
    let costs = admin.get(&format!("/monitoring/costs/user/{mia_id}?by_session=true")).await.ok();
    assert_eq!((&costs["total_cost_usd"], &costs["by_session"][0]["cost_usd"]), (&cost, &cost), "{costs}");
    let left = mia.get(&budget).await.ok();
    assert_eq!((&left["current_month_cost_usd"], &left["reserved_usd"]), (&cost, &json!(0.0)), "{left}");
}

/// The same prompt, each of whose requests to the model has a known price.
fn priced(prompt: &str) -> String {
    let usage = "[[usage:in=1000,out=1000]]";
    format!("{usage}{}", prompt.replace("[[next]]", &format!("[[next]]{usage}")))
}
