//! The verdict: whether something that failed may be done again without anything happening twice.

use std::io::ErrorKind;

use crate::{
    error::{Error, Said},
    event::{Event, Events},
    frame::Frame,
    turn_result::{Outcome, TurnResult},
};

/// Frames of the system that tell of work begun beside the conversation.
const TASK_FRAMES: [&str; 4] = ["task_started", "task_progress", "task_updated", "task_notification"];

/// What is known of what a turn did. Give it every event from the prompt on, and begin it with
/// [`Footprint::from_here`], because an overrun is told once and concerns all turns after it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Footprint {
    called_tools: bool,
    wrote: bool,
    lost: bool,
}

/// Whether a failed turn may be repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RetryVerdict {
    /// It had no effects, and what failed may pass.
    Retry,
    /// It must not, or it would not help.
    Never(NoRetry),
}

/// Why a turn is not to be repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum NoRetry {
    /// It did not fail.
    DidNotFail,
    /// A tool was called, or a task begun. Even if it was denied: a hook may have acted on it.
    CalledTools,
    /// Something was written that somebody may have read.
    Wrote,
    /// Something the agent said was lost, so nobody knows.
    Uncertain,
    /// It would fail the same way.
    NotTransient,
}

impl Footprint {
    /// That of a turn whose prompt is sent now.
    pub fn from_here(events: &Events) -> Self {
        Self { lost: events.has_overrun(), ..Self::default() }
    }

    /// Takes note of an event.
    pub fn observe(&mut self, event: &Event) {
        match event {
            Event::Frame(frame) => self.frame(frame),
            Event::Skipped { .. } | Event::Overrun { .. } => self.lost = true,
            Event::Finished { .. } | Event::Dropped { .. } | Event::MirrorFailed(_) | Event::Exited(_) => {}
        }
    }

    /// Whether a tool was called.
    pub fn called_tools(&self) -> bool {
        self.called_tools
    }

    fn frame(&mut self, frame: &Frame) {
        let has = |kind: &str| frame.blocks().iter().any(|block| block["type"].as_str() == Some(kind));
        match frame {
            // A made-up message that reports the failure is none of the model's.
            Frame::Assistant { error: Some(_), .. } => {}
            Frame::Assistant { .. } => {
                self.wrote = true;
                self.called_tools |= frame
                    .blocks()
                    .iter()
                    .any(|block| block["type"].as_str().is_some_and(|kind| kind.ends_with("tool_use")));
            }
            Frame::User { .. } => self.called_tools |= has("tool_result"),
            Frame::StreamEvent { raw, .. } => match raw["event"]["type"].as_str() {
                Some("content_block_start") => {
                    self.wrote = true;
                    let kind = raw["event"]["content_block"]["type"].as_str();
                    self.called_tools |= kind.is_some_and(|kind| kind.ends_with("tool_use"));
                }
                Some("content_block_delta") => self.wrote = true,
                _ => {}
            },
            Frame::System { subtype, .. } => self.called_tools |= TASK_FRAMES.contains(&subtype.as_str()),
            Frame::Lifecycle { .. } | Frame::Unknown(_) => {}
        }
        self.called_tools |= frame.kind() == "tool_progress";
    }

    fn effects(self) -> Option<NoRetry> {
        match self {
            Self { called_tools: true, .. } => Some(NoRetry::CalledTools),
            Self { wrote: true, .. } => Some(NoRetry::Wrote),
            Self { lost: true, .. } => Some(NoRetry::Uncertain),
            Self { called_tools: false, wrote: false, lost: false } => None,
        }
    }
}

impl TurnResult {
    /// Whether this turn may be repeated, given what it did.
    pub fn retry_verdict(&self, footprint: &Footprint) -> RetryVerdict {
        if !self.is_error {
            return RetryVerdict::Never(NoRetry::DidNotFail);
        }
        if let Some(effects) = footprint.effects() {
            return RetryVerdict::Never(effects);
        }
        // Its own count of rounds speaks too, should the events have been read by somebody else.
        if self.num_turns > 1 {
            return RetryVerdict::Never(NoRetry::Uncertain);
        }
        match self.is_transient_failure() {
            true => RetryVerdict::Retry,
            false => RetryVerdict::Never(NoRetry::NotTransient),
        }
    }

    /// Whether the model's API failed in a way that passes: no connection, overload, a fault of its own.
    pub fn is_transient_failure(&self) -> bool {
        match self.outcome() {
            Outcome::ApiError { status: None } => self.terminal_reason.as_deref() == Some("api_error"),
            Outcome::ApiError { status: Some(status) } => matches!(status, 408 | 429 | 500..=599),
            _ => false,
        }
    }
}

impl Said {
    /// Whether a prompt this agent left unfinished may be given to another one.
    pub fn retry_verdict(&self, footprint: &Footprint) -> RetryVerdict {
        match footprint.effects() {
            Some(effects) => RetryVerdict::Never(effects),
            // It would use too much again.
            None if self.exit.exceeded.is_some() => RetryVerdict::Never(NoRetry::NotTransient),
            None => RetryVerdict::Retry,
        }
    }
}

impl Error {
    /// Whether a start that failed like this may succeed the next time. Errors of an agent that runs are
    /// never retryable by themselves: what was asked of it may still have its effects.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Spawn { source, .. } => {
                matches!(
                    source.kind(),
                    // Too many processes or files, too little memory, a CLI that is being replaced.
                    ErrorKind::WouldBlock
                        | ErrorKind::OutOfMemory
                        | ErrorKind::Interrupted
                        | ErrorKind::TimedOut
                        | ErrorKind::ExecutableFileBusy
                        | ErrorKind::ResourceBusy
                        | ErrorKind::QuotaExceeded
                ) || matches!(source.raw_os_error(), Some(nix::libc::EMFILE | nix::libc::ENFILE))
            }
            // One that exits says why, and would say it again; one that is killed says nothing.
            Self::Startup { said } => said.exit.code.is_none() && said.exit.exceeded.is_none(),
            Self::HandshakeTimeout { .. } => true,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{io, sync::Arc, time::Duration};

    use serde_json::{Value, json};

    use super::*;
    use crate::{containment::Exceeded, error::Exit, wire::SkipReason};

    fn failed(status: Value) -> TurnResult {
        TurnResult::read(json!({
            "type": "result", "subtype": "success", "is_error": true, "num_turns": 1,
            "terminal_reason": "api_error", "api_error_status": status,
        }))
    }

    fn saw(frames: &[Value]) -> Footprint {
        let mut footprint = Footprint::default();
        for frame in frames {
            footprint.observe(&Event::Frame(Frame::read(frame.clone())));
        }
        footprint
    }

    #[test]
    fn which_failures_of_the_api_pass() {
        let nothing = Footprint::default();
        for status in [json!(null), json!(408), json!(429), json!(500), json!(502), json!(503), json!(529)] {
            assert_eq!(failed(status.clone()).retry_verdict(&nothing), RetryVerdict::Retry, "{status}");
        }
        for status in [400, 401, 403, 404, 413, 422] {
            let verdict = failed(json!(status)).retry_verdict(&nothing);
            assert_eq!(verdict, RetryVerdict::Never(NoRetry::NotTransient), "{status}");
        }
        for (subtype, reason) in [
            ("error_max_turns", "max_turns"),
            ("error_max_budget_usd", "budget_exhausted"),
            ("error_during_execution", "aborted_streaming"),
            ("success", "image_error"),
        ] {
            let result = TurnResult::read(json!({
                "subtype": subtype, "is_error": true, "terminal_reason": reason, "num_turns": 1,
            }));
            let verdict = result.retry_verdict(&nothing);
            assert_eq!(verdict, RetryVerdict::Never(NoRetry::NotTransient), "{reason}");
        }
        let well = TurnResult::read(json!({ "subtype": "success", "is_error": false }));
        assert_eq!(well.retry_verdict(&nothing), RetryVerdict::Never(NoRetry::DidNotFail));
    }

    #[test]
    fn which_traces_forbid_a_repetition() {
        let assistant = |block: Value| json!({ "type": "assistant", "message": { "content": [block] } });
        let text = json!({ "type": "text", "text": "x" });
        let tool = json!({ "type": "tool_use", "id": "t", "name": "Bash", "input": {} });
        let result = json!({ "type": "user", "message": { "content": [{ "type": "tool_result" }] } });
        let delta = json!({ "type": "stream_event", "event": { "type": "content_block_delta" } });
        let start = json!({ "type": "stream_event", "event": {
            "type": "content_block_start", "content_block": { "type": "tool_use" },
        }});
        let task = json!({ "type": "system", "subtype": "task_started" });
        for (frame, why) in [
            (assistant(text), NoRetry::Wrote),
            (assistant(tool), NoRetry::CalledTools),
            (result, NoRetry::CalledTools),
            (delta, NoRetry::Wrote),
            (start, NoRetry::CalledTools),
            (task, NoRetry::CalledTools),
            (json!({ "type": "tool_progress" }), NoRetry::CalledTools),
        ] {
            let verdict = failed(json!(529)).retry_verdict(&saw(std::slice::from_ref(&frame)));
            assert_eq!(verdict, RetryVerdict::Never(why), "{frame}");
        }
        let mut report = assistant(json!({ "type": "text", "text": "API Error: overloaded" }));
        report["error"] = json!("overloaded");
        let harmless = [
            json!({ "type": "system", "subtype": "init" }),
            json!({ "type": "system", "subtype": "api_retry" }),
            json!({ "type": "stream_event", "event": { "type": "message_start" } }),
            report,
        ];
        assert_eq!(failed(json!(529)).retry_verdict(&saw(&harmless)), RetryVerdict::Retry);
        let mut lossy = Footprint::default();
        lossy.observe(&Event::Skipped { reason: SkipReason::Oversized, bytes: 9 });
        let verdict = failed(json!(529)).retry_verdict(&lossy);
        assert_eq!(verdict, RetryVerdict::Never(NoRetry::Uncertain));
    }

    #[test]
    fn which_starts_may_succeed_the_next_time() {
        let spawn = |kind: io::Error| Error::Spawn { program: "x".into(), source: Arc::new(kind) };
        let said = |exit: Exit| Arc::new(Said { exit, ..Said::default() });
        let exceeded = Some(Exceeded::Processes { used: 2, max: 1 });
        for (error, is_retryable) in [
            (spawn(io::Error::from_raw_os_error(nix::libc::EAGAIN)), true),
            (spawn(io::Error::from_raw_os_error(nix::libc::EMFILE)), true),
            (spawn(io::Error::from_raw_os_error(nix::libc::ENOMEM)), true),
            (spawn(io::Error::from_raw_os_error(nix::libc::E2BIG)), false),
            (spawn(io::ErrorKind::InvalidInput.into()), false),
            (Error::CliNotFound { path: "x".into() }, false),
            (Error::CwdNotFound { path: "x".into() }, false),
            (Error::NotContained { why: String::new() }, false),
            (Error::Startup { said: said(Exit { code: Some(1), ..Exit::default() }) }, false),
            (Error::Startup { said: said(Exit { signal: Some(9), ..Exit::default() }) }, true),
            (Error::Startup { said: said(Exit { signal: Some(9), exceeded, ..Exit::default() }) }, false),
            (Error::HandshakeTimeout { waited: Duration::ZERO, said: said(Exit::default()) }, true),
            (Error::Exited { said: said(Exit::default()) }, false),
            (Error::ControlTimeout { subtype: "x".into(), waited: Duration::ZERO }, false),
            (Error::Closed, false),
        ] {
            assert_eq!(error.is_retryable(), is_retryable, "{error:?}");
        }
    }
}
