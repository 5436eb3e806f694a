//! The files that `git` is pointed at outside the repository it stands in.

use super::{
    Access, Use,
    options::arguments,
    table::{NOTHING, Program},
};
use crate::shell::Word;

/// What only looks.
const READING: [&str; 20] = [
    "blame",
    "branch",
    "cat-file",
    "config",
    "describe",
    "diff",
    "for-each-ref",
    "grep",
    "help",
    "log",
    "ls-files",
    "ls-remote",
    "ls-tree",
    "merge-base",
    "remote",
    "rev-list",
    "rev-parse",
    "shortlog",
    "show",
    "status",
];

const GIT: Program = Program {
    values: &[
        "-c",
        "-m",
        "--message",
        "-b",
        "-B",
        "-n",
        "--depth",
        "--branch",
        "-u",
        "--author",
        "--exec-path",
    ],
    reads: &["-C", "--git-dir", "--work-tree", "-F", "--template", "--reference"],
    writes: &["-o", "--output", "--output-directory", "--separate-git-dir"],
    ..NOTHING
};

pub(super) fn accesses(words: &[Word], accesses: &mut Vec<Access>) {
    let arguments = arguments(&GIT, words);
    let operands: Vec<&Word> =
        arguments.iter().filter_map(|one| one.operand()).map(|(_, word)| word).collect();
    let command = operands.first().and_then(|word| word.known()).unwrap_or_default();
    let elsewhere = if READING.contains(&command) { Use::Read } else { Use::Write };
    for argument in &arguments {
        if let Some(dir) = argument.value_of(&["-C", "--git-dir", "--work-tree"]) {
            accesses.push(Access::new(elsewhere, dir));
        } else if let Some(file) = argument.value_of(GIT.writes) {
            accesses.push(Access::new(Use::Write, file));
        } else if let Some(file) = argument.value_of(GIT.reads) {
            accesses.push(Access::new(Use::Read, file));
        }
    }
    let written = match command {
        "clone" => operands.get(2),
        "init" => operands.get(1),
        "worktree" if operands.get(1).is_some_and(|word| matches!(word.known(), Some("add" | "move"))) => {
            operands.get(2)
        }
        "bundle" if operands.get(1).is_some_and(|word| word.known() == Some("create")) => operands.get(2),
        _ => None,
    };
    accesses.extend(written.map(|word| Access::new(Use::Write, (*word).clone())));
}
