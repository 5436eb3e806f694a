//! Approvals as people see them: list what waits, answer it, and let sessions go on with answers that came late.

pub(crate) mod desk;
pub(crate) mod gate;
pub(crate) mod listed;
mod remembered;
mod reply;
pub(crate) mod words;

pub use reply::ApprovalReply;

use crate::{Error, FieldError, Result, SessionManager, agent::Directories};
use domain::{
    Approval, ApprovalId, ApprovalKind, ApprovalOutcome, ApprovalStatus, Caller, Origin, Page, PageRequest,
    Scope, Session, SessionId, SessionStatus, TurnId, Verdict, ports::Decided, session::SessionPatch,
    turn::NewTurn,
};
use permissions::ToolCall;
use serde_json::json;
use std::{collections::HashSet, path::PathBuf};

/// Approvals that housekeeping takes up in one round.
const ROUND_MAX: u32 = 100;
/// The permission mode in which the agent makes a plan first, and the one it works in afterwards.
const PLAN: &str = "plan";
const DEFAULT: &str = "default";

impl SessionManager {
    /// A session's approvals, newest first.
    pub async fn approvals(
        &self,
        caller: &Caller,
        id: SessionId,
        status: Option<ApprovalStatus>,
        page: &PageRequest,
    ) -> Result<Page<Approval>> {
        self.load(caller.scope(), id).await?;
        Ok(self.inner.stores.approvals.list(id, status, page).await?)
    }

    /// Everything that waits for the caller, newest first; for an admin, for anybody.
    pub async fn pending_approvals(&self, caller: &Caller, page: &PageRequest) -> Result<Page<Approval>> {
        Ok(self.inner.stores.approvals.pending(caller.scope(), page).await?)
    }

    /// Answers an approval. The first answer stands; whoever comes later learns which one that is.
    pub async fn answer(
        &self,
        caller: &Caller,
        id: SessionId,
        approval_id: ApprovalId,
        reply: ApprovalReply,
    ) -> Result<Approval> {
        let session = self.load(caller.scope(), id).await?;
        let found = self.inner.stores.approvals.get(id, approval_id).await?;
        let approval = found.ok_or(Error::NotFound("approval"))?;
        if approval.status != ApprovalStatus::Pending {
            return Err(Error::AlreadyDecided(Box::new(approval)));
        }
        let answer = reply.check(caller.user_id, &approval).map_err(Error::Invalid)?;
        if let Some(input) = &answer.updated_input {
            self.judge_again(&session, &approval, input).await?;
        }
        // Once the answer stands the agent must learn of it, also if whoever gave it is gone.
        let (this, origin) = (self.clone(), caller.origin());
        self.see_through(async move {
            let outcome = ApprovalOutcome::Answered(answer);
            match this
                .inner
                .desk
                .decide(approval_id, outcome, &origin)
                .await?
                .ok_or(Error::NotFound("approval"))?
            {
                Decided::Now(approval, _) if approval.status != ApprovalStatus::Expired => {
                    if approval.kind == ApprovalKind::Plan && approval.status == ApprovalStatus::Allowed {
                        this.leave_plan_mode(&session, &origin).await?;
                    }
                    this.go_on_later();
                    Ok(*approval)
                }
                Decided::Now(approval, _) | Decided::Stands(approval) => Err(Error::AlreadyDecided(approval)),
            }
        })
        .await
    }

    /// The agent leaves plan mode by itself when it hears the yes; its next process has to begin outside of it.
    async fn leave_plan_mode(&self, session: &Session, origin: &Origin) -> Result<()> {
        if session.spec.permission_mode == PLAN {
            let patch = SessionPatch { permission_mode: Some(DEFAULT.to_owned()), ..SessionPatch::default() };
            let now = self.inner.clock.now();
            self.inner
                .stores
                .sessions
                .patch(Scope::All, session.id, &patch, &domain::Expected::ANY, now, origin)
                .await?;
        }
        Ok(())
    }

    /// A person may change what runs, but not to what a policy forbids.
    async fn judge_again(
        &self,
        session: &Session,
        approval: &Approval,
        input: &serde_json::Value,
    ) -> Result<()> {
        let directories = Directories::of(&self.inner.settings, session);
        let governed = self.inner.governance.of(&self.inner.settings, session, &directories);
        let call = ToolCall {
            tool_name: approval.tool_name.clone(),
            input: input.clone(),
            tool_use_id: Some(approval.tool_use_id.clone()),
            agent_id: approval.agent_id.clone(),
            cwd: PathBuf::from(&session.spec.working_directory),
            permission_mode: Some(session.spec.permission_mode.clone()),
        };
        let opinion = governed.permissions.judge(&call).await;
        if opinion.verdict == Verdict::Deny {
            let message = format!("is denied by policy {}: {}", opinion.policy, opinion.reason);
            return Err(Error::Invalid(vec![FieldError::new("/updated_input", "policy", message)]));
        }
        Ok(())
    }

    /// Ends what nobody answered in time, and lets sessions go on with answers that no agent has learned of.
    pub(crate) async fn keep_approvals(&self) -> Result<()> {
        let now = self.inner.clock.now();
        for approval in self.inner.stores.approvals.due(now, ROUND_MAX).await? {
            self.inner.desk.decide(approval.id, ApprovalOutcome::Expired, &Origin::system()).await?;
        }
        self.go_on().await
    }

    /// Nobody waits for a person's word in a session that is over.
    pub(crate) async fn withdraw_approvals(&self, id: SessionId, origin: &Origin) -> Result<()> {
        let pending = Some(ApprovalStatus::Pending);
        let page = PageRequest::first(ROUND_MAX);
        for approval in self.inner.stores.approvals.list(id, pending, &page).await?.items {
            self.inner.desk.decide(approval.id, ApprovalOutcome::Withdrawn, origin).await?;
        }
        Ok(())
    }

    /// Whether people are still asked about something in this session.
    pub(crate) async fn has_pending_approvals(&self, id: SessionId) -> Result<bool> {
        let pending = Some(ApprovalStatus::Pending);
        let page = self.inner.stores.approvals.list(id, pending, &PageRequest::first(1)).await?;
        Ok(!page.items.is_empty())
    }

    fn go_on_later(&self) {
        let this = self.clone();
        self.spawn(async move {
            if let Err(error) = this.go_on().await {
                tracing::debug!(%error, "answers have to wait for the next round");
            }
        });
    }

    /// Queues a turn in every session that can go on with an answer whose own turn is over: the server ended meanwhile.
    async fn go_on(&self) -> Result<()> {
        if self.admit_work().is_err() {
            return Ok(());
        }
        // A turn that waits already will carry the answer: one for each session.
        let waiting = self.inner.stores.turns.waiting(self.server()).await?;
        let mut busy: HashSet<SessionId> = waiting.into_iter().map(|turn| turn.session_id).collect();
        for approval in self.inner.stores.approvals.to_go_on(ROUND_MAX).await? {
            if self.inner.lease.has_company() {
                let session = self.load(Scope::All, approval.session_id).await?;
                if self.inner.lease.is_elsewhere(session.server_id) {
                    continue;
                }
            }
            if !busy.insert(approval.session_id) {
                self.inner.desk.note_untold(approval.session_id);
                continue;
            }
            let turn = NewTurn {
                id: TurnId::new(),
                session_id: approval.session_id,
                prompt: json!(words::go_on(&approval)),
                payers: Vec::new(),
                at: self.inner.clock.now(),
            };
            if let Some(event) = self.inner.stores.approvals.go_on(approval.id, &turn).await? {
                self.inner.feed.publish([event]);
                self.admit_later();
            }
        }
        Ok(())
    }

    /// The state of a session whose turn the server's end cut short: work that waits for a person goes on later.
    pub(crate) async fn status_after_stop(&self, id: SessionId, wanted: SessionStatus) -> SessionStatus {
        if wanted != SessionStatus::Failed {
            return wanted;
        }
        match self.has_pending_approvals(id).await {
            Ok(true) => SessionStatus::Active,
            Ok(false) => wanted,
            Err(error) => {
                tracing::warn!(session_id = %id, %error, "could not see whether a session waits for a person");
                wanted
            }
        }
    }
}
