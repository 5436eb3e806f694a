//! Work that is seen through to its end, although whoever asked for it may go away meanwhile.

use futures::FutureExt;
use std::{future::poll_fn, panic::AssertUnwindSafe, task::Poll};
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

/// The work panicked, as the panic hook has told, or its runtime has ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Lost;

/// Begins the work where it is called. What need not wait ends there as well, so that nobody is woken for it; with its
/// first wait it becomes a task of the tracker, on this runtime. Whichever thread it is on, tasks and timers of its own
/// belong to that runtime, and whoever waits for the tracker waits for it.
pub(crate) fn see_through<T: Send + 'static>(
    tasks: &TaskTracker,
    runtime: &Handle,
    work: impl Future<Output = T> + Send + 'static,
) -> impl Future<Output = Result<T, Lost>> {
    // In a box from the start: whatever waits for it would have room for all of it, and be moved with it.
    let mut work = AssertUnwindSafe(work).catch_unwind().boxed();
    async move {
        let begun = tasks.token();
        let first = poll_fn(|context| {
            let _runtime = runtime.enter();
            Poll::Ready(work.poll_unpin(context))
        });
        let done = match first.await {
            Poll::Ready(done) => done,
            Poll::Pending => {
                let working = tasks.spawn_on(work, runtime);
                drop(begun);
                working.await.map_err(|_| Lost)?
            }
        };
        done.map_err(|_| Lost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{thread, time::Duration};
    use tokio::{runtime::Builder, sync::oneshot};

    /// A thread like a web server's, with a runtime of its own, and another one that has the tasks.
    fn on_two_runtimes<F: Future>(test: impl FnOnce(TaskTracker, Handle) -> F) -> F::Output {
        let others = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let own = Builder::new_current_thread().enable_all().build().unwrap();
        own.block_on(test(TaskTracker::new(), others.handle().clone()))
    }

    #[test]
    fn what_need_not_wait_ends_where_it_began() {
        on_two_runtimes(|tasks, runtime| async move {
            let seen =
                see_through(&tasks, &runtime, async { (thread::current().id(), Handle::current().id()) });
            assert_eq!(seen.await.unwrap(), (thread::current().id(), runtime.id()));
            assert!(tasks.is_empty());
            assert_ne!(Handle::current().id(), runtime.id());
        });
    }

    #[test]
    fn what_waits_goes_on_when_nobody_waits_for_it() {
        on_two_runtimes(|tasks, runtime| async move {
            let (go_on, may_go_on) = oneshot::channel();
            let (told, end) = oneshot::channel();
            let began = thread::current().id();
            let work = async move {
                assert_eq!(thread::current().id(), began);
                may_go_on.await.unwrap();
                tokio::time::sleep(Duration::from_millis(1)).await;
                told.send(thread::current().id()).unwrap();
            };
            {
                let mut seeing = Box::pin(see_through(&tasks, &runtime, work));
                assert!((&mut seeing).now_or_never().is_none());
            }
            assert_eq!(tasks.len(), 1);
            go_on.send(()).unwrap();
            assert_ne!(end.await.unwrap(), began);
            tasks.close();
            tasks.wait().await;
        });
    }

    #[test]
    fn the_tracker_knows_it_before_its_first_wait() {
        on_two_runtimes(|tasks, runtime| async move {
            let known = tasks.clone();
            assert_eq!(see_through(&tasks, &runtime, async move { known.len() }).await.unwrap(), 1);
        });
    }

    #[test]
    fn a_panic_is_no_panic_of_who_asked() {
        on_two_runtimes(|tasks, runtime| async move {
            let at_once = see_through(&tasks, &runtime, async { panic!("at once") });
            assert_eq!(at_once.await, Err::<(), _>(Lost));
            let later = see_through(&tasks, &runtime, async {
                tokio::task::yield_now().await;
                panic!("later")
            });
            assert_eq!(later.await, Err::<(), _>(Lost));
            assert!(tasks.is_empty());
        });
    }
}
