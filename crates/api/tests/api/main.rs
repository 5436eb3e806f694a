//! The API as its clients meet it: a real server on a real socket, scripted agents, a store in memory.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test that meets a surprise should stop there")]

mod access;
mod admin;
mod alerts;
mod archives;
mod audit_log;
mod auth;
mod bad_input;
mod budgets;
mod client;
mod contract;
mod costs;
mod document;
mod etags;
mod events;
mod files;
mod health;
mod hooks;
mod large;
mod limits;
mod mcp_servers;
mod metrics;
mod oidc;
mod once;
mod owned;
mod policies;
mod problems;
mod query;
mod rates;
mod reports;
mod revocations;
mod scopes;
mod session_templates;
mod sessions;
mod slow_bodies;
mod stream;
mod surface;
mod tasks;
mod transitions;
mod users;
mod world;
