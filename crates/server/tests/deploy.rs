//! What operators get in `deploy/`: files that their programs take, rules that fire when they should, dashboards that ask
//! for what there is. That all of it is in a scrape of the running server is in `e2e/prometheus.rs`.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

#[path = "deploy/files.rs"]
mod files;
#[path = "deploy/queries.rs"]
mod queries;

#[path = "deploy/collector.rs"]
mod collector;
#[path = "deploy/dashboards.rs"]
mod dashboards;
#[path = "deploy/rules.rs"]
mod rules;
