//! Reports over HTTP: made, listed, downloaded in every format, and what they keep to themselves.

use crate::world::World;
use serde_json::{Value, json};

const REPORTS: &str = "/api/v1/reports";

async fn asked(world: &World, session: &str, message: &str) {
    let path = format!("/api/v1/sessions/{session}/query");
    let answered = world.alice.post(&path, json!({ "message": message })).await;
    assert_eq!(answered.status, 200, "{}", answered.text());
}

async fn made(world: &World, request: Value) -> Value {
    let made = world.alice.post(REPORTS, request).await;
    assert_eq!(made.status, 201, "{}", made.text());
    made.json()
}

async fn downloaded(world: &World, report: &Value, format: &str) -> crate::client::Received {
    let path = report["_links"]["download"].as_str().unwrap();
    let file = world.alice.get(&format!("{path}{format}")).await;
    assert_eq!(file.status, 200, "{}", file.text());
    file
}

#[actix_web::test]
async fn a_report_is_made_found_and_deleted() {
    let world = World::new().await;
    let session = world.session_with(json!({ "name": "Tidy up" })).await;
    asked(&world, &session, "tool").await;
    let received = world.alice.post(REPORTS, json!({ "session_id": session, "format": "pdf" })).await;
    assert_eq!(received.status, 201, "{}", received.text());
    let report = received.json();
    assert_eq!(received.header("location"), report["_links"]["self"]);
    for (field, value) in [
        ("session_id", json!(session)),
        ("session_name", json!("Tidy up")),
        ("user_id", json!(world.id(&world.alice).await)),
        ("format", json!("pdf")),
        ("include_messages", json!(true)),
        ("include_tool_calls", json!(true)),
        ("include_metrics", json!(true)),
        ("is_shortened", json!(false)),
    ] {
        assert_eq!(report[field], value, "{field}");
    }
    let path = report["_links"]["self"].as_str().unwrap();
    assert_eq!(world.alice.get(path).await.json(), report);
    assert_eq!(world.admin.get(path).await.json(), report, "an admin sees everybody's");
    let other = made(&world, json!({ "session_id": world.session().await })).await;
    let listed = world.alice.get(REPORTS).await.json();
    assert_eq!((&listed["total"], &listed["items"][0]["id"]), (&json!(2), &other["id"]));
    let filtered = world.alice.get(&format!("{REPORTS}?session_id={session}&format=pdf")).await.json();
    assert_eq!((&filtered["total"], &filtered["items"][0]["id"]), (&json!(1), &report["id"]));
    assert_eq!(world.bob.get(REPORTS).await.json()["total"], 0);
    let first = world.alice.get(&format!("{REPORTS}?limit=1")).await.json();
    let second = world.alice.get(first["links"]["next"].as_str().unwrap()).await.json();
    assert_eq!((&second["items"][0]["id"], &second["next_cursor"]), (&report["id"], &Value::Null));

    assert_eq!(world.bob.delete(path).await.error_code(), "REPORT_NOT_FOUND");
    assert_eq!(world.alice.delete(path).await.status, 204);
    assert_eq!(world.alice.get(path).await.error_code(), "REPORT_NOT_FOUND");
    assert_eq!(world.alice.delete(path).await.status, 404);
    let log = world.admin.get("/api/v1/admin/audit-log?action=report.").await.json();
    let told: Vec<&Value> = log.as_array().unwrap().iter().map(|entry| &entry["action"]).collect();
    assert_eq!(told, ["report.created", "report.created", "report.deleted"]);
}

#[actix_web::test]
async fn a_report_comes_in_every_format_whatever_it_was_made_in() {
    let world = World::new().await;
    let session = world.session_with(json!({ "name": "Tidy <b>up" })).await;
    asked(&world, &session, "tool").await;
    let report = made(&world, json!({ "session_id": session })).await;
    let id = report["id"].as_str().unwrap();
    for (format, extension, media) in [
        ("", "json", "application/json"),
        ("?format=json", "json", "application/json"),
        ("?format=markdown", "md", "text/markdown; charset=utf-8"),
        ("?format=html", "html", "text/html; charset=utf-8"),
        ("?format=pdf", "pdf", "application/pdf"),
    ] {
        let file = downloaded(&world, &report, format).await;
        assert_eq!(file.header("content-type"), media, "{format}");
        let name = format!("attachment; filename=\"report-{id}.{extension}\"");
        assert_eq!(file.header("content-disposition"), name);
        let policy = file.header("content-security-policy");
        assert!(policy.starts_with("sandbox; default-src 'none'"), "{policy}");
        assert_eq!(file.header("cache-control"), "private, no-cache");
    }
    let document = downloaded(&world, &report, "").await.json();
    assert_eq!(document["session"]["name"], "Tidy <b>up");
    let messages = document["messages"].as_array().unwrap();
    assert_eq!((&messages[0]["text"], &messages[0]["message_type"]), (&json!("tool"), &json!("user")));
    assert_eq!(messages.last().unwrap()["text"], "it said hi");
    let call = &document["tool_calls"][0];
    assert_eq!((&call["tool_name"], &call["output"]), (&json!("Bash"), &json!("hi")));
    assert_eq!(document["metrics"]["turns"][0]["status"], "completed");
    let html = downloaded(&world, &report, "?format=html").await.text();
    assert!(html.contains("<h1 dir=\"auto\">Tidy &lt;b&gt;up</h1>") && html.contains("it said hi"), "{html}");
    let markdown = downloaded(&world, &report, "?format=markdown").await.text();
    assert!(markdown.starts_with("# Tidy \\<b\\>up\n") && markdown.contains("it said hi"), "{markdown}");
    let pdf = lopdf::Document::load_mem(&downloaded(&world, &report, "?format=pdf").await.body).unwrap();
    let pages: Vec<u32> = pdf.get_pages().into_keys().collect();
    let text = pdf.extract_text(&pages).unwrap().replace(char::is_whitespace, "");
    assert!(text.contains("Tidy<b>up") && text.contains("itsaidhi"), "{text}");
}

#[actix_web::test]
async fn a_report_says_what_was_and_nothing_that_was_not_wanted() {
    let world = World::new().await;
    let session = world.session().await;
    asked(&world, &session, "hello").await;
    let whole = made(&world, json!({ "session_id": session })).await;
    let bare = json!({
        "session_id": session, "include_messages": false, "include_tool_calls": false, "include_metrics": false
    });
    let bare = made(&world, bare).await;
    let before = downloaded(&world, &whole, "").await.json();
    asked(&world, &session, "tool").await;
    world.alice.patch(&format!("/api/v1/sessions/{session}"), json!({ "name": "later" })).await;
    assert_eq!(
        downloaded(&world, &whole, "").await.json(),
        before,
        "it does not change when the session goes on"
    );
    let bare = downloaded(&world, &bare, "").await.json();
    for part in ["metrics", "messages", "tool_calls", "decisions", "approvals"] {
        assert_eq!(bare[part], Value::Null, "{part}");
    }
}

#[actix_web::test]
async fn a_report_is_of_ones_own_session_and_goes_with_it() {
    let world = World::new().await;
    let session = world.session().await;
    let request = json!({ "session_id": session });
    let refused = world.bob.post(REPORTS, request.clone()).await;
    assert_eq!((refused.status, refused.error_code().as_str()), (404, "SESSION_NOT_FOUND"));
    let of_admin = world.admin.post(REPORTS, request).await.json();
    assert_eq!(of_admin["user_id"], json!(world.id(&world.alice).await), "it is the session's owner's");
    let path = of_admin["_links"]["self"].as_str().unwrap();
    assert_eq!(world.alice.get(path).await.status, 200);
    let alice = format!("/api/v1/admin/users/{}", world.id(&world.alice).await);
    assert_eq!(world.admin.delete(&alice).await.status, 204);
    assert_eq!(world.admin.get(path).await.status, 404, "what was said in the session is gone, here too");
    assert_eq!(world.admin.get(REPORTS).await.json()["total"], 0);
}

#[actix_web::test]
async fn of_a_long_session_the_end_is_told_and_what_is_left_out() {
    let world = World::new().await;
    let of = async |prompts: &[&str]| {
        let session = world.session().await;
        for prompt in prompts {
            asked(&world, &session, prompt).await;
        }
        let report = made(&world, json!({ "session_id": session })).await;
        assert_eq!(report["is_shortened"], true);
        downloaded(&world, &report, "").await.json()
    };
    let count = |document: &Value, part: &str| {
        let told = document[part].as_array().unwrap().len() as u64;
        (told, document["left_out"][part].as_u64().unwrap())
    };
    // By their number.
    let document = of(&["chat 2100 1", "hello"]).await;
    assert_eq!(count(&document, "messages"), (2000, 103));
    let messages = document["messages"].as_array().unwrap();
    assert_eq!(messages.last().unwrap()["text"], "hello there");
    assert_eq!(messages[0]["sequence_number"], 104);
    let document = of(&["work 2001 1"]).await;
    assert_eq!(count(&document, "tool_calls"), (2000, 1));
    // By their length: 4 MiB in all, and 64 or 16 KiB of each.
    let document = of(&["chat 100 60000"]).await;
    let (told, left_out) = count(&document, "messages");
    assert_eq!((told, told + left_out), (4 * 1024 * 1024 / 60_000, 101));
    let document = of(&["work 300 16000"]).await;
    let (told, left_out) = count(&document, "tool_calls");
    assert!((255..=262).contains(&told) && told + left_out == 300, "{told}, {left_out}");
    let document = of(&["answer 65537", "work 1 16385"]).await;
    assert_eq!(document["left_out"]["shortened_texts"], 2);
    let long = document["messages"][1]["text"].as_str().unwrap();
    assert!(long.ends_with("x\n\n[… shortened: 65537 bytes in all]"), "{}", &long[65_500..]);
    let long = document["tool_calls"][0]["output"].as_str().unwrap();
    assert!(long.ends_with("x\n\n[… shortened: 16385 bytes in all]"), "{}", &long[16_300..]);
}

#[actix_web::test]
async fn what_is_wrong_with_a_request_is_named() {
    let world = World::new().await;
    let session = world.session().await;
    for (request, violation) in [
        (json!({ "session_id": session, "format": "docx" }), "/format enum"),
        (json!({ "session_id": session, "pages": 3 }), "/pages unknown_field"),
        (json!({ "session_id": session, "include_messages": "yes" }), "/include_messages type"),
        (json!({}), "/session_id required"),
    ] {
        let refused = world.alice.post(REPORTS, request.clone()).await;
        assert_eq!(
            (refused.status, refused.violations()),
            (422, vec![violation.to_owned()]),
            "{request}: {}",
            refused.text()
        );
    }
    let report = made(&world, json!({ "session_id": session })).await;
    let download = report["_links"]["download"].as_str().unwrap();
    assert_eq!(world.alice.get(&format!("{download}?format=docx")).await.violations(), ["?format enum"]);
    assert_eq!(world.alice.get(&format!("{REPORTS}?cursor=x")).await.violations(), ["?cursor cursor"]);
}
