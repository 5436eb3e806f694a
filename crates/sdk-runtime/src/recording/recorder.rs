//! The recorder: a launcher around a launcher that writes down what is said.

use std::{
    fmt,
    fs::{self, File},
    io::{self, Write},
    path::PathBuf,
    sync::Arc,
    time::Instant,
};

use async_trait::async_trait;
use serde_json::Value;

use super::{
    Direction,
    redaction::Redaction,
    scribe::{Notebook, Scribe},
    tee::{TeeLife, TeeReader, TeeWriter},
};
use crate::{
    error::Error,
    launcher::{Invocation, Launcher, Transport},
};

type Sink = dyn Fn(&Invocation) -> io::Result<Box<dyn Write + Send>> + Send + Sync;
type Redact = dyn Fn(Direction, &mut Value) + Send + Sync;

/// Records the agents of another launcher. It never disturbs a conversation: when the recording cannot be
/// written, the conversation goes on and `finished` says so.
///
/// Left out, as `(redacted)`: values of variables of the agent's environment whose names speak of keys,
/// tokens, secrets or passwords, wherever they occur; everything under `env` and `headers` in control
/// requests of the host; the values of `--mcp-config`, `--settings` and `--managed-settings`. For anything
/// else there is `with_redaction`.
pub struct Recorder {
    launcher: Arc<dyn Launcher>,
    sink: Box<Sink>,
    redact: Option<Arc<Redact>>,
    notebook: Notebook,
}

impl Recorder {
    /// Writes a file `<time>-<id>.jsonl` per agent into this folder, which is created. The time is Unix time
    /// in milliseconds.
    pub fn to_folder(launcher: impl Launcher + 'static, folder: impl Into<PathBuf>) -> io::Result<Self> {
        let folder = folder.into();
        fs::create_dir_all(&folder)?;
        Ok(Self::to_sink(launcher, move |invocation| {
            let time = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
            let millis = time.unwrap_or_default().as_millis();
            let file = folder.join(format!("{millis}-{}.jsonl", invocation.agent_marker));
            Ok(Box::new(io::BufWriter::new(File::create_new(file)?)))
        }))
    }

    /// Writes where `sink` says; it is called once per agent.
    pub fn to_sink(
        launcher: impl Launcher + 'static,
        sink: impl Fn(&Invocation) -> io::Result<Box<dyn Write + Send>> + Send + Sync + 'static,
    ) -> Self {
        Self {
            launcher: Arc::new(launcher),
            sink: Box::new(sink),
            redact: None,
            notebook: Notebook::default(),
        }
    }

    /// Changes what is recorded, beyond what is left out by itself. It is called with each message, or with
    /// a text for a line that is not JSON, on the thread that writes.
    #[must_use]
    pub fn with_redaction(mut self, redact: impl Fn(Direction, &mut Value) + Send + Sync + 'static) -> Self {
        self.redact = Some(Arc::new(redact));
        self
    }

    /// Waits until everything said by agents that have ended is written; an agent that runs is waited for.
    /// The error is the first there was. Cancel safe.
    pub async fn finished(&self) -> io::Result<()> {
        self.notebook.finished().await
    }
}

#[async_trait]
impl Launcher for Recorder {
    async fn launch(&self, invocation: &Invocation) -> Result<Transport, Error> {
        let started = Instant::now();
        let transport = self.launcher.launch(invocation).await?;
        let redaction = Redaction::new(invocation, self.redact.clone());
        let Some(scribe) = Scribe::start(&self.notebook, (self.sink)(invocation), redaction, started) else {
            return Ok(transport);
        };
        scribe.start_of(invocation);
        let line_bytes_max = invocation.limits.line_bytes_max;
        Ok(Transport {
            stdin: Box::new(TeeWriter::new(transport.stdin, scribe.clone(), line_bytes_max)),
            stdout: Box::new(TeeReader::new(transport.stdout, scribe.clone(), line_bytes_max)),
            life: Box::new(TeeLife::new(transport.life, scribe)),
        })
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").field("notebook", &self.notebook).finish_non_exhaustive()
    }
}
