//! The replayer: a launcher whose agents say what a recording says.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use tokio::sync::watch;

use super::{Recording, replay};
use crate::{
    error::{Error, Exit},
    launcher::{Haste, Invocation, Launcher, Life, Transport},
    task,
};

/// Size of the pipes, that of a real one.
const PIPE_BYTES: usize = 64 << 10;
/// How long to wait for what the host should say next.
const PATIENCE: Duration = Duration::from_secs(30);

/// Starts agents that replay a recording, each from its beginning and as fast as the host goes along.
///
/// What the host says is matched by kind: a prompt by a prompt, a control request by one of the same
/// subtype, an answer by the request it answers. Their contents are not compared; look at the events, or
/// at what your hooks and gates were asked. A control request that the recording does not have is answered
/// with an error. When the host does not say in time what comes next, the agent exits with code 1 and says
/// on stderr what it waited for.
#[derive(Debug, Clone)]
pub struct Replayer {
    recording: Arc<Recording>,
    patience: Duration,
}

impl Replayer {
    /// Agents that replay this.
    pub fn new(recording: Recording) -> Self {
        Self { recording: Arc::new(recording), patience: PATIENCE }
    }

    /// How long to wait for what the host should say next; 30 seconds unless told.
    #[must_use]
    pub fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }
}

#[async_trait]
impl Launcher for Replayer {
    async fn launch(&self, _invocation: &Invocation) -> Result<Transport, Error> {
        let (stdin, host_lines) = tokio::io::duplex(PIPE_BYTES);
        let (agent_lines, stdout) = tokio::io::duplex(PIPE_BYTES);
        let (haste, hastened) = watch::channel(None);
        let (ended, exit) = watch::channel(None);
        let recording = Arc::clone(&self.recording);
        let patience = self.patience;
        task::spawn(async move {
            let replay = replay::run(&recording, host_lines, agent_lines, patience);
            let exit = tokio::select! {
                exit = replay => exit,
                () = killed(hastened) => Exit { signal: Some(nix::libc::SIGKILL), ..Exit::default() },
            };
            ended.send_replace(Some(exit));
        });
        let life = ReplayedLife { haste, ended: exit };
        Ok(Transport { stdin: Box::new(stdin), stdout: Box::new(stdout), life: Box::new(life) })
    }
}

struct ReplayedLife {
    haste: watch::Sender<Option<Haste>>,
    ended: watch::Receiver<Option<Exit>>,
}

#[async_trait]
impl Life for ReplayedLife {
    fn pid(&self) -> Option<u32> {
        None
    }

    fn end(&self, haste: Haste) {
        self.haste.send_modify(|wanted| *wanted = (*wanted).max(Some(haste)));
    }

    async fn ended(&self) -> Exit {
        let mut ended = self.ended.clone();
        let exit = ended.wait_for(Option::is_some).await;
        exit.ok().and_then(|exit| exit.clone()).unwrap_or_default()
    }
}

impl Drop for ReplayedLife {
    fn drop(&mut self) {
        self.end(Haste::Now);
    }
}

/// A dropped life ends the agent too. A host that closes is only waited for: its lines end.
async fn killed(mut haste: watch::Receiver<Option<Haste>>) {
    let _ = haste.wait_for(|haste| *haste == Some(Haste::Now)).await;
}
