//! The supervisor of one agent's process: ends it step by step, and sees to it that nothing survives.

use std::{
    process::ExitStatus,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::{
    process::Child,
    sync::watch,
    task::JoinHandle,
    time::{sleep, timeout},
};

use super::{
    AGENT_MARKER,
    contained::{self, Inside},
    paced_pipe::PacedPipe,
    stderr::Tail,
    sweep::{self, Known, Mark},
    tally::{self, Tree},
};
use crate::{
    containment::{Exceeded, ProcessLimits},
    error::{Error, Exit},
    launcher::{Haste, Invocation, Life, Transport},
    limits::Limits,
    task,
};

/// Wait for a killed process to be gone. The kernel may hold it back, but not for long.
const REAP_TIMEOUT: Duration = Duration::from_secs(5);
/// Wait for the last of stderr once the process and its descendants are gone.
const STDERR_TIMEOUT: Duration = Duration::from_secs(1);

/// The handle side.
struct Process {
    pid: Option<u32>,
    haste: watch::Sender<Option<Haste>>,
    is_cpu_time_restarted: Arc<AtomicBool>,
    ended: watch::Receiver<Option<Exit>>,
}

/// The task side. Its drop kills, because a task also ends when its runtime does.
struct Supervisor {
    child: Child,
    mark: Mark,
    known: Known,
    limits: Limits,
    sums: ProcessLimits,
    is_cpu_time_restarted: Arc<AtomicBool>,
    /// What there is of a jail: whom to signal, and the bridge into it.
    inside: Inside,
    exceeded: Option<Exceeded>,
    is_done: bool,
}

/// Takes charge of a started process.
pub(super) async fn supervise(
    mut child: Child,
    invocation: &Invocation,
    prepared: Inside,
) -> Result<Transport, Error> {
    let missing = || Error::Spawn {
        program: invocation.program.clone(),
        source: Arc::new(std::io::ErrorKind::BrokenPipe.into()),
    };
    let pid = child.id();
    let stdin = child.stdin.take().ok_or_else(missing)?;
    let stdout = child.stdout.take().ok_or_else(missing)?;
    let stdout = PacedPipe::new(stdout)
        .map_err(|source| Error::Spawn { program: invocation.program.clone(), source: Arc::new(source) })?;
    let stderr = child.stderr.take().ok_or_else(missing)?;
    let tail = Tail::new(invocation.limits.stderr_bytes_max, invocation.on_stderr.clone());
    let drained = task::spawn(tail.clone().drain(stderr));
    let mark = Mark::new(AGENT_MARKER, &invocation.agent_marker.to_string());
    let (haste, wanted) = watch::channel(None);
    let (ended, exit) = watch::channel(None);
    let is_cpu_time_restarted = Arc::<AtomicBool>::default();
    // From here on, whatever goes wrong and whoever gives up, its drop cleans up.
    let mut supervisor = Supervisor {
        child,
        mark,
        known: Known::default(),
        limits: invocation.limits.clone(),
        sums: invocation.containment.limits.clone(),
        is_cpu_time_restarted: Arc::clone(&is_cpu_time_restarted),
        inside: Inside::default(),
        exceeded: None,
        is_done: false,
    };
    if let Some(jail) = &invocation.containment.jail {
        let (child, mark) = (&supervisor.child, &supervisor.mark);
        supervisor.inside = contained::enter(prepared, child, jail, mark, &mut supervisor.known).await?;
    }
    task::spawn(async move {
        let exit = supervisor.run(wanted, tail, drained).await;
        ended.send_replace(Some(exit));
    });
    Ok(Transport {
        stdin: Box::new(stdin),
        stdout: Box::new(stdout),
        life: Box::new(Process { pid, haste, is_cpu_time_restarted, ended: exit }),
    })
}

#[async_trait]
impl Life for Process {
    fn pid(&self) -> Option<u32> {
        self.pid
    }

    fn end(&self, haste: Haste) {
        self.haste.send_if_modified(|wanted| {
            let is_hastier = wanted.is_none_or(|wanted| wanted < haste);
            if is_hastier {
                *wanted = Some(haste);
            }
            is_hastier
        });
    }

    fn restart_cpu_time(&self) {
        self.is_cpu_time_restarted.store(true, Ordering::Relaxed);
    }

    async fn ended(&self) -> Exit {
        let mut ended = self.ended.clone();
        let exit = ended.wait_for(Option::is_some).await;
        // Without a value the supervisor went down with its runtime, and killed on its way.
        exit.ok().and_then(|exit| exit.clone()).unwrap_or_default()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end(Haste::Now);
    }
}

impl Supervisor {
    async fn run(
        mut self,
        wanted: watch::Receiver<Option<Haste>>,
        stderr: Tail,
        mut drained: JoinHandle<()>,
    ) -> Exit {
        let status = self.ladder(wanted).await;
        let swept = self.sweep().await;
        self.is_done = true;
        if timeout(STDERR_TIMEOUT, &mut drained).await.is_err() {
            // Somebody out of reach holds the pipe open.
            drained.abort();
        }
        Exit {
            code: status.and_then(|status| status.code()),
            signal: status.and_then(|status| signal_of(&status)),
            stderr_tail: stderr.text(),
            swept,
            exceeded: self.exceeded,
        }
    }

    /// Waits for the end, helping along once it is wanted.
    async fn ladder(&mut self, mut wanted: watch::Receiver<Option<Haste>>) -> Option<ExitStatus> {
        let tree = Tree { mark: &self.mark, pid: self.child.id() };
        let haste = tokio::select! {
            status = self.child.wait() => return status.ok(),
            haste = wait_for(&mut wanted, Haste::AfterGrace) => haste,
            exceeded = tally::exceeded(&self.sums, tree, &self.is_cpu_time_restarted, &mut self.known) => {
                tracing::warn!(%exceeded, "an agent is killed for what it uses");
                self.exceeded = Some(exceeded);
                Haste::Now
            }
        };
        if haste == Haste::AfterGrace {
            self.remember_descendants().await;
            let rungs = [(None, self.limits.close_grace), (Some(Signal::SIGTERM), self.limits.term_grace)];
            for (signal, grace) in rungs {
                if let Some(signal) = signal {
                    self.remember_descendants().await;
                    self.inside.signal(signal).unwrap_or_else(|| self.signal(signal));
                }
                tokio::select! {
                    status = self.child.wait() => return status.ok(),
                    () = sleep(grace) => {}
                    _ = wait_for(&mut wanted, Haste::Now) => break,
                }
            }
        }
        self.remember_descendants().await;
        self.signal(Signal::SIGKILL);
        let status = timeout(REAP_TIMEOUT, self.child.wait()).await;
        status.ok()?.ok()
    }

    /// Looks who descends from the agent while the line of parents is still whole.
    async fn remember_descendants(&mut self) {
        let Some(pid) = self.child.id() else {
            return;
        };
        // Who is known stays known, should this look fail.
        let (mark, mut known) = (self.mark.clone(), self.known.clone());
        let looked =
            tokio::task::spawn_blocking(move || sweep::remember(&mark, pid, &mut known).map(|()| known));
        match looked.await {
            Ok(Ok(known)) => self.known = known,
            Ok(Err(error)) => tracing::warn!(%error, "the process table could not be read"),
            Err(_) => tracing::warn!("looking through the process table was cut short"),
        }
    }

    async fn sweep(&mut self) -> usize {
        let (mark, bound) = (self.mark.clone(), self.limits.sweep_timeout);
        // The drop sweeps as well, should the runtime end meanwhile.
        let mut known = self.known.clone();
        let swept = tokio::task::spawn_blocking(move || sweep::sweep(&mark, &mut known, bound));
        match swept.await {
            Ok(Ok(swept)) => swept,
            Ok(Err(error)) => {
                tracing::error!(%error, "processes of an agent may be left");
                0
            }
            Err(_) => {
                tracing::error!("the sweep was cut short, so processes of an agent may be left");
                0
            }
        }
    }

    /// The pid is safe to signal: it stays taken until the child is waited for.
    fn signal(&self, signal: Signal) {
        let pid = self.child.id().and_then(|pid| i32::try_from(pid).ok());
        if let Some(pid) = pid
            && let Err(error) = kill(Pid::from_raw(pid), signal)
        {
            tracing::debug!(%error, "the agent was gone before the signal");
        }
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        if self.is_done {
            return;
        }
        if let Some(pid) = self.child.id()
            && let Err(error) = sweep::remember(&self.mark, pid, &mut self.known)
        {
            tracing::warn!(%error, "the process table could not be read");
        }
        self.signal(Signal::SIGKILL);
        if let Err(error) = sweep::sweep(&self.mark, &mut self.known, self.limits.sweep_timeout) {
            tracing::error!(%error, "processes of an agent may be left");
        }
        // Reaps it, if the kernel is done with it; else the runtime's orphan queue does.
        let _ = self.child.try_wait();
    }
}

/// Waits until at least this haste is wanted. A handle that is gone wants it now.
async fn wait_for(wanted: &mut watch::Receiver<Option<Haste>>, least: Haste) -> Haste {
    let haste = wanted.wait_for(|haste| haste.is_some_and(|haste| haste >= least));
    match haste.await {
        Ok(haste) => haste.unwrap_or(Haste::Now),
        Err(_) => Haste::Now,
    }
}

fn signal_of(status: &ExitStatus) -> Option<i32> {
    std::os::unix::process::ExitStatusExt::signal(status)
}
