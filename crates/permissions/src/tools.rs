//! The tool policy: what a session's `disallowed_tools` name does not run, whatever the CLI makes of them.
//!
//! The CLI has these rules too. Here they hold for what it might not see: a tool that came with a server after the
//! start, a command inside another.

use crate::{CannotJudge, Policy, Surroundings, ToolCall, paths::command_line, shell};
use async_trait::async_trait;
use domain::{Opinion, Verdict};
use globset::{Glob, GlobMatcher};

const NAME: &str = "tools";
/// Names by which the CLI knows one tool.
const ALIASES: [(&str, &str); 1] = [("Task", "Agent")];

/// One rule, as the CLI writes it: `Tool`, `mcp__server`, `mcp__server__*` or `Bash(git push:*)`.
#[derive(Debug, Clone)]
pub struct ToolRule {
    written: String,
    tool: String,
    matcher: Option<GlobMatcher>,
    command: Option<CommandRule>,
}

/// What is in the brackets of a rule for a shell.
#[derive(Debug, Clone, PartialEq, Eq)]
enum CommandRule {
    Exactly(String),
    /// The text before `:*`.
    Beginning(String),
}

/// Denies what these rules name.
#[derive(Debug, Clone)]
pub struct ToolPolicy(Vec<ToolRule>);

impl ToolPolicy {
    /// Of a session with these `disallowed_tools`.
    #[must_use]
    pub fn denying(rules: &[String]) -> Self {
        Self(rules.iter().filter_map(|rule| ToolRule::parse(rule)).collect())
    }
}

impl ToolRule {
    /// `None` for rules about what is inside other tools' inputs, such as `Read(./secret)`: these are the CLI's to
    /// enforce, and it does in every mode.
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (tool, inside) = match text.split_once('(') {
            Some((tool, inside)) => (tool, Some(inside.strip_suffix(')').unwrap_or(inside))),
            None => (text, None),
        };
        let command = match inside {
            None | Some("*" | ":*" | "") => None,
            Some(inside) if tool == "Bash" => Some(match inside.strip_suffix(":*") {
                Some(beginning) => CommandRule::Beginning(words(beginning)),
                None => CommandRule::Exactly(words(inside)),
            }),
            Some(_) => return None,
        };
        let matcher =
            tool.contains('*').then(|| Glob::new(tool).ok()).flatten().map(|glob| glob.compile_matcher());
        Some(Self { written: text.to_owned(), tool: tool.to_owned(), matcher, command })
    }

    fn names(&self, tool: &str) -> bool {
        let is_alias = ALIASES
            .iter()
            .any(|(old, new)| (self.tool == *old && tool == *new) || (self.tool == *new && tool == *old));
        // A server's name stands for all its tools.
        let is_server = self.tool.starts_with("mcp__")
            && tool.strip_prefix(self.tool.as_str()).is_some_and(|rest| rest.starts_with("__"));
        let is_matched = self.matcher.as_ref().is_some_and(|matcher| matcher.is_match(tool));
        self.tool == tool || is_alias || is_server || is_matched
    }
}

#[async_trait]
impl Policy for ToolPolicy {
    fn name(&self) -> &str {
        NAME
    }

    async fn judge(&self, call: &ToolCall, _: &Surroundings) -> Result<Opinion, CannotJudge> {
        let rules: Vec<&ToolRule> = self.0.iter().filter(|rule| rule.names(&call.tool_name)).collect();
        let deny = |rule: &ToolRule| {
            let reason = format!("{} is not allowed in this session", rule.written);
            Opinion::new(Verdict::Deny, NAME, rule.written.clone(), reason)
        };
        if let Some(rule) = rules.iter().find(|rule| rule.command.is_none()) {
            return Ok(deny(rule));
        }
        let Some(line) = command_line(call).filter(|_| !rules.is_empty()) else {
            return Ok(Opinion::abstain(NAME));
        };
        let analysis = shell::analyse(line)
            .map_err(|error| CannotJudge(format!("the command line cannot be judged: {error}")))?;
        let commands: Vec<String> = analysis.commands.iter().map(text_of).collect();
        let broken = rules.iter().find(|rule| {
            commands.iter().any(|command| match &rule.command {
                Some(CommandRule::Exactly(wanted)) => command == wanted,
                Some(CommandRule::Beginning(wanted)) => command
                    .strip_prefix(wanted.as_str())
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with(' ')),
                None => false,
            })
        });
        Ok(broken.map_or_else(|| Opinion::abstain(NAME), |rule| deny(rule)))
    }
}

/// A command as a rule would write it: the program without its folder, one space between words.
fn text_of(command: &shell::SimpleCommand) -> String {
    let program = command.program().unwrap_or_default();
    let arguments = command.words.iter().skip(1).map(|word| match word {
        shell::Word::Known(text) | shell::Word::Pattern(text) => text.as_str(),
        shell::Word::Unknown(unknown) => unknown.written.as_str(),
    });
    std::iter::once(program).chain(arguments).collect::<Vec<_>>().join(" ")
}

fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{SessionId, UserId};
    use serde_json::json;

    async fn verdict(rules: &[&str], tool: &str, command: &str) -> Verdict {
        let rules: Vec<String> = rules.iter().map(|rule| (*rule).to_owned()).collect();
        let call = ToolCall {
            tool_name: tool.to_owned(),
            input: json!({ "command": command }),
            tool_use_id: None,
            agent_id: None,
            cwd: "/w".into(),
            permission_mode: None,
        };
        let surroundings = Surroundings {
            session_id: SessionId::new(),
            user_id: UserId::new(),
            generation: domain::Generation::FIRST,
            working_directory: "/w".into(),
            add_dirs: vec![],
            home: "/h".into(),
            temporary: "/t".into(),
        };
        ToolPolicy::denying(&rules).judge(&call, &surroundings).await.unwrap().verdict
    }

    #[tokio::test]
    async fn a_rule_denies_what_it_names_and_nothing_else() {
        for (rule, tool, command, denied) in [
            ("Bash", "Bash", "ls", true),
            ("Bash", "BashOutput", "", false),
            ("Bash(*)", "Bash", "ls", true),
            ("Task", "Agent", "", true),
            ("mcp__files", "mcp__files__read", "", true),
            ("mcp__files", "mcp__files2__read", "", false),
            ("mcp__files__*", "mcp__files__write", "", true),
            ("mcp__files__read", "mcp__files__write", "", false),
            ("mcp__*", "mcp__any__thing", "", true),
            ("Bash(git push:*)", "Bash", "git push origin", true),
            ("Bash(git push:*)", "Bash", "git pushing", false),
            ("Bash(git push:*)", "Bash", "cd x && FOO=1 /usr/bin/git  push", true),
            ("Bash(git push:*)", "Bash", "sh -c 'git push'", true),
            ("Bash(git push:*)", "Bash", "git commit -m 'git push'", false),
            ("Bash(npm test)", "Bash", "npm test", true),
            ("Bash(npm test)", "Bash", "npm test --watch", false),
            ("Read(./secret)", "Read", "", false),
        ] {
            let expected = if denied { Verdict::Deny } else { Verdict::Abstain };
            assert_eq!(verdict(&[rule], tool, command).await, expected, "{rule}: {tool} {command}");
        }
    }
}
