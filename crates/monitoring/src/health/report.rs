//! What the checks found, and what that means for the whole.

use std::{collections::BTreeMap, time::Duration};

use super::check::{Check, Finding, Importance};

/// The health of the whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Every check passes.
    Healthy,
    /// Something optional fails.
    Degraded,
    /// Something required fails.
    Unhealthy,
}

/// What one check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckResult {
    pub healthy: bool,
    pub required: bool,
    /// What was found when healthy, why not otherwise.
    pub detail: Option<String>,
    /// Of the program that was looked at.
    pub version: Option<String>,
    /// What was looked at one by one, by name.
    pub parts: BTreeMap<String, PartResult>,
    /// How long it took, or has taken so far.
    pub duration_ms: u64,
    /// How long ago that was.
    pub age_ms: u64,
}

/// What one check found of one thing of many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartResult {
    pub healthy: bool,
    /// What was found when healthy, why not otherwise.
    pub detail: Option<String>,
}

/// What all checks found at one time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    pub status: Status,
    /// By name.
    pub checks: BTreeMap<&'static str, CheckResult>,
}

impl Report {
    pub(super) fn new(checks: BTreeMap<&'static str, CheckResult>) -> Self {
        let failed = |required| checks.values().any(|check| !check.healthy && check.required == required);
        let status = if failed(true) {
            Status::Unhealthy
        } else if failed(false) {
            Status::Degraded
        } else {
            Status::Healthy
        };
        Self { status, checks }
    }

    /// Whether requests may be sent here.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.status != Status::Unhealthy
    }
}

impl CheckResult {
    pub(super) fn new(
        check: &Check,
        outcome: &Result<Finding, String>,
        took: Duration,
        age: Duration,
    ) -> Self {
        let required = check.importance == Importance::Required;
        let (duration_ms, age_ms) = (millis(took), millis(age));
        match outcome {
            Ok(Finding { detail, version, parts }) => {
                let parts: BTreeMap<_, _> =
                    parts.iter().map(|(name, outcome)| (name.clone(), PartResult::new(outcome))).collect();
                let failed: Vec<_> = parts.iter().filter(|(_, part)| !part.healthy).collect();
                let why = failed.iter().map(|(name, part)| match &part.detail {
                    Some(why) => format!("{name}: {why}"),
                    None => (*name).clone(),
                });
                let (healthy, why) = (failed.is_empty(), why.collect::<Vec<_>>().join("; "));
                let detail = if healthy { detail.clone() } else { Some(why) };
                Self { healthy, required, detail, version: version.clone(), parts, duration_ms, age_ms }
            }
            Err(why) => Self {
                healthy: false,
                required,
                detail: Some(why.clone()),
                version: None,
                parts: BTreeMap::new(),
                duration_ms,
                age_ms,
            },
        }
    }
}

impl PartResult {
    fn new(outcome: &super::Outcome) -> Self {
        match outcome {
            Ok(detail) => Self { healthy: true, detail: detail.clone() },
            Err(why) => Self { healthy: false, detail: Some(why.clone()) },
        }
    }
}

impl Status {
    /// The word for it on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::Unhealthy => "unhealthy",
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
