//! Simple commands: their words, their redirections, and what the shell's own commands do to the shell.

use super::{
    Setting, SimpleCommand, Touch, Unparsable, Word,
    given::{self, Descriptor, Stdin},
    place::{Ends, Places},
    scan::Mode,
    walk::{Scope, Walk},
    words::{self, Expanded, Found},
};
use brush_parser::ast;

/// A simple command before it is known where it runs.
#[derive(Debug, Clone, Default)]
pub(super) struct Draft {
    pub(super) words: Vec<Expanded>,
    pub(super) assignments: Vec<(String, Word)>,
    pub(super) redirects: Vec<(Touch, Word)>,
}

impl Draft {
    /// The program's name without its folder, if it is known.
    pub(super) fn program(&self) -> Option<&str> {
        let name = self.words.first()?.word.known()?;
        Some(name.rsplit('/').next().unwrap_or(name))
    }
}

impl Walk {
    pub(super) fn simple(&mut self, command: &ast::SimpleCommand, scope: &Scope) -> Result<Ends, Unparsable> {
        let ast::SimpleCommand { prefix, word_or_name, suffix } = command;
        let mut inner = scope.clone();
        let mut draft = Draft::default();
        let mut found = self.found();
        for item in prefix.iter().flat_map(|ast::CommandPrefix(items)| items) {
            self.item(item, true, &mut draft, &mut inner, &mut found)?;
        }
        if let Some(name) = word_or_name {
            draft.words.extend(words::expand(&name.value, &mut found)?);
        }
        for item in suffix.iter().flat_map(|ast::CommandSuffix(items)| items) {
            self.item(item, false, &mut draft, &mut inner, &mut found)?;
        }
        self.run_found(found, scope)?;
        self.settings(command, &draft);
        let is_exec = draft.words.iter().take(2).any(|word| word.template == "exec");
        self.is_input_replaced |= is_exec && inner.stdin != scope.stdin;
        self.emit(draft, &inner)
    }

    fn item(
        &mut self,
        item: &ast::CommandPrefixOrSuffixItem,
        is_prefix: bool,
        draft: &mut Draft,
        scope: &mut Scope,
        found: &mut Found,
    ) -> Result<(), Unparsable> {
        match item {
            ast::CommandPrefixOrSuffixItem::IoRedirect(redirect) => {
                self.redirect(redirect, &mut draft.redirects, scope, found)?;
            }
            ast::CommandPrefixOrSuffixItem::Word(word) => {
                draft.words.extend(words::expand(&word.value, found)?)
            }
            ast::CommandPrefixOrSuffixItem::AssignmentWord(assignment, _) if is_prefix => {
                draft.assignments.push(self::assignment(assignment, found)?);
            }
            ast::CommandPrefixOrSuffixItem::AssignmentWord(assignment, word) => match &assignment.value {
                ast::AssignmentValue::Scalar(_) => draft.words.extend(words::expand(&word.value, found)?),
                ast::AssignmentValue::Array(_) => {
                    self::assignment(assignment, found)?;
                    draft.words.push(Expanded::unknown(&word.value, false));
                }
            },
            ast::CommandPrefixOrSuffixItem::ProcessSubstitution(_, ast::SubshellCommand { list, loc: _ }) => {
                self.list(list, scope)?;
                draft.words.push(Expanded { is_pipe: true, ..Expanded::unknown("<(…)", false) });
            }
        }
        Ok(())
    }

    fn redirect(
        &mut self,
        redirect: &ast::IoRedirect,
        redirects: &mut Vec<(Touch, Word)>,
        scope: &mut Scope,
        found: &mut Found,
    ) -> Result<(), Unparsable> {
        match redirect {
            ast::IoRedirect::File(descriptor, kind, target) => {
                let is_stdin = match (descriptor, kind) {
                    (Some(number), _) => *number == 0,
                    (None, kind) => matches!(
                        kind,
                        ast::IoFileRedirectKind::Read
                            | ast::IoFileRedirectKind::ReadAndWrite
                            | ast::IoFileRedirectKind::DuplicateInput
                    ),
                };
                let touches: &[Touch] = match kind {
                    ast::IoFileRedirectKind::Read | ast::IoFileRedirectKind::DuplicateInput => &[Touch::Read],
                    ast::IoFileRedirectKind::Write
                    | ast::IoFileRedirectKind::Append
                    | ast::IoFileRedirectKind::Clobber
                    | ast::IoFileRedirectKind::DuplicateOutput => &[Touch::Write],
                    ast::IoFileRedirectKind::ReadAndWrite => &[Touch::Read, Touch::Write],
                };
                match target {
                    ast::IoFileRedirectTarget::Filename(word) => {
                        for expanded in words::expand(&word.value, found)? {
                            if is_stdin {
                                scope.stdin = match given::descriptor(&expanded.template, scope) {
                                    Some(Descriptor::Stdin) => scope.stdin.clone(),
                                    Some(Descriptor::Other) => Stdin::Unknown(None),
                                    None if expanded.is_pipe => Stdin::Unknown(None),
                                    None => Stdin::File,
                                };
                            }
                            if !expanded.is_pipe {
                                redirects.extend(touches.iter().map(|touch| (*touch, expanded.word.clone())));
                            }
                        }
                    }
                    ast::IoFileRedirectTarget::Fd(number) => {
                        if is_stdin && *number != 0 {
                            scope.stdin = Stdin::Unknown(None);
                        }
                    }
                    ast::IoFileRedirectTarget::ProcessSubstitution(
                        _,
                        ast::SubshellCommand { list, loc: _ },
                    ) => {
                        self.list(list, scope)?;
                        if is_stdin {
                            scope.stdin = Stdin::Unknown(None);
                        }
                    }
                    ast::IoFileRedirectTarget::Duplicate(word) => {
                        // `>&2` copies a descriptor; `>&name` writes a file.
                        let is_descriptor = word.value.chars().all(|c| c.is_ascii_digit() || c == '-');
                        let target = words::read(&word.value, Mode::Plain, found)?.word;
                        if is_stdin && !matches!(word.value.as_str(), "0" | "-") {
                            scope.stdin = Stdin::Unknown(None);
                        }
                        if !is_descriptor {
                            redirects.extend(touches.iter().map(|touch| (*touch, target.clone())));
                        }
                    }
                }
            }
            ast::IoRedirect::HereDocument(
                descriptor,
                ast::IoHereDocument { remove_tabs: _, requires_expansion, here_end: _, doc },
            ) => {
                let text = if *requires_expansion {
                    text_of(&words::read(&doc.value, Mode::HereDocument, found)?)
                } else {
                    Stdin::Known(doc.value.clone())
                };
                if descriptor.is_none_or(|number| number == 0) {
                    scope.stdin = text;
                }
            }
            ast::IoRedirect::HereString(descriptor, word) => {
                let text = text_of(&words::read(&word.value, Mode::Plain, found)?);
                if descriptor.is_none_or(|number| number == 0) {
                    scope.stdin = text;
                }
            }
            ast::IoRedirect::OutputAndError(word, _) => {
                for expanded in words::expand(&word.value, found)? {
                    redirects.push((Touch::Write, expanded.word));
                }
            }
        }
        Ok(())
    }

    /// Notes what the assignments of a command set.
    fn settings(&mut self, command: &ast::SimpleCommand, draft: &Draft) {
        let items = command.prefix.iter().flat_map(|ast::CommandPrefix(items)| items);
        let assigned = items.filter_map(|item| match item {
            ast::CommandPrefixOrSuffixItem::AssignmentWord(assignment, _) => Some(assignment),
            _ => None,
        });
        for (assignment, (name, value)) in assigned.zip(&draft.assignments) {
            let is_plain = draft.words.is_empty()
                && !assignment.append
                && matches!(assignment.name, ast::AssignmentName::VariableName(_));
            let is_added = assignment.append;
            self.set(Setting { name: name.clone(), value: value.clone(), is_plain, is_added });
        }
    }

    /// The scope inside a compound command with these redirections.
    pub(super) fn redirected(
        &mut self,
        redirects: Option<&ast::RedirectList>,
        scope: &Scope,
    ) -> Result<Scope, Unparsable> {
        let mut inner = scope.clone();
        let Some(ast::RedirectList(list)) = redirects else { return Ok(inner) };
        let mut draft = Draft::default();
        let mut found = self.found();
        for redirect in list {
            self.redirect(redirect, &mut draft.redirects, &mut inner, &mut found)?;
        }
        self.run_found(found, scope)?;
        if !draft.redirects.is_empty() {
            self.push(&draft, scope)?;
        }
        Ok(inner)
    }

    /// Puts a command on the list, with what it runs in turn.
    pub(super) fn emit(&mut self, draft: Draft, scope: &Scope) -> Result<Ends, Unparsable> {
        if draft.words.is_empty() && draft.assignments.is_empty() && draft.redirects.is_empty() {
            return Ok(Ends::same(&scope.places));
        }
        self.push(&draft, scope)?;
        if let Some(first) = draft.words.first()
            && first.word.known().is_none()
        {
            let written = match &first.word {
                Word::Unknown(unknown) => &unknown.written,
                Word::Pattern(pattern) | Word::Known(pattern) => pattern,
            };
            self.unknown(format!("which command `{}` is cannot be known before it runs", shorten(written)));
        }
        self.inner_commands(&draft, scope)?.map_or_else(|| self.own_command(&draft, scope), Ok)
    }

    fn push(&mut self, draft: &Draft, scope: &Scope) -> Result<(), Unparsable> {
        for place in scope.places.all() {
            self.count()?;
            self.out.commands.push(SimpleCommand {
                words: draft.words.iter().map(|expanded| expanded.word.clone()).collect(),
                assignments: draft.assignments.clone(),
                redirects: draft.redirects.clone(),
                place: place.clone(),
                under: scope.under.clone(),
            });
        }
        Ok(())
    }

    /// What the shell's own commands do to where it is.
    fn own_command(&mut self, draft: &Draft, scope: &Scope) -> Result<Ends, Unparsable> {
        let places = &scope.places;
        let Some(program) = draft.program() else { return Ok(Ends::same(places)) };
        let succeeded = match program {
            "cd" | "pushd" => self.change_directory(draft, places),
            "popd" => Places::unknown(),
            "exit" | "return" => return Ok(Ends::same(&Places::none())),
            name => match self.call(name, scope)? {
                Some(after) => return Ok(Ends::same(&after)),
                None => return Ok(Ends::same(places)),
            },
        };
        Ok(Ends { succeeded, failed: places.clone() })
    }

    /// What a command writes for the next one in a pipeline, as far as that is plain.
    pub(super) fn output_of(&mut self, command: &ast::Command, scope: &Scope) -> Result<Stdin, Unparsable> {
        let ast::Command::Simple(simple) = command else { return Ok(Stdin::Unknown(None)) };
        let mut scope = scope.clone();
        let mut draft = Draft::default();
        let mut found = self.found();
        let prefix = simple.prefix.iter().flat_map(|ast::CommandPrefix(items)| items);
        let suffix = simple.suffix.iter().flat_map(|ast::CommandSuffix(items)| items);
        for item in prefix {
            self.item(item, true, &mut draft, &mut scope, &mut found)?;
        }
        if let Some(name) = &simple.word_or_name {
            draft.words.extend(words::expand(&name.value, &mut found)?);
        }
        for item in suffix {
            if let ast::CommandPrefixOrSuffixItem::ProcessSubstitution(..) = item {
                return Ok(Stdin::Unknown(None));
            }
            self.item(item, false, &mut draft, &mut scope, &mut found)?;
        }
        let arguments: Vec<&Expanded> = draft.words.iter().skip(1).collect();
        let join = |words: &[&Expanded]| {
            let text = words.iter().map(|word| word.template.as_str()).collect::<Vec<_>>().join(" ");
            let is_known = words.iter().all(|word| word.word.known().is_some()) && !text.contains('\\');
            if is_known { Stdin::Known(text) } else { Stdin::Unknown(Some(text)) }
        };
        Ok(match draft.program() {
            Some("echo") => {
                let text = arguments.iter().skip_while(|word| {
                    word.word.known().is_some_and(|text| {
                        text.strip_prefix('-').is_some_and(|flags| {
                            !flags.is_empty() && flags.chars().all(|flag| matches!(flag, 'n' | 'e' | 'E'))
                        })
                    })
                });
                join(&text.copied().collect::<Vec<_>>())
            }
            Some("printf") => match arguments[..] {
                [format] if !format.template.contains('%') => {
                    let text = Expanded { template: format.template.replace("\\n", "\n"), ..format.clone() };
                    join(&[&text])
                }
                [format, ref rest @ ..] if matches!(format.template.as_str(), "%s" | "%s\\n") => join(rest),
                _ => Stdin::Unknown(Some(join(&arguments)).and_then(|text| match text {
                    Stdin::Known(text) | Stdin::Unknown(Some(text)) => Some(text),
                    _ => None,
                })),
            },
            Some("cat") => self.handed_on(&arguments, &scope),
            _ => Stdin::Unknown(None),
        })
    }

    /// What `cat` hands on: its standard input, or files.
    fn handed_on(&self, arguments: &[&Expanded], scope: &Scope) -> Stdin {
        let is_option = |word: &Expanded| word.template.starts_with('-') && word.template != "-";
        let files: Vec<&Expanded> = arguments.iter().copied().filter(|word| !is_option(word)).collect();
        let kinds = files.iter().map(|word| match word.template.as_str() {
            "-" => Some(Descriptor::Stdin),
            _ if word.word.known().is_none() => Some(Descriptor::Other),
            text => given::descriptor(text, scope),
        });
        let kinds: Vec<Option<Descriptor>> = kinds.collect();
        if kinds.contains(&Some(Descriptor::Other)) {
            return Stdin::Unknown(None);
        }
        match &kinds[..] {
            [] | [Some(_)] if files.len() == arguments.len() => self.stdin(scope),
            [] => self.stdin(scope).mixed(),
            kinds if kinds.contains(&Some(Descriptor::Stdin)) => self.stdin(scope).mixed(),
            _ => Stdin::File,
        }
    }
}

/// A text that is given to a command, as far as it is known.
fn text_of(expanded: &Expanded) -> Stdin {
    match &expanded.word {
        Word::Unknown(_) => Stdin::Unknown(Some(expanded.template.clone())),
        Word::Known(_) | Word::Pattern(_) => Stdin::Known(expanded.template.clone()),
    }
}

fn assignment(assignment: &ast::Assignment, found: &mut Found) -> Result<(String, Word), Unparsable> {
    let ast::Assignment { name, value, append: _, loc: _ } = assignment;
    let name = match name {
        ast::AssignmentName::VariableName(name) => name,
        ast::AssignmentName::ArrayElementName(name, index) => {
            words::programs_in(index, found)?;
            name
        }
    };
    let word = match value {
        ast::AssignmentValue::Scalar(word) => words::read(&word.value, Mode::Plain, found)?.word,
        ast::AssignmentValue::Array(elements) => {
            for (key, element) in elements {
                if let Some(key) = key {
                    words::programs_in(&key.value, found)?;
                }
                words::expand(&element.value, found)?;
            }
            Expanded::unknown("(…)", false).word
        }
    };
    // A pattern is a text here: values are not matched against files.
    let word = match word {
        Word::Pattern(pattern) => Word::Known(pattern.replace('\\', "")),
        word => word,
    };
    Ok((name.clone(), word))
}

/// The beginning of a text, for a sentence.
pub(super) fn shorten(text: &str) -> String {
    const LONGEST: usize = 60;
    let line = text.lines().next().unwrap_or_default();
    let mut short: String = line.chars().take(LONGEST).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}
