//! What a lexer has to know of the grammar: what is open, and which words are reserved where they stand.

use super::{Lexer, MAX_TEST_TOKENS, Unparsable, is_assignment};
use crate::shell::MAX_NESTING;
use brush_parser::Token;

/// The deepest nesting of `case`: the grammar reads each twice before it gives up.
const MAX_CASES: usize = 6;
/// The most groups that are open inside `[[ … ]]`, for the same reason.
const MAX_TEST_GROUPS: usize = 8;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Group {
    Parenthesis,
    Array,
    Case(Case),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Case {
    Subject,
    In,
    PatternStart,
    Pattern,
    Body,
}

impl Lexer<'_> {
    pub(super) fn begin_command(&mut self) {
        self.reserved = true;
        self.assigns = true;
        self.redirects = false;
        self.since_for = None;
    }

    pub(super) fn open(&mut self, start: usize) -> Result<(), Unparsable> {
        if self.groups.last() == Some(&Group::Case(Case::PatternStart)) {
            self.set_case(Case::Pattern);
            self.push_operator("(", start);
            return Ok(());
        }
        self.nest()?;
        if self.test.is_some() && self.groups.len() >= MAX_TEST_GROUPS {
            return Err(Unparsable::TooDeep);
        }
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

    pub(super) fn close(&mut self) -> Result<(), Unparsable> {
        match self.groups.last() {
            Some(Group::Case(Case::Pattern | Case::PatternStart)) => self.set_case(Case::Body),
            Some(Group::Parenthesis) => {
                self.groups.pop();
                self.unnest();
                if self.case_end.is_some_and(|token| token + 1 == self.tokens.len()) {
                    // The grammar takes `esac )` for one more pattern.
                    self.push_operator(";", self.at);
                }
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

    /// What a word does to the state that says how the next ones are read.
    pub(super) fn classify(&mut self, word: &str, start: usize) -> Result<(), Unparsable> {
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
            Some(Group::Case(Case::Subject)) => self.set_case(Case::In),
            Some(Group::Case(Case::In)) if word == "in" => self.set_case(Case::PatternStart),
            Some(Group::Case(Case::In)) => return Err(Unparsable::Syntax("`case` without `in`".to_owned())),
            Some(Group::Case(Case::PatternStart)) if word == "esac" => self.end_case(),
            Some(Group::Case(Case::PatternStart | Case::Pattern)) => self.set_case(Case::Pattern),
            Some(Group::Case(Case::Body)) if word == "esac" && self.reserved => {
                self.push_operator(";;", start);
                self.end_case();
            }
            _ => return self.classify_word(word),
        }
        Ok(())
    }

    fn classify_word(&mut self, word: &str) -> Result<(), Unparsable> {
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
                if self.groups.iter().filter(|group| matches!(group, Group::Case(_))).count() >= MAX_CASES {
                    return Err(Unparsable::TooDeep);
                }
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

    pub(super) fn end_reserved(&mut self) {
        self.reserved = false;
        self.assigns = false;
    }

    pub(super) fn end_case(&mut self) {
        self.case_end = Some(self.tokens.len());
        self.groups.pop();
        self.unnest();
        self.begin_command();
    }

    pub(super) fn set_case(&mut self, case: Case) {
        if let Some(Group::Case(state)) = self.groups.last_mut() {
            *state = case;
        }
    }

    pub(super) fn nest(&mut self) -> Result<(), Unparsable> {
        self.nesting += 1;
        if self.nesting > MAX_NESTING { Err(Unparsable::TooDeep) } else { Ok(()) }
    }

    pub(super) fn unnest(&mut self) {
        self.nesting = self.nesting.saturating_sub(1);
    }
}
