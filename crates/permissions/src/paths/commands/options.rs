//! The words of a command as options, their values, and operands.

use super::table::Program;
use crate::shell::{UnknownWord, Word};

/// One argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Argument {
    Option(String),
    Valued { option: String, value: Word },
    Operand(usize, Word),
}

impl Argument {
    pub(super) fn is_option(&self, names: &[&str]) -> bool {
        match self {
            Self::Option(name) | Self::Valued { option: name, .. } => names.contains(&name.as_str()),
            Self::Operand(..) => false,
        }
    }

    pub(super) fn value_of(&self, names: &[&str]) -> Option<Word> {
        match self {
            Self::Valued { option, value } if names.contains(&option.as_str()) => Some(value.clone()),
            _ => None,
        }
    }

    pub(super) fn operand(&self) -> Option<(usize, &Word)> {
        match self {
            Self::Operand(index, word) => Some((*index, word)),
            _ => None,
        }
    }
}

/// Sorts the words of a program. Options may come after operands, as with all of GNU.
pub(super) fn arguments(program: &Program, words: &[Word]) -> Vec<Argument> {
    let lists = [program.values, program.reads, program.writes, program.instead];
    let takes_value = |name: &str| lists.iter().any(|list| list.contains(&name)) && name != "--files";
    let mut sorted = vec![];
    let mut words = words.iter().enumerate();
    let mut options_end = false;
    while let Some((index, word)) = words.next() {
        let head = match word {
            Word::Known(text) | Word::Pattern(text) => text.as_str(),
            Word::Unknown(unknown) => unknown.known_prefix.as_str(),
        };
        if options_end || !head.starts_with('-') || head == "-" {
            sorted.push(Argument::Operand(index, word.clone()));
            continue;
        }
        if head == "--" {
            options_end = true;
            continue;
        }
        let mut value = |rest: Option<Word>| rest.or_else(|| words.next().map(|(_, word)| word.clone()));
        let valued = |option: &str, value: Option<Word>| match value {
            Some(value) => Argument::Valued { option: option.to_owned(), value },
            None => Argument::Option(option.to_owned()),
        };
        if head.starts_with("--") || takes_value(head) {
            let (name, rest) = match head.find('=') {
                Some(at) => (&head[..at], Some(without(word, at + 1))),
                None => (head, None),
            };
            sorted.push(match (takes_value(name), rest) {
                (_, Some(rest)) => valued(name, Some(rest)),
                (true, None) => valued(name, value(None)),
                (false, None) => Argument::Option(name.to_owned()),
            });
            continue;
        }
        // A cluster; the first that takes a value takes the rest.
        sorted.push(Argument::Option(head.to_owned()));
        for (at, letter) in head.char_indices().skip(1) {
            let name = format!("-{letter}");
            if takes_value(&name) {
                let end = at + letter.len_utf8();
                let rest = (end < head.len() || matches!(word, Word::Unknown(_))).then(|| without(word, end));
                sorted.push(valued(&name, value(rest)));
                break;
            }
            sorted.push(Argument::Option(name));
        }
    }
    sorted
}

/// The word without its first bytes, which are known.
fn without(word: &Word, bytes: usize) -> Word {
    match word {
        Word::Known(text) => Word::Known(text[bytes..].to_owned()),
        Word::Pattern(text) => Word::Pattern(text[bytes..].to_owned()),
        Word::Unknown(unknown) => {
            let known_prefix = unknown.known_prefix[bytes..].to_owned();
            Word::Unknown(UnknownWord { known_prefix, ..unknown.clone() })
        }
    }
}
