//! Random paths for the path policy: no panic, and none leads to the restricted or out of the working directory.
#![no_main]

#[path = "../../crates/permissions/tests/checks/paths.rs"]
mod checks;

use std::sync::OnceLock;

static WORLD: OnceLock<(checks::World, tokio::runtime::Runtime)> = OnceLock::new();

libfuzzer_sys::fuzz_target!(|path: &str| {
    let (world, runtime) = WORLD.get_or_init(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        (checks::World::new(), runtime)
    });
    runtime.block_on(checks::check(world, path));
});
