//! How an attempt ends, and why it is cut short.

use super::launch;
use crate::live::Stop;
use domain::{
    MessageId, Session, SessionId, TurnFailure, TurnStatus, WhenExhausted, budget::UsedUp,
    session::AgentConversation,
};
use sdk_runtime::Said;

/// How an attempt ended, and so the turn if it is not tried again.
#[derive(Debug)]
pub(crate) struct Ended {
    pub status: TurnStatus,
    pub failure: Option<TurnFailure>,
    pub message: Option<String>,
    pub answer: Option<String>,
    pub answer_message_id: Option<MessageId>,
    pub rounds: u32,
    /// Whether the attempt may have called tools.
    pub called_tools: bool,
    /// Where the conversation is now, if that is known.
    pub conversation: Option<AgentConversation>,
    /// Whether the turn may be begun anew: the failure may pass, and nothing was done yet.
    pub may_retry: bool,
    /// Whether the session is paused until there is money again.
    pub pauses: bool,
}

impl Ended {
    /// A turn that failed for good.
    pub(crate) fn failed(failure: TurnFailure, message: impl Into<String>) -> Self {
        Self {
            status: TurnStatus::Failed,
            failure: Some(failure),
            message: Some(message.into()),
            answer: None,
            answer_message_id: None,
            rounds: 0,
            // Until it is known that none was.
            called_tools: true,
            conversation: None,
            may_retry: false,
            pauses: false,
        }
    }

    /// A turn for which there was no money any more.
    pub(crate) fn out_of_money(used_up: &UsedUp) -> Self {
        Self {
            status: TurnStatus::BudgetExhausted,
            pauses: used_up.exhausted.budget.when_exhausted == WhenExhausted::Pause,
            ..Self::failed(TurnFailure::BudgetExhausted, used_up.to_string())
        }
    }

    /// A turn in which this server broke down.
    pub(crate) fn panicked(session_id: SessionId) -> Self {
        tracing::error!(%session_id, "a turn panicked");
        Self::failed(TurnFailure::AgentFailed, "the server failed while it ran the turn")
    }

    /// A turn that was stopped on purpose.
    pub(crate) fn stopped(why: Stop) -> Self {
        let (failure, message) = match why {
            Stop::Interrupt => (TurnFailure::Interrupted, "the turn was interrupted"),
            Stop::Terminate => (TurnFailure::Interrupted, "the session was ended"),
            Stop::Shutdown => (TurnFailure::ServerStopped, "the server was stopped"),
            Stop::LeaseLost => (TurnFailure::ServerStopped, "the server lost its lease while the turn ran"),
        };
        Self { status: TurnStatus::Interrupted, ..Self::failed(failure, message) }
    }

    pub(crate) fn in_conversation(self, conversation: AgentConversation) -> Self {
        Self { conversation: Some(conversation), ..self }
    }

    pub(crate) fn retryable(self) -> Self {
        Self { may_retry: true, ..self }
    }

    /// A turn in which the agent died. It may be begun anew if no tool was called.
    pub(crate) fn died(said: Option<&Said>, called_tools: bool) -> Self {
        if let Some(exceeded) = said.and_then(|said| said.exit.exceeded) {
            return launch::limit_exceeded(exceeded);
        }
        let words = said.map_or_else(|| "it said nothing".to_owned(), Said::words);
        let ended = Self::failed(
            TurnFailure::AgentFailed,
            format!("the agent ended in the middle of the turn: {words}"),
        );
        if called_tools { ended } else { ended.retryable() }
    }
}

/// Why an attempt is being cut short.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Cut {
    Stop(Stop),
    Deadline,
}

impl Cut {
    pub(crate) fn ended(self, session: &Session) -> Ended {
        match self {
            Self::Stop(why) => Ended::stopped(why),
            Self::Deadline => Ended::failed(
                TurnFailure::AgentTimeout,
                format!("the turn took longer than {} s", session.spec.timeout_seconds),
            ),
        }
    }
}
