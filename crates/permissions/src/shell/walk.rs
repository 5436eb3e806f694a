//! Visits every node of a program's tree, and follows where its commands run.

use super::{
    Analysis, MAX_COMMANDS, MAX_DEPTH, MAX_WORK_BYTES, Setting, Unparsable,
    given::Stdin,
    lexer, numbers,
    place::{Ends, Places},
    scan::Mode,
    words::{self, Expanded, Found},
};
use brush_parser::{ParserOptions, ast};
use std::{
    collections::{HashMap, HashSet},
    panic,
};

/// What surrounds a command.
#[derive(Debug, Clone)]
pub(super) struct Scope {
    pub(super) places: Places,
    pub(super) stdin: Stdin,
    /// The wrappers it runs under.
    pub(super) under: Vec<String>,
    pub(super) depth: usize,
}

impl Scope {
    pub(super) fn at(&self, places: &Places) -> Self {
        Self { places: places.clone(), ..self.clone() }
    }
}

#[derive(Debug)]
pub(super) struct Walk {
    pub(super) out: Analysis,
    pub(super) home_is_set: bool,
    /// By `exec`, for all that follows.
    pub(super) is_input_replaced: bool,
    set: HashSet<Setting>,
    /// What aliases stand for.
    pub(super) aliases: HashMap<String, String>,
    /// How many bytes have been read.
    work: usize,
    /// Bodies of functions, which run wherever they are called.
    functions: HashMap<String, Function>,
}

#[derive(Debug, Clone)]
struct Function {
    body: ast::FunctionBody,
    visits: Vec<Visit>,
}

/// Where a function was visited, by what it was given there, and where the shell is after it.
#[derive(Debug, Clone)]
struct Visit {
    places: Places,
    stdin: Stdin,
    after: Places,
}

pub(super) fn analyse(line: &str) -> Result<Analysis, Unparsable> {
    let mut walk = Walk {
        out: Analysis::default(),
        home_is_set: mentions_home_otherwise(line),
        is_input_replaced: false,
        set: HashSet::new(),
        aliases: HashMap::new(),
        work: 0,
        functions: HashMap::new(),
    };
    let scope = Scope { places: Places::start(), stdin: Stdin::Inherited, under: vec![], depth: 0 };
    walk.program(line, &scope)?;
    Ok(walk.out)
}

/// Whether `HOME` stands anywhere but in `$HOME` and `${HOME}`: then it may be set.
fn mentions_home_otherwise(line: &str) -> bool {
    line.match_indices("HOME").any(|(at, _)| {
        let (before, after) = (&line[..at], &line[at + 4..]);
        let is_use = before.ends_with('$') || (before.ends_with("${") && after.starts_with('}'));
        !is_use
    })
}

impl Walk {
    /// Everything that a program runs, and where the shell is after it.
    pub(super) fn program(&mut self, text: &str, scope: &Scope) -> Result<Places, Unparsable> {
        if scope.depth > MAX_DEPTH {
            return Err(Unparsable::TooDeep);
        }
        self.work += text.len();
        if self.work > MAX_WORK_BYTES {
            return Err(Unparsable::TooMuch);
        }
        let ast::Program { complete_commands } = parse(&lexer::lex(text, 0)?)?;
        let mut places = scope.places.clone();
        for list in &complete_commands {
            places = self.list(list, &scope.at(&places))?;
        }
        Ok(places)
    }

    /// A program that runs in a shell of its own.
    pub(super) fn subprogram(&mut self, text: &str, scope: &Scope) -> Result<(), Unparsable> {
        let inner = Scope { depth: scope.depth + 1, ..scope.clone() };
        self.program(text, &inner).map(drop)
    }

    pub(super) fn count(&self) -> Result<(), Unparsable> {
        if self.out.commands.len() >= MAX_COMMANDS { Err(Unparsable::TooMany) } else { Ok(()) }
    }

    pub(super) fn unknown(&mut self, sentence: String) {
        if !self.out.unknowns.contains(&sentence) {
            self.out.unknowns.push(sentence);
        }
    }

    /// Notes a value, once: what is visited again sets it to the same.
    pub(super) fn set(&mut self, setting: Setting) {
        if self.set.insert(setting.clone()) {
            self.out.settings.push(setting);
        }
    }

    pub(super) fn found(&self) -> Found {
        Found { home_is_set: self.home_is_set, ..Found::default() }
    }

    /// Visits what was found in words.
    pub(super) fn run_found(&mut self, found: Found, scope: &Scope) -> Result<(), Unparsable> {
        for sentence in found.unknowns {
            self.unknown(sentence);
        }
        for program in found.programs {
            self.subprogram(&program, scope)?;
        }
        Ok(())
    }

    pub(super) fn list(&mut self, list: &ast::CompoundList, scope: &Scope) -> Result<Places, Unparsable> {
        let ast::CompoundList(items) = list;
        let mut places = scope.places.clone();
        for ast::CompoundListItem(and_or, separator) in items {
            let after = self.and_or(and_or, &scope.at(&places))?;
            match separator {
                ast::SeparatorOperator::Async => {}
                ast::SeparatorOperator::Sequence => places = after,
            }
        }
        Ok(places)
    }

    fn and_or(&mut self, list: &ast::AndOrList, scope: &Scope) -> Result<Places, Unparsable> {
        let ast::AndOrList { first, additional } = list;
        let mut ends = self.pipeline(first, scope)?;
        for next in additional {
            match next {
                ast::AndOr::And(pipeline) => {
                    let next = self.pipeline(pipeline, &scope.at(&ends.succeeded))?;
                    ends = Ends { succeeded: next.succeeded, failed: ends.failed.or(&next.failed) };
                }
                ast::AndOr::Or(pipeline) => {
                    let next = self.pipeline(pipeline, &scope.at(&ends.failed))?;
                    ends = Ends { succeeded: ends.succeeded.or(&next.succeeded), failed: next.failed };
                }
            }
        }
        Ok(ends.either())
    }

    fn pipeline(&mut self, pipeline: &ast::Pipeline, scope: &Scope) -> Result<Ends, Unparsable> {
        let ast::Pipeline { timed: _, bang, seq } = pipeline;
        if let [command] = &seq[..] {
            let ends = self.command(command, scope)?;
            return Ok(if *bang { Ends { succeeded: ends.failed, failed: ends.succeeded } } else { ends });
        }
        let mut inner = scope.clone();
        for command in seq {
            self.command(command, &inner)?;
            inner.stdin = self.output_of(command, &inner)?;
        }
        Ok(Ends::same(&scope.places))
    }

    fn command(&mut self, command: &ast::Command, scope: &Scope) -> Result<Ends, Unparsable> {
        match command {
            ast::Command::Simple(simple) => self.simple(simple, scope),
            ast::Command::Compound(compound, redirects) => {
                let inner = self.redirected(redirects.as_ref(), scope)?;
                Ok(Ends::same(&self.compound(compound, &inner)?))
            }
            ast::Command::Function(ast::FunctionDefinition { fname, body }) => {
                let after = self.body(body, scope)?;
                let visit = Visit { places: scope.places.clone(), stdin: scope.stdin.clone(), after };
                let function = Function { body: body.clone(), visits: vec![visit] };
                self.functions.insert(fname.value.clone(), function);
                Ok(Ends::same(&scope.places))
            }
            ast::Command::ExtendedTest(ast::ExtendedTestExprCommand { expr, loc: _ }, redirects) => {
                let inner = self.redirected(redirects.as_ref(), scope)?;
                self.test(expr, &inner)?;
                Ok(Ends::same(&scope.places))
            }
        }
    }

    fn body(&mut self, body: &ast::FunctionBody, scope: &Scope) -> Result<Places, Unparsable> {
        let ast::FunctionBody(compound, redirects) = body;
        let inner = self.redirected(redirects.as_ref(), scope)?;
        self.compound(compound, &inner)
    }

    /// Visits the body of a function where it is called; nothing if there is no such function.
    pub(super) fn call(&mut self, name: &str, scope: &Scope) -> Result<Option<Places>, Unparsable> {
        let stdin = self.stdin(scope);
        let Some(function) = self.functions.get_mut(name) else { return Ok(None) };
        let known = function.visits.iter().find(|visit| visit.places == scope.places && visit.stdin == stdin);
        if let Some(visit) = known {
            return Ok(Some(visit.after.clone()));
        }
        if scope.depth >= MAX_DEPTH {
            return Ok(Some(Places::unknown()));
        }
        // One that calls itself ends here.
        let visit = Visit { places: scope.places.clone(), stdin, after: Places::unknown() };
        function.visits.push(visit);
        let (body, index) = (function.body.clone(), function.visits.len() - 1);
        let inner = Scope { depth: scope.depth + 1, ..scope.clone() };
        let after = self.body(&body, &inner)?;
        let visit = self.functions.get_mut(name).and_then(|function| function.visits.get_mut(index));
        if let Some(visit) = visit {
            visit.after = after.clone();
        }
        Ok(Some(after))
    }

    fn compound(&mut self, compound: &ast::CompoundCommand, scope: &Scope) -> Result<Places, Unparsable> {
        match compound {
            ast::CompoundCommand::Arithmetic(ast::ArithmeticCommand { expr, loc: _ }) => {
                self.arithmetic(expr, scope)?;
                Ok(scope.places.clone())
            }
            ast::CompoundCommand::ArithmeticForClause(ast::ArithmeticForClauseCommand {
                initializer,
                condition,
                updater,
                body,
                loc: _,
            }) => {
                for expression in [initializer, condition, updater].into_iter().flatten() {
                    self.arithmetic(expression, scope)?;
                }
                self.repeated(&[&body.list], scope)
            }
            ast::CompoundCommand::BraceGroup(ast::BraceGroupCommand { list, loc: _ }) => {
                self.list(list, scope)
            }
            ast::CompoundCommand::Subshell(ast::SubshellCommand { list, loc: _ }) => {
                self.list(list, scope)?;
                Ok(scope.places.clone())
            }
            ast::CompoundCommand::ForClause(ast::ForClauseCommand {
                variable_name,
                values,
                body,
                loc: _,
            }) => {
                let mut found = self.found();
                for value in values.iter().flatten() {
                    for one in words::expand(&value.value, &mut found)? {
                        self.set(Setting {
                            name: variable_name.clone(),
                            value: one.word,
                            is_plain: false,
                            is_added: false,
                        });
                    }
                }
                self.run_found(found, scope)?;
                if values.is_none() {
                    let value = Expanded::unknown("$@", true).word;
                    self.set(Setting {
                        name: variable_name.clone(),
                        value,
                        is_plain: false,
                        is_added: false,
                    });
                }
                self.repeated(&[&body.list], scope)
            }
            ast::CompoundCommand::CaseClause(ast::CaseClauseCommand { value, cases, loc: _ }) => {
                self.word(value, scope)?;
                let mut after = scope.places.clone();
                for ast::CaseItem { patterns, cmd, post_action: _, loc: _ } in cases {
                    for pattern in patterns {
                        self.word(pattern, scope)?;
                    }
                    if let Some(list) = cmd {
                        // Through `;&` the next one begins where this one ended.
                        after = after.or(&self.list(list, &scope.at(&after))?);
                    }
                }
                Ok(after)
            }
            ast::CompoundCommand::IfClause(ast::IfClauseCommand { condition, then, elses, loc: _ }) => {
                let mut tested = self.list(condition, scope)?;
                let mut after = self.list(then, &scope.at(&tested))?;
                let mut has_else = false;
                for ast::ElseClause { condition, body } in elses.iter().flatten() {
                    match condition {
                        Some(condition) => tested = self.list(condition, &scope.at(&tested))?,
                        None => has_else = true,
                    }
                    after = after.or(&self.list(body, &scope.at(&tested))?);
                }
                Ok(if has_else { after } else { after.or(&tested) })
            }
            ast::CompoundCommand::WhileClause(ast::WhileOrUntilClauseCommand(condition, body, _))
            | ast::CompoundCommand::UntilClause(ast::WhileOrUntilClauseCommand(condition, body, _)) => {
                self.repeated(&[condition, &body.list], scope)
            }
            ast::CompoundCommand::Coprocess(ast::CoprocessCommand { name, body, loc: _ }) => {
                if let Some(name) = name {
                    self.word(name, scope)?;
                }
                let inner = Scope { stdin: Stdin::Unknown(None), ..scope.clone() };
                self.command(body, &inner)?;
                Ok(scope.places.clone())
            }
        }
    }

    /// Lists that may run any number of times, one after the other.
    fn repeated(&mut self, lists: &[&ast::CompoundList], scope: &Scope) -> Result<Places, Unparsable> {
        let mut places = scope.places.clone();
        for list in lists {
            places = self.list(list, &scope.at(&places))?;
        }
        if places == scope.places || places.is_empty() {
            return Ok(scope.places.clone());
        }
        // Each round begins where the last one ended.
        let unknown = Places::unknown();
        for list in lists {
            self.list(list, &scope.at(&unknown))?;
        }
        Ok(unknown)
    }

    fn test(&mut self, expression: &ast::ExtendedTestExpr, scope: &Scope) -> Result<(), Unparsable> {
        match expression {
            ast::ExtendedTestExpr::And(left, right) | ast::ExtendedTestExpr::Or(left, right) => {
                self.test(left, scope)?;
                self.test(right, scope)
            }
            ast::ExtendedTestExpr::Not(inner) | ast::ExtendedTestExpr::Parenthesized(inner) => {
                self.test(inner, scope)
            }
            ast::ExtendedTestExpr::UnaryTest(predicate, word) => {
                if matches!(
                    predicate,
                    ast::UnaryPredicate::ShellVariableIsSetAndAssigned
                        | ast::UnaryPredicate::ShellVariableIsSetAndNameRef
                ) {
                    self.counted(word)?;
                }
                self.word(word, scope)
            }
            ast::ExtendedTestExpr::BinaryTest(predicate, left, right) => {
                if numbers::is_arithmetic(predicate) {
                    self.counted(left)?;
                    self.counted(right)?;
                }
                self.word(left, scope)?;
                self.word(right, scope)
            }
        }
    }

    fn arithmetic(
        &mut self,
        expression: &ast::UnexpandedArithmeticExpr,
        scope: &Scope,
    ) -> Result<(), Unparsable> {
        let ast::UnexpandedArithmeticExpr { value } = expression;
        // Only the lexer knows which parentheses are arithmetic; the mark says that this came from it.
        let Some(value) = value.strip_prefix(lexer::ARITHMETIC).or(value.is_empty().then_some("")) else {
            return Err(Unparsable::Ambiguous("two parentheses"));
        };
        let mut found = self.found();
        words::programs_in(value, &mut found)?;
        self.run_found(found, scope)
    }

    /// A word that is no part of a command, but in which programs may be.
    fn word(&mut self, word: &ast::Word, scope: &Scope) -> Result<(), Unparsable> {
        let mut found = self.found();
        words::read(&word.value, Mode::Plain, &mut found)?;
        self.run_found(found, scope)
    }
}

/// The tree of a program. The grammar is a library's: if it panics, the line is refused.
fn parse(tokens: &[brush_parser::Token]) -> Result<ast::Program, Unparsable> {
    panic::catch_unwind(|| brush_parser::parse_tokens(tokens, &ParserOptions::default()))
        .map_err(|_| Unparsable::Syntax("the parser failed".to_owned()))?
        .map_err(|error| Unparsable::Syntax(error.to_string()))
}
