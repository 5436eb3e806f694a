//! Every health check of a running server: what it looks at, how long it may take, and how long it is believed.

use std::{future::ready, sync::Arc, time::Duration};

use domain::ports::Ping;
use engine::{AuditLog, SessionManager};
use gateway::Prices;
use monitoring::{Check, Finding, HealthChecker, Importance, Room};
use persistence::Store;

use crate::{
    archives,
    compose::chain,
    config::{Config, HealthConfig},
    data_dir::DataDir,
    sandbox::Decided,
};

/// A write waits for whoever writes before it.
const DATABASE_TIMEOUT: Duration = Duration::from_secs(3);
const DATABASE_FRESH_FOR: Duration = Duration::from_secs(5);
/// The handshake has a longer bound of its own: until then it goes on, and what it says in the end is heard.
const CLI_TIMEOUT: Duration = Duration::from_secs(20);
/// Whether the CLI was changed is asked of the file; the rest is remembered behind it.
const CLI_FRESH_FOR: Duration = Duration::from_secs(5);
/// All agents that have MCP servers are asked.
const MCP_TIMEOUT: Duration = Duration::from_secs(10);
const MCP_FRESH_FOR: Duration = Duration::from_secs(30);
const QUEUE_FRESH_FOR: Duration = Duration::from_secs(5);

/// What the checks look at.
pub struct Subjects<'a> {
    pub config: &'a Config,
    pub store: &'a Arc<Store>,
    pub audit: &'a Arc<AuditLog>,
    pub sessions: &'a SessionManager,
    pub sandbox: &'a Decided,
    pub data_dir: &'a DataDir,
    pub prices: &'a Arc<Prices>,
}

/// The checker of a server. Its checks run on the current runtime.
pub fn checker(subjects: &Subjects<'_>) -> anyhow::Result<HealthChecker> {
    let Subjects { config, sessions, .. } = *subjects;
    let temporary = subjects.data_dir.directories(vec![])?.temporary;
    let places = vec![("data", subjects.data_dir.path.clone()), ("temporary", temporary)];
    let (leased, tested) = (sessions.clone(), sessions.clone());
    Ok(HealthChecker::new(vec![
        database(subjects),
        audit_log(subjects.audit.clone()),
        Check::required("lease", move || ready(leased.lease())),
        subjects.sandbox.check(),
        archives::check(&config.storage, sessions),
        Check::required("canary", move || ready(tested.self_test())),
        claude_sdk(&config.health, sessions.clone()),
        mcp_servers(sessions.clone()),
        queue(&config.health, sessions.clone()),
        prices(subjects.prices.clone()),
        monitoring::health::disk(places, config.health.disk, Room::at),
    ]))
}

fn database(subjects: &Subjects<'_>) -> Check {
    let (store, server) = (subjects.store.clone(), subjects.data_dir.server_id);
    let check = Check::required("database", move || {
        let store = store.clone();
        async move { store.write_and_read(server).await.map(|()| None).map_err(|error| could_not(&error)) }
    });
    check.within(DATABASE_TIMEOUT).fresh_for(DATABASE_FRESH_FOR)
}

fn audit_log(audit: Arc<AuditLog>) -> Check {
    let check = Check::optional("audit_log", move || {
        let audit = audit.clone();
        // Shown so that whoever watches the server's health keeps an anchor of the chain outside of it.
        async move { audit.head().await.map(|head| Some(head.to_string())).map_err(|error| could_not(&error)) }
    });
    check.within(DATABASE_TIMEOUT)
}

fn claude_sdk(config: &HealthConfig, sessions: SessionManager) -> Check {
    let handshake_age = config.handshake_age;
    let check = Check::telling("claude_sdk", Importance::Required, move || {
        let sessions = sessions.clone();
        async move {
            let agent = sessions.check_agent(handshake_age).await?;
            let answered =
                agent.answered_within.map(|took| format!(", answered within {} ms", took.as_millis()));
            let detail = format!("{}{}", agent.version, answered.unwrap_or_default());
            Ok(Finding { detail: Some(detail), version: Some(agent.version), ..Finding::default() })
        }
    });
    check.within(CLI_TIMEOUT).fresh_for(CLI_FRESH_FOR).slow()
}

fn mcp_servers(sessions: SessionManager) -> Check {
    let check = Check::telling(api::MCP_SERVERS, Importance::Optional, move || {
        let sessions = sessions.clone();
        async move { Ok(Finding { parts: sessions.mcp_servers().await, ..Finding::default() }) }
    });
    check.within(MCP_TIMEOUT).fresh_for(MCP_FRESH_FOR).slow()
}

fn queue(config: &HealthConfig, sessions: SessionManager) -> Check {
    let most = config.queue_age_max;
    let check = Check::optional("queue", move || {
        let sessions = sessions.clone();
        async move {
            let (count, oldest) = sessions.waiting_sessions().await.map_err(|error| could_not(&error))?;
            let Some(oldest) = oldest else { return Ok(Some("nobody waits".to_owned())) };
            let found = format!("{count} session(s) wait for an agent, the first for {} s", oldest.as_secs());
            let is_old = oldest.unsigned_abs() > most && oldest.is_positive();
            if is_old { Err(found) } else { Ok(Some(found)) }
        }
    });
    check.fresh_for(QUEUE_FRESH_FOR)
}

/// Whether the table of prices is the one the operator wrote.
fn prices(prices: Arc<Prices>) -> Check {
    Check::optional("prices", move || ready(prices.health()))
}

fn could_not(error: &dyn std::error::Error) -> String {
    format!("could not {}", chain(error))
}
