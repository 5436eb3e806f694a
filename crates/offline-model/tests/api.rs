//! The endpoints as a client of the Messages API sees them.
#![expect(clippy::unwrap_used, reason = "helpers of a test may panic too")]

use offline_model::{MAX_BODY_BYTES, Options, Server};
use reqwest::{Client, Response, StatusCode};
use serde_json::{Value, json};

async fn start() -> Server {
    Server::start(Options::default()).await.unwrap()
}

async fn post(server: &Server, body: &Value) -> Response {
    Client::new().post(format!("{}/v1/messages", server.url())).json(body).send().await.unwrap()
}

async fn ask(server: &Server, prompt: &str) -> Response {
    post(server, &json!({"model": "m", "messages": [{"role": "user", "content": prompt}]})).await
}

async fn ask_streaming(server: &Server, prompt: &str) -> Response {
    post(server, &json!({"model": "m", "stream": true, "messages": [{"role": "user", "content": prompt}]}))
        .await
}

/// The first text of an answer.
async fn text(response: Response) -> String {
    let message: Value = response.json().await.unwrap();
    message["content"][0]["text"].as_str().unwrap().to_owned()
}

fn events(stream: &str) -> Vec<(String, Value)> {
    let event = |block: &str| {
        let (name, data) = block.strip_prefix("event: ").unwrap().split_once("\ndata: ").unwrap();
        (name.to_owned(), serde_json::from_str(data).unwrap())
    };
    stream.split_terminator("\n\n").map(event).collect()
}

#[tokio::test]
async fn a_whole_message_carries_blocks_usage_and_stop_reason() {
    let server = start().await;
    let prompt = "[[think:hm]][[text:hi]][[usage:in=1,out=2,cr=3,cw=4,cw1h=5]][[stop:refusal]][[model:other]]\
                  [[header:x-extra=1]]";
    let response = ask(&server, prompt).await;
    assert_eq!(response.headers()["x-extra"], "1");
    let message: Value = response.json().await.unwrap();
    assert_eq!(message["content"][0]["thinking"], "hm");
    assert_eq!(message["content"][1], json!({"type": "text", "text": "hi"}));
    assert_eq!((&message["stop_reason"], &message["model"]), (&json!("refusal"), &json!("other")));
    let usage = &message["usage"];
    assert_eq!((&usage["input_tokens"], &usage["output_tokens"]), (&json!(1), &json!(2)));
    assert_eq!(
        (&usage["cache_read_input_tokens"], &usage["cache_creation_input_tokens"]),
        (&json!(3), &json!(9))
    );
    assert_eq!(
        usage["cache_creation"],
        json!({"ephemeral_5m_input_tokens": 4, "ephemeral_1h_input_tokens": 5})
    );
    server.shutdown().await;
}

#[tokio::test]
async fn a_stream_has_the_events_of_the_api_in_order() {
    let server = start().await;
    let body = json!({
        "model": "m", "stream": true, "tools": [{"name": "Bash"}],
        "messages": [{"role": "user", "content":
            r#"[[think:hm]][[text:äöü!]][[chunk:3]][[tool:Bash {"command":"ls"}]][[tool:Gone {}]]"#}],
    });
    let response = post(&server, &body).await;
    assert_eq!(response.headers()["content-type"], "text/event-stream; charset=utf-8");
    let events = events(&response.text().await.unwrap());
    let kinds: Vec<String> = events
        .iter()
        .map(|(name, data)| {
            assert_eq!(data["type"], json!(name));
            let detail = data["delta"]["type"].as_str().or(data["content_block"]["type"].as_str());
            detail.map_or(name.clone(), |detail| format!("{name} {detail}"))
        })
        .collect();
    assert_eq!(
        kinds,
        [
            "message_start",
            "ping",
            "content_block_start thinking",
            "content_block_delta thinking_delta",
            "content_block_delta signature_delta",
            "content_block_stop",
            "content_block_start text",
            "content_block_delta text_delta",
            "content_block_delta text_delta",
            "content_block_stop",
            "content_block_start tool_use",
            "content_block_delta input_json_delta",
            "content_block_delta input_json_delta",
            "content_block_delta input_json_delta",
            "content_block_delta input_json_delta",
            "content_block_delta input_json_delta",
            "content_block_delta input_json_delta",
            "content_block_delta input_json_delta",
            "content_block_stop",
            "message_delta",
            "message_stop",
        ]
    );
    assert_eq!(events[0].1["message"]["content"], json!([]));
    assert_eq!(events[7].1["delta"]["text"], "äöü");
    let input: String =
        events.iter().filter_map(|(_, data)| data["delta"]["partial_json"].as_str()).collect();
    assert_eq!(input, r#"{"command":"ls"}"#);
    assert_eq!(events[19].1["delta"]["stop_reason"], "tool_use");
}

#[tokio::test]
async fn the_step_is_chosen_by_the_answers_already_given() {
    let server = start().await;
    let prompt = json!({"role": "user", "content": "[[text:one]][[next]][[text:two]]"});
    let answered = json!({"role": "assistant", "content": "x"});
    let result =
        json!({"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": ""}]});
    let mut messages = vec![prompt];
    for expected in ["one", "two", "Done."] {
        assert_eq!(text(post(&server, &json!({"messages": messages})).await).await, expected);
        messages.extend([answered.clone(), result.clone()]);
    }
}

#[tokio::test]
async fn the_default_answer_repeats_and_recall_remembers() {
    let server = start().await;
    assert_eq!(text(ask(&server, "hello").await).await, "You said: hello");
    assert_eq!(text(ask(&server, "[[recall]]").await).await, "You have not said anything before.");
    let messages = json!([
        {"role": "user", "content": "my name is Ada"},
        {"role": "assistant", "content": "You said: my name is Ada"},
        {"role": "user", "content": "and I like tea"},
        {"role": "assistant", "content": "x"},
        {"role": "user", "content": "[[recall]]"},
    ]);
    let recalled = text(post(&server, &json!({"messages": messages})).await).await;
    assert_eq!(recalled, "Before this you said:\n1. my name is Ada\n2. and I like tea");
}

#[tokio::test]
async fn errors_come_as_often_as_asked() {
    let server = start().await;
    let prompt = "[[error:529 times=2 retry_after=0]][[text:fine]]";
    for _ in 0..2 {
        let response = ask(&server, prompt).await;
        assert_eq!(
            (response.status().as_u16(), &response.headers()["retry-after"]),
            (529, &"0".parse().unwrap())
        );
        let problem: Value = response.json().await.unwrap();
        assert_eq!(
            (&problem["type"], &problem["error"]["type"]),
            (&json!("error"), &json!("overloaded_error"))
        );
    }
    assert_eq!(text(ask(&server, prompt).await).await, "fine");
    for _ in 0..3 {
        assert_eq!(ask(&server, "[[error:400]]").await.status(), StatusCode::BAD_REQUEST);
    }
    let wrong: Value = ask(&server, "[[delay:soon]]").await.json().await.unwrap();
    assert!(wrong["error"]["message"].as_str().unwrap().contains("[[delay]]"), "{wrong}");
}

#[tokio::test]
async fn a_stream_can_fail_or_be_cut() {
    let server = start().await;
    let failed =
        events(&ask_streaming(&server, "[[sse_error:overloaded_error]]").await.text().await.unwrap());
    assert_eq!(failed.last().unwrap().1["error"]["type"], "overloaded_error");

    let mut cut = ask_streaming(&server, "[[deltas:9]][[cut:2]]").await;
    let mut seen = Vec::new();
    let error = loop {
        match cut.chunk().await {
            Ok(Some(bytes)) => seen.extend_from_slice(&bytes),
            Ok(None) => panic!("the stream ended as if it were whole"),
            Err(error) => break error,
        }
    };
    assert!(error.is_body() || error.is_decode(), "{error:?}");
    let seen = String::from_utf8(seen).unwrap();
    assert_eq!(seen.matches("event: content_block_delta").count(), 2);
}

#[tokio::test]
async fn an_endless_answer_goes_on_and_shutdown_ends_it() {
    let server = start().await;
    let mut endless = ask_streaming(&server, "[[endless]][[chunk_delay:1]]").await;
    for _ in 0..5 {
        assert!(endless.chunk().await.unwrap().is_some());
    }
    let hanging = tokio::time::timeout(std::time::Duration::from_millis(50), ask(&server, "[[hang]]")).await;
    assert!(hanging.is_err(), "a hanging request was answered");
    server.shutdown().await;
    while let Ok(Some(_)) = endless.chunk().await {}
}

#[tokio::test]
async fn big_bodies_pass_in_both_directions() {
    let server = start().await;
    let long = "x".repeat(20_000_000);
    let answer = text(ask(&server, &format!("{long}[[big:20000000]]")).await).await;
    assert_eq!(answer.len(), 20_000_000);
    let too_long = "x".repeat(MAX_BODY_BYTES + 1);
    let refused = Client::new().post(format!("{}/v1/messages", server.url())).body(too_long).send().await;
    // The refusal may arrive while the body is still being sent, which a client can see as a broken pipe.
    assert!(refused.is_err() || refused.unwrap().status() == StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn the_other_endpoints_answer() {
    let server = start().await;
    let (client, url) = (Client::new(), server.url());
    assert_eq!(client.head(format!("{url}/")).send().await.unwrap().status(), StatusCode::OK);
    assert_eq!(client.get(format!("{url}/api/hello")).send().await.unwrap().status(), StatusCode::OK);
    let models: Value = client.get(format!("{url}/v1/models")).send().await.unwrap().json().await.unwrap();
    let first = models["data"][0]["id"].as_str().unwrap();
    let one = client.get(format!("{url}/v1/models/{first}")).send().await.unwrap();
    assert_eq!(one.json::<Value>().await.unwrap()["id"], json!(first));
    let counted = client.post(format!("{url}/v1/messages/count_tokens")).body("x".repeat(400)).send().await;
    assert_eq!(counted.unwrap().json::<Value>().await.unwrap(), json!({"input_tokens": 100}));
    let unknown = client.get(format!("{url}/v1/files")).send().await.unwrap();
    assert_eq!(unknown.status(), StatusCode::NOT_FOUND);
    assert_eq!(unknown.json::<Value>().await.unwrap()["error"]["type"], "not_found_error");
}

#[tokio::test]
async fn requests_are_kept_with_their_credential_and_without_it_in_the_headers() {
    let server = start().await;
    let (client, url) = (Client::new(), server.url());
    let messages = format!("{url}/v1/messages?beta=true");
    client.post(&messages).header("x-api-key", "key-1").body("{}").send().await.unwrap();
    client.post(&messages).bearer_auth("token-2").body("{\"a\":1}").send().await.unwrap();
    let requests = server.requests();
    assert_eq!((requests[0].method.as_str(), requests[0].path.as_str()), ("POST", "/v1/messages"));
    assert_eq!(requests[0].query.as_deref(), Some("beta=true"));
    assert_eq!(
        (requests[0].credential.as_deref(), requests[0].header("x-api-key")),
        (Some("key-1"), Some("***"))
    );
    assert_eq!(
        (requests[1].credential.as_deref(), requests[1].header("authorization")),
        (Some("token-2"), Some("***"))
    );
    assert_eq!(requests[1].json(), Some(json!({"a": 1})));

    let outside = client.get(format!("{url}/_offline/requests")).send().await.unwrap().text().await.unwrap();
    assert_eq!(serde_json::from_str::<Vec<Value>>(&outside).unwrap().len(), 2);
    assert!(!outside.contains("key-1") && !outside.contains("token-2"));
    client.post(format!("{url}/_offline/reset")).send().await.unwrap();
    assert!(server.requests().is_empty());
}
