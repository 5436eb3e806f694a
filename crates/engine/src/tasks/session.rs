//! Sessions that executions work in: made, given their one prompt, and stopped.

use crate::{
    Error, Result, SessionManager,
    draft::SessionDraft,
    live::{Pool, Subject},
};
use domain::{
    Execution, Expected, Origin, Scope, SdkOptions, Session, SessionId, SessionMode, Task, Turn, TurnId,
    history::MessageType,
    ports::{Moved, StoreError},
    turn::NewTurn,
};
use serde_json::{Value, json};
use std::sync::PoisonError;

/// Messages among which the agent's last words are looked for.
const LAST_MESSAGES: u64 = 20;

impl SessionManager {
    /// How many more background sessions this server can begin to run now.
    pub(super) fn free_task_slots(&self, taken: usize) -> usize {
        let pool = Pool::Background;
        if self.admit_work().is_err() || self.inner.admission.is_crowded(pool) {
            return 0;
        }
        let at_work: usize = self.inner.live.running(pool).values().sum();
        self.inner.live.limit(pool).saturating_sub(at_work.max(taken))
    }

    /// Makes the session of an execution's attempt. One that is there already is taken as it is.
    pub(super) async fn create_task_session(&self, task: &Task, execution: &Execution) -> Result<Session> {
        self.admit_work()?;
        self.afford(task.user_id, None).await?;
        if let Err(why) = &self.inner.settings.agent.cli {
            return Err(Error::AgentUnavailable(why.clone()));
        }
        let draft = draft(task, execution);
        match self.create_as(task.user_id, Origin::system(), draft).await {
            Ok((session, _)) => Ok(session),
            Err(Error::Store(StoreError::Conflict { .. })) => {
                self.load(Scope::All, execution.session_id).await
            }
            Err(error) => Err(error),
        }
    }

    /// Begins the execution's turn now; false if it would have to wait.
    pub(super) async fn begin_task_turn(
        &self,
        session: &Session,
        turn_id: TurnId,
        prompt: &str,
    ) -> Result<bool> {
        let at = self.inner.clock.now();
        let (prompt, payers) = (Value::String(prompt.to_owned()), Vec::new());
        let turn = NewTurn { id: turn_id, session_id: session.id, prompt, payers, at };
        let (this, subject) = (self.clone(), Subject::from(session));
        let begin = async move {
            this.admit_work()?;
            this.begin_now(subject, &turn).await
        };
        Ok(self.see_through(begin).await?.is_some())
    }

    /// Stops the turn of an execution, wherever it runs; nothing happens if there is none.
    pub(super) async fn stop_task_turn(&self, execution: &Execution) -> Result<()> {
        match execution.turn_id {
            Some(turn) => self.interrupt_turn(execution.session_id, turn).await,
            None => Ok(()),
        }
    }

    /// Keeps anything from beginning in the session, if it is there.
    pub(super) async fn bar_task_session(&self, id: SessionId) -> Result<()> {
        let now = self.inner.clock.now();
        match self.inner.stores.sessions.terminate(id, &Expected::ANY, now, &Origin::system()).await? {
            Moved::Moved(session, event) => {
                self.inner.feed.publish([event]);
                self.clear_away(&session).await
            }
            Moved::Refused(_) | Moved::Held(_) | Moved::NoSession => Ok(()),
        }
    }

    /// The turn of an execution whose worker was lost, if it ever began; it is over in any case.
    pub(super) async fn lost_task_turn(&self, session: SessionId, id: TurnId) -> Result<Option<Turn>> {
        let Some(turn) = self.inner.stores.turns.get(session, id).await? else { return Ok(None) };
        if turn.status.is_over() {
            return Ok(Some(turn));
        }
        let is_ours = self.inner.running.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&id);
        if is_ours {
            return self.wait_for_turn(session, id).await.map(Some);
        }
        self.end_orphan(&turn).await?;
        let turn = self.inner.stores.turns.get(session, id).await?.ok_or(Error::NotFound("turn"))?;
        let over = turn.status.is_over();
        // Its home lives after all, and has heard that it is to stop.
        if over { Ok(Some(turn)) } else { Err(Error::Internal("end a turn that its home still runs")) }
    }

    /// The last that the agent said, as far as it is text.
    pub(super) async fn last_words(&self, session: &Session) -> Result<Option<String>> {
        let skip = session.counters.messages.saturating_sub(LAST_MESSAGES);
        let mut page = domain::PageRequest {
            skip: u32::try_from(skip).unwrap_or(u32::MAX),
            ..domain::PageRequest::first(LAST_MESSAGES as u32)
        };
        let mut last = None;
        // Large ones come in pages of few.
        loop {
            let messages = self.inner.stores.history.messages(session.id, &page).await?;
            let said = messages.items.iter().rev().filter(|one| one.message_type == MessageType::Assistant);
            let said = said.map(|message| text_of(&message.content)).find(|text| !text.is_empty());
            last = said.or(last);
            if messages.next_cursor.is_none() {
                return Ok(last);
            }
            page.cursor = messages.next_cursor;
        }
    }
}

fn text_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(blocks) => {
            let texts = blocks.iter().filter_map(|block| block["text"].as_str());
            texts.collect::<Vec<_>>().join("\n")
        }
        _ => String::new(),
    }
}

fn draft(task: &Task, execution: &Execution) -> SessionDraft {
    let spec = task.spec.clone();
    let mut disallowed = spec.sdk_options.disallowed_tools.clone();
    disallowed.extend(spec.disallowed_tools);
    SessionDraft {
        id: Some(execution.session_id),
        name: Some(task.name.clone()),
        description: task.description.clone(),
        mode: Some(SessionMode::Background),
        working_directory: spec.working_directory,
        allowed_tools: spec.allowed_tools,
        system_prompt: spec.system_prompt,
        sdk_options: Some(SdkOptions { disallowed_tools: disallowed, ..spec.sdk_options }),
        metadata: Some(json!({
            "task_id": task.id, "execution_id": execution.id, "attempt": execution.attempt,
        })),
        // An attempt that failed is followed by another execution's attempt, not by another turn's.
        max_retries: Some(0),
        timeout_seconds: spec.timeout_seconds,
        hooks_enabled: spec.hooks_enabled,
        permission_mode: spec.permission_mode,
        custom_policies: spec.custom_policies,
        initial_message: Some(Value::String(execution.prompt.clone())),
        ..SessionDraft::default()
    }
}
