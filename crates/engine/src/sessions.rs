//! Sessions as people manage them: create, find, change, set aside, end.

use crate::{
    Error, FieldError, Result, SessionManager,
    admission::Room,
    draft::{SessionDraft, start},
    fork::ForkDraft,
    live::Stop,
};
use domain::{
    Budget, Caller, Expected, MicroUsd, Origin, Page, PageRequest, Role, Scope, Session, SessionId,
    SessionMode, SessionStatus, Spender, UserId, WhenExhausted,
    ports::Moved,
    session::{SessionFilter, SessionPatch},
    spec::PERMISSION_MODES,
};
use serde_json::Value;

impl SessionManager {
    /// Creates a session; one with a first message starts on it at once.
    pub async fn create(&self, caller: &Caller, draft: SessionDraft) -> Result<Session> {
        self.admit_work()?;
        let draft = self.filled_by_template(caller, draft).await?;
        if draft.mode == Some(SessionMode::Forked)
            && let Some(parent) = draft.parent_session_id
        {
            let at_message = draft.fork_at_message;
            return self
                .fork(caller, parent, ForkDraft { at_message, session: draft, ..ForkDraft::default() })
                .await;
        }
        let room = match draft.initial_message {
            // A session whose first turn has no place, or no money, is not created.
            Some(_) => {
                self.afford(caller.user_id, None).await?;
                self.room_in_line(draft.mode.unwrap_or(SessionMode::Interactive).into()).await?
            }
            None => Room::Ask,
        };
        let (session, initial_message) = self.create_as(caller.user_id, caller.origin(), draft).await?;
        if let Some(prompt) = initial_message {
            self.begin_first(&session, prompt, room).await?;
            return self.get(caller, session.id).await;
        }
        Ok(session)
    }

    /// Creates a session of this user's, and answers with it and the message it starts on.
    pub(crate) async fn create_as(
        &self,
        user_id: UserId,
        origin: Origin,
        draft: SessionDraft,
    ) -> Result<(Session, Option<Value>)> {
        // In a task of its own: whoever waits for the store's one writer must not hold it up with other work, as a web
        // server's busy worker would, and a request that is given up must not leave a directory without a session.
        let this = self.clone();
        let create = async move {
            let inner = &this.inner;
            let mut faults = this.policy_faults(draft.custom_policies.as_deref().unwrap_or_default()).await?;
            let hooks = draft.hooks_enabled.as_deref().unwrap_or_default();
            faults.extend(this.hook_faults(user_id, hooks).await?);
            faults.extend(this.mcp_faults(user_id, draft.sdk_options.as_ref()).await?);
            let budget = draft.budget;
            let created = draft.into_session(&inner.settings, user_id, inner.clock.now(), faults)?;
            this.bound(created.0.id, budget, &origin).await?;
            inner.stores.sessions.create(&created.0, &origin).await?;
            Ok(created)
        };
        self.see_through(create).await
    }

    /// Gives a session that is about to be stored its budget: there is no instant at which it is there without.
    pub(crate) async fn bound(&self, id: SessionId, budget: Option<MicroUsd>, origin: &Origin) -> Result<()> {
        if let Some(limit) = budget {
            let budget = Budget { limit, when_exhausted: WhenExhausted::Block };
            self.inner.costs.set_budget(Spender::Session(id), Some(budget), &Expected::ANY, origin).await?;
        }
        Ok(())
    }

    /// One of the caller's sessions.
    pub async fn get(&self, caller: &Caller, id: SessionId) -> Result<Session> {
        self.load(caller.scope(), id).await
    }

    /// The caller's sessions.
    pub async fn list(
        &self,
        caller: &Caller,
        filter: &SessionFilter,
        page: &PageRequest,
    ) -> Result<Page<Session>> {
        Ok(self.inner.stores.sessions.list(caller.scope(), filter, page).await?)
    }

    /// A user's sessions, or everybody's. Admins only.
    pub async fn list_of(
        &self,
        caller: &Caller,
        owner: Option<UserId>,
        filter: &SessionFilter,
        page: &PageRequest,
    ) -> Result<Page<Session>> {
        match caller.role {
            Role::Admin => {}
            Role::Member | Role::Viewer => {
                return Err(Error::Forbidden("only admins list the sessions of others"));
            }
        }
        let scope = owner.map_or(Scope::All, Scope::Owner);
        Ok(self.inner.stores.sessions.list(scope, filter, page).await?)
    }

    /// Changes what may be changed. A new model, mode or tool rules need a new agent, which the next prompt starts; a
    /// running turn ends with what it began with.
    pub async fn patch(&self, caller: &Caller, id: SessionId, patch: SessionPatch) -> Result<Session> {
        self.patch_if(caller, id, patch, &Expected::ANY).await
    }

    /// The same with a session in one of these states.
    pub async fn patch_if(
        &self,
        caller: &Caller,
        id: SessionId,
        patch: SessionPatch,
        expected: &Expected,
    ) -> Result<Session> {
        let mut faults = start::list("/allowed_tools", patch.allowed_tools.as_deref().unwrap_or_default());
        faults.extend(start::argument("/model", patch.model.as_deref()));
        if let Some(mode) = &patch.permission_mode
            && !PERMISSION_MODES.contains(&mode.as_str())
        {
            let message = format!("must be one of {}", PERMISSION_MODES.join(", "));
            faults.push(FieldError::new("/permission_mode", "enum", message));
        }
        faults.extend(self.policy_faults(patch.custom_policies.as_deref().unwrap_or_default()).await?);
        if !faults.is_empty() {
            return Err(Error::Invalid(faults));
        }
        let now = self.inner.clock.now();
        let session = self
            .inner
            .stores
            .sessions
            .patch(caller.scope(), id, &patch, expected, now, &caller.origin())
            .await?
            .ok_or(Error::NotFound("session"))?;
        let concerns_agent = patch.permission_mode.is_some()
            || patch.model.is_some()
            || patch.allowed_tools.is_some()
            || patch.custom_policies.is_some();
        if concerns_agent && let Some(agent) = self.inner.live.replace(id) {
            self.close_later(agent);
        }
        Ok(session)
    }

    /// Sets a session aside: its running turn is interrupted, and prompts are refused until it is resumed.
    pub async fn pause(&self, caller: &Caller, id: SessionId) -> Result<Session> {
        self.load(caller.scope(), id).await?;
        let (now, origin) = (self.inner.clock.now(), caller.origin());
        let session = self.moved(self.inner.stores.sessions.pause(id, now, &origin).await?)?;
        self.inner.live.stop(id, Stop::Interrupt);
        self.settle_current(&session).await?;
        self.inner.live.woken(id).await;
        if let Some(agent) = self.inner.live.dismiss(id) {
            self.close_later(agent);
        }
        self.get(caller, id).await
    }

    /// Takes a paused, completed or failed session up again.
    pub async fn resume(&self, caller: &Caller, id: SessionId) -> Result<Session> {
        self.load(caller.scope(), id).await?;
        let (now, origin) = (self.inner.clock.now(), caller.origin());
        let resumed = self.moved(self.inner.stores.sessions.resume(id, now, &origin).await?)?;
        self.admit_later();
        self.wake_later((&resumed).into());
        self.get(caller, id).await
    }

    /// Ends a session for good and removes its files; its history stays. Ending it twice is fine.
    pub async fn terminate(&self, caller: &Caller, id: SessionId) -> Result<()> {
        self.terminate_if(caller, id, &Expected::ANY).await
    }

    /// The same with a session in one of these states.
    pub async fn terminate_if(&self, caller: &Caller, id: SessionId, expected: &Expected) -> Result<()> {
        self.load(caller.scope(), id).await?;
        let (this, scope, origin) = (self.clone(), caller.scope(), caller.origin());
        let expected = expected.clone();
        self.see_through(async move { this.terminate_loaded(scope, id, &expected, &origin).await }).await
    }

    async fn terminate_loaded(
        &self,
        scope: Scope,
        id: SessionId,
        expected: &Expected,
        origin: &Origin,
    ) -> Result<()> {
        // The turn to wait for is the one that runs now: none begins any more.
        let now = self.inner.clock.now();
        let moved = self.inner.stores.sessions.terminate(id, expected, now, origin).await?;
        let session = match self.moved(moved) {
            Err(Error::WrongState(SessionStatus::Terminated)) => self.load(scope, id).await?,
            moved => moved?,
        };
        let cancelled = self.inner.stores.turns.cancel_queued(id, None, self.inner.clock.now()).await?;
        self.inner.feed.publish(cancelled);
        self.inner.live.stop(id, Stop::Terminate);
        self.settle_current(&session).await?;
        self.inner.live.woken(id).await;
        self.withdraw_approvals(id, origin).await?;
        self.snapshot_last(id).await;
        self.clear_away(&session).await
    }

    /// What is wrong with the names of hooks that a session is to have.
    pub(crate) async fn hook_faults(&self, user: UserId, names: &[String]) -> Result<Vec<FieldError>> {
        let unknown = self.inner.hooks.unknown(user, names).await?.into_iter();
        let fault = |name: hooks::Unknown| {
            FieldError::new(format!("/hooks_enabled/{}", name.index), "unknown", name.message)
        };
        Ok(unknown.map(fault).collect())
    }

    pub(crate) async fn load(&self, scope: Scope, id: SessionId) -> Result<Session> {
        self.inner.stores.sessions.get(scope, id).await?.ok_or(Error::NotFound("session"))
    }

    pub(crate) async fn move_to(&self, session: &Session, to: SessionStatus) -> Result<Session> {
        let now = self.inner.clock.now();
        let moved = self.inner.stores.sessions.move_to(session.id, session.generation, to, now).await?;
        self.moved(moved)
    }

    /// The session, if it was moved; watchers are told.
    fn moved(&self, moved: Moved) -> Result<Session> {
        match moved {
            Moved::Moved(session, event) => {
                self.inner.feed.publish([event]);
                Ok(*session)
            }
            Moved::Refused(status) => Err(Error::WrongState(status)),
            Moved::Held(operation) => Err(Error::Held(operation)),
            Moved::NoSession => Err(Error::NotFound("session")),
        }
    }
}
