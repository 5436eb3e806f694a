//! The files that the commands of a line name: in redirections, as arguments of programs that are known, and as any word
//! of all others.

mod git;
mod options;
mod table;
mod variables;

use super::access::{Access, Use};
use crate::shell::{Analysis, SimpleCommand, Touch, Word};
use options::{Argument, arguments};
use std::path::Path;
use table::{NOTHING, Operands, Program, program};
use variables::Variables;

/// Everything a line names, in order.
pub(crate) fn accesses(analysis: &Analysis, temporary: &Path) -> Vec<Access> {
    let variables = Variables::new(analysis, temporary);
    let mut accesses = vec![];
    for command in analysis.commands.iter().flat_map(|command| variables.fill(command)) {
        for (touch, name) in &command.redirects {
            let what = match touch {
                Touch::Read => Use::Read,
                Touch::Write => Use::Write,
            };
            accesses.push(Access::new(what, name.clone()).at(&command.place));
        }
        of_command(&command, &mut accesses);
    }
    variables.others().for_each(|value| mention(&Word::Known(value.to_owned()), true, &mut accesses));
    accesses
}

fn of_command(command: &SimpleCommand, accesses: &mut Vec<Access>) {
    let Some((_, words)) = command.words.split_first() else { return };
    let name = command.program().unwrap_or_default();
    // They print their words and open nothing.
    if matches!(name, "echo" | "printf" | ":" | "true" | "false") {
        return;
    }
    let from = accesses.len();
    let mut skipped = vec![];
    match name {
        "dd" => dd(words, accesses),
        "tar" | "bsdtar" | "gtar" => tar(words, accesses),
        "find" | "fd" | "fdfind" => find(words, accesses),
        "git" => git::accesses(words, accesses),
        _ => skipped = by_table(program(name), words, accesses),
    }
    let is_remote =
        matches!(name, "scp" | "rsync" | "sftp" | "ssh" | "git" | "curl" | "wget" | "sed" | "awk" | "gawk");
    let mentioned = words.iter().enumerate().filter(|(index, _)| !skipped.contains(index));
    for (_, word) in mentioned {
        mention(word, !is_remote, accesses);
    }
    if is_interpreter(name) {
        words.iter().filter_map(Word::known).for_each(|code| paths_in(code, accesses));
    }
    for access in &mut accesses[from..] {
        access.place = command.place.clone();
    }
}

/// The files of a program that the table knows; answers with the words that are no files, whatever they look like.
fn by_table(program: &Program, words: &[Word], accesses: &mut Vec<Access>) -> Vec<usize> {
    let arguments = arguments(program, words);
    let has = |options: &[&str]| arguments.iter().any(|one| one.is_option(options));
    let tree = program.is_tree || has(program.trees);
    for argument in &arguments {
        match argument {
            Argument::Valued { option, value, .. } if program.writes.contains(&option.as_str()) => {
                accesses.push(Access::new(Use::Write, value.clone()));
            }
            Argument::Valued { option, value, .. } if program.reads.contains(&option.as_str()) => {
                accesses.push(Access::new(Use::Read, value.clone()));
            }
            _ => {}
        }
    }
    let all: Vec<(usize, &Word)> = arguments.iter().filter_map(Argument::operand).collect();
    let skip = if has(program.instead) { 0 } else { program.skip.min(all.len()) };
    let (skipped, operands) = all.split_at(skip);
    let operands: Vec<Word> = operands.iter().map(|(_, word)| (*word).clone()).collect();
    let kind = match program.operands {
        Operands::Read if has(program.in_place) => Operands::Write,
        Operands::Write if has(program.to_output) => Operands::Read,
        kind => kind,
    };
    let target = arguments.iter().find_map(|one| one.value_of(&["-t", "--target-directory"]));
    let is_symbolic = has(&["-s", "--symbolic"]);
    of_operands(kind, &operands, target.as_ref(), tree, is_symbolic, accesses);
    if operands.is_empty() && program.is_tree && kind == Operands::Read {
        // Without a file they look through everything from here on.
        accesses.push(Access::new(Use::Read, Word::Known(".".to_owned())).whole(true));
    }
    // A link that is removed is not followed, as it would be by whoever mentions it.
    let settled = if kind == Operands::Remove { &all } else { skipped };
    settled.iter().map(|(index, _)| *index).collect()
}

fn of_operands(
    kind: Operands,
    operands: &[Word],
    target: Option<&Word>,
    tree: bool,
    is_symbolic: bool,
    accesses: &mut Vec<Access>,
) {
    let one = |what, word: &Word| Access::new(what, word.clone());
    let (last, others) = match (target, operands.split_last()) {
        (Some(target), _) => (Some(target), operands),
        (None, Some((last, others))) if !others.is_empty() => (Some(last), others),
        (None, _) => (None, operands),
    };
    match kind {
        Operands::Other => {}
        Operands::Read => accesses.extend(operands.iter().map(|word| one(Use::Read, word).whole(tree))),
        Operands::Write => accesses.extend(operands.iter().map(|word| one(Use::Write, word).whole(tree))),
        Operands::Remove => {
            accesses.extend(operands.iter().map(|word| one(Use::Write, word).whole(tree).keeping_link()));
        }
        Operands::Copy | Operands::Move => {
            for source in others.iter().filter(|word| !is_remote(word)) {
                accesses.push(one(Use::Read, source).whole(tree || kind == Operands::Move));
                if kind == Operands::Move {
                    accesses.push(one(Use::Write, source).whole(true).keeping_link());
                }
            }
            for target in last.into_iter().filter(|word| !is_remote(word)) {
                accesses.push(one(Use::Write, target));
                // In a directory there may be a link of the same name.
                accesses.extend(
                    others
                        .iter()
                        .filter_map(|source| inside(target, source))
                        .map(|word| one(Use::Write, &word)),
                );
            }
        }
        Operands::Link => {
            let here = Word::Known(".".to_owned());
            let place = last.unwrap_or(&here);
            for source in others {
                link(source, place, is_symbolic, accesses);
            }
        }
        Operands::Filter => {
            accesses.extend(operands.first().map(|word| one(Use::Read, word)));
            accesses.extend(operands.iter().skip(1).map(|word| one(Use::Write, word)));
        }
        Operands::Collect => {
            accesses.extend(operands.first().map(|word| one(Use::Write, word)));
            accesses.extend(operands.iter().skip(1).map(|word| one(Use::Read, word).whole(tree)));
        }
    }
}

/// A link to `source` that is made at `place`, or in it. What a symbolic link leads to is read through it, and seen from
/// where the link is; a hard link can be written through.
fn link(source: &Word, place: &Word, is_symbolic: bool, accesses: &mut Vec<Access>) {
    let what = if is_symbolic { Use::Read } else { Use::Write };
    accesses.push(Access::new(what, source.clone()).whole(is_symbolic));
    let Some(to) = source.known() else {
        return accesses.push(Access::new(Use::Write, place.clone()).keeping_link());
    };
    let is_relative = is_symbolic && !to.starts_with(['/', '~']);
    // The directory first: it must not be looked for behind the link itself.
    for at in [inside(place, source), Some(place.clone())].into_iter().flatten() {
        if let Some(at) = at.known().filter(|_| is_relative)
            && let Some((dir, _)) = at.rsplit_once('/')
        {
            let seen = Word::Known(format!("{dir}/{to}"));
            accesses.push(Access::new(what, seen).whole(true));
        }
        accesses.push(Access { links_to: Some(to.to_owned()), ..Access::new(Use::Write, at).keeping_link() });
    }
}

/// What a file is called in a directory that it is put into.
fn inside(dir: &Word, file: &Word) -> Option<Word> {
    let (dir, file) = (dir.known()?, file.known()?);
    let name =
        file.trim_end_matches('/').rsplit('/').next().filter(|name| !name.is_empty() && *name != "..")?;
    Some(Word::Known(format!("{}/{name}", dir.trim_end_matches('/'))))
}

/// `host:path`, which is on another machine.
fn is_remote(word: &Word) -> bool {
    word.known().is_some_and(|text| {
        text.contains("://")
            || text.split_once(':').is_some_and(|(host, _)| !host.is_empty() && !host.contains('/'))
    })
}

/// `dd if=… of=…`.
fn dd(words: &[Word], accesses: &mut Vec<Access>) {
    for word in words {
        for (key, what) in [("if=", Use::Read), ("of=", Use::Write)] {
            accesses.extend(tail(word, key).map(|file| Access::new(what, file)));
        }
    }
}

/// What follows `head` in a word, if it begins so.
fn tail(word: &Word, head: &str) -> Option<Word> {
    match word {
        Word::Known(text) => text.strip_prefix(head).map(|rest| Word::Known(rest.to_owned())),
        Word::Pattern(text) => text.strip_prefix(head).map(|rest| Word::Pattern(rest.to_owned())),
        Word::Unknown(unknown) => {
            let known_prefix = unknown.known_prefix.strip_prefix(head)?.to_owned();
            Some(Word::Unknown(crate::shell::UnknownWord { known_prefix, ..unknown.clone() }))
        }
    }
}

/// `tar`: the archive, where it is unpacked, and what is packed.
fn tar(words: &[Word], accesses: &mut Vec<Access>) {
    const TAR: Program = Program {
        values: &["-f", "--file", "--exclude", "--transform", "-b", "-I", "--use-compress-program"],
        reads: &["-T", "--files-from", "-X", "--exclude-from"],
        writes: &["-C", "--directory", "--one-top-level"],
        ..NOTHING
    };
    // The first word may be a cluster without its dash.
    let mut words = words.to_vec();
    if let Some(Word::Known(first)) = words.first_mut()
        && !first.starts_with('-')
        && !first.is_empty()
        && first.bytes().all(|byte| byte.is_ascii_alphabetic())
    {
        first.insert(0, '-');
    }
    let arguments = arguments(&TAR, &words);
    let has = |options: &[&str]| arguments.iter().any(|one| one.is_option(options));
    let packs = has(&["-c", "--create", "-r", "--append", "-u", "--update"]);
    let unpacks = has(&["-x", "--extract", "--get"]) && !has(&["-O", "--to-stdout"]);
    let archive = if packs { Use::Write } else { Use::Read };
    let mut dir = None;
    for argument in &arguments {
        if let Some(file) = argument.value_of(&["-f", "--file"])
            && file.known() != Some("-")
            && !is_remote(&file)
        {
            accesses.push(Access::new(archive, file));
        }
        if let Some(file) = argument.value_of(TAR.reads) {
            accesses.push(Access::new(Use::Read, file));
        }
        if let Some(into) = argument.value_of(TAR.writes) {
            accesses.push(Access::new(if packs { Use::Read } else { Use::Write }, into.clone()));
            dir = Some(into);
        }
        if let Some((_, file)) = argument.operand().filter(|_| packs) {
            let seen = match (&dir, file) {
                (Some(Word::Known(dir)), Word::Known(file)) if !file.starts_with('/') => {
                    Word::Known(format!("{dir}/{file}"))
                }
                (_, file) => file.clone(),
            };
            accesses.push(Access::new(Use::Read, seen).whole(true));
        }
    }
    if unpacks && dir.is_none() {
        accesses.push(Access::new(Use::Write, Word::Known(".".to_owned())));
    }
}

/// `find`: where it looks, and what it writes. What it runs is a command of its own.
fn find(words: &[Word], accesses: &mut Vec<Access>) {
    let is_expression = |word: &&Word| word.known().is_some_and(|text| text.starts_with(['-', '(', '!']));
    let roots: Vec<&Word> =
        words.iter().skip_while(is_expression).take_while(|word| !is_expression(word)).collect();
    let deletes = words.iter().any(|word| word.known() == Some("-delete"));
    let what = if deletes { Use::Write } else { Use::Read };
    // It tells names and not contents, so what is below the root is not read.
    accesses.extend(roots.into_iter().map(|root| Access::new(what, root.clone()).whole(deletes)));
    for pair in words.windows(2) {
        if let [Word::Known(option), file] = pair
            && matches!(option.as_str(), "-fprint" | "-fprint0" | "-fprintf" | "-fls")
        {
            accesses.push(Access::new(Use::Write, file.clone()));
        }
    }
}

/// Whatever in a word may be the name of a file.
fn mention(word: &Word, has_lists: bool, accesses: &mut Vec<Access>) {
    let mut add = |text: &str| {
        if !text.is_empty() {
            accesses.push(Access::new(Use::Mention, Word::Known(text.to_owned())));
        }
    };
    let text = match word {
        Word::Known(text) => text,
        Word::Pattern(_) | Word::Unknown(_) => return accesses.push(Access::new(Use::Mention, word.clone())),
    };
    if !text.starts_with('-') {
        add(text);
    }
    let is_path = |text: &&str| text.contains('/') || text.starts_with('~');
    let values = text.split(['=', '@', ',']).skip(1).filter(is_path);
    values.for_each(&mut add);
    if text.starts_with('-') && !text.starts_with("--") {
        text.find(['/', '~']).map(|at| &text[at..]).into_iter().for_each(&mut add);
    }
    if let Some(path) = text.split_once("file://").map(|(_, path)| path) {
        add(path.strip_prefix("localhost").unwrap_or(path));
    } else if has_lists && !text.contains("://") {
        // Volumes, search paths.
        text.split(':').filter(|part| part.len() < text.len()).filter(is_path).for_each(&mut add);
    }
}

fn is_interpreter(name: &str) -> bool {
    let name = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    matches!(
        name,
        "python"
            | "pypy"
            | "perl"
            | "ruby"
            | "node"
            | "deno"
            | "bun"
            | "php"
            | "lua"
            | "awk"
            | "gawk"
            | "mawk"
            | "sed"
            | "osascript"
            | "tclsh"
            | "Rscript"
            | "ghci"
            | "sqlite"
    )
}

/// Paths that stand in a program's text.
fn paths_in(code: &str, accesses: &mut Vec<Access>) {
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '/' | '.' | '_' | '-' | '~' | '+' | '%');
    for token in code.split(|c: char| !is_part(c)) {
        if (token.starts_with('/') || token.starts_with("~/")) && token.len() > 2 && token != code {
            accesses.push(Access::new(Use::Mention, Word::Known(token.to_owned())));
        }
    }
}
