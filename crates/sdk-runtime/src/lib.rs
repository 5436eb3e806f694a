//! The Claude agent as a Rust value: start it, speak to it, decide what it may do, end it for good.
//!
//! `protocol` is the conversation as a state machine without I/O; `driver` moves bytes through it;
//! `process` starts and ends real processes; `hook` and `gate` are where a host has its say.

mod agent;
mod blocking;
mod clock;
pub mod containment;
mod conversation;
mod dialog;
pub mod doctor;
mod driver;
mod elicitation;
mod error;
mod event;
mod frame;
mod gate;
mod hidden;
mod initialized;
mod invocation;
mod launcher;
mod limits;
mod link;
mod open;
mod options;
mod process;
mod prompt;
mod query;
pub mod retry;
mod seams;
mod setters;
pub mod spares;
pub mod structured;
mod task;
mod telemetry;
mod trace_context;
mod turn_result;
mod writer;

pub mod control;
pub mod framing;
pub mod hook;
pub mod mcp;
pub mod message;
pub mod protocol;
pub mod recording;
pub mod sessions;
pub mod store;
#[cfg(feature = "testing")]
pub mod testing;
pub mod wire;

pub use self::{
    agent::{Agent, InterruptReceipt, Queued},
    containment::{Containment, Exceeded, Jail, Network, Outside, ProcessLimits},
    conversation::{Background, Conversation, Turn, TurnError},
    dialog::{DialogAnswer, DialogHost, Dialogs, UserDialog},
    doctor::doctor,
    elicitation::{ElicitationAnswer, ElicitationMode, ElicitationQuestion, Elicitor, elicitor_fn},
    error::{Error, Exit, Said},
    event::{DropReason, Event, Events},
    frame::Frame,
    gate::{
        Decision, DecisionClassification, Gate, PERMISSION_UPDATES_MAX, PermissionBehavior,
        PermissionDestination, PermissionRule, PermissionUpdate, PlanApproval, QuestionOption, ToolQuestion,
        UserQuestion, UserQuestions, gate_fn,
    },
    hook::{
        HOOK_TIMEOUT_DEFAULT, Hook, HookEvent, HookInput, HookOutput, HookRegistration, OnFailure, SeamError,
    },
    initialized::{CLI_VERSION_MIN, Initialized, probe},
    launcher::{Haste, Invocation, Launcher, Life, Transport},
    limits::Limits,
    message::Message,
    options::{
        AgentDefinition, AgentOptions, DebugLog, Effort, EnvMode, PermissionMode, PermissionPrompts, Plugin,
        QuestionPreview, SYSTEM_PROMPT_DYNAMIC_BOUNDARY, SessionStart, SettingSource, SettingSources,
        Settings, Skills, SystemPrompt, Thinking, ThinkingDisplay,
    },
    process::{ProcessLauncher, StderrCallback, cli_places, find_cli, sweep_host},
    prompt::{Priority, Prompt, PromptContent},
    query::{Query, query, query_with},
    spares::{Claimed, ColdReason, Origin, SparePool, SpareSettings, SpareStats},
    structured::StructuredError,
    trace_context::{TraceContext, TraceContextError},
    turn_result::{Outcome, TurnResult},
    wire::SkipReason,
};
