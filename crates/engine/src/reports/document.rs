//! What a session is at this instant, read page by page and bounded.

use super::{
    ReportManager,
    newest::Newest,
    text::{self, Cutter},
};
use crate::Result;
use domain::{
    Approval, DecisionFilter, Message, PageRequest, PermissionDecision, ReportParts, Session, ToolCall, Turn,
    cost::{CostKey, CostQuery, CostScope},
    report::{
        DOCUMENT_VERSION, LeftOut, ReportApproval, ReportDecision, ReportDocument, ReportMessage,
        ReportMetrics, ReportModel, ReportSession, ReportToolCall, ReportTurn,
    },
};
use jiff::Timestamp;

/// Messages that a report tells at most, and tool calls; of more, the newest.
const HISTORY_MAX: usize = 2000;
/// Decisions, approvals and turns that a report tells at most; of more, the newest.
const NOTES_MAX: usize = 1000;
/// Of one message.
const MESSAGE_BYTES_MAX: usize = 64 * 1024;
/// Of what a tool is given, and of what it answers, each.
const TOOL_BYTES_MAX: usize = 16 * 1024;
/// Of all messages together, and of all tool calls.
const HISTORY_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Rows that are in memory whole: what a tool answered may be long.
const PAGE: u32 = 50;
/// Rows of small things that are read at once.
const NOTES_PAGE: u32 = 250;
/// Models that are told apart.
const MODELS_MAX: u32 = 50;

impl ReportManager {
    /// The session as it is, with these parts.
    pub(super) async fn document_of(&self, session: &Session, parts: ReportParts) -> Result<ReportDocument> {
        let now = self.inner.clock.now();
        let mut left_out = LeftOut::default();
        let mut cutter = Cutter::default();
        let metrics = match parts.metrics {
            true => Some(self.metrics_of(session, now, &mut left_out).await?),
            false => None,
        };
        let messages = match parts.messages {
            true => Some(self.messages_of(session, &mut cutter, &mut left_out).await?),
            false => None,
        };
        let (mut tool_calls, mut decisions, mut approvals) = (None, None, None);
        if parts.tool_calls {
            tool_calls = Some(self.tool_calls_of(session, &mut cutter, &mut left_out).await?);
            decisions = Some(self.decisions_of(session, &mut left_out).await?);
            approvals = Some(self.approvals_of(session, &mut left_out).await?);
        }
        left_out.shortened_texts = cutter.cut;
        Ok(ReportDocument {
            version: DOCUMENT_VERSION,
            generated_at: now,
            session: about(session),
            metrics,
            messages,
            tool_calls,
            decisions,
            approvals,
            left_out,
        })
    }

    async fn metrics_of(
        &self,
        session: &Session,
        now: Timestamp,
        left_out: &mut LeftOut,
    ) -> Result<ReportMetrics> {
        let query =
            CostQuery { scope: CostScope::Session(session.id), from: Timestamp::MIN, until: Timestamp::MAX };
        let by_model = self.inner.costs.costs_by(&query, CostKey::Model, MODELS_MAX).await?;
        let counters = session.counters;
        Ok(ReportMetrics {
            messages: counters.messages,
            tool_calls: counters.tool_calls,
            permission_checks: counters.permission_checks,
            hook_executions: counters.hook_executions,
            errors: counters.errors,
            retries: counters.retries,
            cost_micro_usd: counters.cost,
            tokens: counters.tokens.into(),
            duration_ms: session.snapshot(now, None).duration_ms,
            by_model: by_model.into_iter().map(|(model, sum)| ReportModel::new(model, &sum)).collect(),
            turns: self.turns_of(session, left_out).await?,
        })
    }

    async fn turns_of(&self, session: &Session, left_out: &mut LeftOut) -> Result<Vec<ReportTurn>> {
        let mut turns = Vec::new();
        let mut page = PageRequest::first(NOTES_PAGE);
        loop {
            let read = self.inner.stores.turns.list(session.id, &page).await?;
            turns.extend(read.items);
            match next(page, read.next_cursor, turns.len()) {
                Next::Page(following) => page = following,
                Next::End { is_cut } => {
                    left_out.older_turns = is_cut;
                    break;
                }
            }
        }
        Ok(turns.into_iter().rev().zip(1..).map(|(turn, number)| told_turn(&turn, number)).collect())
    }

    async fn messages_of(
        &self,
        session: &Session,
        cutter: &mut Cutter,
        left_out: &mut LeftOut,
    ) -> Result<Vec<ReportMessage>> {
        let skip = passed_over(session.counters.messages);
        let mut newest = Newest::new(HISTORY_MAX, HISTORY_BYTES_MAX, skip.into());
        let mut page = PageRequest { limit: PAGE, cursor: None, skip };
        loop {
            let read = self.inner.stores.history.messages(session.id, &page).await?;
            for message in read.items {
                // What comes while it is read is not of this instant.
                if message.sequence_number > session.counters.messages {
                    continue;
                }
                if let Some(told) = told_message(message, cutter) {
                    let bytes = told.text.len();
                    newest.push(told, bytes);
                }
            }
            match read.next_cursor {
                Some(cursor) => page = PageRequest { limit: PAGE, cursor: Some(cursor), skip: 0 },
                None => break,
            }
        }
        let (messages, before) = newest.into_parts();
        left_out.messages = before;
        Ok(messages)
    }

    async fn tool_calls_of(
        &self,
        session: &Session,
        cutter: &mut Cutter,
        left_out: &mut LeftOut,
    ) -> Result<Vec<ReportToolCall>> {
        let skip = passed_over(session.counters.tool_calls);
        let mut newest = Newest::new(HISTORY_MAX, HISTORY_BYTES_MAX, skip.into());
        let mut page = PageRequest { limit: PAGE, cursor: None, skip };
        loop {
            let read = self.inner.stores.history.tool_calls(session.id, &page).await?;
            for call in read.items {
                let told = told_call(call, cutter);
                let bytes = told.input.len() + told.output.as_ref().map_or(0, String::len);
                newest.push(told, bytes);
            }
            match read.next_cursor {
                Some(cursor) => page = PageRequest { limit: PAGE, cursor: Some(cursor), skip: 0 },
                None => break,
            }
        }
        let (calls, before) = newest.into_parts();
        left_out.tool_calls = before;
        Ok(calls)
    }

    async fn decisions_of(&self, session: &Session, left_out: &mut LeftOut) -> Result<Vec<ReportDecision>> {
        let mut decisions = Vec::new();
        // Each holds the input that was judged.
        let mut page = PageRequest::first(PAGE);
        loop {
            let filter = DecisionFilter::default();
            let read = self.inner.stores.decisions.decisions(session.id, &filter, &page).await?;
            decisions.extend(read.items.into_iter().map(told_decision));
            match next(page, read.next_cursor, decisions.len()) {
                Next::Page(following) => page = following,
                Next::End { is_cut } => {
                    left_out.older_decisions = is_cut;
                    break;
                }
            }
        }
        decisions.reverse();
        Ok(decisions)
    }

    async fn approvals_of(&self, session: &Session, left_out: &mut LeftOut) -> Result<Vec<ReportApproval>> {
        let mut approvals = Vec::new();
        let mut page = PageRequest::first(PAGE);
        loop {
            let read = self.inner.stores.approvals.list(session.id, None, &page).await?;
            approvals.extend(read.items.into_iter().map(told_approval));
            match next(page, read.next_cursor, approvals.len()) {
                Next::Page(following) => page = following,
                Next::End { is_cut } => {
                    left_out.older_approvals = is_cut;
                    break;
                }
            }
        }
        approvals.reverse();
        Ok(approvals)
    }
}

/// Where a list that is read newest first goes on.
enum Next {
    Page(PageRequest),
    End { is_cut: bool },
}

fn next(page: PageRequest, cursor: Option<String>, read: usize) -> Next {
    match cursor {
        Some(cursor) if read < NOTES_MAX => Next::Page(PageRequest { cursor: Some(cursor), ..page }),
        cursor => Next::End { is_cut: cursor.is_some() },
    }
}

/// How many of so many are not read at all.
fn passed_over(count: u64) -> u32 {
    u32::try_from(count.saturating_sub(HISTORY_MAX as u64)).unwrap_or(u32::MAX)
}

fn about(session: &Session) -> ReportSession {
    ReportSession {
        id: session.id,
        user_id: session.user_id,
        name: session.name.clone(),
        description: session.description.clone(),
        mode: session.mode,
        status: session.status,
        model: session.spec.sdk_options.model.clone(),
        permission_mode: session.spec.permission_mode.clone(),
        working_directory: session.spec.working_directory.clone(),
        parent_session_id: session.parent_session_id,
        error_message: session.error_message.clone(),
        created_at: session.created_at,
        started_at: session.started_at,
        completed_at: session.completed_at,
    }
}

fn told_turn(turn: &Turn, number: u64) -> ReportTurn {
    ReportTurn {
        number,
        status: turn.status,
        failure: turn.failure,
        error_message: turn.error_message.clone(),
        rounds: turn.rounds,
        retries: turn.retries,
        cost_micro_usd: turn.cost,
        tokens: turn.tokens.into(),
        started_at: turn.started_at,
        duration_ms: turn.started_at.and_then(|started| between(started, turn.completed_at)),
    }
}

fn told_message(message: Message, cutter: &mut Cutter) -> Option<ReportMessage> {
    Some(ReportMessage {
        sequence_number: message.sequence_number,
        message_type: message.message_type,
        text: cutter.cut(text::of_message(&message.content)?, MESSAGE_BYTES_MAX),
        model: message.model,
        parent_tool_use_id: message.parent_tool_use_id,
        created_at: message.created_at,
    })
}

fn told_call(call: ToolCall, cutter: &mut Cutter) -> ReportToolCall {
    let output = call.tool_output.as_ref().map(text::of_output);
    ReportToolCall {
        duration_ms: between(call.created_at, call.completed_at),
        tool_use_id: call.tool_use_id,
        tool_name: call.tool_name,
        input: cutter.cut(text::pretty(&call.tool_input), TOOL_BYTES_MAX),
        output: output.map(|output| cutter.cut(output, TOOL_BYTES_MAX)),
        status: call.status,
        permission_decision: call.permission_decision,
        permission_reason: call.permission_reason,
        created_at: call.created_at,
    }
}

fn told_decision(decision: PermissionDecision) -> ReportDecision {
    ReportDecision {
        tool_use_id: decision.tool_use_id,
        tool_name: decision.tool_name,
        verdict: decision.opinion.verdict,
        policy: decision.opinion.policy,
        rule: decision.opinion.rule,
        reason: decision.opinion.reason,
        decided_by: decision.decided_by.as_str().to_owned(),
        decided_at: decision.decided_at,
    }
}

fn told_approval(approval: Approval) -> ReportApproval {
    ReportApproval {
        kind: approval.kind,
        tool_name: approval.tool_name,
        tool_use_id: approval.tool_use_id,
        title: approval.title,
        reason: approval.reason,
        status: approval.status,
        decided_by: approval.decided_by,
        decision_reason: approval.decision_reason,
        asked_at: approval.created_at,
        decided_at: approval.decided_at,
    }
}

/// Clocks are set, and then something may end before it began.
fn between(from: Timestamp, until: Option<Timestamp>) -> Option<u64> {
    let elapsed = until?.as_millisecond() - from.as_millisecond();
    Some(u64::try_from(elapsed).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_to_its_end_or_until_it_is_enough() {
        let after = |cursor: Option<&str>, read| {
            let page = PageRequest::first(NOTES_PAGE);
            match next(page, cursor.map(str::to_owned), read) {
                Next::Page(page) => Ok(page.cursor),
                Next::End { is_cut } => Err(is_cut),
            }
        };
        assert_eq!(after(Some("more"), NOTES_MAX - 1), Ok(Some("more".to_owned())));
        assert_eq!(after(Some("more"), NOTES_MAX), Err(true));
        assert_eq!(after(None, NOTES_MAX), Err(false));
    }
}
