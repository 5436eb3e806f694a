//! Archives over HTTP.

use crate::{
    client::Received,
    world::{Plan, World},
};
use engine::ArchiveSettings;
use serde_json::{Value, json};
use std::{path::PathBuf, sync::atomic::Ordering};

/// A session of alice's that has a file, and its address.
async fn worked(world: &World) -> String {
    let session = world.session().await;
    let path = format!("/api/v1/sessions/{session}");
    let asked = world.alice.post(&format!("{path}/query"), json!({"message": "hello"})).await;
    assert_eq!(asked.status, 200, "{}", asked.text());
    std::fs::write(workspace(world, &path).await.join("note"), "keep me").unwrap();
    path
}

async fn workspace(world: &World, path: &str) -> PathBuf {
    PathBuf::from(world.alice.get(path).await.json()["working_directory"].as_str().unwrap())
}

async fn archive(world: &World, path: &str) -> Value {
    let archived = world.alice.post(&format!("{path}/archive"), json!({})).await;
    assert_eq!(archived.status, 200, "{}", archived.text());
    archived.json()
}

async fn get(world: &World, path: &str, headers: &[(&str, &str)]) -> Received {
    let mut request = world.alice.request(reqwest::Method::GET, path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    world.alice.send(request).await
}

#[actix_web::test]
async fn a_session_is_archived_looked_at_and_restored() {
    let world = World::new().await;
    let path = worked(&world).await;
    let workspace = workspace(&world, &path).await;
    let never = world.alice.get(&format!("{path}/archive")).await;
    assert_eq!((never.status, never.error_code().as_str()), (404, "ARCHIVE_NOT_FOUND"));

    let archived = archive(&world, &path).await;
    assert_eq!(archived["status"], "completed", "{archived:#}");
    assert_eq!((&archived["compression"], &archived["storage"]), (&json!("gzip"), &json!("local")));
    assert_eq!(archived["file_count"], archived["manifest"]["file_count"]);
    assert_eq!(archived["manifest"]["link"], format!("{path}/archive/manifest"));
    assert_eq!(archived["at_message"], 2);
    let key = archived["archive_path"].as_str().unwrap();
    assert_eq!(world.archives.object(key).unwrap()["workspace"]["note"], "keep me");
    assert!(!workspace.exists());
    let session = world.alice.get(&path).await.json();
    assert_eq!(
        (&session["status"], &session["archive_id"], &session["operation"]),
        (&json!("archived"), &archived["id"], &Value::Null)
    );
    let shown = world.alice.get(&format!("{path}/archive")).await;
    assert_eq!((shown.status, shown.json()), (200, archived.clone()));
    assert_eq!(archive(&world, &path).await, archived, "asking twice is fine");
    let refused = world.alice.post(&format!("{path}/query"), json!({"message": "hello"})).await;
    assert_eq!((refused.status, refused.error_code().as_str()), (409, "WRONG_STATE"));

    let restored = world.alice.post(&format!("{path}/archive/restore"), json!({})).await;
    assert_eq!((restored.status, &restored.json()["status"]), (200, &json!("active")), "{}", restored.text());
    assert_eq!(std::fs::read_to_string(workspace.join("note")).unwrap(), "keep me");
    let again = world.alice.post(&format!("{path}/archive/restore"), json!({})).await;
    assert_eq!(
        (again.status, again.error_code().as_str()),
        (409, "WRONG_STATE"),
        "nothing is to be restored"
    );
}

#[actix_web::test]
async fn an_archive_in_the_making_is_202_and_holds_the_session() {
    let world = World::new().await;
    let path = worked(&world).await;
    world.archives.writes.send_replace(false);
    let asked = async || {
        let request = json!({"compression": "zstd", "upload_to_s3": false});
        world.alice.post_with(&format!("{path}/archive"), request, &[("prefer", "respond-async")]).await
    };
    let begun = asked().await;
    assert_eq!(begun.status, 202, "{}", begun.text());
    assert_eq!(begun.header("location"), format!("{path}/archive"));
    assert_eq!(begun.header("preference-applied"), "respond-async");
    let id = begun.json()["id"].clone();
    assert_eq!(asked().await.json()["id"], id, "concurrent requests are one");
    assert_eq!(world.alice.get(&path).await.json()["operation"], "archiving");
    for (method, rest) in [("POST", "/query"), ("POST", "/pause"), ("DELETE", "")] {
        let request = world.alice.request(method.parse().unwrap(), &format!("{path}{rest}"));
        let request = if rest == "/query" { request.json(&json!({"message": "hello"})) } else { request };
        let refused = world.alice.send(request).await;
        assert_eq!((refused.status, refused.error_code().as_str()), (409, "SESSION_BUSY"), "{rest}");
        assert_eq!(refused.json()["operation"], "archiving");
    }
    let download = world.alice.get(&format!("{path}/archive/download")).await;
    assert_eq!(download.status, 404, "there is nothing to download yet");
    world.archives.writes.send_replace(true);
    let done = world.alice.watch_until(&format!("{path}/archive"), "status", "completed").await;
    assert_eq!((&done["id"], &done["compression"]), (&id, &json!("zstd")));
}

#[actix_web::test]
async fn only_a_session_at_rest_is_archived() {
    let world = World::new().await;
    let session = world.session().await;
    world.hang(&session).await;
    let refused = world.alice.post(&format!("/api/v1/sessions/{session}/archive"), json!({})).await;
    assert_eq!((refused.status, refused.error_code().as_str()), (409, "SESSION_BUSY"));
}

#[actix_web::test]
async fn bad_requests_are_named() {
    let world = World::new().await;
    let session = world.session().await;
    let path = format!("/api/v1/sessions/{session}/archive");
    for (body, pointer) in [(json!({"compression": "rar"}), "/compression"), (json!({"to": "s3"}), "/to")] {
        let refused = world.alice.post(&path, body).await;
        assert_eq!(refused.status, 422, "{}", refused.text());
        assert!(refused.violations().iter().any(|named| named.contains(pointer)), "{}", refused.text());
    }
    assert_eq!(world.alice.post(&format!("{path}/restore"), json!({})).await.status, 409);
}

#[actix_web::test]
async fn an_archive_is_downloaded_whole_and_in_ranges() {
    let world = World::new().await;
    let path = worked(&world).await;
    let archived = archive(&world, &path).await;
    let address = format!("{path}/archive/download");
    let whole = world.alice.get(&address).await;
    assert_eq!((whole.status, whole.header("content-type")), (200, "application/gzip"));
    assert_eq!(json!(whole.body.len()), archived["size_bytes"]);
    let etag = whole.header("etag").to_owned();
    assert_eq!(etag, format!("\"{}\"", archived["sha256"].as_str().unwrap()));
    assert!(whole.header("repr-digest").starts_with("sha-256=:"));
    assert_eq!(whole.header("accept-ranges"), "bytes");
    assert!(whole.header("content-disposition").contains(".tar.gz\""));

    let size = whole.body.len();
    for (range, expected) in [
        ("bytes=0-9".to_owned(), 0..10),
        ("bytes=-5".to_owned(), size - 5..size),
        (format!("bytes={}-", size - 3), size - 3..size),
    ] {
        let part = get(&world, &address, &[("range", &range), ("if-range", &etag)]).await;
        assert_eq!(part.status, 206, "{range}: {}", part.text());
        assert_eq!(part.body[..], whole.body[expected.clone()], "{range}");
        let shown = format!("bytes {}-{}/{size}", expected.start, expected.end - 1);
        assert_eq!(part.header("content-range"), shown);
        assert_eq!(part.header("repr-digest"), whole.header("repr-digest"), "of the whole");
    }
    let other = get(&world, &address, &[("range", "bytes=0-9"), ("if-range", "\"another\"")]).await;
    assert_eq!((other.status, other.body.len()), (200, size), "of another archive all of it comes");
    let several = get(&world, &address, &[("range", "bytes=0-1,4-5")]).await;
    assert_eq!((several.status, several.body.len()), (200, size));
    let outside = get(&world, &address, &[("range", &format!("bytes={size}-"))]).await;
    assert_eq!((outside.status, outside.error_code().as_str()), (416, "RANGE_NOT_SATISFIABLE"));
    assert_eq!(outside.header("content-range"), format!("bytes */{size}"));

    let manifest = world.alice.get(&format!("{path}/archive/manifest")).await;
    assert_eq!((manifest.status, manifest.header("content-type")), (200, "application/json"));
    let streamed = world.alice.get(&format!("{address}?redirect=true")).await;
    assert_eq!((streamed.status, streamed.body.len()), (200, size), "a local disk cannot sign");
}

#[actix_web::test]
async fn a_store_that_can_sign_is_redirected_to() {
    let world = World::of(Plan { archive_place: domain::ArchivePlace::S3, ..Plan::default() }).await;
    let path = worked(&world).await;
    let archived = archive(&world, &path).await;
    assert_eq!(archived["storage"], "s3");
    let request =
        world.alice.request(reqwest::Method::GET, &format!("{path}/archive/download?redirect=true"));
    let redirected = world.alice.open(request).await;
    assert_eq!(redirected.status(), 307);
    let location = redirected.headers()["location"].to_str().unwrap();
    let key = archived["archive_path"].as_str().unwrap();
    assert!(location.starts_with(&format!("https://s3.example.com/{key}")), "{location}");
    assert_eq!(redirected.headers()["cache-control"], "no-store");
}

#[actix_web::test]
async fn what_fails_says_what_to_do() {
    let world = World::of(Plan {
        archives: ArchiveSettings { local_bytes_max: Some(100), ..ArchiveSettings::default() },
        ..Plan::default()
    })
    .await;
    let path = worked(&world).await;
    let large = world.alice.post(&format!("{path}/archive"), json!({})).await;
    assert_eq!((large.status, large.error_code().as_str()), (409, "NOT_ARCHIVED"), "{}", large.text());
    assert!(large.text().contains("100 bytes"), "{}", large.text());
    let shown = world.alice.get(&format!("{path}/archive")).await.json();
    assert_eq!(shown["status"], "failed");
    assert!(shown["error_message"].as_str().unwrap().contains("100 bytes"));

    let world = World::new().await;
    let path = worked(&world).await;
    world.archives.failures.store(1, Ordering::SeqCst);
    let waiting = world.alice.post(&format!("{path}/archive"), json!({})).await;
    assert_eq!((waiting.status, &waiting.json()["status"]), (202, &json!("pending")), "{}", waiting.text());
    assert!(waiting.json()["error_message"].as_str().unwrap().contains("reach the archive store"));

    let world = World::new().await;
    let path = worked(&world).await;
    archive(&world, &path).await;
    world.archives.failures.store(1, Ordering::SeqCst);
    let down = world.alice.get(&format!("{path}/archive/download")).await;
    assert_eq!((down.status, down.error_code().as_str()), (503, "ARCHIVE_STORE_UNAVAILABLE"));
    world.archives.damage();
    let damaged = world.alice.get(&format!("{path}/archive/download")).await;
    assert_eq!((damaged.status, damaged.error_code().as_str()), (502, "ARCHIVE_DAMAGED"));
    let refused = world.alice.post(&format!("{path}/archive/restore"), json!({})).await;
    assert_eq!((refused.status, refused.error_code().as_str()), (502, "NOT_RESTORED"), "{}", refused.text());
    assert_eq!(world.alice.get(&path).await.json()["status"], "archived");
}

#[actix_web::test]
async fn preferences_that_cannot_be_read_are_passed_over() {
    let world = World::new().await;
    let path = worked(&world).await;
    let (_, execution) = crate::tasks::done(&world).await;
    let execution = format!("/api/v1/tasks/executions/{execution}");
    let ask = async |path: String, lines: &[&[u8]]| {
        let mut request = world.alice.request(reqwest::Method::POST, &path);
        for line in lines {
            request = request.header("prefer", *line);
        }
        world.alice.send(request).await
    };
    let long = "x".repeat(1025);
    let unread: [&[&[u8]]; 4] =
        [&[b"handling=lenient", b"wait=10"], &[long.as_bytes()], &[b"caf\xe9"], &[b""]];
    for lines in unread {
        for path in
            [format!("{path}/archive"), format!("{path}/archive/restore"), format!("{execution}/archive")]
        {
            let done = ask(path, lines).await;
            assert_eq!(done.status, 200, "{} {lines:?}: {}", done.request, done.text());
        }
    }
    world.archives.writes.send_replace(false);
    let begun = ask(format!("{path}/archive"), &[b"handling=lenient", b"caf\xe9", b"respond-async"]).await;
    assert_eq!((begun.status, begun.header("preference-applied")), (202, "respond-async"));
    world.archives.writes.send_replace(true);
    world.alice.watch_until(&path, "status", "archived").await;
}
