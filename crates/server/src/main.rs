//! The `steward` command.

use anyhow::Context;
use server::{config::Config, serve::serve};

/// Gives memory back better than the system's allocator when answers of megabytes come and go on many threads.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> anyhow::Result<()> {
    let config = Config::load().map_err(|errors| anyhow::anyhow!("failed to {errors}"))?;
    monitoring::init(config.log.filter.clone(), config.log.format).context("could not set up logging")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    // The listener's workers bring runtimes of their own; everything else runs on this one.
    runtime.block_on(serve(config))
}
