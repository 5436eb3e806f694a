//! Limits: every queue, wait and size of this crate, by name.

use jiff::SignedDuration;
use std::time::Duration;

/// Largest input and output of a hook that is kept whole on record, in bytes of JSON.
pub const RECORDED_BYTES_MAX: usize = 64 * 1024;
/// In one that is larger, longest text that is kept whole, in bytes.
pub const RECORDED_TEXT_BYTES_MAX: usize = 4 * 1024;
/// Events whose runs wait for the writer; whoever has one more waits.
pub const RECORD_QUEUE_MAX: usize = 256;
/// Events whose runs are written in one unit of work.
pub const RECORD_BATCH_MAX: usize = 64;
/// How long an event waits for room in the queue before its hooks count as failed.
pub const RECORD_WAIT: Duration = Duration::from_secs(10);
/// How long the end of a turn waits for its runs to be written.
pub const FLUSH_WAIT: Duration = Duration::from_secs(5);
/// Between two attempts to write while the store is not there, and how many there are once the server ends.
pub const RECORD_RETRY_DELAY: Duration = Duration::from_secs(1);
pub const RECORD_ATTEMPTS_MAX_AT_END: u32 = 5;
/// What the agent waits beyond the time-outs of all hooks of an event, so that it never gives up before we do.
pub const ANSWER_MARGIN: Duration = Duration::from_secs(20);

/// Range of an endpoint's time-out.
pub const ENDPOINT_TIMEOUT_MIN_MS: u32 = 100;
pub const ENDPOINT_TIMEOUT_MAX_MS: u32 = 30_000;
/// Largest answer of an endpoint that is read, in bytes.
pub const ANSWER_BYTES_MAX: usize = 1024 * 1024;
/// Messages that are sent at once, and how many of them to one endpoint, so that a dead one leaves room for others.
pub const SENDING_MAX: usize = 16;
pub const SENDING_TO_ONE_MAX: usize = 4;
/// How long a message that is being sent belongs to whoever sends it: longer than any attempt takes.
pub const LEASE: SignedDuration = SignedDuration::from_secs(45);
/// How often due messages are looked for, beside when there is news.
pub const DELIVERY_POLL: Duration = Duration::from_secs(2);
/// How long a server that ends waits for messages that are being sent.
pub const SENDING_WAIT_AT_END: Duration = Duration::from_secs(5);
/// Between the attempts of a message, after Standard Webhooks; after the last it has failed.
pub const RETRY_DELAYS: [SignedDuration; 9] = [
    SignedDuration::from_secs(5),
    SignedDuration::from_mins(5),
    SignedDuration::from_mins(30),
    SignedDuration::from_hours(2),
    SignedDuration::from_hours(5),
    SignedDuration::from_hours(10),
    SignedDuration::from_hours(14),
    SignedDuration::from_hours(20),
    SignedDuration::from_hours(24),
];
/// How long the endpoint of a task may take to answer.
pub const COMPLETION_TIMEOUT: Duration = Duration::from_secs(15);
/// How long a secret that was replaced signs beside its successor.
pub const OLD_SECRET_LIFE: SignedDuration = SignedDuration::from_hours(24);
