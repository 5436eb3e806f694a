//! From many measurements to the few figures worth reading.

use std::time::Duration;

/// 95 % of a normal distribution are within so many standard deviations.
const Z_95: f64 = 1.96;

/// Measurements of one thing, in milliseconds or per second.
#[derive(Debug, Default, Clone)]
pub(crate) struct Sample(Vec<f64>);

impl Sample {
    pub(crate) fn push(&mut self, value: f64) {
        self.0.push(value);
    }

    pub(crate) fn push_time(&mut self, time: Duration) {
        self.push(time.as_secs_f64() * 1e3);
    }

    pub(crate) fn extend(&mut self, more: Sample) {
        self.0.extend(more.0);
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn median(&self) -> f64 {
        self.percentile(50.0)
    }

    /// The value below which `percent` of all lie; NaN without any.
    pub(crate) fn percentile(&self, percent: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
        let place = last as f64 * percent / 100.0;
        let (low, high) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
        low + (high - low) * place.fract()
    }

    /// Between which two of the values the median of all there could be lies with 95 % certainty, by their ranks and as
    /// if each were independent of the others.
    pub(crate) fn median_between(&self) -> Option<(f64, f64)> {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let count = sorted.len() as f64;
        let below = (count / 2.0 - Z_95 * count.sqrt() / 2.0).floor().max(0.0) as usize;
        Some((*sorted.get(below)?, *sorted.iter().rev().nth(below)?))
    }

    /// What was measured here less what was measured there in the same round: noise that lasts longer than a round
    /// falls out of it.
    pub(crate) fn minus(&self, other: &Sample) -> Sample {
        Sample(self.0.iter().zip(&other.0).map(|(ours, theirs)| ours - theirs).collect())
    }

    /// The same for ratios.
    pub(crate) fn over(&self, other: &Sample) -> Sample {
        Sample(self.0.iter().zip(&other.0).map(|(ours, theirs)| ours / theirs).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_lie_between_the_values_around_them() {
        let sample = Sample(vec![4.0, 1.0, 3.0, 2.0]);
        assert!((sample.median() - 2.5).abs() < 1e-9);
        assert!((sample.percentile(0.0) - 1.0).abs() < 1e-9);
        assert!((sample.percentile(100.0) - 4.0).abs() < 1e-9);
        assert!(Sample::default().median().is_nan());
    }

    #[test]
    fn the_more_there_are_the_closer_the_median_is_known() {
        // 95 % of a hundred tosses of a coin have 40 to 60 heads.
        let hundred = Sample((0..100).map(f64::from).collect());
        assert_eq!(hundred.median_between(), Some((40.0, 59.0)));
        assert_eq!(Sample(vec![3.0, 1.0, 2.0]).median_between(), Some((1.0, 3.0)), "as wide as they are");
        assert_eq!(Sample::default().median_between(), None);
    }

    #[test]
    fn differences_are_taken_round_by_round() {
        let (ours, theirs) = (Sample(vec![11.0, 102.0, 53.0]), Sample(vec![10.0, 100.0, 50.0]));
        assert!((ours.minus(&theirs).median() - 2.0).abs() < 1e-9);
        assert!((ours.over(&theirs).percentile(100.0) - 1.1).abs() < 1e-9);
    }
}
