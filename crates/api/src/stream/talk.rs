//! A conversation over a WebSocket: what the session does goes out, what the client says comes in.

use super::{
    event::StreamEvent,
    line::{Gone, Line},
};
use crate::{
    approvals::{ANSWER_REASON_CHARS_MAX, AnswerRequest, AnswerWord, Answers, Remember},
    caller::{
        out_of_reach,
        pass::{Pass, Standing, revocation},
    },
    error::problem,
    prompt::Prompt,
    rate_limit::{CallerKey, RateLimiter, too_many},
    sessions::query::{IfBusy, begin},
};
use actix_ws::{AggregatedMessage, AggregatedMessageStream, CloseCode, CloseReason, ProtocolError};
use apidoc::{Problem, Violation};
use domain::{Access, ApprovalId, Area, Reach, SessionId};
use engine::{Error, SessionManager, Watch};
use futures::{StreamExt, future::LocalBoxFuture, stream::FuturesUnordered};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, MissedTickBehavior, interval};
use uuid::Uuid;
use validator::{Validate, ValidationError, ValidationErrors, ValidationErrorsKind};

/// Commands of one client that are under way; more are read when one is done.
const COMMANDS_MAX: usize = 8;
/// How long a client may stay silent although it is asked whether it is there.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// Longest `request_id`, in bytes.
const REQUEST_ID_BYTES_MAX: usize = 128;

/// What a client says. Every command may carry a `request_id`, which its answer repeats.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Command {
    /// Begins a turn; `message_sent` says that it began.
    Query {
        request_id: Option<String>,
        message: Prompt,
        #[serde(default)]
        if_busy: IfBusy,
    },
    /// Stops the running turn; its `result` says that it stopped.
    Interrupt { request_id: Option<String> },
    /// Answers an approval; `approval_decided` says which answer stands.
    Approval {
        request_id: Option<String>,
        approval_id: Uuid,
        decision: AnswerWord,
        reason: Option<String>,
        updated_input: Option<Value>,
        answers: Option<Answers>,
        remember: Option<Remember>,
    },
    /// Answered by `pong`.
    Ping { request_id: Option<String> },
}

/// What a client is told.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Told {
    Event(StreamEvent),
    Reply(Reply),
}

/// What concerns this connection alone.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Reply {
    /// The first thing said. Events after `seq` follow.
    Connected { session_id: Uuid, seq: u64 },
    Pong {
        #[serde(skip_serializing_if = "Option::is_none")]
        request_id: Option<String>,
    },
    /// A command was not carried out.
    Error {
        #[serde(skip_serializing_if = "Option::is_none")]
        request_id: Option<String>,
        error_code: String,
        detail: Option<String>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        errors: Vec<Violation>,
    },
}

/// One client at one session.
pub struct Talk {
    pub sessions: SessionManager,
    pub pass: Pass,
    /// Counts what the client says, as requests of whoever this is.
    pub limiter: Option<(Arc<RateLimiter>, CallerKey)>,
    /// How often `pass` is checked again, and a silent client asked whether it is there.
    pub check_interval: Duration,
    pub session_id: SessionId,
    pub line: Line,
    pub incoming: AggregatedMessageStream,
}

type Running = FuturesUnordered<LocalBoxFuture<'static, Result<Option<Reply>, End>>>;

/// Why a conversation ends.
enum End {
    /// The client left, or takes nothing.
    Gone,
    /// We say goodbye with this.
    Close(CloseCode, &'static str),
}

/// The credential that opened the connection ended.
const REFUSED: End = End::Close(CloseCode::Policy, "the credential is not valid any more");

impl From<Gone> for End {
    fn from(_: Gone) -> Self {
        Self::Gone
    }
}

impl Talk {
    /// Talks until one side ends it.
    pub async fn run(mut self, mut watch: Watch, after: u64) {
        let end = match self.until_end(&mut watch, after).await {
            Ok(never) => match never {},
            Err(end) => end,
        };
        if let End::Close(code, why) = end
            && self.line.close(CloseReason { code, description: Some(why.to_owned()) }).await.is_err()
        {
            tracing::debug!("a client left before it was told why it had to");
        }
    }

    async fn until_end(&mut self, watch: &mut Watch, after: u64) -> Result<std::convert::Infallible, End> {
        let connected = Reply::Connected { session_id: self.session_id.0, seq: after };
        self.line.send(&Told::Reply(connected)).await?;
        let mut running = Running::new();
        let mut heard_at = Instant::now();
        let mut revoked = self.pass.revoked();
        let mut pings = interval(self.check_interval);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                message = self.incoming.recv(), if running.len() < COMMANDS_MAX => {
                    heard_at = Instant::now();
                    self.hear(message, &mut running).await?;
                }
                Some(reply) = running.next() => {
                    if let Some(reply) = reply? {
                        self.line.send(&Told::Reply(reply)).await?;
                    }
                }
                seen = watch.next() => match seen {
                    Ok(Some(sight)) => self.line.send(&Told::Event(sight.into())).await?,
                    Ok(None) => return Err(End::Close(CloseCode::Again, "too slow; come back after your last seq")),
                    Err(Error::ShuttingDown) => return Err(End::Close(CloseCode::Away, "the server is ending")),
                    Err(error) => {
                        let code = problem(error).error_code().to_owned();
                        tracing::debug!(code, "a WebSocket broke off");
                        return Err(End::Close(CloseCode::Error, "the session cannot be watched now"));
                    }
                },
                () = revocation(&mut revoked) => {
                    if self.pass.is_refused().await {
                        return Err(REFUSED);
                    }
                }
                _ = pings.tick() => {
                    // With all commands under way nobody listens, so silence means nothing.
                    if running.len() < COMMANDS_MAX && heard_at.elapsed() > SILENCE_MAX {
                        return Err(End::Gone);
                    }
                    if self.pass.is_refused().await {
                        return Err(REFUSED);
                    }
                    self.line.ping().await?;
                }
            }
        }
    }

    async fn hear(
        &mut self,
        message: Option<Result<AggregatedMessage, ProtocolError>>,
        running: &mut Running,
    ) -> Result<(), End> {
        match message {
            Some(Ok(AggregatedMessage::Text(text))) => {
                match self.admit(&text).and_then(|()| parse(&text)) {
                    Ok(command) => running.push(self.carry_out(command)),
                    Err(reply) => self.line.send(&Told::Reply(reply)).await?,
                }
                Ok(())
            }
            Some(Ok(AggregatedMessage::Ping(payload))) => Ok(self.line.pong(&payload).await?),
            Some(Ok(AggregatedMessage::Pong(_))) => Ok(()),
            Some(Ok(AggregatedMessage::Binary(_))) => {
                Err(End::Close(CloseCode::Unsupported, "messages are JSON texts"))
            }
            Some(Ok(AggregatedMessage::Close(_))) => Err(End::Close(CloseCode::Normal, "goodbye")),
            // After this the stream has lost its place and cannot go on.
            Some(Err(ProtocolError::Overflow)) => {
                Err(End::Close(CloseCode::Size, "the message is too large"))
            }
            Some(Err(error)) => {
                tracing::debug!(%error, "a client broke the protocol");
                Err(End::Close(CloseCode::Protocol, "this is not the WebSocket protocol"))
            }
            None => Err(End::Gone),
        }
    }

    /// Counts a message, or refuses it.
    fn admit(&self, text: &str) -> Result<(), Reply> {
        let Some((limiter, caller)) = &self.limiter else { return Ok(()) };
        match limiter.count(*caller).retry_after_seconds {
            None => Ok(()),
            Some(seconds) => Err(refusal(request_id_in(text), &too_many(seconds))),
        }
    }

    /// Carries a command out beside the stream, which must not wait for it.
    fn carry_out(&self, command: Command) -> LocalBoxFuture<'static, Result<Option<Reply>, End>> {
        let (sessions, pass, id) = (self.sessions.clone(), self.pass.clone(), self.session_id);
        Box::pin(async move {
            let talk = Access::to(Area::Sessions, Reach::Write);
            let answer = Access::to(Area::Approvals, Reach::Write);
            let caller = match pass.check().await {
                Standing::Good(caller) => caller,
                Standing::Refused => return Err(REFUSED),
                Standing::Unknown(error) => {
                    let request_id = command.request_id().map(str::to_owned);
                    return Ok(Some(refusal(request_id, &problem(error))));
                }
            };
            let (request_id, refused) = match command {
                Command::Ping { request_id } => return Ok(Some(Reply::Pong { request_id })),
                Command::Query { request_id, .. } | Command::Interrupt { request_id }
                    if !caller.access.covers(talk) =>
                {
                    (request_id, Some(out_of_reach(&caller, talk)))
                }
                Command::Approval { request_id, .. } if !caller.access.covers(answer) => {
                    (request_id, Some(out_of_reach(&caller, answer)))
                }
                Command::Query { request_id, message, if_busy } => {
                    let begun = begin(&sessions, &caller, id, message, if_busy).await;
                    (request_id, begun.err().map(problem))
                }
                Command::Interrupt { request_id } => {
                    let stopped = sessions.interrupt(&caller, id).await;
                    (request_id, stopped.err().map(problem))
                }
                Command::Approval {
                    request_id,
                    approval_id,
                    decision,
                    reason,
                    updated_input,
                    answers,
                    remember,
                } => {
                    let answer = AnswerRequest { decision, reason, updated_input, answers, remember };
                    let answered = sessions.answer(&caller, id, ApprovalId(approval_id), answer.into()).await;
                    (request_id, answered.err().map(problem))
                }
            };
            Ok(refused.map(|problem| refusal(request_id, &problem)))
        })
    }
}

fn refusal(request_id: Option<String>, problem: &Problem) -> Reply {
    Reply::Error {
        request_id,
        error_code: problem.error_code().to_owned(),
        detail: problem.detail().map(str::to_owned),
        errors: problem.violations().to_vec(),
    }
}

fn parse(text: &str) -> Result<Command, Reply> {
    apidoc::parse_json(text.as_bytes()).map_err(|problem| refusal(request_id_in(text), &problem))
}

impl Command {
    fn request_id(&self) -> Option<&str> {
        match self {
            Self::Query { request_id, .. }
            | Self::Interrupt { request_id }
            | Self::Approval { request_id, .. }
            | Self::Ping { request_id } => request_id.as_deref(),
        }
    }
}

impl Validate for Command {
    fn validate(&self) -> Result<(), ValidationErrors> {
        let mut errors = ValidationErrors::new();
        if self.request_id().is_some_and(|id| id.len() > REQUEST_ID_BYTES_MAX) {
            errors.add("request_id", ValidationError::new("length").with_message("length: max 128".into()));
        }
        if let Self::Query { message, .. } = self
            && let Err(broken) = message.validate()
        {
            errors.errors_mut().insert("message".into(), ValidationErrorsKind::Struct(Box::new(broken)));
        }
        if let Self::Approval { reason: Some(reason), .. } = self
            && reason.chars().count() as u64 > ANSWER_REASON_CHARS_MAX
        {
            let message = format!("length: max {ANSWER_REASON_CHARS_MAX}");
            errors.add("reason", ValidationError::new("length").with_message(message.into()));
        }
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }
}

/// The `request_id` of a message that is no command, so that its sender knows which one was refused.
fn request_id_in(text: &str) -> Option<String> {
    /// What else there is, is passed over and not kept.
    #[derive(Deserialize)]
    struct Named {
        request_id: String,
    }
    let Named { request_id } = serde_json::from_str(text).ok()?;
    (request_id.len() <= REQUEST_ID_BYTES_MAX).then_some(request_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_that_is_no_command_has_a_name_all_the_same() {
        let named = r#"{"type": "dance", "steps": [1, [2, {"x": null}]], "request_id": "r", "request": {}}"#;
        assert_eq!(request_id_in(named).as_deref(), Some("r"));
        let long = format!(r#"{{"request_id": "{}"}}"#, "x".repeat(REQUEST_ID_BYTES_MAX + 1));
        for nameless in ["{}", r#"{"request_id": 7}"#, r#"{"request_id": null}"#, "r", &long] {
            assert_eq!(request_id_in(nameless), None, "{nameless}");
        }
    }
}
