//! The spawner: one thread that lives as long as the host and starts all processes.
//!
//! The parent-death signal is bound to the thread that forks, not to the process: started from a worker
//! thread of a runtime, agents would die when that thread is retired.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Mutex, PoisonError, mpsc},
    thread,
};

use tokio::{
    process::{Child, Command},
    runtime::Handle,
    sync::oneshot,
};

type Job = Box<dyn FnOnce() + Send>;

static SPAWNER: Mutex<Option<mpsc::Sender<Job>>> = Mutex::new(None);

/// Starts a process from the spawner thread, on behalf of the calling runtime.
pub(super) async fn spawn(mut command: Command) -> io::Result<Child> {
    let runtime = Handle::current();
    let (started, outcome) = oneshot::channel();
    submit(Box::new(move || {
        let _guard = runtime.enter();
        // A caller that went away drops the child here, which kills it.
        let _ = started.send(command.spawn());
    }))?;
    match outcome.await {
        Ok(child) => child,
        Err(_) => Err(io::Error::other("the spawner broke down")),
    }
}

fn submit(job: Job) -> io::Result<()> {
    let mut spawner = SPAWNER.lock().unwrap_or_else(PoisonError::into_inner);
    let jobs = match &*spawner {
        Some(jobs) => jobs,
        None => spawner.insert(start()?),
    };
    jobs.send(job).map_err(|_| io::Error::other("the spawner is gone"))
}

fn start() -> io::Result<mpsc::Sender<Job>> {
    let (jobs, queue) = mpsc::channel::<Job>();
    thread::Builder::new().name("agent-spawner".to_owned()).spawn(move || {
        for job in queue {
            // The thread must outlive every agent, so a job that panics only fails its own caller.
            if catch_unwind(AssertUnwindSafe(job)).is_err() {
                tracing::error!("starting a process panicked");
            }
        }
    })?;
    Ok(jobs)
}
