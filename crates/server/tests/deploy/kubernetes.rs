//! The chart: rendered by Helm's own engine in several ways, taken by Kubernetes' schemas, and held to what the server
//! needs and what nobody should be able to do in its pods.

use crate::{
    files::repository,
    settings::{is_secret, is_setting},
    tools::{fed, said, tool},
};
use serde_json::{Value, json};
use std::{collections::BTreeMap, fs, path::Path};

const CHART: &str = "deploy/helm/steward";
/// The oldest that the chart says it is for, and the newest there is.
const KUBERNETES: [&str; 2] = ["1.33", "1.37"];
/// Kinds of others, whose schemas are not Kubernetes'.
const FOREIGN: &[&str] = &["ServiceMonitor"];

/// What the engine made of the chart with these values, or why not.
fn rendered(chart: &Path, values: &Value) -> Result<Vec<Value>, String> {
    let script = repository("crates/server/tests/deploy/helm.py");
    let output = fed(tool("python").arg(script).arg(chart), &values.to_string());
    assert!(output.status.success(), "{}", said(&output));
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    if let Some(error) = answer["error"].as_str() {
        return Err(error.to_owned());
    }
    assert_eq!(answer["findings"], json!([]), "what helm lint has to say");
    let manifests = answer["manifests"].as_object().unwrap().iter();
    let templates =
        manifests.filter(|(name, _)| name.ends_with(".yaml")).map(|(_, text)| text.as_str().unwrap());
    let documents = templates.flat_map(|text| text.split("\n---")).filter(|text| !text.trim().is_empty());
    let documents =
        documents.map(|text| serde_yaml_ng::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}")));
    Ok(documents.filter(Value::is_object).collect())
}

fn chart(values: &Value) -> Vec<Value> {
    rendered(&repository(CHART), values).unwrap_or_else(|error| panic!("{values}: {error}"))
}

fn existing() -> Value {
    json!({ "existingSecret": "steward-secrets" })
}

/// Everything that can be switched on, and the agents' sandbox off.
fn everything() -> Value {
    json!({
        "secrets": { "SECRET_KEY": "k", "ENCRYPTION_KEY": "e", "DATABASE_URL": "postgres://d", "ANTHROPIC_API_KEY": "a" },
        "image": { "repository": "images.example.com/steward", "tag": "1.2.3" },
        "imagePullSecrets": [{ "name": "pull" }],
        "sandbox": { "mode": "off" },
        "worker": {
            "autoscaling": { "enabled": true }, "nodeSelector": { "agents": "yes" },
            "tolerations": [{ "key": "agents", "operator": "Exists" }],
            "persistence": { "storageClass": "fast" },
        },
        "ingress": { "enabled": true, "className": "nginx", "tlsSecretName": "steward-tls" },
        "metrics": { "serviceMonitor": {
            "enabled": true, "labels": { "release": "prometheus" },
            "authorization": { "credentials": { "name": "steward-secrets", "key": "METRICS_TOKEN" } },
        } },
        "networkPolicy": { "apiFrom": [{ "namespaceSelector": { "matchLabels": { "name": "ingress" } } }] },
        "podLabels": { "team": "platform" }, "podAnnotations": { "note": "x" },
        "extraEnv": [{ "name": "CLAUDE_SDK_DEFAULT_MODEL", "value": "claude-sonnet-4-5" }],
    })
}

fn of_kind<'d>(documents: &'d [Value], kind: &str) -> Vec<&'d Value> {
    documents.iter().filter(|document| document["kind"] == kind).collect()
}

/// The servers of a role: the whole, and the one container in it.
fn servers<'d>(documents: &'d [Value], role: &str) -> (&'d Value, &'d Value) {
    let all = of_kind(documents, "StatefulSet");
    let set =
        all.into_iter().find(|set| set["metadata"]["labels"]["app.kubernetes.io/component"] == role).unwrap();
    let [container] = set["spec"]["template"]["spec"]["containers"].as_array().unwrap().as_slice() else {
        panic!("one container is wanted")
    };
    (set, container)
}

#[test]
fn kubernetes_takes_all_of_it_in_each_way() {
    for values in [existing(), everything()] {
        let documents = chart(&values);
        assert!(documents.len() >= 10, "{}", documents.len());
        let own = documents.iter().filter(|document| !FOREIGN.contains(&document["kind"].as_str().unwrap()));
        // JSON is YAML too, and leaves no `off` for some reader to take for a no.
        let texts: Vec<String> = own.map(|document| document.to_string()).collect();
        for version in KUBERNETES {
            let output = fed(
                tool("kubernetes-validate").args(["--strict", "--kubernetes-version", version, "-"]),
                &texts.join("\n---\n"),
            );
            let said = said(&output);
            let passed = said.lines().filter(|line| line.contains(" passed for resource ")).count();
            // What it has no schema for it only warns about.
            assert_eq!((output.status.success(), passed), (true, texts.len()), "{said}");
        }
    }
}

#[test]
fn values_that_do_not_do_are_refused_with_a_reason() {
    let mut short = existing();
    short["worker"] = json!({ "terminationGracePeriodSeconds": 30 });
    let mut delayed = existing();
    delayed["config"] = json!({ "SHUTDOWN_DELAY_SECONDS": "60", "SHUTDOWN_GRACE_SECONDS": "60" });
    let mut secret = existing();
    secret["config"] = json!({ "SECRET_KEY": "in a ConfigMap" });
    for (values, reason) in [
        (json!({}), "existingSecret"),
        (json!({ "secrets": { "SECRET_KEY": "k", "ENCRYPTION_KEY": "e" } }), "DATABASE_URL is missing"),
        (short, "terminationGracePeriodSeconds must be more"),
        (delayed, "which are 120 together"),
        (secret, "SECRET_KEY"),
        (json!({ "existingSecret": "s", "sandbox": { "mode": "docker" } }), "sandbox"),
        (json!({ "existingSecret": "s", "wroker": {} }), "wroker"),
        (json!({ "existingSecret": "s", "config": { "API-PORT": "1" } }), "API-PORT"),
    ] {
        let error = rendered(&repository(CHART), &values).unwrap_err();
        assert!(error.contains(reason), "{values}: {error}");
    }
}

#[test]
fn pods_can_do_nothing_that_they_need_not() {
    let documents = chart(&existing());
    for role in ["api", "worker"] {
        let (set, container) = servers(&documents, role);
        let pod = &set["spec"]["template"]["spec"];
        assert_eq!(pod["automountServiceAccountToken"], false);
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
        assert_eq!(pod["securityContext"]["runAsUser"], 10001, "the user of the image");
        for (what, wanted) in [
            ("privileged", json!(false)),
            ("allowPrivilegeEscalation", json!(false)),
            ("readOnlyRootFilesystem", json!(true)),
            ("capabilities", json!({ "drop": ["ALL"] })),
        ] {
            assert_eq!(container["securityContext"][what], wanted, "{role}: {what}");
        }
        assert!(container["resources"]["limits"]["memory"].is_string());
        for host in ["hostNetwork", "hostPID", "hostIPC"] {
            assert!(pod[host].is_null(), "{role}: {host}");
        }
    }
    assert!(
        of_kind(&documents, "ServiceAccount").iter().all(|one| one["automountServiceAccountToken"] == false)
    );
}

/// Namespaces are what bubblewrap needs; without it none are given.
#[test]
fn the_sandbox_gets_what_it_is_made_of_and_only_when_it_is_on() {
    let (on, off) = (chart(&existing()), chart(&everything()));
    for role in ["api", "worker"] {
        let (set, container) = servers(&on, role);
        let pod = &set["spec"]["template"]["spec"];
        assert_eq!(
            pod["hostUsers"], false,
            "namespaces of agents are made in the pod's and not in the node's"
        );
        assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "Unconfined");
        assert_eq!(container["securityContext"]["procMount"], "Unmasked");
        assert_eq!(environment(container)["SANDBOX"], "bwrap");
        let (set, container) = servers(&off, role);
        let pod = &set["spec"]["template"]["spec"];
        assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
        assert!(container["securityContext"]["procMount"].is_null());
        assert!(pod["securityContext"]["appArmorProfile"].is_null());
        assert_eq!(environment(container)["SANDBOX"], "off");
    }
}

fn environment(container: &Value) -> BTreeMap<&str, &str> {
    let pairs = container["env"].as_array().unwrap().iter();
    pairs.map(|one| (one["name"].as_str().unwrap(), one["value"].as_str().unwrap())).collect()
}

#[test]
fn servers_are_told_what_the_server_understands_and_are_asked_where_it_answers() {
    let documents = chart(&existing());
    let config = of_kind(&documents, "ConfigMap")[0]["data"].as_object().unwrap();
    for role in ["api", "worker"] {
        let (set, container) = servers(&documents, role);
        let environment = environment(container);
        for name in config.keys().map(String::as_str).chain(environment.keys().copied()) {
            assert!(is_setting(name), "{name} is no setting");
            assert!(!is_secret(name), "{name} is a secret");
        }
        assert_eq!(container["args"], json!(["serve", "--role", role]));
        let ports: BTreeMap<&str, String> = container["ports"]
            .as_array()
            .unwrap()
            .iter()
            .map(|port| (port["name"].as_str().unwrap(), port["containerPort"].to_string()))
            .collect();
        assert_eq!(ports["http"], environment["API_PORT"]);
        assert_eq!(ports["metrics"], environment["METRICS_PORT"]);
        for (probe, path) in [
            ("startupProbe", "/health/live"),
            ("livenessProbe", "/health/live"),
            ("readinessProbe", "/health/ready"),
        ] {
            assert_eq!(container[probe]["httpGet"], json!({ "path": path, "port": "http" }), "{role}");
        }
        let mounts: Vec<&str> = container["volumeMounts"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["mountPath"].as_str().unwrap())
            .collect();
        // Not the mount itself: its owner is root, and the server does not take a folder whose owner it is not.
        let (mount, _) = environment["DATA_DIR"].rsplit_once('/').unwrap();
        assert!(mounts.contains(&mount), "what is there has to outlive the pod");
        let grace = set["spec"]["template"]["spec"]["terminationGracePeriodSeconds"].as_u64().unwrap();
        let seconds = |name: &str| config[name].as_str().unwrap().parse::<u64>().unwrap();
        assert!(seconds("SHUTDOWN_DELAY_SECONDS") > 0, "requests are sent to a pod that is about to end");
        assert!(grace > seconds("SHUTDOWN_DELAY_SECONDS") + seconds("SHUTDOWN_GRACE_SECONDS"));
    }
}

/// A setting that is a secret must not be taken where everybody reads.
#[test]
fn every_secret_that_there_is_is_refused_in_a_config_map() {
    let schema = crate::files::json(&repository(CHART).join("values.schema.json"));
    let refused = schema["properties"]["config"]["propertyNames"]["not"]["enum"].as_array().unwrap();
    let refused: Vec<&str> = refused.iter().map(|name| name.as_str().unwrap()).collect();
    for name in &refused {
        assert!(is_setting(name), "{name} is no setting");
    }
    for setting in server::config::Config::settings().iter().filter(|setting| setting.secret) {
        let signal_of_its_own =
            setting.name.starts_with("OTEL_EXPORTER_OTLP_") && setting.name != "OTEL_EXPORTER_OTLP_HEADERS";
        assert!(signal_of_its_own || refused.contains(&setting.name), "{} would be taken", setting.name);
    }
}

#[test]
fn services_policies_and_budgets_find_the_pods() {
    let documents = chart(&everything());
    let labels_of = |role| &servers(&documents, role).0["spec"]["template"]["metadata"]["labels"];
    let finds = |selector: &Value, labels: &Value| {
        selector.as_object().unwrap().iter().all(|(name, value)| labels[name] == *value)
    };
    for role in ["api", "worker"] {
        let (set, _) = servers(&documents, role);
        assert!(finds(&set["spec"]["selector"]["matchLabels"], labels_of(role)));
        let budgets = of_kind(&documents, "PodDisruptionBudget");
        let found =
            budgets.iter().filter(|one| finds(&one["spec"]["selector"]["matchLabels"], labels_of(role)));
        assert_eq!(found.count(), 1, "{role}");
        let governing = set["spec"]["serviceName"].as_str().unwrap();
        assert!(of_kind(&documents, "Service").iter().any(|one| one["metadata"]["name"] == governing));
        let policy = of_kind(&documents, "NetworkPolicy")[0];
        assert!(finds(&policy["spec"]["podSelector"]["matchLabels"], labels_of(role)));
    }
    let face =
        of_kind(&documents, "Service").into_iter().find(|one| one["metadata"]["name"] == "tried").unwrap();
    assert!(finds(&face["spec"]["selector"], labels_of("api")));
    assert!(!finds(&face["spec"]["selector"], labels_of("worker")), "workers take no requests");
    let backend =
        &of_kind(&documents, "Ingress")[0]["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"];
    assert_eq!(backend["name"], face["metadata"]["name"]);

    let monitor = &of_kind(&documents, "ServiceMonitor")[0]["spec"];
    let scraped = of_kind(&documents, "Service")
        .into_iter()
        .filter(|one| finds(&monitor["selector"]["matchLabels"], &one["metadata"]["labels"]));
    let scraped: Vec<&Value> = scraped.collect();
    let credentials = &monitor["endpoints"][0]["authorization"]["credentials"];
    assert_eq!(*credentials, json!({ "name": "steward-secrets", "key": "METRICS_TOKEN" }));
    assert_eq!(scraped.len(), 2, "each server is scraped once");
    for service in scraped {
        assert_eq!(
            service["metadata"]["labels"]["app.kubernetes.io/name"], "steward",
            "the rules look for this job"
        );
        let ports = service["spec"]["ports"].as_array().unwrap();
        assert!(ports.iter().any(|port| port["name"] == monitor["endpoints"][0]["port"]));
    }
}

#[test]
fn workers_are_scaled_by_a_metric_that_there_is_and_nobody_else_says_how_many() {
    let documents = chart(&everything());
    let scaler = &of_kind(&documents, "HorizontalPodAutoscaler")[0]["spec"];
    let (worker, _) = servers(&documents, "worker");
    assert_eq!(scaler["scaleTargetRef"]["name"], worker["metadata"]["name"]);
    assert_eq!(scaler["scaleTargetRef"]["kind"], worker["kind"]);
    assert!(worker["spec"]["replicas"].is_null(), "an upgrade would undo what was scaled");
    let metric = scaler["metrics"][0]["external"]["metric"]["name"].as_str().unwrap();
    let document = fs::read_to_string(repository("docs/metrics.md")).unwrap();
    assert!(document.contains(&format!("`{metric}`")), "{metric}");
    let (api, _) = servers(&documents, "api");
    assert_eq!(api["spec"]["replicas"], 2);
}

/// Nobody in a pod has to ask the cloud for its credentials, agents least of all.
#[test]
fn the_addresses_that_tell_credentials_are_not_reached() {
    let documents = chart(&existing());
    let egress = of_kind(&documents, "NetworkPolicy")[0]["spec"]["egress"].as_array().unwrap();
    let blocks: Vec<&Value> = egress
        .iter()
        .flat_map(|rule| rule["to"].as_array().unwrap())
        .filter_map(|to| to.get("ipBlock"))
        .collect();
    assert!(!blocks.is_empty());
    for block in blocks.iter().filter(|block| block["cidr"] == "0.0.0.0/0") {
        assert_eq!(block["except"], json!(["169.254.0.0/16"]));
    }
}

#[test]
fn the_chart_is_of_this_version_of_the_server() {
    let manifest: toml::Table = fs::read_to_string(repository("Cargo.toml")).unwrap().parse().unwrap();
    let chart = crate::files::yaml(&repository(CHART).join("Chart.yaml"));
    assert_eq!(chart["appVersion"], json!(manifest["workspace"]["package"]["version"].as_str().unwrap()));
    assert!(chart["kubeVersion"].as_str().unwrap().contains(KUBERNETES[0]));
}
