//! Money on the wire: decimal dollars, which are exact or refused.

use domain::MicroUsd;
use validator::ValidationError;

/// An amount that somebody names: from nothing to a billion dollars, in whole millionths.
pub fn named(usd: f64) -> Result<(), ValidationError> {
    match MicroUsd::from_usd(usd) {
        Some(_) => Ok(()),
        None => {
            let message = "must be dollars from 0 to 1000000000 with at most six decimals";
            Err(ValidationError::new("money").with_message(message.into()))
        }
    }
}

/// The amount that was checked by [`named`].
pub fn amount(usd: f64) -> MicroUsd {
    MicroUsd::from_usd(usd).unwrap_or(MicroUsd::ZERO)
}
