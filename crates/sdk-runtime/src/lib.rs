//! The Claude agent as a Rust value: start it, speak to it, decide what it may do, end it for good.
//!
//! `protocol` is the conversation as a state machine without I/O; `driver` moves bytes through it;
//! `process` starts and ends real processes; `hook` and `gate` are where a host has its say.

mod agent;
mod blocking;
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
mod seams;
mod task;
mod turn_result;
mod writer;

pub mod framing;
pub mod protocol;
pub mod sessions;
pub mod store;
#[cfg(feature = "testing")]
pub mod testing;
pub mod wire;

pub use self::{
    agent::{Agent, InterruptReceipt, PromptContent, Queued},
    error::{Error, Exit, Said},
    event::{DropReason, Event, Events},
    frame::Frame,
    gate::{Decision, Gate, ToolQuestion},
    hook::{HOOK_TIMEOUT_DEFAULT, Hook, HookInput, HookOutput, HookRegistration, OnFailure, SeamError},
    initialized::{CLI_VERSION_MIN, Initialized, probe},
    launcher::{Haste, Invocation, Launcher, Life, Transport},
    limits::Limits,
    options::{AgentOptions, EnvMode, SessionStart, SystemPrompt},
    process::{ProcessLauncher, sweep_host},
    turn_result::{Outcome, TurnResult},
    wire::SkipReason,
};
