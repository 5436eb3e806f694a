//! The scanner sees the same usage however the stream is cut into pieces.

use domain::TokenUsage;
use proptest::prelude::*;

use super::*;
use crate::{Sampling, SamplingKind, Speed, limits::SAMPLINGS_PER_ANSWER_MAX};

const STREAM: &str = concat!(
    "event: message_start\n",
    "data: {\"type\":\"message_start\",\"message\":{\"model\":\"claude-opus-5-5\",\"content\":[],\"usage\":",
    "{\"input_tokens\":11,\"output_tokens\":1,\"cache_creation_input_tokens\":9,\"cache_read_input_tokens\":7,",
    "\"cache_creation\":{\"ephemeral_5m_input_tokens\":4,\"ephemeral_1h_input_tokens\":5},\"speed\":\"fast\"}}}\n\n",
    "event: ping\ndata: {\"type\":\"ping\"}\n\n",
    "event: content_block_delta\r\n",
    "data: {\"delta\":{\"text\":\"event: message_delta\\ndata: {\\\"usage\\\":{\\\"output_tokens\\\":999}}\"}}\r\n\r\n",
    ": a comment\n\n",
    "event: message_delta\n",
    "data: {\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":42,\"input_tokens\":0,",
    "\"server_tool_use\":{\"web_search_requests\":3}}}\n\n",
    "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
);

fn expected() -> Reading {
    Reading {
        model: Some("claude-opus-5-5".to_owned()),
        tokens: TokenUsage { input: 11, output: 42, cache_write_5m: 4, cache_write_1h: 5, cache_read: 7 },
        samplings: vec![],
        web_searches: 3,
        speed: Speed::Fast,
        in_us: false,
        stop_reason: Some("end_turn".to_owned()),
        is_complete: true,
        thinking_tokens: None,
        tools: vec![],
        tells_input: true,
        tells_output: true,
    }
}

fn scan<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Scanner {
    let mut scanner = Scanner::default();
    for piece in pieces {
        scanner.feed(piece);
    }
    scanner
}

/// What a stream may be made of, and what only looks like it.
const PIECES: [&str; 18] = [
    "event: message_start\n",
    "event:message_delta\r\n",
    "event: \tmessage_stop \n",
    "event:error\n",
    "event: content_block_delta\n",
    "event: message_start_of_something\n",
    " event: error\n",
    "x",
    "event: ",
    "even",
    "message_stop",
    "data: event: error\n",
    "data: {\"text\":\"an error, message_stop\"}\n",
    "data: {\"message\":{\"model\":\"m\",\"usage\":{\"input_tokens\":5}}}\n",
    "data: {\"usage\":{\"output_tokens\":7}}\n",
    "\n",
    "\r\n",
    "\n\n",
];

/// Looks at every line.
fn scan_by_lines(stream: &str) -> Scanner {
    let mut scanner = Scanner::default();
    let whole_lines = stream.rsplit_once('\n').map_or("", |(lines, _)| lines);
    whole_lines.split('\n').for_each(|line| scanner.take_line(line.as_bytes()));
    scanner
}

proptest! {
    #[test]
    fn what_is_jumped_over_says_nothing(
        stream in prop::collection::vec(prop::sample::select(&PIECES[..]), 0..60).prop_map(|pieces| pieces.concat()),
        size in 1..100_usize,
    ) {
        let expected = scan_by_lines(&stream);
        for size in [size, 1, stream.len().max(1)] {
            let scanner = scan(stream.as_bytes().chunks(size));
            prop_assert_eq!(scanner.reading(), expected.reading());
            prop_assert_eq!(scanner.is_over(), expected.is_over());
        }
    }

    #[test]
    fn any_fragmentation_gives_the_same_reading(mut cuts in prop::collection::vec(0..=STREAM.len(), 0..40)) {
        cuts.extend([0, STREAM.len()]);
        cuts.sort_unstable();
        let pieces = cuts.windows(2).map(|cut| &STREAM.as_bytes()[cut[0]..cut[1]]);
        let scanner = scan(pieces);
        prop_assert_eq!(scanner.reading(), &expected());
        prop_assert!(scanner.is_over());
    }

    #[test]
    fn the_end_is_seen_with_the_last_byte_and_not_before(cut in 0..STREAM.len()) {
        let mut scanner = scan([&STREAM.as_bytes()[..cut]]);
        prop_assert!(!scanner.is_over());
        prop_assert!(!scanner.reading().is_complete);
        scanner.feed(&STREAM.as_bytes()[cut..]);
        prop_assert!(scanner.is_over());
    }

    #[test]
    fn no_bytes_break_it(bytes in prop::collection::vec(any::<u8>(), 0..2_000)) {
        scan([bytes.as_slice(), STREAM.as_bytes()]);
    }
}

#[test]
fn lines_may_end_in_carriage_return_and_newline() {
    let stream = STREAM.replace("\r\n", "\n").replace('\n', "\r\n");
    assert_eq!(scan([stream.as_bytes()]).reading(), &expected());
}

#[test]
fn one_byte_at_a_time() {
    assert_eq!(scan(STREAM.as_bytes().chunks(1)).reading(), &expected());
}

#[test]
fn an_error_event_ends_the_answer_incomplete() {
    let start = STREAM.split_once("event: ping").unwrap().0;
    let scanner = scan([start.as_bytes(), b"event: error\ndata: {\"error\":{}}\n\n"]);
    assert!(scanner.is_over());
    assert!(!scanner.reading().is_complete);
    assert_eq!(scanner.reading().tokens.input, 11);
}

#[test]
fn an_end_without_a_beginning_is_not_complete() {
    let scanner = scan([b"event: message_stop\ndata: {}\n\n".as_slice()]);
    assert!(scanner.is_over() && !scanner.reading().is_complete);
}

#[test]
fn a_huge_line_is_passed_over_and_the_rest_is_read() {
    let (before, after) = STREAM.split_once("event: ping").unwrap();
    let huge = format!("event: content_block_delta\ndata: {}\n\n", "x".repeat(3 * USAGE_LINE_BYTES_MAX));
    let after = format!("event: ping{after}");
    let mut scanner = Scanner::default();
    for piece in [before, &huge, &after] {
        for chunk in piece.as_bytes().chunks(64 * 1024) {
            scanner.feed(chunk);
        }
        assert!(scanner.line.capacity() <= 2 * USAGE_LINE_BYTES_MAX);
    }
    assert_eq!(scanner.reading(), &expected());
}

#[test]
fn cache_writes_without_their_lifetimes_count_as_five_minutes() {
    let start = "event: message_start\ndata: {\"message\":{\"model\":\"m\",\"usage\":{\"cache_creation_input_tokens\":9}}}\n\n";
    assert_eq!(scan([start.as_bytes()]).reading().tokens.cache_write_5m, 9);
}

#[test]
fn cache_writes_keep_the_lifetimes_that_were_told_once() {
    let start = "event: message_start\ndata: {\"message\":{\"model\":\"m\",\"usage\":{\"cache_creation_input_tokens\":9,\
        \"cache_creation\":{\"ephemeral_5m_input_tokens\":2,\"ephemeral_1h_input_tokens\":7}}}}\n\n";
    for (later, five_minutes) in [
        ("\"cache_creation_input_tokens\":9", 2),
        ("\"cache_creation_input_tokens\":9,\"cache_creation\":null", 2),
        (
            "\"cache_creation_input_tokens\":9,\"cache_creation\":{\"ephemeral_5m_input_tokens\":0,\"ephemeral_1h_input_tokens\":0}",
            2,
        ),
        ("\"cache_creation_input_tokens\":12", 5),
        ("\"cache_creation_input_tokens\":0", 2),
        ("\"output_tokens\":1", 2),
    ] {
        let delta = format!("event: message_delta\ndata: {{\"usage\":{{{later}}}}}\n\n");
        let tokens = scan([start.as_bytes(), delta.as_bytes()]).reading().tokens;
        assert_eq!((tokens.cache_write_5m, tokens.cache_write_1h), (five_minutes, 7), "{later}");
    }
}

/// The events of an answer with these usages.
fn events(start: &str, deltas: &[&str]) -> String {
    let start =
        format!("event: message_start\ndata: {{\"message\":{{\"model\":\"m\",\"usage\":{{{start}}}}}}}\n\n");
    let delta = |usage: &&str| format!("event: message_delta\ndata: {{\"usage\":{{{usage}}}}}\n\n");
    start + &deltas.iter().map(delta).collect::<String>()
}

#[test]
fn the_passes_told_last_are_those_that_count() {
    let advised = r#""iterations":[{"type":"message","input_tokens":1,"output_tokens":2},
        {"type":"advisor_message","model":"a","input_tokens":3,"output_tokens":4,"cache_read_input_tokens":5,
         "cache_creation_input_tokens":13,"cache_creation":{"ephemeral_5m_input_tokens":6,"ephemeral_1h_input_tokens":7}}]"#;
    let advised = advised.replace('\n', "");
    let first = r#""iterations":[{"type":"message","input_tokens":1,"output_tokens":1}]"#;
    let message = Sampling {
        kind: SamplingKind::Message,
        model: None,
        tokens: TokenUsage { input: 1, output: 2, ..TokenUsage::default() },
    };
    let advice = Sampling {
        kind: SamplingKind::AdvisorMessage,
        model: Some("a".to_owned()),
        tokens: TokenUsage { input: 3, output: 4, cache_write_5m: 6, cache_write_1h: 7, cache_read: 5 },
    };
    for later in ["\"output_tokens\":9", "\"iterations\":null", "\"iterations\":[]"] {
        let stream = events(r#""input_tokens":1,"iterations":null"#, &[first, &advised, later]);
        let scanner = scan([stream.as_bytes()]);
        assert_eq!(scanner.reading().samplings, [message.clone(), advice.clone()], "{later}");
    }
    let kinds = r#""iterations":[{"type":"compaction"},{"type":"unheard_of"},{"model":null}]"#;
    let scanner = scan([events(kinds, &[]).as_bytes()]);
    let kinds: Vec<_> = scanner.reading().samplings.iter().map(|sampling| sampling.kind).collect();
    assert_eq!(kinds, [SamplingKind::Compaction, SamplingKind::Other, SamplingKind::Other]);
}

#[test]
fn the_passes_that_are_read_are_bounded() {
    let entries = vec![r#"{"type":"message","input_tokens":1}"#; SAMPLINGS_PER_ANSWER_MAX + 9].join(",");
    let scanner =
        scan([events("", &[&format!("\"output_tokens\":7,\"iterations\":[{entries}]")]).as_bytes()]);
    assert_eq!(scanner.reading().samplings.len(), SAMPLINGS_PER_ANSWER_MAX);
    assert_eq!(scanner.reading().tokens.output, 7, "the rest is read all the same");
}

#[test]
fn after_a_fallback_the_counts_are_those_of_the_model_that_took_over() {
    let end = r#""input_tokens":412,"output_tokens":264,"cache_read_input_tokens":0,"iterations":[
        {"type":"message","model":"m","input_tokens":535,"output_tokens":30,"cache_read_input_tokens":5000},
        {"type":"fallback_message","model":"f","input_tokens":412,"output_tokens":264}]"#;
    let stream = events(
        r#""input_tokens":535,"cache_read_input_tokens":5000,"output_tokens":1"#,
        &[&end.replace('\n', "")],
    );
    let scanner = scan([stream.as_bytes()]);
    let reading = scanner.reading();
    assert_eq!(reading.model.as_deref(), Some("f"));
    assert_eq!(reading.tokens, TokenUsage { input: 412, output: 264, ..TokenUsage::default() });
    assert_eq!(reading.samplings.len(), 2);
}
