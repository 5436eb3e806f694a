//! Variables that the line itself sets, so that `D=/etc; cat $D/passwd` is no way around.

use crate::shell::{SimpleCommand, UnknownWord, Word};
use std::{collections::HashMap, path::Path};

/// What is known of variables so far.
#[derive(Debug)]
pub(super) struct Variables {
    known: HashMap<String, String>,
    /// `$TMPDIR`, where `mktemp` makes its files.
    temporary: String,
}

impl Variables {
    pub(super) fn new(temporary: &Path) -> Self {
        Self { known: HashMap::new(), temporary: temporary.display().to_string() }
    }

    /// Notes what a command sets.
    pub(super) fn note(&mut self, command: &SimpleCommand) {
        for (name, value) in &command.assignments {
            match value {
                Word::Known(value) => self.known.insert(name.clone(), value.clone()),
                Word::Unknown(value) if is_made_by_mktemp(&value.written) => {
                    self.known.insert(name.clone(), format!("{}/a-temporary-file", self.temporary))
                }
                Word::Pattern(_) | Word::Unknown(_) => self.known.remove(name),
            };
        }
    }

    /// The command with what is known put in.
    pub(super) fn fill(&self, command: &SimpleCommand) -> SimpleCommand {
        let mut filled = command.clone();
        let names = filled.redirects.iter_mut().map(|(_, name)| name);
        for word in filled.words.iter_mut().chain(names) {
            if let Word::Unknown(unknown) = word
                && let Some(text) = self.text(unknown)
            {
                *word = Word::Known(text);
            }
        }
        filled
    }

    /// The text of a word that has nothing unknown but plain variables.
    fn text(&self, unknown: &UnknownWord) -> Option<String> {
        let mut text = String::new();
        let mut chars = unknown.written.chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                '"' => {}
                '\'' | '\\' | '`' | '*' | '?' | '[' => return None,
                '$' => {
                    let is_braced = chars.next_if_eq(&'{').is_some();
                    let mut name = String::new();
                    while let Some(c) = chars.next_if(|c| c.is_ascii_alphanumeric() || *c == '_') {
                        name.push(c);
                    }
                    if is_braced && chars.next() != Some('}') {
                        return None;
                    }
                    text.push_str(self.value(&name)?);
                }
                c => text.push(c),
            }
        }
        Some(text)
    }

    fn value(&self, name: &str) -> Option<&str> {
        match name {
            "PWD" => Some("."),
            "TMPDIR" if !self.known.contains_key(name) => Some(&self.temporary),
            name => self.known.get(name).map(String::as_str),
        }
    }
}

/// `$(mktemp)` and `$(mktemp -d)`, which make something in the temporary folder.
fn is_made_by_mktemp(written: &str) -> bool {
    let inner = written.trim_matches('"').strip_prefix("$(").and_then(|rest| rest.strip_suffix(')'));
    let words: Vec<&str> = inner.unwrap_or_default().split_whitespace().collect();
    matches!(words[..], ["mktemp"] | ["mktemp", "-d" | "-q"])
}
