//! What each extractor makes of good and bad input.

use crate::demo::KNOWN;
use crate::http::{BODY_MAX, get, post, send};
use actix_web::test::TestRequest;

#[actix_web::test]
async fn bodies_are_parsed_and_validated() {
    let table: [(&str, u16, &[&str]); 25] = [
        (r#"{"name":"a"}"#, 201, &[]),
        (r#"{"name":"a","weight":3.0}"#, 201, &[]),
        (r#"{"name":"a","weight":10.0}"#, 422, &["/weight range"]),
        (r#"{"name":"a","weight":3.5}"#, 422, &["/weight type"]),
        (r#"{"name":"a","shade":null,"blocks":[{"type":"text","text":"x"}]}"#, 201, &[]),
        ("", 400, &[]),
        ("{", 400, &[]),
        (r#"{"name":"a"} x"#, 400, &[]),
        ("{\"name\":\"\u{1}\"}", 400, &[]),
        ("{}", 422, &["/name required"]),
        ("[]", 422, &[" type"]),
        ("[", 400, &[]),
        (r#" ["a",[],[],0,null,null]"#, 422, &[" type"]),
        ("7", 422, &[" type"]),
        (r#"{"name":7}"#, 422, &["/name type"]),
        (r#"{"name":"a","foo":1}"#, 422, &["/foo unknown_field"]),
        (r#"{"name":"a","a/b~":1}"#, 422, &["/a~1b~0 unknown_field"]),
        (r#"{"name":"a","name":"b"}"#, 422, &["/name duplicate"]),
        (r#"{"name":"a","shade":"pink"}"#, 422, &["/shade enum"]),
        (
            r#"{"name":"a","blocks":[{"type":"text","text":"x"},{"type":"sound"}]}"#,
            422,
            &["/blocks/1/type enum"],
        ),
        (r#"{"name":"a","blocks":[{"type":"text"}]}"#, 422, &["/blocks/0/text required"]),
        (r#"{"name":"a","blocks":[{"text":"x"}]}"#, 422, &["/blocks/0/type required"]),
        (
            r#"{"name":"a","blocks":[{"type":"text","text":"x","foo":1}]}"#,
            422,
            &["/blocks/0/foo unknown_field"],
        ),
        (
            r#"{"name":"","weight":10,"labels":[{"key":"ok"},{"key":""}]}"#,
            422,
            &["/labels/1/key length", "/name length", "/weight range"],
        ),
        (r#"{"name":"a","type":""}"#, 422, &["/type length"]),
    ];
    for (body, status, violations) in table {
        let received = send(post("/things", body)).await;
        assert_eq!(received.status, status, "{body}: {:?}", received.body);
        if status >= 400 {
            assert_eq!(received.violations(), violations, "{body}: {:?}", received.body);
        }
    }
}

#[actix_web::test]
async fn bodies_must_be_json_and_small_enough() {
    let body = r#"{"name":"a"}"#;
    for (media, status) in [
        ("application/json", 201),
        ("application/json; charset=utf-8", 201),
        ("application/vnd.thing+json", 201),
        ("text/plain", 415),
        ("multipart/form-data", 415),
        ("nonsense", 415),
    ] {
        let request =
            TestRequest::post().uri("/things").insert_header(("content-type", media)).set_payload(body);
        assert_eq!(send(request).await.status, status, "{media}");
    }
    assert_eq!(send(TestRequest::post().uri("/things").set_payload(body)).await.status, 415);

    // Just at the limit and just over it.
    for (length, status, code) in [(BODY_MAX, 201, ""), (BODY_MAX + 1, 413, "PAYLOAD_TOO_LARGE")] {
        let padded = format!("{body}{}", " ".repeat(length - body.len()));
        let received = send(post("/things", padded)).await;
        assert_eq!(received.status, status, "{length}");
        assert_eq!(received.json()["error_code"].as_str().unwrap_or_default(), code);
    }
}

#[actix_web::test]
async fn compressed_bodies_are_refused_unread() {
    let path = format!("/things/{KNOWN}/interrupt");
    for (codings, status) in [
        (&["identity"][..], 200),
        (&["Identity", "identity, identity"], 200),
        (&["gzip"], 415),
        (&["zstd"], 415),
        (&["identity, br"], 415),
        (&["identity", "deflate"], 415),
        (&["unheard-of"], 415),
        (&["caf\u{e9}"], 415),
    ] {
        let mut request = post(&path, r#"{"reason":"stop"}"#);
        for coding in codings {
            request = request.append_header(("content-encoding", *coding));
        }
        let received = send(request).await;
        assert_eq!(received.status, status, "{codings:?}");
        if status == 415 {
            assert_eq!(received.json()["error_code"], "UNSUPPORTED_CONTENT_ENCODING", "{codings:?}");
            assert_eq!(received.header("accept-encoding"), "identity");
        }
    }
}

#[actix_web::test]
async fn optional_bodies_may_be_left_out() {
    let path = format!("/things/{KNOWN}/interrupt");
    let received = send(TestRequest::post().uri(&path)).await;
    assert_eq!((received.status.as_u16(), received.body.as_ref()), (200, br#"{"reason":null}"#.as_slice()));
    let received = send(TestRequest::post().uri(&path).insert_header(("content-type", "text/plain"))).await;
    assert_eq!(received.status, 200, "no body has no media type");

    let table: [(&str, u16, &[&str]); 5] = [
        (r#"{"reason":"stop"}"#, 200, &[]),
        ("{}", 200, &[]),
        ("{", 400, &[]),
        (r#"{"reason":"too long"}"#, 422, &["/reason length"]),
        (r#"{"foo":1}"#, 422, &["/foo unknown_field"]),
    ];
    for (body, status, violations) in table {
        let received = send(post(&path, body)).await;
        assert_eq!(received.status, status, "{body}");
        assert_eq!(received.violations(), violations, "{body}");
    }
    let typeless = TestRequest::post().uri(&path).set_payload(r#"{"reason":"stop"}"#);
    assert_eq!(send(typeless).await.status, 415);
}

#[actix_web::test]
async fn queries_are_parsed_and_validated() {
    let table: [(&str, u16, &[&str]); 13] = [
        ("", 200, &[]),
        ("?", 200, &[]),
        ("?limit=1&shade=dark&tag=a&tag=b", 200, &[]),
        ("?limit=abc", 422, &["?limit invalid"]),
        ("?limit=-1", 422, &["?limit invalid"]),
        ("?limit=0", 422, &["?limit range"]),
        ("?limit=101", 422, &["?limit range"]),
        ("?limit=1&limit=2", 422, &["?limit duplicate"]),
        ("?shade=pink", 422, &["?shade enum"]),
        ("?shade=null", 422, &["?shade enum"]),
        ("?after=7", 422, &["?after invalid"]),
        ("?foo=1", 422, &["?foo unknown_field"]),
        ("?foo", 422, &["?foo unknown_field"]),
    ];
    for (query, status, violations) in table {
        let received = send(get(&format!("/things{query}"))).await;
        assert_eq!(received.status, status, "{query}: {:?}", received.body);
        assert_eq!(received.violations(), violations, "{query}: {:?}", received.body);
    }
    let received = send(get("/things?tag=a&tag=b%20c")).await;
    let seen = received.json()["next_cursor"].as_str().unwrap().to_owned();
    assert_eq!(seen, r#"{"limit":50,"shade":null,"after":null,"tag":["a","b c"]}"#);
}

#[actix_web::test]
async fn a_path_value_that_does_not_parse_names_nothing() {
    for (path, status, code) in [
        (format!("/things/{KNOWN}"), 200, ""),
        ("/things/7".to_owned(), 404, "NOT_FOUND"),
        ("/things/0190a000-0000-7000-8000-000000000002".to_owned(), 404, "THING_NOT_FOUND"),
        (format!("/things/{KNOWN}/parts/255"), 200, ""),
        (format!("/things/{KNOWN}/parts/256"), 404, "NOT_FOUND"),
        (format!("/things/{KNOWN}/parts/x"), 404, "NOT_FOUND"),
    ] {
        let received = send(get(&path)).await;
        assert_eq!(received.status, status, "{path}");
        assert_eq!(received.json()["error_code"].as_str().unwrap_or_default(), code, "{path}");
    }
}

#[actix_web::test]
async fn headers_are_bounded_and_parsed() {
    let table: [(&[&str], u16, &[&str]); 6] = [
        (&[], 201, &[]),
        (&["0123456789abcdef"], 201, &[]),
        (&["0123456789abcdef0"], 422, &["#Idempotency-Key length"]),
        (&[""], 422, &["#Idempotency-Key invalid"]),
        (&["caf\u{e9}"], 422, &["#Idempotency-Key type"]),
        (&["a", "b"], 422, &["#Idempotency-Key duplicate"]),
    ];
    for (values, status, violations) in table {
        let mut request = post("/things", r#"{"name":"a"}"#);
        for value in values {
            request = request.append_header(("idempotency-key", *value));
        }
        let received = send(request).await;
        assert_eq!(received.status, status, "{values:?}");
        if status >= 400 {
            assert_eq!(received.violations(), violations, "{values:?}");
        }
    }
}
