//! One client, and what it received in a form that is the same in each run.

use crate::{contract, world::PASSWORD};
use reqwest::{Method, RequestBuilder, Response, header::HeaderMap};
use serde_json::{Value, json};
use std::time::Duration;
use tempfile::TempDir;

/// Longer than anything takes that works.
pub const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base: String,
    home: String,
    pub token: Option<String>,
}

/// An answer, read to its end.
pub struct Received {
    pub request: String,
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    home: String,
}

impl Client {
    pub fn new(address: &str, directory: &TempDir) -> Self {
        let http = reqwest::Client::builder().no_proxy().timeout(PATIENCE);
        // Where a redirect leads to is asserted, not followed.
        let http = http.redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let home = directory.path().display().to_string();
        Self { http, base: format!("http://{address}"), home, token: None }
    }

    pub async fn logged_in(&self, email: &str) -> Self {
        let tokens = self.post("/api/v1/auth/login", json!({"email": email, "password": PASSWORD})).await;
        self.with_token(tokens.json()["access_token"].as_str().unwrap())
    }

    /// The same client at another address.
    pub fn at(&self, address: &str) -> Self {
        Self { base: format!("http://{address}"), ..self.clone() }
    }

    pub fn with_token(&self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self.clone() }
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    pub async fn send(&self, request: RequestBuilder) -> Received {
        let request = request.build().unwrap();
        let path = &request.url().as_str()[self.base.len()..];
        let name = format!("{} {path}", request.method());
        let response = self.http.execute(request).await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = response.bytes().await.unwrap().to_vec();
        let media = headers.get("content-type").map_or("", |value| value.to_str().unwrap());
        let (method, address) = name.split_once(' ').unwrap();
        // Whatever a test asks for, the answer is one that the document knows. What was asked to be small or compressed is
        // looked at by whoever asked.
        let is_small = headers.get("preference-applied").is_some_and(|applied| applied == "return=minimal");
        if !is_small && !headers.contains_key("content-encoding") {
            assert_eq!(contract::breaches(method, address, status, media, &body), Vec::<String>::new());
        }
        Received { request: name, status, headers, body, home: self.home.clone() }
    }

    /// The answer's head; its body is still to come.
    pub async fn open(&self, request: RequestBuilder) -> Response {
        self.http.execute(request.build().unwrap()).await.unwrap()
    }

    pub async fn get(&self, path: &str) -> Received {
        self.send(self.request(Method::GET, path)).await
    }

    /// Looks until a field of what is there has this value, and answers with what is there then.
    pub async fn watch_until(&self, path: &str, field: &str, value: &str) -> Value {
        let looking = async {
            loop {
                let seen = self.get(path).await.json();
                if seen[field] == value {
                    return seen;
                }
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(60), looking).await.unwrap()
    }

    pub async fn delete(&self, path: &str) -> Received {
        self.send(self.request(Method::DELETE, path)).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Received {
        self.post_with(path, body, &[]).await
    }

    pub async fn post_with(&self, path: &str, body: Value, headers: &[(&str, &str)]) -> Received {
        let mut request = self.request(Method::POST, path).json(&body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request).await
    }

    pub async fn put(&self, path: &str, body: Value) -> Received {
        self.send(self.request(Method::PUT, path).json(&body)).await
    }

    pub async fn patch(&self, path: &str, body: Value) -> Received {
        self.send(self.request(Method::PATCH, path).json(&body)).await
    }

    /// A POST of this text as JSON, whatever it is.
    pub async fn post_text(&self, path: &str, body: &str) -> Received {
        let request = self.request(Method::POST, path).header("content-type", "application/json");
        self.send(request.body(body.to_owned())).await
    }
}

impl Received {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.text()))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub fn error_code(&self) -> String {
        self.json()["error_code"].as_str().unwrap_or_default().to_owned()
    }

    /// Pointer and code of each violation, as one text per violation.
    pub fn violations(&self) -> Vec<String> {
        let json = self.json();
        let errors = json["errors"].as_array().into_iter().flatten();
        errors
            .map(|e| format!("{} {}", e["pointer"].as_str().unwrap(), e["code"].as_str().unwrap()))
            .collect()
    }

    /// The whole answer, with what differs from run to run replaced by its kind.
    pub fn shown(&self) -> String {
        let mut lines = vec![self.request.clone(), self.status.to_string()];
        for name in SHOWN_HEADERS {
            if let Some(value) = self.headers.get(name) {
                lines.push(format!("{name}: {}", value.to_str().unwrap()));
            }
        }
        lines.push(String::new());
        lines.push(match serde_json::from_slice::<Value>(&self.body) {
            Ok(json) => format!("{json:#}"),
            Err(_) => self.text(),
        });
        redacted(&lines.join("\n"), &self.home)
    }
}

const SHOWN_HEADERS: [&str; 9] = [
    "allow",
    "cache-control",
    "content-disposition",
    "content-type",
    "link",
    "location",
    "preference-applied",
    "retry-after",
    "www-authenticate",
];

/// Replaces ids by numbers in the order they appear, and secrets and paths by names.
pub fn redacted(text: &str, home: &str) -> String {
    let mut seen: Vec<String> = vec![];
    let mut out = String::new();
    let text = text.replace(home, "[directory]");
    let mut rest = text.as_str();
    while let Some(c) = rest.chars().next() {
        let word: &str = &rest[..rest.find(|c: char| !is_id_char(c)).unwrap_or(rest.len())];
        if word.is_empty() {
            out.push(c);
            rest = &rest[c.len_utf8()..];
            continue;
        }
        rest = &rest[word.len()..];
        out.push_str(&redacted_word(word, &mut seen));
    }
    out
}

fn is_id_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '-' || c == '_'
}

fn redacted_word(word: &str, seen: &mut Vec<String>) -> String {
    let hex = |text: &str| text.bytes().all(|b| b.is_ascii_hexdigit());
    let uuid = word.split('-').map(str::len).eq([8, 4, 4, 4, 12]) && word.split('-').all(hex);
    if uuid {
        let index = seen.iter().position(|id| id == word).unwrap_or_else(|| {
            seen.push(word.to_owned());
            seen.len() - 1
        });
        return format!("[id {}]", index + 1);
    }
    match word {
        _ if word.len() == 32 && hex(word) => "[request id]".to_owned(),
        _ if word.starts_with("toolu_") => "[tool use]".to_owned(),
        _ if word.starts_with("stw_") && word.len() > 20 => "[api key]".to_owned(),
        _ if word.starts_with("stw_") => "[key prefix]".to_owned(),
        _ if word.starts_with("stwr_") => "[refresh token]".to_owned(),
        _ if word.starts_with("eyJ") || word.len() > 42 => "[token]".to_owned(),
        _ => word.to_owned(),
    }
}
