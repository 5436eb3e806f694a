//! One session, played in the terminal: a prompt, streamed text, a tool call, the result with tokens and cost.

use std::io::{Write, stdout};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::{
    http::{Client, Event},
    run::Model,
};

const PROMPT: &str =
    "Run `echo hello from the agent` with the Bash tool, then tell me in one sentence what it printed.";
/// What the offline model is to answer, in its own language; the pauses make the streaming visible.
const OFFLINE_DIRECTIVES: &str = "[[chunk_delay:30]][[text:I will run that command and look at what it prints. ]]\
     [[tool:Bash {\"command\":\"echo hello from the agent\",\"description\":\"Say hello\"}]]\
     [[next]][[chunk_delay:30]][[text:The command printed \"hello from the agent\".]]";

/// What a demo needs to know.
#[derive(Debug)]
pub(crate) struct Demo {
    pub(crate) url: String,
    pub(crate) email: String,
    pub(crate) password: String,
    pub(crate) model: Model,
}

impl Demo {
    /// Logs in, creates a session, asks, and prints what happens as it happens.
    pub(crate) fn play(&self) -> Result<()> {
        let mut client = Client::new(&self.url);
        client.log_in(&self.email, &self.password)?;
        println!("\nlogged in as {} at {}", self.email, self.url);
        if self.model == Model::Offline {
            println!("ANTHROPIC_API_KEY is not set: the OFFLINE MODEL answers, which says what it is told");
        }
        let wanted = json!({"name": "demo", "include_partial_messages": true});
        let session = client.post("/api/v1/sessions", &wanted)?;
        let id = session["id"].as_str().context("a session has an id")?;
        println!("created session {id}\n\nyou     {PROMPT}");
        let message = match self.model {
            Model::Api => PROMPT.to_owned(),
            Model::Offline => format!("{PROMPT} {OFFLINE_DIRECTIVES}"),
        };
        let mut screen = Screen::default();
        let query = format!("/api/v1/sessions/{id}/query");
        client.stream(&query, &json!({"message": message}), |event| screen.show(&event))?;
        screen.finish()
    }
}

/// What has been printed so far.
#[derive(Debug, Default)]
struct Screen {
    in_text: bool,
    result: Option<Value>,
    tool_calls: u32,
}

impl Screen {
    fn show(&mut self, event: &Event) -> Result<()> {
        let data = &event.data;
        match event.name.as_str() {
            "partial_message" => {
                if let Some(text) = data.pointer("/event/delta/text").and_then(Value::as_str) {
                    self.text(text)?;
                }
            }
            "tool_call_started" => {
                self.tool_calls += 1;
                let input = &data["tool_input"];
                let command = input["command"].as_str().map_or_else(|| input.to_string(), str::to_owned);
                self.line(&format!("tool    {}: {command}", data["tool_name"].as_str().unwrap_or("?")));
            }
            // What a tool gave back is in the message that tells the model.
            "message" => {
                for output in tool_outputs(&data["message"]["content"]) {
                    self.line(&format!("        -> {}", output.trim()));
                }
            }
            "error" => self.line(&format!("error   {data}")),
            "result" => self.result = Some(data.clone()),
            _ => {}
        }
        Ok(())
    }

    fn text(&mut self, text: &str) -> Result<()> {
        if !self.in_text {
            print!("agent   ");
        }
        self.in_text = true;
        print!("{text}");
        stdout().flush().context("failed to write to the terminal")
    }

    fn line(&mut self, line: &str) {
        if self.in_text {
            println!();
        }
        self.in_text = false;
        println!("{line}");
    }

    fn finish(mut self) -> Result<()> {
        let result = self.result.take().context("the stream ended without a result")?;
        let status = result["status"].as_str().unwrap_or("?");
        let metrics = &result["metrics"];
        self.line(&format!(
            "\nresult  {status}: {} input and {} output tokens, ${} in {} ms",
            metrics["input_tokens"], metrics["output_tokens"], metrics["cost_usd"], metrics["duration_ms"]
        ));
        if status != "completed" {
            bail!("the turn did not complete: {result}");
        }
        if self.tool_calls == 0 {
            bail!("the agent called no tool");
        }
        Ok(())
    }
}

fn tool_outputs(content: &Value) -> Vec<String> {
    let blocks = content.as_array().map(Vec::as_slice).unwrap_or_default();
    let results = blocks.iter().filter(|block| block["type"] == "tool_result").map(|block| &block["content"]);
    results.map(|output| output.as_str().map_or_else(|| output.to_string(), str::to_owned)).collect()
}
