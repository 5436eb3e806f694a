//! Here-documents: which lines are their text.

use super::{Lexer, Unparsable};
use brush_parser::Token;

#[derive(Debug)]
pub(super) struct HereDocument {
    /// The token that gets its text.
    token: usize,
    delimiter: String,
    is_quoted: bool,
    strips_tabs: bool,
}

impl Lexer<'_> {
    pub(super) fn here_document(&mut self, operator: &str, start: usize) -> Result<(), Unparsable> {
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
    pub(super) fn body(&mut self, document: &HereDocument, is_nested: bool) -> Result<String, Unparsable> {
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

    /// Reads the documents whose operators stood on the line that has just ended.
    pub(super) fn bodies(&mut self, is_nested: bool) -> Result<(), Unparsable> {
        for document in std::mem::take(&mut self.waiting) {
            let body = self.body(&document, is_nested)?;
            if let Some(Token::Word(text, _)) = self.tokens.get_mut(document.token) {
                *text = body;
            }
        }
        Ok(())
    }
}
