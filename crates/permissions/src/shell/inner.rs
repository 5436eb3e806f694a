//! Commands that run commands: shells, the shell's own, and wrappers.

use super::{
    Unparsable, given,
    place::{Ends, Places},
    simple::{Draft, shorten},
    walk::{Scope, Walk},
    words::Expanded,
    wrappers,
};

const SHELLS: [&str; 9] = ["sh", "bash", "dash", "zsh", "ksh", "ash", "mksh", "rbash", "fish"];
/// Long options of Bash without a value, which may have one dash.
const LONG_FLAGS: [&str; 12] = [
    "debugger",
    "dump-po-strings",
    "dump-strings",
    "help",
    "login",
    "noediting",
    "noprofile",
    "norc",
    "posix",
    "pretty-print",
    "restricted",
    "verbose",
];
/// Variables whose value is a command that programs run.
const COMMAND_VARIABLES: [&str; 12] = [
    "PROMPT_COMMAND",
    "PS4",
    "PAGER",
    "GIT_PAGER",
    "EDITOR",
    "VISUAL",
    "GIT_EDITOR",
    "GIT_SEQUENCE_EDITOR",
    "GIT_SSH_COMMAND",
    "GIT_EXTERNAL_DIFF",
    "GIT_ASKPASS",
    "LESSOPEN",
];

impl Walk {
    /// Visits what a command runs in turn. Its ends, if it runs in the shell itself and may change where that is.
    pub(super) fn inner_commands(
        &mut self,
        draft: &Draft,
        scope: &Scope,
    ) -> Result<Option<Ends>, Unparsable> {
        self.command_variables(&draft.assignments, scope)?;
        let Some(program) = draft.program() else { return Ok(None) };
        self.numbers(draft);
        self.alias(draft, scope)?;
        let arguments = &draft.words[1..];
        let mut inner = scope.clone();
        inner.under.push(program.to_owned());
        inner.depth += 1;
        if inner.depth > super::MAX_DEPTH {
            return Err(Unparsable::TooDeep);
        }
        match program {
            "eval" => {
                let arguments = arguments.strip_prefix_word("--");
                let places = self.text(&join(arguments), arguments, &inner)?;
                return Ok(Some(Ends::same(&places)));
            }
            "." | "source" => {
                if let Some(word) = arguments.strip_prefix_word("--").first() {
                    self.program_file(word, &inner)?;
                }
            }
            "trap" => self.trap(arguments, &inner)?,
            "alias" => {
                for word in arguments {
                    if let Some((_, value)) = word.template.split_once('=') {
                        self.text(value, std::slice::from_ref(word), &inner)?;
                    }
                }
                self.note_aliases(draft);
            }
            "export" | "declare" | "typeset" | "readonly" | "local" => {
                let set: Vec<_> = arguments.iter().filter_map(assignment).collect();
                self.command_variables(&set, &inner)?;
            }
            "mapfile" | "readarray" => self.options_with_programs(arguments, 'C', "--callback", &inner)?,
            "compgen" | "complete" => {
                self.options_with_programs(arguments, 'C', "--callback", &inner)?;
                self.options_with_programs(arguments, 'W', "--wordlist", &inner)?;
            }
            "hash" | "enable"
                if arguments.iter().any(|word| matches!(word.template.as_str(), "-p" | "-f")) =>
            {
                self.unknown(format!("`{program}` changes what later commands are"));
            }
            "command"
                if arguments
                    .first()
                    .is_some_and(|word| matches!(word.template.as_str(), "-v" | "-V" | "-pv")) => {}
            "su" => self.options_with_programs(arguments, 'c', "--command", &inner)?,
            "at" | "batch" => self.standard_input(&inner)?,
            shell if SHELLS.contains(&shell) => self.shell(arguments, &inner)?,
            loose if wrappers::is_loose(loose) => {
                for words in wrappers::loose(arguments) {
                    self.emit(Draft { words, ..Draft::default() }, &inner)?;
                }
            }
            _ => return self.tool(program, arguments, &inner),
        }
        Ok(None)
    }

    /// A wrapper from the table.
    pub(super) fn wrapper(
        &mut self,
        program: &str,
        arguments: &[Expanded],
        scope: &Scope,
    ) -> Result<Option<Ends>, Unparsable> {
        let Some(wrapper) = wrappers::find(program) else { return Ok(None) };
        let wrapped = wrapper.read(arguments);
        if wrapped.is_cut {
            self.unknown(format!("where the command of `{program}` begins is not clear"));
        }
        let mut inner = scope.clone();
        if let Some(directory) = &wrapped.directory {
            inner.places = match directory.word.known() {
                Some(directory) => inner.places.change(directory, true),
                None => Places::unknown(),
            };
        }
        for word in &wrapped.programs {
            self.text(&word.template, std::slice::from_ref(word), &inner)?;
        }
        let mut ends = None;
        for words in wrapped.commands {
            if wrapper.joins {
                if words.is_empty() {
                    continue;
                }
                if program == "ssh" {
                    // On another machine; its commands are judged all the same, its paths are not ours.
                    inner.places = Places::unknown();
                }
                self.text(&join(&words), &words, &inner)?;
                continue;
            }
            let assignments = wrapped.assignments.iter().filter_map(assignment).collect();
            ends = Some(self.emit(Draft { words, assignments, redirects: vec![] }, &inner)?);
        }
        Ok(ends.filter(|_| matches!(program, "command" | "builtin")))
    }

    /// A shell: a program in `-c`, a file, or what it reads.
    fn shell(&mut self, arguments: &[Expanded], scope: &Scope) -> Result<(), Unparsable> {
        let mut runs_text = false;
        let mut reads_stdin = false;
        let mut words = arguments.iter().enumerate();
        while let Some((position, word)) = words.next() {
            let Some(flags) = word.template.strip_prefix(['-', '+']).filter(|flags| !flags.is_empty()) else {
                if runs_text {
                    self.text(&word.template, std::slice::from_ref(word), scope)?;
                } else if word.template == "-" {
                    self.standard_input(scope)?;
                } else if word.is_pipe || given::descriptor(&word.template, scope).is_some() {
                    self.program_file(word, scope)?;
                } else if word.word.known().is_none() {
                    // It may be `-c`.
                    for next in &arguments[position + 1..] {
                        self.attempt(&next.template, scope)?;
                    }
                }
                if !reads_stdin {
                    return Ok(());
                }
                break;
            };
            match flags {
                "-" => {}
                // Bash takes its long options with one dash too.
                "-rcfile" | "-init-file" | "rcfile" | "init-file" => {
                    if let Some((_, file)) = words.next() {
                        self.program_file(file, scope)?;
                    }
                }
                long if long.starts_with('-') || LONG_FLAGS.contains(&long) => {}
                short => {
                    runs_text |= short.contains('c');
                    reads_stdin |= short.contains('s');
                    // Wherever in the cluster they stand, their values come after it.
                    for _ in short.matches(['o', 'O']) {
                        words.next();
                    }
                }
            }
        }
        self.standard_input(scope)
    }

    fn trap(&mut self, arguments: &[Expanded], scope: &Scope) -> Result<(), Unparsable> {
        let arguments = arguments.strip_prefix_word("--");
        match arguments.first() {
            Some(word) if !matches!(word.template.as_str(), "-" | "" | "-p" | "-l" | "-P") => {
                self.text(&word.template, std::slice::from_ref(word), scope).map(drop)
            }
            _ => Ok(()),
        }
    }

    /// Values of an option that are programs for a shell: `-c text`, `--command=text`.
    pub(super) fn options_with_programs(
        &mut self,
        arguments: &[Expanded],
        letter: char,
        long: &str,
        scope: &Scope,
    ) -> Result<(), Unparsable> {
        for (position, word) in arguments.iter().enumerate() {
            let text = word.template.as_str();
            let is_short = text.starts_with('-') && !text.starts_with("--") && text.ends_with(letter);
            let value = match text.strip_prefix(long) {
                Some("") => arguments.get(position + 1).cloned(),
                Some(rest) if rest.starts_with('=') => Some(word.with_text(&rest[1..])),
                _ if is_short => arguments.get(position + 1).cloned(),
                _ => text
                    .strip_prefix('-')
                    .and_then(|rest| rest.strip_prefix(letter))
                    .map(|value| word.with_text(value)),
            };
            if let Some(value) = value {
                self.text(&value.template, std::slice::from_ref(&value), scope)?;
            }
        }
        Ok(())
    }

    /// Variables such as `PAGER`, whose value some program will run, and values that run where they are counted with.
    fn command_variables(
        &mut self,
        assignments: &[(String, super::Word)],
        scope: &Scope,
    ) -> Result<(), Unparsable> {
        for (name, value) in assignments {
            if name == "CDPATH" && value.known() != Some("") {
                self.unknown("`CDPATH` changes where `cd` leads".to_owned());
            }
            let Some(value) = value.known() else { continue };
            if name.starts_with("BASH_FUNC_") {
                self.unknown(format!("`{name}` is a function for every shell that runs under it"));
                self.attempt(&format!("f {value}"), scope)?;
            }
            if COMMAND_VARIABLES.contains(&name.as_str()) {
                self.attempt(value.trim_start_matches('|'), scope)?;
            }
            self.number(value);
        }
        Ok(())
    }

    /// A text that a shell runs, made of these words.
    pub(super) fn text(
        &mut self,
        text: &str,
        words: &[Expanded],
        scope: &Scope,
    ) -> Result<Places, Unparsable> {
        if words.iter().any(|word| word.word.known().is_none()) {
            self.unknown(format!("what `{}` runs cannot be known before it runs", shorten(text)));
        }
        self.program(text, scope)
    }

    /// A text that may be a program. If it is none, nothing is lost: something else has been asked about already.
    pub(super) fn attempt(&mut self, text: &str, scope: &Scope) -> Result<(), Unparsable> {
        let (commands, unknowns) = (self.out.commands.len(), self.out.unknowns.len());
        match self.subprogram(text, scope) {
            Err(error @ (Unparsable::TooMany | Unparsable::TooMuch)) => Err(error),
            Err(_) => {
                self.out.commands.truncate(commands);
                self.out.unknowns.truncate(unknowns);
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }
}

/// A word `NAME=value` as an assignment.
fn assignment(word: &Expanded) -> Option<(String, super::Word)> {
    let (name, value) = word.template.split_once('=')?;
    Some((name.to_owned(), word.with_text(value).word))
}

pub(super) fn join(words: &[Expanded]) -> String {
    words.iter().map(|word| word.template.as_str()).collect::<Vec<_>>().join(" ")
}

/// Slices of words.
pub(super) trait Words {
    /// Without this word at the beginning.
    fn strip_prefix_word(&self, word: &str) -> &[Expanded];
}

impl Words for [Expanded] {
    fn strip_prefix_word(&self, word: &str) -> &[Expanded] {
        match self.split_first() {
            Some((first, rest)) if first.template == word => rest,
            _ => self,
        }
    }
}
