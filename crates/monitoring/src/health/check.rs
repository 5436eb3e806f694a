//! One thing to look at: its name, how it is looked at, and how long what was seen counts.

use std::{collections::BTreeMap, fmt, future::Future, sync::Arc, time::Duration};

use futures::{FutureExt, TryFutureExt, future::BoxFuture};

use super::{DEFAULT_CHECK_TIMEOUT, REPORT_MAX_AGE};

/// So many times its bound a check that hangs is left alone before it is ended and begun anew.
const GIVEN_UP_AFTER: u32 = 10;

/// What a check finds: something worth showing (a version), or why it failed, in words for an operator.
pub type Outcome = Result<Option<String>, String>;

/// What a check finds that has more to say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Finding {
    /// Something worth showing.
    pub detail: Option<String>,
    /// Of the program that was looked at.
    pub version: Option<String>,
    /// What it looked at one by one, by name. The check fails if one of them does.
    pub parts: BTreeMap<String, Outcome>,
}

/// Whether the server can work without the thing checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Importance {
    /// The server is not ready when this fails.
    Required,
    /// The server is degraded when this fails.
    Optional,
}

/// One thing to look at.
#[derive(Clone)]
pub struct Check {
    pub(super) name: &'static str,
    pub(super) importance: Importance,
    pub(super) timeout: Duration,
    pub(super) fresh_for: Duration,
    pub(super) is_slow: bool,
    /// `None` if ending it would end nothing.
    pub(super) given_up_after: Option<u32>,
    pub(super) run: Arc<dyn Fn() -> BoxFuture<'static, Result<Finding, String>> + Send + Sync>,
}

impl Check {
    /// A check the server cannot do without.
    #[must_use]
    pub fn required<F, Fut>(name: &'static str, run: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Outcome> + Send + 'static,
    {
        Self::telling(name, Importance::Required, move || run().map_ok(Finding::from))
    }

    /// A check of something the server can do without.
    #[must_use]
    pub fn optional<F, Fut>(name: &'static str, run: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Outcome> + Send + 'static,
    {
        Self::telling(name, Importance::Optional, move || run().map_ok(Finding::from))
    }

    /// A check that has more to tell than a line.
    #[must_use]
    pub fn telling<F, Fut>(name: &'static str, importance: Importance, run: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Finding, String>> + Send + 'static,
    {
        Self {
            name,
            importance,
            timeout: DEFAULT_CHECK_TIMEOUT,
            fresh_for: REPORT_MAX_AGE,
            is_slow: false,
            given_up_after: Some(GIVEN_UP_AFTER),
            run: Arc::new(move || run().boxed()),
        }
    }

    /// The same check with another bound. What takes longer counts as failed until it has ended.
    #[must_use]
    pub fn within(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// The same check, whose good news are given out again for so long. Bad news are looked at anew after
    /// [`REPORT_MAX_AGE`] at the latest, so that what was put right is seen soon.
    #[must_use]
    pub fn fresh_for(self, fresh_for: Duration) -> Self {
        Self { fresh_for, ..self }
    }

    /// The same check, whose old good news are given out while it is run again: a probe waits for it only if nothing is
    /// known yet, or the last news were bad.
    #[must_use]
    pub fn slow(self) -> Self {
        Self { is_slow: true, ..self }
    }

    /// The same check, which is never ended and begun anew while it hangs, because something of it would go on: a call of
    /// the operating system cannot be taken back, and each would hold a thread.
    #[must_use]
    pub fn never_given_up(self) -> Self {
        Self { given_up_after: None, ..self }
    }
}

impl From<Option<String>> for Finding {
    fn from(detail: Option<String>) -> Self {
        Self { detail, ..Self::default() }
    }
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Check")
            .field("name", &self.name)
            .field("importance", &self.importance)
            .field("timeout", &self.timeout)
            .field("fresh_for", &self.fresh_for)
            .finish_non_exhaustive()
    }
}
