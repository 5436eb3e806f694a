//! Programs in other languages, given in an argument: whether they start processes.

use super::words::Expanded;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Language {
    Python,
    Perl,
    Ruby,
    JavaScript,
    Php,
    Lua,
    Awk,
    Sed,
}

/// Names that start processes or evaluate text.
const STARTERS: [&str; 44] = [
    "system",
    "popen",
    "popen2",
    "popen3",
    "Popen",
    "subprocess",
    "execv",
    "execve",
    "execvp",
    "execvpe",
    "execl",
    "execle",
    "execlp",
    "execlpe",
    "execSync",
    "execFile",
    "execFileSync",
    "spawn",
    "spawnSync",
    "spawnv",
    "spawnve",
    "spawnl",
    "spawnlp",
    "posix_spawn",
    "posix_spawnp",
    "child_process",
    "pty",
    "fork",
    "qx",
    "eval",
    "__import__",
    "importlib",
    "Open3",
    "open3",
    "shell_exec",
    "passthru",
    "proc_open",
    "pcntl_exec",
    "ctypes",
    "dlopen",
    "create_subprocess_shell",
    "create_subprocess_exec",
    "syscall",
    "binding",
];

/// What a program's arguments say.
#[derive(Debug, Default)]
pub(super) struct Read {
    /// The programs in them.
    pub(super) texts: Vec<Expanded>,
    /// The program comes from the standard input.
    pub(super) reads_stdin: bool,
}

impl Language {
    /// The language a program runs, whatever its version.
    pub(super) fn of(program: &str) -> Option<Self> {
        Some(match program.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.') {
            "python" | "pypy" | "ipython" => Self::Python,
            "perl" => Self::Perl,
            "ruby" => Self::Ruby,
            "node" | "nodejs" | "bun" => Self::JavaScript,
            "php" => Self::Php,
            "lua" | "luajit" => Self::Lua,
            "awk" | "gawk" | "mawk" | "nawk" => Self::Awk,
            "sed" | "gsed" => Self::Sed,
            _ => return None,
        })
    }

    /// It is made for programs, so that one nobody has read may do anything.
    pub(super) fn is_general(self) -> bool {
        !matches!(self, Self::Awk | Self::Sed)
    }

    /// The options whose value is a program.
    fn text_options(self) -> &'static str {
        match self {
            Self::Python => "c",
            Self::Perl => "eE",
            Self::Ruby | Self::Lua | Self::Sed | Self::Awk => "e",
            Self::JavaScript => "ep",
            Self::Php => "rRBE",
        }
    }

    /// The options with another value.
    fn value_options(self) -> &'static str {
        match self {
            Self::Python => "WXQ",
            Self::Perl => "IMmiF0lx",
            Self::Ruby => "rICEFKTx",
            Self::JavaScript => "rC",
            Self::Php => "cdfz",
            Self::Lua => "l",
            Self::Awk => "Fvfi",
            Self::Sed => "fl",
        }
    }

    pub(super) fn read(self, arguments: &[Expanded]) -> Read {
        let mut out = Read::default();
        let mut has_file = false;
        let mut words = arguments.iter();
        while let Some(word) = words.next() {
            let text = word.template.as_str();
            if let Some(long) = text.strip_prefix("--") {
                let (name, value) =
                    long.split_once('=').map_or((long, None), |(name, value)| (name, Some(value)));
                if matches!(name, "eval" | "print" | "expression" | "source" | "run") {
                    out.texts
                        .extend(value.map(|value| word.with_text(value)).or_else(|| words.next().cloned()));
                } else if name == "file" {
                    has_file = true;
                    if value.is_none() {
                        words.next();
                    }
                }
                continue;
            }
            let Some(cluster) = text.strip_prefix('-').filter(|cluster| !cluster.is_empty()) else {
                // The first operand: a program's text or a file, `-` being the standard input.
                if out.texts.is_empty() && !has_file {
                    match self {
                        Self::Awk | Self::Sed => out.texts.push(word.clone()),
                        _ if text == "-" || text == "/dev/stdin" || word.is_pipe => out.reads_stdin = true,
                        _ => {}
                    }
                }
                return out;
            };
            for (index, letter) in cluster.char_indices() {
                let attached = &cluster[index + letter.len_utf8()..];
                if self == Self::Python && letter == 'm' {
                    return out;
                }
                if self.text_options().contains(letter) {
                    if attached.is_empty() {
                        out.texts.extend(words.next().cloned());
                    } else {
                        out.texts.push(word.with_text(attached));
                    }
                    if self == Self::Python {
                        return out;
                    }
                    break;
                }
                if self.value_options().contains(letter) {
                    has_file |= letter == 'f';
                    // Perl and Ruby take most values attached only.
                    if attached.is_empty() && !matches!(self, Self::Perl | Self::Ruby) {
                        words.next();
                    }
                    break;
                }
            }
        }
        out.reads_stdin |= out.texts.is_empty() && !has_file && self.is_general();
        out
    }
}

/// The word by which a program starts others, if it does.
pub(super) fn what_starts_others(language: Language, text: &str) -> Option<String> {
    match language {
        Language::Sed => return sed_runs(text).then(|| "the command or flag e".to_owned()),
        Language::Awk => return awk_starts(text).map(str::to_owned),
        Language::Perl | Language::Ruby | Language::Php if text.contains('`') => return Some("`".to_owned()),
        _ => {}
    }
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = || text.split(|c: char| !is_word(c)).filter(|word| !word.is_empty());
    let more: &[&str] = match language {
        Language::Python | Language::Perl | Language::Ruby | Language::Php => &["exec"],
        Language::JavaScript => &["Function"],
        Language::Lua => &["execute"],
        Language::Awk | Language::Sed => &[],
    };
    if language == Language::Ruby && text.contains("%x") {
        return Some("%x".to_owned());
    }
    words().find(|word| STARTERS.contains(word) || more.contains(word)).map(str::to_owned)
}

/// The texts in quotes, with what was escaped in them as it is.
pub(super) fn literals(text: &str) -> Vec<String> {
    let mut out = vec![];
    let mut characters = text.chars();
    while let Some(quote) = characters.next() {
        if !matches!(quote, '"' | '\'' | '`') {
            continue;
        }
        let mut literal = String::new();
        while let Some(character) = characters.next() {
            match character {
                '\\' => literal.extend(characters.next()),
                character if character == quote => break,
                character => literal.push(character),
            }
        }
        if !literal.trim().is_empty() {
            out.push(literal);
        }
    }
    out
}

/// How an awk program starts others: by `system`, or by a pipe outside of strings and regular expressions.
fn awk_starts(text: &str) -> Option<&'static str> {
    if text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(|word| word == "system") {
        return Some("system");
    }
    let mut before = ' ';
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let is_regex =
            character == '/' && !(before.is_ascii_alphanumeric() || matches!(before, ')' | ']' | '_' | '$'));
        match character {
            '"' | '/' if character == '"' || is_regex => {
                while let Some(inner) = characters.next() {
                    match inner {
                        '\\' => drop(characters.next()),
                        inner if inner == character => break,
                        _ => {}
                    }
                }
            }
            '#' => while characters.next_if(|c| *c != '\n').is_some() {},
            '|' if characters.next_if_eq(&'|').is_none() => return Some("|"),
            _ => {}
        }
        if !character.is_whitespace() {
            before = character;
        }
    }
    None
}

/// Whether a sed script has the command `e`, or `s` with the flag `e`.
fn sed_runs(script: &str) -> bool {
    let characters: Vec<char> = script.chars().collect();
    // Past a text up to the delimiter; the position after it.
    let past = |mut at: usize, delimiter: char| {
        while let Some(character) = characters.get(at) {
            at += if *character == '\\' { 2 } else { 1 };
            if *character == delimiter {
                break;
            }
        }
        at
    };
    let mut at = 0;
    while let Some(&character) = characters.get(at) {
        at += 1;
        match character {
            '/' => at = past(at, '/'),
            '\\' => at = past(at + 1, characters.get(at).copied().unwrap_or('/')),
            'e' => return true,
            's' | 'y' => {
                let delimiter = characters.get(at).copied().unwrap_or('/');
                at = past(past(at + 1, delimiter), delimiter);
                while let Some(flag) = characters.get(at).filter(|flag| flag.is_ascii_alphanumeric()) {
                    match flag {
                        'e' if character == 's' => return true,
                        'w' => at = past(at, '\n').saturating_sub(1),
                        _ => {}
                    }
                    at += 1;
                }
            }
            'a' | 'i' | 'c' | 'r' | 'R' | 'w' | 'W' | ':' | '#' => at = past(at, '\n'),
            'b' | 't' | 'T' => {
                while characters.get(at).is_some_and(|c| !matches!(c, ';' | '\n' | '}')) {
                    at += 1;
                }
            }
            _ => {}
        }
    }
    false
}
