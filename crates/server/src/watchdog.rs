//! What ends this process when its runtime hangs.
//!
//! The lease is kept on a thread of its own, which waits for nobody else. Without this a server whose other threads hang
//! for good would keep its sessions from every other one until a person looks
//! (docs/decisions/0023-a-session-has-a-home.md). Whatever started the server starts it again.

use std::{future::pending, process::abort, thread, time::Duration};
use tokio::{
    runtime::Handle,
    time::{sleep, timeout},
};

const LOOK_EVERY: Duration = Duration::from_secs(10);
/// A runtime that has left a task alone for so many looks hangs: for a minute.
const MISSED_MAX: u32 = 6;
/// What is left for the log to be written.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Watches whether this runtime still runs tasks, from another one, and ends the process when it does not.
pub async fn watch(runtime: Handle) {
    hung(&runtime).await;
    // By a thread that may stay behind: the log can be what hangs.
    thread::spawn(|| tracing::error!("no task has run for a minute: this server hangs, and ends itself"));
    sleep(LAST_WORDS).await;
    abort();
}

/// Waits until the runtime hangs. Looks are counted and not the time: while the whole process is stopped, nobody misses
/// anything.
async fn hung(runtime: &Handle) {
    loop {
        let mut answer = runtime.spawn(async {});
        let mut missed = 0;
        loop {
            match timeout(LOOK_EVERY, &mut answer).await {
                Ok(Ok(())) => break,
                // It has been told to end.
                Ok(Err(_)) => pending().await,
                Err(_) => missed += 1,
            }
            if missed == MISSED_MAX {
                return;
            }
        }
        sleep(LOOK_EVERY).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        os::unix::process::ExitStatusExt,
        sync::mpsc::{Sender, channel},
    };
    use tokio::{
        runtime::{Builder, Runtime},
        time::{Instant, pause},
    };

    const HOUR: Duration = Duration::from_secs(3600);

    /// A runtime whose only worker waits until the sender is dropped.
    fn hanging() -> (Runtime, Sender<()>) {
        let runtime = Builder::new_multi_thread().worker_threads(1).build().unwrap();
        let ((go_on, stays), (hangs, is_hanging)) = (channel::<()>(), channel());
        runtime.spawn(async move {
            hangs.send(()).unwrap();
            stays.recv().unwrap_err();
        });
        is_hanging.recv().unwrap();
        (runtime, go_on)
    }

    fn on_another_runtime<T>(test: impl Future<Output = T>) -> T {
        Builder::new_current_thread().enable_all().build().unwrap().block_on(test)
    }

    #[test]
    fn a_runtime_that_runs_no_task_for_a_minute_hangs() {
        let (runtime, _go_on) = hanging();
        on_another_runtime(async {
            pause();
            let began = Instant::now();
            hung(runtime.handle()).await;
            assert_eq!(began.elapsed().as_secs(), 60);
        });
    }

    #[test]
    fn one_that_runs_them_does_not() {
        on_another_runtime(async {
            pause();
            assert!(timeout(HOUR, hung(&Handle::current())).await.is_err());
        });
    }

    #[test]
    fn one_that_goes_on_in_time_does_not() {
        let (runtime, go_on) = hanging();
        on_another_runtime(async {
            pause();
            let mut hung = Box::pin(hung(runtime.handle()));
            assert!(timeout(LOOK_EVERY * (MISSED_MAX - 1), &mut hung).await.is_err());
            drop(go_on);
            // In the time of the world, which the runtime is of.
            tokio::time::resume();
            assert!(timeout(Duration::from_millis(200), &mut hung).await.is_err());
        });
    }

    #[test]
    fn one_that_ends_does_not() {
        let (runtime, go_on) = hanging();
        let handle = runtime.handle().clone();
        drop(go_on);
        drop(runtime);
        on_another_runtime(async {
            pause();
            assert!(timeout(HOUR, hung(&handle)).await.is_err());
        });
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "it is a process of its own that ends")]
    fn a_server_that_hangs_ends() {
        const HANGS: &str = "STEWARD_TEST_HANGS";
        if std::env::var(HANGS).is_ok() {
            let (runtime, _go_on) = hanging();
            return on_another_runtime(async {
                pause();
                watch(runtime.handle().clone()).await;
            });
        }
        let name = "watchdog::tests::a_server_that_hangs_ends";
        let mut again = std::process::Command::new(std::env::current_exe().unwrap());
        let output = again.args(["--exact", name, "--nocapture"]).env(HANGS, "1").output().unwrap();
        assert_eq!(output.status.signal(), Some(nix::libc::SIGABRT), "{output:?}");
    }
}
