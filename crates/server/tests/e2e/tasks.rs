//! Tasks with the real CLI: done once, whatever becomes of the servers that do them.

use crate::{
    postgres_tasks::Postgres,
    world::{World, eventually, signal},
};
use domain::{
    AuditKey, Execution, ExecutionStatus, Origin, PageRequest, Scope, Session, Task, TaskId, TaskSpec,
    UserId,
    ports::{Accounts as _, Executions as _, Sessions as _, Tasks as _},
    session::SessionFilter,
};
use persistence::{Database, DatabaseOptions, Store};
use serde_json::Map;
use std::collections::HashMap;

/// Of all servers of a test, which share an audit log.
pub const KEY: &str = "a key of all servers, long enough";
/// As short as may be, so that a server that is gone is not waited for long.
pub const SETTINGS: [(&str, &str); 3] =
    [("SECRET_KEY", KEY), ("SERVER_LEASE_SECONDS", "3"), ("SHUTDOWN_GRACE_SECONDS", "0")];

/// The queue, as somebody with the database sees it.
pub struct Queue {
    store: Store,
    _database: Database,
    user: UserId,
}

impl Queue {
    pub async fn of(url: &str) -> Self {
        let audit_key = Some(AuditKey::derive(KEY.as_bytes()));
        let options = DatabaseOptions { audit_key, ..DatabaseOptions::new(url) };
        let database = Database::open(&options, migration::up).await.unwrap();
        let store = database.store();
        let users = store.users(&PageRequest::first(10)).await.unwrap().items;
        Self { store, _database: database, user: users[0].id }
    }

    /// Queues a run of a fresh task.
    pub async fn add(&self, prompt: &str, max_retries: u32) -> Execution {
        let task = self.task(prompt, max_retries).await;
        let execution = Execution::new(&task, prompt.into(), Map::new(), task.created_at);
        self.store.create_execution(&execution, &Origin::system()).await.unwrap();
        execution
    }

    /// Stores a task whose agents may use Bash.
    pub async fn task(&self, prompt: &str, max_retries: u32) -> Task {
        let now = domain::Clock::now(&domain::SystemClock);
        let task = Task {
            id: TaskId::new(),
            user_id: self.user,
            name: "a task".into(),
            description: None,
            spec: TaskSpec {
                prompt_template: prompt.into(),
                allowed_tools: Some(vec!["Bash".into()]),
                ..TaskSpec::default()
            },
            webhook_secret: None,
            tags: vec![],
            is_scheduled: false,
            schedule_cron: None,
            timezone: "UTC".into(),
            schedule_enabled: true,
            next_run_at: None,
            priority: 0,
            max_retries,
            retry_delay_ms: 500,
            created_at: now,
            updated_at: now,
        };
        self.store.create_task(&task, u32::MAX, &Origin::system()).await.unwrap();
        task
    }

    /// Stores a task that runs each minute, and was due before now.
    pub async fn schedule(&self, prompt: &str) -> TaskId {
        let task = self.add(prompt, 0).await.task_id;
        let patch = domain::TaskPatch {
            is_scheduled: Some(true),
            schedule_cron: Some(Some("* * * * *".into())),
            ..Default::default()
        };
        let now = domain::Clock::now(&domain::SystemClock);
        let before = now - jiff::SignedDuration::from_secs(90);
        self.store.patch_task(Scope::All, task, &patch, before, &Origin::system()).await.unwrap().unwrap();
        task
    }

    pub async fn look(&self, execution: &Execution) -> Execution {
        self.store.execution(Scope::All, execution.id).await.unwrap().unwrap()
    }

    /// The task's executions, at most a thousand.
    pub async fn runs(&self, task: TaskId) -> Vec<Execution> {
        self.store.executions(Scope::All, task, None, &PageRequest::first(1000)).await.unwrap().items
    }

    /// The execution when it is over.
    pub async fn over(&self, execution: &Execution) -> Execution {
        eventually("the execution is over", async || {
            let now = self.look(execution).await;
            now.status.is_over().then_some(now)
        })
        .await
    }

    /// All sessions there are.
    pub async fn sessions(&self) -> Vec<Session> {
        let page = PageRequest::first(1000);
        self.store.list(Scope::All, &SessionFilter::default(), &page).await.unwrap().items
    }
}

/// A prompt for an agent that leaves a mark, and takes its time before and after.
pub fn marking(mark: &str, before_ms: u64, after_ms: u64) -> String {
    format!(
        r#"[[first:{before_ms}]][[tool:Bash {{"command":"echo {mark} >> ran.txt"}}]][[next]][[first:{after_ms}]][[text:Marked.]]"#
    )
}

/// How often each mark was left in the workspaces of these servers.
pub fn marks(worlds: &[&World]) -> HashMap<String, usize> {
    let mut marks = HashMap::new();
    for world in worlds {
        let users = std::fs::read_dir(world.data_dir().join("workspaces")).unwrap().flatten();
        for workspace in users.filter_map(|user| std::fs::read_dir(user.path()).ok()).flatten().flatten() {
            let ran = std::fs::read_to_string(workspace.path().join("ran.txt")).unwrap_or_default();
            for mark in ran.lines() {
                *marks.entry(mark.to_owned()).or_default() += 1;
            }
        }
    }
    marks
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_is_done_in_the_background_and_its_answer_kept() {
    let world = World::with(&SETTINGS).await;
    let queue = Queue::of(&world.database_url()).await;
    let queued = queue.add(&marking("one", 0, 0), 0).await;
    let done = queue.over(&queued).await;
    assert_eq!(
        (done.status, done.result.as_deref()),
        (ExecutionStatus::Completed, Some("Marked.")),
        "{done:?}"
    );
    assert_eq!((done.attempt, done.tool_calls), (1, 1));
    assert!(done.cost.0 > 0);
    assert_eq!(marks(&[&world]), HashMap::from([("one".to_owned(), 1)]));
    let admin = world.admin().await;
    let session = admin.get(&format!("/sessions/{}", done.session_id)).await.ok();
    assert_eq!((&session["mode"], &session["status"]), (&"background".into(), &"completed".into()));
    assert_eq!(session["metadata"]["execution_id"], done.id.to_string());
    let settled = eventually("what follows is done", async || {
        let now = queue.look(&queued).await;
        now.settlement.due_at.is_none().then_some(now)
    })
    .await;
    assert_eq!(settled.settlement.attempts, 1);
}

/// Kills the server where it stands at a place, starts it again, and answers with what became of the execution.
async fn killed_at(place: &str, prompt: &str) -> (Execution, HashMap<String, usize>, usize) {
    let mut settings = SETTINGS.to_vec();
    settings.push(("PARK_AT", place));
    let mut world = World::with(&settings).await;
    let queue = Queue::of(&world.database_url()).await;
    let queued = queue.add(prompt, 3).await;
    let said = format!("PARKED {place}\n");
    eventually(&said, async || world.log().contains(&said).then_some(())).await;
    world.kill().await;
    world.unset("PARK_AT");
    world.launch().await;
    let over = queue.over(&queued).await;
    (over, marks(&[&world]), queue.sessions().await.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_before_the_agent_acted_does_it_in_its_next_life() {
    for place in ["execution.claimed", "execution.session_created", "execution.entered", "turn.began"] {
        let (done, marks, _) = killed_at(place, &marking("one", 0, 0)).await;
        assert_eq!(done.status, ExecutionStatus::Completed, "{place}: {done:?}");
        assert_eq!(done.attempt, 2, "{place}");
        assert_eq!(marks, HashMap::from([("one".to_owned(), 1)]), "{place}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_after_the_agent_acted_owns_up_to_it() {
    let (unknown, marks, sessions) = killed_at("turn.before_end", &marking("one", 0, 0)).await;
    assert_eq!(unknown.status, ExecutionStatus::OutcomeUnknown, "{unknown:?}");
    assert_eq!((unknown.attempt, unknown.tool_calls, sessions), (1, 1, 1));
    assert_eq!(unknown.error.unwrap().code, "WORKER_LOST");
    assert_eq!(marks, HashMap::from([("one".to_owned(), 1)]));

    // The turn's end is on record, and the execution's is not: that is known.
    let (done, marks, sessions) = killed_at("execution.before_end", &marking("one", 0, 0)).await;
    assert_eq!((done.status, done.attempt, sessions), (ExecutionStatus::Completed, 1, 1), "{done:?}");
    assert_eq!(done.result.as_deref(), Some("Marked."));
    assert_eq!(marks, HashMap::from([("one".to_owned(), 1)]));
}

#[tokio::test(flavor = "multi_thread")]
async fn on_postgres_another_worker_goes_on_with_what_a_killed_one_had_not_begun_to_do() {
    let postgres = Postgres::start().await;
    let mut one = postgres.server("worker").await;
    let queue = Queue::of(postgres.url()).await;
    let plain = queue.add("[[hang]]", 3).await;
    let acting = queue.add(&marking("acted", 0, 3_600_000), 3).await;
    let first = eventually("both run, and one has acted", async || {
        let plain = queue.look(&plain).await;
        (plain.session_created && marks(&[&one]).contains_key("acted")).then_some(plain)
    })
    .await;
    let two = postgres.server("worker").await;
    one.kill().await;
    let unknown = queue.over(&acting).await;
    assert_eq!((unknown.status, unknown.attempt), (ExecutionStatus::OutcomeUnknown, 1), "{unknown:?}");
    assert_eq!(marks(&[&one, &two])["acted"], 1);
    let again = eventually("another attempt is made", async || {
        let now = queue.look(&plain).await;
        (now.attempt == 2 && now.session_created).then_some(now)
    })
    .await;
    assert_ne!((again.session_id, again.worker), (first.session_id, first.worker));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_stood_still_for_longer_than_its_lease_changes_nothing() {
    let postgres = Postgres::start().await;
    let one = postgres.server("worker").await;
    let queue = Queue::of(postgres.url()).await;
    let queued = queue.add(&marking("once", 0, 6000), 3).await;
    eventually("it has acted", async || marks(&[&one]).contains_key("once").then_some(())).await;
    signal(one.server_pid(), "STOP");
    let two = postgres.server("worker").await;
    let unknown = queue.over(&queued).await;
    assert_eq!(unknown.status, ExecutionStatus::OutcomeUnknown);
    signal(one.server_pid(), "CONT");
    eventually("it has noticed", async || one.agent_processes().is_empty().then_some(())).await;
    let later = queue.add(&marking("later", 0, 0), 0).await;
    queue.over(&later).await;
    let now = queue.look(&queued).await;
    assert_eq!((now.status, now.fence), (unknown.status, unknown.fence));
    assert_eq!(marks(&[&one, &two])["once"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_workers_run_a_due_time_once() {
    let postgres = Postgres::start().await;
    let _one = postgres.server("worker").await;
    let _two = postgres.server("worker").await;
    let queue = Queue::of(postgres.url()).await;
    let task = queue.schedule("hello").await;
    let runs = eventually("it has run", async || {
        let runs = queue.runs(task).await;
        let scheduled = runs.iter().filter(|run| run.scheduled_for.is_some());
        (scheduled.filter(|run| run.status == ExecutionStatus::Completed).count() > 0).then_some(runs)
    })
    .await;
    let mut due: Vec<_> = runs.iter().filter_map(|run| run.scheduled_for).collect();
    let count = due.len();
    due.sort();
    due.dedup();
    assert_eq!(due.len(), count);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_is_for_servers_that_share_a_database_and_says_what_they_do() {
    let postgres = Postgres::start().await;
    let api = postgres.server("api").await;
    let queue = Queue::of(postgres.url()).await;
    let queued = queue.add("hello", 0).await;
    let admin = api.admin().await;
    let session = admin.session(serde_json::json!({})).await;
    assert_eq!(admin.ask(&session, "hello").await, "You said: hello", "people talk to agents there");
    assert_eq!(queue.look(&queued).await.status, ExecutionStatus::Queued, "and no task is worked on");

    let worker = postgres.server("worker").await;
    assert_eq!(queue.over(&queued).await.status, ExecutionStatus::Completed);
    let stranger = worker.stranger();
    assert_eq!(stranger.get("/sessions").await.status, 404, "a worker takes no requests");
    let mut alone = World::prepared(&[("SERVER_ROLE", "worker")]).await;
    let refused = alone.refused().await;
    assert!(refused.contains("SQLite is for one server alone"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_server_had_before_its_role_changed_is_done_by_the_workers() {
    let postgres = Postgres::start().await;
    let mut one = postgres.server("all").await;
    let queue = Queue::of(postgres.url()).await;
    let queued = queue.add("[[hang]]", 3).await;
    let first = eventually("it runs", async || {
        let now = queue.look(&queued).await;
        now.session_created.then_some(now)
    })
    .await;
    one.kill().await;
    one.set("SERVER_ROLE", "api");
    one.launch().await;
    let _two = postgres.server("worker").await;
    let again = eventually("another attempt is made", async || {
        let now = queue.look(&queued).await;
        (now.attempt == 2 && now.session_created).then_some(now)
    })
    .await;
    assert_ne!((again.session_id, again.worker), (first.session_id, first.worker));
}
