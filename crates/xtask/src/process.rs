//! Processes of ours: their lines, their end, and that none is left behind.

use std::{
    io::{BufRead, BufReader, Read},
    os::unix::process::CommandExt,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc::{Receiver, RecvTimeoutError, channel},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// Longer than the server takes to end by itself, so that agents are not left without it.
const STOP_TIMEOUT: Duration = Duration::from_secs(60);

/// How often the person has asked to stop, by Ctrl-C or a signal.
#[derive(Debug, Clone, Default)]
pub(crate) struct Interrupts(Arc<AtomicUsize>);

/// A process that ends with this value.
#[derive(Debug)]
pub(crate) struct Process {
    name: &'static str,
    child: Child,
    lines: Receiver<String>,
    interrupts: Interrupts,
}

impl Interrupts {
    /// Counts signals from now on instead of ending at the first.
    pub(crate) fn catch() -> Result<Self> {
        let interrupts = Self::default();
        let counted = interrupts.clone();
        ctrlc::set_handler(move || {
            counted.0.fetch_add(1, Ordering::SeqCst);
        })
        .context("failed to listen for Ctrl-C")?;
        Ok(interrupts)
    }

    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Process {
    /// Starts it in a process group of its own: Ctrl-C in the terminal reaches this tool only, which ends it in order.
    pub(crate) fn start(name: &'static str, command: &mut Command, interrupts: &Interrupts) -> Result<Self> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .with_context(|| format!("failed to start {name}"))?;
        let output = child.stdout.take().context("its output is piped")?;
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Ok(Self { name, child, lines, interrupts: interrupts.clone() })
    }

    /// The next line of its output, or `None` when there is none yet.
    pub(crate) fn next_line(&mut self) -> Option<String> {
        match self.lines.recv_timeout(POLL_INTERVAL) {
            Ok(line) => Some(line),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => {
                thread::sleep(POLL_INTERVAL);
                None
            }
        }
    }

    /// Waits for a line that begins so, and gives what follows.
    pub(crate) fn wait_for_line(&mut self, start: &str, timeout: Duration) -> Result<String> {
        let deadline = Instant::now() + timeout;
        while Instant::now() < deadline {
            if let Some(line) = self.next_line() {
                if let Some(rest) = line.strip_prefix(start) {
                    return Ok(rest.trim().to_owned());
                }
            } else {
                self.check_running()?;
            }
        }
        bail!("{} has not said {start} within {} s", self.name, timeout.as_secs())
    }

    /// Fails when it has ended or the person wants to stop.
    pub(crate) fn check_running(&mut self) -> Result<()> {
        if self.interrupts.count() > 0 {
            bail!("stopped");
        }
        match self.end()? {
            Some(status) => bail!("{} ended by itself: {status}", self.name),
            None => Ok(()),
        }
    }

    /// How it ended, if it has.
    pub(crate) fn end(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().with_context(|| format!("failed to look after {}", self.name))
    }

    /// Asks it to end and waits; asks again when the person does, which a server takes as a request to hurry.
    pub(crate) fn stop(&mut self) -> Result<ExitStatus> {
        let mut seen = self.interrupts.count();
        let deadline = Instant::now() + STOP_TIMEOUT;
        self.signal(Signal::SIGTERM)?;
        while Instant::now() < deadline {
            if let Some(status) = self.end()? {
                return Ok(status);
            }
            thread::sleep(POLL_INTERVAL);
            if self.interrupts.count() > seen {
                seen = self.interrupts.count();
                self.signal(Signal::SIGTERM)?;
            }
        }
        self.child.kill()?;
        Ok(self.child.wait()?)
    }

    /// Only while it has not been waited for: its id may belong to another process afterwards.
    fn signal(&mut self, signal: Signal) -> Result<()> {
        if self.end()?.is_none() {
            let pid = i32::try_from(self.child.id()).context("a process id fits")?;
            kill(Pid::from_raw(pid), signal).with_context(|| format!("failed to end {}", self.name))?;
        }
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Err(error) = self.stop() {
            eprintln!("xtask: {error:#}");
        }
    }
}

/// Runs a command that says something short, and gives what it said.
pub(crate) fn output_within(command: &mut Command, timeout: Duration) -> Result<String> {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let deadline = Instant::now() + timeout;
    loop {
        if let Some(status) = child.try_wait()? {
            if !status.success() {
                bail!("it ended with {status}");
            }
            let mut text = String::new();
            child.stdout.take().context("its output is piped")?.read_to_string(&mut text)?;
            return Ok(text.trim().to_owned());
        }
        if Instant::now() >= deadline {
            child.kill()?;
            child.wait()?;
            bail!("it has not ended within {} s", timeout.as_secs());
        }
        thread::sleep(POLL_INTERVAL);
    }
}
