//! What a hook may answer, event by event: what an event does not honour cannot be written.

use std::{marker::PhantomData, time::Duration};

use serde_json::{Map, Value, json};

use super::{
    ConfigChange, CwdChanged, Elicitation, ElicitationResult, FileChanged, HookDetails, HookOutput,
    MessageDisplay, Notification, PermissionDenied, PermissionRequest, PostModelSwitch, PostToolBatch,
    PostToolUse, PostToolUseFailure, PreCompact, PreModelSwitch, PreToolUse, SessionStart, Setup, Stop,
    SubagentStart, SubagentStop, TaskCompleted, TaskCreated, UserPromptExpansion, UserPromptSubmit,
    WorktreeCreate,
};
use crate::{elicitation::ElicitationAnswer, gate::PermissionUpdate};

/// The answer of a hook to an event of type `E`. Its methods are those that the agent honours at `E`.
///
/// ```
/// use sdk_runtime::hook::{PreToolUse, Reply, UserPromptSubmit};
///
/// let no = Reply::<PreToolUse>::deny("not in this repository");
/// let hint = Reply::<UserPromptSubmit>::proceed().with_context("Today is release day.");
/// ```
///
/// A tool has run when `PostToolUse` comes, so there is nothing left to deny:
///
/// ```compile_fail
/// use sdk_runtime::hook::{PostToolUse, Reply};
///
/// let too_late = Reply::<PostToolUse>::deny("no");
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Reply<E> {
    common: Map<String, Value>,
    specific: Map<String, Value>,
    event: PhantomData<fn(E)>,
}

/// Events at which the model can be told something.
pub trait TakesContext: HookDetails {}

/// Events at which what was about to happen can be stopped.
pub trait CanBlock: HookDetails {}

/// Events at which the turn can be ended.
pub trait CanStop: HookDetails {}

/// Events that can set up what `FileChanged` watches.
pub trait CanWatch: HookDetails {}

/// Events that can name the session.
pub trait CanTitle: HookDetails {}

/// Events at which a prompt can be replaced.
pub trait CanReplacePrompt: HookDetails {}

/// Events at which an agent that is about to end can be kept going.
pub trait CanKeepGoing: HookDetails {}

/// Events at which something is permitted or not.
pub trait CanDecide: HookDetails {
    /// How a yes is written.
    #[doc(hidden)]
    fn allowed() -> Value;
    /// How a no is written.
    #[doc(hidden)]
    fn denied(reason: String) -> Value;
}

macro_rules! mark {
    ($($marker:ident: $($event:ident)*;)*) => {
        $($(impl $marker for $event {})*)*
    };
}

mark! {
    TakesContext: PreToolUse PostToolUse PostToolUseFailure PostToolBatch UserPromptSubmit
        UserPromptExpansion SessionStart Setup Stop SubagentStart SubagentStop Notification PostModelSwitch;
    CanBlock: UserPromptSubmit UserPromptExpansion PreCompact ConfigChange TaskCreated TaskCompleted;
    CanStop: PostToolUse PostToolUseFailure PostToolBatch UserPromptSubmit Stop SubagentStop;
    CanWatch: SessionStart CwdChanged FileChanged;
    CanTitle: SessionStart UserPromptSubmit;
    CanReplacePrompt: UserPromptSubmit UserPromptExpansion;
    CanKeepGoing: Stop SubagentStop;
}

macro_rules! permit {
    ($($event:ident)*) => {
        $(impl CanDecide for $event {
            fn allowed() -> Value {
                json!({ "permissionDecision": "allow" })
            }

            fn denied(reason: String) -> Value {
                json!({ "permissionDecision": "deny", "permissionDecisionReason": reason })
            }
        })*
    };
}

permit! { PreToolUse PreModelSwitch }

impl CanDecide for PermissionRequest {
    fn allowed() -> Value {
        json!({ "decision": { "behavior": "allow" } })
    }

    fn denied(reason: String) -> Value {
        json!({ "decision": { "behavior": "deny", "message": reason } })
    }
}

impl<E: HookDetails> Reply<E> {
    /// No opinion: things go on as they would.
    pub fn proceed() -> Self {
        Self { common: Map::new(), specific: Map::new(), event: PhantomData }
    }

    /// The agent does not wait: things go on as they would, whatever the hook still does. No decision can
    /// come of it.
    pub fn in_background(timeout: Duration) -> Self {
        let millis = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        Self::proceed().common("async", true).common("asyncTimeout", millis)
    }

    /// Shows the user a text, as `system/informational`.
    #[must_use]
    pub fn with_system_message(self, text: impl Into<String>) -> Self {
        self.common("systemMessage", text.into())
    }

    /// Keeps this answer out of the transcript.
    #[must_use]
    pub fn with_suppressed_output(self) -> Self {
        self.common("suppressOutput", true)
    }

    fn common(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.common.insert(key.to_owned(), value.into());
        self
    }

    fn specific(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.specific.insert(key.to_owned(), value.into());
        self
    }

    fn blocked(reason: impl Into<String>) -> Self {
        Self::proceed().common("decision", "block").common("reason", reason.into())
    }
}

impl<E: TakesContext> Reply<E> {
    /// Tells the model something.
    #[must_use]
    pub fn with_context(self, text: impl Into<String>) -> Self {
        self.specific("additionalContext", text.into())
    }
}

impl<E: CanBlock> Reply<E> {
    /// What was about to happen does not, for `reason`.
    pub fn block(reason: impl Into<String>) -> Self {
        Self::blocked(reason)
    }
}

impl<E: CanStop> Reply<E> {
    /// Ends the turn here, for `reason`.
    #[must_use]
    pub fn with_turn_stopped(self, reason: impl Into<String>) -> Self {
        self.common("continue", false).common("stopReason", reason.into())
    }
}

impl<E: CanWatch> Reply<E> {
    /// Watches these paths, absolute, in place of those watched so far; changes come as `FileChanged`.
    #[must_use]
    pub fn with_watched_paths<T: Into<String>>(self, paths: impl IntoIterator<Item = T>) -> Self {
        let paths: Vec<String> = paths.into_iter().map(Into::into).collect();
        self.specific("watchPaths", paths)
    }
}

impl<E: CanTitle> Reply<E> {
    /// Names the session.
    #[must_use]
    pub fn with_session_title(self, title: impl Into<String>) -> Self {
        self.specific("sessionTitle", title.into())
    }
}

impl<E: CanReplacePrompt> Reply<E> {
    /// Takes in the context of this answer in place of the prompt.
    #[must_use]
    pub fn without_original_prompt(self) -> Self {
        self.specific("suppressOriginalPrompt", true)
    }
}

impl<E: CanKeepGoing> Reply<E> {
    /// The agent goes on: it reads `reason` as feedback, and the hook is asked again at the end, then with
    /// `stop_hook_active`.
    pub fn keep_going(reason: impl Into<String>) -> Self {
        Self::blocked(reason)
    }
}

impl<E: CanDecide> Reply<E> {
    /// It happens and nobody is asked. At `PermissionRequest` the gate is asked at the same time, and the
    /// first decision wins.
    pub fn allow() -> Self {
        Self::proceed().specifics(E::allowed())
    }

    /// It does not happen, and the model reads `reason`.
    pub fn deny(reason: impl Into<String>) -> Self {
        Self::proceed().specifics(E::denied(reason.into()))
    }
}

impl Reply<PreToolUse> {
    /// The tool runs with this input, an object, and nobody is asked.
    pub fn allow_with_input(input: Value) -> Self {
        Self::allow().specific("updatedInput", input)
    }

    /// The gate is asked, and told `reason`.
    pub fn ask(reason: impl Into<String>) -> Self {
        let fields = json!({ "permissionDecision": "ask", "permissionDecisionReason": reason.into() });
        Self::proceed().specifics(fields)
    }

    /// The turn ends before the call (`terminal_reason: "tool_deferred"`). When the session is resumed the
    /// agent asks the hook again, and then runs the tool at once, without any prompt. **It may do so before it
    /// knows its hooks**: an allowed tool then runs unasked (2.1.330, in five of ten trials). What must not run
    /// without a yes is [asked](Self::ask) about.
    pub fn defer() -> Self {
        Self::proceed().specific("permissionDecision", "defer")
    }

    /// Ends the turn after the tool **has run**: the agent honours this too late to prevent anything. What
    /// must not happen is denied with [`Reply::deny`].
    #[must_use]
    pub fn with_turn_stopped_after_the_tool(self, reason: impl Into<String>) -> Self {
        self.common("continue", false).common("stopReason", reason.into())
    }
}

impl Reply<PostToolUse> {
    /// The tool has run; the model reads `reason` beside its result.
    pub fn object(reason: impl Into<String>) -> Self {
        Self::blocked(reason)
    }

    /// Replaces what the model sees of the tool's result. It must have the form that tool gives.
    #[must_use]
    pub fn with_output(self, output: Value) -> Self {
        self.specific("updatedToolOutput", output)
    }

    /// Replaces the result of an MCP tool.
    #[must_use]
    pub fn with_mcp_output(self, output: Value) -> Self {
        self.specific("updatedMCPToolOutput", output)
    }
}

impl Reply<PermissionRequest> {
    /// Allows it with another input, an object, and these rule changes. The gate is asked at the same
    /// time, and the first decision wins.
    pub fn allow_with(input: Option<Value>, updates: &[PermissionUpdate]) -> Self {
        let mut decision = json!({ "behavior": "allow" });
        if let Some(input) = input {
            decision["updatedInput"] = input;
        }
        if !updates.is_empty() {
            decision["updatedPermissions"] = json!(updates);
        }
        Self::proceed().specific("decision", decision)
    }

    /// Denies the call and ends the turn.
    pub fn deny_and_interrupt(message: impl Into<String>) -> Self {
        let decision = json!({ "behavior": "deny", "message": message.into(), "interrupt": true });
        Self::proceed().specific("decision", decision)
    }
}

impl Reply<PermissionDenied> {
    /// Tells the model that it may try again.
    pub fn let_retry() -> Self {
        Self::proceed().specific("retry", true)
    }
}

impl Reply<SessionStart> {
    /// Begins the conversation with this message.
    #[must_use]
    pub fn with_initial_message(self, text: impl Into<String>) -> Self {
        self.specific("initialUserMessage", text.into())
    }

    /// Has the agent look for skills again.
    #[must_use]
    pub fn with_skills_reloaded(self) -> Self {
        self.specific("reloadSkills", true)
    }
}

impl Reply<MessageDisplay> {
    /// Shows this in place of the piece.
    pub fn show(text: impl Into<String>) -> Self {
        Self::proceed().specific("displayContent", text.into())
    }
}

impl Reply<WorktreeCreate> {
    /// The worktree is here.
    pub fn at(path: impl Into<String>) -> Self {
        Self::proceed().specific("worktreePath", path.into())
    }
}

impl Reply<Elicitation> {
    /// Answers in place of the user.
    pub fn answer(answer: ElicitationAnswer) -> Self {
        Self::proceed().specifics(answer.into_wire())
    }
}

impl Reply<ElicitationResult> {
    /// Replaces the answer.
    pub fn replace(answer: ElicitationAnswer) -> Self {
        Self::proceed().specifics(answer.into_wire())
    }
}

impl<E: HookDetails> Reply<E> {
    fn specifics(mut self, fields: Value) -> Self {
        if let Value::Object(fields) = fields {
            self.specific.extend(fields);
        }
        self
    }
}

impl<E: HookDetails> From<Reply<E>> for HookOutput {
    fn from(reply: Reply<E>) -> Self {
        let mut output = reply.common;
        if !reply.specific.is_empty() {
            let mut specific = reply.specific;
            specific.insert("hookEventName".into(), E::EVENT.as_str().into());
            output.insert("hookSpecificOutput".into(), specific.into());
        }
        Self(output.into())
    }
}
