//! Rules of deleting.

use super::{
    Tried, entry, expect, expect_load, key,
    listing::{sessions, subkeys},
    subagent,
};
use crate::store::{SessionKey, SessionStore};

pub(super) async fn forgets(store: &dyn SessionStore) -> Tried {
    store.delete(&key()).await?;
    store.delete(&subagent("a")).await?;
    store.append(&key(), &[entry("a"), entry("b")]).await?;
    store.delete(&key()).await?;
    expect_load(store, &key(), &[]).await?;
    expect("sessions after deleting", &sessions(store, &key().project_key).await?, &Vec::new())?;
    store.append(&key(), &[entry("a")]).await?;
    expect_load(store, &key(), &[entry("a")]).await
}

pub(super) async fn deletes_with_subpaths(store: &dyn SessionStore) -> Tried {
    let other = SessionKey::main(key().project_key, format!("{}-b", key().session_id));
    let elsewhere = SessionKey::main("elsewhere", key().session_id).with_subpath("subagents/agent-a");
    let kept = [other.clone(), other.with_subpath("subagents/agent-a"), elsewhere];
    for key in [key(), subagent("a"), subagent("b")].iter().chain(&kept) {
        store.append(key, &[entry("a")]).await?;
    }
    store.delete(&key()).await?;
    for key in [key(), subagent("a"), subagent("b")] {
        expect_load(store, &key, &[]).await?;
    }
    expect("subkeys after deleting", &subkeys(store, &key()).await?, &Vec::new())?;
    for key in &kept {
        expect_load(store, key, &[entry("a")]).await?;
    }
    Ok(())
}

pub(super) async fn deletes_one_subpath(store: &dyn SessionStore) -> Tried {
    for key in [key(), subagent("a"), subagent("b")] {
        store.append(&key, &[entry("a")]).await?;
    }
    store.delete(&subagent("a")).await?;
    expect_load(store, &subagent("a"), &[]).await?;
    expect_load(store, &subagent("b"), &[entry("a")]).await?;
    expect_load(store, &key(), &[entry("a")]).await?;
    let wanted = vec!["subagents/agent-b".to_owned()];
    expect("subkeys after deleting one", &subkeys(store, &key()).await?, &wanted)
}
