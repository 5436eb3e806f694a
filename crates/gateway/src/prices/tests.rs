//! The embedded table and how a price is found in it.

use super::*;
use crate::reading::{Sampling, SamplingKind};

fn table() -> PriceTable {
    PriceTable::embedded().unwrap()
}

fn reading(input: u64, output: u64, cache_write_5m: u64, cache_write_1h: u64, cache_read: u64) -> Reading {
    let tokens = TokenUsage { input, output, cache_write_5m, cache_write_1h, cache_read };
    Reading { tokens, ..Reading::default() }
}

/// Micro-dollars for 10 000 tokens of each kind.
fn each_kind(model: &str, speed: Speed) -> [i64; 5] {
    let table = table();
    let ten_thousand = |index| {
        let mut counts = [0; 5];
        counts[index] = 10_000;
        let [input, output, five_minutes, hour, read] = counts;
        let reading = Reading { speed, ..reading(input, output, five_minutes, hour, read) };
        let quote = table.quote(model, &reading);
        assert!(quote.is_priced, "{model}");
        quote.cost.0
    };
    std::array::from_fn(ten_thousand)
}

#[test]
fn prices_are_those_the_cli_reckons() {
    // Claude Code 2.1.330 was run with these models and 10 000 tokens of each kind; the figures are its `costUSD`.
    let table = [
        ("claude-fable-5-2", [80_000, 400_000, 100_000, 160_000, 2_000]),
        ("claude-fable-5-1", [100_000, 500_000, 125_000, 200_000, 2_500]),
        ("claude-opus-5-5", [40_000, 200_000, 50_000, 80_000, 2_000]),
        ("claude-opus-4-8", [50_000, 250_000, 62_500, 100_000, 5_000]),
        ("claude-sonnet-5-5", [20_000, 100_000, 25_000, 40_000, 1_000]),
        ("claude-sonnet-4-6", [30_000, 150_000, 37_500, 60_000, 3_000]),
        ("claude-haiku-5-5", [1_000, 5_000, 1_250, 2_000, 100]),
        ("claude-haiku-4-5-20251001", [10_000, 50_000, 12_500, 20_000, 1_000]),
    ];
    for (model, expected) in table {
        assert_eq!(each_kind(model, Speed::Standard), expected, "{model}");
    }
    assert_eq!(each_kind("claude-opus-5-5", Speed::Fast), [80_000, 400_000, 100_000, 160_000, 4_000]);
}

#[test]
fn the_most_that_a_request_can_cost_is_what_its_dearest_answer_does() {
    let table = table();
    for (may_be_fast, speed) in [(false, Speed::Standard), (true, Speed::Fast)] {
        let bound = Bound {
            input_tokens: 10_000,
            output_tokens: 10_000,
            web_searches: 2,
            may_be_fast,
            advisors: vec![],
        };
        for model in ["claude-opus-5-5", "claude-opus-4-7", "nobody-knows"] {
            let dearest = Reading { speed, in_us: true, web_searches: 2, ..reading(0, 10_000, 0, 10_000, 0) };
            assert_eq!(table.most(model, &bound), table.quote(model, &dearest).cost, "{model}, {speed:?}");
        }
    }
}

#[test]
fn a_long_prompt_of_haiku_costs_more_on_every_token() {
    let table = table();
    let at =
        |input, cache_read| table.quote("claude-haiku-5-5", &reading(input, 10_000, 0, 0, cache_read)).cost;
    assert_eq!(at(100_000, 0), MicroUsd(10_000 + 5_000));
    assert_eq!(at(110_000, 0), MicroUsd(55_000 + 25_000));
    assert_eq!(
        at(10_000, 100_000),
        MicroUsd(5_000 + 5_000 + 25_000),
        "the cached part of a prompt counts too"
    );
}

#[test]
fn names_are_found_by_alias_and_without_their_date() {
    let table = table();
    let used = reading(1_000_000, 0, 0, 0, 0);
    for (model, cost) in [
        ("claude-opus-4-20250514", 15_000_000),
        ("claude-opus-4-1-20250805", 15_000_000),
        ("claude-3-7-sonnet-latest", 3_000_000),
        ("claude-opus-5-5[1m]", 4_000_000),
    ] {
        let tokens = used.tokens;
        assert_eq!(
            table.quote(model, &used),
            Quote { cost: MicroUsd(cost), tokens, is_priced: true },
            "{model}"
        );
    }
}

#[test]
fn an_unknown_model_is_flagged_and_costs_the_most() {
    let table = table();
    let used = reading(1_000_000, 1_000_000, 0, 0, 1_000_000);
    for model in ["gpt-4", "", "claude-opus-9", "claude-opus-5-5-2026", "claude-opus-5-5-preview"] {
        let quote = table.quote(model, &used);
        assert_eq!(
            quote,
            Quote {
                cost: MicroUsd(15_000_000 + 75_000_000 + 1_500_000),
                tokens: used.tokens,
                is_priced: false
            },
            "{model}"
        );
    }
    let fast = Reading { speed: Speed::Fast, ..used };
    let quote = table.quote("claude-sonnet-5-5", &fast);
    let cost = MicroUsd(30_000_000 + 150_000_000 + 3_000_000);
    assert_eq!(quote, Quote { cost, tokens: fast.tokens, is_priced: false });
}

#[test]
fn searches_and_inference_in_the_us_are_added() {
    let table = table();
    let used = Reading { web_searches: 2, in_us: true, ..reading(1_000_000, 0, 0, 0, 0) };
    assert_eq!(table.quote("claude-opus-5-5", &used).cost, MicroUsd(4_400_000 + 20_000));
}

fn pass(kind: SamplingKind, model: Option<&str>, input: u64, output: u64) -> Sampling {
    let tokens = TokenUsage { input, output, ..TokenUsage::default() };
    Sampling { kind, model: model.map(str::to_owned), tokens }
}

#[test]
fn passes_beside_the_top_level_are_added_at_the_rates_of_their_models() {
    use SamplingKind::{AdvisorMessage, Compaction, FallbackMessage, Message, Other};
    let (haiku, opus, opus_5) = (Some("claude-haiku-4-5"), Some("claude-opus-4-6"), Some("claude-opus-5-5"));
    // Opus 5.5 takes 4 for a token of input and 20 for one of output; Opus 4.6 takes 5 and 25, Haiku 4.5 1 and 5.
    let own = 1_000 * 4 + 100 * 20;
    for (what, passes, cost, input) in [
        ("all of it", vec![pass(Message, None, 1_000, 100)], own, 1_000),
        ("several turns", vec![pass(Message, opus_5, 400, 60), pass(Message, None, 600, 40)], own, 1_000),
        (
            "the name with a date",
            vec![pass(Message, Some("claude-opus-5-5-20260901"), 1_000, 100)],
            own,
            1_000,
        ),
        ("a name that nobody knows", vec![pass(Message, Some("opus"), 1_000, 100)], own, 1_000),
        (
            "a compaction",
            vec![pass(Compaction, None, 5_000, 10), pass(Message, None, 1_000, 100)],
            own + 5_000 * 4 + 10 * 20,
            6_000,
        ),
        ("a compaction alone", vec![pass(Compaction, None, 5_000, 10)], own + 5_000 * 4 + 10 * 20, 6_000),
        (
            "an advisor",
            vec![pass(Message, None, 1_000, 100), pass(AdvisorMessage, opus, 800, 7)],
            own + 800 * 5 + 7 * 25,
            1_800,
        ),
        (
            "an advisor that is the same model",
            vec![pass(AdvisorMessage, opus_5, 800, 7), pass(Message, None, 1_000, 100)],
            own + 800 * 4 + 7 * 20,
            1_800,
        ),
        (
            "a top level that has the first turn only",
            vec![pass(Message, None, 1_000, 60), pass(Message, None, 1_300, 40)],
            2_300 * 4 + 100 * 20,
            2_300,
        ),
        (
            "a declined attempt",
            vec![pass(Message, haiku, 900, 3), pass(FallbackMessage, opus_5, 1_000, 100)],
            own + 900 + 3 * 5,
            1_900,
        ),
        ("a fallback that goes on", vec![pass(FallbackMessage, opus_5, 1_000, 100)], own, 1_000),
        ("another kind", vec![pass(Other, None, 1_000, 100)], own, 1_000),
        (
            "another kind of another model",
            vec![pass(Other, haiku, 900, 3), pass(Message, None, 1_000, 100)],
            own + 900 + 3 * 5,
            1_900,
        ),
    ] {
        let reading = Reading { samplings: passes, ..reading(1_000, 100, 0, 0, 0) };
        let quote = table().quote("claude-opus-5-5", &reading);
        assert_eq!((quote.cost, quote.tokens.input), (MicroUsd(cost), input), "{what}");
        assert!(quote.is_priced, "{what}");
    }
}

#[test]
fn an_advisor_without_a_price_costs_the_most_and_is_flagged() {
    for model in [Some("gpt-4"), None] {
        let samplings = vec![pass(SamplingKind::AdvisorMessage, model, 800, 7)];
        let quote = table().quote("claude-opus-5-5", &Reading { samplings, ..reading(1_000, 100, 0, 0, 0) });
        assert_eq!(quote.cost, MicroUsd(1_000 * 4 + 100 * 20 + 800 * 15 + 7 * 75), "{model:?}");
        assert!(!quote.is_priced, "{model:?}");
    }
}

#[test]
fn an_advisor_is_as_fast_as_the_answer_if_it_can_be() {
    let quote = |advisor| {
        let samplings = vec![pass(SamplingKind::AdvisorMessage, Some(advisor), 800, 7)];
        let reading = Reading { samplings, speed: Speed::Fast, ..reading(1_000, 100, 0, 0, 0) };
        table().quote("claude-opus-5-5", &reading)
    };
    let own = 1_000 * 8 + 100 * 40;
    assert_eq!(quote("claude-opus-5").cost, MicroUsd(own + 800 * 10 + 7 * 50));
    let standard = quote("claude-fable-5");
    assert_eq!((standard.cost, standard.is_priced), (MicroUsd(own + 800 * 10 + 7 * 50), true));
}

#[test]
fn passes_that_do_not_tell_lifetimes_leave_them_as_they_are() {
    let written = |five_minutes, hour| Sampling {
        kind: SamplingKind::Message,
        model: None,
        tokens: TokenUsage { cache_write_5m: five_minutes, cache_write_1h: hour, ..TokenUsage::default() },
    };
    for passes in [vec![], vec![written(300, 0), written(700, 0)], vec![written(200, 100), written(0, 700)]] {
        let quote =
            table().quote("claude-opus-5-5", &Reading { samplings: passes, ..reading(0, 0, 200, 800, 0) });
        assert_eq!(quote.cost, MicroUsd(200 * 5 + 800 * 8));
        assert_eq!((quote.tokens.cache_write_5m, quote.tokens.cache_write_1h), (200, 800));
    }
}

#[test]
fn each_pass_is_a_long_prompt_by_itself() {
    let cost = |samplings| {
        let reading = Reading { samplings, ..reading(150_000, 0, 0, 0, 0) };
        table().quote("claude-haiku-5-5", &reading).cost
    };
    let pass = |input| pass(SamplingKind::Message, None, input, 0);
    // A tenth of a micro-dollar for a token, and half of one in a prompt of more than 100,000.
    assert_eq!(cost(vec![]), MicroUsd(75_000));
    assert_eq!(cost(vec![pass(75_000), pass(75_000)]), MicroUsd(15_000));
    assert_eq!(cost(vec![pass(120_000), pass(30_000)]), MicroUsd(60_000 + 3_000));
    assert_eq!(cost(vec![pass(75_000)]), MicroUsd(7_500 + 37_500), "what is not told may be in one prompt");
}

#[test]
fn the_most_has_each_use_of_an_advisor_at_the_dearer_rates() {
    let table = table();
    let bound = |advisors| Bound { input_tokens: 1_000, output_tokens: 100, advisors, ..Bound::default() };
    let advisor =
        |model: &str, uses| Advisor { model: model.to_owned(), uses, input_tokens: 2_000, output_tokens: 50 };
    let most = |advisors| table.most("claude-opus-5-5", &bound(advisors)).0;
    // For a token of input as much as for an hour in the cache.
    let own = 1_000 * 8 + 100 * 20;
    assert_eq!(most(vec![]), own * 110 / 100);
    assert_eq!(most(vec![advisor("claude-opus-4-6", 3)]), (own + 3 * (2_000 * 10 + 50 * 25)) * 110 / 100);
    assert_eq!(
        most(vec![advisor("claude-haiku-4-5", 2), advisor("gpt-4", 1)]),
        (own + 2 * (2_000 * 8 + 50 * 20) + 2_000 * 30 + 50 * 75) * 110 / 100
    );
}

#[test]
fn sums_of_what_is_held_fit_however_much_is_asked_for() {
    let bound = Bound { web_searches: u64::MAX, ..Bound::default() };
    let most = table().most("claude-opus-5-5", &bound);
    assert_eq!(most, HOLD_MAX);
    assert!(most.0.checked_mul(1_000_000).is_some());
}

#[test]
fn a_row_listed_twice_is_an_error() {
    let twice = EMBEDDED.replace("claude-fable-5-1", "claude-fable-5-2");
    assert!(
        matches!(PriceTable::parse(&twice), Err(PriceTableError::Twice { name, line: 28 }) if name == "claude-fable-5-2")
    );
}
