//! What the model and the tools say: `assistant` and `user` frames.

use serde_json::Value;
use uuid::Uuid;

use super::{
    blocks::{Content, ContentBlock, ToolUse},
    shape::{frame, shape, words},
    usage::{Origin, Usage},
};

words! {
    /// Why the model API failed.
    pub enum AssistantError {
        AuthenticationFailed = "authentication_failed",
        OauthOrgNotAllowed = "oauth_org_not_allowed",
        AccountOnHold = "account_on_hold",
        VerificationRequired = "verification_required",
        BillingError = "billing_error",
        RateLimit = "rate_limit",
        Overloaded = "overloaded",
        InvalidRequest = "invalid_request",
        ModelNotFound = "model_not_found",
        ServerError = "server_error",
        Unknown = "unknown",
        MaxOutputTokens = "max_output_tokens",
        CloudCredentialError = "cloud_credential_error",
    }
}

frame! {
    /// One finished content block of the model; blocks of one response share `message.id`.
    pub struct AssistantMessage {
        /// The message of the API.
        message: ApiMessage = "message",
        /// Set when a subagent speaks: the tool call that started it.
        parent_tool_use_id: Option<String> = "parent_tool_use_id",
        /// Set on a made-up message that reports an API failure.
        error: Option<AssistantError> = "error",
        /// The prompts this answers, on the first frame of a turn.
        prompts: Vec<Uuid> = "user_message_uuids",
        /// An interrupt cut it; the text may end inside a word.
        is_aborted: bool = "aborted",
        /// Frames this one replaces.
        supersedes: Vec<String> = "supersedes",
        /// It reports a failure of the API.
        is_api_error: bool = "is_api_error_message",
        /// HTTP status of that failure.
        api_error_status: Option<u64> = "api_error_status",
        /// Kind of that failure, as the API calls it.
        api_error_type: Option<String> = "api_error_type",
        /// Id of the API request.
        request_id: Option<String> = "request_id",
        /// The subagent that speaks.
        agent_id: Option<String> = "agent_id",
        /// Its type.
        subagent_type: Option<String> = "subagent_type",
        /// What it was started for.
        task_description: Option<String> = "task_description",
        /// How MCP tools are called for people: one entry per tool call.
        tool_use_meta: Vec<ToolUseMeta> = "tool_use_meta",
        /// How long the model thought, in milliseconds.
        thinking_duration_ms: Option<u64> = "thinking_duration_ms",
        /// When it was written, RFC 3339.
        timestamp: Option<String> = "timestamp",
    }
}

shape! {
    /// A message of the Messages API.
    pub struct ApiMessage {
        /// Its id.
        id: Option<String> = "id",
        /// The model that wrote it; `<synthetic>` when the agent made it up.
        model: Option<String> = "model",
        /// What it says.
        content: Content = "content",
        /// Why it ended; not known yet while its blocks are reported.
        stop_reason: Option<String> = "stop_reason",
        /// Tokens, as they were when the response began.
        usage: Option<Usage> = "usage",
    }
}

shape! {
    /// What a tool of an MCP server is called for people.
    pub struct ToolUseMeta {
        /// The tool call.
        id: String = "id",
        /// Name of the tool to show.
        display_name: Option<String> = "display_name",
        /// Name of the server to show.
        server_display_name: Option<String> = "server_display_name",
        /// Name of the tool at the server.
        tool_name: Option<String> = "tool_name",
    }
}

frame! {
    /// Tool results, echoes, prompts of subagents and texts the agent made up.
    pub struct UserMessage {
        /// What is said.
        message: UserContent = "message",
        /// Set when it belongs to a subagent: the tool call that started it.
        parent_tool_use_id: Option<String> = "parent_tool_use_id",
        /// The tool's own structured output; the shape is the tool's.
        tool_use_result: Option<Value> = "tool_use_result",
        /// How each tool call came to run, or not to.
        tool_result_meta: Vec<ToolResultMeta> = "tool_result_meta",
        /// An echo of something the host or a command said.
        is_replay: bool = "isReplay",
        /// Made up by the agent, such as a continuation nudge or the summary after compaction.
        is_synthetic: bool = "isSynthetic",
        /// Who it comes from.
        origin: Option<Origin> = "origin",
        /// The subagent it belongs to.
        agent_id: Option<String> = "agent_id",
        /// Its type.
        subagent_type: Option<String> = "subagent_type",
        /// What it was started for.
        task_description: Option<String> = "task_description",
        /// When it was written, RFC 3339.
        timestamp: Option<String> = "timestamp",
    }
}

shape! {
    /// The inside of a user frame.
    pub struct UserContent {
        /// Text or blocks.
        content: Content = "content",
        /// Always `user`.
        role: Option<String> = "role",
    }
}

shape! {
    /// How a tool call came to run, or not to.
    pub struct ToolResultMeta {
        /// The tool call.
        id: String = "id",
        /// Who decided.
        permission_decision: Option<PermissionDecision> = "permission_decision",
        /// Why it did not run: `permission-rule`, `user-rejected`, `cancelled`.
        non_execution_kind: Option<String> = "non_execution_kind",
    }
}

shape! {
    /// Who decided about a tool call.
    pub struct PermissionDecision {
        /// `accept` or `reject`.
        decision: String = "decision",
        /// `config`, `user_temporary`, `user_reject`, `hook`.
        source: Option<String> = "source",
        /// What kind of reason there was, such as `rule`.
        reason_type: Option<String> = "reason_type",
    }
}

impl AssistantMessage {
    /// Its blocks, one as a rule.
    pub fn blocks(&self) -> &[ContentBlock] {
        self.message.content.blocks()
    }

    /// Its text.
    pub fn text(&self) -> String {
        self.message.content.text()
    }

    /// The tool calls in it.
    pub fn tool_uses(&self) -> impl Iterator<Item = &ToolUse> {
        self.blocks().iter().filter_map(ContentBlock::as_tool_use)
    }
}

impl UserMessage {
    /// Its blocks; plain text has none.
    pub fn blocks(&self) -> &[ContentBlock] {
        self.message.content.blocks()
    }

    /// Its text.
    pub fn text(&self) -> String {
        self.message.content.text()
    }
}
