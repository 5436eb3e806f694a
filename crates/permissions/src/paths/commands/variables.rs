//! Variables that the line itself sets, so that `D=/etc; cat $D/passwd` is no way around.

use crate::shell::{SimpleCommand, UnknownWord, Word};
use std::collections::HashMap;

/// What is known of variables so far.
#[derive(Debug, Default)]
pub(super) struct Variables(HashMap<String, String>);

impl Variables {
    /// Notes what a command sets.
    pub(super) fn note(&mut self, command: &SimpleCommand) {
        for (name, value) in &command.assignments {
            match value {
                Word::Known(value) => self.0.insert(name.clone(), value.clone()),
                Word::Pattern(_) | Word::Unknown(_) => self.0.remove(name),
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
            name => self.0.get(name).map(String::as_str),
        }
    }
}
