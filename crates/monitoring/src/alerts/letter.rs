//! The words of an alert as a letter: a subject of one line, and a text that a person understands.

use super::MailAddress;
use domain::{Alert, AlertTopic, Severity, Spender, budget::BudgetPeriod};
use jiff::Timestamp;
use lettre::{
    Message,
    error::Error as LettreError,
    message::{
        Mailbox,
        header::{ContentType, HeaderName, HeaderValue},
    },
};
use std::{fmt::Write, time::SystemTime};

/// The letter for one recipient. All who get the alert get it under the same id, and again under the same.
pub(super) fn letter(alert: &Alert, from: &MailAddress, to: Mailbox) -> Result<Message, LettreError> {
    let id = format!("<{}@{}>", alert.id, from.0.email.domain());
    Message::builder()
        .from(from.0.clone())
        .to(to)
        .subject(subject(alert))
        .date(SystemTime::from(alert.raised_at))
        .message_id(Some(id))
        // RFC 3834: nobody's absence is to be answered with.
        .raw_header(HeaderValue::new(
            HeaderName::new_from_ascii_str("Auto-Submitted"),
            "auto-generated".to_owned(),
        ))
        .header(ContentType::TEXT_PLAIN)
        .body(text(alert))
}

fn subject(alert: &Alert) -> String {
    let word = match alert.severity {
        Severity::Info => "note",
        Severity::Warning => "warning",
        Severity::Critical => "critical",
    };
    let about = match &alert.topic {
        AlertTopic::Budget { spender, threshold_percent, .. } => {
            format!("{threshold_percent} % of a {} budget is spent", kind(spender))
        }
        AlertTopic::Health { check, .. } => format!("{check} fails"),
    };
    one_line(&format!("[Steward] {word}: {about}"))
}

fn text(alert: &Alert) -> String {
    let mut text = format!("{}\n\n", one_line(&alert.message));
    let mut line = |name: &str, value: &str| {
        // Writing into a text does not fail.
        let _ = writeln!(text, "{name:<11}{}", one_line(value));
    };
    match &alert.topic {
        AlertTopic::Budget { spender, period, threshold_percent } => {
            line("Budget:", &whose(spender));
            line("Period:", &named(period));
            line("Reached:", &format!("{threshold_percent} %"));
        }
        AlertTopic::Health { check, since } => {
            line("Check:", check);
            line("Since:", &shown(*since));
        }
    }
    line("Severity:", alert.severity.as_str());
    line("Raised:", &shown(alert.raised_at));
    line("Alert:", &alert.id.to_string());
    text.push('\n');
    text.push_str(match &alert.topic {
        AlertTopic::Budget { .. } => {
            "What was spent is shown under /api/v1/monitoring/costs, and an admin can raise the budget under\n\
             /api/v1/monitoring/costs/budget. This is told once for each share and period.\n"
        }
        AlertTopic::Health { .. } => "What the server says of itself is under /api/v1/monitoring/health.\n",
    });
    text
}

fn kind(spender: &Spender) -> &'static str {
    match spender {
        Spender::User(_) | Spender::Team(_) => "monthly",
        Spender::Session(_) => "session's",
    }
}

fn whose(spender: &Spender) -> String {
    format!("{} {}", spender.kind(), spender.key())
}

fn named(period: &BudgetPeriod) -> String {
    if period.0.is_empty() { "all of its life".to_owned() } else { period.0.clone() }
}

fn shown(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// Names of people and teams are in it; whatever they are, they begin no line of their own.
fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') { ' ' } else { c })
        .collect()
}
