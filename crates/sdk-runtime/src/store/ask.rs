//! Asking a store: bounded in time, and whatever it does comes back as an error that names the question.

use std::{fmt, future::Future, panic::AssertUnwindSafe, time::Duration};

use futures::FutureExt as _;
use serde_json::Value;
use tokio::time::timeout;

use super::{SessionKey, SessionStore, StoreError};
use crate::sessions::{SessionError, StoreAction};

/// The answer of a store.
pub(super) async fn ask<T>(
    action: StoreAction,
    subject: &(dyn fmt::Display + Sync),
    bound: Duration,
    answer: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, SessionError> {
    match timeout(bound, AssertUnwindSafe(answer).catch_unwind()).await {
        Ok(Ok(Ok(answer))) => Ok(answer),
        Ok(Ok(Err(error))) => Err(SessionError::store(action, subject, error)),
        Ok(Err(_panic)) => Err(SessionError::store(action, subject, "the store panicked".into())),
        Err(_) => {
            let subject = subject.to_string();
            Err(SessionError::StoreTimeout { action, subject, waited: bound })
        }
    }
}

/// The entries of a key, each of them an object with a type. Empty when there are none.
pub(super) async fn load(
    store: &dyn SessionStore,
    key: &SessionKey,
    bound: Duration,
) -> Result<Vec<Value>, SessionError> {
    let entries = ask(StoreAction::Load, key, bound, store.load(key)).await?.unwrap_or_default();
    match entries.iter().position(|entry| !entry["type"].is_string()) {
        None => Ok(entries),
        Some(place) => {
            let problem = format!("entry {place} is no object with a type");
            Err(SessionError::StoreGarbage { key: key.clone(), problem })
        }
    }
}
