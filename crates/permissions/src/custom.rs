//! The custom policies in force, compiled once for all sessions, and those of them that judge in one session.

use crate::{
    CannotJudge, Policy, Surroundings, ToolCall,
    cedar::{CedarCall, CedarPolicy},
};
use async_trait::async_trait;
use domain::{
    Clock, CustomPolicy, Opinion,
    policy::PolicyInForce,
    ports::{Policies, StoreResult},
};
use jiff::{SignedDuration, Timestamp};
use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::sync::Mutex;

/// The name of all custom policies together, where none of them speaks.
const CUSTOM: &str = "custom";

/// How long the policies that were read are taken for those in the store. What is changed through this process counts
/// at once; this is for what another one changed.
const READ_AGAIN_AFTER: SignedDuration = SignedDuration::from_secs(2);

/// Every custom policy in force. A change judges from the next tool call on, also in agents that run already.
pub struct PolicyBook {
    store: Arc<dyn Policies>,
    clock: Arc<dyn Clock>,
    known: RwLock<Option<Arc<InForce>>>,
    /// Goes up with every change; what was read before the last one is not used.
    changes: AtomicU64,
    reading: Mutex<()>,
}

/// The policies in force at one time.
#[derive(Default)]
struct InForce {
    by_name: BTreeMap<String, Entry>,
    changes: u64,
    read_at: Timestamp,
}

#[derive(Clone)]
struct Entry {
    head: PolicyInForce,
    /// Or why it does not compile any more.
    policy: Result<Arc<CedarPolicy>, String>,
}

impl fmt::Debug for PolicyBook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PolicyBook")
    }
}

impl PolicyBook {
    /// The policies of this store; nothing is read yet.
    #[must_use]
    pub fn new(store: Arc<dyn Policies>, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock, known: RwLock::default(), changes: AtomicU64::new(0), reading: Mutex::default() }
    }

    /// To be called when a policy was stored or deleted, before anybody is told.
    pub fn changed(&self) {
        self.changes.fetch_add(1, Ordering::SeqCst);
    }

    /// The policies that judge in a session: the mandatory ones, and those it chose. `except` is left out, for asking
    /// what would be without it.
    pub async fn judging(
        &self,
        chosen: &[String],
        except: Option<&str>,
    ) -> Result<Vec<Arc<CedarPolicy>>, CannotJudge> {
        let in_force = self.in_force().await?;
        let is_left_out = |name: &str| except == Some(name);
        let missing = chosen.iter().find(|name| !in_force.by_name.contains_key(*name) && !is_left_out(name));
        if let Some(name) = missing {
            return Err(CannotJudge(format!(
                "the policy {name:?}, which this session chose, is not there any more"
            )));
        }
        let judges = |entry: &&Entry| entry.head.is_mandatory || chosen.contains(&entry.head.name);
        let judging = in_force.by_name.values().filter(judges).filter(|entry| !is_left_out(&entry.head.name));
        judging
            .map(|entry| {
                entry.policy.clone().map_err(|why| {
                    CannotJudge(format!("the policy {:?} cannot be applied: {why}", entry.head.name))
                })
            })
            .collect()
    }

    async fn in_force(&self) -> Result<Arc<InForce>, CannotJudge> {
        if let Some(known) = self.fresh() {
            return Ok(known);
        }
        let _reading = self.reading.lock().await;
        // Whoever had the lock before has read what this one waited for.
        if let Some(known) = self.fresh() {
            return Ok(known);
        }
        let read = self.read().await.map_err(|error| {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "the custom policies could not be read"
            );
            CannotJudge("the custom policies could not be read".to_owned())
        })?;
        let read = Arc::new(read);
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = Some(read.clone());
        Ok(read)
    }

    fn known(&self) -> Option<Arc<InForce>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn fresh(&self) -> Option<Arc<InForce>> {
        let (now, changes) = (self.clock.now(), self.changes.load(Ordering::SeqCst));
        // A clock that was set back makes it old as well.
        self.known().filter(|known| {
            known.changes == changes && now.duration_since(known.read_at).abs() < READ_AGAIN_AFTER
        })
    }

    /// Reads which versions are in force, and of those that are new their texts.
    async fn read(&self) -> StoreResult<InForce> {
        let (read_at, changes) = (self.clock.now(), self.changes.load(Ordering::SeqCst));
        let known = self.known().unwrap_or_default();
        let mut by_name = BTreeMap::new();
        for head in self.store.policies_in_force().await? {
            let same = known.by_name.get(&head.name).filter(|entry| entry.head == head);
            let entry = match same {
                Some(entry) => entry.clone(),
                None => match self.store.policy_version(&head.name, head.version).await? {
                    Some(stored) => Entry { policy: compile(stored).await, head },
                    None => Entry { policy: Err("its text is lost".to_owned()), head },
                },
            };
            by_name.insert(entry.head.name.clone(), entry);
        }
        Ok(InForce { by_name, changes, read_at })
    }
}

/// What was accepted by one version of Steward may be refused by the schema of another.
async fn compile(stored: CustomPolicy) -> Result<Arc<CedarPolicy>, String> {
    let name = stored.name.clone();
    let compiling = tokio::task::spawn_blocking(move || {
        CedarPolicy::compile(stored.name, Some(stored.version), &stored.content.text)
    });
    let compiled = compiling.await.map_err(|error| error.to_string())?.map_err(|faults| {
        faults.first().map_or_else(String::new, |fault| {
            format!("line {}, column {}: {}", fault.line, fault.column, fault.message)
        })
    });
    if let Err(why) = &compiled {
        tracing::error!(
            policy = name,
            why,
            "a stored policy does not compile; sessions it judges are denied"
        );
    }
    compiled.map(Arc::new)
}

/// The custom policies of one session, as one that is asked after the built-in ones.
#[derive(Debug)]
pub struct CustomPolicies {
    book: Arc<PolicyBook>,
    chosen: Vec<String>,
    clock: Arc<dyn Clock>,
}

impl CustomPolicies {
    /// The mandatory policies and those the session chose.
    #[must_use]
    pub fn new(book: Arc<PolicyBook>, chosen: Vec<String>, clock: Arc<dyn Clock>) -> Self {
        Self { book, chosen, clock }
    }
}

#[async_trait]
impl Policy for CustomPolicies {
    fn name(&self) -> &str {
        CUSTOM
    }

    async fn judge(&self, call: &ToolCall, surroundings: &Surroundings) -> Result<Opinion, CannotJudge> {
        let judging = self.book.judging(&self.chosen, None).await?;
        if judging.is_empty() {
            return Ok(Opinion::abstain(CUSTOM));
        }
        let (call, surroundings, now) = (call.clone(), surroundings.clone(), self.clock.now());
        // A file system may be slow, or gone.
        let judged = tokio::task::spawn_blocking(move || {
            let call = CedarCall::new(&call, &surroundings, now);
            judging.iter().map(|policy| policy.judge(&call)).fold(Opinion::abstain(CUSTOM), Opinion::or)
        });
        judged.await.map_err(|_| CannotJudge("the custom policies failed".to_owned()))
    }
}
