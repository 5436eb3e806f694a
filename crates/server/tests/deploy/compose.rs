//! `compose.yaml`: Compose takes it, its files are there, and its settings are ones that the server has.

use crate::{
    files::{repository, yaml},
    settings::{default, is_setting},
    tools::{said, tool},
};
use regex::Regex;
use serde_json::Value;
use std::{collections::BTreeSet, fs, path::Path};

const FILE: &str = "deploy/compose/compose.yaml";

fn compose() -> Value {
    merged(yaml(&repository(FILE)))
}

/// As YAML 1.1 has it and Compose does it: what `<<` names is taken in, and what stands beside it wins.
fn merged(value: Value) -> Value {
    match value {
        Value::Object(mut map) => {
            let base = map.remove("<<").map(merged);
            let mut whole = base.and_then(|base| base.as_object().cloned()).unwrap_or_default();
            whole.extend(map.into_iter().map(|(key, value)| (key, merged(value))));
            Value::Object(whole)
        }
        Value::Array(list) => list.into_iter().map(merged).collect(),
        other => other,
    }
}

fn schema_says(file: &Path) -> std::process::Output {
    tool("check-jsonschema").args(["--builtin-schema", "vendor.compose-spec"]).arg(file).output().unwrap()
}

#[test]
fn compose_takes_it() {
    let output = schema_says(&repository(FILE));
    assert!(output.status.success(), "{}", said(&output));
    let folder = tempfile::tempdir().unwrap();
    let broken = folder.path().join("compose.yaml");
    let text = fs::read_to_string(repository(FILE)).unwrap();
    fs::write(&broken, text.replace("cap_drop: [ALL]", "cap_dropped: [ALL]")).unwrap();
    assert!(!schema_says(&broken).status.success(), "this test would find nothing");
}

#[test]
fn servers_have_settings_that_there_are_and_no_secret_in_the_file() {
    let compose = compose();
    for name in ["api", "worker"] {
        let service = &compose["services"][name];
        for (setting, value) in service["environment"].as_object().unwrap() {
            assert!(is_setting(setting), "{name}: {setting} is no setting");
            let value = value.as_str().unwrap();
            let is_secret = ["SECRET_KEY", "ENCRYPTION_KEY", "ADMIN_PASSWORD", "AWS_SECRET_ACCESS_KEY"]
                .contains(&setting.as_str());
            assert!(!is_secret || value.starts_with("${"), "{name}: {setting} is written down");
        }
        assert_eq!(service["environment"]["SANDBOX"], "bwrap");
        assert_eq!(service["command"], serde_json::json!(["serve", "--role", name]));
        let grace: u64 = service["environment"]["SHUTDOWN_GRACE_SECONDS"].as_str().unwrap().parse().unwrap();
        let stop: u64 = service["stop_grace_period"].as_str().unwrap().trim_end_matches('s').parse().unwrap();
        assert!(stop > grace, "{name} is killed while its turns may still run");
        assert_eq!(service["read_only"], true);
        assert_eq!(service["cap_drop"][0], "ALL");
    }
}

/// Both ways: what it asks for is explained, and nothing is explained that it does not ask for.
#[test]
fn what_it_asks_for_is_in_the_example() {
    let text = fs::read_to_string(repository(FILE)).unwrap();
    let example = fs::read_to_string(repository("deploy/compose/secrets.example")).unwrap();
    let asked: BTreeSet<&str> = Regex::new(r"\$\{([A-Z0-9_]+)")
        .unwrap()
        .captures_iter(&text)
        .map(|found| found.get(1).unwrap().as_str())
        .collect();
    let optional = BTreeSet::from(["STEWARD_IMAGE", "STEWARD_PORT"]);
    let explained: BTreeSet<&str> = example
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| Some(line.split_once('=')?.0))
        .collect();
    assert_eq!(asked.difference(&optional).copied().collect::<BTreeSet<_>>(), explained);
    for line in example.lines().filter(|line| !line.starts_with('#')) {
        let value = line.split_once('=').map_or("", |(_, value)| value);
        assert!(
            value.is_empty() || value == default("ADMIN_EMAIL"),
            "{line}: no password is anybody's default"
        );
    }
}

#[test]
fn files_that_are_mounted_and_built_from_are_there() {
    let compose = compose();
    let folder = repository("deploy/compose");
    let mut count = 0;
    for (name, service) in compose["services"].as_object().unwrap() {
        let mounts = service["volumes"].as_array().into_iter().flatten();
        for mount in mounts.map(|mount| mount.as_str().unwrap()).filter(|mount| mount.starts_with('.')) {
            let (from, rest) = mount.split_once(':').unwrap();
            assert!(folder.join(from).exists(), "{name}: {from}");
            assert!(rest.ends_with(":ro"), "{name}: {mount} could be written");
            count += 1;
        }
        if let Some(build) = service["build"].as_object() {
            let context = folder.join(build["context"].as_str().unwrap());
            assert!(
                context.join("Cargo.lock").exists()
                    && context.join(build["dockerfile"].as_str().unwrap()).exists()
            );
            let seccomp = service["security_opt"].to_string();
            assert!(
                seccomp.contains("seccomp=../docker/seccomp.json")
                    && folder.join("../docker/seccomp.json").exists()
            );
        }
    }
    assert!(count >= 5);
}

#[test]
fn everybody_who_is_waited_for_says_when_they_are_well_and_images_have_versions() {
    let compose = compose();
    let services = compose["services"].as_object().unwrap();
    for (name, service) in services {
        for (other, how) in service["depends_on"].as_object().into_iter().flatten() {
            let other = &services[other];
            assert!(how["condition"] != "service_healthy" || other["healthcheck"].is_object(), "{name}");
        }
        let image = service["image"].as_str().unwrap();
        assert!(
            image.starts_with("${") || image.contains(':') && !image.ends_with(":latest"),
            "{name}: {image}"
        );
    }
}

/// Prometheus finds the servers by the names of the services, at the port that they are told.
#[test]
fn prometheus_and_grafana_look_where_the_servers_are() {
    let compose = compose();
    let scraped = yaml(&repository("deploy/compose/prometheus.yml"));
    let job = &scraped["scrape_configs"][0];
    assert_eq!(job["job_name"], "steward", "the rules look for this job");
    let found = &job["dns_sd_configs"][0];
    for name in found["names"].as_array().unwrap() {
        let service = &compose["services"][name.as_str().unwrap()];
        assert_eq!(service["environment"]["METRICS_PORT"], found["port"].to_string());
    }
    let source = yaml(&repository("deploy/compose/grafana-datasource.yml"));
    assert_eq!(source["datasources"][0]["url"], "http://prometheus:9090");
    let provider = yaml(&repository("deploy/grafana/provisioning/dashboards/steward.yml"));
    let path = provider["providers"][0]["options"]["path"].as_str().unwrap();
    assert!(compose["services"]["grafana"]["volumes"].to_string().contains(&format!("{path}:ro")));
}
