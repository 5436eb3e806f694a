//! How the MCP servers of live sessions are, asked of the agents that are connected to them.

use crate::SessionManager;
use domain::SessionId;
use futures::{StreamExt, stream};
use sdk_runtime::{Agent, control::McpServerState};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::timeout;

/// An agent that takes longer says nothing of its servers this time.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);
/// So many agents are asked at a time.
const ASKED_AT_ONCE: usize = 16;
/// Servers that are told apart by name; the rest, in the order of their names, is left out.
const NAMES_MAX: usize = 200;
/// What is told of why one failed, in characters.
const WHY_CHARS_MAX: usize = 200;

/// How a server is: something worth showing, or why it fails.
pub type McpServerHealth = Result<Option<String>, String>;

/// The live agents that have MCP servers of their own.
#[derive(Debug, Default)]
pub(crate) struct McpAgents(Mutex<BTreeMap<u64, Connected>>);

#[derive(Debug, Clone)]
struct Connected {
    session: SessionId,
    agent: Agent,
    /// The servers that the session names.
    servers: Arc<[String]>,
}

/// An agent whose servers are asked about; no more when this is dropped.
#[derive(Debug)]
pub(crate) struct Registered {
    agents: Arc<McpAgents>,
    key: u64,
}

impl McpAgents {
    /// Has this agent asked about these servers; nothing if there are none.
    pub(crate) fn register(
        self: &Arc<Self>,
        session: SessionId,
        agent: &Agent,
        servers: Vec<String>,
    ) -> Option<Registered> {
        if servers.is_empty() {
            return None;
        }
        let mut agents = self.lock();
        let key = agents.last_key_value().map_or(0, |(key, _)| key + 1);
        agents.insert(key, Connected { session, agent: agent.clone(), servers: servers.into() });
        Some(Registered { agents: Arc::clone(self), key })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Connected>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        let gone = self.agents.lock().remove(&self.key);
        // After the lock: it may be the last handle, which ends the agent.
        drop(gone);
    }
}

impl SessionManager {
    /// The external MCP servers of all live agents of this server, by name. One fails if any agent says so. An agent that
    /// does not answer says nothing.
    pub async fn mcp_servers(&self) -> BTreeMap<String, McpServerHealth> {
        let agents: Vec<Connected> = self.inner.mcp_agents.lock().values().cloned().collect();
        let said = stream::iter(agents).map(ask).buffer_unordered(ASKED_AT_ONCE).concat().await;
        let mut by_name: BTreeMap<String, Vec<(SessionId, McpServerHealth)>> = BTreeMap::new();
        for (name, session, health) in said {
            by_name.entry(name).or_default().push((session, health));
        }
        by_name.into_iter().take(NAMES_MAX).map(|(name, said)| (name, together(&said))).collect()
    }
}

async fn ask(connected: Connected) -> Vec<(String, SessionId, McpServerHealth)> {
    let Connected { session, agent, servers } = connected;
    // One that is being closed answers with an error.
    let Ok(Ok(statuses)) = timeout(ANSWER_TIMEOUT, agent.mcp_status()).await else { return vec![] };
    let own = statuses.into_iter().filter(|status| servers.contains(&status.name));
    own.filter_map(|status| Some((status.name, session, health(&status.status, status.error.as_deref())?)))
        .collect()
}

/// `None` while it is being connected: it is not known yet.
fn health(state: &McpServerState, error: Option<&str>) -> Option<McpServerHealth> {
    let why = || error.filter(|error| !error.is_empty()).map(cut);
    match state {
        McpServerState::Connected => Some(Ok(None)),
        McpServerState::Disabled => Some(Ok(Some("switched off".to_owned()))),
        McpServerState::Pending => None,
        McpServerState::NeedsAuth => Some(Err("somebody has to sign in first".to_owned())),
        McpServerState::Failed => Some(Err(why().unwrap_or_else(|| "it could not be connected".to_owned()))),
        other => Some(Err(why().unwrap_or_else(|| format!("it is {other:?}")))),
    }
}

fn cut(text: &str) -> String {
    text.chars().take(WHY_CHARS_MAX).collect()
}

/// What all sessions say of the servers of one name.
fn together(said: &[(SessionId, McpServerHealth)]) -> McpServerHealth {
    let failed = said.iter().filter_map(|(session, health)| Some((session, health.as_ref().err()?)));
    let failed: Vec<_> = failed.collect();
    match failed.first() {
        None => Ok(Some(format!("connected in {} session(s)", said.len()))),
        Some((session, why)) => {
            Err(format!("fails in {} of {} session(s), in {session}: {why}", failed.len(), said.len()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_session_in_which_a_server_fails_is_enough() {
        let (one, other) = (SessionId::new(), SessionId::new());
        assert_eq!(together(&[(one, Ok(None))]), Ok(Some("connected in 1 session(s)".to_owned())));
        let why = together(&[(one, Ok(None)), (other, Err("refused".to_owned()))]).unwrap_err();
        assert!(
            why.contains("1 of 2") && why.contains(&other.to_string()) && why.contains("refused"),
            "{why}"
        );
    }

    #[test]
    fn what_an_agent_says_of_a_server() {
        assert_eq!(health(&McpServerState::Pending, None), None);
        assert_eq!(health(&McpServerState::Connected, None), Some(Ok(None)));
        for state in
            [McpServerState::Failed, McpServerState::NeedsAuth, McpServerState::Other("odd".to_owned())]
        {
            assert!(health(&state, None).unwrap().is_err(), "{state:?}");
        }
        let long = "x".repeat(10_000);
        assert_eq!(health(&McpServerState::Failed, Some(&long)).unwrap().unwrap_err().len(), WHY_CHARS_MAX);
    }
}
