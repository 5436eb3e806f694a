//! What a task wants done after the end of its executions is done, once, whatever fails meanwhile.

use crate::{
    tasks::{Worker, answering, look, now, stored, task},
    world::{World, soon},
};
use async_trait::async_trait;
use bytes::Bytes;
use domain::{
    Execution, Origin, Page, PageRequest, Report, ReportFormat, ReportId, Scope, Task, TaskSpec,
    ports::{Filed, RenderError, ReportRenderer, Reports, Sessions as _, StoreError, StoreResult},
    report::{ReportDocument, ReportFilter},
};
use engine::{AfterExecution, Aftercare, Error, ReportManager, Result, SessionManager, TaskSettings};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use testkit::MemoryStore;

/// Nobody downloads anything here.
struct Unread;

#[async_trait]
impl ReportRenderer for Unread {
    async fn render(&self, _: ReportDocument, _: ReportFormat) -> std::result::Result<Bytes, RenderError> {
        Err(RenderError::Busy)
    }
}

/// A store that fails so often to take a report, with what is known to pass and with what is not.
struct Faulty {
    store: MemoryStore,
    left: AtomicUsize,
}

#[async_trait]
impl Reports for Faulty {
    async fn create_report(
        &self,
        report: &Report,
        document: Bytes,
        owned_max: Option<u32>,
        origin: &Origin,
    ) -> StoreResult<Filed> {
        match self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)) {
            Ok(left) if left % 2 == 0 => Err(StoreError::Unavailable("it is away".into())),
            Ok(_) => Err(StoreError::Failed("nobody has seen this before".into())),
            Err(_) => self.store.create_report(report, document, owned_max, origin).await,
        }
    }

    async fn report(&self, scope: Scope, id: ReportId) -> StoreResult<Option<Report>> {
        self.store.report(scope, id).await
    }

    async fn report_document(&self, scope: Scope, id: ReportId) -> StoreResult<Option<(Report, Bytes)>> {
        self.store.report_document(scope, id).await
    }

    async fn reports(
        &self,
        scope: Scope,
        filter: &ReportFilter,
        page: &PageRequest,
    ) -> StoreResult<Page<Report>> {
        self.store.reports(scope, filter, page).await
    }

    async fn delete_report(
        &self,
        scope: Scope,
        id: ReportId,
        at: Timestamp,
        origin: &Origin,
    ) -> StoreResult<bool> {
        self.store.delete_report(scope, id, at, origin).await
    }
}

/// Does everything, and the first time is gone before it is noted.
#[derive(Debug)]
struct Forgetful {
    aftercare: Aftercare,
    seen: AtomicUsize,
}

#[async_trait]
impl AfterExecution for Forgetful {
    async fn after_end(
        &self,
        sessions: &SessionManager,
        execution: &Execution,
        steps: &mut Map<String, Value>,
    ) -> Result<()> {
        if self.seen.fetch_add(1, Ordering::SeqCst) > 0 {
            return self.aftercare.after_end(sessions, execution, steps).await;
        }
        self.aftercare.after_end(sessions, execution, &mut Map::new()).await?;
        Err(Error::Internal("live until it was noted"))
    }
}

/// What follows an end in this world, in which the store fails so often to take a report.
fn aftercare(world: &World, failures: usize) -> Aftercare {
    let store = world.store.clone();
    let reports = Arc::new(Faulty { store: store.clone(), left: AtomicUsize::new(failures) });
    let clock = Arc::new(world.clock.clone());
    let reports =
        ReportManager::new(world.stores.clone(), Arc::new(store.clone()), reports, Arc::new(Unread), clock);
    Aftercare::new(Arc::new(store), reports)
}

/// Has a task done that wants a report and an archive, and answers with its execution.
async fn queued(world: &World, worker: &Worker) -> Execution {
    let spec = TaskSpec { generate_report: true, auto_archive: true, ..task(world, "work").spec };
    let task = stored(world, Task { spec, ..task(world, "work") }).await;
    worker.tasks.enqueue(&task, "work".into(), Map::new(), &world.caller.origin()).await.unwrap()
}

/// The execution once so many attempts were made at what follows it, and the last is over; time passes meanwhile.
async fn settled(world: &World, execution: &Execution, attempts: u32) -> Execution {
    soon(async {
        loop {
            let seen = look(world, execution).await;
            let is_over = seen.settlement.due_at.is_none_or(|due| due > now(world));
            if seen.status.is_over() && seen.settlement.attempts >= attempts && is_over {
                return seen;
            }
            if let Some(due) = seen.settlement.due_at.filter(|due| *due > now(world)) {
                world.clock.advance(due.duration_since(now(world)) + SignedDuration::from_millis(1));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await
}

async fn reports(world: &World) -> Vec<Report> {
    let page = world.store.reports(Scope::All, &ReportFilter::default(), &PageRequest::first(10)).await;
    page.unwrap().items
}

#[tokio::test(start_paused = true)]
async fn whatever_the_store_says_a_step_is_tried_again_unless_it_never_can_be_done() {
    let world = World::new(answering());
    world.manager.recover().await.unwrap();
    let worker = Worker::with(&world, TaskSettings::default(), Arc::new(aftercare(&world, 4)));
    let queued = queued(&world, &worker).await;
    let once = settled(&world, &queued, 1).await;
    assert!(once.settlement.error.is_some() && once.settlement.steps.is_empty(), "{once:?}");
    let done = settled(&world, &queued, 5).await;
    assert_eq!((done.settlement.attempts, done.settlement.due_at), (5, None), "{done:?}");
    let [report] = &reports(&world).await[..] else { panic!("not one report") };
    assert_eq!(done.settlement.steps["report"]["id"], report.id.to_string());
    assert!(done.settlement.steps["archive"]["id"].is_string(), "{done:?}");
}

#[tokio::test(start_paused = true)]
async fn what_has_no_session_any_more_is_noted_as_that() {
    let world = World::new(answering());
    world.manager.recover().await.unwrap();
    let worker = Worker::with(&world, TaskSettings::default(), Arc::new(aftercare(&world, 1)));
    let queued = queued(&world, &worker).await;
    settled(&world, &queued, 1).await;
    world.manager.terminate(&world.caller, queued.session_id).await.unwrap();
    world.store.purge(queued.session_id, now(&world), &Origin::system()).await.unwrap();
    let done = settled(&world, &queued, 2).await;
    assert_eq!((done.settlement.attempts, done.settlement.due_at), (2, None), "{done:?}");
    for step in ["report", "archive"] {
        assert_eq!(done.settlement.steps[step]["error"], "could not find the session");
    }
}

#[tokio::test(start_paused = true)]
async fn a_step_that_keeps_failing_does_not_hold_up_the_others_for_ever_and_is_given_up_in_the_end() {
    let world = World::new(answering());
    world.manager.recover().await.unwrap();
    let worker = Worker::with(&world, TaskSettings::default(), Arc::new(aftercare(&world, usize::MAX)));
    let queued = queued(&world, &worker).await;
    let waiting = settled(&world, &queued, 9).await;
    assert!(waiting.settlement.steps.is_empty(), "{waiting:?}");
    let patient = settled(&world, &queued, 10).await;
    assert!(patient.settlement.steps.contains_key("archive"), "{patient:?}");
    assert!(patient.settlement.due_at.is_some(), "{patient:?}");
    let given_up = settled(&world, &queued, 16).await;
    assert_eq!(given_up.settlement.due_at, None);
    assert!(given_up.settlement.error.is_some() && !given_up.settlement.steps.contains_key("report"));
}

#[tokio::test(start_paused = true)]
async fn a_report_that_was_made_and_not_noted_is_not_made_again() {
    let world = World::new(answering());
    world.manager.recover().await.unwrap();
    let after = Arc::new(Forgetful { aftercare: aftercare(&world, 0), seen: AtomicUsize::new(0) });
    let worker = Worker::with(&world, TaskSettings::default(), after);
    let queued = queued(&world, &worker).await;
    let forgotten = settled(&world, &queued, 1).await;
    assert!(forgotten.settlement.steps.is_empty(), "{forgotten:?}");
    assert_eq!(reports(&world).await.len(), 1);
    let done = settled(&world, &queued, 2).await;
    let [report] = &reports(&world).await[..] else { panic!("not one report") };
    assert_eq!(done.settlement.steps["report"]["id"], report.id.to_string());
    assert_eq!(report.session_id, queued.session_id);
}
