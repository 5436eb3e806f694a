//! What the archiver promises, asked at its port: nothing is lost, nothing gets out, nothing is left behind.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod crash_points;
mod failures;
mod hostile;
mod round_trips;
mod s3;
mod system_tools;
mod world;
