//! The `steward` command.

use anyhow::Context;
use server::{config::Config, serve::serve};

fn main() -> anyhow::Result<()> {
    keep_memory_private()?;
    let config = Config::load().map_err(|errors| anyhow::anyhow!("failed to {errors}"))?;
    monitoring::init(config.log.filter.clone(), config.log.format).context("could not set up logging")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    // The listener's workers bring runtimes of their own; everything else runs on this one.
    runtime.block_on(serve(config))
}

/// Agents run as the same user as this process, and its environment may hold the API key. The kernel shows it to no
/// process of that user (root aside) once this one counts as not dumpable.
#[cfg(target_os = "linux")]
fn keep_memory_private() -> anyhow::Result<()> {
    nix::sys::prctl::set_dumpable(false).context("could not keep this process's memory private")
}

#[cfg(not(target_os = "linux"))]
fn keep_memory_private() -> anyhow::Result<()> {
    Ok(())
}
