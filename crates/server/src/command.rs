//! What the `steward` command can be asked to do; nothing said, it serves.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::config::ServerRole;

/// Runs, governs and accounts for Claude agent sessions.
#[derive(Debug, Parser)]
#[command(name = "steward", version)]
pub struct Command {
    #[command(subcommand)]
    pub action: Option<Action>,
}

#[derive(Debug, Subcommand)]
pub enum Action {
    /// Run the server (the default).
    Serve {
        /// What this server does among those on one PostgreSQL; instead of SERVER_ROLE.
        #[arg(long, value_enum)]
        role: Option<ServerRole>,
    },
    /// Look at the audit log, also while a server is running.
    #[command(subcommand)]
    Audit(Audit),
    /// Look after the secrets of people, also while servers are running.
    #[command(subcommand)]
    Secrets(Secrets),
}

#[derive(Debug, Clone, Copy, Subcommand)]
pub enum Secrets {
    /// Say which secrets are encrypted with which key.
    ///
    /// Ends with 0 if all can be read, with 1 if some cannot.
    Check,
    /// Encrypt with ENCRYPTION_KEY what is encrypted with one of ENCRYPTION_KEYS_OLD.
    ///
    /// Ends with 0 if all is, with 1 if some cannot be read: they stay as they are.
    Rotate,
}

#[derive(Debug, Subcommand)]
pub enum Audit {
    /// Check that no entry of the audit log was changed, removed or added later.
    ///
    /// Ends with 0 if the chain is whole, with 1 if it is damaged, and with 2 if that could not be found out.
    Verify(Verify),
    /// Write the audit log to standard output, one entry a line.
    Export {
        /// The last entry that is there already; 0 for the whole chain.
        #[arg(long, value_name = "SEQ", default_value_t = 0)]
        after_seq: u64,
    },
}

#[derive(Debug, Args)]
pub struct Verify {
    /// An export to check instead of the configured database.
    #[arg(long, value_name = "EXPORT.JSONL")]
    pub file: Option<PathBuf>,
    /// A hash that was the chain's head once: the chain must still have it. Without one, a missing end goes unseen.
    #[arg(long, value_name = "HASH")]
    pub expect_head: Option<String>,
    /// The number of the first entry to check. The hash that it names as the one before is taken on trust.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    pub from_seq: u64,
    /// A file with a SECRET_KEY that was in use earlier. May be given more than once.
    #[arg(long, value_name = "FILE")]
    pub previous_key_file: Vec<PathBuf>,
    /// Check the hashes only: for an export of a server whose SECRET_KEY is not at hand.
    #[arg(long)]
    pub unsigned: bool,
}
