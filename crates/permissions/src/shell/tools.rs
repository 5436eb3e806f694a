//! Tools that run commands besides what they are for: find, xargs, git, tar, parallel and the like.

use super::{
    Unparsable, Word,
    code::{self, Language},
    given::Stdin,
    inner::join,
    place::{Ends, Places},
    simple::Draft,
    walk::{Scope, Walk},
    words::Expanded,
};

/// Settings of git whose value git runs.
const GIT_COMMANDS: [&str; 13] = [
    "pager",
    "editor",
    "sshcommand",
    "fsmonitor",
    "external",
    "textconv",
    "clean",
    "smudge",
    "process",
    "cmd",
    "helper",
    "program",
    "askpass",
];

impl Walk {
    /// Visits what a tool runs.
    pub(super) fn tool(
        &mut self,
        program: &str,
        arguments: &[Expanded],
        scope: &Scope,
    ) -> Result<Option<Ends>, Unparsable> {
        match program {
            "find" | "fd" | "fdfind" => self.find(program, arguments, scope)?,
            "xargs" => self.xargs(arguments, scope)?,
            "parallel" => self.parallel(arguments, scope)?,
            "git" => self.git(arguments, scope)?,
            "tar" | "bsdtar" | "gtar" => self.tar(arguments, scope)?,
            "tmux" | "screen" => {
                for word in arguments.iter().filter(|word| word.template.contains(' ')) {
                    self.attempt(&word.template, scope)?;
                }
            }
            "rsync" => self.options_with_programs(arguments, 'e', "--rsh", scope)?,
            "ssh" | "scp" | "sftp" => {
                for word in arguments {
                    let option = word.template.strip_prefix("-o").unwrap_or(&word.template);
                    for name in ["proxycommand", "localcommand", "knownhostscommand", "remotecommand"] {
                        let (keyword, value) = option.split_at_checked(name.len()).unwrap_or_default();
                        if keyword.eq_ignore_ascii_case(name) {
                            self.attempt(value.trim_start_matches(['=', ' ']), scope)?;
                        }
                    }
                }
                return self.wrapper(program, arguments, scope);
            }
            "crontab" if arguments.iter().any(|word| word.template == "-") => {
                if !matches!(self.stdin(scope), Stdin::Inherited | Stdin::File) {
                    self.unknown("what is given to cron cannot be known before it runs".to_owned());
                }
            }
            _ => match Language::of(program) {
                Some(language) => self.code(language, program, arguments, scope)?,
                None => return self.wrapper(program, arguments, scope),
            },
        }
        Ok(None)
    }

    /// `find` runs its commands for what is below each of its roots; `-execdir` where it was found.
    fn find(&mut self, program: &str, arguments: &[Expanded], scope: &Scope) -> Result<(), Unparsable> {
        let starts = ["-exec", "-execdir", "-ok", "-okdir", "-x", "-X", "--exec", "--exec-batch"];
        let roots = roots(program, arguments);
        let mut words = arguments.iter();
        while let Some(start) = words.by_ref().find(|word| starts.contains(&word.template.as_str())) {
            let mut command: Vec<&Expanded> = vec![];
            for word in words.by_ref() {
                let is_end = match word.template.as_str() {
                    ";" => true,
                    // A plus is a word like others elsewhere.
                    "+" => command.last().is_some_and(|word| word.template == "{}"),
                    _ => false,
                };
                if is_end {
                    break;
                }
                command.push(word);
            }
            let mut inner = scope.clone();
            if start.template.ends_with("dir") {
                inner.places = Places::unknown();
            }
            let is_the_same = !command.iter().any(|word| word.template.contains("{}"));
            for root in roots.iter().take(if is_the_same { 1 } else { roots.len() }) {
                let words = command.iter().map(|word| replaced(word, "{}", root)).collect();
                self.emit(Draft { words, ..Draft::default() }, &inner)?;
            }
        }
        Ok(())
    }

    fn xargs(&mut self, arguments: &[Expanded], scope: &Scope) -> Result<(), Unparsable> {
        let Some(wrapper) = super::wrappers::find("xargs") else { return Ok(()) };
        let mut marker = None;
        for (position, word) in arguments.iter().enumerate() {
            let text = word.template.as_str();
            let value = match text {
                "-I" | "-J" => arguments.get(position + 1).map(|word| word.template.clone()),
                "-i" | "--replace" => Some("{}".to_owned()),
                _ => ["-I", "-i", "--replace="]
                    .iter()
                    .find_map(|option| text.strip_prefix(option))
                    .map(str::to_owned),
            };
            marker = marker.or(value);
        }
        let given = match &scope.stdin {
            Stdin::Known(text) if !text.contains(['\'', '"', '\\']) => {
                text.split_whitespace().map(Expanded::known).collect()
            }
            _ => vec![Expanded::unknown("…", true)],
        };
        let inner = Scope { stdin: Stdin::Inherited, ..scope.clone() };
        for mut words in wrapper.read(arguments).commands {
            if words.is_empty() {
                continue;
            }
            match &marker {
                Some(marker) if !marker.is_empty() => {
                    words = words.iter().map(|word| replaced(word, marker, "")).collect();
                }
                _ => words.extend(given.iter().cloned()),
            }
            self.emit(Draft { words, ..Draft::default() }, &inner)?;
        }
        Ok(())
    }

    fn parallel(&mut self, arguments: &[Expanded], scope: &Scope) -> Result<(), Unparsable> {
        let is_separator = |word: &Expanded| word.template.starts_with(":::");
        let command: Vec<Expanded> = arguments
            .iter()
            .take_while(|word| !is_separator(word))
            .skip_while(|word| word.template.starts_with('-'))
            .cloned()
            .collect();
        if !command.is_empty() {
            // Options with values are not told apart: the command may begin at the next word too.
            for start in 0..command.len().min(3) {
                self.attempt(&join(&command[start..]), scope)?;
            }
            return Ok(());
        }
        for word in arguments.iter().filter(|word| !is_separator(word)) {
            self.attempt(&word.template, scope)?;
        }
        self.standard_input(scope)
    }

    fn tar(&mut self, arguments: &[Expanded], scope: &Scope) -> Result<(), Unparsable> {
        for (position, word) in arguments.iter().enumerate() {
            let text = word.template.as_str();
            let next = arguments.get(position + 1).map(|word| word.template.as_str());
            let value = match text.split_once('=') {
                Some((
                    "--to-command" | "--use-compress-program" | "--info-script" | "--rsh-command",
                    value,
                )) => Some(value),
                Some(("--checkpoint-action", value)) => value.strip_prefix("exec="),
                _ => match text {
                    "--checkpoint-action" => next.and_then(|value| value.strip_prefix("exec=")),
                    "--to-command"
                    | "--use-compress-program"
                    | "--info-script"
                    | "--rsh-command"
                    | "-I"
                    | "-F" => next,
                    _ => None,
                },
            };
            if let Some(value) = value {
                self.text(value, &[], scope)?;
            }
        }
        Ok(())
    }

    fn git(&mut self, arguments: &[Expanded], scope: &Scope) -> Result<(), Unparsable> {
        for (position, word) in arguments.iter().enumerate() {
            let text = word.template.as_str();
            let next = arguments.get(position + 1).map(|word| word.template.as_str());
            let setting = match (text, next) {
                ("-c", Some(next)) => next.split_once('='),
                (name, Some(next)) if name.contains('.') => Some((name, next)),
                _ => text.strip_prefix("--config=").and_then(|setting| setting.split_once('=')),
            };
            if let Some((name, value)) = setting {
                let last = name.rsplit('.').next().unwrap_or(name).to_ascii_lowercase();
                let shell = value.strip_prefix('!');
                if shell.is_some() || GIT_COMMANDS.contains(&last.as_str()) {
                    self.attempt(shell.unwrap_or(value), scope)?;
                }
            }
            let program = match text {
                "--exec" | "-x" | "--upload-pack" | "--receive-pack" | "--extcmd" | "-u" => next,
                _ if text.starts_with("--") && text.ends_with("-filter") => next,
                _ => ["--exec=", "--upload-pack=", "--receive-pack=", "--extcmd=", "-x", "ext::"]
                    .iter()
                    .find_map(|option| text.strip_prefix(option).filter(|value| !value.is_empty())),
            };
            if let Some(program) = program {
                self.attempt(program, scope)?;
            }
        }
        // What stands between the options and `run` or `foreach` does not matter: the command comes after it.
        let after = |name: &str, word: &str| {
            let position = arguments.iter().position(|argument| argument.template == name)?;
            let rest = &arguments[position + 1..];
            let start = rest.iter().position(|argument| argument.template == word)? + 1;
            Some(
                rest[start..]
                    .iter()
                    .skip_while(|word| word.template.starts_with('-'))
                    .cloned()
                    .collect::<Vec<_>>(),
            )
        };
        if let Some(words) = after("bisect", "run") {
            self.emit(Draft { words, ..Draft::default() }, scope)?;
        }
        if let Some(words) = after("submodule", "foreach") {
            self.text(&join(&words), &words, scope)?;
        }
        Ok(())
    }

    /// Programs in other languages: what they do is not judged, but whether they start others.
    fn code(
        &mut self,
        language: Language,
        program: &str,
        arguments: &[Expanded],
        scope: &Scope,
    ) -> Result<(), Unparsable> {
        let read = language.read(arguments);
        let mut texts: Vec<Expanded> = read.texts;
        if read.reads_stdin {
            match self.stdin(scope) {
                Stdin::Inherited | Stdin::File => {}
                Stdin::Known(text) => texts.push(Expanded::known(&text)),
                Stdin::Unknown(_) => {
                    self.unknown(format!("what is piped into `{program}` cannot be known before it runs"));
                }
            }
        }
        for text in texts {
            if text.word.known().is_none() && language.is_general() {
                self.unknown(format!("the program given to `{program}` cannot be known before it runs"));
            }
            let Some(starts) = code::what_starts_others(language, &text.template) else { continue };
            self.unknown(format!("the program given to `{program}` may start others: it holds `{starts}`"));
            for literal in code::literals(&text.template) {
                self.attempt(&literal, scope)?;
            }
        }
        Ok(())
    }
}

/// What names that `find` finds begin with, as far as that is known: one text for each root. For `fd` any operand may be one.
fn roots(program: &str, arguments: &[Expanded]) -> Vec<String> {
    let is_option = |word: &&Expanded| word.template.starts_with('-');
    let is_expression = |word: &&Expanded| word.template.starts_with(['-', '(', '!', ',']);
    let operands: Vec<&Expanded> = if program == "find" {
        arguments.iter().skip_while(is_option).take_while(|word| !is_expression(word)).collect()
    } else {
        let is_start =
            |word: &&Expanded| ["-x", "-X", "--exec", "--exec-batch"].contains(&word.template.as_str());
        arguments.iter().take_while(|word| !is_start(word)).filter(|word| !is_option(word)).collect()
    };
    let known = |word: &&Expanded| match &word.word {
        Word::Known(text) => format!("{}/", text.trim_end_matches('/')),
        Word::Pattern(text) => text.split(['*', '?', '[', '\\']).next().unwrap_or_default().to_owned(),
        Word::Unknown(unknown) => unknown.known_prefix.clone(),
    };
    let mut roots: Vec<String> = operands.iter().map(known).collect();
    if roots.is_empty() {
        roots.push("./".to_owned());
    }
    roots.dedup();
    roots
}

/// A word in which a marker stands for something that is not known, but begins with `prefix`.
fn replaced(word: &Expanded, marker: &str, prefix: &str) -> Expanded {
    let Some((before, after)) = word.template.split_once(marker) else { return word.clone() };
    let mut unknown = Expanded::unknown(&word.template, false);
    unknown.template = word.template.replace(marker, super::words::PLACEHOLDER);
    if let Word::Unknown(part) = &mut unknown.word {
        part.known_prefix = format!("{before}{prefix}");
        part.known_suffix = after.to_owned();
    }
    unknown
}
