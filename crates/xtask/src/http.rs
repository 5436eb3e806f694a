//! A client of the server, as small as the demo needs.

use std::{io::BufRead, time::Duration};

use anyhow::{Context, Result, bail};
use serde_json::Value;
use ureq::{Agent, Body, http::Response};

const REQUEST_TIMEOUT: Duration = Duration::from_secs(300);

/// Speaks to one server, with a token once logged in.
#[derive(Debug)]
pub(crate) struct Client {
    agent: Agent,
    base: String,
    token: Option<String>,
}

/// One event of a stream.
#[derive(Debug, Default)]
pub(crate) struct Event {
    pub(crate) name: String,
    pub(crate) data: Value,
}

impl Client {
    pub(crate) fn new(base: &str) -> Self {
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(REQUEST_TIMEOUT))
            // A proxy of the machine has no business with a server on it.
            .proxy(None)
            .build()
            .into();
        Self { agent, base: base.to_owned(), token: None }
    }

    pub(crate) fn log_in(&mut self, email: &str, password: &str) -> Result<()> {
        let login = serde_json::json!({"email": email, "password": password});
        let answer = self.post("/api/v1/auth/login", &login)?;
        let token = answer["access_token"].as_str().context("the answer to a login has a token")?;
        self.token = Some(token.to_owned());
        Ok(())
    }

    /// The status and body of a GET.
    pub(crate) fn get(&self, path: &str) -> Result<(u16, String)> {
        let mut answer = self.agent.get(format!("{}{path}", self.base)).call()?;
        Ok((answer.status().as_u16(), answer.body_mut().read_to_string()?))
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Result<Value> {
        let mut answer = self.send(path, body, "application/json")?;
        Ok(answer.body_mut().read_json()?)
    }

    /// Calls `seen` for each event until the server ends the stream.
    pub(crate) fn stream(
        &self,
        path: &str,
        body: &Value,
        mut seen: impl FnMut(Event) -> Result<()>,
    ) -> Result<()> {
        let answer = self.send(path, body, "text/event-stream")?;
        let mut event = Event::default();
        let mut data = String::new();
        for line in std::io::BufReader::new(answer.into_body().into_reader()).lines() {
            let line = line?;
            if line.is_empty() {
                if !data.is_empty() {
                    event.data = serde_json::from_str(&data).context("the data of an event is JSON")?;
                    seen(std::mem::take(&mut event))?;
                }
                data.clear();
            } else if let Some(name) = line.strip_prefix("event:") {
                name.trim().clone_into(&mut event.name);
            } else if let Some(text) = line.strip_prefix("data:") {
                data.push_str(text);
            }
        }
        Ok(())
    }

    fn send(&self, path: &str, body: &Value, accept: &str) -> Result<Response<Body>> {
        let mut request = self.agent.post(format!("{}{path}", self.base)).header("accept", accept);
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let mut answer = request.send_json(body).with_context(|| format!("failed to POST {path}"))?;
        if !answer.status().is_success() {
            let problem = answer.body_mut().read_to_string()?;
            bail!("POST {path} was answered with {}: {problem}", answer.status());
        }
        Ok(answer)
    }
}
