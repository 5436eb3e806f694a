//! Alerts: what operators and users are told once when something reaches a bound or fails.

use crate::{
    AlertId, UserId,
    budget::{BudgetPeriod, Spender},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What an alert is about. Two alerts about the same thing are one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum AlertTopic {
    /// A share of a budget was reached, in percent.
    Budget { spender: Spender, period: BudgetPeriod, threshold_percent: u8 },
    /// A health check began to fail at this time.
    Health { check: String, since: Timestamp },
}

/// How soon somebody should look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    Info,
    Warning,
    Critical,
}

/// An alert as it was raised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    pub id: AlertId,
    pub topic: AlertTopic,
    pub severity: Severity,
    /// One sentence for people, with the figures.
    pub message: String,
    /// The user it concerns, who sees it besides admins; `None`: admins only.
    pub user_id: Option<UserId>,
    pub raised_at: Timestamp,
}

/// A way by which alerts are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AlertChannel {
    Webhook,
    Email,
}

/// An alert that a channel has not told yet, and how often that was tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueAlert {
    pub alert: Alert,
    pub attempts: u32,
}

impl Severity {
    /// Every severity, the mildest first.
    pub const ALL: [Self; 3] = [Self::Info, Self::Warning, Self::Critical];

    /// The word for it on the wire and in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }

    /// The severity of that name.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|severity| severity.as_str() == word)
    }
}

impl AlertChannel {
    /// Every channel.
    pub const ALL: [Self; 2] = [Self::Webhook, Self::Email];

    /// The word for it on the wire and in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::Email => "email",
        }
    }
}
