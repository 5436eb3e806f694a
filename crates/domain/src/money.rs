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

    proptest! {
        #[test]
        fn rounding_never_undercharges_and_never_by_more_than_one(price in 0u64..1_000_000_000, tokens in 0u64..100_000_000) {
            let exact = MicroUsdPerMtok(price).times(tokens);
            let charged = MicroUsdPerMtok::round_up(exact).0 as u128 * 1_000_000;
            prop_assert!(charged >= exact && charged < exact + 1_000_000);
        }
    }
}
