//! The Claude agent as a Rust value: start it, speak to it, decide what it may do, end it for good.
//!
//! The crate runs the `claude` CLI and speaks its stream-json protocol. What the official SDKs for Python and
//! TypeScript do is here too, row by row with the test that proves it in the README; what they do wrong is not.
//!
//! # Start
//!
//! ```no_run
//! use sdk_runtime::{AgentOptions, EnvMode, find_cli, query};
//!
//! # async fn ask() -> Result<(), Box<dyn std::error::Error>> {
//! let options = AgentOptions::default()
//!     .with_cli(find_cli(None)?)
//!     .with_cwd("/srv/project")
//!     .with_inherit_env(EnvMode::Merge);
//! let text = query("What is in this folder?", options).text().await?;
//! # drop(text); Ok(())
//! # }
//! ```
//!
//! [`query()`] is one prompt and one answer. [`Conversation`] keeps the agent for more of them. [`Agent`] and
//! [`Events`] are the layer below: one stream of everything, for hosts that keep their own books. When
//! something is wrong with the installation, [`doctor()`] says what and what to do.
//!
//! # Messages
//!
//! [`Message`] is everything an agent says, typed; see [`message`]. Nothing is lost in reading: unknown frames
//! are `Message::Other`, unknown fields are in `extra`, and a field of an odd type leaves the others as they
//! are. `AgentOptions::with_partial_messages` adds the deltas of text, thoughts and tool input. How a turn ended
//! is one word, [`TurnResult::outcome`]: the agent itself calls an API failure a success.
//!
//! # Conversation
//!
//! A prompt is not a turn: the agent merges prompts that wait, folds those that come while a tool runs into the
//! running turn, and wakes by itself when a background task is done. A [`Turn`] begins with its prompt and ends
//! with the result that names it; [`Background`] has the rest. [`Prompt`] takes text, images, documents and
//! verbatim text. [`Turn::interrupt`] stops what runs. An answer as a Rust value is in [`structured`].
//!
//! # Options
//!
//! [`AgentOptions`] has a `with_*` method for each; [`AgentOptions::check`] refuses contradictions before
//! anything starts. The environment is **not** inherited and no settings file is read unless asked for. Values
//! from strangers are safe everywhere. What a running agent can be asked or told is in [`control`].
//!
//! # Hooks
//!
//! The agent stops at its own events and asks; each has a type, and answers that make sense there: [`hook`]. A
//! hook that fails means no.
//!
//! # Permissions
//!
//! A [`Gate`], or a closure, decides about tool calls that rules, mode and hooks leave open; it may change their
//! input and the rules. Without one the answer is no. [`UserQuestions`] and [`PlanApproval`] are the tools that
//! ask a person, [`Elicitor`] and [`Dialogs`] what MCP servers and the agent itself ask one.
//!
//! # MCP
//!
//! Servers of their own, and with the feature `mcp` tools that are functions of this process: [`mcp`]. No secret
//! is ever on a command line.
//!
//! # Sessions and stores
//!
//! [`SessionStart`] resumes, continues and forks. [`sessions`] lists, reads and edits stored sessions without a
//! CLI. [`store`] keeps transcripts where you like and resumes them on another host.
//!
//! # Spares
//!
//! A cold start takes most of a second. [`spares`] keeps parked agents and hands one out in a tenth of it.
//!
//! # Containment
//!
//! Nothing an agent starts survives it: not a close, not a crash, not the host's own end. [`containment`] adds
//! bounds on memory, time and processes, and a jail with a PID namespace. [`sweep_host`] at the start of a host
//! ends what a power cut left; [`try_jail`] tells whether a jail can be had here.
//!
//! # Retry
//!
//! [`retry`] repeats what failed for now and had no effects, within a budget, with a circuit breaker.
//!
//! # Recording
//!
//! [`recording`] writes down what passes between a host and its agents, without secrets, and replays it: a bug
//! report that is a test.
//!
//! # Telemetry
//!
//! Spans and events go to `tracing`: starts, turns, requests, hooks and gates with their outcome and duration,
//! and never with content. [`TraceContext`] puts the agent's work below a span of yours.
//!
//! # Testing
//!
//! With the feature `testing` there is a scripted agent in memory, in place of a process, and a suite that tries
//! every rule of [`store::SessionStore`] on yours. A tool of an in-process MCP server is tested without an agent
//! by its server's `call_tool`.
//!
//! # Errors, and what to do
//!
//! | error | what to do |
//! |---|---|
//! | [`Error::InvalidOption`] | correct the option it names; nothing was started |
//! | [`Error::CliNotFound`], [`Error::CliNotExecutable`], [`Error::CliTooOld`], [`Error::VersionUnreadable`] | install the CLI or correct the path; [`doctor()`] tells more |
//! | [`Error::CwdNotFound`] | make the directory |
//! | [`Error::NotContained`] | see the reason; it is never started without its jail instead |
//! | [`Error::Spawn`], [`Error::HandshakeTimeout`] | may pass: [`Error::is_retryable`] |
//! | [`Error::Startup`] | read its words: an unknown session, a flag, a missing right |
//! | [`Error::NotApplied`], [`Error::HooksFailOpen`] | use a newer CLI; with this one a rule would not hold |
//! | [`Error::Exited`], [`Error::Closed`] | start another agent; `Said::open_prompts` are unanswered |
//! | [`Error::Control`], [`Error::Unsupported`] | the request was refused; the agent works on |
//! | [`Error::ControlTimeout`], [`Error::UnreadableAnswer`] | it may have been done; look before repeating |
//! | [`Error::DuplicatePrompt`] | use a new id |
//! | [`Error::SessionStore`] | see its source; nothing was started |
//! | [`TurnError::Failed`] | [`TurnResult::outcome`] and [`TurnResult::retry_verdict`] |
//!
//! # Dropping futures
//!
//! Every public `async` method says what is lost when it is dropped. No method leaves a process behind, or a
//! torn line that would end the agent.
//!
//! # Platforms
//!
//! Linux is where all of this holds. Elsewhere on Unix the agent itself is ended, but its tools are not searched
//! for, and there is no containment.
//!
//! # Rooms
//!
//! For who works on the crate: [`protocol`] is the conversation as a state machine without I/O; `driver` moves
//! bytes through it; `process` starts and ends real processes; [`framing`] and [`wire`] turn bytes into lines and
//! lines into JSON; `seams` asks hooks and gates.

#![warn(missing_docs)]

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
mod lazy;
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
    containment::{Containment, Exceeded, Jail, Network, Outside, ProcessLimits, RunAs},
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
    lazy::LazyValue,
    limits::Limits,
    message::Message,
    options::{
        AgentDefinition, AgentOptions, DebugLog, Effort, EnvMode, PermissionMode, PermissionPrompts, Plugin,
        QuestionPreview, SYSTEM_PROMPT_DYNAMIC_BOUNDARY, SessionStart, SettingSource, SettingSources,
        Settings, Skills, SystemPrompt, Thinking, ThinkingDisplay,
    },
    process::{
        ProcessLauncher, StderrCallback, cli_places, find_cli, memory_of_agents, sweep_host, try_jail,
    },
    prompt::{Priority, Prompt, PromptContent},
    query::{Query, query, query_with},
    spares::{Claimed, ColdReason, Origin, SparePool, SpareSettings, SpareStats},
    structured::StructuredError,
    trace_context::{TraceContext, TraceContextError},
    turn_result::{Outcome, TurnResult},
    wire::SkipReason,
};

/// The code of README.md compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
