//! Splits a line into the tokens of Bash's grammar: words, operators and the bodies of here-documents.

mod groups;
mod here_documents;

use super::{
    Unparsable,
    scan::{self, Mode},
};
use brush_parser::{SourcePosition, SourceSpan, Token};
use groups::{Case, Group};
use here_documents::HereDocument;
use std::sync::Arc;

/// The most tokens between `[[` and `]]`.
const MAX_TEST_TOKENS: usize = 256;
/// The most brackets in a word that begins as the element of an array: the grammar tries such words in many ways.
const MAX_BRACKETS: usize = 8;
/// Longest first.
const OPERATORS: [&str; 23] = [
    "&>>", ";;&", "<<<", "<<-", "&&", "&>", ";;", ";&", "||", "|&", "<<", "<&", "<>", ">>", ">&", ">|", "&",
    ";", "|", "<", ">", "(", ")",
];

/// Stands before the expression of an arithmetic command; no line holds it.
pub(super) const ARITHMETIC: char = '\0';

/// The tokens of a whole program.
pub(super) fn lex(text: &str, depth: usize) -> Result<Vec<Token>, Unparsable> {
    let mut lexer = Lexer::new(text, 0, depth);
    lexer.run(false)?;
    Ok(lexer.tokens)
}

/// The end of a substitution whose program begins at `at`: just after its closing parenthesis.
pub(super) fn command_end(text: &str, at: usize, depth: usize) -> Result<usize, Unparsable> {
    if depth > super::MAX_DEPTH {
        return Err(Unparsable::TooDeep);
    }
    let mut lexer = Lexer::new(text, at, depth);
    lexer.run(true)?;
    Ok(lexer.at)
}

#[derive(Debug)]
struct Lexer<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
    tokens: Vec<Token>,
    groups: Vec<Group>,
    waiting: Vec<HereDocument>,
    /// A reserved word would be taken as one here.
    reserved: bool,
    /// An assignment would be taken as one here.
    assigns: bool,
    /// The next word is the target of a redirection.
    redirects: bool,
    /// Words since `for` or `select`, whose second may be `do`.
    since_for: Option<usize>,
    /// The next word is a function's name.
    names_function: bool,
    /// Tokens since `[[`.
    test: Option<usize>,
    nesting: usize,
    /// The token that ended the last `case`.
    case_end: Option<usize>,
}

impl<'a> Lexer<'a> {
    fn new(text: &'a str, at: usize, depth: usize) -> Self {
        Self {
            text,
            at,
            depth,
            tokens: vec![],
            groups: vec![],
            waiting: vec![],
            reserved: true,
            assigns: true,
            redirects: false,
            since_for: None,
            names_function: false,
            test: None,
            nesting: 0,
            case_end: None,
        }
    }

    /// Reads up to the end, or to the parenthesis that closes what is around.
    fn run(&mut self, is_nested: bool) -> Result<(), Unparsable> {
        let bytes = self.text.as_bytes();
        while let Some(&byte) = bytes.get(self.at) {
            let rest = &self.text[self.at..];
            match byte {
                b' ' | b'\t' => self.at += 1,
                b'\\' if rest.starts_with("\\\n") => self.at += 2,
                b'#' => self.at += rest.find('\n').unwrap_or(rest.len()),
                b'\n' => self.newline(is_nested)?,
                b')' if is_nested && self.groups.is_empty() => {
                    self.at += 1;
                    return self.finish();
                }
                b'<' | b'>' if bytes.get(self.at + 1) == Some(&b'(') => self.word()?,
                b'(' if bytes.get(self.at + 1) == Some(&b'(') && self.takes_arithmetic() => {
                    self.arithmetic()?
                }
                _ => match OPERATORS.iter().find(|operator| rest.starts_with(**operator)) {
                    Some(operator) => self.operator(operator)?,
                    None => self.word()?,
                },
            }
        }
        if is_nested { Err(Unparsable::Unclosed("`$(`")) } else { self.finish() }
    }

    fn finish(&self) -> Result<(), Unparsable> {
        if self.waiting.is_empty() { Ok(()) } else { Err(Unparsable::Unclosed("a here-document")) }
    }

    fn operator(&mut self, operator: &'static str) -> Result<(), Unparsable> {
        let start = self.at;
        self.at += operator.len();
        if let Some(tokens) = &mut self.test {
            *tokens += 1;
            if *tokens > MAX_TEST_TOKENS {
                return Err(Unparsable::TooDeep);
            }
        }
        match operator {
            "<<" | "<<-" => return self.here_document(operator, start),
            "<<<" | "<" | ">" | ">>" | "<&" | ">&" | "<>" | ">|" | "&>" | "&>>" => {
                self.redirects = true;
                self.reserved = false;
            }
            "(" => return self.open(start),
            ")" => self.close()?,
            ";;" | ";&" | ";;&" => {
                if let Some(Group::Case(case)) = self.groups.last_mut() {
                    *case = Case::PatternStart;
                }
                self.begin_command();
            }
            ";" | "&" => {
                self.test = None;
                self.begin_command();
            }
            _ => self.begin_command(),
        }
        self.push_operator(operator, start);
        Ok(())
    }

    fn takes_arithmetic(&self) -> bool {
        self.test.is_none()
            && !self.redirects
            && (self.reserved || self.since_for == Some(0))
            && self.groups.last() != Some(&Group::Case(Case::PatternStart))
    }

    /// `((…))`, or the first of two parentheses.
    fn arithmetic(&mut self) -> Result<(), Unparsable> {
        let start = self.at;
        let inner = start + 2;
        let end = scan::matched(self.text, inner, b'(', b')', self.depth)?;
        if self.text.as_bytes().get(end) != Some(&b')') {
            self.at += 1;
            return self.open(start);
        }
        let expression = &self.text[inner..end - 1];
        self.push_operator("(", start);
        self.push_operator("(", start + 1);
        let separator = if self.since_for == Some(0) { ';' } else { ARITHMETIC };
        for (position, part) in expression.split(separator).enumerate() {
            if position > 0 {
                self.push_operator(";", inner);
            }
            self.push_word(format!("{ARITHMETIC}{part}"), inner);
        }
        self.push_operator(")", end - 1);
        self.push_operator(")", end);
        self.at = end + 1;
        self.begin_command();
        Ok(())
    }

    fn newline(&mut self, is_nested: bool) -> Result<(), Unparsable> {
        self.push_operator("\n", self.at);
        self.at += 1;
        let is_array = self.groups.last() == Some(&Group::Array);
        self.begin_command();
        self.reserved = !is_array;
        self.bodies(is_nested)
    }

    fn word(&mut self) -> Result<(), Unparsable> {
        let start = self.at;
        let word = self.read_word()?;
        let is_element = word.as_bytes().get(scan::name_length(word.as_bytes())) == Some(&b'[');
        if is_element && word.bytes().filter(|byte| b"([{".contains(byte)).count() > MAX_BRACKETS {
            return Err(Unparsable::TooDeep);
        }
        if !self.waiting.is_empty() && word.contains('\n') {
            return Err(Unparsable::Ambiguous("a line break in a word after `<<`"));
        }
        let is_before_redirect = matches!(self.text.as_bytes().get(self.at), Some(b'<' | b'>'));
        if is_before_redirect && word.bytes().all(|byte| byte.is_ascii_digit()) {
            if word.len() > 9 {
                return Err(Unparsable::Ambiguous("the number of a file descriptor"));
            }
            self.push_word(word, start);
            return Ok(());
        }
        let variable = word.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
        if is_before_redirect && variable.is_some_and(|name| scan::name_length(name.as_bytes()) == name.len())
        {
            // `{name}>file` sets a variable to the descriptor; it is no word of the command.
            return Ok(());
        }
        self.classify(&word, start)?;
        self.push_word(word, start);
        Ok(())
    }

    /// A word as it was written, without joined lines.
    fn read_word(&mut self) -> Result<String, Unparsable> {
        let bytes = self.text.as_bytes();
        let mut word = String::new();
        while let Some(&byte) = bytes.get(self.at) {
            let from = self.at;
            let end = match byte {
                b'\\' if bytes.get(from + 1) == Some(&b'\n') => {
                    self.at += 2;
                    continue;
                }
                b'\\' => {
                    let escaped = self.text[from + 1..].chars().next();
                    from + 1 + escaped.ok_or(Unparsable::Unclosed("a backslash"))?.len_utf8()
                }
                b'\'' => scan::single(self.text, from + 1)?,
                b'"' => scan::double(self.text, from + 1, self.depth)?,
                b'`' => scan::backquote(self.text, from + 1)?,
                b'$' => scan::dollar(self.text, from, Mode::Plain, self.depth)?.1,
                b'<' | b'>' if bytes.get(from + 1) == Some(&b'(') => {
                    command_end(self.text, from + 2, self.depth + 1)?
                }
                b'(' if self.test.is_some() && word.ends_with(['?', '*', '+', '@', '!']) => {
                    scan::matched(self.text, from + 1, b'(', b')', self.depth)?
                }
                b' ' | b'\t' | b'\n' | b'|' | b'&' | b';' | b'(' | b')' | b'<' | b'>' => break,
                b'[' => {
                    self.check_subscript(&word)?;
                    from + 1
                }
                _ => from + self.text[from..].chars().next().map_or(1, char::len_utf8),
            };
            word.push_str(&self.text[from..end]);
            self.at = end;
        }
        Ok(word)
    }

    /// The subscript of an assignment may hold what would end a word elsewhere; such ones are refused.
    fn check_subscript(&self, name: &str) -> Result<(), Unparsable> {
        let is_element = name.is_empty() && self.groups.last() == Some(&Group::Array);
        let is_name = !name.is_empty() && scan::name_length(name.as_bytes()) == name.len();
        let is_subscript = is_element || (is_name && self.assigns);
        if !is_subscript {
            return Ok(());
        }
        let Ok(end) = scan::matched(self.text, self.at + 1, b'[', b']', self.depth) else { return Ok(()) };
        let subscript = &self.text[self.at + 1..end - 1];
        if subscript.contains([' ', '\t', '\n', '#', '<', '>', ';', '&', '|']) {
            return Err(Unparsable::Ambiguous("an array subscript with spaces or operators"));
        }
        Ok(())
    }

    fn push_operator(&mut self, operator: &str, start: usize) {
        self.tokens.push(Token::Operator(operator.to_owned(), span(start, start + operator.len())));
    }

    fn push_word(&mut self, word: String, start: usize) {
        self.tokens.push(Token::Word(word, span(start, self.at)));
    }
}

/// Whether a word begins as an assignment does.
pub(super) fn is_assignment(word: &str) -> bool {
    let name = scan::name_length(word.as_bytes());
    let rest = &word[name..];
    name > 0
        && (rest.starts_with('=') || rest.starts_with("+=") || (rest.starts_with('[') && rest.contains('=')))
}

fn span(start: usize, end: usize) -> SourceSpan {
    let position = |index| Arc::new(SourcePosition { index, line: 1, column: index + 1 });
    SourceSpan { start: position(start), end: position(end) }
}
