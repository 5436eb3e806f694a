//! Random lines for the shell analysis: no panic, an end in good time, and nothing swallowed.
#![no_main]

#[path = "../../crates/permissions/tests/checks/shell.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|line: &str| checks::check(line));
