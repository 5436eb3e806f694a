//! The link: what every handle of one agent shares.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use serde_json::Value;
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::timeout,
};
use tracing::Instrument as _;
use uuid::Uuid;

use crate::{
    driver::Command,
    error::{Error, Said},
    launcher::{Haste, Life},
    limits::Limits,
    protocol::{Refusal, Ticket},
    store::MirrorFlush,
    telemetry::Timed,
    writer::{Room, Rooms},
};

/// Wait for the last words of an agent that no longer takes lines. It is longer than the close ladder.
const GONE_MARGIN: Duration = Duration::from_secs(10);

pub(crate) struct Link {
    pub(crate) life: Arc<dyn Life>,
    pub(crate) limits: Limits,
    /// The agent's mark, by which records name it.
    pub(crate) agent: Uuid,
    /// Unbounded in type; every command that writes holds room for its line, which bounds them.
    commands: mpsc::UnboundedSender<Command>,
    rooms: Rooms,
    said: watch::Receiver<Option<Arc<Said>>>,
    ticket_next: AtomicU64,
    /// Present when the agent is mirrored to a store.
    pub(crate) flush: Option<MirrorFlush>,
}

impl Link {
    pub(crate) fn new(
        life: Arc<dyn Life>,
        commands: mpsc::UnboundedSender<Command>,
        rooms: Rooms,
        said: watch::Receiver<Option<Arc<Said>>>,
        limits: Limits,
        agent: Uuid,
        flush: Option<MirrorFlush>,
    ) -> Self {
        Self { life, limits, agent, commands, rooms, said, ticket_next: AtomicU64::new(1), flush }
    }

    /// Waits for room for one line.
    pub(crate) async fn room(&self) -> Result<Room, Error> {
        match self.rooms.room().await {
            Some(room) => Ok(room),
            None => Err(self.gone().await),
        }
    }

    /// A driver that is gone drops the command, which its sender notices by the dropped answer.
    pub(crate) fn command(&self, command: Command) {
        let _ = self.commands.send(command);
    }

    pub(crate) async fn control(&self, subtype: &str, body: Value, waited: Duration) -> Result<Value, Error> {
        let timed = Timed::control(self.agent, subtype);
        let answer = self.answer_to(subtype, body, waited).instrument(timed.span()).await;
        timed.end(answer.as_ref().err().map_or("answered", Error::name));
        answer
    }

    async fn answer_to(&self, subtype: &str, body: Value, waited: Duration) -> Result<Value, Error> {
        let asked = async {
            let room = self.room().await?;
            let ticket = Ticket(self.ticket_next.fetch_add(1, Ordering::Relaxed));
            let (answer, answered) = oneshot::channel();
            let abandon = Abandon { link: self, ticket };
            self.command(Command::Control { ticket, subtype: subtype.to_owned(), body, room, answer });
            let answer = answered.await;
            drop(abandon);
            match answer {
                Ok(Ok(payload)) => Ok(payload),
                Ok(Err(Refusal::Said { code, message })) => Err(refused(subtype, code, message)),
                Ok(Err(Refusal::Ended)) | Err(_) => Err(self.gone().await),
            }
        };
        match timeout(waited, asked).await {
            Ok(answer) => answer,
            Err(_) => Err(Error::ControlTimeout { subtype: subtype.to_owned(), waited }),
        }
    }

    /// The error for something that came to nothing because the agent goes or is gone.
    pub(crate) async fn gone(&self) -> Error {
        let limits = &self.limits;
        let waits = [limits.close_grace, limits.term_grace, limits.sweep_timeout];
        let ladder = waits.into_iter().fold(GONE_MARGIN, Duration::saturating_add);
        let mut said = self.said.clone();
        let said = timeout(ladder, said.wait_for(Option::is_some)).await;
        match said.map(|said| said.map(|said| said.clone())) {
            Ok(Ok(Some(said))) => Error::Exited { said },
            Ok(Ok(None) | Err(_)) | Err(_) => Error::Closed,
        }
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.said.borrow().is_some()
    }

    /// Has a value once the agent is gone.
    pub(crate) fn said(&self) -> watch::Receiver<Option<Arc<Said>>> {
        self.said.clone()
    }

    /// Waits for the end of the agent, which somebody else brings about.
    pub(crate) async fn last_words(&self) -> Arc<Said> {
        let mut said = self.said.clone();
        let said = said.wait_for(Option::is_some).await;
        // No words are left when the driver went down with its runtime.
        said.ok().and_then(|said| said.clone()).unwrap_or_default()
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.life.end(Haste::Now);
    }
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").field("pid", &self.life.pid()).finish_non_exhaustive()
    }
}

fn refused(subtype: &str, code: Option<String>, message: String) -> Error {
    match code.as_deref() {
        Some("unsupported_request") => Error::Unsupported { subtype: subtype.to_owned(), message },
        Some(_) | None => Error::Control { code, message },
    }
}

/// Forgets a control request whose sender no longer waits.
struct Abandon<'a> {
    link: &'a Link,
    ticket: Ticket,
}

impl Drop for Abandon<'_> {
    fn drop(&mut self) {
        self.link.command(Command::Abandon(self.ticket));
    }
}
