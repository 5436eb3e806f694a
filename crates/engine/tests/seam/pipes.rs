//! Agents behind pipes that misbehave.

use crate::world::World;
use domain::{TurnFailure, TurnStatus};
use engine::SessionDraft;
use sdk_runtime::{Error, Invocation, Launcher, Transport, testing::ScriptedLauncher};
use std::{sync::Arc, time::Duration};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader, DuplexStream},
    time::Instant,
};

/// How much lies in a pipe that nobody reads.
const PIPE_BYTES: usize = 16 * 1024;
/// How late an interrupt comes.
const LATE: Duration = Duration::from_secs(1);

/// What is wrong with the agent's stdin.
#[derive(Clone, Copy)]
enum Manner {
    /// It is not read after the handshake.
    Stuck,
    /// Interrupts are overtaken by what is written after them.
    LateInterrupts,
}

struct Piped(ScriptedLauncher, Manner);

impl Piped {
    fn world(launcher: &ScriptedLauncher, manner: Manner) -> World {
        World::started_by(launcher.clone(), Arc::new(Self(launcher.clone(), manner)), |_| {})
    }
}

#[async_trait::async_trait]
impl Launcher for Piped {
    async fn launch(&self, invocation: &Invocation) -> Result<Transport, Error> {
        let mut transport = self.0.launch(invocation).await?;
        let (near, far) = tokio::io::duplex(PIPE_BYTES);
        let to_agent = std::mem::replace(&mut transport.stdin, Box::new(near));
        spawn(relay(far, to_agent, self.1));
        Ok(transport)
    }
}

#[expect(clippy::disallowed_methods, reason = "ends with its test")]
fn spawn(task: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(task);
}

async fn relay(from_host: DuplexStream, mut to_agent: Box<dyn AsyncWrite + Send + Unpin>, manner: Manner) {
    let (out, mut outgoing) = tokio::sync::mpsc::unbounded_channel::<String>();
    spawn(async move {
        while let Some(line) = outgoing.recv().await {
            to_agent.write_all(format!("{line}\n").as_bytes()).await.unwrap();
        }
    });
    let mut lines = BufReader::new(from_host).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        match manner {
            Manner::LateInterrupts if line.contains("\"interrupt\"") => {
                let out = out.clone();
                spawn(async move {
                    tokio::time::sleep(LATE).await;
                    out.send(line).unwrap();
                });
            }
            Manner::LateInterrupts => out.send(line).unwrap(),
            Manner::Stuck => {
                out.send(line).unwrap();
                std::future::pending::<()>().await;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_does_not_even_read_its_prompt_is_stopped_in_time() {
    let world = Piped::world(&ScriptedLauncher::new(), Manner::Stuck);
    let session = world.session_of(SessionDraft { timeout_seconds: Some(7), ..Default::default() }).await;
    let begun = Instant::now();
    let turn = world.ask(session, &"x".repeat(100_000)).await;
    assert_eq!(turn.failure, Some(TurnFailure::AgentTimeout));
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    world.alive(0).await;
}

#[tokio::test(start_paused = true)]
async fn an_interrupt_that_comes_after_the_answer_does_not_hit_the_next_turn() {
    let launcher = ScriptedLauncher::new().on_prompt(|prompt, say| async move {
        let seconds = if prompt.text() == "long" { 5.0 } else { 0.5 };
        tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
        say.text("done");
    });
    let world = Piped::world(&launcher, Manner::LateInterrupts);
    let session = world.session().await;
    let started = world.ask_and_leave(session, "short").await;
    world.manager.interrupt(&world.caller, session).await.unwrap();
    assert_eq!(world.end(started).await.status, TurnStatus::Completed);
    assert_eq!(world.ask(session, "long").await.status, TurnStatus::Completed);
    assert_eq!(world.launcher.agents().len(), 1);
}
