//! What a word stands for after quoting and expansion, and the programs inside it that run to find out.

use super::{
    UnknownWord, Unparsable, Word, braces,
    scan::{self, Dollar, Mode},
};

/// Stands in a text for what is not known of it, so that the rest can still be read as a program.
pub(super) const PLACEHOLDER: &str = "${_}";

/// A word, and what had to run for it.
#[derive(Debug, Clone)]
pub(super) struct Expanded {
    pub(super) word: Word,
    /// The text, with a placeholder for each part that is not known.
    pub(super) template: String,
    /// It is the name of a pipe from a program: `<(…)`.
    pub(super) is_pipe: bool,
}

impl Expanded {
    pub(super) fn known(text: &str) -> Self {
        Self { word: Word::Known(text.to_owned()), template: text.to_owned(), is_pipe: false }
    }

    /// A part of this word; as little known as the whole.
    pub(super) fn with_text(&self, text: &str) -> Self {
        if text.contains(PLACEHOLDER) {
            Self { template: text.to_owned(), ..Self::unknown(text, false) }
        } else {
            Self::known(text)
        }
    }

    /// A word of which nothing is known.
    pub(super) fn unknown(written: &str, splits: bool) -> Self {
        let unknown = UnknownWord {
            written: written.to_owned(),
            known_prefix: String::new(),
            known_suffix: String::new(),
            splits,
        };
        Self { word: Word::Unknown(unknown), template: PLACEHOLDER.to_owned(), is_pipe: false }
    }
}

/// What words hold besides text.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Programs in substitutions.
    pub(super) programs: Vec<String>,
    /// What a person has to decide.
    pub(super) unknowns: Vec<String>,
    /// The line sets `HOME`, so that it is not known.
    pub(super) home_is_set: bool,
}

/// The words that a raw word of a command becomes.
pub(super) fn expand(raw: &str, found: &mut Found) -> Result<Vec<Expanded>, Unparsable> {
    match braces::expand(raw)? {
        Some(words) => words.iter().map(|word| read(word, Mode::Plain, found)).collect(),
        None => {
            // Whatever it becomes, the programs in it run.
            read(raw, Mode::Plain, found)?;
            Ok(vec![Expanded::unknown(raw, true)])
        }
    }
}

/// One word in which braces mean nothing: the value of an assignment, the text of a here-document.
pub(super) fn read(raw: &str, mode: Mode, found: &mut Found) -> Result<Expanded, Unparsable> {
    let mut reader = Reader { raw, found, out: Text::default() };
    reader.read(mode)?;
    Ok(reader.out.finish(raw))
}

/// The programs in an arithmetic expression.
pub(super) fn programs_in(text: &str, found: &mut Found) -> Result<(), Unparsable> {
    read(text, Mode::Double, found).map(drop)
}

/// The text read so far.
#[derive(Debug, Default)]
struct Text {
    /// What is known since the last unknown part.
    known: String,
    template: String,
    pattern: String,
    is_pattern: bool,
    /// The known text before the first unknown part.
    prefix: Option<String>,
    splits: bool,
    is_pipe: bool,
}

impl Text {
    fn push(&mut self, text: &str, is_quoted: bool) {
        self.known.push_str(text);
        self.template.push_str(text);
        for character in text.chars() {
            if "*?[]\\".contains(character) {
                if is_quoted {
                    self.pattern.push('\\');
                } else {
                    self.is_pattern |= matches!(character, '*' | '?' | ']');
                }
            }
            self.pattern.push(character);
        }
    }

    fn push_unknown(&mut self, splits: bool) {
        self.template.push_str(PLACEHOLDER);
        let known = std::mem::take(&mut self.known);
        self.prefix.get_or_insert(known);
        self.splits |= splits;
    }

    fn finish(self, raw: &str) -> Expanded {
        let word = match self.prefix {
            Some(known_prefix) => Word::Unknown(UnknownWord {
                written: raw.to_owned(),
                known_prefix,
                known_suffix: self.known,
                splits: self.splits,
            }),
            // A bracket alone is no pattern: `[ -f x ]`, `a]`.
            None if self.is_pattern && self.pattern != "]" && is_pattern(&self.pattern) => {
                Word::Pattern(self.pattern)
            }
            None => Word::Known(self.known),
        };
        Expanded { word, template: self.template, is_pipe: self.is_pipe }
    }
}

fn is_pattern(pattern: &str) -> bool {
    let mut characters = pattern.chars();
    let mut has_open = false;
    while let Some(character) = characters.next() {
        match character {
            '\\' => drop(characters.next()),
            '*' | '?' => return true,
            '[' => has_open = true,
            ']' if has_open => return true,
            _ => {}
        }
    }
    false
}

#[derive(Debug)]
struct Reader<'a, 'f> {
    raw: &'a str,
    found: &'f mut Found,
    out: Text,
}

impl Reader<'_, '_> {
    fn read(&mut self, mode: Mode) -> Result<(), Unparsable> {
        let raw = self.raw;
        self.read_part(raw, mode)
    }

    fn read_part(&mut self, raw: &str, mode: Mode) -> Result<(), Unparsable> {
        let bytes = raw.as_bytes();
        let mut at = 0;
        while at < bytes.len() {
            at = match (bytes[at], mode) {
                (b'\\', _) => self.escape(raw, at + 1, mode),
                (b'\'', Mode::Plain) => {
                    let end = scan::single(raw, at + 1)?;
                    self.out.push(&raw[at + 1..end - 1], true);
                    end
                }
                (b'"', Mode::Plain) => {
                    let end = scan::double(raw, at + 1, 0)?;
                    self.read_part(&raw[at + 1..end - 1], Mode::Double)?;
                    end
                }
                (b'`', _) => {
                    let end = scan::backquote(raw, at + 1)?;
                    self.found.programs.push(unescape_backquoted(&raw[at + 1..end - 1], mode));
                    self.out.push_unknown(mode == Mode::Plain);
                    end
                }
                (b'$', _) => self.dollar(raw, at, mode)?,
                (b'<' | b'>', Mode::Plain) if bytes.get(at + 1) == Some(&b'(') => {
                    let end = super::lexer::command_end(raw, at + 2, 0)?;
                    self.found.programs.push(raw[at + 2..end - 1].to_owned());
                    self.out.is_pipe = true;
                    self.out.push_unknown(false);
                    end
                }
                _ => {
                    let end = raw[at..].char_indices().nth(1).map_or(raw.len(), |(length, _)| at + length);
                    self.out.push(&raw[at..end], mode != Mode::Plain);
                    end
                }
            };
        }
        Ok(())
    }

    /// Reads what follows a backslash.
    fn escape(&mut self, raw: &str, at: usize, mode: Mode) -> usize {
        let Some(character) = raw[at..].chars().next() else {
            self.out.push("\\", true);
            return at;
        };
        let escapes = match mode {
            Mode::Plain => true,
            Mode::Double => "$`\"\\\n".contains(character),
            Mode::HereDocument => "$`\\\n".contains(character),
        };
        if !escapes {
            self.out.push("\\", true);
        }
        let end = at + character.len_utf8();
        if !escapes || character != '\n' {
            self.out.push(&raw[at..end], true);
        }
        end
    }

    fn dollar(&mut self, raw: &str, at: usize, mode: Mode) -> Result<usize, Unparsable> {
        let (dollar, end) = scan::dollar(raw, at, mode, 0)?;
        let is_bare = mode == Mode::Plain;
        match dollar {
            Dollar::Command(program) => {
                self.found.programs.push(program.to_owned());
                self.out.push_unknown(is_bare);
            }
            Dollar::Arithmetic(expression) => {
                programs_in(expression, self.found)?;
                self.out.push_unknown(false);
            }
            Dollar::Parameter(inner) => {
                // Quotes in it mean what they mean around it.
                read(inner, mode, self.found)?;
                if inner.ends_with("@P") {
                    self.found.unknowns.push(format!("`${{{inner}}}` runs what is in the variable"));
                }
                self.parameter(inner, raw, at, end, is_bare);
            }
            Dollar::Variable(name) => self.parameter(name, raw, at, end, is_bare),
            Dollar::AnsiC(text) => self.out.push(&decode_ansi_c(text), true),
            Dollar::Gettext => {}
            Dollar::Literal => self.out.push("$", true),
        }
        Ok(end)
    }

    fn parameter(&mut self, inner: &str, raw: &str, at: usize, end: usize, is_bare: bool) {
        let begins = at == 0 && self.out.template.is_empty();
        if inner == "HOME"
            && !self.found.home_is_set
            && begins
            && matches!(raw.as_bytes().get(end), None | Some(b'/' | b'"'))
        {
            self.out.push("~", true);
            return;
        }
        let is_number = matches!(inner, "?" | "#" | "$" | "!") || (inner.starts_with('#') && inner.len() > 1);
        let is_list = inner == "@" || inner.contains("[@]");
        self.out.push_unknown(is_list || (is_bare && !is_number));
    }
}

/// The program in backquotes, in which a backslash keeps its meaning except before `$`, a backquote and itself.
fn unescape_backquoted(text: &str, mode: Mode) -> String {
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        if character == '\\'
            && let Some(next) = characters.peek()
            && (matches!(next, '$' | '`' | '\\') || (mode == Mode::Double && *next == '"'))
        {
            out.extend(characters.next());
        } else {
            out.push(character);
        }
    }
    out
}

/// The text of `$'…'`. It ends at a NUL, as it does in Bash.
fn decode_ansi_c(text: &str) -> String {
    let mut out: Vec<u8> = vec![];
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        rest = &rest[character.len_utf8()..];
        if character != '\\' {
            out.extend(character.encode_utf8(&mut [0; 4]).bytes());
            continue;
        }
        let Some(kind) = rest.chars().next() else {
            out.push(b'\\');
            break;
        };
        let after = &rest[kind.len_utf8()..];
        rest = after;
        let simple = match kind {
            'a' => 7,
            'b' => 8,
            'e' | 'E' => 27,
            'f' => 12,
            'n' => b'\n',
            'r' => b'\r',
            't' => b'\t',
            'v' => 11,
            '\\' | '\'' | '"' | '?' => kind as u8,
            _ => 0,
        };
        if simple != 0 {
            out.push(simple);
            continue;
        }
        let number = |radix, most: usize, digits: &str| {
            let length = digits.chars().take(most).take_while(|digit| digit.is_digit(radix)).count();
            u32::from_str_radix(&digits[..length], radix).ok().map(|value| (value, length))
        };
        let value = match kind {
            '0'..='7' => number(8, 3, &text[text.len() - after.len() - 1..]).map(|(value, length)| {
                rest = &after[length - 1..];
                value & 0xff
            }),
            // In braces any number of digits; the closing one may be missing, and the digits too.
            'x' if after.starts_with('{') => {
                let digits = after[1..].chars().take_while(char::is_ascii_hexdigit).count();
                let (digits, left) = after[1..].split_at(digits);
                rest = left.strip_prefix('}').unwrap_or(left);
                let last = &digits[digits.len().saturating_sub(2)..];
                Some(u32::from_str_radix(last, 16).unwrap_or(0))
            }
            'x' => number(16, 2, after).map(|(value, length)| {
                rest = &after[length..];
                value
            }),
            'u' | 'U' => number(16, if kind == 'u' { 4 } else { 8 }, after).map(|(value, length)| {
                rest = &after[length..];
                value
            }),
            'c' => after.chars().next().map(|control| {
                rest = &after[control.len_utf8()..];
                control as u32 & 0x1f
            }),
            _ => None,
        };
        match value {
            Some(0) => break,
            Some(value) if kind == 'u' || kind == 'U' => {
                let character = char::from_u32(value).unwrap_or(char::REPLACEMENT_CHARACTER);
                out.extend(character.encode_utf8(&mut [0; 4]).bytes());
            }
            Some(value) => out.push(u8::try_from(value).unwrap_or(b'?')),
            None => {
                out.push(b'\\');
                out.extend(kind.encode_utf8(&mut [0; 4]).bytes());
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}
