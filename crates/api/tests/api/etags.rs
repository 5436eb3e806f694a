//! States of things: what was not seen is not changed, and what was seen is not sent again.

use crate::{client::Client, world::World};
use reqwest::Method;
use serde_json::{Value, json};

/// Reads, changes with the tag, tries it again with the same tag, and without one.
async fn edit(reader: &Client, editor: &Client, path: &str, method: Method, body: Value) {
    let seen = reader.get(path).await;
    let tag = seen.header("etag").to_owned();
    assert!(seen.status == 200 && tag.starts_with('"'), "{path}: {} {tag}", seen.status);
    let with = async |body: &Value, tag: Option<&str>| {
        let mut request = editor.request(method.clone(), path).json(body);
        if let Some(tag) = tag {
            request = request.header("if-match", tag);
        }
        editor.send(request).await
    };
    let refused = with(&body, Some("\"00000000000000000000000000000000\"")).await;
    assert_eq!((refused.status, refused.error_code().as_str()), (412, "PRECONDITION_FAILED"), "{path}");
    assert_eq!(reader.get(path).await.header("etag"), tag, "nothing was changed");
    let changed = with(&body, Some(&tag)).await;
    assert_eq!(changed.status, 200, "{path}: {}", changed.text());
    assert_ne!(changed.header("etag"), tag, "{path}");
    assert_eq!(changed.header("etag"), reader.get(path).await.header("etag"), "{path}");
    assert_eq!(with(&body, Some(&tag)).await.status, 412, "{path}");
    assert_eq!(with(&body, Some("nonsense")).await.status, 422, "{path}");
}

async fn remove(editor: &Client, path: &str) {
    let delete = |tag: &str| editor.send(editor.request(Method::DELETE, path).header("if-match", tag));
    assert_eq!(delete("\"00000000000000000000000000000000\"").await.status, 412, "{path}");
    let tag = editor.get(path).await.header("etag").to_owned();
    let removed = delete(&tag).await;
    assert!([200, 204].contains(&removed.status), "{path}: {}", removed.text());
}

#[actix_web::test]
async fn what_is_edited_names_its_state_and_is_changed_in_that_state_only() {
    let world = World::new().await;
    let (alice, admin) = (&world.alice, &world.admin);
    let session = format!("/api/v1/sessions/{}", world.session().await);
    edit(alice, alice, &session, Method::PATCH, json!({"name": "renamed"})).await;
    edit(alice, alice, "/api/v1/auth/me", Method::PATCH, json!({"full_name": "Alice"})).await;
    let user = format!("/api/v1/admin/users/{}", world.id(&world.bob).await);
    edit(admin, admin, &user, Method::PATCH, json!({"team": "red"})).await;
    let hook = alice.post("/api/v1/hooks", crate::hooks::hook("guard")).await.json();
    let hook = format!("/api/v1/hooks/{}", hook["id"].as_str().unwrap());
    edit(alice, alice, &hook, Method::PATCH, json!({"is_enabled": false})).await;
    let text = "permit(principal, action, resource);";
    assert_eq!(admin.post("/api/v1/policies", json!({"name": "house", "text": text})).await.status, 201);
    let policy = "/api/v1/policies/house";
    edit(alice, admin, policy, Method::PUT, json!({"version": 1, "text": text, "description": "x"})).await;
    let budget = format!("/api/v1/monitoring/costs/budget/{}", world.id(&world.bob).await);
    edit(admin, admin, &budget, Method::PUT, json!({"monthly_budget_usd": 7})).await;
    let team = "/api/v1/monitoring/costs/budget/team/red";
    edit(admin, admin, team, Method::PUT, json!({"monthly_budget_usd": 7})).await;

    for path in [&*session, &*hook] {
        remove(alice, path).await;
    }
    for path in [policy, &budget, team, &user] {
        remove(admin, path).await;
    }
}

#[actix_web::test]
async fn what_a_client_has_is_not_sent_again() {
    let world = World::new().await;
    let path = format!("/api/v1/sessions/{}", world.session().await);
    let tag = world.alice.get(&path).await.header("etag").to_owned();
    let ask = async |tag: &str| {
        world.alice.send(world.alice.request(Method::GET, &path).header("if-none-match", tag)).await
    };
    let same = ask(&tag).await;
    assert_eq!((same.status, same.body.len(), same.header("etag")), (304, 0, tag.as_str()));
    assert_eq!(ask(&format!("W/{tag}, \"other\"")).await.status, 304);
    assert_eq!(ask("\"other\"").await.status, 200);
    assert_eq!(world.alice.patch(&path, json!({"name": "new"})).await.status, 200);
    assert_eq!(ask(&tag).await.status, 200);
    // What is spent of a budget is in the answer and not in the tag: it is always sent.
    let budget = format!("/api/v1/monitoring/costs/budget/{}", world.id(&world.alice).await);
    let tag = world.alice.get(&budget).await.header("etag").to_owned();
    let again =
        world.alice.send(world.alice.request(Method::GET, &budget).header("if-none-match", tag)).await;
    assert_eq!(again.status, 200);
}
