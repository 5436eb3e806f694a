//! Which lines the policy on commands denies, asks about and leaves alone.

use domain::Verdict;
use permissions::{CommandPattern, CommandPolicy};

/// The default of `DEFAULT_BLOCKED_COMMANDS`.
const DEFAULT: &str = "rm -rf, sudo rm, format, mkfs, dd";

fn policy() -> CommandPolicy {
    CommandPolicy::new(CommandPattern::list(DEFAULT).unwrap())
}

/// The commands of a file in which `$ ` begins one and `> ` continues it.
fn everyday() -> Vec<String> {
    let mut commands: Vec<String> = vec![];
    for line in include_str!("tables/everyday.txt").lines() {
        if let Some(command) = line.strip_prefix("$ ") {
            commands.push(command.to_owned());
        } else if let Some(rest) = line.strip_prefix('>') {
            let command = commands.last_mut().unwrap();
            command.push('\n');
            command.push_str(rest.strip_prefix(' ').unwrap_or(rest));
        }
    }
    commands
}

#[test]
fn everyday_commands_raise_no_alarm() {
    let commands = everyday();
    assert!(commands.len() >= 200, "only {}", commands.len());
    let policy = policy();
    let alarms: Vec<_> = commands
        .iter()
        .map(|line| (line, policy.judge_line(line)))
        .filter(|(_, opinion)| opinion.verdict != Verdict::Abstain)
        .map(|(line, opinion)| format!("{line}\n    {:?}: {}", opinion.verdict, opinion.reason))
        .collect();
    assert!(alarms.is_empty(), "{} of {}:\n{}", alarms.len(), commands.len(), alarms.join("\n"));
}

struct Row {
    verdict: Verdict,
    rule: String,
    line: String,
}

/// The rows of the table, each with its verdict, rule, line and reason.
fn table() -> Vec<Row> {
    include_str!("tables/commands.txt")
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with("# "))
        .map(|line| {
            let fields: Vec<&str> = line.split('¦').collect();
            let [verdict, rule, command, why] = fields[..] else { panic!("not four fields: {line}") };
            assert!(!why.trim().is_empty(), "no reason: {line}");
            Row {
                verdict: Verdict::parse(verdict.trim()).unwrap_or_else(|| panic!("no verdict: {line}")),
                rule: rule.trim().to_owned(),
                line: command.trim_matches(' ').replace('⏎', "\n").replace('⇥', "\t"),
            }
        })
        .collect()
}

#[test]
fn each_row_of_the_table_gets_its_verdict_by_its_rule() {
    let rows = table();
    assert!(rows.len() >= 200, "only {}", rows.len());
    let policy = policy();
    let wrong: Vec<_> = rows
        .iter()
        .map(|row| (row, policy.judge_line(&row.line)))
        .filter(|(row, opinion)| opinion.verdict != row.verdict || opinion.rule != row.rule)
        .map(|(row, opinion)| {
            format!("{:?}\n    wants {:?} by {:?}, gets {opinion:?}", row.line, row.verdict, row.rule)
        })
        .collect();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), rows.len(), wrong.join("\n"));
}
