//! Tasks, and the queue that their executions are.

use super::{AnyStore, Fixture, audit::log};
use domain::{
    AuditFilter, Execution, ExecutionError, ExecutionStatus, MicroUsd, Origin, PageRequest, Scope, ServerId,
    Settlement, Task, TaskId, TaskPatch, TaskSpec, TurnId, UserPatch,
    execution::{Outcome, Pause},
    ports::ExecutionLevels,
    task::{Firing, TaskFilter},
};
use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, json};
use std::time::Duration;

/// The version that is over an older one of the same execution.
fn claimed(execution: &Execution, worker: ServerId, at: Timestamp) -> Execution {
    execution.claimed(worker, at).unwrap()
}

impl<S: AnyStore> Fixture<S> {
    pub(super) fn new_task(&self, name: &str) -> Task {
        let at = self.tick();
        Task {
            id: TaskId::new(),
            user_id: self.user.id,
            name: name.into(),
            description: Some("What it does".into()),
            spec: TaskSpec { prompt_template: "say {{word}}".into(), ..TaskSpec::default() },
            webhook_secret: None,
            tags: vec![],
            is_scheduled: false,
            schedule_cron: None,
            timezone: "UTC".into(),
            schedule_enabled: true,
            next_run_at: None,
            priority: 0,
            max_retries: 2,
            retry_delay_ms: 1000,
            created_at: at,
            updated_at: at,
        }
    }

    async fn stored_task(&self, name: &str) -> Task {
        let task = self.new_task(name);
        self.store.create_task(&task, u32::MAX, &Origin::system()).await.unwrap();
        task
    }

    async fn queued(&self, task: &Task) -> Execution {
        let execution = Execution::new(task, "say hello".into(), Map::new(), self.tick());
        self.store.create_execution(&execution, &Origin::system()).await.unwrap();
        execution
    }

    async fn stored_execution(&self, execution: &Execution) -> Execution {
        self.store.execution(Scope::All, execution.id).await.unwrap().unwrap()
    }

    /// A server with a lease.
    async fn worker(&self) -> ServerId {
        let worker = ServerId::new();
        self.store.renew(worker, Duration::from_secs(600)).await.unwrap();
        worker
    }
}

pub async fn a_task_is_its_owners_and_comes_back_as_it_was<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let stranger = f.another_user("eve").await;
    let mine = Task {
        tags: vec!["a b".into(), "c%".into()],
        webhook_secret: Some(domain::hook::SealedSecret(vec![1, 2])),
        is_scheduled: true,
        schedule_cron: Some("0 9 * * 1".into()),
        timezone: "Europe/Berlin".into(),
        next_run_at: Some(f.tick()),
        priority: -3,
        ..f.new_task("mine")
    };
    let theirs = Task { user_id: stranger.id, ..f.new_task("theirs") };
    for task in [&mine, &theirs] {
        f.store.create_task(task, u32::MAX, &Origin::system()).await.unwrap();
    }
    let (own, all) = (Scope::Owner(f.user.id), PageRequest::first(10));
    assert_eq!(f.store.task(own, mine.id).await.unwrap(), Some(mine.clone()));
    assert_eq!(f.store.task(own, theirs.id).await.unwrap(), None);
    let none = TaskFilter::default();
    assert_eq!(f.store.tasks(own, &none, &all).await.unwrap().items, std::slice::from_ref(&mine));
    assert_eq!(f.store.tasks(Scope::All, &none, &all).await.unwrap().items, [theirs.clone(), mine.clone()]);
    let system = Origin::system();
    assert_eq!(
        f.store.patch_task(own, theirs.id, &TaskPatch::default(), f.tick(), &system).await.unwrap(),
        None
    );
    assert!(!f.store.delete_task(own, theirs.id, f.tick(), &system).await.unwrap());
    let execution = f.queued(&mine).await;
    assert!(f.store.delete_task(own, mine.id, f.tick(), &system).await.unwrap());
    assert_eq!(f.store.task(Scope::All, mine.id).await.unwrap(), None);
    assert!(!f.store.delete_task(own, mine.id, f.tick(), &system).await.unwrap());
    assert_eq!(f.stored_execution(&execution).await, execution, "its executions stay");
    assert_eq!(f.store.due_tasks(f.tick(), 10).await.unwrap(), [], "and it runs no more");
}

pub async fn tasks_are_found_by_tag_and_by_word<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let one = Task { tags: vec!["nightly".into(), "50%".into()], ..f.new_task("Clean Up") };
    let other = Task { tags: vec!["nightly-2".into()], is_scheduled: true, ..f.new_task("Report") };
    for task in [&one, &other] {
        f.store.create_task(task, u32::MAX, &Origin::system()).await.unwrap();
    }
    let all = PageRequest::first(10);
    for (filter, found) in [
        (TaskFilter { tags: vec!["nightly".into()], ..TaskFilter::default() }, vec![&one]),
        (TaskFilter { tags: vec!["nightly".into(), "50%".into()], ..TaskFilter::default() }, vec![&one]),
        (TaskFilter { tags: vec!["5%".into()], ..TaskFilter::default() }, vec![]),
        (TaskFilter { tags: vec!["Nightly-2".into()], ..TaskFilter::default() }, vec![]),
        (TaskFilter { q: Some("clean".into()), ..TaskFilter::default() }, vec![&one]),
        (TaskFilter { q: Some("WHAT IT".into()), ..TaskFilter::default() }, vec![&other, &one]),
        (TaskFilter { is_scheduled: Some(true), ..TaskFilter::default() }, vec![&other]),
    ] {
        let tasks = f.store.tasks(Scope::All, &filter, &all).await.unwrap().items;
        let ids: Vec<_> = tasks.iter().map(|task| task.id).collect();
        assert_eq!(ids, found.iter().map(|task| task.id).collect::<Vec<_>>(), "{filter:?}");
    }
    let first = f.store.tasks(Scope::All, &TaskFilter::default(), &PageRequest::first(1)).await.unwrap();
    let rest = PageRequest { limit: 1, cursor: first.next_cursor, skip: 0 };
    let rest = f.store.tasks(Scope::All, &TaskFilter::default(), &rest).await.unwrap();
    assert_eq!((first.items[0].id, rest.items[0].id, rest.next_cursor), (other.id, one.id, None));
}

pub async fn a_task_changes_as_the_patch_says_and_its_schedule_with_it<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let task = f.stored_task("daily").await;
    let patch = TaskPatch {
        name: Some("hourly".into()),
        is_scheduled: Some(true),
        schedule_cron: Some(Some("0 * * * *".into())),
        ..TaskPatch::default()
    };
    let at = f.tick();
    let system = Origin::system();
    let patched = f.store.patch_task(Scope::All, task.id, &patch, at, &system).await.unwrap().unwrap();
    assert_eq!(patched, patch.apply(task.clone(), at).unwrap());
    assert_eq!(f.store.task(Scope::All, task.id).await.unwrap(), Some(patched.clone()));
    let next = patched.next_run_at.unwrap();
    assert!(next > at && next <= at + SignedDuration::from_hours(1));
    assert_eq!(f.store.due_tasks(at, 10).await.unwrap(), []);
    assert_eq!(f.store.due_tasks(next, 10).await.unwrap(), [patched]);
    let off = TaskPatch { schedule_enabled: Some(false), ..TaskPatch::default() };
    let off = f.store.patch_task(Scope::All, task.id, &off, f.tick(), &system).await.unwrap().unwrap();
    assert_eq!(off.next_run_at, None);
    let wrong =
        TaskPatch { schedule_enabled: Some(true), timezone: Some("Nowhere".into()), ..TaskPatch::default() };
    f.store.patch_task(Scope::All, task.id, &wrong, f.tick(), &system).await.unwrap_err();
    assert_eq!(f.store.task(Scope::All, task.id).await.unwrap(), Some(off));
}

pub async fn an_execution_comes_back_as_it_was<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let stranger = f.another_user("eve").await;
    let task = f.stored_task("task").await;
    let mut variables = Map::new();
    variables.insert("word".into(), json!({ "nested": [1, null, "x"] }));
    let execution = Execution::new(&task, "say \u{0} no".replace('\u{0}', ""), variables, f.tick());
    f.store.create_execution(&execution, &Origin::system()).await.unwrap();
    assert_eq!(f.stored_execution(&execution).await, execution);

    let worker = f.worker().await;
    let running = claimed(&execution, worker, f.tick());
    assert!(f.store.claim_execution(&running, None).await.unwrap());
    let mut steps = Map::new();
    steps.insert("archived".into(), json!(true));
    let outcome = Outcome {
        status: ExecutionStatus::Failed,
        result: Some("half".into()),
        error: Some(ExecutionError::new("MODEL_FAILED", "it failed")),
    };
    let entered = running.entered(TurnId::new()).unwrap();
    let ended = Execution { tool_calls: 4, cost: MicroUsd(17), ..entered.ended(outcome, f.tick()).unwrap() };
    let settled = ended.settled(Settlement { due_at: None, attempts: 2, error: Some("no".into()), steps });
    for next in [&entered, &ended, &settled] {
        assert!(f.store.advance_execution(next, f.tick(), None).await.unwrap());
        assert_eq!(f.stored_execution(&execution).await, *next);
    }
    let (own, all) = (Scope::Owner(f.user.id), PageRequest::first(10));
    assert_eq!(f.store.execution(Scope::Owner(stranger.id), execution.id).await.unwrap(), None);
    let listed = f.store.executions(own, task.id, None, &all).await.unwrap();
    assert_eq!(listed.items, [settled]);
    let queued = Some(ExecutionStatus::Queued);
    assert_eq!(f.store.executions(own, task.id, queued, &all).await.unwrap().items, []);
    let theirs = f.store.executions(Scope::Owner(stranger.id), task.id, None, &all).await.unwrap();
    assert_eq!(theirs.items, []);
}

pub async fn the_highest_priority_and_then_the_longest_due_is_next<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let task = f.stored_task("task").await;
    let first = f.queued(&task).await;
    let second = f.queued(&task).await;
    let urgent = Task { priority: 5, ..task.clone() };
    let urgent = f.queued(&urgent).await;
    let mut later = Execution::new(&task, "later".into(), Map::new(), f.tick());
    later.due_at = f.tick() + SignedDuration::from_hours(1);
    f.store.create_execution(&later, &Origin::system()).await.unwrap();
    let at = f.tick();
    let due = f.store.due_executions(at, 10).await.unwrap();
    assert_eq!(due, [urgent, first.clone(), second]);
    assert_eq!(f.store.due_executions(at, 1).await.unwrap().len(), 1);
    assert_eq!(f.store.due_executions(later.due_at, 10).await.unwrap().len(), 4);
    let levels = f.store.execution_levels(at).await.unwrap();
    let expected = ExecutionLevels { due: 3, waiting: 1, running: 0, oldest_due_at: Some(first.due_at) };
    assert_eq!(levels, expected);
}

pub async fn an_execution_is_claimed_once<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let task = f.stored_task("task").await;
    let execution = f.queued(&task).await;
    let at = f.tick();
    let claims = (0..8).map(|_| {
        let (store, claimed) = (f.store.clone(), claimed(&execution, ServerId::new(), at));
        async move { store.claim_execution(&claimed, Some(100)).await.unwrap() }
    });
    let won = join_all(claims).await.into_iter().filter(|won| *won).count();
    assert_eq!(won, 1);
    let running = f.stored_execution(&execution).await;
    assert_eq!((running.status, running.attempt, running.fence), (ExecutionStatus::Running, 1, 1));
    assert_eq!(f.store.due_executions(f.tick(), 10).await.unwrap(), []);
    assert_eq!(f.store.execution_levels(f.tick()).await.unwrap().running, 1);
}

pub async fn no_more_executions_run_than_may<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let task = f.stored_task("task").await;
    let mut queued = vec![];
    for _ in 0..6 {
        queued.push(f.queued(&task).await);
    }
    let at = f.tick();
    let claims = queued.iter().map(|execution| {
        let (store, claimed) = (f.store.clone(), claimed(execution, ServerId::new(), at));
        async move { store.claim_execution(&claimed, Some(2)).await.unwrap() }
    });
    let won = join_all(claims).await.into_iter().filter(|won| *won).count();
    assert_eq!(won, 2);
    assert_eq!(f.store.execution_levels(at).await.unwrap().running, 2);
}

pub async fn whoever_read_an_older_version_changes_nothing<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let task = f.stored_task("task").await;
    let execution = f.queued(&task).await;
    let (old, new) = (f.worker().await, f.worker().await);
    let running = claimed(&execution, old, f.tick());
    assert!(f.store.claim_execution(&running, None).await.unwrap());
    let taken = running.taken_over(new).unwrap();
    let system = Origin::system();
    assert!(f.store.advance_execution(&taken, f.tick(), Some(&system)).await.unwrap());
    assert!(
        !f.store.advance_execution(&running.taken_over(old).unwrap(), f.tick(), Some(&system)).await.unwrap()
    );

    let done = Outcome { status: ExecutionStatus::Completed, result: Some("old".into()), error: None };
    let late = running.ended(done.clone(), f.tick()).unwrap();
    assert!(!f.store.advance_execution(&late, f.tick(), None).await.unwrap());
    assert!(
        !f.store.advance_execution(&running.entered(TurnId::new()).unwrap(), f.tick(), None).await.unwrap()
    );
    assert_eq!(f.stored_execution(&execution).await, taken);

    let lost = ExecutionError::new("WORKER_LOST", "its worker is gone");
    let again = taken.again(Pause::None, lost, f.tick()).unwrap();
    assert!(f.store.advance_execution(&again, f.tick(), None).await.unwrap());
    assert_ne!(again.session_id, running.session_id, "an attempt has a session of its own");
    assert_eq!(f.store.due_executions(f.tick(), 10).await.unwrap(), [again]);
}

pub async fn a_due_time_has_one_execution_however_many_fire<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let due = f.tick();
    let task = Task {
        is_scheduled: true,
        schedule_cron: Some("* * * * *".into()),
        next_run_at: Some(due),
        ..f.new_task("scheduled")
    };
    f.store.create_task(&task, u32::MAX, &Origin::system()).await.unwrap();
    let firing = |next: Option<Timestamp>| {
        let execution = Execution::new(&task, "now".into(), Map::new(), due).of_schedule(due);
        Firing { task: task.id, seen: due, executions: vec![execution], next_run_at: next }
    };
    let next = f.tick();
    let fired = (0..8).map(|_| {
        let (store, firing) = (f.store.clone(), firing(Some(next)));
        async move { store.fire(&firing).await.unwrap() }
    });
    let fired = join_all(fired).await.into_iter().filter(|fired| *fired).count();
    assert_eq!(fired, 1);
    let all = PageRequest::first(10);
    assert_eq!(f.store.executions(Scope::All, task.id, None, &all).await.unwrap().items.len(), 1);
    let moved = f.store.task(Scope::All, task.id).await.unwrap().unwrap();
    assert_eq!(moved.next_run_at, Some(next));

    // A schedule that comes to the same time again, and to one that it has not had.
    let mut again = Firing { seen: next, ..firing(None) };
    again.executions.push(Execution::new(&task, "now".into(), Map::new(), next).of_schedule(next));
    assert!(f.store.fire(&again).await.unwrap());
    let created = f.store.executions(Scope::All, task.id, None, &all).await.unwrap().items;
    assert_eq!(created.iter().map(|one| one.scheduled_for).collect::<Vec<_>>(), [Some(next), Some(due)]);
    assert_eq!(f.store.due_tasks(f.tick(), 10).await.unwrap(), []);
    let told = log(&f.store).await.into_iter().filter(|entry| entry.event.action == "execution.created");
    let told: Vec<_> = told.map(|entry| entry.event.subject.unwrap().id).collect();
    let ids: Vec<_> = created.iter().rev().map(|one| one.id.to_string()).collect();
    assert_eq!(told, ids, "what is told was created");
}

pub async fn what_a_lost_worker_had_is_found<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let task = f.stored_task("task").await;
    let (me, other, gone) = (f.worker().await, f.worker().await, ServerId::new());
    let mut running = vec![];
    for worker in [me, other, gone] {
        let claimed = claimed(&f.queued(&task).await, worker, f.tick());
        assert!(f.store.claim_execution(&claimed, None).await.unwrap());
        running.push(claimed);
    }
    f.queued(&task).await;
    let lost = f.store.lost_executions(me, &[], 10).await.unwrap();
    assert_eq!(lost, [running[0].clone(), running[2].clone()]);
    assert_eq!(f.store.lost_executions(me, &[], 1).await.unwrap(), [running[0].clone()]);
    let known = [running[0].id];
    assert_eq!(f.store.lost_executions(me, &known, 1).await.unwrap(), [running[2].clone()]);
    f.store.resign(other).await.unwrap();
    assert_eq!(f.store.lost_executions(me, &[], 10).await.unwrap(), running);
}

pub async fn what_a_server_gives_up_is_found_by_those_that_work<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let task = f.stored_task("task").await;
    let (former, worker) = (f.worker().await, f.worker().await);
    let run = async |at| {
        let running = claimed(&f.queued(&task).await, at, f.tick());
        assert!(f.store.claim_execution(&running, None).await.unwrap());
        running
    };
    let end = async |running: &Execution, settlement| {
        let done = Outcome { status: ExecutionStatus::Completed, result: None, error: None };
        let done = Execution { settlement, ..running.ended(done, f.tick()).unwrap() };
        assert!(f.store.advance_execution(&done, f.tick(), None).await.unwrap());
        done
    };
    let (running, theirs) = (run(former).await, run(worker).await);
    let later =
        Settlement { due_at: Some(f.tick() + SignedDuration::from_hours(1)), ..Settlement::default() };
    let unsettled = end(&run(former).await, later.clone()).await;
    let settled = end(&run(former).await, Settlement::default()).await;
    let find = async || {
        let lost = f.store.lost_executions(worker, &[theirs.id], 10).await.unwrap();
        let unsettled = f.store.unsettled_executions(worker, later.due_at.unwrap(), 10).await.unwrap();
        lost.into_iter().chain(unsettled).collect::<Vec<_>>()
    };
    assert_eq!(find().await, []);
    assert_eq!(f.store.give_up_executions(former).await.unwrap(), 2);
    let nobodys = |one: &Execution| Execution { worker: None, version: one.version + 1, ..one.clone() };
    assert_eq!(find().await, [nobodys(&running), nobodys(&unsettled)]);
    let late = running.entered(TurnId::new()).unwrap();
    assert!(!f.store.advance_execution(&late, f.tick(), None).await.unwrap(), "it follows what is no more");
    assert_eq!(f.stored_execution(&theirs).await, theirs);
    assert_eq!(f.stored_execution(&settled).await, settled);
    assert_eq!(f.store.give_up_executions(former).await.unwrap(), 0);
}

pub async fn what_is_left_to_do_after_the_end_is_found<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let task = f.stored_task("task").await;
    let (me, other) = (f.worker().await, f.worker().await);
    let mut ended = vec![];
    for worker in [me, other] {
        let running = claimed(&f.queued(&task).await, worker, f.tick());
        assert!(f.store.claim_execution(&running, None).await.unwrap());
        let done = Outcome { status: ExecutionStatus::Completed, result: None, error: None };
        let done = running.ended(done, f.tick()).unwrap();
        assert!(f.store.advance_execution(&done, f.tick(), None).await.unwrap());
        ended.push(done);
    }
    // Nobody had it.
    let cancelled = f.queued(&task).await.cancelled(f.tick()).unwrap();
    assert!(f.store.advance_execution(&cancelled, f.tick(), Some(&Origin::system())).await.unwrap());
    let at = f.tick();
    let mine = [ended[0].clone(), cancelled];
    assert_eq!(f.store.unsettled_executions(me, at, 10).await.unwrap(), mine);
    f.store.resign(other).await.unwrap();
    assert_eq!(f.store.unsettled_executions(me, at, 10).await.unwrap().len(), 3);
    let settled = mine[0].settled(Settlement::default());
    assert!(f.store.advance_execution(&settled, at, None).await.unwrap());
    assert_eq!(f.store.unsettled_executions(me, at, 10).await.unwrap().len(), 2);
    let before = ended[1].settlement.due_at.unwrap() - SignedDuration::from_secs(1);
    assert_eq!(f.store.unsettled_executions(me, before, 10).await.unwrap(), []);
}

pub async fn nothing_runs_for_a_user_who_is_disabled<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let task = Task { next_run_at: Some(f.tick()), ..f.new_task("task") };
    f.store.create_task(&task, u32::MAX, &Origin::system()).await.unwrap();
    f.queued(&task).await;
    let at = f.tick();
    assert_eq!(f.store.due_tasks(at, 10).await.unwrap().len(), 1);
    assert_eq!(f.store.due_executions(at, 10).await.unwrap().len(), 1);
    let disabled = UserPatch { is_active: Some(false), ..UserPatch::default() };
    f.store
        .patch_user(f.user.id, &disabled, &domain::Expected::ANY, f.tick(), &Origin::system())
        .await
        .unwrap();
    assert_eq!(f.store.due_tasks(at, 10).await.unwrap(), []);
    assert_eq!(f.store.due_executions(at, 10).await.unwrap(), []);
    f.store.erase_user(f.user.id, &domain::Expected::ANY, f.tick(), &Origin::system()).await.unwrap();
    assert_eq!(f.store.task(Scope::All, task.id).await.unwrap(), None);
}

pub async fn the_life_of_a_task_is_in_the_audit_log<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let task = f.stored_task("task").await;
    let system = Origin::system();
    f.store.patch_task(Scope::All, task.id, &TaskPatch::default(), f.tick(), &system).await.unwrap();
    let execution = f.queued(&task).await;
    let cancelled = execution.cancelled(f.tick()).unwrap();
    assert!(f.store.advance_execution(&cancelled, f.tick(), Some(&system)).await.unwrap());
    assert!(!f.store.advance_execution(&cancelled, f.tick(), Some(&system)).await.unwrap());
    f.store.delete_task(Scope::All, task.id, f.tick(), &system).await.unwrap();
    let mut told = vec![];
    for prefix in ["task.", "execution."] {
        let filter = AuditFilter { action: Some(prefix.into()), ..AuditFilter::default() };
        let entries = f.store.entries_after(0, 100, &filter).await.unwrap();
        told.extend(entries.into_iter().map(|entry| entry.event.action.into_owned()));
    }
    assert_eq!(
        told,
        ["task.created", "task.changed", "task.deleted", "execution.created", "execution.cancelled"]
    );
}
