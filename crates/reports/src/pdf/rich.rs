//! Markdown as blocks of text to be laid out one after the other.

use super::typesetter::{Part, Rich};
use crate::prose;
use pulldown_cmark::{Event, HeadingLevel, Tag, TagEnd};

/// How far each level of lists and quotes goes in.
const STEP: f32 = 14.0;
/// Levels that go in further; deeper ones would leave no room for text.
const LEVELS_MAX: usize = 8;
const SIZE: f32 = 9.0;

/// A paragraph, a heading, a line of a table, or code.
#[derive(Debug)]
pub(super) struct Block {
    pub rich: Rich,
    pub indent: f32,
    /// What stands before it, at the first block of an item.
    pub marker: Option<String>,
    pub size: f32,
    pub is_bold: bool,
    pub is_verbatim: bool,
    pub is_rule: bool,
}

/// The blocks of a text.
pub(super) fn blocks(text: &str) -> Vec<Block> {
    let mut builder = Builder::default();
    for event in prose::events(text) {
        builder.take(event);
    }
    builder.flush();
    builder.blocks
}

#[derive(Default)]
struct Builder {
    blocks: Vec<Block>,
    rich: Rich,
    /// Where parts began that are still open.
    open: Vec<(usize, Part)>,
    /// The number of the next item of each list that is open; None for bullets.
    lists: Vec<Option<u64>>,
    quotes: usize,
    marker: Option<String>,
    /// Where links lead that are open.
    links: Vec<String>,
    heading: Option<HeadingLevel>,
    is_verbatim: bool,
    is_head: bool,
}

impl Builder {
    fn take(&mut self, event: Event<'_>) {
        match event {
            Event::Start(tag) => self.start(tag),
            Event::End(tag) => self.end(tag),
            Event::Text(text) => self.rich.text.push_str(&text),
            Event::Code(code) => {
                self.open(Part::Code);
                self.rich.text.push_str(&code);
                self.close();
            }
            Event::SoftBreak => self.rich.text.push(' '),
            Event::HardBreak => self.rich.text.push('\n'),
            Event::TaskListMarker(is_done) => self.rich.text.push_str(if is_done { "☑ " } else { "☐ " }),
            Event::Rule => {
                self.flush();
                self.push(true);
            }
            // Not asked of the parser, or text already.
            Event::Html(text)
            | Event::InlineHtml(text)
            | Event::InlineMath(text)
            | Event::DisplayMath(text)
            | Event::FootnoteReference(text) => self.rich.text.push_str(&text),
        }
    }

    fn start(&mut self, tag: Tag<'_>) {
        match tag {
            Tag::Heading { level, .. } => {
                self.flush();
                self.heading = Some(level);
            }
            Tag::BlockQuote(_) => {
                self.flush();
                self.quotes += 1;
            }
            Tag::CodeBlock(_) => {
                self.flush();
                self.is_verbatim = true;
            }
            Tag::List(first) => {
                self.flush();
                self.lists.push(first);
            }
            Tag::Item => {
                self.flush();
                self.marker = Some(match self.lists.last_mut() {
                    Some(Some(number)) => {
                        *number = number.saturating_add(1);
                        format!("{}.", number.saturating_sub(1))
                    }
                    _ => "•".to_owned(),
                });
            }
            Tag::TableHead => self.is_head = true,
            Tag::TableCell if !self.rich.text.is_empty() => self.rich.text.push_str("  │  "),
            Tag::Emphasis => self.open(Part::Italic),
            Tag::Strong => self.open(Part::Bold),
            Tag::Link { dest_url, .. } => {
                self.open(Part::Link);
                self.links.push(dest_url.into_string());
            }
            _ => {}
        }
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Emphasis | TagEnd::Strong => self.close(),
            TagEnd::Link => {
                // On paper nobody sees where a word leads.
                let leads_to = self.links.pop().unwrap_or_default();
                let from = self.open.last().map_or(0, |(from, _)| *from);
                if !self.rich.text.get(from..).is_some_and(|text| leads_to.ends_with(text)) {
                    self.rich.text.push_str(&format!(" ({leads_to})"));
                }
                self.close();
            }
            TagEnd::BlockQuote(_) => {
                self.flush();
                self.quotes = self.quotes.saturating_sub(1);
            }
            TagEnd::List(_) => {
                self.flush();
                self.lists.pop();
            }
            TagEnd::Heading(_) => {
                self.flush();
                self.heading = None;
            }
            TagEnd::CodeBlock => {
                self.flush();
                self.is_verbatim = false;
            }
            TagEnd::TableHead => {
                self.flush();
                self.is_head = false;
            }
            TagEnd::Paragraph | TagEnd::Item | TagEnd::TableRow | TagEnd::Table | TagEnd::HtmlBlock => {
                self.flush();
            }
            _ => {}
        }
    }

    fn open(&mut self, part: Part) {
        self.open.push((self.rich.text.len(), part));
    }

    fn close(&mut self) {
        if let Some((from, part)) = self.open.pop() {
            self.rich.parts.push((from..self.rich.text.len(), part));
        }
    }

    /// Ends the block that is being filled, if anything is in it.
    fn flush(&mut self) {
        if !self.rich.text.is_empty() {
            self.push(false);
        }
    }

    fn push(&mut self, is_rule: bool) {
        let levels = (self.lists.len() + self.quotes).min(LEVELS_MAX);
        let size = match self.heading {
            Some(HeadingLevel::H1) => SIZE + 3.0,
            Some(HeadingLevel::H2) => SIZE + 1.5,
            _ => SIZE,
        };
        // A part that goes over the end of a block goes on in the next one.
        let text_end = self.rich.text.len();
        let mut rich = std::mem::take(&mut self.rich);
        for (from, part) in &mut self.open {
            rich.parts.push((*from..text_end, *part));
            *from = 0;
        }
        self.blocks.push(Block {
            rich,
            indent: levels as f32 * STEP,
            marker: self.marker.take(),
            size,
            is_bold: self.heading.is_some() || self.is_head,
            is_verbatim: self.is_verbatim,
            is_rule,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markdown_becomes_blocks() {
        let text = "# Head\n\nSome **bold _both_** and `code`.\n\n1. one\n2. two\n   - deep\n\n> said\n\n```\na\n b\n```\n\n\
                    | a | b |\n|---|---|\n| 1 | 2 |\n\n---\n\n[x](https://example.org) <https://example.org>";
        let told: Vec<(String, f32, Option<String>)> = blocks(text)
            .into_iter()
            .map(|block| (block.rich.text, block.indent / STEP, block.marker))
            .collect();
        let told: Vec<(&str, f32, Option<&str>)> =
            told.iter().map(|(text, indent, marker)| (text.as_str(), *indent, marker.as_deref())).collect();
        assert_eq!(
            told,
            [
                ("Head", 0.0, None),
                ("Some bold both and code.", 0.0, None),
                ("one", 1.0, Some("1.")),
                ("two", 1.0, Some("2.")),
                ("deep", 2.0, Some("•")),
                ("said", 1.0, None),
                ("a\n b\n", 0.0, None),
                ("a  │  b", 0.0, None),
                ("1  │  2", 0.0, None),
                ("", 0.0, None),
                ("x (https://example.org) https://example.org", 0.0, None),
            ]
        );
        let some = &blocks(text)[1].rich;
        let parts: Vec<(&str, Part)> =
            some.parts.iter().map(|(range, part)| (&some.text[range.clone()], *part)).collect();
        assert_eq!(parts, [("both", Part::Italic), ("bold both", Part::Bold), ("code", Part::Code)]);
    }
}
