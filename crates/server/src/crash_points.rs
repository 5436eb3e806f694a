//! Named places at which a test stops this process to kill it there. A build without them, as every release is, has
//! nothing of this.

use fail::FailScenario;
use std::{
    io::Write,
    sync::atomic::{AtomicU32, Ordering},
};
use tokio::runtime::{Handle, RuntimeFlavor};

/// Names of places with commas between, each perhaps with `:2` for the second time that somebody comes there.
const PARK_AT: &str = "PARK_AT";

/// Arms what the environment names: `PARK_AT`, and `FAILPOINTS` as the `fail` crate reads it.
///
/// A thread that comes to a place of `PARK_AT` says `PARKED <place>` on stderr and stays there; the crate's own `pause`
/// says nothing, and its `print` does not stay.
pub fn arm() -> Option<FailScenario<'static>> {
    if !fail::has_failpoints() {
        return None;
    }
    let scenario = FailScenario::setup();
    #[expect(
        clippy::disallowed_methods,
        reason = "no setting: only a server that tests build has these places"
    )]
    let places = std::env::var(PARK_AT).unwrap_or_default();
    for place in places.split(',').filter(|place| !place.is_empty()) {
        if let Err(error) = park_at(place) {
            tracing::error!(place, error, "a crash point was not armed");
        }
    }
    Some(scenario)
}

fn park_at(place: &str) -> Result<(), String> {
    let (name, times) = place.split_once(':').unwrap_or((place, "1"));
    let left = AtomicU32::new(times.parse().map_err(|_| format!("{times} is no number"))?);
    let said = format!("PARKED {name}");
    fail::cfg_callback(name, move || {
        // Zero is passed once; whoever comes later goes on.
        if left.fetch_sub(1, Ordering::SeqCst) == 1 {
            writeln!(std::io::stderr(), "{said}").ok();
            stay();
        }
    })
}

/// What waits behind this task on its worker goes on with another one: answers to earlier requests, for which the test
/// may wait before it kills.
fn stay() -> ! {
    let for_ever = || loop {
        std::thread::park();
    };
    match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(for_ever),
        _ => for_ever(),
    }
}
