//! The price table: what a reading costs, to the micro-dollar.

mod parts;
mod source;

pub use source::{PriceFileError, Prices};

use std::{collections::HashMap, ops::Range};

use domain::{MicroUsd, MicroUsdPerMtok, TokenUsage};
use serde::Deserialize;
use toml::Spanned;

use crate::{
    limits::HOLD_MAX,
    reading::{Reading, Speed},
};
use parts::Part;

const EMBEDDED: &str = include_str!("../prices/2026-11-22.toml");
/// What the CLI puts behind a model's name to ask for the large context window.
const LARGE_CONTEXT_SUFFIX: &str = "[1m]";
const MICROS: u128 = 1_000_000;

/// Why a price table cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PriceTableError {
    /// It is not a price table.
    #[error("read the price table")]
    Unreadable(#[from] toml::de::Error),
    /// Two rows answer to one name; the second stands in this line.
    #[error("read the price table: {name} is listed twice, the second time in line {line}")]
    Twice { name: String, line: usize },
    /// Inference in the US would cost less than elsewhere, which nobody means.
    #[error("read the price table: us_inference_percent in line {line} must be 100 or more")]
    Discount { line: usize },
    /// There is nothing in it, so not even an unknown model could be priced.
    #[error("read the price table: it lists no model")]
    Empty,
}

/// What a request costs, and whether that is its own price.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quote {
    pub cost: MicroUsd,
    /// All tokens that it is made up of, of whichever model.
    pub tokens: TokenUsage,
    /// False when the table has no price for some of it and the highest known one was taken.
    pub is_priced: bool,
}

/// What of a request bounds its cost.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bound {
    pub input_tokens: u64,
    pub output_tokens: u64,
    pub web_searches: u64,
    /// Whether the rates of fast mode may apply.
    pub may_be_fast: bool,
    /// The advisors that the model may ask.
    pub advisors: Vec<Advisor>,
}

/// What bounds the cost of an advisor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advisor {
    pub model: String,
    pub uses: u64,
    /// Of each use.
    pub input_tokens: u64,
    pub output_tokens: u64,
}

/// List prices of one date.
#[derive(Debug, Clone)]
pub struct PriceTable {
    version: String,
    web_search: u64,
    us_inference_percent: u64,
    rows: Vec<Row>,
    by_name: HashMap<String, usize>,
    highest_standard: Rates,
    highest_fast: Rates,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: String,
    #[serde(rename = "date")]
    _date: toml::value::Datetime,
    #[serde(rename = "source")]
    _source: String,
    web_search: u64,
    us_inference_percent: Spanned<u64>,
    models: Vec<Row>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    id: Spanned<String>,
    #[serde(default)]
    aliases: Vec<Spanned<String>>,
    standard: Rates,
    long_prompt_over: Option<u64>,
    long_prompt: Option<Rates>,
    fast: Option<Rates>,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rates {
    input: MicroUsdPerMtok,
    output: MicroUsdPerMtok,
    cache_write_5m: MicroUsdPerMtok,
    cache_write_1h: MicroUsdPerMtok,
    cache_read: MicroUsdPerMtok,
}

impl Rates {
    /// The exact cost, in micro-dollars times a million.
    fn times(&self, tokens: &TokenUsage) -> u128 {
        self.input.times(tokens.input)
            + self.output.times(tokens.output)
            + self.cache_write_5m.times(tokens.cache_write_5m)
            + self.cache_write_1h.times(tokens.cache_write_1h)
            + self.cache_read.times(tokens.cache_read)
    }

    /// The exact cost of so many tokens, whatever they are, in the same unit.
    fn most(&self, input_tokens: u64, output_tokens: u64) -> u128 {
        self.dearest_input().times(input_tokens) + self.output.times(output_tokens)
    }

    /// Of a token of input, however it is priced.
    fn dearest_input(&self) -> MicroUsdPerMtok {
        self.input.max(self.cache_write_5m).max(self.cache_write_1h).max(self.cache_read)
    }

    fn max(self, other: Self) -> Self {
        Self {
            input: self.input.max(other.input),
            output: self.output.max(other.output),
            cache_write_5m: self.cache_write_5m.max(other.cache_write_5m),
            cache_write_1h: self.cache_write_1h.max(other.cache_write_1h),
            cache_read: self.cache_read.max(other.cache_read),
        }
    }
}

impl Row {
    /// The dearest that may apply.
    fn dearest(&self, may_be_fast: bool) -> Rates {
        let fast = self.fast.filter(|_| may_be_fast);
        [self.long_prompt, fast].into_iter().flatten().fold(self.standard, Rates::max)
    }

    /// The rates at this speed, for a prompt of so many tokens; `None` when the list has none for the speed.
    fn rates(&self, speed: Speed, prompt: u64) -> Option<Rates> {
        match speed {
            Speed::Fast => self.fast,
            Speed::Standard if self.long_prompt_over.is_some_and(|over| prompt > over) => {
                self.long_prompt.or(Some(self.standard))
            }
            Speed::Standard => Some(self.standard),
        }
    }
}

impl PriceTable {
    /// The table that this version of the program was built with.
    pub fn embedded() -> Result<Self, PriceTableError> {
        Self::parse(EMBEDDED)
    }

    /// Reads a table from the text of its file.
    pub fn parse(text: &str) -> Result<Self, PriceTableError> {
        let file: File = toml::from_str(text)?;
        let mut by_name = HashMap::new();
        for (index, row) in file.models.iter().enumerate() {
            for name in std::iter::once(&row.id).chain(&row.aliases) {
                if by_name.insert(name.get_ref().clone(), index).is_some() {
                    let (name, line) = (name.get_ref().clone(), line_of(text, name.span()));
                    return Err(PriceTableError::Twice { name, line });
                }
            }
        }
        if *file.us_inference_percent.get_ref() < 100 {
            return Err(PriceTableError::Discount { line: line_of(text, file.us_inference_percent.span()) });
        }
        if file.models.is_empty() {
            return Err(PriceTableError::Empty);
        }
        let standard = file.models.iter().flat_map(|row| [Some(row.standard), row.long_prompt]).flatten();
        let highest_standard = standard.fold(Rates::default(), Rates::max);
        let highest_fast = file.models.iter().filter_map(|row| row.fast).fold(highest_standard, Rates::max);
        Ok(Self {
            version: file.version,
            web_search: file.web_search,
            us_inference_percent: file.us_inference_percent.into_inner(),
            rows: file.models,
            by_name,
            highest_standard,
            highest_fast,
        })
    }

    /// The name under which the ledger remembers this table.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Whether there is a price for this model.
    pub fn knows(&self, model: &str) -> bool {
        self.row(model).is_some()
    }

    /// The most that a request within these bounds can cost if this model answers it.
    pub fn most(&self, model: &str, bound: &Bound) -> MicroUsd {
        let rates = self.dearest(model, bound.may_be_fast);
        let mut tokens = rates.most(bound.input_tokens, bound.output_tokens);
        for advisor in &bound.advisors {
            // Of the two rates the dearer: what is said, the model that answers reads.
            let rates = rates.max(self.dearest(&advisor.model, bound.may_be_fast));
            tokens += rates.most(advisor.input_tokens, advisor.output_tokens) * u128::from(advisor.uses);
        }
        let sum = (tokens * u128::from(self.us_inference_percent)).div_ceil(100);
        let searches = u128::from(self.web_search) * u128::from(bound.web_searches) * MICROS;
        MicroUsdPerMtok::round_up(sum + searches).min(HOLD_MAX)
    }

    /// The dearest rates that may apply if this model answers.
    fn dearest(&self, model: &str, may_be_fast: bool) -> Rates {
        let highest = if may_be_fast { self.highest_fast } else { self.highest_standard };
        self.row(model).map_or(highest, |row| row.dearest(may_be_fast))
    }

    /// The models it has prices for, each by its own name.
    pub fn models(&self) -> impl Iterator<Item = String> {
        self.rows.iter().map(|row| row.id.get_ref().clone())
    }

    /// What the reading costs if `model` answered.
    pub fn quote(&self, model: &str, reading: &Reading) -> Quote {
        let parts = parts::of(model, reading, |one, other| self.index(one) == self.index(other));
        let (mut sum, mut tokens, mut is_priced) = (0, TokenUsage::default(), true);
        for part in parts {
            let known = self.rates(&part, model, reading.speed);
            let rates = known.unwrap_or(match reading.speed {
                Speed::Standard => self.highest_standard,
                Speed::Fast => self.highest_fast,
            });
            sum += rates.times(&part.tokens);
            tokens = tokens + part.tokens;
            is_priced &= known.is_some();
        }
        if reading.in_us {
            sum = (sum * u128::from(self.us_inference_percent)).div_ceil(100);
        }
        sum += u128::from(self.web_search) * u128::from(reading.web_searches) * MICROS;
        Quote { cost: MicroUsdPerMtok::round_up(sum), tokens, is_priced }
    }

    /// The rates for a part of an answer of `model`, whose speed is that of the other models too if they have it.
    fn rates(&self, part: &Part<'_>, model: &str, speed: Speed) -> Option<Rates> {
        let row = self.row(part.model)?;
        let rates = row.rates(speed, part.prompt);
        if part.model == model { rates } else { rates.or(row.rates(Speed::Standard, part.prompt)) }
    }

    fn row(&self, model: &str) -> Option<&Row> {
        self.rows.get(self.index(model)?)
    }

    /// The row of exactly this name, else of the name without its date (`-20251001`) or `-latest`.
    fn index(&self, model: &str) -> Option<usize> {
        let model = model.strip_suffix(LARGE_CONTEXT_SUFFIX).unwrap_or(model);
        self.by_name.get(model).or_else(|| self.by_name.get(undated(model)?)).copied()
    }
}

fn line_of(text: &str, span: Range<usize>) -> usize {
    text.bytes().take(span.start).filter(|byte| *byte == b'\n').count() + 1
}

fn undated(model: &str) -> Option<&str> {
    let (name, suffix) = model.rsplit_once('-')?;
    let is_date = suffix.len() == 8 && suffix.bytes().all(|byte| byte.is_ascii_digit());
    (is_date || suffix == "latest").then_some(name)
}

#[cfg(test)]
mod tests;
