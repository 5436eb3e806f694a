//! From the servers that a session names to what its agent is told of them.

use crate::{FieldError, Result, SessionManager, agent::NotPrepared};
use domain::{McpServer, SdkOptions, Session, UserId};
use mcp::Recipe;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

impl SessionManager {
    /// What is wrong with the servers that a session is to have.
    pub(crate) async fn mcp_faults(
        &self,
        user: UserId,
        options: Option<&SdkOptions>,
    ) -> Result<Vec<FieldError>> {
        let Some(options) = options else { return Ok(vec![]) };
        let named = self.named_servers(user, &options.mcp_servers).await?;
        let mut faults = vec![];
        for (key, server) in &options.mcp_servers {
            let mut fault = |code, message: String| {
                faults.push(FieldError::new(format!("/sdk_options/mcp_servers/{key}"), code, message));
            };
            match server {
                Value::Object(_) => {}
                Value::String(name) => match named.get(name) {
                    None => fault("unknown", "names no MCP server that you have or everybody has".to_owned()),
                    Some(server) if !server.is_enabled => {
                        fault("disabled", "names an MCP server that is disabled".to_owned());
                    }
                    Some(_) => {}
                },
                _ => fault("type", "must be the name of a registered server, or a server".to_owned()),
            }
        }
        Ok(faults)
    }

    /// The servers of a session as its agent takes them. What they are is looked up anew at every start.
    pub(crate) async fn mcp_config(
        &self,
        session: &Session,
    ) -> std::result::Result<Option<Value>, NotPrepared> {
        let wanted = &session.spec.sdk_options.mcp_servers;
        if wanted.is_empty() {
            return Ok(None);
        }
        let named = self.named_servers(session.user_id, wanted).await?;
        let settings = &self.inner.settings.mcp;
        let mut config = Map::new();
        for (key, server) in wanted {
            let told = match server {
                Value::String(name) => {
                    let refused = |why: String| NotPrepared::McpServer { name: name.clone(), why };
                    let server =
                        named.get(name).ok_or_else(|| refused("is not there any more".to_owned()))?;
                    if !server.is_enabled {
                        return Err(refused("is disabled".to_owned()));
                    }
                    let recipe = Recipe::open(server, &settings.keyring).map_err(|lost| {
                        refused(format!("has a secret this server could not read: could not {lost}"))
                    })?;
                    // What the operator allows may have changed since it was registered.
                    if let Some(fault) = recipe.faults(&settings.outbound).first() {
                        return Err(refused(format!(
                            "is not allowed any more: {} {}",
                            fault.pointer, fault.message
                        )));
                    }
                    recipe.to_cli()
                }
                inline => inline.clone(),
            };
            config.insert(key.clone(), told);
        }
        Ok(Some(config.into()))
    }

    async fn named_servers(
        &self,
        user: UserId,
        wanted: &Map<String, Value>,
    ) -> Result<BTreeMap<String, McpServer>> {
        let names: Vec<String> =
            wanted.values().filter_map(|server| server.as_str().map(str::to_owned)).collect();
        if names.is_empty() {
            return Ok(BTreeMap::new());
        }
        let found = self.inner.stores.mcp_servers.mcp_servers_named(user, &names).await?;
        Ok(found.into_iter().map(|server| (server.name.clone(), server)).collect())
    }
}
