//! What a line runs is found wherever it stands.

use permissions::shell::{Analysis, Place, SimpleCommand, Touch, Word, analyse};
use std::path::PathBuf;

fn text(word: &Word) -> String {
    match word {
        Word::Known(text) => text.clone(),
        Word::Pattern(pattern) => format!("<{pattern}>"),
        Word::Unknown(unknown) => format!("?{}", unknown.written),
    }
}

fn commands(line: &str) -> Vec<String> {
    let Analysis { commands, .. } = analyse(line).unwrap_or_else(|error| panic!("{line:?}: {error}"));
    commands.iter().map(|command| command.words.iter().map(text).collect::<Vec<_>>().join(" ")).collect()
}

#[test]
fn every_command_is_found_wherever_it_stands() {
    for (line, expected) in [
        ("echo $(rm -rf /)", vec!["rm -rf /", "echo ?$(rm -rf /)"]),
        ("a && b || c | d; e &", vec!["a", "b", "c", "d", "e"]),
        ("bash -c 'rm -rf /; ls'", vec!["bash -c rm -rf /; ls", "rm -rf /", "ls"]),
        ("cat <<EOF\n$(whoami)\nEOF", vec!["whoami", "cat"]),
        ("cat <<'EOF'\n$(whoami)\nEOF", vec!["cat"]),
        ("diff <(sort a) <(rm x)", vec!["sort a", "rm x", "diff ?<(sort a) ?<(rm x)"]),
        ("f() { rm x; }; f", vec!["rm x", "f"]),
        ("if true; then rm x; else ls; fi", vec!["true", "rm x", "ls"]),
        ("echo \"`id`\"", vec!["id", "echo ?\"`id`\""]),
        ("FOO=$(id) \"r\"m x", vec!["id", "rm x"]),
        ("$'\\x72m' x", vec!["rm x"]),
        ("for i in $(ls); do rm $i; done", vec!["ls", "rm ?$i"]),
        ("case x in a) rm q;; esac", vec!["rm q"]),
        ("case x in (a) rm q; esac", vec!["rm q"]),
        ("x=$(case y in a) rm z;; esac)", vec!["rm z", ""]),
        ("(cd /tmp && rm y)", vec!["cd /tmp", "rm y"]),
        ("[[ -f $(rm a) ]]", vec!["rm a"]),
        ("echo $((1+$(id -u)))", vec!["id -u", "echo ?$((1+$(id -u)))"]),
        ("echo ${X:-$(rm z)}", vec!["rm z", "echo ?${X:-$(rm z)}"]),
        ("ls > $(mktemp)", vec!["mktemp", "ls"]),
        ("while read l; do echo $l; done < f", vec!["", "read l", "echo ?$l"]),
        ("rm\\\n -rf x", vec!["rm -rf x"]),
        ("coproc rm x", vec!["rm x"]),
        ("time rm x", vec!["rm x"]),
        ("! rm x", vec!["rm x"]),
        ("!(rm x)", vec!["rm x"]),
        ("( (rm x) )", vec!["rm x"]),
        ("((rm x) ; ls)", vec!["rm x", "ls"]),
        ("echo $((rm x) ; ls)", vec!["rm x", "ls", "echo ?$((rm x) ; ls)"]),
        ("{rm,-rf,x}", vec!["rm -rf x"]),
        ("{fd}>x rm y", vec!["rm y"]),
        ("x=(a $(rm y))", vec!["rm y", ""]),
        ("ls *.rs 'a*'", vec!["ls <*.rs> a*"]),
    ] {
        assert_eq!(commands(line), expected, "{line}");
    }
}

#[test]
fn a_here_document_ends_where_bash_ends_it() {
    // The backslash joins the delimiter to the line before it, so the first document goes on.
    assert_eq!(commands("cat <<E\nx\\\nE\ncat <<'F'\nE\nrm y\nF\n"), ["cat", "rm y", "F"]);
    assert_eq!(
        commands("git commit -m \"$(cat <<'EOF'\nit's $(rm x)\nEOF\n)\""),
        ["cat", "git commit -m ?\"$(cat <<'EOF'\nit's $(rm x)\nEOF\n)\""]
    );
}

#[test]
fn a_command_is_where_the_shell_has_gone() {
    let places = |line: &str, program: &str| -> Vec<Place> {
        let Analysis { commands, .. } = analyse(line).unwrap();
        commands
            .into_iter()
            .filter(|command| command.program() == Some(program))
            .map(|command| command.place)
            .collect()
    };
    let known = |path: &str| Place::Known(PathBuf::from(path));
    assert_eq!(places("cd a && make", "make"), [known("a")]);
    assert_eq!(places("cd a; make", "make"), [known(""), known("a")]);
    assert_eq!(places("cd a || exit 1; make", "make"), [known("a")]);
    assert_eq!(places("(cd a && ls); make", "make"), [known("")]);
    assert_eq!(places("cd $X && make", "make"), [Place::Unknown]);
    assert_eq!(places("cd && make", "make"), [known("~")]);
    assert_eq!(places("for d in a b; do cd x; make; done", "make").last(), Some(&Place::Unknown));
    assert_eq!(places("f() { make; }; cd a && f", "make"), [known(""), known("a")]);
}

#[test]
fn redirections_are_listed_with_what_they_do() {
    let Analysis { commands, .. } = analyse("cat < a > b 2>> c 2>&1 &> d").unwrap();
    let known = |touch, name: &str| (touch, Word::Known(name.to_owned()));
    assert_eq!(
        commands,
        [SimpleCommand {
            words: vec![Word::Known("cat".to_owned())],
            assignments: vec![],
            redirects: vec![
                known(Touch::Read, "a"),
                known(Touch::Write, "b"),
                known(Touch::Write, "c"),
                known(Touch::Write, "d")
            ],
            place: Place::Known(PathBuf::new()),
            under: vec![],
        }]
    );
}
