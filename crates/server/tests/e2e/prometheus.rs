//! A real Prometheus beside the real server: it reads every series that dashboards and rules ask for, and its alerts fire.

use crate::{
    files::{files, program},
    queries::{panel_queries, wanted},
    receiver::{Receiver, Reply},
    world::{World, eventually, signal},
};
use regex::Regex;
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    fs,
    net::TcpListener,
    process::{Child, Command, Stdio},
};
use tempfile::TempDir;

/// A Prometheus that scrapes one server, with the rules of `deploy/`, only quicker.
struct Prometheus {
    process: Child,
    url: String,
    http: reqwest::Client,
    _folder: TempDir,
}

impl Prometheus {
    fn watching(server: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let rules = folder.path().join("rules");
        fs::create_dir(&rules).unwrap();
        // How long something has to last is tried by promtool; here the question is whether it is seen at all.
        let lasting = Regex::new(r"(?m)^( +for:) .*$").unwrap();
        for file in files("deploy/prometheus/rules", "yml") {
            let text = fs::read_to_string(&file).unwrap();
            fs::write(rules.join(file.file_name().unwrap()), lasting.replace_all(&text, "$1 1s").as_ref())
                .unwrap();
        }
        let target = server.strip_prefix("http://").unwrap();
        let config = json!({
            "global": { "scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s" },
            "rule_files": [rules.join("*.yml")],
            "scrape_configs": [{ "job_name": "steward", "static_configs": [{ "targets": [target] }] }],
        });
        // JSON is YAML too.
        fs::write(folder.path().join("prometheus.yml"), config.to_string()).unwrap();
        let address = free_address();
        let log = fs::File::create(folder.path().join("log")).unwrap();
        #[expect(clippy::disallowed_methods, reason = "the program that watches the server under test")]
        let process = Command::new(program("prometheus"))
            .arg(format!("--config.file={}", folder.path().join("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        Self {
            process,
            url: format!("http://{address}/api/v1"),
            http: reqwest::Client::new(),
            _folder: folder,
        }
    }

    /// The `data` of an answer; nothing while it does not answer yet.
    async fn ask(&self, path: &str, parameters: &[(&str, &str)]) -> Option<Value> {
        let url = reqwest::Url::parse_with_params(&format!("{}/{path}", self.url), parameters).unwrap();
        let answer = self.http.get(url).send().await.ok()?;
        let answer: Value = answer.json().await.ok()?;
        (answer["status"] == "success").then(|| answer["data"].clone())
    }

    async fn query(&self, query: &str) -> Option<Vec<Value>> {
        self.ask("query", &[("query", query)]).await?["result"].as_array().cloned()
    }

    /// Waits until a query has this value.
    async fn sees(&self, query: &str, value: &str) {
        eventually(query, async || {
            let seen = self.query(query).await?;
            seen.iter().any(|one| one["value"][1] == value).then_some(())
        })
        .await;
    }

    /// Waits until an alert fires.
    async fn fires(&self, name: &str) -> Value {
        eventually(name, async || {
            let alerts = self.ask("alerts", &[]).await?;
            let alerts = alerts["alerts"].as_array()?.iter();
            alerts
                .into_iter()
                .find(|one| one["labels"]["alertname"] == name && one["state"] == "firing")
                .cloned()
        })
        .await
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        signal(self.process.id(), "KILL");
        // It is dead, and only its exit is fetched.
        let _ = self.process.wait();
    }
}

/// A port that is free now; Prometheus does not say which one it took.
fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// Does a little of everything that leaves a figure.
async fn exercise(world: &World) {
    let user = world.admin().await;
    let receiver = Receiver::start(Reply::Body("{}".to_owned())).await;
    let hook = json!({
        "name": "watch", "url": receiver.url, "kind": "decision", "event_types": ["PreToolUse"],
        "tool_matcher": "Bash",
    });
    let hook = user.post("/hooks", hook).await;
    assert_eq!(hook.status, 201, "{hook:?}");
    let session = user.session(json!({ "allowed_tools": ["Bash"], "hooks_enabled": ["watch"] })).await;
    user.ask(&session, r#"go [[tool:Bash {"command":"echo hi"}]][[next]][[text:done]]"#).await;
    user.post(&format!("{session}/archive"), json!({})).await.ok();
    user.get("/monitoring/health").await.ok();
}

async fn scrape(world: &World) -> String {
    let url = format!("{}/metrics", world.stranger().url);
    let answer = reqwest::get(url).await.unwrap();
    assert_eq!(answer.status(), 200);
    answer.text().await.unwrap()
}

/// What is told of: by its samples, or by its type where nothing has happened yet.
fn names(scrape: &str) -> BTreeSet<String> {
    let name =
        |line: &str| line.strip_prefix("# TYPE ").unwrap_or(line).split(['{', ' ']).next().map(str::to_owned);
    let lines = scrape.lines().filter(|line| !line.starts_with('#') || line.starts_with("# TYPE "));
    lines.filter_map(name).collect()
}

fn is_given(given: &BTreeSet<String>, metric: &str) -> bool {
    let base = ["_bucket", "_count", "_sum"].into_iter().find_map(|part| metric.strip_suffix(part));
    given.contains(metric) || base.is_some_and(|base| given.contains(base))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_metric_of_the_dashboards_and_rules_is_in_a_scrape_of_the_server() {
    let world = World::with(&[("WEBHOOK_ALLOW_PRIVATE_ADDRESSES", "true")]).await;
    exercise(&world).await;
    eventually("all of it is in a scrape", async || {
        let given = names(&scrape(&world).await);
        let missing: BTreeSet<_> =
            wanted().into_iter().filter(|(metric, _)| !is_given(&given, metric)).collect();
        if !missing.is_empty() {
            eprintln!("{missing:#?}");
        }
        missing.is_empty().then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_prometheus_sees_the_server_answers_its_panels_and_tells_when_it_is_gone() {
    // No disk has so much room, so one of the alerts has something to tell of.
    let mut world =
        World::with(&[("HEALTH_FREE_DISK_MB", "1000000000"), ("HEALTH_INTERVAL_SECONDS", "1")]).await;
    let prometheus = Prometheus::watching(&world.stranger().url);
    prometheus.sees("up", "1").await;
    prometheus.sees(r#"steward_health_check{check="disk"}"#, "0").await;
    prometheus.sees(r#"steward_health_check{check="database"}"#, "1").await;
    let alert = prometheus.fires("StewardDiskLow").await;
    assert_eq!(alert["annotations"]["runbook_url"], "docs/troubleshooting.md#stewarddisklow");
    for query in panel_queries() {
        let answer = prometheus.ask("query", &[("query", &query.expression)]).await;
        assert!(answer.is_some(), "{query:?}");
    }
    world.kill().await;
    let alert = prometheus.fires("StewardDown").await;
    assert_eq!(alert["labels"]["severity"], "critical");
}
