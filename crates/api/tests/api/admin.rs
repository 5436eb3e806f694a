//! What those see who answer for the server, and a person who goes.

use crate::world::{PASSWORD, World};
use serde_json::{Value, json};

#[actix_web::test]
async fn an_admin_sees_how_much_there_is() {
    let world = World::new().await;
    let session = world.session().await;
    world.session().await;
    let path = format!("/api/v1/sessions/{session}/query");
    assert_eq!(world.alice.post(&path, json!({ "message": "hello" })).await.status, 200);
    let stats = world.admin.get("/api/v1/admin/stats").await;
    assert_eq!(stats.status, 200, "{}", stats.text());
    let stats = stats.json();
    for (field, value) in [
        ("total_users", json!(3)),
        ("active_users", json!(3)),
        ("total_sessions", json!(2)),
        ("active_sessions", json!(1)),
        ("running_sessions", json!(0)),
        ("total_sessions_today", json!(2)),
        ("total_api_calls_today", json!(0)),
        ("total_cost_today_usd", json!(0.0)),
    ] {
        assert_eq!(stats[field], value, "{field}");
    }
    assert!(stats["today_since"].as_str().unwrap().ends_with("T00:00:00Z"), "{stats}");
    let refused = world.alice.get("/api/v1/admin/stats").await;
    assert_eq!((refused.status, refused.error_code().as_str()), (403, "FORBIDDEN"));
    assert_eq!(world.anonymous.get("/api/v1/admin/stats").await.status, 401);
}

#[actix_web::test]
async fn an_admin_lists_everybodys_sessions_and_one_users() {
    const SESSIONS: &str = "/api/v1/admin/sessions";
    let world = World::new().await;
    let mine = world.session_with(json!({ "name": "kitchen" })).await;
    let made = world.bob.post("/api/v1/sessions", json!({ "name": "hall" })).await.json();
    let (alice, bob) = (world.id(&world.alice).await, world.id(&world.bob).await);
    let list = async |query: &str| {
        let listed = world.admin.get(&format!("{SESSIONS}{query}")).await;
        assert_eq!(listed.status, 200, "{query}: {}", listed.text());
        let listed = listed.json();
        let items = listed["items"].as_array().unwrap().iter().map(|item| item["id"].clone());
        (listed["total"].clone(), items.collect::<Vec<Value>>())
    };
    let (mine, his) = (json!(mine), made["id"].clone());
    assert_eq!(list("").await, (json!(2), vec![his.clone(), mine.clone()]));
    assert_eq!(list("?sort=created_at").await.1, [mine.clone(), his.clone()]);
    assert_eq!(list(&format!("?user_id={alice}")).await, (json!(1), vec![mine.clone()]));
    assert_eq!(list(&format!("?user_id={bob}&q=HALL")).await.1, [his]);
    assert_eq!(list(&format!("?user_id={bob}&q=kitchen")).await.1, [] as [Value; 0]);
    assert_eq!(list("?status=processing").await.1, [] as [Value; 0]);
    assert_eq!(list(&format!("?user_id={}", mine.as_str().unwrap())).await.0, json!(0), "no such user");

    let refused = world.alice.get(SESSIONS).await;
    assert_eq!((refused.status, refused.error_code().as_str()), (403, "FORBIDDEN"));
    assert_eq!(world.alice.get(&format!("{SESSIONS}?user_id={alice}")).await.status, 403);
    assert_eq!(world.anonymous.get(SESSIONS).await.status, 401);
    assert_eq!(world.admin.get(&format!("{SESSIONS}?status=odd")).await.violations(), ["?status enum"]);
}

#[actix_web::test]
async fn a_person_goes_with_all_that_is_kept_of_them() {
    let world = World::new().await;
    let session = world.session().await;
    let path = format!("/api/v1/sessions/{session}/query");
    assert_eq!(world.alice.post(&path, json!({ "message": "hello" })).await.status, 200);
    let key = world.alice.post("/api/v1/auth/api-keys", json!({ "name": "key" })).await.json();
    let key = world.anonymous.with_token(key["key"].as_str().unwrap());
    let his = world.bob.post("/api/v1/sessions", json!({})).await.json();
    let alice = format!("/api/v1/admin/users/{}", world.id(&world.alice).await);

    assert_eq!(world.anonymous.delete(&alice).await.status, 401);
    assert_eq!(world.bob.delete(&alice).await.error_code(), "FORBIDDEN");
    let me = format!("/api/v1/admin/users/{}", world.id(&world.admin).await);
    let refused = world.admin.delete(&me).await;
    assert_eq!(
        (refused.status, refused.error_code().as_str()),
        (403, "FORBIDDEN"),
        "nobody removes themselves"
    );
    let nobody = format!("/api/v1/admin/users/{session}");
    assert_eq!(world.admin.delete(&nobody).await.error_code(), "USER_NOT_FOUND");

    for _ in 0..2 {
        // Asking again changes nothing.
        assert_eq!(world.admin.delete(&alice).await.status, 204);
    }
    for client in [&world.alice, &key] {
        assert_eq!(client.get("/api/v1/auth/me").await.status, 401);
    }
    let login = json!({ "email": "alice@example.com", "password": PASSWORD });
    assert_eq!(world.anonymous.post("/api/v1/auth/login", login).await.status, 401);
    assert_eq!(world.admin.get(&format!("/api/v1/sessions/{session}")).await.status, 404);
    let row = world.admin.get(&alice).await.json();
    assert!(!row.to_string().contains("alice@example.com"), "{row}");
    assert_eq!(
        world.admin.patch(&alice, json!({ "is_active": true })).await.status,
        403,
        "nobody's for good"
    );
    let stats = world.admin.get("/api/v1/admin/stats").await.json();
    assert_eq!((&stats["total_users"], &stats["total_sessions"]), (&json!(2), &json!(1)));
    let his = format!("/api/v1/sessions/{}", his["id"].as_str().unwrap());
    assert_eq!(world.bob.get(&his).await.status, 200, "others keep what is theirs");
    // Somebody else may have the address now.
    world
        .admin
        .post("/api/v1/admin/users", json!({ "email": "alice@example.com", "password": PASSWORD }))
        .await;
    assert_eq!(world.admin.get("/api/v1/admin/stats").await.json()["total_users"], 3);
    let log = world.admin.get("/api/v1/admin/audit-log?action=user.erased").await.json();
    assert_eq!(log.as_array().unwrap().len(), 1);
}
