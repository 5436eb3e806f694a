//! The passes of models that an answer took, as `usage.iterations` lists them.

use std::fmt;

use domain::TokenUsage;
use serde::{
    Deserialize,
    de::{Deserializer, SeqAccess, Visitor},
};

use super::CacheCreation;
use crate::limits::SAMPLINGS_PER_ANSWER_MAX;

/// One pass of one model.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sampling {
    pub kind: SamplingKind,
    /// Whose it was. Without it, of the model that answered; an advisor is another one.
    pub model: Option<String>,
    pub tokens: TokenUsage,
}

/// What a pass was for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SamplingKind {
    /// The answer, or an attempt at it that its model declined.
    Message,
    /// The answer, by a model that took over from one that declined.
    FallbackMessage,
    /// What an advisor said to the model that answers.
    AdvisorMessage,
    /// A summary of what the model had read.
    Compaction,
    #[default]
    #[serde(other)]
    Other,
}

/// A list of them, of which the first are read.
#[derive(Debug)]
pub(super) struct Samplings(pub(super) Vec<Sampling>);

impl<'de> Deserialize<'de> for Samplings {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_seq(First)
    }
}

struct First;

impl<'de> Visitor<'de> for First {
    type Value = Samplings;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of iterations")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut all: A) -> Result<Samplings, A::Error> {
        let mut first = Vec::new();
        while let Some(entry) = all.next_element::<Entry>()? {
            if first.len() < SAMPLINGS_PER_ANSWER_MAX {
                first.push(entry.into());
            }
        }
        Ok(Samplings(first))
    }
}

#[derive(Debug, Deserialize)]
struct Entry {
    #[serde(rename = "type", default)]
    kind: SamplingKind,
    model: Option<String>,
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
    cache_creation: Option<CacheCreation>,
}

impl From<Entry> for Sampling {
    fn from(entry: Entry) -> Self {
        let told = TokenUsage {
            input: entry.input_tokens.unwrap_or(0),
            output: entry.output_tokens.unwrap_or(0),
            cache_read: entry.cache_read_input_tokens.unwrap_or(0),
            ..TokenUsage::default()
        };
        let tokens =
            CacheCreation::put_into(told, entry.cache_creation_input_tokens, entry.cache_creation.as_ref());
        Self { kind: entry.kind, model: entry.model, tokens }
    }
}
