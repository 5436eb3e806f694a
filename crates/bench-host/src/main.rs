//! A host that holds sessions through `sdk-runtime` and takes orders, and nothing else: its memory is what is measured.

#![expect(clippy::disallowed_methods, reason = "a host starts the CLI, and is no part of the server")]
#![expect(clippy::print_stdout, reason = "it answers on its output")]

mod bare;
mod runtime;

use std::env;

use anyhow::{Result, bail};
use bench_host::orders::Threads;

fn main() -> Result<()> {
    match env::args().nth(1).as_deref() {
        Some(bare::NAME) => bare::run(),
        Some(name) if name == Threads::One.name() => runtime::run(Threads::One),
        Some(name) if name == Threads::Many.name() => runtime::run(Threads::Many),
        other => bail!("not a kind of host: {other:?}"),
    }
}
