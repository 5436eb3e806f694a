//! What a shell command line would run, read and write, as far as that can be known before it runs.
//!
//! Bash's words are split here (`lexer`, `scan`), because a judge has to see where a word, a comment or a
//! here-document ends exactly as Bash does; the grammar over these words is brush-parser's. `walk` visits every node
//! of its tree, and matches without a wildcard: a kind of node it does not know would not compile.

mod braces;
mod code;
mod given;
mod inner;
mod lexer;
mod numbers;
mod place;
mod scan;
mod simple;
mod tools;
mod walk;
mod words;
mod wrappers;

use std::path::PathBuf;

/// The longest line that is judged, in bytes.
pub const MAX_LINE_BYTES: usize = 64 * 1024;
/// The deepest nesting of substitutions in each other, and of shells in shells.
pub const MAX_DEPTH: usize = 16;
/// The deepest nesting of groups, loops and conditions in one program.
pub const MAX_NESTING: usize = 24;
/// The most commands a line may hold, repetitions by brace expansion and by nesting included.
pub const MAX_COMMANDS: usize = 4096;
/// The most text that is read for one line, in bytes, with what is read again in substitutions and nested shells.
pub const MAX_WORK_BYTES: usize = 4 * MAX_LINE_BYTES;

/// A word of a command after quoting and expansion.
///
/// A `~` at its beginning stands as written, whether it was quoted or not; `$HOME` at the beginning is read as `~`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Word {
    /// Exactly this text.
    Known(String),
    /// The files that match this pattern; `\` stands before characters that were quoted.
    Pattern(String),
    /// Only known when it runs.
    Unknown(UnknownWord),
}

/// A word that is known in part.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UnknownWord {
    /// As it was written.
    pub written: String,
    /// The known text it begins with.
    pub known_prefix: String,
    /// The known text it ends with.
    pub known_suffix: String,
    /// Not quoted: it may become several words, or none.
    pub splits: bool,
}

/// How a command touches a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Touch {
    Read,
    Write,
}

/// Where a command is while it runs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// This directory; relative ones are relative to where the shell began, and one with a `~` to the agent's home.
    Known(PathBuf),
    /// After a `cd` to somewhere that is not known.
    Unknown,
}

/// One simple command, wherever in the line it stands: also inside `sh -c`, `xargs`, `find -exec`, substitutions.
///
/// After `cd dir; make` it is not known whether `cd` succeeded: `make` is then listed once for each place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimpleCommand {
    /// Program and arguments, wrappers such as `sudo` and `env` being commands of their own before what they run.
    /// Empty for redirections and assignments without a command.
    pub words: Vec<Word>,
    /// Variables set for it.
    pub assignments: Vec<(String, Word)>,
    /// Targets of its redirections.
    pub redirects: Vec<(Touch, Word)>,
    pub place: Place,
    /// The wrappers it runs under, the outermost first, each by its name: `["sudo"]`.
    pub under: Vec<String>,
}

/// Everything a line would run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Analysis {
    pub commands: Vec<SimpleCommand>,
    /// What cannot be known before it runs, each in a sentence: a person has to decide.
    pub unknowns: Vec<String>,
    /// Each value that an assignment or a loop gives to a variable.
    pub settings: Vec<Setting>,
}

/// A value that the line gives to a variable.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Setting {
    pub name: String,
    pub value: Word,
    /// It is the whole value, and not for one command only: `name=value` by itself.
    pub is_plain: bool,
    /// It comes after the value there was: `name+=value`.
    pub is_added: bool,
}

/// Why a line cannot be judged, in words that tell its author what to change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unparsable {
    #[error("it is longer than {MAX_LINE_BYTES} bytes; write a file and run that")]
    TooLong,
    #[error("it contains a NUL character")]
    Nul,
    #[error(
        "it nests more than {MAX_DEPTH} substitutions or {MAX_NESTING} groups in each other; write it in steps"
    )]
    TooDeep,
    #[error("it holds more than {MAX_COMMANDS} commands; write a script and run that")]
    TooMany,
    #[error(
        "it holds more than {MAX_WORK_BYTES} bytes in substitutions and nested shells; write a script and run that"
    )]
    TooMuch,
    #[error("{0} is not closed")]
    Unclosed(&'static str),
    #[error("{0} can be read in more than one way; write it in a simpler form")]
    Ambiguous(&'static str),
    #[error("it is not valid shell: {0}")]
    Syntax(String),
}

/// Everything `line` would run if Bash were given it.
///
/// # Errors
/// When it cannot be parsed, or not within the limits of this module. Such a line must not run.
pub fn analyse(line: &str) -> Result<Analysis, Unparsable> {
    if line.len() > MAX_LINE_BYTES {
        return Err(Unparsable::TooLong);
    }
    if line.contains('\0') {
        return Err(Unparsable::Nul);
    }
    walk::analyse(line)
}

/// Whether a program of that name runs the command in its arguments.
#[must_use]
pub fn runs_its_arguments(program: &str) -> bool {
    wrappers::is_wrapper(program)
}

impl Word {
    /// The text, if it is known.
    #[must_use]
    pub fn known(&self) -> Option<&str> {
        match self {
            Self::Known(text) => Some(text),
            Self::Pattern(_) | Self::Unknown(_) => None,
        }
    }
}

impl SimpleCommand {
    /// The program's name without its folder, if it is known.
    #[must_use]
    pub fn program(&self) -> Option<&str> {
        let name = self.words.first()?.known()?;
        Some(name.rsplit('/').next().unwrap_or(name))
    }
}
