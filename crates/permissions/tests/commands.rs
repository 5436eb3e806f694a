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
