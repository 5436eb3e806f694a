//! Finds what the name of an event that says something about usage must contain.

use std::sync::LazyLock;

use memchr::memmem::Finder;

/// One of them is in each such name, and few other lines have one. Looking for them costs less than looking at every
/// line.
static MARKERS: LazyLock<[Finder<'static>; MARKER_COUNT]> =
    LazyLock::new(|| [Finder::new("message_"), Finder::new("_start"), Finder::new("error")]);
const MARKER_COUNT: usize = 3;

/// The markers in one piece of a stream. No byte is searched twice for the same one.
#[derive(Debug)]
pub(super) struct Markers<'a> {
    piece: &'a [u8],
    found: [Found; MARKER_COUNT],
}

/// How far a marker has been searched for.
#[derive(Debug, Clone, Copy)]
enum Found {
    NotYet,
    At(usize),
    NoMore,
}

impl<'a> Markers<'a> {
    pub(super) fn of(piece: &'a [u8]) -> Self {
        Self { piece, found: [Found::NotYet; MARKER_COUNT] }
    }

    /// Where the first one at or after `from` begins.
    pub(super) fn next(&mut self, from: usize) -> Option<usize> {
        let mut first = None;
        for (finder, found) in MARKERS.iter().zip(&mut self.found) {
            let is_behind = match *found {
                Found::NotYet => true,
                Found::At(at) => at < from,
                Found::NoMore => false,
            };
            if is_behind {
                let next = self.piece.get(from..).and_then(|rest| finder.find(rest));
                *found = next.map_or(Found::NoMore, |at| Found::At(from + at));
            }
            if let Found::At(at) = *found {
                first = Some(first.map_or(at, |first: usize| first.min(at)));
            }
        }
        first
    }
}
