//! Control requests: what a host may ask of a running agent, and what it answers.
//!
//! Each is a method of [`Agent`] with a typed answer; fields this crate does not know are in `other`. A
//! request of tomorrow is sent with [`Agent::control`], which is untyped.
//!
//! ```no_run
//! # async fn example(agent: sdk_runtime::Agent) -> Result<(), sdk_runtime::Error> {
//! use sdk_runtime::control::UsageDetail;
//!
//! let usage = agent.context_usage(UsageDetail::Summary).await?;
//! println!("{} of {} tokens", usage.total_tokens, usage.max_tokens);
//! for server in agent.mcp_status().await? {
//!     println!("{}: {}", server.name, server.status);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Control requests do not wait for the turn: the agent answers in about a millisecond while it works, and
//! this crate reads its answers whether the host reads events or not. Every method is bounded by
//! `Limits::control_timeout`. All of them may be dropped while they wait: the answer is then thrown away,
//! but the agent may have done what was asked.
//!
//! Errors of them all: [`Error::Control`] when the agent says no, [`Error::Unsupported`] when it does not
//! know the request, [`Error::UnreadableAnswer`] when its answer has a form of tomorrow,
//! [`Error::ControlTimeout`], and [`Error::Exited`] when it is gone.

mod catalog;
mod files;
mod mcp;
mod resolve;
mod session;
mod settings;
mod tasks;
mod usage;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

pub use self::{
    catalog::*, files::*, mcp::*, resolve::resolve_settings, session::*, settings::*, tasks::*, usage::*,
};
use crate::{agent::Agent, error::Error};

impl Agent {
    /// Sends a request and reads its answer as a type.
    async fn ask<T: DeserializeOwned>(&self, subtype: &str, body: Value) -> Result<T, Error> {
        let raw = self.control(subtype, body).await?;
        match T::deserialize(&raw) {
            Ok(answer) => Ok(answer),
            Err(error) => {
                let (subtype, why) = (subtype.to_owned(), error.to_string());
                Err(Error::UnreadableAnswer { subtype, why, raw: Box::new(raw) })
            }
        }
    }

    /// Sends a request whose answer says nothing.
    async fn tell(&self, subtype: &str, body: Value) -> Result<(), Error> {
        self.control(subtype, body).await.map(drop)
    }
}

/// A body without the fields that are not set.
fn body<const N: usize>(fields: [(&str, Option<Value>); N]) -> Value {
    let fields = fields.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
    Value::Object(fields.collect::<Map<_, _>>())
}

/// Reads every item of a list that has the form of `T`.
fn list<T: DeserializeOwned>(value: &Value) -> Vec<T> {
    let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
    items.iter().filter_map(|item| T::deserialize(item).ok()).collect()
}
