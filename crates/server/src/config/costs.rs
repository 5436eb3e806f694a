//! Money: who may spend how much, and what models cost.

use std::path::PathBuf;

use domain::{Budget, MicroUsd, WhenExhausted};
use gateway::UnknownModel;

use super::{
    parse::{boolean, path},
    reader::Reader,
};

/// No bound: an empty value would mean the default.
const NONE: &str = "none";
const MICRO_USD: u32 = 1_000_000;
const MICRO_DIGITS: usize = 6;
/// More than anybody means.
const BUDGET_USD_MAX: i64 = 1_000_000_000;

/// What requests to the model may cost.
#[derive(Debug, Clone)]
pub struct CostsConfig {
    /// If not, no budget is asked; what is spent is on record all the same.
    pub is_enabled: bool,
    /// Of a user who has no budget of their own, each month; `None`: no bound.
    pub user_budget: Option<Budget>,
    /// In place of the built-in prices.
    pub price_file: Option<PathBuf>,
    pub unknown_model: UnknownModel,
}

impl CostsConfig {
    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let is_enabled = reader.value("ENABLE_COST_TRACKING", "true", boolean);
        let limit = reader.value("USER_MONTHLY_BUDGET_USD", "100.0", |text| match text {
            NONE => Ok(None),
            text => dollars(text).map(Some),
        });
        let when_exhausted = reader.value("BUDGET_WHEN_EXHAUSTED", "block", |text| {
            WhenExhausted::parse(text).ok_or_else(|| "block, pause or warn".to_owned())
        });
        let price_file = reader.option("PRICE_FILE", path);
        let unknown_model = reader.value("UNKNOWN_MODEL", "highest", |text| match text {
            "deny" => Ok(UnknownModel::Deny),
            "highest" => Ok(UnknownModel::Highest),
            _ => Err("deny or highest".to_owned()),
        });
        let (limit, when_exhausted) = (limit?, when_exhausted?);
        Some(Self {
            is_enabled: is_enabled?,
            user_budget: limit.map(|limit| Budget { limit, when_exhausted }),
            price_file: price_file?,
            unknown_model: unknown_model?,
        })
    }
}

/// An exact amount: dollars with at most six decimals.
fn dollars(text: &str) -> Result<MicroUsd, String> {
    let allowed = || {
        format!(
            "an amount in US dollars from 0 to {BUDGET_USD_MAX}, with at most {MICRO_DIGITS} decimals, or {NONE}"
        )
    };
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !is_digits(whole) || !is_digits(fraction) || fraction.len() > MICRO_DIGITS {
        return Err(allowed());
    }
    let micros: i64 = format!("{fraction:0<MICRO_DIGITS$}").parse().map_err(|_| allowed())?;
    match whole.parse::<i64>() {
        Ok(whole) if whole <= BUDGET_USD_MAX => Ok(MicroUsd(whole * i64::from(MICRO_USD) + micros)),
        _ => Err(allowed()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_exact_or_refused() {
        for (text, micros) in [("0", 0), ("100", 100_000_000), ("0.1", 100_000), ("12.345678", 12_345_678)] {
            assert_eq!(dollars(text), Ok(MicroUsd(micros)), "{text}");
        }
        for text in
            ["", "-1", "+1", ".5", "1e3", "1.2345678", "1,5", "NaN", "1000000001", "99999999999999999999"]
        {
            assert!(dollars(text).is_err(), "{text}");
        }
    }
}
