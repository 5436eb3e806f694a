//! Trying policies on a tool call that nobody makes: nothing runs, and nothing is recorded.

use super::{PolicyManager, compile};
use crate::{
    Error, FieldError, Result,
    agent::Directories,
    draft::SessionDraft,
    governance::{built_in_policies, surroundings},
    workdir::{self, WorkingDirectory},
};
use domain::{Caller, Opinion, Session, SessionId, Verdict};
use permissions::{ToolCall, cedar::CedarCall};
use serde_json::Value;
use std::path::PathBuf;

/// A tool call to be tried.
#[derive(Debug, Clone, Default)]
pub struct TriedCall {
    pub tool_name: String,
    pub tool_input: Value,
    /// The session that would make it; without one, a new session of the caller.
    pub session_id: Option<SessionId>,
    /// The agent's working directory; without one, the session's.
    pub cwd: Option<PathBuf>,
    pub permission_mode: Option<String>,
    /// The subagent that would make it.
    pub agent_id: Option<String>,
    /// Policies to be asked beside those that judge in the session.
    pub policies: Vec<String>,
    /// The text of a policy that is not stored, to be asked as well.
    pub text: Option<String>,
}

/// What would become of a call.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    /// The opinion that decides.
    pub opinion: Opinion,
    /// What each policy says, the built-in ones first.
    pub opinions: Vec<Opinion>,
}

/// What a text that is only tried is called in opinions.
const TRIED: &str = "(text)";

impl PolicyManager {
    /// What would become of the call in the session, and what each policy says of it.
    pub async fn evaluate(&self, caller: &Caller, tried: TriedCall) -> Result<Evaluation> {
        let inner = &self.sessions.inner;
        let session = match tried.session_id {
            Some(id) => self.sessions.load(caller.scope(), id).await?,
            None => self.imagined(caller),
        };
        let mut faults = vec![];
        let mut chosen = session.spec.custom_policies.clone();
        let in_force = inner.stores.policies.policies_in_force().await?;
        for (index, name) in tried.policies.into_iter().enumerate() {
            if !in_force.iter().any(|policy| policy.name == name) {
                let message = format!("there is no policy named {name:?} on this server");
                faults.push(FieldError::new(format!("/policies/{index}"), "unknown", message));
            } else if !chosen.contains(&name) {
                chosen.push(name);
            }
        }
        let text = match tried.text {
            None => None,
            Some(text) => match compile(TRIED, &text).await? {
                Ok(policy) => Some(policy),
                Err(more) => {
                    faults.extend(more);
                    None
                }
            },
        };
        if !faults.is_empty() {
            return Err(Error::Invalid(faults));
        }
        let call = ToolCall {
            tool_name: tried.tool_name,
            input: tried.tool_input,
            tool_use_id: None,
            agent_id: tried.agent_id,
            cwd: tried.cwd.unwrap_or_else(|| PathBuf::from(&session.spec.working_directory)),
            permission_mode: Some(tried.permission_mode.unwrap_or(session.spec.permission_mode.clone())),
        };
        let surroundings = surroundings(&session, &Directories::of(&inner.settings, &session));
        let mut opinions = built_in_policies(&inner.settings, &session).opinions(&call, &surroundings).await;
        let in_words = CedarCall::new(&call, &surroundings, inner.clock.now());
        match inner.governance.book.judging(&chosen, None).await {
            Ok(judging) => opinions.extend(judging.iter().map(|policy| policy.judge(&in_words))),
            Err(error) => {
                opinions.push(Opinion::new(Verdict::Deny, "custom", "cannot_judge", error.to_string()));
            }
        }
        opinions.extend(text.map(|policy| policy.judge(&in_words)));
        let opinion = opinions.iter().cloned().fold(Opinion::abstain("none"), Opinion::or);
        Ok(Evaluation { opinion, opinions })
    }

    /// A session as the caller would get it by asking for nothing in particular.
    fn imagined(&self, caller: &Caller) -> Session {
        let inner = &self.sessions.inner;
        let id = SessionId::new();
        let path = workdir::home(&inner.settings, caller.user_id).join(id.to_string());
        let directory = WorkingDirectory { path, is_own: true };
        let draft = SessionDraft::default();
        draft.in_directory(&inner.settings, caller.user_id, id, inner.clock.now(), directory).0
    }
}
