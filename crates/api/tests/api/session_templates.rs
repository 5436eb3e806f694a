//! Session templates over HTTP: what a session takes from one, who may see it, and what is refused by field.

use crate::world::World;
use serde_json::{Value, json};

const TEMPLATES: &str = "/api/v1/session-templates";

/// A template of alice's.
async fn made(world: &World, template: Value) -> String {
    let made = world.alice.post(TEMPLATES, template).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let id = made.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(made.header("location"), format!("{TEMPLATES}/{id}"));
    id
}

fn names(list: &Value) -> Vec<&str> {
    list["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap()).collect()
}

#[actix_web::test]
async fn a_template_fills_what_a_session_leaves_out() {
    let world = World::new().await;
    assert_eq!(world.alice.post("/api/v1/hooks", crate::hooks::hook("guard")).await.status, 201);
    let template = json!({
        "name": "review",
        "tags": [" CI", "ci", "Rust"],
        "system_prompt": "be brief",
        "allowed_tools": ["Read"],
        "permission_mode": "plan",
        "working_directory": "reviews",
        "hooks_enabled": ["guard"],
        "sdk_options": {"model": "claude-opus-4-5", "max_turns": 5},
        "metadata": {"from": "template"},
    });
    let id = made(&world, template).await;
    let shown = world.alice.get(&format!("{TEMPLATES}/{id}")).await.json();
    assert_eq!((&shown["tags"], &shown["usage_count"]), (&json!(["ci", "rust"]), &json!(0)));
    assert_eq!(shown["custom_policies"], Value::Null, "what was left out is left to the session");

    let filled = world.alice.post("/api/v1/sessions", json!({"template_id": id})).await;
    assert_eq!(filled.status, 201, "{}", filled.text());
    let filled = filled.json();
    assert_eq!(filled["template_id"], json!(id));
    assert_eq!((&filled["system_prompt"], &filled["permission_mode"]), (&json!("be brief"), &json!("plan")));
    assert_eq!((&filled["allowed_tools"], &filled["hooks_enabled"]), (&json!(["Read"]), &json!(["guard"])));
    assert_eq!(filled["sdk_options"], json!({"model": "claude-opus-4-5", "max_turns": 5}));
    assert_eq!(filled["metadata"], json!({"from": "template"}));
    assert!(filled["working_directory"].as_str().unwrap().ends_with("/reviews"));

    let asked = json!({
        "template_id": id,
        "allowed_tools": [],
        "permission_mode": "default",
        "metadata": {},
        "sdk_options": {"max_turns": 9},
    });
    let asked = world.alice.post("/api/v1/sessions", asked).await.json();
    assert_eq!((&asked["allowed_tools"], &asked["permission_mode"]), (&json!([]), &json!("default")));
    assert_eq!(asked["sdk_options"], json!({"model": "claude-opus-4-5", "max_turns": 9}));
    assert_eq!((&asked["metadata"], &asked["system_prompt"]), (&json!({}), &json!("be brief")));

    world.session().await;
    let of_it = world.alice.get(&format!("/api/v1/sessions?template_id={id}")).await.json();
    assert_eq!(of_it["total"], 2);
    assert_eq!(world.alice.get(&format!("{TEMPLATES}/{id}")).await.json()["usage_count"], 2);
    let fork = json!({"template_id": id, "mode": "forked", "parent_session_id": filled["id"]});
    let fork = world.alice.post("/api/v1/sessions", fork).await;
    assert_eq!((fork.status, fork.violations()), (422, vec!["/template_id unsupported".to_owned()]));

    assert_eq!(world.alice.delete(&format!("{TEMPLATES}/{id}")).await.status, 204);
    assert_eq!(world.alice.delete(&format!("{TEMPLATES}/{id}")).await.status, 404);
    let gone = world.alice.post("/api/v1/sessions", json!({"template_id": id})).await;
    assert_eq!((gone.status, gone.violations()), (422, vec!["/template_id unknown".to_owned()]));
    let of_it = world.alice.get(&format!("/api/v1/sessions?template_id={id}")).await.json();
    assert_eq!(of_it["total"], 2, "they stay");
}

#[actix_web::test]
async fn a_template_is_used_by_those_it_is_shared_with_and_changed_by_its_owner() {
    let world = World::new().await;
    let id = made(&world, json!({"name": "mine", "working_directory": "here"})).await;
    let path = format!("{TEMPLATES}/{id}");
    let uses = async |client: &crate::client::Client| {
        client.post("/api/v1/sessions", json!({"template_id": id})).await
    };
    assert_eq!((world.bob.get(&path).await.status, uses(&world.bob).await.status), (404, 422));
    assert_eq!(world.admin.get(&path).await.status, 200);

    let bob = world.id(&world.bob).await;
    let shared = world.alice.patch(&format!("{path}/sharing"), json!({"shared_with": [bob, bob]})).await;
    assert_eq!((shared.status, &shared.json()["shared_with"]), (200, &json!([bob])), "{}", shared.text());
    let seen = world.bob.get(&path).await.json();
    assert_eq!((&seen["name"], &seen["shared_with"]), (&json!("mine"), &Value::Null));
    assert_eq!(names(&world.bob.get(TEMPLATES).await.json()), ["mine"]);
    let his = uses(&world.bob).await;
    assert_eq!(his.status, 201, "{}", his.text());
    let his = his.json()["working_directory"].as_str().unwrap().to_owned();
    assert!(his.contains(&bob), "the directory is in his own folder: {his}");

    for refused in [
        world.bob.put(&path, json!({"name": "his"})).await,
        world.bob.patch(&format!("{path}/sharing"), json!({"is_public": true})).await,
        world.bob.delete(&path).await,
    ] {
        assert_eq!(
            (refused.status, refused.error_code().as_str()),
            (403, "FORBIDDEN"),
            "{}",
            refused.request
        );
    }
    let nobody = "0190a000-0000-7000-8000-000000000001";
    let unknown = world.alice.patch(&format!("{path}/sharing"), json!({"shared_with": [bob, nobody]})).await;
    assert_eq!((unknown.status, unknown.violations()), (422, vec!["/shared_with/1 unknown".to_owned()]));

    let taken_back = json!({"shared_with": [], "is_public": false});
    assert_eq!(world.alice.patch(&format!("{path}/sharing"), taken_back).await.status, 200);
    assert_eq!(world.bob.get(&path).await.status, 404);
    let public = world.alice.put(&path, json!({"name": "ours", "is_public": true})).await.json();
    assert_eq!((&public["working_directory"], &public["is_public"]), (&Value::Null, &json!(true)));
    assert_eq!(world.bob.get(&path).await.json()["name"], "ours");
    // An admin may change what is another's.
    assert_eq!(world.admin.put(&path, json!({"name": "theirs"})).await.status, 200);
    assert_eq!(world.bob.get(&path).await.status, 404, "left out, it is not public");
}

#[actix_web::test]
async fn templates_are_listed_searched_and_ranked() {
    let world = World::new().await;
    for (name, category, tags) in
        [("red", "warm", json!(["a", "b"])), ("green", "cold", json!(["b"])), ("greenish", "cold", json!([]))]
    {
        let is_public = name == "green";
        let template = json!({"name": name, "category": category, "tags": tags, "is_public": is_public});
        made(&world, template).await;
    }
    let table: [(&str, &[&str]); 5] = [
        ("", &["greenish", "green", "red"]),
        ("?category=cold", &["greenish", "green"]),
        ("?is_public=true", &["green"]),
        ("?is_public=false&category=cold", &["greenish"]),
        ("?limit=1&skip=2", &["red"]),
    ];
    for (query, expected) in table {
        let list = world.alice.get(&format!("{TEMPLATES}{query}")).await;
        assert_eq!(list.status, 200, "{}", list.text());
        assert_eq!(names(&list.json()), expected, "{query}");
    }
    assert_eq!(names(&world.bob.get(TEMPLATES).await.json()), ["green"]);

    let search = format!("{TEMPLATES}/search");
    let table: [(Value, &[&str]); 5] = [
        (json!({}), &["greenish", "green", "red"]),
        (json!({"query": "GREEN"}), &["greenish", "green"]),
        (json!({"tags": ["B"]}), &["green", "red"]),
        (json!({"tags": ["a", "b"]}), &["red"]),
        (json!({"query": "green", "tags": ["a"]}), &[]),
    ];
    for (body, expected) in table {
        assert_eq!(names(&world.alice.post(&search, body.clone()).await.json()), expected, "{body}");
    }
    let first = world.alice.post(&format!("{search}?limit=2"), json!({})).await.json();
    let next = first["links"]["next"].as_str().unwrap();
    assert_eq!(names(&world.alice.post(next, json!({})).await.json()), ["red"]);

    let red = &world.alice.get(&format!("{TEMPLATES}?category=warm")).await.json()["items"][0]["id"];
    world.session_with(json!({"template_id": red})).await;
    let top = world.alice.get(&format!("{TEMPLATES}/popular/top?limit=2")).await.json();
    assert_eq!((names(&top), &top["next_cursor"]), (vec!["red", "greenish"], &Value::Null));
}

#[actix_web::test]
async fn bad_templates_are_refused_by_field() {
    let world = World::new().await;
    let table: Vec<(Value, &[&str])> = vec![
        (json!({}), &["/name required"]),
        (json!({"name": ""}), &["/name length"]),
        (json!({"name": "x", "nmae": 1}), &["/nmae unknown_field"]),
        (json!({"name": "x", "tags": ["a\nb"]}), &["/tags item_length"]),
        (json!({"name": "x", "tags": [" "]}), &["/tags item_length"]),
        (json!({"name": "x", "permission_mode": "yolo"}), &["/permission_mode enum"]),
        (json!({"name": "x", "metadata": {"x": "y".repeat(70_000)}}), &["/metadata size"]),
        (json!({"name": "x", "sdk_options": {"effort": "huge"}}), &["/sdk_options/effort enum"]),
        (
            json!({"name": "x", "sdk_options": {"env": {"LD_PRELOAD": "x"}}}),
            &["/sdk_options/env/LD_PRELOAD forbidden"],
        ),
        (
            json!({"name": "x", "system_prompt": "a", "sdk_options": {"append_system_prompt": "b"}}),
            &["/sdk_options/append_system_prompt conflict"],
        ),
    ];
    let id = made(&world, json!({"name": "kept"})).await;
    for (body, violations) in table {
        let received = world.alice.post(TEMPLATES, body.clone()).await;
        assert_eq!(received.status, 422, "{body}: {}", received.text());
        assert_eq!(received.violations(), violations, "{body}: {}", received.text());
        assert_eq!(world.alice.put(&format!("{TEMPLATES}/{id}"), body).await.status, 422);
    }
    let list = world.alice.get(TEMPLATES).await.json();
    assert_eq!(names(&list), ["kept"], "nothing was made or changed");
    // What comes from a template is checked as if it had been asked for.
    let id =
        made(&world, json!({"name": "odd", "hooks_enabled": ["none"], "working_directory": "/etc"})).await;
    let refused = world.alice.post("/api/v1/sessions", json!({"template_id": id})).await;
    let violations = ["/hooks_enabled/0 unknown", "/working_directory outside"];
    assert_eq!((refused.status, refused.violations()), (422, violations.map(str::to_owned).to_vec()));
    assert_eq!(world.alice.get(&format!("{TEMPLATES}/{id}")).await.json()["usage_count"], 0);
}
