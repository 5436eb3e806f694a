//! Snapshots of sessions' figures.

use super::{
    MemoryStore,
    page::{Direction, instant_key, read_page},
};
use async_trait::async_trait;
use domain::{
    MetricsSnapshot, Page, PageRequest, SessionId, SessionMode, SessionStatus, ToolCall, ToolCallStatus,
    ports::{Snapshots, StoreResult},
};
use jiff::Timestamp;
use std::collections::BTreeSet;

#[async_trait]
impl Snapshots for MemoryStore {
    async fn measure(&self, sessions: &[SessionId], at: Timestamp) -> StoreResult<Vec<MetricsSnapshot>> {
        let state = self.state();
        let wanted: BTreeSet<&SessionId> = sessions.iter().collect();
        let measured = wanted.into_iter().filter_map(|id| state.sessions.get(id)).map(|session| {
            let took = |call: &ToolCall| {
                let ran = [ToolCallStatus::Completed, ToolCallStatus::Failed].contains(&call.status);
                let until = call.completed_at.filter(|_| ran && call.session_id == session.id)?;
                Some(until.duration_since(call.created_at).as_secs_f64() * 1000.0)
            };
            let took: Vec<f64> = state.tool_calls.iter().filter_map(took).collect();
            let mean = (!took.is_empty()).then(|| took.iter().sum::<f64>() / took.len() as f64);
            session.snapshot(at, mean)
        });
        Ok(measured.collect())
    }

    async fn record_snapshots(&self, snapshots: &[MetricsSnapshot]) -> StoreResult<()> {
        let mut state = self.state();
        let present: Vec<MetricsSnapshot> = snapshots
            .iter()
            .filter(|snapshot| state.sessions.contains_key(&snapshot.session_id))
            .cloned()
            .collect();
        state.snapshots.extend(present);
        Ok(())
    }

    async fn snapshots(&self, session: SessionId, page: &PageRequest) -> StoreResult<Page<MetricsSnapshot>> {
        let mut snapshots = self.state().snapshots.clone();
        snapshots.retain(|snapshot| snapshot.session_id == session);
        let key = |snapshot: &MetricsSnapshot| instant_key(snapshot.snapshot_at, snapshot.id.0);
        read_page("snapshots", snapshots, key, Direction::Descending, page)
    }

    async fn prune_snapshots(&self, before: Timestamp, limit: u32) -> StoreResult<u64> {
        let mut state = self.state();
        state.snapshots.sort_by_key(|snapshot| (snapshot.snapshot_at, snapshot.id));
        let old = state.snapshots.iter().take_while(|snapshot| snapshot.snapshot_at < before).count();
        let gone = old.min(limit as usize);
        state.snapshots.drain(..gone);
        Ok(gone as u64)
    }

    async fn census(&self) -> StoreResult<Vec<(SessionMode, SessionStatus, u64)>> {
        let mut census: Vec<(SessionMode, SessionStatus, u64)> = vec![];
        for session in self.state().sessions.values() {
            let of_kind = |one: &&mut (SessionMode, SessionStatus, u64)| {
                (one.0, one.1) == (session.mode, session.status)
            };
            match census.iter_mut().find(of_kind) {
                Some((_, _, count)) => *count += 1,
                None => census.push((session.mode, session.status, 1)),
            }
        }
        Ok(census)
    }
}
