//! Tasks: executions are seen through once, whatever becomes of agents and workers.

use crate::world::{World, all, soon};
use async_trait::async_trait;
use domain::{
    Execution, ExecutionStatus, MissedRuns, Origin, PageRequest, Scope, SessionMode, SessionStatus, Task,
    TaskId, TaskSpec,
    ports::{Executions as _, Tasks as _},
    session::SessionFilter,
};
use engine::{AfterExecution, Error, Result, SessionManager, TaskManager, TaskSettings};
use jiff::SignedDuration;
use sdk_runtime::testing::ScriptedLauncher;
use serde_json::{Map, Value, json};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Nothing follows an end.
#[derive(Debug, Clone, Copy)]
struct NothingAfter;

#[async_trait]
impl AfterExecution for NothingAfter {
    async fn after_end(
        &self,
        _sessions: &SessionManager,
        _execution: &Execution,
        _steps: &mut Map<String, Value>,
    ) -> Result<()> {
        Ok(())
    }
}

/// A worker of this world, until it is dropped.
pub struct Worker {
    pub tasks: TaskManager,
    token: CancellationToken,
    tracker: TaskTracker,
}

impl Worker {
    fn start(world: &World) -> Self {
        Self::with(world, TaskSettings::default(), Arc::new(NothingAfter))
    }

    pub fn with(world: &World, settings: TaskSettings, after: Arc<dyn AfterExecution>) -> Self {
        let tasks = TaskManager::new(world.manager.clone(), Arc::new(world.store.clone()), settings, after);
        let (token, tracker) = (CancellationToken::new(), TaskTracker::new());
        let (working, cancelled) = (tasks.clone(), token.clone());
        tracker.spawn(async move { working.work(cancelled).await });
        Self { tasks, token, tracker }
    }

    /// Takes no more; what it works on goes on.
    async fn stop(&self) {
        self.token.cancel();
        self.tracker.close();
        self.tracker.wait().await;
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.token.cancel();
    }
}

pub fn task(world: &World, prompt: &str) -> Task {
    Task {
        id: TaskId::new(),
        user_id: world.caller.user_id,
        name: "a task".into(),
        description: None,
        spec: TaskSpec {
            prompt_template: prompt.into(),
            allowed_tools: Some(vec!["Read".into()]),
            disallowed_tools: vec!["WebFetch".into()],
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
        max_retries: 2,
        retry_delay_ms: 10_000,
        created_at: now(world),
        updated_at: now(world),
    }
}

pub fn now(world: &World) -> jiff::Timestamp {
    domain::Clock::now(&world.clock)
}

pub async fn stored(world: &World, task: Task) -> Task {
    world.store.create_task(&task, u32::MAX, &Origin::system()).await.unwrap();
    task
}

/// Queues a run of a fresh task with this prompt.
async fn queue(world: &World, worker: &Worker, prompt: &str) -> Execution {
    let task = stored(world, task(world, prompt)).await;
    worker.tasks.enqueue(&task, prompt.into(), Map::new(), &world.caller.origin()).await.unwrap()
}

pub async fn look(world: &World, execution: &Execution) -> Execution {
    world.store.execution(Scope::All, execution.id).await.unwrap().unwrap()
}

/// The execution once it is in this state.
pub async fn reaches(world: &World, execution: &Execution, status: ExecutionStatus) -> Execution {
    soon(async {
        loop {
            let now = look(world, execution).await;
            if now.status == status {
                return now;
            }
            assert!(!now.status.is_over(), "{now:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await
}

/// Waits until the agents were told so many prompts in all.
async fn told(world: &World, count: usize) {
    soon(async {
        while world.told().len() < count {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

pub fn answering() -> ScriptedLauncher {
    ScriptedLauncher::new()
        .on_prompt(|prompt, say| async move { say.text(format!("{}: done", prompt.text())) })
}

#[tokio::test(start_paused = true)]
async fn an_execution_is_a_background_session_of_its_own() {
    let world = World::new(answering());
    let worker = Worker::start(&world);
    let queued = queue(&world, &worker, "work").await;
    assert_eq!((queued.status, queued.session_created), (ExecutionStatus::Queued, false));
    let done = reaches(&world, &queued, ExecutionStatus::Completed).await;
    assert_eq!(done.result.as_deref(), Some("work: done"));
    assert_eq!((done.attempt, done.session_id, done.error), (1, queued.session_id, None));
    assert_eq!(done.worker, Some(world.settings.server.id));

    let session = world.get(done.session_id).await;
    assert_eq!((session.mode, session.status), (SessionMode::Background, SessionStatus::Completed));
    assert_eq!(session.spec.allowed_tools, ["Read"]);
    assert_eq!(session.spec.sdk_options.disallowed_tools, ["WebFetch"]);
    let metadata = json!({ "task_id": done.task_id, "execution_id": done.id, "attempt": 1 });
    assert_eq!(session.metadata, metadata);
    assert_eq!(world.told(), ["work"]);
    assert!(matches!(
        worker.tasks.cancel(&world.caller, done.id).await,
        Err(Error::ExecutionOver(ExecutionStatus::Completed))
    ));
}

#[tokio::test(start_paused = true)]
async fn an_attempt_without_effects_is_repeated_after_a_growing_pause_and_then_a_dead_letter() {
    let launcher = ScriptedLauncher::new().on_prompt(|_, say| async move { say.exit(3, "it broke").await });
    let world = World::new(launcher);
    let worker = Worker::start(&world);
    let queued = queue(&world, &worker, "work").await;
    let mut sessions = vec![];
    for (attempt, pause) in [(1, 10), (2, 20)] {
        let pending = reaches(&world, &queued, ExecutionStatus::Pending).await;
        assert_eq!(pending.attempt, attempt);
        assert_eq!(pending.error.as_ref().unwrap().code, "AGENT_FAILED");
        assert_eq!(pending.due_at, now(&world) + SignedDuration::from_secs(pause));
        assert_eq!(world.told().len(), attempt as usize, "it waits");
        sessions.push(pending.session_id);
        world.clock.advance(SignedDuration::from_secs(pause));
        told(&world, attempt as usize + 1).await;
    }
    let dead = reaches(&world, &queued, ExecutionStatus::Failed).await;
    assert_eq!((dead.attempt, dead.attempts_max), (3, 3));
    assert!(dead.error.as_ref().unwrap().message.contains("it broke"), "{dead:?}");
    sessions.push(queued.session_id);
    sessions.dedup();
    assert_eq!(sessions.len(), 3, "each attempt has a session of its own");

    let again = worker.tasks.retry(&world.caller, dead.id).await.unwrap();
    assert_eq!((again.retry_of, again.prompt.as_str()), (Some(dead.id), "work"));
    reaches(&world, &again, ExecutionStatus::Pending).await;
    assert!(matches!(
        worker.tasks.retry(&world.caller, again.id).await,
        Err(Error::ExecutionNotRetryable(ExecutionStatus::Pending))
    ));
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_called_a_tool_is_not_repeated() {
    let launcher = ScriptedLauncher::new().on_prompt(|_, say| async move {
        say.text("I will");
        say.tool("Read", json!({ "file_path": "/work/x" }), "x").await;
        say.exit(3, "it broke").await;
    });
    let world = World::new(launcher);
    let worker = Worker::start(&world);
    let queued = queue(&world, &worker, "work").await;
    let failed = reaches(&world, &queued, ExecutionStatus::Failed).await;
    assert_eq!((failed.attempt, failed.tool_calls), (1, 1));
    assert_eq!(failed.result.as_deref(), Some("I will"));
    assert_eq!(world.told().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_waits_is_cancelled_at_once_and_what_runs_soon() {
    let launcher = ScriptedLauncher::new().on_prompt(|_, say| async move { say.hang().await });
    let world = World::with(launcher, |settings| settings.limits.background_agents_max = 1);
    let worker = Worker::start(&world);
    let running = queue(&world, &worker, "one").await;
    reaches(&world, &running, ExecutionStatus::Running).await;
    told(&world, 1).await;
    let waiting = queue(&world, &worker, "two").await;
    let cancelled = worker.tasks.cancel(&world.caller, waiting.id).await.unwrap();
    assert_eq!(cancelled.status, ExecutionStatus::Cancelled);
    let stopping = worker.tasks.cancel(&world.caller, running.id).await.unwrap();
    assert_eq!((stopping.status, stopping.cancel_requested), (ExecutionStatus::Running, true));
    let stopped = reaches(&world, &running, ExecutionStatus::Cancelled).await;
    assert_eq!(stopped.error.unwrap().code, "CANCELLED");
    assert_eq!(world.told(), ["one"]);

    let stranger = crate::world::caller();
    assert!(matches!(worker.tasks.cancel(&stranger, running.id).await, Err(Error::NotFound("execution"))));
    assert!(matches!(worker.tasks.retry(&stranger, running.id).await, Err(Error::NotFound("execution"))));
    assert!(matches!(worker.tasks.execution(&stranger, running.id).await, Err(Error::NotFound(_))));
}

/// Agents that hang until they get a permit; those that are told `act` call a tool first.
fn held(permits: &Arc<Semaphore>) -> ScriptedLauncher {
    let permits = permits.clone();
    ScriptedLauncher::new().on_prompt(move |prompt, say| {
        let permits = permits.clone();
        async move {
            if prompt.text() == "act" {
                say.text("I act now");
                say.tool("Read", json!({ "file_path": "/work/x" }), "x").await;
            }
            permits.acquire().await.unwrap().forget();
            say.text("too late");
        }
    })
}

#[tokio::test(start_paused = true)]
async fn what_a_lost_worker_had_not_acted_on_is_done_by_another_and_the_lost_one_changes_nothing() {
    let permits = Arc::new(Semaphore::new(0));
    // It never had a lease, which is as good as one that is over.
    let former = World::new(held(&permits));
    let lost = Worker::start(&former);
    let queued = queue(&former, &lost, "work").await;
    told(&former, 1).await;
    let was = reaches(&former, &queued, ExecutionStatus::Running).await;
    lost.stop().await;

    let other = former.another_server(answering());
    other.manager.recover().await.unwrap();
    let _worker = Worker::start(&other);
    let done = reaches(&other, &queued, ExecutionStatus::Completed).await;
    assert_eq!((done.result.as_deref(), done.attempt), (Some("work: done"), 2));
    assert_ne!(done.session_id, was.session_id);
    assert!(done.fence > was.fence);

    permits.add_permits(1);
    former.alive(0).await;
    soon(async {
        while former.manager.live_agents() > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    assert_eq!(look(&other, &queued).await.result.as_deref(), Some("work: done"));
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_was_taken_for_lost_does_not_end_what_another_one_runs() {
    let permits = Arc::new(Semaphore::new(0));
    let former = World::new(held(&permits));
    let lost = Worker::start(&former);
    let queued = queue(&former, &lost, "work").await;
    told(&former, 1).await;
    lost.stop().await;
    let other = former.another_server(held(&permits));
    other.manager.recover().await.unwrap();
    let _worker = Worker::start(&other);
    told(&other, 1).await;
    let running = look(&other, &queued).await;
    // It sees its own attempt through, and finds that it is not its own any more.
    former.manager.shut_down(Duration::from_secs(1)).await;
    assert_eq!(look(&other, &queued).await, running);
    permits.add_permits(1);
    reaches(&other, &queued, ExecutionStatus::Completed).await;
}

#[tokio::test(start_paused = true)]
async fn what_a_lost_worker_had_acted_on_ends_as_unknown_with_what_was_done() {
    let permits = Arc::new(Semaphore::new(0));
    let former = World::new(held(&permits));
    let lost = Worker::start(&former);
    let queued = queue(&former, &lost, "act").await;
    soon(async {
        while !look(&former, &queued).await.session_created
            || former.get(look(&former, &queued).await.session_id).await.counters.tool_calls == 0
        {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    lost.stop().await;

    let other = former.another_server(answering());
    other.manager.recover().await.unwrap();
    let _worker = Worker::start(&other);
    let unknown = reaches(&other, &queued, ExecutionStatus::OutcomeUnknown).await;
    assert_eq!((unknown.attempt, unknown.tool_calls), (1, 1));
    assert_eq!(unknown.result.as_deref(), Some("I act now"));
    let error = unknown.error.unwrap();
    assert_eq!(error.code, "WORKER_LOST");
    assert!(error.message.contains(&queued.session_id.to_string()), "{error:?}");
    assert_eq!(other.told(), [""; 0], "nothing runs twice");
    permits.add_permits(1);
}

#[tokio::test(start_paused = true)]
async fn what_a_server_had_that_works_no_more_is_done_by_another_although_it_lives() {
    let permits = Arc::new(Semaphore::new(0));
    let former = World::new(held(&permits));
    let lost = Worker::start(&former);
    let queued = queue(&former, &lost, "work").await;
    told(&former, 1).await;
    lost.stop().await;
    // The same server once more, with its lease and without a worker.
    let former = former.next_life();
    former.manager.recover().await.unwrap();
    let settings = TaskSettings::default();
    let store = Arc::new(former.store.clone());
    let api = TaskManager::new(former.manager.clone(), store, settings, Arc::new(NothingAfter));
    let other = former.another_server(answering());
    other.manager.recover().await.unwrap();
    let _worker = Worker::start(&other);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(look(&other, &queued).await.status, ExecutionStatus::Running, "it is a living server's");

    assert_eq!(api.leave_to_others().await.unwrap(), 1);
    let done = reaches(&other, &queued, ExecutionStatus::Completed).await;
    assert_eq!((done.result.as_deref(), done.attempt), (Some("work: done"), 2));
    assert_eq!(api.leave_to_others().await.unwrap(), 0);
    permits.add_permits(1);
}

#[tokio::test(start_paused = true)]
async fn what_kills_its_workers_is_a_dead_letter_in_the_end() {
    let permits = Arc::new(Semaphore::new(0));
    let first = World::new(held(&permits));
    let mut lost = Worker::start(&first);
    let queued = queue(&first, &lost, "work").await;
    let mut worlds = vec![first];
    for attempt in 1..=3 {
        let world = worlds.last().unwrap();
        told(world, 1).await;
        assert_eq!(look(world, &queued).await.attempt, attempt);
        lost.stop().await;
        let next = world.another_server(held(&permits));
        lost = Worker::start(&next);
        worlds.push(next);
    }
    let world = worlds.last().unwrap();
    let dead = reaches(world, &queued, ExecutionStatus::Failed).await;
    assert_eq!(dead.error.unwrap().code, "WORKER_LOST");
    assert_eq!(world.told(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn higher_priorities_begin_first_and_one_at_a_time() {
    let permits = Arc::new(Semaphore::new(0));
    let world = World::with(held(&permits), |settings| settings.limits.background_agents_max = 1);
    let worker = Worker::start(&world);
    queue(&world, &worker, "first").await;
    told(&world, 1).await;
    for (prompt, priority) in [("low", -1), ("usual", 0), ("high", 7)] {
        let task = stored(&world, Task { priority, ..task(&world, prompt) }).await;
        worker.tasks.enqueue(&task, prompt.into(), Map::new(), &world.caller.origin()).await.unwrap();
    }
    for count in 2..=4 {
        assert_eq!(world.told().len(), count - 1);
        permits.add_permits(1);
        told(&world, count).await;
    }
    permits.add_permits(1);
    assert_eq!(world.told(), ["first", "high", "usual", "low"]);
}

#[tokio::test(start_paused = true)]
async fn no_more_run_at_all_workers_together_than_may() {
    let permits = Arc::new(Semaphore::new(0));
    let one = World::new(held(&permits));
    one.manager.recover().await.unwrap();
    let other = one.another_server(held(&permits));
    other.manager.recover().await.unwrap();
    let settings = TaskSettings { running_max: Some(2), ..TaskSettings::default() };
    let workers = [&one, &other].map(|world| Worker::with(world, settings, Arc::new(NothingAfter)));
    let mut queued = vec![];
    for _ in 0..5 {
        queued.push(queue(&one, &workers[0], "work").await);
    }
    for left in (0..5_usize).rev() {
        soon(async {
            while one.told().len() + other.told().len() < (5 - left + 1).min(5) {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        })
        .await;
        let running = one.store.execution_levels(now(&one)).await.unwrap().running;
        assert!(running <= 2, "{running}");
        permits.add_permits(1);
    }
    for execution in &queued {
        reaches(&one, execution, ExecutionStatus::Completed).await;
    }
}

#[tokio::test(start_paused = true)]
async fn two_schedulers_run_a_due_time_once_and_missed_ones_as_was_decided() {
    for (missed, runs) in [(MissedRuns::Skip, 1), (MissedRuns::Once, 2), (MissedRuns::All, 4)] {
        let one = World::new(answering());
        one.manager.recover().await.unwrap();
        let other = one.another_server(answering());
        other.manager.recover().await.unwrap();
        let start = now(&one);
        let scheduled = Task {
            is_scheduled: true,
            schedule_cron: Some("0 * * * *".into()),
            spec: TaskSpec {
                prompt_template: "at {{ place }}".into(),
                default_variables: json!({ "place": "home" }).as_object().unwrap().clone(),
                ..TaskSpec::default()
            },
            ..task(&one, "")
        };
        let scheduled = stored(&one, scheduled.rescheduled(start).unwrap()).await;
        let settings = TaskSettings { missed_runs: missed, ..TaskSettings::default() };
        let _workers = [&one, &other].map(|world| Worker::with(world, settings, Arc::new(NothingAfter)));
        let due = scheduled.next_run_at.unwrap();
        let advance = |to: jiff::Timestamp| {
            for world in [&one, &other] {
                world.clock.advance(to.duration_since(now(world)));
            }
        };
        advance(due);
        let runs_of = async || {
            let page = one.store.executions(Scope::All, scheduled.id, None, &PageRequest::first(50)).await;
            page.unwrap().items
        };
        soon(async {
            while runs_of().await.iter().filter(|run| run.status == ExecutionStatus::Completed).count() < 1 {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        })
        .await;
        let run = runs_of().await.pop().unwrap();
        assert_eq!((run.scheduled_for, run.prompt.as_str()), (Some(due), "at home"));
        // Both look several times more.
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert_eq!(runs_of().await.len(), 1);

        // Three more due times pass while nobody looks, and the last one is half an hour old.
        advance(due + SignedDuration::from_mins(3 * 60 + 30));
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert_eq!(runs_of().await.len(), runs, "{missed:?}");
        let moved = one.store.task(Scope::All, scheduled.id).await.unwrap().unwrap();
        assert_eq!(moved.next_run_at, Some(due + SignedDuration::from_hours(4)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_schedule_whose_prompt_cannot_be_made_says_so() {
    let world = World::new(answering());
    world.manager.recover().await.unwrap();
    let scheduled = Task {
        is_scheduled: true,
        schedule_cron: Some("0 * * * *".into()),
        ..task(&world, "at {{ nowhere }}")
    };
    let scheduled = stored(&world, scheduled.rescheduled(now(&world)).unwrap()).await;
    let _worker = Worker::start(&world);
    world.clock.advance(SignedDuration::from_hours(1));
    let failed = soon(async {
        loop {
            let runs = world.store.executions(Scope::All, scheduled.id, None, &all()).await.unwrap();
            if let Some(run) = runs.items.first() {
                return run.clone();
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    assert_eq!(failed.status, ExecutionStatus::Failed);
    assert_eq!(failed.error.unwrap().code, "TEMPLATE_FAILED");
    let sessions = world.manager.list(&world.caller, &SessionFilter::default(), &all()).await.unwrap();
    assert_eq!(sessions.items, []);
}

/// Fails so often, and notes what it has done.
#[derive(Debug)]
struct Failing {
    left: AtomicUsize,
    seen: AtomicUsize,
}

#[async_trait]
impl AfterExecution for Failing {
    async fn after_end(
        &self,
        _sessions: &SessionManager,
        execution: &Execution,
        steps: &mut Map<String, Value>,
    ) -> Result<()> {
        assert!(execution.status.is_over());
        let done = steps.len();
        assert_eq!(done, self.seen.fetch_add(1, Ordering::SeqCst), "what was noted is there");
        steps.insert(format!("step {done}"), json!(true));
        match self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)) {
            Ok(_) => Err(Error::Internal("do it this time")),
            Err(_) => Ok(()),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_follows_an_end_is_tried_until_it_succeeds_by_the_next_life_too() {
    let world = World::new(answering());
    world.manager.recover().await.unwrap();
    let after = Arc::new(Failing { left: AtomicUsize::new(2), seen: AtomicUsize::new(0) });
    let worker = Worker::with(&world, TaskSettings::default(), after.clone());
    let queued = queue(&world, &worker, "work").await;
    let settled = async |attempts: u32| {
        soon(async {
            loop {
                let now = look(&world, &queued).await;
                if now.settlement.attempts == attempts
                    && after.seen.load(Ordering::SeqCst) == attempts as usize
                    && now.settlement.steps.len() == attempts as usize
                {
                    return now;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        })
        .await
    };
    let once = settled(1).await;
    assert_eq!(once.status, ExecutionStatus::Completed);
    assert!(once.settlement.error.as_ref().unwrap().contains("do it this time"));
    worker.stop().await;
    let next = world.next_life();
    let _next = Worker::with(&next, TaskSettings::default(), after.clone());
    next.clock.advance(now(&world).duration_since(now(&next)) + SignedDuration::from_secs(6));
    settled(2).await;
    next.clock.advance(SignedDuration::from_secs(11));
    let done = settled(3).await;
    assert_eq!((done.settlement.due_at, done.settlement.error), (None, None));
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(after.seen.load(Ordering::SeqCst), 3);
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_ends_gives_back_what_did_nothing_yet_and_owns_up_to_the_rest() {
    let permits = Arc::new(Semaphore::new(0));
    let world = World::new(held(&permits));
    world.manager.recover().await.unwrap();
    let worker = Worker::start(&world);
    let (idle, acting) = (queue(&world, &worker, "work").await, queue(&world, &worker, "act").await);
    told(&world, 2).await;
    soon(async {
        while world.get(acting.session_id).await.counters.tool_calls == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    worker.stop().await;
    world.manager.shut_down(Duration::from_secs(1)).await;
    let given_back = look(&world, &idle).await;
    assert_eq!((given_back.status, given_back.attempt), (ExecutionStatus::Queued, 0));
    let unknown = look(&world, &acting).await;
    assert_eq!(unknown.status, ExecutionStatus::OutcomeUnknown);

    let next = world.another_server(answering());
    next.manager.recover().await.unwrap();
    let _next = Worker::start(&next);
    let done = reaches(&next, &idle, ExecutionStatus::Completed).await;
    assert_eq!(done.attempt, 1);
    assert_eq!(next.told(), ["work"]);
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_breaks_begins_anew_and_what_it_had_begun_goes_on() {
    let permits = Arc::new(Semaphore::new(0));
    let world = World::new(held(&permits));
    world.manager.recover().await.unwrap();
    let worker = Worker::start(&world);
    let begun = queue(&world, &worker, "before").await;
    told(&world, 1).await;
    let looks = Arc::new(AtomicUsize::new(0));
    let counted = looks.clone();
    fail::cfg_callback("executions.look", move || {
        assert!(counted.fetch_add(1, Ordering::SeqCst) > 0, "the first look breaks");
    })
    .unwrap();
    let after = queue(&world, &worker, "after").await;
    told(&world, 2).await;
    assert!(looks.load(Ordering::SeqCst) > 1, "it broke, and looked again");
    permits.add_permits(2);
    for execution in [&begun, &after] {
        let done = reaches(&world, execution, ExecutionStatus::Completed).await;
        assert_eq!(done.attempt, 1);
    }
    fail::remove("executions.look");
}

#[tokio::test(start_paused = true)]
async fn what_is_not_allowed_as_a_session_is_refused_for_good() {
    let world = World::new(answering());
    let worker = Worker::start(&world);
    let mut wrong = task(&world, "work");
    wrong.spec.permission_mode = Some("whatever".into());
    let wrong = stored(&world, wrong).await;
    let queued = worker.tasks.enqueue(&wrong, "work".into(), Map::new(), &Origin::system()).await.unwrap();
    let refused = reaches(&world, &queued, ExecutionStatus::Failed).await;
    let error = refused.error.unwrap();
    assert_eq!(error.code, "SESSION_REFUSED");
    assert!(error.message.contains("/permission_mode"), "{error:?}");

    let deleted = stored(&world, task(&world, "work")).await;
    worker.stop().await;
    let queued = worker.tasks.enqueue(&deleted, "work".into(), Map::new(), &Origin::system()).await.unwrap();
    world.store.delete_task(Scope::All, deleted.id, now(&world), &Origin::system()).await.unwrap();
    let _worker = Worker::start(&world);
    reaches(&world, &queued, ExecutionStatus::Cancelled).await;
    assert_eq!(world.told(), [""; 0]);
}
