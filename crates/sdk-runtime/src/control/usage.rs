//! What the conversation takes up, and what it costs.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::{agent::Agent, error::Error, open::open_struct};

/// How exactly to count tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum UsageDetail {
    /// By estimate; costs nothing.
    #[default]
    Summary,
    /// By the API, with some two dozen requests to count tokens.
    Full,
}

open_struct! {
    /// What fills the context window.
    #[serde(rename_all = "camelCase")]
    ContextUsage {
        /// The parts, free room among them.
        categories: Vec<ContextCategory>,
        /// Tokens in use.
        total_tokens: u64,
        /// Tokens that can be used.
        max_tokens: u64,
        /// Tokens of the model's whole window.
        raw_max_tokens: u64,
        /// Part in use, in per cent.
        percentage: f64,
        /// The model.
        model: String,
        /// CLAUDE.md and other memory files.
        memory_files: Vec<MemoryFileTokens>,
        /// Tools of MCP servers.
        mcp_tools: Vec<McpToolTokens>,
        /// Subagents.
        agents: Vec<AgentTokens>,
        /// Tokens at which the conversation is compacted.
        auto_compact_threshold: Option<u64>,
        /// Whether it is.
        is_auto_compact_enabled: bool,
        /// Skills: numbers, tokens and each one.
        skills: Option<Value>,
        /// Slash commands: numbers and tokens.
        slash_commands: Option<Value>,
        /// What the messages are made of.
        message_breakdown: Option<Value>,
        /// What the API counted last; `None` before the first turn.
        api_usage: Option<ApiUsage>,
    }
    /// A part of the context.
    #[serde(rename_all = "camelCase")]
    ContextCategory {
        /// Which: `system_prompt`, `system_tools`, `messages`, …
        id: Option<String>,
        /// Its name for people.
        name: String,
        /// Its size.
        tokens: u64,
        /// A colour to show it in.
        color: String,
        /// Whether it is only loaded when it is needed.
        is_deferred: bool,
        /// `used`, `free`, `buffer` or `deferred`.
        kind: String,
    }
    /// A memory file and its size.
    MemoryFileTokens {
        /// The file.
        path: String,
        /// Whose: user, project, …
        r#type: String,
        /// Its size.
        tokens: u64,
    }
    /// A tool of an MCP server and its size.
    #[serde(rename_all = "camelCase")]
    McpToolTokens {
        /// The tool.
        name: String,
        /// The server.
        server_name: String,
        /// Its size.
        tokens: u64,
        /// Whether the model sees it now.
        is_loaded: Option<bool>,
    }
    /// A subagent and its size.
    #[serde(rename_all = "camelCase")]
    AgentTokens {
        /// Its name.
        agent_type: String,
        /// Where it is defined.
        source: String,
        /// Its size.
        tokens: u64,
    }
    /// Tokens as the API counted them.
    ApiUsage {
        /// Not from the cache.
        input_tokens: u64,
        /// Written by the model.
        output_tokens: u64,
        /// Written to the cache.
        cache_creation_input_tokens: u64,
        /// Read from the cache.
        cache_read_input_tokens: u64,
    }
    /// The cost of the session, in words.
    SessionCost {
        /// Several lines for people.
        text: String,
    }
    /// What was used, of the session and of the account.
    Usage {
        /// Of this session.
        session: SessionUsage,
        /// The subscription, when there is one.
        subscription_type: Option<String>,
        /// Whether `rate_limits` can be had at all.
        rate_limits_available: bool,
        /// How much of each limit is used.
        rate_limits: Option<Value>,
        /// What uses most; `None` when it was not asked for.
        behaviors: Option<Value>,
    }
    /// What one session used. It counts from the beginning of the conversation, not of the process.
    SessionUsage {
        /// US dollars.
        total_cost_usd: f64,
        /// Time of the API.
        total_api_duration_ms: f64,
        /// Time in all.
        total_duration_ms: f64,
        /// Lines written to files.
        total_lines_added: u64,
        /// Lines taken from files.
        total_lines_removed: u64,
        /// By model.
        model_usage: BTreeMap<String, ModelUsage>,
    }
    /// What one model was used for.
    #[serde(rename_all = "camelCase")]
    ModelUsage {
        /// Tokens not from the cache.
        input_tokens: u64,
        /// Tokens written.
        output_tokens: u64,
        /// Tokens of thinking among them.
        thinking_tokens: u64,
        /// Tokens read from the cache.
        cache_read_input_tokens: u64,
        /// Tokens written to the cache.
        cache_creation_input_tokens: u64,
        /// Searches of the web.
        web_search_requests: u64,
        /// US dollars.
        #[serde(rename = "costUSD")]
        cost_usd: f64,
        /// Size of its window.
        context_window: u64,
        /// Most it writes at once.
        max_output_tokens: u64,
        /// Its name at the provider's.
        canonical_model: Option<String>,
        /// Who serves it.
        provider: Option<String>,
    }
    /// The CLI that runs.
    BinaryVersion {
        /// Its version.
        version: String,
        /// When it was built, in ISO 8601.
        #[serde(rename = "buildTime")]
        build_time: Option<String>,
    }
}

impl Agent {
    /// What fills the context window.
    /// Cancel safe.
    pub async fn context_usage(&self, detail: UsageDetail) -> Result<ContextUsage, Error> {
        let detail = match detail {
            UsageDetail::Summary => "summary",
            UsageDetail::Full => "full",
        };
        self.ask("get_context_usage", json!({ "detail": detail })).await
    }

    /// The cost of the session, in words. Figures are in the results of turns and in `usage`.
    /// Cancel safe.
    pub async fn session_cost(&self) -> Result<SessionCost, Error> {
        self.ask("get_session_cost", json!({})).await
    }

    /// What session and account have used. `with_behaviors` adds what used most, which reads all
    /// transcripts of the user and takes its time.
    /// Cancel safe.
    pub async fn usage(&self, with_behaviors: bool) -> Result<Usage, Error> {
        self.ask("get_usage", json!({ "skip_behaviors": !with_behaviors })).await
    }

    /// The CLI that runs, which an update may have replaced on disk meanwhile.
    /// Cancel safe.
    pub async fn binary_version(&self) -> Result<BinaryVersion, Error> {
        self.ask("get_binary_version", json!({})).await
    }
}
