//! PDFs, read back by another library.

use super::*;
use crate::sections::tests::{document, empty, message};
use domain::{
    MessageType, ToolCallStatus,
    report::{ReportMessage, ReportToolCall},
};
use std::time::Duration;

fn written(document: &ReportDocument) -> Vec<u8> {
    write(document, None, Instant::now() + Duration::from_mins(5)).unwrap()
}

/// The text of every page, and how many there are.
fn read(pdf: &[u8]) -> (String, usize) {
    let pdf = lopdf::Document::load_mem(pdf).unwrap();
    let pages: Vec<u32> = pdf.get_pages().into_keys().collect();
    (pdf.extract_text(&pages).unwrap(), pages.len())
}

/// Without what lines and glyph runs are broken into.
fn solid(text: &str) -> String {
    text.chars().filter(|character| !character.is_whitespace()).collect()
}

#[test]
fn everything_is_said() {
    let (text, pages) = read(&written(&document()));
    let text = solid(&text);
    for said in ["Tidy<the>house", "$0.054321", "kitchen", "rm-rdust", "moredust", "Conversation", "notnow"] {
        assert!(text.contains(said), "{said} is not in\n{text}");
    }
    assert!((2..5).contains(&pages), "{pages}");
}

#[test]
fn a_session_in_which_nothing_happened_says_so() {
    let (text, pages) = read(&written(&empty()));
    assert!(solid(&text).contains("Nothingwassaid."), "{text}");
    assert!(pages <= 2, "{pages}");
}

#[test]
fn no_text_is_too_strange() {
    let strange = [
        "x".repeat(20_000),
        "word ".repeat(5_000),
        "漢字かな交じり文 한국어 🎉👩‍👩‍👧‍👦 हैलो वर्ल्ड".to_owned(),
        "مرحبا بالعالم and שלום עולם, mixed".to_owned(),
        "\u{0}\u{7}\u{1b}[31mred\u{202e}reversed\u{202c}\r\nbell\ttab\u{feff}\u{2028}sep".to_owned(),
        format!("{}deep", "> ".repeat(400)),
        format!("{}x", "- ".repeat(100)),
        "**unclosed `code\n\n```\nfence".to_owned(),
        "| a |\n|---|\n| <b> [x](javascript:y) |".to_owned(),
        "a\u{301}".repeat(2_000),
        "\n".repeat(3_000),
        String::new(),
    ];
    let messages: Vec<ReportMessage> =
        (1..).zip(&strange).map(|(number, text)| message(number, MessageType::Assistant, text)).collect();
    let mut document = document();
    let call = document.tool_calls.as_ref().unwrap()[0].clone();
    let calls = strange.iter().map(|text| ReportToolCall {
        input: text.clone(),
        output: Some(text.clone()),
        status: ToolCallStatus::Failed,
        ..call.clone()
    });
    document.tool_calls = Some(calls.collect());
    document.messages = Some(messages);
    document.session.name = Some(strange.concat());
    document.session.description = Some("y".repeat(200_000));
    document.session.error_message = Some("z\n".repeat(2_000));
    let (text, _) = read(&written(&document));
    assert!(text.contains("Tool calls"), "it goes on to the end");
}

#[test]
fn a_long_session_takes_many_pages_and_is_not_written_for_ever() {
    let mut document = document();
    let text = "A paragraph of some length, so that lines are broken. ".repeat(30);
    document.messages = Some((1..=200).map(|number| message(number, MessageType::User, &text)).collect());
    let (_, pages) = read(&written(&document));
    assert!(pages > 40, "{pages}");
    let late = write(&document, None, Instant::now());
    assert!(matches!(late, Err(WriteError::Late)));
}

#[test]
fn what_nobody_reads_on_paper_is_shortened_there() {
    let mut document = document();
    for call in document.tool_calls.iter_mut().flatten() {
        call.output = Some("dust ".repeat(40_000));
    }
    let (text, pages) = read(&written(&document));
    assert!(solid(&text).contains("shortenedonpaper:200000bytesinall"), "{text}");
    assert!(pages < 10, "{pages}");
}

#[test]
fn the_same_document_is_the_same_file() {
    assert_eq!(written(&document()), written(&document()));
}
