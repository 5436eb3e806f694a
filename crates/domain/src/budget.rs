//! Budgets: who may spend how much, what is held for requests under way, and what came of asking for more.

mod telling;

use crate::{Alert, MicroUsd, RequestUsageId, ServerId, SessionId, TurnId, UserId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Whose spending a budget bounds. One request is spent by its user, by their team if they are in one, and by its
/// session, and each of their budgets must admit it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Spender {
    /// Everything of one user, in a month of their time zone.
    User(UserId),
    /// Everything of the users that share a team's name, in a month of UTC.
    Team(String),
    /// One session through all of its life.
    Session(SessionId),
}

/// What happens when a budget is used up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhenExhausted {
    /// Requests are refused; the turn ends, and the next prompt is refused.
    #[default]
    Block,
    /// As `Block`, and the session is paused until there is money again; then it goes on by itself.
    Pause,
    /// Nothing is refused; it is told.
    Warn,
}

/// How much may be spent, and what happens then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Never negative. Nothing may be spent on a limit of zero.
    pub limit: MicroUsd,
    pub when_exhausted: WhenExhausted,
}

/// The stretch of time that a budget is for: `2026-11` for a month, the empty word for always.
///
/// It is a word and not two instants so that a user who moves to another time zone keeps what the month has cost.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BudgetPeriod(pub String);

/// One of the budgets that a request is asked of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    pub spender: Spender,
    pub period: BudgetPeriod,
    /// What holds unless somebody set a budget for this spender; `None`: no bound.
    pub default: Option<Budget>,
}

/// Money to be set aside for one request to the model before it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewHold {
    /// The id under which the request will be booked.
    pub id: RequestUsageId,
    pub session_id: SessionId,
    pub user_id: UserId,
    pub turn_id: Option<TurnId>,
    /// At most three, each spender once.
    pub accounts: Vec<Account>,
    /// The most that the request can cost.
    pub amount: MicroUsd,
    /// The server that runs the request. The hold lasts as long as that server's lease.
    pub server_id: ServerId,
    /// The model that was asked for.
    pub model: String,
    pub price_version: String,
    pub started_at: Timestamp,
}

/// What came of asking for a hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Held {
    /// The money is set aside in every account.
    Admitted,
    /// What is left of this account is held for other requests. Some of it will come back when they are settled.
    Wait(Spender),
    /// This account's money is spent.
    Exhausted(Exhausted),
}

/// A budget without money.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exhausted {
    pub spender: Spender,
    pub budget: Budget,
    pub spent: MicroUsd,
}

/// A budget that is used up, and when there will be money again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsedUp {
    pub exhausted: Exhausted,
    /// When the next period begins; `None`: the budget is for always.
    pub renews_at: Option<Timestamp>,
}

/// A budget, and what is spent and held of it now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BudgetStatus {
    pub spender: Spender,
    pub period: BudgetPeriod,
    /// `None`: no bound.
    pub budget: Option<Budget>,
    /// Whether somebody set it, or the default holds.
    pub is_own: bool,
    pub spent: MicroUsd,
    pub held: MicroUsd,
}

impl BudgetStatus {
    /// What somebody set, and no default.
    #[must_use]
    pub fn own(&self) -> Option<Budget> {
        self.budget.filter(|_| self.is_own)
    }
}

/// What a settled request left behind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settlement {
    /// Alerts that were raised by it; they are on record.
    pub alerts: Vec<Alert>,
}

/// Shares of a budget, in percent, that are told when they are reached: once a period each.
pub const ALERT_THRESHOLDS: [u8; 3] = [50, 80, 100];

impl Spender {
    /// The word for its kind on the wire and in the database.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::User(_) => "user",
            Self::Team(_) => "team",
            Self::Session(_) => "session",
        }
    }

    /// Its id or name as text.
    #[must_use]
    pub fn key(&self) -> String {
        match self {
            Self::User(id) => id.to_string(),
            Self::Team(name) => name.clone(),
            Self::Session(id) => id.to_string(),
        }
    }

    /// The spender of this kind and key.
    #[must_use]
    pub fn parse(kind: &str, key: &str) -> Option<Self> {
        match kind {
            "user" => key.parse().ok().map(Self::User),
            "team" => Some(Self::Team(key.to_owned())),
            "session" => key.parse().ok().map(Self::Session),
            _ => None,
        }
    }
}

impl WhenExhausted {
    /// Every manner.
    pub const ALL: [Self; 3] = [Self::Block, Self::Pause, Self::Warn];

    /// The word for it on the wire and in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Block => "block",
            Self::Pause => "pause",
            Self::Warn => "warn",
        }
    }

    /// The manner of that name.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|manner| manner.as_str() == word)
    }
}

impl fmt::Display for UsedUp {
    /// A sentence that agents and people can act on.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Exhausted { spender, budget, spent } = &self.exhausted;
        let whose = match spender {
            Spender::User(_) => "the user's monthly budget".to_owned(),
            Spender::Team(name) => format!("the monthly budget of the team {name}"),
            Spender::Session(_) => "the session's budget".to_owned(),
        };
        write!(f, "{whose} is used up: {spent} of {} are spent", budget.limit)?;
        match self.renews_at {
            Some(at) => write!(
                f,
                "; nothing is sent to the model until it is raised, or the next month begins at {at}"
            ),
            None => f.write_str("; nothing is sent to the model until it is raised"),
        }
    }
}

impl BudgetStatus {
    /// What may still be spent and is not held; never negative. `None`: there is no bound.
    #[must_use]
    pub fn remaining(&self) -> Option<MicroUsd> {
        let limit = self.budget?.limit.0;
        Some(MicroUsd(limit.saturating_sub(self.spent.0).saturating_sub(self.held.0).max(0)))
    }

    /// Whether all of it is spent.
    #[must_use]
    pub fn is_exhausted(&self) -> bool {
        self.budget.is_some_and(|budget| self.spent >= budget.limit)
    }

    /// Why requests are refused, if they are: it is spent, and not only told.
    #[must_use]
    pub fn refusal(&self) -> Option<Exhausted> {
        let budget = self.budget.filter(|budget| budget.when_exhausted != WhenExhausted::Warn)?;
        let exhausted = || Exhausted { spender: self.spender.clone(), budget, spent: self.spent };
        self.is_exhausted().then(exhausted)
    }
}
