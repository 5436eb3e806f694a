//! The file in which Claude Desktop, and most other clients, keep their servers: `{"mcpServers": {"name": {...}}}`.

use crate::{Fault, Recipe};
use domain::{McpServer, McpTransport};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Servers there may be in one file.
pub const SERVERS_MAX: usize = 100;

/// The file is not one.
#[derive(Debug, thiserror::Error)]
pub enum NotAConfig {
    #[error("is not JSON: {0}")]
    NotJson(String),
    #[error("has no object `mcpServers`")]
    NoServers,
    #[error("has more than {SERVERS_MAX} servers")]
    TooMany,
}

/// A server of a file.
#[derive(Debug)]
pub struct Entry {
    pub name: String,
    /// What is wrong with its shape, or what it is.
    pub read: Result<Imported, Fault>,
}

/// A server as it was read.
#[derive(Debug)]
pub struct Imported {
    pub recipe: Recipe,
    pub is_enabled: bool,
    /// Secrets that the file does not have, as pointers into the server: they stand there as placeholders.
    pub missing: Vec<String>,
    /// Members that mean nothing here.
    pub ignored: Vec<String>,
}

/// One server, as far as it is understood.
#[derive(Debug, Deserialize)]
struct Server {
    #[serde(alias = "transport")]
    r#type: Option<String>,
    command: Option<String>,
    #[serde(default)]
    args: Vec<String>,
    #[serde(default)]
    env: BTreeMap<String, String>,
    #[serde(alias = "serverUrl")]
    url: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    disabled: bool,
    #[serde(flatten)]
    others: Map<String, Value>,
}

/// The servers of a file.
pub fn read(file: &[u8]) -> Result<Vec<Entry>, NotAConfig> {
    let file: Value = serde_json::from_slice(file).map_err(|error| NotAConfig::NotJson(error.to_string()))?;
    let Value::Object(mut members) = file else { return Err(NotAConfig::NoServers) };
    let Some(Value::Object(servers)) = members.remove("mcpServers") else {
        return Err(NotAConfig::NoServers);
    };
    if servers.len() > SERVERS_MAX {
        return Err(NotAConfig::TooMany);
    }
    Ok(servers.into_iter().map(|(name, server)| Entry { read: entry(server), name }).collect())
}

fn entry(server: Value) -> Result<Imported, Fault> {
    let fault = |pointer: &str, code, message: String| Fault { pointer: pointer.to_owned(), code, message };
    // serde would fill it from a list as well.
    if !server.is_object() {
        return Err(fault("", "type", "must be an object".to_owned()));
    }
    // What it says of a value that does not fit holds the value, which may be a secret.
    let server: Server = serde_json::from_value(server)
        .map_err(|_| fault("", "type", "has a member of another type than it must have".to_owned()))?;
    let transport = match (server.r#type.as_deref(), &server.url) {
        (Some("stdio"), _) | (None, None) => McpTransport::Stdio,
        (Some("sse"), _) => McpTransport::Sse,
        (Some("http" | "streamable-http" | "streamableHttp" | "streamable_http"), _) | (None, Some(_)) => {
            McpTransport::Http
        }
        (Some(_), _) => return Err(fault("/type", "enum", "must be stdio, sse or http".to_owned())),
    };
    let mut missing = vec![];
    let mut secrets = |kind: &str, values: BTreeMap<String, String>| -> BTreeMap<String, SecretString> {
        let mut secret = |(name, value): (String, String)| {
            let is_missing = value == placeholder(&name);
            if is_missing {
                missing.push(format!("/{kind}/{name}"));
            }
            (name, SecretString::from(if is_missing { String::new() } else { value }))
        };
        values.into_iter().map(&mut secret).collect()
    };
    let headers = server.headers.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value));
    let recipe = Recipe {
        transport,
        command: server.command,
        args: server.args,
        env: secrets("env", server.env),
        url: server.url,
        headers: secrets("headers", headers.collect()),
    };
    let ignored = server.others.into_iter().map(|(name, _)| name).collect();
    Ok(Imported { recipe, is_enabled: !server.disabled, missing, ignored })
}

/// The file of these servers. Secrets stand in it as `${NAME}`, so that it can be shown around, and read back.
#[must_use]
pub fn write(servers: &[McpServer]) -> Value {
    let servers: Map<String, Value> =
        servers.iter().map(|server| (server.name.clone(), written(server))).collect();
    json!({ "mcpServers": servers })
}

fn written(server: &McpServer) -> Value {
    let mut out = Map::new();
    let mut set = |name: &str, value: Value| {
        out.insert(name.to_owned(), value);
    };
    match server.transport {
        // Clients know a command for what it is; Claude Desktop has no word for it.
        McpTransport::Stdio | McpTransport::Sdk => {
            set("command", json!(server.command));
            set("args", json!(server.args));
        }
        McpTransport::Sse | McpTransport::Http => {
            set("type", server.transport.as_str().into());
            set("url", json!(server.url));
        }
    }
    for (member, secrets) in [("env", &server.env), ("headers", &server.headers)] {
        if !secrets.is_empty() {
            let placeholders: Map<String, Value> =
                secrets.keys().map(|name| (name.clone(), placeholder(name).into())).collect();
            set(member, placeholders.into());
        }
    }
    if !server.is_enabled {
        set("disabled", true.into());
    }
    Value::Object(out)
}

/// What stands for a secret in a file.
fn placeholder(name: &str) -> String {
    let word = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    format!("${{{}}}", name.chars().map(word).collect::<String>())
}

#[cfg(test)]
mod tests;
