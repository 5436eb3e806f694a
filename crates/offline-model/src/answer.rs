//! Chooses the step for a request and turns it into the message that will be sent.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};

use crate::{
    Charge, Options,
    conversation::{MessagesRequest, Prompt},
    directive,
    step::{Block, DirectiveError, Iteration, Step, Wanted},
};

const ECHOED_CHARS: usize = 200;
const BYTES_PER_TOKEN: u64 = 4;
const DEFAULT_MODEL: &str = "offline-model";

/// The step that answers a request, and the name under which its failures are counted.
pub(crate) struct Chosen {
    pub(crate) step: Step,
    pub(crate) prompt: Prompt,
}

/// A message ready to be sent, whole or in parts.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) id: String,
    pub(crate) model: String,
    pub(crate) parts: Vec<Part>,
    pub(crate) stop_reason: String,
    pub(crate) usage: Usage,
}

/// A content block with everything decided.
#[derive(Debug)]
pub(crate) enum Part {
    Text(String),
    Thinking(String),
    ToolUse { id: String, name: String, input: Value },
    Endless,
    Clock(u64),
}

/// Token counts as they will be reported.
#[derive(Debug, Clone)]
pub(crate) struct Usage {
    pub(crate) input: u64,
    pub(crate) output: u64,
    cache_read: u64,
    cache_write_5m: u64,
    cache_write_1h: u64,
    web_searches: u64,
    thinking: Option<u64>,
    speed: Option<String>,
    iterations: Vec<Iteration>,
    is_told: bool,
}

impl Usage {
    fn reckon(step: &Step, options: &Options, body_len: usize, parts: &[Part]) -> Self {
        let tokens = &step.tokens;
        Self {
            input: tokens.input.or(options.input_tokens).unwrap_or_else(|| tokens_of(body_len)),
            output: tokens.output.unwrap_or_else(|| tokens_of(parts.iter().map(Part::len).sum())),
            cache_read: tokens.cache_read,
            cache_write_5m: tokens.cache_write_5m,
            cache_write_1h: tokens.cache_write_1h,
            web_searches: tokens.web_searches,
            thinking: tokens.thinking,
            speed: step.speed.clone(),
            iterations: step.iterations.clone(),
            is_told: !step.hides_usage,
        }
    }

    /// As it is told when the answer begins: a token has come, and no pass is over.
    fn at_start(&self) -> Self {
        Self { output: 1, iterations: Vec::new(), ..self.clone() }
    }

    /// Puts the usage object of the API into a message or event.
    pub(crate) fn put_into(&self, object: &mut Value) {
        if self.is_told {
            object["usage"] = self.to_json();
        }
    }

    fn to_json(&self) -> Value {
        let mut usage = json!({
            "input_tokens": self.input,
            "cache_creation_input_tokens": self.cache_write_5m + self.cache_write_1h,
            "cache_read_input_tokens": self.cache_read,
            "cache_creation": {
                "ephemeral_5m_input_tokens": self.cache_write_5m,
                "ephemeral_1h_input_tokens": self.cache_write_1h,
            },
            "output_tokens": self.output,
            "server_tool_use": {"web_search_requests": self.web_searches, "web_fetch_requests": 0},
            "service_tier": "standard",
            "speed": self.speed,
        });
        if let Some(thinking) = self.thinking {
            usage["output_tokens_details"] = json!({"thinking_tokens": thinking});
        }
        if !self.iterations.is_empty() {
            usage["iterations"] = self.iterations.iter().map(iteration_json).collect();
        }
        usage
    }
}

fn iteration_json(iteration: &Iteration) -> Value {
    let tokens = &iteration.tokens;
    let mut told = json!({
        "type": iteration.kind,
        "input_tokens": tokens.input.unwrap_or(0),
        "output_tokens": tokens.output.unwrap_or(0),
        "cache_read_input_tokens": tokens.cache_read,
        "cache_creation_input_tokens": tokens.cache_write_5m + tokens.cache_write_1h,
        "cache_creation": {
            "ephemeral_5m_input_tokens": tokens.cache_write_5m,
            "ephemeral_1h_input_tokens": tokens.cache_write_1h,
        },
    });
    if let Some(model) = &iteration.model {
        told["model"] = json!(model);
    }
    told
}

impl Part {
    fn len(&self) -> usize {
        match self {
            Self::Text(text) | Self::Thinking(text) => text.len(),
            Self::ToolUse { name, input, .. } => name.len() + input.to_string().len(),
            Self::Endless | Self::Clock(_) => 0,
        }
    }

    fn to_json(&self) -> Value {
        match self {
            Self::Text(text) => json!({"type": "text", "text": text}),
            Self::Thinking(thinking) => {
                json!({"type": "thinking", "thinking": thinking, "signature": SIGNATURE})
            }
            Self::ToolUse { id, name, input } => {
                json!({"type": "tool_use", "id": id, "name": name, "input": input})
            }
            Self::Endless | Self::Clock(_) => json!({"type": "text", "text": ""}),
        }
    }
}

/// What stands for the signature of a thinking block.
pub(crate) const SIGNATURE: &str = "offline-signature";

impl Answer {
    /// Turns a step into the message that answers `request`, whose body had `body_len` bytes.
    pub(crate) fn compose(
        chosen: &Chosen,
        request: &MessagesRequest,
        options: &Options,
        body_len: usize,
    ) -> Self {
        let step = &chosen.step;
        let mut parts: Vec<Part> =
            step.blocks.iter().filter_map(|block| part(block, request, &chosen.prompt)).collect();
        if parts.is_empty() {
            parts.push(Part::Text(options.final_text.clone()));
        }
        let calls_tool = parts.iter().any(|part| matches!(part, Part::ToolUse { .. }));
        let usual_stop = if calls_tool { "tool_use" } else { "end_turn" };
        Self {
            id: new_id("msg"),
            model: step
                .model
                .clone()
                .or_else(|| request.model.clone())
                .unwrap_or_else(|| DEFAULT_MODEL.to_owned()),
            stop_reason: step.stop.clone().unwrap_or_else(|| usual_stop.to_owned()),
            usage: Usage::reckon(step, options, body_len, &parts),
            parts,
        }
    }

    /// The whole message, as a request without `stream` gets it.
    pub(crate) fn to_json(&self) -> Value {
        let content: Vec<Value> = self.parts.iter().map(Part::to_json).collect();
        self.envelope(&json!(content), &json!(self.stop_reason), &self.usage)
    }

    /// The message as it stands in `message_start`: no content yet, no end yet.
    pub(crate) fn start_json(&self) -> Value {
        self.envelope(&json!([]), &Value::Null, &self.usage.at_start())
    }

    /// What it costs, in tokens. Without what only its iterations tell, which other models may have used.
    pub(crate) fn charge(&self) -> Charge {
        let usage = &self.usage;
        Charge {
            model: self.model.clone(),
            input: usage.input,
            output: usage.output,
            cache_read: usage.cache_read,
            cache_write_5m: usage.cache_write_5m,
            cache_write_1h: usage.cache_write_1h,
            web_searches: usage.web_searches,
            is_complete: false,
        }
    }

    fn envelope(&self, content: &Value, stop_reason: &Value, usage: &Usage) -> Value {
        let mut message = json!({
            "id": self.id,
            "type": "message",
            "role": "assistant",
            "model": self.model,
            "content": content,
            "stop_reason": stop_reason,
            "stop_sequence": null,
        });
        usage.put_into(&mut message);
        message
    }
}

/// Finds the step that the conversation has come to.
pub(crate) fn choose(request: &MessagesRequest, options: &Options) -> Result<Chosen, DirectiveError> {
    let prompt = request.prompt();
    let step = match directive::parse(&prompt.text)? {
        None => {
            let said: String = prompt.text.chars().take(ECHOED_CHARS).collect();
            Step::text(options.default_text.clone().unwrap_or_else(|| format!("You said: {said}")))
        }
        Some(mut steps) if prompt.answers < steps.len() => steps.swap_remove(prompt.answers),
        Some(_) => Step::text(options.final_text.clone()),
    };
    Ok(Chosen { step, prompt })
}

fn part(block: &Block, request: &MessagesRequest, prompt: &Prompt) -> Option<Part> {
    match block {
        Block::Text(text) => Some(Part::Text(text.clone())),
        Block::Thinking(text) => Some(Part::Thinking(text.clone())),
        Block::Recall => Some(Part::Text(recall(&prompt.earlier))),
        Block::Endless => Some(Part::Endless),
        Block::Clock(count) => Some(Part::Clock(*count)),
        Block::ToolUse { name, input, wanted } => {
            let called = match wanted {
                Wanted::Always => true,
                Wanted::IfOffered => request.offers(name),
            };
            called.then(|| Part::ToolUse { id: new_id("toolu"), name: name.clone(), input: input.clone() })
        }
    }
}

fn recall(earlier: &[String]) -> String {
    if earlier.is_empty() {
        return "You have not said anything before.".to_owned();
    }
    let lines: Vec<String> =
        earlier.iter().enumerate().map(|(index, prompt)| format!("{}. {prompt}", index + 1)).collect();
    format!("Before this you said:\n{}", lines.join("\n"))
}

/// Tokens that so many bytes count as.
pub(crate) fn tokens_of(bytes: usize) -> u64 {
    (bytes as u64 / BYTES_PER_TOKEN).max(1)
}

/// An id that no other answer has, also not of an offline model started before or beside this one.
pub(crate) fn new_id(prefix: &str) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    static RUN: std::sync::OnceLock<u64> = std::sync::OnceLock::new();
    let run = RUN.get_or_init(|| {
        use std::hash::{BuildHasher, RandomState};
        RandomState::new().hash_one(std::process::id())
    });
    format!("{prefix}_off{run:016x}{:06}", NEXT.fetch_add(1, Ordering::Relaxed))
}
