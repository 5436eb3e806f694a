//! Every bound of the gateway, by name.

use std::time::Duration;

use domain::MicroUsd;

/// Most bytes of a request's body; the API itself takes half of it.
pub const REQUEST_BODY_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Most bytes of an answer that is not a stream.
pub const ANSWER_BODY_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Most bytes of a line that is read for its usage; a longer one passes unread.
pub const USAGE_LINE_BYTES_MAX: usize = 1024 * 1024;
/// Connections open at a time, over all agents; more wait to be accepted.
pub const CONNECTIONS_MAX: usize = 1_024;
/// Requests of one agent in flight at a time; more are answered with 429.
pub const REQUESTS_PER_AGENT_MAX: usize = 64;
/// Reports of one agent that are read at a time, one for each signal; more are told to come again.
pub const REPORTS_PER_AGENT_MAX: usize = 3;
/// Reports that are read at a time, over all agents.
pub const REPORTS_MAX: usize = 32;
/// Most bytes of one report.
pub const REPORT_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How long a report may take to arrive.
pub const REPORT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection may stay without the head of a request, idle ones included.
///
/// Longer than any client keeps an idle connection, so that we never close one on which a request is under way.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(600);
/// How long the body of a request may take to arrive.
pub const REQUEST_BODY_TIMEOUT: Duration = Duration::from_secs(60);
/// Most bytes that are taken of a body beyond its bound, and for how long, so that the refusal arrives.
pub const REFUSED_BODY_BYTES_MAX: usize = 16 * 1024 * 1024;
pub const REFUSED_BODY_TIMEOUT: Duration = Duration::from_millis(500);
/// How long connecting to the upstream may take.
pub const UPSTREAM_CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// How long the upstream may be silent, before or within its answer.
pub const UPSTREAM_IDLE_TIMEOUT: Duration = Duration::from_secs(600);
/// How long an idle connection to the upstream is kept for the next request.
pub const UPSTREAM_POOL_IDLE: Duration = Duration::from_secs(50);
/// Names of called tools that are kept of one answer, and bytes of one that is kept.
pub const TOOLS_PER_ANSWER_MAX: usize = 64;
pub const TOOL_NAME_BYTES_MAX: usize = 256;
/// Passes of models that are read of one answer. The API pauses an answer long before.
pub const SAMPLINGS_PER_ANSWER_MAX: usize = 256;
/// Most output tokens that a hold is made for: no model answers longer.
pub const OUTPUT_TOKENS_MAX: u64 = 1_000_000;
/// Tokens of the largest context window: the most input there can be when a request refers to what is not in it.
pub const CONTEXT_TOKENS_MAX: u64 = 1_000_000;
/// Input tokens that the API adds to a request by itself, for tools for example.
pub const INPUT_TOKENS_ADDED: u64 = 2_000;
/// Input tokens, a byte each at most, by which the first request of a turn may be larger than the last turn's largest for
/// money to be held before it comes.
pub const AHEAD_TOKENS_ADDED: u64 = 32 * 1024;
/// How long after the prompt it is held. An agent takes longer than that until it asks, and is about to have a processor
/// that whoever holds the money would take from it.
pub const AHEAD_DELAY: Duration = Duration::from_millis(5);
/// How long ago it may have been held: what has become of a budget since then does not count for that request.
pub const AHEAD_LASTS: Duration = Duration::from_secs(5);
/// Uses of a server tool that are reckoned with when the request does not bound them.
pub const SERVER_TOOL_USES_MAX: u64 = 10;
/// Uses of one that are reckoned with however many the request allows: the API pauses an answer long before.
pub const SERVER_TOOL_USES_ASKED_MAX: u64 = 100;
/// Most output tokens of one use of an advisor whose tool does not bound them: no model that advises answers longer.
pub const ADVICE_TOKENS_MAX: u64 = 128_000;
/// Advisors of a request that are reckoned with one by one.
pub const ADVISORS_MAX: usize = 8;
/// Most bytes of a model's name; what is longer names none.
pub const MODEL_BYTES_MAX: usize = 256;
/// The most that is held for one request: a million dollars, which none costs. Sums of millions of them fit.
pub const HOLD_MAX: MicroUsd = MicroUsd(1_000_000_000_000);
/// How long a request may be under way until it is noted, for the case that the server dies. Few answers come sooner.
pub const NOTE_DELAY: Duration = Duration::from_millis(100);
/// How often what a stream has used so far is noted.
pub const NOTE_INTERVAL: Duration = Duration::from_secs(2);
/// How long a request whose answer was seen whole waits for the end of the stream until it is booked. The agent waits for
/// that end too, and is not to wait for the booking.
pub const END_WAIT: Duration = Duration::from_millis(500);
/// How often the price file is looked at, and its most bytes.
pub const PRICE_FILE_INTERVAL: Duration = Duration::from_secs(5);
pub const PRICE_FILE_BYTES_MAX: u64 = 1024 * 1024;
/// How long the end of an agent's access waits for its last requests before it cuts them off.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);
/// How long it then waits for what is left to be booked.
pub const BOOKING_TIMEOUT: Duration = Duration::from_secs(5);
/// Wait before accepting again when the system has run out of something.
pub const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(20);
