//! The suite: the stores of this crate pass it, and every rule of it has caught a store that breaks it.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Mutex,
    time::SystemTime,
};

use async_trait::async_trait;
use sdk_runtime::{
    store::{DirectoryStore, MemoryStore, SessionKey, SessionStore, StoreError, StoredSession},
    testing::{StoreRule, store_conformance},
};
use serde_json::Value;

#[tokio::test]
async fn the_stores_of_this_crate_keep_every_rule() {
    let broken = store_conformance(async || MemoryStore::new()).await;
    assert_eq!(broken, []);
    for fsync in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let number = Mutex::new(0);
        let make = async || {
            let mut number = number.lock().unwrap();
            *number += 1;
            DirectoryStore::new(folder.path().join(number.to_string())).with_fsync(fsync)
        };
        let broken = store_conformance(make).await;
        assert_eq!(broken, []);
    }
}

/// A store that breaks one rule.
struct Faulty {
    fault: Option<StoreRule>,
    kept: Mutex<BTreeMap<SessionKey, Vec<Value>>>,
    uuids: Mutex<HashSet<String>>,
    times: Mutex<BTreeMap<SessionKey, SystemTime>>,
}

impl Faulty {
    fn new(fault: Option<StoreRule>) -> Self {
        let (kept, uuids, times) = Default::default();
        Self { fault, kept, uuids, times }
    }

    fn breaks(&self, rule: StoreRule) -> bool {
        self.fault == Some(rule)
    }

    fn key(&self, key: &SessionKey) -> SessionKey {
        let mut key = key.clone();
        if self.breaks(StoreRule::KeepsKeysApart) {
            key.project_key = key.project_key.to_lowercase();
        }
        key
    }

    fn is_known(&self, there: &[Value], entry: &Value) -> bool {
        let Some(uuid) = entry["uuid"].as_str() else {
            return self.breaks(StoreRule::AddsWhatHasNoUuid) && there.contains(entry);
        };
        match self.fault {
            Some(StoreRule::IsIdempotentByUuid) => false,
            Some(StoreRule::UuidsAreOfOneKey) => !self.uuids.lock().unwrap().insert(uuid.to_owned()),
            _ => there.iter().any(|other| other["uuid"] == uuid),
        }
    }
}

#[async_trait]
impl SessionStore for Faulty {
    async fn append(&self, key: &SessionKey, entries: &[Value]) -> Result<(), StoreError> {
        let key = self.key(key);
        if entries.is_empty() && !self.breaks(StoreRule::EmptyAppendIsNothing) {
            return Ok(());
        }
        let mut there = self.kept.lock().unwrap().get(&key).cloned().unwrap_or_default();
        if self.breaks(StoreRule::TakesAppendsAtOnce) {
            tokio::task::yield_now().await;
        }
        for entry in entries {
            if !self.is_known(&there, entry) {
                let at = if self.breaks(StoreRule::KeepsTheOrderOfAppends) { 0 } else { there.len() };
                there.insert(at, entry.clone());
            }
        }
        self.kept.lock().unwrap().insert(key.clone(), there);
        let now = SystemTime::now();
        self.times.lock().unwrap().entry(key).and_modify(|time| *time = now).or_insert(now);
        Ok(())
    }

    async fn load(&self, key: &SessionKey) -> Result<Option<Vec<Value>>, StoreError> {
        let mut found = self.kept.lock().unwrap().get(&self.key(key)).cloned();
        match self.fault {
            Some(StoreRule::UnknownIsNone) => found = found.or(Some(Vec::new())),
            Some(StoreRule::LoadsWhatWasAppended) => found.iter_mut().for_each(|found| found.reverse()),
            Some(StoreRule::KeepsAnyEntry) => {
                let text = serde_json::to_string(&found).unwrap().replace("\\u0000", "");
                found = serde_json::from_str(&text).unwrap();
            }
            _ => {}
        }
        Ok(found)
    }

    async fn list(&self, project_key: &str) -> Result<Vec<StoredSession>, StoreError> {
        let times = self.times.lock().unwrap().clone();
        let kept = self.kept.lock().unwrap();
        let found = kept.keys().filter(|key| {
            let is_main = key.subpath.is_none() || self.breaks(StoreRule::ListsMainTranscriptsOnly);
            is_main && (key.project_key == project_key || self.breaks(StoreRule::ListsItsSessions))
        });
        let time = |key: &SessionKey| match self.fault {
            Some(StoreRule::KnowsTheNewest) => SystemTime::UNIX_EPOCH,
            _ => times[key],
        };
        Ok(found.map(|key| StoredSession::new(&key.session_id, time(key))).collect())
    }

    async fn delete(&self, key: &SessionKey) -> Result<(), StoreError> {
        if self.breaks(StoreRule::ForgetsWhatIsDeleted) {
            return Ok(());
        }
        let key = self.key(key);
        self.kept.lock().unwrap().retain(|other, _| {
            let is_same = other.project_key == key.project_key && other.session_id == key.session_id;
            let is_meant = match &key.subpath {
                None => other.subpath.is_none() || !self.breaks(StoreRule::DeletesWithSubpaths),
                Some(_) => other.subpath == key.subpath || self.breaks(StoreRule::DeletesOneSubpath),
            };
            !(is_same && is_meant)
        });
        Ok(())
    }

    async fn list_subkeys(&self, project_key: &str, session_id: &str) -> Result<Vec<String>, StoreError> {
        let any_session = self.breaks(StoreRule::ListsItsSubkeys);
        let kept = self.kept.lock().unwrap();
        let found = kept.keys().filter(|key| key.project_key == project_key);
        let found = found.filter(|key| key.session_id == session_id || any_session);
        Ok(found.filter_map(|key| key.subpath.clone()).collect())
    }
}

#[tokio::test]
async fn every_rule_catches_a_store_that_breaks_it() {
    let sound = store_conformance(async || Faulty::new(None)).await;
    assert_eq!(sound, []);
    for rule in [
        StoreRule::LoadsWhatWasAppended,
        StoreRule::KeepsTheOrderOfAppends,
        StoreRule::KeepsAnyEntry,
        StoreRule::UnknownIsNone,
        StoreRule::EmptyAppendIsNothing,
        StoreRule::KeepsKeysApart,
        StoreRule::IsIdempotentByUuid,
        StoreRule::UuidsAreOfOneKey,
        StoreRule::AddsWhatHasNoUuid,
        StoreRule::TakesAppendsAtOnce,
        StoreRule::ListsItsSessions,
        StoreRule::ListsMainTranscriptsOnly,
        StoreRule::KnowsTheNewest,
        StoreRule::ListsItsSubkeys,
        StoreRule::ForgetsWhatIsDeleted,
        StoreRule::DeletesWithSubpaths,
        StoreRule::DeletesOneSubpath,
    ] {
        let broken = store_conformance(async || Faulty::new(Some(rule))).await;
        assert!(broken.iter().any(|broken| broken.rule == rule), "{rule:?} was not noticed: {broken:?}");
    }
}
