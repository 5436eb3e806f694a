//! What operators get in `deploy/`: files that their programs take, rules that fire when they should, dashboards that ask
//! for what there is. That all of it is in a scrape of the running server is in `e2e/prometheus.rs`.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

#[path = "deploy/files.rs"]
mod files;
#[path = "deploy/queries.rs"]
mod queries;

#[path = "deploy/settings.rs"]
mod settings;
#[path = "deploy/tools.rs"]
mod tools;

#[path = "deploy/collector.rs"]
mod collector;
#[path = "deploy/compose.rs"]
mod compose;
#[path = "deploy/dashboards.rs"]
mod dashboards;
#[path = "deploy/docker.rs"]
mod docker;
#[path = "deploy/documents.rs"]
mod documents;
#[path = "deploy/kubernetes.rs"]
mod kubernetes;
#[path = "deploy/proxies.rs"]
mod proxies;
#[path = "deploy/rules.rs"]
mod rules;
#[path = "deploy/systemd.rs"]
mod systemd;
