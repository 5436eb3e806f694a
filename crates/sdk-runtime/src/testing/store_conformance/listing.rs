//! Rules of listing.

use std::time::{Duration, SystemTime};

use super::{Tried, entry, expect, key, note, subagent};
use crate::store::{SessionKey, SessionStore, StoreError};

/// How far the clock of a store may be from ours.
const SKEW: Duration = Duration::from_secs(24 * 60 * 60);

pub(super) async fn sessions(store: &dyn SessionStore, project: &str) -> Result<Vec<String>, StoreError> {
    let listed = store.list(project).await?;
    let mut ids: Vec<String> = listed.into_iter().map(|session| session.session_id).collect();
    ids.sort();
    Ok(ids)
}

pub(super) async fn subkeys(store: &dyn SessionStore, key: &SessionKey) -> Result<Vec<String>, StoreError> {
    let mut subpaths = store.list_subkeys(&key.project_key, &key.session_id).await?;
    subpaths.sort();
    Ok(subpaths)
}

pub(super) async fn lists_its_sessions(store: &dyn SessionStore) -> Tried {
    expect("sessions of an unknown project", &sessions(store, "unknown").await?, &Vec::new())?;
    for (project, session) in [("p", "a"), ("p", "b"), ("p", "b"), ("p2", "c"), ("p/q", "d")] {
        store.append(&SessionKey::main(project, session), &[note("x")]).await?;
    }
    let wanted = vec!["a".to_owned(), "b".to_owned()];
    expect("sessions of a project", &sessions(store, "p").await?, &wanted)
}

pub(super) async fn lists_main_transcripts_only(store: &dyn SessionStore) -> Tried {
    store.append(&subagent("a"), &[entry("a")]).await?;
    let project = key().project_key;
    expect("sessions with subpaths only", &sessions(store, &project).await?, &Vec::new())?;
    store.append(&key(), &[entry("a")]).await?;
    expect("sessions with subpaths", &sessions(store, &project).await?, &vec![key().session_id])
}

pub(super) async fn knows_the_newest(store: &dyn SessionStore) -> Tried {
    for turn in ["a", "b", "c", "a"] {
        store.append(&SessionKey::main("p", turn), &[note("x")]).await?;
        // Clocks of file systems may stand still for some milliseconds.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let listed = store.list("p").await?;
    let newest = listed.iter().max_by_key(|session| session.modified);
    expect("newest session", &newest.map(|session| session.session_id.as_str()), &Some("a"))?;
    let now = SystemTime::now();
    let is_present = listed.iter().all(|session| {
        session.modified > now.checked_sub(SKEW).unwrap_or(SystemTime::UNIX_EPOCH)
            && session.modified < now + SKEW
    });
    expect("times are of the present", &is_present, &true)
}

pub(super) async fn lists_its_subkeys(store: &dyn SessionStore) -> Tried {
    expect("subkeys of an unknown session", &subkeys(store, &key()).await?, &Vec::new())?;
    store.append(&key(), &[entry("a")]).await?;
    expect("subkeys of a session without", &subkeys(store, &key()).await?, &Vec::new())?;
    let nested = key().with_subpath("subagents/workflows/run-1/agent-c");
    let other = SessionKey::main(key().project_key, "other").with_subpath("subagents/agent-x");
    for key in [subagent("b"), subagent("a"), nested, other] {
        store.append(&key, &[entry("a")]).await?;
    }
    let wanted = ["subagents/agent-a", "subagents/agent-b", "subagents/workflows/run-1/agent-c"];
    let wanted = wanted.map(str::to_owned).to_vec();
    expect("subkeys of a session", &subkeys(store, &key()).await?, &wanted)
}
