//! A gate with rules of its own, and a log of what it decided:
//! `cargo run --example custom_permissions -- "Tidy up this folder." permissions.jsonl`
//!
//! The gate is asked about what rules, mode and hooks leave open; reading inside the working directory is not
//! asked about at all. Doubt means no: a gate that fails, panics or is not there denies.

#![expect(clippy::print_stdout, reason = "an example speaks to a terminal")]

use std::{env, fs::File, io::Write as _, path::PathBuf, sync::Arc, sync::Mutex};

use async_trait::async_trait;
use sdk_runtime::{
    AgentOptions, Decision, EnvMode, Gate, PermissionDestination, ProcessLauncher, SeamError, ToolQuestion,
    UserQuestions, find_cli, query_with,
};
use serde_json::json;

/// Decides, and writes down what it decided before the agent hears of it.
struct Policy {
    inside: PathBuf,
    log: Mutex<File>,
}

#[async_trait]
impl Gate for Policy {
    async fn can_use_tool(&self, question: ToolQuestion) -> Result<Decision, SeamError> {
        let decision = self.decide(&question);
        let (verdict, words) = match &decision {
            Decision::Allow { updated_input, .. } => ("allow", updated_input.as_ref().map(|_| "changed")),
            Decision::Deny { message, .. } => ("deny", Some(message.as_str())),
            _ => ("?", None),
        };
        let line = json!({
            "tool": question.tool_name, "input": question.input, "asked_because": question.decision_reason,
            "subagent": question.agent_id, "verdict": verdict, "words": words,
        });
        // A decision that cannot be recorded must not take effect: the error is a no.
        let mut log = self.log.lock().map_err(|_| "the log is broken")?;
        writeln!(log, "{line}")?;
        Ok(decision)
    }
}

impl Policy {
    fn decide(&self, question: &ToolQuestion) -> Decision {
        // Some tools are questions to a person. Here nobody sits in front of it, so the first option it is.
        if let Some(asked) = UserQuestions::read(question) {
            let first =
                |options: &[sdk_runtime::QuestionOption]| options.first().map(|one| one.label.clone());
            return asked.answer(
                asked.questions.iter().filter_map(|one| Some((one.question.clone(), first(&one.options)?))),
            );
        }
        let text = |key: &str| question.input[key].as_str().unwrap_or_default();
        match question.tool_name.as_str() {
            // Once and for all in this session, with the rule the agent itself suggests.
            "Write" | "Edit" if PathBuf::from(text("file_path")).starts_with(&self.inside) => {
                let rules = question.suggestions_kept_in(PermissionDestination::Session);
                Decision::allow().with_updates(rules)
            }
            "Write" | "Edit" => Decision::deny(format!("write below {} only", self.inside.display())),
            "Bash" => match text("command") {
                // The input may be changed; the model is not asked again.
                command if command.starts_with("touch ") => {
                    let mut input = question.input.clone();
                    input["command"] = format!("{command} # approved").into();
                    Decision::allow().with_input(input)
                }
                // What nobody should even try ends the turn.
                command if command.contains("rm -rf") => Decision::deny_and_interrupt("not here"),
                command => Decision::deny(format!("`{command}` is not on the list; touch is")),
            },
            tool => Decision::deny(format!("{tool} is not for today")),
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = env::args().skip(1);
    let prompt = args.next().unwrap_or_else(|| "Create an empty file called note.txt.".to_owned());
    let log = args.next().unwrap_or_else(|| "permissions.jsonl".to_owned());
    // The agent resolves links; so must who compares paths.
    let cwd = env::current_dir()?.canonicalize()?;
    let gate: Arc<dyn Gate> = Arc::new(Policy { inside: cwd.clone(), log: Mutex::new(File::create(&log)?) });
    let options = AgentOptions::default()
        .with_cli(find_cli(None)?)
        .with_cwd(cwd)
        .with_inherit_env(EnvMode::Merge)
        // Never asked about, and never allowed, whatever the gate says.
        .with_disallowed_tools(vec!["WebFetch".to_owned()])
        .with_gate(gate);

    let result = query_with(Arc::new(ProcessLauncher), prompt, options).result().await?;
    println!("{:?}: {}", result.outcome(), result.text.clone().unwrap_or_default());
    for denial in result.denials() {
        println!("denied: {}", denial.tool_name);
    }
    print!("{}", std::fs::read_to_string(log)?);
    Ok(())
}
