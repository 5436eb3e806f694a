//! MCP servers as people register them, so that sessions can name them.

mod attach;
mod check;
mod import;
mod reseal;

pub use check::McpCheckReport;
pub use import::{ImportOutcome, ImportedServer};
pub use reseal::{Resealed, reseal};

use crate::{
    Error, FieldError, Result, SessionManager,
    owned::{OWNED_MAX, unless_full},
    seen::changed_as_seen,
};
use domain::{
    Caller, Expected, McpServer, McpServerId, McpTransport, Page, PageRequest, Role, mcp::McpServerPatch,
};
use mcp::{Fault, Keyring, Prober, Recipe, SecretsLost};
use secrecy::SecretString;
use std::{collections::BTreeMap, sync::Arc};
use tokio::sync::Semaphore;

/// Checks that run at a time: each may be a process.
const CHECKS_AT_ONCE: usize = 4;
/// Longest name, in characters.
const NAME_CHARS_MAX: usize = 100;

/// A server as its owner wants it.
#[derive(Debug, Clone)]
pub struct McpServerDraft {
    pub name: String,
    pub description: Option<String>,
    pub recipe: Recipe,
    pub is_enabled: bool,
    pub is_global: bool,
}

/// What its owner wants changed; `None` leaves a field as it is.
#[derive(Debug, Clone, Default)]
pub struct McpServerChange {
    pub name: Option<String>,
    pub description: Option<Option<String>>,
    pub transport: Option<McpTransport>,
    pub command: Option<Option<String>>,
    pub args: Option<Vec<String>>,
    /// All that there are from now on.
    pub env: Option<BTreeMap<String, SecretChange>>,
    pub url: Option<Option<String>>,
    /// All that there are from now on.
    pub headers: Option<BTreeMap<String, SecretChange>>,
    pub is_enabled: Option<bool>,
    pub is_global: Option<bool>,
}

/// What becomes of a secret.
#[derive(Debug, Clone)]
pub enum SecretChange {
    /// It is as it was.
    Keep,
    Set(SecretString),
}

/// Registers servers, and looks how they are; cheap to clone.
#[derive(Debug, Clone)]
pub struct McpRegistry {
    sessions: SessionManager,
    prober: Prober,
    checks: Arc<Semaphore>,
}

impl McpRegistry {
    /// The registry of the servers that these sessions can name.
    #[must_use]
    pub fn new(sessions: SessionManager) -> Self {
        let inner = &sessions.inner;
        let prober = Prober::new(inner.launcher.clone(), inner.settings.mcp.outbound.clone());
        Self { prober, checks: Arc::new(Semaphore::new(CHECKS_AT_ONCE)), sessions }
    }

    /// Registers a server.
    pub async fn create(&self, caller: &Caller, draft: McpServerDraft) -> Result<McpServer> {
        let inner = &self.sessions.inner;
        only_admins_reach_everybody(caller, draft.is_global)?;
        let McpServerDraft { name, description, recipe, is_enabled, is_global } = draft;
        self.check(&name, &recipe)?;
        let (id, now) = (McpServerId::new(), inner.clock.now());
        let (env, headers) = recipe.seal(id, self.keys()).map_err(|_| NOT_SEALED)?;
        let server = McpServer {
            id,
            user_id: caller.user_id,
            name,
            description,
            transport: recipe.transport,
            command: recipe.command,
            args: recipe.args,
            env,
            url: recipe.url,
            headers,
            is_enabled,
            is_global,
            check: None,
            created_at: now,
            updated_at: now,
        };
        let stored = inner.stores.mcp_servers.create_mcp_server(&server, OWNED_MAX, &caller.origin()).await?;
        unless_full(stored, "MCP servers", OWNED_MAX)?;
        self.renew_agents(&server);
        Ok(server)
    }

    /// The caller's servers and those for everybody, newest first.
    pub async fn list(&self, caller: &Caller, page: &PageRequest) -> Result<Page<McpServer>> {
        Ok(self.sessions.inner.stores.mcp_servers.mcp_servers(caller.scope(), page).await?)
    }

    /// One of the caller's servers, or one for everybody.
    pub async fn get(&self, caller: &Caller, id: McpServerId) -> Result<McpServer> {
        let found = self.sessions.inner.stores.mcp_servers.mcp_server(caller.scope(), id).await?;
        found.ok_or(Error::NotFound(WHAT))
    }

    /// Changes a server. It holds from the next start of an agent on.
    pub async fn patch(
        &self,
        caller: &Caller,
        id: McpServerId,
        change: McpServerChange,
    ) -> Result<McpServer> {
        let (inner, any, origin) = (&self.sessions.inner, Expected::ANY, caller.origin());
        let servers = &inner.stores.mcp_servers;
        let (before, patched) = changed_as_seen(&any, async || {
            let before = self.get(caller, id).await?;
            only_admins_reach_everybody(caller, before.is_global || change.is_global == Some(true))?;
            // Secrets that are kept are those of what was seen.
            let patch = self.patch_of(&before, change.clone())?;
            let (seen, now) = (any.as_seen(&before)?, inner.clock.now());
            let patched = servers.patch_mcp_server(caller.scope(), id, &patch, &seen, now, &origin).await?;
            Ok((before, patched.ok_or(Error::NotFound(WHAT))?))
        })
        .await?;
        self.renew_agents(&before);
        self.renew_agents(&patched);
        Ok(patched)
    }

    /// Deletes a server. Sessions that name it do not start agents any more.
    pub async fn delete(&self, caller: &Caller, id: McpServerId) -> Result<()> {
        let (inner, any, origin) = (&self.sessions.inner, Expected::ANY, caller.origin());
        let servers = &inner.stores.mcp_servers;
        let deleted = changed_as_seen(&any, async || {
            let server = self.get(caller, id).await?;
            only_admins_reach_everybody(caller, server.is_global)?;
            let (seen, now) = (any.as_seen(&server)?, inner.clock.now());
            let is_deleted = servers.delete_mcp_server(caller.scope(), id, &seen, now, &origin).await?;
            if is_deleted { Ok(server) } else { Err(Error::NotFound(WHAT)) }
        })
        .await?;
        self.renew_agents(&deleted);
        Ok(())
    }

    /// What is changed in the store: secrets that are given are sealed, and what comes of it all makes sense.
    fn patch_of(&self, before: &McpServer, change: McpServerChange) -> Result<McpServerPatch> {
        let known = self.known_secrets(before, &change)?;
        let mut faults = vec![];
        let env = change.env.map(|wanted| after("/env", wanted, &known.env, &mut faults));
        let headers = change.headers.map(|wanted| after("/headers", wanted, &known.headers, &mut faults));
        if !faults.is_empty() {
            return Err(Error::Invalid(faults));
        }
        let (changes_env, changes_headers) = (env.is_some(), headers.is_some());
        let recipe = Recipe {
            transport: change.transport.unwrap_or(before.transport),
            command: change.command.clone().unwrap_or_else(|| before.command.clone()),
            args: change.args.clone().unwrap_or_else(|| before.args.clone()),
            env: env.unwrap_or(known.env),
            url: change.url.clone().unwrap_or_else(|| before.url.clone()),
            headers: headers.unwrap_or(known.headers),
        };
        self.check(change.name.as_deref().unwrap_or(&before.name), &recipe)?;
        let (env, headers) = recipe.seal(before.id, self.keys()).map_err(|_| NOT_SEALED)?;
        Ok(McpServerPatch {
            name: change.name,
            description: change.description,
            transport: change.transport,
            command: change.command,
            args: change.args,
            env: changes_env.then_some(env),
            url: change.url,
            headers: changes_headers.then_some(headers),
            is_enabled: change.is_enabled,
            is_global: change.is_global,
        })
    }

    /// The secrets there are, unless all of them are replaced: then it does not matter whether they can be opened.
    fn known_secrets(&self, before: &McpServer, change: &McpServerChange) -> Result<Recipe> {
        let replaces = |change: &Option<BTreeMap<String, SecretChange>>| {
            change.as_ref().is_some_and(|all| all.values().all(|one| matches!(one, SecretChange::Set(_))))
        };
        let mut opened = before.clone();
        if replaces(&change.env) {
            opened.env.clear();
        }
        if replaces(&change.headers) {
            opened.headers.clear();
        }
        Ok(Recipe::open(&opened, self.keys())?)
    }

    fn check(&self, name: &str, recipe: &Recipe) -> Result<()> {
        let mut faults: Vec<FieldError> = name_fault(name).into_iter().collect();
        let found = recipe.faults(&self.sessions.inner.settings.mcp.outbound);
        faults.extend(found.into_iter().map(field_error));
        if faults.is_empty() { Ok(()) } else { Err(Error::Invalid(faults)) }
    }

    fn keys(&self) -> &Keyring {
        &self.sessions.inner.settings.mcp.keyring
    }

    fn renew_agents(&self, server: &McpServer) {
        self.sessions.renew_agents_of(server.concerns());
    }
}

/// What a server is called in answers.
const WHAT: &str = "MCP server";
const NOT_SEALED: Error = Error::Internal("seal the secrets of an MCP server");

/// The secrets there are after a change.
fn after(
    member: &str,
    wanted: BTreeMap<String, SecretChange>,
    known: &BTreeMap<String, SecretString>,
    faults: &mut Vec<FieldError>,
) -> BTreeMap<String, SecretString> {
    let mut secrets = BTreeMap::new();
    for (name, change) in wanted {
        let secret = match change {
            SecretChange::Set(secret) => Some(secret),
            SecretChange::Keep => known.get(&name).cloned(),
        };
        match secret {
            Some(secret) => drop(secrets.insert(name, secret)),
            None => {
                let message = "cannot be kept, because there is no such secret";
                faults.push(FieldError::new(format!("{member}/{name}"), "unknown", message));
            }
        }
    }
    secrets
}

fn name_fault(name: &str) -> Option<FieldError> {
    let fault = |code, message: String| Some(FieldError::new("/name", code, message));
    if name.is_empty() || name.chars().count() > NAME_CHARS_MAX {
        return fault("length", format!("must have 1 to {NAME_CHARS_MAX} characters"));
    }
    if name.contains(char::is_control) {
        return fault("control_character", "must not have control characters".to_owned());
    }
    None
}

fn field_error(fault: Fault) -> FieldError {
    FieldError::new(fault.pointer, fault.code, fault.message)
}

fn only_admins_reach_everybody(caller: &Caller, is_global: bool) -> Result<()> {
    if is_global && caller.role != Role::Admin {
        return Err(Error::Forbidden("only admins may register MCP servers for everybody, and change them"));
    }
    Ok(())
}

impl From<SecretsLost> for Error {
    fn from(lost: SecretsLost) -> Self {
        Self::SecretsLost(lost.to_string())
    }
}
