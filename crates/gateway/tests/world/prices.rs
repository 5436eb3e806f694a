//! Prices from a file, which may change while the gateway runs.

use std::{error::Error, fs, path::Path};

use domain::MicroUsd;
use gateway::{Options, Prices};

use crate::{REAL_KEY, World, offline_model};

fn table(version: &str, input: &str) -> String {
    format!(
        "version = \"{version}\"\ndate = 2026-11-26\nsource = \"us\"\nweb_search = 0\nus_inference_percent = 100\n\n\
         [[models]]\nid = \"claude-opus-5-5\"\nstandard = {{ input = {input}, output = 0, cache_write_5m = 0, cache_write_1h = 0, cache_read = 0 }}\n"
    )
}

async fn fault(file: &Path, text: &str) -> String {
    fs::write(file, text).unwrap();
    let error = Prices::from_file(file.to_owned()).await.unwrap_err();
    let (mut said, mut cause) = (error.to_string(), error.source());
    while let Some(source) = cause {
        said = format!("{said}: {source}");
        cause = source.source();
    }
    said
}

#[tokio::test]
async fn a_broken_file_is_refused_with_its_line_and_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("prices.toml");
    let missing = Prices::from_file(file.clone()).await.unwrap_err();
    assert!(missing.to_string().contains("prices.toml"), "{missing}");
    let good = table("1", "1");
    let twice = good.clone() + &good[good.find("[[").unwrap()..];
    for (text, parts) in [
        (good.replace("input = 1", "input = -1"), ["line 9", "-1"]),
        (good.replace("output", "ouput"), ["line 9", "ouput"]),
        (good.replace("percent = 100", "percent = 99"), ["line 5", "100 or more"]),
        (twice, ["line 11", "claude-opus-5-5 is listed twice"]),
        ("version = ".to_owned(), ["line 1", "prices.toml"]),
    ] {
        let said = fault(&file, &text).await;
        assert!(parts.iter().all(|part| said.contains(part)), "{parts:?} in {said}");
    }
}

#[tokio::test]
async fn a_changed_file_holds_for_the_next_request_and_a_broken_one_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("prices.toml");
    fs::write(&file, table("1", "1_000_000")).unwrap();
    let prices = Prices::from_file(file.clone()).await.unwrap();
    assert!(prices.current().version().starts_with("1#"), "{}", prices.current().version());
    let old = prices.health().unwrap().unwrap();

    fs::write(&file, "nonsense, and longer than before so that it is seen".repeat(20)).unwrap();
    prices.look().await;
    let unhealthy = prices.health().unwrap_err();
    assert!(unhealthy.contains("line 1") && unhealthy.contains(&old), "{unhealthy}");
    assert_eq!(prices.current().version(), old);

    fs::remove_file(&file).unwrap();
    prices.look().await;
    assert!(prices.health().is_err());

    fs::write(&file, table("2", "2_000_000") + "# another length\n").unwrap();
    prices.look().await;
    assert!(prices.health().unwrap().unwrap().starts_with("2#"));

    let model = offline_model().await;
    let world = World::with_prices(&Options::new(model.url(), Some(REAL_KEY.into())), prices).await;
    world.ask("[[usage:in=10,out=10]]").await;
    world.settled().await;
    let booked = world.budgets.only();
    assert_eq!((booked.cost, booked.is_priced), (MicroUsd(20), true));
    assert!(booked.price_version.starts_with("2#"));
}
