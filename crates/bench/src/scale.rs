//! How often each thing is done.

/// Repetitions, chosen so that the whole stays below a few minutes.
#[derive(Debug)]
pub(crate) struct Scale {
    /// Starts of the server with each kind of data folder.
    pub(crate) starts: usize,
    /// Rounds of creating sessions and of inserting rows, by turns.
    pub(crate) create_rounds: usize,
    /// Sessions created in a round, over all connections.
    pub(crate) creates: usize,
    /// Conversations that each contestant has, and rounds in each in which it takes one turn.
    pub(crate) warm_conversations: usize,
    pub(crate) warm_rounds: usize,
    /// Rounds in which each contestant starts an agent.
    pub(crate) cold_rounds: usize,
    /// Small requests to the model each way.
    pub(crate) requests: usize,
    /// Streams each way.
    pub(crate) streams: usize,
    /// Deltas of a stream that comes as fast as it can.
    pub(crate) deltas: usize,
    /// Deltas of a stream at the pace of a model.
    pub(crate) paced_deltas: usize,
    /// Rounds in which each SDK answers permissions, hooks and calls.
    pub(crate) answer_rounds: usize,
    /// Rounds in which each SDK reads a long turn of partial messages.
    pub(crate) partial_rounds: usize,
    /// Rounds in which many sessions are opened at once.
    pub(crate) crowd_rounds: usize,
    /// Verdicts on tool calls each way.
    pub(crate) verdicts: usize,
    /// Rounds of a claim and a cold start.
    pub(crate) claims: usize,
    /// Turns that each interrupts.
    pub(crate) interrupts: usize,
    /// Rounds in which each archives and restores.
    pub(crate) archive_rounds: usize,
    /// Files of a folder that is archived, and their bytes together.
    pub(crate) archive_files: u64,
    pub(crate) archive_bytes: u64,
    /// Rounds in which each server is asked, with metrics and without.
    pub(crate) metrics_rounds: usize,
    /// Rounds in which tools are recorded, with metrics and without.
    pub(crate) tool_rounds: usize,
    /// Tools that are told at a thousand a second.
    pub(crate) paced_tools: u64,
    /// Sessions in the database of a server under load.
    pub(crate) load_sessions: u64,
    /// How long requests come.
    pub(crate) load_seconds: u32,
    pub(crate) load_watchers: usize,
    /// What happens in each watched session.
    pub(crate) load_events: usize,
    /// In the directory of each session that is archived under load.
    pub(crate) load_archive_bytes: u64,
    /// Rounds of reading pages.
    pub(crate) pages: usize,
    /// Rows of a long list.
    pub(crate) many_rows: u64,
}

impl Scale {
    pub(crate) fn new(quick: bool) -> Self {
        if quick {
            Self {
                starts: 5,
                create_rounds: 4,
                creates: 1_000,
                warm_conversations: 2,
                warm_rounds: 20,
                cold_rounds: 3,
                requests: 500,
                streams: 5,
                deltas: 20_000,
                paced_deltas: 200,
                answer_rounds: 1,
                partial_rounds: 2,
                crowd_rounds: 1,
                verdicts: 1_000,
                claims: 3,
                interrupts: 1,
                archive_rounds: 1,
                archive_files: 12_500,
                archive_bytes: 256 << 20,
                metrics_rounds: 160,
                tool_rounds: 8,
                paced_tools: 5_000,
                load_sessions: 10_000,
                load_seconds: 20,
                load_watchers: 500,
                load_events: 10,
                load_archive_bytes: 16 << 20,
                pages: 100,
                many_rows: 100_000,
            }
        } else {
            Self {
                starts: 15,
                create_rounds: 8,
                creates: 2_000,
                warm_conversations: 10,
                warm_rounds: 60,
                cold_rounds: 11,
                requests: 3_000,
                streams: 11,
                deltas: 100_000,
                paced_deltas: 500,
                answer_rounds: 4,
                partial_rounds: 5,
                crowd_rounds: 2,
                verdicts: 10_000,
                claims: 15,
                interrupts: 7,
                archive_rounds: 3,
                archive_files: 50_000,
                archive_bytes: 1 << 30,
                metrics_rounds: 1_600,
                tool_rounds: 40,
                paced_tools: 30_000,
                load_sessions: 100_000,
                load_seconds: 600,
                load_watchers: 2_000,
                load_events: 30,
                load_archive_bytes: 64 << 20,
                pages: 500,
                many_rows: 1_000_000,
            }
        }
    }
}
