//! What the upstream does not tell is estimated and flagged, and never free.

use domain::MicroUsd;

use crate::{
    World, body,
    canned::{Canned, chunk},
    offline_model,
};

async fn answered(content_type: &str, pieces: Vec<Vec<u8>>) -> domain::RequestUsage {
    let upstream = Canned::new().await;
    let world = World::new(&upstream.url()).await;
    let head =
        format!("HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\ntransfer-encoding: chunked\r\n\r\n");
    let mut all = vec![head.into_bytes()];
    all.extend(pieces.iter().map(|piece| chunk(piece)));
    all.push(chunk(b""));
    let answering = upstream.answer(all);
    // Whether it comes whole does not matter here.
    let _text = world.request(body("how long is this prompt?", true)).send().await.unwrap().text().await;
    answering.await.unwrap();
    world.drained().await;
    world.budgets.only()
}

fn delta(kind: &str, text: &str) -> String {
    format!(
        "event: content_block_delta\ndata: {{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{{\"type\":\"{kind}_delta\",\"{kind}\":\"{text}\"}}}}\n\n"
    )
}

fn start(kind: &str, rest: &str) -> String {
    format!(
        "event: content_block_start\ndata: {{\"type\":\"content_block_start\",\"index\":0,\"content_block\":{{\"type\":\"{kind}\"{rest}}}}}\n\n"
    )
}

const BEGIN: &str = "event: message_start\ndata: {\"message\":{\"model\":\"claude-opus-5-5\",\"usage\":{\"input_tokens\":10,\"output_tokens\":1}}}\n\n";

#[tokio::test]
async fn a_stream_that_ends_before_its_usage_is_booked_by_what_came() {
    let stream = BEGIN.to_owned() + &start("text", "") + &delta("text", "twelve chars").repeat(100);
    let usage = answered("text/event-stream", vec![stream.into_bytes()]).await;
    assert_eq!((usage.tokens.input, usage.is_complete, usage.is_estimated), (10, false, true));
    // 1200 characters are about 300 tokens.
    assert!((300..700).contains(&usage.tokens.output), "{}", usage.tokens.output);
    assert_eq!(usage.cost, MicroUsd(40 + 20 * usage.tokens.output as i64));
}

#[tokio::test]
async fn a_stream_without_any_usage_is_estimated_both_ways() {
    let stream = "event: message_start\ndata: {\"message\":{\"model\":\"claude-opus-5-5\"}}\n\n".to_owned()
        + &delta("text", "twelve chars").repeat(9)
        + "event: message_stop\ndata: {}\n\n";
    let usage = answered("text/event-stream", vec![stream.into_bytes()]).await;
    assert!(usage.is_complete && usage.is_estimated);
    assert!(usage.tokens.input >= 20 && usage.tokens.output >= 27, "{usage:?}");
}

#[tokio::test]
async fn a_whole_answer_without_usage_is_estimated_both_ways() {
    let text = "word ".repeat(300);
    let answer =
        format!("{{\"model\":\"claude-opus-5-5\",\"content\":[{{\"type\":\"text\",\"text\":\"{text}\"}}]}}");
    for (answer, is_complete) in [(answer, true), ("x".repeat(2_000), false)] {
        let usage = answered("application/json", vec![answer.into_bytes()]).await;
        assert_eq!((usage.is_complete, usage.is_estimated), (is_complete, true));
        assert!(usage.tokens.input >= 20 && (300..700).contains(&usage.tokens.output), "{usage:?}");
    }
}

#[tokio::test]
async fn thinking_is_counted_as_told_or_by_its_share() {
    let content = start("thinking", ",\"thinking\":\"\"")
        + &delta("thinking", "hm hm hm").repeat(50)
        + &start("text", "")
        + &delta("text", "so it is").repeat(50);
    let end = |details: &str| {
        format!(
            "event: message_delta\ndata: {{\"delta\":{{}},\"usage\":{{\"output_tokens\":200{details}}}}}\n\nevent: message_stop\ndata: {{}}\n\n"
        )
    };
    let told = end(",\"output_tokens_details\":{\"thinking_tokens\":120}");
    let usage = answered("text/event-stream", vec![(BEGIN.to_owned() + &content + &told).into_bytes()]).await;
    assert_eq!((usage.tokens.output, usage.thinking_tokens, usage.is_estimated), (200, 120, false));
    let usage =
        answered("text/event-stream", vec![(BEGIN.to_owned() + &content + &end("")).into_bytes()]).await;
    assert_eq!((usage.tokens.output, usage.is_estimated), (200, false));
    assert!((80..=120).contains(&usage.thinking_tokens), "{}", usage.thinking_tokens);
}

#[tokio::test]
async fn tools_are_noted_once_each_in_their_order() {
    let stream = BEGIN.to_owned()
        + &start("text", ",\"name\":\"no tool\"")
        + &start("tool_use", ",\"name\":\"Bash\",\"input\":{}")
        + &delta("text", "event: content_block_start")
        + &start("server_tool_use", ",\"name\":\"web_search\"")
        + &start("tool_use", ",\"name\":\"Bash\"")
        + &start("mcp_tool_use", ",\"name\":\"look\"")
        + "event: message_delta\ndata: {\"delta\":{},\"usage\":{\"output_tokens\":9}}\n\nevent: message_stop\ndata: {}\n\n";
    // However it is cut.
    for size in [1, 7, 100_000] {
        let pieces = stream.as_bytes().chunks(size).map(<[u8]>::to_vec).collect();
        let usage = answered("text/event-stream", pieces).await;
        assert_eq!(usage.tools, ["Bash", "web_search", "look"], "in pieces of {size}");
        assert_eq!((usage.tokens.output, usage.is_estimated), (9, false));
    }
    let whole = "{\"model\":\"m\",\"content\":[{\"type\":\"tool_use\",\"name\":\"Read\"},{\"type\":\"unheard_of\"}],\"usage\":{\"input_tokens\":1,\"output_tokens\":1}}";
    assert_eq!(answered("application/json", vec![whole.as_bytes().to_vec()]).await.tools, ["Read"]);
}

#[tokio::test]
async fn what_the_upstream_refuses_is_free() {
    let model = offline_model().await;
    let world = World::new(&model.url()).await;
    world.ask("[[error:529]]").await;
    world.settled().await;
    let usage = world.budgets.only();
    assert_eq!((usage.cost, usage.is_estimated, usage.is_complete), (MicroUsd::ZERO, false, true));
    assert_eq!(world.budgets.open(), 0);
}
