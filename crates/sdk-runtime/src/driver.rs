//! The driver: one task per agent that moves bytes, commands and answers through the state machine. It
//! never waits for the host to read or for the agent to be written to, so control traffic always flows.

use std::{
    collections::HashMap,
    future::{self, Future},
    pin::Pin,
    sync::Arc,
};

use futures::FutureExt as _;
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    sync::{mpsc, oneshot, watch},
    task::AbortHandle,
    time::{Instant, sleep_until},
};
use uuid::Uuid;

use crate::{
    clock,
    error::{Exit, Said},
    event::{Event, EventQueue},
    frame::Frame,
    framing::{LineSplitter, Piece},
    launcher::{Haste, Life},
    lazy::StreamEventLine,
    limits::Limits,
    mcp::Sessions,
    prompt::Prompt,
    protocol::{Answer, Output, PromptRefusal, Protocol, Refusal, Request, RequestKind, Ticket},
    seams::Seams,
    store::{Materialized, Mirror, MirrorLoss, Report},
    task, telemetry,
    wire::{self, Head, SkipReason},
    writer::{Room, Writer},
};

/// Bytes taken from the agent's stdout at a time.
const READ_BYTES: usize = 64 << 10;

/// What the handles of an agent ask of its driver.
#[derive(Debug)]
pub(crate) enum Command {
    /// Send a prompt.
    Prompt {
        id: Uuid,
        prompt: Box<Prompt>,
        room: Room,
        /// Told when the line is written, or why it is not.
        sent: oneshot::Sender<Result<oneshot::Receiver<()>, PromptRefusal>>,
    },
    /// Send a control request.
    Control {
        ticket: Ticket,
        subtype: String,
        body: Value,
        room: Room,
        answer: oneshot::Sender<Result<Value, Refusal>>,
    },
    /// Stop waiting for this control request.
    Abandon(Ticket),
    /// A seam answered.
    Answer { request_id: String, answer: Answer, room: Room },
    /// Refuse a request with this frame.
    Refuse { frame: Value, room: Room },
    /// From now on these answer the agent. What is already being asked is answered by those before.
    Reseat(Seams),
    /// An in-process MCP server speaks to the agent.
    #[cfg(feature = "mcp")]
    McpMessage { server_name: String, message: Value, room: Room },
    /// Write what is queued, then close stdin.
    CloseStdin,
}

/// What the driver is built from.
pub(crate) struct Parts {
    pub(crate) stdout: Box<dyn AsyncRead + Send + Unpin>,
    pub(crate) life: Arc<dyn Life>,
    pub(crate) commands: mpsc::UnboundedReceiver<Command>,
    /// For the tasks that bring the seams' answers back.
    pub(crate) commands_back: mpsc::WeakUnboundedSender<Command>,
    pub(crate) writer: Writer,
    pub(crate) events: EventQueue,
    pub(crate) seams: Seams,
    pub(crate) mcp: Arc<Sessions>,
    /// The agent's mark, by which records name it.
    pub(crate) agent: Uuid,
    pub(crate) said: watch::Sender<Option<Arc<Said>>>,
    pub(crate) limits: Limits,
    pub(crate) mirror: Option<Mirror>,
    /// The folder the agent runs in, when it resumed from a store; removed after it.
    pub(crate) materialized: Option<Materialized>,
}

pub(crate) struct Driver {
    protocol: Protocol,
    splitter: LineSplitter,
    answers: HashMap<Ticket, oneshot::Sender<Result<Value, Refusal>>>,
    asking: HashMap<String, AbortHandle>,
    seams: Arc<Seams>,
    mcp: Arc<Sessions>,
    agent: Uuid,
    mirror: Option<Mirror>,
    events: EventQueue,
    writer: Writer,
    commands_back: mpsc::WeakUnboundedSender<Command>,
}

/// Runs until the agent is gone and everything it said is told.
pub(crate) async fn run(parts: Parts) {
    let Parts {
        mut stdout,
        life,
        mut commands,
        commands_back,
        writer,
        events,
        seams,
        mcp,
        agent,
        said,
        limits,
        mirror,
        materialized,
    } = parts;
    let mut driver = Driver {
        protocol: Protocol::new(&limits),
        splitter: LineSplitter::new(limits.line_bytes_max),
        answers: HashMap::new(),
        asking: HashMap::new(),
        seams: Arc::new(seams),
        mcp,
        agent,
        mirror,
        events,
        writer,
        commands_back,
    };
    let mut ended: Pin<Box<dyn Future<Output = Exit> + Send>> = Box::pin({
        let life = Arc::clone(&life);
        async move { life.ended().await }
    });
    let mut exit: Option<Exit> = None;
    let mut drained_by = Instant::now();
    let mut is_reading = true;
    let mut chunk = Vec::with_capacity(READ_BYTES);
    loop {
        driver.events.flush();
        if let Some(exit) = exit.take_if(|_| !is_reading) {
            driver.end_mirror().await;
            if let Some(materialized) = materialized {
                materialized.remove().await;
            }
            driver.end(exit, &said);
            return;
        }
        tokio::select! {
            Some(command) = commands.recv() => driver.command(command),
            read = stdout.read_buf(&mut chunk), if is_reading => {
                match read {
                    Ok(0) | Err(_) => {
                        is_reading = false;
                        driver.last_line();
                        // An agent that closed its stdout has nothing left to say.
                        driver.writer.close();
                        life.end(Haste::AfterGrace);
                    }
                    Ok(_) => driver.read(&chunk),
                }
                chunk.clear();
            }
            // The writer stops when it is told to, which is the end anyway, or when the agent has closed its
            // stdin: then it can be asked nothing and answered nothing, and its tools would wait for ever.
            () = driver.writer.run(), if driver.writer.has_work() => life.end(Haste::AfterGrace),
            Some(loss) = next_loss(&mut driver.mirror) => driver.lost(loss),
            status = &mut ended, if exit.is_none() => {
                drained_by = clock::from_now(limits.drain_timeout);
                exit = Some(status);
            }
            () = sleep_until(drained_by), if exit.is_some() => is_reading = false,
        }
    }
}

impl Driver {
    fn command(&mut self, command: Command) {
        match command {
            Command::Prompt { id, prompt, room, sent } => {
                let agent = self.agent;
                let outcome = self.protocol.prompt(id, *prompt).map(|frame| {
                    telemetry::prompt(agent, id);
                    let (written, done) = oneshot::channel();
                    self.writer.write(wire::write_line(&frame), room, Some(written));
                    done
                });
                // A host that stopped waiting finds the prompt in the events.
                let _ = sent.send(outcome);
            }
            Command::Control { ticket, subtype, body, room, answer } => {
                self.answers.insert(ticket, answer);
                if let Some(frame) = self.protocol.control(ticket, &subtype, body) {
                    self.write(&frame, room);
                }
            }
            Command::Abandon(ticket) => {
                self.protocol.abandon(ticket);
                self.answers.remove(&ticket);
            }
            Command::Answer { request_id, answer, room } => {
                self.asking.remove(&request_id);
                self.answer(&request_id, answer, room);
            }
            Command::Refuse { frame, room } => self.write(&frame, room),
            Command::Reseat(seams) => self.seams = Arc::new(seams),
            #[cfg(feature = "mcp")]
            Command::McpMessage { server_name, message, room } => {
                if let Some(frame) = self.protocol.mcp_message(&server_name, message) {
                    self.write(&frame, room);
                }
            }
            Command::CloseStdin => self.writer.close(),
        }
        self.act(0);
    }

    fn read(&mut self, chunk: &[u8]) {
        let mut splitter = std::mem::replace(&mut self.splitter, LineSplitter::new(0));
        splitter.push(chunk, |piece| self.piece(&piece));
        self.splitter = splitter;
    }

    fn last_line(&mut self) {
        let mut splitter = std::mem::replace(&mut self.splitter, LineSplitter::new(0));
        splitter.end(|piece| self.piece(&piece));
    }

    fn piece(&mut self, piece: &Piece<'_>) {
        let bytes = match piece {
            Piece::Line(line) => {
                // Most lines are pieces of answers: they are checked here and read where they are looked at.
                if let Some(StreamEventLine { parent_tool_use_id, raw }) = StreamEventLine::read(line) {
                    self.protocol.report(Frame::StreamEvent { parent_tool_use_id, raw });
                } else if self.mirror.is_some()
                    && let Some(report) = Report::read(line)
                {
                    self.mirrored(report, line.len());
                } else {
                    match wire::read_line(line) {
                        Ok(frame) => self.frame(frame, line.len()),
                        Err(reason) => self.protocol.skipped(reason, line.len() as u64, &Head::read(line)),
                    }
                }
                line.len()
            }
            Piece::Oversized { head, bytes } => {
                self.protocol.skipped(SkipReason::Oversized, *bytes, &Head::read(head));
                0
            }
        };
        self.act(bytes);
    }

    /// Transcript lines for the store are peeled off here; the host hears of what it said itself.
    fn frame(&mut self, frame: Value, bytes: usize) {
        let Some(mirror) = &mut self.mirror else {
            return self.protocol.frame(frame);
        };
        if frame["type"] == "transcript_mirror" {
            return self.mirrored(Report::of(&frame), bytes);
        }
        mirror.saw(&frame);
        if frame["type"] == "result" {
            mirror.turn_ended();
        }
        self.protocol.frame(frame);
    }

    fn mirrored(&mut self, report: Report, bytes: usize) {
        if let Some(loss) = self.mirror.as_mut().and_then(|mirror| mirror.put(report, bytes)) {
            self.lost(loss);
        }
    }

    fn lost(&mut self, loss: MirrorLoss) {
        self.events.put(Event::MirrorFailed(Box::new(loss)), 0);
    }

    /// What was heard is stored before anybody is told that the agent is gone.
    async fn end_mirror(&mut self) {
        if let Some(mirror) = self.mirror.take() {
            for loss in mirror.close().await {
                self.lost(loss);
            }
        }
    }

    /// Does what the state machine wants done; `bytes` is the length of the line that led to it.
    fn act(&mut self, bytes: usize) {
        for output in self.protocol.take_outputs() {
            match output {
                Output::Deliver(event) => {
                    telemetry::event(self.agent, &event);
                    self.events.put(event, bytes);
                }
                Output::Dispatch(request) => self.ask(*request),
                Output::Abort { request_id } => {
                    if let Some(asking) = self.asking.remove(&request_id) {
                        asking.abort();
                    }
                }
                Output::Refuse(frame) => self.refuse(frame),
                Output::Settle { ticket, answer } => {
                    if let Some(waiting) = self.answers.remove(&ticket) {
                        // Whoever asked may have stopped waiting.
                        let _ = waiting.send(answer);
                    }
                }
            }
        }
    }

    fn ask(&mut self, request: Request) {
        let Request { request_id, kind } = request;
        // Begun here, in the order of the wire. Most hosts know the answer at once, and the agent waits for it: it goes
        // out without a detour. What has to be waited for is waited for elsewhere.
        // MCP servers have an order of their own, of calls and what is said about them.
        let is_mcp = matches!(kind, RequestKind::McpMessage { .. });
        let mut answer = Arc::clone(&self.seams).answer(kind, &self.mcp);
        let ready = if is_mcp { None } else { (&mut answer).now_or_never() };
        let rooms = self.writer.rooms().clone();
        let answer = match ready {
            None => answer,
            Some(answer) => match rooms.room_now() {
                Some(room) => return self.answer(&request_id, answer, room),
                // The agent does not read.
                None => future::ready(answer).boxed(),
            },
        };
        let commands = self.commands_back.clone();
        let asking = task::spawn({
            let request_id = request_id.clone();
            async move {
                let answer = answer.await;
                if let (Some(room), Some(commands)) = (rooms.room().await, commands.upgrade()) {
                    // A driver that is gone has no use for the answer.
                    let _ = commands.send(Command::Answer { request_id, answer, room });
                }
            }
        });
        self.asking.insert(request_id, asking.abort_handle());
    }

    /// Refuses a request that nobody was asked about.
    fn refuse(&mut self, frame: Value) {
        let rooms = self.writer.rooms().clone();
        if let Some(room) = rooms.room_now() {
            return self.write(&frame, room);
        }
        let commands = self.commands_back.clone();
        task::spawn(async move {
            // A writer or a driver that has ended needs no answer any more.
            if let (Some(room), Some(commands)) = (rooms.room().await, commands.upgrade()) {
                let _ = commands.send(Command::Refuse { frame, room });
            }
        });
    }

    fn answer(&mut self, request_id: &str, answer: Answer, room: Room) {
        if let Some(frame) = self.protocol.answer(request_id, answer) {
            self.write(&frame, room);
        }
    }

    fn write(&mut self, frame: &Value, room: Room) {
        self.writer.write(wire::write_line(frame), room, None);
    }

    fn end(&mut self, exit: Exit, said: &watch::Sender<Option<Arc<Said>>>) {
        let last = self.protocol.ended(exit);
        said.send_replace(Some(last));
        self.act(0);
        self.events.flush();
    }
}

impl Drop for Driver {
    /// A driver that goes down with its runtime takes the open questions along.
    fn drop(&mut self) {
        for asking in self.asking.values() {
            asking.abort();
        }
        self.mcp.close();
    }
}

/// The next loss; never, without a mirror.
async fn next_loss(mirror: &mut Option<Mirror>) -> Option<MirrorLoss> {
    match mirror {
        Some(mirror) => mirror.loss().await,
        None => std::future::pending().await,
    }
}
