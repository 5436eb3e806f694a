//! Reports of what a real agent did, and what admins see of it.

use crate::world::World;
use reqwest::Method;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn a_report_says_what_an_agent_did_and_what_it_cost() {
    let world = World::start().await;
    let user = world.admin().await;
    let session = user.session(json!({ "name": "Bread & <butter>", "allowed_tools": ["Bash"] })).await;
    let prompt = r#"go [[text:on it]][[tool:Bash {"command":"echo crumbs"}]][[next]][[text:all **done**]]"#;
    let answer = user.query(&session, prompt).await.ok();
    let id = session.rsplit('/').next().unwrap();
    let report = user.post("/reports", json!({ "session_id": id, "format": "pdf" })).await.ok();
    let path = format!("/reports/{}/download", report["id"].as_str().unwrap());

    let document = user.get(&format!("{path}?format=json")).await.ok();
    assert_eq!(document["tool_calls"][0]["output"], "crumbs");
    assert_eq!(document["messages"][0]["text"], prompt);
    let decision = &document["decisions"][0];
    assert_eq!(
        (&decision["tool_name"], &decision["verdict"]),
        (&json!("Bash"), &json!("abstain")),
        "{document}"
    );
    let cost = document["metrics"]["cost_micro_usd"].as_f64().unwrap() / 1e6;
    assert_eq!(json!(cost), answer["metrics"]["cost_usd"]);
    assert_eq!(document["metrics"]["turns"][0]["cost_micro_usd"], document["metrics"]["cost_micro_usd"]);
    let by_model = &document["metrics"]["by_model"][0];
    assert_eq!(
        (&by_model["requests"], &by_model["cost_micro_usd"]),
        (&json!(2), &document["metrics"]["cost_micro_usd"])
    );

    let html = user.get(&format!("{path}?format=html")).await.body.as_str().unwrap().to_owned();
    for said in ["Bread &amp; &lt;butter&gt;", "all <strong>done</strong>", "crumbs", "<svg"] {
        assert!(html.contains(said), "{said} is not in {html}");
    }
    let markdown = user.get(&format!("{path}?format=markdown")).await.body.as_str().unwrap().to_owned();
    assert!(markdown.contains("all **done**") && markdown.contains("crumbs"), "{markdown}");
    let pdf = user.request(Method::GET, &path).send().await.unwrap().bytes().await.unwrap();
    assert!(pdf.starts_with(b"%PDF-") && pdf.len() > 10_000, "{} bytes", pdf.len());

    let stats = user.get("/admin/stats").await.ok();
    assert_eq!(
        (&stats["total_sessions"], &stats["total_api_calls_today"]),
        (&json!(1), &json!(2)),
        "{stats}"
    );
    assert_eq!(stats["total_cost_today_usd"], answer["metrics"]["cost_usd"]);
}
