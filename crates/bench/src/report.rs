//! What this program prints: groups of rows of figures, and what could not be measured.

use serde::Serialize;

use crate::figures::Sample;

/// Everything that was found out.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Report {
    pub(crate) groups: Vec<GroupReport>,
}

/// What is measured together.
#[derive(Debug, Serialize)]
pub(crate) struct GroupReport {
    pub(crate) name: &'static str,
    pub(crate) rows: Vec<Row>,
    /// What could not be measured, and why.
    pub(crate) problems: Vec<String>,
}

/// One line of the table.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) what: String,
    /// `s`, `ms`, `µs`, `KiB`, `MiB` or `/s`.
    pub(crate) unit: &'static str,
    pub(crate) ours: f64,
    pub(crate) reference: Option<Reference>,
    /// Ours less the reference, taken round by round where there are rounds.
    pub(crate) added: Option<f64>,
    /// Between what `added` is with 95 % certainty, where it was taken round by round.
    pub(crate) added_between: Option<(f64, f64)>,
    pub(crate) ratio: Option<f64>,
    pub(crate) target: Option<String>,
    pub(crate) is_met: Option<bool>,
    /// How it was taken, in a sentence.
    pub(crate) how: String,
}

/// The thing beside ours.
#[derive(Debug, Serialize)]
pub(crate) struct Reference {
    pub(crate) what: String,
    pub(crate) value: f64,
}

impl Row {
    pub(crate) fn new(
        what: impl Into<String>,
        unit: &'static str,
        ours: f64,
        how: impl Into<String>,
    ) -> Self {
        Self {
            what: what.into(),
            unit,
            ours,
            reference: None,
            added: None,
            added_between: None,
            ratio: None,
            target: None,
            is_met: None,
            how: how.into(),
        }
    }

    pub(crate) fn beside(mut self, what: impl Into<String>, value: f64) -> Self {
        self.added = Some(self.ours - value);
        self.ratio = Some(self.ours / value);
        self.reference = Some(Reference { what: what.into(), value });
        self
    }

    /// A difference that was taken round by round, which is truer than that of the two medians.
    pub(crate) fn adding(mut self, added: &Sample) -> Self {
        self.added = Some(added.median());
        self.added_between = added.median_between();
        self
    }

    /// A ratio that was taken round by round.
    pub(crate) fn at_ratio(mut self, ratio: f64) -> Self {
        self.ratio = Some(ratio);
        self
    }

    pub(crate) fn at_most(self, bound: f64) -> Self {
        let (unit, is_met) = (self.unit, self.ours <= bound);
        self.target(format!("≤ {bound} {unit}"), is_met)
    }

    pub(crate) fn at_least(self, bound: f64) -> Self {
        let (unit, is_met) = (self.unit, self.ours >= bound);
        self.target(format!("≥ {bound} {unit}"), is_met)
    }

    pub(crate) fn adds_at_most(self, bound: f64) -> Self {
        let (unit, is_met) = (self.unit, self.added.is_some_and(|added| added <= bound));
        self.target(format!("adds ≤ {bound} {unit}"), is_met)
    }

    pub(crate) fn ratio_at_least(self, bound: f64) -> Self {
        let is_met = self.ratio.is_some_and(|ratio| ratio >= bound);
        self.target(format!("ratio ≥ {bound}"), is_met)
    }

    pub(crate) fn ratio_at_most(self, bound: f64) -> Self {
        let is_met = self.ratio.is_some_and(|ratio| ratio <= bound);
        self.target(format!("ratio ≤ {bound}"), is_met)
    }

    fn target(mut self, target: String, is_met: bool) -> Self {
        self.target = Some(target);
        self.is_met = Some(is_met);
        self
    }
}
