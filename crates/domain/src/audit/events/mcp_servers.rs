//! MCP servers that were registered, changed and deleted.

use super::governance::word;
use crate::{
    McpServer,
    audit::{AuditEvent, Fact, Origin},
    mcp::McpServerPatch,
};
use jiff::Timestamp;

/// A server was registered.
#[must_use]
pub fn mcp_server_created(server: &McpServer, origin: &Origin) -> AuditEvent {
    about_server("mcp_server.created", server, origin, server.created_at)
}

/// A server was changed to this.
#[must_use]
pub fn mcp_server_changed(
    server: &McpServer,
    patch: &McpServerPatch,
    origin: &Origin,
    at: Timestamp,
) -> AuditEvent {
    let fields = [
        ("name", patch.name.is_some()),
        ("description", patch.description.is_some()),
        ("server_type", patch.transport.is_some()),
        ("command", patch.command.is_some()),
        ("args", patch.args.is_some()),
        ("env", patch.env.is_some()),
        ("url", patch.url.is_some()),
        ("headers", patch.headers.is_some()),
        ("is_enabled", patch.is_enabled.is_some()),
        ("is_global", patch.is_global.is_some()),
    ];
    let changed = fields.into_iter().filter(|(_, is_changed)| *is_changed);
    let changed = changed.map(|(name, _)| name.to_owned()).collect();
    about_server("mcp_server.changed", server, origin, at).with("fields", Fact::List(changed))
}

/// A server was deleted.
#[must_use]
pub fn mcp_server_deleted(server: &McpServer, origin: &Origin, at: Timestamp) -> AuditEvent {
    about_server("mcp_server.deleted", server, origin, at)
}

/// The secrets of a server are sealed with another key; they are the same.
#[must_use]
pub fn mcp_server_resealed(server: &McpServer, origin: &Origin, at: Timestamp) -> AuditEvent {
    about_server("mcp_server.secrets_resealed", server, origin, at)
}

/// What it is started by and where it is may hold secrets, so that only their hash stands here.
fn about_server(action: &'static str, server: &McpServer, origin: &Origin, at: Timestamp) -> AuditEvent {
    let mut place = server.command.iter().chain(&server.args).cloned().collect::<Vec<_>>();
    place.extend(server.url.clone());
    AuditEvent::new(action, origin, at)
        .about("mcp_server", server.id)
        .with("owner_id", Fact::Text(server.user_id.to_string()))
        .with("name", word(&server.name))
        .with("server_type", server.transport.as_str())
        .with("is_enabled", Fact::Flag(server.is_enabled))
        .with("is_global", Fact::Flag(server.is_global))
        .with_sha256("place_sha256", place.join("\0").as_bytes())
}
