//! Patterns over parsed commands: `rm -rf` is also `rm -r --force`, wherever and however it is written.

use crate::shell::{self, SimpleCommand, UnknownWord, Word};
use std::{fmt, str::FromStr};

/// Programs by which a command runs as somebody else; a pattern with one of them means all of them.
const AS_ANOTHER: [&str; 6] = ["sudo", "doas", "pkexec", "run0", "su", "runuser"];
/// Which short options are which long ones, for the programs of the default patterns and their like.
const LONG_OPTIONS: [(&str, &str, &[char]); 12] = [
    ("rm", "recursive", &['r', 'R']),
    ("rm", "force", &['f']),
    ("rm", "dir", &['d']),
    ("rm", "verbose", &['v']),
    ("chmod", "recursive", &['R']),
    ("chown", "recursive", &['R']),
    ("chgrp", "recursive", &['R']),
    ("cp", "recursive", &['r', 'R']),
    ("cp", "force", &['f']),
    ("mv", "force", &['f']),
    ("git", "force", &['f']),
    ("docker", "force", &['f']),
];
/// The longest cluster of short options in a pattern; a longer word with one dash is one long option: `-delete`.
const LONGEST_CLUSTER: usize = 3;

/// A command that must not run, as a setting names it: a program, options in any form and order, and the words that
/// follow it, such as a subcommand. `*` in a word stands for anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandPattern {
    text: String,
    /// Wrappers it has to run under.
    under: Vec<String>,
    program: String,
    options: Vec<Opt>,
    operands: Vec<String>,
}

/// Why a text is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadPattern {
    #[error("`{0}` is not a command: {1}")]
    Unparsable(String, shell::Unparsable),
    #[error(
        "`{0}` is not one simple command; a pattern is a program, options and words, without operators or variables"
    )]
    NotOneCommand(String),
}

/// Whether a command is what a pattern names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Match {
    No,
    /// It depends on words that are only known when it runs.
    Maybe,
    Yes,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Opt {
    /// One letter, or what means the same.
    Short(char),
    Long(String),
}

impl CommandPattern {
    /// The patterns in a list with commas.
    ///
    /// # Errors
    /// When one of them is none.
    pub fn list(text: &str) -> Result<Vec<Self>, BadPattern> {
        text.split(',').map(str::trim).filter(|pattern| !pattern.is_empty()).map(str::parse).collect()
    }

    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub(super) fn matches(&self, command: &SimpleCommand) -> Match {
        if !command.program().is_some_and(|program| self.names(program)) || !self.is_under(&command.under) {
            return Match::No;
        }
        let arguments = &command.words[1..];
        self.options_match(arguments).min(self.operands_match(arguments))
    }

    /// Whether this is its program, by whatever path and suffix.
    fn names(&self, program: &str) -> bool {
        let program = program.to_ascii_lowercase();
        let is_same = wildcard(&self.program, &program);
        is_same
            || program.split_once('.').is_some_and(|(stem, suffix)| {
                stem == self.program && (stem == "mkfs" || matches!(suffix, "exe" | "com"))
            })
    }

    fn is_under(&self, under: &[String]) -> bool {
        let mut outer = under.iter();
        self.under.iter().all(|wanted| {
            outer.any(|name| {
                name == wanted
                    || (AS_ANOTHER.contains(&name.as_str()) && AS_ANOTHER.contains(&wanted.as_str()))
            })
        })
    }

    fn options_match(&self, arguments: &[Word]) -> Match {
        let ends = arguments.iter().position(|word| word.known() == Some("--")).unwrap_or(arguments.len());
        let is_there = |option: &Opt| {
            arguments[..ends].iter().filter_map(Word::known).any(|word| self.has(word, option))
        };
        if self.options.iter().all(is_there) {
            return Match::Yes;
        }
        let operands =
            arguments.iter().filter(|word| !word.known().is_some_and(|text| text.starts_with('-'))).count();
        let may_be_there = arguments[..ends].iter().any(|word| may_be_options(word, operands));
        if may_be_there { Match::Maybe } else { Match::No }
    }

    /// Whether a word holds an option, among others or alone.
    fn has(&self, word: &str, option: &Opt) -> bool {
        let same = |long: &str, short: char| {
            LONG_OPTIONS.iter().any(|(program, name, letters)| {
                *program == self.program && *name == long && letters.contains(&short)
            })
        };
        if let Some(long) = word.strip_prefix("--") {
            let name = long.split('=').next().unwrap_or(long);
            let begins = |full: &str| !name.is_empty() && full.starts_with(name);
            return match option {
                Opt::Long(full) => begins(full),
                Opt::Short(letter) => LONG_OPTIONS.iter().any(|(program, full, letters)| {
                    *program == self.program && letters.contains(letter) && begins(full)
                }),
            };
        }
        let Some(cluster) = word.strip_prefix('-') else { return false };
        match option {
            Opt::Short(letter) => cluster.chars().any(|other| {
                other == *letter
                    || LONG_OPTIONS.iter().any(|(program, _, letters)| {
                        *program == self.program && letters.contains(letter) && letters.contains(&other)
                    })
            }),
            Opt::Long(full) => {
                cluster.split('=').next() == Some(full) || cluster.chars().any(|letter| same(full, letter))
            }
        }
    }

    /// Whether its words come first among those that are no options. A word after an option may be its value.
    fn operands_match(&self, arguments: &[Word]) -> Match {
        let mut wanted = self.operands.iter();
        let Some(mut next) = wanted.next() else { return Match::Yes };
        let mut follows_option = false;
        for word in arguments {
            let is_option = word.known().is_some_and(|text| text.len() > 1 && text.starts_with('-'));
            if is_option {
                follows_option = true;
                continue;
            }
            let is_wanted = match word {
                Word::Known(text) => wildcard(next, text),
                Word::Pattern(_) => false,
                Word::Unknown(unknown) if may_be(unknown, next) => return Match::Maybe,
                Word::Unknown(_) => false,
            };
            if is_wanted {
                match wanted.next() {
                    Some(following) => next = following,
                    None => return Match::Yes,
                }
            } else if !follows_option {
                return Match::No;
            }
            follows_option = false;
        }
        Match::No
    }
}

impl FromStr for CommandPattern {
    type Err = BadPattern;

    fn from_str(text: &str) -> Result<Self, BadPattern> {
        let not_one = || BadPattern::NotOneCommand(text.to_owned());
        let analysis =
            shell::analyse(text).map_err(|error| BadPattern::Unparsable(text.to_owned(), error))?;
        let mut outermost = analysis.commands.iter().filter(|command| command.under.is_empty());
        let (Some(command), None) = (outermost.next(), outermost.next()) else { return Err(not_one()) };
        if !command.assignments.is_empty() || !command.redirects.is_empty() {
            return Err(not_one());
        }
        let words: Vec<&str> = command
            .words
            .iter()
            .map(|word| match word {
                Word::Known(text) | Word::Pattern(text) => Ok(text.as_str()),
                Word::Unknown(_) => Err(not_one()),
            })
            .collect::<Result<_, _>>()?;
        let is_option = |word: &str| word.len() > 1 && word.starts_with('-');
        let wrappers = words
            .windows(2)
            .take_while(|pair| shell::runs_its_arguments(pair[0]) && !is_option(pair[1]))
            .count();
        let (under, rest) = words.split_at(wrappers);
        let (program, arguments) = rest.split_first().ok_or_else(not_one)?;
        let mut options = vec![];
        for word in arguments.iter().filter(|word| is_option(word)) {
            match word
                .strip_prefix("--")
                .or_else(|| word.strip_prefix('-').filter(|rest| rest.len() > LONGEST_CLUSTER))
            {
                Some(long) => options.push(Opt::Long(long.to_owned())),
                None => options.extend(word.chars().skip(1).map(Opt::Short)),
            }
        }
        Ok(Self {
            text: text.to_owned(),
            under: under.iter().map(|word| (*word).to_owned()).collect(),
            program: program.rsplit('/').next().unwrap_or(program).to_ascii_lowercase(),
            options,
            operands: arguments
                .iter()
                .filter(|word| !is_option(word))
                .map(|word| (*word).to_owned())
                .collect(),
        })
    }
}

impl fmt::Display for CommandPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Whether a word that is not known could be, or become, options that count: only with an operand beside it.
fn may_be_options(word: &Word, operands: usize) -> bool {
    // What a word begins and ends with is enough to see that it is a path or a file's name.
    let is_option_text =
        |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '='));
    let begins = |prefix: &str| prefix.is_empty() || prefix.starts_with('-');
    match word {
        Word::Known(_) => false,
        Word::Pattern(pattern) => {
            let prefix = pattern.split(['*', '?', '[']).next().unwrap_or_default();
            let suffix = pattern.rsplit(['*', '?', ']']).next().unwrap_or_default();
            begins(prefix) && is_option_text(suffix)
        }
        Word::Unknown(UnknownWord { known_prefix, known_suffix, splits, written: _ }) => {
            begins(known_prefix) && is_option_text(known_suffix) && (*splits || operands > 1)
        }
    }
}

/// Whether a word that is not known could be this text.
fn may_be(unknown: &UnknownWord, text: &str) -> bool {
    let prefix = &unknown.known_prefix;
    (prefix.is_empty() || text.starts_with(prefix.as_str())) && text.ends_with(unknown.known_suffix.as_str())
}

/// Whether a text is what a pattern with `*` describes.
fn wildcard(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        let Some(at) = text.find(part) else { return false };
        text = &text[at + part.len()..];
    }
    text.ends_with(last)
}
