//! Programs that run the command in their arguments: which options they take, and where that command begins.

use super::{Word, lexer, words::Expanded};
use std::collections::BTreeSet;

/// How a wrapper's arguments are read.
#[derive(Debug)]
pub(super) struct Wrapper {
    names: &'static [&'static str],
    /// Short options without a value, in one text.
    flags: &'static str,
    /// Options whose value is the next word.
    values: &'static [&'static str],
    /// Options whose value is a program for a shell.
    programs: &'static [&'static str],
    /// Words between the options and the command: a duration, a host.
    operands: usize,
    /// Options whose value is split into words, which go on in all words after it.
    splits: &'static [&'static str],
    /// Words with a `=` may stand before the command, whatever the name in them is.
    assigns: bool,
    /// The words of the command are joined and given to a shell.
    pub(super) joins: bool,
}

/// A wrapper that takes nothing before the command.
const PLAIN: Wrapper = Wrapper {
    names: &[],
    flags: "",
    values: &[],
    programs: &[],
    splits: &[],
    operands: 0,
    assigns: false,
    joins: false,
};

const WRAPPERS: &[Wrapper] = &[
    Wrapper {
        names: &["sudo"],
        flags: "ABbEeHiKklNnPSsVv",
        values: &[
            "-u",
            "-g",
            "-h",
            "-p",
            "-C",
            "-T",
            "-r",
            "-t",
            "-R",
            "-D",
            "-U",
            "-a",
            "--user",
            "--group",
            "--host",
            "--prompt",
            "--close-from",
            "--command-timeout",
            "--role",
            "--type",
            "--chroot",
            "--chdir",
            "--other-user",
        ],
        assigns: true,
        ..PLAIN
    },
    Wrapper { names: &["doas"], flags: "Lns", values: &["-u", "-C", "-a"], ..PLAIN },
    Wrapper { names: &["pkexec"], values: &["--user"], ..PLAIN },
    Wrapper {
        names: &["env"],
        flags: "i0v",
        values: &["-u", "--unset", "-C", "--chdir", "-a", "--argv0"],
        splits: &["-S", "--split-string"],
        assigns: true,
        ..PLAIN
    },
    Wrapper {
        names: &["nohup", "builtin", "busybox", "toybox", "noglob", "nocorrect", "fakeroot", "caffeinate"],
        ..PLAIN
    },
    Wrapper { names: &["command"], flags: "p", ..PLAIN },
    Wrapper { names: &["exec"], flags: "cl", values: &["-a"], ..PLAIN },
    Wrapper { names: &["setsid"], flags: "cfw", ..PLAIN },
    Wrapper { names: &["coproc"], ..PLAIN },
    Wrapper {
        names: &["timeout"],
        flags: "fpv",
        values: &["-k", "--kill-after", "-s", "--signal"],
        operands: 1,
        ..PLAIN
    },
    Wrapper { names: &["nice"], flags: "0123456789", values: &["-n", "--adjustment"], ..PLAIN },
    Wrapper { names: &["ionice"], flags: "t", values: &["-c", "--class", "-n", "--classdata"], ..PLAIN },
    Wrapper { names: &["chrt"], flags: "bdfioravm", values: &["-T", "-P", "-D"], operands: 1, ..PLAIN },
    Wrapper { names: &["taskset"], flags: "ac", operands: 1, ..PLAIN },
    Wrapper { names: &["stdbuf"], values: &["-i", "-o", "-e", "--input", "--output", "--error"], ..PLAIN },
    Wrapper { names: &["time"], flags: "apqvV", values: &["-f", "-o", "--format", "--output"], ..PLAIN },
    Wrapper { names: &["chroot"], values: &["--userspec", "--groups"], operands: 1, ..PLAIN },
    Wrapper {
        names: &["flock"],
        flags: "sxenuoFv",
        values: &["-w", "--wait", "--timeout", "-E", "--conflict-exit-code"],
        programs: &["-c", "--command"],
        operands: 1,
        ..PLAIN
    },
    Wrapper {
        names: &["watch"],
        flags: "bcCdegprtwx",
        values: &["-n", "--interval", "-q", "--equexit"],
        joins: true,
        ..PLAIN
    },
    Wrapper {
        names: &["ssh"],
        flags: "46AaCfGgKkMNnqsTtVvXxYy",
        values: &[
            "-B", "-b", "-c", "-D", "-E", "-e", "-F", "-I", "-i", "-J", "-L", "-l", "-m", "-O", "-o", "-p",
            "-P", "-Q", "-R", "-S", "-W", "-w",
        ],
        operands: 1,
        joins: true,
        ..PLAIN
    },
    Wrapper {
        names: &["xargs"],
        flags: "0rtxpo",
        values: &[
            "-I",
            "-J",
            "-L",
            "-n",
            "-P",
            "-s",
            "-d",
            "-a",
            "-E",
            "-R",
            "-S",
            "--max-args",
            "--max-procs",
            "--max-chars",
            "--delimiter",
            "--arg-file",
            "--process-slot-var",
        ],
        ..PLAIN
    },
    Wrapper {
        names: &["script"],
        flags: "aefqV",
        values: &[
            "-O",
            "-I",
            "-B",
            "-T",
            "-o",
            "-m",
            "-E",
            "--log-out",
            "--log-in",
            "--log-io",
            "--log-timing",
        ],
        programs: &["-c", "--command"],
        ..PLAIN
    },
];

/// Wrappers with options too many to list. Each word that may be the command is judged as one.
const LOOSE: [&str; 20] = [
    "bwrap",
    "firejail",
    "proot",
    "systemd-run",
    "run0",
    "perf",
    "unshare",
    "nsenter",
    "gdb",
    "xvfb-run",
    "valgrind",
    "strace",
    "ltrace",
    "numactl",
    "prlimit",
    "dbus-run-session",
    "setpriv",
    "runuser",
    "cgexec",
    "entr",
];

/// What a wrapper would run.
#[derive(Debug, Default)]
pub(super) struct Wrapped {
    /// The command; more than one where an unknown option leaves it open where it begins.
    pub(super) commands: Vec<Vec<Expanded>>,
    /// Variables set for it.
    pub(super) assignments: Vec<Expanded>,
    /// Programs for a shell.
    pub(super) programs: Vec<Expanded>,
    /// Where the command runs.
    pub(super) directory: Option<Expanded>,
    /// There are more commands it may be than are told here.
    pub(super) is_cut: bool,
}

/// The most places where the command of a wrapper may begin.
const MAX_READINGS: usize = 64;

/// The wrapper of that name.
pub(super) fn find(program: &str) -> Option<&'static Wrapper> {
    WRAPPERS.iter().find(|wrapper| wrapper.names.contains(&program))
}

/// Whether it runs a command in its arguments.
pub(super) fn is_wrapper(program: &str) -> bool {
    is_loose(program) || find(program).is_some()
}

pub(super) fn is_loose(program: &str) -> bool {
    LOOSE.contains(&program)
}

/// Every word that may be where the command begins.
pub(super) fn loose(arguments: &[Expanded]) -> Vec<Vec<Expanded>> {
    let is_command =
        |word: &Expanded| word.word.known().is_some_and(|text| !text.starts_with('-') && !text.is_empty());
    (0..arguments.len())
        .filter(|position| is_command(&arguments[*position]))
        .map(|position| arguments[position..].to_vec())
        .collect()
}

impl Wrapper {
    pub(super) fn read(&self, arguments: &[Expanded]) -> Wrapped {
        let mut out = Wrapped::default();
        // Many readings meet at one place, which is read on from once: their number would double with every option.
        let (mut begun, mut seen) = (vec![(0, self.operands)], BTreeSet::new());
        while let Some((position, operands)) = begun.pop() {
            if out.commands.len() >= MAX_READINGS {
                out.is_cut = true;
                break;
            }
            self.read_from(arguments, position, operands, &mut begun, &mut seen, &mut out);
        }
        out
    }

    fn read_from(
        &self,
        arguments: &[Expanded],
        mut position: usize,
        mut operands: usize,
        begun: &mut Vec<(usize, usize)>,
        seen: &mut BTreeSet<(usize, usize)>,
        out: &mut Wrapped,
    ) {
        while let Some(word) = arguments.get(position) {
            if !seen.insert((position, operands)) {
                return;
            }
            let text = word.word.known().unwrap_or_default();
            if text == "--" && operands == 0 {
                position += 1;
                while let Some(word) = arguments.get(position).filter(|word| self.is_assignment(word)) {
                    out.assignments.push(word.clone());
                    position += 1;
                }
                break;
            }
            if text == "--" {
                position += 1;
            } else if text.starts_with('-') {
                if let Some((value, used)) = self.split(text, arguments.get(position + 1)) {
                    let rest = arguments.get(position + 1 + used..).unwrap_or_default();
                    out.programs.push(joined(&value, rest));
                    return;
                }
                let Some(next) = self.option(text, arguments.get(position + 1), out) else {
                    // It may take a value or not: both are judged.
                    if position + 2 < arguments.len() {
                        begun.push((position + 2, operands));
                    }
                    position += 1;
                    continue;
                };
                position += 1 + next;
            } else if self.is_assignment(word) {
                out.assignments.push(word.clone());
                position += 1;
            } else if operands > 0 {
                operands -= 1;
                position += 1;
            } else {
                break;
            }
        }
        out.commands.push(arguments.get(position..).unwrap_or_default().to_vec());
    }

    /// Whether a word before the command sets a variable.
    fn is_assignment(&self, word: &Expanded) -> bool {
        let text = match &word.word {
            Word::Known(text) | Word::Pattern(text) => text,
            Word::Unknown(unknown) => &unknown.known_prefix,
        };
        self.assigns && (lexer::is_assignment(&word.template) || text.contains('='))
    }

    /// The text of an option whose value is split into words, and how many words after the option it is in.
    fn split(&self, text: &str, next: Option<&Expanded>) -> Option<(Expanded, usize)> {
        for name in self.splits {
            let Some(letter) = name.strip_prefix('-').filter(|letter| letter.len() == 1) else {
                match text.strip_prefix(name) {
                    Some("") => return Some((next?.clone(), 1)),
                    Some(rest) if rest.starts_with('=') => return Some((Expanded::known(&rest[1..]), 0)),
                    _ => continue,
                }
            };
            let Some((flags, value)) = text.strip_prefix('-').and_then(|rest| rest.split_once(letter)) else {
                continue;
            };
            if flags.chars().all(|flag| self.flags.contains(flag)) {
                return if value.is_empty() {
                    Some((next?.clone(), 1))
                } else {
                    Some((Expanded::known(value), 0))
                };
            }
        }
        None
    }

    /// How many words after an option belong to it; nothing if the option is not known.
    fn option(&self, text: &str, next: Option<&Expanded>, out: &mut Wrapped) -> Option<usize> {
        let mut take = |name: &str, value: Option<Expanded>| {
            if let Some(value) = value {
                if self.programs.contains(&name) {
                    out.programs.push(value);
                } else if matches!(name, "-C" | "-D" | "--chdir") {
                    out.directory = Some(value);
                }
            }
        };
        let takes_value = |name: &str| self.values.contains(&name) || self.programs.contains(&name);
        if text.starts_with("--") {
            let (name, value) =
                text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value)));
            if let Some(value) = value {
                take(name, Some(Expanded::known(value)));
                return Some(0);
            }
            if takes_value(name) {
                take(name, next.cloned());
                return Some(1);
            }
            return None;
        }
        for (index, letter) in text.char_indices().skip(1) {
            let name = format!("-{letter}");
            if takes_value(&name) {
                let attached = &text[index + letter.len_utf8()..];
                let is_attached = !attached.is_empty();
                take(&name, if is_attached { Some(Expanded::known(attached)) } else { next.cloned() });
                return Some(usize::from(!is_attached));
            }
            if !self.flags.contains(letter) {
                return None;
            }
        }
        Some(0)
    }
}

/// A text that `env` splits into words of its own, and the words after it, as a program for a shell. Its escapes and
/// variables are not the shell's.
fn joined(text: &Expanded, rest: &[Expanded]) -> Expanded {
    let rest: Vec<String> =
        rest.iter().map(|word| word.word.known().map_or_else(|| word.template.clone(), quoted)).collect();
    let program = format!("env {} {}", text.template, rest.join(" "));
    let is_known = text.word.known().is_some_and(|text| !text.contains('\\') && !text.contains("${"));
    if is_known {
        Expanded::known(&program)
    } else {
        Expanded { template: program.clone(), ..Expanded::unknown(&program, false) }
    }
}

/// A word as a shell would have it written.
pub(super) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
