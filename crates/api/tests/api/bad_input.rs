//! What bad input gets: a status, and the place that is wrong.

use crate::world::World;
use serde_json::{Value, json};

#[actix_web::test]
async fn bad_sessions_are_refused_by_field() {
    let world = World::new().await;
    std::fs::create_dir_all(world.directory().join("shared")).unwrap();
    std::os::unix::fs::symlink("/etc", world.directory().join("shared/link")).unwrap();
    let link = world.directory().join("shared/link").display().to_string();
    let table: Vec<(Value, &[&str])> = vec![
        (json!([]), &[" type"]),
        (json!({"nmae": "x"}), &["/nmae unknown_field"]),
        (json!({"name": 7}), &["/name type"]),
        (json!({"name": "x".repeat(256)}), &["/name length"]),
        (json!({"name": "a\u{0}b"}), &["/name control_character"]),
        (json!({"name": "two\nlines"}), &["/name control_character"]),
        (json!({"description": "a\u{1b}[2J"}), &["/description control_character"]),
        (json!({"mode": "turbo"}), &["/mode enum"]),
        (json!({"mode": "forked"}), &["/parent_session_id required"]),
        (json!({"mode": "background"}), &["/initial_message required"]),
        (json!({"permission_mode": "yolo"}), &["/permission_mode enum"]),
        (json!({"max_retries": 11}), &["/max_retries range"]),
        (json!({"max_retries": -1}), &["/max_retries value"]),
        (json!({"retry_delay": 300.1}), &["/retry_delay range"]),
        (json!({"retry_delay": -0.1}), &["/retry_delay range"]),
        (json!({"timeout_seconds": 0}), &["/timeout_seconds range"]),
        (json!({"timeout_seconds": 86_401}), &["/timeout_seconds range"]),
        (json!({"timeout_seconds": 0, "max_retries": 11}), &["/max_retries range", "/timeout_seconds range"]),
        (json!({"template_id": "0190a000-0000-7000-8000-000000000001"}), &["/template_id unknown"]),
        (json!({"template_id": "x"}), &["/template_id invalid"]),
        (
            json!({"parent_session_id": "0190a000-0000-7000-8000-000000000001"}),
            &["/parent_session_id unsupported"],
        ),
        (json!({"fork_at_message": -1}), &["/fork_at_message value"]),
        (json!({"metadata": [1]}), &["/metadata type"]),
        (json!({"metadata": {"x": "y".repeat(70_000)}}), &["/metadata size"]),
        (json!({"allowed_tools": [""]}), &["/allowed_tools item_length"]),
        (json!({"hooks_enabled": ["mine"]}), &["/hooks_enabled/0 unknown"]),
        (json!({"custom_policies": ["mine"]}), &["/custom_policies/0 unknown"]),
        (json!({"sdk_options": {"modle": "x"}}), &["/sdk_options/modle unknown_field"]),
        (json!({"sdk_options": {"max_turns": 0}}), &["/sdk_options/max_turns range"]),
        (json!({"sdk_options": {"effort": "huge"}}), &["/sdk_options/effort enum"]),
        (json!({"sdk_options": {"env": {"LD_PRELOAD": "x"}}}), &["/sdk_options/env/LD_PRELOAD forbidden"]),
        (json!({"sdk_options": {"add_dirs": ["/etc"]}}), &["/sdk_options/add_dirs/0 outside"]),
        (json!({"working_directory": "/etc"}), &["/working_directory outside"]),
        (json!({"working_directory": "../up"}), &["/working_directory path"]),
        (json!({"working_directory": ""}), &["/working_directory length"]),
        (json!({"working_directory": link}), &["/working_directory symlink"]),
        (json!({"initial_message": " "}), &["/initial_message blank"]),
    ];
    for (body, violations) in table {
        let received = world.alice.post("/api/v1/sessions", body.clone()).await;
        assert_eq!(received.status, 422, "{body}: {}", received.text());
        assert_eq!(received.violations(), violations, "{body}: {}", received.text());
    }
    assert_eq!(world.alice.get("/api/v1/sessions").await.json()["total"], 0, "nothing was made");
}

#[actix_web::test]
async fn bad_prompts_are_refused_by_block() {
    let world = World::new().await;
    let session = world.session().await;
    let image =
        |source: Value| json!([{"type": "text", "text": "look"}, {"type": "image", "source": source}]);
    let table: Vec<(Value, &[&str])> = vec![
        (json!({}), &["/message required"]),
        (json!({"message": null}), &["/message type"]),
        (json!({"message": 7}), &["/message type"]),
        (json!({"message": {}}), &["/message type"]),
        (json!({"message": ""}), &["/message blank"]),
        (json!({"message": " \n"}), &["/message blank"]),
        (json!({"message": []}), &["/message length"]),
        (json!({"message": vec![json!({"type": "text", "text": "x"}); 101]}), &["/message length"]),
        (json!({"message": ["x"]}), &["/message/0 type"]),
        (json!({"message": [{"type": "sound"}]}), &["/message/0/type enum"]),
        (json!({"message": [{"type": "text"}]}), &["/message/0/text required"]),
        (json!({"message": [{"type": "text", "text": "x", "y": 1}]}), &["/message/0/y unknown_field"]),
        (
            json!({"message": [{"type": "text", "text": "x"}, {"type": "text", "text": ""}]}),
            &["/message/1/text blank"],
        ),
        (
            json!({"message": image(json!({"type": "base64", "media_type": "image/png", "data": "?"}))}),
            &["/message/1/source base64"],
        ),
        (
            json!({"message": image(json!({"type": "url", "url": "file:///etc/passwd"}))}),
            &["/message/1/source url"],
        ),
        (json!({"message": "hello", "fork": "yes"}), &["/fork type"]),
        (json!({"message": "hello", "if_busy": "wait"}), &["/if_busy enum"]),
        (json!({"message": "hello", "model": "x"}), &["/model unknown_field"]),
    ];
    for (body, violations) in table {
        let received = world.alice.post(&format!("/api/v1/sessions/{session}/query"), body.clone()).await;
        assert_eq!(received.status, 422, "{body}: {}", received.text());
        assert_eq!(received.violations(), violations, "{body}: {}", received.text());
    }
    assert!(world.launcher.agents().is_empty(), "no agent was bothered");
}

#[actix_web::test]
async fn other_bad_bodies_are_refused_by_field() {
    let world = World::new().await;
    let session = format!("/api/v1/sessions/{}", world.session().await);
    let (resume, fork) = (format!("{session}/resume"), format!("{session}/fork"));
    let table: Vec<(&str, &str, Value, &[&str])> = vec![
        ("POST", "/api/v1/auth/login", json!({"email": "a"}), &["/password required"]),
        ("POST", "/api/v1/auth/login", json!({"email": "a", "password": ""}), &["/password length"]),
        (
            "POST",
            "/api/v1/auth/login",
            json!({"email": "a", "password": "x".repeat(1025)}),
            &["/password length"],
        ),
        ("POST", "/api/v1/auth/refresh", json!({"refresh_token": ""}), &["/refresh_token length"]),
        (
            "POST",
            "/api/v1/auth/register",
            json!({"email": "a", "password": "short"}),
            &["/email email", "/password length"],
        ),
        (
            "POST",
            "/api/v1/auth/register",
            json!({"email": "a@b.example", "password": "x".repeat(12), "username": "a\u{0}", "full_name": "\u{85}"}),
            &["/full_name control_character", "/username control_character"],
        ),
        ("POST", "/api/v1/auth/api-keys", json!({"name": ""}), &["/name length"]),
        ("POST", "/api/v1/auth/api-keys", json!({"name": "\u{7f}"}), &["/name control_character"]),
        ("POST", "/api/v1/auth/api-keys", json!({"name": "k", "scopes": []}), &["/scopes length"]),
        ("POST", "/api/v1/auth/api-keys", json!({"name": "k", "scopes": ["root"]}), &["/scopes/0 invalid"]),
        (
            "POST",
            "/api/v1/auth/api-keys",
            json!({"name": "k", "expires_at": "soon"}),
            &["/expires_at invalid"],
        ),
        ("POST", &resume, json!({"fork": 1}), &["/fork type"]),
        ("POST", &fork, json!({"fork_at_message": 1}), &["/fork_at_message range"]),
        ("POST", &fork, json!({"fork_at_message": -1}), &["/fork_at_message value"]),
        ("POST", &fork, json!({"working_directory": "../x"}), &["/working_directory path"]),
        ("POST", &fork, json!({"mode": "background"}), &["/mode unknown_field"]),
        ("PATCH", &session, json!({"status": "active"}), &["/status unknown_field"]),
        ("PATCH", &session, json!({"name": "x".repeat(256)}), &["/name length"]),
        ("PATCH", &session, json!({"name": "\r"}), &["/name control_character"]),
        ("PATCH", &session, json!({"description": "\u{0}"}), &["/description control_character"]),
        ("PATCH", &session, json!({"permission_mode": "yolo"}), &["/permission_mode enum"]),
        ("PATCH", &session, json!({"model": ""}), &["/model length"]),
    ];
    for (method, path, body, violations) in table {
        let request = world.alice.request(method.parse().unwrap(), path).json(&body);
        let received = world.alice.send(request).await;
        assert_eq!(received.status, 422, "{path} {body}: {}", received.text());
        assert_eq!(received.violations(), violations, "{path} {body}: {}", received.text());
    }
}

#[actix_web::test]
async fn bad_parameters_are_refused_by_name() {
    let world = World::new().await;
    let session = format!("/api/v1/sessions/{}", world.session().await);
    let table = [
        ("/api/v1/sessions?limit=0", "?limit range"),
        ("/api/v1/sessions?limit=101", "?limit range"),
        ("/api/v1/sessions?limit=x", "?limit invalid"),
        ("/api/v1/sessions?sort=name", "?sort enum"),
        ("/api/v1/sessions?status=sleepy", "?status enum"),
        ("/api/v1/sessions?created_after=yesterday", "?created_after invalid"),
        ("/api/v1/sessions?cursor=nonsense", "?cursor cursor"),
        ("/api/v1/sessions?token=x", "?token unknown_field"),
        ("{}/messages?limit=1001", "?limit range"),
        ("{}/messages?cursor=nonsense", "?cursor cursor"),
        ("{}/tool-calls?skip=1", "?skip unknown_field"),
        ("{}/audit-trail?cursor=x", "?cursor invalid"),
        ("{}/hooks?limit=1001", "?limit range"),
        ("{}/hooks?cursor=nonsense", "?cursor cursor"),
        ("/api/v1/hooks?cursor=nonsense", "?cursor cursor"),
        ("{}/events?after=-1", "?after invalid"),
        ("{}/stream?after=x", "?after invalid"),
        ("{}/files/content", "?path required"),
    ];
    for (path, violation) in table {
        let received = world.alice.get(&path.replace("{}", &session)).await;
        assert_eq!(received.status, 422, "{path}: {}", received.text());
        assert_eq!(received.violations(), [violation], "{path}: {}", received.text());
    }
    let request = world.alice.request(reqwest::Method::GET, &format!("{session}/events"));
    let received = world.alice.send(request.header("last-event-id", "seven")).await;
    assert_eq!((received.status, received.violations()), (422, vec!["#Last-Event-ID invalid".to_owned()]));
}

#[actix_web::test]
async fn a_description_has_lines() {
    let world = World::new().await;
    let description = "first\r\n\tsecond\n";
    let made = world.alice.post("/api/v1/sessions", json!({"description": description})).await;
    assert_eq!(made.json()["description"], description, "{}", made.text());
}
