//! Numbers and origins: tokens, cost, denials, and who started what.

use serde_json::Value;

use super::shape::{shape, words};

shape! {
    /// Tokens of one API response, or of a turn's main loop.
    pub struct Usage {
        /// Tokens read, without those from the cache.
        input_tokens: Option<u64> = "input_tokens",
        /// Tokens written.
        output_tokens: Option<u64> = "output_tokens",
        /// Tokens written to the cache.
        cache_creation_input_tokens: Option<u64> = "cache_creation_input_tokens",
        /// Tokens read from the cache.
        cache_read_input_tokens: Option<u64> = "cache_read_input_tokens",
        /// `standard`, `priority`, `batch`.
        service_tier: Option<String> = "service_tier",
        /// Calls of tools inside the API.
        server_tool_use: Option<ServerToolUsage> = "server_tool_use",
    }
}

shape! {
    /// Calls of tools that run inside the API.
    pub struct ServerToolUsage {
        /// Web searches.
        web_search_requests: Option<u64> = "web_search_requests",
        /// Pages fetched.
        web_fetch_requests: Option<u64> = "web_fetch_requests",
    }
}

shape! {
    /// What one model used.
    pub struct ModelUsage {
        /// Tokens read, without those from the cache.
        input_tokens: Option<u64> = "inputTokens",
        /// Tokens written.
        output_tokens: Option<u64> = "outputTokens",
        /// Part of them that were thoughts.
        thinking_tokens: Option<u64> = "thinkingTokens",
        /// Tokens read from the cache.
        cache_read_input_tokens: Option<u64> = "cacheReadInputTokens",
        /// Tokens written to the cache.
        cache_creation_input_tokens: Option<u64> = "cacheCreationInputTokens",
        /// Part of them that are kept for five minutes.
        cache_creation_5m_input_tokens: Option<u64> = "cacheCreationEphemeral5mInputTokens",
        /// Part of them that are kept for an hour.
        cache_creation_1h_input_tokens: Option<u64> = "cacheCreationEphemeral1hInputTokens",
        /// Web searches.
        web_search_requests: Option<u64> = "webSearchRequests",
        /// US dollars.
        cost_usd: Option<f64> = "costUSD",
        /// Tokens the model can hold.
        context_window: Option<u64> = "contextWindow",
        /// Tokens it may write in one response.
        max_output_tokens: Option<u64> = "maxOutputTokens",
        /// The model's name without aliases.
        canonical_model: Option<String> = "canonicalModel",
        /// Who serves it, such as `firstParty`.
        provider: Option<String> = "provider",
        /// Which prices the cost is reckoned with: `list`, `managed`, `unknown`.
        cost_basis: Option<String> = "costBasis",
    }
}

shape! {
    /// A tool call that was denied.
    pub struct PermissionDenial {
        /// The tool.
        tool_name: String = "tool_name",
        /// The call.
        tool_use_id: String = "tool_use_id",
        /// Its input.
        tool_input: Option<Value> = "tool_input",
    }
}

shape! {
    /// A tool call that a hook put off; it runs when the session is resumed.
    pub struct DeferredToolUse {
        /// The call.
        id: String = "id",
        /// The tool.
        name: String = "name",
        /// Its input.
        input: Option<Value> = "input",
    }
}

words! {
    /// Who a message comes from, or who started a turn.
    pub enum OriginKind {
        Human = "human",
        Channel = "channel",
        Peer = "peer",
        TaskNotification = "task-notification",
        Coordinator = "coordinator",
        Unclassified = "unclassified",
        Observer = "observer",
        ObserverActivity = "observer-activity",
        AutoContinuation = "auto-continuation",
    }
}

shape! {
    /// Where a message or a turn comes from.
    pub struct Origin {
        /// Who.
        kind: OriginKind = "kind",
        /// The channel's server.
        server: Option<String> = "server",
        /// The peer.
        from: Option<String> = "from",
        /// What kind of notification.
        subkind: Option<String> = "subkind",
        /// What produced a notification, such as `session-task`.
        producer: Option<String> = "producer",
        /// The run of the task that has news.
        run_id: Option<String> = "runId",
    }
}

shape! {
    /// Tokens, calls and time of a task.
    pub struct TaskUsage {
        /// Tokens in all.
        total_tokens: Option<u64> = "total_tokens",
        /// Tool calls.
        tool_uses: Option<u64> = "tool_uses",
        /// Wall time in milliseconds.
        duration_ms: Option<u64> = "duration_ms",
    }
}

impl Origin {
    /// An origin of this kind and nothing else said.
    pub fn new(kind: impl Into<OriginKind>) -> Self {
        Self {
            kind: kind.into(),
            server: None,
            from: None,
            subkind: None,
            producer: None,
            run_id: None,
            extra: serde_json::Map::new(),
        }
    }
}
