//! Every hook there is: `cargo run --example all_hooks -- "Look around and tell me what you see."`
//!
//! The agent stops at its own events and asks. Four hooks below decide something; one more for each event only
//! counts. A hook that fails, panics or takes too long means no, unless it is registered with
//! `OnFailure::Continue`.

#![expect(clippy::print_stdout, reason = "an example speaks to a terminal")]

use std::{
    collections::BTreeMap,
    env,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use sdk_runtime::{
    AgentOptions, EnvMode, HookEvent, HookOutput, HookRegistration, OnFailure, find_cli,
    hook::{AnyHookDetails, PostToolUse, Reply, Stop, UserPromptSubmit},
    query,
};

/// How often each event came.
type Counts = Arc<Mutex<BTreeMap<String, usize>>>;

/// Events at which a host's hook is never called: the session begins before it can be registered, and ends
/// after the agent can ask. A registration that could never be called is refused at the start.
const NEVER_CALLED: [&str; 1] = ["SessionEnd"];

fn deciding() -> Vec<HookRegistration> {
    vec![
        // Before a tool: allow, deny, ask the gate, or change its input. It sees every call, those too that
        // rules allow; a gate only sees what is left open.
        HookRegistration::pre_tool_use(|call| async move {
            let command = call.tool_input["command"].as_str().unwrap_or_default();
            println!("PreToolUse: {command}");
            Ok(if command.contains("rm ") { Reply::deny("nothing is removed here") } else { Reply::allow() })
        })
        .with_matcher("Bash")
        .with_timeout(Duration::from_secs(5)),
        // After a tool: what the model sees of its output.
        HookRegistration::on(|call: PostToolUse| async move {
            let mut output = call.tool_response;
            let Some(text) = output["stdout"].as_str().filter(|text| text.contains("token=")) else {
                return Ok(Reply::proceed());
            };
            println!("PostToolUse: a token is taken out");
            let redacted: Vec<_> = text.split("token=").take(1).chain(["[a token was here]"]).collect();
            output["stdout"] = redacted.concat().into();
            Ok(Reply::proceed().with_output(output))
        })
        .with_matcher("Bash"),
        // A prompt: block it, or tell the model something along with it.
        HookRegistration::on(|prompt: UserPromptSubmit| async move {
            if prompt.prompt.contains("password") {
                return Ok(Reply::block("there is a password in the prompt"));
            }
            println!("UserPromptSubmit: {} characters", prompt.prompt.chars().count());
            Ok(Reply::proceed().with_context("The user likes short answers."))
        }),
        // The end of a turn: let it end, or send the model back to work. `stop_hook_active` says that it was
        // sent back already; without a look at it this goes on for ever.
        HookRegistration::on(|stop: Stop| async move {
            let said = stop.last_assistant_message.as_deref().unwrap_or_default();
            println!("Stop: {said}");
            let has_forgotten = !said.ends_with('.') && !stop.stop_hook_active;
            Ok(if has_forgotten { Reply::keep_going("End with a full stop.") } else { Reply::proceed() })
        }),
    ]
}

/// Untyped hooks are for events of tomorrow, and for code that treats all alike.
fn counting(counts: &Counts) -> impl Iterator<Item = HookRegistration> {
    let events = HookEvent::KNOWN.iter().filter(|event| !NEVER_CALLED.contains(event));
    events.map(|event| {
        let counts = Arc::clone(counts);
        let hook = HookRegistration::raw(*event, move |input| {
            let name = match input.details() {
                AnyHookDetails::SubagentStart(start) => {
                    format!("SubagentStart of {}", start.context.agent_type.unwrap_or_default())
                }
                _ => input.event.to_string(),
            };
            *counts.lock().unwrap_or_else(PoisonError::into_inner).entry(name).or_default() += 1;
            async { Ok(HookOutput::proceed()) }
        });
        // Counting must not stop anybody from working.
        hook.with_on_failure(OnFailure::Continue)
    })
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let prompt = env::args().nth(1).unwrap_or_else(|| "List this folder with Bash.".to_owned());
    let counts = Counts::default();
    let mut options = AgentOptions::default()
        .with_cli(find_cli(None)?)
        .with_cwd(env::current_dir()?)
        .with_inherit_env(EnvMode::Merge);
    options.hooks = deciding().into_iter().chain(counting(&counts)).collect();

    let result = query(prompt, options).result().await?;
    println!("{:?}: {}", result.outcome(), result.text.unwrap_or_default());
    for (event, count) in counts.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        println!("{count:3} × {event}");
    }
    Ok(())
}
