//! What holds for every line: blocked commands stay blocked however they are written, and nothing takes long.
#![expect(clippy::unwrap_used, reason = "helpers of a test may panic too")]

#[path = "checks/shell.rs"]
mod checks;

use domain::Verdict;
use permissions::{
    CommandPattern, CommandPolicy,
    shell::{MAX_DEPTH, MAX_LINE_BYTES, MAX_NESTING, Unparsable, Word, analyse},
};
use proptest::prelude::*;
use std::time::{Duration, Instant};

fn policy() -> CommandPolicy {
    CommandPolicy::new(CommandPattern::list("rm -rf, sudo rm, format, mkfs, dd").unwrap())
}

/// A word in one of the ways to write it.
fn written(word: &'static str) -> impl Strategy<Value = String> {
    let each = prop::collection::vec(0..6_u8, word.len());
    each.prop_map(move |styles| {
        word.chars()
            .zip(styles)
            .map(|(letter, style)| match style {
                0 => format!("'{letter}'"),
                1 => format!("\"{letter}\""),
                2 => format!("\\{letter}"),
                3 => format!("$'\\x{:02x}'", letter as u32),
                4 => format!("''{letter}"),
                _ => letter.to_string(),
            })
            .collect()
    })
}

fn space() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![" ", "  ", "\t", " \\\n ", "\t "])
}

/// `rm -rf x` in one of its forms.
fn blocked() -> impl Strategy<Value = String> {
    let program = prop_oneof![written("rm"), written("/bin/rm"), written("/usr/bin/rm")];
    let options = prop_oneof![
        written("-rf").prop_map(|options| vec![options]),
        written("-vfR").prop_map(|options| vec![options]),
        (written("-r"), written("-f")).prop_map(|(recursive, force)| vec![force, recursive]),
        (written("--recursive"), written("--force")).prop_map(|(recursive, force)| vec![recursive, force]),
        (written("--rec"), written("-f")).prop_map(|(recursive, force)| vec![recursive, force]),
    ];
    (program, options, written("target"), any::<bool>(), space()).prop_map(
        |(program, mut words, target, is_first, space)| {
            words.insert(if is_first { 0 } else { words.len() }, target);
            words.insert(0, program);
            words.join(space)
        },
    )
}

/// The line inside something that runs it.
fn wrapped(line: &str, wrapper: u8) -> String {
    let quoted = format!("'{}'", line.replace('\'', "'\\''"));
    // A delimiter that is not in the text.
    let end = format!("E{}", line.len());
    match wrapper % 24 {
        0 => format!("( {line} )"),
        1 => format!("{{ {line}; }}"),
        2 => format!("echo $( {line} )"),
        3 => format!("echo \"$( {line} )\""),
        4 => format!("bash -c {quoted}"),
        5 => format!("eval {quoted}"),
        6 => format!("if true; then {line}; fi"),
        7 => format!("for i in a; do {line}; done"),
        8 => format!("ls | {line} | cat"),
        9 => format!("ls && {line} || true"),
        10 => format!("echo {quoted} | sh"),
        11 => format!("cat <(\n{line}\n)"),
        12 => format!("{{ cat <<{end}\n$( {line} )\n{end}\n}}"),
        13 => format!("f() {{ {line}; }}"),
        14 => format!("case x in x) {line};; esac"),
        15 => format!("echo \"${{x:-$( {line} )}}\""),
        16 => format!("echo $((1 + $( {line} )))"),
        17 => format!("while {line}; do break; done"),
        18 => format!("[[ -n $( {line} ) ]]"),
        19 => format!("trap {quoted} EXIT"),
        20 => format!("{{ cat <<'{end}' > /dev/null\ntext ' \" $(\n{end}\n{line}\n}}"),
        21 => format!("{{ echo text # it's a comment\n{line}\n}}"),
        22 => format!("find . -exec sh -c {quoted} \\;"),
        _ => format!("xargs env sh -c {quoted}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_blocked_command_stays_blocked(
        command in blocked(),
        prefix in prop::sample::select(vec!["", "sudo ", "env A=1 ", "nice -n 5 ", "timeout 5 ", "command ", "nohup "]),
        wrappers in prop::collection::vec(any::<u8>(), 0..4),
    ) {
        let line = wrappers.iter().fold(format!("{prefix}{command}"), |line, wrapper| wrapped(&line, *wrapper));
        let opinion = policy().judge_line(&line);
        prop_assert_eq!(opinion.verdict, Verdict::Deny, "{}: {:?}", line, opinion);
    }

    #[test]
    fn any_text_is_judged_without_a_panic(line in any::<String>()) {
        checks::check(&line);
    }

    #[test]
    fn any_mixture_of_shell_is_judged_without_a_panic_and_hides_nothing(
        parts in prop::collection::vec(prop::sample::select(vec![
            "'", "\"", "\\", "$(", ")", "`", "${x:-", "}", "<<E", "\nE\n", "\n", ";", "&&", "|", "&", "(", "((", "))",
            "{ ", "; }", "#", " ", "case x in x)", ";;", "esac", "[[ ", " ]]", "$((", "eval ", "echo ", "$'", "<(",
            "a[", "]=", "x=(", "!", "if a; then ", "; fi", "<<'E'", "for i in ", "; do ", "; done", "f() ", "~", "*",
            "{a,b}", "{1..3}", "é", "\u{200b}", "99999999999>", "~99999999999999999999", "rm -rf x", "cd a", "=", "\r",
        ]), 0..24),
    ) {
        checks::check(&parts.concat());
    }

    #[test]
    fn two_lines_are_the_union_of_both(first in wrapped_echo(), second in wrapped_echo()) {
        let words = |line: &str| -> Vec<Vec<Word>> {
            analyse(line).unwrap().commands.into_iter().map(|command| command.words).collect()
        };
        prop_assert_eq!(words(&format!("{first}\n{second}")), [words(&first), words(&second)].concat());
    }
}

fn wrapped_echo() -> impl Strategy<Value = String> {
    (any::<u8>(), any::<u8>())
        .prop_map(|(inner, outer)| wrapped(&wrapped("echo a", inner), outer))
        // Functions are known to the next line; that is another rule.
        .prop_filter("defines a function", |line| !line.contains("f()"))
}

#[test]
fn nothing_nested_deeply_overflows_the_stack_or_takes_long() {
    // The stack of the server's threads, which is also that of the tests.
    let halves = [
        ("(", ")"),
        ("( ", " )"),
        ("{ ", "; }"),
        ("$(", ")"),
        ("echo $(", ")"),
        ("\"$(", ")\""),
        ("`", "`"),
        ("${x:-", "}"),
        ("$((", "))"),
        ("$((1+", "))"),
        ("((", "))"),
        ("if ", "; then a; fi"),
        ("case x in x) ", ";; esac"),
        ("case x in x) ", "; esac"),
        ("while ", "; do a; done"),
        ("! ", ""),
        ("f() { ", "; }"),
        ("[[ ( ", " ) ]]"),
        ("[[ ! ", " ]]"),
        ("[[ a =~ ( ", " ) ]]"),
        ("if a; then ", "; fi"),
        ("( case x in x) ", "; esac )"),
        ("coproc ", ""),
        ("time ", ""),
        ("eval ", ""),
        ("sudo ", ""),
        ("env ", ""),
        ("{a,", "}"),
        ("cat <<E\n", "\nE\n"),
        ("<<E ", "\nE\n"),
        ("<(", ")"),
        ("x=(", ")"),
        ("a[", "]"),
        ("bash -c '", "'"),
        ("$'", "'"),
        ("'", "'"),
        ("\"", "\""),
        ("\\", ""),
        ("a && ", ""),
        ("[[ a && ", ""),
        ("a | ", ""),
        ("{1..9}", ""),
        ("{a,b}", ""),
        ("a=b ", ""),
        (">x ", ""),
        ("!(", ")"),
        ("#", ""),
        ("\n", ""),
        (";", ""),
        ("cd a; ", ""),
        ("$(case x in x) ", ";; esac)"),
        ("f() { f; f; }; ", ""),
        ("${x/", "}"),
        ("for i in a; do cd b; ", "; done"),
    ];
    for (open, close) in halves {
        for count in [6, MAX_NESTING - 1, 100, 100_000] {
            for closes in [true, false] {
                let mut line = open.repeat(count);
                line.truncate(MAX_LINE_BYTES);
                line.push('a');
                if closes {
                    line.push_str(&close.repeat(count));
                }
                line.truncate(MAX_LINE_BYTES);
                let start = Instant::now();
                drop(analyse(&line));
                // Generous: this is a debug build on a machine with other work. It guards against what grows with the
                // square of the line or faster.
                assert!(
                    start.elapsed() < Duration::from_secs(20),
                    "{open:?} {count} {closes}: {:?}",
                    start.elapsed()
                );
            }
        }
    }
}

#[test]
fn each_limit_is_named() {
    let error = |line: &str| analyse(line).unwrap_err();
    assert_eq!(error(&"a".repeat(MAX_LINE_BYTES + 1)), Unparsable::TooLong);
    assert_eq!(error("a\0b"), Unparsable::Nul);
    let nested = |count: usize| format!("{}a{}", "echo $(".repeat(count), ")".repeat(count));
    assert!(analyse(&nested(MAX_DEPTH - 1)).is_ok());
    assert_eq!(error(&nested(MAX_DEPTH + 1)), Unparsable::TooDeep);
    let grouped = |count: usize| format!("{}a{}", "{ ".repeat(count), "; }".repeat(count));
    assert!(analyse(&grouped(MAX_NESTING)).is_ok());
    assert_eq!(error(&grouped(MAX_NESTING + 1)), Unparsable::TooDeep);
    assert_eq!(error(&"a;".repeat(5000)), Unparsable::TooMany);
    assert_eq!(error(&format!("{}{}", "eval ".repeat(10), "a ".repeat(30_000))), Unparsable::TooMuch);
}

#[test]
fn what_the_fuzzer_found_stays_found() {
    let folder = "tests/corpus/shell";
    for file in std::fs::read_dir(folder).unwrap() {
        checks::check(&String::from_utf8_lossy(&std::fs::read(file.unwrap().path()).unwrap()));
    }
}
