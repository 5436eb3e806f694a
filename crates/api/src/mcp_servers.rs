//! `/mcp-servers`: the MCP servers that people register, so that sessions can name them.

pub mod catalogue;
pub mod check;
pub mod create;
pub mod list;
pub mod one;
pub mod response;
pub mod secrets;
pub mod transfer;
