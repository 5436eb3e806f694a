//! Framing: however the bytes are cut, the same lines come out.

use proptest::prelude::*;
use sdk_runtime::framing::{HEAD_BYTES, LineSplitter, Piece};

const LINE_BYTES_MAX: usize = 40;

#[derive(Debug, Clone, PartialEq)]
enum Got {
    Line(Vec<u8>),
    Oversized(Vec<u8>, u64),
}

fn split(chunks: &[&[u8]]) -> Vec<Got> {
    split_at(LINE_BYTES_MAX, chunks)
}

fn split_at(line_bytes_max: usize, chunks: &[&[u8]]) -> Vec<Got> {
    let mut got = Vec::new();
    let mut take = |piece: Piece<'_>| {
        got.push(match piece {
            Piece::Line(line) => Got::Line(line.to_vec()),
            Piece::Oversized { head, bytes } => Got::Oversized(head.to_vec(), bytes),
        });
    };
    let mut splitter = LineSplitter::new(line_bytes_max);
    for chunk in chunks {
        splitter.push(chunk, &mut take);
    }
    splitter.end(&mut take);
    got
}

/// The specification, without any state.
fn expected(stream: &[u8]) -> Vec<Got> {
    let mut lines: Vec<&[u8]> = stream.split(|byte| *byte == b'\n').collect();
    if lines.last().is_some_and(|line| line.is_empty()) {
        lines.pop();
    }
    let line = |line: &[u8]| match line.len() {
        0..=LINE_BYTES_MAX => Got::Line(line.to_vec()),
        bytes => Got::Oversized(line[..bytes.min(HEAD_BYTES)].to_vec(), bytes as u64),
    };
    lines.into_iter().map(line).collect()
}

proptest! {
    #[test]
    fn any_cut_gives_the_same_lines(
        lines in prop::collection::vec("[a-z{}\u{2028}\u{85}\r]{0,30}", 0..12),
        cuts in prop::collection::vec(0_usize..400, 0..20),
        has_final_newline: bool,
    ) {
        let mut stream = lines.join("\n").into_bytes();
        if has_final_newline {
            stream.push(b'\n');
        }
        let mut cuts: Vec<usize> = cuts.into_iter().filter(|cut| *cut < stream.len()).collect();
        cuts.sort_unstable();
        let mut chunks = Vec::new();
        let mut from = 0;
        for cut in cuts {
            chunks.push(&stream[from..cut]);
            from = cut;
        }
        chunks.push(&stream[from..]);
        prop_assert_eq!(split(&chunks), expected(&stream));
    }
}

#[test]
fn a_line_that_is_too_long_is_skipped_and_the_next_is_intact() {
    let (long, longer) = ("x".repeat(LINE_BYTES_MAX + 1), "y".repeat(HEAD_BYTES + 1));
    let stream = format!("{{\"a\":1}}\n{long}\n{longer}\n{{\"b\":\"\u{2028}\"}}\n");
    let wanted = [
        Got::Line(b"{\"a\":1}".to_vec()),
        Got::Oversized(long.clone().into(), long.len() as u64),
        Got::Oversized(longer[..HEAD_BYTES].into(), longer.len() as u64),
        Got::Line("{\"b\":\"\u{2028}\"}".as_bytes().to_vec()),
    ];
    assert_eq!(split(&[stream.as_bytes()]), wanted);
    let bytes: Vec<&[u8]> = stream.as_bytes().chunks(1).collect();
    assert_eq!(split(&bytes), wanted);
}

#[test]
fn of_a_line_that_is_too_long_no_more_is_kept_than_its_head() {
    let line: Vec<u8> = (b'a'..=b'z').cycle().take(3 * HEAD_BYTES).collect();
    let wanted = [Got::Oversized(line[..HEAD_BYTES].to_vec(), line.len() as u64)];
    for size in [1, HEAD_BYTES - 1, 2 * HEAD_BYTES, line.len()] {
        let chunks: Vec<&[u8]> = line.chunks(size).collect();
        assert_eq!(split_at(2 * HEAD_BYTES, &chunks), wanted, "in chunks of {size}");
    }
}
