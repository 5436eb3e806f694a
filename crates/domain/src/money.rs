//! Money as exact integers: micro-dollars, and prices in micro-dollars per million tokens.

use serde::{Deserialize, Serialize};
use std::{fmt, iter::Sum, ops::Add};

/// An amount in millionths of a US dollar.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MicroUsd(pub i64);

impl MicroUsd {
    /// No money.
    pub const ZERO: Self = Self(0);

    /// The largest amount that somebody may name: a billion dollars.
    pub const NAMED_MAX: Self = Self(1_000_000_000_000_000);

    /// The amount that decimal dollars on the wire stand for, or nothing if it has more than six decimals, is negative,
    /// or is more than [`MicroUsd::NAMED_MAX`].
    ///
    /// Up to that every amount has at most 15 digits, so each has a floating-point number of its own, and the nearest
    /// amount is the one that was written if it leads back to the same number.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "the range is checked before")]
    pub fn from_usd(usd: f64) -> Option<Self> {
        if !(0.0..=Self::NAMED_MAX.as_usd()).contains(&usd) {
            return None;
        }
        let nearest = Self((usd * 1e6).round() as i64);
        #[expect(clippy::float_cmp, reason = "it has to be the very same number")]
        let is_exact = nearest.as_usd() == usd;
        is_exact.then_some(nearest)
    }

    /// The amount as decimal dollars, for the wire only; never calculate with it.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "exact below 9 billion dollars; a view, not an operand")]
    pub fn as_usd(self) -> f64 {
        self.0 as f64 / 1e6
    }
}

impl Add for MicroUsd {
    type Output = Self;
    /// Saturates: a ledger that is wrong by being too large is noticed, one that wraps is not.
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sum for MicroUsd {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Add::add)
    }
}

impl fmt::Display for MicroUsd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let amount = self.0.unsigned_abs();
        write!(f, "{sign}${}.{:06}", amount / 1_000_000, amount % 1_000_000)
    }
}

/// A price: micro-dollars per million tokens ($3 per million tokens is 3 000 000).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MicroUsdPerMtok(pub u64);

impl MicroUsdPerMtok {
    /// The exact product in micro-dollars times a million; add several up before [`MicroUsdPerMtok::round_up`].
    #[must_use]
    pub fn times(self, tokens: u64) -> u128 {
        u128::from(self.0) * u128::from(tokens)
    }

    /// A sum of [`MicroUsdPerMtok::times`] as an amount, rounded up so that no request is ever free.
    #[must_use]
    pub fn round_up(sum: u128) -> MicroUsd {
        MicroUsd(i64::try_from(sum.div_ceil(1_000_000)).unwrap_or(i64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn prints_as_dollars() {
        assert_eq!(MicroUsd(1_234_567).to_string(), "$1.234567");
        assert_eq!(MicroUsd(-5).to_string(), "-$0.000005");
    }

    #[test]
    fn a_single_cached_token_still_costs_something() {
        assert_eq!(MicroUsdPerMtok::round_up(MicroUsdPerMtok(300_000).times(1)), MicroUsd(1));
    }

    #[test]
    fn an_amount_on_the_wire_is_exact_or_refused() {
        for (usd, micro) in
            [(0.0, 0), (-0.0, 0), (0.1, 100_000), (0.000_001, 1), (1e9, 1_000_000_000_000_000)]
        {
            assert_eq!(MicroUsd::from_usd(usd), Some(MicroUsd(micro)), "{usd}");
        }
        for usd in
            [-0.000_001, -1.0, 0.000_000_1, 0.123_456_7, 1e9 + 0.000_001, 1e300, f64::NAN, f64::INFINITY]
        {
            assert_eq!(MicroUsd::from_usd(usd), None, "{usd}");
        }
    }

    proptest! {
        #[test]
        fn every_amount_that_can_be_named_survives_the_wire(micro in 0..=MicroUsd::NAMED_MAX.0) {
            let text = serde_json::to_string(&MicroUsd(micro).as_usd()).unwrap();
            prop_assert_eq!(MicroUsd::from_usd(serde_json::from_str(&text).unwrap()), Some(MicroUsd(micro)));
            // As people write it: all six decimals.
            let text = MicroUsd(micro).to_string().replace('$', "");
            prop_assert_eq!(MicroUsd::from_usd(serde_json::from_str(&text).unwrap()), Some(MicroUsd(micro)));
        }

        #[test]
        fn rounding_never_undercharges_and_never_by_more_than_one(price in 0u64..1_000_000_000, tokens in 0u64..100_000_000) {
            let exact = MicroUsdPerMtok(price).times(tokens);
            let charged = MicroUsdPerMtok::round_up(exact).0 as u128 * 1_000_000;
            prop_assert!(charged >= exact && charged < exact + 1_000_000);
        }
    }
}
