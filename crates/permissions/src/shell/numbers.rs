//! Texts that become something else where they are used: numbers, in whose index Bash runs programs even if they were
//! quoted, and aliases.

use super::{
    Unparsable,
    inner::Words,
    scan::Mode,
    simple::{Draft, shorten},
    walk::{Scope, Walk},
    words,
    wrappers::quoted,
};
use brush_parser::ast;

/// Commands of the shell whose words are numbers, or names that may have an index.
const COUNTING: [&str; 14] = [
    "let",
    "test",
    "[",
    "declare",
    "typeset",
    "local",
    "readonly",
    "export",
    "read",
    "unset",
    "mapfile",
    "readarray",
    "wait",
    "getopts",
];

/// Whether a program in it would run where it is taken for a number.
fn runs_as_a_number(text: &str) -> bool {
    text.contains('[') && (text.contains("$(") || text.contains('`'))
}

/// Whether both sides of a test are numbers.
pub(super) fn is_arithmetic(predicate: &ast::BinaryPredicate) -> bool {
    matches!(
        predicate,
        ast::BinaryPredicate::ArithmeticEqualTo
            | ast::BinaryPredicate::ArithmeticNotEqualTo
            | ast::BinaryPredicate::ArithmeticLessThan
            | ast::BinaryPredicate::ArithmeticLessThanOrEqualTo
            | ast::BinaryPredicate::ArithmeticGreaterThan
            | ast::BinaryPredicate::ArithmeticGreaterThanOrEqualTo
    )
}

impl Walk {
    /// Asks about a text that is taken for a number.
    pub(super) fn number(&mut self, text: &str) {
        if runs_as_a_number(text) {
            self.unknown(format!(
                "`{}` holds a program that runs where it is taken for a number",
                shorten(text)
            ));
        }
    }

    /// The same of the words of the shell's own commands.
    pub(super) fn numbers(&mut self, draft: &Draft) {
        let Some(program) = draft.program() else { return };
        let prints_into =
            program == "printf" && draft.words.iter().any(|word| word.template.starts_with("-v"));
        if COUNTING.contains(&program) || prints_into {
            draft.words.iter().skip(1).for_each(|word| self.number(&word.template));
        }
    }

    /// A word that a test takes for a number or for a name with an index.
    pub(super) fn counted(&mut self, word: &ast::Word) -> Result<(), Unparsable> {
        let mut found = self.found();
        let expanded = words::read(&word.value, Mode::Plain, &mut found)?;
        self.number(&expanded.template);
        Ok(())
    }

    /// What an alias of the line stands for where it is used.
    pub(super) fn alias(&mut self, draft: &Draft, scope: &Scope) -> Result<(), Unparsable> {
        let Some(name) = draft.words.first().and_then(|word| word.word.known()).map(str::to_owned) else {
            return Ok(());
        };
        // It does not stand for itself again.
        let Some(value) = self.aliases.remove(&name) else { return Ok(()) };
        let rest = draft.words[1..]
            .iter()
            .map(|word| word.word.known().map_or_else(|| word.template.clone(), quoted))
            .collect::<Vec<_>>();
        let done = self.subprogram(&format!("{value} {}", rest.join(" ")), scope);
        self.aliases.insert(name.clone(), value);
        match done {
            Err(error @ (Unparsable::TooMany | Unparsable::TooMuch)) => Err(error),
            Err(_) => {
                self.unknown(format!("what the alias `{name}` becomes cannot be known before it runs"));
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    /// Remembers the aliases that a command makes, each with what it stands for.
    pub(super) fn note_aliases(&mut self, draft: &Draft) {
        for word in draft.words[1..].strip_prefix_word("--") {
            if let Some((name, value)) = word.template.split_once('=') {
                self.aliases.insert(name.to_owned(), value.to_owned());
            }
        }
    }
}
