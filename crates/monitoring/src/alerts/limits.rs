//! Limits: every wait and size of telling alerts, by name.

use jiff::SignedDuration;
use std::time::Duration;

/// How often a channel looks for alerts, beside when it is nudged.
pub const POLL: Duration = Duration::from_secs(2);
/// Alerts that a channel tells at once.
pub const AT_ONCE_MAX: u32 = 4;
/// Connections to the mail server at a time, however many recipients of however many alerts there are: a server that
/// serves few at once would let the others wait, and the pool itself bounds only those that are idle.
pub const MAIL_CONNECTIONS_MAX: u32 = 4;
/// How long telling one alert may take.
pub const ATTEMPT_MAX: Duration = Duration::from_secs(30);
/// How long an alert belongs to the server that tells it: longer than any attempt takes.
pub const CLAIM: SignedDuration = SignedDuration::from_secs(45);
/// How long a server that ends waits for alerts that are being told.
pub const WAIT_AT_END: Duration = Duration::from_secs(5);
/// Between the attempts of an alert; after the last it is given up, about a day after it was raised.
pub const RETRY_DELAYS: [SignedDuration; 9] = [
    SignedDuration::from_secs(5),
    SignedDuration::from_secs(30),
    SignedDuration::from_mins(2),
    SignedDuration::from_mins(10),
    SignedDuration::from_mins(30),
    SignedDuration::from_hours(1),
    SignedDuration::from_hours(3),
    SignedDuration::from_hours(6),
    SignedDuration::from_hours(12),
];
/// Alerts that are older are not told any more: a channel that is new, or was away for long, begins with what is news.
pub const AGE_MAX: SignedDuration = SignedDuration::from_hours(72);
/// How long a mail server may take for one step.
pub const SMTP_STEP_MAX: Duration = Duration::from_secs(20);
/// Alerts that are remembered as told to some of their recipients and not yet to others.
pub const HALF_TOLD_MAX: usize = 1000;
