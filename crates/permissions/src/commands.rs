//! The policy on commands: what a shell line would run, held against patterns of what must not.

mod pattern;

pub use pattern::{BadPattern, CommandPattern};

use crate::{
    CannotJudge, Policy, Surroundings, ToolCall,
    shell::{self, SimpleCommand, Word},
};
use async_trait::async_trait;
use domain::{Opinion, Verdict};
use pattern::Match;

/// The name in opinions.
const NAME: &str = "commands";
/// Tools whose input `command` is a line for Bash.
const SHELL_TOOLS: [&str; 2] = ["Bash", "Monitor"];
/// Tools whose input is for a shell that is not read here.
const OTHER_SHELL_TOOLS: [&str; 1] = ["PowerShell"];
/// How much of a command is shown in a reason, in characters.
const SHOWN: usize = 120;

/// Denies blocked commands, and asks a person where it cannot be known what would run.
#[derive(Debug, Clone)]
pub struct CommandPolicy {
    blocked: Vec<CommandPattern>,
}

impl CommandPolicy {
    #[must_use]
    pub fn new(blocked: Vec<CommandPattern>) -> Self {
        Self { blocked }
    }

    /// The opinion of a shell line.
    #[must_use]
    pub fn judge_line(&self, line: &str) -> Opinion {
        let analysis = match shell::analyse(line) {
            Ok(analysis) => analysis,
            Err(error) => {
                let reason = format!("the command cannot be judged: {error}");
                return Opinion::new(Verdict::Deny, NAME, "unparsable", reason);
            }
        };
        let mut doubt = None;
        for command in &analysis.commands {
            for pattern in &self.blocked {
                match pattern.matches(command) {
                    Match::Yes => {
                        let reason = format!("`{}` is blocked by the rule `{pattern}`", show(command));
                        return Opinion::new(Verdict::Deny, NAME, pattern.as_str(), reason);
                    }
                    Match::Maybe => {
                        doubt.get_or_insert_with(|| {
                            let reason = format!(
                                "`{}` may be what the rule `{pattern}` blocks: its arguments are only known when it runs",
                                show(command)
                            );
                            Opinion::new(Verdict::Ask, NAME, pattern.as_str(), reason)
                        });
                    }
                    Match::No => {}
                }
            }
        }
        if let Some(unknown) = analysis.unknowns.first() {
            return Opinion::new(Verdict::Ask, NAME, "unknown", unknown);
        }
        doubt.unwrap_or_else(|| Opinion::abstain(NAME))
    }
}

#[async_trait]
impl Policy for CommandPolicy {
    fn name(&self) -> &str {
        NAME
    }

    async fn judge(&self, call: &ToolCall, _surroundings: &Surroundings) -> Result<Opinion, CannotJudge> {
        if OTHER_SHELL_TOOLS.contains(&call.tool_name.as_str()) {
            let reason = format!("the lines of `{}` are not read, so that a person has to", call.tool_name);
            return Ok(Opinion::new(Verdict::Ask, NAME, "unknown", reason));
        }
        if !SHELL_TOOLS.contains(&call.tool_name.as_str()) {
            return Ok(Opinion::abstain(NAME));
        }
        match call.input.get("command").and_then(|command| command.as_str()) {
            Some(line) => Ok(self.judge_line(line)),
            None => Err(CannotJudge(format!("the input of `{}` has no command in it", call.tool_name))),
        }
    }
}

/// A command as people read it, and no longer than they do.
fn show(command: &SimpleCommand) -> String {
    let words = command.words.iter().map(|word| match word {
        Word::Known(text) | Word::Pattern(text) => text.as_str(),
        Word::Unknown(unknown) => &unknown.written,
    });
    let text = words.collect::<Vec<_>>().join(" ");
    let mut shown: String = text.lines().next().unwrap_or_default().chars().take(SHOWN).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}
