//! The hook seam: the agent stops at its own events and asks what to do. A broken hook means no.
//!
//! Every event has a type for what is told ([`PreToolUse`], [`Stop`], …) and [`Reply`] for what may be
//! answered there. A closure is enough:
//!
//! ```
//! use sdk_runtime::{AgentOptions, HookRegistration, hook::Reply};
//!
//! let guard = HookRegistration::pre_tool_use(|call| async move {
//!     let command = call.tool_input["command"].as_str().unwrap_or_default();
//!     Ok(if command.contains("rm -rf") { Reply::deny("not here") } else { Reply::proceed() })
//! })
//! .with_matcher("Bash");
//! let options = AgentOptions::default().with_hook(guard);
//! ```
//!
//! What to know before relying on one:
//!
//! - All hooks of an event run at once. For `PreToolUse` a deny of any wins over an allow of another.
//! - A hook that errs, panics, takes longer than its time-out or answers with garbage means no, unless it
//!   was registered with [`OnFailure::Continue`]. An answer that comes too late is dropped.
//! - `PreToolUse` sees every tool call, also those that rules allow; a gate only sees what is left open.
//! - `continue: false` at `PreToolUse` stops the turn after the tool **has run**; to prevent it, deny.
//! - A host's hooks are registered when the agent has started, so `SessionStart` is heard for `clear` and
//!   `compact` only, and `SessionEnd` never; registrations that could never be called are refused.
//! - [`Hook`] and [`HookOutput`] are the same without types, for events of tomorrow.

mod event;
mod input;
mod reply;
mod verdict;

use std::{fmt, future::Future, marker::PhantomData, sync::Arc, time::Duration};

use async_trait::async_trait;
use serde_json::{Value, json};

pub use self::{event::*, input::*, reply::*};
pub(crate) use self::{
    event::{unreachable, warn_of_late_hooks},
    verdict::{fault, no},
};

/// Any error of a hook or a gate. Its text is shown to the agent, so it should hold no secret.
pub type SeamError = Box<dyn std::error::Error + Send + Sync>;

/// Wait for a hook unless its registration says otherwise.
pub const HOOK_TIMEOUT_DEFAULT: Duration = Duration::from_secs(60);

/// Answers the agent at an event.
#[async_trait]
pub trait Hook: Send + Sync {
    /// Decides. Dropped when the agent withdraws its question.
    async fn on(&self, input: HookInput) -> Result<HookOutput, SeamError>;
}

/// A hook and when it is called.
#[derive(Clone)]
#[non_exhaustive]
pub struct HookRegistration {
    /// When it is called.
    pub event: HookEvent,
    /// Tool name or `A|B`; `None` matches all.
    pub matcher: Option<String>,
    /// How long the hook may take.
    pub timeout: Duration,
    /// What an error, a time-out or a panic of the hook means.
    pub on_failure: OnFailure,
    /// The hook.
    pub hook: Arc<dyn Hook>,
}

/// What a hook's failure means to the agent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnFailure {
    /// What was asked about does not happen.
    #[default]
    Block,
    /// It happens as if there were no hook.
    Continue,
}

/// What the agent tells a hook.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct HookInput {
    /// What happens.
    pub event: HookEvent,
    /// Tool concerned, for tool events.
    pub tool_name: Option<String>,
    /// Input of the tool, or null.
    pub tool_input: Value,
    /// The tool call, for tool events.
    pub tool_use_id: Option<String>,
    /// Set when it happens inside a subagent.
    pub agent_id: Option<String>,
    /// Everything the agent said.
    pub raw: Value,
}

/// What a hook answers: the agent's own JSON, with the common cases by name.
#[derive(Debug, Clone, PartialEq)]
pub struct HookOutput(pub Value);

impl HookRegistration {
    /// A hook for every occurrence of `event`, with the default time-out, blocking when it fails.
    pub fn new(event: impl Into<HookEvent>, hook: Arc<dyn Hook>) -> Self {
        Self {
            event: event.into(),
            matcher: None,
            timeout: HOOK_TIMEOUT_DEFAULT,
            on_failure: OnFailure::default(),
            hook,
        }
    }

    /// A closure for the event whose type it takes, such as `|call: PreToolUse| async { … }`. Input that
    /// has another form than this crate knows is a failure of the hook.
    pub fn on<E, F, T>(hook: F) -> Self
    where
        E: HookDetails,
        F: Fn(E) -> T + Send + Sync + 'static,
        T: Future<Output = Result<Reply<E>, SeamError>> + Send + 'static,
    {
        Self::new(E::EVENT, Arc::new(TypedHook { hook, event: PhantomData::<fn(E)> }))
    }

    /// A closure for any event, without types.
    pub fn raw<F, T>(event: impl Into<HookEvent>, hook: F) -> Self
    where
        F: Fn(HookInput) -> T + Send + Sync + 'static,
        T: Future<Output = Result<HookOutput, SeamError>> + Send + 'static,
    {
        Self::new(event, Arc::new(RawHook(hook)))
    }

    /// Calls it for these tools only.
    #[must_use]
    pub fn with_matcher(mut self, matcher: impl Into<String>) -> Self {
        self.matcher = Some(matcher.into());
        self
    }

    /// Gives it that long.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Says what its failure means.
    #[must_use]
    pub fn with_on_failure(mut self, on_failure: OnFailure) -> Self {
        self.on_failure = on_failure;
        self
    }
}

/// A constructor per event, so that a closure need not name its type.
macro_rules! constructors {
    ($($name:ident: $event:ident;)*) => {
        impl HookRegistration {
            $(
                #[doc = concat!("A closure for `", stringify!($event), "`; see [`HookRegistration::on`].")]
                pub fn $name<F, T>(hook: F) -> Self
                where
                    F: Fn($event) -> T + Send + Sync + 'static,
                    T: Future<Output = Result<Reply<$event>, SeamError>> + Send + 'static,
                {
                    Self::on(hook)
                }
            )*
        }
    };
}

constructors! {
    pre_tool_use: PreToolUse;
    post_tool_use: PostToolUse;
    post_tool_use_failure: PostToolUseFailure;
    post_tool_batch: PostToolBatch;
    permission_request: PermissionRequest;
    permission_denied: PermissionDenied;
    user_prompt_submit: UserPromptSubmit;
    user_prompt_expansion: UserPromptExpansion;
    session_start: SessionStart;
    stop: Stop;
    stop_failure: StopFailure;
    subagent_start: SubagentStart;
    subagent_stop: SubagentStop;
    pre_compact: PreCompact;
    post_compact: PostCompact;
    pre_model_switch: PreModelSwitch;
    post_model_switch: PostModelSwitch;
    message_display: MessageDisplay;
    instructions_loaded: InstructionsLoaded;
    notification: Notification;
    config_change: ConfigChange;
    cwd_changed: CwdChanged;
    file_changed: FileChanged;
    directory_added: DirectoryAdded;
    worktree_create: WorktreeCreate;
    worktree_remove: WorktreeRemove;
    task_created: TaskCreated;
    task_completed: TaskCompleted;
    teammate_idle: TeammateIdle;
    elicitation: Elicitation;
    elicitation_result: ElicitationResult;
}

struct TypedHook<E, F> {
    hook: F,
    event: PhantomData<fn(E)>,
}

#[async_trait]
impl<E, F, T> Hook for TypedHook<E, F>
where
    E: HookDetails,
    F: Fn(E) -> T + Send + Sync,
    T: Future<Output = Result<Reply<E>, SeamError>> + Send,
{
    async fn on(&self, input: HookInput) -> Result<HookOutput, SeamError> {
        let details = serde_json::from_value(input.raw)
            .map_err(|error| format!("the input of {} has another form: {error}", E::EVENT))?;
        (self.hook)(details).await.map(HookOutput::from)
    }
}

struct RawHook<F>(F);

#[async_trait]
impl<F, T> Hook for RawHook<F>
where
    F: Fn(HookInput) -> T + Send + Sync,
    T: Future<Output = Result<HookOutput, SeamError>> + Send,
{
    async fn on(&self, input: HookInput) -> Result<HookOutput, SeamError> {
        (self.0)(input).await
    }
}

impl HookInput {
    /// What the agent would tell a hook with this `input` of a `hook_callback`.
    pub fn from_raw(raw: Value) -> Self {
        Self::read(raw, None)
    }

    /// The same as the type of its event.
    pub fn details(&self) -> AnyHookDetails {
        AnyHookDetails::read(&self.event, &self.raw)
    }

    /// Reads the `input` of a `hook_callback`; the request's own tool call id fills in when it has none.
    pub(crate) fn read(raw: Value, tool_use_id: Option<String>) -> Self {
        let text = |key: &str| raw[key].as_str().map(str::to_owned);
        Self {
            event: text("hook_event_name").unwrap_or_default().into(),
            tool_name: text("tool_name"),
            tool_input: raw["tool_input"].clone(),
            tool_use_id: text("tool_use_id").or(tool_use_id),
            agent_id: text("agent_id"),
            raw,
        }
    }
}

/// What the agent says, for whoever asks a hook in its place.
impl From<Value> for HookInput {
    fn from(raw: Value) -> Self {
        Self::read(raw, None)
    }
}

impl HookOutput {
    /// No opinion: things go on as they would.
    pub fn proceed() -> Self {
        Self(json!({}))
    }

    /// PreToolUse: the tool runs and nobody is asked.
    pub fn allow_tool() -> Self {
        Self::decide_tool("allow", None)
    }

    /// PreToolUse: the tool does not run and the agent reads `reason`.
    pub fn deny_tool(reason: impl Into<String>) -> Self {
        Self::decide_tool("deny", Some(reason.into()))
    }

    /// PreToolUse: the gate is asked.
    pub fn ask_gate(reason: impl Into<String>) -> Self {
        Self::decide_tool("ask", Some(reason.into()))
    }

    /// Other events: what was about to happen does not, for `reason`.
    pub fn block(reason: impl Into<String>) -> Self {
        Self(json!({ "decision": "block", "reason": reason.into() }))
    }

    /// The no of an event that can say no, in its own form, for `reason`; `None` where it has none.
    pub fn refuse(event: &HookEvent, reason: &str) -> Option<Self> {
        no(event, reason).map(Self)
    }

    /// What is wrong with this as an answer to `event`, in words that complete "the hook …".
    pub fn fault(&self, event: &HookEvent) -> Option<String> {
        fault(event, self)
    }

    fn decide_tool(decision: &str, reason: Option<String>) -> Self {
        let mut output = json!({ "hookEventName": "PreToolUse", "permissionDecision": decision });
        if let Some(reason) = reason {
            output["permissionDecisionReason"] = reason.into();
        }
        Self(json!({ "hookSpecificOutput": output }))
    }
}

impl fmt::Debug for HookRegistration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HookRegistration")
            .field("event", &self.event)
            .field("matcher", &self.matcher)
            .field("timeout", &self.timeout)
            .field("on_failure", &self.on_failure)
            .finish_non_exhaustive()
    }
}
