//! Which tokens of an answer are billed at whose rates.
//!
//! The top level of a usage sums up the passes of the attempt that answered. Advisors, compactions and attempts that were
//! declined are listed beside it. What both tell counts once.

use domain::TokenUsage;

use crate::reading::{Reading, Sampling, SamplingKind};

/// Tokens that are billed at the rates of one model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part<'a> {
    pub(super) model: &'a str,
    pub(super) tokens: TokenUsage,
    /// Tokens of the prompt by which the rates are chosen.
    pub(super) prompt: u64,
}

impl<'a> Part<'a> {
    fn new(model: &'a str, tokens: TokenUsage) -> Self {
        let prompt = tokens.input.saturating_add(tokens.cache_creation()).saturating_add(tokens.cache_read);
        Self { model, tokens, prompt }
    }
}

/// The parts of an answer of `model`. `is_same` says whether two names mean one model.
pub(super) fn of<'a>(
    model: &'a str,
    reading: &'a Reading,
    is_same: impl Fn(&str, &str) -> bool,
) -> Vec<Part<'a>> {
    let has_fallback =
        reading.samplings.iter().any(|sampling| sampling.kind == SamplingKind::FallbackMessage);
    let (mut own, mut parts) = (Vec::new(), Vec::new());
    for Sampling { kind, model: of, tokens } in &reading.samplings {
        let of = of.as_deref();
        let is_anothers = of.is_some_and(|of| !is_same(of, model));
        let is_beside = match kind {
            SamplingKind::AdvisorMessage | SamplingKind::Compaction => true,
            // Without a fallback nobody but the model that answered made a message, by whatever name.
            SamplingKind::Message => has_fallback && is_anothers,
            SamplingKind::FallbackMessage | SamplingKind::Other => is_anothers,
        };
        if !is_beside {
            own.push(*tokens);
            continue;
        }
        // Who advised is another model, and one that is not named has no price.
        let unnamed = if *kind == SamplingKind::AdvisorMessage { "" } else { model };
        parts.push(Part::new(of.unwrap_or(unnamed), *tokens));
    }
    tell_lifetimes(&mut own, reading.tokens.cache_write_1h);
    let sum = own.iter().copied().fold(TokenUsage::default(), |sum, tokens| sum + tokens);
    // Its prompt is not known, so the sum of all stands for it.
    let rest = Part { tokens: beyond(reading.tokens, sum), ..Part::new(model, reading.tokens) };
    parts.push(rest);
    parts.extend(own.into_iter().map(|tokens| Part::new(model, tokens)));
    parts
}

/// Has so many tokens written to the cache for an hour, which passes may list without their lifetimes.
fn tell_lifetimes(passes: &mut [TokenUsage], hour: u64) {
    let told = passes.iter().fold(0_u64, |sum, tokens| sum.saturating_add(tokens.cache_write_1h));
    let mut untold = hour.saturating_sub(told);
    for tokens in passes {
        let here = untold.min(tokens.cache_write_5m);
        tokens.cache_write_5m -= here;
        tokens.cache_write_1h = tokens.cache_write_1h.saturating_add(here);
        untold -= here;
    }
}

/// What of `all` is not in `sum`.
fn beyond(all: TokenUsage, sum: TokenUsage) -> TokenUsage {
    let written = all.cache_creation().saturating_sub(sum.cache_creation());
    let cache_write_1h = all.cache_write_1h.saturating_sub(sum.cache_write_1h).min(written);
    TokenUsage {
        input: all.input.saturating_sub(sum.input),
        output: all.output.saturating_sub(sum.output),
        cache_write_5m: written - cache_write_1h,
        cache_write_1h,
        cache_read: all.cache_read.saturating_sub(sum.cache_read),
    }
}
