//! Splits a line into the tokens of Bash's grammar: words, operators and the bodies of here-documents.

use super::{
    MAX_NESTING, Unparsable,
    scan::{self, Mode},
};
use brush_parser::{SourcePosition, SourceSpan, Token};
use std::sync::Arc;

/// The most tokens between `[[` and `]]`.
const MAX_TEST_TOKENS: usize = 256;
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

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Group {
    Parenthesis,
    Array,
    Case(Case),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Case {
    Subject,
    In,
    PatternStart,
    Pattern,
    Body,
}

#[derive(Debug)]
struct HereDocument {
    /// The token that gets its text.
    token: usize,
    delimiter: String,
    is_quoted: bool,
    strips_tabs: bool,
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

    fn begin_command(&mut self) {
        self.reserved = true;
        self.assigns = true;
        self.redirects = false;
        self.since_for = None;
    }

    fn open(&mut self, start: usize) -> Result<(), Unparsable> {
        if self.groups.last() == Some(&Group::Case(Case::PatternStart)) {
            self.set_case(Case::Pattern);
            self.push_operator("(", start);
            return Ok(());
        }
        self.nest()?;
        let is_array = matches!(self.tokens.last(), Some(Token::Word(word, span))
            if span.end.index == start && word.ends_with('='));
        // The grammar takes any two parentheses for arithmetic; a line break between them says that these are not.
        let follows_one = matches!(self.tokens.last(), Some(Token::Operator(last, _)) if last == "(");
        if follows_one && self.test.is_none() {
            self.push_operator("\n", start);
        }
        self.groups.push(if is_array { Group::Array } else { Group::Parenthesis });
        self.push_operator("(", start);
        self.begin_command();
        self.reserved = !is_array;
        Ok(())
    }

    fn close(&mut self) -> Result<(), Unparsable> {
        match self.groups.last() {
            Some(Group::Case(Case::Pattern | Case::PatternStart)) => self.set_case(Case::Body),
            Some(Group::Parenthesis) => {
                self.groups.pop();
                self.unnest();
            }
            Some(Group::Array) => {
                self.groups.pop();
                self.unnest();
                self.begin_command();
                self.reserved = false;
                return Ok(());
            }
            _ => return Err(Unparsable::Syntax("a parenthesis is closed that was not opened".to_owned())),
        }
        self.begin_command();
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
        for document in std::mem::take(&mut self.waiting) {
            let body = self.body(&document, is_nested)?;
            if let Some(Token::Word(text, _)) = self.tokens.get_mut(document.token) {
                *text = body;
            }
        }
        Ok(())
    }

    fn here_document(&mut self, operator: &str, start: usize) -> Result<(), Unparsable> {
        while let Some(b' ' | b'\t') = self.text.as_bytes().get(self.at) {
            self.at += 1;
        }
        let from = self.at;
        let tag = self.read_word()?;
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-.,:/+%@=~'\"\\".contains(c);
        if tag.is_empty() || !tag.chars().all(is_plain) {
            return Err(Unparsable::Ambiguous("the delimiter of a here-document"));
        }
        self.push_operator(operator, start);
        self.push_word(tag.clone(), from);
        self.waiting.push(HereDocument {
            token: self.tokens.len(),
            is_quoted: tag.contains(['\'', '"', '\\']),
            delimiter: tag.replace(['\'', '"', '\\'], ""),
            strips_tabs: operator == "<<-",
        });
        self.push_word(String::new(), self.at);
        self.push_word(tag, self.at);
        self.reserved = false;
        Ok(())
    }

    /// The lines up to the delimiter. Where the text is expanded, a backslash joins lines before they are compared.
    fn body(&mut self, document: &HereDocument, is_nested: bool) -> Result<String, Unparsable> {
        let mut body = String::new();
        while self.at < self.text.len() {
            let mut line = String::new();
            loop {
                let rest = &self.text[self.at..];
                let (part, length) =
                    rest.split_once('\n').map_or((rest, rest.len()), |(part, _)| (part, part.len() + 1));
                self.at += length;
                let part = if document.strips_tabs && line.is_empty() {
                    part.trim_start_matches('\t')
                } else {
                    part
                };
                let backslashes = part.len() - part.trim_end_matches('\\').len();
                if document.is_quoted || backslashes % 2 == 0 || self.at >= self.text.len() {
                    line.push_str(part);
                    break;
                }
                line.push_str(&part[..part.len() - 1]);
            }
            if line == document.delimiter {
                return Ok(body);
            }
            if is_nested && line.strip_prefix(&document.delimiter).is_some_and(|rest| rest.contains(')')) {
                return Err(Unparsable::Ambiguous("the end of a here-document in a substitution"));
            }
            body.push_str(&line);
            body.push('\n');
        }
        Err(Unparsable::Unclosed("a here-document"))
    }

    fn word(&mut self) -> Result<(), Unparsable> {
        let start = self.at;
        let word = self.read_word()?;
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

    /// What a word does to the state that says how the next ones are read.
    fn classify(&mut self, word: &str, start: usize) -> Result<(), Unparsable> {
        if let Some(tokens) = &mut self.test {
            *tokens += 1;
            if *tokens > MAX_TEST_TOKENS {
                return Err(Unparsable::TooDeep);
            }
            if word == "]]" {
                self.test = None;
                self.reserved = true;
            }
            return Ok(());
        }
        if std::mem::take(&mut self.redirects) || self.groups.last() == Some(&Group::Array) {
            return Ok(());
        }
        match self.groups.last() {
            Some(Group::Case(Case::Subject)) => return Ok(self.set_case(Case::In)),
            Some(Group::Case(Case::In)) if word == "in" => return Ok(self.set_case(Case::PatternStart)),
            Some(Group::Case(Case::In)) => return Err(Unparsable::Syntax("`case` without `in`".to_owned())),
            Some(Group::Case(Case::PatternStart)) if word == "esac" => return Ok(self.end_case()),
            Some(Group::Case(Case::PatternStart | Case::Pattern)) => return Ok(self.set_case(Case::Pattern)),
            Some(Group::Case(Case::Body)) if word == "esac" && self.reserved => {
                self.push_operator(";;", start);
                return Ok(self.end_case());
            }
            _ => {}
        }
        if let Some(words) = &mut self.since_for {
            *words += 1;
            self.reserved = *words == 2 && word == "do";
            return Ok(());
        }
        if std::mem::take(&mut self.names_function) {
            self.reserved = true;
            return Ok(());
        }
        if !self.reserved {
            self.assigns &= is_assignment(word);
            return Ok(());
        }
        match word {
            "case" => {
                self.nest()?;
                self.groups.push(Group::Case(Case::Subject));
                self.end_reserved();
            }
            "for" | "select" => {
                self.nest()?;
                self.since_for = Some(0);
                self.end_reserved();
            }
            "function" => {
                self.names_function = true;
                self.end_reserved();
            }
            "[[" => {
                self.test = Some(0);
                self.end_reserved();
            }
            "if" | "while" | "until" | "{" | "coproc" => self.nest()?,
            "fi" | "done" | "}" => self.unnest(),
            "then" | "else" | "elif" | "do" | "!" | "time" => {}
            _ => {
                self.reserved = false;
                self.assigns = is_assignment(word);
            }
        }
        Ok(())
    }

    fn end_reserved(&mut self) {
        self.reserved = false;
        self.assigns = false;
    }

    fn end_case(&mut self) {
        self.groups.pop();
        self.unnest();
        self.begin_command();
    }

    fn set_case(&mut self, case: Case) {
        if let Some(Group::Case(state)) = self.groups.last_mut() {
            *state = case;
        }
    }

    fn nest(&mut self) -> Result<(), Unparsable> {
        self.nesting += 1;
        if self.nesting > MAX_NESTING { Err(Unparsable::TooDeep) } else { Ok(()) }
    }

    fn unnest(&mut self) {
        self.nesting = self.nesting.saturating_sub(1);
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
        if !is_element && !(is_name && self.assigns) {
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
