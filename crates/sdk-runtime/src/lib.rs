//! The Claude agent as a Rust value: start it, speak to it, decide what it may do, end it for good.
//!
//! `protocol` is the conversation as a state machine without I/O; `driver` moves bytes through it;
//! `process` starts and ends real processes; `hook` and `gate` are where a host has its say.

mod agent;
mod conversation;
mod driver;
mod error;
mod event;
mod frame;
mod gate;
mod hook;
mod initialized;
mod invocation;
mod launcher;
mod limits;
mod link;
mod options;
mod process;
mod prompt;
mod query;
mod seams;
pub mod structured;
mod task;
mod turn_result;
mod writer;

pub mod framing;
pub mod message;
pub mod protocol;
pub mod recording;
#[cfg(feature = "testing")]
pub mod testing;
pub mod wire;

pub use self::{
    agent::{Agent, InterruptReceipt, Queued},
    conversation::{Background, Conversation, Turn, TurnError},
    error::{Error, Exit, Said},
    event::{DropReason, Event, Events},
    frame::Frame,
    gate::{Decision, Gate, ToolQuestion},
    hook::{HOOK_TIMEOUT_DEFAULT, Hook, HookInput, HookOutput, HookRegistration, OnFailure, SeamError},
    initialized::{CLI_VERSION_MIN, Initialized, probe},
    launcher::{Haste, Invocation, Launcher, Life, Transport},
    limits::Limits,
    message::Message,
    options::{AgentOptions, EnvMode, SessionStart, SystemPrompt},
    process::{ProcessLauncher, sweep_host},
    prompt::{Priority, Prompt, PromptContent},
    query::{Query, query, query_with},
    structured::StructuredError,
    turn_result::{Outcome, TurnResult},
    wire::SkipReason,
};
