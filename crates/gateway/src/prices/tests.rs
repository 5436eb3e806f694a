//! The embedded table and how a price is found in it.

use super::*;

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
        let bound = Bound { input_tokens: 10_000, output_tokens: 10_000, web_searches: 2, may_be_fast };
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
        assert_eq!(table.quote(model, &used), Quote { cost: MicroUsd(cost), is_priced: true }, "{model}");
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
            Quote { cost: MicroUsd(15_000_000 + 75_000_000 + 1_500_000), is_priced: false },
            "{model}"
        );
    }
    let fast = Reading { speed: Speed::Fast, ..used };
    let quote = table.quote("claude-sonnet-5-5", &fast);
    assert_eq!(quote, Quote { cost: MicroUsd(30_000_000 + 150_000_000 + 3_000_000), is_priced: false });
}

#[test]
fn searches_and_inference_in_the_us_are_added() {
    let table = table();
    let used = Reading { web_searches: 2, in_us: true, ..reading(1_000_000, 0, 0, 0, 0) };
    assert_eq!(table.quote("claude-opus-5-5", &used).cost, MicroUsd(4_400_000 + 20_000));
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
