//! The server: reads its settings, puts the parts together, and runs them until it is told to end.

mod alerts;
mod archives;
pub mod audit_command;
pub mod cli;
pub mod command;
pub mod compose;
pub mod config;
pub mod crash_points;
pub mod data_dir;
mod engine_settings;
pub mod figures;
mod health;
mod keyring;
mod oidc;
mod sandbox;
pub mod secret_key;
pub mod secrets_command;
pub mod serve;
pub mod watchdog;
