//! What each reply puts on the wire.

use crate::demo::KNOWN;
use crate::http::{get, post, send};
use actix_web::test::TestRequest;

#[actix_web::test]
async fn replies_carry_status_headers_and_body() {
    let created = send(post("/things", r#"{"name":"a"}"#)).await;
    assert_eq!(created.status, 201);
    assert_eq!(created.header("location"), "/things/00000000-0000-0000-0000-000000000000");
    assert_eq!(created.json()["name"], "a");

    let done = send(TestRequest::delete().uri(&format!("/things/{KNOWN}"))).await;
    assert_eq!((done.status.as_u16(), done.body.len()), (204, 0));

    let history = send(get(&format!("/things/{KNOWN}/history"))).await;
    assert_eq!(history.header("link"), "</things?cursor=2>; rel=\"next\"");
    assert_eq!(history.json()[0]["name"], "old");

    let file = send(get(&format!("/things/{KNOWN}/files/a/b%20c.txt"))).await;
    assert_eq!(
        (file.header("content-type"), file.body.as_ref()),
        ("application/zstd", b"a/b c.txt".as_slice())
    );
}

#[actix_web::test]
async fn one_operation_answers_in_three_ways() {
    let ask = |manner: &str| post(&format!("/things/{KNOWN}/ask"), format!(r#"{{"manner":"{manner}"}}"#));

    let waiting = send(ask("waiting")).await;
    assert_eq!((waiting.status.as_u16(), &waiting.json()["text"]), (200, &"yes".into()));

    let later = send(ask("later")).await;
    assert_eq!((later.status.as_u16(), later.header("location")), (202, "/turns/1"));
    assert_eq!(later.json()["turn"], 1);

    let streaming = send(ask("streaming")).await;
    assert_eq!((streaming.status.as_u16(), streaming.header("content-type")), (200, "text/event-stream"));
    assert_eq!(streaming.header("cache-control"), "no-store");
    let expected = "id: 1\nevent: block\ndata: {\"kind\":\"block\",\"block\":{\"type\":\"text\",\"text\":\"yes\"}}\n\n\
                    : still here\n\n\
                    id: 2\nevent: finished\ndata: {\"kind\":\"finished\"}\n\n";
    assert_eq!(streaming.body, expected);
}

#[actix_web::test]
async fn a_handshake_switches_protocols() {
    let path = format!("/things/{KNOWN}/stream");
    let handshake = get(&path)
        .insert_header(("connection", "upgrade"))
        .insert_header(("upgrade", "websocket"))
        .insert_header(("sec-websocket-version", "13"))
        .insert_header(("sec-websocket-key", "x3JJHMbDL1EzLkh9GBhXDw=="));
    assert_eq!(send(handshake).await.status, 101);
    assert_eq!(send(get(&path)).await.json()["error_code"], "NO_WEBSOCKET");
}
