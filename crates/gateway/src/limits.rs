//! Every bound of the gateway, by name.

use std::time::Duration;

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
/// How often booking a request is tried.
pub const BOOKING_ATTEMPTS: u32 = 5;
/// Wait before the second attempt; it doubles with each further one.
pub const BOOKING_RETRY_DELAY: Duration = Duration::from_millis(50);
/// How long the end of an agent's access waits for its last requests before it cuts them off.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);
/// How long it then waits for what is left to be booked.
pub const BOOKING_TIMEOUT: Duration = Duration::from_secs(5);
/// Wait before accepting again when the system has run out of something.
pub const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(20);
