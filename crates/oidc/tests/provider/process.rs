//! A provider process and the browser of somebody who logs in there.

use reqwest::{Url, header, redirect::Policy};
use serde_json::{Value, json};
use std::{collections::BTreeMap, path::PathBuf, process::Stdio, time::Duration};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    time::timeout,
};

const PATIENCE: Duration = Duration::from_secs(60);
/// The client that the provider knows, and its secret.
pub const CLIENT: &str = "steward";
pub const SECRET: &str = "a secret of the client / with signs";
/// Where the provider sends browsers back to. Nothing listens there: the test takes the answer to where it belongs.
pub const CALLBACK: &str = "http://127.0.0.1:1/api/v1/auth/oidc/callback";

/// A provider that runs until this is dropped.
pub struct ProviderProcess {
    pub issuer: String,
    child: Child,
    http: reqwest::Client,
}

impl ProviderProcess {
    /// One that knows ada, who is verified, and eve, who is not.
    pub async fn start() -> Self {
        Self::with(json!({})).await
    }

    /// With settings of the script beside the usual ones.
    pub async fn with(settings: Value) -> Self {
        let mut all = json!({
            "redirect_url": CALLBACK,
            "people": {
                "ada": { "email": "ada@example.org", "email_verified": true, "name": "Ada Lovelace", "groups": ["dev"] },
                "eve": { "email": "eve@example.org", "email_verified": false, "groups": ["dev"] },
            },
        });
        all.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
        let package = std::env::var_os("STEWARD_TEST_OIDC_PROVIDER").map(PathBuf::from);
        let package =
            package.unwrap_or_else(|| panic!("run `cargo xtask test`, which installs the provider"));
        let script =
            PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../oidc/tests/provider/provider.mjs"));
        #[expect(clippy::disallowed_methods, reason = "the provider is a process of its own")]
        let mut child = Command::new("node")
            .arg(script)
            .arg(all.to_string())
            .env("STEWARD_TEST_OIDC_PROVIDER", package)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let listening = async {
            while let Some(line) = lines.next_line().await.unwrap() {
                if let Some(issuer) = line.strip_prefix("LISTENING ") {
                    return issuer.to_owned();
                }
            }
            panic!("the provider ended at once");
        };
        let issuer = timeout(PATIENCE, listening).await.unwrap();
        // Taken on, so that it can go on writing.
        let mut rest = lines.into_inner();
        #[expect(clippy::disallowed_methods, reason = "it ends with the process")]
        tokio::spawn(async move { tokio::io::copy(&mut rest, &mut tokio::io::sink()).await });
        Self { issuer, child, http: reqwest::Client::builder().no_proxy().build().unwrap() }
    }

    /// Who logs in next; nobody says no.
    pub async fn person(&self, subject: Option<&str>) {
        self.test("person", json!(subject)).await;
    }

    /// What is claimed of this person from now on.
    pub async fn claims(&self, subject: &str, claims: Value) {
        self.test("people", json!({ subject: claims })).await;
    }

    /// Signs with new keys from now on, and forgets the old ones.
    pub async fn rotate_keys(&self) {
        self.test("rotate", json!(null)).await;
    }

    /// Answers at this path with this and not by itself: `{status, headers, body}`, or by itself again with null.
    pub async fn answer(&self, path: &str, answer: Value) {
        self.test("can", json!({ "path": path, "answer": answer })).await;
    }

    /// How often it was asked at this path.
    pub async fn asked(&self, path: &str) -> u64 {
        self.test("asked", json!(path)).await.as_u64().unwrap()
    }

    /// Ends it, as a power cut would.
    pub async fn stop(&mut self) {
        self.child.kill().await.unwrap();
    }

    async fn test(&self, what: &str, body: Value) -> Value {
        let request = self.http.post(format!("{}/test/{what}", self.issuer)).json(&body);
        request.send().await.unwrap().error_for_status().unwrap().json().await.unwrap()
    }
}

/// Somebody's browser at the provider: it keeps cookies and follows redirects.
pub struct Browser {
    http: reqwest::Client,
    cookies: BTreeMap<String, String>,
}

impl Default for Browser {
    fn default() -> Self {
        let http = reqwest::Client::builder().no_proxy().redirect(Policy::none()).timeout(PATIENCE);
        Self { http: http.build().unwrap(), cookies: BTreeMap::new() }
    }
}

impl Browser {
    /// Goes where it is sent until it is sent back to the callback, and answers with that address.
    pub async fn log_in(&mut self, address: &str) -> Url {
        let mut address = Url::parse(address).unwrap();
        for _ in 0..10 {
            if address.as_str().starts_with(CALLBACK) {
                return address;
            }
            address = self.step(&address).await;
        }
        panic!("it goes round in circles");
    }

    async fn step(&mut self, address: &Url) -> Url {
        let cookies: Vec<String> =
            self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = self.http.get(address.clone()).header(header::COOKIE, cookies.join("; "));
        let answer = request.send().await.unwrap();
        for cookie in answer.headers().get_all(header::SET_COOKIE) {
            let (name, value) = cookie.to_str().unwrap().split(';').next().unwrap().split_once('=').unwrap();
            match value {
                "" => self.cookies.remove(name),
                value => self.cookies.insert(name.to_owned(), value.to_owned()),
            };
        }
        let Some(to) = answer.headers().get(header::LOCATION) else {
            panic!("{} and no way on: {}", answer.status(), answer.text().await.unwrap());
        };
        address.join(to.to_str().unwrap()).unwrap()
    }
}

/// A value of an address's query.
pub fn parameter(address: &Url, name: &str) -> Option<String> {
    address.query_pairs().find(|(own, _)| own == name).map(|(_, value)| value.into_owned())
}

/// An address with another value in its query.
pub fn with_parameter(address: &str, name: &str, value: &str) -> String {
    let mut address = Url::parse(address).unwrap();
    let pairs: Vec<(String, String)> = address.query_pairs().into_owned().collect();
    assert!(pairs.iter().any(|(own, _)| own == name), "{name} is not in {address}");
    let replaced =
        pairs.into_iter().map(|(own, old)| if own == name { (own, value.to_owned()) } else { (own, old) });
    address.query_pairs_mut().clear().extend_pairs(replaced.collect::<Vec<_>>());
    address.into()
}
