//! Servers from and to the file in which Claude Desktop keeps them.

use super::{McpRegistry, McpServerDraft, field_error};
use crate::{Error, FieldError, Result, owned::OWNED_MAX};
use domain::{Caller, McpServer, ports::StoreError};
use mcp::desktop::{self, Entry, Imported};
use serde_json::Value;

/// What became of one server of a file.
#[derive(Debug)]
pub struct ImportOutcome {
    pub name: String,
    /// The server that was registered, or what is wrong with it: then nothing of it was.
    pub result: std::result::Result<ImportedServer, Vec<FieldError>>,
}

/// A server that was registered.
#[derive(Debug)]
pub struct ImportedServer {
    pub server: McpServer,
    /// Secrets that the file does not have, as pointers into the server. While there are any it is disabled.
    pub missing: Vec<String>,
    /// Members of it that mean nothing here.
    pub ignored: Vec<String>,
}

impl McpRegistry {
    /// Registers the servers of a file, each by itself: what is wrong with one is told and stops no other.
    pub async fn import(&self, caller: &Caller, file: &[u8]) -> Result<Vec<ImportOutcome>> {
        let entries = desktop::read(file)
            .map_err(|bad| Error::Invalid(vec![FieldError::new("/file", "format", bad.to_string())]))?;
        let mut outcomes = vec![];
        for Entry { name, read } in entries {
            let result = match read {
                Err(fault) => Err(vec![field_error(fault)]),
                Ok(imported) => self.import_one(caller, name.clone(), imported).await,
            };
            outcomes.push(ImportOutcome { name, result });
        }
        Ok(outcomes)
    }

    async fn import_one(
        &self,
        caller: &Caller,
        name: String,
        imported: Imported,
    ) -> std::result::Result<ImportedServer, Vec<FieldError>> {
        let Imported { recipe, is_enabled, missing, ignored } = imported;
        let is_enabled = is_enabled && missing.is_empty();
        let draft = McpServerDraft { name, description: None, recipe, is_enabled, is_global: false };
        match self.create(caller, draft).await {
            Ok(server) => Ok(ImportedServer { server, missing, ignored }),
            Err(Error::Invalid(faults)) => Err(faults),
            Err(Error::Store(StoreError::Conflict { what })) => {
                Err(vec![FieldError::new("/name", "exists", format!("{what} exists already"))])
            }
            Err(full @ Error::LimitReached { .. }) => {
                Err(vec![FieldError::new("", "limit", format!("could not {full}"))])
            }
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "an MCP server was not imported");
                Err(vec![FieldError::new("", "not_stored", "could not be stored; try this one again")])
            }
        }
    }

    /// The caller's own servers as such a file, with placeholders for their secrets.
    pub async fn export(&self, caller: &Caller) -> Result<Value> {
        let stores = &self.sessions.inner.stores;
        Ok(desktop::write(&stores.mcp_servers.own_mcp_servers(caller.user_id, OWNED_MAX).await?))
    }
}
