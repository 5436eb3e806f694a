//! What every session store must do, as a suite for those who write one.
//!
//! ```
//! use sdk_runtime::{store::MemoryStore, testing::store_conformance};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! let broken = store_conformance(async || MemoryStore::new()).await;
//! assert!(broken.is_empty(), "{broken:?}");
//! # });
//! ```

mod appending;
mod deleting;
mod listing;

use std::{fmt, future::Future, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures::FutureExt as _;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::store::{SessionKey, SessionStore, StoreError};

/// Bound of one rule. A store that needs longer for a few entries is no use to a session.
const RULE_TIMEOUT: Duration = Duration::from_secs(60);

/// A rule of the suite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StoreRule {
    /// What is appended is loaded, in its order, equal to what it was.
    LoadsWhatWasAppended,
    /// Appends to a key follow each other.
    KeepsTheOrderOfAppends,
    /// Any JSON object comes back as it was: numbers, characters, depth, size.
    KeepsAnyEntry,
    /// A key nobody appended to loads as `None`.
    UnknownIsNone,
    /// Appending nothing does nothing, and makes no key.
    EmptyAppendIsNothing,
    /// Sessions, projects and subpaths do not see each other's entries, whatever their names.
    KeepsKeysApart,
    /// An entry with a uuid the key has is passed over, also when only part of a batch is new.
    IsIdempotentByUuid,
    /// The same uuid under two keys is two entries; a fork has the uuids of its source.
    UuidsAreOfOneKey,
    /// Entries without a uuid are always added.
    AddsWhatHasNoUuid,
    /// Appends at the same time lose nothing, and no batch is torn apart in its order.
    TakesAppendsAtOnce,
    /// `list` names the sessions of the project, and only those.
    ListsItsSessions,
    /// `list` leaves out sessions that have subpaths only.
    ListsMainTranscriptsOnly,
    /// The session appended to last has the latest time, which is one of the present.
    KnowsTheNewest,
    /// `list_subkeys` names the subpaths of the session, and nothing else.
    ListsItsSubkeys,
    /// A deleted session is unknown, its uuids too; deleting what is unknown is no error.
    ForgetsWhatIsDeleted,
    /// Deleting a session deletes its subpaths, and nothing of others.
    DeletesWithSubpaths,
    /// Deleting a subpath deletes only that.
    DeletesOneSubpath,
}

/// A rule a store does not keep.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BrokenRule {
    /// Which.
    pub rule: StoreRule,
    /// What the store did instead.
    pub found: String,
}

impl fmt::Display for BrokenRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.rule, self.found)
    }
}

/// Tries every rule on a store of its own, which `make` makes empty. The rules that are broken; a store
/// that errs, panics or hangs breaks the rule at hand.
/// When it is dropped, what it wrote stays in the stores.
pub async fn store_conformance<S, F, M>(make: M) -> Vec<BrokenRule>
where
    S: SessionStore + 'static,
    F: Future<Output = S>,
    M: Fn() -> F,
{
    let mut broken = Vec::new();
    for rule in RULES {
        let made = AssertUnwindSafe(make()).catch_unwind().await;
        let found = match made {
            Ok(store) => try_rule(rule, Arc::new(store)).await,
            Err(_panic) => Err("the store could not be made".into()),
        };
        if let Err(found) = found {
            broken.push(BrokenRule { rule, found: found.to_string() });
        }
    }
    broken
}

const RULES: [StoreRule; 17] = [
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
];

/// What a rule came to.
type Tried = Result<(), StoreError>;

async fn try_rule(rule: StoreRule, store: Arc<dyn SessionStore>) -> Tried {
    let tried = async {
        match rule {
            StoreRule::LoadsWhatWasAppended => appending::loads_what_was_appended(&*store).await,
            StoreRule::KeepsTheOrderOfAppends => appending::keeps_the_order(&*store).await,
            StoreRule::KeepsAnyEntry => appending::keeps_any_entry(&*store).await,
            StoreRule::UnknownIsNone => appending::unknown_is_none(&*store).await,
            StoreRule::EmptyAppendIsNothing => appending::empty_append(&*store).await,
            StoreRule::KeepsKeysApart => appending::keeps_keys_apart(&*store).await,
            StoreRule::IsIdempotentByUuid => appending::is_idempotent(&*store).await,
            StoreRule::UuidsAreOfOneKey => appending::uuids_are_of_one_key(&*store).await,
            StoreRule::AddsWhatHasNoUuid => appending::adds_what_has_no_uuid(&*store).await,
            StoreRule::TakesAppendsAtOnce => appending::takes_appends_at_once(&*store).await,
            StoreRule::ListsItsSessions => listing::lists_its_sessions(&*store).await,
            StoreRule::ListsMainTranscriptsOnly => listing::lists_main_transcripts_only(&*store).await,
            StoreRule::KnowsTheNewest => listing::knows_the_newest(&*store).await,
            StoreRule::ListsItsSubkeys => listing::lists_its_subkeys(&*store).await,
            StoreRule::ForgetsWhatIsDeleted => deleting::forgets(&*store).await,
            StoreRule::DeletesWithSubpaths => deleting::deletes_with_subpaths(&*store).await,
            StoreRule::DeletesOneSubpath => deleting::deletes_one_subpath(&*store).await,
        }
    };
    match timeout(RULE_TIMEOUT, AssertUnwindSafe(tried).catch_unwind()).await {
        Ok(Ok(tried)) => tried,
        Ok(Err(_panic)) => Err("the store panicked".into()),
        Err(_) => Err(format!("the store did not answer within {RULE_TIMEOUT:?}").into()),
    }
}

fn key() -> SessionKey {
    SessionKey::main("-srv-demo", "76a4cfd2-d759-4890-a78f-7daec76c145a")
}

fn subagent(name: &str) -> SessionKey {
    key().with_subpath(format!("subagents/agent-{name}"))
}

fn entry(uuid: &str) -> Value {
    json!({ "type": "user", "uuid": uuid, "message": { "content": uuid } })
}

fn note(text: &str) -> Value {
    json!({ "type": "custom-title", "customTitle": text })
}

/// Compares what was found with what the rule wants.
fn expect<T: PartialEq + fmt::Debug>(what: &str, found: &T, wanted: &T) -> Tried {
    if found == wanted {
        return Ok(());
    }
    let mut text = format!("{what}: found {found:?}, wanted {wanted:?}");
    if let Some((end, _)) = text.char_indices().nth(500) {
        text.truncate(end);
    }
    Err(text.into())
}

async fn expect_load(store: &dyn SessionStore, key: &SessionKey, wanted: &[Value]) -> Tried {
    let wanted = (!wanted.is_empty()).then(|| wanted.to_vec());
    expect(&format!("load of {key}"), &store.load(key).await?, &wanted)
}
