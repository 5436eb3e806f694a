//! What passes, passes unchanged, and is metered on the way.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use domain::{MicroUsd, ModelAccess, TokenUsage, TurnId};
use serde_json::Value;
use tokio::io::AsyncWriteExt;

use crate::{
    PATIENCE, REAL_KEY, World, body,
    canned::{Canned, chunk},
    offline_model,
};

const STREAM: &str = concat!(
    "event: message_start\ndata: {\"message\":{\"model\":\"claude-opus-5-5\",\"usage\":{\"input_tokens\":10}}}\n\n",
    "event: content_block_delta\r\ndata: {\"delta\":{\"text\":\"\u{00e4}\u{1f600} \\u0000\"}}\r\n\r\n",
    ": comment\n\nevent: unheard_of\ndata: x\n\n",
    "event: message_delta\ndata: {\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":20}}\n\n",
    "event: message_stop\ndata: {}\n\n\n\n: after the end\n",
);

#[tokio::test]
async fn a_stream_passes_byte_for_byte() {
    let upstream = Canned::new().await;
    let world = World::new(&upstream.url()).await;
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\
                request-id: req_1\r\nconnection: keep-alive, x-hop\r\nx-hop: 1\r\n\r\n";
    let mut pieces = vec![head.as_bytes().to_vec()];
    pieces.extend(STREAM.as_bytes().chunks(7).map(chunk));
    pieces.push(chunk(b""));
    let upstream = upstream.answer(pieces);

    let response = world.request(body("hi", true)).send().await.unwrap();
    assert_eq!(response.headers()["request-id"], "req_1");
    assert!(response.headers().get("x-hop").is_none());
    assert_eq!(response.bytes().await.unwrap(), STREAM.as_bytes());
    upstream.await.unwrap();

    world.settled().await;
    let usage = world.budgets.only();
    assert_eq!(usage.tokens, TokenUsage { input: 10, output: 20, ..TokenUsage::default() });
    assert_eq!(usage.cost, MicroUsd(10 * 4 + 20 * 20));
    assert!(usage.is_complete && usage.is_priced);
}

#[tokio::test]
async fn a_whole_message_and_its_request_pass_byte_for_byte() {
    let upstream = Canned::new().await;
    let world = World::new(&upstream.url()).await;
    let answer = "{ \"model\":\"claude-haiku-5-5\" ,\n \"usage\":{\"input_tokens\":1000,\"output_tokens\":1}, \"x\":1.0 }";
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        answer.len()
    );
    let upstream = upstream.answer(vec![head.into_bytes(), answer.as_bytes().to_vec()]);

    let asked = "{\"model\" : \"m\", \"odd\": 1e2}";
    let response = world
        .request(asked)
        .header("accept-encoding", "gzip, br")
        .header("anthropic-beta", "a,b")
        .send()
        .await
        .unwrap();
    assert_eq!(response.bytes().await.unwrap(), answer.as_bytes());
    let request = upstream.await.unwrap();
    let (head, sent) = request.split_once("\r\n\r\n").unwrap();
    assert_eq!(sent, asked);
    assert!(head.starts_with("POST /v1/messages?beta=true HTTP/1.1\r\n"), "{head}");
    for line in ["anthropic-version: 2023-06-01", "anthropic-beta: a,b", "accept-encoding: identity"] {
        assert!(head.lines().any(|header| header == line), "{line} is missing in {head}");
    }
    world.settled().await;
    let usage = world.budgets.only();
    assert_eq!((usage.model.as_str(), usage.cost), ("claude-haiku-5-5", MicroUsd(101)));
}

#[tokio::test]
async fn the_key_and_the_token_stay_on_their_sides() {
    let model = offline_model().await;
    let world = World::new(&model.url()).await;
    let response = world.ask_streaming("hello").await;
    let headers = format!("{:?}", response.headers());
    assert!(!headers.contains(REAL_KEY) && !response.text().await.unwrap().contains(REAL_KEY));

    let bearer = world
        .client
        .post(format!("{}/v1/messages", world.agent.base_url))
        .bearer_auth(&world.agent.token)
        .body(body("hello", false));
    assert!(bearer.send().await.unwrap().status().is_success());

    let requests = model.requests();
    assert_eq!(requests.len(), 2);
    for request in requests {
        assert_eq!(request.credential.as_deref(), Some(REAL_KEY));
        assert_eq!(request.header("authorization"), None);
        assert!(!format!("{request:?}").contains(&world.agent.token));
    }
}

#[tokio::test]
async fn whoever_waits_for_the_bookings_of_an_agent_waits_for_those_whose_answers_are_through() {
    let model = offline_model().await;
    for is_stream in [true, false] {
        let world = World::new(&model.url()).await;
        let all = world.budgets.permits.acquire_many(1_000).await.unwrap();
        let answer = async {
            let answer = world.request(body("[[text:abcdef]]", is_stream)).send().await?;
            answer.text().await
        };
        // The agent goes on with its answer, and the money stays held.
        let answer = tokio::time::timeout(PATIENCE, answer).await.unwrap().unwrap();
        assert!(answer.contains("abc") && answer.contains("def"), "{answer}");
        assert_eq!((world.budgets.booked().len(), world.budgets.open()), (0, 1));
        let mut booked = Box::pin(world.gateway.booked(&world.agent.token));
        let waited = tokio::time::timeout(Duration::from_millis(300), &mut booked).await;
        assert!(waited.is_err(), "it is not booked yet");
        drop(all);
        tokio::time::timeout(PATIENCE, booked).await.unwrap();
        assert!(world.budgets.only().is_complete);
        assert_eq!(world.budgets.open(), 0);
    }
}

#[tokio::test]
async fn a_whole_answer_is_booked_when_the_agent_has_it_and_waited_for_until_then() {
    let model = offline_model().await;
    let world = World::new(&model.url()).await;
    let answer = world.ask("[[usage:in=7,out=9]][[big:20000000]]").await;
    let mut booked = Box::pin(world.gateway.booked(&world.agent.token));
    assert!(tokio::time::timeout(Duration::from_millis(300), &mut booked).await.is_err());
    assert_eq!((world.budgets.booked().len(), world.budgets.open()), (0, 1));

    let (text, booked) = tokio::join!(answer.text(), tokio::time::timeout(PATIENCE, booked));
    assert!(text.unwrap().len() > 20_000_000);
    booked.unwrap();
    assert_eq!(world.budgets.only().tokens.input, 7);

    // One that goes away with half of it is booked for all.
    drop(world.ask("[[usage:in=8,out=9]][[big:20000000]]").await);
    world.drained().await;
    let last = world.budgets.booked().pop().unwrap();
    assert_eq!((last.tokens.input, last.is_complete), (8, true));
}

#[tokio::test]
async fn a_stream_is_booked_with_its_end_or_a_little_later_without_one() {
    let upstream = Canned::new().await;
    let world = World::new(&upstream.url()).await;
    let asking = tokio::task::spawn(world.request(body("hi", true)).send());
    let (mut socket, _) = tokio::time::timeout(PATIENCE, upstream.accept()).await.unwrap();
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    socket.write_all(head.as_bytes()).await.unwrap();
    socket.write_all(&chunk(b"event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n")).await.unwrap();
    let mut answer = asking.await.unwrap().unwrap();
    assert!(answer.chunk().await.unwrap().unwrap().starts_with(b"event: message_stop"));
    // The agent is not to wait for the booking, so that has not begun; a turn that ended now would wait for it.
    let mut booked = Box::pin(world.gateway.booked(&world.agent.token));
    assert!(tokio::time::timeout(Duration::from_millis(50), &mut booked).await.is_err());
    assert_eq!((world.budgets.booked().len(), world.budgets.open()), (0, 1));

    // It is not put off for ever, whatever else comes.
    let reading = tokio::task::spawn(async move {
        while answer.chunk().await?.is_some() {}
        Ok::<_, reqwest::Error>(())
    });
    let pinging = async {
        loop {
            socket.write_all(&chunk(b": ping\n\n")).await.unwrap();
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let booked = tokio::time::timeout(PATIENCE, booked);
    tokio::select! {
        booked = booked => booked.unwrap(),
        () = pinging => {}
    }
    assert_eq!((world.budgets.booked().len(), world.budgets.open()), (1, 0));
    drop(socket);
    assert!(reading.await.unwrap().is_err(), "the stream had no end");
    world.drained().await;
    assert_eq!(world.budgets.booked().len(), 1, "it is booked once");
}

#[tokio::test]
async fn the_first_bytes_pass_while_the_upstream_goes_on() {
    let model = offline_model().await;
    let world = World::new(&model.url()).await;
    let mut response = world.ask_streaming("[[first:3600000]][[text:late]]").await;
    let first = tokio::time::timeout(PATIENCE, response.chunk()).await.unwrap().unwrap().unwrap();
    assert!(first.starts_with(b"event: message_start"));
    assert!(world.budgets.booked().is_empty());
}

#[tokio::test]
async fn each_request_is_booked_on_the_turn_it_began_in() {
    let model = offline_model().await;
    let world = World::new(&model.url()).await;
    let turn = TurnId::new();
    world.ask("before").await;
    world.settled().await;
    world.gateway.attribute(&world.agent.token, Some(turn));
    world.ask("[[usage:in=1,out=2,cr=3,cw=4,cw1h=5]][[stop:max_tokens]][[text:x]]").await;
    world.gateway.attribute(&world.agent.token, None);
    world.settled().await;
    world.ask("after").await;
    world.settled().await;

    let booked = world.budgets.booked();
    assert_eq!(booked.iter().map(|usage| usage.turn_id).collect::<Vec<_>>(), [None, Some(turn), None]);
    let usage = &booked[1];
    assert_eq!((usage.session_id, usage.user_id), (world.scope.session_id, world.scope.user_id));
    let tokens = TokenUsage { input: 1, output: 2, cache_read: 3, cache_write_5m: 4, cache_write_1h: 5 };
    assert_eq!(
        (usage.tokens, usage.stop_reason.as_deref(), usage.http_status),
        (tokens, Some("max_tokens"), 200)
    );
    assert!(booked[0].id != booked[1].id && !usage.price_version.is_empty());
}

#[tokio::test]
async fn an_unknown_model_is_booked_flagged_and_not_free() {
    let model = offline_model().await;
    let world = World::new(&model.url()).await;
    world.ask("[[model:claude-next-7]][[usage:in=1000000,out=0]][[text:x]]").await;
    world.settled().await;
    let usage = world.budgets.only();
    assert_eq!(
        (usage.model.as_str(), usage.is_priced, usage.cost),
        ("claude-next-7", false, MicroUsd(15_000_000))
    );
}

#[tokio::test]
async fn the_endpoints_beside_messages_pass_and_cost_nothing() {
    let model = offline_model().await;
    let world = World::new(&model.url()).await;
    let url = &world.agent.base_url;
    let knock = world.client.head(format!("{url}/")).send().await.unwrap();
    assert_eq!(knock.status(), 200);
    assert!(model.requests().is_empty(), "the gateway answers this itself");
    let count =
        world.client.post(format!("{url}/v1/messages/count_tokens")).header("x-api-key", &world.agent.token);
    let count: Value = count.body("x".repeat(40)).send().await.unwrap().json().await.unwrap();
    assert_eq!(count["input_tokens"], 10);
    for path in ["/v1/models", "/v1/models/claude-opus-5-5"] {
        let models = world.client.get(format!("{url}{path}")).bearer_auth(&world.agent.token);
        assert_eq!(models.send().await.unwrap().status(), 200, "{path}");
    }
    assert!(world.budgets.booked().is_empty());
}

#[tokio::test]
async fn large_bodies_pass_in_both_directions() {
    let model = offline_model().await;
    let world = World::new(&model.url()).await;
    let prompt = format!("{}[[big:20000000]]", "x".repeat(8_000_000));
    let answer = world.ask_streaming(&prompt).await.text().await.unwrap();
    assert!(
        answer.len() > 20_000_000
            && answer.ends_with("event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n")
    );
    world.settled().await;
    assert!(world.budgets.only().is_complete);
}

#[tokio::test]
async fn an_agent_that_does_not_read_slows_the_upstream_down() {
    const PIECE: usize = 64 * 1024;
    const FAR_TOO_MUCH: usize = 64 * 1024 * 1024;
    let upstream = Canned::new().await;
    let world = World::new(&upstream.url()).await;
    let written = Arc::new(AtomicUsize::new(0));
    let counter = written.clone();
    let writing = tokio::task::spawn(async move {
        let (mut socket, _) = upstream.accept().await;
        let head =
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
        socket.write_all(head).await.unwrap();
        let piece = chunk(&[b'x'; PIECE]);
        while counter.load(Ordering::Relaxed) < FAR_TOO_MUCH && socket.write_all(&piece).await.is_ok() {
            counter.fetch_add(PIECE, Ordering::Relaxed);
        }
    });
    let response = world.request(body("hi", true)).send().await.unwrap();
    let stuck = tokio::time::timeout(std::time::Duration::from_secs(2), writing).await;
    assert!(stuck.is_err(), "{} bytes were taken for nobody", written.load(Ordering::Relaxed));
    drop(response);
    world.drained().await;
    assert!(!world.budgets.only().is_complete);
}
