//! A store in memory: the ports' meaning in the fewest words, for tests that need a store but no database.

mod accounts;
mod alerts;
mod approvals;
mod archives;
mod audit;
mod budgets;
mod costs;
mod decisions;
mod fork;
mod hooks;
mod idempotency;
mod identities;
mod journal;
mod ledger;
mod mcp_servers;
mod page;
mod policies;
mod rate_reports;
mod reports;
mod servers;
mod sessions;
mod snapshots;
mod stats;
mod tasks;
mod templates;
mod transcripts;
mod turns;

use async_trait::async_trait;
use domain::{
    ApiKey, Approval, AuditEntry, Budget, BudgetPeriod, Event, EventBody, EventKind, Execution, HookDelivery,
    HookEndpoint, HookRun, McpServer, Message, MetricsSnapshot, NewMessage, NewUser, PermissionDecision,
    RefreshToken, Report, RequestUsage, RequestUsageId, ServerId, Session, SessionId, Spender, Task,
    ToolCall, Turn, TurnId, UserId,
    identity::IdentityKey,
    login_throttle::Tally,
    ports::{Ping, RateReport, StoreError, StoreResult},
};
use jiff::Timestamp;
use serde_json::Value;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// All ports on plain collections; clones share them.
#[derive(Debug, Clone, Default)]
pub struct MemoryStore(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    users: Vec<NewUser>,
    api_keys: Vec<ApiKey>,
    refresh_tokens: Vec<IssuedToken>,
    identities: Vec<(IdentityKey, UserId)>,
    login_tallies: BTreeMap<[u8; 32], Tally>,
    idempotency_keys: BTreeMap<(String, [u8; 32]), idempotency::StoredKey>,
    rate_reports: Vec<RateReport>,
    /// Sessions that were purged away from their home, with that and their user.
    leftovers: BTreeMap<SessionId, (ServerId, UserId)>,
    sessions: BTreeMap<SessionId, Session>,
    /// Until when each server's lease lasts.
    servers: BTreeMap<ServerId, Timestamp>,
    stop_requests: BTreeMap<SessionId, TurnId>,
    turns: BTreeMap<TurnId, StoredTurn>,
    journal: Vec<Event>,
    /// Messages that forks have of their parents; their journals do not tell of them.
    copied_messages: Vec<Message>,
    transcripts: Vec<transcripts::Transcript>,
    tool_calls: Vec<ToolCall>,
    requests: Vec<RequestUsage>,
    budgets: BTreeMap<Spender, Budget>,
    spend: BTreeMap<(Spender, BudgetPeriod), budgets::Spend>,
    holds: BTreeMap<RequestUsageId, budgets::StoredHold>,
    alerts: Vec<alerts::StoredAlert>,
    audit: Vec<AuditEntry>,
    approvals: Vec<Approval>,
    archives: Vec<archives::StoredArchive>,
    decisions: Vec<PermissionDecision>,
    policies: Vec<policies::StoredPolicy>,
    hook_runs: Vec<HookRun>,
    endpoints: Vec<HookEndpoint>,
    deliveries: Vec<HookDelivery>,
    mcp_servers: Vec<McpServer>,
    snapshots: Vec<MetricsSnapshot>,
    reports: Vec<(Report, bytes::Bytes)>,
    tasks: Vec<Task>,
    executions: Vec<Execution>,
    templates: Vec<templates::StoredTemplate>,
}

#[derive(Debug)]
struct IssuedToken {
    token: RefreshToken,
    is_used: bool,
    is_revoked: bool,
}

#[derive(Debug)]
struct StoredTurn {
    turn: Turn,
    queued_prompt: Option<Value>,
    queue_rank: i64,
}

impl MemoryStore {
    /// Every method of a port holds this from beginning to end, which makes it one unit of work.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Ping for MemoryStore {
    async fn ping(&self) -> StoreResult<()> {
        Ok(())
    }

    async fn write_and_read(&self, server: ServerId) -> StoreResult<()> {
        let is_there = self.state().servers.contains_key(&server);
        let nobody = StoreError::Inconsistent { table: "servers", column: "id" };
        if is_there { Ok(()) } else { Err(nobody) }
    }
}

/// Where and when something is journalled.
#[derive(Debug, Clone, Copy)]
struct Place {
    session: SessionId,
    turn: Option<TurnId>,
    at: Timestamp,
}

impl State {
    fn journal_data(&mut self, place: Place, kind: EventKind, data: Value) -> Event {
        self.journal_body(place, kind, EventBody::Data(data))
    }

    fn journal_message(&mut self, place: Place, new: NewMessage) -> Event {
        let counted = self.sessions.get(&place.session).map_or(0, |session| session.counters.messages);
        let message = Message {
            id: new.id,
            session_id: place.session,
            turn_id: place.turn,
            sequence_number: counted + 1,
            message_type: new.message_type,
            content: new.content,
            model: new.model,
            thinking: new.thinking,
            parent_tool_use_id: new.parent_tool_use_id,
            entry_uuid: new.entry_uuid,
            created_at: place.at,
        };
        if let Some(session) = self.sessions.get_mut(&place.session) {
            session.counters.messages = message.sequence_number;
        }
        self.journal_body(place, EventKind::Message, EventBody::Message(Box::new(message)))
    }

    fn journal_body(&mut self, place: Place, kind: EventKind, body: EventBody) -> Event {
        let seq = self.events(place.session).count() as u64 + 1;
        let event = Event { session_id: place.session, seq, turn_id: place.turn, kind, at: place.at, body };
        self.journal.push(event.clone());
        if let Some(session) = self.sessions.get_mut(&place.session) {
            session.updated_at = place.at;
        }
        event
    }

    fn events(&self, session: SessionId) -> impl Iterator<Item = &Event> {
        self.journal.iter().filter(move |event| event.session_id == session)
    }

    fn messages(&self, session: SessionId) -> impl Iterator<Item = &Message> {
        let copied = self.copied_messages.iter().filter(move |message| message.session_id == session);
        copied.chain(self.events(session).filter_map(|event| match &event.body {
            EventBody::Message(message) => Some(message.as_ref()),
            EventBody::Data(_) => None,
        }))
    }
}
