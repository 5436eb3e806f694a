//! What the crate promises, on a small service that uses every extractor and every reply.

#![expect(clippy::unwrap_used, reason = "a test that meets a surprise should stop there")]

mod demo;
mod document;
mod extractors;
mod http;
mod problems;
mod replies;
mod slow_bodies;
mod types;
