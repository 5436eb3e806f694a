//! What secrets of people are encrypted with, and which MCP servers they may register.

use secrecy::{ExposeSecret, SecretString};

use super::{
    parse::{boolean, list, secret_key},
    reader::Reader,
};

/// The keys of secrets at rest, and the way to MCP servers.
#[derive(Debug, Clone)]
pub struct McpConfig {
    /// Encrypts; `None`: the generated key in the data directory.
    pub encryption_key: Option<SecretString>,
    /// Those that encrypted before it, and still decrypt.
    pub old_encryption_keys: Vec<SecretString>,
    /// Whether MCP servers may have private addresses, and do without TLS.
    pub allow_private_addresses: bool,
}

impl McpConfig {
    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let key = reader.secret("ENCRYPTION_KEY", secret_key);
        let old = reader.secret("ENCRYPTION_KEYS_OLD", |text| {
            let bad = || "keys as ENCRYPTION_KEY has them, with commas between".to_owned();
            list(text).into_iter().try_for_each(secret_key).map_err(|_| bad())
        });
        let private = reader.value("MCP_ALLOW_PRIVATE_ADDRESSES", "false", boolean);
        let old = old?.map(|text| list(text.expose_secret()).into_iter().map(SecretString::from).collect());
        Some(Self {
            encryption_key: key?,
            old_encryption_keys: old.unwrap_or_default(),
            allow_private_addresses: private?,
        })
    }
}
