//! Policies over HTTP: who may write them, what is wrong with a text and where, and what a call would get.

use crate::world::{Plan, World};
use engine::{GovernanceSettings, PolicyChoice};
use serde_json::{Value, json};

const PATH: &str = "/api/v1/policies";
const NO_PUSH: &str = r#"@id("no-force") @reason("force pushes rewrite history")
forbid(principal, action == Action::"run_command", resource == Command::"git")
when { resource.line like "git push*" && resource.arguments.contains("--force") };"#;

fn policy(name: &str, text: &str) -> Value {
    json!({ "name": name, "text": text })
}

#[actix_web::test]
async fn an_admin_stores_changes_and_deletes_and_everybody_reads() {
    let world = World::new().await;
    let made = world.admin.post(PATH, policy("no-push", NO_PUSH)).await;
    assert_eq!(made.status, 201, "{}", made.text());
    assert_eq!(made.header("location"), "/api/v1/policies/no-push");
    let one = format!("{PATH}/no-push");
    let read = world.alice.get(&one).await.json();
    assert_eq!(
        (&read["version"], &read["mandatory"], &read["text"]),
        (&json!(1), &json!(false), &json!(NO_PUSH))
    );

    let next = json!({ "version": 1, "text": NO_PUSH, "description": "kept", "mandatory": true });
    let changed = world.admin.put(&one, next.clone()).await;
    assert_eq!((changed.status, &changed.json()["version"]), (200, &json!(2)), "{}", changed.text());
    let stale = world.admin.put(&one, next).await;
    assert_eq!((stale.status, stale.error_code()), (409, "POLICY_CHANGED".into()));
    assert_eq!(stale.json()["version"], 2);
    let twice = world.admin.post(PATH, policy("no-push", NO_PUSH)).await;
    assert_eq!((twice.status, twice.error_code()), (409, "ALREADY_EXISTS".into()));

    let list = world.bob.get(PATH).await.json();
    assert_eq!((&list["total"], &list["items"][0]["version"]), (&json!(1), &json!(2)));
    assert_eq!(world.admin.delete(&one).await.status, 204);
    let gone = world.alice.get(&one).await;
    assert_eq!((gone.status, gone.error_code()), (404, "POLICY_NOT_FOUND".into()));
    let versions = world.alice.get(&format!("{one}/versions")).await.json();
    assert_eq!(versions["items"].as_array().unwrap().len(), 2);
    assert_eq!(world.alice.get(&format!("{one}/versions/1")).await.json()["mandatory"], false);
    assert_eq!(world.alice.get(&format!("{one}/versions/3")).await.status, 404);

    let schema = world.alice.get(&format!("{PATH}/schema")).await.json();
    assert!(schema["schema"].as_str().unwrap().contains("action \"run_command\" appliesTo"));
}

#[actix_web::test]
async fn members_and_keys_that_only_read_write_no_policies() {
    let world = World::new().await;
    world.admin.post(PATH, policy("house", NO_PUSH)).await;
    let one = format!("{PATH}/house");
    let key = world.admin.post("/api/v1/auth/api-keys", json!({ "name": "r", "scopes": ["read"] })).await;
    let reader = world.admin.with_token(key.json()["key"].as_str().unwrap());
    for (client, code) in [(&world.alice, "FORBIDDEN"), (&reader, "READ_ONLY")] {
        for received in [
            client.post(PATH, policy("mine", NO_PUSH)).await,
            client.put(&one, json!({ "version": 1, "text": NO_PUSH })).await,
            client.delete(&one).await,
            client.post(&format!("{one}/dry-run"), json!({})).await,
        ] {
            assert_eq!((received.status, received.error_code()), (403, code.into()), "{}", received.text());
        }
    }
    assert_eq!(reader.get(&one).await.json()["version"], 1);
    // To ask what they say is to read them.
    let asked = json!({ "tool_name": "Bash", "tool_input": { "command": "git push" } });
    assert_eq!(reader.post(&format!("{PATH}/evaluate"), asked).await.status, 200);
    assert_eq!(world.anonymous.get(&one).await.status, 401);
}

#[actix_web::test]
async fn what_is_wrong_with_a_policy_has_its_place() {
    let world = World::new().await;
    let text = "permit(principal, action, resource);\nforbid(principal, action, resource)\n  when { context.colour == \"red\" };";
    let refused = world.admin.post(PATH, policy("house", text)).await;
    assert_eq!(refused.status, 422);
    let error = &refused.json()["errors"][0];
    assert_eq!(
        (&error["pointer"], &error["code"], &error["line"], &error["column"]),
        (&json!("/text"), &json!("type"), &json!(3), &json!(10))
    );
    assert!(error["message"].as_str().unwrap().contains("colour"), "{error}");
    let table = [
        (json!({ "name": "a b", "text": NO_PUSH }), "/name name"),
        (json!({ "name": "Paths", "text": NO_PUSH }), "/name name"),
        (json!({ "name": "paths", "text": NO_PUSH }), "/name reserved"),
        (json!({ "name": "schema", "text": NO_PUSH }), "/name reserved"),
        (json!({ "name": "x", "text": "" }), "/text empty"),
        (json!({ "name": "x", "text": " ".repeat(70_000) }), "/text size"),
        (json!({ "name": "x" }), "/text required"),
        (json!({ "name": "x", "text": NO_PUSH, "mandatry": true }), "/mandatry unknown_field"),
    ];
    for (body, violation) in table {
        let received = world.admin.post(PATH, body.clone()).await;
        assert_eq!((received.status, received.violations()), (422, vec![violation.to_owned()]), "{body}");
    }
    assert_eq!(world.admin.get(PATH).await.json()["total"], 0, "nothing was stored");
}

#[actix_web::test]
async fn a_call_can_be_tried_and_leaves_nothing_behind() {
    let world = World::new().await;
    world.admin.post(PATH, policy("no-push", NO_PUSH)).await;
    let session = world.session_with(json!({ "custom_policies": ["no-push"] })).await;
    let push = json!({
        "tool_name": "Bash", "tool_input": { "command": "git push --force" }, "session_id": session,
    });
    let tried = world.alice.post(&format!("{PATH}/evaluate"), push.clone()).await.json();
    assert_eq!(
        (&tried["verdict"], &tried["policy"], &tried["version"]),
        (&json!("deny"), &json!("no-push"), &json!(1))
    );
    assert_eq!(tried["reason"], "force pushes rewrite history");
    assert!(tried["opinions"].as_array().unwrap().len() > 3, "{tried}");
    assert_eq!(world.bob.post(&format!("{PATH}/evaluate"), push).await.status, 404);
    let kept = world.alice.get(&format!("/api/v1/sessions/{session}")).await.json();
    assert_eq!(kept["permission_check_count"], 0);

    let unknown = json!({ "tool_name": "Bash", "policies": ["mine"], "text": "permit" });
    let refused = world.alice.post(&format!("{PATH}/evaluate"), unknown).await;
    assert_eq!(refused.violations(), ["/policies/0 unknown", "/text syntax"]);
    let dry = world.admin.post(&format!("{PATH}/no-push/dry-run"), json!({ "days": 30 })).await;
    assert_eq!((dry.status, &dry.json()["considered"]), (200, &json!(0)), "{}", dry.text());
    let dry = world.admin.post(&format!("{PATH}/other/dry-run"), json!({})).await;
    assert_eq!(dry.error_code(), "POLICY_NOT_FOUND");
}

#[actix_web::test]
async fn where_choosing_is_closed_no_session_chooses() {
    let policy_choice = PolicyChoice::Closed;
    let governance = GovernanceSettings { policy_choice, ..GovernanceSettings::default() };
    let world = World::of(Plan { governance, ..Plan::default() }).await;
    world.admin.post(PATH, policy("house", NO_PUSH)).await;
    let refused = world.alice.post("/api/v1/sessions", json!({ "custom_policies": ["house"] })).await;
    assert_eq!(refused.violations(), ["/custom_policies disabled"]);
    let session = world.session().await;
    let change = json!({ "custom_policies": ["house"] });
    let refused = world.alice.patch(&format!("/api/v1/sessions/{session}"), change).await;
    assert_eq!(refused.violations(), ["/custom_policies disabled"]);
}
