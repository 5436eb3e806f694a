//! What a shell command line would run, read and write, as far as that can be known before it runs.

use std::path::PathBuf;

/// A word of a command after quoting and expansion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Word {
    /// Exactly this text.
    Known(String),
    /// Only known when it runs; as it was written. It may begin with a known text.
    Unknown { written: String, known_prefix: String },
}

/// How a command touches a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Touch {
    Read,
    Write,
}

/// Where a command is while it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// This directory; relative ones are relative to where the shell began.
    Known(PathBuf),
    /// After a `cd` to somewhere that is not known.
    Unknown,
}

/// One simple command, wherever in the line it stands: also inside `sh -c`, `xargs`, `find -exec`, substitutions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimpleCommand {
    /// Program and arguments, wrappers such as `sudo` and `env` being commands of their own before what they run.
    pub words: Vec<Word>,
    /// Variables set for it.
    pub assignments: Vec<(String, Word)>,
    /// Targets of its redirections.
    pub redirects: Vec<(Touch, Word)>,
    pub place: Place,
}

/// Everything a line would run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Analysis {
    pub commands: Vec<SimpleCommand>,
    /// What cannot be known before it runs, each in a sentence: a person has to decide.
    pub unknowns: Vec<String>,
}

/// STUB until gov-shell is merged.
#[derive(Debug, thiserror::Error)]
#[error("parse")]
pub struct Unparsable;
pub fn analyse(line: &str) -> Result<Analysis, Unparsable> {
    let commands = line
        .split("&&")
        .map(|part| SimpleCommand {
            words: part
                .split_whitespace()
                .filter(|w| !w.starts_with('>'))
                .map(|w| {
                    if w.starts_with('$') {
                        Word::Unknown { written: w.to_owned(), known_prefix: String::new() }
                    } else {
                        Word::Known(w.to_owned())
                    }
                })
                .collect(),
            assignments: vec![],
            redirects: part
                .split_whitespace()
                .filter_map(|w| w.strip_prefix('>'))
                .map(|w| (Touch::Write, Word::Known(w.to_owned())))
                .collect(),
            place: Place::Known(PathBuf::new()),
        })
        .collect();
    Ok(Analysis { commands, unknowns: vec![] })
}
