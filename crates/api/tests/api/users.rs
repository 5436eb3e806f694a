//! People: the list, one of them, making and changing them.

use crate::world::{PASSWORD, Plan, World};
use engine::Registration;
use insta::assert_snapshot;
use serde_json::{Value, json};

const USERS: &str = "/api/v1/admin/users";

#[actix_web::test]
async fn an_admin_makes_and_finds_people() {
    let world = World::of(Plan { registration: Registration::Closed, ..Plan::default() }).await;
    let request = json!({
        "email": "Eve@Example.com", "password": PASSWORD, "full_name": "Eve", "role": "admin",
        "team": "finance", "time_zone": "asia/tokyo"
    });
    let made = world.admin.post(USERS, request.clone()).await;
    assert_snapshot!("user_made", made.shown());
    assert_eq!(world.admin.get(made.header("location")).await.json(), made.json());
    assert_eq!(world.admin.post(USERS, request).await.status, 409);
    let eve = world.anonymous.logged_in("eve@example.com").await;
    assert_eq!(eve.get(USERS).await.json()["total"], 2);
    let listed = world.admin.get(&format!("{USERS}?limit=1")).await.json();
    let items = listed["items"].as_array().unwrap();
    assert_eq!((items.len(), &items[0]["email"]), (1, &json!("eve@example.com")));
    let next = world.admin.get(listed["links"]["next"].as_str().unwrap()).await.json();
    assert_eq!((&next["items"][0]["username"], &next["next_cursor"]), (&json!("admin"), &Value::Null));
}

#[actix_web::test]
async fn what_is_wrong_with_a_person_is_named() {
    let world = World::new().await;
    let me = world.id(&world.alice).await;
    for (body, violation) in [
        (json!({"email": "nobody", "password": PASSWORD}), "/email email"),
        (json!({"email": "a@example.com", "password": "short"}), "/password length"),
        (json!({"email": "a@example.com", "password": PASSWORD, "team": "a\nb"}), "/team control_character"),
        (
            json!({"email": "a@example.com", "password": PASSWORD, "time_zone": "Mars/Olympus"}),
            "/time_zone time_zone",
        ),
    ] {
        let refused = world.admin.post(USERS, body.clone()).await;
        assert_eq!((refused.status, refused.violations()), (422, vec![violation.to_owned()]), "{body}");
    }
    for (path, client) in
        [(format!("{USERS}/{me}"), &world.admin), ("/api/v1/auth/me".to_owned(), &world.alice)]
    {
        let refused = client.patch(&path, json!({"time_zone": "Mars/Olympus"})).await;
        assert_eq!(refused.violations(), ["/time_zone time_zone"]);
        assert!(refused.text().contains("Mars/Olympus"), "{}", refused.text());
    }
    let refused = world.alice.patch("/api/v1/auth/me", json!({"role": "admin"})).await;
    assert_eq!(refused.status, 422, "nobody makes themselves an admin: {}", refused.text());
    let nobody = format!("{USERS}/{}", world.session().await);
    assert_eq!(world.admin.patch(&nobody, json!({})).await.error_code(), "USER_NOT_FOUND");
}

#[actix_web::test]
async fn who_is_disabled_is_out_at_once() {
    let world = World::new().await;
    let alice = format!("{USERS}/{}", world.id(&world.alice).await);
    let key = world.alice.post("/api/v1/auth/api-keys", json!({"name": "key"})).await.json();
    let key = world.anonymous.with_token(key["key"].as_str().unwrap());
    let changed = world.admin.patch(&alice, json!({"is_active": false, "full_name": "Alice"})).await.json();
    assert_eq!((&changed["is_active"], &changed["full_name"]), (&json!(false), &json!("Alice")));
    for client in [&world.alice, &key] {
        assert_eq!(client.get("/api/v1/auth/me").await.status, 401);
    }
    let login = json!({"email": "alice@example.com", "password": PASSWORD});
    assert_eq!(world.anonymous.post("/api/v1/auth/login", login).await.status, 403);
    let back = world.admin.patch(&alice, json!({"is_active": true, "full_name": null})).await.json();
    assert_eq!(back["full_name"], Value::Null);
    assert_eq!(world.alice.get("/api/v1/auth/me").await.status, 401, "that login has ended");
    assert_eq!(key.get("/api/v1/auth/me").await.status, 200);
    let log = world.admin.get("/api/v1/admin/audit-log?action=user.changed").await.json();
    assert_eq!(log.as_array().unwrap().len(), 2);
    assert_eq!(log[0]["data"]["is_active"], false);
}

#[actix_web::test]
async fn the_last_admin_stays_one() {
    let world = World::new().await;
    let admin = format!("{USERS}/{}", world.id(&world.admin).await);
    for patch in [json!({"role": "member"}), json!({"is_active": false})] {
        let refused = world.admin.patch(&admin, patch).await;
        assert_eq!((refused.status, refused.error_code().as_str()), (409, "LAST_ADMIN"));
    }
    let alice = format!("{USERS}/{}", world.id(&world.alice).await);
    assert_eq!(world.admin.patch(&alice, json!({"role": "admin"})).await.status, 200);
    assert_eq!(world.alice.patch(&admin, json!({"role": "member"})).await.status, 200);
    assert_eq!(world.admin.get(USERS).await.status, 403, "at once");
}
