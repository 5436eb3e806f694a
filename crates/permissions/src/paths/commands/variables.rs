//! Variables that the line itself sets, so that `D=/etc; cat $D/passwd` is no way around.

use crate::shell::{Analysis, SimpleCommand, UnknownWord, Word};
use std::{collections::BTreeMap, path::Path};

/// The most values of a variable that are put in where it is used.
const VALUES_MAX: usize = 16;

/// Every value that the line gives to a variable.
#[derive(Debug, Default)]
struct Values {
    known: Vec<String>,
    /// It has no other value than the first: it is set once, by an assignment that stands alone.
    is_sure: bool,
}

/// What the line sets variables to.
#[derive(Debug)]
pub(super) struct Variables {
    values: BTreeMap<String, Values>,
    /// `$TMPDIR`, where `mktemp` makes its files.
    temporary: String,
}

impl Variables {
    pub(super) fn new(analysis: &Analysis, temporary: &Path) -> Self {
        let mut variables = Self { values: BTreeMap::new(), temporary: temporary.display().to_string() };
        for setting in &analysis.settings {
            if setting.is_added {
                variables.add(&setting.name, &setting.value);
            } else {
                variables.set(&setting.name, Some(&setting.value), setting.is_plain);
            }
        }
        for command in &analysis.commands {
            variables.set_by(command);
        }
        variables
    }

    fn set(&mut self, name: &str, value: Option<&Word>, is_plain: bool) {
        let known = match value {
            Some(Word::Known(text)) => Some(text.clone()),
            Some(Word::Unknown(value)) if is_made_by_mktemp(&value.written) => {
                Some(format!("{}/a-temporary-file", self.temporary))
            }
            _ => None,
        };
        let is_first = !self.values.contains_key(name);
        let values = self.values.entry(name.to_owned()).or_default();
        values.is_sure = is_plain && is_first && known.is_some();
        values.known.extend(known);
    }

    /// Notes what is added to each value there was; of what was added more than once nobody knows.
    fn add(&mut self, name: &str, value: &Word) {
        let values = self.values.entry(name.to_owned()).or_default();
        values.is_sure = false;
        if let Word::Known(text) = value {
            let longer: Vec<String> = match values.known.is_empty() {
                true => vec![text.clone()],
                false => values.known.iter().take(VALUES_MAX).map(|known| format!("{known}{text}")).collect(),
            };
            values.known.extend(longer);
        }
    }

    /// Notes what the shell's own commands set, and `${name:=…}`.
    fn set_by(&mut self, command: &SimpleCommand) {
        let words = command.words.get(1..).unwrap_or_default();
        let is_setting = match command.program().unwrap_or_default() {
            "export" | "declare" | "typeset" | "readonly" | "local" => {
                for word in words {
                    let (text, value) = match word {
                        Word::Known(text) | Word::Pattern(text) => (text, true),
                        Word::Unknown(unknown) => (&unknown.known_prefix, false),
                    };
                    if let Some((name, text)) = text.split_once('=') {
                        let value = value.then(|| Word::Known(text.to_owned()));
                        self.set(name.trim_end_matches('+'), value.as_ref(), false);
                    }
                }
                false
            }
            "read" | "mapfile" | "readarray" | "getopts" | "unset" => true,
            "printf" => {
                words.first().is_some_and(|word| word.known().is_some_and(|text| text.starts_with("-v")))
            }
            _ => false,
        };
        if is_setting {
            for text in words.iter().filter_map(Word::known) {
                self.set(text.strip_prefix("-v").unwrap_or(text), None, false);
            }
        }
        let written = command.words.iter().chain(command.redirects.iter().map(|(_, word)| word));
        for word in written {
            let Word::Unknown(unknown) = word else { continue };
            for rest in unknown.written.split("${").skip(1) {
                let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
                let (name, rest) = rest.split_at(end);
                if rest.starts_with(":=") || rest.starts_with('=') {
                    self.set(name, None, false);
                }
            }
        }
    }

    /// The command with what is known put in; more than one where a variable may have several values, the first of them
    /// with what is not known left as it is.
    pub(super) fn fill(&self, command: &SimpleCommand) -> Vec<SimpleCommand> {
        let mut filled = vec![self.fill_with(command, None)];
        for index in 0..VALUES_MAX {
            let next = self.fill_with(command, Some(index));
            if index == 0 && filled.contains(&next) {
                // Nothing in it has several.
                break;
            }
            if !filled.contains(&next) {
                filled.push(next);
            }
        }
        filled
    }

    /// The values that are too many to be put in: each is looked at by itself.
    pub(super) fn others(&self) -> impl Iterator<Item = &str> {
        self.values.values().flat_map(|values| values.known.iter().skip(VALUES_MAX)).map(String::as_str)
    }

    /// With each variable's value of that index, or with those only that are sure.
    fn fill_with(&self, command: &SimpleCommand, index: Option<usize>) -> SimpleCommand {
        let mut filled = command.clone();
        let names = filled.redirects.iter_mut().map(|(_, name)| name);
        for word in filled.words.iter_mut().chain(names) {
            match word {
                Word::Unknown(unknown) => {
                    if let Some(text) = self.text(unknown, index) {
                        *word = Word::Known(text);
                    }
                }
                Word::Known(text) => {
                    if let Some(changed) = self.tilde(text, index) {
                        *word = changed;
                    }
                }
                Word::Pattern(_) => {}
            }
        }
        filled
    }

    /// A word that begins with `~` where that is not the home it was: the line sets `HOME`, or `~-` and `~1` are where
    /// the shell was before.
    fn tilde(&self, text: &str, index: Option<usize>) -> Option<Word> {
        let rest = text.strip_prefix('~')?;
        let (user, below) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        let name = match user {
            "" if self.values.contains_key("HOME") => "HOME",
            "+" if self.values.contains_key("PWD") => "PWD",
            "-" => "OLDPWD",
            "" | "+" => return None,
            _ if user.trim_start_matches(['+', '-']).bytes().all(|byte| byte.is_ascii_digit()) => "",
            _ => return None,
        };
        Some(match self.value(name, index) {
            Some(value) => Word::Known(format!("{value}{below}")),
            None => Word::Unknown(UnknownWord {
                written: text.to_owned(),
                known_prefix: String::new(),
                known_suffix: below.to_owned(),
                splits: false,
            }),
        })
    }

    /// The text of a word that has nothing unknown but plain variables. What has none, `{}` of `find` for one, is unknown
    /// for another reason.
    fn text(&self, unknown: &UnknownWord, index: Option<usize>) -> Option<String> {
        if !unknown.written.contains('$') {
            return None;
        }
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
                    text.push_str(self.value(&name, index)?);
                }
                c => text.push(c),
            }
        }
        Some(text)
    }

    /// The value of a variable that is sure, or the one of that index.
    fn value(&self, name: &str, index: Option<usize>) -> Option<&str> {
        match (self.values.get(name), name) {
            // It stands for whatever else is not known.
            (_, "_") => None,
            (None, "PWD") => Some("."),
            (None, "TMPDIR") => Some(&self.temporary),
            (None, _) => None,
            (Some(values), _) if values.is_sure => values.known.first().map(String::as_str),
            (Some(values), _) => values.known.get(index?).or(values.known.last()).map(String::as_str),
        }
    }
}

/// `$(mktemp)` and `$(mktemp -d)`, which make something in the temporary folder.
fn is_made_by_mktemp(written: &str) -> bool {
    let inner = written.trim_matches('"').strip_prefix("$(").and_then(|rest| rest.strip_suffix(')'));
    let words: Vec<&str> = inner.unwrap_or_default().split_whitespace().collect();
    matches!(words[..], ["mktemp"] | ["mktemp", "-d" | "-q"])
}
