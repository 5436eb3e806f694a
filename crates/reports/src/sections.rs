//! What a report says, in the order in which it says it, whatever it is written in.

mod about;
mod history;

use domain::report::ReportDocument;
use serde::Serialize;
use std::borrow::Cow;

/// A part with a heading.
#[derive(Debug, Serialize)]
pub(crate) struct Section<'a> {
    pub title: &'static str,
    pub pieces: Vec<Piece<'a>>,
}

/// What sections are made of.
#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Piece<'a> {
    /// Names and values.
    Facts {
        facts: Vec<Fact>,
    },
    Table {
        title: &'static str,
        columns: Vec<Column>,
        rows: Vec<Vec<String>>,
    },
    /// What each turn cost.
    Chart {
        title: &'static str,
    },
    /// One of many things that happened.
    Entry {
        title: String,
        /// Small remarks beside the title.
        about: Vec<String>,
        body: Vec<Body<'a>>,
    },
    /// Something the reader has to know.
    Note {
        text: String,
    },
}

/// A name and its value.
#[derive(Debug, Serialize)]
pub(crate) struct Fact {
    pub name: &'static str,
    pub value: String,
}

/// A column of a table.
#[derive(Debug, Serialize)]
pub(crate) struct Column {
    pub title: &'static str,
    pub is_figure: bool,
    /// How wide it is among the others.
    pub share: u8,
}

/// What an entry says.
#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Body<'a> {
    /// Markdown that somebody wrote.
    Prose { text: &'a str },
    /// Text as it is.
    Verbatim { label: &'static str, text: Cow<'a, str> },
}

/// What the report is called.
pub(crate) fn title(document: &ReportDocument) -> String {
    let name = document.session.name.as_deref().map(str::trim).filter(|name| !name.is_empty());
    name.map_or_else(|| format!("Session {}", document.session.id), str::to_owned)
}

/// Everything that the document says.
pub(crate) fn sections(document: &ReportDocument) -> Vec<Section<'_>> {
    let mut sections = vec![about::session(document)];
    sections.extend(document.metrics.as_ref().map(about::figures));
    sections.extend(document.messages.as_ref().map(|messages| history::conversation(messages)));
    sections.extend(document.tool_calls.as_ref().map(|calls| history::tool_calls(calls)));
    sections.extend(document.decisions.as_ref().map(|decisions| history::decisions(decisions)));
    sections.extend(document.approvals.as_ref().map(|approvals| history::approvals(approvals)));
    sections
}

fn column(title: &'static str, share: u8) -> Column {
    Column { title, is_figure: false, share }
}

fn figure(title: &'static str, share: u8) -> Column {
    Column { title, is_figure: true, share }
}

/// Facts that there are.
fn facts(all: impl IntoIterator<Item = (&'static str, Option<String>)>) -> Piece<'static> {
    let known = all.into_iter().filter_map(|(name, value)| Some(Fact { name, value: value? }));
    Piece::Facts { facts: known.collect() }
}

/// A section that may have nothing to say says so.
fn or_none<'a>(title: &'static str, mut pieces: Vec<Piece<'a>>, none: &str) -> Section<'a> {
    if pieces.is_empty() {
        pieces.push(Piece::Note { text: none.to_owned() });
    }
    Section { title, pieces }
}

#[cfg(test)]
pub(crate) mod tests;
