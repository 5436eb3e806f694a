//! Values on their way between domain and database.

use crate::figures::{Kind, count};
use domain::{MicroUsd, TokenUsage, ports::StoreError, ports::StoreResult};
use jiff::Timestamp;
use sea_orm::JsonValue;

/// The instant as the database keeps it.
pub(crate) fn micros(at: Timestamp) -> i64 {
    at.as_microsecond()
}

/// The figure as the database keeps it.
pub(crate) fn stored(figure: impl TryInto<i64>) -> i64 {
    figure.try_into().unwrap_or(i64::MAX)
}

/// The value as JSON.
pub(crate) fn to_json(value: &impl serde::Serialize) -> StoreResult<JsonValue> {
    serde_json::to_value(value).map_err(|error| StoreError::Failed(Box::new(error)))
}

/// Reads the columns of one table; a value that makes no sense is reported by its column's name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader(pub(crate) &'static str);

impl Reader {
    pub(crate) fn instant(self, column: &'static str, micros: i64) -> StoreResult<Timestamp> {
        Timestamp::from_microsecond(micros).map_err(|_| self.inconsistent(column))
    }

    pub(crate) fn instant_if(
        self,
        column: &'static str,
        micros: Option<i64>,
    ) -> StoreResult<Option<Timestamp>> {
        micros.map(|micros| self.instant(column, micros)).transpose()
    }

    pub(crate) fn figure<T: TryFrom<i64>>(self, column: &'static str, figure: i64) -> StoreResult<T> {
        T::try_from(figure).map_err(|_| self.inconsistent(column))
    }

    pub(crate) fn word<T>(
        self,
        column: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
        word: &str,
    ) -> StoreResult<T> {
        parse(word).ok_or_else(|| self.inconsistent(column))
    }

    pub(crate) fn json<T: serde::de::DeserializeOwned>(
        self,
        column: &'static str,
        json: JsonValue,
    ) -> StoreResult<T> {
        serde_json::from_value(json).map_err(|_| self.inconsistent(column))
    }

    pub(crate) fn sha256(self, column: &'static str, bytes: &[u8]) -> StoreResult<[u8; 32]> {
        bytes.try_into().map_err(|_| self.inconsistent(column))
    }

    pub(crate) fn inconsistent(self, column: &'static str) -> StoreError {
        count(Kind::Inconsistent);
        StoreError::Inconsistent { table: self.0, column }
    }
}

/// Token counts and cost as three tables keep them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spent {
    pub(crate) input: i64,
    pub(crate) output: i64,
    pub(crate) cache_write_5m: i64,
    pub(crate) cache_write_1h: i64,
    pub(crate) cache_read: i64,
    pub(crate) cost_micro_usd: i64,
}

impl Spent {
    pub(crate) fn new(tokens: TokenUsage, cost: MicroUsd) -> Self {
        Self {
            input: stored(tokens.input),
            output: stored(tokens.output),
            cache_write_5m: stored(tokens.cache_write_5m),
            cache_write_1h: stored(tokens.cache_write_1h),
            cache_read: stored(tokens.cache_read),
            cost_micro_usd: cost.0,
        }
    }

    /// How much more this is than `other`; less is negative.
    pub(crate) fn minus(self, other: Self) -> Self {
        Self {
            input: self.input.saturating_sub(other.input),
            output: self.output.saturating_sub(other.output),
            cache_write_5m: self.cache_write_5m.saturating_sub(other.cache_write_5m),
            cache_write_1h: self.cache_write_1h.saturating_sub(other.cache_write_1h),
            cache_read: self.cache_read.saturating_sub(other.cache_read),
            cost_micro_usd: self.cost_micro_usd.saturating_sub(other.cost_micro_usd),
        }
    }

    pub(crate) fn read(self, reader: Reader) -> StoreResult<(TokenUsage, MicroUsd)> {
        let tokens = TokenUsage {
            input: reader.figure("input_tokens", self.input)?,
            output: reader.figure("output_tokens", self.output)?,
            cache_write_5m: reader.figure("cache_write_5m_tokens", self.cache_write_5m)?,
            cache_write_1h: reader.figure("cache_write_1h_tokens", self.cache_write_1h)?,
            cache_read: reader.figure("cache_read_tokens", self.cache_read)?,
        };
        Ok((tokens, MicroUsd(self.cost_micro_usd)))
    }
}
