//! The engine at its seam: real use cases on a store in memory, with agents that follow a script.
#![expect(clippy::unwrap_used, reason = "what fails here fails its test")]

mod accounts;
mod admission;
mod aftercare;
mod agents;
mod approvals;
mod archives;
mod as_seen;
mod custom_policies;
mod disk;
mod drafts;
mod endings;
mod failures;
mod files;
mod governance;
mod housekeeping;
mod interrupting;
mod last_words;
mod leases;
mod life;
mod links;
mod mcp_checks;
mod money;
mod moving;
mod pipes;
mod prompts;
mod queue;
mod retries;
mod snapshots;
mod tasks;
mod transcripts;
mod waking;
mod watching;
mod world;
