//! What a server is connected by, with its secrets open: checked, filled in, and put in the words of the CLI.

mod check;
mod placeholders;

use crate::{Keyring, KeyringError, SecretsLost};
use domain::{McpServer, McpServerId, McpTransport, hook::SealedSecret};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Secrets shorter than this are not looked for in texts: they would be found in any.
const REDACTED_BYTES_MIN: usize = 4;

/// A server with open secrets. It is held for as long as it takes to use it.
#[derive(Debug, Clone)]
pub struct Recipe {
    pub transport: McpTransport,
    pub command: Option<String>,
    pub args: Vec<String>,
    pub env: BTreeMap<String, SecretString>,
    pub url: Option<String>,
    pub headers: BTreeMap<String, SecretString>,
}

/// What is wrong with one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// JSON pointer into the server.
    pub pointer: String,
    /// Stable word for the rule that was broken.
    pub code: &'static str,
    pub message: String,
}

/// Sealed secrets: variables, and headers.
type Sealed = (BTreeMap<String, SealedSecret>, BTreeMap<String, SealedSecret>);

impl Recipe {
    /// Opens the secrets of a server.
    pub fn open(server: &McpServer, keys: &Keyring) -> Result<Self, SecretsLost> {
        let open = |kind: &'static str, secrets: &BTreeMap<String, SealedSecret>| {
            let open = |(name, sealed): (&String, &SealedSecret)| {
                let opened = keys.open(server.id, &field(kind, name), sealed)?;
                Ok((name.clone(), opened))
            };
            secrets.iter().map(open).collect::<Result<BTreeMap<_, _>, SecretsLost>>()
        };
        Ok(Self {
            transport: server.transport,
            command: server.command.clone(),
            args: server.args.clone(),
            env: open("env", &server.env)?,
            url: server.url.clone(),
            headers: open("headers", &server.headers)?,
        })
    }

    /// Seals the secrets for the server of this id: its variables and its headers.
    pub fn seal(&self, id: McpServerId, keys: &Keyring) -> Result<Sealed, KeyringError> {
        let seal = |kind: &'static str, secrets: &BTreeMap<String, SecretString>| {
            let seal = |(name, secret): (&String, &SecretString)| {
                Ok((name.clone(), keys.seal(id, &field(kind, name), secret)?))
            };
            secrets.iter().map(seal).collect::<Result<BTreeMap<_, _>, KeyringError>>()
        };
        Ok((seal("env", &self.env)?, seal("headers", &self.headers)?))
    }

    /// The server as the CLI takes it, secrets and all.
    #[must_use]
    pub fn to_cli(&self) -> Value {
        match self.transport {
            McpTransport::Stdio | McpTransport::Sdk => json!({
                "type": "stdio",
                "command": self.command,
                "args": self.filled_args(),
                "env": exposed(&self.env),
            }),
            McpTransport::Sse | McpTransport::Http => json!({
                "type": self.transport.as_str(),
                "url": self.filled_url(),
                "headers": self.filled_headers(),
            }),
        }
    }

    /// The arguments with their secrets in place.
    #[must_use]
    pub fn filled_args(&self) -> Vec<String> {
        self.args.iter().map(|arg| self.filled(arg)).collect()
    }

    /// The URL with its secrets in place.
    #[must_use]
    pub fn filled_url(&self) -> Option<String> {
        self.url.as_deref().map(|url| self.filled(url))
    }

    /// The headers with their secrets in place.
    #[must_use]
    pub fn filled_headers(&self) -> BTreeMap<String, String> {
        let filled =
            |(name, value): (&String, &SecretString)| (name.clone(), self.filled(value.expose_secret()));
        self.headers.iter().map(filled).collect()
    }

    /// The variables of a process.
    #[must_use]
    pub fn variables(&self) -> BTreeMap<String, String> {
        exposed(&self.env)
    }

    /// The text without any of the secrets, which a server may well repeat.
    #[must_use]
    pub fn redacted(&self, text: &str) -> String {
        let mut secrets: Vec<String> = self.variables().into_values().collect();
        secrets.extend(self.filled_headers().into_values());
        secrets.extend(self.headers.values().map(|value| value.expose_secret().to_owned()));
        // What stands behind the word for its scheme is the secret.
        let bare = secrets.iter().filter_map(|value| Some(value.split_once(' ')?.1.to_owned()));
        secrets.extend(bare.collect::<Vec<_>>());
        secrets.retain(|secret| secret.len() >= REDACTED_BYTES_MIN);
        // Longest first, so that none hides a part of another.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        secrets.iter().fold(text.to_owned(), |text, secret| text.replace(secret.as_str(), "***"))
    }

    fn filled(&self, text: &str) -> String {
        placeholders::fill(text, |name| self.env.get(name).map(|secret| secret.expose_secret()))
    }
}

fn field(kind: &str, name: &str) -> String {
    format!("{kind}/{name}")
}

fn exposed(secrets: &BTreeMap<String, SecretString>) -> BTreeMap<String, String> {
    secrets.iter().map(|(name, secret)| (name.clone(), secret.expose_secret().to_owned())).collect()
}

#[cfg(test)]
mod tests;
