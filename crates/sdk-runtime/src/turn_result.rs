//! The result of a turn: the agent's `result` frame, read once.

use std::collections::BTreeMap;

use serde_json::Value;
use uuid::Uuid;

use crate::message::{
    DeferredToolUse, ModelUsage, Origin, PermissionDenial, Usage,
    shape::{Field as _, Shape as _},
};

/// A `result` frame. Fields the agent left out are empty, zero or null; `raw` has everything.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct TurnResult {
    /// `success`, `error_max_turns`, … An API failure arrives as `success` with `is_error`.
    pub subtype: String,
    /// Whether the turn failed.
    pub is_error: bool,
    /// Why the turn ended, such as `completed` or `aborted_streaming`; absent for slash commands.
    pub terminal_reason: Option<String>,
    /// Text of the last assistant message, or of the API failure.
    pub text: Option<String>,
    /// Diagnostics of failures other than API failures.
    pub errors: Vec<String>,
    /// HTTP status of the API failure.
    pub api_error_status: Option<u16>,
    /// Wall time of the turn.
    pub duration_ms: u64,
    /// Part of it spent in the API.
    pub duration_api_ms: u64,
    /// API rounds within the turn.
    pub num_turns: u64,
    /// Tokens of this turn, main loop only.
    pub usage: Value,
    /// Tokens and cost per model since the last result of this process.
    pub model_usage_since_last_result: Value,
    /// US dollars, cumulative over the session and inherited by forks: never sum it.
    pub total_cost_usd: f64,
    /// Tool calls that were denied, as the agent lists them.
    pub permission_denials: Value,
    /// The session this turn belongs to.
    pub session_id: String,
    /// The frame as it came.
    pub raw: Value,
}

/// How a turn ended, as far as a host must tell cases apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It came to its end.
    Completed,
    /// The model API failed after the agent's own retries.
    ApiError {
        /// HTTP status, when there was a response.
        status: Option<u16>,
    },
    /// It used up `max_turns`.
    MaxTurns,
    /// It used up the budget the agent was started with.
    BudgetExhausted,
    /// It was interrupted while streaming or in a tool.
    Interrupted,
    /// A hook stopped it.
    HookStopped,
    /// A hook put a tool call off; the call runs when the session is resumed.
    ToolDeferred,
    /// The model refused.
    Refused,
    /// It failed in another way; see `terminal_reason` and `errors`.
    Failed,
}

impl TurnResult {
    /// Reads a `result` frame. Nothing in it is compulsory.
    pub fn read(raw: Value) -> Self {
        let text = |key: &str| raw[key].as_str().map(str::to_owned);
        let number = |key: &str| raw[key].as_u64().unwrap_or_default();
        let errors = raw["errors"].as_array().map(Vec::as_slice);
        Self {
            subtype: text("subtype").unwrap_or_default(),
            is_error: raw["is_error"].as_bool().unwrap_or_default(),
            terminal_reason: text("terminal_reason"),
            text: text("result"),
            errors: errors
                .unwrap_or_default()
                .iter()
                .filter_map(|error| error.as_str().map(str::to_owned))
                .collect(),
            api_error_status: raw["api_error_status"].as_u64().and_then(|status| u16::try_from(status).ok()),
            duration_ms: number("duration_ms"),
            duration_api_ms: number("duration_api_ms"),
            num_turns: number("num_turns"),
            usage: raw["usage"].clone(),
            model_usage_since_last_result: raw["model_usage_since_last_result"].clone(),
            total_cost_usd: raw["total_cost_usd"].as_f64().unwrap_or_default(),
            permission_denials: raw["permission_denials"].clone(),
            session_id: text("session_id").unwrap_or_default(),
            raw,
        }
    }

    /// How the turn ended.
    pub fn outcome(&self) -> Outcome {
        let reason = self.terminal_reason.as_deref().unwrap_or_default();
        match (self.subtype.as_str(), reason) {
            (_, "aborted_streaming" | "aborted_tools") => Outcome::Interrupted,
            ("error_max_turns", _) | (_, "max_turns") => Outcome::MaxTurns,
            ("error_max_budget_usd", _) | (_, "budget_exhausted") => Outcome::BudgetExhausted,
            _ if self.is_error && self.is_api_error() => Outcome::ApiError { status: self.api_error_status },
            _ if self.is_error => Outcome::Failed,
            (_, "hook_stopped") => Outcome::HookStopped,
            (_, "tool_deferred") => Outcome::ToolDeferred,
            _ if self.raw["stop_reason"] == "refusal" => Outcome::Refused,
            _ => Outcome::Completed,
        }
    }

    /// What the agent says about the failure, when it is one.
    pub fn words(&self) -> Option<String> {
        let first = self.errors.first().cloned();
        first.or_else(|| self.text.clone()).filter(|words| self.is_error && !words.is_empty())
    }

    /// Tokens of this turn, main loop only.
    pub fn tokens(&self) -> Option<Usage> {
        Usage::read(self.usage.clone()).ok()
    }

    /// Tokens and cost per model, cumulative over the session and inherited by forks: never sum them.
    pub fn model_usage(&self) -> BTreeMap<String, ModelUsage> {
        table(&self.raw["modelUsage"])
    }

    /// Tokens and cost per model since the last result of this process.
    pub fn model_usage_since_last(&self) -> BTreeMap<String, ModelUsage> {
        table(&self.model_usage_since_last_result)
    }

    /// Tool calls that were denied.
    pub fn denials(&self) -> Vec<PermissionDenial> {
        let denials = self.permission_denials.as_array().map(Vec::as_slice).unwrap_or_default();
        denials.iter().filter_map(|denial| PermissionDenial::read(denial.clone()).ok()).collect()
    }

    /// The tool call a hook put off; it runs when the session is resumed.
    pub fn deferred_tool_use(&self) -> Option<DeferredToolUse> {
        DeferredToolUse::read(self.raw["deferred_tool_use"].clone()).ok()
    }

    /// What started the turn, when it was not a prompt of the host.
    pub fn origin(&self) -> Option<Origin> {
        Origin::read(self.raw["origin"].clone()).ok()
    }

    /// Why the model stopped: `end_turn`, `tool_use`, `max_tokens`, `refusal`, …
    pub fn stop_reason(&self) -> Option<&str> {
        self.raw["stop_reason"].as_str()
    }

    /// Id of the result. It is not in the transcript.
    pub fn uuid(&self) -> Option<&str> {
        self.raw["uuid"].as_str()
    }

    /// Prompts of the host that still wait. Zero does not mean that the session is idle.
    pub fn queued_turn_count(&self) -> u64 {
        self.raw["queued_turn_count"].as_u64().unwrap_or_default()
    }

    /// Number of this result within the process, from zero.
    pub fn index(&self) -> Option<u64> {
        self.raw["result_index"].as_u64()
    }

    /// The prompts this result names, in the agent's order.
    pub(crate) fn named_prompts(&self) -> Vec<Uuid> {
        let mut ids: Vec<Uuid> = prompt_ids(&self.raw["user_message_uuids"]);
        let one = self.raw["user_message_uuid"].as_str();
        if let Some(id) = one.and_then(|id| id.parse().ok())
            && !ids.contains(&id)
        {
            ids.push(id);
        }
        ids
    }

    /// Whether the turn was started by the agent itself, such as by a finished background task.
    pub(crate) fn has_own_origin(&self) -> bool {
        self.raw["origin"].is_object()
    }

    fn is_api_error(&self) -> bool {
        let reason = self.terminal_reason.as_deref();
        self.api_error_status.is_some() || matches!(reason, Some("api_error" | "image_error"))
    }
}

fn table(value: &Value) -> BTreeMap<String, ModelUsage> {
    let mut holder = serde_json::Map::from_iter([(String::new(), value.clone())]);
    BTreeMap::take(&mut holder, "").unwrap_or_default()
}

/// Reads a list of prompt ids, passing over what is not one of ours.
pub(crate) fn prompt_ids(list: &Value) -> Vec<Uuid> {
    let list = list.as_array().map(Vec::as_slice).unwrap_or_default();
    list.iter().filter_map(|id| id.as_str()?.parse().ok()).collect()
}
