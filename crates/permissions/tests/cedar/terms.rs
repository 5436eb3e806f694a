//! How long a person has who is asked, and what holds when they do not answer.

use super::{bash, call, compiled, judge};
use domain::{AskTerms, Opinion, Verdict};
use permissions::{ToolCall, cedar::EXPIRY_SECONDS_MAX};
use serde_json::json;

/// A rule that asks about one program.
fn asks(name: &str, terms: &str, program: &str) -> String {
    format!(
        r#"@id("{name}") @decision("ask") {terms}
        forbid(principal, action == Action::"run_command", resource == Command::"{program}");"#
    )
}

fn expires(seconds: u32, then: &str) -> String {
    format!(r#"@expires_after_seconds("{seconds}") @when_expired("{then}")"#)
}

/// The time a person has, and whether the call runs after it.
fn terms(text: &str, call: &ToolCall) -> Option<(u32, bool)> {
    let Opinion { verdict, terms, .. } = judge(&compiled(text), call);
    assert_eq!(verdict, Verdict::Ask, "{text}");
    terms.map(|AskTerms { expires_after_seconds, allows_when_expired }| {
        (expires_after_seconds, allows_when_expired)
    })
}

#[test]
fn a_rule_that_asks_says_how_long_a_person_has_and_what_holds_then() {
    let table = [
        (String::new(), None),
        (r#"@expires_after_seconds("600")"#.to_owned(), Some((600, false))),
        (expires(1, "deny"), Some((1, false))),
        (expires(EXPIRY_SECONDS_MAX, "allow"), Some((EXPIRY_SECONDS_MAX, true))),
    ];
    for (words, expected) in table {
        assert_eq!(terms(&asks("a", &words, "ls"), &bash("ls")), expected, "{words}");
    }
}

#[test]
fn of_several_rules_that_ask_the_strictest_terms_hold_and_the_first_gives_the_reason() {
    let (soon, late) = (expires(60, "deny"), expires(3600, "deny"));
    let (soon_yes, late_yes) = (expires(60, "allow"), expires(3600, "allow"));
    let table = [
        (&late, &soon, Some((60, false))),
        (&soon_yes, &late, Some((3600, false))),
        (&soon_yes, &late_yes, Some((3600, true))),
        (&soon_yes, &String::new(), None),
        (&late, &String::new(), Some((3600, false))),
    ];
    for (one, other, expected) in table {
        for (first, second) in [(one, other), (other, one)] {
            let of_one_command = asks("a", first, "ls") + &asks("b", second, "ls");
            assert_eq!(terms(&of_one_command, &bash("ls")), expected, "{of_one_command}");
            assert_eq!(judge(&compiled(&of_one_command), &bash("ls")).rule, "a");
            let of_two_commands = asks("a", first, "ls") + &asks("b", second, "id");
            assert_eq!(terms(&of_two_commands, &bash("ls && id")), expected, "{of_two_commands}");
        }
    }
    let denied = asks("a", &soon_yes, "ls") + "forbid(principal, action, resource);";
    let opinion = judge(&compiled(&denied), &bash("ls"));
    assert_eq!((opinion.verdict, opinion.terms), (Verdict::Deny, None));
}

/// Silence permits no more than a permit does.
#[test]
fn a_yes_at_expiry_counts_where_a_permit_would() {
    let ls = asks("a", &expires(60, "allow"), "ls");
    let permit = r#"permit(principal, action == Action::"run_command", resource == Command::"id");"#;
    let tool = format!(
        r#"@decision("ask") {} forbid(principal, action == Action::"use_tool", resource);"#,
        expires(60, "allow")
    );
    let table = [
        (ls.clone(), bash("ls"), true),
        (ls.clone(), bash("ls && id"), false),
        (ls.clone(), bash("ls >x"), false),
        (ls.clone() + permit, bash("ls && id"), true),
        (ls, bash("ls $X"), false),
        (tool.clone(), bash("ls && id"), true),
        (tool.clone(), bash("ls $X"), false),
        (tool.clone(), call("mcp__github__create_issue", json!({})), true),
        (tool.clone(), call("AskUserQuestion", json!({})), false),
        (tool, call("ExitPlanMode", json!({})), false),
    ];
    for (text, call, allows) in table {
        assert_eq!(terms(&text, &call), Some((60, allows)), "{text}\n{call:?}");
    }
}
